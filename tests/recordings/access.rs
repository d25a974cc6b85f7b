//! Recordings are for those who may play their streams.

use brooklet::config::{Access, Key, Secret};

use super::*;

#[test]
fn recordings_need_the_key_of_their_stream() {
    let dir = TempDir::new();
    let names = files::write(dir.path(), "live/door", &[3]);
    let server = start(dir.path(), 1, |config| {
        config.play = Access::default().keys(vec![Key::parse("play-key").unwrap()]);
        config.api_key = Some(Secret::new("api-key"));
    });
    let address = server.http_addresses()[0];
    let file = format!("/recordings/live/door/{}", names[0]);
    let playlist = span(0, 3).replace(".mp4", ".m3u8");
    for target in [&*file, &*span(0, 3), &*playlist] {
        let refused = get(address, target, "");
        assert_eq!(refused.status, 401, "{target}");
        let mark = if target.contains('?') { '&' } else { '?' };
        let allowed = get(address, &format!("{target}{mark}key=play-key"), "");
        assert_eq!(allowed.status, 200, "{target}");
    }
    let without = list(address, "");
    assert_eq!(without["recordings"], serde_json::json!([]));
    assert_eq!(without["locked"], true);
    let with = list(address, "?key=play-key");
    assert_eq!(with["recordings"][0]["stream"], "live/door");
    assert_eq!(with["locked"], false);
}
