//! Login by challenge and response in three connections, as made by real clients.

use std::net::{Ipv4Addr, SocketAddr};

use brooklet::config::{Access, Key, User};
use brooklet::rtmp::command::{object, text};
use brooklet::{Config, Server};
use md5::{Digest, Md5};

use crate::client::{Client, server, wait_until};
use crate::common::Brooklet;

fn users(users: &[&str]) -> Access {
    Access::default().users(
        users
            .iter()
            .map(|text| User::parse(text).unwrap())
            .collect(),
    )
}

fn guarded(publish: Access, play: Access) -> Server {
    server(Config::default().publish(publish).play(play))
}

/// A client that logs in, or tries to.
struct Person {
    is_publisher: bool,
    scheme: &'static str,
    user: &'static str,
    password: &'static str,
}

const BOB: Person = Person {
    is_publisher: true,
    scheme: "adobe",
    user: "bob",
    password: "pw",
};

impl Person {
    fn connect(&self, from: Ipv4Addr, server: SocketAddr, app: &str) -> Client {
        let mut client = Client::handshaken_from(from, server);
        let tc_url = format!("rtmp://camera/{app}");
        let mut parameters = vec![("app", text(app)), ("tcUrl", text(&tc_url))];
        if self.is_publisher {
            parameters.push(("type", text("nonprivate")));
        }
        let parameters = object(parameters);
        client.send_command(0, "connect", 1.0, parameters, vec![]);
        client
    }

    /// Returns the description of a refused connect, after which no bytes may follow.
    fn refusal(&self, from: Ipv4Addr, server: SocketAddr, app: &str) -> String {
        let mut client = self.connect(from, server, app);
        let (level, code, description) = client.wait_for_status();
        assert_eq!(
            (&*level, &*code),
            ("error", "NetConnection.Connect.Rejected")
        );
        assert!(client.until_closed().is_empty());
        description
    }

    /// Makes the first two connections. Returns the app that the third connection must send.
    fn answer(&self, from: Ipv4Addr, server: SocketAddr) -> String {
        let asked = self.refusal(from, server, "live");
        let need_auth = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        assert_eq!(asked, need_auth);
        let Person {
            scheme,
            user,
            password,
            ..
        } = self;
        let hello = format!("live?authmod={scheme}&user={user}");
        let challenge = self.refusal(from, server, &hello);
        let start = format!("[ AccessManager.Reject ] : [ authmod={scheme} ] : ?reason=needauth");
        assert!(challenge.starts_with(&start), "{challenge}");
        let value = |name: &str| {
            let pair = challenge
                .split('&')
                .find_map(|pair| pair.strip_prefix(name));
            pair.and_then(|value| value.strip_prefix('='))
                .unwrap()
                .to_owned()
        };
        assert_eq!(value("user"), *user);
        let (token, more) = if *scheme == "adobe" {
            let opaque = value("opaque");
            let response = adobe(user, password, &value("salt"), &opaque, "C0FFEE");
            (
                format!("opaque={opaque}"),
                format!("challenge=C0FFEE&response={response}"),
            )
        } else {
            let nonce = value("nonce");
            let response = limelight(user, password, &nonce, "C0FFEE");
            let more = format!("cnonce=C0FFEE&nc=00000001&response={response}");
            (format!("nonce={nonce}"), more)
        };
        format!("{hello}&{more}&{token}")
    }

    /// Makes all three connections.
    fn log_in(&self, server: SocketAddr) -> Client {
        let answer = self.answer(Ipv4Addr::LOCALHOST, server);
        let mut client = self.connect(Ipv4Addr::LOCALHOST, server, &answer);
        client.wait_for_command("_result");
        client
    }
}

fn adobe(user: &str, password: &str, salt: &str, opaque: &str, challenge: &str) -> String {
    let secret = base64(&Md5::digest(format!("{user}{salt}{password}")));
    base64(&Md5::digest(format!("{secret}{opaque}{challenge}")))
}

fn limelight(user: &str, password: &str, nonce: &str, challenge: &str) -> String {
    let hex = |text: String| {
        let digest = Md5::digest(text);
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let secret = hex(format!("{user}:live:{password}"));
    let place = hex("publish:/live/_definst_".into());
    hex(format!(
        "{secret}:{nonce}:00000001:{challenge}:auth:{place}"
    ))
}

/// Encodes 16 bytes in base64.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    let number = u128::from_be_bytes(bytes.try_into().unwrap());
    let digit = |bits: u128| char::from(DIGITS[bits as usize & 63]);
    let mut text: String = (0..21).map(|i| digit(number >> (122 - 6 * i))).collect();
    text.push(digit(number << 4));
    text + "=="
}

#[test]
fn the_responses_computed_here_are_those_of_real_clients() {
    assert_eq!(
        adobe("bob", "pw", "SaLt", "OpAq", "d1543d20"),
        "+W3BWHgzbaWg/PT04clfFg=="
    );
    let response = limelight("bob", "pw", "NoNcE", "cbcbfe85");
    assert_eq!(response, "0f28eb639a4579772cd151a8fbbe5ed8");
}

