use proptest::prelude::*;

use super::*;
use crate::media::flv_reader::{FlvPart, FlvReader};
use crate::media::tag::{Tag, TagKind};

const TABLES: &[u8] = include_bytes!("../../../../tests/data/mp4/tables.mp4");
const FRAGMENTS: &[u8] = include_bytes!("../../../../tests/data/mp4/fragments.mp4");
const EXPECTED: &[u8] = include_bytes!("../../../../tests/data/mp4/expected.flv");

const MAX_LEN: u32 = 1 << 20;

impl ReadAt for &[u8] {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.len());
        let len = buffer.len().min(self.len() - at);
        buffer[..len].copy_from_slice(&self[at..at + len]);
        Ok(len)
    }
}

/// Medium, timestamp and payload.
type Message = (Medium, u32, Vec<u8>);

fn demux(mut bytes: &[u8]) -> Result<Vec<Message>, Error> {
    let mut demuxer = Demuxer::open(&mut bytes, MAX_LEN)?;
    let mut messages = Vec::new();
    let mut payload = Vec::new();
    while let Some(message) = demuxer.next(&mut bytes, &mut payload)? {
        let kind = Tag::parse(message.medium, &payload).unwrap().kind;
        assert_eq!(message.is_header, kind == TagKind::SequenceHeader);
        messages.push((message.medium, message.timestamp, payload.clone()));
    }
    Ok(messages)
}

/// What ffmpeg makes of the file: sequence headers and frames.
fn expected(mut input: &[u8]) -> Vec<Message> {
    let mut reader = FlvReader::new(MAX_LEN);
    let mut messages: Vec<Message> = Vec::new();
    let mut is_media = false;
    while let Some(part) = reader.read(&mut input).unwrap() {
        match part {
            FlvPart::Tag(header) => {
                is_media = header.tag_type != 18;
                let medium = match header.tag_type {
                    8 => Medium::Audio,
                    _ => Medium::Video,
                };
                if is_media {
                    messages.push((medium, header.timestamp, Vec::new()));
                }
            }
            FlvPart::Payload(bytes) if is_media => {
                messages.last_mut().unwrap().2.extend_from_slice(bytes);
            }
            _ => {}
        }
    }
    // The end of the video, which a file of MP4 doesn't have.
    messages.retain(|(medium, _, payload)| {
        let kind = Tag::parse(*medium, payload).unwrap().kind;
        matches!(kind, TagKind::SequenceHeader | TagKind::Frames)
    });
    messages
}

fn of(medium: Medium, messages: &[Message]) -> Vec<&Message> {
    messages
        .iter()
        .filter(|message| message.0 == medium)
        .collect()
}

