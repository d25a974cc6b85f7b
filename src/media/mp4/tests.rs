//! What is written is read back by a reader that knows nothing of the writer.

use super::*;
use crate::media::codec::{AudioCodec, VideoCodec};
use proptest::prelude::*;

/// A box: its name and what is in it, other boxes if it is known to have any.
#[derive(Debug)]
struct Node {
    name: String,
    body: Vec<u8>,
    children: Vec<Node>,
}

/// How many bytes of a box's body come before the boxes in it; `None` if there are none.
fn boxes_begin_at(name: &str) -> Option<usize> {
    Some(match name {
        "moov" | "trak" | "mdia" | "minf" | "dinf" | "stbl" | "mvex" | "moof" | "traf" => 0,
        "stsd" | "dref" => 8,
        "avc1" | "hvc1" | "av01" | "vp09" => 78,
        "mp4a" | "Opus" | "fLaC" => 28,
        _ => return None,
    })
}

/// Reads boxes; every byte must belong to one.
fn nodes(mut bytes: &[u8]) -> Vec<Node> {
    let mut nodes = Vec::new();
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let name = String::from_utf8(bytes[4..8].to_vec()).unwrap();
        let body = bytes[8..size].to_vec();
        let begin = boxes_begin_at(&name);
        let children = begin.map_or(Vec::new(), |begin| self::nodes(&body[begin..]));
        nodes.push(Node {
            name,
            body,
            children,
        });
        bytes = &bytes[size..];
    }
    nodes
}

/// The bodies of all boxes at a path of names.
fn bodies<'a>(nodes: &'a [Node], path: &str) -> Vec<&'a [u8]> {
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let found = nodes.iter().filter(|node| node.name == name);
    match rest {
        "" => found.map(|node| &node.body[..]).collect(),
        rest => found
            .flat_map(|node| bodies(&node.children, rest))
            .collect(),
    }
}

fn body<'a>(nodes: &'a [Node], path: &str) -> &'a [u8] {
    match bodies(nodes, path)[..] {
        [body] => body,
        ref bodies => panic!("{} boxes {path}", bodies.len()),
    }
}

fn u32_at(body: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(body[at..at + 4].try_into().unwrap())
}

fn u16_at(body: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(body[at..at + 2].try_into().unwrap())
}

/// libx264, 640x360.
const AVC: &[u8] = b"\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\x2F\xF9\x70\x11\0\0\
    \x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";

/// libx265, 1920x1080, parameter sets only.
const HEVC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\x03\
    \x20\0\x01\0\x18\x40\x01\x0C\x01\xFF\xFF\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\x95\x98\
    \x09\x21\0\x01\0\x2A\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\xA0\x03\xC0\x80\
    \x10\xE5\x96\x56\x69\x24\xCA\xF0\x16\x80\x80\0\0\x03\0\x80\0\0\x0F\x04\
    \x22\0\x01\0\x07\x44\x01\xC1\x72\xB4\x62\x40";

/// libaom, 322x180.
const AV1: &[u8] = b"\x81\0\x0C\0\x0A\x0B\0\0\0\x04\x3D\x06\xCC\xDA\xF9\0\x40";

/// libvpx, with version and flags.
const VP9: &[u8] = b"\x01\0\0\0\0\x0B\x82\x02\x02\x02\0\0";

/// libopus, stereo, 312 samples to be dropped.
const OPUS: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0";

/// ffmpeg, 44.1 kHz mono.
const FLAC: &[u8] = b"\x10\0\x10\0\0\0\x0E\0\x10\xF2\x0A\xC4\x40\xF0\0\0\0\0\
    \xD4\x1D\x8C\xD9\x8F\0\xB2\x04\xE9\x80\x09\x98\xEC\xF8\x42\x7E";

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn video(payload: &[u8]) -> VideoTrack {
    VideoTrack::from_sequence_header(payload).expect("a good sequence header")
}

