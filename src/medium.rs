//! Audio or video.

use std::fmt;

/// Audio or video: what a message, a track or a codec is of.
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
