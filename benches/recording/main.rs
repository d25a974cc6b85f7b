//! The benchmark of the recorder: what it costs to write streams to a disk, beside loops that write as many
//! bytes.
//!
//! ```text
//! cargo bench --bench recording -- [--quick] [--rounds N] [--seconds N] [--files N] [--dir DIR]
//!                                  [--only cost,memory,players,files] [--program PROGRAM]
//! ```
//!
//! The disk is an ext4 in a file below DIR (default: the temporary folder), on a loop device, whose counters
//! say what arrived at it; that needs root. Otherwise it is a folder, and the server's `write_bytes` in
//! `/proc` say what it wrote. Four measurements, each in rounds that alternate between what is compared:
//!
//! - Cost: four streams of 4 Mbit/s, ten times as fast as in real time, and synced every second, so that
//!   as many bytes lie between two syncs as in real time with the default. CPU time of the recorders'
//!   threads, and of the server with recorders less that without, over the bytes in the files. Beside
//!   them a loop that reads `/dev/zero` and writes 256 KiB at a time, at the same pace and with as many
//!   bytes between syncs, and `dd`, which syncs once and writes as fast as it can. Bytes written to
//!   the device, up to the end of the server, over the bytes of payload published.
//! - Memory: anonymous resident memory without the mapping that holds the arena, with 0, 1 and 4
//!   recordings of four streams.
//! - Players: latency and losses of 50 players of one of four streams in real time, with and without
//!   recordings of the four.
//! - Files: time from the start to the complete list, memory, and answers of the API, with 100,000 files.
//!
//! `--program` is another build of brooklet, in place of this one.
//!
//! What the kernel's own threads do isn't counted: they write back for everybody.
//!
//! Exit code 1: a server did not answer, or a player missed something. Slowness is reported, not judged.

// The other benchmark has more than this one needs.
#[path = "../fanout/amf.rs"]
mod amf;
#[path = "../fanout/client.rs"]
mod client;
mod cost;
mod disk;
mod figures;
mod files;
#[path = "../fanout/flv.rs"]
mod flv;
#[path = "../fanout/http.rs"]
mod http;
mod live;
#[path = "../fanout/media.rs"]
mod media;
mod memory;
#[path = "../fanout/mp4.rs"]
mod mp4;
#[path = "../fanout/players.rs"]
mod players;
#[path = "../fanout/process.rs"]
mod process;
#[path = "../fanout/publishers.rs"]
mod publishers;
#[allow(dead_code)]
#[path = "../fanout/session.rs"]
mod session;
#[allow(dead_code)]
#[path = "../fanout/table.rs"]
mod table;
#[path = "../fanout/view.rs"]
mod view;
#[allow(dead_code)]
#[path = "../fanout/watch.rs"]
mod watch;
#[allow(dead_code)]
#[path = "../fanout/wire.rs"]
mod wire;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use disk::TestDisk;

/// The number of streams in all measurements but that of files.
const STREAMS: u32 = 4;

pub(crate) struct Options {
    rounds: usize,
    window: Duration,
    files: u32,
    dir: PathBuf,
    only: Vec<String>,
    /// The server to measure.
    program: String,
    stop: Arc<AtomicBool>,
}

fn main() -> ExitCode {
    if env::args().len() == 1 {
        // `cargo test --all-targets` runs it like this: minutes of load are no test.
        println!("run it with: cargo bench --bench recording");
        return ExitCode::SUCCESS;
    }
    match parse_options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_options() -> Result<Options, String> {
    use lexopt::prelude::*;
    let (mut rounds, mut seconds, mut files) = (5, 10.0, 100_000);
    let (mut dir, mut only) = (env::temp_dir(), Vec::new());
    let mut program = env!("CARGO_BIN_EXE_brooklet").to_owned();
    let mut parser = lexopt::Parser::from_env();
    let mut parse = || -> Result<(), lexopt::Error> {
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => {} // cargo passes it
                Long("quick") => (rounds, seconds, files) = (1, 3.0, 2_000),
                Long("rounds") => rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("seconds") => seconds = parser.value()?.parse::<f64>()?.clamp(2.0, 600.0),
                Long("files") => files = parser.value()?.parse::<u32>()?.max(1),
                Long("dir") => dir = parser.value()?.into(),
                Long("only") => {
                    let list = parser.value()?.string()?;
                    only = list.split(',').map(str::to_owned).collect();
                }
                Long("program") => program = parser.value()?.string()?,
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(())
    };
    parse().map_err(|error| error.to_string())?;
    Ok(Options {
        rounds,
        window: Duration::from_secs_f64(seconds),
        files,
        dir,
        only,
        program,
        stop: Arc::default(),
    })
}

fn run(options: &Options) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        println!("the recording benchmark reads /proc, so it runs on Linux only");
        return Ok(());
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&options.stop));
        registered.map_err(|error| format!("signal {signal}: {error}"))?;
    }
    let disk = TestDisk::new(&options.dir)?;
    println!("The disk: {disk}.");
    type Measure = fn(&Options, &TestDisk) -> Result<(), String>;
    let all: [(&str, Measure); 4] = [
        ("cost", cost::run),
        ("memory", memory::run),
        ("players", live::run),
        ("files", files::run),
    ];
    for (name, measure) in all {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            println!();
            measure(options, &disk)?;
        }
    }
    Ok(())
}

impl Options {
    /// The command that starts the server, with a folder for recordings, and more options if there is one.
    /// There is memory for what waits for a sync at several times the usual rate.
    fn command(&self, record: Option<&Path>, more: &str) -> Vec<String> {
        let limits = "--rtmp {address} --http {http_address} --log warn --max-connections 1024 \
                      --max-per-address 1024 --max-connect-rate 100000 --memory 256M";
        let mut command = vec![self.program.clone()];
        command.extend(limits.split_whitespace().map(str::to_owned));
        if let Some(folder) = record {
            command.extend(["--record".into(), folder.to_string_lossy().into_owned()]);
            command.extend(["--record-free".into(), "off".into()]);
            command.extend(more.split_whitespace().map(str::to_owned));
        }
        command
    }
}