fn audio(payload: &[u8]) -> AudioTrack {
    let track = AudioTrack::from_sequence_header(payload);
    track
        .or_else(|| AudioTrack::from_frame(payload))
        .expect("a good sequence header or frame")
}

fn presentation(video: Option<&[u8]>, audio: Option<&[u8]>) -> Presentation {
    Presentation {
        video: video.map(self::video),
        audio: audio.map(self::audio),
    }
}

#[test]
fn video_tracks_of_every_form_are_written_with_their_configuration() {
    // Name, payload, entry and its box, what is in that, size.
    type Row = (&'static str, Vec<u8>, &'static str, Vec<u8>, [u16; 2]);
    let legacy = |first: &[u8], config: &[u8]| joined(&[first, b"\0\0\0\0", config]);
    let rows: Vec<Row> = vec![
        (
            "legacy H.264",
            legacy(b"\x17", AVC),
            "avc1/avcC",
            AVC.into(),
            [640, 360],
        ),
        (
            "Enhanced H.264",
            joined(&[b"\x90avc1", AVC]),
            "avc1/avcC",
            AVC.into(),
            [640, 360],
        ),
        (
            "legacy H.265",
            legacy(b"\x1C", HEVC),
            "hvc1/hvcC",
            HEVC.into(),
            [1920, 1080],
        ),
        (
            "Enhanced H.265",
            joined(&[b"\x90hvc1", HEVC]),
            "hvc1/hvcC",
            HEVC.into(),
            [1920, 1080],
        ),
        (
            "H.265 as H.264",
            legacy(b"\x17", HEVC),
            "hvc1/hvcC",
            HEVC.into(),
            [1920, 1080],
        ),
        (
            "AV1",
            joined(&[b"\x90av01", AV1]),
            "av01/av1C",
            AV1.into(),
            [322, 180],
        ),
        (
            "legacy AV1",
            legacy(b"\x1D", AV1),
            "av01/av1C",
            AV1.into(),
            [322, 180],
        ),
        (
            "AV1 without units",
            joined(&[b"\x90av01", &AV1[..4]]),
            "av01/av1C",
            AV1[..4].into(),
            [0; 2],
        ),
        (
            "VP9",
            joined(&[b"\x90vp09", VP9]),
            "vp09/vpcC",
            VP9.into(),
            [0, 0],
        ),
        (
            "VP9 without version",
            joined(&[b"\x90vp09", &VP9[4..]]),
            "vp09/vpcC",
            VP9.into(),
            [0, 0],
        ),
    ];
    for (name, payload, path, config, size) in rows {
        let presentation = presentation(Some(&payload), None);
        let track = presentation.video.as_ref().unwrap();
        assert_eq!([track.width(), track.height()], size, "{name}");
        assert_eq!(track.has_size(), size != [0, 0], "{name}");

        let nodes = nodes(&presentation.init_segment());
        let path = format!("moov/trak/mdia/minf/stbl/stsd/{path}");
        assert_eq!(body(&nodes, &path), config, "{name}");
        let (entry, _) = path.rsplit_once('/').unwrap();
        let entry = body(&nodes, entry);
        assert_eq!([u16_at(entry, 24), u16_at(entry, 26)], size, "{name}");
        let header = body(&nodes, "moov/trak/tkhd");
        let [width, height] = size.map(|pixels| u32::from(pixels) << 16);
        assert_eq!(
            (u32_at(header, 76), u32_at(header, 80)),
            (width, height),
            "{name}"
        );
    }
}

