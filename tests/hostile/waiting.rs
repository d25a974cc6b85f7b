//! Blocking playlist requests, and connections that an operator closes while they wait or write.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use brooklet::rtmp::message::type_id;
use serde_json::Value;

use crate::case::Case;
use crate::common::client::{Client, wait_until};
use crate::common::http::HttpClient;
use crate::wire;

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const NEIGHBOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// As many requests as allowed connections may wait, a quarter of them from one address.
const LIMITS: [&str; 3] = [
    "--max-connections=256",
    "--max-per-address=256",
    "--grace=1s",
];
const PLACES: usize = 64;

/// A publisher of `live/door` that pauses for a while, and the part for which requests then wait.
struct Camera {
    client: Client,
    frames: u32,
    next: String,
}

impl Camera {
    fn start(case: &Case) -> Camera {
        let mut client = Client::publishing(case.address(), "live", "door");
        client.send_message(type_id::VIDEO, 1, 0, &wire::video_header(0, 50));
        client.send_message(type_id::AUDIO, 1, 0, b"\xAF\0\x12\x10");
        let (frames, next) = (0, String::new());
        let mut camera = Camera {
            client,
            frames,
            next,
        };
        camera.frames(250);
        let mut reader = HttpClient::connect(case.http_address());
        let playlist = reader.get("/live/door/media.m3u8");
        assert_eq!(playlist.status, 200, "{}", playlist.head);
        let playlist = playlist.text();
        let first = playlist
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))
            .map_or(0, |number| number.parse().unwrap());
        let is_segment = |line: &&str| line.starts_with("#EXTINF");
        let segments = playlist.lines().filter(is_segment).count();
        let next = first + segments;
        camera.next = format!("/live/door/media.m3u8?_HLS_msn={next}");
        camera
    }

    /// Sends frames 40 ms apart, in GOPs of two seconds.
    fn frames(&mut self, count: u32) {
        for _ in 0..count {
            let number = self.frames;
            self.client
                .send_frame(number, number * 40, number % 50 == 0, 300);
            let audio = b"\xAF\x01\x21\x10\x05";
            self.client
                .send_message(type_id::AUDIO, 1, number * 40, audio);
            self.frames += 1;
        }
        assert!(wire::is_served(&mut self.client));
    }
}

fn ask(case: &Case, local: Ipv4Addr, target: &str) -> HttpClient {
    let mut client = HttpClient::connect_from(local, case.http_address());
    client.request("GET", target, "");
    client
}

/// Whether an answer can be read.
fn is_answered(client: &HttpClient) -> bool {
    let socket = client.socket();
    socket.set_nonblocking(true).unwrap();
    let is_there = socket.peek(&mut [0]).is_ok();
    socket.set_nonblocking(false).unwrap();
    is_there
}

#[test]
fn waiting_requests_of_one_address_leave_places_to_others() {
    const MORE: usize = 16;
    const OTHERS: usize = 8;

    let case = Case::start("requests that wait", &LIMITS);
    let mut camera = Camera::start(&case);
    let began = Instant::now();
    let ask = |local, count| -> Vec<HttpClient> {
        (0..count)
            .map(|_| ask(&case, local, &camera.next))
            .collect()
    };
    let strangers = ask(STRANGER, PLACES + MORE);
    wait_until("who finds no place is told", || {
        strangers
            .iter()
            .filter(|client| is_answered(client))
            .count()
            == MORE
    });
    let refused_after = began.elapsed().as_millis();
    let others = ask(NEIGHBOR, OTHERS);
    case.canary_goes_on(50);
    assert!(!others.iter().any(is_answered), "they wait");
    let (refused, waiting): (Vec<_>, Vec<_>) = strangers.into_iter().partition(is_answered);
    assert_eq!((refused.len(), waiting.len()), (MORE, PLACES));
    camera.frames(60);
    for mut client in others.into_iter().chain(waiting) {
        assert_eq!(client.answer().status, 200);
    }
    for mut client in refused {
        let answer = client.answer();
        assert_eq!(answer.status, 503, "{}", answer.head);
        assert_eq!(answer.header("retry-after"), Some("1"));
        // A place is free again, and the response has arrived.
        assert_eq!(client.get(&camera.next).status, 200);
    }
    println!(
        "{MORE} of {} are refused after {refused_after} ms",
        PLACES + MORE
    );
    drop(camera);
    case.finish((PLACES + MORE + OTHERS + 2) as u64);
}

