//! Streams that end, and publishers that disconnect and return.

use super::*;

/// This test takes as long as an ended playlist stays: three target durations of 2 s.
#[test]
fn an_ended_stream_keeps_its_playlist_for_a_moment() {
    let server = server(short_grace());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    media_playlist(&mut client, &mut camera);
    client.request("GET", "/live/door/media.m3u8?_HLS_msn=9", "");
    drop(camera);
    let text = client.answer().text();
    assert!(text.ends_with("\n#EXT-X-ENDLIST\n"), "{text}");
    for uri in uris(&text, "") {
        get_ok(&mut client, &format!("/live/door/{uri}"));
    }
    crate::client::wait_until("it is gone", || {
        client.get("/live/door/media.m3u8").status == 404
    });
    let (free, total) = server.blocks();
    assert_eq!(free, total);
}

/// The state of a stream's playlist, as seen by a client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    GoesOn,
    Ended,
    NotFound,
}

fn stage(client: &mut HttpClient, name: &str) -> Stage {
    let answer = client.get(&format!("/live/{name}/media.m3u8"));
    match answer.status {
        200 if answer.text().ends_with("\n#EXT-X-ENDLIST\n") => Stage::Ended,
        200 => Stage::GoesOn,
        404 => Stage::NotFound,
        _ => panic!("{}: {}", answer.status, answer.text()),
    }
}

/// This test takes twice the grace time, which must be longer than the requests, and the ended
/// playlist's 6 s.
#[test]
fn the_playlist_of_a_publisher_that_vanished_goes_on_for_twice_the_grace_time() {
    let server = server(Config::default().grace(Duration::from_secs(2)));
    let mut client = http(&server);
    let mut cameras = ["lost", "done"].map(|name| Camera::start(&server, name));
    for name in ["lost", "done"] {
        assert_eq!(stage(&mut client, name), Stage::GoesOn);
    }
    // One publisher is cut off, the other announces that it has finished.
    let stream = vec![Value::Number(1.0)];
    let [lost, done] = &mut cameras;
    let socket = lost.client.socket();
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    let (client_of_done, null) = (&mut done.client, Value::Null);
    client_of_done.send_command(0, "deleteStream", 0.0, null, stream);
    let mut seen = vec![[Stage::GoesOn; 2]];
    crate::client::wait_until("both are gone", || {
        let now = ["lost", "done"].map(|name| stage(&mut client, name));
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        now == [Stage::NotFound; 2]
    });
    use Stage::{Ended, GoesOn, NotFound};
    for index in [0, 1] {
        let mut stages: Vec<_> = seen.iter().map(|stages| stages[index]).collect();
        stages.dedup();
        assert_eq!(stages, [GoesOn, Ended, NotFound]);
    }
    assert!(seen.contains(&[GoesOn, Ended]), "{seen:?}");
    assert!(!seen.contains(&[Ended, GoesOn]), "{seen:?}");
    drop(cameras);
    crate::client::wait_until("no place is held", || server.connection_count() == 1);
    let (free, total) = server.blocks();
    assert_eq!(free, total);
}

#[test]
fn a_camera_that_was_cut_off_goes_on_in_the_same_playlist() {
    let server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let before = media_playlist(&mut client, &mut camera);
    drop(camera);
    let mut away = before.clone();
    crate::client::wait_until("it is cut off", || {
        away = get_ok(&mut client, "/live/door/media.m3u8").text();
        uris(&away, "").last() != uris(&before, "").last()
    });
    assert!(
        !away.contains("DISCONTINUITY") && !away.contains("ENDLIST"),
        "{away}"
    );
    // The answer stays the same as long as no media arrives.
    let again = get_ok(&mut client, "/live/door/media.m3u8").text();
    assert!(again == away, "{away}{again}");
    let waiting = uris(&away, "").last().unwrap().split(['-', '.']).nth(1);
    let next = waiting.unwrap().parse::<u64>().unwrap() + 1;
    let mut waiting = http(&server);
    waiting.request("GET", &format!("/live/door/media.m3u8?_HLS_msn={next}"), "");
    let _camera = Camera::start(&server, "door");
    let after = waiting.answer().text();
    let segments = uris(&after, "");
    // Numbers and names continue.
    let first = after.split("#EXT-X-MEDIA-SEQUENCE:").nth(1).unwrap();
    let first: u64 = first.lines().next().unwrap().parse().unwrap();
    let life = uris(&away, "")[0].split('-').next().unwrap();
    for (number, uri) in (first..).zip(&segments) {
        assert_eq!(*uri, format!("{life}-{number}.m4s"));
        get_ok(&mut client, &format!("/live/door/{uri}"));
    }
    assert!(
        (first..first + segments.len() as u64).contains(&next),
        "{after}"
    );
    assert_eq!(
        after.matches("#EXT-X-DISCONTINUITY\n").count(),
        1,
        "{after}"
    );
}

#[test]
fn publishers_that_are_gone_make_room_for_new_ones() {
    let server = server(Config::default().max_connections(6));
    for name in ["a", "b", "c", "d", "e", "f"] {
        let camera = Camera::start(&server, name);
        let mut client = http(&server);
        assert_eq!(stage(&mut client, name), Stage::GoesOn);
        drop((camera, client));
    }
    crate::client::wait_until("places are taken", || server.connection_count() >= 6);
    let camera = Camera::start(&server, "g");
    let mut client = http(&server);
    assert_eq!(stage(&mut client, "g"), Stage::GoesOn);
    // The first publishers had to give up their places, and are gone.
    crate::client::wait_until("it is gone", || stage(&mut client, "a") == Stage::NotFound);
    assert_eq!(stage(&mut client, "f"), Stage::GoesOn);
    crate::client::wait_until("there are no more", || server.connection_count() <= 6);
    drop(camera);
}
