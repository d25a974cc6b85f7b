use proptest::prelude::*;

use super::*;
use crate::media::flv_reader::{FlvPart, FlvReader};

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
        let kind = payload.get(1) == Some(&0);
        assert_eq!(message.is_header, kind, "the legacy packet type");
        messages.push((message.medium, message.timestamp, payload.clone()));
    }
    Ok(messages)
}

/// What ffmpeg makes of the file: sequence headers and frames.
fn expected() -> Vec<Message> {
    let mut reader = FlvReader::new(MAX_LEN);
    let mut input = EXPECTED;
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
    messages.retain(|(medium, _, payload)| *medium == Medium::Audio || payload[1] != 2);
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
    let expected = expected();
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
fn the_moov_may_come_after_the_media_or_before_them() {
    let at = TABLES.windows(4).position(|four| four == b"moov").unwrap() - 4;
    let moov_len = u32::from_be_bytes(TABLES[at..at + 4].try_into().unwrap()) as usize;
    // This one has it at the end; chunk offsets are those of the file as it is.
    assert_eq!(at + moov_len, TABLES.len());
    let cut = demux(&TABLES[..at]).unwrap_err().to_string();
    assert!(cut.contains("expected a box moov"), "{cut}");
    let cut = demux(&TABLES[..TABLES.len() - 1]).unwrap_err().to_string();
    assert!(cut.contains("the file is cut"), "{cut}");
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
        error.contains("the file has xyz9, xyz9, expected H.264"),
        "{error}"
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
