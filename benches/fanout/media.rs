//! The synthetic stream: the contents, length and time of each message, and the check on arrival.
//!
//! All of it but the send time follows from the track and the sequence number, so sizes are the same in
//! every run, and a player can check every byte without knowing what was sent.
//!
//! ```text
//! video: 17 01 000000 | NAL length u32 | 65 | stream u32, sequence u32, sent u64 | pattern ...
//! audio: AF 01                              | stream u32, sequence u32, sent u64 | pattern ...
//! ```

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::wire;

/// Frames from one keyframe to the next: 2 s at 30 frames per second.
const GOP: u32 = 60;
const FRAMES_PER_SECOND: u64 = 30;
/// 4 Mbit/s: 1,000,000 bytes per GOP, of which the keyframe has six parts and each other frame one.
const FRAME_LEN: u64 = 1_000_000 / (GOP as u64 - 1 + 6);
/// 128 kbit/s of AAC at 44.1 kHz: 43.07 messages per second.
const AUDIO_LEN: usize = 372;
const AUDIO_SAMPLES: u64 = 1024;
const AUDIO_RATE: u64 = 44_100;

const STAMP_LEN: usize = 16;
/// The longest head in front of the pattern.
const MAX_HEAD_LEN: usize = 10 + STAMP_LEN;

/// AVCDecoderConfigurationRecord of a 128 x 96 baseline stream.
const AVC_SEQUENCE_HEADER: &[u8] = &[
    0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x0A, 0xFF, 0xE1, 0, 7, 0x67, 0x42, 0, 0x0A, 0xF8, 0x41, 0xA2, 1,
    0, 4, 0x68, 0xCE, 0x38, 0x80,
];
/// AudioSpecificConfig: AAC LC, 44.1 kHz, stereo.
const AAC_SEQUENCE_HEADER: &[u8] = &[0xAF, 0, 0x12, 0x10];

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the benchmark began, on a clock that publishers and players share within one
/// process.
pub(crate) fn now_ns() -> u64 {
    EPOCH.elapsed().as_nanos() as u64
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Track {
    Audio,
    Video,
}

impl Track {
    pub(crate) const ALL: [Track; 2] = [Track::Audio, Track::Video];

    pub(crate) fn message_type(self) -> u8 {
        match self {
            Track::Audio => wire::AUDIO,
            Track::Video => wire::VIDEO,
        }
    }

    pub(crate) fn chunk_stream_id(self) -> u32 {
        match self {
            Track::Audio => 4,
            Track::Video => 6,
        }
    }

    pub(crate) fn sequence_header(self) -> &'static [u8] {
        match self {
            Track::Audio => AAC_SEQUENCE_HEADER,
            Track::Video => AVC_SEQUENCE_HEADER,
        }
    }

    /// When the message is sent, counted from the stream's start.
    pub(crate) fn due(self, sequence: u32) -> Duration {
        let (ticks, rate) = match self {
            Track::Audio => (u64::from(sequence) * AUDIO_SAMPLES, AUDIO_RATE),
            Track::Video => (u64::from(sequence), FRAMES_PER_SECOND),
        };
        Duration::from_nanos(ticks * 1_000_000_000 / rate)
    }

    /// The number of bytes of a message.
    pub(crate) fn payload_len(self, sequence: u32) -> usize {
        match self {
            Track::Audio => AUDIO_LEN,
            Track::Video if is_keyframe(sequence) => 6 * FRAME_LEN as usize,
            Track::Video => {
                // 75 to 125 % of the mean, scattered by the golden ratio.
                let scatter = u64::from(sequence.wrapping_mul(0x9E37_79B9) >> 16) % 501;
                (FRAME_LEN * (750 + scatter) / 1000) as usize
            }
        }
    }

    fn head_len(self) -> usize {
        match self {
            Track::Audio => 2 + STAMP_LEN,
            Track::Video => 10 + STAMP_LEN,
        }
    }

    fn emit_head(self, stamp: Stamp, out: &mut Vec<u8>) {
        match self {
            Track::Audio => out.extend_from_slice(&[0xAF, 1]),
            Track::Video => {
                let (tag, nal) = match is_keyframe(stamp.sequence) {
                    true => (0x17, 0x65),
                    false => (0x27, 0x41),
                };
                let nal_len = self.payload_len(stamp.sequence) as u32 - 9;
                out.extend_from_slice(&[tag, 1, 0, 0, 0]);
                out.extend_from_slice(&nal_len.to_be_bytes());
                out.push(nal);
            }
        }
        out.extend_from_slice(&stamp.stream.to_be_bytes());
        out.extend_from_slice(&stamp.sequence.to_be_bytes());
        out.extend_from_slice(&stamp.sent_ns.to_be_bytes());
    }

    /// Replaces `out` by the payload of one message.
    pub(crate) fn emit(self, stamp: Stamp, out: &mut Vec<u8>) {
        out.clear();
        self.emit_head(stamp, out);
        let filled = out.len();
        out.extend_from_slice(&pattern(stamp.sequence)[filled..self.payload_len(stamp.sequence)]);
    }
}

