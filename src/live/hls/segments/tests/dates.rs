//! The dates of segments.

use super::*;

#[test]
fn dates_follow_a_clock_that_is_set_forward() {
    let mut source = Source::new();
    source.gops(3, 50);
    source.listing();
    let ahead = 900;
    source.time += ahead;
    for index in 0..101 {
        source.time += 40;
        let message = Message {
            is_video: true,
            is_keyframe: index % 50 == 0,
            config: 1,
            time: source.time - 40,
            end: source.time,
        };
        source.add(message, source.time - 9_000 - ahead);
    }
    let listing = source.listing();
    let last = listing.segments.last().unwrap();
    assert_eq!(last.date, last.start + 40 - 9_000 - ahead);
}

#[test]
fn dates_follow_the_media_and_not_the_network() {
    let mut source = Source::new();
    // The first frames are late: they were buffered somewhere.
    for index in 0..400 {
        let delay = match index {
            0..10 => 700 - index * 40,
            // So are those of a few seconds.
            120..270 => 500,
            _ => 30,
        };
        source.late_frame(40, index % 50 == 0, delay);
        if index == 60 {
            source.listing();
        }
    }
    let segments = source.listing().segments;
    for segment in &segments {
        // A first frame is due one interval after its decode time.
        let truth = segment.start + 40 - 9_000 + 30;
        assert!(segment.date.abs_diff(truth) <= 2, "{segment:?} {truth}");
    }
}

#[test]
fn a_wrong_date_is_corrected_slowly() {
    let mut source = Source::new();
    for index in 0..1_000 {
        let delay = if index < 150 { 100 } else { 0 };
        source.late_frame(40, index % 50 == 0, delay);
        if index % 50 == 49 && index > 100 {
            source.listing();
        }
    }
    let held: Vec<_> = source.segments.lists.all_segments().collect();
    for pair in held.windows(2) {
        let step = pair[1].date - pair[0].date;
        assert!((1_990..=2_001).contains(&step), "{step}");
    }
    let last = held.last().unwrap();
    assert_eq!(last.date, last.start + 40 - 9_000);
}
