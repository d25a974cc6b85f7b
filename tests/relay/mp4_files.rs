//! MP4 files of each pair of codecs and each form, as the messages that ffmpeg makes of them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use brooklet::Medium;
use brooklet::media::Error;
use brooklet::media::flv_reader::{FlvPart, FlvReader};
use brooklet::media::mp4::demux::{Demuxer, ReadAt};
use brooklet::media::tag::{Tag, TagKind};

use crate::common::TempDir;
use crate::common::media::ffmpeg9;
use crate::common::process::run;

/// Names, encoders, and options of the muxer.
const FILES: &[(&str, &[&str])] = &[
    ("h264_aac.mp4", &["libx264", "aac"]),
    (
        "faststart.mp4",
        &["libx264", "aac", "-movflags", "+faststart"],
    ),
    (
        "fragments.mp4",
        &[
            "libx264",
            "aac",
            "-movflags",
            "+frag_keyframe+empty_moov+default_base_moof",
        ],
    ),
    (
        "base_offsets.mp4",
        &["libx264", "aac", "-movflags", "+frag_keyframe+delay_moov"],
    ),
    (
        "each_frame.mp4",
        &[
            "libx264",
            "aac",
            "-movflags",
            "+frag_every_frame+empty_moov",
        ],
    ),
    (
        "negative.mp4",
        &["libx264", "aac", "-movflags", "+negative_cts_offsets"],
    ),
    ("no_edits.mp4", &["libx264", "aac", "-use_editlist", "0"]),
    ("quicktime.mov", &["libx264", "aac"]),
    ("hvc1_aac.mp4", &["libx265", "aac", "-tag:v", "hvc1"]),
    ("hev1_aac.mp4", &["libx265", "aac", "-tag:v", "hev1"]),
    ("av1_opus.mp4", &["libsvtav1", "libopus"]),
    ("vp9_opus.mp4", &["libvpx-vp9", "libopus"]),
    ("h264_mp3.mp4", &["libx264", "libmp3lame"]),
    ("h264_flac.mp4", &["libx264", "flac", "-strict", "-2"]),
    ("h264_ac3.mp4", &["libx264", "ac3"]),
    ("h264_eac3.mp4", &["libx264", "eac3"]),
];

struct AtFile(File);

impl ReadAt for AtFile {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        Ok(self.0.read_at(buffer, at).unwrap())
    }
}

/// A frame or header: its time, when it is shown, whether it is a keyframe, and its bytes behind the tag.
#[derive(Debug)]
struct Message {
    time: i64,
    shown: i64,
    is_keyframe: bool,
    body: Vec<u8>,
}

impl Message {
    fn is_of(&self, other: &Message) -> bool {
        // ffmpeg clears `array_completeness` in the headers of HEVC (ISO/IEC 14496-15, 8.3.3.1).
        let without_bit = |body: &[u8]| body.iter().map(|byte| byte & 0x7F).collect::<Vec<_>>();
        let is_hevc_header = self.body.starts_with(&[1]) && self.time == 0;
        // And leaves out what stands before the STREAMINFO of FLAC.
        let body = self
            .body
            .strip_prefix(b"fLaC\x80\0\0\x22")
            .unwrap_or(&self.body);
        body == other.body || is_hevc_header && without_bit(&self.body) == without_bit(&other.body)
    }
}

/// Adds a message to those of its medium, unless it is the end of a sequence.
fn add(to: &mut [Vec<Message>; 2], medium: Medium, time: u32, payload: &[u8]) {
    let tag = Tag::parse(medium, payload).unwrap();
    // ffmpeg writes headers of AC-3, with nothing in them.
    let is_empty = tag.kind == TagKind::SequenceHeader && payload.len() == tag.body_offset;
    if is_empty || !matches!(tag.kind, TagKind::SequenceHeader | TagKind::Frames) {
        return;
    }
    to[usize::from(medium == Medium::Video)].push(Message {
        time: time.into(),
        shown: i64::from(time) + i64::from(tag.composition_time),
        is_keyframe: tag.is_keyframe,
        body: payload[tag.body_offset..].to_vec(),
    });
}

