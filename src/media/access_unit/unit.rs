//! The kind of a unit, determined by its first bytes.

use super::RandomAccess;
use crate::media::bits::BitReader;
use crate::media::codec::VideoCodec;

/// The number of bytes of a unit that are read to determine its kind.
pub(super) const HEAD_LEN: usize = 24;

/// The length and the first bytes of a unit, without the length field in front of it.
#[derive(Default)]
pub(super) struct UnitHead {
    pub(super) len: usize,
    pub(super) bytes: [u8; HEAD_LEN],
    pub(super) bytes_len: usize,
    /// The type of an open bitstream unit, whose header isn't in `bytes`.
    pub(super) obu_type: u8,
}

/// The kind of a unit.
pub(super) enum UnitKind {
    /// A slice of a frame, or a whole frame. True for the first slice of a frame.
    Slice(bool, RandomAccess),
    /// A parameter set of H.264 or H.265.
    ParameterSet,
    /// A sequence header of AV1, which precedes each key frame.
    SequenceHeader,
    RecoveryPoint,
    /// A unit that containers forbid.
    Forbidden,
    Other,
}

impl UnitHead {
    pub(super) fn head(&self) -> &[u8] {
        self.bytes.get(..self.bytes_len).unwrap_or_default()
    }

    pub(super) fn kind(&self, codec: VideoCodec) -> UnitKind {
        match (codec, self.head()) {
            (VideoCodec::Av1, head) => self.kind_of_obu(head),
            (_, []) => UnitKind::Forbidden,
            (VideoCodec::H264, [head, rest @ ..]) => kind_of_h264(*head, rest),
            (VideoCodec::Hevc, [head, layer, rest @ ..]) => kind_of_hevc(*head, *layer, rest),
            // IDR, CRA and GDR pictures.
            (VideoCodec::Vvc, [0..0x80, head, ..]) if (7..=10).contains(&(head >> 3)) => {
                UnitKind::Slice(true, RandomAccess::Yes)
            }
            _ => UnitKind::Other,
        }
    }

    /// Returns the kind of an open bitstream unit (AV1, 6.2.2).
    fn kind_of_obu(&self, payload: &[u8]) -> UnitKind {
        // show_existing_frame (1 bit) and frame_type (2 bits) are all 0 in a key frame.
        let is_key = matches!(payload, [0..0x20, ..]);
        match self.obu_type {
            1 => UnitKind::SequenceHeader,
            2 => UnitKind::Forbidden,
            // A frame or a frame header.
            3 | 6 => UnitKind::Slice(true, RandomAccess::of_key(is_key)),
            // Tiles, or a repeated frame header.
            4 | 7 => UnitKind::Slice(false, RandomAccess::No),
            _ => UnitKind::Other,
        }
    }
}

/// Returns the kind of a NAL unit (H.264, 7.3.1 and 7.3.3). A truncated slice header counts as the first
/// of its frame.
fn kind_of_h264(head: u8, rest: &[u8]) -> UnitKind {
    let is_reference = head & 0x60 != 0;
    match head & 0x9F {
        5 if is_reference => {
            let is_first = rest.first().is_none_or(|byte| byte & 0x80 != 0);
            UnitKind::Slice(is_first, RandomAccess::Yes)
        }
        1 | 2 | 5 => {
            let r = &mut BitReader::of_nal_unit(rest);
            let is_first = r.ue().is_none_or(|first_block| first_block == 0);
            match r.ue() {
                // The types of slices that don't depend on others.
                Some(2 | 4 | 7 | 9) => UnitKind::Slice(is_first, RandomAccess::Intra),
                _ => UnitKind::Slice(is_first, RandomAccess::No),
            }
        }
        // Data partitions of a slice.
        3 | 4 => UnitKind::Slice(false, RandomAccess::No),
        6 if has_recovery_point(rest) => UnitKind::RecoveryPoint,
        7 | 8 => UnitKind::ParameterSet,
        _ => UnitKind::Other,
    }
}

/// Returns the kind of a NAL unit (H.265, 7.3.1.2 and 7.3.6.1). Layers other than the base layer are
/// ignored.
fn kind_of_hevc(head: u8, layer: u8, rest: &[u8]) -> UnitKind {
    if head & 0x81 != 0 || layer & 0xF8 != 0 {
        return UnitKind::Other;
    }
    let is_first = rest.first().is_none_or(|byte| byte & 0x80 != 0);
    match head >> 1 {
        0..=9 => UnitKind::Slice(is_first, RandomAccess::No),
        16..=21 => UnitKind::Slice(is_first, RandomAccess::Yes),
        32..=34 => UnitKind::ParameterSet,
        39 if has_recovery_point(rest) => UnitKind::RecoveryPoint,
        _ => UnitKind::Other,
    }
}

/// Whether one of the first messages of supplemental information (SEI) is a recovery point, which
/// has type 6 in both H.264 and H.265.
fn has_recovery_point(mut messages: &[u8]) -> bool {
    while let [kind, len, rest @ ..] = messages {
        if *kind == 6 {
            return true;
        }
        messages = rest.get(usize::from(*len)..).unwrap_or_default();
    }
    false
}