#[test]
fn audio_tracks_of_every_form_are_written_with_their_configuration() {
    const AAC_DESCRIPTOR: &[u8] = b"\0\0\0\0\x03\x80\x80\x80\x22\0\x02\0\x04\x80\x80\x80\x14\x40\
        \x15\0\0\0\0\0\0\0\0\0\0\0\x05\x80\x80\x80\x02\x11\x90\x06\x80\x80\x80\x01\x02";
    let mp3_descriptor = |object_type: u8| {
        joined(&[
            b"\0\0\0\0\x03\x80\x80\x80\x1B\0\x02\0\x04\x80\x80\x80\x0D",
            &[object_type],
            b"\x15\0\0\0\0\0\0\0\0\0\0\0\x06\x80\x80\x80\x01\x02",
        ])
    };
    let dops: &[u8] = b"\0\x02\x01\x38\0\0\xBB\x80\0\0\0";
    let stereo_dops: &[u8] = b"\0\x02\0\0\0\0\xBB\x80\0\0\0";
    let surround = b"OpusHead\x01\x03\x38\x01\x80\xBB\0\0\xFE\xFF\x01\x02\x01\0\x02\x01";
    let surround_dops = b"\0\x03\x01\x38\0\0\xBB\x80\xFF\xFE\x01\x02\x01\0\x02\x01";
    let dfla = joined(&[b"\0\0\0\0\x80\0\0\x22", FLAC]);
    // Name, payload, entry and its box, what is in that, sample rate, channels.
    type Row = (&'static str, Vec<u8>, &'static str, Vec<u8>, u32, u8);
    let rows: Vec<Row> = vec![
        (
            "AAC",
            b"\xAF\0\x11\x90".into(),
            "mp4a/esds",
            AAC_DESCRIPTOR.into(),
            48000,
            2,
        ),
        (
            "Enhanced AAC",
            b"\x90mp4a\x11\x90".into(),
            "mp4a/esds",
            AAC_DESCRIPTOR.into(),
            48000,
            2,
        ),
        (
            "MP3",
            b"\x2F\xFF\xFB\x90\x64".into(),
            "mp4a/esds",
            mp3_descriptor(0x6B),
            44100,
            2,
        ),
        (
            "8 kHz MP3",
            b"\xEE\xFF\xE3\x18\xC4".into(),
            "mp4a/esds",
            mp3_descriptor(0x69),
            8000,
            1,
        ),
        (
            "Enhanced MP3",
            b"\x91.mp3\xFF\xF3\x40\xC4".into(),
            "mp4a/esds",
            mp3_descriptor(0x69),
            22050,
            1,
        ),
        (
            "Opus",
            joined(&[b"\x90Opus", OPUS]),
            "Opus/dOps",
            dops.into(),
            48000,
            2,
        ),
        (
            "Opus in threes",
            joined(&[b"\x90Opus", surround]),
            "Opus/dOps",
            surround_dops.into(),
            48000,
            3,
        ),
        (
            "Opus, empty header",
            b"\x90Opus".into(),
            "Opus/dOps",
            stereo_dops.into(),
            48000,
            2,
        ),
        (
            "Opus, no header",
            b"\x91Opus\xFC\x7F".into(),
            "Opus/dOps",
            stereo_dops.into(),
            48000,
            2,
        ),
        (
            "FLAC",
            joined(&[b"\x90fLaC", FLAC]),
            "fLaC/dfLa",
            dfla.clone(),
            44100,
            1,
        ),
        (
            "FLAC, whole",
            joined(&[b"\x90fLaCfLaC\x80\0\0\x22", FLAC]),
            "fLaC/dfLa",
            dfla,
            44100,
            1,
        ),
    ];
    for (name, payload, path, config, sample_rate, channels) in rows {
        let presentation = presentation(None, Some(&payload));
        let track = presentation.audio.as_ref().unwrap();
        assert_eq!(
            (track.sample_rate(), track.channels()),
            (sample_rate, channels),
            "{name}"
        );

        let nodes = nodes(&presentation.init_segment());
        let path = format!("moov/trak/mdia/minf/stbl/stsd/{path}");
        assert_eq!(body(&nodes, &path), config, "{name}");
        let (entry, _) = path.rsplit_once('/').unwrap();
        let entry = body(&nodes, entry);
        assert_eq!(u16_at(entry, 16), u16::from(channels), "{name}");
        assert_eq!(u32_at(entry, 24), sample_rate << 16, "{name}");
        assert_eq!(
            u32_at(body(&nodes, "moov/trak/mdia/mdhd"), 12),
            sample_rate,
            "{name}"
        );
    }
}

