//! Audio or video.

use std::fmt;

/// The medium of a message, a track or a codec: audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// RTMP message type 8, FLV tag type 8.
    Audio,
    /// RTMP message type 9, FLV tag type 9.
    Video,
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Medium::Audio => "audio",
            Medium::Video => "video",
        })
    }
}
