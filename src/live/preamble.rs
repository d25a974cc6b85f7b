//! The preamble: the metadata and sequence headers that a receiver needs before its first frame.
//!
//! They are sent once, at the start of a publish, and scroll out of the log, so the stream keeps a copy
//! of the current ones. A preamble is immutable. A change makes a new one with the next version, and a
//! receiver that is being sent the previous version finishes the header that it has begun. Older
//! versions are dropped, so that at most two exist.
//!
//! Real streams have less than [`HEAP_LEN`] bytes of headers, which are on the heap. Longer headers go
//! to blocks of the stream's account.

use std::fmt;
use std::sync::Arc;

use super::arena::{BLOCK_LEN, Block};
use super::kept::Kept;
use super::kind::Kind;

/// Longest metadata or sequence header that is kept, in bytes.
pub const MAX_HEADER_LEN: usize = BLOCK_LEN;

/// The maximum number of headers per stream: metadata, and a few per track.
const MAX_HEADERS: usize = 40;

/// The heap memory for all headers of a stream, in bytes.
pub const HEAP_LEN: usize = 1024;

/// The heap memory of a header besides its bytes: its entry, and the part shared between versions.
pub(super) const HEADER_COST: usize = 2 * size_of::<(Slot, Arc<Kept>)>() + size_of::<Kept>() + 16;

/// The maximum number of headers in blocks.
const MAX_IN_BLOCKS: usize = 8;

/// The slot of a header. There is one header per slot, and they are sent in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `onMetaData`.
    Metadata,
    /// Sequence header of a video track.
    Video(u8),
    /// Color information of a video track (Enhanced RTMP).
    VideoMetadata(u8),
    /// Sequence header of an audio track.
    Audio(u8),
    /// Channel layout of an audio track (Enhanced RTMP).
    AudioChannels(u8),
}

impl Slot {
    /// The kind of message that carries it.
    pub fn kind(self) -> Kind {
        match self {
            Slot::Metadata => Kind::Data,
            Slot::Video(_) | Slot::VideoMetadata(_) => Kind::Video,
            Slot::Audio(_) | Slot::AudioChannels(_) => Kind::Audio,
        }
    }
}

/// See the module's documentation.
#[derive(Clone, Default)]
pub struct Preamble {
    version: u32,
    headers: Vec<(Slot, Arc<Kept>)>,
}

impl fmt::Debug for Preamble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.headers.iter().map(|(slot, _)| slot);
        f.debug_list().entries(slots).finish()
    }
}

impl Preamble {
    /// The version, which grows by one with each change, through all publishers of a stream.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The header in a slot.
    pub fn header(&self, slot: Slot) -> Option<&[u8]> {
        let (_, bytes) = self.headers.iter().find(|(s, _)| *s == slot)?;
        Some(bytes)
    }

    /// The header at an index in sending order.
    pub fn nth(&self, index: usize) -> Option<(Slot, &[u8])> {
        let (slot, bytes) = self.headers.get(index)?;
        Some((*slot, bytes))
    }

    /// The heap memory of its headers, in bytes, including that of headers in blocks.
    pub(super) fn cost(&self) -> usize {
        let headers = self.headers.iter();
        headers.map(|(_, kept)| HEADER_COST + kept.heap_len()).sum()
    }

    /// Replaces or adds a header. If it would make the headers longer than `max_on_heap` bytes on the
    /// heap, it takes a block. `None` if nothing changes: the bytes are the same, or more than
    /// [`MAX_HEADER_LEN`], there are too many tracks, or the headers are too long in total.
    pub fn with(
        &self,
        slot: Slot,
        bytes: &[u8],
        max_on_heap: usize,
        block: impl FnOnce() -> Option<Block>,
    ) -> Option<Preamble> {
        if bytes.len() > MAX_HEADER_LEN || self.header(slot) == Some(bytes) {
            return None;
        }
        let place = self.headers.binary_search_by_key(&slot, |(s, _)| *s);
        if place.is_err() && self.headers.len() == MAX_HEADERS {
            return None;
        }
        let others = self.headers.iter().filter(|(other, _)| *other != slot);
        let on_heap: usize = others.clone().map(|(_, kept)| kept.heap_len()).sum();
        let in_blocks = others.filter(|(_, kept)| matches!(**kept, Kept::Block(..)));
        let kept = if on_heap + bytes.len() <= max_on_heap {
            Kept::Heap(bytes.into())
        } else if in_blocks.count() < MAX_IN_BLOCKS {
            Kept::in_block(bytes, block()?)?
        } else {
            return None;
        };
        let mut headers = self.headers.clone();
        match place {
            Ok(index) => headers[index].1 = kept.into(),
            Err(index) => headers.insert(index, (slot, kept.into())),
        }
        Some(Preamble {
            version: self.version.wrapping_add(1),
            headers,
        })
    }

