//! The publisher's clock: assigns the timestamps that messages get in the log.
//!
//! A message of the first publisher usually keeps its timestamp, and messages of later publishers get a
//! constant added: the first message of a publisher is placed after the last message before it, by the
//! time that has passed between them. But the timestamps of cameras jump when they fetch the time from
//! the network, restart at 0 after a hiccup, are cut to 24 or 31 bits, or differ between audio and
//! video. Then the constant changes, and the stream goes on:
//!
//! ```text
//! came     video 1000  audio 1010  audio 1030 | video 81040  audio 81050  video 81080
//! arrived        1000        1010        1030 |        1040         1050         1080
//! placed         1000        1010        1030 |        1040         1050         1080
//!                                             +-- -80000 from here on, for both
//! ```
//!
//! A timestamp **jumps** if it is more than [`TOLERANCE`] outside of its natural range:
//!
//! * not before the newest timestamp of its own track (audio or video; several tracks of a kind share
//!   a clock), and
//! * not after the newest timestamp of the stream, plus the time since that arrived, plus the delay that
//!   a network outage has left (held-back messages arrive in a burst, perhaps with a gap where the
//!   encoder dropped some).
//!
//! Smaller steps are no jumps, however fast they follow each other: they may come from a file that is
//! pushed faster than it plays. After a jump the track continues at the wall clock. The other track
//! usually jumps by the same amount, a moment later: it gets exactly the same constant as soon as that
//! fits better than its own, so that audio and video stay in sync to the millisecond.
//!
//! A clock that stands still, or that runs several times too fast, can't be used (see `pace`). Once
//! that is known, messages are placed at the wall clock, for all receivers alike, including RTMP
//! players: no container can hold two frames with one time, and no player can keep up with timestamps
//! that run ahead of real time. The same applies to a clock that is too slow if the audio proves it,
//! since there would be more audio than time for it. Without audio, a slow clock is only reported.
//!
//! Invariants: within a publish, no track goes back by more than [`TOLERANCE`]; without a jump, and
//! while the clock can be used, the placed timestamp is the received one plus a constant.

mod pace;

use crate::live::Millis;
use crate::live::finding::ClockRepair;
use crate::live::kind::Kind;
use pace::Pacer;

/// The maximum distance of a timestamp from its natural range that is no jump, in ms.
const TOLERANCE: i64 = 3_000;

/// A timestamp that is further outside than this, in ms, gets the other track's constant if that fits
/// better. Less than [`TOLERANCE`], since a jump of about that size may exceed it slightly for one
/// track and fall slightly below it for the other.
const DOUBTFUL: i64 = 1_000;

/// The maximum distance of a timestamp from its natural range after a change of the constant for which
/// there is no other evidence, in ms.
const EXACT: i64 = 500;

/// The smallest step of the timestamps from one publisher to the next, in ms.
const MIN_SEAM: i64 = 40;

/// The largest difference between the wall clock and a track's usual step that may be network jitter,
/// in ms.
const JITTER: i64 = 200;

/// The longest delay that a network outage may leave behind, in ms.
const MAX_DELAY: i64 = 60_000;

/// The values at which clocks wrap to 0: FLV timestamps of 24 bits (4.66 h), and the positive half of
/// 32 bits (24.9 days).
const WRAPS: [u32; 2] = [1 << 24, 1 << 31];

/// See the module's documentation. Lives as long as the stream, through all publishers.
#[derive(Default)]
pub(super) struct Clock {
    /// The newest timestamp of all tracks and publishers.
    newest: Option<Placed>,
    /// The tracks of the current publisher: audio, video.
    tracks: [Option<TrackClock>; 2],
    /// The newest timestamp of the previous publisher.
    seam: Option<u32>,
    /// How much later messages arrive than in the best case, in hundredths of a millisecond.
    delay: i64,
    /// The change of a track's constant at the last jump.
    shift: u32,
    /// The number of jumps.
    total: u32,
    /// The last jump, unless it has been reported.
    pub(super) repair: Option<ClockRepair>,
    pub(super) pacer: Pacer,
    /// The number that is added to the time of arrival when that replaces timestamps, wrapping.
    lead: u32,
}

#[derive(Clone, Copy)]
struct Placed {
    timestamp: u32,
    arrived: Millis,
}

/// A number that is added to a track's timestamps, wrapping.
#[derive(Clone, Copy)]
struct Constant {
    ms: u32,
    /// Whether it includes the clock's `shift`.
    is_shifted: bool,
}

#[derive(Clone, Copy)]
struct TrackClock {
    constant: Constant,
    /// How far its first message was ahead of the wall clock, in ms, wrapping.
    lead: u32,
    newest: Placed,
    /// The step from one message to the next, in ms; 0 before there are two.
    usual_step: i32,
    /// Timestamps below this one are raised to it, until the first timestamp that isn't below it.
    floor: Option<u32>,
}

