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
    assert_eq!(server.session.phase, Phase::Publishing("door".into()));
}

#[test]
fn media_on_other_message_streams_are_dropped() {
    let mut server = Server::requested(|session| session.play("door"));
    server.status("status", "NetStream.Play.Start");
    for (id, count) in [(0, 0), (1, 1), (2, 0)] {
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
