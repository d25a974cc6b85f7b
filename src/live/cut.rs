//! Cuts: the next messages of a log for a recorder, as one fragment of a file.
//!
//! ```text
//! log   [K][p][a][p][a][p][a][K][p][a]
//!        ^ place, before      ^ place, after
//!        `------- cut -------'
//! ```
//!
//! A cut is complete when the next keyframe is in the log, or when it is long enough without one. Nothing
//! is copied before it is complete; then the recorder copies its samples piece by piece.

pub(in crate::live) mod eras;
pub(in crate::live) mod find;

use std::ops::Range;
use std::sync::Arc;

use super::Millis;
pub use super::hls::reader::Evicted;
use super::kind::Kind;
use super::preamble::Preamble;
use super::tracks::Tracks;

/// The maximum number of messages in a cut.
pub const MAX_SAMPLES: usize = 1_024;

/// The kind of file for which messages are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Frames that MP4 can hold, of the first tracks.
    Mp4,
    /// All messages but those that only MP4 needs, headers included.
    Flv,
}

/// A message of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutSample {
    /// Its number in the log.
    pub number: u64,
    /// Audio, video or data.
    pub kind: Kind,
    /// RTMP timestamp in ms, wrapping.
    pub timestamp: u32,
    /// Its length in the file, in bytes: in MP4 without the tag header.
    pub len: u32,
    /// Its decode time: video in ms, audio in samples.
    pub decode_time: u64,
    /// Its duration in the unit of the decode time, up to the next sample of its track where that is in
    /// the cut.
    pub duration: u32,
    /// The time from decoding to presentation, in ms.
    pub composition_time: i32,
    /// Whether a decoder can start here; not set for audio.
    pub is_sync: bool,
}

/// See the module's documentation. Reused from one cut to the next.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// The form for which it was cut.
    pub form: Option<Form>,
    /// Its messages, in the order of the log. The writer of a file may reorder them.
    pub samples: Vec<CutSample>,
    /// The range of numbers in which they lie.
    pub messages: Range<u64>,
    /// The tracks to which they belong.
    pub tracks: Arc<Tracks>,
    /// The headers that precede them.
    pub preamble: Arc<Preamble>,
    /// Whether a file may begin with this cut: with a keyframe, or with any audio if there is no video.
    pub is_start: bool,
    /// The number of messages that left the log before they were cut.
    pub missed: u64,
    /// When its first message arrived.
    pub arrived: Millis,
    /// How many times as fast it is shown, if that isn't 0.
    pub speed: u16,
}

impl Cut {
    /// Puts video in front of everything else, as in MP4 files, in the same order otherwise. Returns the number of
    /// samples of video.
    pub fn put_video_first(&mut self) -> usize {
        let mut count = 0;
        for at in 0..self.samples.len() {
            if self.samples[at].kind == Kind::Video {
                self.samples[count..=at].rotate_right(1);
                count += 1;
            }
        }
        count
    }
}

/// The outcome of a search for the next cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A cut.
    Cut,
    /// There is nothing yet, or not enough.
    Wait,
    /// The stream has ended, and everything has been cut.
    Over,
}

/// A place within the bytes of a cut's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyPlace {
    /// The index of the sample.
    pub index: usize,
    /// The number of its bytes that have been copied.
    pub offset: u32,
}
