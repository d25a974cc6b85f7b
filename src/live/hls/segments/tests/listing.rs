//! The content of listings, and the results of requests.

use super::*;

#[test]
fn a_request_is_answered_waits_or_is_refused() {
    let mut stream = TestStream::new();
    stream.gops(3, 50);
    stream.listing();
    // Segments 1 and 2 are complete; segment 3 has three parts: its last frame is at 1960 ms.
    let part = Wanted::Part;
    for (wanted, found) in [
        (Wanted::Segment(1), Lookup::Found(())),
        (Wanted::Segment(2), Lookup::Found(())),
        (Wanted::Segment(3), Lookup::NotYet),
        (Wanted::Segment(4), Lookup::NotYet),
        (Wanted::Segment(5), Lookup::Missing),
        (Wanted::Segment(u64::MAX), Lookup::Missing),
        (part(1, 77), Lookup::Found(())),
        (part(2, 3), Lookup::Found(())),
        (part(2, 4), Lookup::Found(())),
        (part(3, 2), Lookup::Found(())),
        (part(3, 3), Lookup::NotYet),
        (part(3, 8), Lookup::NotYet),
        (part(3, 9), Lookup::Missing),
        (part(4, 0), Lookup::NotYet),
        (part(4, 6), Lookup::Missing),
        (part(5, 0), Lookup::Missing),
        (part(u64::MAX, u64::MAX), Lookup::Missing),
    ] {
        assert_eq!(stream.segments.has(wanted), found, "{wanted:?}");
    }
    stream.gops(1, 1);
    assert_eq!(stream.segments.has(part(3, 3)), Lookup::Found(()));
    assert_eq!(
        stream.segments.has(part(3, 4)),
        Lookup::NotYet,
        "part 0 of 4"
    );
    assert_eq!(stream.segments.part(4, 0), Lookup::NotYet);
    assert_eq!(stream.segments.part(4, 1), Lookup::Missing);
    assert_eq!(stream.segments.part(3, 4), Lookup::Missing);
    assert!(matches!(stream.segments.part(3, 3), Lookup::Found(_)));
}

#[test]
fn only_segments_that_are_safe_in_the_log_are_listed_and_dropped_ones_do_not_return() {
    let mut stream = TestStream::new();
    stream.gops(6, 50);
    stream.listing();
    let from = |listing: Option<Listing>| listing.map(|listing| listing.segments[0].number);
    assert_eq!(from(stream.segments.listing(false, &|_| true)), Some(2));
    assert_eq!(
        from(stream.segments.listing(false, &|number| number >= 300)),
        Some(4)
    );
    assert_eq!(from(stream.segments.listing(false, &|_| true)), Some(4));
    assert_eq!(from(stream.segments.listing(false, &|_| false)), None);
}

#[test]
fn an_unwatched_stream_lists_a_few_segments_and_the_newest_stay_when_the_block_goes() {
    let mut stream = TestStream::new();
    stream.gops(20, 50);
    let all = stream.listing();
    stream.segments.lists.note_viewer([127, 0, 0, 1].into(), 0);
    assert_eq!(stream.segments.lists.viewers(99).count(), 1);
    stream.segments.shrink();
    assert!(!stream.segments.lists.has_block());
    let few = stream.listing();
    assert_eq!(
        few.segments,
        all.segments[all.segments.len() - few.segments.len()..]
    );
    assert_eq!((few.open, few.next), (all.open, all.next));
    assert_eq!(stream.segments.lists.parts.len, 16);
    assert_eq!(stream.segments.lists.viewers(0).count(), 0);
    stream.gops(3, 50);
    assert_eq!(stream.segments.lists.segments.len, 4);
    let before = stream.listing();
    stream.segments.lists.move_to(Arena::new(0).take());
    assert_eq!(stream.listing(), before);
    stream.gops(3, 50);
    assert_eq!(stream.segments.lists.segments.len, 7);
}
