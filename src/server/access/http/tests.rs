use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::*;
use crate::config::{Access, Key};
use crate::server::access::authorization::tests::basic_field;
use crate::server::access::tests::{from, guard, of, users};
use crate::server::handler::Protocol;

mod api;

const PLAYER: &str = "203.0.113.5";

fn client(ip: &str) -> Client {
    let address = SocketAddr::new(ip.parse().unwrap(), 40_000);
    Client::over_http(1, address, "192.0.2.1:8080".parse().unwrap(), "curl/8")
}

fn key(name: &str) -> StreamKey {
    StreamKey::new("", name).unwrap()
}

/// What shows these; an empty text is none.
fn showing<'a>(query: &'a str, authorization: &'a str) -> Credentials<'a> {
    Credentials {
        query: Some(query).filter(|text| !text.is_empty()),
        authorization: field(authorization),
        ..Credentials::default()
    }
}

fn field(text: &str) -> Field<'_> {
    match text {
        "" => Field::Absent,
        text => Field::Text(text),
    }
}

/// From the page of this origin on a server of this name.
fn from_page<'a>(host: &'a str, origin: &'a str, credentials: Credentials<'a>) -> Credentials<'a> {
    let page = Page {
        host: Some(host),
        origin: field(origin),
        sec_fetch_site: Field::Absent,
    };
    Credentials {
        page,
        ..credentials
    }
}

fn play(
    guard: &Arc<Guard>,
    ip: &str,
    credentials: &Credentials<'_>,
    name: &str,
) -> Result<String, Denied> {
    let handlers = Handlers::new(vec![guard.clone()]);
    let allowed = authorize_play(&handlers, guard, &mut client(ip), credentials, &key(name));
    allowed.map(|key| key.as_str().to_owned())
}

fn are_many(guard: &Guard, ip: &str, attempt: Attempt) -> bool {
    let now = guard.now();
    guard.failures.are_many(ip.parse().unwrap(), attempt, now)
}

#[test]
fn a_key_is_taken_from_the_query_the_password_or_the_name() {
    let guard = Arc::new(guard(&["publish-it"], &["watch-it"]));
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
        let allowed = play(&guard, PLAYER, &showing(query, authorization), name);
        assert_eq!(
            allowed.as_deref(),
            Ok("live/door"),
            "{name} {query} {authorization}"
        );
    }
}

#[test]
fn whatever_is_wrong_the_answer_is_the_same() {
    let guard = Arc::new(guard(&["publish-it"], &["watch-it", "live/gate=gate-key"]));
    let basic = |password| basic_field("viewer", password);
    let long_query = format!("key=watch-it&note={}", "x".repeat(1024));
    let expected = Denied {
        status: 401,
        text:
            "wrong or missing key: put ?key=KEY behind the address, or log in with it as password"
                .into(),
    };
    assert_eq!(
        expected.challenge(),
        Some("Basic realm=\"brooklet\", charset=\"UTF-8\"")
    );
    for (name, query, authorization) in [
        ("live/door", "", ""),
        ("live/door", "key=wrong", ""),
        ("live/door", "key=", ""),
        ("live/door", "key=watch-i", ""),
        ("live/door", "key=publish-it", ""),
        ("live/door", "key=gate-key", ""),
        // Decoded once, not twice.
        ("live/door", "key=%2577atch-it", ""),
        // No pair of its own.
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
        let denied = play(&guard, "127.0.0.1", &showing(query, authorization), name);
        assert_eq!(
            denied,
            Err(expected.clone()),
            "{name} {query} {authorization}"
        );
    }
}

#[test]
fn users_log_in_by_password_or_query_and_beside_keys() {
    let mut access = users(&["bob:p w:&", "eve:other"]);
    let only_users = Arc::new(of(Access::default(), access.clone()));
    access.keys.push(Key::parse("watch-it").unwrap());
    let both = Arc::new(of(Access::default(), access));
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
            let result = play(guard, PLAYER, &showing(query, authorization), "live/door");
            let status = result.as_ref().err().map(|denied| denied.status);
            let expected = if is_right { None } else { Some(401) };
            assert_eq!(status, expected, "{query} {authorization}: {result:?}");
        }
    }
    let denied = play(&only_users, PLAYER, &showing("", ""), "live/door").unwrap_err();
    assert_eq!(denied.text, "wrong or missing user or password");
}

