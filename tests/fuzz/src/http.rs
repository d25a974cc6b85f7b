//! The same for HTTP.

use brooklet::http::head::{HeadReader, MAX_HEAD_LEN};
use brooklet::http::websocket::{self, FrameReader, MAX_CONTROL_LEN, Violation, WebSocketEvent};
use brooklet::http::{Head, Rejected, Response, Route, Status, conditions, percent, range};
use brooklet::live::hls::file_name::FileName;

/// The first byte says how the rest is cut. Whatever the cut, the same head must be found, and an
/// accepted head must be unambiguous.
pub fn http_head(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let found = find(bytes, bytes.len());
    assert_eq!(find(bytes, 1), found, "byte by byte");
    assert_eq!(find(bytes, usize::from(cut) + 2), found, "in pieces");
    // Input that isn't a head must not panic either.
    let _ = Head::parse(bytes);
    let Ok(Some(len)) = found else {
        return;
    };
    assert!(len <= MAX_HEAD_LEN);
    let bytes = &bytes[..len];
    let Ok(head) = Head::parse(bytes) else {
        return;
    };
    check_unambiguous(bytes, &head);
    check_route(&head);
    check_answers(&head);
}

/// Parses as a connection does: in pieces of this length, until the end or an error.
fn find(bytes: &[u8], len: usize) -> Result<Option<usize>, Rejected> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    loop {
        end = (end + len.max(1)).min(bytes.len());
        match reader.find(&bytes[..end]) {
            Ok(None) if end < bytes.len() => {}
            result => return result,
        }
    }
}

/// Checks that no two parsers would see different requests in it.
fn check_unambiguous(bytes: &[u8], head: &Head) {
    assert!(bytes.ends_with(b"\r\n\r\n"));
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    for line in &lines[..lines.len() - 1] {
        assert_eq!(line.last(), Some(&b'\r'), "a bare LF");
        let inside = &line[..line.len() - 1];
        assert!(
            !inside.contains(&b'\r') && !inside.contains(&0),
            "a bare CR, or NUL"
        );
        assert!(
            !inside.starts_with(b" ") && !inside.starts_with(b"\t"),
            "a folded line"
        );
    }
    assert_eq!(head.header("transfer-encoding"), None);
    let length = head.header("content-length").unwrap_or("0");
    assert!(!length.is_empty() && length.bytes().all(|byte| byte == b'0'));
    let has_host = |name: &str| head.header(name).is_some();
    assert!(!head.is_1_1() || has_host("host"));
    let is_of_hosts = |c: char| c.is_ascii_graphic() && !"/@?#\\".contains(c);
    assert!(head.host().chars().all(is_of_hosts), "{:?}", head.host());
    assert!(head.path().starts_with('/') || head.path() == "*");
    assert!(!head.path().contains(['?', '#', ' ', '\r', '\n', '\0']));
}

/// Checks that names in routes are valid, and map back to their path.
fn check_route(head: &Head) {
    let Ok(route) = Route::of(head.path()) else {
        return;
    };
    let name = match &route {
        Route::Asset(name) => name.as_str(),
        Route::Player(key)
        | Route::Media(key, _)
        | Route::Frame(key)
        | Route::Playlist(key)
        | Route::MediaPlaylist(key)
        | Route::HlsFile(key, _) => key.as_str(),
        _ => "door",
    };
    for part in name.split('/') {
        let is_forbidden = |c: char| c.is_control() || matches!(c, '\\' | '?');
        assert!(
            !part.starts_with('.') && !part.contains(is_forbidden),
            "{name:?}"
        );
    }
    assert_eq!(
        percent::decode(&percent::encode(name), false).as_deref(),
        Some(name)
    );
    if let Route::HlsFile(key, name) = &route {
        let path = format!("/{}/{name}", percent::encode(key.as_str()));
        assert_eq!(Route::of(&path).as_ref(), Ok(&route), "{path}");
        if let Some(file) = FileName::parse(name) {
            assert_eq!(file.to_string(), *name);
        }
    }
}

/// Checks that every answer is one response, whatever was requested.
fn check_answers(head: &Head) {
    let len = 1_000;
    if let Ok(Some(range)) = range::parse(head.header("range"), len) {
        assert!(range.start < range.end && range.end <= len, "{range:?}");
    }
    // A client that lists it without a weight of 0 accepts it.
    let encodings = head.header("accept-encoding");
    assert!(encodings != Some("gzip") || head.takes_gzip());
    assert!(
        encodings.is_some() || head.takes_gzip() <= (head.values("accept-encoding").count() > 0)
    );
    let tag = "\"a\"";
    let known = head.known_tags();
    assert!(conditions::lists(&[&known, tag].concat(), tag));
    assert!(conditions::lists(&known, tag) <= known.contains(['a', '*']));
    let is_meant = head.header("if-range").is_none_or(|wanted| wanted == tag);
    assert!(head.range(tag).is_none() || is_meant);
    let upgrade = websocket::accept(head).unwrap_or_else(|refusal| refusal);
    let echo = head.header("user-agent").unwrap_or(head.path());
    for response in [upgrade, Response::not_found().header("X-Echo", echo)] {
        let length = brooklet::http::response::Length::Known(3);
        let text = response.head(length, !head.is_persistent());
        assert_eq!(text.matches("\r\n\r\n").count(), 1, "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
        let is_upgrade = response.status == Status::SwitchingProtocols;
        assert!(
            !is_upgrade || text.contains("Sec-WebSocket-Accept: "),
            "{text}"
        );
    }
}

/// The first byte says how the rest is cut. Whatever the cut, the same events must come.
pub fn websocket(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = events(bytes, bytes.len());
    assert_eq!(events(bytes, 1), whole, "byte by byte");
    assert_eq!(events(bytes, usize::from(cut) + 2), whole, "in pieces");
    let (events, violation) = whole;
    for (index, event) in events.iter().enumerate() {
        match event {
            WebSocketEvent::Ping(payload) => assert!(payload.len() <= MAX_CONTROL_LEN),
            WebSocketEvent::Close(_) => assert!(index + 1 == events.len() && violation.is_none()),
            _ => {}
        }
    }
}

fn events(bytes: &[u8], len: usize) -> (Vec<WebSocketEvent>, Option<Violation>) {
    let mut reader = FrameReader::default();
    let mut events = Vec::new();
    for mut piece in bytes.chunks(len.max(1)) {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(
            piece.is_empty(),
            "input is left though the reader wants more"
        );
    }
    (events, None)
}