impl Clock {
    /// Begins the publish of another publisher.
    pub(super) fn begin_publish(&mut self) {
        *self = Clock {
            newest: self.newest,
            delay: self.delay,
            lead: self.lead,
            ..Clock::default()
        };
    }

    /// The newest timestamp that was assigned.
    pub(super) fn newest(&self) -> Option<u32> {
        self.newest.map(|newest| newest.timestamp)
    }

    /// Returns the timestamp that a frame gets in the log.
    pub(super) fn place(&mut self, kind: Kind, timestamp: u32, now: Millis) -> u32 {
        let index = usize::from(kind != Kind::Audio);
        if self.pacer.note(index, timestamp, now) {
            // Never backward, and never before the audio counted so far.
            let newest = self.newest().unwrap_or(0);
            let tracks = self.tracks.iter().flatten();
            let mut wall = tracks.map(|track| track.wall_clock(now));
            let wall = wall.rfind(|wall| difference(*wall, newest) > 0);
            self.lead = wall.unwrap_or(newest).wrapping_sub(now as u32);
        }
        if self.pacer.is_lost {
            return self.note(self.lead.wrapping_add(now as u32), now).timestamp;
        }
        let mut tracks = self.tracks;
        tracks.rotate_left(index);
        let [track, other] = tracks;
        let constant = match (self.newest, track.or(other)) {
            (Some(newest), Some(TrackClock { constant, .. })) => {
                self.constant(timestamp, constant, newest, track, other, now)
            }
            (last, _) => self.first_constant(timestamp, last, now),
        };

        let mut placed = timestamp.wrapping_add(constant.ms);
        let mut floor = match track {
            None => self.seam,
            Some(track) if track.constant.ms == constant.ms => track.floor,
            Some(track) => Some(track.newest.timestamp),
        };
        // After a seam or a change of the constant, timestamps may be slightly too low. They are
        // raised, so that the track doesn't go back.
        if let Some(least) = floor {
            if (-TOLERANCE..0).contains(&difference(placed, least)) {
                placed = least;
            } else {
                floor = None;
            }
        }
        let placed = self.note(placed, now);
        let track = self.tracks[index].get_or_insert(TrackClock {
            constant,
            lead: placed.timestamp.wrapping_sub(now as u32),
            newest: placed,
            usual_step: 0,
            floor,
        });
        let step = difference(placed.timestamp, track.newest.timestamp);
        if step > 0 {
            if constant.ms == track.constant.ms {
                track.usual_step = step as i32;
            }
            track.newest = placed;
        }
        (track.constant, track.floor) = (constant, floor);
        placed.timestamp
    }

    /// Returns the timestamp of a message that says nothing about the publisher's clock: headers often
    /// have timestamp 0 when the media around them don't.
    pub(super) fn place_beside(&self, kind: Kind, timestamp: u32) -> u32 {
        let [audio, video] = self.tracks;
        let track = match kind {
            Kind::Audio => audio.or(video),
            _ => video.or(audio),
        };
        let Some(newest) = self.newest() else {
            return timestamp;
        };
        let placed = track.map(|track| timestamp.wrapping_add(track.constant.ms));
        let fits = |placed: &u32| (-TOLERANCE..=TOLERANCE).contains(&difference(*placed, newest));
        placed.filter(fits).unwrap_or(newest)
    }

    /// Returns the constant of a publisher's first message.
    fn first_constant(&mut self, timestamp: u32, last: Option<Placed>, now: Millis) -> Constant {
        self.seam = last.map(|last| last.timestamp);
        self.delay = 0;
        Constant {
            ms: last.map_or(0, |last| {
                let gap = last.elapsed(now).max(MIN_SEAM);
                later(last.timestamp, gap).wrapping_sub(timestamp)
            }),
            is_shifted: false,
        }
    }

