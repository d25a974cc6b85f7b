//! When the tracks of a movie begin and end.

use crate::media::Medium;
use crate::media::mp4::read::{InitMoov, Moof, Run};

/// A distance between the times in a file and those in a movie, in ticks of each track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    video: i64,
    audio: i64,
}

impl Shift {
    /// Returns the shift by this many milliseconds: negative if the movie begins after the file.
    pub fn new(init: &InitMoov, ms: i64) -> Shift {
        let ticks = |medium| {
            let timescale = init.track(medium).map_or(1000, |track| track.timescale);
            ms.saturating_mul(timescale.into()).div_euclid(1000)
        };
        Shift {
            video: ticks(Medium::Video),
            audio: ticks(Medium::Audio),
        }
    }

    /// Returns the shift of another file of the same stream. `zeros`: the times in the stream, in ms, from
    /// which the times in this file and in the other one count.
    pub fn of_next(self, init: &InitMoov, zeros: [i64; 2]) -> Shift {
        // Rounded as the files' own times are, so that distances are those of the stream to the tick.
        let [from, to] = zeros.map(|zero| Shift::new(init, zero));
        Shift {
            video: self.video.saturating_add(to.video - from.video),
            audio: self.audio.saturating_add(to.audio - from.audio),
        }
    }

    /// Returns a time in the movie, not below 0.
    pub fn apply(&self, medium: Medium, time: u64) -> u64 {
        time.saturating_add_signed(match medium {
            Medium::Video => self.video,
            Medium::Audio => self.audio,
        })
    }
}

/// The first and the last times of each track in some fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Of the video track, if it has samples.
    pub video: Option<TrackTimes>,
    /// Of the audio track, if it has samples.
    pub audio: Option<TrackTimes>,
}

/// The part of [`Times`] for one track, in its ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackTimes {
    /// The decode time of the first sample.
    pub first: u64,
    /// When the first sample is presented, but not before it is decoded.
    pub shown: u64,
    /// The decode time of the last sample.
    pub last: u64,
    /// The duration of the last sample.
    pub last_duration: u32,
    /// The latest end of a sample, decoded or presented.
    pub end: u64,
}

impl Times {
    /// Adds a fragment behind the others. Fragments in between may be left out: what counts for
    /// [`Movie::new`](super::Movie::new) are, for each track, the first and the last fragment that have
    /// samples of it.
    pub fn add(&mut self, moof: &Moof<'_>, shift: Shift) {
        self.add_track(moof, Medium::Video, shift);
        self.add_track(moof, Medium::Audio, shift);
    }

    /// Adds the samples of one track. The same ones may be added twice.
    pub fn add_track(&mut self, moof: &Moof<'_>, medium: Medium, shift: Shift) {
        let times = match medium {
            Medium::Video => &mut self.video,
            Medium::Audio => &mut self.audio,
        };
        if let Some(run) = moof.run(medium) {
            let new = TrackTimes::of(run, medium, shift);
            *times = Some(times.map_or(new, |old| old.followed_by(new)));
        }
    }

    /// Returns the times in the movie, of times in the file.
    pub fn moved(&self, shift: Shift) -> Times {
        let moved = |times: Option<TrackTimes>, medium| {
            let times = times?;
            let apply = |time| shift.apply(medium, time);
            Some(TrackTimes {
                first: apply(times.first),
                shown: apply(times.shown),
                last: apply(times.last),
                end: apply(times.end),
                ..times
            })
        };
        Times {
            video: moved(self.video, Medium::Video),
            audio: moved(self.audio, Medium::Audio),
        }
    }

    /// Returns the part for one track.
    pub fn track(&self, medium: Medium) -> Option<&TrackTimes> {
        match medium {
            Medium::Video => self.video.as_ref(),
            Medium::Audio => self.audio.as_ref(),
        }
    }
}

impl TrackTimes {
    /// Those of no samples.
    pub const NONE: TrackTimes = TrackTimes {
        first: 0,
        shown: 0,
        last: 0,
        last_duration: 0,
        end: 0,
    };

    /// Returns the times of these samples and of later ones.
    pub fn followed_by(self, later: TrackTimes) -> TrackTimes {
        TrackTimes {
            first: self.first,
            shown: self.shown,
            end: self.end.max(later.end),
            ..later
        }
    }

    fn of(run: &Run<'_>, medium: Medium, shift: Shift) -> TrackTimes {
        let first = shift.apply(medium, run.decode_time);
        let mut times = TrackTimes {
            first,
            shown: u64::MAX,
            last: first,
            last_duration: 0,
            end: first,
        };
        for sample in run.samples() {
            times.last = shift.apply(medium, sample.decode_time);
            times.last_duration = sample.duration;
            let delay = u64::try_from(sample.composition_offset).unwrap_or(0);
            let shown = times.last.saturating_add(delay);
            times.shown = times.shown.min(shown);
            let end = shown.saturating_add(sample.duration.into());
            times.end = times.end.max(end);
        }
        times
    }
}
