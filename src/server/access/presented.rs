//! The keys and passwords in what a client sends, and where they stand.

use std::fmt;

use super::authorization::Login;
use crate::rtmp::server_session::Connect;
use crate::rtmp::stream_key::query_value;

/// Names of parameters that hold a key. They mean the same: devices differ in what they call it.
const KEY_NAMES: [&str; 3] = ["key", "token", "secret"];

/// What a client shows in a query, or over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Presented<'a> {
    pub(super) key: Option<Found<'a, &'a str>>,
    /// Name and password.
    pub(super) user: Option<Found<'a, (&'a str, &'a str)>>,
    /// By HTTP Basic: the password is that of the user, or a key.
    pub(super) login: Option<&'a Login>,
}

/// A value and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a, T> {
    pub(super) value: T,
    parameter: &'a str,
    place: &'static str,
}

impl<'a> Presented<'a> {
    /// In the query of the stream's name, if there is one yet, or else of the app, or else of the
    /// URL.
    pub(super) fn find(name: Option<&'a str>, connect: &'a Connect) -> Presented<'a> {
        let mut presented = Presented::default();
        for (place, text) in [
            ("the stream name", name.unwrap_or_default()),
            ("the app", &connect.app),
            ("the URL", &connect.tc_url),
        ] {
            let found = |parameter: &'static str| {
                let value = query_value(text, parameter)?;
                Some(Found {
                    value,
                    parameter,
                    place,
                })
            };
            let key = || KEY_NAMES.into_iter().find_map(found);
            presented.key = presented.key.or_else(key);
            let user = || {
                let (name, password) = (found("user")?, found("pass")?);
                Some(Found {
                    value: (name.value, password.value),
                    parameter: "user=&pass",
                    place,
                })
            };
            presented.user = presented.user.or_else(user);
        }
        presented
    }

    /// That too.
    pub(super) fn with_login(self, login: Option<&'a Login>) -> Presented<'a> {
        Presented { login, ..self }
    }

    /// Whether there is anything.
    pub(super) fn is_some(&self) -> bool {
        self.key.is_some() || self.user.is_some() || self.login.is_some()
    }
}

/// Where it stands, not what it is: `?key= of the stream name`.
impl<T> fmt::Display for Found<'_, T> {
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
            let presented = Presented::find(Some(name), &connect);
            let found = presented.key.unwrap();
            assert_eq!(
                (found.value, &*found.to_string()),
                (key, place),
                "{name} {app}"
            );
            assert_eq!(presented.user, None);
        }
    }

    #[test]
    fn user_and_password_stand_in_one_place() {
        let both = connect("live?user=bob&pass=p=w", "");
        let found = Presented::find(None, &both).user.unwrap();
        assert_eq!(found.value, ("bob", "p=w"));
        assert_eq!(found.to_string(), "?user=&pass= of the app");
        let apart = connect("live?user=bob", "rtmp://h/live?pass=pw");
        assert!(!Presented::find(Some("door"), &apart).is_some());
    }

    #[test]
    fn what_is_no_key_is_not_found() {
        let connect = connect(
            "live?authmod=adobe&user=bob&response=x",
            "rtmp://key=a@h/live",
        );
        for name in ["door", "door?join=gop", "door?Key=a", "door?key", "key=a"] {
            assert!(!Presented::find(Some(name), &connect).is_some(), "{name}");
        }
    }
}
