//! The program: arguments, logger, server, signals.

mod advice;
mod arguments;
mod cli;
#[cfg(feature = "relay")]
mod flv_file;
mod greeting;
#[cfg(target_os = "linux")]
mod heap;
mod logger;
#[cfg(feature = "relay")]
mod pace;
#[cfg(feature = "relay")]
mod play;
#[cfg(feature = "relay")]
mod probe;
#[cfg(feature = "relay")]
mod progress;
#[cfg(feature = "relay")]
mod publish;
#[cfg(feature = "relay")]
mod source;

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(feature = "relay")]
use brooklet::client::Client;
use brooklet::server::thread;
#[cfg(feature = "relay")]
use brooklet::url::Url;
use brooklet::{Config, Server};
#[cfg(feature = "relay")]
use cli::Command;
use cli::{Request, Settings};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::pipe;

/// How long the program waits at its start for a look at the disk of its recordings.
const FIRST_LOOK: Duration = Duration::from_millis(300);

/// How long the program waits at its end until the last lines of the log are written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Runs the program. The only place with exit codes: 0 after a signal or when a command is done, 1 when
/// the server can't start or a command fails, 2 for wrong usage. Only signals that end a command at once have
/// others; see the module `progress`.
pub(crate) fn run() -> ExitCode {
    #[cfg(target_os = "linux")]
    heap::settle();
    match cli::parse(arguments::given(), std::env::vars_os()) {
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
        #[cfg(feature = "relay")]
        Ok(Request::Run(command)) => run_command(command),
        Err(error) => {
            logger::complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Runs a command that speaks to another server.
#[cfg(feature = "relay")]
fn run_command(command: Command) -> ExitCode {
    let (Command::Publish { remote, .. }
    | Command::Play { remote, .. }
    | Command::Probe { remote, .. }) = &command;
    let timeout = remote.timeout;
    if let Command::Publish { .. } = &command {
        let text = match Url::parse(&remote.url) {
            Ok(url) if url.scheme().is_rtmp() => None,
            Ok(url) => {
                let scheme = url.scheme().name();
                Some(format!(
                    "cannot publish to {scheme}://, expected rtmp:// or rtmps://"
                ))
            }
            Err(error) => Some(error.of_rtmp()),
        };
        if let Some(text) = text {
            logger::complain(&text);
            return ExitCode::from(2);
        }
    }
    let client = match Client::new(&remote.url) {
        Ok(client) => client.timeout(timeout).tls_ca(remote.tls_ca.clone()),
        Err(error) => {
            logger::complain(&error);
            return ExitCode::from(2);
        }
    };
    let result = match command {
        Command::Publish {
            file,
            is_paced,
            is_looped,
            ..
        } => publish::publish(client, &file, is_paced, is_looped),
        Command::Play { file, .. } => play::play(client, file.as_deref(), timeout),
        Command::Probe { time, is_json, .. } => {
            let (text, is_live) = probe::probe(client, time, timeout, is_json);
            show(&text);
            return ExitCode::from(u8::from(!is_live));
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logger::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs the server until a signal. The error is one line of text: `Box<dyn Error>` would add code that
/// nothing else uses.
fn log_and_serve(mut settings: Settings) -> Result<(), String> {
    settings.resolve()?;
    let logger =
        logger::init(settings.log).map_err(|error| format!("cannot start the log: {error}"))?;
    let result = serve(settings.config);
    logger.finish(LAST_LINES);
    result
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn serve(config: Config) -> Result<(), String> {
    // Registered before any thread starts, so that no signal is missed.
    let (mut signals, is_interrupt) = catch_signals().map_err(text)?;
    let mut server = Server::start(config).map_err(|error| advice::explain(&error))?;
    let config = server.config();
    greeting::warn_of_low_limits(config);
    // Printed last, because a program that waits for these lines may use the server at once.
    if log::max_level() >= log::LevelFilter::Info {
        let (rtmp, http) = (server.rtmp_addresses(), server.http_addresses());
        let disk = server.await_disk(FIRST_LOOK);
        let (rtmps, https) = (server.rtmps_addresses(), server.https_addresses());
        let tls = [&*rtmps, &*https];
        let greeting = greeting::text(config, &rtmp, &http, tls, disk.as_ref());
        // Printed on a separate thread: a stopped reader of standard output must not keep this thread
        // from seeing signals.
        let show = move || show(&greeting);
        thread::spawn("greeting", logger::STACK_LEN, Box::new(show))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
    }

    let _ = signals.read_exact(&mut [0]);
    let name = if is_interrupt.load(Ordering::Relaxed) {
        "SIGINT"
    } else {
        "SIGTERM"
    };
    log::info!(
        "{name}: stopping, {} connections open",
        server.connection_count()
    );
    server.stop();
    log::info!("stopped");
    Ok(())
}

/// Returns a socket that receives a byte with each signal that ends the program, and a flag that is
/// set when one was SIGINT.
fn catch_signals() -> io::Result<(UnixStream, Arc<AtomicBool>)> {
    let is_interrupt = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&is_interrupt))?;
    let (signals, handlers) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, handlers.try_clone()?)?;
    }
    Ok((signals, is_interrupt))
}

/// Prints to standard output. Ignores errors, since the program goes on even if standard output is
/// closed.
fn show(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
