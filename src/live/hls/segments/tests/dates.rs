//! The dates of segments.

use super::*;

#[test]
fn dates_follow_a_clock_that_is_set_forward() {
    let mut stream = TestStream::new();
    stream.gops(3, 50);
    stream.listing();
    let ahead = 900;
    stream.time += ahead;
    for index in 0..101 {
        stream.time += 40;
        let message = SentMessage {
            is_video: true,
            is_keyframe: index % 50 == 0,
            config: 1,
            time: stream.time - 40,
            end: stream.time,
        };
        stream.add(message, stream.time - 9_000 - ahead);
    }
    let listing = stream.listing();
    let last = listing.segments.last().unwrap();
    assert_eq!(last.date, last.start + 40 - 9_000 - ahead);
}

#[test]
fn dates_follow_the_media_and_not_the_network() {
    let mut stream = TestStream::new();
    // The first frames are late: they were buffered somewhere.
    for index in 0..400 {
        let delay = match index {
            0..10 => 700 - index * 40,
            // So are those of a few seconds.
            120..270 => 500,
            _ => 30,
        };
        stream.late_frame(40, index % 50 == 0, delay);
        if index == 60 {
            stream.listing();
        }
    }
    let segments = stream.listing().segments;
    for segment in &segments {
        // A first frame is due one interval after its decode time.
        let truth = segment.start + 40 - 9_000 + 30;
        assert!(segment.date.abs_diff(truth) <= 2, "{segment:?} {truth}");
    }
}

#[test]
fn a_wrong_date_is_corrected_slowly() {
    let mut stream = TestStream::new();
    for index in 0..1_000 {
        let delay = if index < 150 { 100 } else { 0 };
        stream.late_frame(40, index % 50 == 0, delay);
        if index % 50 == 49 && index > 100 {
            stream.listing();
        }
    }
    let held: Vec<_> = stream.segments.lists.all_segments().collect();
    for pair in held.windows(2) {
        let step = pair[1].date - pair[0].date;
        assert!((1_990..=2_001).contains(&step), "{step}");
    }
    let last = held.last().unwrap();
    assert_eq!(last.date, last.start + 40 - 9_000);
}
