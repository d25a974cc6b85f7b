//! A publisher's timestamps jump, and players don't notice.

mod common;

use common::media::{self, AAC, H264};
use common::packets::{Capture, Track, assert_monotonic, flv_tags};
use common::process::Program;
use common::publisher::Publisher;
use common::{Brooklet, SOON, TempDir};

/// The longest step of a track's timestamps at a jump, in ms; a frame comes every 33 ms.
const MAX_STEP: i64 = 500;

/// The most by which a jump moves what follows it, in ms: the messages around it came a little
/// early or late.
const MAX_SHIFT: i64 = 500;

/// A server, a file to publish, and two players that are there from the start.
struct Scene {
    dir: TempDir,
    server: Brooklet,
    /// Prints its packets.
    player: Program,
    /// Decodes them.
    decoder: Program,
}

impl Scene {
    fn new() -> Scene {
        let server = Brooklet::start(&["--grace", "1s"]);
        let url = server.url("cam");
        let (player, decoder) = (media::play(&url), media::play_decoding(&url));
        server.wait_for_log("waiting for its publisher", 2);
        Scene {
            dir: TempDir::new(),
            server,
            player,
            decoder,
        }
    }

    /// Checks that the players have ended, and got everything in `source`, without a gap.
    fn assert_seamless(mut self, source: &Capture) {
        self.player.wait_for_success(SOON);
        self.decoder.wait_for_success(SOON);
        let got = Capture::of_player(&self.player);
        assert_monotonic(&got, "player");
        // Audio from before the first keyframe isn't sent.
        let source = source.starting_at_keyframe(source.hashes(Track::Video)[0]);
        let mut shifts = Vec::new();
        for track in [Track::Video, Track::Audio] {
            assert!(
                got.hashes(track) == source.hashes(track),
                "{track:?}: all packets as published"
            );
            let (got, source) = (got.track(track), source.track(track));
            for pair in got.windows(2) {
                let step = pair[1].dts - pair[0].dts;
                assert!(step < MAX_STEP, "{track:?}: {step} ms up to {:?}", pair[1]);
            }
            let shift = |index: usize| got[index].dts - source[index].dts;
            shifts.push((shift(0), shift(got.len() - 1)));
        }
        // Audio and video are as far apart as before, to the ms.
        assert_eq!(shifts[0], shifts[1]);
        let (first, last) = shifts[0];
        assert!((last - first).abs() < MAX_SHIFT, "{first} to {last} ms");
        assert_eq!(
            self.decoder.stderr(),
            "",
            "the decoder has nothing to complain about"
        );
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn a_jump_a_day_ahead_between_two_frames_is_hidden() {
    let scene = Scene::new();
    let file = media::make(&scene.dir, 6, &[H264, AAC]);
    let jump = "setts=ts=TS+if(gte(TS\\,3000)\\,86400000\\,0)";
    let options = ["-bsf:v", jump, "-bsf:a", jump];
    let mut publisher = media::publish_with("ffmpeg", &file, &options, &scene.server.url("cam"));
    publisher.wait_for_success(SOON);
    scene.server.wait_for_log(
        "time stamps jumped by 86400.0 s, continued without a jump (1 so far)",
        1,
    );
    scene.assert_seamless(&Capture::of_file(&file));
}

#[test]
#[ignore = "needs ffmpeg"]
fn a_jump_back_by_hours_and_a_wrap_at_24_bits_are_hidden() {
    let scene = Scene::new();
    let file = media::make(&scene.dir, 6, &[H264, AAC]);
    let stamp = |time: u32| match time {
        0..2_000 => 50_000_000 + time,
        _ => time.wrapping_sub(4_000) & 0xFF_FFFF,
    };
    let publisher = Publisher::start_stamped(scene.server.port(), "cam", flv_tags(&file), stamp);
    publisher.finish();
    scene.server.wait_for_log("time stamps jumped by -33", 1);
    scene.assert_seamless(&Capture::of_file(&file));
}
