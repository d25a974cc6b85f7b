//! Requests that wait for media that doesn't exist yet.

use super::*;

#[test]
fn a_blocking_reload_waits_for_the_next_part() {
    let server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    let hint = uris(&text, "#EXT-X-PRELOAD-HINT")[0];
    let (segment, part) = hint.split('-').nth(1).unwrap().split_once('.').unwrap();
    let part = part.strip_suffix(".m4s").unwrap();
    let mut waiting = http(&server);
    client.request("GET", &format!("/live/door/{hint}"), "");
    let target = format!("/live/door/media.m3u8?_HLS_msn={segment}&_HLS_part={part}");
    waiting.request("GET", &target, "");
    let patience = Some(Duration::from_millis(200));
    for client in [&client, &waiting] {
        client.socket().set_read_timeout(patience).unwrap();
        assert!(
            client.socket().peek(&mut [0]).is_err(),
            "it is answered already"
        );
        client.socket().set_read_timeout(Some(DEADLINE)).unwrap();
    }
    camera.frames(14);
    let hinted = client.answer();
    assert_eq!((hinted.status, &hinted.body[4..8]), (200, &b"moof"[..]));
    let text = waiting.answer().text();
    assert!(uris(&text, "#EXT-X-PART:").contains(&hint), "{text}");
}

/// Publishes a stream of three GOPs of 10 s, two of which are listed: a request for the fourth waits for
/// half a minute.
fn slow_camera(server: &Server) -> Client {
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    slow_frames(&mut camera, 0..751);
    camera
}

fn slow_frames(camera: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        camera.send_frame(number, number * 40, number % 250 == 0, 500);
        camera.send_message(8, 1, number * 40, b"\xAF\x01\x21\x10\x05");
    }
}

#[test]
fn a_waiting_client_that_hangs_up_frees_its_place() {
    // One client may have eight waiting requests.
    let config = Config::default().max_connections(32);
    let server = server(config);
    let mut camera = slow_camera(&server);
    let playlist = get_ok(&mut http(&server), "/live/door/media.m3u8").text();
    assert!(
        playlist.contains("#EXT-X-TARGETDURATION:10\n"),
        "{playlist}"
    );
    let wanted = "/live/door/media.m3u8?_HLS_msn=4";
    let waits = || {
        let mut client = http(&server);
        client.request("GET", wanted, "");
        let patience = Some(Duration::from_millis(200));
        client.socket().set_read_timeout(patience).unwrap();
        let peeked = client.socket().peek(&mut [0]);
        let waits = peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        waits.then_some(client)
    };
    let waiting: Vec<_> = std::iter::from_fn(waits).collect();
    assert_eq!(waiting.len(), 8);
    drop(waiting);
    crate::client::wait_until("there is a place", || {
        // Otherwise the stream would end eventually, and the waiting requests with it.
        camera.send_message(18, 1, 30_040, &metadata(0));
        // No more than may connect.
        std::thread::sleep(Duration::from_millis(200));
        waits().is_some()
    });
}

#[test]
fn a_long_wait_does_not_count_against_the_time_to_read_the_response() {
    let server = server(Config::default());
    let mut camera = slow_camera(&server);
    let mut client = http(&server);
    get_ok(&mut client, "/live/door/media.m3u8");
    client.request("GET", "/live/door/media.m3u8?_HLS_msn=4", "");
    // Longer than the 15 s that a client has to read a response, which no option shortens.
    for _ in 0..16 {
        std::thread::sleep(Duration::from_secs(1));
        camera.send_message(18, 1, 30_040, &metadata(0));
    }
    slow_frames(&mut camera, 751..1_001);
    let answer = client.answer();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("connection"), None);
    get_ok(&mut client, "/live/door/media.m3u8");
}

/// This test takes 5 s, the time for which such a request waits.
#[test]
fn requests_for_an_awaited_stream_are_told_to_retry() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut camera = Client::publishing(address, "live", "door");
    let _player = Client::playing(address, "live", "door");
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    drop(camera);
    let _never = Client::playing(address, "live", "never");
    let mut client = http(&server);
    let answer = client.get("/live/door.m3u8");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("1"));
    // This stream was never published.
    assert_eq!(client.get("/live/never.m3u8").status, 404);
}

#[test]
fn a_server_that_stops_ends_waiting_requests() {
    let mut server = server(Config::default());
    let mut camera = Camera::start(&server, "door");
    let mut client = http(&server);
    let text = media_playlist(&mut client, &mut camera);
    let hint = uris(&text, "#EXT-X-PRELOAD-HINT")[0];
    client.request("GET", &format!("/live/door/{hint}"), "");
    let mut other = http(&server);
    other.request("GET", "/live/door/media.m3u8?_HLS_msn=9", "");
    crate::client::wait_until("they are there", || server.connection_count() == 3);
    server.stop();
    assert_eq!(server.connection_count(), 0);
}
