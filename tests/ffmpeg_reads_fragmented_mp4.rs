//! What encoders publish becomes fragmented MP4 from which ffmpeg reads the same packets at the
//! same times, and decodes the same video and audio, without a warning.

mod common;
#[cfg(feature = "record")]
#[path = "ffmpeg_reads_fragmented_mp4/recorded.rs"]
mod recorded;

use std::path::Path;

use brooklet::media::Medium;
use brooklet::media::access_unit::{UnitFormat, clean_range};
use brooklet::media::codec::AudioCodec;
use brooklet::media::mp4::{
    AUDIO_TRACK_ID, AudioTrack, Fragment, Presentation, VIDEO_TRACK_ID, VideoTrack,
    format_of_keyframe,
};
use brooklet::media::tag::{Tag, TagKind};
use common::ffmpeg8::ffmpeg8;
use common::media::{self, AAC, H264_B_FRAMES};
use common::packets::{Capture, Packet, Track, decoded_pictures, flv_tags};
use common::process::{Program, run};
use common::{SOON, TempDir};

/// A frame, and when it is to be shown.
struct Frame {
    track: Track,
    /// In ms.
    timestamp: i64,
    composition_time: i32,
    is_sync: bool,
    body: Vec<u8>,
}

/// An FLV file converted to MP4.
struct Converted {
    presentation: Presentation,
    frames: Vec<Frame>,
    bytes: Vec<u8>,
}

impl Converted {
    fn of_flv(file: &Path) -> Converted {
        let mut presentation = Presentation::default();
        let mut frames = Vec::new();
        for tag in flv_tags(file) {
            let payload = &tag.body[..];
            let frame = match tag.type_id {
                9 => video_frame(payload, &mut presentation.video),
                8 => audio_frame(payload, &mut presentation.audio),
                _ => None,
            };
            frames.extend(frame.map(|frame| Frame {
                timestamp: tag.timestamp.into(),
                ..frame
            }));
        }
        let bytes = fragments(&presentation, &frames);
        Converted {
            presentation,
            frames,
            bytes,
        }
    }

    fn frames(&self, track: Track) -> Vec<&Frame> {
        let frames = self.frames.iter();
        frames.filter(|frame| frame.track == track).collect()
    }
}

fn video_frame(payload: &[u8], video: &mut Option<VideoTrack>) -> Option<Frame> {
    let tag = Tag::parse(Medium::Video, payload).expect("ffmpeg writes good tags");
    let body = &payload[tag.body_offset..];
    match tag.kind {
        TagKind::SequenceHeader => {
            let track = VideoTrack::from_sequence_header(payload);
            *video = Some(track.expect("a codec of MP4"));
            None
        }
        TagKind::Frames => {
            let track = video.take().expect("a sequence header comes first");
            let format = UnitFormat {
                codec: track.codec,
                length_size: 4,
            };
            let skipped = clean_range(format, 0, &mut std::iter::once(body)).start;
            let needs_size = tag.is_keyframe && track.format.is_none();
            *video = Some(match format_of_keyframe(track.codec, body) {
                Some(format) if needs_size => track.with_format(format),
                _ => track,
            });
            Some(Frame {
                track: Track::Video,
                timestamp: 0,
                composition_time: tag.composition_time,
                is_sync: tag.is_keyframe,
                body: body[skipped..].to_vec(),
            })
        }
        _ => None,
    }
}

fn audio_frame(payload: &[u8], audio: &mut Option<AudioTrack>) -> Option<Frame> {
    let tag = Tag::parse(Medium::Audio, payload).expect("ffmpeg writes good tags");
    match tag.kind {
        TagKind::SequenceHeader => {
            *audio = AudioTrack::from_sequence_header(payload).or(audio.take())
        }
        TagKind::Frames if audio.is_none() => *audio = AudioTrack::from_frame(payload),
        _ => {}
    }
    (tag.kind == TagKind::Frames).then(|| Frame {
        track: Track::Audio,
        timestamp: 0,
        composition_time: 0,
        is_sync: true,
        body: payload[tag.body_offset..].to_vec(),
    })
}

