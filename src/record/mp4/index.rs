//! The index at the end of a closed file: the notes of all fragments, to be read at once.
//!
//! ```text
//!   0  uuid, id (8)
//!  24  note 96, note 96, ...
//!      0 or 1 bytes
//!      summary of all fragments
//! end - 8  the length of the box, "bkix"
//! ```
//!
//! The fragments lie one after another, so their notes say where they are. The length of a file with
//! [gaps](crate::record::extent::Gap) is odd, so that it isn't necessary to read a file to know that it has
//! none.

use crate::media::mp4::note::NOTE_LEN;

/// The length in front of the notes, in bytes.
pub(super) const HEAD_LEN: u64 = 24;

/// The length of a [summary](super::summary) in bytes.
pub(super) const SUMMARY_LEN: usize = 2 * (8 + NOTE_LEN) + 4 + 2 * (5 * 4 + 4 * 8 + 4) + 4 + 4;

/// The length of what is behind it, in bytes.
pub(super) const TAIL_LEN: usize = 8;

/// An identifier that was made up at random.
const ID: &[u8; 16] = b"\x51\xE4\x0B\x7C\x92\x3D\x4A\xAF\x86\x1D\xC8\x70\x2E\xB9\x65\x1A";

const NAME: &[u8; 4] = b"bkix";

/// What is in an index besides notes.
const OTHERS_LEN: u64 = HEAD_LEN + (SUMMARY_LEN + TAIL_LEN) as u64;

/// Whether a closed file of this length may have gaps.
pub fn may_have_gaps(len: u64) -> bool {
    len % 2 == 1
}

/// The length of an index at this position, in bytes; `None` if there are too many fragments.
pub(super) fn len(position: u64, fragments: u32, has_gaps: bool) -> Option<u32> {
    let len = OTHERS_LEN + u64::from(fragments) * NOTE_LEN as u64;
    let more = may_have_gaps(position + len) != has_gaps;
    u32::try_from(len + u64::from(more)).ok()
}

/// Returns what lies in front of the notes.
pub(super) fn head(len: u32) -> [u8; HEAD_LEN as usize] {
    let mut head = [0; HEAD_LEN as usize];
    head[..4].copy_from_slice(&len.to_be_bytes());
    head[4..8].copy_from_slice(b"uuid");
    head[8..].copy_from_slice(ID);
    head
}

/// Returns what lies behind the notes.
pub(super) fn tail(len: u32) -> [u8; TAIL_LEN] {
    let mut tail = [0; TAIL_LEN];
    tail[..4].copy_from_slice(&len.to_be_bytes());
    tail[4..].copy_from_slice(NAME);
    tail
}

/// The lengths of the index whose last bytes these are, and of its notes.
pub(super) fn lens_of(tail: [u8; TAIL_LEN]) -> Option<(u64, u64)> {
    let [a, b, c, d, name @ ..] = tail;
    let len = u64::from(u32::from_be_bytes([a, b, c, d]));
    let notes = len.checked_sub(OTHERS_LEN)?;
    let more = notes % NOTE_LEN as u64;
    (name == *NAME && more < 2).then_some((len, notes - more))
}
