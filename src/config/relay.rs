//! Streams that are pushed to other servers, and pulled from them.

use std::fmt;

use super::access::Scope;
use crate::rtmp::stream_key::StreamKey;
use crate::url::{Url, UrlError};

/// Streams that are pushed to another server whenever they are published. Its text, as shown by `Display`
/// and `Debug`, has no key or password.
#[derive(Clone, PartialEq, Eq)]
pub struct Push {
    /// The streams.
    pub(crate) streams: Scope,
    /// The target; of several streams, with the name `*` in place of each one's own.
    target: Url,
}

/// A stream that is pulled from another server. Its text, as shown by `Display` and `Debug`, has no key or
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct Pull {
    /// The name of the stream on this server.
    pub(crate) stream: StreamKey,
    /// The source.
    pub(crate) source: Url,
    /// Whether it begins with the first viewer, and ends some time after the last one.
    pub(crate) is_on_demand: bool,
}

impl Pull {
    /// Sets whether it begins with the first viewer, and ends some time after the last one.
    #[must_use]
    pub fn on_demand(self, is_on_demand: bool) -> Pull {
        Pull {
            is_on_demand,
            ..self
        }
    }
}

/// The name of a target that stands for the name of each stream.
const ANY: &str = "*";

impl Push {
    /// The target for a stream; `None` if it isn't one of the streams.
    pub(crate) fn target(&self, stream: &StreamKey) -> Option<Url> {
        if !self.streams.contains(stream) {
            return None;
        }
        Some(match &self.streams {
            Scope::Stream(_) => self.target.clone(),
            Scope::Under(app) => {
                let name = stream.as_str().strip_prefix(app.as_str());
                self.target.with_name(name.unwrap_or_default())
            }
            Scope::All => self.target.with_name(stream.as_str()),
        })
    }

    /// The target as it may be shown.
    pub(crate) fn shown(&self) -> String {
        self.target.masked()
    }
}

impl fmt::Display for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.streams, self.target.masked())
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = if self.is_on_demand { ",on-demand" } else { "" };
        write!(f, "{}={}{option}", self.stream, self.source.masked())
    }
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parses what to push where: `live/door=rtmp://host/app/key`, or `live/*=rtmp://host/app` for all streams
/// that begin with `live/`, which keep their names. The target may be in a file: `live/door=@FILE`. The error
/// says what was expected, and doesn't repeat the text.
///
/// ```
/// use brooklet::Config;
/// use brooklet::config::parse_push;
///
/// let push = parse_push("live/door=rtmp://a.rtmp.example/live2/key")?;
/// assert_eq!(push.to_string(), "live/door=rtmp://a.rtmp.example/live2/***");
/// let config = Config::default().pushes(vec![push]);
/// # Ok::<(), String>(())
/// ```
pub fn parse_push(text: &str) -> Result<Push, String> {
    parse(text, PUSH, |text| {
        let (streams, url) = text.split_once('=').ok_or(PUSH)?;
        let streams = Scope::parse(streams).ok_or(PUSH)?;
        let mut url = target(url)?;
        // The names of several streams come after what is given.
        if matches!(streams, Scope::Under(_)) {
            let app = url.trim_end_matches('/');
            let app = app.strip_suffix("/*").unwrap_or(app);
            url = [app, "/", ANY].concat();
        }
        let target = parse_url(&url, UrlError::of_rtmp)?;
        if !target.scheme().is_rtmp() {
            let name = target.scheme().name();
            return Err(format!("rtmp:// or rtmps:// for a push, not {name}://"));
        }
        Ok(Push { streams, target })
    })
}

/// Parses what to pull from where: `live/door=rtmp://host/app/name`, or `http://` for FLV over HTTP; with
/// `,on-demand` at the end, only while somebody watches. The source may be in a file: `live/door=@FILE`. The
/// error says what was expected, and doesn't repeat the text.
///
/// ```
/// use brooklet::Config;
/// use brooklet::config::parse_pull;
///
/// let pull = parse_pull("live/door=rtmp://192.168.1.20/live/main,on-demand")?;
/// let config = Config::default().pulls(vec![pull]);
/// # Ok::<(), String>(())
/// ```
pub fn parse_pull(text: &str) -> Result<Pull, String> {
    parse(text, PULL, |text| {
        let (stream, url) = text.split_once('=').ok_or(PULL)?;
        let (url, is_on_demand) = match url.strip_suffix(",on-demand") {
            Some(url) => (url, true),
            None => (url, false),
        };
        let Some(Scope::Stream(stream)) = Scope::parse(stream) else {
            return Err(PULL.to_owned());
        };
        let source = target(url)?;
        // Behind the name of a file, not in it.
        for text in [url, &source] {
            if is_on_demand_misspelled(text) {
                return Err("expected ,on-demand at the end, without spaces".to_owned());
            }
        }
        let source = parse_url(&source, UrlError::to_string)?;
        Ok(Pull {
            stream,
            source,
            is_on_demand,
        })
    })
}

const PUSH: &str = "a stream and its target such as live/door=rtmp://HOST/APP/KEY, \
                    live/*=rtmp://HOST/APP or live/door=@FILE";
const PULL: &str = "a stream and its source such as live/door=rtmp://HOST/APP/NAME, with ,on-demand or \
                    without, or live/door=@FILE";

