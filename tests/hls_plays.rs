//! HLS as players see it: ffmpeg, mpv, VLC and GStreamer, and Apple's rules over many reloads.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::http::HttpClient;
use common::media::{self, AAC};
use common::packets::{Capture, Track, assert_is_part, assert_monotonic, decoded_pictures};
use common::process::Program;
use common::{Brooklet, SOON, TempDir, wait_until};

/// A keyframe every two seconds, and B-frames.
const VIDEO: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "2",
    "-g",
    "60",
    "-sc_threshold",
    "0",
];

/// Length of the source.
const SECONDS: u32 = 24;

/// Pictures, of 720, that a player has to get without a gap, and sounds, of some 1030.
const MIN_PICTURES: usize = 360;
const MIN_SOUNDS: usize = 450;

/// Pictures of a quarter of a second.
const LAST: usize = 8;

struct Scene {
    dir: TempDir,
    file: PathBuf,
    server: Brooklet,
}

impl Scene {
    fn new() -> Scene {
        let dir = TempDir::new();
        let file = media::make(&dir, SECONDS, &[VIDEO, AAC]);
        let server = Brooklet::start(&["--grace", "1s"]);
        Scene { dir, file, server }
    }

    fn url(&self) -> String {
        format!("http://{}/live/cam.m3u8", self.server.http_address())
    }

    fn client(&self) -> HttpClient {
        HttpClient::connect(self.server.http_address())
    }

    /// Starts to publish; returns when there is a playlist.
    fn publish(&self) -> Program {
        let publisher = media::publish(&self.file, &self.server.url("cam"));
        let mut client = self.client();
        wait_until("there is a playlist", SOON, || {
            client.get("/live/cam.m3u8").status == 200
        });
        publisher
    }

    /// Publishes to the end while `player` plays to the end.
    fn play(&self, player: &mut Command) -> Program {
        let mut publisher = self.publish();
        let mut player = Program::start(player);
        publisher.wait_for_success(SOON * 2);
        player.wait_for_success(SOON * 2);
        player
    }

    /// Fails unless the file has what was published, from a keyframe on.
    fn check_packets(&self, got: &Capture, who: &str) {
        let source = Capture::of_file(&self.file);
        for (track, min) in [(Track::Video, MIN_PICTURES), (Track::Audio, MIN_SOUNDS)] {
            assert_is_part(&source.hashes(track), &got.hashes(track), min, who);
        }
        let (source, got) = (source.track(Track::Video), got.track(Track::Video));
        assert!(got[0].is_keyframe, "{who} begins with a keyframe");
        let ends = |packets: &[&common::packets::Packet]| packets.last().unwrap().hash.clone();
        assert_eq!(ends(&got), ends(&source), "{who} plays to the end");
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_gets_every_packet_to_the_end() {
    let scene = Scene::new();
    let player = scene.play(&mut common::packets::ffprobe(&scene.url()));
    // It says of every segment that its init segment is known already.
    for line in player.stderr().lines() {
        assert!(
            line.contains("duplicated MOOV") || line.contains("Last message"),
            "{line}"
        );
    }
    let got = Capture::of_player(&player);
    assert_monotonic(&got, "ffprobe");
    scene.check_packets(&got, "ffprobe");
}

#[test]
#[ignore = "needs ffmpeg"]
fn pictures_that_ffmpeg_decodes_are_those_of_the_source() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.mkv");
    let mut command = media::quiet("ffmpeg");
    command
        .args(["-i", &scene.url(), "-c", "copy"])
        .arg(&recorded);
    scene.play(&mut command);
    let (source, got) = (decoded_pictures(&scene.file), decoded_pictures(&recorded));
    assert_is_part(&source, &got, MIN_PICTURES, "ffmpeg");
}

#[test]
#[ignore = "needs ffmpeg, mpv"]
fn mpv_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.mkv");
    let mut command = Command::new("mpv");
    command.args(["--no-config", "--no-terminal", "--vo=null", "--ao=null"]);
    command
        .arg(format!("--stream-record={}", recorded.display()))
        .arg(scene.url());
    scene.play(&mut command);
    scene.check_packets(&Capture::of_file(&recorded), "mpv");
}

