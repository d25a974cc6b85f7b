//! Each pair of codecs, recorded: every packet of the source is there, in step, over file borders and over
//! the return of a publisher.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::common::packets::Track;
use super::common::process::{Program, run};
use super::common::{Brooklet, SOON, TempDir, media};
use super::sources::{FRAMES, PAIRS, Source};

/// How much more or less a packet of a recording may be shifted than the others of both tracks, in seconds:
/// RTMP counts in milliseconds.
const SLACK: f64 = 0.0021;

/// The sounds of a publisher that returns which may be out of step.
const CATCH_UP: usize = 64;

/// A packet, and when it is shown, in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    time: f64,
    pub(crate) hash: String,
}

pub(crate) type Tracks = [Vec<Packet>; 2];

/// The packets of a file: video, audio. ffprobe must have nothing to complain about.
pub(crate) fn packets(file: &Path) -> Tracks {
    let mut command = Command::new("ffprobe");
    command.args(["-hide_banner", "-v", "warning", "-show_data_hash", "md5"]);
    command.args(["-of", "compact", "-show_entries"]);
    command.arg("packet=codec_type,pts_time,data_hash:packet_side_data=");
    let mut program = Program::start(command.arg(file));
    program.wait_for_success(SOON);
    assert_eq!(program.stderr(), "", "{}", file.display());
    let mut tracks = Tracks::default();
    // What belongs to a packet goes on behind side data.
    let text = program.stdout().replace("|side_data|\n|", "|");
    for line in text.lines().filter(|line| line.starts_with("packet|")) {
        let fields: HashMap<_, _> = line.split('|').filter_map(|f| f.split_once('=')).collect();
        let track = match fields.get("codec_type") {
            Some(&"video") => Track::Video,
            _ => Track::Audio,
        };
        tracks[usize::from(track == Track::Audio)].push(Packet {
            time: fields["pts_time"].parse().expect("a packet has a time"),
            hash: fields["data_hash"].to_owned(),
        });
    }
    tracks
}

/// Checks that files hold the packets of a source, `times` times one after another, and that both tracks are
/// shifted by the same time.
fn check(source: &Source, files: &[PathBuf], times: usize) {
    let name = source.pair.name;
    let sent = packets(&source.file);
    // Audio in front of the first keyframe isn't recorded.
    let mut at = [None, None];
    for file in files {
        let recorded = packets(file);
        let who = format!("{name}, {}", file.display());
        // For each time that it was published.
        let mut shifts: HashMap<usize, Vec<f64>> = HashMap::new();
        for (track, at) in at.iter_mut().enumerate() {
            let sent = &sent[track];
            for packet in &recorded[track] {
                let index = at.unwrap_or_else(|| {
                    let first = sent.iter().take(3).position(|p| p.hash == packet.hash);
                    first.unwrap_or_else(|| panic!("{who}: track {track} has lost its beginning"))
                });
                let expected = &sent[index % sent.len()];
                assert_eq!(packet.hash, expected.hash, "{who}: track {track}, {index}");
                let shift = packet.time - expected.time;
                shifts.entry(index / sent.len()).or_default().push(shift);
                *at = Some(index + 1);
            }
        }
        for (time, shifts) in shifts {
            let (first, all) = (shifts[0], shifts.iter());
            // The first sounds of a publisher that returns approach their time in steps.
            let all = all.skip(if time == 0 { 0 } else { FRAMES + CATCH_UP });
            let most = all.map(|shift| (shift - first).abs()).fold(0.0, f64::max);
            assert!(most < SLACK, "{who}: {most} s out of step");
        }
        decode(file);
    }
    assert_eq!(at[0], Some(FRAMES * times), "{name}: pictures");
    assert_eq!(at[1], Some(sent[1].len() * times), "{name}: sounds");
}

/// Decodes a file, which must succeed without a warning.
fn decode(file: &Path) {
    let mut command = media::quiet("ffmpeg");
    // Two publishes have a fraction of a frame between them.
    command
        .arg("-i")
        .arg(file)
        .args(["-fps_mode", "passthrough"]);
    command.args(["-enc_time_base", "-1", "-f", "null", "-"]);
    let mut program = Program::start(&mut command);
    program.wait_for_success(SOON);
    assert_eq!(program.stderr(), "", "{}", file.display());
}

