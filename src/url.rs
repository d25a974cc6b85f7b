//! URLs of streams on other servers.
//!
//! ```text
//! rtmp://user:pass@host:1935/live/door?token=abc#sha256=9f86...
//!        user pass  host port  app  name and query  pin
//! ```
//!
//! Path, name and query are kept byte for byte, because servers compare them so. Only user and password
//! are percent-decoded. What proves somebody's rights is never shown: see [`Url::masked`].

mod refer;
mod secrets;

pub use secrets::without_urls;

use std::fmt;
use std::sync::Arc;

use crate::rtmp::printable::breaks_lines;

/// The longest URL that is accepted, in bytes.
const MAX_LEN: usize = 2048;

/// The number of bytes of a SHA-256.
const PIN_LEN: usize = 32;

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `rtmp://`
    Rtmp,
    /// `rtmps://`: RTMP inside TLS.
    Rtmps,
    /// `http://`
    Http,
    /// `https://`
    Https,
}

impl Scheme {
    const ALL: [Scheme; 4] = [Scheme::Rtmp, Scheme::Rtmps, Scheme::Http, Scheme::Https];

    /// The scheme's name.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Rtmp => "rtmp",
            Scheme::Rtmps => "rtmps",
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port of URLs that name none.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Rtmp => 1935,
            Scheme::Rtmps | Scheme::Https => 443,
            Scheme::Http => 80,
        }
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Scheme::Rtmps | Scheme::Https)
    }

    /// Whether the scheme is one of RTMP.
    pub fn is_rtmp(self) -> bool {
        matches!(self, Scheme::Rtmp | Scheme::Rtmps)
    }
}

/// See the module's documentation.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    user: Option<Box<str>>,
    password: Option<Box<str>>,
    host: Box<str>,
    port: u16,
    /// What comes after the host, from the first slash on, query included.
    path: Box<str>,
    /// The length of the app in `path`, after the first slash.
    app_len: usize,
    pin: Option<[u8; PIN_LEN]>,
    /// The URL that the person gave, if servers have referred from there to this one. It has no origin.
    origin: Option<Arc<Url>>,
}

/// The reason why a text isn't the URL of a stream. It doesn't repeat the text, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no `://`.
    NoScheme,
    /// The scheme is another one.
    UnknownScheme(String),
    /// A server refers to a URL of another protocol.
    OtherProtocol {
        /// The scheme of the server's own URL.
        from: Scheme,
        /// The scheme to which it refers.
        to: String,
    },
    /// There is no host.
    NoHost,
    /// The port isn't a number from 1 to 65535.
    BadPort,
    /// The same, since what comes before an `@` has a `/` or `?`.
    SlashInLogin,
    /// An RTMP URL without app and stream name.
    NoName,
    /// A space or control character, or a broken percent encoding.
    BadCharacter,
    /// The fragment isn't `#sha256=` and 64 hexadecimal digits.
    BadPin,
    /// The URL is longer than 2,048 bytes.
    TooLong,
    /// A server refers from an encrypted connection to one that isn't.
    Unencrypted,
    /// This build is without TLS.
    NoTls,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::NoScheme => "not a URL, expected one such as rtmp://HOST/APP/NAME",
            UrlError::UnknownScheme(name) => {
                let text = unknown_scheme(name, "rtmp://, rtmps://, http:// or https://");
                return f.write_str(&text);
            }
            UrlError::OtherProtocol { from, to } => {
                let plain = if from.is_rtmp() { "rtmp" } else { "http" };
                let from = from.name();
                return write!(
                    f,
                    "a reference from {from}:// to {to}://, expected {plain}:// or {plain}s://"
                );
            }
            UrlError::NoHost => "the URL has no host, expected rtmp://HOST/APP/NAME",
            UrlError::BadPort => "the port isn't a number from 1 to 65535",
            UrlError::SlashInLogin => {
                "the port isn't a number from 1 to 65535: write %2F for a / in a password, %3F for a ?"
            }
            UrlError::NoName => "the URL has no stream name, expected rtmp://HOST/APP/NAME",
            UrlError::BadCharacter => {
                "the URL has a space, a control character or a broken % encoding: write %20 for a \
                 space, %40 for an @ in a password"
            }
            UrlError::BadPin => {
                "the part after # isn't sha256= and 64 hexadecimal digits: write %23 for a # in a \
                 password or key"
            }
            UrlError::TooLong => "the URL is longer than 2048 bytes",
            UrlError::Unencrypted => {
                "the server refers from TLS to a connection without, which would show the key to \
                 everybody in between"
            }
            UrlError::NoTls => {
                "this build is without TLS: build it with --features tls, or let stunnel do TLS, as \
                 the README shows"
            }
        })
    }
}

