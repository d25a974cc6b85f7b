//! The codecs of MP4 tracks, and the tags in front of their frames (FLV, E.4; E2, "Enhanced Audio" and
//! "Enhanced Video").

use std::fmt;

use crate::media::codec::FourCc;
use crate::media::mp4::boxes_read::{find, next_box};
use crate::media::mp4::fields::Fields;

/// The length of a sample entry's fields before its boxes, after the box's header (ISO/IEC 14496-12,
/// 12.1.3 and 12.2.3).
const VIDEO_FIELDS: usize = 78;
const AUDIO_FIELDS: usize = 28;

/// Object types of MPEG-4 systems (MP4 registration authority).
const AAC: [u8; 4] = [0x40, 0x66, 0x67, 0x68];
const MP3: [u8; 2] = [0x69, 0x6B];

/// Tags of descriptors in `esds` (ISO/IEC 14496-1, 7.2.6).
const ES_DESCRIPTOR: u8 = 3;
const DECODER_CONFIG: u8 = 4;
const DECODER_SPECIFIC: u8 = 5;

/// The codec of a track, with the body of its sequence header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TrackCodec {
    /// H.264, in legacy form, which every player knows.
    Avc(Vec<u8>),
    Aac(Vec<u8>),
    /// MP3, with the first byte of its tags.
    Mp3(u8),
    /// Video in Enhanced form.
    Video(FourCc, Vec<u8>),
    /// Audio in Enhanced form; some codecs have no header.
    Audio(FourCc, Option<Vec<u8>>),
}

impl TrackCodec {
    /// Reads the first entry of an `stsd`, given its body.
    pub(super) fn parse(stsd: &[u8], is_video: bool) -> Result<TrackCodec, LeftOut> {
        let mut f = Fields(stsd);
        // Version, flags, and the number of entries.
        let entry = f.take(8).and_then(|_| next_box(&mut f));
        let (name, _, body) = entry.ok_or(LeftOut::Track(is_video, *b"stsd"))?;
        let config = match is_video {
            true => video_config(&name),
            false => audio_config(&name),
        };
        let config = config.ok_or(LeftOut::Foreign(name))?;
        let codec = match is_video {
            true => of_video(name, body, config),
            false => of_audio(name, body),
        };
        codec.unwrap_or(Err(LeftOut::Damaged(name, *config)))
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self, TrackCodec::Avc(_) | TrackCodec::Video(..))
    }

    /// Its number in metadata: that of FLV, or its four letters.
    pub(super) fn id(&self) -> u32 {
        match self {
            TrackCodec::Avc(_) => 7,
            TrackCodec::Aac(_) => 10,
            // 14 is MP3 at 8 kHz.
            TrackCodec::Mp3(first) => (first >> 4).into(),
            TrackCodec::Video(name, _) | TrackCodec::Audio(name, _) => u32::from_be_bytes(*name),
        }
    }

    /// Writes a sequence header; false if the codec has none.
    pub(super) fn put_header(&self, out: &mut Vec<u8>) -> bool {
        match self {
            TrackCodec::Avc(config) => put(out, &[0x17, 0, 0, 0, 0], config),
            TrackCodec::Aac(config) => put(out, &[0xAF, 0], config),
            TrackCodec::Video(name, config) => put(out, &enhanced(0x90, name), config),
            TrackCodec::Audio(name, Some(config)) => put(out, &enhanced(0x90, name), config),
            TrackCodec::Mp3(_) | TrackCodec::Audio(_, None) => return false,
        }
        true
    }

    /// Writes the tag in front of a frame that is shown `composition` ms after it is decoded.
    pub(super) fn put_frame_header(&self, is_key: bool, composition: i32, out: &mut Vec<u8>) {
        let [_, c1, c2, c3] = composition.to_be_bytes();
        let frame_type = if is_key { 1 } else { 2 };
        match self {
            TrackCodec::Avc(_) => put(out, &[frame_type << 4 | 7, 1, c1, c2, c3], &[]),
            TrackCodec::Aac(_) => put(out, &[0xAF, 1], &[]),
            TrackCodec::Mp3(first) => put(out, &[*first], &[]),
            TrackCodec::Audio(name, _) => put(out, &enhanced(0x91, name), &[]),
            TrackCodec::Video(name, _) => {
                put(out, &enhanced(0x81 | frame_type << 4, name), &[]);
                // Only codecs with B-frames in this form have it.
                if name == b"hvc1" {
                    put(out, &[c1, c2, c3], &[]);
                }
            }
        }
    }
}

