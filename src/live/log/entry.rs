//! Entries: the index data of each message, and the record that holds it in a block.

use crate::live::Millis;
use crate::live::capabilities::Capabilities;
use crate::live::kind::Kind;

/// The length of a message's record, in bytes.
pub const RECORD_LEN: usize = 48;

/// The role of a message for its receivers. Records hold the number of the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A frame of video or audio, or the beginning of one.
    Media,
    /// Decoder configuration or metadata, which is part of the preamble from here on.
    Header,
    /// Neither header nor media, such as the end of a sequence.
    Other,
    /// A later part of a video frame that an earlier message began.
    Rest,
    /// Data that belongs to no frame, such as parameter sets.
    Beside,
    /// A copy of a video frame, assembled for containers from the messages in which it arrived. No
    /// other receiver gets it.
    Whole,
}

/// The kinds and roles by their numbers in a record.
const KINDS: [Kind; 4] = [Kind::Audio, Kind::Video, Kind::Data, Kind::Script];
const ROLES: [Role; 6] = [
    Role::Media,
    Role::Header,
    Role::Other,
    Role::Rest,
    Role::Beside,
    Role::Whole,
];

/// The properties of a frame that a container needs, apart from its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it is decoded: video in ms, audio in samples at the track's rate, both counted from the
    /// same moment before the stream began. Only grows, and doesn't wrap.
    pub decode_time: u64,
    /// The time from decoding to presentation in MP4, in ms: video frames are decoded early there.
    pub composition_time: i32,
    /// The duration in the unit of the decode time. A video frame is due this much later than it is
    /// decoded. 0 if a container can't hold the message.
    pub duration: u16,
    /// Where the coded frame begins in the payload.
    pub body_offset: u8,
    /// Whether a decoder can start here. Not set for audio.
    pub is_sync: bool,
}

/// The properties of a message, known when the stream appends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Audio, video or data.
    pub kind: Kind,
    /// Decode time in ms, wrapping.
    pub timestamp: u32,
    /// When the message was complete, on the server's clock.
    pub arrived: Millis,
    /// Whether a receiver may start here, once it has the preamble.
    pub is_join_point: bool,
    /// Its role for its receivers.
    pub role: Role,
    /// The version of the preamble that holds after this message.
    pub preamble_version: u32,
    /// The capabilities that a receiver needs to get it.
    pub needs: Capabilities,
    /// The number of ModEx bytes after the first byte of its payload. The low half of the last of them
    /// holds the packet type that the first byte gets when they are cut out.
    pub mod_ex_len: u8,
    /// Its properties as a sample of its track.
    pub sample: Sample,
}

impl Meta {
    /// Whether it can be decoded without earlier messages.
    pub(in crate::live) fn is_sync(&self) -> bool {
        self.sample.is_sync || self.kind == Kind::Audio
    }
}

/// The index entry of a message.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The properties with which it was appended.
    pub meta: Meta,
    /// The position at which its payload starts.
    pub position: u64,
    /// Payload length in bytes.
    pub len: u32,
    /// The number of video frames of the first track, up to and including this message.
    pub video_frames: u32,
    /// The number of audio frames, counted in the same way.
    pub audio_frames: u32,
}

impl Entry {
    /// Whether it is a part of a video frame of the first track.
    pub(super) fn is_part_of_frame(&self) -> bool {
        let meta = &self.meta;
        let is_part = matches!(meta.role, Role::Media | Role::Rest);
        meta.kind == Kind::Video && is_part && !meta.needs.has_multitrack()
    }

    /// Returns the record for a block that begins at position `base`.
    pub(super) fn encode(&self, base: u64) -> [u8; RECORD_LEN] {
        let meta = &self.meta;
        let starts = u32::from(meta.is_join_point) | u32::from(meta.sample.is_sync) << 1;
        let flags = meta.kind as u32 | (meta.role as u32) << 2 | starts << 5;
        let mut record = [0; RECORD_LEN];
        let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &meta.timestamp.to_le_bytes());
        put(4, &meta.preamble_version.to_le_bytes());
        put(8, &meta.needs.0.to_le_bytes());
        put(12, &self.video_frames.to_le_bytes());
        put(16, &self.audio_frames.to_le_bytes());
        put(20, &(self.len & 0xFF_FFFF | flags << 24).to_le_bytes());
        put(24, &meta.sample.decode_time.to_le_bytes());
        put(32, &meta.sample.composition_time.to_le_bytes());
        put(36, &meta.sample.duration.to_le_bytes());
        put(38, &((self.position - base) as u16).to_le_bytes());
        // 48 bits of milliseconds last for 8,900 years.
        put(40, &meta.arrived.to_le_bytes()[..6]);
        put(46, &[meta.mod_ex_len, meta.sample.body_offset]);
        record
    }

    /// Reads a record of a block that begins at position `base`.
    pub(super) fn decode(record: &[u8; RECORD_LEN], base: u64) -> Entry {
        // Reads eight bytes, of which shorter numbers use the first ones.
        let at = |at: usize| {
            record[at..]
                .first_chunk()
                .copied()
                .map_or(0, u64::from_le_bytes)
        };
        let len_and_flags = at(20) as u32;
        let flags = len_and_flags >> 24;
        let meta = Meta {
            kind: KINDS[(flags & 3) as usize],
            timestamp: at(0) as u32,
            arrived: at(40) & 0xFFFF_FFFF_FFFF,
            is_join_point: flags & 0x20 != 0,
            role: ROLES[(flags >> 2 & 7) as usize % ROLES.len()],
            preamble_version: at(4) as u32,
            needs: Capabilities(at(8) as u32),
            mod_ex_len: record[46],
            sample: Sample {
                decode_time: at(24),
                composition_time: at(32) as i32,
                duration: at(36) as u16,
                body_offset: record[47],
                is_sync: flags & 0x40 != 0,
            },
        };
        Entry {
            meta,
            position: base + (at(38) & 0xFFFF),
            len: len_and_flags & 0xFF_FFFF,
            video_frames: at(12) as u32,
            audio_frames: at(16) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_roles_have_the_numbers_of_their_variants() {
        for (index, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        for (index, role) in ROLES.into_iter().enumerate() {
            assert_eq!(role as usize, index);
        }
    }
}
