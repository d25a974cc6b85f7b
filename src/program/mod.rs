//! The program: arguments, logger, server, signals.

mod advice;
mod cli;
mod greeting;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod heap;
mod logger;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use brooklet::server::thread;
use brooklet::{Config, Server};
use cli::{Request, Settings};
use nix::sys::signal::{SigSet, Signal};

/// How long the reader of the log may take for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs the program. The only place with exit codes: 0 after a signal, 1 when the server can't start,
/// 2 for wrong usage.
pub(crate) fn run() -> ExitCode {
    // musl has a single heap and returns memory to the system by itself.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    heap::settle();
    match cli::parse(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(Request::Print(text)) => {
            show(&text);
            ExitCode::SUCCESS
        }
        Ok(Request::Serve(settings)) => match log_and_serve(settings) {
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

/// The error is one line, and a text: `Box<dyn Error>` would bring in code that nothing else uses.
fn log_and_serve(mut settings: Settings) -> Result<(), String> {
    settings.resolve()?;
    // Signals that end the program are blocked and waited for. Threads inherit that, so it comes before
    // the first one.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block().map_err(text)?;
    let logger = logger::init(settings.log).map_err(text)?;
    let result = serve(settings.config, &signals);
    logger.finish(LAST_LINES);
    result
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Serves until one of these signals comes.
fn serve(config: Config, signals: &SigSet) -> Result<(), String> {
    let mut server = Server::start(config.clone()).map_err(|error| advice::explain(&error))?;
    greeting::warn_of_low_limits(&config);
    // Last: a program that waits for these lines may use the server at once.
    if log::max_level() >= log::LevelFilter::Info {
        let (rtmp, http) = (server.rtmp_addresses(), server.http_addresses());
        let greeting = greeting::text(&config, &rtmp, &http);
        // On a thread of its own: a reader of standard output that has stopped must not keep this one
        // from seeing signals.
        let show = move || show(&greeting);
        thread::spawn("greeting", logger::STACK_LEN, Box::new(show)).map_err(text)?;
    }

    let name = match signals.wait() {
        Ok(Signal::SIGINT) => "SIGINT",
        _ => "SIGTERM",
    };
    log::info!(
        "{name}: stopping, {} connections open",
        server.connection_count()
    );
    server.stop();
    log::info!("stopped");
    Ok(())
}

/// Prints to standard output. That it may be closed is no reason to end.
fn show(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
