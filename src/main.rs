//! The program: arguments, logger, server, signals. The only place with exit codes: 0 after a
//! signal, 1 when the server can't start, 2 for wrong usage.

use std::io::Write;
use std::process::ExitCode;

use brooklet::cli::{self, Request, Settings};
use brooklet::{Server, greeting};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod heap;
mod logger;

fn main() -> ExitCode {
    // musl has one heap and gives back what it can, by itself.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    heap::settle();
    match cli::parse(std::env::args_os().skip(1), environment) {
        Ok(Request::Print(text)) => {
            show(&text);
            ExitCode::SUCCESS
        }
        Ok(Request::Serve(settings)) => match serve(settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("brooklet: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("brooklet: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    logger::init(settings.log);
    // Before any thread starts, so that no signal is missed.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let config = settings.config;
    let mut server = Server::start(config.clone())?;
    greeting::warn_of_low_limits(&config);
    // Last, so that whoever waits for these lines finds a server that is all set.
    if log::max_level() >= log::LevelFilter::Info {
        let (rtmp, http) = (server.rtmp_addresses(), server.http_addresses());
        show(&greeting::text(&config, &rtmp, &http));
    }

    if let Some(signal) = signals.forever().next() {
        let name = if signal == SIGINT {
            "SIGINT"
        } else {
            "SIGTERM"
        };
        log::info!(
            "{name}: stopping, {} connections open",
            server.connections()
        );
    }
    server.stop();
    log::info!("stopped");
    Ok(())
}

/// What isn't valid Unicode is not to be overlooked: it might have been a key.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Prints to standard output, where nobody may be listening: that is no reason to end.
fn show(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
