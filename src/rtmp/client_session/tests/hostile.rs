//! Servers that send anything.

use super::*;
use proptest::prelude::*;

/// The most that a session may hold to be sent, whatever the server says.
const MOST: usize = MAX_OUTPUT + 4096;

proptest! {
    #[test]
    fn random_bytes_cause_neither_panic_nor_growth(
        bytes in prop::collection::vec(any::<u8>(), 0..4096),
        is_playing: bool,
    ) {
        let mut server = Server::requested(|session| match is_playing {
            true => session.play("door"),
            false => session.publish("door"),
        });
        let mut input = Bytes::from(&*bytes);
        while let Ok(Some(event)) = server.session.handle(&mut input, 0) {
            if event == ClientEvent::Output {
                server.session.take_output();
            }
        }
        prop_assert!(server.session.take_output().len() <= MOST);
    }

    #[test]
    fn random_commands_cause_neither_panic_nor_growth(
        name in prop::sample::select(vec!["_result", "_error", "onStatus", "close", "other"]),
        transaction in 0..6,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut server = Server::connected();
        server.session.publish("door");
        let mut payload = Vec::new();
        text(name).emit(&mut payload);
        Value::Number(f64::from(transaction)).emit(&mut payload);
        payload.extend_from_slice(&body);
        let header = MessageHeader::untimed(chunk_stream_id::COMMAND, 0, type_id::COMMAND);
        let mut out = Vec::new();
        ChunkWriter::default().write(header, &payload, &mut out);
        let _ = server.try_send(&out);
        prop_assert!(server.session.take_output().len() <= MOST);
    }
}

#[test]
fn pings_without_end_must_be_answered_before_more_is_read() {
    let mut server = Server::connected();
    let mut pings = Vec::new();
    let ping = Control::User(UserControl::PingRequest(1));
    for _ in 0..1000 {
        ChunkWriter::default().write_control(&ping, &mut pings);
    }
    let mut input = Bytes::from(&*pings);
    let event = server.session.handle(&mut input, 0);
    assert_eq!(event, Ok(Some(ClientEvent::Output)));
    assert!(server.session.take_output().len() <= MOST);
}

#[test]
fn commands_without_end_are_an_error() {
    let mut server = Server::connected();
    let call = command::call("onBWDone", Value::Null);
    let result = (0..1000).try_for_each(|_| {
        let header = MessageHeader::untimed(chunk_stream_id::COMMAND, 0, type_id::COMMAND);
        let mut out = Vec::new();
        ChunkWriter::default().write(header, &call.emit(), &mut out);
        server.try_send(&out).map(drop)
    });
    let error = result.unwrap_err().to_string();
    assert!(error.contains("commands at a time"), "{error}");
}

#[test]
fn a_server_cant_make_a_publisher_keep_media() {
    let mut server = Server::requested(|session| session.publish("door"));
    let header = MessageHeader {
        chunk_stream_id: 6,
        timestamp: 0,
        len: 0,
        type_id: type_id::VIDEO,
        message_stream_id: 1,
    };
    let mut out = Vec::new();
    ChunkWriter::default().write(header, &vec![0; 64 * 1024 + 1], &mut out);
    assert!(server.try_send(&out).is_err());
}

#[test]
fn a_message_that_is_too_long_is_an_error() {
    let mut server = Server::requested(|session| session.play("door"));
    let header = MessageHeader {
        chunk_stream_id: 6,
        timestamp: 0,
        len: 0,
        type_id: type_id::VIDEO,
        message_stream_id: 1,
    };
    let mut out = Vec::new();
    ChunkWriter::default().write(header, &vec![0; MAX_MESSAGE as usize + 1], &mut out);
    assert!(server.try_send(&out).is_err());
}

proptest! {
    #[test]
    fn the_same_happens_however_a_servers_bytes_are_split(
        messages in prop::collection::vec(
            (
                prop::sample::select(vec![4, 5, 8, 9, 15, 18, 20, 22]),
                0..3u32,
                prop::collection::vec(any::<u8>(), 0..300),
            ),
            0..6,
        ),
        piece_len in 1..200usize,
    ) {
        let mut bytes = Vec::new();
        for (type_id, message_stream_id, body) in messages {
            let header = MessageHeader {
                chunk_stream_id: 6,
                timestamp: 40,
                len: 0,
                type_id,
                message_stream_id,
            };
            // Control messages are short.
            let len = if type_id < 8 { body.len().min(10) } else { body.len() };
            ChunkWriter::default().write(header, &body[..len], &mut bytes);
        }
        let outcomes = [usize::MAX, piece_len, 1].map(|piece_len| {
            let mut server = Server::requested(|session| session.play("door"));
            server.piece_len = piece_len;
            let lines = server.try_send(&bytes);
            (lines, server.session.conversation.phase.clone(), server.session.message_stream_id())
        });
        prop_assert_eq!(&outcomes[0], &outcomes[1]);
        prop_assert_eq!(&outcomes[0], &outcomes[2]);
    }
}
