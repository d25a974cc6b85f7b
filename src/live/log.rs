//! The log: the bounded history of one stream, messages end to end in blocks of the arena.
//!
//! ```text
//! blocks     [ b0 ............ ][ b1 ............ ][ b2 .....          ]
//! positions  ^base      ^first entry                      ^head
//! index      number 71: position, length, kind, timestamp, flags
//!            number 72: ...
//! ```
//!
//! Numbers (of messages) and positions (of bytes) are `u64`, start at 0 and only grow. A position
//! becomes a block and an offset in one place, [`Log::slices`]. What falls out at the old end is
//! gone: a cursor that asks for it learns so from [`Log::entry`] returning `None`.
//!
//! Invariant: a message in the log is complete and immutable.

use std::collections::VecDeque;

use super::Millis;
use super::arena::{Arena, BLOCK_LEN, Block, Share};
use super::capabilities::Capabilities;
use crate::media::tag::Medium;

/// Index entries that a log may hold per block of its share. Together with the share it bounds
/// the index, whatever the size of the messages: 16 x 64 bytes per block, 6 % of the arena.
const ENTRIES_PER_BLOCK: usize = 16;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An audio message, an FLV audio tag body.
    Audio,
    /// A video message, an FLV video tag body.
    Video,
    /// A data message: `onMetaData` and its properties in AMF0.
    Data,
}

impl Kind {
    /// Audio or video, if it is one of them.
    pub(super) fn medium(self) -> Option<Medium> {
        match self {
            Kind::Audio => Some(Medium::Audio),
            Kind::Video => Some(Medium::Video),
            Kind::Data => None,
        }
    }
}

/// What a message is to those who receive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A picture, or sound.
    Media,
    /// Decoder configuration or metadata: part of the preamble from here on.
    Header,
    /// Neither, such as the end of a sequence.
    Other,
}

/// What a container needs to know of a picture or sound beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it is decoded: pictures in ms, sounds in samples at the track's rate, both since the
    /// same moment before the stream began. Only grows, and doesn't wrap.
    pub decode_time: u64,
    /// ms from decoding to showing, in MP4: pictures are decoded early there.
    pub composition_time: i32,
    /// In the unit of the decode time. Of a picture, how much later than decoded it is due. 0: the
    /// message holds nothing that a container takes.
    pub duration: u16,
    /// Where the coded picture or sound begins in the payload.
    pub body_offset: u8,
}

/// What the stream says of a message when it appends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Audio, video or data.
    pub kind: Kind,
    /// Decode time in ms, wrapping.
    pub timestamp: u32,
    /// When the message was complete, on the server's clock.
    pub arrived: Millis,
    /// A receiver may start here, once it has the preamble.
    pub is_join_point: bool,
    /// Media, header or other.
    pub role: Role,
    /// Version of the preamble that holds after this message.
    pub preamble_version: u32,
    /// What it asks of its receivers.
    pub needs: Capabilities,
    /// Bytes of ModEx behind the first byte of its payload. The last of them has in its low half
    /// the type that belongs into the first byte without them.
    pub mod_ex_len: u8,
    /// As a sample of its track.
    pub sample: Sample,
}

impl Meta {
    /// Whether it can be decoded without what came before.
    pub(super) fn is_sync(&self) -> bool {
        self.is_join_point || self.kind == Kind::Audio
    }
}

/// One message in the index.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// As it was appended.
    pub meta: Meta,
    /// Where its payload starts.
    pub position: u64,
    /// Payload length in bytes.
    pub len: u32,
    /// Pictures (video messages that are media) of the first track, up to and with this message.
    pub pictures: u32,
    /// Audio messages that are media, counted likewise.
    pub audio_frames: u32,
}

const _: () = assert!(size_of::<Entry>() == 64);

/// No block is left, and the log has none of its own to give up.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfBlocks;

