//! Credentials: the keys and passwords that a client sends, over either protocol.
//!
//! ```text
//! rtmp://HOST/APP?key=KEY/NAME      a query of the stream's name, the app or the URL, as it is
//! http://HOST/APP/NAME?key=KEY      the query of a request, percent-encoded
//! Authorization: Basic ...          user and password, or a key as the password of any user
//! Authorization: Bearer KEY         the key for the API
//! ```
//!
//! A key can also be the last part of a stream's name, which only the [rules](super::rules) can tell
//! from an ordinary part.

use std::borrow::Cow;
use std::fmt;

use super::authorization::Authorization;
use crate::config::{Secret, User};
use crate::http::head::Field;
use crate::http::query;
use crate::rtmp::server_session::Connect;
use crate::rtmp::stream_key::query_value;

/// The names of query parameters that contain a key. All mean the same: different devices use different
/// names.
const KEY_NAMES: [&str; 3] = ["key", "token", "secret"];

/// The credentials that a client has sent.
#[derive(Default)]
pub(in crate::server) struct Credentials<'a> {
    /// A key in a query.
    pub(super) key: Option<Found<Cow<'a, str>>>,
    /// User and password in a query.
    pub(super) login: Option<Found<Login<'a>>>,
    /// User and password by HTTP Basic. The password may also be a key.
    pub(super) basic: Option<Login<'a>>,
    /// The key for the API, by HTTP Bearer and in a query.
    pub(super) bearer: Option<&'a str>,
    pub(super) api_key: Option<Cow<'a, str>>,
    /// Whether the password by HTTP Basic is the key for the API; `basic` is `None` then.
    pub(super) is_api_login: bool,
    /// Whether a browser may have attached some of the credentials on its own, even for pages of other
    /// sites.
    pub(super) is_attached: bool,
}

/// A user and a password. The name may be empty.
pub(super) struct Login<'a> {
    pub(super) user: Cow<'a, str>,
    pub(super) password: Cow<'a, str>,
}

/// A value and the place where it was found.
pub(super) struct Found<T> {
    pub(super) value: T,
    parameter: &'static str,
    place: &'static str,
}

impl<'a> Credentials<'a> {
    /// Reads the queries of the stream's name (empty before it is known), of the app and of the URL. The
    /// first key found counts, and the first login.
    pub(super) fn from_rtmp(name: &'a str, connect: &'a Connect) -> Credentials<'a> {
        let mut credentials = Credentials::default();
        for (place, text) in [
            ("the stream name", name),
            ("the app", &*connect.app),
            ("the URL", &*connect.tc_url),
        ] {
            credentials.add_query(place, |name| query_value(text, name).map(Cow::Borrowed));
        }
        credentials
    }

    /// Reads the query and the `Authorization` field of a request. A password that is the key for the
    /// API counts neither as a right nor as a wrong credential for a stream.
    pub(super) fn from_http(
        query: Option<&'a str>,
        authorization: Field<'a>,
        api_key: Option<&Secret>,
    ) -> Credentials<'a> {
        let mut credentials = Credentials {
            is_attached: authorization == Field::Unreadable,
            ..Credentials::default()
        };
        if let Some(query) = query {
            // The query is part of the stream's name, as over RTMP.
            credentials.add_query("the stream name", |name| query::value(query, name));
            credentials.api_key = query::value(query, "api_key");
        }
        match authorization.text().and_then(Authorization::parse) {
            Some(Authorization::Bearer(token)) => credentials.bearer = Some(token),
            Some(Authorization::Basic { user, password }) => {
                credentials.is_attached = true;
                credentials.is_api_login = api_key.is_some_and(|key| key.is(&password));
                let (user, password) = (user.into(), password.into());
                let login = Login { user, password };
                credentials.basic = Some(login).filter(|_| !credentials.is_api_login);
            }
            None => {}
        }
        credentials
    }

    fn add_query(&mut self, place: &'static str, value: impl Fn(&str) -> Option<Cow<'a, str>>) {
        if self.key.is_none() {
            let mut names = KEY_NAMES.into_iter();
            self.key = names.find_map(|parameter| {
                let value = value(parameter)?;
                Some(Found {
                    value,
                    parameter,
                    place,
                })
            });
        }
        // User and password must come from the same place.
        if let (None, Some(user), Some(password)) = (&self.login, value("user"), value("pass")) {
            self.login = Some(Found {
                value: Login { user, password },
                parameter: "user=&pass",
                place,
            });
        }
    }

    /// Whether any of the credentials may be meant for a stream.
    pub(in crate::server) fn are_for_streams(&self) -> bool {
        self.key.is_some() || self.login.is_some() || self.basic.is_some()
    }

    /// Whether a secret is among the values that may be keys. All of them are compared, so that the time
    /// reveals nothing.
    pub(super) fn contain(&self, secret: &Secret) -> bool {
        let key = self.key.as_ref().map(|found| &found.value);
        let password = self.basic.as_ref().map(|login| &login.password);
        let candidates = key.into_iter().chain(password);
        candidates.fold(false, |is_found, text| is_found | secret.is(text))
    }

    /// Whether the credentials prove that the client is this user.
    pub(super) fn prove(&self, user: &User) -> bool {
        let login = self.login.as_ref().map(|found| &found.value);
        let logins = login.into_iter().chain(&self.basic);
        // Not `any`, which stops at the first match, so that the time reveals nothing.
        logins.fold(false, |is_proved, login| is_proved | login.is_of(user))
    }
}

