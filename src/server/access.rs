//! The guard: who may connect, publish and play, by the configuration's own rules.
//!
//! ```text
//! connect   from a network that may do something?    no: refused
//!           user and password needed?                two refusals, which ask the client for them
//! publish   what a client sent -> credentials \
//! (play)                the configuration -> rules -> verdict -> grant, or a refusal
//!                   throttle: slow after many wrong attempts ---/
//! ```
//!
//! No log line and no error contains a key, not even a wrong one, which is often a mistyped right one.
//! Any part of a stream's name may be a key, too. So if anything is secret, names are hidden before
//! anything is decided, and shown once they are accepted; a name that is played but was never published
//! stays hidden (see [`Guard::masked_in_play`]).

mod authorization;
mod challenge;
mod credentials;
mod http;
mod origin;
mod refusals;
mod rules;
mod throttle;

use super::client::{Action, Client};
use super::handler::{Refusal, StreamRequest};
use super::rates::Rates;
use crate::config::{Config, Network, User};
use crate::live::Millis;
use crate::rtmp::authmod::{
    Attempt, Challenge, Scheme, describe_challenge, describe_failed, describe_need_auth,
};
use crate::rtmp::stream_key::StreamKey;
use challenge::Challenges;
use origin::LocalNames;
use rules::{Denial, Grant, Rules};
use throttle::Throttle;

pub(super) use credentials::Credentials;
pub(super) use origin::Page;
pub(super) use rules::Visitor;

/// See the module's documentation.
pub(super) struct Guard {
    rules: Rules,
    trusted_proxies: Vec<Network>,
    names: LocalNames,
    throttle: Throttle,
    /// Limits publishes that need no credentials: a refusal reveals that a part of the name is a key,
    /// and any other answer that none is.
    name_guesses: Rates,
    challenges: Challenges,
}

impl Guard {
    pub(super) fn new(config: &Config) -> Guard {
        Guard {
            rules: Rules::new(config),
            trusted_proxies: config.trusted_proxies.clone(),
            names: LocalNames::new(&config.host_names),
            throttle: Throttle::default(),
            name_guesses: Rates::new(throttle::MAX_PER_SECOND),
            challenges: Challenges::default(),
        }
    }

    /// Ends all delays, because the server is stopping.
    pub(super) fn close(&self) {
        self.throttle.stop();
    }

    /// Decides about a connect over RTMP, which may log the client in.
    pub(super) fn connect(&self, client: &mut Client, now: Millis) -> Result<(), Refusal> {
        let [publish, play] = [Action::Publish, Action::Play];
        if !self.rules.is_near_enough(publish, client) && !self.rules.is_near_enough(play, client) {
            let [publish, play] = [publish, play].map(|action| self.rules.access(action));
            return Err(refusals::too_far_for_all(publish, play, client));
        }
        let action = if client.connect().is_publisher {
            publish
        } else {
            play
        };
        self.log_in(action, client, now)
    }

    /// Decides about a publish or play over RTMP. May change the name of the stream.
    pub(super) fn authorize(
        &self,
        action: Action,
        request: &mut StreamRequest<'_>,
        now: Millis,
    ) -> Result<(), Refusal> {
        let credentials = Credentials::from_rtmp(request.name(), request.client.connect());
        self.authorize_with(&credentials, action, request, now)
    }

    /// Decides about a publish or play with these credentials. May change the name of the stream.
    pub(super) fn authorize_with(
        &self,
        credentials: &Credentials<'_>,
        action: Action,
        request: &mut StreamRequest<'_>,
        now: Millis,
    ) -> Result<(), Refusal> {
        let (client, asked) = (request.client, request.key().clone());
        // Comes first, so that no log line shows more of the name, whatever is decided.
        if let Some(shown) = self.rules.masked(&asked) {
            request.hide(shown);
        }
        if action == Action::Publish && self.rules.tells_keys_by_names() {
            // A name has two parts or more, so an honest one counts once or a few times.
            let guesses = asked.as_str().matches('/').count().max(1);
            let address = client.address().ip();
            if !self.name_guesses.allow_many(address, guesses, now) {
                return Err(refusals::too_many_publishes());
            }
        }
        let verdict = self.rules.judge(action, client, credentials, &asked);
        if verdict.is_attempt {
            let is_right = verdict.result != Err(Denial::Unproved);
            let address = client.address().ip();
            self.throttle.pass(address, action.into(), is_right, now)?;
        }
        let access = self.rules.access(action);
        match verdict.result {
            Ok(Grant::Stream(stream)) => request.show(stream),
            Ok(Grant::Hidden(shown)) => request.hide(shown),
            Err(Denial::TooFar) => return Err(refusals::too_far(action, access, client)),
            Err(Denial::KeyInName) => return Err(refusals::key_in_name()),
            Err(Denial::Unproved) => {
                let is_attempt = verdict.is_attempt;
                let refusal =
                    refusals::unproved(action, access, client, &asked, credentials, is_attempt);
                return Err(refusal);
            }
        }
        if action == Action::Publish && !access.is_open() {
            request.trust();
        }
        Ok(())
    }