#[test]
fn a_publisher_logs_in_by_either_scheme_and_is_trusted() {
    let server = guarded(users(&["ann:other", "bob:pw"]), Access::default());
    let address = server.rtmp_addresses()[0];
    for scheme in ["adobe", "llnw"] {
        let mut publisher = Person { scheme, ..BOB }.log_in(address);
        publisher.publish("door");
        let (_, code, description) = publisher.wait_for_status();
        assert_eq!(
            (&*code, &*description),
            ("NetStream.Publish.Start", "Publishing live/door")
        );
        publisher.send_headers();
        publisher.send_frame(7, 0, true, 500);
        let mut player = Client::playing(address, "live", "door");
        assert_eq!(player.wait_for_media().number(), 7);
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let server = guarded(users(&["bob:pw"]), Access::default());
    let address = server.rtmp_addresses()[0];
    for (user, password) in [("bob", "PW"), ("rob", "pw")] {
        let person = Person {
            user,
            password,
            ..BOB
        };
        let answer = person.answer(Ipv4Addr::LOCALHOST, address);
        let told = person.refusal(Ipv4Addr::LOCALHOST, address, &answer);
        assert_eq!(
            told,
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=-"
        );
    }
}

#[test]
fn a_response_is_valid_once_and_only_from_the_challenged_address() {
    let server = guarded(users(&["bob:pw"]), Access::default());
    let address = server.rtmp_addresses()[0];
    let answer = BOB.answer(Ipv4Addr::LOCALHOST, address);
    let told = BOB.refusal(Ipv4Addr::new(127, 0, 0, 2), address, &answer);
    assert!(told.contains("reason=authfailed"), "{told}");
    let mut client = BOB.connect(Ipv4Addr::LOCALHOST, address, &answer);
    client.wait_for_command("_result");
    let told = BOB.refusal(Ipv4Addr::LOCALHOST, address, &answer);
    assert!(told.contains("reason=authfailed"), "{told}");
}

#[test]
fn players_and_publishers_have_their_own_users() {
    let server = guarded(users(&["bob:pw"]), users(&["eve:pw", "bob:other"]));
    let address = server.rtmp_addresses()[0];
    let mut player = Person {
        is_publisher: false,
        user: "eve",
        ..BOB
    }
    .log_in(address);
    player.play("door");
    while player.wait_for_status().1 != "NetStream.Play.Start" {}
    // A user who may play may not publish, not even under the name of a user who may.
    let player = Person {
        is_publisher: false,
        password: "other",
        ..BOB
    };
    let mut player = player.log_in(address);
    player.publish("door");
    let (_, code, description) = player.wait_for_status();
    assert_eq!(code, "NetStream.Publish.Denied");
    assert_eq!(description, "wrong or missing user or password");
    let mut publisher = BOB.log_in(address);
    publisher.play("door");
    assert_eq!(publisher.wait_for_status().1, "NetStream.Play.Failed");
}

#[test]
fn a_key_or_password_in_the_url_avoids_the_challenge() {
    let mut access = users(&["bob:pw"]);
    access.keys.push(Key::parse("s3cret").unwrap());
    let server = guarded(access, Access::default());
    let address = server.rtmp_addresses()[0];
    for (query, is_right) in [
        ("key=s3cret", true),
        ("token=wrong", false),
        ("user=bob&pass=pw", true),
        ("user=bob&pass=no", false),
    ] {
        let mut client = BOB.connect(Ipv4Addr::LOCALHOST, address, &format!("live?{query}"));
        client.wait_for_command("_result");
        client.publish("door");
        let (_, code, description) = client.wait_for_status();
        if is_right {
            assert_eq!(code, "NetStream.Publish.Start");
        } else {
            assert_eq!(code, "NetStream.Publish.Denied");
            let told = "wrong or missing key or password: use APP?key=KEY, or log in";
            assert_eq!(description, told);
        }
    }
}

#[test]
fn a_login_is_no_warning_and_leaves_no_secret_in_the_log() {
    let server = Brooklet::start(&["--log", "trace", "--publish-user", "bob:pw"]);
    let mut publisher = BOB.log_in(server.address());
    publisher.publish("door");
    assert_eq!(publisher.wait_for_status().1, "NetStream.Publish.Start");
    let wrong = Person {
        password: "guess",
        ..BOB
    };
    let answer = wrong.answer(Ipv4Addr::LOCALHOST, server.address());
    wrong.refusal(Ipv4Addr::LOCALHOST, server.address(), &answer);
    wait_until("all but the publisher are gone from the log", || {
        server.printed().matches(" disconnected: ").count() == 5
    });
    let printed = server.printed();
    let warnings: Vec<_> = printed
        .lines()
        .filter(|line| line.contains(" warn "))
        .collect();
    assert_eq!(warnings.len(), 1, "{printed}");
    let words = "refused to connect: a wrong password for bob; expected that of --publish-user";
    assert!(warnings[0].contains(words), "{}", warnings[0]);
    assert_eq!(printed.matches("disconnected: asked to log in").count(), 2);
    assert_eq!(
        printed
            .matches("disconnected: was sent a login challenge")
            .count(),
        2
    );
    for secret in ["response", "opaque", "salt", "C0FFEE", "bob:", ":pw"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
