use super::*;
use crate::config::{Config, Secret};

fn with_api_key(guard: Guard) -> Guard {
    Guard {
        api_key: Some(Secret::new("admin-key")),
        ..guard
    }
}

#[test]
fn without_an_api_key_only_this_machine_is_privileged() {
    let guard = guard(&[], &[]);
    let privileged = |ip: &str, host, origin: Option<_>, site: Option<_>, is_forwarded| {
        let page = Page {
            host,
            origin: field(origin.unwrap_or_default()),
            sec_fetch_site: field(site.unwrap_or_default()),
        };
        let credentials = Credentials {
            page,
            ..Credentials::default()
        };
        let ways = match is_forwarded {
            true => &[Way::Named, Way::Unnamed][..],
            false => &[Way::Direct],
        };
        ways.iter().any(|way| {
            let mut client = client(ip);
            client.set_way(*way);
            guard.is_privileged(&client, &credentials)
        })
    };
    let here = Some("127.0.0.1:8080");
    for (ip, host, origin, site, is_forwarded, expected) in [
        ("127.0.0.1", here, None, None, false, true),
        (
            "127.0.0.1",
            here,
            Some("http://127.0.0.1:8080"),
            Some("same-origin"),
            false,
            true,
        ),
        (
            "127.0.0.1",
            Some("localhost:8080"),
            None,
            Some("none"),
            false,
            true,
        ),
        ("::1", Some("[::1]:8080"), None, None, false, true),
        ("::ffff:127.0.0.1", here, None, None, false, true),
        (
            "192.168.1.9",
            Some("192.168.1.5:8080"),
            None,
            None,
            false,
            false,
        ),
        ("192.168.1.9", here, None, None, false, false),
        ("203.0.113.5", here, None, None, false, false),
        // Pages of other sites, in a browser on this machine.
        (
            "127.0.0.1",
            here,
            Some("http://evil.example"),
            None,
            false,
            false,
        ),
        ("127.0.0.1", here, Some("null"), None, false, false),
        (
            "127.0.0.1",
            here,
            Some("http://127.0.0.1:3000"),
            None,
            false,
            false,
        ),
        ("127.0.0.1", here, None, Some("cross-site"), false, false),
        ("127.0.0.1", here, None, Some("same-site"), false, false),
        // A page whose name was made to lead here.
        (
            "127.0.0.1",
            Some("evil.example:8080"),
            None,
            None,
            false,
            false,
        ),
        (
            "127.0.0.1",
            Some("evil.example:8080"),
            Some("http://evil.example:8080"),
            Some("same-origin"),
            false,
            false,
        ),
        ("127.0.0.1", None, None, None, false, false),
        // The world, through a proxy on this machine.
        ("127.0.0.1", here, None, None, true, false),
    ] {
        let found = privileged(ip, host, origin, site, is_forwarded);
        assert_eq!(found, expected, "{ip} {host:?} {origin:?} {site:?}");
    }
    assert_eq!(guard.api_denial().status, 403);
}

#[test]
fn with_an_api_key_it_is_needed_and_loopback_is_nothing() {
    let new = || with_api_key(guard(&[], &["watch-it"]));
    let right = basic_field("", "admin-key");
    let (wrong, other) = (basic_field("", "guess"), basic_field("", "watch-it"));
    for (query, authorization, is_privileged, is_guess) in [
        ("", "", false, false),
        ("", "Bearer admin-key", true, false),
        ("", &*right, true, false),
        ("api_key=admin-key", "", true, false),
        ("x=1&api_key=admin%2dkey", "", true, false),
        ("api_key=guess", "Bearer admin-key", true, false),
        ("", &wrong, false, true),
        ("", "Bearer guess", false, true),
        ("", "Bearer watch-it", false, true),
        ("api_key=guess", "", false, true),
        ("api_key=", "", false, true),
        // That is for playing, and sent by itself.
        ("", &other, false, false),
        ("key=admin-key", "", false, false),
        ("", "Basic ???", false, false),
        ("", "Digest admin-key", false, false),
    ] {
        let credentials = from_page("127.0.0.1:8080", "", showing(query, authorization));
        let guard = new();
        for ip in [PLAYER, "127.0.0.1"] {
            for _ in 0..5 {
                let found = guard.is_privileged(&client(ip), &credentials);
                assert_eq!(found, is_privileged, "{query} {authorization}");
            }
            let many = are_many(&guard, ip, Attempt::Administer);
            assert_eq!(many, is_guess, "{query} {authorization}");
            assert!(!are_many(&guard, ip, Attempt::Play));
        }
    }
    let denied = new().api_denial();
    assert_eq!(denied.status, 401);
    assert!(denied.challenge().is_some());
}

