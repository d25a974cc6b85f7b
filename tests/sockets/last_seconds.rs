//! The last seconds of a stream, as a closed file.

use brooklet::Config;
use brooklet::config::{Access, Key};

use crate::scene::Scene;

const LAST: &str = "/live/door.mp4?last=30s";

/// GOPs of a second.
fn start(config: Config) -> Scene {
    Scene::start(config, 25)
}

#[test]
fn the_last_seconds_are_a_file_of_known_length() {
    let mut scene = start(Config::default());
    scene.frames(110);
    let whole = scene.get(LAST, "");
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("content-type"), Some("video/mp4"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("content-disposition"), None);
    let len = whole.header("content-length").unwrap().parse::<usize>();
    assert_eq!(len, Ok(whole.body.len()));
    assert_eq!(&whole.body[4..8], b"ftyp");
    assert_eq!(&whole.body[40..44], b"moov");
    // 110 frames and their audio, less the tag headers.
    let media = 110 * (3_000 - 5 + 3);
    assert!(whole.body.len() > media && whole.body.len() < media + 8_000);
    let head = scene.head(LAST, "");
    assert_eq!(
        head.header("content-length"),
        whole.header("content-length")
    );
    let saved = scene.get(&format!("{LAST}&download"), "");
    let name = saved.header("content-disposition").unwrap();
    assert!(name.starts_with("attachment; filename=\"door_20"), "{name}");
    // Only the newest GOP.
    let short = scene.get("/live/door.mp4?last=0", "");
    assert!(short.body.len() < whole.body.len() / 5);
}

#[test]
fn a_range_is_of_the_file_that_the_client_knows() {
    let mut scene = start(Config::default());
    scene.frames(60);
    let whole = scene.get(LAST, "");
    let tag = whole.header("etag").unwrap().to_owned();
    scene.frames(10);
    let of = |scene: &mut Scene, range: &str, tag: &str| {
        let headers = format!("Range: bytes={range}\r\nIf-Range: {tag}\r\n");
        scene.get(LAST, &headers)
    };
    let len = whole.body.len();
    for (from, to) in [
        (0, 99),
        (1_000, 1_999),
        (5_000, 80_000),
        (len - 10, len - 1),
    ] {
        let part = of(&mut scene, &format!("{from}-{to}"), &tag);
        assert_eq!(part.status, 206);
        assert_eq!(part.header("etag"), Some(&*tag));
        assert!(part.body == whole.body[from..=to], "{from}-{to}");
        let expected = format!("bytes {from}-{to}/{len}");
        assert_eq!(part.header("content-range"), Some(&*expected));
    }
    assert_eq!(of(&mut scene, &format!("{len}-"), &tag).status, 416);
    // Of a file that isn't there, the newest one as a whole.
    let other = of(&mut scene, "0-99", "\"00c0ffee-0-5\"");
    assert_eq!(other.status, 200);
    assert!(other.body.len() > len);
}

#[test]
fn a_range_without_a_condition_is_redirected_to_a_file_that_stays_the_same() {
    let mut scene = start(Config::default());
    scene.frames(60);
    let target = "/live/door.mp4?last=30s&x=%41";
    let first = scene.get(target, "Range: bytes=0-\r\n");
    assert_eq!(first.status, 307, "{}", first.text());
    // ffmpeg sees an age only at the beginning.
    let cache = first.header("cache-control").unwrap();
    assert!(cache.starts_with("s-maxage="), "{cache}");
    let location = first.header("location").unwrap();
    assert!(
        location.starts_with("door.mp4?last=30s&x=%41&of="),
        "{location}"
    );
    let fixed = format!("/live/{location}");
    let whole = scene.get(&fixed, "Range: bytes=0-\r\n");
    assert_eq!(whole.status, 206, "{}", whole.text());
    scene.frames(30);
    let part = scene.get(&fixed, "Range: bytes=5000-79999\r\n");
    assert_eq!(part.status, 206);
    assert!(part.body == whole.body[5_000..80_000]);
    // Nor is another one given for a file that isn't there.
    let (fixed, _) = fixed.rsplit_once('-').unwrap();
    for other in [format!("{fixed}-ffffff"), fixed.to_owned()] {
        let gone = scene.get(&other, "Range: bytes=0-\r\n");
        assert_eq!(gone.status, 404, "{}", gone.text());
    }
}

#[test]
fn what_cannot_be_had_says_why() {
    let mut scene = start(Config::default());
    let status = |scene: &mut Scene, target: &str| scene.get(target, "").status;
    assert_eq!(status(&mut scene, LAST), 404);
    scene.frames(30);
    assert_eq!(status(&mut scene, LAST), 200);
    for last in ["", "x", "-1", "3d"] {
        let target = format!("/live/door.mp4?last={last}");
        assert_eq!(status(&mut scene, &target), 400, "{last}");
    }
    assert_eq!(status(&mut scene, "/live/other.mp4?last=30s"), 404);
}

#[test]
fn the_last_seconds_need_the_key_of_the_stream() {
    let config = Config::default().play(Access::default().keys(vec![Key::parse("watch").unwrap()]));
    let mut scene = start(config);
    scene.frames(30);
    assert_eq!(scene.get(LAST, "").status, 401);
    assert_eq!(scene.get(&format!("{LAST}&key=watch"), "").status, 200);
}
