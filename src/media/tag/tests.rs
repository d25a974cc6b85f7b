use proptest::prelude::*;

use super::*;

const AVCC: &[u8] = b"\x01\x42\xC0\x1E\xFF\xE1\0\0\x01\0\0";
const HVCC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0";

fn video(codec: VideoCodec, kind: TagKind, body_offset: usize) -> Tag {
    Tag {
        body_offset,
        ..Tag::new(Some(Codec::Video(codec)), kind)
    }
}

fn key(tag: Tag) -> Tag {
    Tag {
        is_keyframe: true,
        ..tag
    }
}

fn delayed(ms: i32, tag: Tag) -> Tag {
    Tag {
        composition_time: ms,
        ..tag
    }
}

fn on_track(track_id: u8, tag: Tag) -> Tag {
    Tag {
        is_multitrack: true,
        track_id,
        ..tag
    }
}

#[test]
fn legacy_video_headers_are_parsed() {
    use VideoCodec::*;
    let sequence_header = |first: &[u8], body: &[u8]| [first, b"\0\0\0\0", body].concat();
    let rows: &[(&str, &[u8], Tag)] = &[
        (
            "ffmpeg: H.264 sequence header",
            &sequence_header(b"\x17", AVCC),
            video(H264, TagKind::SequenceHeader, 5),
        ),
        (
            "ffmpeg: H.264 keyframe with B frames to come",
            b"\x17\x01\0\0\x53\0\0\x02\xAE\x06\x05",
            key(delayed(83, video(H264, TagKind::Frames, 5))),
        ),
        (
            "H.264 inter frame",
            b"\x27\x01\0\0\0\0\0\0\x02\x41\x9A",
            video(H264, TagKind::Frames, 5),
        ),
        (
            "composition time below 0",
            b"\x27\x01\xFF\xFF\xD7",
            delayed(-41, video(H264, TagKind::Frames, 5)),
        ),
        (
            "keyframe flagged as inter",
            b"\x27\x01\0\0\0\0\0\0\x02\x65\x88",
            key(video(H264, TagKind::Frames, 5)),
        ),
        (
            "recovery point flagged as key",
            b"\x17\x01\0\0\0\0\0\0\x02\x41\x9A",
            key(video(H264, TagKind::Frames, 5)),
        ),
        (
            "generated keyframe",
            b"\x47\x01\0\0\0",
            key(video(H264, TagKind::Frames, 5)),
        ),
        (
            "end",
            b"\x17\x02\0\0\0",
            video(H264, TagKind::SequenceEnd, 5),
        ),
        (
            "end without a composition time",
            b"\x17\x02",
            video(H264, TagKind::SequenceEnd, 2),
        ),
        (
            "empty sequence header",
            b"\x17\0\0\0\0",
            video(H264, TagKind::InvalidSequenceHeader, 5),
        ),
        (
            "still emptier",
            b"\x17\0",
            video(H264, TagKind::InvalidSequenceHeader, 2),
        ),
        (
            "sequence header of 6 bytes",
            &sequence_header(b"\x17", &AVCC[..6]),
            video(H264, TagKind::InvalidSequenceHeader, 5),
        ),
        (
            "HEVC under its unofficial id",
            &sequence_header(b"\x1C", HVCC),
            video(Hevc, TagKind::SequenceHeader, 5),
        ),
        (
            "HEVC keyframe",
            b"\x1C\x01\0\0\x28\0",
            key(delayed(40, video(Hevc, TagKind::Frames, 5))),
        ),
        (
            "HEVC under the id of H.264",
            &sequence_header(b"\x17", HVCC),
            video(H264, TagKind::SequenceHeader, 5),
        ),
        (
            "AV1 under its unofficial id",
            b"\x1D\0\0\0\0\x81\0\x0C\0",
            video(Av1, TagKind::SequenceHeader, 5),
        ),
        (
            "Sorenson",
            b"\x12\0\0\x84",
            key(video(SorensonH263, TagKind::Frames, 1)),
        ),
        (
            "disposable Sorenson",
            b"\x32\0\0\x84",
            video(SorensonH263, TagKind::Frames, 1),
        ),
        ("VP6", b"\x24\0", video(Vp6, TagKind::Frames, 1)),
        (
            "command: end of seeking",
            b"\x57\x01",
            video(H264, TagKind::Command, 1),
        ),
    ];
    for (name, payload, tag) in rows {
        assert_eq!(
            Tag::parse(Medium::Video, payload).as_ref(),
            Ok(tag),
            "{name}"
        );
    }
}

