//! The configuration's own rules: who may publish and who may play.
//!
//! ```text
//! connect   from a network that may do something?    no: refused
//!           user and password needed?                two refusals, by which the client is asked
//! publish   from a network that may publish?         no: refused
//! (play)    the right key or user, if there are any? no: refused, slowly if that happens often
//! ```
//!
//! No log line and no error holds a key, not even a wrong one, which is often a right one with a
//! slip of the pen. A name may hold one too, as any of its parts. So where there is anything secret,
//! names are hidden first and shown once they are accepted; what somebody waits for that nobody has
//! published stays hidden (see [`Guard::masked`]).

mod authorization;
mod challenges;
mod failures;
mod http;
mod login;
mod origin;
mod presented;
mod refusals;

use std::sync::Arc;
use std::time::Instant;

use super::handler::{Client, Handler, Refusal, StreamRequest, Way};
use super::lines::Lines;
use super::millis;
use crate::config::{Access, Config, Key, Network, Scope, Secret, User};
use crate::live::Millis;
use crate::rtmp::secret::constant_time_eq;
use crate::rtmp::stream_key::StreamKey;
use challenges::Challenges;
use failures::{Attempt, Failures, NoRoom, WaitingRoom};
use origin::LocalNames;
use presented::Presented;
use refusals::{Expected, too_far, too_many};

pub(super) use authorization::Login;
#[allow(unused_imports)] // Visitor: until lists are made.
pub(super) use http::{Credentials, Denied, Visitor, authorize_play};
pub(super) use origin::Page;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Sending a stream.
    Publish,
    /// Receiving one.
    Play,
}

impl Action {
    /// As in `--publish-key`.
    fn verb(self) -> &'static str {
        match self {
            Action::Publish => "publish",
            Action::Play => "play",
        }
    }
}

/// See the module's documentation.
pub(super) struct Guard {
    publish: Access,
    play: Access,
    api_key: Option<Secret>,
    trusted_proxies: Vec<Network>,
    names: LocalNames,
    pub(super) lines: Arc<Lines>,
    failures: Failures,
    room: WaitingRoom,
    challenges: Challenges,
    started: Instant,
}

impl Guard {
    pub(super) fn new(config: &Config) -> Guard {
        Guard {
            publish: config.publish.clone(),
            play: config.play.clone(),
            api_key: config.api_key.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            names: LocalNames::new(&config.host_names),
            lines: Arc::default(),
            failures: Failures::default(),
            room: WaitingRoom::default(),
            challenges: Challenges::default(),
            started: Instant::now(),
        }
    }

    /// The server stops: nobody waits any longer.
    pub(super) fn close(&self) {
        self.room.close();
    }

    fn access(&self, action: Action) -> &Access {
        match action {
            Action::Publish => &self.publish,
            Action::Play => &self.play,
        }
    }

    fn now(&self) -> Millis {
        millis(self.started.elapsed())
    }

    fn is_near_enough(&self, action: Action, client: &Client) -> bool {
        let (peer, local) = (client.address().ip(), client.local_address().ip());
        let networks = self.access(action).networks();
        // A client at an unknown address may be anywhere.
        let contains = |network: &Network| match client.way() {
            Way::Unnamed => *network == Network::Any,
            Way::Direct | Way::Named => network.contains(peer, local),
        };
        networks.iter().any(contains)
    }

