//! A push whose packets are dropped on the way.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use brooklet::config::parse_push;
use brooklet::{Config, RelayState, Server};

use crate::common::PROGRAM;
use crate::common::client::{Client, server, wait_until};
use crate::common::process::{Program, run};
use crate::push::{Camera, SECRET, port_of};

/// A network namespace at the end of a cable. The kernel removes the cable with it.
struct Namespace {
    name: String,
    cable: String,
    near: Ipv4Addr,
    far: Ipv4Addr,
}

fn ip(arguments: &str) {
    run(Command::new("ip").args(arguments.split(' ')));
}

impl Namespace {
    fn new() -> Namespace {
        let id = std::process::id();
        let (name, cable) = (format!("brooklet{id}"), format!("bk{id}"));
        // A net of four private addresses.
        let base = (id % 64 * 4) as u8;
        let [near, far] = [1, 2].map(|number| Ipv4Addr::new(10, 213, 77, base + number));
        ip(&format!("netns add {name}"));
        let namespace = Namespace {
            name,
            cable,
            near,
            far,
        };
        let Namespace { name, cable, .. } = &namespace;
        ip(&format!(
            "link add {cable} type veth peer name far netns {name}"
        ));
        ip(&format!("address add {near}/30 dev {cable}"));
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {name} address add {far}/30 dev far"));
        ip(&format!("-n {name} link set far up"));
        namespace
    }

    /// Drops all packets in both directions, or no more.
    fn set_hole(&self, is_hole: bool) {
        for (namespace, device) in [("", &*self.cable), (&*self.name, "far")] {
            let mut command = Command::new("tc");
            if !namespace.is_empty() {
                command.args(["-n", namespace]);
            }
            let change = match is_hole {
                true => "qdisc add dev DEVICE root pfifo limit 0",
                false => "qdisc del dev DEVICE root",
            };
            let change = change.replace("DEVICE", device);
            run(command.args(change.split(' ')));
        }
    }

    /// Starts a server inside.
    fn serve(&self) -> (Program, SocketAddr) {
        let address = SocketAddr::from((self.far, 1935));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        command.arg(PROGRAM.expect("it is built with the feature cli"));
        command.args(["--rtmp", &address.to_string()]);
        #[cfg(feature = "http")]
        command.args(["--http", "off"]);
        crate::common::without_settings(&mut command);
        let program = Program::start(&mut command);
        wait_until("the server inside listens", || {
            program.with_stdout(|text| text.contains("listening for RTMP"))
        });
        (program, address)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
        let _ = Command::new("ip")
            .args(["link", "del", &self.cable])
            .output();
    }
}

/// The push to the target in the namespace.
fn state(near: &Server) -> RelayState {
    near.pushes()[0].state
}

/// Drops all packets to one of two targets of a stream of this rate, in bytes per second.
fn fall_into_a_hole(bytes_per_second: usize) {
    const FRAMES_PER_SECOND: usize = 25;

    let namespace = Namespace::new();
    let (_program, far) = namespace.serve();
    let other = server(Config::default());
    let pushes = [far, port_of(&other)].map(|target| {
        let push = format!("live/door=rtmp://{target}/far/{SECRET}");
        parse_push(&push).unwrap()
    });
    let near = server(Config::default().pushes(pushes.to_vec()));
    let mut beside = Client::playing(port_of(&near), "live", "door");
    let mut elsewhere = Client::playing(port_of(&other), "far", SECRET);
    let mut camera = Camera::new(&near);
    let mut number = 0;
    let mut worst = Duration::ZERO;
    let start = Instant::now();
    // One frame, which is awaited at the other targets.
    let mut send = |until: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !until() {
            assert!(began.elapsed() < Duration::from_secs(120), "in vain");
            let due = Duration::from_millis(1_000 / FRAMES_PER_SECOND as u64) * number;
            std::thread::sleep(due.saturating_sub(start.elapsed()));
            let sent = Instant::now();
            camera.send(1, bytes_per_second / FRAMES_PER_SECOND);
            let message = beside.wait_for_media();
            assert_eq!(message.number(), number);
            assert_eq!(elsewhere.wait_for_media(), message);
            worst = worst.max(sent.elapsed());
            number += 1;
        }
        began.elapsed()
    };
    send(&|| state(&near) == RelayState::Live);
    namespace.set_hole(true);
    let stalled = send(&|| state(&near) == RelayState::Stalled);
    let given_up = send(&|| state(&near) == RelayState::BackingOff);
    let why = near.pushes()[0].why.clone();
    namespace.set_hole(false);
    let healed = send(&|| state(&near) == RelayState::Live);
    let mut player = Client::handshaken_from(namespace.near, far).connect("far");
    player.play(SECRET);
    let first = player.wait_for_media();
    assert!(first.is_keyframe());
    println!(
        "{bytes_per_second} bytes/s: stalled after {stalled:.1?}, given up {given_up:.1?} later ({}), \
         live again {healed:.1?} after the end of the hole; others waited {worst:.1?} at most",
        why.unwrap_or_default()
    );
    assert!(stalled < Duration::from_secs(10), "{stalled:?}");
    let of_other = &near.pushes()[1];
    assert_eq!((of_other.connections, of_other.skips), (1, 0));
}

#[test]
#[ignore = "needs root, ip, tc and a minute of real time"]
fn a_push_into_a_black_hole_is_stalled_and_goes_on_when_it_is_gone() {
    // 4 Mbit/s of video, and 8 kbit/s of sound.
    for bytes_per_second in [500_000, 1_000] {
        fall_into_a_hole(bytes_per_second);
    }
}