/// See the module's documentation.
pub struct Log {
    arena: Arena,
    /// Held from the first message on.
    share: Option<Share>,
    history: Millis,
    blocks: VecDeque<Block>,
    /// Position of the first byte of `blocks`.
    base: u64,
    head: u64,
    entries: VecDeque<Entry>,
    /// Number of the first entry.
    first: u64,
    join_point: Option<u64>,
    /// Messages before this one have been sent to everybody.
    needed_from: u64,
    /// Messages from this one on are kept however old they are.
    kept_from: u64,
    pictures: u32,
    audio_frames: u32,
    /// Timestamp of the newest picture, the live edge of a re-stamped join.
    picture_timestamp: u32,
}

impl Log {
    /// An empty log. It keeps the newest GOP for those who join, and up to `history` ms for those
    /// who are behind, while blocks last.
    pub fn new(arena: Arena, history: Millis) -> Log {
        Log {
            arena,
            share: None,
            history,
            blocks: VecDeque::new(),
            base: 0,
            head: 0,
            entries: VecDeque::new(),
            first: 0,
            join_point: None,
            needed_from: 0,
            kept_from: u64::MAX,
            pictures: 0,
            audio_frames: 0,
            picture_timestamp: 0,
        }
    }

    /// Appends a message whose payload is the concatenation of `parts`, after evicting what nobody
    /// needs, what is older than the history, and what is over the fair share. Returns its number.
    pub fn append<'a>(
        &mut self,
        meta: Meta,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<u64, OutOfBlocks> {
        let len = parts.clone().map(<[u8]>::len).sum();
        let position = self.begin(len, meta.arrived)?;
        for part in parts {
            self.write(part);
        }
        Ok(self.finish(meta, position, len))
    }

    fn begin(&mut self, len: usize, now: Millis) -> Result<u64, OutOfBlocks> {
        self.share.get_or_insert_with(|| self.arena.share());
        if len > self.arena.fair_share() * BLOCK_LEN {
            return Err(OutOfBlocks);
        }
        self.make_room(len, now)?;
        Ok(self.head)
    }

    fn finish(&mut self, meta: Meta, position: u64, len: usize) -> u64 {
        // Receivers of one track and of all of them are to count alike.
        if meta.role == Role::Media && !meta.needs.has_multitrack() {
            match meta.kind {
                Kind::Video => {
                    self.pictures = self.pictures.wrapping_add(1);
                    self.picture_timestamp = meta.timestamp;
                }
                Kind::Audio => self.audio_frames = self.audio_frames.wrapping_add(1),
                Kind::Data => {}
            }
        }
        let number = self.end();
        self.entries.push_back(Entry {
            meta,
            position,
            // Fits: a message is smaller than the arena, and the wire's length has 24 bits.
            len: len as u32,
            pictures: self.pictures,
            audio_frames: self.audio_frames,
        });
        if meta.is_join_point {
            self.join_point = Some(number);
        }
        number
    }

    /// From now on nobody may start at an older message: the decoder's configuration changed.
    pub fn clear_join_point(&mut self) {
        self.join_point = None;
    }

    /// Gives up the oldest message so that its blocks can serve somebody else; false when there
    /// is none.
    pub fn evict_oldest(&mut self) -> bool {
        self.evict(0)
    }

    /// Gives up the oldest message and the blocks that this frees, but for the last `keep`, which
    /// are to be written again: given back, they could be somebody else's before they are taken.
    fn evict(&mut self, keep: usize) -> bool {
        let Some(_) = self.entries.pop_front() else {
            return false;
        };
        self.first += 1;
        if self.join_point.is_some_and(|number| number < self.first) {
            self.join_point = None;
        }
        let keep_from = self
            .entries
            .front()
            .map_or(self.head, |entry| entry.position);
        while self.blocks.len() > 1 && self.base + BLOCK_LEN as u64 <= keep_from {
            let freed = self.blocks.pop_front();
            self.base += BLOCK_LEN as u64;
            if self.blocks.len() < keep {
                self.blocks.extend(freed);
            }
        }
        if self.entries.is_empty() {
            self.blocks.truncate(keep);
            self.head = self.head.next_multiple_of(BLOCK_LEN as u64);
            self.base = self.head;
        }
        true
    }

    /// Says which message the slowest receiver wants next. What is older, and older than the
    /// newest GOP, needn't be kept.
    pub fn set_needed_from(&mut self, number: u64) {
        self.needed_from = number;
    }

