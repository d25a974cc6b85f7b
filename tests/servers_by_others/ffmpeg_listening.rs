//! ffmpeg as a server (`-listen 1`): it writes what a publisher sends, or sends a file to a player. It takes
//! a single connection, and ends with it, so each step has an ffmpeg of its own.

use std::thread;

use crate::common::media::ffmpeg7;
use crate::common::servers::RtmpServer;
use crate::common::{Brooklet, TempDir};
use crate::scenario::{fail, finish, play, probe, publish};
use crate::source::{Extent, Source, assert_arrived};

/// Debian's, and two newer ones.
fn each_ffmpeg(check: impl Fn(&str) + Sync) {
    let ffmpeg9 = std::env::var("BROOKLET_FFMPEG9");
    let ffmpeg9 = ffmpeg9.expect("BROOKLET_FFMPEG9 is the path of an ffmpeg 9");
    thread::scope(|scope| {
        for ffmpeg in ["ffmpeg".to_owned(), ffmpeg7(), ffmpeg9] {
            let check = &check;
            scope.spawn(move || check(&ffmpeg));
        }
    });
}

fn url(server: &RtmpServer) -> String {
    server.url("door")
}

#[test]
#[ignore = "needs ffmpeg, and 7 and 9 besides"]
fn ffmpeg_gets_identical_packets() {
    let source = Source::encoded(3);
    each_ffmpeg(|ffmpeg| {
        let mut server = RtmpServer::ffmpeg_receiving(ffmpeg);
        finish(publish(&source, &url(&server)));
        let who = format!("published to {ffmpeg}");
        assert_arrived(&source, &server.received(), Extent::Whole, &who);

        let mut server = RtmpServer::ffmpeg_receiving(ffmpeg);
        let push = format!("live/door={}", url(&server));
        let near = Brooklet::start(&["--push", &push, "--grace", "500ms"]);
        finish(publish(&source, &near.url("door")));
        let who = format!("pushed to {ffmpeg}");
        assert_arrived(&source, &server.received(), Extent::Whole, &who);
    });
}

#[test]
#[ignore = "needs ffmpeg, and 7 and 9 besides"]
fn ffmpeg_gives_identical_packets() {
    let source = Source::encoded(3);
    let dir = TempDir::new();
    each_ffmpeg(|ffmpeg| {
        let name = ffmpeg.rsplit('/').next().unwrap();
        let [played, pulled] = ["played", "pulled"].map(|kind| dir.join(&format!("{name}.{kind}")));
        // Without an end: what a slow machine is late for is sent at once.
        let endless = ["-stream_loop", "-1"];
        let server = RtmpServer::ffmpeg_sending(ffmpeg, &endless, &source.path);
        probe(&url(&server), "1s");

        let server = RtmpServer::ffmpeg_sending(ffmpeg, &[], &source.path);
        // It just hangs up.
        let player = play(&url(&server), &played);
        let said = fail(player);
        assert!(
            said.ends_with("closed the connection during play\n"),
            "{said}"
        );
        assert_arrived(
            &source,
            &played,
            Extent::Whole,
            &format!("played from {ffmpeg}"),
        );

        let server = RtmpServer::ffmpeg_sending(ffmpeg, &[], &source.path);
        let pull = format!("live/copy={},on-demand", url(&server));
        let edge = Brooklet::start(&["--pull", &pull, "--grace", "500ms"]);
        finish(play(&edge.url("copy"), &pulled));
        assert_arrived(
            &source,
            &pulled,
            Extent::Whole,
            &format!("pulled from {ffmpeg}"),
        );
    });
}