/// Limits the length of what is parsed.
fn parse<T>(
    text: &str,
    expected: &str,
    of: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, String> {
    if text.len() > MAX_LEN {
        return Err(expected.to_owned());
    }
    of(text.trim())
}

/// The longest text of a push or pull, in bytes.
const MAX_LEN: usize = 4096;

fn parse_url(text: &str, say: impl Fn(&UrlError) -> String) -> Result<Url, String> {
    let url = Url::parse(text).and_then(Url::usable);
    url.map_err(|error| format!("a URL that can be used: {}", say(&error)))
}

/// Whether a text ends with something that was meant to be `,on-demand`, and would be a part of a name.
fn is_on_demand_misspelled(text: &str) -> bool {
    let Some((_, option)) = text.rsplit_once(',') else {
        return false;
    };
    let letters = option.chars().filter(|c| !"-_ ".contains(*c));
    letters
        .map(|c| c.to_ascii_lowercase())
        .eq("ondemand".chars())
}

/// A URL, which may be in a file.
fn target(text: &str) -> Result<String, String> {
    let Some(file) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    read(file).map_err(|error| format!("a file that can be read, but {file}: {error}"))
}

#[cfg(feature = "relay")]
fn read(file: &str) -> std::io::Result<String> {
    use crate::small_file::{ONE_VALUE, read_text};

    let text = read_text(std::path::Path::new(file), ONE_VALUE)?;
    Ok(text.trim().to_owned())
}

#[cfg(not(feature = "relay"))]
fn read(_: &str) -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> StreamKey {
        StreamKey::new("", name).unwrap()
    }

    #[test]
    fn the_target_is_kept_byte_for_byte_or_gets_the_name_of_the_stream() {
        for (text, stream, app, name) in [
            (
                "live/door=rtmp://h/a/k?x=1&y=%20",
                "live/door",
                "a",
                "k?x=1&y=%20",
            ),
            ("live/door=rtmp://h/a/k?x=/y/", "live/door", "a", "k?x=/y/"),
            ("live/*=rtmp://h/a", "live/door", "a", "door"),
            ("live/*=rtmp://h/a/", "live/door", "a", "door"),
            ("live/*=rtmp://h/a/*", "live/x/y", "a", "x/y"),
            ("live/*=rtmp://h/a/b/", "live/door", "a/b", "door"),
        ] {
            let push = parse_push(text).unwrap();
            let target = push.target(&key(stream)).unwrap();
            assert_eq!((target.app(), target.name()), (app, name), "{text}");
            assert_eq!(push.target(&key("other/door")), None);
        }
    }

    #[test]
    fn wrong_pushes_and_pulls_are_refused_without_repeating_secrets() {
        for (text, words) in [
            ("rtmp://h/a/secret", "live/door=rtmp://HOST/APP/KEY"),
            ("live/door", "live/door=rtmp://HOST/APP/KEY"),
            ("live/d*r=rtmp://h/a/secret", "live/*=rtmp://HOST/APP"),
            ("live/door=secret", "not a URL"),
            (
                "live/door=ftp://h/a/secret",
                "unknown scheme ftp://, expected rtmp:// or rtmps://",
            ),
            (
                "live/door=http://h/a/secret",
                "rtmp:// or rtmps:// for a push",
            ),
            ("live/door=rtmp://h:0/a/secret", "the port"),
            #[cfg(feature = "relay")]
            ("live/door=@/no/such/file", "/no/such/file: No such file"),
        ] {
            let error = parse_push(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        for text in ["live/*=rtmp://h/a/b", "live/door", "live/door=rtmp://h/"] {
            assert!(parse_pull(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_option_that_is_misspelled_is_no_part_of_a_name() {
        for option in [
            "ondemand",
            "on_demand",
            "On-Demand",
            "ON-DEMAND",
            "on demand",
            " on-demand",
            "on-demand,on-demand",
        ] {
            let error = parse_pull(&format!("live/x=rtmp://h/a/secret,{option}")).unwrap_err();
            assert!(error.contains("expected ,on-demand"), "{option}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let pull = parse_pull("live/x=rtmp://h/a/b,ondemand-cam").unwrap();
        assert_eq!(pull.source.name(), "b,ondemand-cam");
    }

    #[test]
    fn names_cannot_change_how_a_line_reads() {
        let push = parse_push("live/a\u{202e}b=rtmp://h/a/secret").unwrap();
        assert_eq!(push.to_string(), "live/a\\u{202e}b=rtmp://h/a/***");
        let push = parse_push("live\u{2028}/*=rtmp://h/a").unwrap();
        assert_eq!(push.to_string(), "live\\u{2028}/*=rtmp://h/a/***");
        let pull = parse_pull("live/a\u{2066}b=rtmp://h/a/secret").unwrap();
        assert_eq!(pull.to_string(), "live/a\\u{2066}b=rtmp://h/a/***");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let text = "live/door=rtmp://user:secret@h/a/secret?key=secret";
        let push = parse_push(text).unwrap();
        assert_eq!(
            format!("{push} {push:?}"),
            "live/door=rtmp://h/a/*** live/door=rtmp://h/a/***"
        );
        let text = "live/door=http://user:secret@h/flv?password=secret,on-demand";
        let pull = parse_pull(text).unwrap();
        assert_eq!(pull.to_string(), "live/door=http://h/***,on-demand");
        assert!(pull.is_on_demand);
    }

    #[test]
    #[cfg(feature = "relay")]
    fn a_target_may_be_in_a_file() {
        let file = std::env::temp_dir().join(format!("brooklet-target-{}", std::process::id()));
        std::fs::write(&file, "rtmp://h/a/secret\n").unwrap();
        let push = parse_push(&format!("live/door=@{}", file.display())).unwrap();
        std::fs::remove_file(&file).unwrap();
        let target = push.target(&key("live/door")).unwrap();
        assert_eq!(target.name(), "secret");
    }
}
