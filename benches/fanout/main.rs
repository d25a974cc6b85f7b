//! The fan-out benchmark: what relaying one stream to many players costs, beside a bare loop.
//!
//! ```text
//! cargo bench --bench fanout -- [--quick | --full] [--rounds N] [--seconds N] [--players N,SxN,..]
//!                               [--command "PROGRAM ARGUMENTS {address} {http_address}"]
//! ```
//!
//! Each round runs each scenario against five servers in turn, each a fresh process: brooklet with RTMP
//! players, the bare loop (this program again, see `bare_loop`), brooklet with viewers of FLV and of
//! fragmented MP4 over HTTP, and brooklet with `--batch 350ms`. Publishers send 4 Mbit/s at 30 frames and 43
//! audio messages per second in real time, over RTMP; players check every byte and measure each message's
//! latency. 2 s after all have joined, the window begins (10 s, with `--quick` 4 s; an even number, since a
//! GOP lasts 2 s and half a GOP more or less would change the result by some percent). Measured is the
//! server's CPU time (see `process::CpuTime`) over the payload bytes that all players received. Payload is
//! what was published, without any framing.
//!
//! On loopback the receiving half of TCP runs inside the sender's system call, and players share the
//! processors with the server. Both are the same for all, so ratios mean more than figures.
//!
//! Exit code 1: a server did not answer, or a player saw something missing, twice, or corrupt. Slowness
//! is reported, not judged.

mod amf;
mod bare_loop;
mod client;
mod flv;
mod http;
mod media;
mod mp4;
mod players;
mod process;
mod publishers;
mod report;
mod session;
mod table;
mod view;
mod watch;
mod wire;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use process::Server;
use publishers::Publishing;
use report::{Outcome, Report, Target};
use watch::watch;

const BATCH: &str = "350ms";
/// The hidden argument that makes this program the bare loop.
const BARE_LOOP: &str = "--bare-loop";

/// The number of streams, and of players per stream.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    streams: u32,
    players: usize,
}

struct Options {
    scenarios: Vec<Scenario>,
    rounds: usize,
    window: Duration,
    /// Replaces brooklet. Then there is no batched column, and HTTP columns only if it says
    /// `{http_address}`.
    command: Option<Vec<String>>,
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    if let (Some(BARE_LOOP), Some(address)) = (arguments.next().as_deref(), arguments.next()) {
        let address = address.parse().map_err(std::io::Error::other);
        return exit_code(
            address
                .and_then(bare_loop::run)
                .map_err(|e| format!("bare loop: {e}")),
        );
    }
    if env::args().len() == 1 {
        // `cargo test --all-targets` runs it like this: minutes of load are no test.
        println!("run it with: cargo bench --bench fanout");
        return ExitCode::SUCCESS;
    }
    exit_code(parse_options().and_then(|options| run(&options)))
}

fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses `N` players of one stream, or `SxN`: `N` players of each of `S` streams.
fn parse_scenario(text: &str) -> Option<Scenario> {
    let (streams, players) = text.split_once('x').unwrap_or(("1", text));
    let streams = streams.parse().ok().filter(|&count| count > 0)?;
    let players = players.parse().ok().filter(|&count| count > 0)?;
    Some(Scenario { streams, players })
}

fn parse_options() -> Result<Options, String> {
    use lexopt::prelude::*;
    let one_stream = |players| Scenario {
        streams: 1,
        players,
    };
    let mut scenarios: Vec<_> = [1, 50, 200].map(one_stream).into();
    let (mut rounds, mut seconds, mut command) = (3, 10.0, None);
    let mut parser = lexopt::Parser::from_env();
    let mut parse = || -> Result<(), lexopt::Error> {
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => {} // cargo passes it
                Long("quick") => {
                    scenarios = [1, 50].map(one_stream).into();
                    (rounds, seconds) = (2, 4.0);
                }
                Long("full") => {
                    scenarios = [1, 50, 200, 500].map(one_stream).into();
                    scenarios.extend(parse_scenario("20x10"));
                }
                Long("rounds") => rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("seconds") => seconds = parser.value()?.parse::<f64>()?.clamp(0.5, 600.0),
                Long("players") => {
                    let list = parser.value()?.string()?;
                    let parsed: Option<_> = list.split(',').map(parse_scenario).collect();
                    scenarios = parsed.ok_or_else(|| format!("--players {list}: not N or SxN"))?;
                }
                Long("command") => {
                    let line = parser.value()?.string()?;
                    command = Some(line.split_whitespace().map(str::to_owned).collect());
                }
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(())
    };
    parse().map_err(|error| error.to_string())?;
    Ok(Options {
        scenarios,
        rounds,
        window: Duration::from_secs_f64(seconds),
        command,
    })
}

