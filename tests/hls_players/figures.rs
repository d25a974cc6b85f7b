//! What is told of how a player played.

use serde_json::Value;

use super::source::FRAME_MS;

/// What a picture may stand before it is a stall, in ms.
const STILL: u64 = 250;

/// A picture, and when it was shown, in ms of the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) at: u64,
    pub(crate) number: u32,
}

/// How long a player was watched; times are in ms of the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// When the stream began.
    pub(crate) begin: u64,
    /// When the player was told to play.
    pub(crate) opened: u64,
    pub(crate) until: u64,
    /// From its first picture on.
    pub(crate) seconds: u64,
}

/// Times are in ms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The first picture, from when the player was told to play.
    pub(crate) first: Option<u64>,
    /// From when a picture was published to when it was shown, usually.
    pub(crate) delay: Option<i64>,
    /// How long the picture stood, each time.
    pub(crate) stalls: Vec<u64>,
    /// Pictures that were left out, or shown again: how often.
    pub(crate) jumps: u64,
    /// What ended the playing, unless it was told to try again.
    pub(crate) fatal: Vec<String>,
    /// What else it complained of.
    pub(crate) complaints: Vec<String>,
    /// It can't play this.
    pub(crate) is_missing: bool,
}

impl Figures {
    /// Of a player that shows pictures in their own time, in what was watched of it.
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
        // The last one stands until something else would have been seen.
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

    /// Of a program that decodes what it gets as fast as it can: as if a player without a buffer
    /// of its own had shown it.
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

    /// Of a player in a page.
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
