//! How far behind the live edge players are that join in the middle of a GOP.
//!
//! With default settings, a player shows the first frame that it gets, and then plays at the pace of
//! the timestamps, so it stays as late as it was at the start. The live-edge join (`join=live`) avoids
//! that; `join=gop` sends the history as it was published. What a player shows is read from mpv's
//! `time-pos`, from ffplay's status line, and from the frames that VLC draws: its screen is a pipe
//! here, and each frame carries its number as a row of black and white boxes.
//!
//! The test prints a table. With `BROOKLET_JOIN_SWEEP=1` it adds rows for longer GOPs and larger
//! frames, one player at a time, which takes ten minutes.

mod common;

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::media::{self, AAC};
use common::packets::{FlvTag, flv_tags};
use common::process::{Program, run};
use common::publisher::Publisher;
use common::{Brooklet, SOON, TempDir, wait_until};

/// The number of boxes that show a frame's number, lowest bit first, each a sixteenth of the width.
const BOXES: u32 = 12;

/// When to look at a player, in ms after it was started.
const LOOK_AT: [f64; 4] = [2_000.0, 4_000.0, 6_000.0, 8_000.0];

/// The difference in ms that two runs may show for the same latency.
const TOLERANCE: f64 = 250.0;

/// The players under test.
const KINDS: &[Kind] = &[Kind::Mpv, Kind::Ffplay, Kind::Vlc];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Mpv,
    Ffplay,
    Vlc,
}

/// What is published, and when players join.
#[derive(Clone, Copy)]
struct Case {
    width: u32,
    height: u32,
    gop_seconds: u32,
    join_at: f64,
}

/// A player under observation.
enum Viewer {
    Mpv { _program: Program, ipc: PathBuf },
    Ffplay { program: Program },
    Vlc { _program: Program, screen: Screen },
}

/// Reads the frames that VLC draws, and remembers the number of the newest.
struct Screen {
    newest: Arc<AtomicU32>,
    /// Keeps the pipe open while VLC closes and reopens its end.
    writer: Option<File>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    fn start(kind: Kind, url: &str, dir: &Path, case: &Case) -> Viewer {
        match kind {
            Kind::Mpv => {
                let ipc = dir.join("mpv.socket");
                let mut command = Command::new("mpv");
                command.args(["--no-config", "--no-terminal", "--vo=null", "--ao=null"]);
                // Report the timestamps of the stream; this changes nothing else.
                command.arg("--rebase-start-time=no");
                command
                    .arg(format!("--input-ipc-server={}", ipc.display()))
                    .arg(url);
                Viewer::Mpv {
                    _program: Program::start(&mut command),
                    ipc,
                }
            }
            Kind::Ffplay => {
                let mut command = Command::new("ffplay");
                command
                    .env("SDL_VIDEODRIVER", "dummy")
                    .env("SDL_AUDIODRIVER", "dummy");
                command.args(["-hide_banner", url]);
                Viewer::Ffplay {
                    program: Program::start(&mut command),
                }
            }
            Kind::Vlc => {
                let path = dir.join("screen");
                run(Command::new("mkfifo").args(["-m", "666"]).arg(&path));
                let screen = Screen::open(&path, case);
                let mut command = media::vlc(dir);
                command.args(["--vout", "yuv", "--yuv-yuv4mpeg2", "--yuv-file"]);
                command.arg(&path);
                command.args(["--aout", "adummy", url]);
                Viewer::Vlc {
                    _program: Program::start(&mut command),
                    screen,
                }
            }
        }
    }

    /// Returns the timestamp of the frame that is shown, in ms; `None` before the first.
    fn position(&self, frames: &[u32]) -> Option<f64> {
        match self {
            Viewer::Mpv { ipc, .. } => mpv_property(ipc, "time-pos").map(|seconds| seconds * 1e3),
            Viewer::Ffplay { program } => program.with_stderr(|text| {
                // "   8.11 A-V: -0.004 fd=  23 aq= ...": the clock is that of the audio.
                let status = text.rsplit('\r').find(|line| line.contains("A-V:"))?;
                let (clock, rest) = status.split_once("A-V:")?;
                let clock: f64 = clock.trim().parse().ok()?;
                let ahead: f64 = rest.split("fd=").next()?.trim().parse().ok()?;
                Some((clock - ahead) * 1e3).filter(|position| position.is_finite())
            }),
            Viewer::Vlc { screen, .. } => {
                let newest = screen.newest.load(Ordering::Relaxed);
                frames
                    .get(newest as usize)
                    .map(|timestamp| (*timestamp).into())
            }
        }
    }
}