#[test]
fn both_kinds_of_files_give_what_ffmpeg_makes_of_them() {
    let expected = expected(EXPECTED);
    for bytes in [TABLES, FRAGMENTS] {
        let messages = demux(bytes).unwrap();
        for medium in [Medium::Video, Medium::Audio] {
            let (ours, theirs) = (of(medium, &messages), of(medium, &expected));
            assert_eq!(ours.len(), theirs.len(), "{medium}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(ours.2, theirs.2, "{medium} at {}", theirs.1);
                // ffmpeg rounds to the nearest ms.
                assert!(
                    ours.1.abs_diff(theirs.1) <= 1,
                    "{medium}: {} {}",
                    ours.1,
                    theirs.1
                );
            }
        }
        let times: Vec<u32> = messages.iter().map(|message| message.1).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
}

#[test]
fn each_pair_of_codecs_gives_what_ffmpeg_makes_of_it() {
    macro_rules! pair {
        ($name:literal) => {
            (
                $name,
                &include_bytes!(concat!("../../../../tests/data/mp4/", $name, ".mp4"))[..],
                &include_bytes!(concat!("../../../../tests/data/mp4/", $name, ".flv"))[..],
            )
        };
    }
    for (name, mp4, flv) in [
        pair!("hevc_aac"),
        pair!("av1_opus"),
        pair!("vp9_opus"),
        pair!("h264_mp3"),
    ] {
        let (ours, theirs) = (demux(mp4).unwrap(), expected(flv));
        for medium in [Medium::Video, Medium::Audio] {
            let (ours, theirs) = (of(medium, &ours), of(medium, &theirs));
            assert!(
                ours.len() == theirs.len() && ours.len() > 8,
                "{name} {medium}"
            );
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                let place = format!("{name} {medium} at {}", theirs.1);
                let tags = [ours, theirs].map(|message| Tag::parse(medium, &message.2).unwrap());
                let mut bodies = [(ours, tags[0]), (theirs, tags[1])]
                    .map(|(message, tag)| message.2[tag.body_offset..].to_vec());
                if tags[0].kind == TagKind::SequenceHeader && name == "hevc_aac" {
                    // ffmpeg clears `array_completeness` (ISO/IEC 14496-15, 8.3.3.1).
                    bodies.iter_mut().flatten().for_each(|byte| *byte &= 0x7F);
                }
                assert_eq!(bodies[0], bodies[1], "{place}");
                assert_eq!(tags[0].kind, tags[1].kind, "{place}");
                assert_eq!(tags[0].is_keyframe, tags[1].is_keyframe, "{place}");
                assert!(ours.1.abs_diff(theirs.1) <= 1, "{place}: {}", ours.1);
                let shown = [0, 1].map(|n: usize| {
                    let time = if n == 0 { ours.1 } else { theirs.1 };
                    i64::from(time) + i64::from(tags[n].composition_time)
                });
                assert!(shown[0].abs_diff(shown[1]) <= 1, "{place}: {shown:?}");
            }
        }
    }
}

#[test]
fn frames_are_not_shown_before_they_are_decoded() {
    // Offsets with a sign, as of CMAF: those of the file less two frames.
    let mut bytes = TABLES.to_vec();
    let at = TABLES.windows(4).position(|four| four == b"ctts").unwrap() + 8;
    let count = u32::from_be_bytes(TABLES[at..at + 4].try_into().unwrap()) as usize;
    for entry in 0..count {
        let offset = &mut bytes[at + 4 + 8 * entry + 4..][..4];
        let number = i32::from_be_bytes((&*offset).try_into().unwrap()) - 1024;
        offset.copy_from_slice(&number.to_be_bytes());
    }
    let frames = |bytes: &[u8]| -> Vec<(u32, i32)> {
        let messages = demux(bytes).unwrap();
        let frames = of(Medium::Video, &messages).into_iter().skip(1);
        let tag = |message: &Message| Tag::parse(Medium::Video, &message.2).unwrap();
        frames
            .map(|message| (message.1, tag(message).composition_time))
            .collect()
    };
    let (negative, usual) = (frames(&bytes), frames(TABLES));
    // The least offset of the file is one frame of 40 ms.
    let expected: Vec<_> = usual
        .iter()
        .map(|(time, offset)| (*time, offset - 40))
        .collect();
    assert_eq!(negative, expected);
    assert!(expected.iter().all(|frame| frame.1 >= 0));
}

#[test]
fn the_moov_may_come_after_the_media_or_before_them() {
    let at = TABLES.windows(4).position(|four| four == b"moov").unwrap() - 4;
    let moov_len = u32::from_be_bytes(TABLES[at..at + 4].try_into().unwrap()) as usize;
    // This one has it at the end; chunk offsets are those of the file as it is.
    assert_eq!(at + moov_len, TABLES.len());
    // And so to the beginning, in front of the media, with other offsets.
    let mut moov = TABLES[at..].to_vec();
    for place in 0..moov.len() - 4 {
        if moov[place..place + 4] == *b"stco" {
            let count = u32::from_be_bytes(moov[place + 8..place + 12].try_into().unwrap());
            for entry in 0..count as usize {
                let offset = &mut moov[place + 12 + 4 * entry..][..4];
                let number = u32::from_be_bytes((&*offset).try_into().unwrap());
                offset.copy_from_slice(&(number + moov_len as u32).to_be_bytes());
            }
        }
    }
    let ftyp_len = 32;
    assert_eq!(&TABLES[ftyp_len + 4..ftyp_len + 8], b"free");
    let first = [&TABLES[..ftyp_len], &moov, &TABLES[ftyp_len..at]].concat();
    assert_eq!(demux(&first).unwrap(), demux(TABLES).unwrap());
}

