//! An embedding program that makes decisions, and is notified of every event once.

use std::sync::{Arc, Mutex, PoisonError};

use brooklet::rtmp::amf::Properties;
use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;
use brooklet::rtmp::stream_key::StreamKey;
use brooklet::{Client as Peer, Config, Handler, Refusal, Server, StreamRequest};

use crate::client::{Client, on_free_ports, wait_until};

/// A handler that records questions and notifications, and refuses apps and names that begin with "no".
#[derive(Default)]
struct Witness(Mutex<Vec<String>>);

impl Witness {
    fn note(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for notifications that arrive after a client is gone.
    fn assert_heard(&self, expected: &[&str]) {
        wait_until("everything was heard", || {
            self.lines().len() >= expected.len()
        });
        assert_eq!(self.lines(), expected);
    }

    fn decide(&self, what: &str, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.note(format!("{what} {} as {:?}", request.key(), request.name()));
        match request.key().as_str() {
            "live/no" => Err(Refusal::new("for the log").with_description("for the client")),
            "live/alias" => {
                request.set_key(StreamKey::new("live", "door").unwrap());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Handler for Witness {
    fn connect(&self, client: &mut Peer) -> Result<(), Refusal> {
        self.note(format!("#{} connect {}", client.id(), client.connect().app));
        if client.connect().app == "no" {
            return Err(Refusal::new("shown to both"));
        }
        client.set_user("somebody");
        Ok(())
    }

    fn disconnect(&self, client: &Peer) {
        self.note(format!("#{} disconnect {:?}", client.id(), client.user()));
    }

    fn publish(&self, client: &Peer, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.decide(&format!("#{} publish", client.id()), request)
    }

    fn unpublish(&self, client: &Peer, stream: &StreamKey) {
        self.note(format!("#{} unpublish {stream}", client.id()));
    }

    fn play(&self, client: &Peer, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        self.decide(&format!("#{} play", client.id()), request)
    }

    fn stop(&self, client: &Peer, stream: &StreamKey) {
        self.note(format!("#{} stop {stream}", client.id()));
    }

    fn metadata(&self, client: &Peer, stream: &StreamKey, properties: Option<&Properties<'_>>) {
        let properties = properties.map(|all| {
            let pairs = all.clone();
            let pairs = pairs.map(|(name, value)| (name.to_string(), value.to_value().unwrap()));
            pairs.collect::<Vec<_>>()
        });
        self.note(format!("#{} metadata {stream} {properties:?}", client.id()));
    }
}

fn witnessed(config: Config) -> (Server, Arc<Witness>) {
    let witness = Arc::new(Witness::default());
    let server = Server::builder(on_free_ports(config))
        .handler(witness.clone())
        .start()
        .unwrap();
    (server, witness)
}

#[test]
fn each_accepted_action_is_followed_by_one_end() {
    let (server, witness) = witnessed(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::publishing(address, "live", "door?x=1");
    let player = Client::playing(address, "live", "door");
    // The player vanishes, the publisher says goodbye.
    player.socket().shutdown(std::net::Shutdown::Both).unwrap();
    wait_until("the player is gone", || server.connection_count() == 1);
    publisher.send_command(
        1,
        "deleteStream",
        0.0,
        Value::Null,
        vec![Value::Number(1.0)],
    );
    publisher.send_command(0, "createStream", 9.0, Value::Null, vec![]);
    publisher.wait_for_command("_result");
    drop(publisher);
    witness.assert_heard(&[
        "#1 connect live",
        "#1 publish live/door as \"door?x=1\"",
        "#2 connect live",
        "#2 play live/door as \"door\"",
        "#2 stop live/door",
        "#2 disconnect Some(\"somebody\")",
        "#1 unpublish live/door",
        "#1 disconnect Some(\"somebody\")",
    ]);
    drop(server);
    assert_eq!(witness.lines().len(), 8);
}

#[test]
fn a_publisher_that_vanishes_is_replaced_or_stopped_ends_once() {
    let (mut server, witness) = witnessed(Config::default());
    let address = server.rtmp_addresses()[0];
    let vanishing = Client::publishing(address, "live", "door");
    vanishing
        .socket()
        .shutdown(std::net::Shutdown::Both)
        .unwrap();
    witness.assert_heard(&[
        "#1 connect live",
        "#1 publish live/door as \"door\"",
        "#1 unpublish live/door",
        "#1 disconnect Some(\"somebody\")",
    ]);
    let mut replaced = Client::publishing(address, "live", "door");
    let last = Client::publishing(address, "live", "door");
    replaced.until_closed();
    drop(replaced);
    wait_until("the replaced one is gone", || witness.lines().len() == 10);
    server.stop();
    drop(last);
    let rest = witness.lines().split_off(4);
    let count = |line: &str| rest.iter().filter(|l| *l == line).count();
    for id in [2, 3] {
        assert_eq!(count(&format!("#{id} unpublish live/door")), 1, "{rest:?}");
        assert_eq!(
            count(&format!("#{id} disconnect Some(\"somebody\")")),
            1,
            "{rest:?}"
        );
    }
    assert_eq!(rest.len(), 8, "{rest:?}");
}

#[test]
fn a_refusal_sends_its_text_to_the_client_and_has_no_end() {
    let (server, witness) = witnessed(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut client = Client::handshaken(address);
    client.send_connect("no");
    let (level, code, description) = client.wait_for_status();
    assert_eq!(
        (&*level, &*code),
        ("error", "NetConnection.Connect.Rejected")
    );
    assert_eq!(description, "shown to both");
    assert!(client.until_closed().is_empty());

    let mut client = Client::connected(address, "live");
    client.publish("no");
    let (level, code, description) = client.wait_for_status();
    assert_eq!((&*level, &*code), ("error", "NetStream.Publish.Denied"));
    assert_eq!(description, "for the client");
    assert!(client.until_closed().is_empty());
    drop(client);
    wait_until("it is gone", || witness.lines().len() == 4);

    let mut client = Client::connected(address, "live");
    client.play("no");
    let (level, code, description) = client.wait_for_status();
    assert_eq!((&*level, &*code), ("error", "NetStream.Play.Failed"));
    assert_eq!(description, "for the client");
    assert!(client.until_closed().is_empty());
    drop(client);
    witness.assert_heard(&[
        "#1 connect no",
        "#2 connect live",
        "#2 publish live/no as \"no\"",
        "#2 disconnect Some(\"somebody\")",
        "#3 connect live",
        "#3 play live/no as \"no\"",
        "#3 disconnect Some(\"somebody\")",
    ]);
}

#[test]
fn a_stream_can_be_given_another_name() {
    let (server, _witness) = witnessed(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Client::connected(address, "live");
    publisher.publish("alias");
    assert_eq!(publisher.wait_for_status().2, "Publishing live/door");
    let mut by_name = Client::playing(address, "live", "door");
    let mut by_alias = Client::playing(address, "live", "alias");
    publisher.send_headers();
    publisher.send_frame(7, 0, true, 500);
    assert_eq!(by_name.wait_for_media().number(), 7);
    assert_eq!(by_alias.wait_for_media().number(), 7);
}

#[test]
fn metadata_is_seen_as_it_came() {
    let (server, witness) = witnessed(Config::default());
    let mut publisher = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    let mut payload = Vec::new();
    for value in [
        text("@setDataFrame"),
        text("onMetaData"),
        object([("width", Value::Number(640.0)), ("title", text("T"))]),
    ] {
        value.emit(&mut payload);
    }
    publisher.send_message(type_id::DATA, 1, 0, &payload);
    wait_until("it was heard", || witness.lines().len() == 3);
    assert_eq!(
        witness.lines()[2],
        "#1 metadata live/door Some([(\"width\", Number(640.0)), (\"title\", String(\"T\"))])"
    );
}

#[test]
fn the_configured_rules_come_first_and_strip_their_key() {
    let mut config = Config::default();
    let key = brooklet::config::Key::parse("s3cret").unwrap();
    config.publish.keys.push(key);
    let (server, witness) = witnessed(config);
    let address = server.rtmp_addresses()[0];
    let mut client = Client::connected(address, "live");
    client.publish("door");
    assert_eq!(client.wait_for_status().1, "NetStream.Publish.Denied");
    drop(client);
    wait_until("it is gone", || server.connection_count() == 0);
    let _publisher = Client::publishing(address, "live", "door/s3cret");
    witness.assert_heard(&[
        "#1 connect live",
        "#1 disconnect Some(\"somebody\")",
        "#2 connect live",
        "#2 publish live/door as \"door/s3cret\"",
    ]);
}
