//! The texts of refusals. The log says what arrived, what was expected and what to do about it; the
//! client gets the same text whatever it sent.

use super::credentials::Credentials;
use super::throttle::{MAX_PER_SECOND, Throttled};
use crate::config::Access;
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::{Action, Arrival, Client, Protocol};
use crate::server::handler::{Refusal, RefusalKind};

pub(super) fn too_far(action: Action, access: &Access, client: &Client) -> Refusal {
    let verb = action.verb();
    let networks = access.networks_in_words();
    let what = match client.arrival {
        Arrival::ByUnknownProxy => {
            "a proxy has handed it on that isn't trusted (--trusted-proxy), or doesn't say for whom; \
             not everybody"
        }
        Arrival::Direct | Arrival::ByTrustedProxy => "its address isn't one of those that",
    };
    Refusal::new(format!("{what} may {verb}: {networks} (--{verb}-from)")).with_description(
        match action {
            Action::Publish => "publishing is not allowed from your address",
            Action::Play => "playing is not allowed from your address",
        },
    )
}

/// Refuses a client that may neither publish nor play.
pub(super) fn too_far_for_all(publish: &Access, play: &Access, client: &Client) -> Refusal {
    let publish = too_far(Action::Publish, publish, client);
    let play = play.networks_in_words();
    let why = format!("{}, nor play: {play} (--play-from)", publish.reason());
    Refusal::new(why)
        .with_description("neither publishing nor playing is allowed from your address")
}

pub(super) fn key_in_name() -> Refusal {
    Refusal::new(
        "a part of the stream's name is a key. Expected it as ?key=KEY, or as one more part at the \
         end: APP/NAME/KEY",
    )
}

/// Refuses a publish without credentials, whose name may be a guess at a key.
pub(super) fn too_many_publishes() -> Refusal {
    Refusal::new(format!(
        "too many publishes came from its address, whose names may be guesses at keys. It may publish \
         {MAX_PER_SECOND} times a second"
    ))
    .with_description("too many publishes came from your address: try again in a second")
    .with_kind(RefusalKind::TooManyAttempts)
}

impl From<Throttled> for Refusal {
    /// Says nothing about the credentials, since right and wrong ones are refused alike.
    fn from(throttled: Throttled) -> Refusal {
        match throttled {
            Throttled::TooMany => Refusal::new(
                "too many wrong keys or passwords came from its address, and too many answers wait \
                 already. It can try again in a minute",
            )
            .with_description("too many wrong keys or passwords: try again in a minute")
            .with_kind(RefusalKind::TooManyAttempts),
            Throttled::ServerStops => {
                Refusal::new("the server stops").with_kind(RefusalKind::ServerStops)
            }
        }
    }
}

/// Refuses a client whose credentials are missing or wrong. An attempt without credentials is a name
/// whose last part may be a key.
pub(super) fn unproved(
    action: Action,
    access: &Access,
    client: &Client,
    name: &StreamKey,
    credentials: &Credentials<'_>,
    is_attempt: bool,
) -> Refusal {
    let protocol = client.protocol();
    let came = what_came(access, credentials, is_attempt);
    let expected = what_was_expected(action, access, protocol, name);
    Refusal::new(format!("{came}; expected {expected}"))
        .with_description(description(access, protocol))
        .with_kind(RefusalKind::Unauthorized)
}

fn what_came(access: &Access, credentials: &Credentials<'_>, is_attempt: bool) -> String {
    match (&credentials.key, &credentials.login) {
        (Some(found), _) if !access.keys.is_empty() => format!("a wrong key in {found}"),
        (_, Some(found)) => format!("a wrong user or password in {found}"),
        _ if credentials.basic.is_some() => "a wrong password, by HTTP Basic".into(),
        (Some(found), None) => format!("a key in {found}, where none counts"),
        (None, None) if is_attempt => "no key, or a wrong one as last part of the name".into(),
        (None, None) if access.users.is_empty() => "no key".into(),
        (None, None) if access.keys.is_empty() => "no user and password".into(),
        (None, None) => "no key, nor user and password".into(),
    }
}

fn what_was_expected(
    action: Action,
    access: &Access,
    protocol: Protocol,
    name: &StreamKey,
) -> String {
    let verb = action.verb();
    let mut expected = Vec::new();
    if access.keys_of(name).next().is_some() {
        let (key, in_obs) = match protocol {
            Protocol::Http => ("a key, as in http://HOST/APP/NAME?key=KEY", ""),
            // The client has to log in when it connects, before it sends the stream's name with its
            // query. Only a key behind the app makes that unnecessary.
            Protocol::Rtmp if !access.users.is_empty() => (
                "a key behind the app, as in rtmp://HOST/APP?key=KEY/NAME",
                "server rtmp://HOST/APP?key=KEY",
            ),
            Protocol::Rtmp => (
                "a key, as in rtmp://HOST/APP/NAME?key=KEY",
                "stream key NAME?key=KEY",
            ),
        };
        expected.push(match action {
            Action::Publish => format!("{key} (in OBS: {in_obs})"),
            Action::Play => key.to_owned(),
        });
    } else if !access.keys.is_empty() {
        expected.push(format!(
            "a key, of which none is set for this stream (--{verb}-key NAME=KEY sets one)"
        ));
    }
    if !access.users.is_empty() {
        let scheme = protocol.name();
        let user = format!("a user, as in {scheme}://USER:PASSWORD@HOST/APP/NAME");
        expected.push(user);
    }
    expected.join(", or ")
}

fn description(access: &Access, protocol: Protocol) -> &'static str {
    if access.keys.is_empty() {
        return "wrong or missing user or password";
    }
    match protocol {
        Protocol::Rtmp if !access.users.is_empty() => {
            "wrong or missing key or password: use APP?key=KEY, or log in"
        }
        Protocol::Rtmp => "wrong or missing key: use NAME?key=KEY",
        Protocol::Http => {
            "wrong or missing key: put ?key=KEY behind the address, or log in with it as password"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Key, User};
    use crate::http::head::Field;
    use crate::server::access::tests::basic_field;

    #[test]
    fn what_came_is_described_by_what_could_have_counted() {
        let basic = &*basic_field("bob", "guess");
        let login = "user=bob&pass=guess";
        for (has_keys, has_users, query, authorization, is_attempt, expected) in [
            (
                true,
                false,
                "key=guess",
                "",
                true,
                "a wrong key in ?key= of the stream name",
            ),
            (
                false,
                true,
                "key=guess",
                "",
                true,
                "a key in ?key= of the stream name, where none counts",
            ),
            (
                true,
                true,
                login,
                "",
                true,
                "a wrong user or password in ?user=&pass= of the stream name",
            ),
            (
                true,
                true,
                "",
                basic,
                true,
                "a wrong password, by HTTP Basic",
            ),
            (
                true,
                true,
                "",
                "",
                true,
                "no key, or a wrong one as last part of the name",
            ),
            (true, false, "", "", false, "no key"),
            (false, true, "", "", false, "no user and password"),
            (true, true, "", "", false, "no key, nor user and password"),
        ] {
            let mut access = Access::default();
            access
                .keys
                .extend(has_keys.then(|| Key::parse("watch-it").unwrap()));
            access
                .users
                .extend(has_users.then(|| User::parse("bob:pw").unwrap()));
            let authorization = match authorization {
                "" => Field::Absent,
                text => Field::Text(text),
            };
            let query = Some(query).filter(|query| !query.is_empty());
            let credentials = Credentials::from_http(query, authorization, None);
            assert_eq!(what_came(&access, &credentials, is_attempt), expected);
        }
    }
}
