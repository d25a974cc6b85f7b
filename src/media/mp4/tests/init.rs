//! Init segments.

use super::*;

#[test]
fn video_tracks_of_every_form_have_their_configuration() {
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
        let format = track.format.map(|format| format.size().into());
        assert_eq!(format, Some(size).filter(|size| *size != [0, 0]), "{name}");

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
fn audio_tracks_of_every_form_have_their_configuration() {
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
            (track.sample_rate, track.channels),
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
fn a_sample_rate_above_16_bits_is_0_in_its_entry() {
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
