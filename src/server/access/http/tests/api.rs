use super::*;
use crate::config::Secret;

fn with_api_key(play: Access) -> Guard {
    configured(Config {
        api_key: Some(Secret::new("admin-key")),
        play,
        ..Config::default()
    })
}

/// The access of players who need the key `watch-it`.
fn keyed() -> Access {
    Access {
        keys: vec![Key::parse("watch-it").unwrap()],
        ..Access::default()
    }
}

/// A request to this host, on behalf of a page of this origin, or of none.
fn page<'a>(host: &'a str, origin: &'a str) -> Page<'a> {
    Page {
        host: Some(host),
        origin: field(origin),
        sec_fetch_site: Field::Absent,
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
        let arrivals = if is_forwarded {
            &[Arrival::ByTrustedProxy, Arrival::ByUnknownProxy][..]
        } else {
            &[Arrival::Direct]
        };
        arrivals.iter().any(|arrival| {
            let mut client = client(ip);
            client.arrival = *arrival;
            guard.is_privileged(&client, &Credentials::default(), &page, 0)
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
        // A page whose name was made to point here.
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
        // Clients from anywhere, through a proxy on this machine.
        ("127.0.0.1", here, None, None, true, false),
    ] {
        let found = privileged(ip, host, origin, site, is_forwarded);
        assert_eq!(found, expected, "{ip} {host:?} {origin:?} {site:?}");
    }
    assert_eq!(guard.api_refusal().kind(), RefusalKind::Forbidden);
}

#[test]
fn with_an_api_key_it_is_needed_even_on_this_machine() {
    let new = || with_api_key(keyed());
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
        // A login to play, which browsers attach on their own.
        ("", &other, false, false),
        ("key=admin-key", "", false, false),
        ("", "Basic ???", false, false),
        ("", "Digest admin-key", false, false),
    ] {
        let (guard, page) = (new(), page("127.0.0.1:8080", ""));
        let credentials = sending(&guard, query, authorization);
        for ip in [PLAYER, "127.0.0.1"] {
            for _ in 0..5 {
                let found = guard.is_privileged(&client(ip), &credentials, &page, 0);
                assert_eq!(found, is_privileged, "{query} {authorization}");
            }
            let many = are_many(&guard, ip, Purpose::Administer);
            assert_eq!(many, is_guess, "{query} {authorization}");
            assert!(!are_many(&guard, ip, Purpose::Play));
        }
    }
    assert_eq!(new().api_refusal().kind(), RefusalKind::Unauthorized);
}

#[test]
fn pages_of_other_sites_cannot_use_the_password_of_a_browser() {
    let guard = with_api_key(Access::default());
    let basic = basic_field("", "admin-key");
    for (origin, by_basic, by_key) in [
        ("", true, true),
        ("http://pi:8080", true, true),
        ("http://evil.example", false, true),
        ("http://pi", false, true),
    ] {
        let page = page("pi:8080", origin);
        for (query, authorization, expected) in
            [("", &*basic, by_basic), ("api_key=admin-key", "", by_key)]
        {
            let credentials = sending(&guard, query, authorization);
            let found = guard.is_privileged(&client(PLAYER), &credentials, &page, 0);
            assert_eq!(found, expected, "{origin} {query}");
        }
    }
}

#[test]
fn guesses_at_the_api_key_are_delayed_and_the_right_key_is_not() {
    let guard = with_api_key(Access::default());
    let guess = |query| {
        let credentials = sending(&guard, query, "");
        guard.is_privileged(&client(PLAYER), &credentials, &page("pi", ""), 0)
    };
    (0..9).for_each(|_| assert!(!guess("api_key=guess")));
    assert!(are_many(&guard, PLAYER, Purpose::Administer));
    // From now on, a delayed attempt fails.
    guard.close();
    assert!(guess("api_key=admin-key"));
    (0..11).for_each(|_| assert!(!guess("api_key=guess")));
    // Right and wrong keys get the same answer now.
    assert!(!guess("api_key=admin-key"));
}

#[test]
fn the_login_of_a_player_is_no_guess_at_the_api_key() {
    let mut access = users(&["ann:pw", "bob:pw"]);
    access.keys = ["watch-it", "live/door=watch-it"]
        .map(|text| Key::parse(text).unwrap())
        .into();
    for (user, password, is_guess) in [
        ("ann", "pw", false),
        ("bob", "pw", false),
        ("", "watch-it", false),
        ("bob", "guess", true),
    ] {
        let guard = with_api_key(access.clone());
        let basic = basic_field(user, password);
        let credentials = sending(&guard, "", &basic);
        for _ in 0..9 {
            let page = page("pi", "");
            assert!(!guard.is_privileged(&client(PLAYER), &credentials, &page, 0));
        }
        let are_many = are_many(&guard, PLAYER, Purpose::Administer);
        assert_eq!(are_many, is_guess, "{user}:{password}");
    }
}

#[test]
fn the_api_key_may_be_in_two_places() {
    let guard = with_api_key(keyed());
    let basic = basic_field("", "admin-key");
    for authorization in ["Bearer admin-key", &*basic] {
        let credentials = sending(&guard, "api_key=admin-key", authorization);
        let page = page("pi", "");
        assert!(guard.is_privileged(&client(PLAYER), &credentials, &page, 0));
    }
}

#[test]
fn the_api_key_as_password_is_neither_a_guess_at_playing_nor_a_key_for_it() {
    let guard = with_api_key(keyed());
    let basic = basic_field("", "admin-key");
    let credentials = sending(&guard, "", &basic);
    for _ in 0..9 {
        let refusal = play(&guard, PLAYER, &credentials, "live/door").unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::Unauthorized);
        assert!(!may_list(&guard, PLAYER, &credentials, "live/door"));
    }
    assert!(!are_many(&guard, PLAYER, Purpose::Play));
}

#[test]
fn pages_of_other_sites_cannot_read_what_is_granted_because_of_an_address() {
    let open = of(Access::default(), Access::default());
    let for_all = of(Access::default(), from(&["any"]));
    let keyed = of(Access::default(), keyed());
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
        let page = page("pi:8080", origin);
        for (guard, expected) in [(&open, by_open), (&for_all, by_all), (&keyed, by_key)] {
            let credentials = sending(guard, "", authorization);
            let may_share = guard.may_share(&credentials, &page);
            assert_eq!(may_share, expected, "{origin} {authorization}");
            // Programs other than browsers send no origin, and don't attach a user's password on their
            // own.
            let may_open = guard.may_open_socket(&credentials, &page);
            assert_eq!(
                may_open,
                expected || origin.is_empty(),
                "{origin} {authorization}"
            );
        }
    }
    let own = page("pi.example:8080", "http://pi.example:8080");
    let credentials = sending(&open, "", &basic);
    assert!(!open.may_share(&credentials, &own) && open.may_open_socket(&credentials, &own));
    let unreadable = Credentials::from_http(None, Field::Unreadable, None);
    assert!(!for_all.may_share(&unreadable, &own));
}
