//! The access rules of the configuration, as pure functions: rules and credentials give a verdict.
//!
//! ```text
//! from a network that may do this?                no: TooFar
//! a right key or user, if any are configured?     no: Unproved
//! no key as a part of the stream's name?          no: KeyInName, or the name is hidden
//! ```

use std::ptr;

use super::credentials::{Credentials, Login};
use crate::config::{Access, Config, Key, Network, Scope, Secret};
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::{Action, Arrival, Client};

/// See the module's documentation.
pub(super) struct Rules {
    publish: Access,
    play: Access,
    api_key: Option<Secret>,
}

/// The answer of the rules to a publish or play.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) result: Result<Grant, Denial>,
    /// Whether the client has sent credentials that decided the result. Such an attempt counts as right
    /// or wrong.
    pub(super) is_attempt: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// The stream with this name; a key at its end has been removed.
    Stream(StreamKey),
    /// A play of a name that contains a key, although playing requires none. There is nothing to play,
    /// but the client must not learn whether the key is right. Holds the name as it may be shown.
    Hidden(StreamKey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    TooFar,
    /// Credentials are missing, or wrong.
    Unproved,
    KeyInName,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Rules {
        Rules {
            publish: config.publish.clone(),
            play: config.play.clone(),
            api_key: config.api_key.clone(),
        }
    }

    pub(super) fn access(&self, action: Action) -> &Access {
        match action {
            Action::Publish => &self.publish,
            Action::Play => &self.play,
        }
    }

    pub(super) fn api_key(&self) -> Option<&Secret> {
        self.api_key.as_ref()
    }

    pub(super) fn is_near_enough(&self, action: Action, client: &Client) -> bool {
        let (peer, local) = (client.address().ip(), client.local_address().ip());
        let contains = |network: &Network| match client.arrival {
            Arrival::ByUnknownProxy => *network == Network::Any,
            Arrival::Direct | Arrival::ByTrustedProxy => network.contains(peer, local),
        };
        self.access(action).networks().iter().any(contains)
    }

    /// Whether clients may play just because of their addresses.
    pub(super) fn is_play_by_network(&self) -> bool {
        self.play.is_open() && !self.play.networks().contains(&Network::Any)
    }

    /// Whether clients without credentials can find out keys by publishing under names that contain
    /// them.
    pub(super) fn tells_keys_by_names(&self) -> bool {
        self.publish.is_open() && self.secrets().next().is_some()
    }

    /// Decides about a publish or play of the stream with the name `asked`.
    pub(super) fn judge(
        &self,
        action: Action,
        client: &Client,
        credentials: &Credentials<'_>,
        asked: &StreamKey,
    ) -> Verdict {
        if !self.is_near_enough(action, client) {
            return Verdict {
                result: Err(Denial::TooFar),
                is_attempt: false,
            };
        }
        let access = self.access(action);
        let ending = key_at_end(access, asked);
        // All keys are compared, so that the time reveals nothing.
        let by_ending = ending.as_ref().is_some_and(|(stream, key)| {
            let keys = access.keys_of(stream);
            keys.fold(false, |is_right, other| is_right | other.secret.is(key))
        });
        let is_right = by_ending | are_right(access, credentials, asked);
        let needs_proof = !access.is_open() && !client.may(action);
        let has_sent = credentials.are_for_streams() || ending.is_some();
        let result = if needs_proof && !is_right {
            Err(Denial::Unproved)
        } else {
            let stream = ending.map(|(stream, _)| stream).filter(|_| by_ending);
            self.grant(action, stream.unwrap_or_else(|| asked.clone()))
        };
        Verdict {
            result,
            is_attempt: needs_proof && has_sent,
        }
    }

    fn grant(&self, action: Action, stream: StreamKey) -> Result<Grant, Denial> {
        match self.without_keys(&stream) {
            None => Ok(Grant::Stream(stream)),
            // The player has probably been given the publisher's URL, including its key.
            Some(shown) if action == Action::Play && self.play.is_open() => {
                Ok(Grant::Hidden(shown))
            }
            Some(_) => Err(Denial::KeyInName),
        }
    }

    /// Returns what a client with these credentials may see in lists.
    pub(super) fn visitor(&self, credentials: &Credentials<'_>) -> Visitor<'_> {
        let access = &self.play;
        let is_right = |key: &&Key| credentials.contain(&key.secret);
        let sees_all = access.is_open() || prove_user(access, credentials);
        Visitor {
            rules: self,
            sees_all,
            keys: access.keys.iter().filter(is_right).collect(),
        }
    }

    /// Returns a visitor that may see nothing.
    pub(super) fn stranger(&self) -> Visitor<'_> {
        Visitor {
            rules: self,
            sees_all: false,
            keys: Vec::new(),
        }
    }

    /// Whether user and password, or a key as password, are right for playing some stream.
    pub(super) fn is_login_to_play(&self, login: &Login<'_>) -> bool {
        let Access { keys, users, .. } = &self.play;
        let is_key = |is_right, key: &Key| is_right | key.secret.is(&login.password);
        let is_user = users
            .iter()
            .fold(false, |found, user| found | login.is_of(user));
        keys.iter().fold(is_user, is_key)
    }

    /// Returns the name of a stream as the log may show it before it is accepted. Any part may be a key,
    /// right or mistyped, so only a beginning that the options contain is shown, or `live`, which is in
    /// every manual. `None` if nothing is secret.
    pub(super) fn masked(&self, name: &StreamKey) -> Option<StreamKey> {
        let mut users = self.publish.users.iter().chain(&self.play.users);
        if self.secrets().next().is_none() && users.next().is_none() {
            return None;
        }
        let name = name.as_str();
        let keys = self.publish.keys.iter().chain(&self.play.keys);
        let scopes = keys.filter_map(|key| match &key.scope {
            Scope::All => None,
            Scope::Under(app) => app.strip_suffix('/'),
            Scope::Stream(stream) => Some(stream.as_str()),
        });
        let begins_name = |known: &&str| {
            let rest = name.strip_prefix(*known);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let known = scopes.chain(["live"]).filter(begins_name);
        match known.max_by_key(|known| known.len()) {
            Some(known) if known == name => shown(known),
            Some(known) => shown(&[known, "/***"].concat()),
            None => shown("***"),
        }
    }

    /// Returns the name with `***` in place of the parts that are keys, or `None` if there are none.
    fn without_keys(&self, name: &StreamKey) -> Option<StreamKey> {
        let is_key = |part: &str| self.secrets().any(|secret| secret.is(part));
        let parts = || name.as_str().split('/');
        if !parts().any(is_key) {
            return None;
        }
        let parts = parts().map(|part| if is_key(part) { "***" } else { part });
        shown(&parts.collect::<Vec<_>>().join("/"))
    }

    /// The keys of both actions and the one for the API.
    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let keys = self.publish.keys.iter().chain(&self.play.keys);
        keys.map(|key| &key.secret).chain(&self.api_key)
    }
}

