//! What of a URL is never shown.

use std::fmt;

use super::{Url, nibble, without_query};
use crate::rtmp::base64;
use crate::rtmp::printable::Printable;

/// What is shown in place of a secret.
const MASK: &str = "***";

/// The length in bytes below which a secret is replaced only where it stands as a word: a short one is
/// found inside of many words.
const MIN_LEN_INSIDE_WORDS: usize = 4;

impl Url {
    /// The URL as it may be shown: without user, password, query and fragment, and without what comes after
    /// the last slash, which is a key with many services.
    pub fn masked(&self) -> String {
        let place = match self.port == self.scheme.default_port() {
            true if self.host.contains(':') => format!("[{}]", self.host),
            true => self.host.to_string(),
            false => self.authority(),
        };
        let place = self.shown(&place);
        let shown = match self.scheme.is_rtmp() {
            true => self.app(),
            false => {
                let path = without_query(&self.path);
                path.rsplit_once('/').map_or("", |(before, _)| before)
            }
        };
        let shown = self.shown(without_query(shown).trim_matches('/'));
        let slash = if shown.is_empty() { "" } else { "/" };
        let scheme = self.scheme.name();
        format!("{scheme}://{place}{slash}{shown}/{MASK}")
    }

    /// Host and port as they may be shown; the port even if it is the default.
    pub fn place(&self) -> String {
        self.shown(&self.authority())
    }

    /// A part of the URL as it may be shown. A server that refers to another place may name it after what is
    /// secret in the URL that the person gave.
    pub(crate) fn shown(&self, text: &str) -> String {
        let secrets = self.origin.as_ref().map(|origin| origin.secrets());
        let mut secrets = secrets.unwrap_or_default();
        // The digits of an address, and short names of apps.
        secrets.retain(|secret| secret.len() >= MIN_LEN_INSIDE_WORDS);
        Printable(&without(text, &secrets)).to_string()
    }

    /// Replaces everything that [`masked`](Self::masked) leaves out where it stands in a text, such as a
    /// server's words, and what other URLs in it may hold. It is found in upper and lower case,
    /// percent-encoded or not, and user and password in Base64. So is what is secret in the URL that the
    /// person gave, if servers have referred from there to this one.
    pub fn scrub(&self, text: &str) -> String {
        let mut secrets = self.secrets();
        if let Some(origin) = &self.origin {
            secrets.extend(origin.secrets());
        }
        without(&without_urls(text), &secrets)
    }

    /// What isn't shown, each part as [`Plain`] text.
    fn secrets(&self) -> Vec<Vec<u8>> {
        // The last part with its query, and the query of the app.
        let (name, app) = match self.scheme.is_rtmp() {
            true => (self.name(), self.app()),
            false => {
                let path = without_query(&self.path);
                let at = path.rfind('/').map_or(0, |at| at + 1);
                (self.path.get(at..).unwrap_or_default(), "")
            }
        };
        let mut secrets = vec![name, without_query(name)];
        for text in [name, app] {
            let query = text.split_once('?').map_or("", |(_, query)| query);
            for pair in query.split(['&', '?']) {
                secrets.push(pair);
                secrets.extend(pair.split_once('=').map(|(_, value)| value));
            }
        }
        secrets.extend([self.user(), self.password()].into_iter().flatten());
        let login = self.login().map(|login| base64::encode(login.as_bytes()));
        let login = login.as_deref().unwrap_or_default().trim_end_matches('=');
        // The last group of four depends on what follows.
        let groups = login.get(..login.len() / 4 * 4).unwrap_or_default();
        let in_urls = [login, groups].map(|login| login.replace('+', "-").replace('/', "_"));
        secrets.extend([login, groups]);
        secrets.extend(in_urls.iter().map(String::as_str));
        let secrets = secrets.into_iter().map(|secret| Plain::of(secret).bytes);
        secrets.filter(|secret| !secret.is_empty()).collect()
    }
}

/// Returns a text with a mask in place of what URLs in it have besides scheme and host:
/// `try rtmp://h/***`. If there is an `@` in one, only its scheme is left: it may come after a password with a
/// slash.
pub fn without_urls(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let is_end = |c: char| c.is_whitespace() || "\"'<>`".contains(c);
        let (url, next) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        let host = match url.contains('@') {
            true => "",
            false => url.split(['/', '?', '#']).next().unwrap_or_default(),
        };
        let (slash, mask) = match (host.len() == url.len(), host) {
            (true, _) => ("", ""),
            (false, "") => ("", MASK),
            (false, _) => ("/", MASK),
        };
        clean.extend([before, "://", host, slash, mask]);
        rest = next;
    }
    clean + rest
}

