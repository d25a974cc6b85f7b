use super::*;
use proptest::prelude::*;

fn door() -> StreamKey {
    StreamKey::new("live", "door").unwrap()
}

fn file(name: &str) -> Route {
    Route::HlsFile(door(), name.to_owned())
}

#[test]
fn every_path_has_one_route() {
    let named = |name: &str| StreamKey::new("", name).unwrap();
    for (path, route) in [
        ("/", Route::Home),
        ("/live/door", Route::Player(door())),
        ("/live/door/", Route::Player(door())),
        ("/live//door", Route::Player(door())),
        ("/door", Route::Player(named("door"))),
        ("/live/door.flv", Route::Media(door(), Container::Flv)),
        ("/live/door.mp4", Route::Media(door(), Container::Mp4)),
        ("/live/d%6For%2Eflv", Route::Media(door(), Container::Flv)),
        (
            "/live/door.mp4.mp4",
            Route::Media(named("live/door.mp4"), Container::Mp4),
        ),
        ("/a/b/c.flv", Route::Media(named("a/b/c"), Container::Flv)),
        (
            "/live/d%C3%B6rr.flv",
            Route::Media(named("live/d\u{f6}rr"), Container::Flv),
        ),
        ("/live/door/frame.mp4", Route::Frame(door())),
        ("/live/door.m3u8", Route::Playlist(door())),
        ("/live/door/index.m3u8", Route::Playlist(door())),
        ("/live/door/media.m3u8", Route::MediaPlaylist(door())),
        ("/live/door/1a2b3c4d-0.mp4", file("1a2b3c4d-0.mp4")),
        ("/live/door/1a2b3c4d-12.m4s", file("1a2b3c4d-12.m4s")),
        ("/live/door/1a2b3c4d-12.3.m4s", file("1a2b3c4d-12.3.m4s")),
        // Stream names that don't have the form of HLS file names.
        (
            "/live/door-1.mp4",
            Route::Media(named("live/door-1"), Container::Mp4),
        ),
        (
            "/live/1A2B3C4D-1.mp4",
            Route::Media(named("live/1A2B3C4D-1"), Container::Mp4),
        ),
        ("/api/v1/streams", Route::Streams),
        ("/api/v1/connections", Route::Connections),
        ("/api/v1/connections/17", Route::Connection(17)),
        (
            "/api/v1/streams/live/door/recording",
            Route::Recording(door()),
        ),
        (
            "/api/v1/streams/a/recording/recording",
            Route::Recording(named("a/recording")),
        ),
        ("/api/door", Route::Player(named("api/door"))),
        ("/metrics", Route::Metrics),
        ("/stat", Route::Stat),
        ("/healthz", Route::Health),
        ("/page/app.js", Route::Asset("app.js".into())),
        ("/favicon.ico", Route::Asset("favicon.ico".into())),
        // The paths at which the page of a stream requests these files.
        ("/live/page/app.js", Route::Asset("app.js".into())),
        ("/a/b/c/page/style.css", Route::Asset("style.css".into())),
        ("/live/page/1", Route::Player(named("live/page/1"))),
        // A dot in the name of a stream doesn't make it a file.
        (
            "/live/192.168.1.5",
            Route::Player(named("live/192.168.1.5")),
        ),
        ("/live/cam.front", Route::Player(named("live/cam.front"))),
        ("/live/cam.v2", Route::Player(named("live/cam.v2"))),
        (
            "/live/20261128-cam.1",
            Route::Player(named("live/20261128-cam.1")),
        ),
        ("/live/ts", Route::Player(named("live/ts"))),
        // A name is decoded once.
        ("/live/%2564oor", Route::Player(named("live/%64oor"))),
    ] {
        assert_eq!(Route::of(path), Ok(route), "{path}");
    }
}

