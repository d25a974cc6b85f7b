//! Clients that are too slow, in every phase of a connection.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use crate::case::Case;
use crate::common::client::Client;
use crate::wire::{self, command, message};
use brooklet::rtmp::message::type_id;

/// Sends endless bytes, one at a time, until the server closes.
fn trickle(socket: &TcpStream, bytes: impl Iterator<Item = u8>) {
    wire::trickle(socket, bytes);
    wire::wait_until_closed(socket);
}

#[test]
fn slow_clients_are_closed_in_every_phase() {
    let case = Case::start(
        "slow clients",
        &[
            "--handshake-timeout",
            "1s",
            "--command-timeout",
            "1s",
            "--idle-timeout",
            "1s",
        ],
    );
    let address = case.address();
    let attacks: [(&str, &(dyn Fn() + Sync)); 10] = [
        ("says nothing", &|| {
            wire::wait_until_closed(&wire::connect(address))
        }),
        ("C0 only", &|| {
            let mut socket = wire::connect(address);
            socket.write_all(&[3]).unwrap();
            wire::wait_until_closed(&socket);
        }),
        ("half of C1", &|| {
            let mut socket = wire::connect(address);
            socket.write_all(&wire::c0_c1()[..800]).unwrap();
            wire::wait_until_closed(&socket);
        }),
        ("no C2", &|| {
            let mut socket = wire::connect(address);
            socket.write_all(&wire::c0_c1()).unwrap();
            wire::wait_until_closed(&socket);
        }),
        ("handshake byte by byte", &|| {
            trickle(&wire::connect(address), wire::c0_c1().into_iter());
        }),
        ("silent after the handshake", &|| {
            wire::wait_until_closed(Client::handshaken(address).socket());
        }),
        ("byte by byte after the handshake", &|| {
            let bytes = message(type_id::COMMAND, 0, &command("connect", 1.0, &[5; 100]));
            trickle(Client::handshaken(address).socket(), bytes.into_iter());
        }),
        ("half a command", &|| {
            let client = Client::connected(address, "live");
            let bytes = message(type_id::COMMAND, 1, &command("publish", 1.0, &[5; 100]));
            client.socket().write_all(&bytes[..40]).unwrap();
            wire::wait_until_closed(client.socket());
        }),
        ("silent after connect", &|| {
            wire::wait_until_closed(Client::connected(address, "live").socket());
        }),
        ("pings for ever after connect", &|| {
            let ping = wire::user_control(wire::PING_REQUEST, &[0; 4]);
            let client = Client::connected(address, "live");
            trickle(client.socket(), ping.into_iter().cycle());
        }),
    ];
    let publishing = || {
        let client = Client::publishing(address, "live", "silent");
        wire::wait_until_closed(client.socket());
    };
    thread::scope(|scope| {
        scope.spawn(publishing);
        for (what, attack) in &attacks {
            for _ in 0..3 {
                thread::Builder::new()
                    .name((*what).to_owned())
                    .spawn_scoped(scope, attack)
                    .unwrap();
            }
        }
    });
    case.finish(31);
}
