//! Payloads of audio and video messages.

use super::*;

/// The number of prefixes of a payload that are read: headers end before that.
const BEGINNINGS: usize = 128;

/// The lowest bit of the first byte chooses: the rest is the payload of an audio or of a video
/// message.
///
/// However much of the payload is there, its header must read the same once it is there; what is
/// rewritten for players must read as what came.
pub fn tag(data: &[u8]) {
    let Some((&first, payload)) = data.split_first() else {
        return;
    };
    if first & 1 == 1 {
        audio_tag(payload);
    } else {
        video_tag(payload);
    }
    for medium in [Medium::Audio, Medium::Video] {
        tracks(medium, payload);
    }
    configurations(payload);
    frames(payload);
}

/// Players are sent messages of one track each, hardly longer than what came, and rewriting them
/// again changes nothing.
fn tracks(medium: Medium, payload: &[u8]) {
    let split = |payload: &[u8]| -> Vec<(TrackMessage, Vec<u8>)> {
        let mut messages = Vec::new();
        if let Some(mut many) = TrackSplitter::read(medium, payload) {
            while many.has_more() {
                if let Some(message) = many.next(&mut std::iter::once(payload)) {
                    messages.push(message);
                }
            }
        } else if let Some(message) = TrackMessage::read(medium, payload) {
            messages.push(message);
        }
        let rewritten = |message: TrackMessage| {
            let parts = message.payload(std::iter::once(payload));
            let bytes = parts.collect::<Vec<_>>().concat();
            (message, bytes)
        };
        messages.into_iter().map(rewritten).collect()
    };
    for (message, bytes) in split(payload) {
        assert!(bytes.len() <= payload.len() + 8);
        let again = split(&bytes);
        let [(same, same_bytes)] = again.as_slice() else {
            panic!("{} messages of {bytes:X?}", again.len())
        };
        assert_eq!(*same_bytes, bytes);
        assert_eq!(
            (same.kind, same.track_id, same.four_cc, same.mod_ex_len),
            (
                message.kind,
                message.track_id,
                message.four_cc,
                message.mod_ex_len
            )
        );
        assert!(same.is_keyframe || !message.is_keyframe);
    }
}

fn video_tag(payload: &[u8]) {
    let info = TrackInfo::read(Medium::Video, payload);
    let tag = match Tag::parse(Medium::Video, payload) {
        Ok(tag) => tag,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
            assert_eq!(info, None);
            beginnings(payload).for_each(|part| drop(Tag::parse(Medium::Video, part)));
            return;
        }
    };
    assert!(tag.body_offset <= payload.len());
    assert_eq!(info.is_some(), tag.codec.is_some());
    if let Some(info) = info {
        assert!(!info.to_string().contains(char::is_control), "{info}");
    }
    assert!(tag.kind == TagKind::Frames || !tag.is_keyframe);
    for part in beginnings(payload) {
        let read = Tag::parse(Medium::Video, part);
        if part.len() >= tag.body_offset {
            let read = read.expect("the header is there");
            assert!(is_kind_of_beginning(read.kind, tag.kind));
            assert!(tag.is_keyframe || !read.is_keyframe);
            let (kind, is_keyframe) = (tag.kind, tag.is_keyframe);
            let read = Tag {
                kind,
                is_keyframe,
                ..read
            };
            assert_eq!(read, tag, "{} bytes", part.len());
        }
    }

    let mut rewritten = payload.to_vec();
    rewritten[0] = tag.first_byte_for_players(payload[0]);
    assert_eq!(
        payload[0] & 0x8F,
        rewritten[0] & 0x8F,
        "more than the frame type"
    );
    assert_eq!(Tag::parse(Medium::Video, &rewritten), Ok(tag));
    assert_eq!(tag.first_byte_for_players(rewritten[0]), rewritten[0]);
    if matches!(tag.codec, Some(Codec::Video(VideoCodec::Other(_)))) {
        assert_eq!(rewritten, payload, "of a codec that nobody here knows");
        return;
    }
    let frame_type = rewritten[0] >> 4 & 7;
    assert_ne!(frame_type, 0);
    if tag.kind == TagKind::Frames {
        assert_eq!(matches!(frame_type, 1 | 4), tag.is_keyframe);
    }
}