/// A client that asks for a list: it may see the streams that it might play. Handlers of a program
/// that embeds the server aren't asked, since nothing is played.
pub(in crate::server) struct Visitor<'a> {
    rules: &'a Rules,
    sees_all: bool,
    /// The keys for playing that the client has sent.
    keys: Vec<&'a Key>,
}

impl Visitor<'_> {
    /// Whether the client has shown a right key or login, or needs none.
    pub(super) fn is_known(&self) -> bool {
        self.sees_all || !self.keys.is_empty()
    }

    /// Whether the client may see this stream. Streams whose names contain a key are never listed.
    pub(in crate::server) fn may_list(&self, stream: &StreamKey) -> bool {
        let has_key = || {
            let mut keys = self.rules.play.keys_of(stream);
            // Both sides refer to entries of `play.keys`, so their addresses can be compared.
            keys.any(|key| self.keys.iter().any(|own| ptr::eq(*own, key)))
        };
        (self.sees_all || has_key()) && self.rules.without_keys(stream).is_none()
    }
}

/// Whether credentials are right for a stream.
fn are_right(access: &Access, credentials: &Credentials<'_>, stream: &StreamKey) -> bool {
    let keys = access.keys_of(stream);
    let has_key = keys.fold(false, |found, key| found | credentials.contain(&key.secret));
    has_key | prove_user(access, credentials)
}

fn prove_user(access: &Access, credentials: &Credentials<'_>) -> bool {
    let users = access.users.iter();
    // All users are compared, so that the time reveals nothing.
    users.fold(false, |found, user| found | credentials.prove(user))
}

/// The last part of a name, which may be a key, and the name of the stream without it: `live/door/KEY`.
/// `None` unless the rest still has two parts, app and name.
fn key_at_end<'a>(access: &Access, name: &'a StreamKey) -> Option<(StreamKey, &'a str)> {
    let (stream, last) = name.split_last().filter(|_| !access.keys.is_empty())?;
    stream.split_last()?;
    Some((stream, last))
}

