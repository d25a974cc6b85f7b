//! The log: the bounded history of one stream, messages end to end in blocks of the arena.
//!
//! ```text
//! block      [ payloads -->              <-- records ]
//! blocks     [ b0 .....70.. | 70 ][ ... ][ ..71..72.. | 72 71 ]
//! positions    ^base     ^first message               ^head
//! ```
//!
//! Payloads fill a block from the front. From its end grow the records of the messages that begin
//! in it, [`RECORD_LEN`] bytes each: what an [`Entry`] says. So the index lies in the arena, and a
//! stream of few small messages needs one block for both.
//!
//! Numbers (of messages) and positions (of bytes) are `u64`, start at 0 and only grow. Positions
//! count blocks as a whole, and a position becomes a block and an offset in one place,
//! [`Log::slices`]. What falls out at the old end is gone: a cursor that asks for it learns so from
//! [`Log::entry`] returning `None`.
//!
//! Invariants: a message in the log is complete and immutable; its payload begins in the block that
//! has its record.

use std::collections::VecDeque;
use std::ops::Range;

use super::Millis;
use super::arena::{Account, Arena, BLOCK_LEN, Block};
use super::capabilities::Capabilities;
use crate::media::Medium;
use crate::media::access_unit::{UnitFormat as Format, clean_range};

/// What a message takes beside its payload, in bytes.
pub const RECORD_LEN: usize = 48;

/// Newest groups of pictures whose size says what the next one will need.
const GOPS: usize = 4;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An audio message, an FLV audio tag body.
    Audio,
    /// A video message, an FLV video tag body.
    Video,
    /// A data message: `onMetaData` and its properties in AMF0.
    Data,
    /// Any other data message, in AMF0: a cue point, a caption, the application's own.
    Script,
}

impl Kind {
    /// Audio or video, if it is one of them.
    pub(super) fn medium(self) -> Option<Medium> {
        match self {
            Kind::Audio => Some(Medium::Audio),
            Kind::Video => Some(Medium::Video),
            Kind::Data | Kind::Script => None,
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
    /// More of a picture that an earlier message began.
    Rest,
    /// What stands beside pictures.
    Beside,
    /// A picture once more, put together for containers from the messages that it came in. Nobody
    /// else gets it.
    Whole,
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
    /// A decoder can start with it. Not told of sounds.
    pub is_sync: bool,
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
        self.sample.is_sync || self.kind == Kind::Audio
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

impl Entry {
    /// Whether it is a picture of the first track, or more of one.
    fn is_part_of_picture(&self) -> bool {
        let meta = &self.meta;
        let is_part = matches!(meta.role, Role::Media | Role::Rest);
        meta.kind == Kind::Video && is_part && !meta.needs.has_multitrack()
    }

    /// As it lies in a block that begins at `base`.
    fn encode(&self, base: u64) -> [u8; RECORD_LEN] {
        let meta = &self.meta;
        let kind = match meta.kind {
            Kind::Audio => 0,
            Kind::Video => 1,
            Kind::Data => 2,
            Kind::Script => 3,
        };
        let role = match meta.role {
            Role::Media => 0,
            Role::Header => 1,
            Role::Other => 2,
            Role::Rest => 3,
            Role::Whole => 4,
            Role::Beside => 5,
        };
        let starts = u32::from(meta.is_join_point) | u32::from(meta.sample.is_sync) << 1;
        let flags = kind | role << 2 | starts << 5;
        let mut record = [0; RECORD_LEN];
        let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &meta.timestamp.to_le_bytes());
        put(4, &meta.preamble_version.to_le_bytes());
        put(8, &meta.needs.to_bits().to_le_bytes());
        put(12, &self.pictures.to_le_bytes());
        put(16, &self.audio_frames.to_le_bytes());
        put(20, &(self.len & 0xFF_FFFF | flags << 24).to_le_bytes());
        put(24, &meta.sample.decode_time.to_le_bytes());
        put(32, &meta.sample.composition_time.to_le_bytes());
        put(36, &meta.sample.duration.to_le_bytes());
        put(38, &((self.position - base) as u16).to_le_bytes());
        // 48 bits of ms are 8,900 years.
        put(40, &meta.arrived.to_le_bytes()[..6]);
        put(46, &[meta.mod_ex_len, meta.sample.body_offset]);
        record
    }

    fn decode(record: &[u8; RECORD_LEN], base: u64) -> Entry {
        fn bytes<const N: usize>(record: &[u8; RECORD_LEN], at: usize) -> [u8; N] {
            let mut bytes = [0; N];
            bytes.copy_from_slice(&record[at..at + N]);
            bytes
        }
        let u32_at = |at| u32::from_le_bytes(bytes(record, at));
        let u16_at = |at| u16::from_le_bytes(bytes(record, at));
        let len_and_flags = u32_at(20);
        let flags = len_and_flags >> 24;
        let meta = Meta {
            kind: match flags & 3 {
                0 => Kind::Audio,
                1 => Kind::Video,
                2 => Kind::Data,
                _ => Kind::Script,
            },
            timestamp: u32_at(0),
            arrived: u64::from_le_bytes(bytes(record, 40)) & 0xFFFF_FFFF_FFFF,
            is_join_point: flags & 0x20 != 0,
            role: match flags >> 2 & 7 {
                0 => Role::Media,
                1 => Role::Header,
                2 => Role::Other,
                3 => Role::Rest,
                4 => Role::Whole,
                _ => Role::Beside,
            },
            preamble_version: u32_at(4),
            needs: Capabilities::from_bits(u32_at(8)),
            mod_ex_len: record[46],
            sample: Sample {
                decode_time: u64::from_le_bytes(bytes(record, 24)),
                composition_time: u32_at(32) as i32,
                duration: u16_at(36),
                body_offset: record[47],
                is_sync: flags & 0x40 != 0,
            },
        };
        Entry {
            meta,
            position: base + u64::from(u16_at(38)),
            len: len_and_flags & 0xFF_FFFF,
            pictures: u32_at(12),
            audio_frames: u32_at(16),
        }
    }
}

/// No block is left, and the log has none of its own to give up.
#[derive(Debug, PartialEq, Eq)]
pub struct OutOfBlocks;

/// What receivers still need of a log; numbers of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// All messages from this one on.
    pub from: u64,
    /// All messages from the first join point on that isn't before this one.
    pub join_point_from: u64,
}

impl Needs {
    /// Any new message will do.
    pub const NOTHING: Needs = Needs {
        from: u64::MAX,
        join_point_from: u64::MAX,
    };

