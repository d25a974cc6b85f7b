//! What ffmpeg publishes, ffmpeg plays: the same packets with the same timestamps, whenever the
//! player joins.

mod common;

use std::path::Path;
use std::time::Duration;

use brooklet::rtmp::amf0::{self, MissingEnd, Value};
use common::media::{self, AAC, H264, H264_B_FRAMES, NO_AUDIO, NO_VIDEO, SORENSON_AND_MP3};
use common::packets::{Capture, FlvTag, Track, assert_monotonic, assert_same_packets, flv_tags};
use common::process::{Program, run};
use common::{Brooklet, SOON, TempDir, wait_until};

/// Three players of one publish, each to the end of the stream.
struct Played {
    source: Capture,
    /// Joined before the publisher.
    early: Capture,
    /// Joined late, with the default join.
    late: Capture,
    /// Joined late, with `?join=gop`.
    late_gop: Capture,
}

impl Played {
    /// Publishes a file in real time; the late players join at `join_at` ms of it.
    fn of(file: &Path, join_at: i64) -> Played {
        let server = Brooklet::start(&["--grace", "1s"]);
        let url = server.url("cam");
        let mut early = media::play(&url);
        server.wait_for_log("waiting for its publisher", 1);
        let mut publisher = media::publish(file, &url);
        wait_until("it is time for the late players", SOON * 2, || {
            Capture::of_player(&early).position() >= join_at
        });
        let mut late = media::play(&url);
        let mut late_gop = media::play(&format!("{url}?join=gop"));
        publisher.wait_for_success(Duration::from_secs(90));
        let capture = |player: &mut Program| {
            player.wait_for_success(SOON);
            assert_eq!(player.stderr(), "", "ffprobe has nothing to complain about");
            Capture::of_player(player)
        };
        let played = Played {
            source: Capture::of_file(file),
            early: capture(&mut early),
            late: capture(&mut late),
            late_gop: capture(&mut late_gop),
        };
        server.stop();
        played
    }

    fn players(&self) -> [(&str, &Capture); 3] {
        [
            ("early", &self.early),
            ("late", &self.late),
            ("late, gop", &self.late_gop),
        ]
    }

    /// Checks what holds for every player and every kind of media.
    fn check_all(&self) {
        for (who, player) in self.players() {
            assert_eq!(
                player.tracks, self.source.tracks,
                "{who}: tracks and sequence headers"
            );
            assert_monotonic(player, who);
            let last = |capture: &Capture, track| capture.track(track).last().map(|p| p.dts);
            for track in [Track::Video, Track::Audio] {
                // Both tracks end as in the source, so they are in sync.
                assert_eq!(
                    last(player, track),
                    last(&self.source, track),
                    "{who}: end of {track:?}"
                );
            }
        }
    }

    /// Checks what holds when there is video: every player starts at a keyframe, and from there on
    /// nothing is missing but the audio that a live-edge join leaves out.
    fn check_video(&self) {
        let first_keyframe = self.source.track(Track::Video)[0].hash.clone();
        assert_eq!(self.early.track(Track::Video)[0].hash, first_keyframe);
        for (who, player) in [("early", &self.early), ("late, gop", &self.late_gop)] {
            let expected = self
                .source
                .starting_at_keyframe(&player.track(Track::Video)[0].hash);
            assert_same_packets(Track::Video, &expected, player, who);
            // Audio that came in a read of its own before the first video frame is a join point,
            // too.
            let first =
                |capture: &Capture| capture.track(Track::Audio).first().map(|p| p.hash.clone());
            let from_the_start = first(player) == first(&self.source);
            let expected = if from_the_start {
                &self.source
            } else {
                &expected
            };
            assert_same_packets(Track::Audio, expected, player, who);
        }
        self.check_live_edge_join();
    }

