use std::time::Duration;

use super::*;
use crate::config::{Access, Key, Network, Secret, User};
use crate::rtmp::base64;
use crate::rtmp::server_session::Connect;
use crate::server::client::Arrival;
use crate::server::handler::RefusalKind;

mod guesses;
mod login;

/// Returns a guard with these keys, which delays nothing.
pub(super) fn guard(publish: &[&str], play: &[&str]) -> Guard {
    let keys = |keys: &[&str]| Access {
        keys: keys.iter().map(|text| Key::parse(text).unwrap()).collect(),
        ..Access::default()
    };
    of(keys(publish), keys(play))
}

pub(super) fn of(publish: Access, play: Access) -> Guard {
    configured(Config {
        publish,
        play,
        ..Config::default()
    })
}

/// Returns a guard with this configuration, which delays nothing.
pub(super) fn configured(config: Config) -> Guard {
    Guard {
        throttle: Throttle::with_delay(Duration::ZERO),
        ..Guard::new(&config)
    }
}

pub(super) fn users(users: &[&str]) -> Access {
    Access {
        users: users
            .iter()
            .map(|text| User::parse(text).unwrap())
            .collect(),
        ..Access::default()
    }
}

pub(super) fn from(networks: &[&str]) -> Access {
    let networks = networks.iter().map(|text| Network::parse(text).unwrap());
    Access {
        from: networks.collect(),
        ..Access::default()
    }
}

/// The `Authorization` field as clients send it.
pub(super) fn basic_field(user: &str, password: &str) -> String {
    let login = [user, ":", password].concat();
    ["Basic ", &base64::encode(login.as_bytes())].concat()
}

/// Returns a client at `ip` that has sent this app and URL in its connect.
fn client(ip: &str, app: &str, tc_url: &str) -> Client {
    let address = std::net::SocketAddr::new(ip.parse().unwrap(), 40_000);
    let mut client = Client::new(1, address, "192.0.2.1:1935".parse().unwrap());
    client.connect = Connect {
        app: app.into(),
        tc_url: tc_url.into(),
        ..Connect::default()
    };
    client
}

/// Returns the decision, the name of the stream afterwards, and whether the client is trusted.
fn decide(
    guard: &Guard,
    action: Action,
    client: &Client,
    name: &str,
    now: Millis,
) -> (Result<(), Refusal>, String, bool) {
    let key = StreamKey::new(&client.connect().app, name).unwrap();
    let mut request = StreamRequest::new(client, name, key);
    let result = guard.authorize(action, &mut request, now);
    (result, request.key().to_string(), request.is_trusted())
}

#[test]
fn a_key_is_accepted_in_every_place_and_removed_from_the_name() {
    let guard = guard(&["s3cret"], &["watch-it"]);
    for (app, name, tc_url) in [
        ("live", "door?key=s3cret", "rtmp://h/live"),
        ("live", "door?token=s3cret", ""),
        ("live", "door?x=1&secret=s3cret", ""),
        ("live?key=s3cret", "door", ""),
        ("live", "door", "rtmp://h/live?secret=s3cret"),
        ("live", "door/s3cret", ""),
        ("live/door", "s3cret", ""),
        ("live/door", "s3cret/", ""),
        ("", "live/door/s3cret", ""),
        ("live/door", "s3cret?key=wrong", ""),
        ("live/door", "s3cret?key=s3cret", ""),
    ] {
        let client = client("203.0.113.5", app, tc_url);
        let (result, key, is_trusted) = decide(&guard, Action::Publish, &client, name, 0);
        assert_eq!(result, Ok(()), "{app} {name}");
        assert_eq!((&*key, is_trusted), ("live/door", true), "{app} {name}");
        // The key for publishing isn't valid for playing, not even from loopback.
        let (result, _, is_trusted) = decide(&guard, Action::Play, &client, name, 0);
        assert!(result.is_err() && !is_trusted, "{app} {name}");
    }
    let player = client("203.0.113.5", "live", "");
    let (result, key, is_trusted) = decide(&guard, Action::Play, &player, "door?key=watch-it", 0);
    assert_eq!((result, &*key, is_trusted), (Ok(()), "live/door", false));
}