#[test]
fn enhanced_video_headers_are_parsed() {
    use VideoCodec::*;
    let hevc_header = [b"\x90hvc1", HVCC].concat();
    let gortmplib_header = [b"\x80hvc1", HVCC].concat();
    let command = Tag {
        codec: None,
        ..video(H264, TagKind::Command, 1)
    };
    let rows: &[(&str, &[u8], Tag)] = &[
        ("sequence start", &hevc_header, video(Hevc, TagKind::SequenceHeader, 5)),
        ("of gortmplib", &gortmplib_header, video(Hevc, TagKind::SequenceHeader, 5)),
        ("empty sequence start", b"\x90hvc1", video(Hevc, TagKind::InvalidSequenceHeader, 5)),
        (
            "HEVC frames",
            b"\x91hvc1\0\0\x28\0\0\0\x03",
            key(delayed(40, video(Hevc, TagKind::Frames, 8))),
        ),
        ("HEVC frames without delay", b"\xA3hvc1\0\0\0\x03", video(Hevc, TagKind::Frames, 5)),
        (
            "gortmplib: frame type 0, IDR",
            b"\x83hvc1\0\0\0\x03\x28\x01\xAF",
            key(video(Hevc, TagKind::Frames, 5)),
        ),
        (
            "gortmplib: frame type 0, no IDR",
            b"\x83hvc1\0\0\0\x03\x02\x01\xD0",
            video(Hevc, TagKind::Frames, 5),
        ),
        ("AV1 has no composition time", b"\x91av01\x12\0", key(video(Av1, TagKind::Frames, 5))),
        ("AV1 sequence start", b"\x90av01\x81\0\x0C\0", video(Av1, TagKind::SequenceHeader, 5)),
        ("AV1 without its marker", b"\x90av01\0\0\x0C\0", video(Av1, TagKind::InvalidSequenceHeader, 5)),
        (
            "VP9 sequence start",
            b"\x90vp09\x01\0\0\0\0\x0A\x82\x02\x02\x02\0\0",
            video(Vp9, TagKind::SequenceHeader, 5),
        ),
        (
            "Enhanced H.264",
            b"\x91avc1\0\0\x53\0",
            key(delayed(83, video(H264, TagKind::Frames, 8))),
        ),
        ("OBS: end", b"\xA2avc1", video(H264, TagKind::SequenceEnd, 5)),
        ("OBS: color information", b"\x84hvc1\x02\0\x09", video(Hevc, TagKind::Metadata, 5)),
        ("the same as a command", b"\xD4hvc1\x02\0\x09", video(Hevc, TagKind::Metadata, 5)),
        ("command", b"\xD1\0", command),
        (
            "OBS: key on track 1",
            b"\x96\x01avc1\x01\0\0\x53\0",
            on_track(1, key(delayed(83, video(H264, TagKind::Frames, 10)))),
        ),
        (
            "many tracks: the keyframe is on the second",
            b"\xA6\x11avc1\x02\0\0\x09\0\0\x53\0\0\0\x02\x41\x9A\x03\0\0\x09\0\0\0\0\0\0\x02\x65\x88",
            on_track(2, delayed(83, video(H264, TagKind::Frames, 13))),
        ),
        (
            "many codecs",
            b"\x96\x20av01\x02\0\0\x04\x81\0\x0C\0avc1",
            on_track(2, video(Av1, TagKind::SequenceHeader, 10)),
        ),
        (
            "nanoseconds in front of a keyframe",
            b"\x97\x02\x01\x02\x03\x03hvc1\0",
            key(video(Hevc, TagKind::Frames, 10)),
        ),
        (
            "two ModEx in front of a sequence start",
            b"\x97\0\xAA\x17\0\xBB\x10av01\x81\0\x0C\0",
            video(Av1, TagKind::SequenceHeader, 11),
        ),
        (
            "ModEx in front of a track",
            b"\x97\0\xAA\x06\x03avc1\x05\0",
            on_track(5, key(video(H264, TagKind::Frames, 10))),
        ),
    ];
    for (name, payload, tag) in rows {
        assert_eq!(
            Tag::parse(Medium::Video, payload).as_ref(),
            Ok(tag),
            "{name}"
        );
    }
}