#[test]
fn the_entry_of_a_sample_rate_above_16_bits_says_0() {
    let presentation = presentation(None, Some(b"\xAF\0\x10\x10"));
    let nodes = nodes(&presentation.init_segment());
    assert_eq!(
        u32_at(body(&nodes, "moov/trak/mdia/minf/stbl/stsd/mp4a"), 24),
        0
    );
    assert_eq!(u32_at(body(&nodes, "moov/trak/mdia/mdhd"), 12), 96000);
}

#[test]
fn an_init_segment_has_the_boxes_of_the_specification() {
    let video = joined(&[b"\x17\0\0\0\0", AVC]);
    let init = presentation(Some(&video), Some(b"\xAF\0\x11\x90")).init_segment();
    assert_eq!(
        &init[..40],
        b"\0\0\0\x20ftypiso6\0\0\0\x01iso6iso5mp41mp42\0\0\x04\x28moov"
    );
    let nodes = nodes(&init);
    let names: Vec<_> = nodes[1].children.iter().map(|n| &n.name[..]).collect();
    assert_eq!(names, ["mvhd", "trak", "trak", "mvex"]);
    let lengths = |path| -> Vec<_> { bodies(&nodes, path).iter().map(|b| b.len()).collect() };
    assert_eq!(lengths("moov/mvhd"), [100]);
    assert_eq!(lengths("moov/trak/tkhd"), [84, 84]);
    assert_eq!(lengths("moov/trak/mdia/mdhd"), [24, 24]);
    assert_eq!(lengths("moov/trak/mdia/hdlr"), [25, 25]);
    assert_eq!(lengths("moov/trak/mdia/minf/vmhd"), [12]);
    assert_eq!(lengths("moov/trak/mdia/minf/smhd"), [8]);
    assert_eq!(lengths("moov/trak/mdia/minf/dinf/dref/url "), [4, 4]);
    for (table, len) in [("stts", 8), ("stsc", 8), ("stsz", 12), ("stco", 8)] {
        let path = format!("moov/trak/mdia/minf/stbl/{table}");
        assert_eq!(
            bodies(&nodes, &path),
            [&vec![0; len], &vec![0; len]],
            "{table}"
        );
    }
    let handlers = bodies(&nodes, "moov/trak/mdia/hdlr");
    assert_eq!(
        [&handlers[0][8..12], &handlers[1][8..12]],
        [b"vide", b"soun"]
    );
    let ids = |path, at| -> Vec<_> { bodies(&nodes, path).iter().map(|b| u32_at(b, at)).collect() };
    assert_eq!(ids("moov/trak/tkhd", 12), [VIDEO_TRACK_ID, AUDIO_TRACK_ID]);
    assert_eq!(ids("moov/trak/mdia/mdhd", 12), [VIDEO_TIMESCALE, 48000]);
    assert_eq!(
        bodies(&nodes, "moov/mvex/trex"),
        [
            b"\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
        ]
    );
}

