use super::walk::MAX_UNITS;
use super::*;
use proptest::prelude::*;

const AVC: UnitFormat = UnitFormat {
    codec: VideoCodec::H264,
    length_size: 4,
};
const HEVC: UnitFormat = UnitFormat {
    codec: VideoCodec::Hevc,
    length_size: 4,
};
const AV1: UnitFormat = UnitFormat {
    codec: VideoCodec::Av1,
    length_size: 4,
};

/// Reads a body in parts of `len` bytes, like that of a message in blocks. Also returns its parameter
/// sets.
fn summarize_parts(
    format: UnitFormat,
    body: &[u8],
    len: usize,
) -> (Option<UnitSummary>, Vec<Vec<u8>>) {
    let mut sets = ParameterSets::default();
    sets.make_room();
    let summary = summarize(format, &mut body.chunks(len), &mut sets);
    (summary, sets.iter().map(<[u8]>::to_vec).collect())
}

#[test]
fn units_tell_which_part_of_a_frame_a_message_holds() {
    use FramePart::*;
    use RandomAccess::*;
    let two = UnitFormat {
        length_size: 2,
        ..AVC
    };
    const REFRESH: &[u8] = b"\0\0\0\x05\x06\x06\x01\xC4\x80\0\0\0\x02\x41\x9A";
    const TIMED: &[u8] = b"\0\0\0\x08\x06\x01\x02\0\0\x06\x01\xC4\0\0\0\x02\x41\x9A";
    const HEVC_REFRESH: &[u8] = b"\0\0\0\x05\x4E\x01\x06\x01\xC4\0\0\0\x03\x02\x01\xD0";
    const START_CODES: &[u8] = b"\0\0\0\x01\x67\x42\xC0\x1E\0\0\0\x01\x65\x88";
    const AV1_KEY: &[u8] = b"\x12\0\x0A\x01\0\x32\x02\x10\0";
    type Found = Option<(FramePart, RandomAccess)>;
    let rows: &[(&str, UnitFormat, &[u8], Found)] = &[
        ("IDR", AVC, b"\0\0\0\x02\x65\x88", Some((First, Yes))),
        ("IDR 2", AVC, b"\0\0\0\x02\x65\x42", Some((More, Yes))),
        ("P", AVC, b"\0\0\0\x02\x41\x9A", Some((First, No))),
        ("P 2", AVC, b"\0\0\0\x03\x41\x02\x9A", Some((More, No))),
        ("I", AVC, b"\0\0\0\x03\x61\x88\x80", Some((First, Intra))),
        (
            "x264, recovery point",
            AVC,
            REFRESH,
            Some((First, Recovery)),
        ),
        ("it and timing", AVC, TIMED, Some((First, Recovery))),
        (
            "sets",
            AVC,
            b"\0\0\0\x01\x67\0\0\0\x01\x68",
            Some((Beside, No)),
        ),
        ("SEI", AVC, b"\0\0\0\x02\x06\x05", Some((Beside, No))),
        ("delimiter", AVC, b"\0\0\0\x02\x09\xF0", Some((Beside, No))),
        ("an empty unit", AVC, b"\0\0\0\0", Some((Beside, No))),
        ("nothing", AVC, b"", Some((Beside, No))),
        ("short lengths", two, b"\0\x02\x65\x88", Some((First, Yes))),
        ("a wrong length", AVC, b"\0\0\0\x03\x65\x88", None),
        ("the longest length", AVC, b"\xFF\xFF\xFF\xFF\x65\x88", None),
        ("a cut length", AVC, b"\0\0\0\x02\x65\x88\0\0", None),
        ("start codes", AVC, START_CODES, None),
        ("IDR", HEVC, b"\0\0\0\x03\x26\x01\xAF", Some((First, Yes))),
        ("CRA 2", HEVC, b"\0\0\0\x03\x2A\x01\x2F", Some((More, Yes))),
        (
            "TRAIL_R",
            HEVC,
            b"\0\0\0\x03\x02\x01\xD0",
            Some((First, No)),
        ),
        (
            "recovery point",
            HEVC,
            HEVC_REFRESH,
            Some((First, Recovery)),
        ),
        ("set", HEVC, b"\0\0\0\x03\x42\x01\x01", Some((Beside, No))),
        ("layer", HEVC, b"\0\0\0\x03\x26\x09\xAF", Some((Beside, No))),
        ("key frame", AV1, AV1_KEY, Some((First, Yes))),
        ("key frame alone", AV1, b"\x32\x02\x10\0", Some((First, No))),
        (
            "inter frame to the end",
            AV1,
            b"\x30\x30\0\0",
            Some((First, No)),
        ),
        ("tiles", AV1, b"\x22\x01\0", Some((More, No))),
        ("sequence header", AV1, b"\x0A\x01\0", Some((Beside, No))),
        ("wrong size", AV1, b"\x32\x05\x10\0", None),
    ];
    for (name, format, body, expected) in rows {
        for len in 1..=body.len().max(1) {
            let (summary, _) = summarize_parts(*format, body, len);
            let found = summary.map(|summary| (summary.part, summary.access));
            assert_eq!(found, *expected, "{} {name}, {len}", format.codec);
        }
    }
    let summary_of = |codec, body| summarize_parts(UnitFormat { codec, ..AVC }, body, 1).0;
    let vp9 = summary_of(VideoCodec::Vp9, b"\x86\0\x40").unwrap();
    assert_eq!((vp9.part, vp9.access), (First, No));
    assert_eq!(summary_of(VideoCodec::Vp9, b"").unwrap().part, Beside);
    assert_eq!(summary_of(VideoCodec::Vp9, b"\0"), None);
    assert_eq!(summary_of(VideoCodec::Screen, b"\x11"), None);
}