    /// Decides about a publish or play.
    fn decide(
        &self,
        action: Action,
        client: &Client,
        request: &mut StreamRequest<'_>,
        now: Millis,
    ) -> Result<(), Refusal> {
        let asked = request.key().clone();
        // Before anything is decided: whatever comes out then, the log has no more of it.
        if let Some(shown) = self.masked(&asked) {
            request.hide(shown);
        }
        let access = self.access(action);
        let presented = Presented::find(Some(request.name()), client.connect())
            .with_login(client.login().filter(|login| !self.is_api_key(login)));
        if !self.is_near_enough(action, client) {
            return Err(too_far(action, access, client.way()));
        }
        let tail = match access.keys.is_empty() {
            true => None,
            false => tail(&asked),
        };
        if !access.is_open() && !client.may(action) {
            let is_attempt = presented.is_some() || tail.is_some();
            let (address, attempt) = (client.address().ip(), action.into());
            if is_attempt {
                self.look(attempt, client, now)?;
            }
            let found = Proofs::check(access, &asked, tail.as_ref(), &presented);
            if !found.is_enough() {
                if is_attempt {
                    self.was_wrong(attempt, client, now)?;
                }
                let expected = Expected {
                    action,
                    access,
                    protocol: client.protocol(),
                };
                return Err(expected.refusal(&asked, &presented, tail.is_some()));
            }
            if is_attempt {
                self.failures.was_right(address, attempt);
            }
        }
        let found = match tail {
            Some((stream, key)) if accepts_key(access, &stream, &key) => stream,
            _ => asked,
        };
        match self.without_keys(&found) {
            // A player that was given the publisher's address, key included: there is nothing to
            // play. The client must not learn whether it was right.
            Some(shown) if access.is_open() && action == Action::Play => request.hide(shown),
            Some(_) => {
                return Err(Refusal::new(
                    "a part of the stream's name is a key. Expected it as ?key=KEY, or as one more \
                     part at the end: APP/NAME/KEY",
                ));
            }
            None => request.show(found),
        }
        if action == Action::Publish && !access.is_open() {
            request.trust();
        }
        Ok(())
    }

    /// Before something is looked at that may be a guess: there can be too many of them.
    fn look(&self, attempt: Attempt, client: &Client, now: Millis) -> Result<(), Refusal> {
        let may_look = self.failures.may_look(client.address().ip(), attempt, now);
        may_look.then_some(()).ok_or_else(too_many)
    }

    /// Counts a wrong attempt, be it a guess or a typing error. After many of them the answer is
    /// delayed, on the connection's own thread.
    fn was_wrong(&self, attempt: Attempt, client: &Client, now: Millis) -> Result<(), Refusal> {
        let address = client.address().ip();
        let were_many = self.failures.are_many(address, attempt, now);
        self.failures.note(address, attempt, now);
        if !were_many {
            return Ok(());
        }
        self.room.wait(address).map_err(|no_room| match no_room {
            NoRoom::Closed => Refusal::step("the server stops").with_http_status(503),
            NoRoom::Full => too_many(),
        })
    }

    /// What the log may show of an unknown name where it may contain a key: the part that stands in the
    /// options, or `live`, which is in every manual. `None` where there are no secrets.
    pub(super) fn masked(&self, name: &StreamKey) -> Option<StreamKey> {
        let mut users = self.publish.users.iter().chain(&self.play.users);
        if self.keys().next().is_none() && users.next().is_none() {
            return None;
        }
        let name = name.as_str();
        let keys = self.publish.keys.iter().chain(&self.play.keys);
        let scopes = keys.filter_map(|key| match &key.scope {
            Scope::All => None,
            Scope::Under(app) => app.strip_suffix('/'),
            Scope::Stream(stream) => Some(stream.as_str()),
        });
        let is_part = |known: &&str| {
            let rest = name.strip_prefix(*known);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let known = scopes.chain(["live"]).filter(is_part);
        let shown = match known.max_by_key(|known| known.len()) {
            Some(known) if known == name => known.to_owned(),
            Some(known) => [known, "/***"].concat(),
            None => "***".to_owned(),
        };
        // A name with stars instead of some parts can be too long.
        let shown = StreamKey::new("", &shown).or_else(|_| StreamKey::new("", "***"));
        shown.ok()
    }

    /// The same for the name of a stream that a client plays, or waits for. Where playing takes a key
    /// or a user, the name was accepted and can be shown.
    pub(super) fn masked_in_play(&self, name: &StreamKey) -> Option<StreamKey> {
        self.masked(name).filter(|_| self.may_all_play())
    }

    /// Whether playing takes neither key nor user.
    pub(super) fn may_all_play(&self) -> bool {
        self.play.is_open()
    }

    /// The name with its parts hidden that are keys; `None` if there are none.
    fn without_keys(&self, name: &StreamKey) -> Option<StreamKey> {
        without(name, |part| self.keys().any(|key| key.is(part)))
    }

    /// The keys of both actions, and that for the API.
    fn keys(&self) -> impl Iterator<Item = &Secret> {
        let keys = self.publish.keys.iter().chain(&self.play.keys);
        keys.map(|key| &key.secret).chain(&self.api_key)
    }
}

impl Handler for Guard {
    fn connect(&self, client: &mut Client) -> Result<(), Refusal> {
        let is_near_enough = |action| self.is_near_enough(action, client);
        if !is_near_enough(Action::Publish) && !is_near_enough(Action::Play) {
            let publish = too_far(Action::Publish, &self.publish, client.way());
            let play = self.play.networks_in_words();
            let why = format!("{}, nor play: {play} (--play-from)", publish.reason());
            return Err(Refusal::new(why)
                .with_description("neither publishing nor playing is allowed from your address"));
        }
        let action = match client.connect().is_publisher {
            true => Action::Publish,
            false => Action::Play,
        };
        self.log_in(action, client, self.now())
    }