#[test]
fn without_the_right_key_every_client_gets_the_same_refusal() {
    let guard = guard(&["s3cret"], &[]);
    for (app, name, shown, came) in [
        ("live", "door", "live/***", "no key"),
        (
            "live",
            "door?key=wrong-1",
            "live/***",
            "a wrong key in ?key= of the stream name",
        ),
        (
            "live?token=wrong-1",
            "door",
            "live/***",
            "a wrong key in ?token= of the app",
        ),
        (
            "live/door",
            "wrong-1",
            "live/***",
            "no key, or a wrong one as last part of the name",
        ),
        // A key in a place where it doesn't count must not be shown, either.
        ("live", "s3cret", "live/***", "no key"),
        ("live", "s3crte", "live/***", "no key"),
        (
            "live",
            "S3CRET?key=wrong-1",
            "live/***",
            "a wrong key in ?key= of the stream name",
        ),
        (
            "s3cret",
            "cam/main?key=wrong-1",
            "***",
            "a wrong key in ?key= of the stream name",
        ),
    ] {
        let client = client("127.0.0.1", app, "");
        let (result, key, is_trusted) = decide(&guard, Action::Publish, &client, name, 0);
        let refusal = result.unwrap_err();
        assert_eq!((&*key, is_trusted), (shown, false), "{app} {name}");
        let reason = refusal.reason();
        assert!(reason.starts_with(came), "{app} {name}: {reason}");
        assert!(
            reason.contains("; expected a key, as in rtmp://"),
            "{reason}"
        );
        assert!(
            !reason.contains("wrong-1") && !reason.contains("s3c"),
            "{reason}"
        );
        let description = "wrong or missing key: use NAME?key=KEY";
        assert_eq!(refusal.description(), description);
        assert!(!refusal.is_step());
    }
}

#[test]
fn each_stream_has_the_keys_of_the_most_specific_name() {
    let guard = guard(&["live/door=for-door", "live/*=for-live"], &[]);
    for (name, is_right) in [
        ("door?key=for-door", true),
        ("door?key=for-live", false),
        ("gate?key=for-live", true),
        ("gate?key=for-door", false),
        ("door/for-door", true),
        ("door/for-live", false),
        ("cam/main/for-live", true),
    ] {
        let client = client("127.0.0.1", "live", "");
        let (result, ..) = decide(&guard, Action::Publish, &client, name, 0);
        assert_eq!(result.is_ok(), is_right, "{name}");
    }
    let client = client("127.0.0.1", "other", "");
    let (result, ..) = decide(&guard, Action::Publish, &client, "door?key=for-live", 0);
    let refusal = result.unwrap_err();
    let why = "none is set for this stream (--publish-key NAME=KEY sets one)";
    assert!(refusal.reason().contains(why), "{}", refusal.reason());
    // The client doesn't learn whether there is a key for this stream.
    assert_eq!(
        refusal.description(),
        "wrong or missing key: use NAME?key=KEY"
    );
}

#[test]
fn user_and_password_count_in_a_query_and_beside_keys() {
    let mut publish = users(&["bob:pw", "eve:other"]);
    let only_users = of(publish.clone(), Access::default());
    publish.keys.push(Key::parse("s3cret").unwrap());
    let both = of(publish, Access::default());
    for (name, by_users, by_both) in [
        ("door?user=bob&pass=pw", true, true),
        ("door?user=eve&pass=other", true, true),
        ("door?user=bob&pass=other", false, false),
        ("door?user=bob&pass=", false, false),
        ("door?user=rob&pass=pw", false, false),
        ("door?key=s3cret", false, true),
        ("door?key=wrong&user=bob&pass=pw", true, true),
        ("door/s3cret", false, true),
        ("door/pw", false, false),
        ("door", false, false),
    ] {
        let client = client("203.0.113.5", "live", "");
        for (guard, is_right) in [(&only_users, by_users), (&both, by_both)] {
            let (result, _, is_trusted) = decide(guard, Action::Publish, &client, name, 0);
            assert_eq!(result.is_ok(), is_right, "{name}");
            assert_eq!(is_trusted, is_right, "{name}");
        }
    }
}

