//! Access by keys, users and networks, as seen by RTMP clients.

use brooklet::config::{Access, Key, Network};
use brooklet::{Config, Server};

use crate::client::{Client, server, wait_until};
use crate::common::Brooklet;

const REFUSED_PUBLISH: (&str, &str) = ("error", "NetStream.Publish.Denied");
const REFUSED_PLAY: (&str, &str) = ("error", "NetStream.Play.Failed");
const WRONG_KEY: &str = "wrong or missing key: use NAME?key=KEY";

fn keys(keys: &[&str]) -> Access {
    Access::default().keys(keys.iter().map(|text| Key::parse(text).unwrap()).collect())
}

fn from(networks: &[&str]) -> Access {
    let networks = networks.iter().map(|text| Network::parse(text).unwrap());
    Access::default().from(networks.collect())
}

fn guarded(publish: Access, play: Access) -> Server {
    server(Config::default().publish(publish).play(play))
}

/// Checks that the client receives this refusal, and nothing after it.
fn assert_refused(client: &mut Client, (level, code): (&str, &str), description: &str) {
    let status = client.wait_for_status();
    let got = (&*status.0, &*status.1, &*status.2);
    assert_eq!(got, (level, code, description));
    assert!(client.until_closed().is_empty());
}

#[test]
fn publishers_and_players_need_their_own_key_in_any_place() {
    let server = guarded(keys(&["pub-key"]), keys(&["play-key"]));
    let address = server.rtmp_addresses()[0];
    for (app, name) in [
        ("live", "door?key=KEY"),
        ("live?token=KEY", "door"),
        ("live", "door?join=gop&secret=KEY"),
        ("live/door", "KEY"),
        ("live", "door/KEY"),
    ] {
        let [publish, play] = ["pub-key", "play-key"].map(|key| {
            let with_key = |text: &str| text.replace("KEY", key);
            (with_key(app), with_key(name))
        });
        let mut publisher = Client::connected(address, &publish.0);
        publisher.publish(&publish.1);
        let (_, code, description) = publisher.wait_for_status();
        assert_eq!(code, "NetStream.Publish.Start");
        assert_eq!(description, "Publishing live/door", "{app} {name}");

        let mut player = Client::connected(address, &play.0);
        player.play(&play.1);
        let (_, code, description) = player.wait_for_status();
        assert_eq!(code, "NetStream.Play.Reset");
        assert_eq!(description, "Playing live/door", "{app} {name}");
        publisher.send_headers();
        publisher.send_frame(7, 0, true, 500);
        assert_eq!(player.wait_for_media().number(), 7);

        // The other action's key is a wrong key.
        let mut publisher = Client::connected(address, &play.0);
        publisher.publish(&play.1);
        assert_refused(&mut publisher, REFUSED_PUBLISH, WRONG_KEY);
        let mut player = Client::connected(address, &publish.0);
        player.play(&publish.1);
        assert_refused(&mut player, REFUSED_PLAY, WRONG_KEY);
    }
    let mut publisher = Client::connected(address, "live");
    publisher.publish("door");
    assert_refused(&mut publisher, REFUSED_PUBLISH, WRONG_KEY);
    let mut player = Client::connected(address, "live");
    player.play("door");
    assert_refused(&mut player, REFUSED_PLAY, WRONG_KEY);
}