pub(crate) fn is_keyframe(sequence: u32) -> bool {
    sequence % GOP == 0
}

/// What a message says about itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp {
    pub(crate) stream: u32,
    pub(crate) sequence: u32,
    pub(crate) sent_ns: u64,
}

/// Filler that starts at a different place for each sequence number, without zero bytes, so that it
/// contains no start code.
fn pattern(sequence: u32) -> &'static [u8] {
    static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 0x2545_F491u32;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8 | 1
        };
        (0..128 * 1024).map(next).collect()
    });
    &PATTERN[(sequence as usize * 61) % 16_384..]
}

/// A complete message that arrived.
pub(crate) enum Arrival {
    SequenceHeader,
    Message(Stamp),
}

/// Checks one track's messages, piece by piece, as they come in.
pub(crate) struct Checker {
    track: Track,
    head: Vec<u8>,
    /// Known once the head is complete and isn't that of a sequence header.
    stamp: Option<Stamp>,
    is_intact: bool,
}

impl Checker {
    pub(crate) fn new(track: Track) -> Self {
        Self {
            track,
            head: Vec::with_capacity(MAX_HEAD_LEN),
            stamp: None,
            is_intact: true,
        }
    }

    /// Returns the message with its last piece. An error says what is wrong with it.
    pub(crate) fn add(&mut self, piece: &wire::Piece<'_>) -> Result<Option<Arrival>, String> {
        if piece.is_first() {
            self.head.clear();
            self.stamp = None;
            self.is_intact = true;
        }
        let head_left = self.track.head_len() - self.head.len();
        let (head, filler) = piece.bytes.split_at(piece.bytes.len().min(head_left));
        if !head.is_empty() {
            self.head.extend_from_slice(head);
            self.stamp = self.parse_head();
        }
        if let (Some(stamp), false) = (self.stamp, filler.is_empty()) {
            let at = piece.offset + head.len();
            self.is_intact &= pattern(stamp.sequence).get(at..at + filler.len()) == Some(filler);
        }
        if !piece.is_last() {
            return Ok(None);
        }
        if self.head.get(1) == Some(&0) {
            let is_ours = self.track.sequence_header().starts_with(&self.head);
            let arrival = is_ours.then_some(Arrival::SequenceHeader);
            return arrival.map(Some).ok_or("sequence header changed".into());
        }
        let stamp = self.stamp.ok_or("message without a stamp")?;
        if !self.is_intact || piece.header.len != self.track.payload_len(stamp.sequence) {
            return Err(format!(
                "{:?} message {} corrupt",
                self.track, stamp.sequence
            ));
        }
        Ok(Some(Arrival::Message(stamp)))
    }

    fn parse_head(&mut self) -> Option<Stamp> {
        if self.head.len() < self.track.head_len() || self.head[1] == 0 {
            return None;
        }
        let (_, stamp) = self.head.split_last_chunk::<STAMP_LEN>()?;
        let number =
            |at| u32::from_be_bytes([stamp[at], stamp[at + 1], stamp[at + 2], stamp[at + 3]]);
        let stamp = Stamp {
            stream: number(0),
            sequence: number(4),
            sent_ns: u64::from(number(8)) << 32 | u64::from(number(12)),
        };
        let mut expected = Vec::with_capacity(MAX_HEAD_LEN);
        self.track.emit_head(stamp, &mut expected);
        self.is_intact &= expected == self.head;
        Some(stamp)
    }
}
