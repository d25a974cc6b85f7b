use proptest::prelude::*;

use super::*;

const AVCC: &[u8] = b"\x01\x42\xC0\x1E\xFF\xE1\0\0\x01\0\0";
const HVCC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0";

/// A message as sent to players: its payload, kind, track, FourCC, the length of its ModEx, and whether
/// it is a keyframe.
#[derive(Debug, PartialEq)]
struct Passed {
    payload: Vec<u8>,
    summary: (TagKind, bool, u8, Option<FourCc>, u8),
}

fn split(medium: Medium, parts: &[&[u8]]) -> Vec<Passed> {
    let pass = |message: TrackMessage| Passed {
        payload: message
            .payload(parts.iter().copied())
            .collect::<Vec<_>>()
            .concat(),
        summary: (
            message.kind,
            message.is_keyframe,
            message.track_id,
            message.four_cc,
            message.mod_ex_len,
        ),
    };
    let first = parts.first().copied().unwrap_or_default();
    let one = TrackMessage::read(medium, first);
    let mut passed: Vec<_> = one.map(pass).into_iter().collect();
    if let Some(mut many) = TrackSplitter::read(medium, first) {
        assert!(passed.is_empty(), "one track or many");
        while many.has_more() {
            passed.extend(many.next(&mut parts.iter().copied()).map(pass));
        }
    }
    passed
}

fn payloads(medium: Medium, payload: &[u8]) -> Vec<Vec<u8>> {
    let passed = split(medium, &[payload]);
    passed.into_iter().map(|passed| passed.payload).collect()
}

/// A track in a message with many tracks: id, size, body.
fn sized(id: u8, body: &[u8]) -> Vec<u8> {
    let size = body.len() as u32;
    [&[id], &size.to_be_bytes()[1..], body].concat()
}

