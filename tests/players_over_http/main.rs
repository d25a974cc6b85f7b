//! What common programs receive over HTTP: FLV, fragmented MP4 and HLS, with all codecs that a
//! stream may have.
//!
//! The printed table has a row for each pair of codecs and way to play, and a column for each
//! player. All players of a row play the same publish. They start when it has begun. Of FLV and MP4
//! they receive all, since all of it is one GOP, and of HLS all from some segment on. What a
//! program can't do is shown in its own words; what it can do must work.

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code)]
#[path = "../codec_matrix/cells.rs"]
mod cells;
mod not_live;
#[allow(dead_code)]
#[path = "../common/players.rs"]
mod players;
#[allow(dead_code)]
#[path = "../codec_matrix/sources.rs"]
mod sources;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cells::{Cell, Received, compare, complaint};
use common::ffmpeg8::ffmpeg8;
use common::process::Program;
use common::{Brooklet, TempDir, framehash, poll_until, wait_until};
use players::{Container, Player};
use sources::Source;

/// Half a dozen programs start at once, on machines with two cores that may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// Frames from one keyframe to the next: all of them, or a second, which makes a segment.
const WHOLE: u32 = 60;
const SECOND: u32 = 15;

/// The number of publishes at a time.
const WORKERS: usize = 2;

/// Widths of the columns: codecs, container, each player.
const CODECS: usize = 14;
const CONTAINER: usize = 5;
const CELL: usize = 14;

/// The codecs, and what each player did.
type Row = (String, Container, Vec<Cell>);

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0, vlc, mpv, BROOKLET_FFMPEG7, BROOKLET_PYAV"]
fn every_player_gets_what_it_can_over_http() {
    let dir = TempDir::new();
    let whole = sources::make_all(&dir, WHOLE);
    let seconds = sources::make_all(&dir, SECOND);
    let mut wanted = Vec::new();
    for container in Container::HTTP {
        let sources = match container {
            Container::Hls => &seconds,
            _ => &whole,
        };
        let holds = |source: &&Source| container.holds(source.video);
        let rows = sources.iter().filter(holds);
        wanted.extend(rows.map(|source| (source, *container)));
    }
    let failures = print(&in_parallel(&wanted));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Plays all rows, some at a time; returns them in order.
fn in_parallel(wanted: &[(&Source, Container)]) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut rows = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((source, container)) = wanted.get(index) else {
                return rows;
            };
            let cells = play(source, *container);
            rows.push((index, (source.name(), *container, cells)));
        }
    };
    let mut rows: Vec<(usize, Row)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| worker.join().expect("a row");
        workers.into_iter().flat_map(join).collect()
    });
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn play(source: &Source, container: Container) -> Vec<Cell> {
    // Long enough for a player that finds the stream very late. Playlists end with it.
    let grace = match container {
        Container::Hls => "3s",
        _ => "2m",
    };
    let server = Brooklet::start(&["--grace", grace]);
    let dir = TempDir::new();
    let mut publisher = ffmpeg8(&["--realtime"]);
    publisher
        .arg(&source.file)
        .args(["flv", &server.url("cam")]);
    let mut publisher = Program::start(&mut publisher);
    server.wait_for_log("publishing", 1);
    let url = format!(
        "http://{}/live/cam{}{}",
        server.http_address(),
        container.ending(),
        match container {
            Container::Hls => "",
            _ => "?join=gop",
        }
    );
    let has_audio = container.holds(source.audio);
    let start = |player: &Player| Program::start(&mut player.command(&dir, &url, has_audio));
    let mut players: Vec<_> = Player::OVER_HTTP.iter().map(start).collect();
    publisher.wait_for_success(PATIENCE);
    if container != Container::Hls {
        // Each that has begun has been sent all there is, and waits for more.
        wait_until("all players have come", PATIENCE, || {
            let mut all = Player::OVER_HTTP.iter().zip(&mut players);
            all.all(|(player, program)| {
                let agent = player.agent();
                let has_come = server.with_log(|log| log.contains(&agent));
                has_come || !program.is_running()
            })
        });
        server.stop();
    }
    poll_until(PATIENCE, || !players.iter_mut().any(Program::is_running));
    let cell = |(player, program): (&Player, &mut Program)| {
        let has_ended = !program.is_running();
        program.stop();
        if has_ended {
            cell(*player, container, source, program, &dir)
        } else {
            Cell::Wrong(format!("plays on after the end: {}", complaint(program)))
        }
    };
    Player::OVER_HTTP
        .iter()
        .zip(&mut players)
        .map(cell)
        .collect()
}

