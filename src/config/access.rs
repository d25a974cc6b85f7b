//! Access to an action, publish or play, by keys, users and networks.

use std::fmt;

use subtle::ConstantTimeEq;

use super::network::Network;
use crate::rtmp::printable::Printable;
use crate::rtmp::stream_key::StreamKey;

/// The possible lengths of a key, in bytes. Shorter keys can be guessed; longer ones don't fit into a
/// part of a stream's name.
const KEY_LEN: std::ops::RangeInclusive<usize> = 4..=128;

/// The maximum lengths of a user's name and password, in bytes.
const MAX_USER_LEN: usize = 64;
const MAX_PASSWORD_LEN: usize = 128;

settings! {
    /// Rules for who may publish, or play. Without keys and users, every client in one of the networks
    /// may.
    ///
    /// ```
    /// use brooklet::Config;
    /// use brooklet::config::{Access, Key, Network};
    ///
    /// let publish = Access::default().keys(vec![Key::parse("live/door=sesame-4711")?]);
    /// let play = Access::default().from(vec![Network::parse("192.168.1.0/24")?]);
    /// assert!(play.is_open() && !publish.is_open());
    /// let config = Config::default().publish(publish).play(play);
    /// # Ok::<(), &str>(())
    /// ```
    Access {
        /// Keys of streams. Of all keys that match a stream's name, the most specific ones count.
        keys: Vec<Key> = Vec::new(),
        /// Users, who may use every stream.
        users: Vec<User> = Vec::new(),
        /// Networks of clients. Empty means [`Network::Private`] as long as there are neither keys nor
        /// users, and [`Network::Any`] otherwise.
        from: Vec<Network> = Vec::new(),
    }
}

impl Access {
    /// Whether neither key nor password is needed.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty() && self.users.is_empty()
    }

    /// The networks in effect.
    pub fn networks(&self) -> &[Network] {
        match &*self.from {
            [] if self.is_open() => &[Network::Private],
            [] => &[Network::Any],
            networks => networks,
        }
    }

    /// Returns the networks in effect, as words for a sentence.
    #[doc(hidden)]
    pub fn networks_in_words(&self) -> String {
        let words = |network: &Network| match network {
            Network::Any => "any address".to_owned(),
            Network::Private => "private and loopback addresses".to_owned(),
            Network::Prefix { .. } => network.to_string(),
        };
        let networks: Vec<_> = self.networks().iter().map(words).collect();
        networks.join(", ")
    }

    /// The keys that count for a stream: those for its name; without any, those of the longest matching
    /// `app/*`; without any, those for all streams.
    pub fn keys_of<'a>(&'a self, stream: &'a StreamKey) -> impl Iterator<Item = &'a Key> {
        let match_len = move |key: &Key| key.scope.match_len(stream.as_str());
        let best = self.keys.iter().filter_map(match_len).max();
        let keys = self.keys.iter();
        keys.filter(move |key| best.is_some() && match_len(key) == best)
    }
}

/// A key and the streams that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The streams.
    pub scope: Scope,
    /// The text that clients have to send.
    pub secret: Secret,
}

impl Key {
    /// Parses `KEY`, `NAME=KEY` or `APP/*=KEY`; the error says what was expected.
    pub fn parse(text: &str) -> Result<Key, &'static str> {
        // At the last `=`, since a key can't contain one.
        let (scope, key) = match text.rsplit_once('=') {
            Some((name, key)) => (Scope::parse(name).ok_or(NAME)?, key),
            None => (Scope::All, text),
        };
        // A key has to survive in URLs, in the settings of cameras, and as a part of a stream's name.
        let is_part = !key.starts_with('.') && !key.ends_with(".flv");
        if !is_plain_key(key) || !is_part {
            return Err(KEY);
        }
        let secret = Secret::new(key);
        Ok(Key { scope, secret })
    }
}

/// Parses the key for the API; the error says what was expected.
pub fn parse_api_key(text: &str) -> Result<Secret, &'static str> {
    if is_plain_key(text) {
        Ok(Secret::new(text))
    } else {
        Err("a key of 4 to 128 letters (A-Z, a-z), digits and any of . _ ~ -")
    }
}

