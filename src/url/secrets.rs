//! What of a URL is never shown.

use std::fmt::{self, Write as _};

use super::{Url, decode, without_query};

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
            false => self.place(),
        };
        let shown = match self.scheme.is_rtmp() {
            true => self.app(),
            false => {
                let path = without_query(&self.path);
                path.rsplit_once('/').map_or("", |(before, _)| before)
            }
        };
        let shown = without_query(shown).trim_matches('/');
        let slash = if shown.is_empty() { "" } else { "/" };
        let scheme = self.scheme.name();
        format!("{scheme}://{place}{slash}{shown}/{MASK}")
    }

    /// Replaces everything that [`masked`](Self::masked) leaves out where it stands in a text, such as a
    /// server's words, percent-encoded or not, and what other URLs in it may hold.
    pub fn scrub(&self, text: &str) -> String {
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
        let decoded = secrets.iter().filter_map(|secret| decode(secret));
        let mut secrets: Vec<Box<str>> = decoded
            .chain(secrets.iter().copied().map(Box::from))
            .collect();
        for secret in [self.user(), self.password()].into_iter().flatten() {
            secrets.extend([encode(secret).into(), secret.into()]);
        }
        secrets.retain(|secret| !secret.is_empty());
        // Long ones first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut scrubbed = without_urls(text);
        for secret in secrets {
            scrubbed = without(&scrubbed, &secret);
        }
        scrubbed
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

/// Text with percent encodings in place of everything but letters and digits.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let _ = match byte.is_ascii_alphanumeric() {
            true => encoded.write_char(byte.into()),
            false => write!(encoded, "%{byte:02X}"),
        };
    }
    encoded
}

/// Returns a text with a mask wherever the secret stands.
fn without(text: &str, secret: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(secret) {
        let end = at + secret.len();
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(end..).and_then(|text| text.chars().next());
        let is_inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        if secret.len() < MIN_LEN_INSIDE_WORDS && (is_inside(before) || is_inside(after)) {
            continue;
        }
        clean.push_str(text.get(from..at).unwrap_or_default());
        clean.push_str(MASK);
        from = end;
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    clean
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
    fn what_a_server_repeats_is_scrubbed() {
        let bob = url("rtmp://bob:opensesame@h/live/key-1234?token=abcdef&x=1");
        let odd = url("rtmp://bob:c%3Ad-e@h/live/door?x=a%2Bbcd");
        let short = url("rtmp://u:pw@h/live?sig=xyzw/k");
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
        ] {
            assert_eq!(url.scrub(said), shown);
        }
    }
}
