//! Recordings as hybrid MP4: fragments while they grow, sample tables when they are closed.
//!
//! ```text
//! ftyp | free 16 | moov | fragment | fragment | ...                   NAME.mp4.part
//! ftyp | mdat (swallows moov and fragments .......) | moov | index    NAME.mp4
//! ```
//!
//! A fragment is a note (see [`note`](crate::media::mp4::note)), a `moof`, and an `mdat` with a checksum at
//! its end. Each checksum covers the one before it, and the first one covers the end of `free`, which is
//! different in each file: on FAT, a file may contain what another one left behind, and that isn't taken
//! for fragments of this file.
//!
//! # The close
//!
//! `moov` and index are appended and synced. Only then 16 bytes are overwritten with the header of an
//! `mdat`, in one sector, and synced. Then the file is renamed. So power may fail at any point: the file has
//! all its fragments, or is closed.

mod boxes;
pub mod close;
pub mod ends;
pub mod index;
pub mod reader;
pub mod repair;
pub mod summary;
pub mod writer;

pub(super) use boxes::write_boxes;

use super::extent::Extent;
use crate::live::Millis;
use crate::media::mp4::FILE_TYPE_LEN;
use crate::media::mp4::note::{CHECKSUM_LEN, Note};

/// What makes the checksums of a file its own: the last bytes of `free`, or the checksum before.
type Link = [u8; CHECKSUM_LEN as usize];

/// The offset of the first [`Link`].
const LINK_AT: u64 = FILE_TYPE_LEN as u64 + 12;

impl Extent {
    /// Adds a fragment behind the others.
    fn add(&mut self, note: &Note) {
        let duration = Millis::from(note.duration);
        self.gap = self.gap_before(note.wall, note.time, note.speed, note.has_gap);
        if self.fragments == 0 {
            self.from = note.wall;
        }
        self.to = note.wall_end();
        self.duration = note.time.saturating_add(duration);
        self.fragments = self.fragments.saturating_add(1);
    }
}

#[cfg(test)]
pub(in crate::record) mod tests;