fn cell(
    player: Player,
    container: Container,
    source: &Source,
    program: &Program,
    dir: &TempDir,
) -> Cell {
    if !player.can_take(source.video, container) {
        return Cell::Cannot(complaint(program));
    }
    let has_audio = player.can_take(source.audio, container);
    let received = player.received(program, dir);
    let compared = match container {
        Container::Hls => compare_part(&received, source, has_audio),
        _ => compare(&received, source, has_audio),
    };
    Cell::new(compared, has_audio, program)
}

/// What a player of HLS has to show: everything from the beginning of some segment on.
fn compare_part(received: &Received, source: &Source, with_audio: bool) -> Result<String, String> {
    let expected = |media| source.hashes(media);
    match received {
        Received::Packets(tracks) | Received::Late(tracks) => {
            let hashes = |media| framehash::first(tracks, media).hashes().join(" ");
            let (pictures, sounds) = (hashes("video"), hashes("audio"));
            let count = |hashes: &str| hashes.split_whitespace().count();
            let words = format!("{} + {}", count(&pictures), count(&sounds));
            let is_good = count(&pictures) >= SECOND as usize
                && expected("video").join(" ").ends_with(&pictures);
            let is_heard = !with_audio
                || count(&sounds) >= SECOND as usize
                    && expected("audio").join(" ").contains(&sounds);
            (is_good && is_heard).then_some(words.clone()).ok_or(words)
        }
        Received::Decoded {
            pictures,
            sound_len,
        } => {
            // The first segment, made for the first request, need not end at a keyframe, and VLC
            // can't decode the next one with what it knows from that.
            let mut shown = pictures.hashes();
            let mut rest = source.pictures.iter();
            shown.retain(|hash| rest.clone().any(|expected| expected == hash));
            shown.dedup();
            let is_in_order = |hash: &&str| rest.any(|expected| expected == hash);
            let words = format!("{} shown", shown.len());
            let is_good = shown.len() >= SECOND as usize / 2
                && shown.iter().all(is_in_order)
                && (!with_audio || *sound_len > 44_100);
            is_good.then_some(words.clone()).ok_or(words)
        }
    }
}

/// Prints the table; returns the failures.
fn print(rows: &[Row]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut number = |note: &str| {
        let known = notes.iter().position(|known| known == note);
        let index = known.unwrap_or_else(|| {
            notes.push(note.to_owned());
            notes.len() - 1
        });
        format!("[{}]", index + 1)
    };
    let mut failures = Vec::new();
    let mut text = format!("\n{:CODECS$}  {:CONTAINER$}", "codecs", "");
    for player in Player::OVER_HTTP {
        text += &format!("  {:CELL$}", player.name());
    }
    for (codecs, container, cells) in rows {
        text += &format!("\n{codecs:CODECS$}  {:CONTAINER$}", container.ending());
        for (player, cell) in Player::OVER_HTTP.iter().zip(cells) {
            let cell = match cell {
                Cell::Same(words) => words.clone(),
                Cell::NoSound(words, note) => format!("{words} {}", number(note)),
                Cell::Cannot(note) => number(note),
                Cell::Wrong(words) => {
                    let player = player.name();
                    failures.push(format!(
                        "{codecs}, {}, {player}: {words}",
                        container.ending()
                    ));
                    "WRONG".to_owned()
                }
            };
            text += &format!("  {cell:CELL$}");
        }
    }
    text += "\n\nPackets of video + audio, the same as published, or pictures shown. In brackets: \
             the player cannot, and says:";
    for (index, note) in notes.iter().enumerate() {
        text += &format!("\n[{}] {note}", index + 1);
    }
    // Not by `println!`, whose output a successful test would hide.
    let _ = writeln!(std::io::stdout().lock(), "{text}\n");
    failures
}
