//! Pushes to servers that refuse, ask for a login, lead elsewhere, or have addresses of another kind.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use brooklet::config::{Access, User, parse_push};
use brooklet::{Config, RelayState, Server};

use crate::common::client::{Client, server, wait_until};
use crate::hostile::{FakeServer, read_on, refuse, shake_hands};
use crate::push::{Camera, SECRET, port_of, pushing, wait_for};

const REJECTED: &str = "NetConnection.Connect.Rejected";

/// A server that pushes `live/door` to this URL, without `rtmp://` and the secret name.
fn pushing_to(place: &str) -> Server {
    let push = parse_push(&format!("live/door=rtmp://{place}/far/{SECRET}")).unwrap();
    server(Config::default().pushes(vec![push]))
}

/// Asserts that what a camera sends to `near` arrives at `far`.
fn assert_arrives(near: &Server, far: SocketAddr) {
    let mut player = Client::playing(far, "far", SECRET);
    let mut camera = Camera::new(near);
    camera.send(5, 1_000);
    wait_for(near, 0, RelayState::Live);
    for number in 0..5 {
        assert_eq!(player.wait_for_media().number(), number);
    }
}

fn of_users(users: &str) -> Access {
    Access::default().users(vec![User::parse(users).unwrap()])
}

/// Joins a connection with another server.
fn join(near: TcpStream, to: SocketAddr) {
    let far = TcpStream::connect(to).unwrap();
    for (mut from, mut to) in [
        (near.try_clone().unwrap(), far.try_clone().unwrap()),
        (far, near),
    ] {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
}

/// A server that wants a login of Limelight's kind, and leaves the rest to `far`.
fn limelight(far: SocketAddr) -> FakeServer {
    FakeServer::start(move |mut stream, connection| {
        if connection > 0 {
            return join(stream, far);
        }
        shake_hands(&mut stream);
        let why = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : ";
        refuse(&mut stream, REJECTED, why, None);
        read_on(stream);
    })
}

#[test]
fn three_targets_get_the_same_stream() {
    let far = [(); 3].map(|()| server(Config::default()));
    let near = pushing(Config::default(), &far.each_ref().map(port_of));
    let mut players = far
        .each_ref()
        .map(|far| Client::playing(port_of(far), "far", SECRET));
    let mut beside = Client::playing(port_of(&near), "live", "door");
    let mut camera = Camera::new(&near);
    camera.send(1, 3_000);
    for index in 0..3 {
        wait_for(&near, index, RelayState::Live);
    }
    let first = beside.wait_for_media();
    for player in &mut players {
        assert_eq!(player.wait_for_media(), first);
    }
    camera.send(40, 50_000);
    for _ in 0..40 {
        let message = beside.wait_for_media();
        for player in &mut players {
            assert_eq!(player.wait_for_media(), message);
        }
    }
    for index in 0..3 {
        assert_eq!(wait_for(&near, index, RelayState::Live).connections, 1);
    }
}

#[test]
fn a_target_of_ipv6_only() {
    // Without IPv6, there is nothing to push to.
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        return;
    };
    let address = listener.local_addr().unwrap();
    drop(listener);
    // The player has IPv4.
    let both = vec![address, (Ipv4Addr::LOCALHOST, 0).into()];
    let far = Server::start(Config::default().rtmp(both).http(Vec::new())).unwrap();
    let near = pushing_to(&address.to_string());
    assert_arrives(&near, far.rtmp_addresses()[1]);
}

#[test]
fn a_target_that_leads_elsewhere() {
    let far = server(Config::default());
    let to = port_of(&far);
    let first = FakeServer::start(move |mut stream, _| {
        shake_hands(&mut stream);
        let to = format!("rtmp://{to}/far");
        refuse(&mut stream, REJECTED, "elsewhere", Some(&to));
        read_on(stream);
    });
    let near = pushing_to(&first.address.to_string());
    assert_arrives(&near, to);
}

#[test]
fn a_target_that_wants_a_login() {
    let far = server(Config::default().publish(of_users("bob:s3cret")));
    let near = pushing_to(&format!("bob:s3cret@{}", port_of(&far)));
    assert_arrives(&near, port_of(&far));
    let far = server(Config::default().publish(of_users("bob:s3cret")));
    let wants_limelight = limelight(port_of(&far));
    let near = pushing_to(&format!("bob:s3cret@{}", wants_limelight.address));
    assert_arrives(&near, port_of(&far));
}

#[test]
fn a_wrong_password_is_told_and_tried_less_and_less_often() {
    let far = server(Config::default().publish(of_users("bob:s3cret")));
    let wants_limelight = limelight(port_of(&far));
    for place in [port_of(&far), wants_limelight.address] {
        let near = pushing_to(&format!("bob:{SECRET}@{place}"));
        let _camera = Camera::new(&near);
        let report = wait_for(&near, 0, RelayState::BackingOff);
        let expected = format!("{place} refused user or password");
        assert_eq!(report.why, Some(expected));
        // The second delay is longer than any first one.
        wait_until("another attempt", || near.pushes()[0].attempts >= 2);
        let report = wait_for(&near, 0, RelayState::BackingOff);
        let wait = report.next_try.unwrap() - report.since;
        assert!(wait > 1_250, "{wait}");
    }
}

#[test]
fn a_target_that_denies_is_told() {
    let denies = FakeServer::start(|mut stream, _| {
        shake_hands(&mut stream);
        refuse(&mut stream, REJECTED, "not you", None);
        read_on(stream);
    });
    let near = pushing_to(&denies.address.to_string());
    let _camera = Camera::new(&near);
    let report = wait_for(&near, 0, RelayState::BackingOff);
    let why = report.why.unwrap();
    assert!(why.contains("refused connect: not you"), "{why}");
}

#[test]
fn a_push_to_another_address_of_the_same_server_is_refused() {
    for host in ["127.0.0.2", "[::1]", "localhost"] {
        let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let listen = match host {
            "[::1]" => "[::]:0".parse().unwrap(),
            _ => anywhere,
        };
        let Ok(near) = Server::start(Config::default().rtmp(vec![listen]).http(Vec::new())) else {
            continue;
        };
        let port = port_of(&near).port();
        let push = format!("live/door=rtmp://{host}:{port}/far/x");
        near.push(parse_push(&push).unwrap()).unwrap();
        let mut client = Client::publishing(([127, 0, 0, 1], port).into(), "live", "door");
        client.send_headers();
        wait_until("the refusal", || {
            near.pushes()[0].state == RelayState::BackingOff
        });
        let why = near.pushes()[0].why.clone().unwrap();
        assert!(why.contains("it would go in a circle"), "{host}: {why}");
    }
}

#[test]
fn no_more_than_256_streams_are_pushed_at_once() {
    let near = server(Config::default());
    // Nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = nobody.local_addr().unwrap();
    drop(nobody);
    for number in 0..129 {
        let push = parse_push(&format!("live/*=rtmp://{place}/app{number}")).unwrap();
        near.push(push).unwrap();
    }
    let publisher = |name: &str| {
        let url = format!("rtmp://{}/live/{name}", near.rtmp_addresses()[0]);
        brooklet::client::Client::new(&url)
            .unwrap()
            .publish()
            .unwrap()
    };
    let _publishers = [publisher("one"), publisher("two")];
    wait_until("both are published", || near.streams().len() == 2);
    assert_eq!(near.pushes().len(), 256);
}
