//! The kinds of messages of a stream.

use crate::media::Medium;
use crate::media::flv::{TagHeader, tag_type};

/// The kind of a message. Records of the log hold the number of the variant.
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

impl From<Medium> for Kind {
    fn from(medium: Medium) -> Kind {
        match medium {
            Medium::Audio => Kind::Audio,
            Medium::Video => Kind::Video,
        }
    }
}

impl Kind {
    /// The medium of audio and video messages.
    pub fn medium(self) -> Option<Medium> {
        match self {
            Kind::Audio => Some(Medium::Audio),
            Kind::Video => Some(Medium::Video),
            Kind::Data | Kind::Script => None,
        }
    }

    /// Returns the header of the tag that holds a message in an FLV file, `time` ms after the beginning.
    pub fn tag_header(self, len: u32, time: u32) -> TagHeader {
        let (tag_type, timestamp) = match self {
            Kind::Audio => (tag_type::AUDIO, time),
            Kind::Video => (tag_type::VIDEO, time),
            // As in RTMP: players mistake metadata with any other timestamp for a text track.
            Kind::Data => (tag_type::SCRIPT, 0),
            Kind::Script => (tag_type::SCRIPT, time),
        };
        TagHeader {
            tag_type,
            len,
            timestamp,
        }
    }
}
