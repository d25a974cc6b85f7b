//! The relay benchmark: what pushes and pulls cost, beside players, publishers and a bare loop.
//!
//! ```text
//! cargo bench --bench relay -- [--quick] [--rounds N] [--seconds N] [--only cost,memory,start,demand]
//!                              [--program FILE]
//! ```
//!
//! - Cost: CPU time of the server over the payload bytes that it sends, while it passes a stream on to 20
//!   receivers: other servers by pushes, or players; and that of the bare loop of the other benchmark, which sends
//!   the same to as many players. The players check every byte. One plays what is pushed from the other server.
//! - Memory: anonymous resident memory without the mapping that holds the arena: that of 20 pushes of a stream,
//!   or players of it, and of 20 pulls, or publishers. Over 20.
//! - Start: the time from the start of the program to the first picture that a player of the other server gets,
//!   while a publisher waits for the program.
//! - On demand: how long a player waits for its first picture, counted from its first packet: from the source
//!   itself, from a server that pulls the stream when asked, and from that one when it is pulled already.
//!
//! `--program` is another build of brooklet, in place of this one.
//!
//! Exit code 1: a server did not answer, or a player missed something. Slowness is reported, not judged.

#[path = "../fanout/amf.rs"]
mod amf;
#[path = "../fanout/bare_loop.rs"]
mod bare_loop;
#[path = "../fanout/client.rs"]
mod client;
mod cost;
// The other benchmarks have more than this one needs.
#[allow(dead_code)]
#[path = "../recording/disk.rs"]
mod disk;
#[allow(dead_code)]
#[path = "../recording/figures.rs"]
mod figures;
#[path = "../fanout/flv.rs"]
mod flv;
#[path = "../fanout/http.rs"]
mod http;
#[path = "../fanout/media.rs"]
mod media;
mod memory;
#[path = "../fanout/mp4.rs"]
mod mp4;
#[allow(dead_code)]
#[path = "../fanout/players.rs"]
mod players;
#[allow(dead_code)]
#[path = "../fanout/process.rs"]
mod process;
#[allow(dead_code)]
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
mod waits;
#[allow(dead_code)]
#[path = "../fanout/watch.rs"]
mod watch;
#[path = "../fanout/wire.rs"]
mod wire;

use std::env;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use process::Server;
use table::median;
use watch::pause;

/// The number of streams, pushes and pulls.
const COUNT: u32 = 20;
/// The hidden argument that makes this program the bare loop.
const BARE_LOOP: &str = "--bare-loop";
/// How long pushes and pulls may take to begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Options {
    rounds: usize,
    window: Duration,
    only: Vec<String>,
    /// The server to measure.
    program: String,
    stop: Arc<AtomicBool>,
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let result = match (arguments.next().as_deref(), arguments.next()) {
        (Some(BARE_LOOP), Some(address)) => {
            let address = address.parse().map_err(std::io::Error::other);
            let served = address.and_then(bare_loop::run);
            served.map_err(|error| format!("bare loop: {error}"))
        }
        (None, _) => {
            // `cargo test --all-targets` runs it like this: minutes of load are no test.
            println!("run it with: cargo bench --bench relay");
            Ok(())
        }
        _ => parse_options().and_then(|options| run(&options)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_options() -> Result<Options, String> {
    use lexopt::prelude::*;
    let (mut rounds, mut seconds, mut only) = (5, 10.0, Vec::new());
    let mut program = env!("CARGO_BIN_EXE_brooklet").to_owned();
    let mut parser = lexopt::Parser::from_env();
    let mut parse = || -> Result<(), lexopt::Error> {
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => {} // cargo passes it
                Long("quick") => (rounds, seconds) = (1, 2.0),
                Long("rounds") => rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("seconds") => seconds = parser.value()?.parse::<f64>()?.clamp(1.0, 600.0),
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
        only,
        program,
        stop: Arc::default(),
    })
}

fn run(options: &Options) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        println!("the relay benchmark reads /proc, so it runs on Linux only");
        return Ok(());
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&options.stop));
        registered.map_err(|error| format!("signal {signal}: {error}"))?;
    }
    type Measure = fn(&Options) -> Result<(), String>;
    let all: [(&str, Measure); 4] = [
        ("cost", cost::run),
        ("memory", memory::run),
        ("start", waits::start),
        ("demand", waits::on_demand),
    ];
    for (name, measure) in all {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            measure(options)?;
            println!();
        }
    }
    Ok(())
}

impl Options {
    /// Starts the server, with more options than the usual ones.
    fn brooklet(&self, more: &[String]) -> Result<Server, String> {
        Server::start(&self.command(more))
    }

    fn command(&self, more: &[String]) -> Vec<String> {
        let limits = "--rtmp {address} --http {http_address} --log warn --max-connections 1024 \
                      --max-per-address 1024 --max-connect-rate 100000 --memory 256M";
        let mut command = vec![self.program.clone()];
        command.extend(limits.split_whitespace().map(str::to_owned));
        command.extend_from_slice(more);
        command
    }

    /// The options that push one stream to a server, under so many names.
    fn pushes(far: SocketAddr) -> Vec<String> {
        let push = |number| format!("bench/stream0=rtmp://{far}/bench/stream{number}");
        let pushes = (0..COUNT).flat_map(|number| ["--push".to_owned(), push(number)]);
        pushes.collect()
    }

    /// Prints medians, in a unit, with their ranges.
    fn print(&self, title: &str, unit: &str, rows: &[(&str, Vec<f64>)]) {
        println!("{title}, {unit}, medians of {} rounds (range)", self.rounds);
        for (name, values) in rows {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let middle = median(values.iter().copied());
            println!("{name:>44} {middle:>9.2} {unit}  ({least:.2} to {most:.2})");
        }
    }
}

/// Starts a bare loop: a server that takes what is pushed, or has what is pulled.
fn bare_loop() -> Result<Server, String> {
    let own = env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let own = own.to_string_lossy().into_owned();
    Server::start(&[own, BARE_LOOP.into(), "{address}".into()])
}

/// Waits until so many pushes or pulls are live.
fn wait_until_live(
    server: &Server,
    kind: &str,
    count: u32,
    options: &Options,
) -> Result<(), String> {
    let deadline = Instant::now() + BEGIN_TIMEOUT;
    loop {
        let list = figures::get(server, &format!("/api/v1/{kind}"))?;
        if list.matches("\"state\":\"live\"").count() == count as usize {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("not all {kind} are live: {list}"));
        }
        pause(Duration::from_millis(50), &options.stop)?;
    }
}
