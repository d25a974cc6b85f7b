//! The tracks of a stream, as a file of it has to announce them: RTMP's receivers find out as they
//! go, those of FLV and MP4 are told at the beginning what there will be.

use super::capabilities::Capabilities;
use super::kind::Kind;
use super::log::Entry;
use crate::media::mp4::Presentation;

/// Which media a receiver is to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Has {
    pub(super) audio: bool,
    pub(super) video: bool,
}

impl Has {
    /// Those of an MP4 file.
    pub(super) fn tracks_of(presentation: &Presentation) -> Has {
        Has {
            audio: presentation.audio.is_some(),
            video: presentation.video.is_some(),
        }
    }
}

/// The first track of each kind. Immutable; a change makes new ones.
#[derive(Clone, Debug, Default)]
pub struct Tracks {
    /// Version of the preamble from which on they hold.
    pub since: u32,
    /// Those of them that MP4 can hold.
    pub presentation: Presentation,
    /// What video asks of its receivers, if there is any.
    pub video: Option<Capabilities>,
    /// What audio asks of its receivers, if there is any.
    pub audio: Option<Capabilities>,
}

impl Tracks {
    /// Whether receivers would see no difference.
    pub(super) fn is_same_as(&self, other: &Tracks) -> bool {
        self.presentation == other.presentation
            && self.video == other.video
            && self.audio == other.audio
    }

    /// What a receiver with these capabilities gets.
    pub(super) fn has(&self, capabilities: Capabilities) -> Has {
        let takes =
            |needs: Option<Capabilities>| needs.is_some_and(|needs| capabilities.take(needs));
        Has {
            audio: takes(self.audio),
            video: takes(self.video),
        }
    }

    /// Hz; 0 without audio that MP4 can hold.
    pub(super) fn audio_rate(&self) -> u32 {
        let audio = self.presentation.audio.as_ref();
        audio.map_or(0, |audio| audio.sample_rate())
    }

    /// Where a picture or sound begins and ends in decode time, in ms: a picture is due at its end,
    /// a sound at its beginning.
    pub(super) fn span(&self, entry: &Entry) -> (u64, u64) {
        let sample = &entry.meta.sample;
        let (rate, time) = match entry.meta.kind {
            Kind::Audio => (self.audio_rate().max(1).into(), sample.decode_time),
            _ => (1_000, sample.decode_time),
        };
        let end = time + u64::from(sample.duration);
        (time * 1_000 / rate, end * 1_000 / rate)
    }

    /// When a message is due, in ms: by its time stamp, without the composition time.
    pub fn time(&self, entry: &Entry) -> u64 {
        let (begin, end) = self.span(entry);
        match entry.meta.kind {
            Kind::Audio => begin,
            _ => end,
        }
    }
}