#[test]
fn who_is_too_far_away_is_not_asked_for_a_password() {
    let open = Arc::new(of(Access::default(), Access::default()));
    let mut access = from(&["10.0.0.0/8"]);
    access.keys.push(Key::parse("watch-it").unwrap());
    let near_and_key = Arc::new(of(Access::default(), access));
    for guard in [&open, &near_and_key] {
        for query in ["", "key=watch-it", "key=wrong"] {
            let denied = play(guard, PLAYER, &showing(query, ""), "live/door").unwrap_err();
            assert_eq!((denied.status, denied.challenge()), (403, None));
            assert_eq!(denied.text, "playing is not allowed from your address");
        }
    }
    let here = play(&open, "192.168.1.9", &showing("", ""), "live/door");
    assert_eq!(here.as_deref(), Ok("live/door"));
    let here = play(&near_and_key, "10.1.2.3", &showing("", ""), "live/door");
    assert_eq!(here.unwrap_err().status, 401);
}

#[test]
fn a_publishers_key_in_the_name_is_hidden_and_not_confirmed() {
    let guard = Arc::new(guard(&["s3cret"], &[]));
    for (name, played) in [
        ("live/door/s3cret", "live/door/***"),
        ("live/s3cret", "live/***"),
        ("live/door/other", "live/door/other"),
    ] {
        let allowed = play(&guard, "127.0.0.1", &showing("", ""), name);
        assert_eq!(allowed.as_deref(), Ok(played));
        let client = client("127.0.0.1");
        let visitor = guard.visitor(&client, &showing("", ""));
        assert_eq!(
            visitor.may_list(&key(name)),
            !played.contains('*'),
            "{name}"
        );
    }
}

#[test]
fn wrong_keys_count_wherever_they_are_tried_and_missing_ones_nowhere() {
    let new = || Arc::new(guard(&[], &["watch-it"]));
    let wrong = basic_field("viewer", "guess");
    let list = |guard: &Arc<Guard>, credentials: &Credentials<'_>| {
        guard
            .visitor(&client(PLAYER), credentials)
            .may_list(&key("live/door"))
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
        let credentials = showing(query, authorization);
        let (player, lister) = (new(), new());
        for _ in 0..5 {
            assert!(play(&player, PLAYER, &credentials, "live/door").is_err());
            assert!(!list(&lister, &credentials));
        }
        for guard in [&player, &lister] {
            let many = are_many(guard, PLAYER, Attempt::Play);
            assert_eq!(many, is_guess, "{query} {authorization}");
            assert!(!are_many(guard, PLAYER, Attempt::Publish));
            assert!(!are_many(guard, PLAYER, Attempt::Administer));
            if !is_guess {
                continue;
            }
            // Who is right doesn't have to wait, where nobody can any more.
            guard.close();
            let denied = play(guard, PLAYER, &credentials, "live/door");
            assert_eq!(denied.unwrap_err().status, 503);
            let allowed = play(guard, PLAYER, &showing("key=watch-it", ""), "live/door");
            assert!(allowed.is_ok());
            for authorization in ["", &*basic_field("", "watch-it")] {
                assert!(list(guard, &showing("key=watch-it", authorization)));
            }
            assert!(are_many(guard, PLAYER, Attempt::Play));
        }
    }
}

#[test]
fn lists_show_what_may_be_played_and_nobody_is_asked() {
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
        let visitor_of = client(ip);
        let visitor = guard.visitor(&visitor_of, &showing(query, authorization));
        let found =
            ["live/door", "live/gate", "other/door"].map(|name| visitor.may_list(&key(name)));
        assert_eq!(found, shown, "{ip} {query} {authorization}");
    }
}

#[test]
fn embedding_programs_are_asked_and_see_what_the_client_sent() {
    /// Notes what it is asked, and refuses the gate.
    #[derive(Default)]
    struct Doorman(Mutex<Vec<String>>);

    impl Handler for Doorman {
        fn play(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
            assert_eq!(client.protocol(), Protocol::Http);
            let Connect { flash_ver, .. } = client.connect();
            let note = request.query_value("note").unwrap_or("none");
            let text = format!("{flash_ver} plays {}, {note}", request.name());
            self.0.lock().unwrap().push(text);
            match request.key().as_str() {
                "live/gate" => Err(Refusal::new("no gates").with_description("closed")),
                _ => {
                    request.set_key(key("live/yard"));
                    Ok(())
                }
            }
        }
    }

    let guard = Arc::new(guard(&[], &["watch-it"]));
    let doorman = Arc::new(Doorman::default());
    let handlers = Handlers::new(vec![guard.clone(), doorman.clone()]);
    let ask = |query, name| {
        let credentials = showing(query, "");
        authorize_play(
            &handlers,
            &guard,
            &mut client(PLAYER),
            &credentials,
            &key(name),
        )
    };
    assert_eq!(
        ask("key=watch-it&note=a%20b%26c", "live/door"),
        Ok(key("live/yard"))
    );
    let denied = ask("key=watch-it", "live/gate").unwrap_err();
    assert_eq!((denied.status, &*denied.text), (403, "closed"));
    assert_eq!(ask("key=wrong", "live/door").unwrap_err().status, 401);
    let asked = doorman.0.lock().unwrap();
    let expected = [
        "curl/8 plays live/door?key=watch-it&note=a%20b%26c, a%20b%26c",
        "curl/8 plays live/gate?key=watch-it, none",
    ];
    assert_eq!(*asked, expected);
}