    /// Removes some of the headers; `None` if nothing changes.
    pub fn without(&self, is_gone: impl Fn(Slot) -> bool) -> Option<Preamble> {
        let mut headers = self.headers.clone();
        headers.retain(|(slot, _)| !is_gone(*slot));
        (headers.len() < self.headers.len()).then(|| Preamble {
            version: self.version.wrapping_add(1),
            headers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::arena::{Arena, BLOCK_LEN};

    impl Preamble {
        fn with_short(&self, slot: Slot, bytes: &[u8]) -> Option<Preamble> {
            self.with(slot, bytes, HEAP_LEN, || None)
        }
    }

    #[test]
    fn headers_are_sent_metadata_first_then_video_then_audio() {
        let preamble = Preamble::default()
            .with_short(Slot::Audio(0), b"asc")
            .and_then(|p| p.with_short(Slot::Video(0), b"avcc"))
            .and_then(|p| p.with_short(Slot::Metadata, b"meta"))
            .unwrap();
        let order: Vec<_> = preamble.headers.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(order, [Slot::Metadata, Slot::Video(0), Slot::Audio(0)]);
        assert_eq!(preamble.version(), 3);
    }

    #[test]
    fn the_same_header_again_changes_nothing() {
        let preamble = Preamble::default()
            .with_short(Slot::Video(0), b"avcc")
            .unwrap();
        assert!(preamble.with_short(Slot::Video(0), b"avcc").is_none());
        assert!(preamble.with_short(Slot::Video(0), b"other").is_some());
    }

    #[test]
    fn a_flood_of_tracks_or_bytes_is_not_kept() {
        let mut preamble = Preamble::default();
        for track in 0..=255 {
            preamble = preamble
                .with_short(Slot::Video(track), b"header")
                .unwrap_or(preamble);
        }
        assert_eq!(preamble.headers.len(), MAX_HEADERS);
        let too_long = [0; MAX_HEADER_LEN + 1];
        assert!(preamble.with_short(Slot::Video(0), &too_long).is_none());
    }

    #[test]
    fn long_headers_are_kept_in_blocks_as_long_as_they_fit_together() {
        let arena = Arena::new(100 * BLOCK_LEN);
        let mut preamble = Preamble::default();
        for track in 0..40 {
            preamble = preamble
                .with(Slot::Video(track), &[track; 10_000], HEAP_LEN, || {
                    arena.take()
                })
                .unwrap_or(preamble);
        }
        assert_eq!(preamble.headers.len(), MAX_IN_BLOCKS);
        assert_eq!(arena.free_blocks(), 100 - MAX_IN_BLOCKS);
        assert_eq!(preamble.header(Slot::Video(1)), Some(&[1; 10_000][..]));
        // A header that replaces one of them counts in its place.
        let other = preamble.with(Slot::Video(1), &[9; 16_000], HEAP_LEN, || arena.take());
        assert_eq!(
            other.unwrap().header(Slot::Video(1)),
            Some(&[9; 16_000][..])
        );
        // Short headers are on the heap, up to 1 KiB of them.
        let short = preamble
            .with_short(Slot::Audio(0), b"\xAF\0\x12\x10")
            .unwrap();
        assert!(short.with_short(Slot::Audio(1), &[0; 1_000]).is_some());
        assert!(short.with_short(Slot::Audio(1), &[0; 1_021]).is_none());
        drop((preamble, short));
        assert_eq!(arena.free_blocks(), 100);
    }
}
