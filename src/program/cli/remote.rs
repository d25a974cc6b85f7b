//! The commands that speak to other servers: `publish`, `play` and `probe`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use brooklet::small_file::{self, ONE_VALUE};
use brooklet::url::without_urls;
use lexopt::Arg;

use super::nearest::nearest_of;
use super::tls::file;
use super::{Request, parse_time};

/// The URL and how to reach it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Remote {
    /// Never shown as it is: it may hold a key.
    pub(crate) url: String,
    /// The time for the connection, up to the accepted publish or play.
    pub(crate) timeout: Duration,
    /// Certificates that are trusted besides those of the system.
    pub(crate) tls_ca: Option<PathBuf>,
}

/// A command that speaks to another server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    /// Publishes a file, or FLV from standard input.
    Publish {
        remote: Remote,
        file: PathBuf,
        is_paced: bool,
        is_looped: bool,
    },
    /// Plays into a file of FLV, or to standard output; into nothing without a file.
    Play {
        remote: Remote,
        file: Option<PathBuf>,
    },
    /// Examines a stream for a while.
    Probe {
        remote: Remote,
        time: Duration,
        is_json: bool,
    },
}

/// The names of all commands, with their usage and help.
pub(super) const COMMANDS: [(&str, &str, &str); 4] = [
    (
        "serve",
        "[OPTIONS]",
        "Serves streams, which is what brooklet does without a command.",
    ),
    (
        "publish",
        "FILE.flv|FILE.mp4|- URL",
        "Publishes a file in real time, or FLV from standard input, to an RTMP server.\n\n  \
         --loop          begin again at the end, with timestamps that go on\n  \
         --no-pace       send as fast as the server takes it\n",
    ),
    (
        "play",
        "URL [FILE.flv|-]",
        "Plays a stream into a file of FLV, or to standard output with -; without a file it only\n\
         shows that the stream comes. URL: rtmp://, rtmps://, or http:// and https:// for FLV.\n",
    ),
    (
        "probe",
        "URL",
        "Says what a stream has: codecs, sizes, rates, keyframe interval, and whether its\n\
         timestamps are in order. Exit code 0: it is live; 1: it isn't.\n\n  \
         --time TIME     how long to look [default: 5s]\n  \
         --json          for programs\n",
    ),
];

const COMMON: &str = "\n  --timeout TIME  for the connection [default: 10s]\n  \
    --user USER     instead of one in the URL, together with --password\n  \
    --password PASSWORD\n  \
    --tls-ca FILE   trust these certificates, too (PEM)\n\n\
    URL: rtmp://USER:PASSWORD@HOST:PORT/APP/NAME, where user, password and port may be\n\
    left out. @FILE instead of URL or PASSWORD reads it from a file.\n";

/// Parses a command line that begins with a command other than `serve`; `None` if it doesn't.
pub(super) fn parse(name: &str, arguments: Vec<OsString>) -> Option<Result<Request, String>> {
    match name {
        "publish" | "play" | "probe" => Some(parse_command(name, arguments)),
        "help" => {
            let topic = arguments.first().map(|topic| topic.to_string_lossy());
            Some(match topic.as_deref() {
                None | Some("serve") => Ok(Request::Print(super::help())),
                Some(topic) => match help(topic) {
                    Some(text) => Ok(Request::Print(text)),
                    None => Err(unknown(topic)),
                },
            })
        }
        _ => None,
    }
}

/// Returns the error for an unknown command.
pub(super) fn unknown(name: &str) -> String {
    let mut names = COMMANDS.iter().map(|(name, ..)| *name);
    let shown = super::word(name);
    match nearest_of(&mut names, name) {
        Some(meant) => format!("unknown command {shown:?}. Did you mean {meant}?"),
        None => format!(
            "unknown command {shown:?}, expected serve, publish, play or probe. Options start with --; \
             try --help"
        ),
    }
}

fn help(command: &str) -> Option<String> {
    let (name, usage, text) = COMMANDS.iter().find(|(name, ..)| *name == command)?;
    Some(format!("Usage: brooklet {name} {usage}\n\n{text}{COMMON}"))
}

