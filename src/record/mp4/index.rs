//! The index at the end of a closed file: the notes of all fragments, to be read at once.
//!
//! ```text
//!   0  uuid, id (8)
//!  24  note 96, note 96, ...
//! end - 8  the length of the box, "bkix"
//! ```
//!
//! The fragments lie one after another, so their notes say where they are.

use crate::media::mp4::note::NOTE_LEN;

/// The length in front of the notes, in bytes.
pub(super) const HEAD_LEN: u64 = 24;

/// The length behind the notes, in bytes.
pub(super) const TAIL_LEN: usize = 8;

/// An identifier that was made up at random.
const ID: &[u8; 16] = b"\x51\xE4\x0B\x7C\x92\x3D\x4A\xAF\x86\x1D\xC8\x70\x2E\xB9\x65\x1A";

const NAME: &[u8; 4] = b"bkix";

/// The length of an index in bytes; `None` if there are too many fragments.
pub(super) fn len(fragments: u32) -> Option<u32> {
    let notes = u64::from(fragments) * NOTE_LEN as u64;
    u32::try_from(HEAD_LEN + notes + TAIL_LEN as u64).ok()
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

/// The length of the index whose last bytes these are.
pub(super) fn len_of(tail: [u8; TAIL_LEN]) -> Option<u32> {
    let [a, b, c, d, name @ ..] = tail;
    let len = u32::from_be_bytes([a, b, c, d]);
    let notes = u64::from(len).checked_sub(HEAD_LEN + TAIL_LEN as u64)?;
    (name == *NAME && notes % NOTE_LEN as u64 == 0).then_some(len)
}
