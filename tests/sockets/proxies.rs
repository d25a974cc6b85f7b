//! Clients behind a reverse proxy: how they are identified, and how they affect each other.

use brooklet::config::{Access, Key, Network, Secret};
use brooklet::{Config, Server};

use crate::client::{Client, server, wait_until};
use crate::common::Brooklet;
use crate::common::http::{Answer, HttpClient};

/// Starts a server that trusts proxies on this machine, and lets private networks play.
fn behind_a_proxy(configure: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::default().trusted_proxies(vec![Network::parse("127.0.0.1").unwrap()]);
    configure(&mut config);
    server(config)
}

/// Sends a request for this client, as the proxy would.
fn ask(server: &Server, target: &str, forwarded: &str, headers: &str) -> HttpClient {
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    let headers = format!("X-Forwarded-For: {forwarded}\r\n{headers}");
    client.request("GET", target, &headers);
    client
}

fn answer(server: &Server, target: &str, forwarded: &str, headers: &str) -> Answer {
    ask(server, target, forwarded, headers).answer()
}

fn camera(server: &Server) -> Client {
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", "door");
    camera.send_headers();
    camera.send_frame(1, 0, true, 500);
    camera
}

const FRAME: &str = "/live/door/frame.mp4";

/// Whether the answer is that for a client that may play, whether or not there is a frame yet.
fn is_admitted(answer: &Answer) -> bool {
    matches!(answer.status, 200 | 404)
}

#[test]
fn the_client_named_by_a_trusted_proxy_counts() {
    let server = behind_a_proxy(|_| {});
    let _camera = camera(&server);
    for (forwarded, headers, may_play) in [
        ("192.168.1.9", "", true),
        ("203.0.113.5, 192.168.1.9", "", true),
        ("192.168.1.9, 127.0.0.1", "", true),
        ("203.0.113.5", "", false),
        ("127.0.0.1, 203.0.113.5", "", false),
        ("127.0.0.1, 203.0.113.5, 127.0.0.1", "", false),
        ("unknown", "", false),
        ("", "", false),
        ("192.168.1.9", "Forwarded: for=192.168.1.9\r\n", true),
        ("203.0.113.5", "Forwarded: for=192.168.1.9\r\n", false),
        ("192.168.1.9", "Forwarded: for=203.0.113.5\r\n", false),
    ] {
        let played = answer(&server, FRAME, forwarded, headers);
        assert_eq!(is_admitted(&played), may_play, "{forwarded} {headers}");
        assert!(may_play || played.status == 403);
        let list = answer(&server, "/api/v1/streams", forwarded, headers).text();
        assert_eq!(list.contains("live/door"), may_play, "{forwarded}");
        // None of these clients counts as a program on this machine, whatever it claims.
        let connections = answer(&server, "/api/v1/connections", forwarded, headers);
        assert_eq!(connections.status, 403, "{forwarded}");
    }
    // A program on this machine still does.
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    assert_eq!(client.get("/api/v1/connections").status, 200);
}

#[test]
fn requests_forwarded_by_others_have_an_unknown_address() {
    let open = server(Config::default());
    let for_all = server(Config::default().play(Access::default().from(vec![Network::Any])));
    let elsewhere = behind_a_proxy(|config| {
        config.trusted_proxies = vec![Network::parse("10.0.0.0/8").unwrap()];
    });
    let _cameras = [&open, &for_all, &elsewhere].map(camera);
    for forwarded in ["192.168.1.9", "127.0.0.1", "10.0.0.1", "", "unknown"] {
        assert_eq!(answer(&open, FRAME, forwarded, "").status, 403);
        assert_eq!(answer(&elsewhere, FRAME, forwarded, "").status, 403);
        assert!(is_admitted(&answer(&for_all, FRAME, forwarded, "")));
    }
    // nginx with its default settings.
    let mut client = HttpClient::connect(open.http_addresses()[0]);
    client.send(format!("GET {FRAME} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"));
    assert_eq!(client.answer().status, 403);
}

#[test]
fn a_proxy_may_open_as_many_connections_as_its_clients_need() {
    let server = behind_a_proxy(|config| {
        config.max_per_address = 3;
        config.max_connect_rate = 2;
    });
    let _camera = camera(&server);
    let viewers: Vec<_> = (1..=20)
        .map(|host| {
            let forwarded = format!("192.168.1.{host}");
            let mut viewer = ask(&server, "/live/door.flv", &forwarded, "");
            assert_eq!(viewer.answer_head().status, 200, "{host}");
            viewer
        })
        .collect();
    drop(viewers);
}