#[test]
fn where_users_log_in_a_key_is_expected_behind_the_app() {
    let mut publish = users(&["bob:pw"]);
    publish.keys.push(Key::parse("s3cret").unwrap());
    let guard = of(publish, Access::default());
    let client = client("127.0.0.1", "live?key=wrong-1", "");
    let (result, ..) = decide(&guard, Action::Publish, &client, "door", 0);
    let refusal = result.unwrap_err();
    assert_eq!(
        refusal.reason(),
        "a wrong key in ?key= of the app; expected a key behind the app, as in \
         rtmp://HOST/APP?key=KEY/NAME (in OBS: server rtmp://HOST/APP?key=KEY), or a user, as in \
         rtmp://USER:PASSWORD@HOST/APP/NAME"
    );
    let description = "wrong or missing key or password: use APP?key=KEY, or log in";
    assert_eq!(refusal.description(), description);
}

#[test]
fn a_client_that_has_logged_in_needs_no_key() {
    let mut access = users(&["bob:pw"]);
    access.keys.push(Key::parse("s3cret").unwrap());
    let guard = of(access.clone(), access);
    let mut client = client("203.0.113.5", "live", "");
    client.allow(Action::Publish);
    let (result, key, is_trusted) = decide(&guard, Action::Publish, &client, "door", 0);
    assert_eq!((result, &*key, is_trusted), (Ok(()), "live/door", true));
    let (_, key, _) = decide(&guard, Action::Publish, &client, "cam/main", 0);
    assert_eq!(key, "live/cam/main");
    let (_, key, _) = decide(&guard, Action::Publish, &client, "door/s3cret", 0);
    assert_eq!(key, "live/door");
    assert!(decide(&guard, Action::Play, &client, "door", 0).0.is_err());
}

#[test]
fn clients_outside_the_networks_are_refused_whatever_they_send() {
    let open = of(Access::default(), Access::default());
    let mut closed = from(&["10.0.0.0/8", "2001:db8::/32"]);
    closed.keys.push(Key::parse("s3cret").unwrap());
    let closed = of(closed, from(&["any"]));
    let of_default = "that may publish: private and loopback addresses (--publish-from)";
    let of_list = "that may publish: 10.0.0.0/8, 2001:db8::/32 (--publish-from)";
    for (ip, by_default, by_list) in [
        ("127.0.0.1", true, false),
        ("192.168.1.7", true, false),
        ("10.1.2.3", true, true),
        ("203.0.113.5", false, false),
        ("2001:db8::5", false, true),
    ] {
        for (guard, is_right, why) in [(&open, by_default, of_default), (&closed, by_list, of_list)]
        {
            let client = client(ip, "live", "");
            let name = "door?key=s3cret";
            let (result, ..) = decide(guard, Action::Publish, &client, name, 0);
            assert_eq!(result.is_ok(), is_right, "{ip}");
            if let Err(refusal) = result {
                let reason = refusal.reason();
                assert!(reason.ends_with(why), "{reason}");
                let description = "publishing is not allowed from your address";
                assert_eq!(refusal.description(), description);
            }
        }
    }
    let stranger = || client("203.0.113.5", "live", "");
    let neither = open.connect(&mut stranger(), 0).unwrap_err();
    let words = "may publish: private and loopback addresses (--publish-from), nor play: private \
                 and loopback addresses (--play-from)";
    assert!(neither.reason().ends_with(words), "{}", neither.reason());
    assert!(closed.connect(&mut stranger(), 0).is_ok(), "it may play");
    assert!(
        decide(&closed, Action::Play, &stranger(), "door", 0)
            .0
            .is_ok()
    );
}

#[test]
fn a_client_outside_the_networks_leaves_no_key_in_the_log() {
    let mut publish = from(&["10.0.0.0/8"]);
    publish.keys.push(Key::parse("s3cret").unwrap());
    let guard = of(publish, Access::default());
    for (name, shown) in [
        ("door/s3cert", "live/***"),
        ("s3cret", "live/***"),
        ("cam/main?key=s3cret", "live/***"),
    ] {
        let client = client("203.0.113.5", "live", "");
        let (_, key, _) = decide(&guard, Action::Publish, &client, name, 0);
        assert_eq!(key, shown);
    }
    let open = of(Access::default(), Access::default());
    let client = client("203.0.113.5", "live", "");
    let (_, key, _) = decide(&open, Action::Publish, &client, "cam/main", 0);
    assert_eq!(key, "live/cam/main");
}

