//! Reasons for refusals: the log gets what came, what was expected and what to do; the client gets the
//! same text whatever came.

use super::Action;
use super::presented::Presented;
use crate::config::Access;
use crate::rtmp::stream_key::StreamKey;
use crate::server::handler::{Protocol, Refusal, Way};

pub(super) fn too_far(action: Action, access: &Access, way: Way) -> Refusal {
    let verb = action.verb();
    let networks = access.networks_in_words();
    let what = match way {
        Way::Unnamed => {
            "a proxy has handed it on that isn't trusted (--trusted-proxy), or doesn't say for whom; \
             not everybody"
        }
        Way::Direct | Way::Named => "its address isn't one of those that",
    };
    Refusal::new(format!("{what} may {verb}: {networks} (--{verb}-from)")).with_description(
        match action {
            Action::Publish => "publishing is not allowed from your address",
            Action::Play => "playing is not allowed from your address",
        },
    )
}

/// Says nothing of what came, which may not even have been looked at.
pub(super) fn too_many() -> Refusal {
    Refusal::new(
        "too many wrong keys or passwords came from its address, and too many answers wait already. \
         It can try again in a minute",
    )
    .with_description("too many wrong keys or passwords: try again in a minute")
    .with_http_status(429)
}

/// What is asked for, and of whom.
pub(super) struct Expected<'a> {
    pub(super) action: Action,
    pub(super) access: &'a Access,
    pub(super) protocol: Protocol,
}

impl Expected<'_> {
    /// What came, what was expected, what to do; the client is told the same whatever came.
    pub(super) fn refusal(
        &self,
        name: &StreamKey,
        presented: &Presented<'_>,
        may_be_last: bool,
    ) -> Refusal {
        let came = self.what_came(presented, may_be_last);
        let expected = self.what_was_expected(name);
        Refusal::new(format!("{came}; expected {expected}"))
            .with_description(self.description())
            .with_http_status(401)
    }

    fn what_came(&self, presented: &Presented<'_>, may_be_last: bool) -> String {
        let access = self.access;
        match (presented.key, presented.user) {
            (Some(found), _) if !access.keys.is_empty() => format!("a wrong key in {found}"),
            (_, Some(found)) => format!("a wrong user or password in {found}"),
            _ if presented.login.is_some() => "a wrong password, by HTTP Basic".into(),
            (Some(found), None) => format!("a key in {found}, where none counts"),
            (None, None) if may_be_last => "no key, or a wrong one as last part of the name".into(),
            (None, None) if access.users.is_empty() => "no key".into(),
            (None, None) if access.keys.is_empty() => "no user and password".into(),
            (None, None) => "no key, nor user and password".into(),
        }
    }

    fn what_was_expected(&self, name: &StreamKey) -> String {
        let Expected { access, .. } = self;
        let verb = self.action.verb();
        let scheme = match self.protocol {
            Protocol::Rtmp => "rtmp",
            Protocol::Http => "http",
        };
        let mut expected = Vec::new();
        if access.keys_of(name).next().is_some() {
            let (key, in_obs) = match self.is_login_first() {
                true => (
                    "a key behind the app, as in rtmp://HOST/APP?key=KEY/NAME",
                    "server rtmp://HOST/APP?key=KEY",
                ),
                false if scheme == "rtmp" => (
                    "a key, as in rtmp://HOST/APP/NAME?key=KEY",
                    "stream key NAME?key=KEY",
                ),
                false => ("a key, as in http://HOST/APP/NAME?key=KEY", ""),
            };
            expected.push(match self.action {
                Action::Publish => format!("{key} (in OBS: {in_obs})"),
                Action::Play => key.to_owned(),
            });
        } else if !access.keys.is_empty() {
            expected.push(format!(
                "a key, of which none is set for this stream (--{verb}-key NAME=KEY sets one)"
            ));
        }
        if !access.users.is_empty() {
            let user = format!("a user, as in {scheme}://USER:PASSWORD@HOST/APP/NAME");
            expected.push(user);
        }
        expected.join(", or ")
    }

    /// Whether a client is asked to log in when it connects, before a key behind the name of a stream
    /// has come: then only one behind the app makes that unnecessary.
    fn is_login_first(&self) -> bool {
        self.protocol == Protocol::Rtmp && !self.access.users.is_empty()
    }

    fn description(&self) -> &'static str {
        let Access { keys, users, .. } = self.access;
        match (self.protocol, keys.is_empty(), users.is_empty()) {
            (_, true, _) => "wrong or missing user or password",
            (Protocol::Rtmp, false, true) => "wrong or missing key: use NAME?key=KEY",
            (Protocol::Rtmp, false, false) => {
                "wrong or missing key or password: use APP?key=KEY, or log in"
            }
            (Protocol::Http, false, _) => {
                "wrong or missing key: put ?key=KEY behind the address, or log in with it as \
                 password"
            }
        }
    }
}