#[test]
fn recordings_have_routes_of_their_own() {
    let named = |name: &str| StreamKey::new("", name).unwrap();
    let recorded = |name: &str| Route::RecordedFile(door(), name.to_owned());
    for (path, has_from, route) in [
        ("/api/v1/recordings", false, Route::Recordings),
        (
            "/recordings/live/door/2026-11-28T11-30-00Z.mp4",
            false,
            recorded("2026-11-28T11-30-00Z.mp4"),
        ),
        (
            "/recordings/live/door/2026-11-28T11-30-00Z_12.flv",
            true,
            recorded("2026-11-28T11-30-00Z_12.flv"),
        ),
        (
            "/recordings/live/door/0000-boot0003-000765s.mp4",
            false,
            recorded("0000-boot0003-000765s.mp4"),
        ),
        (
            "/recordings/live/door.mp4",
            true,
            Route::RecordedSpan(door()),
        ),
        (
            "/recordings/live/door.m3u8",
            true,
            Route::RecordedPlaylist(door()),
        ),
        (
            "/recordings/door.mp4",
            true,
            Route::RecordedSpan(named("door")),
        ),
        (
            "/recordings/api/v1.mp4",
            true,
            Route::RecordedSpan(named("api/v1")),
        ),
        // Streams with such names can be watched, and recordings of them, too.
        (
            "/recordings/live/door.mp4",
            false,
            Route::Media(named("recordings/live/door"), Container::Mp4),
        ),
        (
            "/recordings/door.flv",
            true,
            Route::Media(named("recordings/door"), Container::Flv),
        ),
        (
            "/recordings/door.m3u8",
            false,
            Route::Playlist(named("recordings/door")),
        ),
        (
            "/recordings/door/media.m3u8",
            true,
            Route::MediaPlaylist(named("recordings/door")),
        ),
        (
            "/recordings/door",
            true,
            Route::Player(named("recordings/door")),
        ),
        (
            "/recordings/2026-11-28T11-30-00Z.mp4",
            false,
            Route::Media(named("recordings/2026-11-28T11-30-00Z"), Container::Mp4),
        ),
        (
            "/recordings/recordings/door.mp4",
            true,
            Route::RecordedSpan(named("recordings/door")),
        ),
        ("/live/door.mp4", true, Route::Media(door(), Container::Mp4)),
        (
            "/live/door/2026-11-28T11-30-00Z.mp4",
            false,
            Route::Media(named("live/door/2026-11-28T11-30-00Z"), Container::Mp4),
        ),
    ] {
        assert_eq!(Route::of_request(path, has_from), Ok(route), "{path}");
    }
    for path in [
        "/recordings/live/door/../2026-11-28T11-30-00Z.mp4",
        "/recordings/live/door/2026-11-28T11-30-00Z%2F..mp4.mp4/..",
        "/recordings/live/door/2026-11-28T11-30-00Z.mp4.part",
        "/recordings/.mp4",
        "/api/v1/recordings/x",
    ] {
        let route = Route::of_request(path, true);
        let is_recorded = matches!(
            route,
            Ok(Route::RecordedFile(..) | Route::RecordedSpan(_) | Route::Recordings)
        );
        assert!(!is_recorded, "{path}");
    }
}

#[test]
fn paths_that_name_nothing_are_not_found() {
    for path in [
        "/..",
        "/../etc/passwd",
        "/live/../../etc/passwd",
        "/live/%2e%2e/door",
        "/live/.%2E/door.flv",
        "/live/.hidden",
        "/page/../Cargo.toml",
        "/page/%2e%2e%2fCargo.toml",
        "/live%2Fdoor",
        "/live%2fdoor.flv",
        "/live/a%5Cb",
        "/live/a\\b",
        "/live/a%00b",
        "/live/a%0d%0ab",
        "/live/a%7Fb",
        "/live/a%C2%85b",
        "/live/door%3Fkey=1",
        "/live/.flv",
        "/.mp4",
        "/live/x.m4s",
        "/live/door/xyz.ts",
        "/live/door.ts",
        "/live/door.m3u",
        "/live/door.M3U8",
        "/live/door.MP4",
        "/live/door.mpd",
        "/live/door/media.ts",
        "/live/door/index.html",
        "/live/page/player.js",
        "/page.js",
        "/live/door/1a2b3c4d-12.ts",
        "/live/door/1a2b3c4d-12.3.ts",
        "/live/door/1a2b3c4d-12.3.aac",
        "/live/door/1a2b3c4d-12.xyz",
        "/live/door/1a2b3c4d-12.3.xyz",
        "/live/door/1a2b3c4d-12.M4S",
        "/live/door/1a2b3c4d-.m4s",
        "/api/v1",
        "/api/v1/",
        "/live/door/frame.jpg",
        "/live/door/frame.webp",
        "/api/v1/streams/x",
        "/api/v1/connections/x",
        "/api/v1/connections/-1",
        "/api/v1/connections/017",
    ] {
        assert_eq!(Route::of(path), Err(NOT_FOUND), "{path}");
    }
    let long = format!("/live/{}.flv", "x".repeat(256));
    assert_eq!(Route::of(&long), Err(NOT_FOUND));
    for path in ["/live/%", "/%zz", "/live/%ff.flv", "/live/%c3"] {
        let rejected = Route::of(path).unwrap_err();
        assert_eq!(rejected.status, Status::BadRequest, "{path}");
    }
}

proptest! {
    /// No route contains a part that begins with a dot, or a character that isn't allowed in names.
    #[test]
    fn no_route_leads_outside_of_the_names(path in "(/(\\.|%2e|%2F|%5c|a|%00|\\\\|%3f|page|%25)*){0,5}") {
        let text = match Route::of(&path) {
            Ok(Route::Player(key) | Route::Media(key, _) | Route::Playlist(key)) => {
                key.as_str().to_owned()
            }
            Ok(Route::Asset(name)) => name,
            _ => return Ok(()),
        };
        let is_wrong = |part: &str| {
            part.starts_with('.') || part.is_empty() || part.contains(['\\', '\0', '?'])
        };
        prop_assert!(!text.split('/').any(is_wrong), "{path} {text}");
    }
}
