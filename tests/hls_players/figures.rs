//! How a player played.

use serde_json::Value;

use super::source::FRAME_MS;

/// The longest time for which a frame may stand before it is a stall, in ms.
const STILL: u64 = 250;

/// A frame's number, and when it was shown, in ms of the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) at: u64,
    pub(crate) number: u32,
}

/// The time for which a player was watched; times are in ms of the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// When the stream began.
    pub(crate) begin: u64,
    /// When the player was started.
    pub(crate) opened: u64,
    pub(crate) until: u64,
    /// Counted from its first frame on.
    pub(crate) seconds: u64,
}

/// The figures of a player; times are in ms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The first frame, counted from when the player was started.
    pub(crate) first: Option<u64>,
    /// The median time from publishing a frame to showing it.
    pub(crate) delay: Option<i64>,
    /// How long each stall lasted.
    pub(crate) stalls: Vec<u64>,
    /// How often frames were left out or shown again.
    pub(crate) jumps: u64,
    /// Errors that ended playback, unless it was told to retry.
    pub(crate) fatal: Vec<String>,
    /// Other complaints.
    pub(crate) complaints: Vec<String>,
    /// It can't play this.
    pub(crate) is_missing: bool,
}

impl Figures {
    /// The figures of a player that shows frames in real time, within the time watched.
    pub(crate) fn of_screen(shown: &[Shown], watch: Watch) -> Figures {
        let Some(first) = shown.first() else {
            return Figures::default();
        };
        let end = watch.until.min(first.at + watch.seconds * 1000);
        let count = shown.iter().take_while(|shown| shown.at <= end).count();
        let shown = &shown[..count];
        let age = |shown: &Shown| {
            let published = watch.begin + u64::from(shown.number) * FRAME_MS;
            shown.at as i64 - published as i64
        };
        let mut figures = Figures {
            first: Some(first.at.saturating_sub(watch.opened)),
            delay: median(shown.iter().map(age).collect()),
            ..Figures::default()
        };
        // The last one stands until the watch ends.
        let last = shown.last().map_or(end, |last| last.at);
        if end > last + STILL + FRAME_MS {
            figures.stalls.push(end - last);
        }
        for pair in shown.windows(2) {
            let stood = pair[1].at.saturating_sub(pair[0].at);
            if stood > STILL + FRAME_MS {
                figures.stalls.push(stood);
            }
            let moved = i64::from(pair[1].number) - i64::from(pair[0].number);
            let moved = moved * FRAME_MS as i64;
            if moved < 0 || moved > (STILL + stood * 3 / 2) as i64 {
                figures.jumps += 1;
            }
        }
        figures
    }

    /// The figures of a program that decodes as fast as it can, as if a player without a buffer of
    /// its own had shown the frames.
    pub(crate) fn of_arrivals(shown: &[Shown], watch: Watch) -> Figures {
        let mut due = Vec::<Shown>::new();
        for picture in shown {
            let at = due.last().map_or(0, |last| {
                let moved = u64::from(picture.number.saturating_sub(last.number));
                last.at + moved * FRAME_MS
            });
            due.push(Shown {
                at: at.max(picture.at),
                ..*picture
            });
        }
        Figures::of_screen(&due, watch)
    }

    /// The figures of a player in a page.
    pub(crate) fn of_report(report: &Value) -> Figures {
        let numbers = |name: &str| {
            let list = report[name].as_array().map_or(&[][..], Vec::as_slice);
            let numbers = list.iter().filter_map(Value::as_i64);
            numbers.collect::<Vec<_>>()
        };
        let texts = |name: &str| {
            let list = report[name].as_array().map_or(&[][..], Vec::as_slice);
            let texts = list.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        Figures {
            first: report["first"].as_f64().map(|first| first as u64),
            delay: median(numbers("ages")),
            stalls: numbers("stalls").iter().map(|ms| *ms as u64).collect(),
            jumps: report["jumps"].as_u64().unwrap_or_default(),
            fatal: texts("fatal"),
            complaints: texts("warnings"),
            is_missing: report["isMissing"] == true,
        }
    }
}

fn median(mut numbers: Vec<i64>) -> Option<i64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}
