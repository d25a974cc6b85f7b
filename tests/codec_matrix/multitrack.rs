//! Several tracks of a kind in one stream, which FFmpeg 8 sends and plays.

use std::path::Path;
use std::process::Command;

use super::common::ffmpeg8::ffmpeg8;
use super::common::framehash::{self, Track};
use super::common::process::{Program, run};
use super::common::{Brooklet, TempDir, media, wait_until};
use super::{LATE, PATIENCE};

/// The number of video tracks.
const TRACKS: usize = 2;

/// The number of frames in each.
const PICTURES: usize = 60;

/// A player that asks for all tracks receives them, also if it joins late: it needs the sequence
/// headers of each.
#[test]
#[ignore = "needs ffmpeg, rtmpdump, BROOKLET_PYAV"]
fn two_tracks_of_video_and_two_of_audio_reach_early_and_late_players() {
    let dir = TempDir::new();
    let file = dir.join("source.mp4");
    let mut command = media::quiet("ffmpeg");
    let arguments = "-f lavfi -i testsrc2=size=320x180:rate=15 \
                     -f lavfi -i testsrc=size=160x90:rate=15 \
                     -f lavfi -i sine=440 -f lavfi -i sine=880 -t 4 \
                     -map 0 -map 1 -map 2 -map 3 -pix_fmt yuv420p \
                     -c:v libx264 -preset veryfast -g 15 -bf 0 -sc_threshold 0 -c:a aac -ac 2";
    command.args(arguments.split_whitespace());
    run(command.arg(&file));

    let server = Brooklet::start(&["--grace", "2s"]);
    let url = server.url("cam");
    let url_of_all = format!("{url}?tracks=all");
    let mut early = play(&url_of_all, None);
    let dump = dir.join("dump.flv");
    let mut command = Command::new("rtmpdump");
    command
        .args(["-q", "--live", "-r", &url_of_all, "-o"])
        .arg(&dump);
    let _rtmpdump = Program::start(&mut command);
    let go = dir.join("go");
    let mut late = play(&url_of_all, Some(&go));
    server.wait_for_log("waiting for its publisher", 2);
    let mut publish = ffmpeg8(&["--realtime"]);
    let mut publisher = Program::start(publish.arg(&file).args(["flv", &url]));
    wait_until("it is time for the late player", PATIENCE, || {
        super::pictures(&dump) >= TRACKS * LATE
    });
    std::fs::write(&go, "").expect("a file can be written");
    publisher.wait_for_success(PATIENCE);

    let source = sorted(framehash::of_file(&file));
    assert_eq!(source.len(), 4);
    let tracks = |player: &mut Program, who: &str| {
        player.wait_for_success(PATIENCE);
        let tracks = sorted(player.with_stdout(framehash::parse));
        let kinds = |tracks: &[Track]| -> Vec<_> {
            let kind = |track: &Track| (track.media.clone(), track.codec.clone());
            tracks.iter().map(kind).collect()
        };
        assert_eq!(kinds(&tracks), kinds(&source), "{who}");
        for (index, (got, source)) in tracks.iter().zip(&source).enumerate() {
            let (got_hashes, hashes) = (got.hashes(), source.hashes());
            assert!(
                !got_hashes.is_empty() && hashes.ends_with(&got_hashes),
                "{who}, track {index}: {} packets that are not the last of the source's {}",
                got_hashes.len(),
                hashes.len()
            );
            assert_eq!(
                got.decoded,
                Some(got_hashes.len()),
                "{who}, track {index}: decoded"
            );
        }
        tracks
    };
    let pictures = |tracks: &[Track]| -> Vec<usize> {
        let video = tracks.iter().filter(|track| track.media == "video");
        video.map(|track| track.packets.len()).collect()
    };
    let early = tracks(&mut early, "early");
    assert_eq!(pictures(&early), [PICTURES, PICTURES]);
    let late = pictures(&tracks(&mut late, "late"));
    assert_eq!(late[0], late[1], "both tracks start at the same picture");
    assert!(late[0] < PICTURES, "the late player came late");
    server.stop();
}

/// A player that decodes what it receives, and begins when a file exists.
fn play(url: &str, begin: Option<&Path>) -> Program {
    let mut command = ffmpeg8(&["--decode", "--output-option", "hash=md5"]);
    if let Some(file) = begin {
        command.arg("--wait-for").arg(file);
    }
    Program::start(command.args([url, "framehash", "pipe:1"]))
}

/// Video first. Tracks of one kind stay in order.
fn sorted(mut tracks: Vec<Track>) -> Vec<Track> {
    tracks.sort_by_key(|track| track.media != "video");
    tracks
}
