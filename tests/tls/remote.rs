//! brooklet as a client inside of TLS: its commands, pushes and pulls.

use std::process::{Command, Output};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::common::certificates::{Certificates, HERE, Secured, VALID};
use crate::common::client::Client;
use crate::common::{Brooklet, PROGRAM, without_settings};

/// Runs a command of the program. Returns its exit code, and what it has printed.
fn brooklet(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM.unwrap());
    without_settings(&mut command).args(arguments);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).unwrap())
}

/// A publisher that has sent the first of its frames.
fn camera(server: &Brooklet, name: &str) -> Client {
    let mut camera = Client::publishing(server.address(), "live", name);
    camera.send_headers();
    camera.send_frame(0, 0, true, 2_000);
    camera
}

#[test]
#[ignore = "needs openssl"]
fn pushes_and_pulls_go_through_tls_with_equal_messages() {
    let made = Certificates::new();
    let far = Secured::start(&made);
    let pulled = [far.url("far"), far.flv("far")];
    let near = Brooklet::start(&[
        "--tls-ca",
        &made.path("root.pem"),
        "--push",
        &format!("live/cam={}", far.url("far")),
        "--pull",
        &format!("live/back0={}", pulled[0]),
        "--pull",
        &format!("live/back1={}", pulled[1]),
    ]);
    let mut beside = Client::playing(near.address(), "live", "cam");
    let names = ["back0", "back1"];
    let mut players = names.map(|name| Client::playing(near.address(), "live", name));
    let mut camera = camera(&near, "cam");
    near.wait_for_log(": live", 1);
    for name in names {
        near.wait_for_log(&format!("live/{name}: publishing"), 1);
    }
    for number in 1..100 {
        camera.send_frame(number, number * 40, number % 10 == 0, 30_000);
    }
    // Pulls begin where they come in.
    let last = |client: &mut Client| {
        client.wait_for("the last frame", |message| {
            message.is_video() && message.payload.len() > 100 && message.number() == 99
        })
    };
    let expected = last(&mut beside).payload;
    for player in &mut players {
        assert_eq!(last(player).payload, expected);
    }
}

#[test]
#[ignore = "needs openssl"]
fn certificates_that_are_not_trusted_are_refused_with_the_reason() {
    let made = Certificates::new();
    made.issue_as("expired", HERE, [2020, 2021]);
    made.issue_as("early", HERE, [2047, 2048]);
    made.issue_as("other", "DNS:other.example,DNS:*.example.com", VALID);
    made.self_sign("self");
    let root = made.path("root.pem");
    for (certificate, ca, reason) in [
        (
            "expired",
            Some(&root),
            "has expired at 2021-01-01 00:00:00 UTC",
        ),
        (
            "early",
            Some(&root),
            "isn't valid before 2047-01-01 00:00:00 UTC",
        ),
        (
            "other",
            Some(&root),
            "is for other names: other.example, *.example.com",
        ),
        (
            "self",
            Some(&root),
            "is self-signed. Trust it with --tls-ca FILE, or put #sha256=",
        ),
        (
            "server",
            None,
            "issuer is unknown. Trust it with --tls-ca FILE, or put #sha256=",
        ),
    ] {
        let far = Secured::start_as(&made, certificate);
        let options: Vec<&str> = ca.into_iter().flat_map(|ca| ["--tls-ca", ca]).collect();
        for url in [far.url("key-4711"), far.flv("key-4711")] {
            let (code, text) = brooklet(&[&["play", &url], &options[..]].concat());
            assert_eq!(code, Some(1), "{certificate}: {text}");
            assert!(text.contains(reason), "{certificate}: {text}");
            assert!(
                text.lines().count() == 1 && !text.contains("key-4711"),
                "{text}"
            );
        }
        far.server.wait_for_log("TLS: the peer ", 1);
        let push = format!("live/cam={}", far.url("key-4711"));
        let near = Brooklet::start(&[&["--push", &push], &options[..]].concat());
        let _camera = camera(&near, "cam");
        near.wait_for_log(reason, 1);
        assert!(!near.log().contains("key-4711"));
        assert!(!far.server.log().contains("publishing"));
    }
}

#[test]
#[ignore = "needs openssl"]
fn a_certificate_is_trusted_by_its_pin_or_by_itself() {
    let made = Certificates::new();
    made.self_sign("self");
    let far = Secured::start_as(&made, "self");
    let mut camera = camera(&far.server, "cam");
    far.server.wait_for_log("live/cam: H.264", 1);
    // The thread ends with the test, which drops the sender.
    let (_running, ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        for number in 1.. {
            if ended.recv_timeout(Duration::from_millis(20)) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            camera.send_frame(number, number * 20, false, 100);
        }
    });
    let own = made.path("self.pem");
    let right = made.fingerprint("self");
    let wrong = made.fingerprint("server");
    let shown = right.replace(':', "").to_lowercase();
    let isnt = format!("isn't the one that is pinned, but #sha256={shown}");
    for url in [far.url("cam"), far.flv("cam")] {
        for (pin, options, reason) in [
            (&format!("#sha256={right}"), &[][..], ""),
            (&format!("#sha256={shown}"), &[], ""),
            (&String::new(), &["--tls-ca", &own], ""),
            (&format!("#sha256={wrong}"), &[], &isnt),
            (&format!("#sha256={wrong}"), &["--tls-ca", &own], &isnt),
        ] {
            let url = [&*url, pin].concat();
            let arguments = [&["probe", &url, "--time", "200ms"], options].concat();
            let (code, text) = brooklet(&arguments);
            let expected = i32::from(!reason.is_empty());
            assert_eq!(code, Some(expected), "{pin} {options:?}: {text}");
            assert!(text.contains(reason), "{text}");
        }
    }
}
