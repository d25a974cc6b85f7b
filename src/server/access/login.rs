//! User and password at connect, by challenge and response.
//!
//! Three connections make a login: the first is asked who it is, the second gets a challenge, the
//! third answers it. Nothing lasts from one to the next but the challenge.

use super::{Action, Guard};
use crate::config::User;
use crate::live::Millis;
use crate::rtmp::authmod::{
    Attempt, Challenge, Scheme, describe_challenge, describe_failed, describe_need_auth,
};
use crate::rtmp::secret::constant_time_eq;
use crate::server::access::presented::Presented;
use crate::server::handler::{Client, Refusal};

impl Guard {
    /// Has a client log in whose action asks for users, unless it shows a key or a password in
    /// its app or URL: that is looked at when it publishes or plays.
    pub(super) fn log_in(
        &self,
        action: Action,
        client: &mut Client,
        now: Millis,
    ) -> Result<(), Refusal> {
        if self.access(action).users.is_empty() || !self.is_near_enough(action, client) {
            return Ok(());
        }
        let connect = client.connect();
        let attempt = Attempt::parse(&connect.app).or_else(|| Attempt::parse(&connect.tc_url));
        match attempt {
            None if Presented::find(None, connect).is_some() => Ok(()),
            None => {
                let or_key = match self.access(action).keys.is_empty() {
                    true => "",
                    false => ", or with a key behind the app: rtmp://HOST/APP?key=KEY",
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
                let user = self.check(action, client, &answer, now)?;
                client.set_user(&user.name);
                client.allow(action);
                // Elsewhere the same name may be somebody else's, with another password.
                for action in [Action::Publish, Action::Play] {
                    if self.access(action).users.contains(user) {
                        client.allow(action);
                    }
                }
                Ok(())
            }
        }
    }

    /// Whom an answer to a challenge proves the client to be.
    fn check(
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
        self.look(action.into(), client, now)?;
        let verb = action.verb();
        let failed =
            |reason: String| Refusal::new(reason).with_description(describe_failed(scheme));
        let address = client.address().ip();
        let Some(challenge) = self.challenges.take(address, user, token, now) else {
            // It would be refused with the right password too.
            self.failures.was_right(address, action.into());
            return Err(failed(
                "an answer to no challenge of the last minute; expected one to the challenge that \
                 its address was sent"
                    .into(),
            ));
        };
        // All users are tried, so that the time is the same whatever is wrong.
        let app = &client.connect().app;
        let mut found = None;
        let mut is_known = false;
        for candidate in &self.access(action).users {
            let is_name = constant_time_eq(candidate.name.as_bytes(), user.as_bytes());
            let password = candidate.password.reveal();
            if challenge.verify(answer, password, app) & is_name {
                found = Some(candidate);
            }
            is_known |= is_name;
        }
        match found {
            Some(user) => {
                self.failures.was_right(address, action.into());
                Ok(user)
            }
            None => {
                self.was_wrong(action.into(), client, now)?;
                // A name that isn't known may be a password in the wrong field.
                Err(failed(match is_known {
                    true => format!("a wrong password for {user}; expected that of --{verb}-user"),
                    false => format!("an unknown user; expected one of --{verb}-user"),
                }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use md5::{Digest, Md5};

    use super::*;
    use crate::config::{Access, Config, Key, Network, Secret};
    use crate::rtmp::server_session::Connect;
    use crate::server::access::failures::{Attempt, WaitingRoom};

    fn guard(publish: &[&str], play: &[&str]) -> Guard {
        let access = |users: &[&str]| Access {
            users: users
                .iter()
                .map(|text| User::parse(text).unwrap())
                .collect(),
            ..Access::default()
        };
        Guard {
            room: WaitingRoom::new(std::time::Duration::ZERO),
            ..Guard::new(&Config {
                publish: access(publish),
                play: access(play),
                ..Config::default()
            })
        }
    }

    fn log_in(
        guard: &Guard,
        action: Action,
        ip: &str,
        app: &str,
        now: Millis,
    ) -> Result<Client, Refusal> {
        let address = std::net::SocketAddr::new(ip.parse().unwrap(), 40_000);
        let local = "192.0.2.1:1935".parse().unwrap();
        let mut client = Client::new(1, address, local);
        client.set_connect(Connect {
            app: app.into(),
            ..Connect::default()
        });
        guard.log_in(action, &mut client, now).map(|()| client)
    }

    fn hex(text: &str) -> String {
        let digest = Md5::digest(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Asks for a challenge; the app that answers it.
    fn answer(guard: &Guard, action: Action, ip: &str, user: &str, password: &str) -> String {
        let hello = format!("live?authmod=llnw&user={user}");
        let refusal = log_in(guard, action, ip, &hello, 0).unwrap_err();
        assert!(refusal.is_step());
        let (start, nonce) = refusal.description().split_once("&nonce=").unwrap();
        let start_of_user = "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=";
        assert_eq!(start, format!("{start_of_user}{user}"));
        let secret = hex(&format!("{user}:live:{password}"));
        let place = hex("publish:/live/_definst_");
        let response = hex(&format!("{secret}:{nonce}:00000001:c0ffee:auth:{place}"));
        format!("{hello}&nonce={nonce}&cnonce=c0ffee&nc=00000001&response={response}")
    }

    #[test]
    fn who_says_nothing_is_asked_once_there_are_users_for_what_it_does() {
        let guard = guard(&["bob:pw"], &[]);
        let asked = log_in(&guard, Action::Publish, "127.0.0.1", "live", 0).unwrap_err();
        assert!(asked.is_step());
        let need = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        assert_eq!(asked.description(), need);
        assert!(asked.reason().ends_with("reconnect with user and password"));
        let mut with_key = Guard::new(&Config {
            publish: guard.publish.clone(),
            ..Config::default()
        });
        with_key.publish.keys.push(Key::parse("s3cret").unwrap());
        let asked = log_in(&with_key, Action::Publish, "127.0.0.1", "live", 0).unwrap_err();
        let or_key = "user and password, or with a key behind the app: rtmp://HOST/APP?key=KEY";
        assert!(asked.reason().ends_with(or_key), "{}", asked.reason());
        assert!(log_in(&guard, Action::Play, "127.0.0.1", "live", 0).is_ok());
        // These are looked at when the name of the stream is known.
        for app in [
            "live?key=a",
            "live?token=a",
            "live?secret=a",
            "live?user=bob&pass=x",
        ] {
            let client = log_in(&guard, Action::Publish, "127.0.0.1", app, 0).unwrap();
            assert!(!client.may(Action::Publish), "{app}");
        }
    }

    #[test]
    fn a_right_answer_is_for_the_actions_of_that_user_and_password() {
        let guard = guard(&["bob:pw", "ann:1"], &["bob:pw", "ann:2", "eve:3"]);
        for (action, user, password, may_publish, may_play) in [
            (Action::Publish, "bob", "pw", true, true),
            (Action::Play, "bob", "pw", true, true),
            (Action::Publish, "ann", "1", true, false),
            (Action::Play, "ann", "2", false, true),
            (Action::Play, "eve", "3", false, true),
        ] {
            let app = answer(&guard, action, "127.0.0.1", user, password);
            let client = log_in(&guard, action, "127.0.0.1", &app, 1).unwrap();
            assert_eq!(client.user(), Some(user));
            let may = (client.may(Action::Publish), client.may(Action::Play));
            assert_eq!(may, (may_publish, may_play), "{user} {password}");
        }
    }

    #[test]
    fn whatever_is_wrong_the_client_is_told_the_same() {
        let guard = guard(&["bob:pw", "ann:1"], &["eve:3"]);
        for (user, password, why) in [
            ("bob", "pW", "a wrong password for bob;"),
            ("bob", "1", "a wrong password for bob;"),
            ("ann", "pw", "a wrong password for ann;"),
            ("eve", "3", "an unknown user;"),
            ("rob", "pw", "an unknown user;"),
            ("BOB", "pw", "an unknown user;"),
        ] {
            let app = answer(&guard, Action::Publish, "127.0.0.1", user, password);
            let refused = log_in(&guard, Action::Publish, "127.0.0.1", &app, 1).unwrap_err();
            assert!(refused.reason().starts_with(why), "{}", refused.reason());
            assert!(!refused.is_step());
            let told = "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=authfail";
            assert_eq!(refused.description(), told);
        }
        // The right answer, but too late, from elsewhere, or again.
        let app = answer(&guard, Action::Publish, "127.0.0.1", "bob", "pw");
        for (ip, now) in [("127.0.0.2", 1), ("127.0.0.1", 60_000)] {
            let refused = log_in(&guard, Action::Publish, ip, &app, now).unwrap_err();
            assert!(refused.reason().starts_with("an answer to no challenge"));
        }
        assert!(log_in(&guard, Action::Publish, "127.0.0.1", &app, 59_999).is_ok());
        assert!(log_in(&guard, Action::Publish, "127.0.0.1", &app, 59_999).is_err());
    }

    #[test]
    fn only_wrong_answers_are_failures() {
        let guard = guard(&["bob:pw"], &[]);
        let (ip, address) = ("192.0.2.7", "192.0.2.7".parse().unwrap());
        let are_many = || guard.failures.are_many(address, Attempt::Publish, 2);
        for _ in 0..9 {
            assert!(log_in(&guard, Action::Publish, ip, "live", 0).is_err());
            let app = answer(&guard, Action::Publish, ip, "bob", "pw");
            assert!(log_in(&guard, Action::Publish, ip, &app, 1).is_ok());
        }
        for _ in 0..5 {
            assert!(!are_many());
            let app = answer(&guard, Action::Publish, ip, "bob", "guess");
            assert!(log_in(&guard, Action::Publish, ip, &app, 1).is_err());
        }
        assert!(are_many());
        // Nobody may wait any more: who is right doesn't.
        guard.close();
        let app = answer(&guard, Action::Publish, ip, "bob", "pw");
        assert!(log_in(&guard, Action::Publish, ip, &app, 2).is_ok());
        assert!(are_many());
        let app = answer(&guard, Action::Publish, ip, "bob", "guess");
        let refusal = log_in(&guard, Action::Publish, ip, &app, 2).unwrap_err();
        assert_eq!(refusal.reason(), "the server stops");
    }

    #[test]
    fn who_is_too_far_away_is_not_asked() {
        let mut config = Config::default();
        config.publish.users.push(User {
            name: "bob".into(),
            password: Secret::new("pw"),
        });
        config.publish.from.push(Network::Private);
        config.play.from.push(Network::Any);
        let guard = Guard::new(&config);
        let client = log_in(&guard, Action::Publish, "203.0.113.5", "live", 0).unwrap();
        assert!(!client.may(Action::Publish));
        assert!(log_in(&guard, Action::Publish, "192.168.0.5", "live", 0).is_err());
    }
}