/// Video durations follow the timestamps, audio durations the frames.
fn fragments(presentation: &Presentation, frames: &[Frame]) -> Vec<u8> {
    let mut bytes = presentation.init_segment();
    let mut audio_time = None;
    for (index, frame) in frames.iter().enumerate() {
        let next = frames[index + 1..].iter().find(|f| f.track == frame.track);
        let (track_id, decode_time, duration) = match (frame.track, &presentation.audio) {
            (Track::Audio, Some(audio)) => {
                let rate = i64::from(audio.sample_rate);
                let start = audio_time.unwrap_or(frame.timestamp * rate / 1000);
                let samples = audio.samples(&frame.body[..frame.body.len().min(16)]);
                audio_time = Some(start + i64::from(samples));
                (AUDIO_TRACK_ID, start, samples)
            }
            _ => {
                let duration = next.map_or(33, |next| next.timestamp - frame.timestamp);
                (VIDEO_TRACK_ID, frame.timestamp, duration as u32)
            }
        };
        let fragment = Fragment {
            sequence: index as u32 + 1,
            track_id,
            decode_time: decode_time as u64,
            duration,
            composition_offset: frame.composition_time,
            is_sync: frame.is_sync,
            len: frame.body.len() as u32,
        };
        bytes.extend_from_slice(&fragment.head());
        bytes.extend_from_slice(&frame.body);
    }
    bytes
}

/// Decodes everything in a file; returns ffmpeg's warnings, and hashes of the audio.
fn decode(file: &Path) -> (String, String) {
    let mut command = media::quiet("ffmpeg");
    command.arg("-i").arg(file).args(["-map", "0"]);
    // Otherwise ffmpeg rounds the times to a frame rate of its own guess.
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "1:1000"]);
    let mut program = Program::start(command.args(["-f", "null", "-"]));
    program.wait_for_success(SOON);
    let mut command = media::quiet("ffmpeg");
    command.arg("-i").arg(file).args(["-map", "0:a"]);
    let sound = run(command.args(["-f", "hash", "-hash", "md5", "-"]));
    (program.stderr(), sound)
}

/// Checks that the packets in `file` have the times of the frames and the bytes of `source`, and
/// are decoded to the same frames without a warning.
fn assert_reads(name: &str, converted: &Converted, file: &Path, source: &Path) -> Capture {
    std::fs::write(file, &converted.bytes).expect("there is room for a small file");
    let (got, expected) = (Capture::of_file(file), Capture::of_file(source));
    let codecs = |c: &Capture| c.tracks.iter().map(|t| t.codec.clone()).collect::<Vec<_>>();
    assert_eq!(codecs(&got), codecs(&expected), "{name}");
    for track in [Track::Video, Track::Audio] {
        let packets = got.track(track);
        assert!(packets.len() > 30, "{name}: {} packets", packets.len());
        assert_same_bytes(name, &got.hashes(track), &expected.hashes(track));
        for (frame, packet) in converted.frames(track).into_iter().zip(packets) {
            assert_time(name, converted, frame, packet);
        }
    }
    assert_eq!(
        decode(file).0,
        "",
        "{name}: ffmpeg has nothing to complain about"
    );
    assert_eq!(decoded_pictures(file), decoded_pictures(source), "{name}");
    got
}

/// ffprobe 5.1 prints no hash of a first packet with samples to be dropped.
fn assert_same_bytes(name: &str, got: &[&str], expected: &[&str]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    assert!(expected[1..].iter().all(|hash| !hash.is_empty()), "{name}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            got == expected || expected.is_empty(),
            "{name}: packet {index}"
        );
    }
}