#[test]
#[ignore = "needs ffmpeg, vlc"]
fn vlc_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.ts");
    let mut command = media::vlc(scene.dir.path());
    let sout = format!("#standard{{access=file,mux=ts,dst={}}}", recorded.display());
    command.args(["--sout", &sout, &scene.url(), "vlc://quit"]);
    scene.play(&mut command);
    let (source, got) = (decoded_pictures(&scene.file), decoded_pictures(&recorded));
    // It drops some of the last quarter of a second.
    let got = &got[..got.len().saturating_sub(LAST)];
    assert_is_part(&source, got, MIN_PICTURES, "VLC");
    let sounds = Capture::of_file(&recorded).track(Track::Audio).len();
    assert!(sounds >= MIN_SOUNDS, "VLC got {sounds} sounds");
}

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0"]
fn gstreamer_plays() {
    let scene = Scene::new();
    let recorded = scene.dir.join("recorded.mkv");
    let mut command = Command::new("gst-launch-1.0");
    let location = format!("location={}", scene.url());
    let file = format!("location={}", recorded.display());
    command.args([
        "-e",
        "souphttpsrc",
        &location,
        "!",
        "hlsdemux",
        "!",
        "qtdemux",
        "name=d",
    ]);
    command.args([
        "d.video_0",
        "!",
        "queue",
        "!",
        "h264parse",
        "!",
        "matroskamux",
        "name=m",
    ]);
    command.args(["!", "filesink", &file]);
    command.args(["d.audio_0", "!", "queue", "!", "aacparse", "!", "m."]);
    scene.play(&mut command);
    let (source, got) = (decoded_pictures(&scene.file), decoded_pictures(&recorded));
    assert_is_part(&source, &got, MIN_PICTURES, "GStreamer");
}

/// A media playlist, taken apart.
#[derive(Clone, Debug, Default)]
struct Playlist {
    text: String,
    target: u64,
    part_target: Option<u64>,
    sequence: u64,
    discontinuity_sequence: u64,
    segments: Vec<Segment>,
    /// The parts behind the last segment.
    open: Vec<Part>,
    hint: Option<String>,
    is_ended: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Segment {
    uri: String,
    map: String,
    /// ms
    duration: u64,
    has_discontinuity: bool,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Part {
    uri: String,
    /// ms
    duration: u64,
    is_independent: bool,
}

/// "2.040" as ms.
fn ms(seconds: &str) -> u64 {
    let (whole, part) = seconds.split_once('.').expect("seconds with three digits");
    assert_eq!(part.len(), 3, "{seconds}");
    whole.parse::<u64>().unwrap() * 1000 + part.parse::<u64>().unwrap()
}

fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    Some(value.trim_matches('"'))
}

impl Playlist {
    fn parse(text: &str) -> Playlist {
        let mut playlist = Playlist {
            text: text.to_owned(),
            ..Playlist::default()
        };
        let mut next = Segment::default();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"));
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let number = || value.parse().unwrap();
            match tag {
                "#EXT-X-VERSION" | "#EXT-X-PROGRAM-DATE-TIME" => {}
                "#EXT-X-SERVER-CONTROL" => {
                    assert_eq!(attribute(value, "CAN-BLOCK-RELOAD"), Some("YES"));
                }
                "#EXT-X-TARGETDURATION" => playlist.target = number(),
                "#EXT-X-PART-INF" => {
                    playlist.part_target = attribute(value, "PART-TARGET").map(ms);
                }
                "#EXT-X-MEDIA-SEQUENCE" => playlist.sequence = number(),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => playlist.discontinuity_sequence = number(),
                "#EXT-X-DISCONTINUITY" => next.has_discontinuity = true,
                "#EXT-X-MAP" => next.map = attribute(value, "URI").unwrap().to_owned(),
                "#EXTINF" => next.duration = ms(value.trim_end_matches(',')),
                "#EXT-X-PART" => next.parts.push(Part {
                    uri: attribute(value, "URI").unwrap().to_owned(),
                    duration: attribute(value, "DURATION").map(ms).unwrap(),
                    is_independent: attribute(value, "INDEPENDENT") == Some("YES"),
                }),
                "#EXT-X-PRELOAD-HINT" => {
                    playlist.hint = attribute(value, "URI").map(str::to_owned);
                }
                "#EXT-X-ENDLIST" => playlist.is_ended = true,
                _ if !line.starts_with('#') => {
                    next.uri = line.to_owned();
                    let map = next.map.clone();
                    playlist.segments.push(next);
                    next = Segment {
                        map,
                        ..Segment::default()
                    };
                }
                _ => panic!("an unknown tag: {line}"),
            }
        }
        playlist.open = next.parts;
        playlist
    }

