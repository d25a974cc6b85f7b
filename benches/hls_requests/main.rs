//! The benchmark of HLS requests: their cost, beside nginx serving the same bytes as static files.
//!
//! ```text
//! cargo bench --bench hls_requests -- [--quick] [--rounds N] [--other PROGRAM]
//! ```
//!
//! A stream of 4 Mbit/s is published in real time, in segments of 2 s and 1 MB, and parts of 0.5 s
//! and 250 KB. Each round fetches the newest playlist, part and segment, puts them into nginx's
//! folder, and then requests each of them from each server in turn, many times, over one connection
//! and over eight at once; all connections stay open meanwhile. Measured is the server's CPU time
//! (see `process::CpuTime`) per request, without what relaying the stream takes in the same time.
//! Beside them a bare loop serves the files, this program again (see `bare_loop`): it shows the
//! cost of a thread per connection, and of writing from memory, alone. `--other` is another build
//! of brooklet, compared in the same run.
//!
//! Meanwhile a player plays the stream as FLV: how late its messages arrive with and without
//! requests is printed too. Publisher, player and clients are in one process and share the
//! processors with the servers, so the effect of requests to nginx on a stream of brooklet's is
//! printed beside.
//!
//! Exit code 1: a server did not answer, or not as expected. Slowness is reported, not judged.

// The other benchmark has more than this one needs.
#[allow(dead_code, unreachable_pub)]
#[path = "../fanout/amf.rs"]
mod amf;
mod bare_loop;
mod canary;
#[allow(dead_code)]
#[path = "../fanout/client.rs"]
mod client;
#[path = "../fanout/flv.rs"]
mod flv;
#[path = "../fanout/http.rs"]
mod http;
mod load;
#[allow(dead_code)]
#[path = "../fanout/media.rs"]
mod media;
#[path = "../fanout/mp4.rs"]
mod mp4;
mod nginx;
#[allow(dead_code)]
#[path = "../fanout/process.rs"]
mod process;
#[allow(dead_code)]
#[path = "../fanout/publishers.rs"]
mod publishers;
mod report;
#[allow(dead_code)]
#[path = "../fanout/session.rs"]
mod session;
#[allow(dead_code)]
#[path = "../fanout/view.rs"]
mod view;
#[allow(dead_code)]
#[path = "../fanout/wire.rs"]
mod wire;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use canary::Canary;
use load::{Answer, Asking};
use nginx::Nginx;
use process::{Load, Server};
use publishers::Publishing;
use report::{Kind, Report};

/// The numbers of simultaneous connections.
const CONNECTIONS: [usize; 2] = [1, 8];
/// The deadline for the first segments and parts.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The time without requests, in each round.
const IDLE: Duration = Duration::from_secs(1);

/// The hidden argument that makes this program the bare loop.
const BARE_LOOP: &str = "--bare-loop";