/// Whether a key has the right length, and only characters that survive URLs.
fn is_plain_key(key: &str) -> bool {
    KEY_LEN.contains(&key.len()) && key.bytes().all(is_unreserved)
}

/// Whether a URL can contain a character without encoding (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)
}

const KEY: &str = "KEY or NAME=KEY, with a key of 4 to 128 letters (A-Z, a-z), digits and any of \
                   . _ ~ - (all of which survive in URLs), that neither begins with a dot nor ends \
                   in .flv";
const NAME: &str = "KEY or NAME=KEY, with the name of a stream such as live/door, or live/* for all \
                    that begin with live/";

/// The streams that a key or a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All streams.
    All,
    /// The streams whose names begin with this prefix, which ends with a slash.
    Under(String),
    /// The stream of this name.
    Stream(StreamKey),
}

impl Scope {
    /// Parses the name of a stream, or `app/*`.
    pub(super) fn parse(text: &str) -> Option<Scope> {
        if text.contains('?') {
            return None;
        }
        match text.strip_suffix("/*") {
            Some(app) => {
                let app = StreamKey::new("", app).ok()?;
                Some(Scope::Under(format!("{}/", app.as_str())))
            }
            None if text.contains('*') => None,
            None => Some(Scope::Stream(StreamKey::new("", text).ok()?)),
        }
    }

    /// Whether a stream is one of these.
    pub(super) fn contains(&self, stream: &StreamKey) -> bool {
        self.match_len(stream.as_str()).is_some()
    }

    /// Returns the length of the part of `name` that the scope determines, if it matches; for a whole
    /// name, the maximum.
    fn match_len(&self, name: &str) -> Option<usize> {
        match self {
            Scope::All => Some(0),
            Scope::Under(app) => name.starts_with(app.as_str()).then_some(app.len()),
            Scope::Stream(key) => (key.as_str() == name).then_some(usize::MAX),
        }
    }
}

impl Scope {
    /// The scope as it is parsed.
    pub(crate) fn text(&self) -> String {
        match self {
            Scope::All => "*".to_owned(),
            Scope::Under(app) => [app, "*"].concat(),
            Scope::Stream(key) => key.as_str().to_owned(),
        }
    }
}

/// Formats the scope for logs; see `Printable`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.text()).fmt(f)
    }
}

/// A user and the password that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Letters, digits and `._~-`, since clients put the name into URLs unencoded.
    pub name: String,
    /// The password.
    pub password: Secret,
}

impl User {
    /// Parses `NAME:PASSWORD`; the error says what was expected.
    pub fn parse(text: &str) -> Result<User, &'static str> {
        const USER: &str = "NAME:PASSWORD, with a name of at most 64 letters (A-Z, a-z), digits and \
                            any of . _ ~ -, and a password of 1 to 128 bytes";

        // At the first colon, since only the password may contain more of them.
        let (name, password) = text.split_once(':').ok_or(USER)?;
        let is_name = (1..=MAX_USER_LEN).contains(&name.len()) && name.bytes().all(is_unreserved);
        let is_password = (1..=MAX_PASSWORD_LEN).contains(&password.len())
            && !password.contains(char::is_control);
        if !is_name || !is_password {
            return Err(USER);
        }
        Ok(User {
            name: name.to_owned(),
            password: Secret::new(password),
        })
    }

    /// Whether the user has this name. The time depends only on the lengths.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.name.as_bytes().ct_eq(name.as_bytes()).into()
    }
}

