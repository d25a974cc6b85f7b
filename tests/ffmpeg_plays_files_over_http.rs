//! What ffmpeg publishes over RTMP, ffmpeg plays over HTTP as FLV and as fragmented MP4: the same
//! packets at the same times, and the same decoded frames.

mod common;

use std::path::Path;
use std::process::Command;

use common::media::{self, AAC, H264_B_FRAMES, NO_AUDIO, NO_VIDEO};
use common::packets::{self, Capture, Packet, Track, assert_monotonic, decoded_pictures};
use common::process::Program;
use common::{Brooklet, SOON, TempDir};

/// The length of the source, which has one keyframe, so that the server holds all of it.
const SECONDS: u32 = 9;

/// How much an audio timestamp may differ from the source's, in ms: MP4 counts samples, FLV has ms.
const ROUNDING: i64 = 1;

/// The system's ffmpeg, and ffmpeg 7.
fn programs() -> [String; 2] {
    ["ffmpeg".to_owned(), media::ffmpeg7()]
}

/// Publishes a file, and starts `players` of these URLs during the publish. Returns them when they
/// have received all of it.
fn play(file: &Path, players: &mut [Command], server: Brooklet) -> Vec<Program> {
    let mut publisher = media::publish(file, &server.url("cam"));
    server.wait_for_log("publishing", 1);
    let start = |command: &mut Command| Program::start(command);
    let mut players: Vec<_> = players.iter_mut().map(start).collect();
    publisher.wait_for_success(SOON);
    server.wait_for_log(" over HTTP", players.len());
    // Each gets what is cached, then the end.
    server.stop();
    for player in &mut players {
        player.wait_for_success(SOON);
    }
    players
}

fn server() -> Brooklet {
    Brooklet::start(&["--grace", "1m"])
}

/// The URL that plays a stream from its oldest keyframe in memory.
fn url(server: &Brooklet, extension: &str) -> String {
    let address = server.http_address();
    format!("http://{address}/live/cam.{extension}?join=gop")
}

/// The decode and presentation times of a track's packets, in ms.
fn times(capture: &Capture, track: Track, rate: i64) -> Vec<(i64, i64)> {
    let ms = |ticks: i64| ticks * 1000 / rate;
    let of_packet = |packet: &&Packet| (ms(packet.dts), ms(packet.pts));
    capture.track(track).iter().map(of_packet).collect()
}

/// Checks that both have the same packets, and that all times differ by the same number of ms.
fn assert_same(who: &str, source: &Capture, got: &Capture, is_mp4: bool) {
    assert_monotonic(got, who);
    let codecs = |c: &Capture| c.tracks.iter().map(|t| t.codec.clone()).collect::<Vec<_>>();
    assert_eq!(codecs(got), codecs(source), "{who}");
    let audio_rate = if is_mp4 { 44_100 } else { 1000 };
    let mut shift = None;
    for (track, rate, tolerance) in [
        (Track::Video, 1000, 0),
        (Track::Audio, audio_rate, ROUNDING),
    ] {
        assert_eq!(got.hashes(track), source.hashes(track), "{who}: {track:?}");
        let (expected, got) = (times(source, track, 1000), times(got, track, rate));
        for (index, (expected, got)) in expected.iter().zip(&got).enumerate() {
            // One offset for both tracks: they stay in sync.
            let shift = *shift.get_or_insert(got.1 - expected.1);
            let shown = got.1 - expected.1 - shift;
            assert!(
                shown.abs() <= tolerance,
                "{who}: {track:?} packet {index} is {shown} ms off"
            );
            let decoded = got.0 - expected.0 - shift;
            // In MP4, frames are decoded when the ones before were due.
            let allowed = if is_mp4 { -41..=1 } else { 0..=0 };
            assert!(
                allowed.contains(&decoded),
                "{who}: {track:?} packet {index}"
            );
        }
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn packets_and_their_times_are_those_that_were_published() {
    for codecs in [
        &[H264_B_FRAMES, AAC],
        &[H264_B_FRAMES, NO_AUDIO],
        &[NO_VIDEO, AAC],
    ] {
        let dir = TempDir::new();
        let file = media::make(&dir, SECONDS, codecs);
        let server = server();
        let mut commands = ["flv", "mp4"].map(|e| packets::ffprobe(&url(&server, e)));
        let players = play(&file, &mut commands, server);
        let source = Capture::of_file(&file);
        for (player, name) in players.iter().zip(["flv", "mp4"]) {
            assert_eq!(player.stderr(), "", "ffprobe has nothing to complain about");
            let who = format!("{codecs:?} as {name}");
            let got = Capture::of_player(player);
            if codecs[0] == NO_VIDEO {
                // Every audio frame is a join point.
                let hashes = got.hashes(Track::Audio);
                packets::assert_is_part(&source.hashes(Track::Audio), &hashes, 100, &who);
            } else {
                assert_same(&who, &source, &got, name == "mp4");
            }
        }
    }
}

#[test]
#[ignore = "needs ffmpeg, BROOKLET_FFMPEG7"]
fn the_decoded_frames_are_those_that_were_published() {
    let dir = TempDir::new();
    let file = media::make(&dir, SECONDS, &[H264_B_FRAMES, AAC]);
    let server = server();
    let mut names = Vec::new();
    let mut commands = Vec::new();
    for program in programs() {
        for extension in ["flv", "mp4"] {
            let mut command = media::quiet(&program);
            command.args(["-i", &url(&server, extension), "-map", "0:v"]);
            command.args(["-fps_mode", "passthrough", "-pix_fmt", "yuv420p"]);
            command.args(["-enc_time_base", "1:1000"]);
            command.args(common::framehash::FORMAT);
            names.push(format!("{program}, {extension}"));
            commands.push(command);
        }
    }
    let players = play(&file, &mut commands, server);
    let expected = decoded_pictures(&file);
    assert_eq!(expected.len() as u32, SECONDS * 30);
    for (name, player) in names.iter().zip(&players) {
        assert_eq!(player.stderr(), "", "{name} has nothing to complain about");
        let tracks = player.with_stdout(common::framehash::parse);
        let got = common::framehash::first(&tracks, "video");
        assert_eq!(got.hashes(), expected, "{name}");
    }
}
