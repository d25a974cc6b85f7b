//! Versions of the init segment: the tracks of the segments held.

use std::collections::VecDeque;
use std::sync::Arc;

use super::segments::Segments;
use crate::live::tracks::Tracks;

/// Maximum length of the decoder configurations of all versions but the newest two, in bytes.
const MAX_CONFIGS_LEN: usize = 1024;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Versions {
    /// Oldest first.
    held: VecDeque<(u32, Arc<Tracks>)>,
}

impl Versions {
    /// Returns the version of these tracks, which is a new one if they have changed. `are_new`: whether
    /// not all of them were known until now.
    pub(super) fn version_of(
        &mut self,
        tracks: &Arc<Tracks>,
        are_new: bool,
        segments: &mut Segments,
    ) -> u32 {
        let may_change = are_new && segments.target.is_none();
        let mut version = 0;
        if let Some((newest, known)) = self.held.back_mut() {
            if Arc::ptr_eq(known, tracks) {
                return *newest;
            }
            // Until there is a playlist, no client has seen the tracks without audio that arrives late.
            if known.presentation == tracks.presentation
                || may_change && has_only_gained_audio(known, tracks)
            {
                *known = Arc::clone(tracks);
                return *newest;
            }
            version = *newest + 1;
            if known.presentation.audio != tracks.presentation.audio {
                segments.forget_early_audio();
            }
        }
        // A version that was followed by another one at once has no segments, and the next one may be
        // the same as before.
        let used = segments.newest_version();
        self.held
            .retain(|(version, _)| used.is_some_and(|used| *version <= used));
        match self.held.back() {
            Some((used, known)) if known.presentation == tracks.presentation => return *used,
            _ => self.held.push_back((version, Arc::clone(tracks))),
        }
        self.forget_unused(segments);
        version
    }

    /// The tracks of all versions.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Tracks>> + Clone {
        self.held.iter().map(|(_, tracks)| tracks)
    }

    /// The tracks of a version.
    pub(super) fn tracks(&self, version: u64) -> Option<&Arc<Tracks>> {
        let mut held = self.held.iter();
        let (_, tracks) = held.find(|(known, _)| u64::from(*known) == version)?;
        Some(tracks)
    }

    /// Drops the oldest version with its segments, unless it is the only one.
    pub(super) fn forget_oldest(&mut self, segments: &mut Segments) -> bool {
        if self.held.len() < 2 {
            return false;
        }
        if let Some((oldest, _)) = self.held.pop_front() {
            segments.forget_version(oldest);
        }
        true
    }

    /// Drops versions that no segment needs, and those whose configurations take too much memory, so
    /// that fewer segments are listed.
    pub(super) fn forget_unused(&mut self, segments: &mut Segments) {
        let config_len = |tracks: &Arc<Tracks>| tracks.presentation.config_len();
        while self.held.len() > 2 && self.all().map(config_len).sum::<usize>() > MAX_CONFIGS_LEN {
            self.forget_oldest(segments);
        }
        let oldest = segments.oldest_version().unwrap_or(u32::MAX);
        while self.held.len() > 1 && self.held.front().is_some_and(|(v, _)| *v < oldest) {
            self.held.pop_front();
        }
    }
}

fn has_only_gained_audio(before: &Tracks, now: &Tracks) -> bool {
    let (before, now) = (&before.presentation, &now.presentation);
    before.video == now.video && before.video.is_some() && before.audio.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::hls::segment::MediaSample;
    use crate::media::mp4::{Presentation, VideoTrack};

    /// Video tracks whose configuration is longer than `len`.
    fn tracks(number: u8, len: usize) -> Arc<Tracks> {
        let header = b"\x17\0\0\0\0\x01\x64\0\x1F\xFF\xE1\0\x1B\
            \x67\x64\0\x1F\xAC\xD9\x40\x50\x05\xBB\x01\x6A\x02\x02\x02\x80\0\0\x03\0\x80\0\0\x1E\x07\
            \x8C\x18\xCB\x01\0\x06\x68\xEB\xE3\xCB\x22\xC0";
        let header = [&header[..], &vec![number; len]].concat();
        let video = VideoTrack::from_sequence_header(&header);
        assert!(video.is_some());
        Arc::new(Tracks {
            presentation: Presentation { video, audio: None },
            ..Tracks::default()
        })
    }

    #[test]
    fn long_configurations_are_held_for_two_versions_only() {
        for (len, held) in [(100, 5), (400, 2)] {
            let (mut versions, mut segments) = (Versions::default(), Segments::default());
            for gop in 0..8 {
                let tracks = tracks(gop as u8, len);
                let version = versions.version_of(&tracks, false, &mut segments);
                for frame in gop * 50..(gop + 1) * 50 {
                    let sample = MediaSample {
                        number: frame,
                        time: frame * 40,
                        end: frame * 40 + 40,
                        arrived: frame * 40,
                        len: 100,
                        version,
                        is_video: true,
                        fits: true,
                        is_main: true,
                        is_join_point: frame % 50 == 0,
                    };
                    segments.add(&sample, u64::MAX);
                }
                versions.forget_unused(&mut segments);
            }
            // Four segments and the open one.
            assert_eq!(versions.all().count(), held, "{len} bytes");
            assert_eq!(segments.oldest_version(), Some(8 - held as u32));
        }
    }
}
