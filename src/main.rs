//! The program: arguments, logger, server, signals. The only place with exit codes: 0 after a
//! signal, 1 when the server can't start, 2 for wrong usage.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use brooklet::cli::{self, Request, Settings};
use brooklet::server::thread;
use brooklet::{Config, Server, greeting};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod heap;
mod logger;

/// How long whoever reads the log may take for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // musl has one heap and gives back what it can, by itself.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    heap::settle();
    match cli::parse(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(Request::Print(text)) => {
            show(&text);
            ExitCode::SUCCESS
        }
        Ok(Request::Serve(settings)) => match serve(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                logger::complain(&error);
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            logger::complain(&error);
            ExitCode::from(2)
        }
    }
}

/// The error is one line; as text, since the standard library's errors come with much that isn't used.
fn serve(mut settings: Settings) -> Result<(), String> {
    settings.resolve()?;
    let logger = logger::init(settings.log).map_err(text)?;
    let result = run(settings.config);
    logger.finish(LAST_LINES);
    result
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn run(config: Config) -> Result<(), String> {
    // Before any thread starts, so that no signal is missed.
    let (mut signals, is_interrupt) = catch_signals().map_err(text)?;
    let mut server = Server::start(config.clone()).map_err(text)?;
    greeting::warn_of_low_limits(&config);
    // Last, so that whoever waits for these lines finds a server that is all set.
    if log::max_level() >= log::LevelFilter::Info {
        let (rtmp, http) = (server.rtmp_addresses(), server.http_addresses());
        let greeting = greeting::text(&config, &rtmp, &http);
        // Not here: a reader that has stopped would keep the signals from being heard.
        let show = move || show(&greeting);
        thread::spawn("greeting", logger::STACK_LEN, Box::new(show)).map_err(text)?;
    }

    let _ = signals.read_exact(&mut [0]);
    let name = match is_interrupt.load(Ordering::Relaxed) {
        true => "SIGINT",
        false => "SIGTERM",
    };
    log::info!(
        "{name}: stopping, {} connections open",
        server.connections()
    );
    server.stop();
    log::info!("stopped");
    Ok(())
}

/// Returns where a byte comes with each signal that is to end the program, and whether one was SIGINT.
fn catch_signals() -> io::Result<(UnixStream, Arc<AtomicBool>)> {
    let is_interrupt = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&is_interrupt))?;
    let (signals, handlers) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, handlers.try_clone()?)?;
    }
    Ok((signals, is_interrupt))
}

/// Prints to standard output, where nobody may be listening: that is no reason to end.
fn show(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