fn assert_time(name: &str, converted: &Converted, frame: &Frame, packet: &Packet) {
    match (&converted.presentation.audio, frame.track) {
        // In samples, while ms are rounded.
        (Some(audio), Track::Audio) => {
            let at_ms = packet.dts * 1000 / i64::from(audio.sample_rate);
            let off = at_ms - frame.timestamp;
            assert!(
                off.abs() <= 1,
                "{name}: audio is {off} ms off at {at_ms} ms"
            );
        }
        _ => {
            let pts = frame.timestamp + i64::from(frame.composition_time);
            assert_eq!((packet.dts, packet.pts), (frame.timestamp, pts), "{name}");
            assert_eq!(packet.is_keyframe, frame.is_sync, "{name} at {pts} ms");
        }
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_reads_h264_with_b_frames_and_aac_or_mp3() {
    const MP3: &[&str] = &["-c:a", "libmp3lame"];
    const MP3_22: &[&str] = &["-c:a", "libmp3lame", "-ar", "22050", "-ac", "1"];
    const AAC_8: &[&str] = &["-c:a", "aac", "-ar", "8000", "-ac", "1"];

    for (audio, codecs, rate) in [
        (AAC, "avc1.64001E,mp4a.40.2", 44100),
        (AAC_8, "avc1.64001E,mp4a.40.2", 8000),
        (MP3, "avc1.64001E,mp4a.40.34", 44100),
        (MP3_22, "avc1.64001E,mp4a.40.34", 22050),
    ] {
        let dir = TempDir::new();
        let file = media::make(&dir, 5, &[H264_B_FRAMES, audio]);
        let converted = Converted::of_flv(&file);
        let name = format!("{codecs} {rate} Hz");
        assert_eq!(converted.presentation.codecs(), codecs);
        let audio = converted.presentation.audio.as_ref().unwrap();
        assert_eq!(audio.sample_rate, rate, "{name}");

        let mp4 = dir.join("converted.mp4");
        let got = assert_reads(&name, &converted, &mp4, &file);
        assert!(
            got.packets.iter().any(|p| p.pts != p.dts),
            "there are B-frames"
        );
        assert_eq!(decode(&mp4), decode(&file), "{name}: the same sound");
        if audio.codec == AudioCodec::Aac {
            assert_eq!(
                got.tracks,
                Capture::of_file(&file).tracks,
                "{name}: headers"
            );
        }
    }
}

#[test]
#[ignore = "needs ffmpeg, BROOKLET_PYAV"]
fn ffmpeg_reads_the_codecs_of_enhanced_rtmp() {
    const HEVC: &str = "-c:v libx265 -preset ultrafast -tag:v hvc1 -x265-params \
        log-level=none:keyint=15:min-keyint=15:open-gop=0:bframes=2";
    const AV1: &str = "-c:v libsvtav1 -preset 12 -g 15";
    const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k -g 15";
    const AAC: &str = "-c:a aac -ac 2";
    const OPUS: &str = "-c:a libopus -b:a 64k -ar 48000 -ac 2";
    const OPUS_10: &str = "-c:a libopus -frame_duration 10 -ar 48000 -ac 1";
    const FLAC: &str = "-c:a flac -strict experimental";
    const FLAC_96: &str = "-c:a flac -strict experimental -ar 96000 -frame_size 1200";
    let rows = [
        (HEVC, AAC, "hvc1.1.6.L60.90,mp4a.40.2"),
        (HEVC, OPUS, "hvc1.1.6.L60.90,Opus"),
        (AV1, FLAC, "av01.0.00M.08,fLaC"),
        (AV1, OPUS_10, "av01.0.00M.08,Opus"),
        (VP9, OPUS, "vp09.00.11.08,Opus"),
        (VP9, FLAC_96, "vp09.00.11.08,fLaC"),
    ];
    for (video, audio, codecs) in rows {
        let dir = TempDir::new();
        let (source, flv) = (dir.join("source.mp4"), dir.join("source.flv"));
        let mut command = media::quiet("ffmpeg");
        let inputs = "-f lavfi -i testsrc2=size=322x180:rate=15 -f lavfi -i sine=beep_factor=4";
        command.args(inputs.split_whitespace());
        command.args(["-t", "4", "-pix_fmt", "yuv420p"]);
        command.args(video.split_whitespace());
        command.args(audio.split_whitespace());
        run(command.arg(&source));
        run(ffmpeg8(&[]).arg(&source).arg("flv").arg(&flv));

        let converted = Converted::of_flv(&flv);
        assert_eq!(converted.presentation.codecs(), codecs);
        let track = converted.presentation.video.as_ref().unwrap();
        let format = track.format.expect("a size");
        assert_eq!(format.size(), (322, 180), "{codecs}");
        assert_reads(codecs, &converted, &dir.join("converted.mp4"), &source);
        #[cfg(feature = "record")]
        recorded::assert_both_forms(codecs, &converted, &dir);
    }
}
