use std::net::SocketAddr;

use super::*;
use crate::config::{Access, Config, Key, Network};
use crate::rtmp::stream_key::StreamKey;
use crate::server::access::tests::{basic_field, configured, from, guard, of, users};
use crate::server::handler::StreamRequest;

mod api;

const PLAYER: &str = "203.0.113.5";

fn client(ip: &str) -> Client {
    let address = SocketAddr::new(ip.parse().unwrap(), 40_000);
    Client::over_http(1, address, "192.0.2.1:8080".parse().unwrap(), "curl/8")
}

fn key(name: &str) -> StreamKey {
    StreamKey::new("", name).unwrap()
}

/// The credentials of a request; an empty text is absent.
fn sending<'a>(guard: &Guard, query: &'a str, authorization: &'a str) -> Credentials<'a> {
    let query = Some(query).filter(|text| !text.is_empty());
    Credentials::from_http(query, field(authorization), guard.rules.api_key())
}

fn field(text: &str) -> Field<'_> {
    match text {
        "" => Field::Absent,
        text => Field::Text(text),
    }
}

/// The name of the stream that a client may play.
fn play(
    guard: &Guard,
    ip: &str,
    credentials: &Credentials<'_>,
    name: &str,
) -> Result<String, Refusal> {
    let (client, key) = (client(ip), key(name));
    let mut request = StreamRequest::over_http(&client, &key, None);
    guard.authorize_with(credentials, Action::Play, &mut request, 0)?;
    Ok(request.key().as_str().to_owned())
}

fn may_list(guard: &Guard, ip: &str, credentials: &Credentials<'_>, name: &str) -> bool {
    let visitor = guard.visitor(&client(ip), credentials, 0);
    visitor.may_list(&key(name))
}

fn are_many(guard: &Guard, ip: &str, purpose: Purpose) -> bool {
    guard.throttle.are_many(ip.parse().unwrap(), purpose, 0)
}

#[test]
fn a_key_may_be_in_the_query_the_password_or_the_name() {
    let guard = guard(&["publish-it"], &["watch-it"]);
    let (any, none) = (
        basic_field("viewer", "watch-it"),
        basic_field("", "watch-it"),
    );
    let wrong = basic_field("viewer", "watch-it!");
    for (name, query, authorization) in [
        ("live/door", "key=watch-it", ""),
        ("live/door", "token=watch-it", ""),
        ("live/door", "join=gop&secret=watch-it", ""),
        ("live/door", "key=%77atch%2Dit", ""),
        ("live/door", "%6Bey=watch-it", ""),
        ("live/door", "note=%&key=watch-it", ""),
        ("live/door", "note=%FF%fF&key=watch-it", ""),
        ("live/door", "note=a%26key=no&key=watch-it", ""),
        ("live/door", "", &any),
        ("live/door", "", &none),
        ("live/door", "key=wrong", &any),
        ("live/door", "key=watch-it", &wrong),
        ("live/door", "key=watch-it", "Bearer other"),
        ("live/door/watch-it", "", ""),
    ] {
        let credentials = sending(&guard, query, authorization);
        let played = play(&guard, PLAYER, &credentials, name);
        assert_eq!(
            played.as_deref(),
            Ok("live/door"),
            "{name} {query} {authorization}"
        );
    }
}

#[test]
fn all_wrong_credentials_get_the_same_answer() {
    let guard = guard(&["publish-it"], &["watch-it", "live/gate=gate-key"]);
    let basic = |password| basic_field("viewer", password);
    let long_query = format!("key=watch-it&note={}", "x".repeat(1024));
    let description =
        "wrong or missing key: put ?key=KEY behind the address, or log in with it as password";
    for (name, query, authorization) in [
        ("live/door", "", ""),
        ("live/door", "key=wrong", ""),
        ("live/door", "key=", ""),
        ("live/door", "key=watch-i", ""),
        ("live/door", "key=publish-it", ""),
        ("live/door", "key=gate-key", ""),
        // Decoded once, not twice.
        ("live/door", "key=%2577atch-it", ""),
        // Not a separate parameter.
        ("live/door", "note=%26key=watch-it", ""),
        ("live/door", "note=%26key%3Dwatch-it", ""),
        ("live/door", &long_query, ""),
        ("live/door", "user=viewer&pass=watch-it", ""),
        ("live/door", "", &basic("wrong")),
        ("live/door", "", &basic("publish-it")),
        ("live/door", "", &basic("")),
        ("live/door", "", &basic_field("watch-it", "")),
        ("live/door", "", "Bearer watch-it"),
        ("live/door", "", "Basic !!!"),
        ("live/door/wrong", "", ""),
        ("live/gate", "key=watch-it", ""),
    ] {
        // Not even from this machine.
        let credentials = sending(&guard, query, authorization);
        let refusal = play(&guard, "127.0.0.1", &credentials, name).unwrap_err();
        assert_eq!(
            (refusal.kind(), refusal.description()),
            (RefusalKind::Unauthorized, description),
            "{name} {query} {authorization}"
        );
    }
}