#[test]
fn a_long_mod_ex_has_its_size_in_two_bytes() {
    let mut payload = b"\x97\xFF\x01\x00".to_vec();
    payload.extend([0; 257]);
    payload.extend(b"\x01av01");
    let tag = Tag::parse(Medium::Video, &payload).unwrap();
    assert_eq!(
        (tag.kind, tag.body_offset),
        (TagKind::Frames, payload.len())
    );
}

#[test]
fn audio_headers_are_parsed() {
    use AudioCodec::*;
    let audio = |codec, kind, body_offset| Tag {
        body_offset,
        ..Tag::new(Some(Codec::Audio(codec)), kind)
    };
    let legacy = |codec, sample_rate, channels| Tag {
        sample_rate: Some(sample_rate),
        channels: Some(channels),
        ..audio(codec, TagKind::Frames, 1)
    };
    let rows: &[(&str, &[u8], Tag)] = &[
        (
            "AAC sequence header",
            b"\xAF\0\x11\x90",
            audio(Aac, TagKind::SequenceHeader, 2),
        ),
        (
            "ffmpeg: without one",
            b"\xAF\0",
            audio(Aac, TagKind::InvalidSequenceHeader, 2),
        ),
        (
            "of one byte",
            b"\xAF\0\x11",
            audio(Aac, TagKind::InvalidSequenceHeader, 2),
        ),
        (
            "AAC frame",
            b"\xAF\x01\xDE\x02",
            audio(Aac, TagKind::Frames, 2),
        ),
        (
            "AAC with other bits",
            b"\xA2\x01\xDE",
            audio(Aac, TagKind::Frames, 2),
        ),
        ("MP3", b"\x2F\xFF\xFB", legacy(Mp3, 44100, 2)),
        ("MP3 at 8 kHz", b"\xEE\xFF\xFB", legacy(Mp3, 8000, 1)),
        ("G.711", b"\x82\xFF", legacy(G711MuLaw, 8000, 1)),
        ("Speex", b"\xB6\xFF", legacy(Speex, 16000, 1)),
        ("Nellymoser", b"\x6A\xFF", legacy(Nellymoser, 22050, 1)),
        ("silence", b"", Tag::new(None, TagKind::SequenceEnd)),
        ("Opus", b"\x91Opus\xFC", audio(Opus, TagKind::Frames, 5)),
        (
            "Opus without a header",
            b"\x90Opus",
            audio(Opus, TagKind::SequenceHeader, 5),
        ),
        ("AC-3", b"\x90ac-3", audio(Ac3, TagKind::SequenceHeader, 5)),
        (
            "Enhanced AAC",
            b"\x90mp4a\x11\x90",
            audio(Aac, TagKind::SequenceHeader, 5),
        ),
        (
            "without a header",
            b"\x90mp4a",
            audio(Aac, TagKind::InvalidSequenceHeader, 5),
        ),
        (
            "FLAC cut off",
            b"\x90fLaCfLaC",
            audio(Flac, TagKind::InvalidSequenceHeader, 5),
        ),
        (
            "channels",
            b"\x94Opus\x01\x02\0\0\0\x03",
            audio(Opus, TagKind::MultichannelConfig, 5),
        ),
        ("end", b"\x92Opus", audio(Opus, TagKind::SequenceEnd, 5)),
        (
            "track 3",
            b"\x95\x01mp4a\x03\xDE",
            Tag {
                is_multitrack: true,
                track_id: 3,
                ..audio(Aac, TagKind::Frames, 7)
            },
        ),
        (
            "ModEx",
            b"\x97\x02\0\0\x01\x01Opus\xFC",
            audio(Opus, TagKind::Frames, 10),
        ),
    ];
    for (name, payload, tag) in rows {
        assert_eq!(
            Tag::parse(Medium::Audio, payload).as_ref(),
            Ok(tag),
            "{name}"
        );
    }
}

