//! The units in the body of a video message: NAL units of H.264 and HEVC, each preceded by its length,
//! and open bitstream units of AV1.
//!
//! One message isn't always one frame (one access unit). Phones, drones and cameras send:
//!
//! ```text
//! SPS PPS SEI IDR         a frame
//! IDR   IDR   IDR         one frame in a message per slice: the first begins it, the others continue it
//! SPS PPS, SEI, AUD       no frame, only data that accompanies frames
//! "", "" P                nothing, or an empty unit, which containers forbid
//! ```
//!
//! The keyframe flag in the tag header may be wrong in both directions, so the units determine what a
//! message is. The flag only counts if the units can't be read or leave the question open.
//!
//! The walk goes by the lengths of the units, at most 1024 units per message. Frames aren't decoded:
//! only the first bytes of each unit are read.

mod parameter_sets;
mod unit;
mod walk;

use std::ops::Range;

use super::codec::VideoCodec;
pub use parameter_sets::{MAX_SETS_LEN, ParameterSets};
use unit::UnitKind;
pub use walk::UnitFormat;
use walk::UnitWalk;

/// The part of a frame that a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramePart {
    /// The beginning of a frame, or a whole frame.
    First,
    /// A continuation of a frame.
    More,
    /// No part of a frame: only parameter sets, delimiters, or supplemental information.
    Beside,
}

/// Whether a decoder can start at a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RandomAccess {
    /// A decoder can't start here: the frame depends on earlier ones.
    No,
    /// The frame doesn't depend on others. Only the flag tells whether later frames depend on earlier
    /// ones.
    Intra,
    /// Frames become complete some time after a recovery point. Only the flag tells whether a decoder
    /// can start here.
    Recovery,
    /// A decoder can start here: IDR, CRA and BLA pictures of H.26x, and key frames of the other codecs.
    Yes,
}

impl RandomAccess {
    fn of_key(is_key: bool) -> RandomAccess {
        if is_key { Self::Yes } else { Self::No }
    }
}

/// A summary of the units of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitSummary {
    /// The part of a frame that the message holds.
    pub part: FramePart,
    /// Whether a decoder can start at the frame that begins here.
    pub access: RandomAccess,
    /// The length in bytes of the units at the beginning of the body that containers forbid.
    pub forbidden: usize,
    /// Whether later units are forbidden as well.
    pub is_unclean: bool,
}

impl UnitSummary {
    const NOTHING: UnitSummary = UnitSummary {
        part: FramePart::Beside,
        access: RandomAccess::No,
        forbidden: 0,
        is_unclean: false,
    };
}

/// Reads the units of a body that lies in several parts, and keeps its parameter sets. Returns `None` if
/// the units can't be read, or if the codec has no units.
pub fn summarize(
    format: UnitFormat,
    body: &mut dyn Iterator<Item = &[u8]>,
    sets: &mut ParameterSets,
) -> Option<UnitSummary> {
    let mut units = UnitWalk::new(format, body);
    let summary = match format.codec {
        VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Av1 => {
            summarize_units(&mut units, Some(sets))
        }
        codec @ (VideoCodec::Vp8 | VideoCodec::Vp9) => match units.next()?.head() {
            [] => UnitSummary::NOTHING,
            frame => UnitSummary {
                part: FramePart::First,
                access: access_of_vpx(codec, frame)?,
                ..UnitSummary::NOTHING
            },
        },
        _ => return None,
    };
    units.is_whole.then_some(summary)
}

/// Whether the body of a frame message is a keyframe according to its units. The body may be truncated:
/// missing units don't count. Always false for codecs whose keyframes only the flag shows.
pub fn is_keyframe(codec: VideoCodec, body: &[u8]) -> bool {
    // Lengths of other sizes are legal but not used in practice. If one is, the walk ends soon.
    let length_size = 4;
    let access = access_of_vpx(codec, body).unwrap_or_else(|| {
        let body = &mut std::iter::once(body);
        let mut units = UnitWalk::new(UnitFormat { codec, length_size }, body);
        summarize_units(&mut units, None).access
    });
    access == RandomAccess::Yes
}

/// Returns the range of the next bytes that a container may hold, in a body that lies in several parts,
/// starting at `at`. Empty at the end of the body.
pub fn clean_range(
    format: UnitFormat,
    at: usize,
    body: &mut dyn Iterator<Item = &[u8]>,
) -> Range<usize> {
    let mut units = UnitWalk::new(format, body);
    let mut clean = 0..0;
    while let Some(unit) = units.next() {
        let is_forbidden = matches!(unit.kind(format.codec), UnitKind::Forbidden);
        if is_forbidden && !clean.is_empty() {
            break;
        }
        clean.end = units.unit.end;
        if is_forbidden {
            clean.start = clean.end;
        }
    }
    // The last unit may claim to be longer than the body.
    at + clean.start.min(units.at)..at + clean.end.min(units.at)
}

fn summarize_units(
    units: &mut UnitWalk<'_, '_>,
    mut sets: Option<&mut ParameterSets>,
) -> UnitSummary {
    let codec = units.format.codec;
    let mut summary = UnitSummary::NOTHING;
    let mut has_sequence_header = codec != VideoCodec::Av1;
    let mut is_recovery_point = false;
    while let Some(unit) = units.next() {
        match unit.kind(codec) {
            UnitKind::Slice(is_first, access) if summary.part == FramePart::Beside => {
                summary.part = if is_first {
                    FramePart::First
                } else {
                    FramePart::More
                };
                summary.access = match access {
                    // Without a sequence header, it may be the key frame of another layer, or a key
                    // frame that is shown late.
                    RandomAccess::Yes if !has_sequence_header => RandomAccess::No,
                    _ if access < RandomAccess::Yes && is_recovery_point => RandomAccess::Recovery,
                    _ => access,
                };
            }
            UnitKind::ParameterSet => {
                if let Some(sets) = &mut sets {
                    sets.add(&unit, units);
                }
            }
            UnitKind::SequenceHeader => has_sequence_header = true,
            UnitKind::RecoveryPoint => is_recovery_point = true,
            UnitKind::Forbidden if summary.forbidden == units.unit.start => {
                summary.forbidden = units.unit.end;
            }
            UnitKind::Forbidden => summary.is_unclean = true,
            _ => {}
        }
    }
    summary.forbidden = summary.forbidden.min(units.at);
    summary
}

/// Returns the access at a frame of VP8 or VP9; `None` for other codecs, and if the frame can't be read.
///
/// VP8 has the frame type in bit 0, and key frames have a start code (RFC 6386, 9.1). VP9 (6.2) has
/// marker 10, profile, \[a reserved bit in profile 3\], show_existing_frame, frame_type.
fn access_of_vpx(codec: VideoCodec, frame: &[u8]) -> Option<RandomAccess> {
    let is_key = match (codec, frame) {
        (VideoCodec::Vp8, [head, _, _, rest @ ..]) => {
            head & 1 == 0 && rest.starts_with(b"\x9D\x01\x2A")
        }
        (VideoCodec::Vp9, [head @ 0xB0..=0xBF, ..]) => head & 0x06 == 0,
        (VideoCodec::Vp9, [head @ 0x80..=0xAF, ..]) => head & 0x0C == 0,
        _ => return None,
    };
    Some(RandomAccess::of_key(is_key))
}

#[cfg(test)]
mod tests;