#[test]
fn users_log_in_by_password_or_query_and_beside_keys() {
    let mut access = users(&["bob:p w:&", "eve:other"]);
    let only_users = of(Access::default(), access.clone());
    access.keys.push(Key::parse("watch-it").unwrap());
    let both = of(Access::default(), access);
    let basic = basic_field;
    for (query, authorization, by_users, by_both) in [
        ("", &*basic("bob", "p w:&"), true, true),
        ("", &basic("eve", "other"), true, true),
        ("user=eve&pass=other", "", true, true),
        ("user=eve&pass=%6fther", "", true, true),
        ("user=eve&pass=wrong", &basic("bob", "p w:&"), true, true),
        ("", &basic("eve", "p w:&"), false, false),
        ("", &basic("", "other"), false, false),
        ("", &basic("EVE", "other"), false, false),
        ("", &basic("eve", "watch-it"), false, true),
        ("key=watch-it", "", false, true),
        ("user=eve&pass=watch-it", "", false, false),
    ] {
        for (guard, is_right) in [(&only_users, by_users), (&both, by_both)] {
            let credentials = sending(guard, query, authorization);
            let result = play(guard, PLAYER, &credentials, "live/door");
            let kind = result.as_ref().err().map(Refusal::kind);
            let expected = (!is_right).then_some(RefusalKind::Unauthorized);
            assert_eq!(kind, expected, "{query} {authorization}: {result:?}");
        }
    }
    let nothing = Credentials::default();
    let refusal = play(&only_users, PLAYER, &nothing, "live/door").unwrap_err();
    assert_eq!(refusal.description(), "wrong or missing user or password");
}

#[test]
fn a_client_outside_the_networks_is_not_asked_for_a_password() {
    let open = of(Access::default(), Access::default());
    let mut access = from(&["10.0.0.0/8"]);
    access.keys.push(Key::parse("watch-it").unwrap());
    let near_and_key = of(Access::default(), access);
    for guard in [&open, &near_and_key] {
        for query in ["", "key=watch-it", "key=wrong"] {
            let credentials = sending(guard, query, "");
            let refusal = play(guard, PLAYER, &credentials, "live/door").unwrap_err();
            let description = "playing is not allowed from your address";
            assert_eq!(refusal.kind(), RefusalKind::Forbidden);
            assert_eq!(refusal.description(), description);
        }
    }
    let nothing = Credentials::default();
    let near = play(&open, "192.168.1.9", &nothing, "live/door");
    assert_eq!(near.as_deref(), Ok("live/door"));
    let near = play(&near_and_key, "10.1.2.3", &nothing, "live/door");
    assert_eq!(near.unwrap_err().kind(), RefusalKind::Unauthorized);
}

#[test]
fn a_publishers_key_in_the_name_is_hidden_and_not_confirmed() {
    let guard = guard(&["s3cret"], &[]);
    for (name, played) in [
        ("live/door/s3cret", "live/door/***"),
        ("live/s3cret", "live/***"),
        ("live/door/other", "live/door/other"),
    ] {
        let nothing = Credentials::default();
        let found = play(&guard, "127.0.0.1", &nothing, name);
        assert_eq!(found.as_deref(), Ok(played));
        let is_listed = may_list(&guard, "127.0.0.1", &nothing, name);
        assert_eq!(is_listed, !played.contains('*'), "{name}");
    }
}

