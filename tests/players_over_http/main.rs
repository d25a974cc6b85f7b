//! What the programs that people use get over HTTP: as FLV, as fragmented MP4 and by HLS, of the
//! codecs that a stream may have.
//!
//! The table that is printed has a row for each pair of codecs and way to play, and a column for
//! each player. All players of a row play the same publish. They start when it has begun; what they
//! get of FLV and MP4 is all of it, since all of it is one group of pictures, and of HLS what is
//! there from some segment on. What a program can't do is there in its own words; what it can do
//! must work.

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code)]
#[path = "../codec_matrix/cells.rs"]
mod cells;
mod not_live;
mod players;
#[allow(dead_code)]
#[path = "../codec_matrix/sources.rs"]
mod sources;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cells::{Cell, Received, compare, complaint};
use common::ffmpeg8::ffmpeg8;
use common::process::Program;
use common::{Brooklet, TempDir, framehash, wait_until};
use players::{Container, Player};
use sources::Source;

/// Half a dozen programs start at once, on machines with two cores that may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// Pictures from one keyframe to the next: all of them, and a second, which makes a segment.
const WHOLE: u32 = 60;
const SECOND: u32 = 15;

/// Publishes at a time.
const WORKERS: usize = 2;

/// Widths of the columns: codecs, container, each player.
const CODECS: usize = 14;
const CONTAINER: usize = 5;
const CELL: usize = 14;

/// Codecs, and what each player did.
type Row = (String, Container, Vec<Cell>);

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0, vlc, mpv, BROOKLET_FFMPEG7, BROOKLET_PYAV"]
fn every_player_gets_what_it_can_over_http() {
    let dir = TempDir::new();
    let whole = sources::make_all(&dir, WHOLE);
    let seconds = sources::make_all(&dir, SECOND);
    let mut wanted = Vec::new();
    for container in Container::ALL {
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

/// Plays all rows, some at a time, and returns them in order.
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
    // Long enough for a player to find the stream, should it be very late. Playlists end with it.
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
        container.name(),
        match container {
            Container::Hls => "",
            _ => "?join=gop",
        }
    );
    let has_audio = container.holds(source.audio);
    let start = |player: &Player| Program::start(&mut player.command(&dir, &url, has_audio));
    let mut players: Vec<_> = Player::ALL.iter().map(start).collect();
    publisher.wait_for_success(PATIENCE);
    if container != Container::Hls {
        // Each that has begun has been sent all there is, and waits for more.
        wait_until("all players have come", PATIENCE, || {
            let mut all = Player::ALL.iter().zip(&mut players);
            all.all(|(player, program)| {
                let has_come = server.with_log(|log| log.contains(player.agent()));
                has_come || !program.is_running()
            })
        });
        server.stop();
    }
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end && players.iter_mut().any(Program::is_running) {
        thread::sleep(Duration::from_millis(50));
    }
    let cell = |(player, program): (&Player, &mut Program)| {
        let has_ended = !program.is_running();
        program.stop();
        match has_ended {
            true => cell(*player, container, source, program, &dir),
            false => Cell::Wrong(format!("plays on after the end: {}", complaint(program))),
        }
    };
    Player::ALL.iter().zip(&mut players).map(cell).collect()
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
    let audio = player.can_take(source.audio, container);
    let received = player.received(program, dir);
    let compared = match container {
        Container::Hls => compare_part(&received, source, audio),
        _ => compare(&received, source, audio),
    };
    match compared {
        Ok(words) if audio => Cell::Same(words),
        Ok(words) => Cell::NoSound(words, complaint(program)),
        Err(words) => Cell::Wrong(format!("{words}; it says: {}", complaint(program))),
    }
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
            // The first segment that is made for the first one who asks need not end at a keyframe,
            // and VLC doesn't decode the next one with what it knows from that.
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

/// Prints the table; returns what went wrong.
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
    for player in Player::ALL {
        text += &format!("  {:CELL$}", player.name());
    }
    for (codecs, container, cells) in rows {
        text += &format!("\n{codecs:CODECS$}  {:CONTAINER$}", container.name());
        for (player, cell) in Player::ALL.iter().zip(cells) {
            let cell = match cell {
                Cell::Same(words) => words.clone(),
                Cell::NoSound(words, note) => format!("{words} {}", number(note)),
                Cell::Cannot(note) => number(note),
                Cell::Wrong(words) => {
                    let player = player.name();
                    failures.push(format!("{codecs}, {}, {player}: {words}", container.name()));
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
    // Not by `println!`, which a test's success would swallow.
    let _ = writeln!(std::io::stdout().lock(), "{text}\n");
    failures
}