#[test]
fn a_browser_does_not_lend_its_password_to_pages_of_other_sites() {
    let guard = with_api_key(guard(&[], &[]));
    let basic = basic_field("", "admin-key");
    for (origin, by_basic, by_key) in [
        ("", true, true),
        ("http://pi:8080", true, true),
        ("http://evil.example", false, true),
        ("http://pi", false, true),
    ] {
        let credentials = from_page("pi:8080", origin, showing("", &basic));
        assert_eq!(
            guard.is_privileged(&client(PLAYER), &credentials),
            by_basic,
            "{origin}"
        );
        let credentials = from_page("pi:8080", origin, showing("api_key=admin-key", ""));
        assert_eq!(
            guard.is_privileged(&client(PLAYER), &credentials),
            by_key,
            "{origin}"
        );
    }
}

#[test]
fn guesses_at_the_api_key_wait_and_the_key_itself_never() {
    let guard = with_api_key(guard(&[], &[]));
    let guess = |key| guard.is_privileged(&client(PLAYER), &showing(key, ""));
    (0..9).for_each(|_| assert!(!guess("api_key=guess")));
    assert!(are_many(&guard, PLAYER, Attempt::Administer));
    // Nobody may wait any more.
    guard.close();
    assert!(guess("api_key=admin-key"));
    assert!(!guess("api_key=guess"));
}

#[test]
fn the_api_key_as_password_is_no_guess_at_playing_nor_a_key_for_it() {
    let guard = Arc::new(with_api_key(guard(&[], &["watch-it"])));
    let basic = basic_field("", "admin-key");
    for _ in 0..9 {
        let denied = play(&guard, PLAYER, &showing("", &basic), "live/door");
        assert_eq!(denied.unwrap_err().status, 401);
        let visitor_of = client(PLAYER);
        let visitor = guard.visitor(&visitor_of, &showing("", &basic));
        assert!(!visitor.may_list(&key("live/door")));
    }
    assert!(!are_many(&guard, PLAYER, Attempt::Play));
}

#[test]
fn pages_of_other_sites_read_only_what_is_not_given_for_where_the_browser_is() {
    let open = of(Access::default(), Access::default());
    let for_all = of(Access::default(), from(&["any"]));
    let keyed = guard(&[], &["watch-it"]);
    let basic = basic_field("", "watch-it");
    for (origin, authorization, by_open, by_all, by_key) in [
        ("http://evil.example", "", false, true, true),
        ("null", "", false, true, true),
        ("", "", false, true, true),
        ("http://nas.local:8123", "", true, true, true),
        ("http://192.168.1.9", "", true, true, true),
        ("http://192.168.1.9", &*basic, false, false, false),
        ("http://evil.example", &basic, false, false, false),
    ] {
        let credentials = from_page("pi:8080", origin, showing("", authorization));
        for (guard, expected) in [(&open, by_open), (&for_all, by_all), (&keyed, by_key)] {
            assert_eq!(
                guard.may_share(&credentials),
                expected,
                "{origin} {authorization}"
            );
            // Programs say nothing of an origin, and have nothing to lend.
            let socket = guard.may_open_socket(&credentials);
            assert_eq!(
                socket,
                expected || origin.is_empty(),
                "{origin} {authorization}"
            );
        }
    }
    let own = from_page(
        "pi.example:8080",
        "http://pi.example:8080",
        showing("", &basic),
    );
    assert!(!open.may_share(&own) && open.may_open_socket(&own));
}

#[test]
fn a_config_with_an_api_key_makes_a_guard_that_wants_it() {
    let config = Config {
        api_key: Some(Secret::new("admin-key")),
        ..Config::default()
    };
    let guard = Guard::new(&config);
    assert_eq!(guard.api_denial().status, 401);
    let right = showing("api_key=admin-key", "");
    assert!(guard.is_privileged(&client(PLAYER), &right));
}
