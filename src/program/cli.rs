//! The command line: one table of options, from which the parser, the environment variables and the help
//! are derived.
//!
//! Every option `--some-name` can also be set as `BROOKLET_SOME_NAME`; the command line wins.

mod access;
mod listen;
mod nearest;
mod opt;
#[cfg(feature = "record")]
mod record;
#[cfg(feature = "relay")]
mod relay;
#[cfg(feature = "relay")]
mod remote;
mod tls;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::time::Duration;

use access::LISTS;
use brooklet::Config;
use brooklet::live::out::join::Join;
use lexopt::Arg;
use nearest::nearest;
use opt::{Kind, Opt, PREFIX, variable_name};
#[cfg(feature = "record")]
use record::RECORD;
#[cfg(feature = "relay")]
use relay::RELAY;
#[cfg(feature = "relay")]
pub(crate) use remote::Command;
use tls::TLS;

/// The parsed command line.
#[derive(Clone, Debug, PartialEq)]
// The program has only one of these, so its size doesn't matter.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Request {
    /// The server runs with these settings.
    Serve(Settings),
    /// A command that speaks to another server runs.
    #[cfg(feature = "relay")]
    Run(Command),
    /// The program prints this text and ends.
    Print(String),
}

/// The server's configuration and the program's own settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// The configuration of the server.
    pub(crate) config: Config,
    /// Host names to listen on in addition: option, name and port. See [`Settings::resolve`].
    names: Vec<(&'static str, String, u16)>,
    /// The value of `--log`. Without it, `RUST_LOG` decides.
    pub(crate) log: Option<log::LevelFilter>,
}

/// The expected values for listeners.
const ADDRESS: &str = "a port, an address or a name such as 1935, 0.0.0.0:1935 or localhost:1935";
const ADDRESS_OR_OFF: &str =
    "off, a port, an address or a name such as 8080, 0.0.0.0:8080 or localhost:8080";

const SIZE: &str = "a size such as 32M or 512K";
const TIME: &str = "a time such as 2s, 500ms or 1m, at most a day";
const COUNT: &str = "a number of at least 1";