#[test]
fn a_file_that_is_cut_is_said_to_be() {
    let at = TABLES.windows(4).position(|four| four == b"moov").unwrap() - 4;
    // As a recorder leaves it that had no time to write the length of the media.
    let mut open = TABLES[..at].to_vec();
    let mdat = TABLES.windows(4).position(|four| four == b"mdat").unwrap() - 4;
    open[mdat..mdat + 4].fill(0);
    let first_frame = demux(FRAGMENTS).unwrap()[0].2.len();
    assert!(first_frame > 0);
    for (bytes, words) in [
        (
            &TABLES[..at],
            "after its box mdat, expected a box moov: it is cut",
        ),
        (&TABLES[..at - 1], "is cut: it ends in its box mdat"),
        (&TABLES[..50], "is cut: it ends in its box"),
        (&TABLES[..20], "is cut: it ends in its box ftyp"),
        (&open, "never completed: after mdat comes no box moov"),
        (&TABLES[..at + 100], "the file is cut"),
        (&TABLES[..TABLES.len() - 1], "the file is cut"),
        (&FRAGMENTS[..FRAGMENTS.len() - 200], "the file is cut"),
    ] {
        let error = demux(bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{}: {error}", bytes.len());
    }
}

#[test]
fn what_is_known_of_the_tracks_comes_from_tables_or_the_first_fragment() {
    for mut bytes in [TABLES, FRAGMENTS] {
        let mut demuxer = Demuxer::open(&mut bytes, MAX_LEN).unwrap();
        let [video, audio] = demuxer.summaries()[..] else {
            panic!()
        };
        assert_eq!((video.medium, video.codec_id), (Medium::Video, 7));
        assert_eq!(video.size, Some((32, 32)));
        assert_eq!(video.frame_rate, Some(25.0));
        assert_eq!((video.channels, video.sample_rate), (None, None));
        assert_eq!((audio.medium, audio.codec_id), (Medium::Audio, 10));
        assert_eq!((audio.channels, audio.sample_rate), (Some(1), Some(44_100)));
        assert_eq!(audio.size, None);
        // ffmpeg says 11.703 and 22.646 kbit of 1024 bits.
        let rates = [video, audio].map(|track| (track.bit_rate.unwrap() / 1024.0 * 1000.0) as u32);
        if bytes.as_ptr() == TABLES.as_ptr() {
            assert_eq!(rates, [11_703, 22_646]);
        }
        assert!(
            rates.iter().all(|rate| (5_000..50_000).contains(rate)),
            "{rates:?}"
        );
        assert_eq!(demuxer.left_out(), None);
    }
}

#[test]
fn what_is_no_mp4_is_refused() {
    for bytes in [
        &b""[..],
        b"FLV\x01\x05\0\0\0\x09\0\0\0\0abcdefgh",
        b"\0\0\0",
    ] {
        let error = demux(bytes).unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
    }
}

#[test]
fn a_codec_that_flv_cannot_carry_is_named() {
    let mut bytes = TABLES.to_vec();
    for name in [b"avc1", b"mp4a"] {
        let places: Vec<usize> = (0..bytes.len() - 4)
            .filter(|at| bytes[*at..at + 4] == *name)
            .collect();
        for at in places {
            bytes[at..at + 4].copy_from_slice(b"xyz9");
        }
    }
    let error = demux(&bytes).unwrap_err().to_string();
    assert!(
        error.contains("xyz9, which FLV can't carry, xyz9, which FLV can't carry; expected H.264"),
        "{error}"
    );
}

#[test]
fn a_damaged_track_is_named_and_is_none_that_flv_cannot_carry() {
    let [hevc, av1, vp9] = [
        &include_bytes!("../../../../tests/data/mp4/hevc_aac.mp4")[..],
        include_bytes!("../../../../tests/data/mp4/av1_opus.mp4"),
        include_bytes!("../../../../tests/data/mp4/vp9_opus.mp4"),
    ];
    for (file, name, words) in [
        (
            TABLES,
            b"avcC",
            "avc1, whose box avcC is damaged or missing",
        ),
        (
            TABLES,
            b"esds",
            "mp4a, whose box esds is damaged or missing",
        ),
        (
            FRAGMENTS,
            b"avcC",
            "avc1, whose box avcC is damaged or missing",
        ),
        (
            FRAGMENTS,
            b"esds",
            "mp4a, whose box esds is damaged or missing",
        ),
        (hevc, b"hvcC", "hvc1, whose box hvcC is damaged or missing"),
        (av1, b"av1C", "av01, whose box av1C is damaged or missing"),
        (av1, b"dOps", "Opus, whose box dOps is damaged or missing"),
        (vp9, b"vpcC", "vp09, whose box vpcC is damaged or missing"),
        (
            TABLES,
            b"stsz",
            "video, whose box stbl is damaged or missing",
        ),
        (
            TABLES,
            b"stsd",
            "video, whose box stsd is damaged or missing",
        ),
    ] {
        let at = file.windows(4).position(|four| four == name).unwrap();
        let (mut missing, mut empty, mut long) = (file.to_vec(), file.to_vec(), file.to_vec());
        missing[at..at + 4].copy_from_slice(b"free");
        empty[at - 4..at].copy_from_slice(&8_u32.to_be_bytes());
        long[at - 4..at].copy_from_slice(&u32::MAX.to_be_bytes());
        for bytes in [missing, empty, long] {
            let left_out = Demuxer::open(&mut &*bytes, MAX_LEN).unwrap().left_out();
            assert_eq!(left_out.as_deref(), Some(words));
        }
    }
    let mut bytes = TABLES.to_vec();
    // The tag of the first descriptor.
    bytes[TABLES.windows(4).position(|four| four == b"esds").unwrap() + 8] = 0;
    let left_out = Demuxer::open(&mut &*bytes, MAX_LEN).unwrap().left_out();
    assert_eq!(
        left_out.as_deref(),
        Some("mp4a, whose box esds is damaged or missing")
    );
}

#[test]
fn a_frame_that_is_too_long_is_an_error() {
    let mut bytes = TABLES;
    let mut demuxer = Demuxer::open(&mut bytes, 10).unwrap();
    let mut payload = Vec::new();
    let error = std::iter::from_fn(|| match demuxer.next(&mut bytes, &mut payload) {
        Ok(message) => message.map(|_| String::new()),
        Err(error) => Some(error.to_string()),
    })
    .find(|error| !error.is_empty());
    assert!(error.is_some_and(|error| error.contains("expected at most 10")));
}

proptest! {
    #[test]
    fn damaged_files_end_with_an_error_or_other_frames(
        is_fragmented: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        len in any::<prop::sample::Index>(),
        is_cut: bool,
    ) {
        let mut bytes = if is_fragmented { FRAGMENTS } else { TABLES }.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(len.index(bytes.len()));
        }
        let mut file = &*bytes;
        let Ok(mut demuxer) = Demuxer::open(&mut file, MAX_LEN) else { return Ok(()) };
        let mut payload = Vec::new();
        let mut count = 0;
        while let Ok(Some(_)) = demuxer.next(&mut file, &mut payload) {
            prop_assert!(payload.len() <= MAX_LEN as usize + 64);
            count += 1;
            // Runs of samples without a length may be long, but each takes an entry or bytes.
            if count > 300_000 { break }
        }
    }
}