/// Why a track is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    /// FLV can't carry its codec.
    Foreign(FourCc),
    /// The codec, and the box that can't be read.
    Damaged(FourCc, FourCc),
    /// Whether it is video, and the box without which its codec or its frames aren't known.
    Track(bool, FourCc),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::Foreign(codec) => {
                let codec = codec.escape_ascii();
                write!(f, "{codec}, which FLV can't carry")
            }
            LeftOut::Damaged(codec, name) => {
                let (codec, name) = (codec.escape_ascii(), name.escape_ascii());
                write!(f, "{codec}, whose box {name} is damaged or missing")
            }
            LeftOut::Track(is_video, name) => {
                let medium = if *is_video { "video" } else { "audio" };
                let name = name.escape_ascii();
                write!(f, "{medium}, whose box {name} is damaged or missing")
            }
        }
    }
}

/// The numbers of the first entry of an `stsd`: width and height, or channels and sample rate (ISO/IEC
/// 14496-12, 12.1.3 and 12.2.3).
pub(super) fn entry_numbers(stsd: &[u8], is_video: bool) -> Option<[u16; 2]> {
    let mut f = Fields(stsd);
    f.take(8)?;
    let (_, _, body) = next_box(&mut f)?;
    let [first, second] = if is_video { [24, 26] } else { [16, 24] };
    let number = |at: usize| Fields(body.get(at..)?).u16();
    Some([number(first)?, number(second)?])
}

fn put(out: &mut Vec<u8>, head: &[u8], body: &[u8]) {
    out.extend_from_slice(head);
    out.extend_from_slice(body);
}

fn enhanced(first: u8, [a, b, c, d]: &FourCc) -> [u8; 5] {
    [first, *a, *b, *c, *d]
}

/// The box with the configuration of a codec that FLV can carry, or the entry itself if it has none.
fn video_config(name: &FourCc) -> Option<&FourCc> {
    Some(match name {
        b"avc1" | b"avc3" => b"avcC",
        b"hvc1" | b"hev1" => b"hvcC",
        b"av01" => b"av1C",
        b"vp08" | b"vp09" => b"vpcC",
        _ => return None,
    })
}

fn audio_config(name: &FourCc) -> Option<&FourCc> {
    Some(match name {
        b"mp4a" => b"esds",
        b"Opus" => b"dOps",
        b"fLaC" => b"dfLa",
        b".mp3" | b"ac-3" | b"ec-3" => name,
        _ => return None,
    })
}

/// `None` if the configuration is damaged.
fn of_video(name: FourCc, body: &[u8], config: &FourCc) -> Option<Result<TrackCodec, LeftOut>> {
    let (_, config) = find(body.get(VIDEO_FIELDS..)?, config)?;
    // Each has at least a version, a profile and a level (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1; AV1 in
    // ISOBMFF, 2.3.3; VP in ISOBMFF).
    let config = config.get(..4).map(|_| config.to_vec())?;
    Some(Ok(match &name {
        b"avc1" | b"avc3" => TrackCodec::Avc(config),
        b"hvc1" | b"hev1" => TrackCodec::Video(*b"hvc1", config),
        _ => TrackCodec::Video(name, config),
    }))
}

