//! Stream keys: how app and stream name become one key.
//!
//! Clients split a URL differently: for `rtmp://host/live/cam/main`, ffmpeg sends the app `live/cam` and
//! the name `main`, OBS what the user typed in two fields, OpenIPC an empty app and the whole path as
//! the name. So both are joined by `/` and normalized before they are compared:
//!
//! ```text
//! app "live/", name "mp4:door.flv?key=1"     ->  live/door      query key=1
//! app "/live/_definst_", name "door/"        ->  live/door
//! app "", name "live//door"                  ->  live/door
//! ```
//!
//! Invalid names are refused, never repaired: two different names must not collide.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::printable::Printable;

/// The longest part between two slashes, in bytes.
const MAX_PART_LEN: usize = 255;

/// The longest key in bytes: app and name of one part each.
const MAX_KEY_LEN: usize = 2 * MAX_PART_LEN + 1;

/// The longest app or name as sent, query included, in bytes.
const MAX_SENT_LEN: usize = 1024;

/// The number of bytes of a name or an app that are kept: enough to see that it is too long.
pub(super) const MAX_KEPT_NAME: usize = MAX_SENT_LEN + 4;

/// An app and stream name in normal form: one or more parts joined by `/`. Clones share the text.
///
/// ```
/// use brooklet::StreamKey;
///
/// let key = StreamKey::new("live", "door?key=secret")?;
/// assert_eq!(key.as_str(), "live/door");
/// assert_eq!(key, StreamKey::new("/live/", "door.flv")?);
/// # Ok::<(), brooklet::rtmp::stream_key::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey(Arc<str>);

/// The reason why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidName {
    /// The stream name is empty.
    Empty,
    /// The app, the name or a part of them is too long.
    TooLong,
    /// A part starts with a dot, or contains a control character or a backslash.
    Forbidden,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidName::Empty => f.write_str(
                "the stream name is empty: publish to and play from rtmp://HOST/APP/NAME, such as \
                 rtmp://HOST/live/cam",
            ),
            InvalidName::TooLong => write!(
                f,
                "the stream name is too long: at most {MAX_PART_LEN} bytes between two slashes \
                 and {MAX_KEY_LEN} in all"
            ),
            InvalidName::Forbidden => f.write_str(
                "the stream name has a part that starts with a dot, a control character or a \
                 backslash",
            ),
        }
    }
}

impl std::error::Error for InvalidName {}

impl StreamKey {
    /// Normalizes app and name as a client sent them, queries included.
    pub fn new(app: &str, name: &str) -> Result<StreamKey, InvalidName> {
        if app.len() > MAX_SENT_LEN || name.len() > MAX_SENT_LEN {
            return Err(InvalidName::TooLong);
        }
        let name = without_query(name).trim_matches('/');
        let name = name.strip_suffix(".flv").unwrap_or(name);
        let app_parts = without_query(app)
            .split('/')
            .filter(|part| *part != "_definst_");
        let parts = app_parts
            .chain(name.split('/'))
            .filter(|part| !part.is_empty());
        let count = parts.clone().count();
        // ffmpeg puts "mp4:" before a name that ends in .mp4; Flash players put "flv:".
        let parts = (1..).zip(parts).map(|(place, part)| {
            let mut prefixes = ["mp4:", "flv:", "mp3:"].iter();
            let bare = prefixes.find_map(|prefix| part.strip_prefix(prefix));
            bare.filter(|_| place == count).unwrap_or(part)
        });
        // ffmpeg splits `rtmp://host/live/door/` into the app `live/door` and an empty name.
        let has_name = !name.is_empty() || count > 1;
        if !has_name || parts.clone().last().is_none_or(str::is_empty) {
            return Err(InvalidName::Empty);
        }
        if parts.clone().any(|part| part.len() > MAX_PART_LEN) {
            return Err(InvalidName::TooLong);
        }
        let is_forbidden = |c: char| c.is_control() || c == '\\';
        if parts
            .clone()
            .any(|part| part.starts_with('.') || part.contains(is_forbidden))
        {
            return Err(InvalidName::Forbidden);
        }
        let mut key = String::with_capacity(app.len() + 1 + name.len());
        for part in parts {
            if !key.is_empty() {
                key.push('/');
            }
            key.push_str(part);
        }
        if key.len() > MAX_KEY_LEN {
            return Err(InvalidName::TooLong);
        }
        Ok(StreamKey(key.into()))
    }

    /// Returns the key without its last part, and that part; `None` if the key has only one part.
    pub fn split_last(&self) -> Option<(StreamKey, &str)> {
        let (rest, last) = self.0.rsplit_once('/')?;
        Some((StreamKey(rest.into()), last))
    }