    /// What two receivers need, together.
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            from: self.from.min(other.from),
            join_point_from: self.join_point_from.min(other.join_point_from),
        }
    }
}

/// A block of a log.
struct Held {
    block: Block,
    /// Number of the first message that begins in it, or after it if none does.
    first: u64,
    /// Messages that begin in it.
    count: u16,
}

impl Held {
    /// Where the records begin.
    fn payload_end(&self) -> usize {
        BLOCK_LEN - usize::from(self.count) * RECORD_LEN
    }
}

/// See the module's documentation.
pub struct Log {
    arena: Arena,
    /// Held from the publish on, or from the first message on.
    account: Option<Account>,
    history: Millis,
    blocks: VecDeque<Held>,
    /// Position of the first byte of `blocks`.
    base: u64,
    /// Where the next payload may begin.
    head: u64,
    /// Number of the oldest message.
    first: u64,
    /// Number that the next message will get.
    next: u64,
    join_point: Option<u64>,
    /// The newest one for files.
    file_start: Option<u64>,
    /// Nobody may start at an older message.
    joinable_from: u64,
    /// Blocks of the GOPs that ended last.
    gops: [u32; GOPS],
    /// Blocks that are set aside in the account.
    protected: usize,
    /// Messages before this one have been sent to everybody.
    needed_from: u64,
    /// Somebody waits for the first join point from this message on, and then needs all.
    awaited_from: u64,
    /// Messages from this one on are kept however old they are.
    kept_from: u64,
    /// Of the messages that are kept, those before this one are for viewers who may come. `None`: all are
    /// for viewers who are there.
    spare_to: Option<u64>,
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
            account: None,
            history,
            blocks: VecDeque::new(),
            base: 0,
            head: 0,
            first: 0,
            next: 0,
            join_point: None,
            file_start: None,
            joinable_from: 0,
            gops: [0; GOPS],
            protected: 0,
            needed_from: 0,
            awaited_from: u64::MAX,
            kept_from: u64::MAX,
            spare_to: None,
            pictures: 0,
            audio_frames: 0,
            picture_timestamp: 0,
        }
    }

    /// Where the blocks come from.
    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The account from which blocks are taken, if it is open.
    pub fn account(&mut self) -> Option<&mut Account> {
        self.account.as_mut()
    }

    /// Takes blocks from this account from now on.
    pub fn set_account(&mut self, account: Account) {
        self.protected = 0;
        self.account = Some(account);
    }

    /// Appends a message whose payload is the concatenation of `parts`, after evicting what nobody
    /// needs, what is older than the history, and what others need more. Returns its number.
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

    /// Appends once more what the messages `from` to the end carry of a picture, without what
    /// containers forbid. `None` if nothing is left, or too little memory.
    pub(super) fn append_whole(&mut self, meta: Meta, from: u64, format: Format) -> Option<u64> {
        /// Bytes that are copied at once.
        const STEP: usize = 512;

        let mut at = (from, 0);
        let mut len = 0;
        while let Some((_, range)) = self.next_clean(&mut at, format) {
            len += range.len();
        }
        // What makes room may be what is to be copied.
        let is_there = len > 0 && len <= 0xFF_FFFF && self.make_room(len, meta.arrived).is_ok();
        if !is_there || self.first > from {
            return None;
        }
        let position = self.begin(len, meta.arrived).ok()?;
        let mut at = (from, 0);
        let mut copied = [0; STEP];
        while let Some((position, range)) = self.next_clean(&mut at, format) {
            let mut start = range.start;
            while start < range.end {
                let mut count = 0;
                for slice in self.slices(position, start, STEP.min(range.end - start)) {
                    copied[count..count + slice.len()].copy_from_slice(slice);
                    count += slice.len();
                }
                self.write(&copied[..count]);
                start += STEP;
            }
        }
        Some(self.finish(meta, position, len))
    }

    /// Where the next bytes of pictures stand that containers may have, from a place in a message on:
    /// the position of a payload, and a range in it.
    fn next_clean(&self, at: &mut (u64, usize), format: Format) -> Option<(u64, Range<usize>)> {
        while at.0 < self.next {
            if let Some(entry) = self.entry(at.0).filter(Entry::is_part_of_picture) {
                let start = at.1.max(entry.meta.sample.body_offset.into());
                let left = (entry.len as usize).saturating_sub(start);
                let mut rest = self.slices(entry.position, start, left);
                let range = clean_range(format, start, &mut rest);
                if !range.is_empty() {
                    at.1 = range.end;
                    return Some((entry.position, range));
                }
            }
            *at = (at.0 + 1, 0);
        }
        None
    }

    fn begin(&mut self, len: usize, now: Millis) -> Result<u64, OutOfBlocks> {
        let arena = &self.arena;
        let account = self.account.get_or_insert_with(|| arena.account());
        let least = (RECORD_LEN + len).div_ceil(BLOCK_LEN);
        if !account.can_hold(least) {
            return Err(OutOfBlocks);
        }
        self.make_room(len, now)?;
        let used = self.offset();
        let index = used / BLOCK_LEN;
        if self.room() < RECORD_LEN + len.min(1) && used % BLOCK_LEN > 0 {
            self.head = self.base + ((index + 1) * BLOCK_LEN) as u64;
        }
        if let Some(held) = self.blocks.get_mut(self.offset() / BLOCK_LEN) {
            // Its place, and with it the end of the payloads, is fixed before these are written.
            if held.count == 0 {
                held.first = self.next;
            }
            held.count += 1;
        }
        Ok(self.head)
    }

    /// From the base to the head.
    fn offset(&self) -> usize {
        (self.head - self.base) as usize
    }

    /// Bytes free in the block at the head.
    fn room(&self) -> usize {
        let used = self.offset();
        let held = self.blocks.get(used / BLOCK_LEN);
        held.map_or(0, |held| held.payload_end() - used % BLOCK_LEN)
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
                Kind::Data | Kind::Script => {}
            }
        }
        let number = self.next;
        self.next += 1;
        let entry = Entry {
            meta,
            position,
            // Fits: the wire's length has 24 bits.
            len: len as u32,
            pictures: self.pictures,
            audio_frames: self.audio_frames,
        };
        let index = (position - self.base) as usize / BLOCK_LEN;
        let base = self.base + (index * BLOCK_LEN) as u64;
        if let Some(held) = self.blocks.get_mut(index) {
            let at = held.payload_end();
            held.block.bytes_mut()[at..at + RECORD_LEN].copy_from_slice(&entry.encode(base));
        }
        for held in self.blocks.iter_mut().skip(index + 1) {
            held.first = self.next;
        }
        if meta.is_join_point {
            self.gops.rotate_right(1);
            self.gops[0] = self.gop_blocks() as u32;
            self.join_point = Some(number);
            if meta.is_sync() {
                self.file_start = self.join_point;
            }
            if number >= self.awaited_from {
                self.needed_from = self.needed_from.min(number);
                self.awaited_from = u64::MAX;
            }
        }
        self.protect();
        number
    }

    /// Blocks that have been written to.
    fn blocks_used(&self) -> usize {
        self.offset().div_ceil(BLOCK_LEN)
    }

    /// Blocks of the newest GOP, or what is left of it.
    fn gop_blocks(&self) -> usize {
        let index = self.join_point.and_then(|number| self.index_of(number));
        self.blocks_used().saturating_sub(index.unwrap_or(0))
    }

    /// Sets aside what the newest GOPs took, of which one is growing.
    fn protect(&mut self) {
        let so_far = self.gops.iter().copied().max().unwrap_or(0) as usize;
        let wanted = so_far.max(self.gop_blocks());
        let wanted = wanted.min(self.blocks.len().max(self.protected));
        if wanted != self.protected {
            self.protected = wanted;
            if let Some(account) = &mut self.account {
                account.protect(wanted);
            }
        }
    }

    /// From now on nobody may start at an older message: the decoder's configuration changed.
    pub fn clear_join_point(&mut self) {
        (self.join_point, self.file_start) = (None, None);
        self.joinable_from = self.next;
    }

    /// Gives up the oldest message so that its blocks can serve somebody else; false when there
    /// is none.
    pub fn evict_oldest(&mut self) -> bool {
        self.evict(0)
    }

    /// Gives up the oldest message and the blocks that this frees, but for the last `keep`, which
    /// are to be written again: given back, they could be somebody else's before they are taken.
    fn evict(&mut self, keep: usize) -> bool {
        if self.first == self.next {
            return false;
        }
        self.first += 1;
        let first = self.first;
        self.join_point = self.join_point.filter(|number| *number >= first);
        self.file_start = self.file_start.filter(|number| *number >= first);
        let Some(oldest) = self.entry(self.first) else {
            self.blocks.truncate(keep);
            self.head = self.head.next_multiple_of(BLOCK_LEN as u64);
            self.base = self.head;
            for held in &mut self.blocks {
                (held.first, held.count) = (self.next, 0);
            }
            return true;
        };
        while self.base + BLOCK_LEN as u64 <= oldest.position {
            let freed = self.blocks.pop_front();
            self.base += BLOCK_LEN as u64;
            if let Some(freed) = freed.filter(|_| self.blocks.len() < keep) {
                self.push(freed.block);
            }
        }
        true
    }

    fn push(&mut self, block: Block) {
        self.blocks.push_back(Held {
            block,
            first: self.next,
            count: 0,
        });
    }

    /// A block for something else than messages, if need be instead of the oldest ones.
    pub fn take_block(&mut self) -> Option<Block> {
        let arena = &self.arena;
        self.account.get_or_insert_with(|| arena.account());
        loop {
            let block = self.account.as_mut().and_then(Account::take);
            if block.is_some() || !self.evict(0) {
                return block;
            }
        }
    }

    /// Gives up the oldest messages until so many blocks have gone home, or there is none; before them
    /// blocks that nothing has been written to, which a message much shorter than those that it took
    /// the place of leaves.
    pub fn give_up(&mut self, count: usize) {
        let blocks = self.blocks.len().saturating_sub(count);
        self.blocks.truncate(blocks.max(self.blocks_used()));
        while self.blocks.len() > blocks && self.evict(0) {}
        if self.first == self.next {
            self.blocks.truncate(blocks);
        }
    }

    /// Says which message the slowest receiver wants next, and from which one on somebody waits for a
    /// join point. What is older than that, and older than the newest GOP, needn't be kept.
    pub fn set_needs(&mut self, needs: Needs) {
        self.needed_from = needs.from;
        self.awaited_from = needs.join_point_from;
        if let Some(number) = self.join_point_from(self.awaited_from, false) {
            self.needed_from = self.needed_from.min(number);
        }
    }

    /// From this message on all are kept while blocks last, however old they are; `u64::MAX` for
    /// none. Nobody needs those before `spare_to` yet: they are given up when other streams need the
    /// blocks.
    pub fn set_kept_from(&mut self, number: u64, spare_to: Option<u64>) {
        self.kept_from = number;
        let before = std::mem::replace(&mut self.spare_to, spare_to);
        if before.or(spare_to).is_none() {
            return;
        }
        let newest_gop = self.join_point.unwrap_or(self.next);
        let useful_from = spare_to.map_or(0, |to| to.min(newest_gop).min(self.needed_from));
        let spare = match useful_from > self.first {
            true => self.index_of(useful_from),
            false => Some(0),
        };
        let spare = spare.unwrap_or(self.blocks.len().saturating_sub(1));
        if let Some(account) = self.account.as_mut() {
            account.set_spare(spare);
        }
    }

    /// Whether the log holds a message, and will for some time yet if it is kept: an eighth of what
    /// the log may hold has to come before it is given up.
    pub fn is_safe(&self, number: u64) -> bool {
        let Some(entry) = self.entry(number) else {
            return false;
        };
        self.bytes_behind(&entry) <= self.capacity() / 8 * 7
    }

    /// Number of the oldest message held.
    pub fn start(&self) -> u64 {
        self.first
    }

    /// Number that the next message will get.
    pub fn end(&self) -> u64 {
        self.next
    }

    /// The newest message where a receiver may start.
    pub fn join_point(&self) -> Option<u64> {
        self.join_point
    }

    /// The same for a file, if it's one: of pictures, those with which every decoder can start.
    pub fn start_of(&self, is_file: bool) -> Option<u64> {
        if is_file {
            self.file_start
        } else {
            self.join_point
        }
    }

    /// The first message from this one on where a receiver may start, or a file.
    pub fn join_point_from(&self, number: u64, is_file: bool) -> Option<u64> {
        let newest = self.start_of(is_file).filter(|newest| *newest >= number)?;
        let from = number.max(self.joinable_from).max(self.first);
        let mut all = (from..).zip(self.entries(from));
        let is_start = |meta: &Meta| meta.is_join_point && (meta.is_sync() || !is_file);
        let first = all.find(|(_, entry)| is_start(&entry.meta));
        Some(first.map_or(newest, |(number, _)| number))
    }

    /// The message with this number, unless it has been evicted or is still to come.
    pub fn entry(&self, number: u64) -> Option<Entry> {
        self.entry_in(self.index_of(number)?, number)
    }

    /// The messages from this one on, of which the first is looked up.
    pub fn entries(&self, from: u64) -> impl Iterator<Item = Entry> {
        let mut index = self.index_of(from);
        (from..self.next).map_while(move |number| {
            let is_before = |held: &&Held| held.first + u64::from(held.count) <= number;
            while self.blocks.get(index?).filter(is_before).is_some() {
                index = index.map(|index| index + 1);
            }
            self.entry_in(index?, number)
        })
    }

    /// The message with this number, which begins in this block.
    fn entry_in(&self, index: usize, number: u64) -> Option<Entry> {
        let held = self.blocks.get(index)?;
        let place = usize::try_from(number - held.first).ok()?;
        let at = BLOCK_LEN.checked_sub((place + 1) * RECORD_LEN)?;
        let record = held.block.bytes().get(at..)?.first_chunk()?;
        Some(Entry::decode(
            record,
            self.base + (index * BLOCK_LEN) as u64,
        ))
    }

    /// The block in which a message begins.
    fn index_of(&self, number: u64) -> Option<usize> {
        if !(self.first..self.next).contains(&number) {
            return None;
        }
        // Most of those who ask are at the head.
        let last = self.offset() / BLOCK_LEN;
        match self.blocks.get(last) {
            Some(held) if held.count > 0 && held.first <= number => Some(last),
            _ => self
                .blocks
                .partition_point(|held| held.first <= number)
                .checked_sub(1),
        }
    }

    /// The newest message.
    pub fn newest(&self) -> Option<Entry> {
        self.entry(self.next.checked_sub(1)?)
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
        let account = self.account.as_ref();
        let blocks = account.map_or(self.arena.total_blocks(), Account::may_hold);
        (blocks * BLOCK_LEN) as u64
    }

    /// Blocks that the log holds.
    pub fn blocks_held(&self) -> usize {
        self.blocks.len()
    }

    /// `len` bytes of a payload that begins at `position`, but for the first `skip`, as slices of
    /// the blocks in which they lie. Empty when the range isn't held: callers ask for ranges of
    /// entries only.
    pub fn slices(&self, position: u64, skip: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let mut from_base = position
            .checked_sub(self.base)
            .and_then(|from_base| usize::try_from(from_base).ok());
        let mut skip = skip;
        let mut left = len;
        std::iter::from_fn(move || {
            while left > 0 {
                let at = from_base?;
                let (index, offset) = (at / BLOCK_LEN, at % BLOCK_LEN);
                let held = self.blocks.get(index)?;
                let there = held.payload_end().saturating_sub(offset);
                // The next time, on to the next block, over the records.
                from_base = Some((index + 1) * BLOCK_LEN);
                if skip < there {
                    let from = offset + skip;
                    let take = left.min(there - skip);
                    skip = 0;
                    left -= take;
                    return held.block.bytes().get(from..from + take);
                }
                skip -= there;
            }
            None
        })
    }

    fn make_room(&mut self, len: usize, now: Millis) -> Result<(), OutOfBlocks> {
        while self.first < self.kept_from && self.has_useless(now) {
            self.evict(1);
        }
        if let Some(excess) = self.account.as_ref().map(Account::excess) {
            if excess > 0 {
                self.give_up(excess);
            }
        }
        while self.blocks_wanted(len) > self.blocks.len() {
            if self.has_too_much_spare() && self.has_useless(now) {
                self.evict(0);
                continue;
            }
            if let Some(block) = self.account.as_mut().and_then(Account::take) {
                self.push(block);
                continue;
            }
            // Evicting the last message frees every block, so this ends.
            if !self.evict(self.blocks.len()) {
                return Err(OutOfBlocks);
            }
        }
        Ok(())
    }

    /// Whether the oldest message is kept for somebody who may come, and others have more use for it.
    fn has_too_much_spare(&self) -> bool {
        let account = self.account.as_ref();
        self.spare_to.is_some_and(|to| self.first < to)
            && account.is_some_and(Account::has_too_much_spare)
    }

    /// Whether the oldest message is kept for nobody who is there.
    fn has_useless(&self, now: Millis) -> bool {
        let Some(oldest) = self.entry(self.first) else {
            return false;
        };
        let newest_gop = self.file_start.or(self.join_point);
        let is_in_newest_gop = newest_gop.is_some_and(|number| self.first >= number);
        let is_needed = self.first >= self.needed_from
            && now.saturating_sub(oldest.meta.arrived) <= self.history;
        !is_in_newest_gop && !is_needed
    }

    /// Blocks that are needed in all for a message of `len` bytes more.
    fn blocks_wanted(&self, len: usize) -> usize {
        let used = self.offset();
        let room = self.room();
        let (begun, first) = if room >= RECORD_LEN + len.min(1) {
            (used / BLOCK_LEN, room - RECORD_LEN)
        } else {
            (used.div_ceil(BLOCK_LEN), BLOCK_LEN - RECORD_LEN)
        };
        begun + 1 + len.saturating_sub(first).div_ceil(BLOCK_LEN)
    }

    fn write(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let used = self.offset();
            let room = self.room();
            if room == 0 && used % BLOCK_LEN > 0 {
                self.head = self.base + used.next_multiple_of(BLOCK_LEN) as u64;
                continue;
            }
            let Some(held) = self.blocks.get_mut(used / BLOCK_LEN) else {
                return;
            };
            let (now, later) = part.split_at(part.len().min(room));
            let offset = used % BLOCK_LEN;
            held.block.bytes_mut()[offset..offset + now.len()].copy_from_slice(now);
            self.head += now.len() as u64;
            part = later;
        }
    }
}
