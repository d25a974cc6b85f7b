//! The README's own lines for nginx: as many viewers as without it, and each is known by its address.

mod common;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::client::{AAC_HEADER, Client};
use common::http::HttpClient;
use common::process::Program;
use common::{Brooklet, SOON, TempDir, wait_until};

const README: &str = include_str!("../README.md");

/// H.264, 320x240.
const AVC_HEADER: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xc0\x0d\xff\xe1\0\x16\x67\x42\xc0\x0d\xda\x05\x07\xec\x04\x40\
    \0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8\x01\0\x04\x68\xce\x0f\xc8";

/// What stands in the README between these fences, after a heading of the section.
fn block(language: &str) -> &'static str {
    let section = README.split_once("**Behind a reverse proxy**").unwrap().1;
    let fence = format!("```{language}\n");
    section
        .split_once(&fence)
        .unwrap()
        .1
        .split_once("```")
        .unwrap()
        .0
}

/// brooklet and nginx, as the README has them.
struct Site {
    server: Brooklet,
    address: SocketAddr,
    _nginx: Program,
    _dir: TempDir,
}

impl Site {
    fn start(options: &[&str]) -> Site {
        let told: Vec<&str> = block("sh").split_whitespace().collect();
        assert_eq!(told[..3], ["brooklet", "--http", "127.0.0.1:8080"]);
        let server = Brooklet::start(&[&told[3..], options].concat());
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let lines = block("nginx")
            .replace("127.0.0.1:8080", &server.http_address().to_string())
            .replace(
                "# listen, server_name and certificates as usual",
                &format!("listen {address};"),
            );
        let dir = TempDir::new();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {name};\n"))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{lines}}}\n"
        );
        let path = dir.join("nginx.conf");
        fs::write(&path, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(&path);
        command.args(["-e", "stderr"]);
        let mut nginx = Program::start(&mut command);
        wait_until("nginx answers", SOON, || {
            assert!(nginx.is_running(), "{}", nginx.stderr());
            std::net::TcpStream::connect(address).is_ok()
        });
        Site {
            server,
            address,
            _nginx: nginx,
            _dir: dir,
        }
    }

    /// A viewer at an address of this machine, one of 127.0.0.0/8.
    fn viewer(&self, host: u8) -> HttpClient {
        let local = Ipv4Addr::new(127, 0, 0, host);
        HttpClient::connect_from(local, self.address)
    }

    /// Does something while a camera sends 25 pictures a second.
    fn with_camera(&self, name: &str, act: impl FnOnce()) {
        let is_over = Over::default();
        let mut camera = Client::publishing(self.server.address(), "live", name);
        camera.send_message(9, 1, 0, AVC_HEADER);
        camera.send_message(8, 1, 0, AAC_HEADER);
        thread::scope(|scope| {
            scope.spawn(|| {
                let began = Instant::now();
                for number in 0.. {
                    if is_over.is_it() {
                        return;
                    }
                    let time = number * 40;
                    camera.send_picture(number, time, number % 50 == 0, 3_000);
                    camera.send_message(8, 1, time, b"\xAF\x01\x21\x10\x05");
                    let due = Duration::from_millis(u64::from(time) + 40);
                    thread::sleep(due.saturating_sub(began.elapsed()));
                }
            });
            let _end = is_over.at_the_end();
            act();
        });
    }
}

/// Says that what goes on beside a test is over, also when the test fails.
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

/// Follows a playlist for so many parts, each asked for before it is there; the statuses of all
/// answers.
fn follow(viewer: &mut HttpClient, query: &str, parts: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut get = |target: &str| {
        let answer = viewer.get(&format!("/live/door/{target}"));
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
    site.with_camera("door", || {
        wait_until("there is a playlist", SOON, || {
            let playlist = site.viewer(1).get("/live/door/media.m3u8");
            playlist.status == 200 && playlist.text().contains("PRELOAD-HINT")
        });
        let statuses: Vec<u16> = thread::scope(|scope| {
            let site = &site;
            let viewers: Vec<_> = (0..20)
                .map(|host| scope.spawn(move || follow(&mut site.viewer(10 + host), "", 12)))
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

#[test]
#[ignore = "needs nginx"]
fn ninety_viewers_are_no_crowd() {
    let site = Site::start(&[]);
    site.with_camera("door", || {
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

/// Six wrong keys a second, from one stranger; in the end even from the viewer's own address.
#[test]
#[ignore = "needs nginx"]
fn a_stranger_that_guesses_locks_nobody_out() {
    let site = Site::start(&["--play-key", "play-key"]);
    site.with_camera("door", || {
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
            let statuses = [10, 11].map(|host| follow(&mut site.viewer(host), "?key=play-key", 12));
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
fn nobody_behind_it_is_taken_for_this_machine() {
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
