//! How players play HLS, from the first frame on: players in the pages of two browsers, and
//! programs.
//!
//! Each player has a stream of its own, so that it may be the first to request it. Each frame's
//! number is drawn into it, which shows how old it is when it is displayed. A stall is a frame that
//! stands for more than a quarter of a second once the player has begun.
//!
//! With `BROOKLET_PLAYERS_TABLE=N` in the environment all cases are also measured over a minute, N
//! players at a time, and printed as a table. `BROOKLET_PLAYERS` selects players by parts of their
//! names, separated by commas:
//!
//! ```text
//! BROOKLET_PLAYERS_TABLE=4 cargo test --test hls_players -- --ignored --nocapture at_once
//! ```

#[path = "../common/mod.rs"]
mod common;

mod browsers;
mod figures;
mod programs;
mod site;
mod source;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use browsers::Browser;
use common::http::HttpClient;
use common::{Brooklet, TempDir, wait_until};
use figures::Figures;
use programs::Which;
use site::Site;
use source::Stream;

/// The deadline for browsers to start, on busy machines with two cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// The deadline for a first frame, in ms: GOPs last up to 10 s.
const FIRST: u64 = 30_000;

/// A stall that is too long to be a busy machine's, in ms.
const LONG: u64 = 1_000;

/// How long before a second player the first one has requested the stream, in ms.
const BEFORE: u64 = 12_000;

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// By this name in the page.
    Page(Browser, &'static str),
    Program(Which),
}

/// A player's name, and how it is made to play.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Player(pub(crate) &'static str, How);

const PLAYERS: &[Player] = &[
    Player(
        "hls.js low latency",
        How::Page(Browser::Chromium, "hls.js low latency"),
    ),
    Player("hls.js", How::Page(Browser::Chromium, "hls.js")),
    Player("Shaka Player", How::Page(Browser::Chromium, "Shaka")),
    Player("Video.js", How::Page(Browser::Chromium, "Video.js")),
    Player("mpegts.js (FLV)", How::Page(Browser::Chromium, "mpegts.js")),
    Player("Chromium's own", How::Page(Browser::Chromium, "native")),
    Player(
        "hls.js in Firefox",
        How::Page(Browser::Firefox, "hls.js low latency"),
    ),
    Player("Firefox's own", How::Page(Browser::Firefox, "native")),
    Player("VLC", How::Program(Which::Vlc)),
    Player("mpv", How::Program(Which::Mpv)),
    Player("ffmpeg", How::Program(Which::Ffmpeg)),
    Player("GStreamer hlsdemux", How::Program(Which::Hlsdemux)),
    Player("GStreamer hlsdemux2", How::Program(Which::Hlsdemux2)),
];

/// When a player joins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// The keyframe interval, in seconds.
    gop: u32,
    /// How old the stream is then, in ms.
    age: u64,
    /// Another player has requested the stream before, and goes on.
    is_second: bool,
    /// How long the player is watched from its first frame on, in seconds.
    seconds: u64,
}

impl Player {
    /// The name of its stream.
    fn stream(self) -> String {
        let name = self.0.to_lowercase();
        name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
    }

    fn path(self) -> String {
        let extension = match self.1 {
            How::Page(_, "mpegts.js") => "flv",
            _ => "m3u8",
        };
        format!("/live/{}.{extension}", self.stream())
    }

    fn browser(self) -> Option<Browser> {
        match self.1 {
            How::Page(browser, _) => Some(browser),
            How::Program(_) => None,
        }
    }
}

/// Milliseconds since 1970, as pages count them.
pub(crate) fn wall_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// Sleeps until a time of the wall clock.
fn sleep_until(at: u64) {
    thread::sleep(Duration::from_millis(at.saturating_sub(wall_clock())));
}

/// Plays with several players side by side, each its own stream of one server.
fn play(players: &[Player], case: Case) -> Vec<Figures> {
    let dir = TempDir::new();
    let seconds = (case.age + FIRST) / 1000 + case.seconds + 10;
    let file = source::make(&dir, case.gop, seconds as u32);
    // A browser has six connections to an address at most, whichever player uses them.
    let addresses = (2..).map(|last| format!("127.0.0.{last}:0"));
    let addresses: Vec<_> = addresses.take(players.len()).collect();
    // As much for each stream as the default gives a few streams together.
    let mut arguments = vec!["--memory", "128M"];
    arguments.extend(addresses.iter().flat_map(|address| ["--http", address]));
    let server = Brooklet::start(&arguments);
    let printed = server.printed();
    let address = |index: usize| {
        let start = format!(
            "listening for HTTP on {}",
            addresses[index].trim_end_matches('0')
        );
        let mut lines = printed.lines().filter_map(|line| line.strip_prefix(&start));
        let port = lines.next().expect("it listens there");
        addresses[index].trim_end_matches('0').to_owned() + port
    };
    let site = Site::start();
    let browsers: BTreeSet<_> = players
        .iter()
        .filter_map(|player| player.browser())
        .collect();
    let mut running: Vec<_> = browsers
        .iter()
        .map(|browser| browser.open(&site.url(browser.name())))
        .collect();
    wait_until("the pages are there", PATIENCE, || {
        for (browser, running) in browsers.iter().zip(&mut running) {
            let name = browser.name();
            assert!(running.is_running(), "{name} ended:\n{}", running.stderr());
        }
        site.waiting() == browsers.len()
    });
    thread::scope(|scope| {
        let streams: Vec<_> = players
            .iter()
            .map(|player| {
                let (server, file) = (&server, &file);
                scope.spawn(move || Stream::publish(server, &player.stream(), file))
            })
            .collect();
        let streams: Vec<_> = streams
            .into_iter()
            .map(|stream| stream.join().expect("the stream is published"))
            .collect();
        let mut jobs = HashMap::<_, Vec<Value>>::new();
        for (index, (player, stream)) in players.iter().zip(&streams).enumerate() {
            if let How::Page(browser, how) = player.1 {
                jobs.entry(browser.name().to_owned())
                    .or_default()
                    .push(json!({
                        "name": player.0,
                        "how": how,
                        "url": format!("http://{}{}", address(index), player.path()),
                        "begin": stream.begin,
                        "at": stream.begin + case.age,
                        "seconds": case.seconds,
                        "bits": source::BITS,
                        "box": source::BOX,
                        "frame": source::FRAME_MS,
                    }));
            }
        }
        let jobs = jobs.into_iter().map(|(name, jobs)| (name, json!(jobs)));
        site.begin(jobs.collect());
        let watching: Vec<_> = players
            .iter()
            .zip(streams)
            .map(|(player, stream)| {
                let (server, site) = (&server, &site);
                scope.spawn(move || watch(server, site, *player, &stream, case))
            })
            .collect();
        let figures = watching.into_iter().map(|figures| figures.join());
        figures
            .map(|figures| figures.expect("it was watched"))
            .collect()
    })
}