impl std::error::Error for UrlError {}

impl UrlError {
    /// The text for a URL to which a stream is sent, which only those of RTMP take.
    pub fn of_rtmp(&self) -> String {
        match self {
            UrlError::UnknownScheme(name) => unknown_scheme(name, "rtmp:// or rtmps://"),
            error => error.to_string(),
        }
    }
}

fn unknown_scheme(name: &str, expected: &str) -> String {
    let is_rtsp = ["rtsp", "rtsps"].contains(&name.to_ascii_lowercase().as_str());
    let why = match is_rtsp {
        true => ": brooklet doesn't speak RTSP",
        false => "",
    };
    format!("unknown scheme {name}://{why}, expected {expected}")
}

impl Url {
    /// Parses a URL of any [`Scheme`].
    ///
    /// App and name of an RTMP URL are split at the last slash before the query. Only if there is none, a
    /// slash in the query counts, for apps with a query of their own: `live?key=1/door`.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        if text.len() > MAX_LEN {
            return Err(UrlError::TooLong);
        }
        let (name, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let is_named = |scheme: &Scheme| scheme.name().eq_ignore_ascii_case(name);
        let Some(scheme) = Scheme::ALL.into_iter().find(is_named) else {
            let is_name = name.len() <= 20 && name.bytes().all(|c| c.is_ascii_alphanumeric());
            return Err(match is_name && !name.is_empty() {
                true => UrlError::UnknownScheme(name.to_owned()),
                false => UrlError::NoScheme,
            });
        };
        if text.contains(is_bad) {
            return Err(UrlError::BadCharacter);
        }
        let (rest, pin) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(parse_pin(fragment).ok_or(UrlError::BadPin)?)),
            None => (rest, None),
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(at).ok_or(UrlError::NoHost)?;
        // At the last @: people write passwords with an @ in them unencoded.
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (user, password) = parse_login(login)?;
        let (host, port) = parse_place(place).map_err(|error| match error {
            UrlError::BadPort if login.is_none() && path.contains('@') => UrlError::SlashInLogin,
            error => error,
        })?;
        let app_len = if scheme.is_rtmp() {
            app_len(path).ok_or(UrlError::NoName)?
        } else {
            0
        };
        Ok(Url {
            scheme,
            user,
            password,
            host: host.into(),
            port: port.unwrap_or(scheme.default_port()),
            path: match path.starts_with('?') {
                true => ["/", path].concat().into(),
                false => path.into(),
            },
            app_len,
            pin,
            origin: None,
        })
    }

    /// The URL itself, if this build can connect to it.
    pub fn usable(self) -> Result<Url, UrlError> {
        match self.scheme.is_tls() && cfg!(not(feature = "tls")) {
            true => Err(UrlError::NoTls),
            false => Ok(self),
        }
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, which is the scheme's if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user, percent-decoded.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password, percent-decoded.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The path and query of an HTTP URL, as in a request: at least `/`.
    pub fn path(&self) -> &str {
        if self.path.is_empty() {
            "/"
        } else {
            &self.path
        }
    }

    /// The app of an RTMP URL, without the slashes around it.
    pub fn app(&self) -> &str {
        self.path.get(1..1 + self.app_len).unwrap_or_default()
    }

    /// The stream name of an RTMP URL, query included.
    pub fn name(&self) -> &str {
        self.path.get(self.app_len + 2..).unwrap_or_default()
    }

    /// The same URL with another stream name.
    pub fn with_name(&self, name: &str) -> Url {
        let path = ["/", self.app(), "/", name].concat().into();
        Url {
            path,
            ..self.clone()
        }
    }

    /// The `tcUrl` of connect for this app, which may have a query that a login has added: the URL without
    /// user, password and stream name.
    pub fn tc_url(&self, app: &str) -> String {
        format!("{}://{}/{app}", self.scheme.name(), self.authority())
    }

    /// Host and port as in a URL; the port even if it is the default.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// User and password as HTTP joins them; `None` without user.
    pub(crate) fn login(&self) -> Option<String> {
        let password = self.password().unwrap_or_default();
        self.user().map(|user| [user, ":", password].concat())
    }

    /// Whether the person gave user and password, which aren't for the server to which others have referred.
    pub fn has_left_login(&self) -> bool {
        let origin = self.origin.as_ref();
        self.user.is_none() && origin.is_some_and(|origin| origin.user.is_some())
    }

    /// The SHA-256 of the only certificate that the server may have.
    pub fn pin(&self) -> Option<&[u8; PIN_LEN]> {
        self.pin.as_ref()
    }
}

