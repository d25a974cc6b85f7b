use md5::{Digest, Md5};

use super::{from, of, users};
use crate::config::{Access, Key, Network};
use crate::live::Millis;
use crate::rtmp::server_session::Connect;
use crate::server::access::Guard;
use crate::server::access::throttle::Purpose;
use crate::server::client::{Action, Client};
use crate::server::handler::Refusal;

/// Returns a guard with these users, which delays nothing.
fn guard(publish: &[&str], play: &[&str]) -> Guard {
    of(users(publish), users(play))
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
    client.connect = Connect {
        app: app.into(),
        ..Connect::default()
    };
    guard.log_in(action, &mut client, now).map(|()| client)
}

fn hex(text: &str) -> String {
    let digest = Md5::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks for a challenge, and returns the app that answers it.
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
fn a_client_is_asked_to_log_in_if_there_are_users_for_its_action() {
    let guard = guard(&["bob:pw"], &[]);
    let asked = log_in(&guard, Action::Publish, "127.0.0.1", "live", 0).unwrap_err();
    assert!(asked.is_step());
    let need = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    assert_eq!(asked.description(), need);
    assert!(asked.reason().ends_with("reconnect with user and password"));
    let mut publish = users(&["bob:pw"]);
    publish.keys.push(Key::parse("s3cret").unwrap());
    let with_key = of(publish, Access::default());
    let asked = log_in(&with_key, Action::Publish, "127.0.0.1", "live", 0).unwrap_err();
    let or_key = "user and password, or with a key behind the app: rtmp://HOST/APP?key=KEY";
    assert!(asked.reason().ends_with(or_key), "{}", asked.reason());
    assert!(log_in(&guard, Action::Play, "127.0.0.1", "live", 0).is_ok());
    // These are checked when the name of the stream is known.
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
fn a_right_answer_counts_for_each_action_with_that_user_and_password() {
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
fn all_failures_look_the_same_to_the_client() {
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
        let description = "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=authfail";
        assert_eq!(refused.description(), description);
    }
    // The right answer, but from another address, too late, or twice.
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
    let are_many = || guard.throttle.are_many(address, Purpose::Publish, 2);
    for _ in 0..9 {
        assert!(log_in(&guard, Action::Publish, ip, "live", 0).is_err());
        let app = answer(&guard, Action::Publish, ip, "bob", "pw");
        assert!(log_in(&guard, Action::Publish, ip, &app, 1).is_ok());
        // There is no challenge any more.
        assert!(log_in(&guard, Action::Publish, ip, &app, 1).is_err());
    }
    for _ in 0..5 {
        assert!(!are_many());
        let app = answer(&guard, Action::Publish, ip, "bob", "guess");
        assert!(log_in(&guard, Action::Publish, ip, &app, 1).is_err());
    }
    assert!(are_many());
    // From now on, a delayed attempt fails. Right answers aren't delayed.
    guard.close();
    let app = answer(&guard, Action::Publish, ip, "bob", "pw");
    assert!(log_in(&guard, Action::Publish, ip, &app, 2).is_ok());
    assert!(are_many());
    let app = answer(&guard, Action::Publish, ip, "bob", "guess");
    let refusal = log_in(&guard, Action::Publish, ip, &app, 2).unwrap_err();
    assert_eq!(refusal.reason(), "the server stops");
}

#[test]
fn a_client_outside_the_networks_is_not_asked_to_log_in() {
    let mut publish = users(&["bob:pw"]);
    publish.from.push(Network::Private);
    let guard = of(publish, from(&["any"]));
    let client = log_in(&guard, Action::Publish, "203.0.113.5", "live", 0).unwrap();
    assert!(!client.may(Action::Publish));
    assert!(log_in(&guard, Action::Publish, "192.168.0.5", "live", 0).is_err());
}
