//! The data that is kept for HLS, and for how long.

use std::collections::HashMap;

use super::*;

/// The number of blocks that a GOP from [`gops`] occupies.
const GOP_BLOCKS: usize = 4;

#[test]
fn a_first_playlist_is_as_long_as_later_ones() {
    let fixture = published(1024);
    gops(&fixture, 20);
    let unwatched = fixture.stream.report(0).blocks;
    assert!(unwatched <= 6 * GOP_BLOCKS, "{unwatched} blocks");
    let first = listing(&fixture);
    assert_eq!(numbers(&first), [16, 17, 18, 19]);
    for number in 16..20 {
        assert!(fetch(&fixture, FileKind::Segment(number), 5_000).is_ok());
    }
    let (start, blocks) = (fixture.now.get(), fixture.stream.report(0).blocks);
    assert!(blocks <= unwatched + 1, "{blocks} blocks");
    gops(&fixture, 10);
    let watched = fixture.stream.report(0).blocks;
    assert!(watched > unwatched + 2 * GOP_BLOCKS, "{watched} blocks");
    // No more requests.
    while fixture.now.get() < start + 34_000 {
        gops(&fixture, 1);
    }
    let blocks = fixture.stream.report(0).blocks;
    assert!(blocks <= unwatched + 1, "{blocks} blocks");
    assert_eq!(listing(&fixture).segments.len(), 4);
}

#[test]
fn a_first_playlist_is_kept_for_gops_of_every_length() {
    for (frames, listed) in [(25, 4), (50, 4), (75, 4), (100, 4), (250, 4)] {
        let fixture = published(4096);
        for _ in 0..1 + 60 * 25 / frames {
            fixture.gop(fixture.now.get() as u32, frames);
        }
        let listing = listing(&fixture);
        assert_eq!(listing.segments.len(), listed, "GOPs of {frames}");
        let ms: u32 = listing.segments.iter().map(|s| s.duration).sum();
        assert!(ms >= 3_000 * listing.target, "GOPs of {frames}: {ms} ms");
    }
}

#[test]
fn nothing_is_kept_if_hls_is_not_served() {
    let fixture = Fixture::of_settings(1024, |settings| settings.is_hls_served = false);
    fixture.publish();
    headers(&fixture);
    gops(&fixture, 20);
    let blocks = fixture.stream.report(0).blocks;
    assert!(blocks <= 2 * GOP_BLOCKS, "{blocks} blocks");
}

#[test]
fn an_unwatched_stream_keeps_half_of_the_memory_at_most() {
    let fixture = published(64);
    // Three frames fit in a block; the playlist needs 80 blocks, and the open segment 20.
    let mut most = 0;
    for frame in 0..1_000 {
        let now = fixture.now.get() as u32;
        fixture.frame(now, frame % 15 == 0, 5_000);
        fixture.pump();
        fixture.wait(40);
        let held = fixture.stream.report(0).blocks;
        assert!(held <= 40, "{held} blocks after {frame} frames");
        if frame > 500 {
            most = held.max(most);
        }
    }
    assert!(most > 28, "{most} blocks");
}

#[test]
fn what_the_first_request_was_told_of_is_not_given_up_to_another_stream() {
    let fixture = published(256);
    let frame = |is_keyframe| {
        fixture.frame(fixture.now.get() as u32, is_keyframe, 5_000);
        fixture.pump();
        fixture.wait(40);
    };
    (0..500).for_each(|index| frame(index % 25 == 0));
    let before = listing(&fixture);
    let other = Fixture::of_settings(1, |settings| settings.arena = fixture.arena.clone());
    other.publish();
    // More than there is.
    (0..300).for_each(|index| _ = other.frame(index, index == 0, 16_000));
    assert!(fixture.arena.free_blocks() <= 256 / 8);
    // No part is complete yet, so only the request has changed what is kept.
    (0..5).for_each(|_| frame(false));
    let after = listing(&fixture);
    assert_eq!(numbers(&after), numbers(&before));
    for number in numbers(&before) {
        assert!(fetch(&fixture, FileKind::Segment(number), 16 * 1024).is_ok());
    }
}

/// RFC 8216bis, 6.2.2, says how long a segment must remain available.
#[test]
fn segments_stay_for_the_required_time_after_they_left_the_playlist() {
    for lengths in [
        &[25][..],
        &[50],
        &[100],
        &[250],
        &[50, 130, 60, 250],
        &[30, 30, 100],
    ] {
        let fixture = published(8192);
        // The time when each segment left the playlist, and the time until which it must stay available.
        let mut left = HashMap::<u64, (u64, u64)>::new();
        let mut longest = 0;
        let mut before = Vec::new();
        let mut fetched = 0;
        for gop in 0..6_000 / lengths.iter().max().unwrap() * lengths.len() {
            for frame in 0..lengths[gop % lengths.len()] as u32 {
                let now = fixture.now.get() as u32;
                fixture.frame(now, frame == 0, 200);
                fixture.wait(40);
                if gop < 8 || frame % 10 > 0 {
                    continue;
                }
                let now = listing(&fixture).segments;
                let ms: u64 = now.iter().map(|s| u64::from(s.duration)).sum();
                longest = ms.max(longest);
                for gone in before.iter().filter(|gone| !now.contains(gone)) {
                    // The segment left after the previous request, ten frames ago.
                    let until = fixture.now.get() - 400 + u64::from(gone.duration) + longest;
                    left.insert(gone.number, (until, gone.bytes));
                }
                before = now;
                left.retain(|number, (until, _)| {
                    // This is the last check before the segment may be dropped.
                    let is_last = fixture.now.get() + 400 > *until;
                    if is_last {
                        let kind = FileKind::Segment(*number);
                        let is_there = fetch(&fixture, kind, 16 * 1024).is_ok();
                        assert!(is_there, "{lengths:?}: {number}");
                        fetched += 1;
                    }
                    !is_last
                });
            }
        }
        assert!(fetched > 5, "{lengths:?}: {fetched}");
    }
}

#[test]
fn a_long_gop_that_takes_too_much_memory_is_cut() {
    // 16 blocks a second; the log may have 262.
    let fixture = published(300);
    for index in 0..2_000 {
        let now = fixture.now.get() as u32;
        fixture.frame(now, index % 500 == 0, 10_000);
        fixture.wait(40);
        if index % 25 == 0 && index > 500 {
            listing(&fixture);
        }
    }
    let listing = listing(&fixture);
    assert!(listing.segments.len() >= 2, "{:?}", numbers(&listing));
    assert!(
        listing
            .segments
            .iter()
            .all(|segment| segment.duration < 6_000)
    );
}