#[test]
fn what_mp4_or_browsers_do_not_take_is_no_track() {
    let long = joined(&[b"\x17\0\0\0\0", AVC, &[0; MAX_CONFIG_LEN]]);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("empty", b"".into()),
        ("a frame", b"\x17\x01\0\0\0\0\0\0\x02\x65\x88".into()),
        ("an empty header", b"\x17\0\0\0\0".into()),
        (
            "a header of another version",
            joined(&[b"\x17\0\0\0\0\0", &AVC[1..]]),
        ),
        ("a long header", long),
        ("one of several tracks", joined(&[b"\x96\0avc1\x01", AVC])),
        ("Sorenson H.263", b"\x12\0\0\x84".into()),
        ("VP8", joined(&[b"\x90vp08", VP9])),
        ("H.266", joined(&[b"\x90vvc1", HEVC])),
        (
            "VP9 of no known form",
            joined(&[b"\x90vp09", &VP9[4..], b"\0"]),
        ),
    ];
    for (name, payload) in rows {
        assert_eq!(VideoTrack::from_sequence_header(&payload), None, "{name}");
    }
    let long = joined(&[b"\xAF\0\x11\x90", &[0; MAX_CONFIG_LEN]]);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("empty", b"".into()),
        ("AAC without a header", b"\xAF\x01\xDE\x02".into()),
        ("an empty header", b"\xAF\0".into()),
        ("a header of zeros", b"\xAF\0\0\0".into()),
        ("a long header", long),
        ("FLAC of 0 Hz", joined(&[b"\x90fLaC", &[0; 34]])),
        (
            "FLAC cut",
            joined(&[b"\x90fLaCfLaC", FLAC])[..5 + 34].to_vec(),
        ),
        ("MP3 without a frame", b"\x90.mp3".into()),
        ("no MP3", b"\x2F\xFF\xFF\xFF\xFF".into()),
        ("one of several tracks", b"\x95\x01Opus\x01\xFC".into()),
        ("PCM", b"\x3F\0\0\0\0".into()),
        ("G.711", b"\x7F\xD5\xD5\xD5\xD5".into()),
        ("AC-3", b"\x90ac-3".into()),
    ];
    for (name, payload) in rows {
        assert_eq!(AudioTrack::from_sequence_header(&payload), None, "{name}");
        assert_eq!(AudioTrack::from_frame(&payload), None, "{name}");
    }
}

#[test]
fn the_longest_header_is_taken() {
    let filling = vec![0; MAX_CONFIG_LEN - AVC.len()];
    let payload = joined(&[b"\x17\0\0\0\0", AVC, &filling]);
    assert_eq!(video(&payload).width(), 640);
    let filling = vec![0; MAX_CONFIG_LEN - 2];
    let payload = joined(&[b"\xAF\0\x11\x90", &filling]);
    let init = presentation(None, Some(&payload)).init_segment();
    let nodes = nodes(&init);
    let descriptor = body(&nodes, "moov/trak/mdia/minf/stbl/stsd/mp4a/esds");
    // 8192 is 64 groups of 7 bits.
    assert_eq!(descriptor[30..37], *b"\x05\x80\x80\xC0\0\x11\x90");
    assert_eq!(descriptor.len(), 35 + MAX_CONFIG_LEN + 6);
}

#[test]
fn a_stream_is_named_by_its_codecs() {
    let avc = joined(&[b"\x17\0\0\0\0", AVC]);
    let vp9 = joined(&[b"\x90vp09", VP9]);
    type Row<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a str, &'a str);
    let rows: &[Row] = &[
        (
            Some(&avc),
            Some(b"\xAF\0\x11\x90"),
            "avc1.42C01E,mp4a.40.2",
            "video/mp4; codecs=\"avc1.42C01E,mp4a.40.2\"",
        ),
        (
            Some(&vp9),
            Some(b"\x90Opus"),
            "vp09.00.11.08,Opus",
            "video/mp4; codecs=\"vp09.00.11.08,opus\"",
        ),
        (
            Some(&avc),
            None,
            "avc1.42C01E",
            "video/mp4; codecs=\"avc1.42C01E\"",
        ),
        (
            None,
            Some(b"\x2F\xFF\xFB\x90\x64"),
            "mp4a.40.34",
            "audio/mp4; codecs=\"mp3\"",
        ),
        (None, None, "", "audio/mp4; codecs=\"\""),
    ];
    for (video, audio, codecs, content_type) in rows {
        let presentation = presentation(*video, *audio);
        assert_eq!(presentation.codecs(), *codecs);
        assert_eq!(presentation.content_type(), *content_type);
    }
}

