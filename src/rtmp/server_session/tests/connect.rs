//! Handshake and connect, which precede everything else.

use super::*;

#[test]
fn connect_is_answered_with_window_bandwidth_chunk_size_and_result() {
    let mut scenario = Scenario::handshaken();
    let events = scenario.send(&connect());
    let expected = Connect {
        app: "live?key=1".into(),
        tc_url: "rtmp://host/live".into(),
        flash_ver: "FMLE/3.0".into(),
        is_publisher: true,
        ..Connect::default()
    };
    assert_eq!(events, [Event::Connect(expected)]);
    assert_eq!(
        scenario.replies(),
        [
            "WindowAcknowledgementSize(2500000)",
            "SetPeerBandwidth { size: 2500000, limit_type: 2 }",
            "SetChunkSize(65536)",
            "3/0 _result(1) status NetConnection.Connect.Success",
        ]
    );
}

#[test]
fn the_answer_to_connect_begins_with_these_bytes() {
    let mut scenario = Scenario::handshaken();
    scenario.ask(&connect());
    scenario.session.accept_connect();
    let bytes = scenario.session.take_output();
    let expected = [
        b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\0\x26\x25\xA0".as_slice(),
        b"\x02\0\0\0\0\0\x05\x06\0\0\0\0\0\x26\x25\xA0\x02",
        b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\x01\0\0",
        b"\x03\0\0\0\0\x01\x3B\x14\0\0\0\0\x02\0\x07_result\0\x3F\xF0\0\0\0\0\0\0\x03\0\x06fmsVer",
    ]
    .concat();
    assert_eq!(bytes[..expected.len()], expected);
    // The reply is longer than 128 bytes, and in a single chunk.
    assert_eq!(bytes.len(), 16 + 17 + 16 + 12 + 0x13B);
}

#[test]
fn connect_needs_no_property_at_all() {
    let mut scenario = Scenario::handshaken();
    let bytes = message(
        type_id::COMMAND,
        0,
        0,
        &body("connect", 1.0, Value::Null, &[]),
    );
    assert_eq!(scenario.send(&bytes), [Event::Connect(Connect::default())]);
    assert!(scenario.session.is_connected());
}

#[test]
fn the_result_of_connect_has_the_requests_transaction_id() {
    let mut scenario = Scenario::handshaken();
    scenario.send(&message(
        type_id::COMMAND,
        0,
        0,
        &body("connect", 7.0, Value::Null, &[]),
    ));
    let replies = scenario.replies();
    assert_eq!(
        replies[3],
        "3/0 _result(7) status NetConnection.Connect.Success"
    );
}

#[test]
fn a_refused_connect_gets_an_error_on_message_stream_0() {
    let mut scenario = Scenario::handshaken();
    scenario.ask(&connect());
    scenario
        .session
        .refuse_connect("NetConnection.Connect.Rejected", "no");
    assert_eq!(
        scenario.replies(),
        ["3/0 _error(1) error NetConnection.Connect.Rejected"]
    );
    assert!(!scenario.session.is_connected());
    let create = command(0, "createStream", 2.0, &[]);
    assert_eq!(
        scenario.error(&create),
        "command createStream before connect"
    );
}

#[test]
fn commands_before_connect_are_refused() {
    for name in [
        "createStream",
        "publish",
        "play",
        "releaseStream",
        "FCPublish",
        "_result",
    ] {
        let mut scenario = Scenario::handshaken();
        let expected = format!("command {name} before connect");
        assert_eq!(scenario.error(&command(1, name, 2.0, &[])), expected);
    }
}

#[test]
fn commands_before_the_verdict_on_connect_are_refused() {
    let mut scenario = Scenario::handshaken();
    scenario.ask(&connect());
    let create = command(0, "createStream", 2.0, &[]);
    assert_eq!(
        scenario.error(&create),
        "command createStream before connect"
    );
}

#[test]
fn a_second_connect_is_refused() {
    assert_eq!(
        Scenario::connected().error(&connect()),
        "command connect after connect"
    );
}

#[test]
fn names_of_refused_commands_are_escaped_and_cut() {
    let error = |name| Scenario::handshaken().error(&command(0, name, 1.0, &[]));
    assert_eq!(
        error("evil\n#1 root"),
        "command evil\\n#1 root before connect"
    );
    let long = error(&"\u{202e}".repeat(100));
    assert_eq!(
        long,
        format!("command {} before connect", "\\u{202e}".repeat(13))
    );
}

#[test]
fn control_messages_may_come_before_connect() {
    let mut scenario = Scenario::handshaken();
    let bytes = [
        control(Control::SetChunkSize(4096)),
        control(Control::WindowAcknowledgementSize(2_500_000)),
        // With the larger chunk size, connect fits in a single chunk.
        {
            let header = MessageHeader {
                chunk_stream_id: 3,
                timestamp: 0,
                len: 0,
                type_id: type_id::COMMAND,
                message_stream_id: 0,
            };
            let mut bytes = Vec::new();
            let long = [connect_body(), values(&[text(&"x".repeat(300))])].concat();
            ChunkWriter::with_announced_chunk_size().write(header, &long, &mut bytes);
            bytes
        },
    ]
    .concat();
    assert!(matches!(scenario.send(&bytes)[..], [Event::Connect(_)]));
}
