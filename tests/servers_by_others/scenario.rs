//! What is done with each server: publish, play, probe, push and pull.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::common::http::HttpClient;
use crate::common::process::Program;
use crate::common::{Brooklet, PROGRAM, SOON, TempDir, wait_until, without_settings};
use crate::source::{Extent, Source, assert_arrived};

/// Longer than any source lasts.
const LONG: Duration = Duration::from_secs(120);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM.expect("it is built with the feature cli"));
    without_settings(&mut command).args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

/// Starts `brooklet publish` with a file, in real time.
pub(crate) fn publish(source: &Source, url: &str) -> Program {
    Program::start(&mut command(&["publish", text(&source.path), url]))
}

/// Starts `brooklet play` into a file, and waits until the server has accepted that.
pub(crate) fn play(url: &str, file: &Path) -> Program {
    let mut program = Program::start(&mut command(&["play", url, text(file)]));
    wait_until("the play is accepted", SOON, || {
        assert!(program.is_running(), "{}", program.stderr());
        file.exists()
    });
    program
}

/// Runs `brooklet probe` on a live stream, which must find H.264 and AAC. Returns its report.
pub(crate) fn probe(url: &str, time: &str) -> Value {
    let mut program = Program::start(&mut command(&["probe", url, "--json", "--time", time]));
    let status = program.wait(SOON);
    let (said, errors) = (program.stdout(), program.stderr());
    assert!(status.success(), "{said}{errors}");
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["live"], true, "{report}");
    assert_eq!(report["video"]["codec"], "H.264", "{report}");
    assert_eq!(report["audio"]["codec"], "AAC", "{report}");
    assert_eq!(report["timestamps_in_order"], true, "{report}");
    report
}

/// Waits until a program has ended as it should: a publisher because its file is over, a player because the
/// stream is.
pub(crate) fn finish(mut program: Program) {
    program.wait_for_success(LONG);
    assert_eq!(program.stderr(), "");
}

/// Waits until a player has failed. Returns what it said.
pub(crate) fn fail(mut player: Program) -> String {
    assert_eq!(player.wait(LONG).code(), Some(1));
    player.stderr()
}

/// Waits until the first push or pull of a server is as expected, by what its API shows.
pub(crate) fn wait_for_relay(
    server: &Brooklet,
    kind: &str,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) {
    // One connection: their rate is limited.
    let mut client = HttpClient::connect(server.http_address());
    wait_until(what, SOON, || {
        let answer = client.get(&format!("/api/v1/{kind}"));
        let list: Value = serde_json::from_str(&answer.text()).unwrap();
        is_it(&list[kind][0])
    });
}

/// Waits until the first pull of a server has a connection.
pub(crate) fn wait_for_connection(server: &Brooklet) {
    wait_for_relay(server, "pulls", "the pull is connected", |pull| {
        pull["connections"].as_u64() >= Some(1)
    });
}

/// A server by others, or its like.
pub(crate) struct Place<'a> {
    pub(crate) url: &'a (dyn Fn(&str) -> String + Sync),
    /// Whether it tells players that a stream is over.
    pub(crate) says_the_end: bool,
}

impl Place<'_> {
    /// Everything with two streams at the same time.
    pub(crate) fn take_and_give(&self, source: &Source) {
        thread::scope(|scope| {
            scope.spawn(|| self.publish_play_and_probe(source));
            scope.spawn(|| self.push_and_pull(source));
        });
    }

    /// Publishes, plays and probes by the three programs.
    fn publish_play_and_probe(&self, source: &Source) {
        let (dir, url) = (TempDir::new(), (self.url)("alone"));
        let file = dir.join("played.flv");
        let player = play(&url, &file);
        let publisher = publish(source, &url);
        probe(&url, "1500ms");
        finish(publisher);
        self.finish_player(player);
        assert_arrived(source, &file, Extent::Whole, "published and played");
    }

    /// Publishes to a server of our own that pushes to this one, from which another one of ours pulls.
    fn push_and_pull(&self, source: &Source) {
        let (dir, url) = (TempDir::new(), (self.url)("between"));
        let [between, behind] = ["between.flv", "behind.flv"].map(|name| dir.join(name));
        let near = Brooklet::start(&["--push", &format!("live/door={url}"), "--grace", "500ms"]);
        let edge = Brooklet::start(&["--pull", &format!("live/copy={url}"), "--grace", "500ms"]);
        wait_for_connection(&edge);
        let player = play(&url, &between);
        let behind_edge = play(&edge.url("copy"), &behind);
        finish(publish(source, &near.url("door")));
        self.finish_player(player);
        // A pull doesn't learn it, either.
        self.finish_player(behind_edge);
        assert_arrived(source, &between, Extent::Whole, "pushed");
        assert_arrived(source, &behind, Extent::Whole, "pushed and pulled");
    }

    fn finish_player(&self, player: Program) {
        match self.says_the_end {
            true => finish(player),
            false => assert_eq!(
                fail(player),
                "brooklet: no message for 10s, expected a live stream\n"
            ),
        }
    }
}