#[test]
fn a_password_counts_for_one_request_only() {
    let guard = Arc::new(guard(&[], &["watch-it"]));
    let handlers = Handlers::new(vec![guard.clone()]);
    let mut client = client(PLAYER);
    let basic = basic_field("", "watch-it");
    for (authorization, is_allowed) in [(&*basic, true), ("", false)] {
        let credentials = showing("", authorization);
        let result = authorize_play(
            &handlers,
            &guard,
            &mut client,
            &credentials,
            &key("live/door"),
        );
        assert_eq!(result.is_ok(), is_allowed);
    }
}

#[test]
fn percent_encoding_is_undone_once() {
    for (text, decoded) in [
        ("", Some("")),
        ("abc", Some("abc")),
        ("%41%62%C3%B6", Some("Ab\u{f6}")),
        ("%2541", Some("%41")),
        ("a+b", Some("a+b")),
        ("100%", Some("100%")),
        ("%4", Some("%4")),
        ("%zz%+1", Some("%zz%+1")),
        ("%%41", Some("%A")),
        ("%00", Some("\0")),
        ("%FF", None),
    ] {
        assert_eq!(
            percent::decode_leniently(text).as_deref(),
            decoded,
            "{text}"
        );
    }
}

/// A request head with these lines behind the first two.
fn head(version: &str, lines: &str) -> Head<'static> {
    let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
    Head::parse(text.leak().as_bytes()).unwrap()
}

#[test]
fn only_trusted_proxies_say_who_is_asking() {
    let guard = Guard {
        trusted_proxies: ["127.0.0.1", "10.0.0.0/8"]
            .map(|text| Network::parse_of_proxies(text).unwrap())
            .to_vec(),
        ..of(Access::default(), Access::default())
    };
    let local = "192.0.2.1".parse().unwrap();
    for (peer, version, lines, sender, way) in [
        ("127.0.0.1:9", "1.1", "", "127.0.0.1:9", Way::Direct),
        ("203.0.113.5:9", "1.1", "", "203.0.113.5:9", Way::Direct),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: 203.0.113.5\r\n",
            "203.0.113.5:0",
            Way::Named,
        ),
        (
            "127.0.0.1:9",
            "1.0",
            "Forwarded: for=203.0.113.5\r\n",
            "203.0.113.5:0",
            Way::Named,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: 127.0.0.1, 203.0.113.5, 10.9.9.9\r\n",
            "203.0.113.5:0",
            Way::Named,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: 127.0.0.1\r\n",
            "127.0.0.1:0",
            Way::Named,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Forwarded-For: unknown\r\n",
            "127.0.0.1:9",
            Way::Unnamed,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "X-Real-IP: 203.0.113.5\r\n",
            "127.0.0.1:9",
            Way::Unnamed,
        ),
        (
            "127.0.0.1:9",
            "1.1",
            "Via: 1.1 x\r\n",
            "127.0.0.1:9",
            Way::Unnamed,
        ),
        ("127.0.0.1:9", "1.0", "", "127.0.0.1:9", Way::Unnamed),
        // An old player elsewhere.
        ("192.168.1.9:9", "1.0", "", "192.168.1.9:9", Way::Direct),
        // Whoever isn't trusted.
        (
            "192.168.1.9:9",
            "1.1",
            "X-Forwarded-For: 127.0.0.1\r\n",
            "192.168.1.9:9",
            Way::Unnamed,
        ),
        (
            "127.0.0.2:9",
            "1.1",
            "X-Forwarded-For: 203.0.113.5\r\n",
            "127.0.0.2:9",
            Way::Unnamed,
        ),
    ] {
        let found = guard.sender(&head(version, lines), peer.parse().unwrap(), local);
        assert_eq!(
            found,
            (sender.parse().unwrap(), way),
            "{peer} {version} {lines}"
        );
    }
}
