//! Space: how much of the disk recordings may take, and what is to be done when it runs short.
//!
//! ```text
//! |<------------------- the file system ------------------->|
//! | recordings (up to the cap) | others |  room   |  floor  |
//!                                       ^ free -------------^
//! ```
//!
//! *Room* is what may be written until the next look: free space above the floor, below the cap. Recorders
//! take from it before they write. The oldest files go early enough for the room to last for *need*, which is
//! what was written since the last look and more. No file goes if that wouldn't help.

use super::disk::Space;

const MIB: u64 = 1 << 20;

/// The least and the greatest length that is set aside for a file.
const LEAST_ASIDE: u64 = 4 * MIB;
const MOST_ASIDE: u64 = 512 * MIB;

/// The default floor: the larger of this and [`DEFAULT_FLOOR_PART`] ...
const DEFAULT_FLOOR: u64 = 500_000_000;

/// ... which is a part of the file system.
const DEFAULT_FLOOR_PART: u64 = 20;

/// But not more than this part, so that small disks can be used.
const MOST_FLOOR_PART: u64 = 8;

/// The least that is needed until the next look, where the disk isn't tiny.
const LEAST_NEED: u64 = 8 * MIB;

/// What is needed is at most this part of the file system and of the cap.
const NEED_PART: u64 = 16;

/// The number of files per stream that there is room for.
const FEWEST_FILES: u64 = 4;

/// No file ends early before this length.
const LEAST_LEN: u64 = MIB / 4;

/// The limits that were set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most that all recordings may take, in bytes.
    pub max: Option<u64>,
    /// The space that stays free, in bytes. By default the larger of 500 MB and 5 %; an
    /// eighth of disks under 4 GB.
    pub free: Option<u64>,
}

/// What there is at the time of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The space of the file system.
    pub space: Space,
    /// The bytes of all recordings, with those of open files and what is set aside for them.
    pub recordings: u64,
    /// The bytes of the files that may be removed.
    pub removable: u64,
    /// What was written since the last look, in bytes.
    pub written: u64,
    /// The most that a recorder has asked for in vain since the last look, in bytes.
    pub refused: u64,
    /// Whether there was too little space at the last look.
    pub was_full: bool,
}

/// What is to be done about space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fine,
    /// The oldest closed file goes.
    Delete,
    /// Nothing may be written: space is short, and removing files wouldn't help.
    Full,
}

impl Limits {
    /// The space that stays free on a file system of this size.
    pub fn floor(&self, total: u64) -> u64 {
        let least = DEFAULT_FLOOR.min(total / MOST_FLOOR_PART);
        let default = least.max(total / DEFAULT_FLOOR_PART);
        self.free.unwrap_or(default)
    }

    /// Returns how much may be written, in bytes.
    pub fn room(&self, usage: &Usage) -> u64 {
        let above_floor = usage
            .space
            .free
            .saturating_sub(self.floor(usage.space.total));
        let below_max = self.max.map(|max| max.saturating_sub(usage.recordings));
        above_floor.min(below_max.unwrap_or(u64::MAX))
    }

    /// Returns the length in bytes after which files should end while so many are open: removing the oldest one
    /// must not remove most of what there is.
    pub fn most_len(&self, usage: &Usage, open: usize) -> u64 {
        let whole = usage.recordings.saturating_add(self.room(usage));
        (whole / (FEWEST_FILES * open.max(1) as u64)).max(LEAST_LEN)
    }

    /// Decides what is to be done.
    pub fn verdict(&self, usage: &Usage) -> Verdict {
        let (room, need) = (self.room(usage), self.need(usage));
        if room >= need {
            return Verdict::Fine;
        }
        if self.helps(usage) {
            return Verdict::Delete;
        }
        // Once full, a few bytes that others have freed aren't enough to begin again.
        let least = if usage.was_full {
            need
        } else {
            usage.refused.max(1)
        };
        if room < least {
            Verdict::Full
        } else {
            Verdict::Fine
        }
    }

    /// The room that there should be until the next look.
    fn need(&self, usage: &Usage) -> u64 {
        let whole = usage.space.total.min(self.max.unwrap_or(u64::MAX));
        let need = usage.written.saturating_mul(2).max(LEAST_NEED);
        let need = need.min(whole / NEED_PART).max(1);
        need.max(usage.refused.min(whole / 2))
    }

    /// Whether there would be room if all closed files were removed. If others have filled the disk, all
    /// recordings would go for nothing.
    fn helps(&self, usage: &Usage) -> bool {
        let without = Usage {
            space: Space {
                free: usage.space.free.saturating_add(usage.removable),
                ..usage.space
            },
            recordings: usage.recordings.saturating_sub(usage.removable),
            ..*usage
        };
        usage.removable > 0 && self.room(&without) > self.room(usage).max(self.need(usage) / 2)
    }
}