/// The options other than those of recording and access.
const OPTIONS: &[Opt] = &[
    Opt {
        name: "rtmp",
        value: "ADDR:PORT",
        default: "1935",
        help: "listen here; may be repeated; a port alone means all addresses, a name such as \
               localhost:1935 those of its addresses that this machine has",
        kind: Kind::Several(|settings| listen::forget(settings, "rtmp")),
        set: |settings, text| listen::listen(settings, "rtmp", text).ok_or(ADDRESS),
    },
    Opt {
        name: "http",
        value: "ADDR:PORT",
        default: if cfg!(feature = "http") {
            "8080"
        } else {
            "off"
        },
        help: "listen here for HTTP: page, players and state; may be repeated; off for nowhere",
        kind: Kind::Several(|settings| listen::forget(settings, "http")),
        set: |settings, text| {
            match text {
                "off" => listen::forget(settings, "http"),
                _ => listen::listen(settings, "http", text).ok_or(ADDRESS_OR_OFF)?,
            }
            Ok(())
        },
    },
    Opt {
        name: "memory",
        value: "SIZE",
        default: "32M",
        help: "memory for all media, claimed at start",
        kind: Kind::Single,
        set: |settings, text| {
            const MOST: u64 = isize::MAX as u64;
            let bytes = parse_size(text).ok_or(SIZE)?;
            let bytes = Some(bytes).filter(|bytes| (1 << 20..=MOST).contains(bytes));
            let bytes = bytes.ok_or("a size such as 32M, from 1M up to what this machine has")?;
            settings.config.memory = bytes as usize;
            Ok(())
        },
    },
    Opt {
        name: "history",
        value: "TIME",
        default: "12s",
        help: "what a stream keeps for players that are behind, while memory lasts; more if \
               keyframes are further apart",
        kind: Kind::Single,
        set: |settings, text| set_time(&mut settings.config.history, text),
    },
    Opt {
        name: "max-lag",
        value: "TIME",
        default: "2s",
        help: "a player further behind skips to the newest keyframe; at most half the history",
        kind: Kind::Single,
        set: |settings, text| set_time(&mut settings.config.max_lag, text),
    },
    Opt {
        name: "max-message",
        value: "SIZE",
        default: "4M",
        help: "longest audio or video message, that is: largest keyframe",
        kind: Kind::Single,
        set: |settings, text| {
            let bytes = parse_size(text).filter(|bytes| (1024..1 << 24).contains(bytes));
            settings.config.max_message = bytes.ok_or("a size from 1K to 16383K")? as u32;
            Ok(())
        },
    },
    Opt {
        name: "grace",
        value: "TIME",
        default: "30s",
        help: "how long players wait for a publisher that is gone; those of HLS twice as long if \
               it vanished",
        kind: Kind::Single,
        set: |settings, text| set_time(&mut settings.config.grace, text),
    },
    Opt {
        name: "join",
        value: "live|gop|next",
        default: "live",
        help: "where players start: at the live edge (live), at the newest keyframe (gop) or at \
               the next one (next); a URL may say ?join=gop",
        kind: Kind::Single,
        set: |settings, text| {
            settings.config.join = Join::from_name(text).ok_or("live, gop or next")?;
            Ok(())
        },
    },
    Opt {
        name: "batch",
        value: "TIME",
        default: "0ms",
        help: "let messages wait this long for company: less CPU, more delay; at most 1s",
        kind: Kind::Single,
        set: |settings, text| {
            let batch = parse_time(text).filter(|batch| *batch <= Duration::from_secs(1));
            settings.config.batch = batch.ok_or("a time from 0ms to 1s")?;
            Ok(())
        },
    },
    Opt {
        name: "max-connections",
        value: "N",
        default: "256",
        help: "connections in all, of which 7/8 may watch",
        kind: Kind::Single,
        set: |settings, text| set_count(&mut settings.config.max_connections, text),
    },
    Opt {
        name: "max-per-address",
        value: "N",
        default: "64",
        help: "connections from one address, or one /64 of IPv6; also limits the streams that \
               one address may publish",
        kind: Kind::Single,
        set: |settings, text| set_count(&mut settings.config.max_per_address, text),
    },
    Opt {
        name: "max-connect-rate",
        value: "N",
        default: "20",
        help: "new connections a second from one address; twice as many may come at once",
        kind: Kind::Single,
        set: |settings, text| {
            let rate = text.parse().ok().filter(|rate| *rate >= 1);
            settings.config.max_connect_rate = rate.ok_or(COUNT)?;
            Ok(())
        },
    },
    Opt {
        name: "idle-timeout",
        value: "TIME",
        default: "15s",
        help: "a publisher that sends nothing for this long is disconnected",
        kind: Kind::Single,
        set: |settings, text| set_time(&mut settings.config.idle_timeout, text),
    },
    Opt {
        name: "handshake-timeout",
        value: "TIME",
        default: "10s",
        help: "how long the handshake may take",
        kind: Kind::Single,
        set: |settings, text| set_time(&mut settings.config.handshake_timeout, text),
    },
    Opt {
        name: "command-timeout",
        value: "TIME",
        default: "15s",
        help: "from handshake to publish or play",
        kind: Kind::Single,
        set: |settings, text| set_time(&mut settings.config.command_timeout, text),
    },
    Opt {
        name: "log",
        value: "LEVEL",
        default: "info",
        help: "error, warn, info, debug, trace or off; RUST_LOG works too",
        kind: Kind::Single,
        set: |settings, text| {
            let level = text.parse().ok();
            settings.log = Some(level.ok_or("error, warn, info, debug, trace or off")?);
            Ok(())
        },
    },
];

/// A build that can't record has no options for it.
#[cfg(not(feature = "record"))]
const RECORD: &[Opt] = &[];

/// A build that neither pushes nor pulls has no options for that.
#[cfg(not(feature = "relay"))]
const RELAY: &[Opt] = &[];

/// All options, in the order of the help text.
fn options() -> impl Iterator<Item = &'static Opt> {
    OPTIONS
        .iter()
        .chain(TLS)
        .chain(RECORD)
        .chain(RELAY)
        .chain(LISTS)
}

/// The value of `--max-lag` until it is given. It isn't a valid argument.
const NOT_GIVEN: Duration = Duration::ZERO;

