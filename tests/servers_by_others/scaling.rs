//! The recipes of `docs/scaling.md`, with the real nginx-rtmp: its settings and the command lines come from
//! the document itself.

use std::net::SocketAddr;
use std::thread;

use crate::common::servers::{RtmpServer, free_address};
use crate::common::{Brooklet, TempDir};
use crate::scenario::{finish, play, publish, wait_for_connection, wait_for_relay};
use crate::source::{Extent, Source, assert_arrived};

const DOCUMENT: &str = include_str!("../../docs/scaling.md");

/// The code of the document in one language.
fn code(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let blocks = DOCUMENT.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// Starts nginx with the settings in the document, at an address for its port, and with the networks of this
/// test.
fn nginx() -> RtmpServer {
    let blocks = code("nginx");
    let [block] = blocks[..] else {
        panic!("one configuration, not {}", blocks.len());
    };
    let address = free_address();
    let mut text = block.to_owned();
    for (written, here) in [
        ("listen 1935;", format!("listen {address};")),
        ("192.0.2.0/24", "127.0.0.0/8".to_owned()),
    ] {
        assert!(text.contains(written), "{text}");
        text = text.replace(written, &here);
    }
    let inner = text
        .trim()
        .strip_prefix("rtmp {")
        .and_then(|rest| rest.strip_suffix('}'));
    RtmpServer::nginx_with(address, inner.expect("it is the block rtmp"))
}

/// The arguments of the only command line in the document that contains these words, with the address of a
/// server in place of a host.
fn arguments(words: &str, host: &str, server: SocketAddr) -> Vec<String> {
    let blocks = code("sh");
    let lines = blocks.iter().flat_map(|block| block.lines());
    let mut found = lines.filter(|line| line.contains(words));
    let (Some(line), None) = (found.next(), found.next()) else {
        panic!("one line with {words}");
    };
    let command = line.split(" #").next().unwrap();
    let arguments = command
        .strip_prefix("brooklet ")
        .expect("a line for a shell");
    assert!(arguments.contains(host), "{line}");
    let arguments = arguments
        .replace('\'', "")
        .replace(host, &server.to_string());
    arguments.split_whitespace().map(str::to_owned).collect()
}

/// Starts the server with such arguments, and a short grace time.
fn start(arguments: &[String]) -> Brooklet {
    let mut all = vec!["--grace", "500ms"];
    all.extend(arguments.iter().map(String::as_str));
    Brooklet::start(&all)
}

#[test]
#[ignore = "needs nginx with its RTMP module, and ffmpeg"]
fn a_server_at_the_camera_pushes_to_nginx() {
    let nginx = nginx();
    let source = Source::encoded(3);
    thread::scope(|scope| {
        for (words, name) in [
            ("live/door=rtmp://media", "door"),
            ("live/*=rtmp://media", "gate"),
        ] {
            let (nginx, source) = (&nginx, &source);
            scope.spawn(move || {
                let dir = TempDir::new();
                let file = dir.join("played.flv");
                let server = start(&arguments(words, "media.example", nginx.address));
                let player = play(&nginx.url(name), &file);
                finish(publish(source, &server.url(name)));
                finish(player);
                assert_arrived(source, &file, Extent::Whole, words);
            });
        }
    });
}

#[test]
#[ignore = "needs nginx with its RTMP module, and ffmpeg"]
fn edges_pull_from_an_origin_that_is_nginx() {
    let nginx = nginx();
    let (dir, source) = (TempDir::new(), Source::encoded(6));
    let [whole, late] = ["whole.flv", "late.flv"].map(|name| dir.join(name));
    let line = |words| arguments(words, "camera.example", nginx.address);
    let always = start(&line("# always"));
    let on_demand = start(&line(",on-demand"));
    wait_for_connection(&always);
    let player = play(&always.url("door"), &whole);
    let publisher = publish(&source, &nginx.url("door"));
    wait_for_relay(&always, "pulls", "a second has come", |pull| {
        pull["state"] == "live" && pull["bytes"].as_u64() > Some(60_000)
    });
    wait_for_relay(&on_demand, "pulls", "nobody watches", |pull| {
        pull["state"] == "waiting" && pull["connections"] == 0
    });
    // In the middle of a GOP: nginx sends sound at once, and pictures from the next keyframe on.
    let late_player = play(&on_demand.url("door"), &late);
    finish(publisher);
    finish(player);
    finish(late_player);
    assert_arrived(&source, &whole, Extent::Whole, "always");
    assert_arrived(&source, &late, Extent::FromKeyframe, "on demand");
}