/// A server that records, and its folder.
fn start(dir: &TempDir, name: &str, arguments: &[&str]) -> (Brooklet, PathBuf) {
    let folder = dir.join(name);
    std::fs::create_dir(&folder).unwrap();
    let path = folder.display().to_string();
    let record = ["--record-free", "0", "--memory", "64M", "--record", &path];
    (Brooklet::start(&[&record, arguments].concat()), folder)
}

fn are_closed(files: &[PathBuf]) -> bool {
    let is_closed = |file: &PathBuf| file.extension().is_some_and(|ending| ending != "part");
    files.iter().all(is_closed)
}

fn check_borders(dir: &TempDir, sources: &[Source]) {
    let arguments = ["--record-segment", "3s", "--grace", "1s"];
    let (server, folder) = start(dir, "borders", &arguments);
    let publishers: Vec<_> = sources.iter().map(|s| s.publish(&server)).collect();
    for mut publisher in publishers {
        publisher.wait_for_success(SOON);
    }
    server.wait_for_log("ended, its publisher", sources.len());
    server.stop();
    for source in sources {
        let files = source.recorded(&folder);
        // 12 s, of which the last frames may be in a file of their own.
        let name = source.pair.name;
        assert!((4..=6).contains(&files.len()), "{name}: {files:?}");
        assert!(are_closed(&files), "{files:?}");
        check(source, &files, 1);
        judge_by_mp4box(source, &files);
    }
}

fn check_returns(dir: &TempDir, sources: &[Source]) {
    let arguments = ["--record-segment", "1h", "--grace", "20s"];
    let (server, folder) = start(dir, "returns", &arguments);
    let publish_twice = |source: &Source| {
        for _ in 0..2 {
            source.publish(&server).wait_for_success(SOON);
        }
    };
    thread::scope(|scope| {
        for source in sources {
            scope.spawn(move || publish_twice(source));
        }
    });
    server.stop();
    for source in sources {
        let files = source.recorded(&folder);
        // Unless the hour on the clock has just begun.
        let is_of_hour = |file: &PathBuf| file.display().to_string().contains("-00-0");
        let is_new_hour = files.len() == 2 && is_of_hour(&files[1]);
        assert!(files.len() == 1 || is_new_hour, "{files:?}");
        assert!(are_closed(&files), "{files:?}");
        check(source, &files, 2);
    }
}

#[test]
#[ignore = "needs ffmpeg, node, BROOKLET_FFMPEG9, BROOKLET_MP4BOX_JS"]
fn recordings_equal_their_sources_over_file_borders_and_returns_of_publishers() {
    let dir = TempDir::new();
    let make = |pair| Source::make(&dir, pair);
    let sources: Vec<_> = PAIRS.iter().copied().map(make).collect();
    thread::scope(|scope| {
        scope.spawn(|| check_borders(&dir, &sources));
        scope.spawn(|| check_returns(&dir, &sources));
    });
}

/// Lets mp4box.js parse files of MP4: each is a plain file whose tables lead to all of its samples.
fn judge_by_mp4box(source: &Source, files: &[PathBuf]) {
    if !source.is_mp4() {
        return;
    }
    let library = std::env::var("BROOKLET_MP4BOX_JS").unwrap_or_else(|_| {
        panic!("set BROOKLET_MP4BOX_JS to the path of mp4box 2.3.0 (dist/mp4box.all.cjs)")
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/mp4box.js");
    let mut command = Command::new("node");
    let text = run(command.arg(script).arg(library).args(files));
    let reports: Vec<serde_json::Value> = serde_json::from_str(&text).expect("it prints JSON");
    assert_eq!(reports.len(), files.len());
    for (file, report) in files.iter().zip(reports) {
        let who = format!("{}: {report}", file.display());
        let counts = packets(file).map(|track| track.len());
        assert_eq!(
            report["boxes"],
            serde_json::json!(["ftyp", "mdat", "moov", "uuid"]),
            "{who}"
        );
        assert_eq!(report["isFragmented"], false, "{who}");
        assert_eq!(report["samples"], serde_json::json!(counts), "{who}");
        assert_eq!(report["outside"], 0, "{who}");
        // The index is unknown to it. In MP4 files of ffmpeg it finds fault with the header of FLAC, too.
        let complaints = report["complaints"].as_array().unwrap();
        let is_known = |text: &str| text.contains("'dfLa'") || text.contains("Unknown UUID");
        let is_fault = |text: &&serde_json::Value| !is_known(&text.to_string());
        assert_eq!(complaints.iter().find(is_fault), None, "{who}");
    }
}