#[test]
fn single_tracks_are_rewritten_to_the_form_that_players_know() {
    use Medium::{Audio, Video};
    let avc_header = [b"\x90avc1", AVCC].concat();
    let avc_legacy = [b"\x17\0\0\0\0", AVCC].concat();
    let hevc_header = [b"\x80hvc1", HVCC].concat();
    let hevc_true = [b"\x90hvc1", HVCC].concat();
    let hevc_mod_ex = [b"\x97\x02\x01\x02\x03\0hvc1", HVCC].concat();
    let one_0 = [b"\x96\0hvc1\0", HVCC].concat();
    let one_1 = [b"\x96\0hvc1\x01", HVCC].concat();
    let rows: &[(&str, Medium, &[u8], &[u8])] = &[
        (
            "H.264",
            Video,
            b"\x27\x01\0\0\0\0\0\0\x02\x41\x9A",
            b"\x27\x01\0\0\0\0\0\0\x02\x41\x9A",
        ),
        (
            "IDR flagged as inter",
            Video,
            b"\x27\x01\0\0\0\0\0\0\x02\x65\x88",
            b"\x17\x01\0\0\0\0\0\0\x02\x65\x88",
        ),
        ("AAC", Audio, b"\xAF\x01\x21", b"\xAF\x01\x21"),
        ("gortmplib: sequence start", Video, &hevc_header, &hevc_true),
        (
            "gortmplib: IDR",
            Video,
            b"\x83hvc1\0\0\0\x03\x28\x01\xAF",
            b"\x93hvc1\0\0\0\x03\x28\x01\xAF",
        ),
        (
            "gortmplib: inter",
            Video,
            b"\x83hvc1\0\0\0\x03\x02\x01\xD0",
            b"\xA3hvc1\0\0\0\x03\x02\x01\xD0",
        ),
        (
            "OBS: colors",
            Video,
            b"\x84hvc1\x02\0\x09",
            b"\xD4hvc1\x02\0\x09",
        ),
        ("Ex H.264: header", Video, &avc_header, &avc_legacy),
        (
            "Ex H.264: IDR",
            Video,
            b"\x91avc1\0\0\x53\0\0\0\x02\x65\x88",
            b"\x17\x01\0\0\x53\0\0\0\x02\x65\x88",
        ),
        (
            "Ex H.264: inter, no delay",
            Video,
            b"\xA3avc1\0\0\0\x02\x41\x9A",
            b"\x27\x01\0\0\0\0\0\0\x02\x41\x9A",
        ),
        ("Ex H.264: end", Video, b"\xA2avc1", b"\x27\x02\0\0\0"),
        (
            "Ex H.264: colors have no legacy form",
            Video,
            b"\x84avc1\x02\0\x09",
            b"\xD4avc1\x02\0\x09",
        ),
        (
            "Ex H.264: legacy has no ModEx",
            Video,
            b"\x97\x02\x01\x02\x03\x03avc1\0\0\0\x02\x65\x88",
            b"\x17\x01\0\0\0\0\0\0\x02\x65\x88",
        ),
        (
            "Ex AAC: header",
            Audio,
            b"\x90mp4a\x11\x90",
            b"\xAF\0\x11\x90",
        ),
        (
            "Ex AAC: frame",
            Audio,
            b"\x91mp4a\x21\x10",
            b"\xAF\x01\x21\x10",
        ),
        ("Opus", Audio, b"\x91Opus\xFC", b"\x91Opus\xFC"),
        ("one track, 0", Video, &one_0, &hevc_true),
        ("one track, 1", Video, &one_1, &one_1),
        (
            "OBS: H.264 on track 1",
            Video,
            b"\x96\x01avc1\x01\0\0\x53\0\0\0\x02\x65\x88",
            b"\x96\x01avc1\x01\0\0\x53\0\0\0\x02\x65\x88",
        ),
        (
            "IDR of track 1 without a flag",
            Video,
            b"\x86\x01avc1\x01\0\0\x53\0\0\0\x02\x65\x88",
            b"\x96\x01avc1\x01\0\0\x53\0\0\0\x02\x65\x88",
        ),
        (
            "AAC on track 0",
            Audio,
            b"\x95\x01mp4a\0\x21",
            b"\xAF\x01\x21",
        ),
        (
            "AAC on track 2",
            Audio,
            b"\x95\x01mp4a\x02\x21",
            b"\x95\x01mp4a\x02\x21",
        ),
        (
            "end of track 2",
            Audio,
            b"\x95\x02mp4a\x02",
            b"\x95\x02mp4a\x02",
        ),
        (
            "nanoseconds stay with frames",
            Video,
            b"\x97\x02\x01\x02\x03\x03hvc1\0\0\0\x03\x28\x01\xAF",
            b"\x97\x02\x01\x02\x03\x03hvc1\0\0\0\x03\x28\x01\xAF",
        ),
        ("but not with headers", Video, &hevc_mod_ex, &hevc_true),
        (
            "two ModEx and a track",
            Video,
            b"\xA7\0\xAA\x17\x01\xBB\xBB\x26\x01hvc1\x05\0\0\0",
            b"\xA7\0\xAA\x17\x01\xBB\xBB\x26\x01hvc1\x05\0\0\0",
        ),
        (
            "the longest ModEx that is kept, and a track",
            Video,
            b"\xA7\x05\xAA\xAA\xAA\xAA\xAA\xAA\x06\x03hvc1\x05\0\0\0",
            b"\xA7\x05\xAA\xAA\xAA\xAA\xAA\xAA\x06\x03hvc1\x05\0\0\0",
        ),
        (
            "two ModEx and track 0",
            Video,
            b"\xA7\0\xAA\x17\x01\xBB\xBB\x26\x01hvc1\0\0\0\0",
            b"\xA7\0\xAA\x17\x01\xBB\xBB\x21hvc1\0\0\0",
        ),
        (
            "a codec that isn't known",
            Video,
            b"\x91zzzz\0",
            b"\x91zzzz\0",
        ),
        (
            "its frames without times",
            Video,
            b"\xA3zzzz\0",
            b"\xA3zzzz\0",
        ),
        ("without a frame type", Video, b"\x83zzzz\0", b"\x83zzzz\0"),
        ("its colors", Video, b"\x84zzzz\0", b"\x84zzzz\0"),
        ("on track 0", Video, b"\x96\x01zzzz\0\x05", b"\x91zzzz\x05"),
        (
            "on track 2",
            Video,
            b"\x96\x01zzzz\x02\x05",
            b"\x96\x01zzzz\x02\x05",
        ),
        ("a codec of video", Audio, b"\x91avc1\x01", b"\x91avc1\x01"),
        (
            "a codec of audio",
            Video,
            b"\x90mp4a\x12\x10",
            b"\x90mp4a\x12\x10",
        ),
        ("an unknown legacy codec", Video, b"\x0B\x01", b"\x0B\x01"),
        ("the same of audio", Audio, b"\xC7\x01", b"\xC7\x01"),
        (
            "ModEx of audio",
            Audio,
            b"\x97\x02\0\0\x01\x01Opus\xFC",
            b"\x97\x02\0\0\x01\x01Opus\xFC",
        ),
    ];
    for (name, medium, payload, expected) in rows {
        assert_eq!(payloads(*medium, payload), [*expected], "{name}");
    }
}

