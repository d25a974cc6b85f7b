//! A server that can no longer allocate memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::Brooklet;
use crate::wire;

const OPTIONS: [&str; 5] = [
    "--memory=1M",
    "--max-connections=512",
    "--max-per-address=512",
    "--max-connect-rate=10000",
    "--handshake-timeout=1m",
];

/// The address space of a connection's thread, with its signal stack, in kB.
const STACK: usize = if cfg!(debug_assertions) { 512 } else { 128 };
const SIGNALS: usize = 16;

/// The size of a page, in kB.
const PAGE: usize = 4;

/// Opens a connection whose handshake the server has answered, if it answers.
fn handshaken(server: &Brooklet) -> Option<TcpStream> {
    let mut socket = wire::connect(server.address());
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket.write_all(&wire::c0_c1()).ok()?;
    socket.read_exact(&mut [0; 3073]).ok()?;
    Some(socket)
}

/// Within these limits there is a size with room for a stack and nothing else.
#[test]
fn new_clients_are_refused_when_address_space_is_short_and_others_stay() {
    let idle = Brooklet::start(&OPTIONS).status("VmSize");
    for step in 0..(STACK + SIGNALS) / PAGE {
        let limit = idle as usize + 4 * 1024 + step * PAGE;
        let mut server = Brooklet::start_after(&format!("ulimit -v {limit}"), &OPTIONS);
        let mut served = Vec::new();
        // Others are refused too.
        for _ in 0..5 {
            while let Some(socket) = handshaken(&server) {
                served.push(socket);
            }
            assert!(server.is_running(), "with {limit} kB of address space");
        }
        assert!(!served.is_empty(), "with {limit} kB of address space");
        for socket in &mut served {
            socket.set_nonblocking(true).unwrap();
            let closed = socket.read(&mut [0; 1]).is_ok_and(|len| len == 0);
            assert!(
                !closed,
                "one was disconnected with {limit} kB of address space"
            );
        }
    }
}
