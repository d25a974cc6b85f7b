use super::*;
use proptest::prelude::*;

/// Reads a head that lives as long as the test.
fn read(bytes: &[u8]) -> Result<Head<'static>, Rejected> {
    let bytes: &'static [u8] = bytes.to_vec().leak();
    let len = HeadReader::default().find(bytes)?;
    Head::parse(&bytes[..len.expect("the head is complete")])
}

fn status_of(bytes: &[u8]) -> u16 {
    read(bytes).map_or_else(|rejected| rejected.status.code(), |_| 200)
}

fn request(line: &str, headers: &str) -> Vec<u8> {
    format!("{line}\r\n{headers}\r\n").into_bytes()
}

/// A request as Chromium 120 sends it.
const CHROMIUM: &[u8] = b"GET /live/door.flv?key=s-1&join=live HTTP/1.1\r\n\
    Host: 192.168.1.7:8080\r\n\
    Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/120.0.0.0 Safari/537.36\r\n\
    Accept: */*\r\n\
    Origin: http://192.168.1.7:8080\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Accept-Encoding: gzip, deflate\r\n\r\n";

/// A request as ffmpeg 5.1 sends it.
const FFMPEG: &[u8] = b"GET /live/door.flv HTTP/1.1\r\n\
    User-Agent: Lavf/59.27.100\r\n\
    Accept: */*\r\n\
    Range: bytes=0-\r\n\
    Connection: close\r\n\
    Host: 127.0.0.1:8080\r\n\
    Icy-MetaData: 1\r\n\r\n";

#[test]
fn heads_of_clients_are_understood() {
    let head = read(CHROMIUM).unwrap();
    assert_eq!(head.method(), Method::Get);
    assert_eq!(head.path(), "/live/door.flv");
    assert_eq!(head.query(), Some("key=s-1&join=live"));
    assert_eq!(head.host(), "192.168.1.7:8080");
    assert!(head.is_1_1() && head.is_persistent() && head.is_browser());
    assert!(
        head.header("user-agent")
            .unwrap()
            .ends_with("Safari/537.36")
    );

    let head = read(FFMPEG).unwrap();
    assert_eq!((head.path(), head.query()), ("/live/door.flv", None));
    assert_eq!(head.header("RANGE"), Some("bytes=0-"));
    assert!(!head.is_persistent() && !head.is_browser());
}

#[test]
fn browsers_are_known_by_what_they_send() {
    for (field, is_browser) in [
        // A request to the page's own site, over plain HTTP.
        ("User-Agent: Mozilla/5.0 (X11; Linux x86_64)", true),
        ("Origin: http://example.com", true),
        ("Sec-Fetch-Mode: cors", true),
        (
            "User-Agent: VLC/3.0.18 LibVLC/3.0.18\r\nAccept-Language: en_US",
            false,
        ),
        ("Referer: http://192.168.1.7/", false),
    ] {
        let head = read(format!("GET / HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n").as_bytes());
        assert_eq!(head.unwrap().is_browser(), is_browser, "{field}");
    }
}

#[test]
fn targets_are_taken_apart() {
    for (target, path, query, host) in [
        ("/", "/", None, "h"),
        ("/?", "/", Some(""), "h"),
        ("/a?b?c", "/a", Some("b?c"), "h"),
        ("/a%20b?c%26", "/a%20b", Some("c%26"), "h"),
        ("http://pi:8080/a?b", "/a", Some("b"), "pi:8080"),
        ("HTTP://pi", "/", None, "pi"),
        ("http://pi?x=/", "/", Some("x=/"), "pi"),
        ("https://[::1]:80/a", "/a", None, "[::1]:80"),
        ("//evil/a", "//evil/a", None, "h"),
    ] {
        let bytes = request(&format!("GET {target} HTTP/1.1"), "Host: h\r\n");
        let head = read(&bytes).unwrap();
        let found = (head.path(), head.query(), head.host());
        assert_eq!(found, (path, query, host), "{target}");
    }
    let star = read(&request("OPTIONS * HTTP/1.1", "Host: h\r\n")).unwrap();
    assert_eq!((star.method(), star.path()), (Method::Options, "*"));
}