#[test]
fn a_stream_goes_on_with_other_parameters_but_not_with_other_tracks() {
    let avc = joined(&[b"\x17\0\0\0\0", AVC]);
    let mut other = avc.clone();
    other[7] = 0x64;
    let hevc = joined(&[b"\x1C\0\0\0\0", HEVC]);
    let (aac, opus): (&[u8], &[u8]) = (b"\xAF\0\x11\x90", b"\x90Opus");
    let old = presentation(Some(&avc), Some(aac));
    for (name, video, audio, expected) in [
        ("the same", Some(&avc), Some(aac), true),
        ("another profile", Some(&other), Some(aac), true),
        (
            "another sample rate",
            Some(&avc),
            Some(&b"\xAF\0\x12\x10"[..]),
            true,
        ),
        ("another video codec", Some(&hevc), Some(aac), false),
        ("another audio codec", Some(&avc), Some(opus), false),
        ("audio alone", None, Some(aac), false),
        ("video alone", Some(&avc), None, false),
    ] {
        let new = presentation(video.map(|v| &v[..]), audio);
        assert_eq!(old.is_continued_by(&new), expected, "{name}");
        assert_eq!(old == new, name == "the same", "{name}");
    }
}

#[test]
fn frames_tell_how_many_samples_they_have_or_have_the_usual_number() {
    let flac = joined(&[b"\x90fLaC", FLAC]);
    let rows: &[(&str, &[u8], &[u8], u32)] = &[
        ("AAC", b"\xAF\0\x11\x90", b"\xDE\x02", 1024),
        ("AAC of 960", b"\xAF\0\x11\x94", b"\xDE\x02", 960),
        ("MP3", b"\x2F\xFF\xFB\x90\x64", b"\xFF\xFB\x90\x64", 1152),
        (
            "MP3 of MPEG-2",
            b"\x2F\xFF\xF3\x40\xC4",
            b"\xFF\xF3\x40\xC4",
            576,
        ),
        ("no MP3", b"\x2F\xFF\xF3\x40\xC4", b"", 576),
        ("Opus of 10 ms", b"\x90Opus", b"\xF4\x7F", 480),
        ("no Opus", b"\x90Opus", b"", 960),
        ("FLAC", &flac, b"\xFF\xF8\x79\x08\0\x04\xAF", 1200),
        ("no FLAC", &flac, b"\0", 4096),
    ];
    for (name, header, frame, expected) in rows {
        assert_eq!(audio(header).samples(frame), *expected, "{name}");
    }
}

#[test]
fn a_keyframe_tells_the_size_that_the_header_lacks() {
    let vp9 = video(&joined(&[b"\x90vp09", VP9]));
    let keyframe = b"\x82\x49\x83\x42\0\x4F\xF0\x2C\xD6\x06\x38";
    let track = vp9.clone().with_size_of_keyframe(keyframe);
    assert_eq!(
        (track.width(), track.height(), track.has_size()),
        (1280, 718, true)
    );
    assert_eq!(vp9.clone().with_size_of_keyframe(b"\x86\0\x40"), vp9);
    assert_eq!(vp9.with_size(1280, 718), track);

    let av1 = video(&joined(&[b"\x90av01", &AV1[..4]]));
    let track = av1.with_size_of_keyframe(&joined(&[b"\x12\0", &AV1[4..], b"\x32\x02\x10\0"]));
    assert_eq!((track.width(), track.height()), (322, 180));
}

