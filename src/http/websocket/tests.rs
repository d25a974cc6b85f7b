use super::*;
use crate::http::head::HeadReader;
use proptest::prelude::*;

/// Reads a head that lives as long as the test.
fn head(line: &str, headers: &str) -> Head<'static> {
    let bytes = format!("{line}\r\nHost: h\r\n{headers}\r\n").leak();
    let len = HeadReader::default().find(bytes.as_bytes());
    Head::parse(&bytes.as_bytes()[..len.unwrap().unwrap()]).unwrap()
}

/// The example of RFC 6455, section 1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn the_handshake_is_that_of_the_rfc() {
    let headers =
        format!("Upgrade: websocket\r\nConnection: Upgrade\r\n{KEY}Sec-WebSocket-Version: 13\r\n");
    let head = head("GET /live/door.flv HTTP/1.1", &headers);
    assert!(is_upgrade(&head));
    let response = accept(&head).unwrap();
    assert_eq!(
        response.head(crate::http::response::Length::UntilClose, false),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
}

#[test]
fn handshakes_are_checked() {
    const UPGRADE: &str = "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n";
    const V13: &str = "Sec-WebSocket-Version: 13\r\n";
    let get = "GET / HTTP/1.1";
    for (name, line, headers, status) in [
        (
            "as Firefox sends it",
            get,
            [UPGRADE, KEY, V13].concat(),
            101,
        ),
        ("POST", "POST / HTTP/1.1", [UPGRADE, KEY, V13].concat(), 400),
        ("HEAD", "HEAD / HTTP/1.1", [UPGRADE, KEY, V13].concat(), 400),
        (
            "HTTP/1.0",
            "GET / HTTP/1.0",
            [UPGRADE, KEY, V13].concat(),
            400,
        ),
        (
            "no Connection",
            get,
            ["Upgrade: websocket\r\n", KEY, V13].concat(),
            400,
        ),
        ("no version", get, [UPGRADE, KEY].concat(), 426),
        (
            "version 8",
            get,
            [UPGRADE, KEY, "Sec-WebSocket-Version: 8\r\n"].concat(),
            426,
        ),
        ("no key", get, [UPGRADE, V13].concat(), 400),
        (
            "a short key",
            get,
            [
                UPGRADE,
                V13,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n",
            ]
            .concat(),
            400,
        ),
        (
            "a long key",
            get,
            [
                UPGRADE,
                V13,
                "Sec-WebSocket-Key: AdGhlIHNhbXBsZSBub25jZQ==\r\n",
            ]
            .concat(),
            400,
        ),
        ("two keys", get, [UPGRADE, V13, KEY, KEY].concat(), 400),
        ("two versions", get, [UPGRADE, V13, V13, KEY].concat(), 400),
        (
            "two versions, one of which will do",
            get,
            [UPGRADE, V13, "Sec-WebSocket-Version: 8\r\n", KEY].concat(),
            400,
        ),
        (
            "a key of other letters",
            get,
            [
                UPGRADE,
                V13,
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-Q==\r\n",
            ]
            .concat(),
            400,
        ),
    ] {
        let head = head(line, &headers);
        assert!(is_upgrade(&head), "{name}");
        let response = accept(&head).unwrap_or_else(|refusal| refusal);
        assert_eq!(response.status.code(), status, "{name}");
    }
    let old = accept(&head(get, &[UPGRADE, KEY].concat())).unwrap_err();
    let old = old.head(crate::http::response::Length::Known(0), true);
    assert!(old.contains("Sec-WebSocket-Version: 13\r\n"), "{old}");
    assert!(!is_upgrade(&head(
        get,
        "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    )));
}

#[test]
fn control_frames_to_the_client_are_as_in_the_rfc() {
    // The examples of RFC 6455, section 5.7.
    assert_eq!(control_frame(Opcode::Ping, b"Hello"), b"\x89\x05Hello");
    assert_eq!(control_frame(Opcode::Pong, b"ab"), b"\x8A\x02ab");
    assert_eq!(close_frame(close_code::NORMAL, ""), b"\x88\x02\x03\xE8");
    assert_eq!(
        control_frame(Opcode::Ping, &[7; 200]).len(),
        2 + MAX_CONTROL_LEN
    );
}

/// Builds a frame from a client: first byte, payload, masked with 1, 2, 3, 4.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = match payload.len() {
        len @ 0..=125 => vec![first, 0x80 | len as u8],
        len @ 126..=0xFFFF => [&[first, 0x80 | 126][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[first, 0x80 | 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    bytes.extend([1, 2, 3, 4]);
    let mask = [1, 2, 3, 4].into_iter().cycle();
    bytes.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Returns all events, and the violation that ended the reading.
fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<WebSocketEvent>, Option<Violation>) {
    let mut reader = FrameReader::default();
    let mut events = Vec::new();
    for mut input in pieces {
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(input.is_empty());
    }
    (events, None)
}

#[test]
fn what_a_client_sends_is_understood() {
    let code = |code: u16| code.to_be_bytes().to_vec();
    for (name, bytes, events) in [
        // The examples of RFC 6455, section 5.7.
        (
            "Hello",
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            vec![WebSocketEvent::Message],
        ),
        (
            "Pong Hello",
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec(),
            vec![WebSocketEvent::Pong],
        ),
        (
            "Ping",
            frame(0x89, b"abcde"),
            vec![WebSocketEvent::Ping(b"abcde".to_vec())],
        ),
        (
            "an empty Ping",
            frame(0x89, b""),
            vec![WebSocketEvent::Ping(vec![])],
        ),
        (
            "the longest Ping",
            frame(0x89, &[7; 125]),
            vec![WebSocketEvent::Ping(vec![7; 125])],
        ),
        (
            "300 bytes",
            frame(0x82, &[7; 300]),
            vec![WebSocketEvent::Message],
        ),
        (
            "65536 bytes",
            frame(0x82, &[7; 0x1_0000]),
            vec![WebSocketEvent::Message],
        ),
        (
            "an empty message",
            frame(0x81, b""),
            vec![WebSocketEvent::Message],
        ),
        (
            "a text of all lengths of characters",
            frame(
                0x81,
                "a\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}".as_bytes(),
            ),
            vec![WebSocketEvent::Message],
        ),
        (
            "characters in pieces with a Ping between",
            [
                frame(0x01, b"\xF0\x9F"),
                frame(0x89, b"\xFF"),
                frame(0x00, b"\x98"),
                frame(0x80, b"\x80!"),
            ]
            .concat(),
            vec![
                WebSocketEvent::Ping(b"\xFF".to_vec()),
                WebSocketEvent::Message,
            ],
        ),
        (
            "bytes after a text",
            [
                frame(0x81, b"a"),
                frame(0x02, b"\xFF"),
                frame(0x80, b"\xE2"),
            ]
            .concat(),
            vec![WebSocketEvent::Message, WebSocketEvent::Message],
        ),
        (
            "a message in pieces with a Ping between",
            [
                frame(0x02, b"ab"),
                frame(0x89, b"p"),
                frame(0x00, b""),
                frame(0x80, b"c"),
            ]
            .concat(),
            vec![WebSocketEvent::Ping(b"p".to_vec()), WebSocketEvent::Message],
        ),
        ("Close", frame(0x88, b""), vec![WebSocketEvent::Close(None)]),
        (
            "Close 1001",
            frame(0x88, &code(1001)),
            vec![WebSocketEvent::Close(Some(1001))],
        ),
        (
            "Close with a reason, and what follows is ignored",
            [
                frame(0x88, &[code(3000), b"bye".to_vec()].concat()),
                frame(0x89, b""),
                vec![0; 99],
            ]
            .concat(),
            vec![WebSocketEvent::Close(Some(3000))],
        ),
        ("half a frame", frame(0x89, b"abc")[..7].to_vec(), vec![]),
    ] {
        assert_eq!(read([&bytes[..]]), (events.clone(), None), "{name}");
        assert_eq!(
            read(bytes.chunks(1)),
            (events, None),
            "{name}, byte by byte"
        );
    }
}

#[test]
fn violations_are_told_apart() {
    let length = |len: u64| [&[0x82, 0xFF][..], &len.to_be_bytes(), &[1, 2, 3, 4]].concat();
    for (name, bytes, code) in [
        ("without mask", b"\x81\x05Hello".to_vec(), 1002),
        ("without mask, empty", vec![0x89, 0], 1002),
        ("reserved bits", frame(0xC1, b""), 1002),
        ("an unknown kind", frame(0x83, b""), 1002),
        ("an unknown control frame", frame(0x8B, b""), 1002),
        ("a Ping in pieces", frame(0x09, b"a"), 1002),
        ("a long Ping", frame(0x89, &[0; 126]), 1002),
        ("a rest without beginning", frame(0x80, b"a"), 1002),
        (
            "a message in a message",
            [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
            1002,
        ),
        (
            "125 in two bytes",
            vec![0x82, 0xFE, 0, 125, 1, 2, 3, 4],
            1002,
        ),
        ("65535 in eight bytes", length(0xFFFF), 1002),
        ("a negative length", length(1 << 63), 1002),
        ("a huge length", length(i64::MAX as u64), 1009),
        (
            "one byte more than is skipped",
            length(MAX_MESSAGE_LEN + 1),
            1009,
        ),
        (
            "too much in pieces",
            [frame(0x02, &[0; 0x8001]), frame(0x80, &[0; 0x8000])].concat(),
            1009,
        ),
        ("half a status code", frame(0x88, &[3]), 1002),
        ("status code 999", frame(0x88, &[0x03, 0xE7]), 1002),
        ("status code 1005", frame(0x88, &[0x03, 0xED]), 1002),
        (
            "a reason that isn't text",
            frame(0x88, &[0x03, 0xE8, 0xFF]),
            1007,
        ),
        ("a text that isn't text", frame(0x81, b"a\xFF"), 1007),
        ("an overlong slash", frame(0x81, b"\xC0\xAF"), 1007),
        ("another one", frame(0x81, b"\xE0\x80\xAF"), 1007),
        ("a surrogate", frame(0x81, b"\xED\xA0\x80"), 1007),
        (
            "past the last character",
            frame(0x81, b"\xF4\x90\x80\x80"),
            1007,
        ),
        ("half a character", frame(0x81, b"a\xE2\x82"), 1007),
        (
            "half a character, and no more",
            [frame(0x01, b"\xE2\x82"), frame(0x80, b"")].concat(),
            1007,
        ),
        (
            "half a character, and another one",
            [frame(0x01, b"\xE2\x82"), frame(0x80, b"a")].concat(),
            1007,
        ),
        // The reader doesn't wait for the end of the text, which may never arrive.
        ("the beginning of a text", frame(0x01, b"\x80"), 1007),
    ] {
        let (events, found) = read([&bytes[..]]);
        assert_eq!(events, [], "{name}");
        assert_eq!(found.map(|violation| violation.code), Some(code), "{name}");
        assert_eq!(
            read(bytes.chunks(1)),
            (events, found),
            "{name}, byte by byte"
        );
    }
}

#[test]
fn nothing_is_kept_of_messages() {
    let mut reader = FrameReader::default();
    let bytes = frame(0x82, &[7; 60_000]);
    assert_eq!(reader.next(&mut &bytes[..50_000]), Ok(None));
    assert!(reader.head.capacity() + reader.control.capacity() < 256);
}

#[test]
fn nothing_follows_a_violation() {
    let mut reader = FrameReader::default();
    assert!(reader.next(&mut &[0x81, 0][..]).is_err());
    let ping = frame(0x89, b"");
    let mut input = &ping[..];
    assert_eq!(reader.next(&mut input), Ok(None));
    assert!(input.is_empty());
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let sound = (
        prop::sample::select(vec![0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A]),
        prop::collection::vec(any::<u8>(), 0..200),
    );
    prop_oneof![
        9 => sound.prop_map(|(first, payload)| frame(first, &payload)),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn a_text_is_utf_8_if_the_standard_library_says_so(
        pieces in prop::collection::vec(
            prop_oneof![
                any::<char>().prop_map(|c| c.to_string().into_bytes()),
                prop::collection::vec(any::<u8>(), 0..3),
            ],
            0..8,
        ),
        cut in 0..24_usize,
    ) {
        let text = pieces.concat();
        let (one, other) = text.split_at(cut.min(text.len()));
        let expected = std::str::from_utf8(&text).map_or(Some(1007), |_| None);
        let bytes = [frame(0x01, one), frame(0x80, other)].concat();
        prop_assert_eq!(read([&bytes[..]]).1.map(|violation| violation.code), expected);
    }

    #[test]
    fn any_split_gives_the_same_events(
        frames in prop::collection::vec(any_frame(), 0..6),
        len in 2..40_usize,
    ) {
        let bytes = frames.concat();
        let whole = read([&bytes[..]]);
        prop_assert_eq!(read(bytes.chunks(1)), whole.clone());
        prop_assert_eq!(read(bytes.chunks(len)), whole);
    }
}