/// Returns a masked name, never `None`. A name that is too long with the stars is masked as a whole.
fn shown(name: &str) -> Option<StreamKey> {
    let shown = StreamKey::new("", name).or_else(|_| StreamKey::new("", "***"));
    shown.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::User;
    use crate::rtmp::server_session::Connect;

    /// Publishing requires the key `pub-key` (`own-key` for one stream), or the user bob.
    fn rules(play: Access) -> Rules {
        let keys = ["pub-key", "live/own=own-key"].map(|text| Key::parse(text).unwrap());
        Rules {
            publish: Access {
                keys: keys.to_vec(),
                users: vec![User::parse("bob:pw").unwrap()],
                from: vec![Network::parse("10.0.0.0/8").unwrap()],
            },
            play,
            api_key: Some(Secret::new("api-key")),
        }
    }

    fn key(name: &str) -> StreamKey {
        StreamKey::new("", name).unwrap()
    }

    fn client(ip: &str) -> Client {
        let address = std::net::SocketAddr::new(ip.parse().unwrap(), 40_000);
        Client::new(1, address, "192.0.2.1:1935".parse().unwrap())
    }

    /// The verdict in words, such as `attempt, Stream live/door`.
    fn verdict(rules: &Rules, action: Action, client: &Client, name: &str) -> String {
        let connect = Connect::default();
        let credentials = Credentials::from_rtmp(name, &connect);
        let verdict = rules.judge(action, client, &credentials, &key(name));
        let result = match verdict.result {
            Ok(Grant::Stream(stream)) => format!("Stream {stream}"),
            Ok(Grant::Hidden(shown)) => format!("Hidden {shown}"),
            Err(denial) => format!("{denial:?}"),
        };
        let attempt = if verdict.is_attempt { "attempt, " } else { "" };
        [attempt, &result].concat()
    }

    #[test]
    fn a_publish_needs_a_right_key_or_user() {
        let rules = rules(Access::default());
        for (name, expected) in [
            ("live/door", "Unproved"),
            ("live/door?key=wrong", "attempt, Unproved"),
            ("live/door/wrong", "attempt, Unproved"),
            ("live/door?user=bob&pass=wrong", "attempt, Unproved"),
            ("live/door?user=eve&pass=pw", "attempt, Unproved"),
            ("live/door?key=pub-key", "attempt, Stream live/door"),
            ("live/door/pub-key", "attempt, Stream live/door"),
            ("live/door/pub-key?key=no", "attempt, Stream live/door"),
            ("live/own?user=bob&pass=pw", "attempt, Stream live/own"),
            // Each stream has its own keys.
            ("live/own/own-key", "attempt, Stream live/own"),
            ("live/own?key=pub-key", "attempt, Unproved"),
            ("live/door?key=own-key", "attempt, Unproved"),
            ("live/door?key=api-key", "attempt, Unproved"),
            // Without an app and a name before it, the last part isn't a key.
            ("pub-key", "Unproved"),
            ("live/pub-key", "Unproved"),
            // Names are shown to all.
            ("live/pub-key?key=pub-key", "attempt, KeyInName"),
            ("live/api-key?key=pub-key", "attempt, KeyInName"),
            ("live/own-key/x/pub-key", "attempt, KeyInName"),
        ] {
            let found = verdict(&rules, Action::Publish, &client("10.1.2.3"), name);
            assert_eq!(found, expected, "{name}");
            let far = verdict(&rules, Action::Publish, &client("192.0.2.7"), name);
            assert_eq!(far, "TooFar", "{name}");
        }
    }

    #[test]
    fn a_play_needs_a_key_if_there_are_any() {
        let open = rules(Access::default());
        let keyed = rules(Access {
            keys: vec![Key::parse("play-key").unwrap()],
            ..Access::default()
        });
        for (name, by_open, by_keyed) in [
            ("live/door", "Stream live/door", "Unproved"),
            ("x/y?key=no", "Stream x/y", "attempt, Unproved"),
            ("x/y/no", "Stream x/y/no", "attempt, Unproved"),
            ("x/y?key=pub-key", "Stream x/y", "attempt, Unproved"),
            ("x/y?key=play-key", "Stream x/y", "attempt, Stream x/y"),
            ("x/y/play-key", "Stream x/y/play-key", "attempt, Stream x/y"),
            ("x/y/pub-key", "Hidden x/y/***", "attempt, Unproved"),
            ("x/pub-key/api-key", "Hidden x/***/***", "attempt, Unproved"),
            (
                "pub-key/x/play-key",
                "Hidden ***/x/play-key",
                "attempt, KeyInName",
            ),
        ] {
            let client = client("10.1.2.3");
            let found = [&open, &keyed].map(|rules| verdict(rules, Action::Play, &client, name));
            assert_eq!(found, [by_open, by_keyed], "{name}");
        }
        let far = client("203.0.113.5");
        assert_eq!(verdict(&open, Action::Play, &far, "x/y"), "TooFar");
        assert_eq!(verdict(&keyed, Action::Play, &far, "x/y"), "Unproved");
    }

    /// The attempt was counted at login.
    #[test]
    fn a_client_that_has_logged_in_needs_no_credentials() {
        let rules = rules(Access::default());
        let mut client = client("10.1.2.3");
        client.allow(Action::Publish);
        for name in ["live/door", "live/door?key=wrong", "live/door/pub-key"] {
            let found = verdict(&rules, Action::Publish, &client, name);
            assert_eq!(found, "Stream live/door");
        }
    }

    #[test]
    fn a_name_that_is_too_long_with_stars_is_masked_as_a_whole() {
        let long = ["a".repeat(255), "b".repeat(253)].join("/");
        let own = Key::parse(&format!("{long}=own-key")).unwrap();
        let rules = rules(Access {
            keys: vec![own],
            ..Access::default()
        });
        for (name, shown) in [("", &*long), ("/x", "***")] {
            let name = key(&[&long, name].concat());
            assert_eq!(rules.masked(&name).unwrap().as_str(), shown);
        }
    }
}
