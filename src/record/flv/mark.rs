//! Marks: a tag after each fragment, which tells whether its bytes have survived a power cut, and where
//! the fragment begins.
//!
//! ```text
//! head | tag tag tag tag  mark | tag tag tag  mark | ...
//!        `--- fragment --'  |    `fragment-'
//!                           `-- len, time, end, checksum
//! ```
//!
//! Players know nothing of marks: each is an `onCuePoint` at 0 ms, with an array instead of an object.
//! ffmpeg takes a script tag with another name for a track of data, and one with an object for tags of
//! the file.
//!
//! ```text
//! 12 00 00 63  00 00 00 00  00 00 00       script, 99 bytes, at 0 ms
//! 02 00 0A "onCuePoint"                    (AMF0)
//! 0A 00 00 00 09                           array of 9 numbers
//!    00 <f64> ...                          those of the fields, the checksum is the last
//! 00 00 00 6E                              110, the size of this tag
//! ```

use std::hash::Hasher;

use twox_hash::XxHash32;

use crate::media::flv::{OVERHEAD, TAG_HEADER_LEN, TagHeader, tag_type};
use crate::record::WallMillis;

/// The length of a mark in bytes, with everything around its payload.
pub(super) const MARK_LEN: usize = OVERHEAD + PAYLOAD_LEN;

const PAYLOAD_LEN: usize = NAME.len() + NUMBERS * 9;

/// The beginning of the payload: the name, and the beginning of the array.
const NAME: &[u8; 18] = b"\x02\0\x0AonCuePoint\x0A\0\0\0\x09";

const NUMBERS: usize = 9;

/// The first number of a mark: "brook", as a number.
const MAGIC: u64 = 0x62_726F_6F6B;

/// The position of the checksum, with the byte that says that it is a number.
const CHECKSUM_AT: usize = MARK_LEN - 4 - 9;

const STARTS_WITH_KEYFRAME: u64 = 1;
const FOLLOWS_GAP: u64 = 2;
const HAS_AUDIO: u64 = 4;
const HAS_VIDEO: u64 = 8;

/// What a mark says of the fragment before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The number of bytes from the previous mark to this one; of the first mark from the beginning of the file.
    pub len: u64,
    /// The position of the keyframe's tag in these bytes, if the fragment has a keyframe.
    pub keyframe_at: Option<u64>,
    /// Whether messages were lost before it.
    pub follows_gap: bool,
    /// Whether there has been audio in the file so far.
    pub has_audio: bool,
    /// Whether there has been video in the file so far.
    pub has_video: bool,
    /// When its first frame arrived, in ms since 1970.
    pub wall: WallMillis,
    /// The timestamp of its keyframe, else of its first frame, in ms from the beginning of the file.
    pub time: u64,
    /// The end of its last frame in the same way: the duration of the file up to here.
    pub end: u64,
    /// The length of the file at its last completed sync.
    pub synced_to: u64,
}

impl Mark {
    /// When its last frame was over, in ms since 1970.
    pub fn wall_end(&self) -> WallMillis {
        self.wall.saturating_add(self.end.saturating_sub(self.time))
    }

    /// Returns the bytes of the mark after bytes with this checksum.
    pub(super) fn bytes(&self, mut checksum: XxHash32) -> [u8; MARK_LEN] {
        let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
        let flags = flag(self.keyframe_at.is_some(), STARTS_WITH_KEYFRAME)
            | flag(self.follows_gap, FOLLOWS_GAP)
            | flag(self.has_audio, HAS_AUDIO)
            | flag(self.has_video, HAS_VIDEO);
        let numbers = [
            MAGIC,
            self.len,
            self.keyframe_at.unwrap_or(0),
            flags,
            self.wall,
            self.time,
            self.end,
            self.synced_to,
        ];
        let header = header();
        let mut bytes = Vec::with_capacity(MARK_LEN);
        bytes.extend_from_slice(&header.bytes());
        bytes.extend_from_slice(NAME);
        for number in numbers {
            bytes.push(0);
            bytes.extend_from_slice(&(number as f64).to_be_bytes());
        }
        checksum.write(&bytes);
        bytes.push(0);
        bytes.extend_from_slice(&f64::from(checksum.finish_32()).to_be_bytes());
        bytes.extend_from_slice(&header.size_bytes());
        let mut all = [0; MARK_LEN];
        all.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        all
    }