#[test]
fn a_player_does_not_learn_whether_it_has_the_publishers_key() {
    let guard = guard(&["s3cret"], &[]);
    let client = client("127.0.0.1", "live", "");
    for (name, shown) in [
        ("door/s3cret", "live/door/***"),
        ("s3cret", "live/***"),
        ("door/other", "live/door/other"),
    ] {
        let key = StreamKey::new("live", name).unwrap();
        let mut request = StreamRequest::new(&client, name, key);
        assert_eq!(guard.authorize(Action::Play, &mut request, 0), Ok(()));
        assert_eq!(request.key().as_str(), shown);
        assert_eq!(request.is_hidden, shown.contains('*'), "{name}");
    }
}

#[test]
fn a_key_as_a_part_of_a_streams_name_is_refused() {
    let guard = guard(&["s3cret"], &[]);
    for name in [
        "s3cret?key=s3cret",
        "s3cret/door?key=s3cret",
        "s3cret/s3cret",
    ] {
        let client = client("127.0.0.1", "live", "");
        let (result, key, _) = decide(&guard, Action::Publish, &client, name, 0);
        let refusal = result.unwrap_err();
        assert!(refusal.reason().contains("name is a key"), "{name}");
        assert!(!key.contains("s3cret"), "{key}");
    }
    // Not even if everybody may publish, since names are shown to all.
    let guard = self::guard(&[], &["s3cret"]);
    let client = client("127.0.0.1", "live", "");
    let (result, key, _) = decide(&guard, Action::Publish, &client, "door/s3cret", 0);
    assert!(result.unwrap_err().reason().contains("name is a key"));
    assert_eq!(key, "live/***");
    let (result, key, is_trusted) = decide(&guard, Action::Publish, &client, "door", 0);
    assert_eq!((result, &*key, is_trusted), (Ok(()), "live/door", false));
}

#[test]
fn names_are_shown_as_far_as_the_options_contain_them() {
    let keyed = guard(
        &["s3cret", "live/door=for-door", "site/a/*=for-a"],
        &["site/*=for-site"],
    );
    let only_users = of(users(&["bob:pw"]), Access::default());
    let api = configured(Config {
        api_key: Some(Secret::new("admin-key")),
        ..Config::default()
    });
    for (guard, name, shown) in [
        (&keyed, "live/door", "live/door"),
        (&keyed, "live/door/for-door", "live/door/***"),
        (&keyed, "live/doors", "live/***"),
        (&keyed, "live/s3cret", "live/***"),
        (&keyed, "live/s3crte", "live/***"),
        (&keyed, "live", "live"),
        (&keyed, "lively/x", "***"),
        (&keyed, "s3cret/door", "***"),
        (&keyed, "s3cret", "***"),
        (&keyed, "site/a/x/y", "site/a/***"),
        (&keyed, "site/b", "site/***"),
        (&only_users, "live/pw", "live/***"),
        (&api, "other/admin-key", "***"),
    ] {
        let masked = guard.rules.masked(&StreamKey::new("", name).unwrap());
        let masked = masked.unwrap();
        assert_eq!(masked.as_str(), shown);
    }
    let open = of(Access::default(), Access::default());
    let name = StreamKey::new("", "live/door").unwrap();
    assert_eq!(open.rules.masked(&name), None);
}

#[test]
fn a_request_through_an_unknown_proxy_may_be_from_anywhere() {
    let of_all_ipv4 = Access {
        from: vec![Network::Prefix {
            address: [0, 0, 0, 0].into(),
            prefix: 0,
        }],
        ..Access::default()
    };
    for (access, arrival, may) in [
        (Access::default(), Arrival::Direct, true),
        (Access::default(), Arrival::ByTrustedProxy, true),
        (Access::default(), Arrival::ByUnknownProxy, false),
        (from(&["127.0.0.1"]), Arrival::ByUnknownProxy, false),
        (of_all_ipv4, Arrival::ByUnknownProxy, false),
        (from(&["any"]), Arrival::ByUnknownProxy, true),
    ] {
        let guard = of(Access::default(), access.clone());
        let mut client = client("127.0.0.1", "live", "");
        client.arrival = arrival;
        let (result, ..) = decide(&guard, Action::Play, &client, "door", 0);
        assert_eq!(result.is_ok(), may, "{access:?} {arrival:?}");
        if let Err(refusal) = result {
            let reason = refusal.reason();
            assert!(reason.contains("--trusted-proxy"), "{reason}");
        }
    }
}