#[test]
fn messages_of_no_use_to_players_are_dropped() {
    use Medium::{Audio, Video};
    for (name, medium, payload) in [
        ("nothing", Audio, &b""[..]),
        ("reserved packet type", Video, b"\x98hvc1"),
        ("command", Video, b"\xD1\0"),
        ("end of AAC, which legacy doesn't have", Audio, b"\x92mp4a"),
        ("channels of AAC", Audio, b"\x94mp4a\x01\x02\0\0\0\x03"),
        ("multitrack in multitrack", Video, b"\x96\x16avc1\0"),
        ("unknown kind of multitrack", Video, b"\x96\x31avc1\0"),
        (
            "frames without their composition time",
            Video,
            b"\x91hvc1\0\0",
        ),
        ("cut off", Video, b"\x96\x01av"),
    ] {
        assert_eq!(payloads(medium, payload), [b""; 0], "{name}");
    }
}

#[test]
fn many_tracks_become_a_message_each_with_track_0_first() {
    let many = [
        &b"\x96\x11avc1"[..],
        &sized(3, b"\0\0\x53\0\0\0\x02\x65\x01"),
        &sized(0, b"\0\0\x28\0\0\0\x02\x65\x02\0\0\0\x01\x01"),
        &sized(1, b"\0\0\0\0\0\0\x02\x65\x03"),
    ]
    .concat();
    assert_eq!(
        payloads(Medium::Video, &many),
        [
            &b"\x17\x01\0\0\x28\0\0\0\x02\x65\x02\0\0\0\x01\x01"[..],
            b"\x96\x01avc1\x03\0\0\x53\0\0\0\x02\x65\x01",
            b"\x96\x01avc1\x01\0\0\0\0\0\0\x02\x65\x03",
        ]
    );
}

#[test]
fn many_tracks_with_many_codecs_become_a_message_each() {
    let many = [
        &b"\x86\x20"[..],
        b"hvc1",
        &sized(0, HVCC),
        b"av01",
        &sized(1, b"\x81\0\x0C\0"),
        b"zzzz",
        &sized(2, b"an unknown codec"),
        b"avc1",
        &sized(3, AVCC),
    ]
    .concat();
    assert_eq!(
        payloads(Medium::Video, &many),
        [
            [b"\x90hvc1", HVCC].concat(),
            b"\x96\0av01\x01\x81\0\x0C\0".to_vec(),
            b"\x86\0zzzz\x02an unknown codec".to_vec(),
            [b"\x96\0avc1\x03", AVCC].concat(),
        ]
    );
    let audio = [
        &b"\x95\x21"[..],
        b"mp4a",
        &sized(0, b"\x21\x10"),
        b"Opus",
        &sized(1, b"\xFC"),
    ]
    .concat();
    assert_eq!(
        payloads(Medium::Audio, &audio),
        [&b"\xAF\x01\x21\x10"[..], b"\x95\x01Opus\x01\xFC"]
    );
}

#[test]
fn keyframes_are_recognized_in_each_of_many_tracks() {
    let many = [
        &b"\xA6\x11hvc1"[..],
        &sized(0, b"\0\0\0\0\0\0\x03\x02\x01\xD0"),
        &sized(1, b"\0\0\0\0\0\0\x03\x28\x01\xAF"),
    ]
    .concat();
    let passed = split(Medium::Video, &[&many]);
    let seen: Vec<_> = passed
        .iter()
        .map(|passed| {
            let (_, is_keyframe, track, ..) = passed.summary;
            (track, is_keyframe, passed.payload[0])
        })
        .collect();
    assert_eq!(seen, [(0, false, 0xA1), (1, true, 0x96)]);
}