#[test]
fn clean_ranges_leave_out_what_containers_forbid() {
    const SLICE: &[u8] = b"\0\0\0\x02\x41\x9A";
    const FRAME: &[u8] = b"\x32\x02\x30\0";
    const OPEN: &[u8] = b"\x30\x30\0";
    const EMPTY: &[u8] = &[0; 4];
    const DELIMITER: &[u8] = b"\x12\0";
    type Units<'a> = &'a [&'a [u8]];
    type Row<'a> = (&'a str, UnitFormat, Units<'a>, usize, bool, Units<'a>);
    let rows: &[Row] = &[
        ("nothing", AVC, &[SLICE, SLICE], 0, false, &[SLICE, SLICE]),
        ("in front", AVC, &[EMPTY, EMPTY, SLICE], 8, false, &[SLICE]),
        ("behind", HEVC, &[SLICE, EMPTY], 0, true, &[SLICE]),
        (
            "everywhere",
            AVC,
            &[EMPTY, SLICE, EMPTY, SLICE, EMPTY, EMPTY],
            4,
            true,
            &[SLICE, SLICE],
        ),
        ("nothing else", AVC, &[EMPTY, EMPTY], 8, false, &[]),
        ("in front", AV1, &[DELIMITER, FRAME], 2, false, &[FRAME]),
        ("long", AV1, &[b"\x16\x20\0", FRAME], 3, false, &[FRAME]),
        (
            "behind",
            AV1,
            &[FRAME, DELIMITER, FRAME],
            0,
            true,
            &[FRAME, FRAME],
        ),
        ("to the end", AV1, &[DELIMITER, OPEN], 2, false, &[OPEN]),
    ];
    for (name, format, parts, forbidden, is_unclean, clean) in rows {
        let body = parts.concat();
        for len in 1..=body.len() {
            let summary = summarize_parts(*format, &body, len).0.unwrap();
            let found = (summary.forbidden, summary.is_unclean);
            assert_eq!(found, (*forbidden, *is_unclean), "{name}, {len}");
            assert_eq!(
                cleaned(*format, &body, len),
                clean.concat(),
                "{name}, {len}"
            );
        }
    }
}

fn cleaned(format: UnitFormat, body: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let range = clean_range(format, at, &mut body[at..].chunks(len));
        if range.is_empty() {
            return out;
        }
        out.extend_from_slice(&body[range.clone()]);
        at = range.end;
    }
}

#[test]
fn parameter_sets_are_kept_without_repetition_and_only_if_all_fit() {
    let body = b"\0\0\0\x03\x67\x42\x01\0\0\0\x02\x68\xCE\0\0\0\x02\x68\xCE\
        \0\0\0\x02\x65\x88";
    for len in 1..body.len() {
        let (_, sets) = summarize_parts(AVC, body, len);
        assert_eq!(sets, [&b"\x67\x42\x01"[..], b"\x68\xCE"], "{len}");
    }
    // Longer than the part of a unit that is read at first.
    let long = [&b"\0\0\0\x64\x67"[..], &[7; 99]].concat();
    assert_eq!(summarize_parts(AVC, &long, 30).1, [long[4..].to_vec()]);
    let set = |n| [0, 0, 0, 7, 0x67, n, 0, 0, 0, 0, 0];
    let many: Vec<u8> = (0..100).flat_map(set).collect();
    assert_eq!(summarize_parts(AVC, &many, 1000).1, Vec::<Vec<u8>>::new());
    let mut sets = ParameterSets::default();
    summarize(AVC, &mut std::iter::once(&body[..]), &mut sets);
    assert!(sets.want_room() && sets.iter().next().is_none());
    sets.make_room();
    summarize(AVC, &mut std::iter::once(&many[..]), &mut sets);
    assert!(!sets.want_room());
    sets.clear();
    summarize(AVC, &mut std::iter::once(&body[..]), &mut sets);
    assert_eq!(sets.iter().count(), 2);
}

#[test]
fn at_most_1024_units_are_walked() {
    let many = b"\0\0\0\x01\x0C".repeat(MAX_UNITS);
    let at_most = summarize_parts(AVC, &many, 1 << 14).0.unwrap();
    assert_eq!(at_most.part, FramePart::Beside);
    let more = [&many[..], b"\0\0\0\x02\x65\x88"].concat();
    assert_eq!(summarize_parts(AVC, &more, 1 << 14).0, None);
}

