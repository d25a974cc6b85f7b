//! The kinds of messages of a stream.

use crate::media::Medium;

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
}