    /// Returns all parts but the last, or "", and the last part.
    pub fn app_and_name(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Orders keys by app, then by name, so that lists keep the streams of one app together.
impl Ord for StreamKey {
    fn cmp(&self, other: &StreamKey) -> Ordering {
        self.app_and_name().cmp(&other.app_and_name())
    }
}

impl PartialOrd for StreamKey {
    fn partial_cmp(&self, other: &StreamKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Formats the key for logs; see `Printable`.
impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

/// Returns the value of a parameter in the query of an app, name or URL, as it was sent.
pub fn query_value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = text.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn without_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_in_which_clients_split_a_url_lead_to_one_key() {
        for (app, name, key) in [
            ("live", "door", "live/door"),
            ("live/", "door/", "live/door"),
            ("/live", "/door", "live/door"),
            ("live", "door?key=secret", "live/door"),
            ("live?key=secret", "door", "live/door"),
            ("live/_definst_", "door", "live/door"),
            ("", "live/door", "live/door"),
            ("live", "door.flv", "live/door"),
            ("live", "mp4:door.mp4", "live/door.mp4"),
            ("live", "flv:door", "live/door"),
            ("live/cam", "main", "live/cam/main"),
            ("live", "cam//main", "live/cam/main"),
            ("", "door", "door"),
            ("live/door", "", "live/door"),
            ("live/door/", "?key=secret", "live/door"),
            ("live", "d\u{f6}rr", "live/d\u{f6}rr"),
        ] {
            assert_eq!(
                StreamKey::new(app, name).unwrap().as_str(),
                key,
                "{app} {name}"
            );
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        let long_part = "x".repeat(256);
        let long_key = ["y".repeat(171).as_str(); 3].join("/");
        let long_query = format!("door?{}", "z".repeat(1024));
        for (app, name, error) in [
            ("live", "", InvalidName::Empty),
            ("live", "/", InvalidName::Empty),
            ("live", "?key=1", InvalidName::Empty),
            ("live", "mp4:", InvalidName::Empty),
            ("live", ".flv", InvalidName::Empty),
            ("live", "..", InvalidName::Forbidden),
            ("live", "../../etc/passwd", InvalidName::Forbidden),
            ("..", "door", InvalidName::Forbidden),
            ("live", "a\\b", InvalidName::Forbidden),
            ("live", "a\0b", InvalidName::Forbidden),
            ("live", "a\nb", InvalidName::Forbidden),
            ("live", &long_part, InvalidName::TooLong),
            ("live", &long_key, InvalidName::TooLong),
            ("live", &long_query, InvalidName::TooLong),
        ] {
            assert_eq!(StreamKey::new(app, name), Err(error), "{app:?} {name:?}");
        }
    }

    #[test]
    fn app_and_name_may_have_255_bytes_each() {
        let (app, name) = ("a".repeat(255), "n".repeat(255));
        for (app, name) in [(&*app, &*name), ("", &[&*app, &name].join("/"))] {
            let key = StreamKey::new(app, name).unwrap();
            assert_eq!(key.as_str().len(), 511);
            assert_eq!(key.app_and_name().1.len(), 255);
        }
        let path = [name.as_str(), "/x"].concat();
        assert!(StreamKey::new(&app, &path).is_err(), "513 bytes in all");
    }

    #[test]
    fn streams_of_one_app_stand_together() {
        let names = ["door", "a/z", "live/a", "live/b", "live/a/b", "live-2/a"];
        let mut keys = names.map(|name| StreamKey::new("", name).unwrap());
        keys.sort();
        let sorted = keys.each_ref().map(StreamKey::as_str);
        assert_eq!(
            sorted,
            ["door", "a/z", "live/a", "live/b", "live-2/a", "live/a/b"]
        );
    }

    #[test]
    fn names_are_escaped_for_the_log() {
        for (name, shown) in [
            ("d\u{202e}oor", "live/d\\u{202e}oor"),
            ("K\u{fc}che", "live/K\u{fc}che"),
            ("カメラ", "live/カメラ"),
        ] {
            let key = StreamKey::new("live", name).unwrap();
            assert_eq!(key.to_string(), shown);
        }
    }

    #[test]
    fn a_query_value_is_found_wherever_it_stands() {
        assert_eq!(query_value("door?join=gop", "join"), Some("gop"));
        assert_eq!(query_value("door?key=a=b&join=next", "join"), Some("next"));
        assert_eq!(query_value("door?key=a=b&join=next", "key"), Some("a=b"));
        assert_eq!(query_value("door", "join"), None);
    }
}