#[test]
fn errors_say_what_came_and_what_was_expected() {
    let video = |payload: &[u8]| Tag::parse(Medium::Video, payload).unwrap_err().to_string();
    let audio = |payload: &[u8]| Tag::parse(Medium::Audio, payload).unwrap_err().to_string();
    assert_eq!(
        video(b""),
        "header needs 1 bytes at byte 0, but only 0 are left"
    );
    assert_eq!(
        video(b"\x17\x01\0"),
        "header needs 3 bytes at byte 2, but only 1 are left"
    );
    assert_eq!(
        video(b"\x17\x03\0\0\0"),
        "H.264 packet of type 3, expected 0, 1 or 2"
    );
    assert_eq!(video(b"\x98hvc1"), "enhanced video packet of type 8");
    assert_eq!(video(b"\x95av01"), "enhanced video packet of type 5");
    assert_eq!(
        video(b"\x96\x06avc1\0"),
        "multitrack message inside a multitrack message"
    );
    assert_eq!(video(b"\x96\x31avc1\0"), "multitrack message of type 3");
    assert_eq!(
        video(b"\x97\x05\0"),
        "ModEx of 6 bytes at byte 2, but only 1 are left"
    );
    assert_eq!(
        video(&[&b"\x97"[..], &[0, 0, 7].repeat(9)].concat()),
        "more than 8 ModEx in a header"
    );
    assert_eq!(audio(b"\xAF\x02"), "AAC packet of type 2, expected 0 or 1");
    assert_eq!(audio(b"\x93Opus"), "enhanced audio packet of type 3");
}

#[test]
fn the_first_byte_for_players_has_the_true_frame_type() {
    let rows: &[(&str, &[u8], u8)] = &[
        ("true already", b"\x17\x01\0\0\0\0\0\0\x02\x65\x88", 0x17),
        ("inter", b"\x27\x01\0\0\0\0\0\0\x02\x41\x9A", 0x27),
        ("disposable", b"\x37\x01\0\0\0\0\0\0\x02\x01\x9A", 0x37),
        (
            "keyframe flagged as inter",
            b"\x27\x01\0\0\0\0\0\0\x02\x65\x88",
            0x17,
        ),
        (
            "gortmplib's keyframe",
            b"\x83hvc1\0\0\0\x03\x28\x01\xAF",
            0x93,
        ),
        (
            "gortmplib's inter frame",
            b"\x83hvc1\0\0\0\x03\x02\x01\xD0",
            0xA3,
        ),
        ("gortmplib's sequence start", b"\x80av01\x81\0\x0C\0", 0x90),
        (
            "behind ModEx",
            b"\x87\0\xAA\x03hvc1\0\0\0\x03\x28\x01\xAF",
            0x97,
        ),
        ("color information of OBS", b"\x84hvc1\x02", 0xD4),
        (
            "color information of a track",
            b"\x96\x04hvc1\x01\x02",
            0x96,
        ),
        ("end", b"\xA2avc1", 0xA2),
        ("command", b"\xD1\0", 0xD1),
    ];
    for (name, payload, expected) in rows {
        let tag = Tag::parse(Medium::Video, payload).unwrap();
        let first = tag.first_byte_for_players(payload[0]);
        assert_eq!(first, *expected, "{name}");
        let rewritten = [&[first], &payload[1..]].concat();
        assert_eq!(
            Tag::parse(Medium::Video, &rewritten),
            Ok(tag),
            "{name}, read again"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, first: u8, four_cc in 0usize..4) {
        let four_cc = [b"avc1", b"av01", b"Opus", b"hvc1"][four_cc];
        for payload in [bytes.clone(), [&[first], &four_cc[..], &bytes].concat()] {
            if let Ok(tag) = Tag::parse(Medium::Video, &payload) {
                prop_assert!(tag.body_offset <= payload.len());
                prop_assert!(!tag.is_keyframe || tag.kind == TagKind::Frames);
            }
            if let Ok(tag) = Tag::parse(Medium::Audio, &payload) {
                prop_assert!(tag.body_offset <= payload.len());
            }
        }
    }

    /// The parser is given only the first block of a payload.
    #[test]
    fn the_beginning_of_a_payload_is_enough_to_parse_its_header(body: Vec<u8>) {
        for header in [&b"\x17\x01\0\0\x53"[..], b"\x93hvc1", b"\x96\x01avc1\x01\0\0\0"] {
            let payload = [header, &body].concat();
            prop_assert_eq!(Tag::parse(Medium::Video, header), Tag::parse(Medium::Video, &payload));
        }
        for header in [&b"\xAF\x01"[..], b"\x2F", b"\x91Opus"] {
            let payload = [header, &body].concat();
            prop_assert_eq!(Tag::parse(Medium::Audio, header), Tag::parse(Medium::Audio, &payload));
        }
    }
}
