//! The wall clock is set while a stream is recorded.

use std::collections::BTreeSet;

use super::*;
use crate::record::clock::{Clock, is_next_segment};

/// Records a stream in fragments of 10 s and segments of 10 minutes, while the clock is set: at which
/// moments to what, in ms. Returns the names in the order in which they were written.
fn record(catalog: &mut Catalog, settings: &[(u64, WallMillis)], end: u64) -> Vec<FileName> {
    let (door, mut clock, mut names) = (key("live/door"), Clock::new(), Vec::new());
    let mut open: Option<(FileName, WallMillis, u32, u64)> = None;
    for now in (0..=end).step_by(10_000) {
        let (set_at, set_to) = settings.iter().rfind(|(at, _)| *at <= now).unwrap();
        let wall = set_to + now - set_at;
        clock.observe(now, wall);
        let time = clock.time_of(now);
        let is_over = |(_, began, steps, _): &(FileName, WallMillis, u32, u64)| {
            *steps != time.steps || is_next_segment(*began, time.wall, 10 * MINUTE) || now == end
        };
        if let Some((name, began, _, len)) = open.take_if(|open| is_over(open)) {
            catalog.close(&door, name, len, began + len * 10_000, wall);
        }
        let (name, began, steps, len) = open.unwrap_or_else(|| {
            let wanted = if time.is_set {
                FileName::dated(time.wall, Format::Mp4)
            } else {
                FileName::booted(1, now, Format::Mp4)
            };
            names.push(catalog.begin(&door, wanted, time.wall));
            (names[names.len() - 1], time.wall, time.steps, 0)
        });
        open = Some((name, began, steps, len + 1));
    }
    if let Some((name, ..)) = open {
        catalog.remove(&door, name);
        names.pop();
    }
    names
}

fn text(names: &[FileName]) -> Vec<String> {
    names.iter().map(FileName::to_string).collect()
}

#[test]
fn a_clock_that_starts_in_1970_and_is_set_begins_a_file_with_a_date() {
    let mut catalog = Catalog::default();
    let names = record(&mut catalog, &[(0, 20_000), (40_000, TODAY)], 640_000);
    let expected = ["0000-boot0001-000000s.mp4", "2026-11-28T11-30-00Z.mp4"];
    assert_eq!(text(&names), expected);
    let files = all(&catalog, "live/door");
    assert_eq!(files[0].to - files[0].from, 40_000);
    assert_eq!((files[1].from, files[1].to), (TODAY, TODAY + 10 * MINUTE));
}

#[test]
fn a_clock_that_is_set_back_overwrites_nothing_and_spans_are_right() {
    let mut catalog = Catalog::default();
    let (ten, hour) = (10 * MINUTE, 60 * MINUTE);
    let settings = [
        (0, TODAY),
        (ten, TODAY - hour),
        (2 * ten, TODAY + 2 * ten),
        // Back to the very second in which the first file began.
        (3 * ten, TODAY),
        // Less than a step: followed, in the same file.
        (3 * ten + 5 * MINUTE, TODAY + 5 * MINUTE - 4_000),
    ];
    let names = record(&mut catalog, &settings, 4 * ten);
    let expected = [
        "2026-11-28T11-30-00Z.mp4",
        "2026-11-28T10-30-00Z.mp4",
        "2026-11-28T11-50-00Z.mp4",
        "2026-11-28T11-30-00Z_2.mp4",
    ];
    assert_eq!(text(&names), expected);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let mut spans = Vec::new();
    catalog.spans(&key("live/door"), 0..u64::MAX, 9, &mut spans);
    let spans: Vec<_> = spans
        .iter()
        .map(|span| (span.from, span.to, span.bytes))
        .collect();
    let expected = [
        (TODAY - hour, TODAY - hour + ten, 60),
        (TODAY, TODAY + ten, 120),
        (TODAY + 2 * ten, TODAY + 3 * ten, 60),
    ];
    assert_eq!(spans, expected);
}
