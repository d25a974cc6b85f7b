//! The preamble: what a receiver needs before its first picture or sound.
//!
//! Metadata and sequence headers come once, at the start of a publish, and scroll out of the log.
//! The stream keeps a copy of the current ones. A preamble is immutable; a change makes a new one
//! with the next version, and a receiver that holds the old one finishes what it has begun.

use std::sync::Arc;

use super::log::Kind;

/// Longest metadata or sequence header that is kept, in bytes.
pub const MAX_HEADER_LEN: usize = 64 * 1024;

/// Headers kept per stream: metadata, and a few per track.
const MAX_HEADERS: usize = 40;

/// Bytes kept per stream, which don't come from the arena: the largest metadata and as much for
/// all tracks, where real ones need a few hundred.
const MAX_LEN: usize = 128 * 1024;

/// Where a header belongs; one header per slot, sent in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `onMetaData`.
    Metadata,
    /// Sequence header of a video track.
    Video(u8),
    /// Colour information of a video track (Enhanced RTMP).
    VideoMetadata(u8),
    /// Sequence header of an audio track.
    Audio(u8),
    /// Channel layout of an audio track (Enhanced RTMP).
    AudioChannels(u8),
}

impl Slot {
    /// Whether a decoder can do without it.
    pub(super) fn is_description(self) -> bool {
        matches!(
            self,
            Slot::Metadata | Slot::VideoMetadata(_) | Slot::AudioChannels(_)
        )
    }

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preamble {
    version: u32,
    headers: Vec<(Slot, Arc<[u8]>)>,
}

impl Preamble {
    /// Grows by one with each change, through all publishers of a stream.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The header in a slot.
    pub fn header(&self, slot: Slot) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(s, _)| *s == slot)
            .map(|(_, bytes)| &**bytes)
    }

    /// All headers, in the order in which they are sent.
    pub fn headers(&self) -> impl Iterator<Item = (Slot, &[u8])> {
        self.headers.iter().map(|(slot, bytes)| (*slot, &**bytes))
    }

    /// The header at an index in sending order.
    pub fn nth(&self, index: usize) -> Option<(Slot, &[u8])> {
        self.headers
            .get(index)
            .map(|(slot, bytes)| (*slot, &**bytes))
    }

    /// A preamble with one header replaced or added; `None` when nothing changes: the same bytes
    /// again, more than [`MAX_HEADER_LEN`] of them, too many tracks, or too much in all.
    pub fn with(&self, slot: Slot, bytes: &[u8]) -> Option<Preamble> {
        if bytes.len() > MAX_HEADER_LEN || self.header(slot) == Some(bytes) {
            return None;
        }
        let others = self.headers().filter(|(other, _)| *other != slot);
        if others.map(|(_, bytes)| bytes.len()).sum::<usize>() + bytes.len() > MAX_LEN {
            return None;
        }
        let mut headers = self.headers.clone();
        match headers.binary_search_by_key(&slot, |(s, _)| *s) {
            Ok(index) => headers[index].1 = bytes.into(),
            Err(_) if headers.len() == MAX_HEADERS => return None,
            Err(index) => headers.insert(index, (slot, bytes.into())),
        }
        Some(Preamble {
            version: self.version.wrapping_add(1),
            headers,
        })
    }

    /// A preamble without some of the headers; `None` when nothing changes.
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

    #[test]
    fn headers_are_sent_metadata_first_then_video_then_audio() {
        let preamble = Preamble::default()
            .with(Slot::Audio(0), b"asc")
            .and_then(|p| p.with(Slot::Video(0), b"avcc"))
            .and_then(|p| p.with(Slot::Metadata, b"meta"))
            .unwrap();
        let order: Vec<_> = preamble.headers().map(|(slot, _)| slot).collect();
        assert_eq!(order, [Slot::Metadata, Slot::Video(0), Slot::Audio(0)]);
        assert_eq!(preamble.version(), 3);
    }

    #[test]
    fn the_same_header_again_changes_nothing() {
        let preamble = Preamble::default().with(Slot::Video(0), b"avcc").unwrap();
        assert_eq!(preamble.with(Slot::Video(0), b"avcc"), None);
        assert!(preamble.with(Slot::Video(0), b"other").is_some());
    }

    #[test]
    fn a_flood_of_tracks_or_bytes_is_not_kept() {
        let mut preamble = Preamble::default();
        for track in 0..=255 {
            preamble = preamble
                .with(Slot::Video(track), b"header")
                .unwrap_or(preamble);
        }
        assert_eq!(preamble.headers().count(), MAX_HEADERS);
        assert_eq!(
            preamble.with(Slot::Video(0), &[0; MAX_HEADER_LEN + 1]),
            None
        );
    }

    #[test]
    fn many_long_headers_are_kept_as_long_as_they_fit_together() {
        let mut preamble = Preamble::default();
        for track in 0..40 {
            preamble = preamble
                .with(Slot::Video(track), &[track; 50_000])
                .unwrap_or(preamble);
        }
        assert_eq!(preamble.headers().count(), 2);
        // What replaces one of them counts in its stead.
        assert!(preamble.with(Slot::Video(1), &[9; 60_000]).is_some());
        assert!(preamble.with(Slot::Audio(0), b"\xAF\0\x12\x10").is_some());
    }
}