/// The servers to compare, and how to start each.
fn targets(options: &Options) -> Result<Vec<(Target, Vec<String>)>, String> {
    let own = env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let own = own.to_string_lossy().into_owned();
    let bare_loop = vec![own, BARE_LOOP.into(), "{address}".into()];
    let brooklet = || {
        let program = [env!("CARGO_BIN_EXE_brooklet").to_owned()];
        let limits = "--rtmp {address} --http {http_address} --log warn --max-connections 1024 \
                      --max-per-address 1024 --max-connect-rate 100000";
        program
            .into_iter()
            .chain(limits.split_whitespace().map(str::to_owned))
            .collect()
    };
    let server: Vec<String> = options.command.clone().unwrap_or_else(brooklet);
    let has_http = server
        .iter()
        .any(|argument| argument.contains("{http_address}"));
    let mut targets = vec![
        (Target::Server, server.clone()),
        (Target::BareLoop, bare_loop),
    ];
    if has_http {
        targets.push((Target::Flv, server.clone()));
        targets.push((Target::Mp4, server.clone()));
    }
    if options.command.is_none() {
        let batch = ["--batch".to_owned(), BATCH.to_owned()];
        targets.push((Target::Batched, [&server[..], &batch].concat()));
    }
    Ok(targets)
}

fn run(options: &Options) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        println!("the fan-out benchmark reads /proc, so it runs on Linux only");
        return Ok(());
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&stop));
        registered.map_err(|error| format!("signal {signal}: {error}"))?;
    }
    let mut targets = targets(options)?;
    let mut report = Report::new(&options.scenarios);
    for round in 1..=options.rounds {
        for (row, scenario) in options.scenarios.iter().enumerate() {
            for (target, command) in &targets {
                let measured = measure(*target, command, *scenario, options.window, &stop);
                let outcome = measured.map_err(|error| format!("{target}: {error}"))?;
                eprintln!("round {round}, {scenario}, {target}: {outcome}");
                report.add(row, *target, outcome);
            }
            // In turns, so that none is always the first.
            targets.rotate_left(1);
        }
    }
    print!("{report}");
    match report.fault_count() {
        0 => Ok(()),
        count => Err(format!("{count} faults, listed above")),
    }
}

/// Measures one server from start to end.
fn measure(
    target: Target,
    command: &[String],
    scenario: Scenario,
    window: Duration,
    stop: &AtomicBool,
) -> Result<Outcome, String> {
    let mut server = Server::start(command)?;
    let measured = measure_server(target, &server, scenario, window, stop);
    measured.map_err(|error| server.explain(error))
}

fn measure_server(
    target: Target,
    server: &Server,
    scenario: Scenario,
    window: Duration,
    stop: &AtomicBool,
) -> Result<Outcome, String> {
    let idle = server.resident();
    let publishing = Publishing::start(server.address, scenario.streams)?;
    let audience = (target.protocol(), scenario.streams, scenario.players);
    let watched = watch(server, publishing, audience, window, stop)?;
    let tally = watched.tally;
    Ok(Outcome {
        cpu_per_gb: watched.used.server.as_secs_f64() / (tally.payload_bytes as f64 / 1e9),
        idle,
        resident: watched.resident,
        latest: watched.latest,
        others: watched.used.others.as_secs_f64() / window.as_secs_f64(),
        tally,
    })
}