#[test]
fn keyframes_are_recognized_by_their_units() {
    use VideoCodec::*;
    let rows: &[(&str, VideoCodec, &[u8], bool)] = &[
        (
            "x264: SEI, then IDR",
            H264,
            b"\0\0\0\x02\x06\x05\0\0\0\x02\x65\x88",
            true,
        ),
        (
            "x264: P slice",
            H264,
            b"\0\0\x04\xBF\x41\x9A\x24\x6C",
            false,
        ),
        (
            "DJI: empty unit, then IDR",
            H264,
            b"\0\0\0\0\0\0\0\x02\x65\x88",
            true,
        ),
        (
            "IDR that goes on in the next block",
            H264,
            b"\0\x01\0\0\x65\x88",
            true,
        ),
        (
            "slice with the number of an IDR, no reference",
            H264,
            b"\0\0\0\x02\x05\x88",
            false,
        ),
        (
            "start code instead of a length",
            H264,
            b"\0\0\0\x01\x67\x42\xC0\x1E\x65",
            false,
        ),
        ("nothing", H264, b"", false),
        ("x265: IDR_N_LP", Hevc, b"\0\0\0\x03\x28\x01\xAF", true),
        ("CRA", Hevc, b"\0\0\0\x03\x2A\x01\xAF", true),
        ("x265: TRAIL_R", Hevc, b"\0\0\0\x03\x02\x01\xD0", false),
        (
            "parameter sets alone",
            Hevc,
            b"\0\0\0\x02\x42\x01\0\0\0\x02\x44\x01",
            false,
        ),
        ("VVC IDR", Vvc, b"\0\0\0\x03\0\x41\0", true),
        ("VVC trailing picture", Vvc, b"\0\0\0\x03\0\x01\0", false),
        (
            "libaom: delimiter, sequence header, frame",
            Av1,
            b"\x12\0\x0A\x0D\x20\0\0\x04\x3C\xFF\xBC\xDA\xF9\x20\x21\xA0\x04\x32\x87\x0A\x14\0",
            true,
        ),
        (
            "libaom: inter frame",
            Av1,
            b"\x12\0\x32\x81\x02\x32\x01\xE0",
            false,
        ),
        (
            "key frame without a sequence header",
            Av1,
            b"\x32\x87\x0A\x14\0",
            false,
        ),
        ("sequence header cut off", Av1, b"\x0A\x0D\x20\0", false),
        ("endless size", Av1, b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF", false),
        (
            "libvpx VP8 key frame",
            Vp8,
            b"\xB0\x5A\0\x9D\x01\x2A\x40\x01\xF0\0",
            true,
        ),
        (
            "libvpx VP8 inter frame",
            Vp8,
            b"\xD1\x09\0\x07\x10\xAC\0\x18\x89\x1A",
            false,
        ),
        (
            "libvpx VP9 key frame",
            Vp9,
            b"\xA2\x49\x83\x42\xE0\x13\xF0\x0E\xF6\x0A",
            true,
        ),
        (
            "libvpx VP9 inter frame",
            Vp9,
            b"\xA6\0\x40\x92\x9C\x24\x50\0\0\x1D",
            false,
        ),
        ("VP9 shows an existing frame", Vp9, b"\x88", false),
        ("VP9 profile 3 key frame", Vp9, b"\xB1\x49\x83\x42", true),
        (
            "a codec with nothing but the flag",
            SorensonH263,
            b"\0\0\x84\0",
            false,
        ),
    ];
    for (name, codec, body, expected) in rows {
        assert_eq!(is_keyframe(*codec, body), *expected, "{name}");
    }
}

proptest! {
    #[test]
    fn any_split_into_parts_gives_the_same(bytes in units(), len in 1usize..40, length_size in 1u8..5) {
        for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9] {
            let format = UnitFormat { codec, length_size };
            let whole = summarize_parts(format, &bytes, bytes.len().max(1));
            prop_assert_eq!(&summarize_parts(format, &bytes, len), &whole);
            let clean = cleaned(format, &bytes, len);
            prop_assert!(clean.len() <= bytes.len());
            // Cleaning twice changes nothing.
            if whole.0.is_some() && !clean.is_empty() {
                let again = summarize_parts(format, &clean, len).0.unwrap();
                prop_assert_eq!((again.forbidden, again.is_unclean), (0, false));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        use VideoCodec::*;
        for codec in [H264, Hevc, Vvc, Av1, Vp8, Vp9, Screen] {
            let _ = is_keyframe(codec, &bytes);
        }
    }
}

/// Bytes that are mostly units, each preceded by a length of four bytes.
fn units() -> impl Strategy<Value = Vec<u8>> {
    let unit = proptest::collection::vec(any::<u8>(), 0..9).prop_map(|unit| {
        let len = (unit.len() as u32).to_be_bytes();
        [&len[..], &unit].concat()
    });
    let units = proptest::collection::vec(unit, 0..9).prop_map(|units| units.concat());
    prop_oneof![units, any::<Vec<u8>>()]
}