/// A text as secrets are looked for in it: in lower case, percent-decoded until nothing is left to decode, and
/// with a space for each plus sign, as in forms. A server may repeat what it was sent in any of these ways.
struct Plain {
    bytes: Vec<u8>,
    /// Where in the text each of the bytes begins; it ends where the next one begins.
    starts: Vec<usize>,
}

impl Plain {
    fn of(text: &str) -> Plain {
        let mut decoded: Vec<(u8, usize)> = Vec::with_capacity(text.len());
        for (at, byte) in text.bytes().enumerate() {
            decoded.push((byte, at));
            while let [.., (b'%', at), (high, _), (low, _)] = decoded[..] {
                let (Some(high), Some(low)) = (nibble(high), nibble(low)) else {
                    break;
                };
                decoded.truncate(decoded.len() - 3);
                decoded.push((high << 4 | low, at));
            }
        }
        let folded = |(byte, at): (u8, usize)| match byte {
            b'+' => (b' ', at),
            byte => (byte.to_ascii_lowercase(), at),
        };
        let (bytes, starts) = decoded.into_iter().map(folded).unzip();
        Plain { bytes, starts }
    }
}

/// Returns a text with a mask wherever one of the secrets stands, which are [`Plain`].
fn without(text: &str, secrets: &[Vec<u8>]) -> String {
    let Plain { bytes, starts } = Plain::of(text);
    let mut is_secret = vec![false; bytes.len()];
    for secret in secrets {
        for (at, found) in bytes.windows(secret.len().max(1)).enumerate() {
            if found != secret.as_slice() {
                continue;
            }
            let end = at + secret.len();
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
            let is_word = !before.is_some_and(is_inside) && !bytes.get(end).is_some_and(is_inside);
            if is_word || secret.len() >= MIN_LEN_INSIDE_WORDS {
                is_secret.get_mut(at..end).unwrap_or_default().fill(true);
            }
        }
    }
    let mut clean = Vec::with_capacity(text.len());
    let mut was_secret = false;
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    for ((start, end), is_secret) in starts.iter().copied().zip(ends).zip(is_secret) {
        match is_secret {
            true if was_secret => {}
            true => clean.extend_from_slice(MASK.as_bytes()),
            false => clean.extend(text.as_bytes().get(start..end).unwrap_or_default()),
        }
        was_secret = is_secret;
    }
    // A secret of bytes that aren't UTF-8 may begin inside of a character.
    String::from_utf8_lossy(&clean).into_owned()
}