#[test]
fn wrong_keys_count_as_attempts_in_plays_and_lists_and_missing_ones_do_not() {
    let new = || guard(&[], &["watch-it"]);
    let wrong = basic_field("viewer", "guess");
    let list = |guard: &Guard, query: &str, authorization: &str| {
        let credentials = sending(guard, query, authorization);
        may_list(guard, PLAYER, &credentials, "live/door")
    };
    for (query, authorization, is_guess) in [
        ("", "", false),
        ("join=gop", "", false),
        ("", "Basic ???", false),
        ("", "Bearer guess", false),
        ("key=guess", "", true),
        ("user=bob&pass=guess", "", true),
        ("", &wrong, true),
    ] {
        let (player, lister) = (new(), new());
        let credentials = sending(&player, query, authorization);
        for _ in 0..5 {
            assert!(play(&player, PLAYER, &credentials, "live/door").is_err());
            assert!(!list(&lister, query, authorization));
        }
        for guard in [&player, &lister] {
            let many = are_many(guard, PLAYER, Purpose::Play);
            assert_eq!(many, is_guess, "{query} {authorization}");
            assert!(!are_many(guard, PLAYER, Purpose::Publish));
            assert!(!are_many(guard, PLAYER, Purpose::Administer));
            if !is_guess {
                continue;
            }
            // From now on, a delayed attempt fails. Right ones aren't delayed.
            guard.close();
            let refusal = play(guard, PLAYER, &credentials, "live/door").unwrap_err();
            assert_eq!(refusal.kind(), RefusalKind::ServerStops);
            let right = sending(guard, "key=watch-it", "");
            assert!(play(guard, PLAYER, &right, "live/door").is_ok());
            for authorization in ["", &*basic_field("", "watch-it")] {
                assert!(list(guard, "key=watch-it", authorization));
            }
            assert!(are_many(guard, PLAYER, Purpose::Play));
        }
    }
}

#[test]
fn lists_show_the_streams_that_a_client_may_play() {
    let open = guard(&["publish-it"], &[]);
    let keyed = guard(&[], &["live/*=for-live", "live/door=for-door"]);
    let mut access = users(&["bob:pw"]);
    access.keys.push(Key::parse("live/door=for-door").unwrap());
    let user = of(Access::default(), access);
    for (guard, ip, query, authorization, shown) in [
        (&open, "192.168.1.9", "", "", [true, true, true]),
        (&open, PLAYER, "", "", [false, false, false]),
        (&keyed, "127.0.0.1", "", "", [false, false, false]),
        (&keyed, PLAYER, "key=for-live", "", [false, true, false]),
        (&keyed, PLAYER, "key=for-door", "", [true, false, false]),
        (
            &keyed,
            PLAYER,
            "",
            &basic_field("", "for-door"),
            [true, false, false],
        ),
        (&keyed, PLAYER, "key=for%2Ddoor", "", [true, false, false]),
        (
            &user,
            PLAYER,
            "",
            &basic_field("bob", "pw"),
            [true, true, true],
        ),
        (&user, PLAYER, "user=bob&pass=pw", "", [true, true, true]),
        (&user, PLAYER, "key=for-door", "", [true, false, false]),
        (
            &user,
            PLAYER,
            "",
            &basic_field("eve", "pw"),
            [false, false, false],
        ),
    ] {
        let visitor = guard.visitor(&client(ip), &sending(guard, query, authorization), 0);
        let found =
            ["live/door", "live/gate", "other/door"].map(|name| visitor.may_list(&key(name)));
        assert_eq!(found, shown, "{ip} {query} {authorization}");
    }
}

#[test]
fn credentials_that_are_right_twice_are_right() {
    let mut access = users(&["bob:pw"]);
    access.keys = ["watch-it", "live/door=watch-it"]
        .map(|text| Key::parse(text).unwrap())
        .into();
    let guard = of(Access::default(), access);
    let basic = basic_field("bob", "pw");
    for (name, query, authorization) in [
        ("live/door/watch-it", "", ""),
        ("live/door", "key=watch-it", ""),
        ("live/door", "key=watch-it", &*basic),
        ("live/gate", "key=watch-it", &basic),
        ("live/gate", "user=bob&pass=pw", &basic),
    ] {
        let credentials = sending(&guard, query, authorization);
        let result = play(&guard, PLAYER, &credentials, name);
        assert!(result.is_ok(), "{name} {query} {authorization}");
    }
}