    /// Returns the constant of a later message: `own`, which is the track's previous one (or the other
    /// track's), unless the timestamp jumps.
    fn constant(
        &mut self,
        timestamp: u32,
        own: Constant,
        newest: Placed,
        track: Option<TrackClock>,
        other: Option<TrackClock>,
        now: Millis,
    ) -> Constant {
        // The natural range of a timestamp, in ms relative to `newest`.
        let from = match (track, other) {
            // The second track may begin after a whole burst of the first.
            (None, Some(first)) => first.wall_clock(now),
            (track, _) => track.map_or(newest, |track| track.newest).timestamp,
        };
        let from = difference(from, newest.timestamp).min(0);
        let to = newest.elapsed(now) + self.delay / 100;
        let misses_by = |constant: &Constant| {
            let at = difference(timestamp.wrapping_add(constant.ms), newest.timestamp);
            (from - at).max(at - to).max(0)
        };
        let jump = misses_by(&own);
        if jump <= DOUBTFUL {
            return own;
        }
        // Constants with a known cause are exact, unlike the time of arrival: the other track's, the
        // last jump (by this track too, or back again), and a wrap of the clock.
        let toggled = if own.is_shifted {
            own.plus(self.shift.wrapping_neg(), false)
        } else {
            own.plus(self.shift, true)
        };
        let is_shifted = track.is_some() || own.is_shifted;
        let wraps = WRAPS.map(|wrap| own.plus(wrap, is_shifted));
        let known = [other.map_or(own, |other| other.constant), toggled];
        let is_expected = other.is_some_and(|other| other.constant.is_shifted != own.is_shifted);
        let allowed = if is_expected { TOLERANCE } else { EXACT };
        let best = known.into_iter().chain(wraps).min_by_key(misses_by);
        // Another constant must fit clearly better: it at least halves the distance.
        if let Some(best) = best.filter(|best| misses_by(best) <= allowed.min(jump / 2)) {
            let is_wrap = wraps.iter().any(|wrap| wrap.ms == best.ms);
            if is_wrap && other.is_none_or(|other| other.constant.ms != best.ms) {
                self.set_shift(best.ms.wrapping_sub(own.ms), track);
            }
            return best;
        }
        if jump <= TOLERANCE {
            return own;
        }
        let expected = self.expected(newest, track, now);
        let change = expected.wrapping_sub(timestamp.wrapping_add(own.ms));
        self.set_shift(change, track);
        own.plus(change, is_shifted)
    }

    /// Returns where the next message of a track should be if only the wall clock can be trusted.
    fn expected(&self, newest: Placed, track: Option<TrackClock>, now: Millis) -> u32 {
        let Some(track) = track else {
            return later(newest.timestamp, newest.elapsed(now));
        };
        // Later by the time that has passed, or by the usual step if that is nearly the same. By less
        // if the stream is ahead of the wall clock: otherwise each jump within a burst would add to the
        // players' lag.
        let usual = i64::from(track.usual_step);
        let most = track.newest.elapsed(now).max(usual).max(1);
        let mut step = difference(track.wall_clock(now), track.newest.timestamp);
        if usual > 0 && (step - usual).abs() <= JITTER {
            step = usual;
        }
        let expected = later(track.newest.timestamp, step.clamp(1, most));
        if difference(expected, newest.timestamp) < -TOLERANCE {
            return newest.timestamp;
        }
        expected
    }

    /// Notes a change of a track's constant. If the track had one before, the other track is expected
    /// to follow.
    fn set_shift(&mut self, change: u32, track: Option<TrackClock>) {
        if track.is_some() {
            self.shift = change;
            for track in self.tracks.iter_mut().flatten() {
                track.constant.is_shifted = false;
            }
        }
        self.total = self.total.saturating_add(1);
        self.repair = Some(ClockRepair {
            jump_ms: change.wrapping_neg() as i32,
            is_start: track.is_none(),
            total: self.total,
        });
    }

    /// Notes the newest timestamp of the stream and its delay.
    fn note(&mut self, timestamp: u32, now: Millis) -> Placed {
        let placed = Placed {
            timestamp,
            arrived: now,
        };
        if let Some(newest) = self.newest {
            let step = difference(timestamp, newest.timestamp);
            if step <= 0 {
                return placed;
            }
            // A hundredth is forgotten, because the seconds of two clocks never have exactly the same
            // length.
            let elapsed = newest.elapsed(now);
            self.delay = (self.delay + elapsed * 99 - step * 100).clamp(0, MAX_DELAY * 100);
        }
        self.newest = Some(placed);
        placed
    }
}

impl Placed {
    /// The time since the message arrived, in ms.
    fn elapsed(&self, now: Millis) -> i64 {
        now.saturating_sub(self.arrived).min(i32::MAX as u64) as i64
    }
}

impl Constant {
    fn plus(self, ms: u32, is_shifted: bool) -> Constant {
        Constant {
            ms: self.ms.wrapping_add(ms),
            is_shifted,
        }
    }
}

impl TrackClock {
    /// Where the track would be if it had kept pace with real time since its first message.
    fn wall_clock(&self, now: Millis) -> u32 {
        self.lead.wrapping_add(now as u32)
    }
}

/// How much later `a` is than `b`, in ms; negative if `a` is earlier.
fn difference(a: u32, b: u32) -> i64 {
    i64::from(a.wrapping_sub(b) as i32)
}

fn later(timestamp: u32, ms: i64) -> u32 {
    timestamp.wrapping_add(ms as u32)
}

#[cfg(test)]
mod tests;
