//! Replies and statuses as other servers send them.

use super::*;

fn publishing() -> Server {
    let mut server = Server::requested(|session| session.publish("door"));
    let lines = server.status("status", "NetStream.Publish.Start");
    assert_eq!(lines, ["Publishing"]);
    server
}

#[test]
fn errors_of_release_stream_and_fcpublish_are_no_refusals() {
    let mut server = Server::connected();
    server.session.publish("door");
    for transaction in [2.0, 3.0] {
        let error = command::error(transaction, "NetConnection.Call.Failed", "unknown");
        assert_eq!(server.say(0, &error), Vec::<String>::new());
    }
    let created = command::result(4.0, Value::Null, Value::Number(5.0));
    server.say(0, &created);
    assert_eq!(server.session.message_stream_id(), Some(5));
}

#[test]
fn a_message_stream_that_is_none_is_refused() {
    for id in [0.0, -1.0, f64::NAN, 4294967296.0] {
        let mut server = Server::connected();
        server.session.play("door");
        let created = command::result(2.0, Value::Null, Value::Number(id));
        let lines = server.say(0, &created);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("refused Other"), "{lines:?}");
    }
}

#[test]
fn statuses_that_forget_their_level_are_refusals_by_their_code() {
    for (level, code, kind) in [
        ("status", "NetStream.Publish.BadName", "BadName"),
        ("error", "NetStream.Publish.Denied", "Denied"),
        ("", "NetStream.Publish.Rejected", "Denied"),
        ("error", "NetStream.Publish.Unheard", "Other"),
        ("status", "NetStream.Failed", "Other"),
    ] {
        let mut server = Server::requested(|session| session.publish("door"));
        let lines = server.status(level, code);
        assert_eq!(lines, [format!("refused {kind}: words ({code})")]);
    }
}

#[test]
fn a_publish_may_end_by_the_server() {
    for (level, code) in [
        ("error", "NetStream.Publish.Denied"),
        ("status", "NetStream.Unpublish.Success"),
        ("status", "NetStream.Publish.BadName"),
    ] {
        let lines = publishing().status(level, code);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("refused"), "{lines:?}");
    }
    let lines = publishing().status("warning", "NetStream.Record.Failed");
    assert_eq!(lines, ["warning NetStream.Record.Failed"]);
}

#[test]
fn a_redirect_of_connect_names_the_url() {
    let mut server = Server::new(options());
    let ex = object([("redirect", text("rtmp://b/live"))]);
    let mut error = command::error(1.0, "NetConnection.Connect.Rejected", "moved");
    let Some(Value::Object(properties)) = error.arguments.first_mut() else {
        panic!()
    };
    properties.push(("ex".into(), ex));
    let lines = server.say(0, &error);
    let expected = r#"refused Redirect("rtmp://b/live"): moved (NetConnection.Connect.Rejected)"#;
    assert_eq!(lines, [expected]);
}

#[test]
fn a_request_to_reconnect_leaves_the_session_as_it_is() {
    let mut server = publishing();
    let info = object([
        ("level", text("status")),
        ("code", text("NetConnection.Connect.ReconnectRequest")),
        ("tcUrl", text("rtmp://b/live")),
        ("description", text("bye")),
    ]);
    let lines = server.say(0, &command::call("onStatus", info));
    let expected = r#"Reconnect { url: Some("rtmp://b/live"), description: "bye" }"#;
    assert_eq!(lines, [expected]);
    assert_eq!(
        server.session.conversation.phase,
        Phase::Publishing("door".into())
    );
}

#[test]
fn media_come_on_the_own_message_stream_or_on_that_of_the_connection() {
    let mut server = Server::requested(|session| session.play("door"));
    server.status("status", "NetStream.Play.Start");
    for (id, count) in [(0, 1), (1, 1), (2, 0)] {
        let header = MessageHeader {
            chunk_stream_id: 6,
            timestamp: 0,
            len: 0,
            type_id: type_id::VIDEO,
            message_stream_id: id,
        };
        let mut out = Vec::new();
        ChunkWriter::default().write(header, b"\x17\x01", &mut out);
        assert_eq!(server.send(&out).len(), count, "message stream {id}");
    }
}

#[test]
fn an_acknowledgement_is_kept_for_the_caller() {
    let mut server = publishing();
    assert_eq!(server.session.acknowledged(), None);
    let mut out = Vec::new();
    ChunkWriter::default().write_control(&Control::Acknowledgement(4711), &mut out);
    server.send(&out);
    assert_eq!(server.session.acknowledged(), Some(4711));
}

#[test]
fn large_answers_are_acknowledged_by_half_the_window() {
    let mut server = Server::requested(|session| session.play("door"));
    let mut out = Vec::new();
    ChunkWriter::default().write_control(&Control::WindowAcknowledgementSize(2000), &mut out);
    server.send(&out);
    server.session.take_output();
    let header = MessageHeader {
        chunk_stream_id: 6,
        timestamp: 0,
        len: 0,
        type_id: type_id::VIDEO,
        message_stream_id: 1,
    };
    let mut out = Vec::new();
    ChunkWriter::default().write(header, &[0x27; 3000], &mut out);
    server.send(&out);
    let received = server.session.received as u32;
    let mut expected = Vec::new();
    let acknowledgement = Control::Acknowledgement(received);
    ChunkWriter::with_announced_chunk_size().write_control(&acknowledgement, &mut expected);
    assert_eq!(server.session.take_output(), expected);
}

