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
    /// Returns the version of these tracks, which is a new one if they have changed. `are_new`: until now
    /// not all of them were known.
    pub(super) fn version_of(
        &mut self,
        tracks: &Arc<Tracks>,
        are_new: bool,
        segments: &mut Segments,
    ) -> u32 {
        let may_change = are_new && segments.target().is_none();
        let mut version = 0;
        if let Some((newest, known)) = self.held.back_mut() {
            if Arc::ptr_eq(known, tracks) {
                return *newest;
            }
            // Until a playlist is promised, nobody has seen the tracks without audio that comes late.
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

    /// Drops versions that no segment needs, and those whose configurations take too much memory: then
    /// fewer segments are listed.
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
