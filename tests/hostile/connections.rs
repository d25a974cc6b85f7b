//! Many connections: idle, refused, and short-lived ones.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use crate::case::Case;
use crate::common::client::{Client, wait_until};
use crate::wire;

#[test]
fn five_hundred_idle_connections_come_and_go_without_a_trace() {
    const CONNECTIONS: u64 = 520;
    let options = ["--handshake-timeout", "10m", "--command-timeout", "10m"];
    let case = Case::start("520 idle connections", &options);
    let idle: Vec<(TcpStream, Option<Client>)> = (0..CONNECTIONS)
        .map(|number| {
            let address = case.address();
            match number % 4 {
                0 => (wire::connect(address), None),
                1 => {
                    let mut socket = wire::connect(address);
                    socket.write_all(&wire::c0_c1()).unwrap();
                    (socket, None)
                }
                phase => {
                    let client = if phase == 2 {
                        Client::handshaken(address)
                    } else {
                        Client::connected(address, "live")
                    };
                    (client.socket().try_clone().unwrap(), Some(client))
                }
            }
        })
        .collect();
    let before = case.before();
    wait_until("all have a thread", || {
        case.now().threads == before.threads + CONNECTIONS
    });
    assert_eq!(case.now().descriptors, before.descriptors + CONNECTIONS);
    // Another stream still finds a place among them.
    let mut player = Client::playing(case.address(), "live", "door");
    let mut publisher = Client::publishing(case.address(), "live", "door");
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 100);
    player.wait_for_media();
    drop((idle, player, publisher));
    let shown = case.finish(CONNECTIONS + 2);
    // The clients send no media, so they use nothing of the arena.
    shown.memory_grew_at_most(CONNECTIONS * 24 + 3 * 1024);
}

/// Connects; returns the connection if the server answers its handshake.
fn is_accepted(server: SocketAddr) -> Option<TcpStream> {
    let mut socket = wire::connect(server);
    socket.write_all(&wire::c0_c1()).ok()?;
    let mut answer = [0; 3073];
    socket.read_exact(&mut answer).ok()?;
    Some(socket)
}

/// Whether the server, which has nothing to send, has left the connection open.
fn is_open(socket: &TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let result = (&mut &*socket).read(&mut [0; 1]);
    result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn connections_over_the_limit_are_closed_and_cost_nothing() {
    const MAX: u64 = 40;
    for option in ["--max-connections", "--max-per-address"] {
        let max = MAX.to_string();
        let case = Case::start("connections over the limit", &[option, &max]);
        let attempts = 0..300;
        let mut accepted: Vec<_> = attempts
            .filter_map(|_| is_accepted(case.address()))
            .collect();
        // The canary has two places. Clients that have sent nothing yet make room for each other.
        let most = MAX - 2;
        wait_until("those over the limit are closed", || {
            accepted.retain(is_open);
            accepted.len() as u64 <= most
        });
        let refused = 300 - accepted.len();
        assert!(
            (1..=most).contains(&(accepted.len() as u64)),
            "{}",
            accepted.len()
        );
        drop(accepted);
        case.wait_until_alone();
        // There is room again.
        let mut player = Client::playing(case.address(), "live", "door");
        let mut publisher = Client::publishing(case.address(), "live", "door");
        publisher.send_headers();
        publisher.send_frame(1, 0, true, 100);
        player.wait_for_media();
        drop((player, publisher));
        let leaving = MAX / 8;
        let shown = case.finish(most + leaving);
        assert!(shown.during.threads <= shown.before.threads + most + leaving);
        // In addition, one connection may be about to be refused.
        assert!(shown.during.descriptors <= shown.before.descriptors + most + leaving + 1);
        let per_refusal = shown.log.len() / refused.max(1);
        assert!(
            per_refusal < 300,
            "{per_refusal} bytes of log for each refusal"
        );
    }
}

#[test]
fn short_lived_connections_leave_nothing_behind() {
    const ROUNDS: usize = 600;
    let case = Case::start("connection flood", &[]);
    let address = case.address();
    thread::scope(|scope| {
        for attacker in 0..3 {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut socket = wire::connect(address);
                    if attacker > 0 {
                        let _ = socket.write_all(&wire::c0_c1());
                    }
                    // Every other connection ends with a reset, to save ports from TIME_WAIT.
                    if attacker == 2 || round % 2 == 0 {
                        wire::reset(&socket);
                    }
                }
            });
        }
    });
    // The backlog holds connections that the server hasn't accepted yet.
    case.finish(200).memory_is_back();
}
