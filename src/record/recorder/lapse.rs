//! Time lapses: only keyframes are recorded, and shown faster than they came.

use std::sync::Arc;

use crate::live::cut::Cut;
use crate::live::kind::Kind;
use crate::live::tracks::Tracks;

/// The time of a time lapse, through all of its files.
#[derive(Default)]
pub(super) struct Lapse {
    /// The timestamp of the last keyframe, and the time in ms that had passed by then since the first one.
    last: Option<(u32, u64)>,
    /// The tracks of the last cut, and the same without audio.
    tracks: Option<(Arc<Tracks>, Arc<Tracks>)>,
}

impl Lapse {
    /// Leaves only the keyframe of a cut, if it has one, to be shown `speed` times as fast.
    pub(super) fn keep_keyframe(&mut self, cut: &mut Cut, speed: u32) {
        let speed = speed.max(1);
        cut.speed = u16::try_from(speed).unwrap_or(u16::MAX);
        let video = cut
            .samples
            .iter()
            .filter(|sample| sample.kind == Kind::Video);
        let durations = video.map(|sample| sample.duration);
        let duration = durations.fold(0, u32::saturating_add);
        cut.samples
            .retain(|sample| sample.is_sync && sample.kind == Kind::Video);
        cut.samples.truncate(1);
        cut.tracks = self.without_audio(&cut.tracks);
        for sample in &mut cut.samples {
            // Timestamps wrap, so they can't be divided.
            let (last, so_far) = self.last.unwrap_or((sample.timestamp, 0));
            let step = sample.timestamp.wrapping_sub(last) as i32;
            let passed = so_far + u64::from(step.max(0).unsigned_abs());
            self.last = Some((sample.timestamp, passed));
            sample.timestamp = (passed / u64::from(speed)) as u32;
            sample.decode_time /= u64::from(speed);
            sample.duration = (duration / speed).max(1);
            sample.composition_time = 0;
        }
    }

    fn without_audio(&mut self, tracks: &Arc<Tracks>) -> Arc<Tracks> {
        if let Some((_, own)) = self
            .tracks
            .as_ref()
            .filter(|(of, _)| Arc::ptr_eq(of, tracks))
        {
            return Arc::clone(own);
        }
        let mut own = Tracks::clone(tracks);
        (own.audio, own.presentation.audio) = (None, None);
        let own = Arc::new(own);
        self.tracks = Some((Arc::clone(tracks), Arc::clone(&own)));
        own
    }
}