    /// The next thing to ask for: number of a segment, place of a part in it.
    fn next(&self) -> (u64, u64) {
        let number = self.sequence + self.segments.len() as u64;
        (number, self.open.len() as u64)
    }
}

/// What a client of HLS may rely on, over all playlists of a stream (RFC 8216bis, 4.4.3, 6.2).
#[derive(Default)]
struct Rules {
    last: Option<Playlist>,
    /// Every segment that was ever listed, by its number, without its parts.
    segments: BTreeMap<u64, Segment>,
    /// Every part, by its URI.
    parts: BTreeMap<String, Part>,
    /// Discontinuities before each segment.
    discontinuities: BTreeMap<u64, u64>,
    hints: Vec<String>,
    windows: Vec<u64>,
}

impl Rules {
    fn check(&mut self, text: &str) -> Playlist {
        let playlist = Playlist::parse(text);
        assert!(!playlist.segments.is_empty(), "{text}");
        if let Some(last) = &self.last {
            assert_eq!(playlist.target, last.target, "{text}");
            assert_eq!(playlist.part_target, last.part_target, "{text}");
            assert!(playlist.sequence >= last.sequence, "{text}");
            assert!(playlist.next() >= last.next(), "{text}");
        }
        let mut discontinuities = playlist.discontinuity_sequence;
        for (number, segment) in (playlist.sequence..).zip(&playlist.segments) {
            discontinuities += u64::from(segment.has_discontinuity);
            let known = self
                .discontinuities
                .entry(number)
                .or_insert(discontinuities);
            assert_eq!(
                *known, discontinuities,
                "discontinuities up to {number}: {text}"
            );
            assert!(
                segment.duration + 500 < (playlist.target + 1) * 1000,
                "{text}"
            );
            self.check_parts(&playlist, &segment.parts, true);
            let sum: u64 = segment.parts.iter().map(|part| part.duration).sum();
            assert!(
                segment.parts.is_empty() || sum == segment.duration,
                "{text}"
            );
            let alone = Segment {
                parts: Vec::new(),
                map: segment.map.clone(),
                ..segment.clone()
            };
            let known = self.segments.entry(number).or_insert_with(|| alone.clone());
            assert_eq!(*known, alone, "segment {number} has changed");
        }
        self.check_parts(&playlist, &playlist.open, false);
        if let (Some(hint), Some(_)) = (&playlist.hint, playlist.part_target) {
            assert!(!playlist.is_ended);
            if self.hints.last() != Some(hint) {
                self.hints.push(hint.clone());
            }
        } else {
            assert!(playlist.is_ended, "a live playlist has a hint: {text}");
        }
        let window = playlist.segments.iter().map(|segment| segment.duration);
        self.windows.push(window.sum());
        self.last = Some(playlist.clone());
        playlist
    }

    fn check_parts(&mut self, playlist: &Playlist, parts: &[Part], is_complete: bool) {
        let target = playlist.part_target.unwrap_or_default();
        for (index, part) in parts.iter().enumerate() {
            let is_last = is_complete && index + 1 == parts.len();
            assert!(part.duration <= target, "{part:?}");
            assert!(is_last || part.duration * 100 >= target * 85, "{part:?}");
            let known = self
                .parts
                .entry(part.uri.clone())
                .or_insert_with(|| part.clone());
            assert_eq!(known, part, "it has changed");
        }
    }