/// The URL as it may be shown; see [`Url::masked`].
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// The same, so that no secret gets into a log by accident.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (text, shown) in [
            (
                "rtmp://a.example/live2/abcd-1234",
                "rtmp://a.example/live2/***",
            ),
            ("rtmp://bob:pass@h:99/a/key?t=1", "rtmp://h:99/a/***"),
            ("rtmp://h/live?key=hidden/door", "rtmp://h/live/***"),
            ("http://cam/flv?user=a&password=b", "http://cam/***"),
            ("http://cam:80/x/y.flv", "http://cam/x/***"),
            ("rtmps://[::1]/a/key", "rtmps://[::1]/a/***"),
        ] {
            let url = url(text);
            assert_eq!(url.masked(), shown);
            assert_eq!(format!("{url} {url:?}"), format!("{shown} {shown}"));
        }
    }

    #[test]
    fn what_a_server_refers_to_is_shown_without_the_secrets_of_the_first_url() {
        let first = url("rtmp://bob:opensesame@a/live/Key-1234?t=abcdef");
        for (to, shown, place) in [
            ("rtmp://b/key-1234/live", "rtmp://b/***/live/***", "b:1935"),
            ("rtmp://b/OPENSESAME", "rtmp://b/***/***", "b:1935"),
            (
                "rtmp://b/x%2Fkey%2D1234%2Fy",
                "rtmp://b/x%2F***%2Fy/***",
                "b:1935",
            ),
            (
                "rtmp://KEY-1234.invalid/x",
                "rtmp://***.invalid/x/***",
                "***.invalid:1935",
            ),
            ("rtmp://b.abcdef:9/x", "rtmp://b.***:9/x/***", "b.***:9"),
            ("rtmp://x:y@b/live", "rtmp://b/live/***", "b:1935"),
            ("/key-1234", "rtmp://a/***/***", "a:1935"),
        ] {
            let other = first.refer(to).unwrap();
            assert_eq!((&*other.masked(), &*other.place()), (shown, place), "{to}");
            assert_eq!(format!("{other} {other:?}"), format!("{shown} {shown}"));
            // The same at the next place.
            let next = other.refer("rtmp://c/key-1234").unwrap();
            assert_eq!(next.masked(), "rtmp://c/***/***");
            assert_eq!(
                next.scrub("Key-1234, opensesame, t=abcdef"),
                "***, ***, ***"
            );
        }
        for to in ["abcdef://b/x", "opensesame://", "ABCDEF://b"] {
            let error = first.refer(to).unwrap_err().to_string();
            assert_eq!(
                error,
                "a reference from rtmp:// to ***://, expected rtmp:// or rtmps://"
            );
        }
        // Short ones are no secrets in an address.
        let short = url("rtmp://a/live/1?x=0").refer("rtmp://127.0.0.1/live");
        assert_eq!(short.unwrap().place(), "127.0.0.1:1935");
    }

    #[test]
    fn what_a_server_repeats_is_scrubbed() {
        let bob = url("rtmp://bob:opensesame@h/live/key-1234?token=abcdef&x=1");
        let odd = url("rtmp://bob:c%3Ad-e@h/live/door?x=a%2Bbcd");
        let short = url("rtmp://u:pw@h/live?sig=xyzw/k");
        let mixed = url("rtmp://x:p%20w@h/live/Ab%2DCd_9?t=_9876");
        let half = url("rtmp://h/live/%BCabc");
        let camera = url("http://cam/flv?stream=main.bcs&user=admin&password=p1");
        for (url, said, shown) in [
            (&bob, "stream 'key-1234' is busy", "stream '***' is busy"),
            (&bob, "key-1234?token=abcdef&x=1 refused", "*** refused"),
            (&bob, "bad token abcdef for bob", "bad token *** for ***"),
            (&bob, "xxopensesamexx", "xx***xx"),
            (&bob, "try rtmp://i/live/k?t=1 now", "try rtmp://i/*** now"),
            (&bob, "try \"ftp://a:b/c@i/k\"", "try \"ftp://***\""),
            (
                &bob,
                "http://i:80 or https://j?k",
                "http://i:80 or https://j/***",
            ),
            (
                &odd,
                "a+bcd, c:d-e or a%2Bbcd, c%3Ad%2De",
                "***, *** or ***, ***",
            ),
            (
                &bob,
                "the app live has 12 bobbins",
                "the app live has 12 bobbins",
            ),
            (&short, "u:pw, k, upward", "***:***, ***, upward"),
            (&short, "live?sig=xyzw", "live?***"),
            (
                &camera,
                "no admin with p1 in /flv",
                "no *** with *** in /***",
            ),
            // As servers may change it.
            (
                &mixed,
                "Ab-Cd_9 Ab%2DCd_9 %41b%2dcd_9 ab%252dcd%255f9 AB-CD_9!",
                "*** *** *** *** ***!",
            ),
            (
                &mixed,
                "a p+w, a P W, p%2Bw, p%20w",
                "a ***, a ***, ***, ***",
            ),
            (&mixed, "for /x%2F%2F, /y", "for /***%2F%2F, /y"),
            // Basic authentication, and a part of a longer text.
            (&bob, "Basic Ym9iOm9wZW5zZXNhbWU= is", "Basic ***= is"),
            (&bob, "(Ym9iOm9wZW5zZXNhbWUK)", "(***K)"),
            (&bob, "ym9iom9wzw5zzxnhbwu", "***"),
            // Secrets that overlap.
            (&mixed, "Ab-Cd_9876z", "***z"),
            // Half a character.
            (&half, "f\u{fc}r \u{fc}Abc", "f\u{fc}r \u{fffd}***"),
        ] {
            assert_eq!(url.scrub(said), shown);
        }
    }
}
