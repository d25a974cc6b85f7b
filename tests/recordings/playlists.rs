//! Recordings as HLS.

use super::*;

#[test]
fn a_playlist_lists_ranges_of_files_that_can_be_fetched_with_its_key() {
    let door = Door::start();
    let target = span(0, 30).replace(".mp4", ".m3u8") + "&key=a%22b";
    let answer = get(door.address, &target, "");
    let mime = "application/vnd.apple.mpegurl";
    assert_eq!(answer.header("content-type"), Some(mime));
    let text = answer.text();
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    let mut client = HttpClient::connect(door.address);
    let mut lines = text.lines();
    let mut bytes = 0;
    while let Some(line) = lines.next() {
        if let Some(uri) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
            let uri = uri.strip_suffix('"').unwrap();
            assert!(uri.ends_with("?init&key=a%22b"), "{uri}");
            let init = client.get(&format!("/recordings/live/{uri}"));
            assert_eq!((init.status, &init.body[40..44]), (200, &b"moov"[..]));
        }
        let Some(range) = line.strip_prefix("#EXT-X-BYTERANGE:") else {
            continue;
        };
        let (len, offset) = range.split_once('@').unwrap();
        let [len, offset]: [usize; 2] = [len, offset].map(|number| number.parse().unwrap());
        let uri = lines.next().unwrap();
        assert!(uri.ends_with("Z.mp4?key=a%22b"), "{uri}");
        let range = format!("Range: bytes={offset}-{}\r\n", offset + len - 1);
        client.request("GET", &format!("/recordings/live/{uri}"), &range);
        let segment = client.answer();
        assert_eq!((segment.status, segment.body.len()), (206, len));
        // A note, and the fragment that it belongs to.
        assert_eq!(segment.body[4..8], *b"uuid");
        assert_eq!(segment.body[100..104], *b"moof");
        bytes += len;
    }
    assert!(bytes > 30 * 50_000, "{bytes}");
}