    /// From this message on all are kept while blocks last, however old they are; `u64::MAX` for
    /// none.
    pub fn set_kept_from(&mut self, number: u64) {
        self.kept_from = number;
    }

    /// Whether the log holds a message, and will for some time yet if it is kept: an eighth of what
    /// the log may hold has to come before it is given up.
    pub fn is_safe(&self, number: u64) -> bool {
        let Some(entry) = self.entry(number) else {
            return false;
        };
        let share = self.arena.fair_share();
        let entries = (self.end() - number) as usize;
        self.bytes_behind(entry) <= self.capacity() / 8 * 7
            && entries <= share * ENTRIES_PER_BLOCK / 8 * 7
    }

    /// Number of the oldest message held.
    pub fn start(&self) -> u64 {
        self.first
    }

    /// Number that the next message will get.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The newest message where a receiver may start.
    pub fn join_point(&self) -> Option<u64> {
        self.join_point
    }

    /// The message with this number, unless it has been evicted or is still to come.
    pub fn entry(&self, number: u64) -> Option<&Entry> {
        let index = number.checked_sub(self.first)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The newest message.
    pub fn newest(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// Timestamp of the newest picture; meaningful once there is one.
    pub fn picture_timestamp(&self) -> u32 {
        self.picture_timestamp
    }

    /// Bytes between a message's start and the head.
    pub fn bytes_behind(&self, entry: &Entry) -> u64 {
        self.head - entry.position
    }

    /// Bytes that the log may hold at present.
    pub fn capacity(&self) -> u64 {
        (self.arena.fair_share() * BLOCK_LEN) as u64
    }

    /// Blocks that the log holds.
    pub fn blocks_held(&self) -> usize {
        self.blocks.len()
    }

    /// `len` bytes from `position` as slices of the blocks in which they lie. Empty when the
    /// range isn't held: callers ask for ranges of entries only.
    pub fn slices(&self, position: u64, len: usize) -> impl Iterator<Item = &[u8]> {
        let mut position = position;
        let mut left = len;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let from_base = usize::try_from(position.checked_sub(self.base)?).ok()?;
            let offset = from_base % BLOCK_LEN;
            let take = left.min(BLOCK_LEN - offset);
            let slice = self
                .blocks
                .get(from_base / BLOCK_LEN)?
                .bytes()
                .get(offset..offset + take)?;
            position += take as u64;
            left -= take;
            Some(slice)
        })
    }

    fn make_room(&mut self, len: usize, now: Millis) -> Result<(), OutOfBlocks> {
        while let Some(oldest) = self.entries.front() {
            let is_in_newest_gop = self.join_point.is_some_and(|number| self.first >= number);
            let is_needed = self.first >= self.needed_from
                && now.saturating_sub(oldest.meta.arrived) <= self.history;
            if is_in_newest_gop || is_needed || self.first >= self.kept_from {
                break;
            }
            self.evict(1);
        }
        let share = self.arena.fair_share();
        while self.entries.len() >= share * ENTRIES_PER_BLOCK {
            self.evict(1);
        }
        while self.blocks_wanted(len) > 0 {
            if self.blocks.len() < share {
                if let Some(block) = self.arena.take() {
                    self.blocks.push_back(block);
                    continue;
                }
            }
            // Evicting the last message frees every block, so this ends.
            if !self.evict(self.blocks.len().min(share)) {
                return Err(OutOfBlocks);
            }
        }
        Ok(())
    }

    /// Blocks missing for `len` bytes more.
    fn blocks_wanted(&self, len: usize) -> usize {
        let used = (self.head - self.base) as usize;
        (used + len)
            .div_ceil(BLOCK_LEN)
            .saturating_sub(self.blocks.len())
    }

    fn write(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let used = (self.head - self.base) as usize;
            let Some(block) = self.blocks.get_mut(used / BLOCK_LEN) else {
                return;
            };
            let (now, later) = part.split_at(part.len().min(BLOCK_LEN - used % BLOCK_LEN));
            let offset = used % BLOCK_LEN;
            block.bytes_mut()[offset..offset + now.len()].copy_from_slice(now);
            self.head += now.len() as u64;
            part = later;
        }
    }
}