#[test]
fn what_is_no_request_is_refused() {
    for (name, bytes, status) in [
        ("nothing between the words", &b"GET\r\n\r\n"[..], 400),
        ("no version", b"GET /\r\n\r\n", 400),
        ("two blanks", b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\n", 505),
        ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        ("HTTP/0.9", b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505),
        (
            "RTSP",
            b"OPTIONS rtsp://camera/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            505,
        ),
        ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
        (
            "two Hosts",
            b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "two Hosts in 1.0",
            b"GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n",
            400,
        ),
        ("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        (
            "a Host with a user",
            b"GET / HTTP/1.1\r\nHost: a@h\r\n\r\n",
            400,
        ),
        (
            "a Host with a path",
            b"GET / HTTP/1.1\r\nHost: h/a\r\n\r\n",
            400,
        ),
        (
            "a Host with a blank",
            b"GET / HTTP/1.1\r\nHost: h i\r\n\r\n",
            400,
        ),
        (
            "half an IPv6 address",
            b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            400,
        ),
        (
            "a port of letters",
            b"GET / HTTP/1.1\r\nHost: h:http\r\n\r\n",
            400,
        ),
        ("two ports", b"GET / HTTP/1.1\r\nHost: h:1:2\r\n\r\n", 400),
        (
            "a long port",
            b"GET / HTTP/1.1\r\nHost: h:808080\r\n\r\n",
            400,
        ),
        (
            "a Host that isn't text",
            b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
            400,
        ),
        ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", 200),
        (
            "an IPv6 address",
            b"GET / HTTP/1.1\r\nHost: [fd00::7]:8080\r\n\r\n",
            200,
        ),
        (
            "an empty line ahead",
            b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            200,
        ),
        (
            "two empty lines ahead",
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        ("no path", b"GET door HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (
            "an authority",
            b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        ("a star", b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (
            "another scheme",
            b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "no host in the target",
            b"GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "a user in the target",
            b"GET http://a:b@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        ("a fragment", b"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (
            "a control character",
            b"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "a path that isn't text",
            b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        (
            "a NUL in a value",
            b"GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
            400,
        ),
        (
            "a header without colon",
            b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n",
            400,
        ),
        (
            "a header without name",
            b"GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n",
            400,
        ),
        ("RTMP", b"\x03\0\0\0\0\0\0\0\0", 400),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03", 400),
        ("zeros", &[0; 16], 400),
        ("another letter", "\u{e9}".as_bytes(), 400),
    ] {
        assert_eq!(status_of(bytes), status, "{name}");
    }
}

#[test]
fn requests_that_others_might_read_differently_are_refused() {
    for (name, headers, status) in [
        ("Content-Length", "Content-Length: 5\r\n", 413),
        ("none", "Content-Length: 0\r\n", 200),
        ("zeros", "Content-Length: 000\r\n", 200),
        ("huge", "Content-Length: 99999999999999999999999\r\n", 413),
        ("a sign", "Content-Length: +0\r\n", 400),
        ("negative", "Content-Length: -1\r\n", 400),
        ("hexadecimal", "Content-Length: 0x0\r\n", 400),
        ("empty", "Content-Length:\r\n", 400),
        ("a list", "Content-Length: 0, 0\r\n", 400),
        ("a list of two", "Content-Length: 5,6\r\n", 400),
        ("a blank inside", "Content-Length: 0 0\r\n", 400),
        ("twice", "Content-Length: 0\r\nContent-Length: 0\r\n", 400),
        (
            "twice and different",
            "Content-Length: 0\r\ncontent-length: 5\r\n",
            400,
        ),
        ("chunked", "Transfer-Encoding: chunked\r\n", 501),
        ("identity", "Transfer-Encoding: identity\r\n", 501),
        ("empty coding", "Transfer-Encoding:\r\n", 501),
        ("unknown coding", "Transfer-Encoding: xchunked\r\n", 501),
        (
            "CL.TE",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        (
            "TE.CL",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            400,
        ),
        (
            "TE.0",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            400,
        ),
        (
            "TE.TE",
            "Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n",
            501,
        ),
        (
            "a blank before the colon",
            "Transfer-Encoding : chunked\r\n",
            400,
        ),
        (
            "a tab before the colon",
            "Transfer-Encoding\t: chunked\r\n",
            400,
        ),
        (
            "a blank before the name",
            " Transfer-Encoding: chunked\r\n",
            400,
        ),
        (
            "a folded line",
            "A: b\r\n Transfer-Encoding: chunked\r\n",
            400,
        ),
        ("a folded tab", "A: b\r\n\tc\r\n", 400),
        ("a folded value", "Transfer-Encoding:\r\n chunked\r\n", 400),
        ("a vertical tab", "Transfer-Encoding:\x0bchunked\r\n", 400),
        ("a bare LF", "A: b\nTransfer-Encoding: chunked\r\n", 400),
        ("a bare CR", "A: b\rTransfer-Encoding: chunked\r\n", 400),
        ("CR CR LF", "A: b\r\r\n", 400),
        (
            "an underscore is another name",
            "Transfer_Encoding: chunked\r\n",
            200,
        ),
        ("a newline in a name", "A\r\nB: c\r\n", 400),
    ] {
        for line in ["GET / HTTP/1.1", "POST / HTTP/1.1", "GET / HTTP/1.0"] {
            let before = request(line, &format!("Host: h\r\n{headers}"));
            assert_eq!(status_of(&before), status, "{name}, {line}");
            // The first header follows the request line, where some parsers behave differently.
            let after = request(line, &format!("{headers}Host: h\r\n"));
            assert_eq!(status_of(&after), status, "{name} first, {line}");
        }
    }
    // A request line that ends in LF alone, and a head whose empty line is LF alone.
    assert_eq!(status_of(b"GET / HTTP/1.1\nHost: h\r\n\r\n"), 400);
    assert_eq!(status_of(b"GET / HTTP/1.1\r\nHost: h\r\n\n"), 400);
}

#[test]
fn heads_have_limits() {
    let with_headers = |count: usize| {
        let headers: String = (1..count).map(|n| format!("A{n}: b\r\n")).collect();
        request("GET / HTTP/1.1", &format!("Host: h\r\n{headers}"))
    };
    assert_eq!(status_of(&with_headers(MAX_HEADERS)), 200);
    assert_eq!(status_of(&with_headers(MAX_HEADERS + 1)), 431);

    let with_len = |len: usize| {
        let missing = len - request("GET / HTTP/1.1", "Host: h\r\n").len();
        let target = format!("/{}", "x".repeat(missing));
        let bytes = request(&format!("GET {target} HTTP/1.1"), "Host: h\r\n");
        assert_eq!(bytes.len(), len);
        bytes
    };
    assert_eq!(status_of(&with_len(MAX_HEAD_LEN)), 200);
    assert_eq!(status_of(&with_len(MAX_HEAD_LEN + 1)), 431);
    // No later input can make the head shorter.
    let mut endless = vec![b'x'; MAX_HEAD_LEN];
    assert!(HeadReader::default().find(&endless[1..]).unwrap().is_none());
    endless.extend(b"\r\n\r\n");
    assert_eq!(
        HeadReader::default()
            .find(&endless)
            .unwrap_err()
            .status
            .code(),
        431
    );
}

#[test]
fn a_connection_lasts_unless_somebody_says_otherwise() {
    for (version, headers, is_persistent) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", false),
    ] {
        let line = format!("GET / HTTP/{version}");
        let head = read(&request(&line, &format!("Host: h\r\n{headers}"))).unwrap();
        assert_eq!(head.is_persistent(), is_persistent, "{version} {headers}");
    }
}

#[test]
fn gzip_is_for_those_who_ask_for_it() {
    for (headers, takes_it) in [
        ("", false),
        ("Accept-Encoding: gzip, deflate, br\r\n", true),
        ("Accept-Encoding: GZIP\r\n", true),
        ("Accept-Encoding: br;q=1.0, gzip;q=0.8, *;q=0.1\r\n", true),
        (
            "Accept-Encoding: deflate\r\nAccept-Encoding: gzip\r\n",
            true,
        ),
        ("Accept-Encoding: *\r\n", true),
        ("Accept-Encoding: gzip ; q=0.001\r\n", true),
        ("Accept-Encoding: gzip;q=1\r\n", true),
        ("Accept-Encoding: identity;q=0, *;q=1\r\n", true),
        ("Accept-Encoding:\r\n", false),
        ("Accept-Encoding: identity\r\n", false),
        ("Accept-Encoding: deflate, br\r\n", false),
        ("Accept-Encoding: gzip;q=0\r\n", false),
        ("Accept-Encoding: gzip; q=0.000, *\r\n", false),
        ("Accept-Encoding: *;q=0\r\n", false),
        ("Accept-Encoding: *;q=0., deflate\r\n", false),
        ("Accept-Encoding: gzipped, x-gzip2\r\n", false),
    ] {
        let head = request("GET / HTTP/1.1", &format!("Host: h\r\n{headers}"));
        let head = read(&head).unwrap();
        assert_eq!(head.takes_gzip(), takes_it, "{headers}");
    }
}

/// Reads bytes in pieces of these lengths, repeated as often as needed.
fn read_in_pieces(bytes: &[u8], lens: &[usize]) -> Result<Option<usize>, Rejected> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    for len in lens.iter().cycle() {
        end = (end + len).min(bytes.len());
        match reader.find(&bytes[..end]) {
            Ok(None) if end < bytes.len() => {}
            result => return result,
        }
    }
    Ok(None)
}

proptest! {
    #[test]
    fn any_split_finds_the_same_end(
        lines in prop::collection::vec("[a-zA-Z: \\r\\n\u{1}\u{e9}]{0,6}(\\r\\n|\\n|\\r\\n\\r\\n)?", 0..6),
        lens in prop::collection::vec(1..9_usize, 1..5),
    ) {
        let bytes = lines.concat().into_bytes();
        let whole = HeadReader::default().find(&bytes);
        prop_assert_eq!(read_in_pieces(&bytes, &lens), whole);
        prop_assert_eq!(read_in_pieces(&bytes, &[1]), whole);
    }

    #[test]
    fn damaged_heads_are_refused_or_understood(
        at in 0..CHROMIUM.len(),
        byte in any::<u8>(),
        cut in 0..CHROMIUM.len(),
    ) {
        let mut bytes = CHROMIUM.to_vec();
        bytes[at] = byte;
        let _ = HeadReader::default().find(&bytes).map(|len| len.map(|len| Head::parse(&bytes[..len])));
        let _ = Head::parse(&bytes);
        let _ = Head::parse(&bytes[..cut]);
    }
}