/// Returns the ids of the connections from an address.
fn connections_from(case: &Case, address: Ipv4Addr) -> Vec<u64> {
    let answer = HttpClient::connect(case.http_address()).get("/api/v1/connections");
    let all: Value = serde_json::from_str(&answer.text()).unwrap();
    let start = format!("{address}:");
    let list = all["connections"].as_array().unwrap().iter();
    list.filter(|one| one["address"].as_str().unwrap().starts_with(&start))
        .map(|one| one["id"].as_u64().unwrap())
        .collect()
}

/// Closes all connections from an address as an operator would. Returns the time until they are gone.
fn time_to_end(case: &Case, address: Ipv4Addr, count: usize) -> Duration {
    let ids = connections_from(case, address);
    assert_eq!(ids.len(), count);
    let began = Instant::now();
    let mut client = HttpClient::connect(case.http_address());
    for id in ids {
        client.request("DELETE", &format!("/api/v1/connections/{id}"), "");
        assert_eq!(client.bodiless_answer().status, 204);
    }
    wait_until("they have ended", || {
        connections_from(case, address).is_empty()
    });
    began.elapsed()
}

#[test]
fn a_connection_closed_while_it_waits_or_writes_ends_soon() {
    const EACH: usize = 8;

    let case = Case::start("disconnected in the middle", &LIMITS);
    let camera = Camera::start(&case);
    let waiting: Vec<_> = (0..EACH)
        .map(|_| ask(&case, STRANGER, &camera.next))
        .collect();
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(300);
    let writing: Vec<_> = (0..EACH)
        .map(|_| {
            let client = HttpClient::connect_from(NEIGHBOR, case.http_address());
            let _ = wire::flood(client.socket(), page.as_bytes(), 4 << 20);
            client
        })
        .collect();
    let before = case.now().threads;
    let waited = time_to_end(&case, STRANGER, EACH);
    let wrote = time_to_end(&case, NEIGHBOR, EACH);
    wait_until("their threads have ended", || {
        case.now().threads <= before - 2 * EACH as u64
    });
    println!(
        "disconnected: who waits ends after {} ms, who writes after {} ms",
        waited.as_millis(),
        wrote.as_millis()
    );
    drop((waiting, writing, camera));
    case.finish(2 * EACH as u64 + 2);
}

#[test]
fn waiting_requests_make_room_for_publishers_and_end_soon() {
    const HOLDERS: u8 = 4;

    let options = [
        "--max-connections=256",
        "--max-per-address=64",
        "--grace=1s",
    ];
    let case = Case::start("displaced while waiting", &options);
    let camera = Camera::start(&case);
    let waiting: Vec<_> = (0..4 * PLACES)
        .map(|number| {
            let local = Ipv4Addr::new(127, 0, 0, 2 + number as u8 % HOLDERS);
            let client = HttpClient::connect_from(local, case.http_address());
            let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", camera.next);
            let _ = std::io::Write::write_all(&mut client.socket(), request.as_bytes());
            client
        })
        .collect();
    let began = Instant::now();
    let publishers: Vec<_> = (0..8)
        .map(|number| Client::publishing(case.address(), "live", &format!("gate{number}")))
        .collect();
    let served = began.elapsed();
    let threads = case.before().threads;
    wait_until("who had to make room has ended", || {
        case.now().threads <= threads + 4 * PLACES as u64
    });
    println!(
        "8 publishers after {} ms, who had to make room has ended after {} ms",
        served.as_millis(),
        began.elapsed().as_millis()
    );
    drop((waiting, publishers, camera));
    case.finish((4 * PLACES + PLACES / 2) as u64);
}