fn parse_command(name: &str, arguments: Vec<OsString>) -> Result<Request, String> {
    let mut values = Vec::new();
    let (mut user, mut password) = (None, None);
    let (mut is_looped, mut is_paced, mut is_json) = (false, true, false);
    let (mut timeout, mut time) = (Duration::from_secs(10), Duration::from_secs(5));
    let mut tls_ca = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
        let option = match argument {
            Arg::Value(value) => {
                values.push(value);
                continue;
            }
            Arg::Short('h') => "help".to_owned(),
            Arg::Short(letter) => format!("-{letter}"),
            Arg::Long(option) => option.to_owned(),
        };
        let mut duration = || {
            let value = parser
                .value()
                .map_err(|_| format!("--{option} needs a time"))?;
            let value = value.to_string_lossy();
            let time = parse_time(&value).filter(|time| !time.is_zero());
            time.ok_or_else(|| {
                let shown = without_urls(&value);
                format!("invalid value {shown:?} for --{option}: expected a time such as 5s")
            })
        };
        match (name, &*option) {
            (_, "help") => return Ok(Request::Print(help(name).unwrap_or_default())),
            ("publish", "loop") => is_looped = true,
            ("publish", "no-pace") => is_paced = false,
            ("probe", "json") => is_json = true,
            ("probe", "time") => time = duration()?,
            (_, "timeout") => timeout = duration()?,
            (_, "user") => user = Some(secret(&mut parser, "--user")?),
            (_, "password") => password = Some(secret(&mut parser, "--password")?),
            (_, "tls-ca") => {
                let value = parser
                    .value()
                    .map_err(|_| "--tls-ca needs a file".to_owned())?;
                let file = file(&value.to_string_lossy());
                let file = file.map_err(|what| format!("--tls-ca: expected {what}"))?;
                tls_ca = Some(file);
            }
            _ => {
                let dashes = if option.starts_with('-') { "" } else { "--" };
                return Err(format!(
                    "unknown option {dashes}{option} of {name}. Try brooklet {name} --help"
                ));
            }
        }
    }
    let usage = || {
        let (_, usage, _) = COMMANDS
            .iter()
            .find(|(of, ..)| *of == name)
            .unwrap_or(&COMMANDS[0]);
        format!("expected brooklet {name} {usage}")
    };
    let mut values = values.into_iter();
    let file = match name {
        "publish" => Some(PathBuf::from(values.next().ok_or_else(usage)?)),
        _ => None,
    };
    let url = url(&values.next().ok_or_else(usage)?)?;
    let url = with_login(url, user, password)?;
    let target = match name {
        "play" => values.next().map(PathBuf::from),
        _ => None,
    };
    if values.next().is_some() {
        return Err(usage());
    }
    if let Some(file) = target.as_deref().filter(|file| is_other_format(file)) {
        let name = without_urls(&file.with_extension("flv").display().to_string());
        return Err(format!("play writes FLV, expected a name such as {name}"));
    }
    if is_looped && file.as_deref().is_some_and(|file| file.as_os_str() == "-") {
        return Err("--loop needs a file: standard input can't be read again".to_owned());
    }
    let remote = Remote {
        url,
        timeout,
        tls_ca,
    };
    Ok(Request::Run(match (name, file) {
        ("publish", Some(file)) => Command::Publish {
            remote,
            file,
            is_paced,
            is_looped,
        },
        ("play", _) => Command::Play {
            remote,
            file: target,
        },
        _ => Command::Probe {
            remote,
            time,
            is_json,
        },
    }))
}

/// Whether a file's name says that it has another format than FLV.
fn is_other_format(file: &Path) -> bool {
    let extension = file.extension().map(OsStr::to_ascii_lowercase);
    let extension = extension.as_deref().and_then(OsStr::to_str);
    matches!(
        extension,
        Some("mp4" | "m4v" | "mov" | "mkv" | "webm" | "ts")
    )
}

/// The value of an option, or the first line of a file.
fn secret(parser: &mut lexopt::Parser, option: &str) -> Result<String, String> {
    let value = parser.value();
    url(&value.map_err(|_| format!("{option} needs a value"))?)
}

/// Puts a login into a URL without one.
fn with_login(
    url: String,
    user: Option<String>,
    password: Option<String>,
) -> Result<String, String> {
    let (user, password) = match (user, password) {
        (None, None) => return Ok(url),
        (Some(user), Some(password)) => (encoded(&user), encoded(&password)),
        (Some(_), None) => return Err("--user needs --password, too".to_owned()),
        (None, Some(_)) => return Err("--password needs --user, too".to_owned()),
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        // The URL's parser says what is wrong.
        return Ok(url);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("user and password are given twice: in the URL and as options".to_owned());
    }
    Ok(format!("{scheme}://{user}:{password}@{rest}"))
}

/// Text as it stands in a URL (RFC 3986, 2.1).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => out.push(byte.into()),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The value itself, or the first line of a file.
fn url(value: &OsStr) -> Result<String, String> {
    let text = value.to_string_lossy();
    let Some(path) = text.strip_prefix('@') else {
        return Ok(text.into_owned());
    };
    let content = small_file::read_text(Path::new(path), ONE_VALUE)
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    let mut lines = content.lines().map(str::trim);
    let url = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    url.map(str::to_owned)
        .ok_or_else(|| format!("{path} is empty, expected one line"))
}

#[cfg(test)]
mod tests;
