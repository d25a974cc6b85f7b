//! The media that a receiver wants, among those that it accepts.

use crate::live::kind::Kind;
use crate::live::tracks::Has;
use crate::media::mp4::Presentation;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaChoice {
    /// Whether audio is wanted.
    pub audio: bool,
    video: VideoSwitch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VideoSwitch {
    On,
    Off,
    /// Wanted again: on from the next keyframe.
    FromKeyframe,
}

impl Default for MediaChoice {
    /// All media.
    fn default() -> MediaChoice {
        MediaChoice {
            audio: true,
            video: VideoSwitch::On,
        }
    }
}

impl MediaChoice {
    /// Sets whether video is wanted. When it is wanted again, it returns with a keyframe.
    pub fn set_video(&mut self, is_wanted: bool) {
        self.video = match (is_wanted, self.video) {
            (false, _) => VideoSwitch::Off,
            (true, VideoSwitch::Off) => VideoSwitch::FromKeyframe,
            (true, video) => video,
        };
    }

    /// Notes that the receiver is about to get a message where decoders can start.
    pub(super) fn pass_keyframe(&mut self) {
        if self.video == VideoSwitch::FromKeyframe {
            self.video = VideoSwitch::On;
        }
    }

    pub(super) fn awaits_keyframe(&self) -> bool {
        self.video == VideoSwitch::FromKeyframe
    }

    pub(super) fn is_everything(&self) -> bool {
        *self == MediaChoice::default()
    }

    /// Whether media of this kind may be sent now.
    pub(super) fn allows(&self, kind: Kind) -> bool {
        self.allows_headers(kind) && (kind != Kind::Video || self.video == VideoSwitch::On)
    }

    /// Whether headers of this kind are of any use.
    pub(super) fn allows_headers(&self, kind: Kind) -> bool {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video != VideoSwitch::Off,
            Kind::Data | Kind::Script => true,
        }
    }

    /// The tracks of a file that are wanted.
    pub(super) fn of_tracks(&self, has: Has) -> Has {
        Has {
            audio: has.audio && self.allows_headers(Kind::Audio),
            video: has.video && self.allows_headers(Kind::Video),
        }
    }

    /// The tracks of an MP4 file that are wanted.
    pub(super) fn of_presentation(&self, presentation: &Presentation) -> Presentation {
        let Presentation { video, audio } = presentation;
        Presentation {
            video: video.clone().filter(|_| self.allows_headers(Kind::Video)),
            audio: audio.clone().filter(|_| self.allows_headers(Kind::Audio)),
        }
    }
}