impl Login<'_> {
    /// Whether name and password are those of a user.
    pub(super) fn is_of(&self, user: &User) -> bool {
        // `&`, not `&&`, so that both are always compared.
        user.has_name(&self.user) & user.password.is(&self.password)
    }
}

/// Prints the place, not the value: `?key= of the stream name`.
impl<T> fmt::Display for Found<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "?{}= of {}", self.parameter, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(app: &str, tc_url: &str) -> Connect {
        Connect {
            app: app.into(),
            tc_url: tc_url.into(),
            ..Connect::default()
        }
    }

    #[test]
    fn a_key_is_found_wherever_a_device_puts_it() {
        for (name, app, url, key, place) in [
            ("door?key=a", "live", "", "a", "?key= of the stream name"),
            (
                "door?token=a",
                "live",
                "",
                "a",
                "?token= of the stream name",
            ),
            (
                "door?join=gop&secret=a",
                "live",
                "",
                "a",
                "?secret= of the stream name",
            ),
            ("door", "live?key=a", "", "a", "?key= of the app"),
            (
                "door",
                "live",
                "rtmp://h/live?token=a",
                "a",
                "?token= of the URL",
            ),
            (
                "door?key=a",
                "live?key=b",
                "rtmp://h/live?key=c",
                "a",
                "?key= of the stream name",
            ),
            (
                "door?secret=s&key=a",
                "live",
                "",
                "a",
                "?key= of the stream name",
            ),
        ] {
            let connect = connect(app, url);
            let credentials = Credentials::from_rtmp(name, &connect);
            let found = credentials.key.unwrap();
            assert_eq!(
                (&*found.value, &*found.to_string()),
                (key, place),
                "{name} {app}"
            );
            assert!(credentials.login.is_none());
        }
    }

    #[test]
    fn user_and_password_count_only_from_the_same_place() {
        let both = connect("live?user=bob&pass=p=w", "");
        let found = Credentials::from_rtmp("", &both).login.unwrap();
        let Login { user, password } = &found.value;
        assert_eq!((&**user, &**password), ("bob", "p=w"));
        assert_eq!(found.to_string(), "?user=&pass= of the app");
        let apart = connect("live?user=bob", "rtmp://h/live?pass=pw");
        assert!(!Credentials::from_rtmp("door", &apart).are_for_streams());
    }

    #[test]
    fn other_parameters_are_no_credentials() {
        let connect = connect(
            "live?authmod=adobe&user=bob&response=x",
            "rtmp://key=a@h/live",
        );
        for name in ["door", "door?join=gop", "door?Key=a", "door?key", "key=a"] {
            let credentials = Credentials::from_rtmp(name, &connect);
            assert!(!credentials.are_for_streams(), "{name}");
        }
    }
}