    fn publish(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.decide(Action::Publish, client, request, self.now())
    }

    fn play(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.decide(Action::Play, client, request, self.now())
    }
}

/// A name with `***` for some parts; `None` if there are none.
fn without(name: &StreamKey, is_secret: impl Fn(&str) -> bool) -> Option<StreamKey> {
    let parts = || name.as_str().split('/');
    if !parts().any(&is_secret) {
        return None;
    }
    let shown = parts().map(|part| if is_secret(part) { "***" } else { part });
    let shown = shown.collect::<Vec<_>>().join("/");
    // A name with stars instead of some parts can be too long.
    let shown = StreamKey::new("", &shown).or_else(|_| StreamKey::new("", "***"));
    shown.ok()
}

/// What may be a key at the end of a name, and the name of the stream then: `live/door/KEY`. App
/// and name of a stream are two parts at least.
fn tail(name: &StreamKey) -> Option<(StreamKey, String)> {
    let (stream, last) = name.split_last()?;
    stream.split_last()?;
    Some((stream, last.to_owned()))
}

/// What is right of that which was presented.
struct Proofs {
    by_tail: bool,
    by_key: bool,
    by_user: bool,
}

impl Proofs {
    /// Looks at everything, so that the time tells nothing.
    fn check(
        access: &Access,
        name: &StreamKey,
        tail: Option<&(StreamKey, String)>,
        presented: &Presented<'_>,
    ) -> Proofs {
        let by_tail = tail.is_some_and(|(stream, key)| accepts_key(access, stream, key));
        let key = presented.key.map(|found| found.value);
        let by_key = key.is_some_and(|key| accepts_key(access, name, key));
        let user = presented.user.map(|found| found.value);
        let by_user = user.is_some_and(|(user, password)| accepts_user(access, user, password));
        let (by_key, by_user) = match presented.login {
            None => (by_key, by_user),
            Some(Login { user, password }) => {
                let password = password.reveal();
                let is_user = accepts_user(access, user, password);
                (
                    by_key | accepts_key(access, name, password),
                    by_user | is_user,
                )
            }
        };
        Proofs {
            by_tail,
            by_key,
            by_user,
        }
    }

    fn is_enough(&self) -> bool {
        self.by_tail || self.by_key || self.by_user
    }
}

/// Compares with each key that counts for the stream.
fn accepts_key(access: &Access, stream: &StreamKey, key: &str) -> bool {
    let is_it = |other: &Key| other.secret.is(key);
    access
        .keys_of(stream)
        .fold(false, |found, other| found | is_it(other))
}

fn accepts_user(access: &Access, name: &str, password: &str) -> bool {
    let is_it = |user: &User| {
        constant_time_eq(user.name.as_bytes(), name.as_bytes()) & user.password.is(password)
    };
    access
        .users
        .iter()
        .fold(false, |found, user| found | is_it(user))
}

#[cfg(test)]
mod tests;
