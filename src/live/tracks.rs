//! The tracks of a stream, as its files announce them. Receivers of RTMP discover tracks as messages
//! arrive, but FLV and MP4 files declare theirs at the beginning.

use super::capabilities::Capabilities;
use super::kind::Kind;
use super::log::Entry;
use crate::media::mp4::Presentation;

/// The media that a receiver must expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Has {
    pub(super) audio: bool,
    pub(super) video: bool,
}

impl Has {
    /// Returns the media of an MP4 file.
    pub(super) fn tracks_of(presentation: &Presentation) -> Has {
        Has {
            audio: presentation.audio.is_some(),
            video: presentation.video.is_some(),
        }
    }
}

/// The first track of each medium. Immutable: a change makes a new value.
#[derive(Clone, Debug, Default)]
pub struct Tracks {
    /// The version of the preamble from which on the tracks are valid.
    pub since: u32,
    /// The tracks that MP4 can hold.
    pub presentation: Presentation,
    /// The capabilities that the video track needs, if there is one.
    pub video: Option<Capabilities>,
    /// The capabilities that the audio track needs, if there is one.
    pub audio: Option<Capabilities>,
}

impl Tracks {
    /// Whether receivers notice no difference between the two.
    pub fn is_same_as(&self, other: &Tracks) -> bool {
        self.presentation == other.presentation
            && self.video == other.video
            && self.audio == other.audio
    }

    /// The media that a receiver with these capabilities gets.
    pub(super) fn has(&self, capabilities: Capabilities) -> Has {
        let takes =
            |needs: Option<Capabilities>| needs.is_some_and(|needs| capabilities.take(needs));
        Has {
            audio: takes(self.audio),
            video: takes(self.video),
        }
    }

    /// The sample rate in Hz; 0 without audio that MP4 can hold.
    pub(super) fn audio_rate(&self) -> u32 {
        let audio = self.presentation.audio.as_ref();
        audio.map_or(0, |audio| audio.sample_rate)
    }

    /// The beginning and end of a frame in decode time, in ms. A video frame is due at its end, an
    /// audio frame at its beginning.
    pub(super) fn span(&self, entry: &Entry) -> (u64, u64) {
        let sample = &entry.meta.sample;
        let rate = match entry.meta.kind {
            Kind::Audio => self.audio_rate().max(1).into(),
            _ => 1_000,
        };
        let time = sample.decode_time;
        let end = time + u64::from(sample.duration);
        (time * 1_000 / rate, end * 1_000 / rate)
    }

    /// The time at which a message is due, in ms: its timestamp, without the composition time.
    pub fn time(&self, entry: &Entry) -> u64 {
        let (begin, end) = self.span(entry);
        match entry.meta.kind {
            Kind::Audio => begin,
            _ => end,
        }
    }
}
