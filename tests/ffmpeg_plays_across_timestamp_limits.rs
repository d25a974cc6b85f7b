//! Timestamps cross the limits of their fields: 24 bits (4.66 h), where the extended timestamp
//! begins, and 32 bits (49.7 days), where they wrap to 0.

mod common;

use std::time::Duration;

use common::media::{self, AAC, H264};
use common::packets::{
    Capture, Track, assert_monotonic, assert_same_packets, decoded_pictures, flv_tags,
};
use common::process::Program;
use common::publisher::Publisher;
use common::{Brooklet, SOON, TempDir};

/// The largest timestamp without an extended one, plus 1 ms.
const EXTENDED: u32 = 0xFF_FFFF;

/// How long before the limit a stream begins, in ms.
const BEFORE: u32 = 2_000;

/// A server with a player that is there from the start.
fn scene() -> (TempDir, Brooklet, Program) {
    let server = Brooklet::start(&["--grace", "1s"]);
    let player = media::play(&server.url("cam"));
    server.wait_for_log("waiting for its publisher", 1);
    (TempDir::new(), server, player)
}

/// Shifts all timestamps so that the first frame's are as in the other.
fn aligned(mut capture: Capture, with: &Capture) -> Capture {
    let first = |capture: &Capture| capture.track(Track::Video).first().map(|packet| packet.dts);
    let shift = first(with).unwrap_or_default() - first(&capture).unwrap_or_default();
    for packet in &mut capture.packets {
        packet.dts += shift;
        packet.pts += shift;
    }
    capture
}

fn assert_same(source: &Capture, got: &Capture, who: &str) {
    assert_monotonic(got, who);
    let expected = source.starting_at_keyframe(&got.track(Track::Video)[0].hash);
    assert_eq!(
        got.track(Track::Video)[0].hash,
        source.track(Track::Video)[0].hash,
        "{who}"
    );
    for track in [Track::Video, Track::Audio] {
        assert_same_packets(track, &expected, got, who);
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_publishes_and_plays_across_the_extended_timestamp() {
    let (dir, server, mut player) = scene();
    let file = media::make(&dir, 6, &[H264, AAC]);
    let start = EXTENDED - BEFORE;
    let offset = format!("{}.{:03}", start / 1000, start % 1000);
    let options = ["-output_ts_offset", offset.as_str()];
    let mut publisher = media::publish_with("ffmpeg", &file, &options, &server.url("cam"));
    publisher.wait_for_success(SOON);
    player.wait_for_success(SOON);

    let (source, got) = (Capture::of_file(&file), Capture::of_player(&player));
    let pictures = got.track(Track::Video);
    let (first, last) = (pictures[0].dts, pictures[pictures.len() - 1].dts);
    assert!(
        first < EXTENDED.into() && last > EXTENDED.into(),
        "{first} to {last} ms"
    );
    assert_same(&source, &aligned(got, &source), "player");
}

fn crosses(limit: u32, expect: impl Fn(&Capture)) {
    let (dir, server, mut player) = scene();
    let file = media::make(&dir, 6, &[H264, AAC]);
    let recorded = dir.join("recorded.mkv");
    let mut command = media::quiet("ffmpeg");
    command
        .args(["-i", &server.url("cam"), "-c", "copy"])
        .arg(&recorded);
    let mut recorder = Program::start(&mut command);
    server.wait_for_log("waiting for its publisher", 2);

    let offset = limit.wrapping_sub(BEFORE);
    let publisher = Publisher::start(server.port(), "cam", flv_tags(&file), offset);
    publisher.finish();
    player.wait_for_success(SOON);
    recorder.wait_for_success(SOON + Duration::from_secs(5));

    let (source, got) = (Capture::of_file(&file), Capture::of_player(&player));
    expect(&got);
    assert_same(&source, &aligned(got, &source), "player");
    assert_eq!(
        decoded_pictures(&recorded),
        decoded_pictures(&file),
        "what ffmpeg recorded"
    );
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_plays_across_the_extended_timestamp() {
    crosses(EXTENDED, |got| {
        let at = |limit: i64| got.packets.iter().position(|packet| packet.dts >= limit);
        assert!(at(EXTENDED.into()) > Some(0), "the limit is crossed");
    });
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_plays_across_the_end_of_32_bits() {
    // ffmpeg takes the first timestamps for negative ones once it has detected the wrap.
    crosses(0, |got| assert!(!got.packets.is_empty()));
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_plays_across_31_bits() {
    crosses(1 << 31, |got| assert!(!got.packets.is_empty()));
}
