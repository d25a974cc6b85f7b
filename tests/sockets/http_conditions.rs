//! Conditional requests, for content that has changed, and for a range of content that hasn't.

use brooklet::Config;

use crate::scene::Scene;

const MASTER: &str = "/live/door.m3u8";
const MEDIA: &str = "/live/door/media.m3u8";

/// GOPs of two seconds, some of which are in the playlist.
fn start() -> Scene {
    let mut scene = Scene::start(Config::default(), 50);
    scene.frames(240);
    scene.get(MASTER, "");
    scene.frames(140);
    scene
}

/// Returns the paths of an init segment, a segment and a part, all of them complete.
fn names(scene: &mut Scene) -> [String; 3] {
    let text = scene.get(&format!("{MEDIA}?_HLS_msn=4"), "").text();
    let uri = |begins: &str| {
        let line = text.lines().find(|line| line.starts_with(begins)).unwrap();
        line.split("URI=\"").nth(1).unwrap().split('"').next()
    };
    let segment = text.lines().find(|line| !line.starts_with('#'));
    [uri("#EXT-X-MAP"), segment, uri("#EXT-X-PART:")]
        .map(|name| format!("/live/door/{}", name.unwrap()))
}

#[test]
fn a_representation_that_the_client_has_is_not_sent_again() {
    let mut scene = start();
    let mut targets = names(&mut scene).to_vec();
    targets.extend([MASTER.to_owned(), MEDIA.to_owned(), format!("{MEDIA}?a=b")]);
    for target in targets {
        let whole = scene.get(&target, "");
        assert_eq!(whole.status, 200, "{target}");
        let tag = whole.header("etag").unwrap_or_default().to_owned();
        assert!(tag.len() > 2 && tag.starts_with('"'), "{target}: {tag:?}");
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"other\", {tag}"),
            format!("\"other\"\r\nIf-None-Match: W/{tag}"),
            "*".to_owned(),
        ] {
            for method in ["GET", "HEAD"] {
                let headers = format!("If-None-Match: {known}\r\nRange: bytes=0-9\r\n");
                scene.client.request(method, &target, &headers);
                let answer = scene.client.answer();
                assert_eq!(answer.status, 304, "{method} {target} {known}");
                assert_eq!(answer.header("etag"), Some(&*tag), "{target}");
                for name in ["cache-control", "vary"] {
                    assert_eq!(answer.header(name), whole.header(name), "{target} {name}");
                }
                assert!(!answer.date.is_empty(), "{target}");
                assert_eq!(answer.header("content-length"), None, "{target}");
            }
        }
        for other in ["\"other\"", "", &tag[1..]] {
            let answer = scene.get(&target, &format!("If-None-Match: {other}\r\n"));
            assert_eq!(
                (answer.status, answer.body),
                (200, whole.body.clone()),
                "{target} {other}"
            );
        }
        assert_eq!(scene.head(&target, "").head, whole.head, "{target}");
    }
    // A conditional request for something that doesn't exist is answered with 404, too.
    for target in ["/live/door/00000000-1.m4s", "/live/nobody.m3u8"] {
        assert_eq!(
            scene.get(target, "If-None-Match: *\r\n").status,
            404,
            "{target}"
        );
    }
}

#[test]
fn the_tag_of_a_playlist_changes_with_it() {
    let mut scene = start();
    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    let mut look = |scene: &mut Scene, target: &str| {
        for _ in 0..2 {
            let answer = scene.get(target, "");
            assert_eq!(answer.status, 200, "{target}");
            let tag = answer.header("etag").unwrap().to_owned();
            for (other, body) in &seen {
                assert_eq!(*other == tag, *body == answer.body, "{target}");
            }
            seen.push((tag, answer.body));
        }
    };
    for round in 0..3 {
        for query in ["", "?a=b", "?a=c"] {
            look(&mut scene, &format!("{MEDIA}{query}"));
            look(&mut scene, &format!("{MASTER}{query}"));
        }
        // Another part, then other segments.
        scene.frames(15 + 35 * round);
    }
    // Other clients get a playlist with gaps, like Apple's player.
    let tag = scene.get(MEDIA, "").header("etag").unwrap().to_owned();
    let apple = scene.get(MEDIA, "User-Agent: AppleCoreMedia/1.0\r\n");
    let is_same = apple.body == scene.get(MEDIA, "").body;
    assert_eq!(apple.header("etag") == Some(&*tag), is_same);
}

#[test]
fn playlists_are_never_compressed() {
    let mut scene = start();
    for target in [MASTER, MEDIA] {
        for takes in ["gzip", "gzip, deflate, br, zstd", "*"] {
            let answer = scene.get(target, &format!("Accept-Encoding: {takes}\r\n"));
            assert_eq!(answer.header("content-encoding"), None, "{target} {takes}");
            assert!(answer.body.starts_with(b"#EXTM3U\n"), "{target} {takes}");
        }
    }
}

#[test]
fn a_range_is_sent_only_of_an_unchanged_representation() {
    let mut scene = start();
    for target in names(&mut scene) {
        let whole = scene.get(&target, "");
        let (tag, len) = (whole.header("etag").unwrap(), whole.body.len());
        assert_eq!(whole.header("accept-ranges"), Some("bytes"), "{target}");
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=100-299", 100, 300),
            ("bytes=300-", 300, len),
            ("bytes=-5", len - 5, len),
            ("bytes=5-99999999", 5, len),
        ] {
            for same in ["", &format!("If-Range: {tag}\r\n")] {
                let answer = scene.get(&target, &format!("{same}Range: {range}\r\n"));
                assert_eq!(answer.status, 206, "{target} {range} {same}");
                assert!(answer.body == whole.body[from..to], "{target} {range}");
                let expected = format!("bytes {from}-{}/{len}", to - 1);
                assert_eq!(answer.header("content-range"), Some(&*expected), "{target}");
                assert_eq!(answer.header("etag"), Some(tag), "{target}");
            }
            for other in [
                "\"other\"".to_owned(),
                format!("W/{tag}"),
                "Sat, 21 Nov 2026 08:00:00 GMT".to_owned(),
                format!("{tag}\r\nIf-Range: {tag}"),
            ] {
                let headers = format!("If-Range: {other}\r\nRange: {range}\r\n");
                let answer = scene.get(&target, &headers);
                assert_eq!(answer.status, 200, "{target} {headers}");
                assert!(answer.body == whole.body, "{target} {headers}");
                assert_eq!(answer.header("content-range"), None, "{target}");
            }
            // Only GET has ranges (RFC 9110, 14.2).
            let head = scene.head(&target, &format!("Range: {range}\r\n"));
            assert_eq!(head.status, 200, "{target} {range}");
            assert_eq!(head.header("content-length"), Some(&*len.to_string()));
        }
        let answer = scene.get(&target, "Range: bytes=99999999-\r\n");
        assert_eq!(answer.status, 416, "{target}");
        let expected = format!("bytes */{len}");
        assert_eq!(answer.header("content-range"), Some(&*expected));
    }
}