#[test]
fn a_key_in_the_url_alone_is_enough() {
    use brooklet::rtmp::command::{object, text};

    let server = guarded(keys(&["pub-key"]), Access::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::handshaken(address).connect_with(object([
        ("app", text("live")),
        ("tcUrl", text("rtmp://camera/live?key=pub-key")),
    ]));
    publisher.publish("door");
    assert_eq!(publisher.wait_for_status().1, "NetStream.Publish.Start");
}

#[test]
fn each_stream_has_its_own_keys() {
    let server = guarded(keys(&["live/door=door-key", "any-key"]), Access::default());
    let address = server.rtmp_addresses()[0];
    for (name, is_right) in [
        ("door?key=door-key", true),
        ("door?key=any-key", false),
        ("gate?key=any-key", true),
        ("gate?key=door-key", false),
    ] {
        let mut publisher = Client::connected(address, "live");
        publisher.publish(name);
        if is_right {
            assert_eq!(publisher.wait_for_status().1, "NetStream.Publish.Start");
        } else {
            assert_refused(&mut publisher, REFUSED_PUBLISH, WRONG_KEY);
        }
    }
}

#[test]
fn a_publisher_with_the_key_takes_over_at_once_from_any_address() {
    let server = guarded(keys(&["pub-key"]), Access::default());
    let address = server.rtmp_addresses()[0];
    let mut old = Client::publishing(address, "live", "door?key=pub-key");
    old.send_headers();
    let elsewhere = std::net::Ipv4Addr::new(127, 0, 0, 2);
    let mut new = Client::handshaken_from(elsewhere, address).connect("live");
    new.publish("door?key=pub-key");
    assert_eq!(new.wait_for_status().1, "NetStream.Publish.Start");
    old.until_closed();
}

#[test]
fn networks_decide_for_each_action() {
    let server = guarded(from(&["10.0.0.0/8", "::1"]), from(&["127.0.0.0/30"]));
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::connected(address, "live");
    publisher.publish("door");
    let description = "publishing is not allowed from your address";
    assert_refused(&mut publisher, REFUSED_PUBLISH, description);
    let _player = Client::playing(address, "live", "door");
}

#[test]
fn a_client_that_may_do_nothing_is_refused_at_connect() {
    let server = guarded(from(&["10.0.0.0/8"]), from(&["192.168.0.0/16"]));
    let mut client = Client::handshaken(server.rtmp_addresses()[0]);
    client.send_connect("live");
    let rejected = ("error", "NetConnection.Connect.Rejected");
    assert_refused(
        &mut client,
        rejected,
        "neither publishing nor playing is allowed from your address",
    );
}

#[test]
fn delayed_failures_delay_nobody_else_and_end_with_the_server() {
    let mut server = guarded(keys(&["pub-key"]), Access::default());
    let address = server.rtmp_addresses()[0];
    let guess = |name: &str| {
        let mut client = Client::connected(address, "live");
        client.publish(name);
        client
    };
    for _ in 0..5 {
        assert_refused(&mut guess("door?key=guess"), REFUSED_PUBLISH, WRONG_KEY);
    }
    // From now on each attempt is delayed, on its own thread; attempts that find no free place to wait
    // are refused.
    let mut waiting: Vec<_> = (0..9).map(|_| guess("door?key=guess")).collect();
    // A client with the right key isn't delayed, whatever its address.
    let mut knowing = guess("door?key=pub-key");
    assert_eq!(knowing.wait_for_status().1, "NetStream.Publish.Start");
    let elsewhere = std::net::Ipv4Addr::new(127, 0, 0, 2);
    let mut other = Client::handshaken_from(elsewhere, address).connect("live");
    other.publish("door?key=pub-key");
    assert_eq!(other.wait_for_status().1, "NetStream.Publish.Start");
    // The server doesn't wait for delayed attempts.
    server.stop();
    assert_eq!(server.connection_count(), 0);
    for client in &mut waiting {
        client.until_closed();
    }
}

/// Nor is a wrong key that is shown as the last part of the name, which isn't even checked.
#[test]
fn a_key_is_not_printed_when_too_many_attempts_wait() {
    let server = Brooklet::start(&["--log", "trace", "--publish-key", "s3cret-one"]);
    let address = server.address();
    let attempt = |name: &str| {
        let mut client = Client::connected(address, "live");
        client.publish(name);
        client
    };
    let mut clients: Vec<_> = (0..17).map(|_| attempt("door?key=guess")).collect();
    for name in ["door/s3cret-one", "s3cret-one", "door/s3crte-one"] {
        clients.push(attempt(name));
    }
    for client in &mut clients {
        client.wait_for_status();
    }
    let count = clients.len();
    drop(clients);
    wait_until("all are gone from the log", || {
        server.printed().matches(" disconnected: ").count() >= count
    });
    let printed = server.printed();
    assert!(printed.contains("too many wrong keys"), "{printed}");
    let line = printed.lines().find(|line| line.contains("s3c"));
    assert_eq!(line, None);
}

/// The name is what a viewer would play after copying the publisher's URL with a typo.
#[test]
fn a_name_that_was_never_published_is_not_printed_where_there_are_keys() {
    let server = Brooklet::start(&["--log", "trace", "--publish-key", "s3cret-one"]);
    let address = server.address();
    let names = ["door/s3crte-one", "s3cret-on", "door/s3cret-one"];
    let players: Vec<_> = names
        .into_iter()
        .map(|name| Client::playing(address, "live", name))
        .collect();
    server.wait_for_log(": playing to ", names.len());
    let mut http = crate::common::http::HttpClient::connect(server.http_address());
    let connections = http.get("/api/v1/connections").text();
    http.get("/live/door/s3crte-one/frame.mp4");
    drop(players);
    server.wait_for_log(" disconnected: ", names.len());
    let printed = server.printed();
    let mut lines = printed.lines().chain(connections.lines());
    assert_eq!(lines.find(|line| line.contains("s3c")), None);
    // Once the name has been published, it is known not to be a key.
    let _publisher = Client::publishing(address, "live", "door?key=s3cret-one");
    let _player = Client::playing(address, "live", "door");
    server.wait_for_log(" live/door: playing to ", 1);
}

/// Holds for every mistake, and at every log level.
#[test]
fn no_key_is_ever_printed() {
    const KEYS: [&str; 4] = ["s3cret-one", "s3cret-two", "s3cret-own", "s3cret-pw"];

    let users = format!("bob:{}", KEYS[3]);
    let own = format!("live/own={}", KEYS[2]);
    let server = Brooklet::start(&[
        "--log",
        "trace",
        "--publish-key",
        KEYS[0],
        "--publish-key",
        &own,
        "--play-key",
        KEYS[1],
        "--publish-user",
        &users,
    ]);
    let address = server.address();
    let mut count = 0;
    for key in KEYS.into_iter().chain(["s3crte-one"]) {
        for (app, name) in [
            ("live", "door?key=KEY"),
            ("live?key=KEY", "door"),
            ("live?user=bob&pass=KEY", "door"),
            ("live", "door/KEY"),
            ("live/door", "KEY"),
            ("live", "door/KEY/"),
            ("live", "KEY"),
            ("KEY", "door"),
            ("live/KEY", "door"),
            ("live/door/KEY", ""),
            ("live", "KEY?key=KEY"),
            ("live", ".KEY"),
            ("live", "own/KEY"),
        ] {
            let [app, name] = [app, name].map(|text| text.replace("KEY", key));
            for is_publisher in [true, false] {
                // Each attempt is made from a different address, so that none is delayed.
                count += 1;
                let local =
                    std::net::Ipv4Addr::new(127, 1, (count / 100) as u8, (count % 100) as u8 + 1);
                let mut client = Client::handshaken_from(local, address).connect(&app);
                if is_publisher {
                    client.publish(&name);
                } else {
                    client.play(&name);
                }
                client.wait_for_status();
                drop(client);
            }
        }
    }
    wait_until("all are gone from the log", || {
        server.printed().matches(" disconnected: ").count() >= count
    });
    let printed = server.printed();
    for line in printed.lines() {
        assert!(!line.contains("s3c"), "{line}");
    }
    // Something is logged nevertheless.
    for words in [
        "\npublishing: needs a key, or user and password, from any address\n",
        "\nplaying: needs a key, from any address\n",
        " live/door: publishing from 127.1.",
        " live/door: playing to 127.1.",
        "refused to publish live/***: a wrong key in ?key= of the stream name; expected a key",
        "refused to publish live/***: no key, or a wrong one as last part of the name;",
        "refused to publish live/own/***: no key, or a wrong one as last part of the name;",
        "refused to play ***: no key; expected a key",
        " connect (test)",
    ] {
        assert!(printed.contains(words), "{words:?} in\n{printed}");
    }
}