/// Parses the arguments (without the program's name) and the environment. The error is one line that
/// says what was wrong and what was expected.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Request, String> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(name) = command(&arguments) {
        arguments.remove(0);
        #[cfg(feature = "relay")]
        if let Some(request) = remote::parse(&name, arguments.clone()) {
            return request;
        }
        if name != "serve" {
            return Err(unknown_command(&name));
        }
    }
    let mut settings = Settings::default();
    settings.config.max_lag = NOT_GIVEN;
    // Errors in variables are reported last: --help has to work even if a variable is wrong.
    let mut environment = environment.into_iter();
    let understood = environment.try_for_each(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        take_variable(&mut settings, &name, &value)
    });

    // The options seen so far. The first value of an option replaces its default, and values from the
    // environment.
    let mut given = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Request::Print(help())),
            Arg::Short('V') | Arg::Long("version") => {
                let version = concat!("brooklet ", env!("CARGO_PKG_VERSION"), "\n");
                return Ok(Request::Print(version.to_owned()));
            }
            Arg::Long(name) => {
                let Some(option) = options().find(|option| option.name == name) else {
                    return Err(unknown("option", "--", name));
                };
                let value = value_of(&mut parser, option)?;
                if !given.contains(&option.name) {
                    given.push(option.name);
                    option.clear(&mut settings);
                }
                option.set(&format!("--{}", option.name), &mut settings, &value)?;
            }
            Arg::Short(letter) => {
                let rest = parser.optional_value().unwrap_or_default();
                return Err(unknown_short(letter, &rest.to_string_lossy()));
            }
            Arg::Value(value) => {
                return Err(unexpected(&value.to_string_lossy()));
            }
        }
    }
    understood?;
    settle_max_lag(&mut settings.config)?;
    #[cfg(feature = "record")]
    record::settle(&settings.config.record)?;
    Ok(Request::Serve(settings))
}

/// The command, which comes before all options.
fn command(arguments: &[OsString]) -> Option<String> {
    let first = arguments.first()?.to_str()?;
    (!first.starts_with('-')).then(|| first.to_owned())
}

#[cfg(feature = "relay")]
use remote::unknown as unknown_command;

#[cfg(not(feature = "relay"))]
use unexpected as unknown_command;

fn unexpected(argument: &str) -> String {
    let shown = word(argument);
    format!("unexpected argument {shown:?}. Options start with --; try --help")
}

/// An argument as it may be repeated: if it is short, and all letters. Others may be a key, or a URL with one.
fn word(argument: &str) -> &str {
    let is_word = argument.len() <= 20 && argument.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_word { argument } else { "..." }
}

/// Refuses a `--max-lag` for which the history is too short. The default depends on the history.
fn settle_max_lag(config: &mut Config) -> Result<(), String> {
    if config.max_lag == NOT_GIVEN {
        config.max_lag = Config::default().max_lag;
        config.max_lag = config.effective_max_lag();
    }
    if config.max_lag > config.effective_max_lag() {
        let [lag, history] = [config.max_lag, config.history].map(|time| time.as_millis() as u64);
        return Err(format!(
            "--max-lag is {lag} ms, but at most half of --history, which is {history} ms: lower \
             the one or raise the other"
        ));
    }
    Ok(())
}

/// Sets an option from an environment variable, if the variable has this program's prefix. Unknown
/// variables with the prefix are refused: a misspelled `BROOKLET_PUBLISH_KEY` would start a server that
/// is open to everybody.
fn take_variable(settings: &mut Settings, variable: &str, text: &str) -> Result<(), String> {
    let Some(name) = variable.strip_prefix(PREFIX) else {
        return Ok(());
    };
    match options().find(|option| variable_name(option.name) == variable) {
        Some(option) => option.set_all(variable, settings, text),
        None if is_of_kubernetes(name, text) => Ok(()),
        None => Err(unknown("environment variable", PREFIX, name)),
    }
}

/// Whether a variable was set by Kubernetes, or by a link between containers, with the address of a
/// service named brooklet or brooklet-something.
fn is_of_kubernetes(name: &str, text: &str) -> bool {
    let has = |text: &str, part: &str| {
        let mut windows = text.as_bytes().windows(part.len());
        windows.any(|found| found == part.as_bytes())
    };
    let is_address = name.ends_with("PORT") && has(text, "://");
    is_address || has(name, "SERVICE_") || has(name, "PORT_")
}

