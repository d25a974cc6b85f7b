//! Files in chunks and WebSocket messages, and the bytes before and after them.

use super::*;

#[test]
fn in_a_websocket_the_content_type_comes_first_and_everything_is_a_message() {
    let fixture = published();
    fixture.gop(0, 2);
    let viewer = view(&fixture, MP4_IN_WEBSOCKET, Join::Gop);
    fixture.frame(80, false, 70_000);
    fixture.pump();
    let messages = messages(&viewer.sink.bytes());
    let types: Vec<u8> = messages.iter().map(|(opcode, _)| *opcode).collect();
    assert_eq!(types, [1, 2, 2, 2, 2, 2, 2]);
    let file: Vec<u8> = messages[1..]
        .iter()
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    assert_eq!(fragments(&file).len(), 6);
}

#[test]
fn in_a_websocket_all_messages_of_flv_are_binary() {
    let fixture = published();
    fixture.gop(0, 2);
    let viewer = view(&fixture, FLV_IN_WEBSOCKET, Join::Gop);
    let messages = messages(&viewer.sink.bytes());
    assert!(messages.iter().all(|(opcode, _)| *opcode == 2));
    let file: Vec<u8> = messages.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let (flags, tags) = tags(&file);
    // Two headers, two video frames and the corresponding audio.
    assert_eq!((flags, tags.len()), (5, 6));
}

#[test]
fn in_chunks_the_file_is_the_same_and_ends_properly() {
    for (plain, in_chunks) in [(FLV, FLV_IN_CHUNKS), (MP4, MP4_IN_CHUNKS)] {
        let fixture = published();
        fixture.gop(0, 2);
        let viewers = [plain, in_chunks].map(|framing| view(&fixture, framing, Join::Gop));
        fixture.frame(80, false, 70_000);
        fixture.pump();
        fixture.unpublish();
        fixture
            .stream
            .end(fixture.generation.get(), fixture.now.get());
        let [plain, in_chunks] = viewers;
        let (_, body) = in_chunks.body();
        assert_eq!(chunks(&body).concat(), plain.body().1);
    }
}

#[test]
fn a_request_whose_stream_ends_before_the_response_begins_gets_404() {
    for framing in [FLV, MP4, FLV_IN_CHUNKS, MP4_IN_CHUNKS] {
        let fixture = published();
        let viewer = view(&fixture, framing, Join::Gop);
        fixture.unpublish();
        fixture
            .stream
            .end(fixture.generation.get(), fixture.now.get());
        let (head, _) = viewer.body();
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        assert_eq!(viewer.end(&fixture), Some(PlayEnd::Finished));
    }
}

#[test]
fn when_the_stream_ends_so_does_the_file() {
    let fixture = published();
    fixture.gop(0, 2);
    let viewers = [FLV, MP4, MP4_IN_WEBSOCKET].map(|framing| view(&fixture, framing, Join::Gop));
    let before = viewers[1].sink.bytes();
    fixture.unpublish();
    fixture
        .stream
        .end(fixture.generation.get(), fixture.now.get());
    for viewer in &viewers {
        assert_eq!(viewer.end(&fixture), Some(PlayEnd::Finished));
        assert!(viewer.sink.is_finished.load(Ordering::SeqCst));
    }
    assert_eq!(viewers[1].sink.bytes(), before);
    let last = messages(&viewers[2].sink.bytes()).pop();
    assert_eq!(last, Some((8, vec![0x03, 0xE9])));
}

/// Returns the messages of a WebSocket: opcode and payload.
pub(super) fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (len, head) = match bytes[1] {
            126 => (u16::from_be_bytes([bytes[2], bytes[3]]) as usize, 4),
            127 => (u32_at(bytes, 6) as usize, 10),
            len => (usize::from(len), 2),
        };
        assert_eq!(bytes[0] & 0xF0, 0x80, "whole, unmasked");
        messages.push((bytes[0] & 0x0F, bytes[head..head + len].to_vec()));
        bytes = &bytes[head + len..];
    }
    messages
}

/// Returns the chunks of a body, up to the last chunk.
fn chunks(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    loop {
        let line = bytes.iter().position(|byte| *byte == b'\r').unwrap();
        let digits = std::str::from_utf8(&bytes[..line]).unwrap();
        let len = usize::from_str_radix(digits, 16).unwrap();
        assert_eq!(&bytes[line..line + 2], b"\r\n");
        let (chunk, rest) = bytes[line + 2..].split_at(len);
        bytes = rest.strip_prefix(b"\r\n").expect("an end of line");
        if len == 0 {
            assert!(bytes.is_empty());
            return chunks;
        }
        chunks.push(chunk.to_vec());
    }
}

#[test]
fn a_head_that_is_taken_byte_by_byte_is_the_same() {
    for framing in [MP4, FLV, MP4_IN_WEBSOCKET, FLV_IN_WEBSOCKET] {
        let fixture = published();
        fixture.append(Kind::Video, 40, b"\x17\x01\0\0\0picture");
        let at_once = view(&fixture, framing, Join::Gop);
        let id = fixture.next_player.get();
        fixture.next_player.set(id + 1);
        let sink = Arc::<TestSink>::default();
        sink.set_room(0);
        let receiver = Receiver {
            framing,
            join: Join::Gop,
            capabilities: Capabilities::unknown(),
        };
        let now = fixture.now.get();
        let request = request(id, sink.clone(), receiver);
        fixture.stream.subscribe(request, now).unwrap();
        let expected = at_once.sink.bytes();
        for _ in 0..expected.len() {
            sink.set_room(1);
            fixture.stream.with_subscriber(id, now, |_| {}).unwrap();
        }
        assert_eq!(sink.bytes(), expected, "{framing:?}");
    }
}

#[test]
fn control_bytes_are_paid_by_the_connection_until_they_are_sent() {
    let fixture = published();
    let allowance = Allowance::new(100);
    let receiver = Receiver {
        framing: FLV_IN_WEBSOCKET,
        join: Join::Gop,
        capabilities: Capabilities::unknown(),
    };
    let sink = Arc::<TestSink>::default();
    sink.set_room(0);
    let request = JoinRequest::new(1_000, sink.clone(), receiver, vec![0; 60]);
    let now = fixture.now.get();
    let paid = allowance.take(0).ok();
    let request = JoinRequest { paid, ..request };
    fixture.stream.subscribe(request, now).unwrap();
    assert_eq!(allowance.left(), 40);
    let say = |len: usize| {
        let said = |subscriber: &mut Subscriber| subscriber.queue_control(&vec![0; len]);
        fixture.stream.with_subscriber(1_000, now, said)
    };
    assert_eq!(say(30), Ok(true));
    assert_eq!(allowance.left(), 10);
    sink.set_room(100_000);
    assert_eq!(say(0), Ok(false));
    assert_eq!(allowance.left(), 100);
    sink.set_room(0);
    assert_eq!(say(101), Err(PlayEnd::ControlOverflow));
    assert_eq!(allowance.left(), 100);
}