    fn check_live_edge_join(&self) {
        /// The cached audio frames that a player is sent, see `BURST_AUDIO_FRAMES`.
        const AUDIO_FRAMES: usize = 4;

        let video = self.late.track(Track::Video);
        let expected = self.source.starting_at_keyframe(&video[0].hash);
        let expected_video = expected.track(Track::Video);
        assert_eq!(
            self.late.hashes(Track::Video),
            expected.hashes(Track::Video)
        );

        // The cached video frames come 1 ms apart and end at the live edge; the rest is as
        // published.
        let is_moved = |(got, expected): &(&&_, &&_)| got != expected;
        let burst = video
            .iter()
            .zip(&expected_video)
            .take_while(is_moved)
            .count();
        assert!(
            burst > 10,
            "{burst} pictures were stamped anew, there were more to catch up with"
        );
        for (got, next) in video[..=burst].iter().zip(&video[1..=burst]) {
            assert_eq!(next.dts - got.dts, 1, "the cached pictures are 1 ms apart");
        }
        for (got, expected) in video.iter().zip(&expected_video) {
            assert_eq!(
                got.pts - got.dts,
                expected.pts - expected.dts,
                "composition time"
            );
        }
        assert_eq!(
            video[burst..],
            expected_video[burst..],
            "pictures after the burst"
        );

        // Audio has no gap from its first frame on, and begins with the newest cached frames.
        let (audio, expected_audio) = (self.late.track(Track::Audio), expected.track(Track::Audio));
        if expected_audio.is_empty() {
            return;
        }
        assert_eq!(
            audio[..],
            expected_audio[expected_audio.len() - audio.len()..],
            "audio"
        );
        let live_edge = video[burst];
        let in_burst = self
            .late
            .packets
            .iter()
            .take_while(|packet| *packet != live_edge);
        let in_burst = in_burst
            .filter(|packet| packet.track == Track::Audio)
            .count();
        assert!(
            in_burst <= AUDIO_FRAMES,
            "{in_burst} audio frames in the burst"
        );
        let after_edge = audio[0].dts - live_edge.dts;
        assert!(
            after_edge < 50,
            "the first sound is {after_edge} ms later than the live edge"
        );
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn a_minute_of_h264_and_aac_reaches_early_and_late_players_unchanged() {
    let dir = TempDir::new();
    let file = media::make(&dir, 60, &[H264, AAC]);
    let played = Played::of(&file, 13_000);
    played.check_all();
    played.check_video();
}

#[test]
#[ignore = "needs ffmpeg"]
fn h264_with_b_frames_is_relayed_unchanged() {
    let dir = TempDir::new();
    let played = Played::of(&media::make(&dir, 11, &[H264_B_FRAMES, AAC]), 6_000);
    let reordered = |packet: &&common::packets::Packet| packet.pts != packet.dts;
    assert!(
        played.source.track(Track::Video).iter().any(reordered),
        "B-frames were made"
    );
    played.check_all();
    played.check_video();
}

#[test]
#[ignore = "needs ffmpeg"]
fn sorenson_video_and_mp3_are_relayed_unchanged() {
    let dir = TempDir::new();
    let played = Played::of(&media::make(&dir, 11, &[SORENSON_AND_MP3]), 6_000);
    played.check_all();
    played.check_video();
}

#[test]
#[ignore = "needs ffmpeg"]
fn video_without_audio_is_relayed_unchanged() {
    let dir = TempDir::new();
    let played = Played::of(&media::make(&dir, 11, &[H264, NO_AUDIO]), 6_000);
    played.check_all();
    played.check_video();
}

#[test]
#[ignore = "needs ffmpeg"]
fn audio_without_video_is_relayed_unchanged() {
    let dir = TempDir::new();
    let played = Played::of(&media::make(&dir, 11, &[NO_VIDEO, AAC]), 6_000);
    played.check_all();
    let source = played.source.track(Track::Audio);
    // Every frame is a join point, so a player starts with the newest of those that were read
    // together.
    for (who, player, start) in [
        ("early", &played.early, 0..500),
        ("late", &played.late, 6_000..8_000),
        ("late, gop", &played.late_gop, 6_000..8_000),
    ] {
        let got = player.track(Track::Audio);
        assert!(
            start.contains(&got[0].dts),
            "{who} starts at {} ms",
            got[0].dts
        );
        assert_eq!(got[..], source[source.len() - got.len()..], "{who}");
    }
}

#[test]
#[ignore = "needs ffmpeg, rtmpdump"]
fn a_late_player_gets_metadata_and_sequence_headers_before_the_first_frame() {
    let dir = TempDir::new();
    let file = media::make(&dir, 6, &[H264, AAC]);
    let server = Brooklet::start(&["--grace", "1s"]);
    let url = server.url("cam");
    let mut early = media::play(&url);
    server.wait_for_log("waiting for its publisher", 1);
    let mut publisher = media::publish(&file, &url);
    wait_until("the publisher is well under way", SOON, || {
        Capture::of_player(&early).position() >= 2_000
    });
    let dump = dir.join("dump.flv");
    let mut command = std::process::Command::new("rtmpdump");
    run(command.args(["-q", "--live", "-r", &url, "-o"]).arg(&dump));
    publisher.wait_for_success(SOON);
    early.wait_for_success(SOON);

    let (source, got) = (flv_tags(&file), flv_tags(&dump));
    let (source_properties, source_kind) = metadata(&source);
    let (properties, kind) = metadata(&got);
    assert_eq!(kind, source_kind, "metadata is an ECMA array");
    for key in [
        "width",
        "height",
        "framerate",
        "videocodecid",
        "audiocodecid",
        "audiosamplerate",
    ] {
        let find = |properties: &[(String, Value)]| {
            properties
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.clone())
        };
        assert!(find(&properties).is_some(), "{key} is there");
        assert_eq!(find(&properties), find(&source_properties), "{key}");
    }
    let first = |is: &dyn Fn(&FlvTag) -> bool| got.iter().position(is).expect("it is there");
    let script = first(&|tag| is_metadata(tag));
    let video_header = first(&|tag| tag.type_id == 9 && tag.is_sequence_header());
    let audio_header = first(&|tag| tag.type_id == 8 && tag.is_sequence_header());
    let picture = first(&|tag| tag.type_id == 9 && !tag.is_sequence_header());
    let sound = first(&|tag| tag.type_id == 8 && !tag.is_sequence_header());
    assert!(got[picture].is_keyframe());
    assert!(script < video_header && script < audio_header);
    assert!(video_header < picture && audio_header < sound && audio_header < picture);
    for tag in got.iter().filter(|tag| tag.type_id == 18) {
        assert_eq!(
            tag.timestamp,
            0,
            "timestamp of {:?}",
            String::from_utf8_lossy(&tag.body[3..15])
        );
    }
    server.stop();
}

fn is_metadata(tag: &FlvTag) -> bool {
    tag.type_id == 18 && tag.body.starts_with(b"\x02\x00\x0AonMetaData")
}

/// The properties of a file's first metadata, and the AMF0 marker of their container.
fn metadata(tags: &[FlvTag]) -> (Vec<(String, Value)>, u8) {
    let tag = tags
        .iter()
        .find(|tag| is_metadata(tag))
        .expect("there is metadata");
    let values = amf0::parse(&tag.body, MissingEnd::Refused).expect("the metadata is AMF0");
    let kind = tag.body["\x02\x00\x0AonMetaData".len()];
    match values.into_iter().nth(1) {
        Some(Value::EcmaArray(properties) | Value::Object(properties)) => (properties, kind),
        other => panic!("metadata is {other:?}"),
    }
}