    /// What can be said at the end only.
    fn finish(&self) {
        let last = self.last.as_ref().unwrap();
        assert!(last.is_ended, "{}", last.text);
        let target = last.target * 1000;
        // Three target durations are listed as soon as there are so many.
        let before = |window: &&u64| **window < 3 * target;
        let short = self.windows.iter().take_while(before).count();
        assert!(
            self.windows[short..]
                .iter()
                .all(|window| *window >= 3 * target)
        );
        // What was announced came, but for the last, which the end came before.
        let (_, came) = self.hints.split_last().unwrap();
        for hint in came {
            assert!(self.parts.contains_key(hint), "{hint} never came");
        }
        let numbers: Vec<_> = self.segments.keys().copied().collect();
        let first = numbers[0];
        assert_eq!(
            numbers,
            (first..first + numbers.len() as u64).collect::<Vec<_>>()
        );
    }
}

/// Follows a stream as a client of low latency does, checking each playlist; fetches every part
/// and every segment. Returns the parts and the segments as two files.
fn follow(scene: &Scene, rules: &mut Rules) -> [Vec<u8>; 2] {
    let mut client = scene.client();
    let get = |client: &mut HttpClient, uri: &str| {
        let answer = client.get(&format!("/live/cam/{uri}"));
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
        answer.body
    };
    let mut playlist = rules.check(&String::from_utf8(get(&mut client, "media.m3u8")).unwrap());
    let first = playlist.sequence;
    let init = get(&mut client, &playlist.segments[0].map);
    let (mut parts, mut segments) = (init.clone(), init);
    let mut fetched = Vec::<String>::new();
    loop {
        let all = (playlist.sequence..).zip(&playlist.segments);
        for (_, segment) in all.filter(|(number, _)| *number >= first) {
            if !fetched.contains(&segment.uri) {
                segments.extend(get(&mut client, &segment.uri));
                fetched.push(segment.uri.clone());
            }
        }
        let all = playlist.segments.iter().flat_map(|segment| &segment.parts);
        for part in all.chain(&playlist.open) {
            if !fetched.contains(&part.uri) {
                parts.extend(get(&mut client, &part.uri));
                fetched.push(part.uri.clone());
            }
        }
        if playlist.is_ended {
            return [parts, segments];
        }
        let (number, part) = playlist.next();
        let target = format!("media.m3u8?_HLS_msn={number}&_HLS_part={part}");
        playlist = rules.check(&String::from_utf8(get(&mut client, &target)).unwrap());
    }
}

fn capture(dir: &Path, name: &str, bytes: &[u8]) -> Capture {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    let mut command = media::quiet("ffmpeg");
    command.arg("-i").arg(&path).args(["-f", "null", "-"]);
    let mut decoding = Program::start(&mut command);
    decoding.wait_for_success(SOON);
    assert_eq!(decoding.stderr(), "", "{name} decodes without a word");
    Capture::of_file(&path)
}

#[test]
#[ignore = "needs ffmpeg"]
fn a_client_of_low_latency_gets_everything_by_the_rules() {
    let scene = Scene::new();
    let mut publisher = scene.publish();
    let mut rules = Rules::default();
    let [parts, segments] = follow(&scene, &mut rules);
    rules.finish();
    publisher.wait_for_success(SOON);
    assert!(parts == segments, "the segments are their parts");
    assert!(
        rules.windows.len() > 30,
        "{} playlists",
        rules.windows.len()
    );
    let got = capture(scene.dir.path(), "segments.mp4", &segments);
    scene.check_packets(&got, "the client");
    assert_monotonic(&got, "the client");
}

#[test]
#[ignore = "needs ffmpeg"]
fn a_camera_that_comes_back_keeps_the_rules() {
    let dir = TempDir::new();
    let file = media::make(&dir, 9, &[VIDEO, AAC]);
    let server = Brooklet::start(&["--grace", "8s"]);
    let scene = Scene { dir, file, server };
    let mut rules = Rules::default();
    let publisher = std::thread::scope(|scope| {
        let first = scene.publish();
        let scene = &scene;
        let again = scope.spawn(move || {
            let mut first = first;
            first.wait_for_success(SOON);
            scene.server.wait_for_log("stopped publishing", 1);
            let mut second = media::publish(&scene.file, &scene.server.url("cam"));
            second.wait_for_success(SOON);
        });
        follow(scene, &mut rules);
        again.join()
    });
    publisher.unwrap();
    rules.finish();
    let with = rules
        .segments
        .values()
        .filter(|segment| segment.has_discontinuity);
    assert_eq!(with.count(), 1);
    assert!(rules.segments.len() >= 8);
}
