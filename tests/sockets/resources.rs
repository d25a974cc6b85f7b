//! Threads, descriptors and memory of the real program.

use crate::client::{Client, wait_until};
use crate::common::Brooklet;

#[test]
fn two_hundred_idle_connections_come_and_go_without_a_trace() {
    // Half of the places are for connections that neither publish nor play.
    let server = Brooklet::start(&[
        "--max-connections",
        "512",
        "--max-per-address",
        "256",
        "--max-connect-rate",
        "1000",
        "--command-timeout",
        "10m",
    ]);
    let start = (server.status("Threads"), server.descriptors());
    println!(
        "at start: {start:?} threads and descriptors, {} kB",
        server.status("VmRSS")
    );

    let mut publisher = Client::publishing(server.address(), "live", "door");
    let mut player = Client::playing(server.address(), "live", "door");
    let idle: Vec<_> = (0..200)
        .map(|_| Client::connected(server.address(), "live"))
        .collect();
    publisher.send_headers();
    for number in 0..100 {
        publisher.send_frame(number, number * 40, number % 25 == 0, 16_000);
        assert_eq!(player.wait_for_media().number(), number);
    }
    println!(
        "with 200 idle connections and a stream: {} threads, {} descriptors, {} kB",
        server.status("Threads"),
        server.descriptors(),
        server.status("VmRSS")
    );
    assert_eq!(server.status("Threads"), start.0 + 202);

    drop((idle, publisher, player));
    wait_until("threads and descriptors are back at the start", || {
        (server.status("Threads"), server.descriptors()) == start
    });
    println!("after they left: {} kB", server.status("VmRSS"));
}