#[test]
fn beyond_twenty_guesses_a_second_lists_show_nothing() {
    let guard = guard(&[], &["watch-it"]);
    let list = |query| may_list(&guard, PLAYER, &sending(&guard, query, ""), "live/door");
    (0..20).for_each(|_| assert!(list("key=watch-it") && !list("key=guess")));
    assert!(!list("key=watch-it"));
}

#[test]
fn a_foreign_host_name_is_refused_only_where_the_network_decides() {
    let mut near_and_keyed = from(&["192.168.0.0/16"]);
    near_and_keyed.keys.push(Key::parse("watch-it").unwrap());
    for (play, is_refused) in [
        (Access::default(), true),
        (from(&["192.168.0.0/16"]), true),
        (from(&["any"]), false),
        (near_and_keyed, false),
    ] {
        let guard = of(Access::default(), play.clone());
        for (host, is_foreign) in [("192.168.1.5:8080", false), ("evil.example", true)] {
            let page = Page {
                host: Some(host),
                ..Page::default()
            };
            let result = guard.check_host(&page);
            assert_eq!(result.is_err(), is_foreign && is_refused, "{host} {play:?}");
        }
    }
}

/// Returns a request head with these lines after the first two.
fn head(version: &str, lines: &str) -> Head<'static> {
    let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
    Head::parse(text.leak().as_bytes()).unwrap()
}

#[test]
fn only_trusted_proxies_name_the_client() {
    let guard = configured(Config {
        trusted_proxies: ["127.0.0.1", "10.0.0.0/8"]
            .map(|text| Network::parse_of_proxies(text).unwrap())
            .to_vec(),
        ..Config::default()
    });
    let local = "192.0.2.1".parse().unwrap();
    for (peer, version, lines, sender, arrival) in [
        ("127.0.0.1:9", "1.1", "", "127.0.0.1:9", Arrival::Direct),
        ("203.0.113.5:9", "1.1", "", "203.0.113.5:9", Arrival::Direct),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: 203.0.113.5\r\n",
            "203.0.113.5:0",
            Arrival::ByTrustedProxy,
        ),
        (
            "127.0.0.1:9",
            "1.0",
            "Forwarded: for=203.0.113.5\r\n",
            "203.0.113.5:0",
            Arrival::ByTrustedProxy,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: 127.0.0.1, 203.0.113.5, 10.9.9.9\r\n",
            "203.0.113.5:0",
            Arrival::ByTrustedProxy,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: 127.0.0.1\r\n",
            "127.0.0.1:0",
            Arrival::ByTrustedProxy,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: unknown\r\n",
            "127.0.0.1:9",
            Arrival::ByUnknownProxy,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Real-IP: 203.0.113.5\r\n",
            "127.0.0.1:9",
            Arrival::ByUnknownProxy,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "Via: 1.1 x\r\n",
            "127.0.0.1:9",
            Arrival::ByUnknownProxy,
        ),
        (
            "127.0.0.1:9",
            "1.0",
            "",
            "127.0.0.1:9",
            Arrival::ByUnknownProxy,
        ),
        // An old player on another machine.
        ("192.168.1.9:9", "1.0", "", "192.168.1.9:9", Arrival::Direct),
        // Others aren't trusted.
        (
            "192.168.1.9:9",
            "1.1",
            "X-Forwarded-For: 127.0.0.1\r\n",
            "192.168.1.9:9",
            Arrival::ByUnknownProxy,
        ),
        (
            "127.0.0.2:9",
            "1.1",
            "X-Forwarded-For: 203.0.113.5\r\n",
            "127.0.0.2:9",
            Arrival::ByUnknownProxy,
        ),
    ] {
        let found = guard.sender(&head(version, lines), peer.parse().unwrap(), local);
        assert_eq!(
            found,
            (sender.parse().unwrap(), arrival),
            "{peer} {version} {lines}"
        );
    }
}
