//! Tracks that are made from payloads.

use super::*;

#[test]
fn unsupported_or_invalid_payloads_make_no_track() {
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
fn the_longest_header_is_accepted() {
    let filling = vec![0; MAX_CONFIG_LEN - AVC.len()];
    let payload = joined(&[b"\x17\0\0\0\0", AVC, &filling]);
    assert_eq!(video(&payload).format.unwrap().width, 640);
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
fn codecs_and_content_type_are_named() {
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
fn a_presentation_is_continued_by_other_parameters_but_not_by_other_codecs() {
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
fn frames_have_their_own_or_the_usual_number_of_samples() {
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
fn a_keyframe_has_the_size_that_the_header_lacks() {
    let vp9 = video(&joined(&[b"\x90vp09", VP9]));
    let keyframe = b"\x82\x49\x83\x42\0\x4F\xF0\x2C\xD6\x06\x38";
    let format = format_of_keyframe(vp9.codec, keyframe).unwrap();
    assert_eq!((format.width, format.height), (1280, 718));
    assert_eq!(format_of_keyframe(vp9.codec, b"\x86\0\x40"), None);
    assert_eq!(vp9.format, None);
    assert_eq!(vp9.with_format(format).format, Some(format));

    let keyframe = joined(&[b"\x12\0", &AV1[4..], b"\x32\x02\x10\0"]);
    let format = format_of_keyframe(VideoCodec::Av1, &keyframe).unwrap();
    assert_eq!((format.width, format.height), (322, 180));
}

#[test]
fn codecs_are_the_true_ones() {
    assert_eq!(
        video(&joined(&[b"\x17\0\0\0\0", HEVC])).codec,
        VideoCodec::Hevc
    );
    assert_eq!(audio(b"\x91Opus\xFC").codec, AudioCodec::Opus);
}