/// Whether a character can't stand in a URL.
fn is_bad(c: char) -> bool {
    c.is_control() || c == ' ' || breaks_lines(c)
}

fn without_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(path, _)| path)
}

/// Returns the length of the app in a path that begins with a slash; `None` if there is no name after it.
fn app_len(path: &str) -> Option<usize> {
    let path = path.strip_prefix('/')?;
    let before_query = without_query(path);
    let at = match before_query.rfind('/') {
        Some(at) => at,
        None => path.rfind('/')?,
    };
    let name = path.get(at + 1..)?;
    (at > 0 && !without_query(name).is_empty()).then_some(at)
}

type Login = (Option<Box<str>>, Option<Box<str>>);

fn parse_login(text: Option<&str>) -> Result<Login, UrlError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok((None, None));
    };
    let decoded = |text: &str| decode(text).ok_or(UrlError::BadCharacter);
    Ok(match text.split_once(':') {
        Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
        None => (Some(decoded(text)?), None),
    })
}

/// Splits `host:port`, `[address]:port` or a host alone.
fn parse_place(text: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(UrlError::NoHost)?;
            match after.strip_prefix(':') {
                None if after.is_empty() => (host, None),
                None => return Err(UrlError::BadPort),
                port => (host, port),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let Some(port) = port.filter(|port| !port.is_empty()) else {
        return Ok((host, None));
    };
    let number = port.parse().ok().filter(|port| *port > 0);
    number.map_or(Err(UrlError::BadPort), |port| Ok((host, Some(port))))
}

/// Decodes percent encodings; `None` if one is broken, or the result isn't UTF-8.
fn decode(text: &str) -> Option<Box<str>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => nibble(bytes.next()?)? << 4 | nibble(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok().map(String::into_boxed_str)
}

fn parse_pin(fragment: &str) -> Option<[u8; PIN_LEN]> {
    // Tools print fingerprints with colons.
    let digits: Vec<u8> = fragment
        .strip_prefix("sha256=")?
        .bytes()
        .filter(|byte| *byte != b':')
        .collect();
    if digits.len() != 2 * PIN_LEN {
        return None;
    }
    let mut pin = [0; PIN_LEN];
    for (byte, pair) in pin.iter_mut().zip(digits.chunks(2)) {
        let [high, low] = *pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(pin)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests;