#[test]
fn a_play_ends_once_however_often_the_server_says_so() {
    let eof = |id| {
        let mut out = Vec::new();
        let control = Control::User(UserControl::StreamEof(id));
        ChunkWriter::default().write_control(&control, &mut out);
        out
    };
    let playing = || {
        let mut server = Server::requested(|session| session.play("door"));
        let lines = server.status("status", "NetStream.Play.Start");
        assert_eq!(lines, ["Playing"]);
        server
    };
    let mut server = playing();
    assert_eq!(server.send(&eof(2)), Vec::<String>::new());
    assert_eq!(server.send(&eof(1)), ["EndOfStream"]);
    assert_eq!(server.send(&eof(1)), Vec::<String>::new());
    for code in ["UnpublishNotify", "Stop", "Complete"] {
        let code = format!("NetStream.Play.{code}");
        let mut server = playing();
        assert_eq!(server.status("status", &code), ["EndOfStream"]);
        assert_eq!(server.status("status", &code), [format!("status {code}")]);
        assert_eq!(server.send(&eof(1)), Vec::<String>::new());
    }
    let lines = playing().status("status", "NetStream.Play.StreamNotFound");
    let expected = "refused NotFound: words (NetStream.Play.StreamNotFound)";
    assert_eq!(lines, [expected]);
}

#[test]
fn servers_may_accept_in_other_words() {
    let mut server = Server::requested(|session| session.play("door"));
    let lines = server.status("status", "NetStream.Play.PublishNotify");
    assert_eq!(lines, ["Playing"]);

    let mut server = Server::requested(|session| session.publish("door"));
    let transaction = f64::from(server.session.conversation.transaction);
    let other = command::result(transaction - 1.0, Value::Null, Value::Null);
    assert_eq!(server.say(0, &other), Vec::<String>::new());
    let reply = command::result(transaction, Value::Null, Value::Null);
    assert_eq!(server.say(0, &reply), ["Publishing"]);
}

#[test]
fn a_bandwidth_check_is_answered_once() {
    let mut server = Server::connected();
    server.session.take_output();
    let call = command::call("onBWDone", Value::Number(8192.0));
    assert_eq!(server.say(0, &call), Vec::<String>::new());
    assert!(!server.session.take_output().is_empty());
    server.say(0, &call);
    assert!(server.session.take_output().is_empty());
}

#[test]
fn amf3_is_used_only_if_the_server_agrees() {
    for (encoding, type_id) in [(0.0, type_id::COMMAND), (3.0, type_id::COMMAND_AMF3)] {
        let mut server = Server::new(ConnectOptions {
            is_amf3: true,
            ..options()
        });
        let info = object([
            ("code", text("NetConnection.Connect.Success")),
            ("objectEncoding", Value::Number(encoding)),
        ]);
        let reply = command::result(1.0, Value::Null, info);
        assert_eq!(server.say(0, &reply), ["Connected"]);
        server.session.take_output();
        server.session.publish("door");
        let out = server.session.take_output();
        // After Set Chunk Size and Window Acknowledgement Size, 16 bytes each.
        assert_eq!(out[32 + 7], type_id);
    }
}

#[test]
fn an_aggregate_message_is_played_message_by_message() {
    let mut server = Server::requested(|session| session.play("door"));
    server.status("status", "NetStream.Play.Start");
    let mut body = Vec::new();
    for (type_id, time, payload) in [(8, 100, b"\xAFsound"), (9, 140, b"\x17image")] {
        body.extend_from_slice(&[type_id, 0, 0, 6, 0, 0, time, 0, 0, 0, 0]);
        body.extend_from_slice(payload);
        body.extend_from_slice(&[0, 0, 0, 17]);
    }
    let header = MessageHeader {
        chunk_stream_id: 6,
        timestamp: 5000,
        len: 0,
        type_id: type_id::AGGREGATE,
        message_stream_id: 1,
    };
    let mut out = Vec::new();
    ChunkWriter::default().write(header, &body, &mut out);
    let expected = ["Audio 5000 \u{fffd}sound", "Video 5040 \u{17}image"];
    for piece_len in [1, 7, usize::MAX] {
        server.piece_len = piece_len;
        assert_eq!(server.send(&out), expected);
    }
}

#[test]
fn tc_url_in_a_refusal_is_no_redirect() {
    let mut server = Server::new(options());
    let info = object([
        ("code", text("NetConnection.Connect.Rejected")),
        ("tcUrl", text("rtmp://host/live")),
    ]);
    let mut error = command::error(1.0, "", "");
    error.arguments = vec![info];
    let lines = server.say(0, &error);
    assert_eq!(lines, ["refused Denied: NetConnection.Connect.Rejected"]);
}
