//! Recordings as HLS.

use super::*;

#[test]
fn a_playlist_lists_pieces_of_files_that_can_be_fetched_with_its_key() {
    let door = Door::start();
    let target = span(0, 30).replace(".mp4", ".m3u8") + "&key=a%22b";
    let answer = get(door.address, &target, "");
    let mime = "application/vnd.apple.mpegurl";
    assert_eq!(answer.header("content-type"), Some(mime));
    let text = answer.text();
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(text.matches("#EXT-X-MAP:").count(), 1, "{text}");
    let mut client = HttpClient::connect(door.address);
    let mut bytes = 0;
    for line in text.lines() {
        if let Some(uri) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
            let uri = uri.strip_suffix('"').unwrap();
            assert!(uri.ends_with("?init&key=a%22b"), "{uri}");
            let init = client.get(&format!("/recordings/live/{uri}"));
            assert_eq!((init.status, &init.body[40..44]), (200, &b"moov"[..]));
        }
        if line.starts_with('#') {
            continue;
        }
        assert!(line.ends_with("&key=a%22b"), "{line}");
        let segment = client.get(&format!("/recordings/live/{line}"));
        assert_eq!(segment.status, 200, "{line}");
        // A note, and the fragment that it belongs to.
        assert_eq!(segment.body[4..8], *b"uuid");
        assert_eq!(segment.body[100..104], *b"moof");
        bytes += segment.body.len();
    }
    assert!(bytes > 30 * 50_000, "{bytes}");
}

#[test]
fn segments_that_are_not_there_are_refused() {
    let door = Door::start();
    let len = door.bytes(0).len();
    for (segment, status) in [
        (String::new(), 400),
        ("1-2".to_owned(), 400),
        ("1-2-3-4".to_owned(), 400),
        ("1-2-4294967296".to_owned(), 400),
        // Not the beginning of a fragment.
        ("1-2-3".to_owned(), 404),
        (format!("0-{len}-0"), 404),
        (format!("{}-{len}-0", u64::MAX), 404),
        (format!("{len}-0-0"), 404),
    ] {
        let target = format!("{}?segment={segment}", door.url(0));
        let answer = get(door.address, &target, "");
        assert_eq!(answer.status, status, "{target} {}", answer.text());
    }
}