    /// Returns the name of a stream that a client plays, or waits for, as it may be shown before
    /// anything was published under it. `None` if the name may be shown unchanged: nothing is secret, or
    /// playing requires a key or user, so that the name was accepted.
    pub(super) fn masked_in_play(&self, name: &StreamKey) -> Option<StreamKey> {
        self.rules.masked(name).filter(|_| self.may_all_play())
    }

    /// Whether playing requires neither key nor user.
    pub(super) fn may_all_play(&self) -> bool {
        self.rules.access(Action::Play).is_open()
    }

    /// Makes a client log in by challenge and response if users are configured for its action, unless
    /// its app or URL contains a key or a password, which is checked when it publishes or plays.
    ///
    /// A login takes three connections: the first is asked to log in, the second gets a challenge, the
    /// third answers it. Only the challenge is kept from one to the next.
    fn log_in(&self, action: Action, client: &mut Client, now: Millis) -> Result<(), Refusal> {
        let access = self.rules.access(action);
        if access.users.is_empty() || !self.rules.is_near_enough(action, client) {
            return Ok(());
        }
        let connect = client.connect();
        match Attempt::parse(&connect.app).or_else(|| Attempt::parse(&connect.tc_url)) {
            None if Credentials::from_rtmp("", connect).are_for_streams() => Ok(()),
            None => {
                let or_key = if access.keys.is_empty() {
                    ""
                } else {
                    ", or with a key behind the app: rtmp://HOST/APP?key=KEY"
                };
                let why =
                    format!("asked to log in; it should reconnect with user and password{or_key}");
                Err(Refusal::step(why).with_description(describe_need_auth(Scheme::Adobe)))
            }
            Some(Attempt::Hello { scheme, user }) => {
                let mut random = [0; 24];
                getrandom::fill(&mut random)
                    .map_err(|error| Refusal::new(format!("no random numbers: {error}")))?;
                let challenge = Challenge::new(&random);
                let description = describe_challenge(scheme, user, &challenge);
                let address = client.address().ip();
                self.challenges.add(address, user, challenge, now);
                let why = "was sent a login challenge; it should reconnect with the answer";
                Err(Refusal::step(why).with_description(description))
            }
            Some(answer) => {
                let user = self.check_answer(action, client, &answer, now)?;
                client.set_user(&user.name);
                client.allow(action);
                // For the other action, the same name may belong to another user with another password.
                for action in [Action::Publish, Action::Play] {
                    if self.rules.access(action).users.contains(user) {
                        client.allow(action);
                    }
                }
                Ok(())
            }
        }
    }

    /// Returns the user whose password answers a challenge.
    fn check_answer(
        &self,
        action: Action,
        client: &Client,
        answer: &Attempt<'_>,
        now: Millis,
    ) -> Result<&User, Refusal> {
        let Attempt::Answer {
            scheme,
            user,
            token,
            ..
        } = *answer
        else {
            return Err(Refusal::new("no answer"));
        };
        let failed = |reason: &str| Refusal::new(reason).with_description(describe_failed(scheme));
        let address = client.address().ip();
        let challenge = self.challenges.take(address, user, token, now);
        let mut found = None;
        let mut is_known = false;
        // All users are tried, so that the time doesn't reveal what is wrong.
        for candidate in &self.rules.access(action).users {
            let is_name = candidate.has_name(user);
            let (password, app) = (candidate.password.reveal(), &client.connect().app);
            let verify = |challenge: &Challenge| challenge.verify(answer, password, app);
            if challenge.as_ref().is_some_and(verify) & is_name {
                found = Some(candidate);
            }
            is_known |= is_name;
        }
        // Without a challenge, even the right password is refused, so it doesn't count as a wrong
        // attempt.
        let is_right = found.is_some() || challenge.is_none();
        self.throttle.pass(address, action.into(), is_right, now)?;
        let verb = action.verb();
        found.ok_or_else(|| {
            if challenge.is_none() {
                failed(
                    "an answer to no challenge of the last minute; expected one to the challenge \
                     that its address was sent",
                )
            } else if is_known {
                failed(&format!(
                    "a wrong password for {user}; expected that of --{verb}-user"
                ))
            } else {
                // An unknown name isn't logged: it may be a password in the wrong field.
                failed(&format!("an unknown user; expected one of --{verb}-user"))
            }
        })
    }
}

#[cfg(test)]
mod tests;