/// Returns the error for an unknown option or variable, with the one that was probably meant.
fn unknown(what: &str, prefix: &str, name: &str) -> String {
    match nearest(name) {
        Some(option) if prefix == PREFIX => {
            let variable = variable_name(option);
            format!("unknown {what} {prefix}{name}. Did you mean {variable}?")
        }
        Some(option) => format!("unknown {what} {prefix}{name}. Did you mean --{option}?"),
        None => format!("unknown {what} {prefix}{name}. Try --help"),
    }
}

/// Returns the error for an argument with one dash. Repeats the argument only if it is close to an
/// option, because it may be a key.
fn unknown_short(letter: char, rest: &str) -> String {
    let (rest, _) = rest.split_once('=').unwrap_or((rest, ""));
    let name = format!("{letter}{rest}");
    match nearest(&name) {
        Some(_) => unknown("option", "-", &name),
        None => unknown("option", "-", &letter.to_string()),
    }
}

fn value_of(parser: &mut lexopt::Parser, option: &Opt) -> Result<String, String> {
    let value = parser.value();
    let value = value.map_err(|_| format!("--{} needs a value, {}", option.name, option.value))?;
    Ok(value.to_string_lossy().into_owned())
}

fn help() -> String {
    let mut text = String::from(if cfg!(feature = "http") {
        "brooklet: a small RTMP live-streaming server\n\n\
         Usage: brooklet [serve] [OPTIONS]\n\n\
         Without options it listens on ports 1935 (RTMP) and 8080 (HTTP) of every\n\
         address, and prints what to enter in OBS, ffmpeg, browser and VLC.\n\nOptions:\n"
    } else {
        "brooklet: a small RTMP live-streaming server, built without HTTP\n\n\
         Usage: brooklet [serve] [OPTIONS]\n\n\
         Without options it listens on port 1935 of every address, and prints what to\n\
         enter in OBS, ffmpeg and VLC.\n\nOptions:\n"
    });
    for option in options() {
        let name = format!("--{} {}", option.name, option.value);
        let default = format!("[default: {}]", option.default);
        push_help(&mut text, &name, option.help, Some(&default));
    }
    push_help(&mut text, "-h, --help", "print this", None);
    push_help(&mut text, "-V, --version", "print the version", None);
    #[cfg(feature = "relay")]
    text.push_str(
        "\nOther commands: publish, play and probe speak to other servers; see\n\
         brooklet COMMAND --help.\n",
    );
    text.push_str("\nEach option can also be an environment variable: BROOKLET_MAX_LAG=1s.\n");
    text
}

/// Adds an option, with its help next to it, in lines of at most 80 columns. `end` stays on one line.
fn push_help(text: &mut String, option: &str, help: &str, end: Option<&str>) {
    const LEFT: usize = 24;
    const RIGHT: usize = 80 - "    ".len() - LEFT;

    let mut left = option;
    if left.len() > LEFT {
        let _ = writeln!(text, "  {left}");
        left = "";
    }
    let mut line = String::new();
    for word in help.split(' ').chain(end) {
        if line.len() + word.len() >= RIGHT {
            let _ = writeln!(text, "  {left:<LEFT$} {line}");
            (left, line) = ("", String::new());
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "  {left:<LEFT$} {line}");
}

fn set_time(slot: &mut Duration, text: &str) -> Result<(), &'static str> {
    let time = parse_time(text).ok_or(TIME)?;
    if time.is_zero() {
        return Err("a time above 0, such as 2s");
    }
    *slot = time;
    Ok(())
}

fn set_count(slot: &mut usize, text: &str) -> Result<(), &'static str> {
    *slot = text.parse().ok().filter(|count| *count >= 1).ok_or(COUNT)?;
    Ok(())
}

/// Parses a number of bytes, with a unit in powers of 1024.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Parses a number with a unit of time, seconds by default. At most a day.
fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let ms: u64 = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" | "sec" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let time = Duration::from_millis(number.checked_mul(ms)?);
    (time <= Duration::from_secs(24 * 3600)).then_some(time)
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests;