fn mpv_property(ipc: &Path, name: &str) -> Option<f64> {
    let mut socket = UnixStream::connect(ipc).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    writeln!(
        socket,
        r#"{{"command":["get_property","{name}"],"request_id":7}}"#
    )
    .ok()?;
    let lines = BufReader::new(socket).lines().map_while(Result::ok);
    let reply = lines
        .take(20)
        .find(|line| line.contains("\"request_id\":7"))?;
    let (_, data) = reply.split_once("\"data\":")?;
    data.split([',', '}']).next()?.trim().parse().ok()
}

impl Screen {
    fn open(path: &Path, case: &Case) -> Screen {
        // Opened for both directions, this doesn't wait for the other end; nor does the next line then.
        let writer = OpenOptions::new().read(true).write(true).open(path);
        let writer = writer.expect("the pipe can be opened");
        let reader = File::open(path).expect("the pipe can be opened");
        let newest = Arc::new(AtomicU32::new(u32::MAX));
        let (width, height) = (case.width as usize, case.height as usize);
        let shown = Arc::clone(&newest);
        let thread = thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            let mut frame = vec![0; width * height * 3 / 2];
            loop {
                // A line "FRAME" precedes each frame. VLC opens its screen more than once and may
                // leave part of a frame behind, so this also resynchronizes.
                line.clear();
                // Ends when no writer is left.
                if !reader.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                    return;
                }
                if !line.ends_with(b"FRAME\n") || reader.read_exact(&mut frame).is_err() {
                    continue;
                }
                // The middle of each box, in the luma plane.
                let row = 8 * width;
                let bit = |b: usize| frame[row + width / 16 * b + width / 32] > 128;
                let number = (0..BOXES).map(|b| u32::from(bit(b as usize)) << b).sum();
                shown.store(number, Ordering::Relaxed);
            }
        });
        Screen {
            newest,
            writer: Some(writer),
            thread: Some(thread),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // VLC has ended by now. Without this writer the thread reads what is left, and ends.
        self.writer = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A filter graph that draws moving frames, each with its number on it.
fn source(case: &Case) -> String {
    let mut graph = format!(
        "testsrc2=size={}x{}:rate=30,drawbox=x=0:y=0:w=iw:h=16:color=black:t=fill",
        case.width, case.height
    );
    for bit in 0..BOXES {
        let _ = write!(
            graph,
            ",drawbox=x=iw/16*{bit}:y=0:w=iw/16:h=16:color=white:t=fill:\
             enable='gt(bitand(n,{}),0)'",
            1 << bit
        );
    }
    graph
}

/// How far behind a player was at each look, in ms.
struct Row {
    kind: Kind,
    join: &'static str,
    behind: [Option<f64>; LOOK_AT.len()],
}

/// Makes the file that is published in a case.
fn make(dir: &TempDir, case: &Case) -> PathBuf {
    let gop = (case.gop_seconds * 30).to_string();
    let rate = if case.height > 500 { "2500k" } else { "800k" };
    let video: &[&str] = &[
        "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", &gop,
    ];
    let more: &[&str] = &["-keyint_min", &gop, "-sc_threshold", "0", "-b:v", rate];
    let seconds = (case.join_at + LOOK_AT[LOOK_AT.len() - 1]) as u32 / 1000 + 3;
    media::make_with_picture(dir, &source(case), seconds, &[video, more, AAC])
}

/// Publishes the file and observes players of these kinds, each with both joins.
fn measure(case: &Case, file: &Path, kinds: &[Kind]) -> Vec<Row> {
    let dir = TempDir::new();
    let tags = flv_tags(file);
    let is_frame = |tag: &&FlvTag| tag.type_id == 9 && tag.body.get(1) == Some(&1);
    let frames: Vec<u32> = tags
        .iter()
        .filter(is_frame)
        .map(|tag| tag.timestamp)
        .collect();

    let server = Brooklet::start(&["--grace", "1s"]);
    let publisher = Publisher::start(server.port(), "cam", tags, 0);
    let is_reached = |time: f64| move |publisher: &Publisher| publisher.live_edge() >= time;
    let join_time = is_reached(case.join_at);
    wait_until("it is time to join", SOON * 3, || join_time(&publisher));
    let joined = publisher.live_edge();
    let mut viewers = Vec::new();
    for kind in kinds {
        for join in ["live", "gop"] {
            let dir = dir.join(&format!("{kind:?}-{join}"));
            std::fs::create_dir(&dir).expect("a folder for the player can be made");
            let url = format!("{}?join={join}", server.url("cam"));
            let viewer = Viewer::start(*kind, &url, &dir, case);
            viewers.push((
                viewer,
                Row {
                    kind: *kind,
                    join,
                    behind: Default::default(),
                },
            ));
        }
    }
    for (look, time) in LOOK_AT.into_iter().enumerate() {
        let time = is_reached(joined + time);
        wait_until("it is time to look", SOON, || time(&publisher));
        for (viewer, row) in &mut viewers {
            let position = viewer.position(&frames);
            row.behind[look] = position.map(|position| publisher.live_edge() - position);
        }
    }
    viewers.into_iter().map(|(_, row)| row).collect()
}

fn print_head() {
    println!(
        "{:<10} {:>7} {:>8} {:>8}  {:<7} {:<5} {}",
        "size",
        "GOP",
        "join at",
        "frames",
        "player",
        "join",
        LOOK_AT
            .map(|time| format!("{:>9}", format!("at {} s", time / 1e3)))
            .join("")
    );
}

fn print_rows(case: &Case, rows: &[Row]) {
    for row in rows {
        let behind = row.behind.map(|behind| match behind {
            Some(ms) => format!("{:>7.2} s", ms / 1e3),
            None => format!("{:>9}", "-"),
        });
        println!(
            "{:<10} {:>5} s {:>6} s {:>8}  {:<7} {:<5} {}",
            format!("{}x{}", case.width, case.height),
            case.gop_seconds,
            case.join_at / 1e3,
            case.join_at * 30.0 / 1e3,
            format!("{:?}", row.kind),
            row.join,
            behind.join("")
        );
    }
}

#[test]
#[ignore = "needs ffmpeg, ffplay, mpv, vlc"]
fn a_live_edge_join_is_no_further_behind_than_the_whole_gop() {
    let case = Case {
        width: 640,
        height: 360,
        gop_seconds: 10,
        join_at: 3_000.0,
    };
    let dir = TempDir::new();
    let rows = measure(&case, &make(&dir, &case), KINDS);

    println!("\nbehind the live edge:");
    print_head();
    print_rows(&case, &rows);
    for pair in rows.chunks(2) {
        let at_end = |row: &Row| row.behind[LOOK_AT.len() - 1].expect("the player shows something");
        let (live, gop) = (at_end(&pair[0]), at_end(&pair[1]));
        assert!(
            live <= gop + TOLERANCE,
            "{:?}: {live} ms, not {gop} ms",
            pair[0].kind
        );
    }
    if std::env::var_os("BROOKLET_JOIN_SWEEP").is_some() {
        sweep();
    }
}

/// Prints further rows: longer GOPs and larger frames.
fn sweep() {
    for (width, height, gop_seconds, join_at) in [
        (640, 360, 20, 8e3),
        (640, 360, 30, 25e3),
        (1280, 720, 10, 3e3),
        (1280, 720, 20, 8e3),
        (1280, 720, 20, 15e3),
        (1280, 720, 30, 25e3),
    ] {
        let case = Case {
            width,
            height,
            gop_seconds,
            join_at,
        };
        let dir = TempDir::new();
        let file = make(&dir, &case);
        // One player at a time, so that they don't compete for the processor.
        for kind in KINDS {
            print_rows(&case, &measure(&case, &file, &[*kind]));
        }
    }
}
