//! A walk over the units of a body that lies in several parts.

use std::ops::Range;

use super::unit::{HEAD_LEN, UnitHead};
use crate::media::av1;
use crate::media::codec::VideoCodec;

/// The maximum number of units of a message that are read. H.265 allows 600 slices per frame.
pub(super) const MAX_UNITS: usize = 1024;

/// The length, and the end, of a unit without a length field: it extends to the end of the body.
const TO_THE_END: usize = usize::MAX;

/// The format of a track's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitFormat {
    /// The codec of the track.
    pub codec: VideoCodec,
    /// The size of the length field in front of each NAL unit in bytes, 1 to 4.
    pub length_size: u8,
}

/// See the module's documentation.
pub(super) struct UnitWalk<'p, 'a> {
    pub(super) format: UnitFormat,
    parts: &'p mut dyn Iterator<Item = &'a [u8]>,
    /// The unread rest of the current part.
    part: &'a [u8],
    /// The number of bytes read so far.
    pub(super) at: usize,
    /// The range of the current unit, including its length field or header. It may extend beyond the
    /// body.
    pub(super) unit: Range<usize>,
    /// The number of units that may still be read.
    left: usize,
    /// Whether all lengths so far were valid. At the end, they add up to the length of the body.
    pub(super) is_whole: bool,
}

impl<'p, 'a> UnitWalk<'p, 'a> {
    pub(super) fn new(
        format: UnitFormat,
        parts: &'p mut dyn Iterator<Item = &'a [u8]>,
    ) -> UnitWalk<'p, 'a> {
        UnitWalk {
            format,
            parts,
            part: &[],
            at: 0,
            unit: 0..0,
            left: MAX_UNITS,
            is_whole: true,
        }
    }

    /// Returns the next unit; `None` at the end of the body, and after an invalid length.
    pub(super) fn next(&mut self) -> Option<UnitHead> {
        while self.at < self.unit.end {
            if self.take(self.unit.end - self.at).is_empty() {
                self.is_whole &= self.unit.end == TO_THE_END;
                return None;
            }
        }
        let start = self.at;
        let mut unit = UnitHead::default();
        let is_there = match self.format.codec {
            VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Vvc => self.read_length(&mut unit),
            VideoCodec::Av1 => self.read_obu_header(&mut unit),
            _ => {
                unit.len = TO_THE_END;
                self.at == 0
            }
        };
        if !is_there || self.left == 0 {
            // The body is whole only if it doesn't end in the middle of a length field.
            self.is_whole &= self.at == start;
            return None;
        }
        // A message of a million tiny units must not hold up the stream.
        self.left -= 1;
        self.unit = start..self.at.saturating_add(unit.len);
        let len = unit.len.min(HEAD_LEN);
        unit.bytes_len = self.read(unit.bytes.get_mut(..len).unwrap_or_default());
        Some(unit)
    }

    fn read_length(&mut self, unit: &mut UnitHead) -> bool {
        let mut len = [0; 4];
        let size = usize::from(self.format.length_size.clamp(1, 4));
        let len_bytes = len.get_mut(4 - size..).unwrap_or_default();
        let is_there = self.read(len_bytes) == size;
        // Longer than any message, and small enough not to overflow a 32-bit usize.
        unit.len = (u32::from_be_bytes(len) as usize).min(1 << 30);
        is_there
    }

    fn read_obu_header(&mut self, unit: &mut UnitHead) -> bool {
        let header = av1::obu_header(&mut || {
            let mut byte = [0];
            (self.read(&mut byte) == 1).then_some(byte[0])
        });
        let Some((obu_type, len)) = header else {
            return false;
        };
        unit.obu_type = obu_type;
        unit.len = len.unwrap_or(TO_THE_END);
        true
    }

    /// Takes the next bytes of one part, at most `max`. Empty at the end.
    fn take(&mut self, max: usize) -> &'a [u8] {
        while self.part.is_empty() && max > 0 {
            match self.parts.next() {
                Some(part) => self.part = part,
                None => return &[],
            }
        }
        let (taken, part) = self.part.split_at(self.part.len().min(max));
        self.part = part;
        self.at += taken.len();
        taken
    }

    fn read(&mut self, mut out: &mut [u8]) -> usize {
        let start = self.at;
        while !out.is_empty() {
            let taken = self.take(out.len());
            if taken.is_empty() {
                break;
            }
            let (now, later) = std::mem::take(&mut out).split_at_mut(taken.len());
            now.copy_from_slice(taken);
            out = later;
        }
        self.at - start
    }

    /// Appends the rest of the current unit.
    pub(super) fn read_rest(&mut self, out: &mut Vec<u8>) {
        while self.at < self.unit.end {
            let taken = self.take(self.unit.end - self.at);
            if taken.is_empty() {
                break;
            }
            out.extend_from_slice(taken);
        }
    }
}