/// Beginnings of payloads behind which the configurations are.
const VIDEO_STARTS: &[&[u8]] = &[
    b"\x17\0\0\0\0\x01\x64\0\x28\xFF\xE1\0\x1B\x67\x64\0\x28",
    b"\x1C\0\0\0\0",
    b"\x90hvc1\x01\x01\x60",
    b"\x90av01\x81\0\x0C\0\x0A\x7F",
    b"\x90vp09",
    b"",
];
const AUDIO_STARTS: &[&[u8]] = &[
    b"\xAF\0\x11\x90",
    b"\x2F\xFF",
    b"\x91.mp3\xFF\xFB",
    b"\x90OpusOpusHead",
    b"\x91Opus",
    b"\x90fLaC\x10\0\x10\0",
    b"",
];

proptest! {
    #[test]
    fn arbitrary_headers_never_panic_and_sizes_add_up(
        video_start in 0..VIDEO_STARTS.len(),
        audio_start in 0..AUDIO_STARTS.len(),
        video: Vec<u8>,
        audio: Vec<u8>,
    ) {
        let video = joined(&[VIDEO_STARTS[video_start], &video]);
        let audio = joined(&[AUDIO_STARTS[audio_start], &audio]);
        let presentation = Presentation {
            video: VideoTrack::from_sequence_header(&video)
                .map(|track| track.with_size_of_keyframe(&audio)),
            audio: AudioTrack::from_sequence_header(&audio)
                .or_else(|| AudioTrack::from_frame(&audio)),
        };
        let nodes = nodes(&presentation.init_segment());
        let tracks = [presentation.video.is_some(), presentation.audio.is_some()];
        let count = tracks.into_iter().filter(|is_there| *is_there).count();
        prop_assert_eq!(bodies(&nodes, "moov/trak/mdia/minf/stbl/stsd").len(), count);
        prop_assert_eq!(bodies(&nodes, "moov/mvex/trex").len(), count);
        prop_assert!(presentation.content_type().is_ascii());
        if let Some(audio) = &presentation.audio {
            prop_assert!(audio.sample_rate() > 0);
            prop_assert!((1..=65536).contains(&audio.samples(&video)));
        }
    }

    #[test]
    fn a_head_and_its_frame_are_whole_boxes(
        sequence: u32,
        track_id in 1u32..3,
        decode_time: u64,
        duration: u32,
        composition_offset: i32,
        is_sync: bool,
        frame: Vec<u8>,
    ) {
        let len = frame.len() as u32;
        let fragment = Fragment {
            sequence, track_id, decode_time, duration, composition_offset, is_sync, len,
        };
        let bytes = joined(&[&fragment.head(), &frame]);
        let nodes = nodes(&bytes);
        prop_assert_eq!(nodes.len(), 2);
        prop_assert_eq!(body(&nodes, "mdat"), &frame[..]);
        prop_assert_eq!(u32_at(body(&nodes, "moof/mfhd"), 4), sequence);
        prop_assert_eq!(u32_at(body(&nodes, "moof/traf/tfhd"), 4), track_id);
        let time = &body(&nodes, "moof/traf/tfdt")[4..];
        prop_assert_eq!(time, &decode_time.to_be_bytes()[..]);
        let run = body(&nodes, "moof/traf/trun");
        prop_assert_eq!(u32_at(run, 4), 1, "samples");
        // Where the frame is, from the first byte of the moof.
        let offset = u32_at(run, 8) as usize;
        prop_assert_eq!(&bytes[offset..], &frame[..]);
        prop_assert_eq!((u32_at(run, 12), u32_at(run, 16)), (duration, len));
        let flags = if is_sync { 0x0200_0000 } else { 0x0101_0000 };
        prop_assert_eq!(u32_at(run, 20), flags);
        prop_assert_eq!(u32_at(run, 24) as i32, composition_offset);
    }
}

#[test]
fn codecs_are_told() {
    assert_eq!(
        video(&joined(&[b"\x17\0\0\0\0", HEVC])).codec(),
        VideoCodec::Hevc
    );
    assert_eq!(audio(b"\x91Opus\xFC").codec(), AudioCodec::Opus);
}