/// Returns the length to set aside for a file, given the length of the last one.
pub fn length_to_set_aside(last: u64) -> u64 {
    (last.saturating_add(last / 10)).clamp(LEAST_ASIDE, MOST_ASIDE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GB: u64 = 1_000_000_000;

    fn usage(free: u64, total: u64, recordings: u64, removable: u64) -> Usage {
        Usage {
            space: Space { free, total },
            recordings,
            removable,
            written: 0,
            refused: 0,
            was_full: false,
        }
    }

    #[test]
    fn the_floor_is_five_percent_but_no_less_than_500_mb() {
        let limits = Limits::default();
        assert_eq!(limits.floor(32 * GB), 1_600_000_000);
        assert_eq!(limits.floor(4 * GB), 500_000_000);
        // Smaller disks would always be full.
        assert_eq!(limits.floor(GB), 125_000_000);
        assert_eq!(limits.floor(64 * MIB), 8 * MIB);
        let off = Limits {
            free: Some(0),
            ..limits
        };
        assert_eq!(off.floor(32 * GB), 0);
    }

    #[test]
    fn several_files_of_each_stream_fit_into_the_space_that_there_is() {
        let capped = Limits {
            max: Some(2 * GB),
            free: Some(0),
        };
        for (usage, open, expected) in [
            (usage(9 * GB, 32 * GB, GB, GB), 0, GB / 2),
            (usage(9 * GB, 32 * GB, GB, GB), 4, GB / 8),
            (usage(GB / 2, 32 * GB, GB / 2, 0), 1, GB / 4),
            (usage(0, 32 * GB, 0, 0), 4, LEAST_LEN),
        ] {
            assert_eq!(capped.most_len(&usage, open), expected, "{usage:?}");
        }
    }

    #[test]
    fn the_oldest_file_goes_when_floor_or_cap_is_near() {
        let default = Limits::default();
        let capped = Limits {
            max: Some(8 * GB),
            free: None,
        };
        for (limits, usage, verdict) in [
            (
                default,
                usage(9 * GB, 32 * GB, 20 * GB, 19 * GB),
                Verdict::Fine,
            ),
            (
                default,
                usage(1_600_000_000, 32 * GB, 20 * GB, 19 * GB),
                Verdict::Delete,
            ),
            (
                default,
                usage(0, 32 * GB, 20 * GB, 19 * GB),
                Verdict::Delete,
            ),
            (
                capped,
                usage(9 * GB, 32 * GB, 7 * GB, 6 * GB),
                Verdict::Fine,
            ),
            (
                capped,
                usage(9 * GB, 32 * GB, 8 * GB, 7 * GB),
                Verdict::Delete,
            ),
            (capped, usage(9 * GB, 32 * GB, 9 * GB, 0), Verdict::Full),
            (default, usage(0, 32 * GB, 20 * GB, 0), Verdict::Full),
            // A little is left, and nothing that may go.
            (
                default,
                usage(1_600_000_001, 32 * GB, 20 * GB, 0),
                Verdict::Fine,
            ),
        ] {
            assert_eq!(limits.verdict(&usage), verdict, "{usage:?}");
        }
    }

    #[test]
    fn files_dont_go_for_nothing_when_others_have_filled_the_disk() {
        let limits = Limits::default();
        let usage = usage(100_000_000, 32 * GB, 1_200_000_000, GB);
        assert_eq!(limits.verdict(&usage), Verdict::Full);
    }

    #[test]
    fn what_was_full_begins_again_only_with_some_room() {
        let limits = Limits::default();
        let mut usage = usage(1_600_000_001, 32 * GB, 20 * GB, 0);
        usage.was_full = true;
        assert_eq!(limits.verdict(&usage), Verdict::Full);
        usage.space.free += LEAST_NEED;
        assert_eq!(limits.verdict(&usage), Verdict::Fine);
    }

    #[test]
    fn room_lasts_for_twice_what_was_written_since_the_last_look() {
        let limits = Limits::default();
        let mut usage = usage(1_700_000_000, 32 * GB, 20 * GB, 19 * GB);
        usage.written = 50_000_000;
        assert_eq!(limits.verdict(&usage), Verdict::Fine);
        usage.written += 1;
        assert_eq!(limits.verdict(&usage), Verdict::Delete);
    }

    #[test]
    fn there_will_be_room_for_what_was_refused() {
        let limits = Limits {
            max: Some(100_000_000),
            free: Some(0),
        };
        let mut usage = usage(GB, 2 * GB, 90_000_000, 80_000_000);
        assert_eq!(limits.verdict(&usage), Verdict::Fine);
        usage.refused = 10_000_001;
        assert_eq!(limits.verdict(&usage), Verdict::Delete);
        // Half of what there is will do for what is more than that.
        usage.refused = 200_000_000;
        assert_eq!(limits.verdict(&usage), Verdict::Delete);
        usage.removable = 0;
        assert_eq!(limits.verdict(&usage), Verdict::Full);
    }

    #[test]
    fn space_is_set_aside_for_the_last_length_and_a_tenth() {
        for (last, expected) in [
            (0, LEAST_ASIDE),
            (100 * MIB, 110 * MIB),
            (GB, MOST_ASIDE),
            (u64::MAX, MOST_ASIDE),
        ] {
            assert_eq!(length_to_set_aside(last), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_goes_while_there_is_room_and_files_go_only_if_that_helps(
            free in 0..(40 * GB), recordings in 0..(40 * GB), removable in 0..(40 * GB),
            written in 0..(2 * GB), was_full: bool,
            max in prop::option::of(0..(40 * GB)), floor in prop::option::of(0..(40 * GB)),
        ) {
            let limits = Limits { max, free: floor };
            let removable = removable.min(recordings);
            let mut usage = usage(free, 64 * GB, recordings, removable);
            (usage.written, usage.was_full) = (written, was_full);
            match limits.verdict(&usage) {
                Verdict::Fine => prop_assert!(limits.room(&usage) > 0),
                Verdict::Delete => {
                    prop_assert!(removable > 0 && limits.room(&usage) < 4 * GB);
                    let mut after = usage;
                    after.space.free += removable;
                    after.recordings -= removable;
                    prop_assert!(limits.room(&after) > 0);
                }
                Verdict::Full => prop_assert!(was_full || limits.room(&usage) == 0),
            }
        }
    }
}
