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
//! slip of the pen. A name may hold one too, as its last part.

mod authorization;
mod challenges;
mod failures;
mod http;
mod login;
mod origin;
mod presented;
mod refusals;

use std::time::Instant;

use super::handler::{Client, Handler, Refusal, StreamRequest};
use super::millis;
use super::rates::Refused;
use crate::config::{Access, Config, Key, Secret, User};
use crate::live::Millis;
use crate::rtmp::secret::constant_time_eq;
use crate::rtmp::stream_key::StreamKey;
use challenges::Challenges;
use failures::{Attempt, Failures, NoRoom, WaitingRoom};
use presented::Presented;
use refusals::{Expected, too_far};

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
    /// Over HTTP; elsewhere each ends a connection, which has a line of its own.
    denials: Refused,
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
            denials: Refused::default(),
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
        networks.iter().any(|network| network.contains(peer, local))
    }

    /// Decides about a publish or play.
    fn decide(
        &self,
        action: Action,
        client: &Client,
        request: &mut StreamRequest<'_>,
        now: Millis,
    ) -> Result<(), Refusal> {
        let access = self.access(action);
        let presented = Presented::find(Some(request.name()), client.connect())
            .with_login(client.login().filter(|login| !self.is_api_key(login)));
        if !self.is_near_enough(action, client) {
            self.hide_keys(
                request,
                self.keys().next().is_some() && !presented.is_some(),
            );
            return Err(too_far(action, access));
        }
        if access.is_open() {
            // A player that was given the publisher's address, key included: there is nothing to
            // play. The log must not show it, nor may the client learn whether it was right.
            if let Some(shown) = self
                .without_keys(request.key())
                .filter(|_| action == Action::Play)
            {
                request.hide(shown);
            }
            return Ok(());
        }
        let tail = tail(request.key()).filter(|_| !access.keys.is_empty());
        if !client.may(action) {
            let is_attempt = presented.is_some() || tail.is_some();
            if is_attempt {
                self.wait_if_need_be(action.into(), client, now)?;
            }
            let found = Proofs::check(access, request.key(), tail.as_ref(), &presented);
            if !found.is_enough() {
                let expected = Expected {
                    action,
                    access,
                    protocol: client.protocol(),
                };
                let refusal = expected.refusal(request.key(), &presented, tail.is_some());
                if is_attempt {
                    self.failures
                        .note(client.address().ip(), action.into(), now);
                }
                self.hide_keys(request, tail.is_some() && !presented.is_some());
                return Err(refusal);
            }
            self.failures.forget(client.address().ip(), action.into());
        }
        if let Some((stream, key)) = tail {
            if accepts_key(access, &stream, &key) {
                request.set_key(stream);
            }
        }
        if let Some(shown) = self.without_keys(request.key()) {
            request.hide(shown);
            return Err(Refusal::new(
                "a part of the stream's name is a key. Expected it as ?key=KEY, or as one more \
                 part at the end: APP/NAME/KEY",
            ));
        }
        if action == Action::Publish {
            request.trust();
        }
        Ok(())
    }

    /// Slows down who has been wrong often, on its own thread.
    fn wait_if_need_be(
        &self,
        attempt: Attempt,
        client: &Client,
        now: Millis,
    ) -> Result<(), Refusal> {
        let address = client.address().ip();
        if !self.failures.are_many(address, attempt, now) {
            return Ok(());
        }
        self.room.wait().map_err(|no_room| match no_room {
            NoRoom::Closed => Refusal::step("the server stops").with_http_status(503),
            NoRoom::Full => Refusal::new(
                "too many wrong keys or passwords came from its address, and too many attempts \
                 wait already. It can try again in a minute",
            )
            .with_description("too many wrong keys or passwords: try again in a minute")
            .with_http_status(429),
        })
    }

    /// For the log: hides what may be a key in the name of a refused stream. When none stands in a
    /// query, that is also the last part of a long name.
    fn hide_keys(&self, request: &mut StreamRequest<'_>, may_be_last: bool) {
        let may_be_last = may_be_last && tail(request.key()).is_some();
        let is_similar = |part: &str| {
            let users = self.publish.users.iter().chain(&self.play.users);
            let passwords = users.map(|user| &user.password);
            let mut secrets = self.keys().chain(passwords);
            secrets.any(|secret| is_similar(secret.reveal(), part))
        };
        let last = request.key().as_str().split('/').count() - 1;
        let is_key = |index, part: &str| is_similar(part) || (may_be_last && index == last);
        if let Some(shown) = without(request.key(), is_key) {
            request.hide(shown);
        }
    }

    /// The name with its parts hidden that are keys; `None` if there are none.
    fn without_keys(&self, name: &StreamKey) -> Option<StreamKey> {
        without(name, |_, part| self.keys().any(|key| key.is(part)))
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
            let publish = too_far(Action::Publish, &self.publish);
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

/// A name with `***` for some parts, chosen by their place and text; `None` if there are none.
fn without(name: &StreamKey, is_secret: impl Fn(usize, &str) -> bool) -> Option<StreamKey> {
    let mut is_changed = false;
    let parts = name.as_str().split('/').enumerate().map(|(index, part)| {
        let is_secret = is_secret(index, part);
        is_changed |= is_secret;
        if is_secret { "***" } else { part }
    });
    let shown = parts.collect::<Vec<_>>().join("/");
    // A name with stars instead of some parts can be too long.
    let shown = StreamKey::new("", &shown).or_else(|_| StreamKey::new("", "***"));
    shown.ok().filter(|_| is_changed)
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

/// Whether a part of a name contains a key, or differs from it by a slip of the pen: beginning and
/// end that they have in common make up two thirds of the key.
fn is_similar(key: &str, part: &str) -> bool {
    let is_same = |(a, b): &(u8, u8)| a.eq_ignore_ascii_case(b);
    let start = key.bytes().zip(part.bytes()).take_while(is_same).count();
    let end = key.bytes().rev().zip(part.bytes().rev());
    let end = end.take_while(is_same).count();
    part.contains(key) || (start + end) * 3 >= key.len() * 2
}

#[cfg(test)]
mod tests;