fn demux(path: &Path) -> [Vec<Message>; 2] {
    let mut file = AtFile(File::open(path).unwrap());
    let mut demuxer = Demuxer::open(&mut file, 1 << 24).unwrap();
    let mut messages = Default::default();
    let mut payload = Vec::new();
    while let Some(found) = demuxer.next(&mut file, &mut payload).unwrap() {
        add(&mut messages, found.medium, found.timestamp, &payload);
    }
    messages
}

/// What ffmpeg makes of it.
fn expected(path: &Path) -> [Vec<Message>; 2] {
    let flv = path.with_extension("flv");
    let mut ffmpeg = Command::new(ffmpeg9());
    ffmpeg.args(["-v", "error", "-y", "-i"]).arg(path);
    run(ffmpeg.args(["-c", "copy", "-f", "flv"]).arg(&flv));
    let bytes = fs::read(flv).unwrap();
    let (mut input, mut reader) = (&*bytes, FlvReader::new(1 << 24));
    let (mut messages, mut payload, mut open) = (Default::default(), Vec::new(), None);
    while let Some(part) = reader.read(&mut input).unwrap() {
        match part {
            FlvPart::Tag(header) => (open, payload) = (Some(header), Vec::new()),
            FlvPart::Payload(bytes) => payload.extend_from_slice(bytes),
            FlvPart::End => {
                let header = open.unwrap();
                match header.tag_type {
                    8 => add(&mut messages, Medium::Audio, header.timestamp, &payload),
                    9 => add(&mut messages, Medium::Video, header.timestamp, &payload),
                    _ => {}
                }
            }
        }
    }
    messages
}

fn make(path: &Path, options: &[&str]) {
    let mut ffmpeg = Command::new(ffmpeg9());
    ffmpeg.args(["-v", "error", "-y", "-f", "lavfi", "-i"]);
    ffmpeg.args(["testsrc=size=160x120:rate=30000/1001", "-f", "lavfi", "-i"]);
    ffmpeg.args(["sine=sample_rate=48000", "-t", "3", "-g", "30", "-bf", "2"]);
    let [video, audio, muxer @ ..] = options else {
        panic!()
    };
    ffmpeg.args(["-c:v", video, "-c:a", audio]).args(muxer);
    run(ffmpeg.arg(path));
}

fn assert_equal(name: &str, path: &Path) {
    let (ours, theirs) = (demux(path), expected(path));
    for (medium, ours, theirs) in [
        ("audio", &ours[0], &theirs[0]),
        ("video", &ours[1], &theirs[1]),
    ] {
        assert_eq!(ours.len(), theirs.len(), "{name}: {medium}");
        assert!(ours.len() > 50, "{name}: {medium}");
        for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            let place = format!("{name}: {medium} {index} at {} ms", theirs.time);
            assert!(ours.is_of(theirs), "{place}: other bytes");
            assert_eq!(ours.is_keyframe, theirs.is_keyframe, "{place}");
            // ffmpeg rounds to the nearest ms.
            assert!(
                (ours.time - theirs.time).abs() <= 1,
                "{place}: {}",
                ours.time
            );
            let shown = (ours.shown - theirs.shown).abs();
            assert!(shown <= 1, "{place}: shown at {}", ours.shown);
        }
    }
    println!("{name}: {} audio, {} video", ours[0].len(), ours[1].len());
}

#[test]
#[ignore = "needs BROOKLET_FFMPEG9"]
fn mp4_files_of_all_codecs_and_forms_give_what_ffmpeg_makes_of_them() {
    let dir = TempDir::new();
    for (name, options) in FILES {
        let path = dir.join(name);
        make(&path, options);
        assert_equal(name, &path);
    }
    // A part of a file, which begins between keyframes: its edit list cuts frames off.
    let path = dir.join("cut.mp4");
    let mut ffmpeg = Command::new(ffmpeg9());
    ffmpeg.args(["-v", "error", "-ss", "0.5", "-i"]);
    ffmpeg.arg(dir.join(FILES[0].0));
    run(ffmpeg.args(["-c", "copy"]).arg(&path));
    assert_equal("cut.mp4", &path);
}