    /// Reads a mark; `None` if it is another tag.
    pub(super) fn parse(bytes: &[u8; MARK_LEN]) -> Option<Mark> {
        let (begin, rest) = bytes.split_at_checked(TAG_HEADER_LEN + NAME.len())?;
        let header = header();
        let is_mark = begin.starts_with(&header.bytes()) && begin.ends_with(NAME);
        if !is_mark || !bytes.ends_with(&header.size_bytes()) {
            return None;
        }
        let mut numbers = rest.chunks_exact(9).map(number);
        let mut next = || numbers.next().flatten();
        if next()? != MAGIC {
            return None;
        }
        let (len, keyframe_at, flags) = (next()?, next()?, next()?);
        let has = |flag| flags & flag != 0;
        let mark = Mark {
            len,
            keyframe_at: has(STARTS_WITH_KEYFRAME).then_some(keyframe_at),
            follows_gap: has(FOLLOWS_GAP),
            has_audio: has(HAS_AUDIO),
            has_video: has(HAS_VIDEO),
            wall: next()?,
            time: next()?,
            end: next()?,
            synced_to: next()?,
        };
        (mark.keyframe_at.unwrap_or(0) <= len).then_some(mark)
    }

    /// Whether the bytes of a mark follow bytes with this checksum.
    pub(super) fn is_right(bytes: &[u8; MARK_LEN], mut checksum: XxHash32) -> bool {
        let Some((before, rest)) = bytes.split_at_checked(CHECKSUM_AT) else {
            return false;
        };
        checksum.write(before);
        rest.get(..9).and_then(number) == Some(checksum.finish_32().into())
    }

    /// The checksum with which the next fragment begins: what another file has left behind doesn't continue it.
    pub(super) fn checksum_after(bytes: &[u8; MARK_LEN]) -> XxHash32 {
        let mut checksum = XxHash32::with_seed(0);
        let own = bytes.get(CHECKSUM_AT..MARK_LEN - 4);
        checksum.write(own.unwrap_or_default());
        checksum
    }

    /// Whether a payload of a publisher would be taken for a mark.
    pub(super) fn is_like(payload: &[u8]) -> bool {
        payload.len() == PAYLOAD_LEN && payload.starts_with(NAME)
    }

    /// Whether a payload of this length may be like one of a mark.
    pub(super) fn may_have_len(len: u32) -> bool {
        len as usize == PAYLOAD_LEN
    }

    /// Whether a tag may be a mark.
    pub(super) fn may_begin(header: &TagHeader) -> bool {
        *header == self::header()
    }
}

fn header() -> TagHeader {
    TagHeader {
        tag_type: tag_type::SCRIPT,
        len: PAYLOAD_LEN as u32,
        timestamp: 0,
    }
}

/// Reads a number that is whole and not negative.
fn number(bytes: &[u8]) -> Option<u64> {
    /// Numbers up to this one are exact.
    const MOST: f64 = (1u64 << 53) as f64;

    let (kind, number) = bytes.split_first()?;
    let number = f64::from_be_bytes(number.try_into().ok()?);
    let is_whole = (0.0..=MOST).contains(&number) && number.fract() == 0.0;
    (*kind == 0 && is_whole).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Mark {
        Mark {
            len: 70_000,
            keyframe_at: Some(12),
            follows_gap: true,
            has_audio: false,
            has_video: true,
            wall: 1_764_329_400_250,
            time: 1_000,
            end: 2_040,
            synced_to: 1 << 40,
        }
    }

    #[test]
    fn marks_come_back_as_they_were_written() {
        let mut checksum = XxHash32::with_seed(0);
        checksum.write(b"fragment");
        let mark = example();
        let bytes = mark.bytes(checksum.clone());
        assert_eq!(Mark::parse(&bytes), Some(mark));
        assert!(Mark::is_right(&bytes, checksum.clone()));
        checksum.write(b"!");
        assert!(!Mark::is_right(&bytes, checksum));
        assert!(Mark::is_like(&bytes[11..MARK_LEN - 4]));
        assert_eq!(mark.wall_end(), mark.wall + 1_040);
    }

    #[test]
    fn a_changed_bit_is_noticed() {
        let checksum = XxHash32::with_seed(0);
        let bytes = example().bytes(checksum.clone());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let is_good =
                Mark::parse(&changed).is_some() && Mark::is_right(&changed, checksum.clone());
            assert!(!is_good, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_numbers_never_panic(numbers: Vec<f64>) {
            let mut bytes = example().bytes(XxHash32::with_seed(0));
            for (place, number) in bytes[38..].chunks_exact_mut(9).zip(numbers) {
                place[1..].copy_from_slice(&number.to_be_bytes());
            }
            if let Some(mark) = Mark::parse(&bytes) {
                let _ = mark.wall_end();
            }
        }
    }
}