#[test]
fn a_client_behind_a_proxy_has_no_more_places_than_one_in_front_of_it() {
    let server = behind_a_proxy(|config| {
        config.max_per_address = 3;
        config.max_connect_rate = 1000;
    });
    let _camera = camera(&server);
    let watch = |forwarded: &str| {
        let mut viewer = ask(&server, "/live/door.flv", forwarded, "");
        let status = viewer.answer_head().status;
        (viewer, status)
    };
    // All addresses of a /64 count as one.
    for subnet in ["192.168.1.9", "fd00::1:0:0:0:"] {
        let address = |host: usize| match subnet.contains(':') {
            true => format!("{subnet}{host}"),
            false => subnet.to_owned(),
        };
        let viewers: Vec<_> = (1..=3).map(|host| watch(&address(host))).collect();
        assert!(viewers.iter().all(|(_, status)| *status == 200));
        let refused = answer(&server, FRAME, &address(4), "");
        assert_eq!(refused.status, 429);
        assert!(refused.text().contains("--max-per-address"));
        // Other clients are served, and so is this one once one of its viewers has left.
        assert!(is_admitted(&answer(&server, FRAME, "192.168.7.7", "")));
        drop(viewers);
        wait_until("it is served again", || {
            is_admitted(&answer(&server, FRAME, &address(4), ""))
        });
    }
}

#[test]
fn a_kept_connection_of_a_proxy_counts_for_the_client_it_serves() {
    let server = behind_a_proxy(|config| config.max_per_address = 1);
    let _camera = camera(&server);
    let mut kept: Vec<_> = (0..3)
        .map(|_| HttpClient::connect(server.http_addresses()[0]))
        .collect();
    for host in 0..3 {
        for connection in &mut kept {
            // The answer arrives a moment before the connection counts for the proxy again.
            wait_until("it is served", || {
                let forwarded = format!("X-Forwarded-For: 192.168.1.{host}\r\n");
                connection.request("GET", FRAME, &forwarded);
                is_admitted(&connection.answer())
            });
        }
    }
}

#[test]
fn guesses_behind_a_proxy_delay_only_their_own_client() {
    let server = behind_a_proxy(|config| {
        config.play.keys.push(Key::parse("play-key").unwrap());
        config.api_key = Some(Secret::new("api-key"));
    });
    let _camera = camera(&server);
    let wrong = format!("{FRAME}?key=wrong-key");
    let right = format!("{FRAME}?key=play-key");
    for _ in 0..5 {
        assert_eq!(answer(&server, &wrong, "203.0.113.5", "").status, 401);
    }
    // Its further guesses are delayed, or refused at once as too many.
    let guesses: Vec<_> = (0..6)
        .map(|_| ask(&server, &wrong, "203.0.113.5", ""))
        .collect();
    // Wrong keys from other clients are refused at once, and right keys are accepted from any address.
    assert_eq!(answer(&server, &wrong, "203.0.113.6", "").status, 401);
    for forwarded in ["203.0.113.6", "203.0.113.5"] {
        assert!(is_admitted(&answer(&server, &right, forwarded, "")));
    }
    drop(guesses);
}

#[test]
fn log_and_api_show_the_client_behind_a_proxy() {
    let server = Brooklet::start(&[
        "--trusted-proxy",
        "127.0.0.1",
        "--api-key",
        "api-key",
        "--play-from",
        "any",
    ]);
    let mut camera = Client::publishing(server.address(), "live", "door");
    camera.send_headers();
    camera.send_frame(1, 0, true, 500);
    let mut viewer = HttpClient::connect(server.http_address());
    let forwarded = "X-Forwarded-For: 10.6.6.6, 2001:db8::5\r\n";
    viewer.request("GET", "/live/door.flv", forwarded);
    assert_eq!(viewer.answer_head().status, 200);
    server.wait_for_log(" live/door: playing to 2001:db8::5 as FLV over HTTP", 1);
    let mut client = HttpClient::connect(server.http_address());
    client.request(
        "GET",
        "/api/v1/connections",
        "Authorization: Bearer api-key\r\n",
    );
    let connections = client.answer().text();
    assert!(connections.contains("\"2001:db8::5\""), "{connections}");
}

#[test]
fn host_names_are_checked_behind_a_proxy_too() {
    let server = behind_a_proxy(|config| config.host_names.push("cams.example.com".into()));
    let _camera = camera(&server);
    for (host, is_known) in [
        ("cams.example.com", true),
        ("CAMS.example.com:8443", true),
        ("evil.example", false),
    ] {
        let mut client = HttpClient::connect(server.http_addresses()[0]);
        client.send(format!(
            "GET {FRAME} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 192.168.1.9\r\n\r\n"
        ));
        assert_eq!(is_admitted(&client.answer()), is_known, "{host}");
    }
}