struct Options {
    rounds: usize,
    /// The divisor of the usual number of requests.
    share: usize,
    other: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() == Some(BARE_LOOP) {
        let address = arguments.next().unwrap_or_default();
        let folder = PathBuf::from(arguments.next().unwrap_or_default());
        return exit_code(
            bare_loop::run(&address, folder).map_err(|error| format!("bare loop: {error}")),
        );
    }
    if env::args().len() == 1 {
        // `cargo test --all-targets` runs it like this: a minute of load is no test.
        println!("run it with: cargo bench --bench hls_requests");
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

fn parse_options() -> Result<Options, String> {
    use lexopt::prelude::*;
    let (mut rounds, mut share, mut other) = (7, 1, None);
    let mut parser = lexopt::Parser::from_env();
    let mut parse = || -> Result<(), lexopt::Error> {
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => {} // cargo passes it
                Long("quick") => (rounds, share) = (1, 4),
                Long("rounds") => rounds = parser.value()?.parse::<usize>()?.max(1),
                Long("other") => other = Some(parser.value()?.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(())
    };
    parse().map_err(|error| error.to_string())?;
    Ok(Options {
        rounds,
        share,
        other,
    })
}

/// A server with the stream, which runs all the time.
struct Live {
    name: &'static str,
    server: Server,
    canary: Canary,
    _publishing: Publishing,
}

impl Live {
    fn start(name: &'static str, program: &str) -> Result<Self, String> {
        let options = "--rtmp {address} --http {http_address} --log warn --max-connections 1024 \
                       --max-per-address 1024 --max-connect-rate 100000";
        let command: Vec<_> = [program]
            .into_iter()
            .chain(options.split_whitespace())
            .map(str::to_owned)
            .collect();
        let server = Server::start(&command)?;
        let publishing = Publishing::start(server.address, 1)?;
        let canary = Canary::start(&server)?;
        Ok(Self {
            name,
            server,
            canary,
            _publishing: publishing,
        })
    }

    /// The path of a playlist, or of what it names.
    fn path(&self, name: &str) -> String {
        format!("/{}/{}/{name}", client::APP, publishers::stream_name(0))
    }

    /// Returns what can be requested now: the paths and contents, by kind.
    fn newest(&self) -> Result<[(String, Vec<u8>); 3], String> {
        let deadline = Instant::now() + START_TIMEOUT;
        let mut asking = Asking::connect(self.server.http_address, 0)?;
        let mut get = |name: &str| -> Result<(String, Vec<u8>), String> {
            let path = self.path(name);
            let Answer { status, body } = asking.get(&path)?;
            match status {
                200 => Ok((path, body)),
                _ => Err(format!("{path}: status {status}")),
            }
        };
        loop {
            let found = get("media.m3u8").and_then(|playlist| {
                let text = String::from_utf8_lossy(&playlist.1);
                let (part, segment) =
                    names(&text).ok_or("no part of a complete segment is listed")?;
                Ok([playlist.clone(), get(part)?, get(segment)?])
            });
            match found {
                Ok(found) => return Ok(found),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}

/// Of a playlist that lists three segments: the second part of the newest one, and that itself.
fn names(playlist: &str) -> Option<(&str, &str)> {
    let segments: Vec<_> = playlist.lines().filter(|l| !l.starts_with('#')).collect();
    let segment = segments.get(2..)?.last()?;
    let (name, _) = segment.split_once(".m4s")?;
    let part = |line: &str| line.contains(&format!("\"{name}.1.m4s"));
    let tag = playlist
        .lines()
        .find(|line| line.starts_with("#EXT-X-PART:") && part(line))?;
    let (_, uri) = tag.split_once("URI=\"")?;
    Some((uri.split('"').next()?, segment))
}

fn run(options: &Options) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        println!("this benchmark reads /proc, so it runs on Linux only");
        return Ok(());
    }
    let Some(nginx) = Nginx::start()? else {
        println!("this benchmark needs nginx (Debian: nginx-light), which is not installed");
        return Ok(());
    };
    let mut lives = vec![Live::start("brooklet", env!("CARGO_BIN_EXE_brooklet"))?];
    if let Some(program) = &options.other {
        lives.push(Live::start("other", program)?);
    }
    let bare_loop = nginx.start_bare_loop(BARE_LOOP)?;
    let of_files = [&nginx.server, &bare_loop];
    let names = lives.iter().map(|live| live.name);
    let names: Vec<_> = ["bare loop"].into_iter().chain(names).collect();
    let mut report = Report::new(&names);
    for live in &lives {
        live.newest()
            .map_err(|error| format!("{}: {error}", live.name))?;
    }
    for round in 1..=options.rounds {
        let mut idle = Vec::new();
        for live in &lives {
            let before = Load::read(&live.server);
            live.canary.set_phase(canary::IDLE);
            thread::sleep(IDLE);
            live.canary.set_phase(canary::UNCOUNTED);
            let used = Load::read(&live.server).since(&before).server;
            idle.push(used.as_secs_f64() / IDLE.as_secs_f64());
        }
        for kind in Kind::ALL {
            for connections in CONNECTIONS {
                // Indexes 0 and 1 are nginx and the bare loop. In turns, so that none is always the
                // first.
                let mut order: Vec<_> = (0..of_files.len() + lives.len()).collect();
                let count = order.len();
                order.rotate_left(round % count);
                let found: Vec<_> = lives.iter().map(Live::newest).collect::<Result<_, _>>()?;
                let (_, same) = &found[0][kind as usize];
                nginx.put(kind.file(), same)?;
                for target in order {
                    let live = target.checked_sub(of_files.len());
                    let (server, path, idle) = match live {
                        None => (of_files[target], format!("/{}", kind.file()), 0.0),
                        Some(index) => {
                            let (path, _) = &found[index][kind as usize];
                            (&lives[index].server, path.clone(), idle[index])
                        }
                    };
                    let (phase, concerned) = match (target, live) {
                        (0, _) => (canary::NGINX, &lives[..]),
                        (_, Some(index)) => (canary::SERVER, &lives[index..=index]),
                        _ => (canary::UNCOUNTED, &[][..]),
                    };
                    let set_phase = |phase| {
                        concerned
                            .iter()
                            .for_each(|live| live.canary.set_phase(phase));
                    };
                    let requests = kind.requests() / options.share;
                    let measured =
                        load::measure(server, &path, connections, requests, set_phase, phase)?;
                    let own = measured.cpu.as_secs_f64() - idle * measured.wall.as_secs_f64();
                    let each = own / (connections * requests) as f64;
                    report.add(kind, connections, target, each, same.len());
                }
            }
        }
        eprintln!("round {round} of {} is done", options.rounds);
    }
    print!("{report}");
    for live in &lives {
        print!("{}", live.canary.report(live.name)?);
    }
    Ok(())
}