#[test]
fn tracks_in_front_of_damage_are_kept() {
    let tracks = [
        sized(0, b"\xFC\x01"),
        sized(1, b"\xFC\x02\x03"),
        sized(2, b""),
    ];
    let whole = [&b"\x95\x11Opus"[..], &tracks.concat()].concat();
    let all = payloads(Medium::Audio, &whole);
    assert_eq!(all.len(), 3);
    let mut ends = vec![6];
    ends.extend(tracks.iter().map(Vec::len));
    for len in 1..=whole.len() {
        let complete = (1..=3)
            .filter(|n| ends[..=*n].iter().sum::<usize>() <= len)
            .count();
        assert_eq!(
            payloads(Medium::Audio, &whole[..len]),
            all[..complete],
            "{len} bytes"
        );
    }
    // A size that points beyond the end.
    let mut wrong = whole.clone();
    wrong[6 + 6 + 1..6 + 6 + 4].copy_from_slice(b"\xFF\xFF\xFF");
    assert_eq!(payloads(Medium::Audio, &wrong), all[..1]);
}

#[test]
fn a_message_has_a_bounded_number_of_tracks() {
    let tracks: Vec<u8> = (0..10_000).flat_map(|n| sized(n as u8 | 1, b"")).collect();
    let flood = [&b"\x95\x12Opus"[..], &tracks].concat();
    assert_eq!(
        payloads(Medium::Audio, &flood).len(),
        usize::from(MAX_TRACKS)
    );
}

#[test]
fn any_split_of_a_payload_into_blocks_gives_the_same_tracks() {
    let body: Vec<u8> = (0..3_000u32).map(|n| n as u8).collect();
    let many = [
        &b"\x97\x02\0\0\x01\x06\x21"[..],
        b"hvc1",
        &sized(0, &[b"\0\0\0\0\0\x0B\xB0\x28\x01", &body[..]].concat()),
        b"av01",
        &sized(1, &body),
        b"avc1",
        &sized(2, &[b"\0\0\0\0\0\0\x01\x65", &body[..]].concat()),
    ]
    .concat();
    let whole = split(Medium::Video, &[&many]);
    assert_eq!(whole.len(), 3);
    for cut in 20..many.len() {
        let parts = [&many[..cut], &many[cut..]];
        assert_eq!(split(Medium::Video, &parts), whole, "cut at {cut}");
    }
    let (start, rest) = many.split_at(20);
    let parts: Vec<&[u8]> = std::iter::once(start).chain(rest.chunks(7)).collect();
    assert_eq!(split(Medium::Video, &parts), whole);
}

#[test]
fn a_mod_ex_is_kept_unless_it_is_too_long() {
    let summary = |payload: &[u8]| {
        let passed = split(Medium::Video, &[payload]).remove(0);
        (passed.summary.4, passed.payload)
    };
    let short = b"\x97\x02\x01\x02\x03\x01av01\x12\0";
    assert_eq!(summary(short), (5, short.to_vec()));
    let long = |len: u8| {
        let data = vec![0x55; usize::from(len) + 1];
        [&[0x97, len], &data[..], b"\x01av01\x12\0"].concat()
    };
    assert_eq!(summary(&long(5)), (8, long(5)));
    assert_eq!(summary(&long(6)), (0, b"\x91av01\x12\0".to_vec()));
    assert_eq!(summary(&long(254)), (0, b"\x91av01\x12\0".to_vec()));
}

proptest! {
    /// A rewritten message parses to the values of its summary, needs no second rewriting, and has no
    /// multitrack header if it belongs to track 0.
    #[test]
    fn rewritten_messages_are_in_their_final_form(
        start in prop::sample::select(vec![
            &b""[..], b"\x96\x11avc1", b"\x86\x10hvc1\0\0\0\x20", b"\x96\x20", b"\xA6\x01hvc1", b"\x97\x01\0\0",
            b"\x97\x02\0\0\x01\x06\x11", b"\x83hvc1", b"\x91avc1", b"\x95\x11mp4a", b"\x95\x21Opus",
            b"\x90mp4a", b"\x97\0\0\x05\x11Opus", b"\x27\x01",
        ]),
        bytes: Vec<u8>,
    ) {
        let payload = [start, &bytes].concat();
        for medium in [Medium::Audio, Medium::Video] {
            for Passed { payload, summary } in split(medium, &[&payload]) {
                let tag = Tag::parse(medium, &payload).unwrap();
                let read = (tag.kind, tag.is_keyframe, tag.track_id);
                prop_assert_eq!(read, (summary.0, summary.1, summary.2));
                prop_assert_eq!(tag.is_multitrack, tag.track_id != 0);
                let again = split(medium, &[&payload]);
                prop_assert_eq!(again, [Passed { payload, summary }]);
            }
        }
    }
}