/// `None` if the configuration is damaged.
fn of_audio(name: FourCc, body: &[u8]) -> Option<Result<TrackCodec, LeftOut>> {
    // QuickTime has more fields, by the version.
    let more = match body.get(8..10)? {
        [0, 1] => 16,
        [0, 2] => 36,
        _ => 0,
    };
    let boxes = body.get(AUDIO_FIELDS + more..)?;
    Some(Ok(match &name {
        b"mp4a" => {
            let inside = find(boxes, b"wave").map_or(boxes, |(_, wave)| wave);
            let (_, esds) = find(inside, b"esds")?;
            let (object_type, config) = decoder_config(esds.get(4..)?)?;
            match object_type {
                object_type if AAC.contains(&object_type) => TrackCodec::Aac(config?.to_vec()),
                object_type if MP3.contains(&object_type) => TrackCodec::Mp3(mp3_tag(body)?),
                _ => return Some(Err(LeftOut::Foreign(name))),
            }
        }
        b".mp3" => TrackCodec::Mp3(mp3_tag(body)?),
        b"Opus" => TrackCodec::Audio(name, Some(opus_head(find(boxes, b"dOps")?.1)?)),
        b"fLaC" => {
            let (_, blocks) = find(boxes, b"dfLa")?;
            TrackCodec::Audio(name, Some([b"fLaC", blocks.get(4..)?].concat()))
        }
        // AC-3.
        _ => TrackCodec::Audio(name, None),
    }))
}

/// Returns the object type and the decoder's configuration in the descriptors of an `esds`.
fn decoder_config(descriptors: &[u8]) -> Option<(u8, Option<&[u8]>)> {
    let mut f = Fields(descriptors);
    let mut es = Fields(descriptor(&mut f, ES_DESCRIPTOR)?);
    es.take(2)?;
    let [flags] = es.array()?;
    if flags & 0x80 != 0 {
        es.take(2)?;
    }
    if flags & 0x40 != 0 {
        let [len] = es.array()?;
        es.take(len.into())?;
    }
    if flags & 0x20 != 0 {
        es.take(2)?;
    }
    let mut config = Fields(descriptor(&mut es, DECODER_CONFIG)?);
    let [object_type] = config.array()?;
    // Stream type, buffer size, rates.
    config.take(12)?;
    Some((object_type, descriptor(&mut config, DECODER_SPECIFIC)))
}

/// Takes a descriptor that must have this tag; its length has seven bits in each byte.
fn descriptor<'a>(f: &mut Fields<'a>, tag: u8) -> Option<&'a [u8]> {
    f.expect(&[tag])?;
    let mut len = 0;
    for _ in 0..4 {
        let [byte] = f.array()?;
        len = len << 7 | usize::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    f.take(len)
}

/// The first byte of MP3 tags: format 2, the nearest rate, 16 bits, and the channels.
fn mp3_tag(body: &[u8]) -> Option<u8> {
    let mut f = Fields(body.get(16..)?);
    let channels = f.u16()?;
    f.take(6)?;
    let rate = match f.u16()? {
        33_000.. => 3,
        17_000.. => 2,
        8_001.. => 1,
        // Another format: MP3 at 8 kHz.
        _ => return Some(0xE2 | u8::from(channels > 1)),
    };
    Some(0x22 | rate << 2 | u8::from(channels > 1))
}

/// Makes the header of Ogg's Opus from that of MP4, which has the same fields in the other byte order.
fn opus_head(dops: &[u8]) -> Option<Vec<u8>> {
    let mut f = Fields(dops);
    let [_, channels] = f.array()?;
    let pre_skip = f.u16()?.to_le_bytes();
    let rate = f.u32()?.to_le_bytes();
    let gain = f.u16()?.to_le_bytes();
    let head = [
        &b"OpusHead\x01"[..],
        &[channels],
        &pre_skip,
        &rate,
        &gain,
        f.0,
    ];
    (!f.0.is_empty()).then(|| head.concat())
}