/// A text that must not be shown: it prints as `***`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret text itself, for code that computes with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the secret equals a text. The time depends only on the lengths, so that a client that
    /// guesses doesn't learn how many characters were right.
    pub fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.is(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(keys: &[&str]) -> Access {
        Access {
            keys: keys.iter().map(|text| Key::parse(text).unwrap()).collect(),
            ..Access::default()
        }
    }

    #[test]
    fn the_most_specific_name_decides_which_keys_count() {
        let access = access(&[
            "everywhere",
            "all-too",
            "live/*=for-live",
            "live/cam/*=for-cams",
            "live/door=for-door",
            "/live//door/=door-too",
            "gate=for-gate",
        ]);
        for (stream, keys) in [
            ("other/door", &["everywhere", "all-too"][..]),
            ("live/gate", &["for-live"]),
            ("live/cam/main", &["for-cams"]),
            ("live/cam", &["for-live"]),
            ("live", &["everywhere", "all-too"]),
            ("live/door", &["for-door", "door-too"]),
            ("live/door/two", &["for-live"]),
            ("lively/door", &["everywhere", "all-too"]),
            ("gate", &["for-gate"]),
        ] {
            let stream = StreamKey::new("", stream).unwrap();
            let found: Vec<_> = access
                .keys_of(&stream)
                .map(|key| key.secret.reveal())
                .collect();
            assert_eq!(found, keys, "{stream}");
        }
    }

    #[test]
    fn a_stream_that_no_scope_matches_has_no_key() {
        let access = access(&["live/door=for-door"]);
        let stream = StreamKey::new("live", "gate").unwrap();
        assert_eq!(access.keys_of(&stream).count(), 0);
    }

    #[test]
    fn keys_have_only_characters_that_survive_urls() {
        let longest = "k".repeat(128);
        for text in ["1234", "Az09._~-", "a..b", &longest] {
            assert_eq!(Key::parse(text).unwrap().secret.reveal(), text);
        }
        let too_long = "k".repeat(129);
        for text in [
            "",
            "123",
            "with space",
            "per%20cent",
            "plus+",
            "a/b/c",
            "d\u{f6}rr",
            "x&yz",
            ".hidden",
            "some.flv",
            "tail\n",
            &too_long,
            "live/door=",
            "live/door=123",
        ] {
            assert_eq!(Key::parse(text), Err(KEY), "{text:?}");
        }
        for text in [
            "=1234",
            "../x=1234",
            "*=1234",
            "li*/x=1234",
            "live/door?x=1234",
            "/*=1234",
        ] {
            assert_eq!(Key::parse(text), Err(NAME), "{text:?}");
        }
    }

    #[test]
    fn the_password_follows_the_first_colon() {
        for (text, name, password) in [
            ("bob:pw", "bob", "pw"),
            ("bob:p:w", "bob", "p:w"),
            ("a.b-c_d~9:\u{fc} =&?", "a.b-c_d~9", "\u{fc} =&?"),
        ] {
            let user = User::parse(text).unwrap();
            assert_eq!((&*user.name, user.password.reveal()), (name, password));
        }
        let long_name = format!("{}:pw", "n".repeat(65));
        let long_password = format!("bob:{}", "p".repeat(129));
        for text in [
            "bob",
            "bob:",
            ":pw",
            "b b:pw",
            "b&b:pw",
            "b\u{f6}b:pw",
            "bob:p\tw",
            &long_name,
            &long_password,
        ] {
            assert!(User::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let access = Access {
            keys: vec![Key::parse("live/door=s3cret").unwrap()],
            users: vec![User::parse("bob:s3cret").unwrap()],
            from: vec![Network::Any],
        };
        let printed = format!("{access:?} {access:#?}");
        assert!(
            printed.contains("***") && printed.contains("bob"),
            "{printed}"
        );
        assert!(!printed.contains("s3cret"), "{printed}");
    }

    #[test]
    fn without_keys_and_users_only_private_addresses_are_let_in() {
        let mut access = Access::default();
        assert_eq!(access.networks(), [Network::Private]);
        access.keys.push(Key::parse("1234").unwrap());
        assert_eq!(access.networks(), [Network::Any]);
        access.keys.clear();
        access.users.push(User::parse("bob:pw").unwrap());
        assert_eq!(access.networks(), [Network::Any]);
        access.from.push(Network::Private);
        assert_eq!(access.networks(), [Network::Private]);
    }

    #[test]
    fn every_bit_of_a_secret_counts() {
        let text = "s3cret-4711";
        let secret = Secret::new(text);
        assert!(secret.is(text));
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut other = text.as_bytes().to_vec();
                other[at] ^= 1 << bit;
                assert!(!secret.is(std::str::from_utf8(&other).unwrap()));
            }
        }
        for other in ["", "s3cret-471", "s3cret-47111", "S3CRET-4711"] {
            assert!(!secret.is(other), "{other}");
        }
    }
}
