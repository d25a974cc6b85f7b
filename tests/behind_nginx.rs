//! The README's configuration of nginx: as many viewers as without it, each known by its address.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::client::{AAC_HEADER, AVC_320X240, Client};
use common::http::{Answer, HttpClient};
use common::nginx::Site;
use common::{SOON, wait_until};

/// Runs `act` while a publisher sends 25 frames per second.
fn with_camera(site: &Site, name: &str, act: impl FnOnce()) {
    let is_over = Over::default();
    let mut camera = Client::publishing(site.server.address(), "live", name);
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            for number in 0.. {
                if is_over.is_it() {
                    return;
                }
                let time = number * 40;
                camera.send_frame(number, time, number % 50 == 0, 3_000);
                camera.send_message(8, 1, time, b"\xAF\x01\x21\x10\x05");
                let due = Duration::from_millis(u64::from(time) + 40);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
        });
        let _end = is_over.at_the_end();
        act();
    });
}

/// Stops a test's background threads, also when the test fails.
#[derive(Default)]
struct Over(AtomicBool);

struct End<'a>(&'a Over);

impl Over {
    fn is_it(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn at_the_end(&self) -> End<'_> {
        End(self)
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

/// Follows a playlist for `parts` parts, each requested before it exists; returns the statuses of
/// all responses.
fn follow(viewer: &mut HttpClient, place: &str, query: &str, parts: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut get = |target: &str| {
        let answer = viewer.get(&format!("{place}/live/door/{target}"));
        statuses.push(answer.status);
        answer.text()
    };
    for _ in 0..parts {
        let playlist = get(&format!("media.m3u8{query}"));
        let hint = playlist.lines().find(|line| line.contains("PRELOAD-HINT"));
        if let Some((_, uri)) = hint.and_then(|line| line.split_once("URI=\"")) {
            get(uri.trim_end_matches('"'));
        }
    }
    statuses
}

#[test]
#[ignore = "needs nginx"]
fn twenty_viewers_of_low_latency_hls_are_all_answered() {
    let site = Site::start(&[]);
    with_camera(&site, "door", || {
        wait_until("there is a playlist", SOON, || {
            let playlist = site.viewer(1).get("/live/door/media.m3u8");
            playlist.status == 200 && playlist.text().contains("PRELOAD-HINT")
        });
        let statuses: Vec<u16> = thread::scope(|scope| {
            let site = &site;
            let viewers: Vec<_> = (0..20)
                .map(|host| scope.spawn(move || follow(&mut site.viewer(10 + host), "", "", 12)))
                .collect();
            viewers
                .into_iter()
                .flat_map(|v| v.join().unwrap())
                .collect()
        });
        let failed = statuses.iter().filter(|status| **status != 200).count();
        println!("{failed} of {} answers are not 200", statuses.len());
        assert!(statuses.len() > 20 * 12, "{}", statuses.len());
        assert_eq!(failed, 0, "{statuses:?}");
    });
}

/// The path that a reference leads to, as browsers resolve it (RFC 3986, 5.2).
fn resolve(base: &str, mut reference: &str) -> String {
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    let mut folder = base.split('?').next().unwrap().rsplit_once('/').unwrap().0;
    while let Some(rest) = reference.strip_prefix("../") {
        reference = rest;
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
    }
    format!("{folder}/{reference}")
}

/// Returns what is found there, and its final path.
fn open(viewer: &mut HttpClient, base: &str, reference: &str) -> (String, Answer) {
    let path = resolve(base, reference);
    viewer.request("GET", &path, "Accept-Encoding: gzip\r\n");
    let answer = viewer.answer();
    let place = answer.header("location").map(str::to_owned);
    match (answer.status, place) {
        (301, Some(place)) => open(viewer, &path, &place),
        (status, _) => {
            assert_eq!(status, 200, "{path}");
            (path, answer)
        }
    }
}

/// The values of these attributes.
fn attributes<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let values = text.split(name).skip(1);
    values
        .filter_map(|rest| rest.strip_prefix("=\"")?.split('"').next())
        .collect()
}

#[test]
#[ignore = "needs nginx"]
fn the_page_and_what_it_names_are_found_under_a_path_while_twenty_watch() {
    let site = Site::start_under("/cams/", &[]);
    with_camera(&site, "door", || {
        let is_over = Over::default();
        thread::scope(|scope| {
            wait_until("there is a playlist", SOON, || {
                let playlist = site.viewer(1).get("/cams/live/door/media.m3u8");
                playlist.status == 200 && playlist.text().contains("PRELOAD-HINT")
            });
            let _end = is_over.at_the_end();
            for host in 0..20 {
                let (site, is_over) = (&site, &is_over);
                scope.spawn(move || {
                    let mut viewer = site.viewer(10 + host);
                    while !is_over.is_it() {
                        let statuses = follow(&mut viewer, "/cams", "", 2);
                        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
                    }
                });
            }
            let mut viewer = site.viewer(1);
            for page in ["/cams/", "/cams/live/door", "/cams/live/door/"] {
                let (page, answer) = open(&mut viewer, "/", page);
                let html = answer.text();
                let (script, answer) = open(&mut viewer, &page, attributes(&html, "src")[0]);
                let content_type = answer.header("content-type");
                assert_eq!(content_type, Some("text/javascript; charset=utf-8"));
                // The page resolves everything from one level up.
                assert_eq!(script, "/cams/page/app.js");
                open(&mut viewer, &script, "./player.js".trim_start_matches("./"));
                let styles = attributes(&html, "href");
                let style = styles.iter().find(|href| href.ends_with("css")).unwrap();
                let (style, _) = open(&mut viewer, &page, style);
                assert_eq!(style, "/cams/page/style.css");
                let (_, list) = open(&mut viewer, &script, "../api/v1/streams");
                assert!(list.text().contains("live/door"), "{}", list.text());
                let (master, list) = open(&mut viewer, &script, "../live/door.m3u8");
                let list = list.text();
                let media = list.lines().find(|line| !line.starts_with('#')).unwrap();
                let (media, list) = open(&mut viewer, &master, media);
                let list = list.text();
                let segments = list.lines().filter(|line| !line.starts_with('#'));
                let uris: Vec<_> = segments.chain(attributes(&list, "URI")).collect();
                // An init segment, a segment, parts and the next one.
                assert!(uris.len() >= 4, "{list}");
                for uri in uris {
                    let (_, answer) = open(&mut viewer, &media, uri);
                    assert_eq!(answer.header("content-type"), Some("video/mp4"), "{uri}");
                }
            }
        });
    });
}

#[test]
#[ignore = "needs nginx"]
fn ninety_viewers_are_served() {
    let site = Site::start(&[]);
    with_camera(&site, "door", || {
        wait_until("there is a stream", SOON, || {
            site.viewer(1)
                .get("/api/v1/streams")
                .text()
                .contains("live/door")
        });
        let viewers: Vec<_> = (0..90)
            .map(|host| {
                let mut viewer = site.viewer(10 + host);
                viewer.request("GET", "/live/door.flv", "");
                (viewer.answer_head().status, viewer)
            })
            .collect();
        let refused = viewers.iter().filter(|(status, _)| *status != 200).count();
        println!("{refused} of {} viewers are refused", viewers.len());
        assert_eq!(refused, 0);
    });
}

/// Six wrong keys per second from one client, in the end even from the viewer's own address.
#[test]
#[ignore = "needs nginx"]
fn a_client_that_guesses_keys_locks_nobody_out() {
    let site = Site::start(&["--play-key", "play-key"]);
    with_camera(&site, "door", || {
        let is_over = Over::default();
        thread::scope(|scope| {
            let end = is_over.at_the_end();
            for host in [200, 10] {
                let (site, is_over) = (&site, &is_over);
                scope.spawn(move || {
                    let mut guesses = Vec::new();
                    while !is_over.is_it() {
                        let mut guess = site.viewer(host);
                        guess.request("GET", "/live/door/frame.mp4?key=wrong-key", "");
                        guesses.push(guess);
                        thread::sleep(Duration::from_millis(160));
                    }
                });
            }
            wait_until("there is a playlist", SOON, || {
                let playlist = site.viewer(10).get("/live/door/media.m3u8?key=play-key");
                playlist.status == 200 && playlist.text().contains("PRELOAD-HINT")
            });
            site.server.wait_for_log("too many wrong keys", 1);
            let statuses =
                [10, 11].map(|host| follow(&mut site.viewer(host), "", "?key=play-key", 12));
            drop(end);
            let statuses = statuses.concat();
            let failed = statuses.iter().filter(|status| **status != 200).count();
            println!("{failed} of {} answers are not 200", statuses.len());
            assert_eq!(failed, 0, "{statuses:?}");
        });
    });
}

#[test]
#[ignore = "needs nginx"]
fn no_client_behind_nginx_counts_as_local() {
    let site = Site::start(&[]);
    for header in [
        "",
        "X-Forwarded-For: \u{ff}\r\n",
        "X-Forwarded-For: 127.0.0.1\r\n",
        "Forwarded: for=127.0.0.1\r\n",
        "Connection: close\r\n",
    ] {
        let mut viewer = site.viewer(1);
        viewer.request("GET", "/api/v1/connections", header);
        assert_eq!(viewer.answer().status, 403, "{header}");
    }
}