/// Watches one player.
fn watch(server: &Brooklet, site: &Site, player: Player, stream: &Stream, case: Case) -> Figures {
    let is_over = AtomicBool::new(false);
    let at = stream.begin + case.age;
    let deadline = at + FIRST + case.seconds * 1000;
    thread::scope(|scope| {
        if case.is_second {
            let is_over = &is_over;
            scope.spawn(move || {
                sleep_until(at.saturating_sub(BEFORE));
                let mut client = HttpClient::connect(server.http_address());
                while !is_over.load(Ordering::Relaxed) {
                    client.get(&format!("/live/{}/media.m3u8", player.stream()));
                    thread::sleep(Duration::from_secs(1));
                }
            });
        }
        sleep_until(at);
        let wait_for = |is_done: &mut dyn FnMut() -> bool| {
            while !is_done() && wall_clock() < deadline {
                thread::sleep(Duration::from_millis(50));
            }
            is_over.store(true, Ordering::Relaxed);
        };
        match player.1 {
            How::Page(..) => {
                let report = || site.report(player.0).unwrap_or_default();
                wait_for(&mut || report()["isDone"] == true || report()["isMissing"] == true);
                Figures::of_report(&report())
            }
            How::Program(which) => {
                let url = format!("http://{}{}", server.http_address(), player.path());
                let mut playing = which.start(&url);
                wait_for(&mut || playing.is_done(case.seconds));
                playing.figures(stream.begin, case.seconds)
            }
        }
    })
}

/// Returns a line for each fault. A busy machine with two cores may be late by itself, but not for
/// as long as players wait for a segment.
fn faults(figures: &[Figures], except: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (Player(name, _), figures) in PLAYERS.iter().zip(figures) {
        if figures.is_missing {
            continue;
        }
        if figures.first.is_none() {
            faults.push(format!("{name} shows nothing"));
        }
        if figures.stalls.iter().any(|stall| *stall > LONG) {
            faults.push(format!("{name} stalls: {:?} ms", figures.stalls));
        }
        if let Some(first) = figures.fatal.first().filter(|_| *name != except) {
            let count = figures.fatal.len();
            faults.push(format!("{name} fails {count} times, first: {first}"));
        }
    }
    faults
}

/// Checks that all play; `except` may have failed before it played.
fn check(case: Case, except: &str) {
    let figures = play(PLAYERS, case);
    table::print(case, PLAYERS, &figures);
    let faults = faults(&figures, except);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// OBS's default keyframe interval, and only what is listed when they join.
#[test]
#[ignore = "needs Chromium, Firefox, ffmpeg, vlc, mpv, gst-launch-1.0, BROOKLET_HLS_JS, \
            BROOKLET_SHAKA_JS, BROOKLET_VIDEO_JS, BROOKLET_MPEGTS_JS"]
fn players_that_ask_first_play_a_stream_of_long_gops_without_a_stall() {
    let case = Case {
        gop: 10,
        age: 42_000,
        is_second: false,
        seconds: 20,
    };
    check(case, "");
}

/// Chromium's native player takes a playlist with few segments for an error, and has to be told to
/// retry.
#[test]
#[ignore = "needs Chromium, Firefox, ffmpeg, vlc, mpv, gst-launch-1.0, BROOKLET_HLS_JS, \
            BROOKLET_SHAKA_JS, BROOKLET_VIDEO_JS, BROOKLET_MPEGTS_JS"]
fn players_that_ask_at_once_play_without_a_stall() {
    let case = Case {
        gop: 2,
        age: 1_000,
        is_second: false,
        seconds: 15,
    };
    check(case, "Chromium's own");
    if let Ok(at_a_time) = std::env::var("BROOKLET_PLAYERS_TABLE") {
        print_all_cases(at_a_time.parse().unwrap_or(1));
    }
}

/// Measures all cases over a minute, `at_a_time` players together, and prints them.
fn print_all_cases(at_a_time: usize) {
    let only = std::env::var("BROOKLET_PLAYERS").unwrap_or_default();
    let is_wanted = |player: &&Player| only.split(',').any(|name| player.0.contains(name));
    let players: Vec<_> = PLAYERS.iter().filter(is_wanted).copied().collect();
    for (age, is_second) in [(30_000, false), (30_000, true), (1_000, false)] {
        for gop in [2, 10] {
            let case = Case {
                gop,
                age,
                is_second,
                seconds: 60,
            };
            let mut figures = Vec::new();
            for players in players.chunks(at_a_time) {
                figures.extend(play(players, case));
            }
            table::print(case, &players, &figures);
        }
    }
}