fn audio_tag(payload: &[u8]) {
    let info = TrackInfo::read(Medium::Audio, payload);
    let tag = match Tag::parse(Medium::Audio, payload) {
        Ok(tag) => tag,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
            assert_eq!(info, None);
            beginnings(payload).for_each(|part| drop(Tag::parse(Medium::Audio, part)));
            return;
        }
    };
    assert!(tag.body_offset <= payload.len());
    assert_eq!(info.is_some(), tag.codec.is_some());
    if let Some(info) = info {
        assert!(!info.to_string().contains(char::is_control), "{info}");
    }
    assert_eq!(tag.codec.is_none(), payload.is_empty());
    for part in beginnings(payload) {
        let read = Tag::parse(Medium::Audio, part);
        if part.len() >= tag.body_offset {
            let read = read.expect("the header is there");
            assert!(is_kind_of_beginning(read.kind, tag.kind));
            let kind = tag.kind;
            assert_eq!(Tag { kind, ..read }, tag, "{} bytes", part.len());
        }
    }
}

fn beginnings(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..payload.len().min(BEGINNINGS)).map(|len| &payload[..len])
}

/// A sequence header that is cut may no longer be one; everything else stays what it is.
fn is_kind_of_beginning(part: TagKind, whole: TagKind) -> bool {
    part == whole || (part, whole) == (TagKind::InvalidSequenceHeader, TagKind::SequenceHeader)
}

/// The bodies of sequence headers, also tried at the payload's beginning: the fuzzer gets there
/// sooner without a header in front.
fn configurations(payload: &[u8]) {
    for start in [0, 1, 2, 5].into_iter().filter(|at| *at <= payload.len()) {
        let body = &payload[start..];
        let avc = AvcConfig::parse(body).map(|config| {
            assert!((1..=4).contains(&config.nal_length_size));
            config.format
        });
        let hevc = HevcConfig::parse(body).map(|config| {
            assert!((1..=4).contains(&config.nal_length_size));
            config.format
        });
        for format in [&avc, &hevc].into_iter().filter_map(|f| f.clone().ok()?) {
            assert!(format.width > 0 && format.height > 0);
            let rate = format.frame_rate.unwrap_or(2_500);
            assert!((1..=100_000).contains(&rate), "{rate}");
        }
        for part in beginnings(body) {
            same_or_none(AvcConfig::parse(part).ok().and_then(|c| c.format), &avc);
            same_or_none(HevcConfig::parse(part).ok().and_then(|c| c.format), &hevc);
        }
        let _ = HevcConfig::is_disguised(body);
        match AacConfig::parse(body) {
            Ok(config) => {
                assert!(config.sample_rate > 0 && config.output_sample_rate > 0);
                assert_ne!(config.channels, Some(0));
            }
            Err(error) => assert!(!error.to_string().contains(char::is_control)),
        }
    }
}

/// What the beginning of a configuration says is not revoked by the rest.
fn same_or_none<E>(part: Option<VideoFormat>, whole: &Result<Option<VideoFormat>, E>) {
    if part.is_some() {
        assert!(matches!(whole, Ok(whole) if *whole == part));
    }
}

/// A frame that is a keyframe by its beginning is one as a whole. How it is split doesn't matter to
/// what its units say, and of what containers forbid nothing remains to be removed.
fn frames(payload: &[u8]) {
    use VideoCodec::*;
    for codec in [H264, Hevc, Vvc, Av1, Vp8, Vp9, Screen] {
        let whole = is_keyframe(codec, payload);
        for part in beginnings(payload) {
            assert!(whole || !is_keyframe(codec, part), "{codec}");
        }
        let length_size = payload.first().map_or(4, |byte| (byte & 3) + 1);
        units(UnitFormat { codec, length_size }, payload);
    }
}

fn units(format: UnitFormat, body: &[u8]) {
    let mut sets = ParameterSets::default();
    let seen = summarize(format, &mut body.chunks(7), &mut sets);
    assert!(sets.iter().map(<[u8]>::len).sum::<usize>() < MAX_SETS_LEN);
    let _ = avc::config_of_sets(format.length_size, sets.iter());
    let _ = hevc::config_of_sets(format.length_size, Some(body), sets.iter());
    assert_eq!(
        seen,
        summarize(format, &mut std::iter::once(body), &mut sets)
    );
    let mut clean = Vec::new();
    let mut at = 0;
    loop {
        let range = clean_range(format, at, &mut body[at..].chunks(7));
        if range.is_empty() {
            break;
        }
        assert!(at <= range.start);
        clean.extend_from_slice(&body[range.clone()]);
        at = range.end;
    }
    if let Some(seen) = seen {
        assert!(seen.forbidden <= body.len());
        let again = summarize(format, &mut clean.chunks(7), &mut sets);
        assert!(
            clean.is_empty() || again.is_some_and(|look| look.forbidden == 0 && !look.is_unclean)
        );
    }
}
