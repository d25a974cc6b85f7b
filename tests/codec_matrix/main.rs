//! Every publisher with every player and codec: what common programs receive through the server.
//!
//! The printed table has a row for each publisher and pair of codecs, and a column for each player.
//! Each publish has all players at once; most join before it begins, one in its middle. What a
//! program can't do is shown in its own words; what it can do must work.

#[path = "../common/mod.rs"]
mod common;

mod cells;
mod multitrack;
#[allow(dead_code)]
#[path = "../common/players.rs"]
mod players;
mod publishers;
mod sources;
mod table;

use std::any::Any;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cells::{Cell, compare, complaint};
use common::process::Program;
use common::{Brooklet, TempDir, packets, poll_until, wait_until};
use players::{Container, Player};
use publishers::Publisher;
use sources::Source;

/// A dozen programs start at once, on machines with two cores that may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// The number of publishes at a time.
const WORKERS: usize = 2;

/// Frames from one keyframe to the next: a second.
const GOP: u32 = 15;

/// The number of frames after which the late player joins: the second GOP of 15, or 16, has begun.
const LATE: usize = 20;

/// The connections of librtmp that wait for a publisher: rtmpdump's, and rtmpsrc's first and
/// second.
const RTMPSRC_IS_BACK: usize = 3;

/// One publish.
pub(crate) struct Row {
    pub(crate) publisher: Publisher,
    pub(crate) codecs: String,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Outcome {
    /// A cell for each of [`Player::OVER_RTMP`].
    Played(Vec<Cell>),
    /// The publisher can't send these codecs, and prints so.
    Refused(String),
    /// It should have worked.
    Failed(String),
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0, rtmpdump, vlc, mpv, BROOKLET_FFMPEG7, BROOKLET_PYAV"]
fn every_player_receives_what_it_and_the_publisher_support() {
    let dir = TempDir::new();
    let sources = sources::make_all(&dir, GOP);
    let publishes = Publisher::ALL
        .iter()
        .flat_map(|publisher| sources.iter().map(|source| (*publisher, source)));
    let rows = in_parallel(publishes.collect());
    table::print(&rows);
    let failures = table::failures(&rows);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs all publishes; returns their rows in order.
fn in_parallel(publishes: Vec<(Publisher, &Source)>) -> Vec<Row> {
    let total = publishes.len();
    let queue: Mutex<VecDeque<_>> = Mutex::new(publishes.into_iter().enumerate().collect());
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    };
    let mut rows: Vec<(usize, Row)> = Vec::with_capacity(total);
    thread::scope(|scope| {
        let work = || {
            let mut rows = Vec::new();
            while let Some((index, (publisher, source))) = next() {
                // On a thread of its own, so that a panic leaves the others their rows.
                let publish = thread::scope(|s| s.spawn(|| publish(publisher, source)).join());
                let outcome = publish.unwrap_or_else(|panic| Outcome::Failed(words(&*panic)));
                rows.push((
                    index,
                    Row {
                        publisher,
                        codecs: source.name(),
                        outcome,
                    },
                ));
            }
            rows
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            rows.extend(worker.join().expect("a worker only collects rows"));
        }
    });
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The message with which a thread panicked.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

fn publish(publisher: Publisher, source: &Source) -> Outcome {
    // Long enough for a late player that finds the stream very late.
    let server = Brooklet::start(&["--grace", "2s"]);
    let url = server.url("cam");
    let start = || Program::start(&mut publisher.command(source, &url));
    if !publisher.can_send(source.video) || !publisher.can_send(source.audio) {
        return refused(&mut start());
    }
    let dir = TempDir::new();
    let mut all = Vec::new();
    for player in Player::OVER_RTMP {
        all.push((
            *player,
            Program::start(&mut player.command(&dir, &url, true)),
        ));
    }
    let early = Player::OVER_RTMP.iter().filter(|player| !player.is_late());
    let early = early.count();
    wait_until("all players are waiting", PATIENCE, || {
        count(&server, "waiting for its publisher") >= early
    });
    let mut publishing = start();
    wait_until("it is time for the late player", PATIENCE, || {
        pictures(&dir.join(Player::Rtmpdump.file())) >= LATE
    });
    std::fs::write(dir.join(players::GO), "").expect("a file can be written");
    publishing.wait_for_success(PATIENCE);

    // It reconnects whenever a stream has ended, so it has to be stopped.
    let rtmpsrc_is_back =
        || count(&server, "(LNX 10,0,32,18), waiting for its publisher") >= RTMPSRC_IS_BACK;
    let has_ended = |player: Player, program: &mut Program| match player {
        Player::Rtmpsrc => rtmpsrc_is_back(),
        _ => !program.is_running(),
    };
    poll_until(PATIENCE, || {
        all.iter_mut().all(|(player, p)| has_ended(*player, p))
    });
    let mut cells = Vec::new();
    for player in Player::OVER_RTMP {
        let (_, program) = all
            .iter_mut()
            .find(|(candidate, _)| candidate == player)
            .expect("all players were started");
        let has_ended = has_ended(*player, program);
        program.stop();
        cells.push(if has_ended {
            cell(*player, program, &dir, source)
        } else {
            Cell::Wrong("plays on after the end".to_owned())
        });
    }
    if cells.iter().any(|cell| matches!(cell, Cell::Wrong(_))) {
        eprintln!("{publisher:?}, {}:\n{}", source.name(), server.log());
    }
    Outcome::Played(cells)
}

/// Judges a player that has ended.
fn cell(player: Player, program: &Program, dir: &TempDir, source: &Source) -> Cell {
    if !player.can_take(source.video, Container::Rtmp) {
        return Cell::Cannot(complaint(program));
    }
    let has_audio = player.can_take(source.audio, Container::Rtmp);
    let compared = compare(&player.received(program, dir), source, has_audio);
    Cell::new(compared, has_audio, program)
}

fn refused(publisher: &mut Program) -> Outcome {
    let status = publisher.wait(PATIENCE);
    let words = complaint(publisher);
    if status.success() {
        return Outcome::Failed(format!("published what it is not known to send: {words}"));
    }
    Outcome::Refused(words)
}

/// The number of frames in an FLV file that is being written.
fn pictures(file: &Path) -> usize {
    let tags = if file.exists() {
        packets::flv_tags(file)
    } else {
        Vec::new()
    };
    tags.iter().filter(|tag| tag.type_id == 9).count()
}

fn count(server: &Brooklet, words: &str) -> usize {
    let log = server.log();
    log.lines().filter(|line| line.contains(words)).count()
}
