//! Formats: the bytes around a message for one kind of receiver, regardless of its carrier.
//!
//! ```text
//! RTMP   type 0 header (12 or 16) | 65536 bytes | type 3 header (1 or 5) | 65536 bytes | ...
//! FLV    tag header (11)          | payload     | PreviousTagSize (4)
//! MP4    moof (104), mdat (8)     | sample
//! ```
//!
//! All of this code is pure. Every message has a full header, so every message boundary is a legal
//! place to skip to.

mod flv;
pub(in crate::live) mod mp4;
mod rtmp;

use std::borrow::Cow;

use super::framed::FramedMessage;
use super::message::Message;
use crate::live::capabilities::Capabilities;
use crate::live::log::{Entry, Role};
use crate::live::tracks::Has;
use crate::media::flv::{OVERHEAD, file_header};
use crate::media::mp4::{FRAGMENT_HEAD_LEN, Presentation};
use crate::rtmp::server_session::Dialect;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::live) enum WireFormat {
    /// RTMP chunks on this message stream.
    Rtmp {
        /// Message stream of the player.
        message_stream_id: u32,
        /// The player's dialect, for the commands that end the stream.
        dialect: Dialect,
        /// Whether the receiver is a server to which the stream is published.
        is_publisher: bool,
    },
    /// The tags of an FLV file (FLV, Annex E).
    Flv {
        /// The timestamp that becomes 0, in ms: some players read timestamps as signed numbers.
        base: u32,
    },
    /// The fragments of an MP4 file, one frame in each.
    Mp4 {
        /// The times that become 0.
        base: mp4::Base,
    },
}

impl WireFormat {
    /// Whether the format is a file, whose time begins at 0 for each receiver.
    pub(super) fn is_file(&self) -> bool {
        !matches!(self, WireFormat::Rtmp { .. })
    }

    pub(super) fn is_mp4(&self) -> bool {
        matches!(self, WireFormat::Mp4 { .. })
    }

    /// The index of the format: RTMP, FLV, MP4.
    pub(in crate::live) fn index(&self) -> usize {
        match self {
            WireFormat::Rtmp { .. } => 0,
            WireFormat::Flv { .. } => 1,
            WireFormat::Mp4 { .. } => 2,
        }
    }

    /// Whether the two formats differ only in the time that becomes 0, so that framed messages have the
    /// same length in both.
    pub(super) fn is_like(&self, other: &WireFormat) -> bool {
        self == other || self.is_file() && self.index() == other.index()
    }

    /// Whether the format can hold a message for a receiver with these capabilities.
    pub(super) fn takes(&self, capabilities: Capabilities, entry: &Entry) -> bool {
        if self.is_mp4() {
            entry.meta.sample.duration > 0
        } else {
            entry.meta.role != Role::Whole && capabilities.take(entry.meta.needs)
        }
    }

    /// The number of bytes around the payload of a message, or 0 if it varies.
    pub(super) fn overhead(&self) -> u64 {
        match self {
            WireFormat::Rtmp { .. } => 0,
            WireFormat::Flv { .. } => OVERHEAD as u64,
            WireFormat::Mp4 { .. } => FRAGMENT_HEAD_LEN as u64,
        }
    }

    /// Adds the bytes of the format around a message.
    pub(super) fn frame(&self, message: &Message, framed: &mut FramedMessage) {
        match *self {
            WireFormat::Rtmp {
                message_stream_id,
                is_publisher,
                ..
            } => rtmp::frame(message, message_stream_id, is_publisher, framed),
            WireFormat::Flv { base } => flv::frame(message, base, framed),
            WireFormat::Mp4 { base } => framed.head.push(&mp4::fragment(message, base).head()),
        }
    }

    /// The head before the first message, and in MP4 also before the first message of another
    /// presentation: content type and bytes.
    pub(super) fn lead(&self, presentation: &Presentation, has: Has) -> (Cow<'_, str>, Vec<u8>) {
        match self {
            WireFormat::Rtmp { .. } => Default::default(),
            WireFormat::Flv { .. } => (
                flv::CONTENT_TYPE.into(),
                file_header(has.audio, has.video).into(),
            ),
            WireFormat::Mp4 { .. } => (
                presentation.content_type().into(),
                presentation.init_segment(),
            ),
        }
    }

    /// Sets the time that becomes 0 a little before the first message, since messages of the other
    /// medium may be a little earlier. `time` is the message's decode time in ms.
    pub(super) fn set_base(&mut self, timestamp: u32, time: u64, audio_rate: u32) {
        /// Four frames of any usual codec, in ms.
        const BEFORE: u32 = 200;

        let time = time.saturating_sub(BEFORE.into());
        match self {
            WireFormat::Rtmp { .. } => {}
            WireFormat::Flv { base } => *base = timestamp.wrapping_sub(BEFORE),
            WireFormat::Mp4 { base } => {
                *base = mp4::Base {
                    video: time,
                    audio: time * u64::from(audio_rate) / 1000,
                }
            }
        }
    }
}
