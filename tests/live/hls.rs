//! HLS: what playlists list is there, whole, and the same for everybody who fetches it.

mod uneven;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brooklet::allowance::Allowance;
use brooklet::http::route::{SegmentKind, SegmentName};
use brooklet::live::join::Join;
use brooklet::live::kind::Kind;
use brooklet::live::life::Grace;
use brooklet::live::segments::{Listing, Wanted};
use brooklet::live::stream::Outlook;
use brooklet::live::stream::hls::{Asker, Evicted, Named, Playlist, Reading, Unavailable, Waiters};
use brooklet::output::hls::{self, Carried};
use brooklet::rtmp::amf::Properties;
use proptest::prelude::*;

use crate::files::{Fragment, LARGE, SMALL, fragments};
use crate::fixture::{self, AAC_HEADER, Fixture};

const LIFE: u32 = 0xC0FFEE;

fn published(blocks: usize) -> Fixture {
    let fixture = Fixture::with(blocks, 0);
    fixture.publish();
    headers(&fixture);
    fixture
}

fn headers(fixture: &Fixture) {
    fixture.append(Kind::Video, 0, SMALL);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
}

/// GOPs of two seconds, one after the other, from the present on.
fn gops(fixture: &Fixture, count: u32) {
    for _ in 0..count {
        fixture.gop(fixture.now.get() as u32, 50);
    }
}

/// A stream that somebody watches from the beginning. Now 3 to 6 are listed, and 7 has all of its
/// pictures and three parts.
fn watched(blocks: usize) -> Fixture {
    let fixture = published(blocks);
    ask(&fixture);
    gops(&fixture, 4);
    listing(&fixture);
    gops(&fixture, 3);
    fixture
}

/// Lets it be known that somebody watches.
fn ask(fixture: &Fixture) {
    let nowhere = Waiters::new(0);
    let _ = fixture.stream.playlist(None, asker(fixture, &nowhere));
}

fn asker<'a>(fixture: &Fixture, waiters: &'a Waiters) -> Asker<'a> {
    Asker {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        now: fixture.now.get(),
        nonce: || LIFE,
        waiters,
        is_over: &|| false,
    }
}

fn playlist(fixture: &Fixture) -> Result<Playlist, Unavailable> {
    let waiters = Waiters::new(256);
    fixture.stream.playlist(None, asker(fixture, &waiters))
}

fn listing(fixture: &Fixture) -> Listing {
    playlist(fixture).unwrap().listing
}

fn numbers(listing: &Listing) -> Vec<u64> {
    listing.segments.iter().map(|s| s.number).collect()
}

fn named(fixture: &Fixture, kind: SegmentKind) -> Result<Named, Unavailable> {
    let (waiters, life) = (Waiters::new(256), LIFE);
    let name = SegmentName { life, kind };
    fixture.stream.named(name, asker(fixture, &waiters))
}

/// Reads what comes next, at most so many bytes, to the end of `bytes`; how many there were.
fn read(
    fixture: &Fixture,
    reading: &mut Reading,
    most: usize,
    bytes: &mut Vec<u8>,
) -> Result<usize, Evicted> {
    let end = bytes.len() + most;
    let sent = fixture.stream.send(
        reading,
        &[],
        &mut [0; 4 * 112],
        fixture.now.get(),
        &mut |slices| {
            let before = bytes.len();
            for slice in slices {
                bytes.extend_from_slice(&slice[..slice.len().min(end - bytes.len())]);
            }
            Ok(bytes.len() - before)
        },
    );
    sent.map(Result::unwrap)
}

/// All bytes of a segment or part, read so many at a time.
fn fetch(fixture: &Fixture, kind: SegmentKind, step: usize) -> Result<Vec<u8>, Evicted> {
    let Named::Media(mut reading) = named(fixture, kind).map_err(|_| Evicted)? else {
        panic!("not a piece of media")
    };
    let len = reading.len;
    let mut bytes = Vec::new();
    while read(fixture, &mut reading, step, &mut bytes)? > 0 {}
    assert_eq!((bytes.len() as u64, reading.len), (len, 0), "{kind:?}");
    Ok(bytes)
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The parts of a listed segment.
fn parts(fixture: &Fixture, listing: &Listing, number: u64) -> Vec<u8> {
    let segments = listing.segments.iter().chain(&listing.open);
    let segment = segments.clone().find(|s| s.number == number).unwrap();
    let count = listing.parts(segment).len() as u64;
    let fetch = |part| fetch(fixture, SegmentKind::Part(number, part), 999);
    (0..count).flat_map(|part| fetch(part).unwrap()).collect()
}

#[test]
fn a_segment_is_its_messages_and_its_parts_and_the_same_for_all() {
    let fixture = watched(1024);
    gops(&fixture, 4);
    let listing = listing(&fixture);
    assert_eq!(numbers(&listing), [7, 8, 9, 10]);
    let mut pictures = Vec::new();
    for number in numbers(&listing) {
        let whole = fetch(&fixture, SegmentKind::Segment(number), 16 * 1024).unwrap();
        for step in [1, 111, 5_000, 1 << 20] {
            let again = fetch(&fixture, SegmentKind::Segment(number), step).unwrap();
            assert!(again == whole, "segment {number} by {step}");
        }
        if number > 7 {
            assert!(parts(&fixture, &listing, number) == whole, "{number}");
        }
        let mut times = [None; 3];
        for fragment in fragments(&whole) {
            let Fragment::Sample {
                track,
                time,
                bytes,
                is_sync,
                ..
            } = fragment
            else {
                panic!("an init segment within a segment")
            };
            assert!(times[track as usize].replace(time) < Some(time));
            if track == 1 {
                pictures.push((time, is_sync, bytes));
            }
        }
    }
    // Every picture once, 40 ms apart, whole, with a keyframe each two seconds.
    assert_eq!(pictures.len(), 200);
    for (index, (time, is_sync, bytes)) in pictures.iter().enumerate() {
        assert_eq!(*time, pictures[0].0 + 40 * index as u64);
        assert_eq!(*is_sync, index % 50 == 0);
        assert_eq!(bytes.len(), 995);
    }
    let Named::Init(tracks) = named(&fixture, SegmentKind::Init(0)).unwrap() else {
        panic!("not an init segment")
    };
    assert!(tracks.presentation.init_segment().len() > 500);
}

#[test]
fn names_of_another_life_or_of_nothing_are_not_found() {
    let fixture = watched(1024);
    for kind in [
        SegmentKind::Init(1),
        SegmentKind::Segment(7),
        SegmentKind::Segment(u64::MAX),
        SegmentKind::Part(7, 4),
        SegmentKind::Part(8, 0),
        SegmentKind::Part(u64::MAX, u64::MAX),
    ] {
        let error = named(&fixture, kind).unwrap_err();
        assert_eq!(error, Unavailable::NotFound, "{kind:?}");
    }
    let waiters = Waiters::new(256);
    let name = SegmentName {
        life: LIFE + 1,
        kind: SegmentKind::Segment(4),
    };
    let found = fixture.stream.named(name, asker(&fixture, &waiters));
    assert_eq!(found.unwrap_err(), Unavailable::NotFound);
}

/// What a GOP of [`gops`] takes, in blocks.
const GOP_BLOCKS: usize = 4;

#[test]
fn whoever_asks_first_gets_as_long_a_playlist_as_others() {
    let fixture = published(1024);
    gops(&fixture, 20);
    let unwatched = fixture.stream.snapshot().blocks;
    assert!(unwatched <= 6 * GOP_BLOCKS, "{unwatched} blocks");
    let first = listing(&fixture);
    assert_eq!(numbers(&first), [16, 17, 18, 19]);
    for number in 16..20 {
        assert!(fetch(&fixture, SegmentKind::Segment(number), 5_000).is_ok());
    }
    let (start, blocks) = (fixture.now.get(), fixture.stream.snapshot().blocks);
    assert!(blocks <= unwatched + 1, "{blocks} blocks");
    gops(&fixture, 10);
    let watched = fixture.stream.snapshot().blocks;
    assert!(watched > unwatched + 2 * GOP_BLOCKS, "{watched} blocks");
    // Nobody asks.
    while fixture.now.get() < start + 34_000 {
        gops(&fixture, 1);
    }
    let blocks = fixture.stream.snapshot().blocks;
    assert!(blocks <= unwatched + 1, "{blocks} blocks");
    assert_eq!(listing(&fixture).segments.len(), 4);
}

#[test]
fn what_the_first_playlist_lists_is_kept_for_gops_of_all_lengths() {
    for (pictures, listed) in [(25, 4), (50, 4), (75, 4), (100, 4), (250, 4)] {
        let fixture = published(4096);
        for _ in 0..1 + 60 * 25 / pictures {
            fixture.gop(fixture.now.get() as u32, pictures);
        }
        let listing = listing(&fixture);
        assert_eq!(listing.segments.len(), listed, "GOPs of {pictures}");
        let ms: u32 = listing.segments.iter().map(|s| s.duration).sum();
        assert!(ms >= 3_000 * listing.target, "GOPs of {pictures}: {ms} ms");
    }
}

#[test]
fn nothing_is_kept_for_hls_where_it_is_not_served() {
    let fixture = Fixture::of_settings(1024, |settings| settings.is_hls_served = false);
    fixture.publish();
    headers(&fixture);
    gops(&fixture, 20);
    let blocks = fixture.stream.snapshot().blocks;
    assert!(blocks <= 2 * GOP_BLOCKS, "{blocks} blocks");
}

#[test]
fn what_nobody_has_asked_for_takes_half_of_the_memory_at_most() {
    let fixture = published(64);
    // Three in a block; the playlist wants 80 of them, a segment 20, which is open beside.
    let mut most = 0;
    for picture in 0..1_000 {
        let now = fixture.now.get() as u32;
        fixture.picture(now, picture % 15 == 0, 5_000);
        fixture.pump();
        fixture.wait(40);
        let held = fixture.stream.snapshot().blocks;
        assert!(held <= 40, "{held} blocks after {picture} pictures");
        if picture > 500 {
            most = held.max(most);
        }
    }
    assert!(most > 28, "{most} blocks");
}

#[test]
fn the_first_playlist_is_held_until_a_player_can_begin_with_it() {
    let fixture = published(1024);
    gops(&fixture, 1);
    let waiters = Waiters::new(256);
    let (stream, asker) = (&fixture.stream, asker(&fixture, &waiters));
    let first = thread::scope(|scope| {
        let waiting = scope.spawn(move || stream.playlist(None, asker));
        while !waiting.is_finished() {
            thread::sleep(Duration::from_millis(2));
            let now = fixture.now.get() as u32;
            assert!(now < 20_000, "it is held for ever");
            fixture.gop(now, 25);
        }
        waiting.join().unwrap().unwrap().listing
    });
    assert!(first.segments.len() >= 3, "{:?}", numbers(&first));
}

#[test]
fn the_first_playlist_is_not_held_for_long_segments() {
    for (pictures, segments) in [(50, 3), (75, 3), (100, 2), (250, 2)] {
        let fixture = published(1024);
        let waiters = Waiters::new(0);
        for gop in 1.. {
            fixture.gop(fixture.now.get() as u32, pictures);
            // Complete with the next keyframe.
            fixture.picture(fixture.now.get() as u32, true, 1_000);
            match fixture.stream.playlist(None, asker(&fixture, &waiters)) {
                Ok(first) => {
                    let what = (pictures, gop, first.listing.segments.len());
                    assert_eq!(what, (pictures, segments, segments));
                    break;
                }
                Err(error) => assert_eq!(error, Unavailable::TooMany),
            }
        }
    }
}

#[test]
fn the_bandwidth_is_above_what_comes() {
    let fixture = published(4096);
    // A stream that begins with a dark picture, and takes 2.4 times as much when it has gone.
    for (gop, len) in [(0, 1_000), (1, 2_000), (2, 2_400)]
        .iter()
        .flat_map(|(at, len)| (0..6).map(move |gop| (at * 6 + gop, *len)))
    {
        for picture in 0..50 {
            let now = fixture.now.get() as u32;
            fixture.picture(now, picture == 0, len);
            fixture.wait(40);
        }
        let said = if gop < 4 {
            0
        } else {
            listing(&fixture).bandwidth
        };
        // What it takes in the next ten seconds.
        let next = 8 * 25 * [1_000, 2_000, 2_400][(gop as usize + 5).min(17) / 6];
        assert!(
            gop < 4 || said >= next,
            "{said} after {gop} GOPs, {next} come"
        );
    }
    // Nobody has seen all that it may take.
    let rates = [("videodatarate", 9_000.0), ("audiodatarate", 128.0)];
    let rates = crate::fixture::numbers(&rates);
    let (generation, now) = (fixture.generation.get(), fixture.now.get());
    let rates = Properties::of(&rates);
    fixture
        .stream
        .set_metadata(generation, rates.as_ref(), now)
        .unwrap();
    assert_eq!(listing(&fixture).bandwidth, 9_128 * 1_024);
}

#[test]
fn a_pause_takes_nothing_from_the_playlist() {
    let fixture = watched(1024);
    listing(&fixture);
    fixture.wait(20_000);
    gops(&fixture, 2);
    let after = listing(&fixture);
    let ms: u32 = after.segments.iter().map(|s| s.duration).sum();
    assert!(
        ms >= 6_000 && after.segments.len() >= 4,
        "{:?}",
        numbers(&after)
    );
    for number in numbers(&after) {
        assert!(fetch(&fixture, SegmentKind::Segment(number), 5_000).is_ok());
    }
}

/// RFC 8216bis, 6.2.2.
#[test]
fn segments_stay_for_their_own_and_the_longest_playlists_duration_after_they_left_it() {
    for lengths in [
        &[25][..],
        &[50],
        &[100],
        &[250],
        &[50, 130, 60, 250],
        &[30, 30, 100],
    ] {
        let fixture = published(8192);
        // When each left the playlists, and how long it is to stay.
        let mut left = HashMap::<u64, (u64, u64)>::new();
        let mut longest = 0;
        let mut before = Vec::new();
        let mut fetched = 0;
        for gop in 0..6_000 / lengths.iter().max().unwrap() * lengths.len() {
            for picture in 0..lengths[gop % lengths.len()] as u32 {
                let now = fixture.now.get() as u32;
                fixture.picture(now, picture == 0, 200);
                fixture.wait(40);
                if gop < 8 || picture % 10 > 0 {
                    continue;
                }
                let now = listing(&fixture).segments;
                let ms: u64 = now.iter().map(|s| u64::from(s.duration)).sum();
                longest = ms.max(longest);
                for gone in before.iter().filter(|gone| !now.contains(gone)) {
                    // It left since it was asked before, ten pictures ago.
                    let until = fixture.now.get() - 400 + u64::from(gone.duration) + longest;
                    left.insert(gone.number, (until, gone.bytes));
                }
                before = now;
                left.retain(|number, (until, _)| {
                    // For the last time before it may go.
                    let is_last = fixture.now.get() + 400 > *until;
                    if is_last {
                        let kind = SegmentKind::Segment(*number);
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
        fixture.picture(now, index % 500 == 0, 10_000);
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

#[test]
fn who_waits_gets_the_part_as_soon_as_it_is_complete() {
    let fixture = watched(1024);
    let before = listing(&fixture);
    let (number, part) = before.next;
    let waiters = Waiters::new(256);
    let (playlist, media) = thread::scope(|scope| {
        let (stream, asker) = (&fixture.stream, asker(&fixture, &waiters));
        let kind = SegmentKind::Part(number, part);
        let playlist =
            scope.spawn(move || stream.playlist(Some(Wanted::Part(number, part)), asker));
        let media = scope.spawn(move || stream.named(SegmentName { life: LIFE, kind }, asker));
        while !(playlist.is_finished() && media.is_finished()) {
            assert!(!playlist.is_finished() || fixture.now.get() > asker.now);
            thread::sleep(Duration::from_millis(1));
            let now = fixture.now.get() as u32;
            fixture.picture(now, false, 1_000);
            fixture.wait(40);
        }
        (playlist.join().unwrap(), media.join().unwrap())
    });
    let after = playlist.unwrap().listing;
    assert!(after.next > before.next);
    assert!(matches!(media, Ok(Named::Media(_))));
}

#[test]
fn who_finds_no_place_to_wait_is_told_at_once_and_takes_no_place_from_others() {
    let fixture = watched(1024);
    let before = listing(&fixture);
    let waiters = Waiters::new(256);
    let (stream, asker) = (&fixture.stream, asker(&fixture, &waiters));
    let wanted = Some(Wanted::Segment(7));
    thread::scope(|scope| {
        let ask = |_| scope.spawn(move || stream.playlist(wanted, asker));
        let (refused, waiting): (Vec<_>, Vec<_>) = {
            let threads: Vec<_> = (0..70).map(ask).collect();
            wait_until("six are refused at once", || {
                threads.iter().filter(|thread| thread.is_finished()).count() == 6
            });
            threads.into_iter().partition(|thread| thread.is_finished())
        };
        for thread in refused {
            assert_eq!(thread.join().unwrap().unwrap_err(), Unavailable::TooMany);
        }
        // What there is already is there for everybody.
        assert_eq!(stream.playlist(None, asker).unwrap().listing, before);
        let kind = SegmentKind::Part(before.next.0, before.next.1);
        let name = SegmentName { life: LIFE, kind };
        let result = stream.named(name, asker);
        assert_eq!(result.unwrap_err(), Unavailable::TooMany);
        // Another client has places of its own.
        let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let other = scope.spawn(move || stream.playlist(wanted, Asker { client, ..asker }));
        fixture.unpublish();
        for thread in waiting {
            assert!(thread.join().unwrap().is_ok());
        }
        assert_ne!(other.join().unwrap().unwrap().listing, before);
        // They are gone, and others may wait.
        let another = scope.spawn(move || stream.playlist(Some(Wanted::Segment(8)), asker));
        fixture
            .stream
            .end(fixture.generation.get(), fixture.now.get());
        assert!(another.join().unwrap().unwrap().listing.is_ended);
    });
}

#[test]
fn nobody_waits_for_a_client_that_is_to_go() {
    let fixture = watched(1024);
    let waiters = Waiters::new(1);
    let asker = Asker {
        is_over: &|| true,
        ..asker(&fixture, &waiters)
    };
    for _ in 0..2 {
        let result = fixture.stream.playlist(Some(Wanted::Segment(7)), asker);
        assert_eq!(result.unwrap_err(), Unavailable::Over);
    }
}

#[test]
fn nobody_waits_for_ever_or_for_what_is_far_away() {
    let fixture = watched(1024);
    let waiters = Waiters::new(256);
    let asker = asker(&fixture, &waiters);
    let ask = |number| {
        fixture
            .stream
            .playlist(Some(Wanted::Segment(number)), asker)
    };
    assert_eq!(ask(9).unwrap_err(), Unavailable::TooFar);
    assert_eq!(ask(8).unwrap_err(), Unavailable::TimedOut);
    // While the publisher is away those who wait get what there is.
    fixture.unpublish();
    assert_eq!(numbers(&ask(8).unwrap().listing).last(), Some(&7));
}

#[test]
fn a_camera_that_comes_back_goes_on_in_the_same_playlist() {
    let fixture = watched(1024);
    fixture.gop(fixture.now.get() as u32, 20);
    let generation = fixture.generation.get();
    fixture.unpublish();
    let outlook = fixture.stream.advance(generation, fixture.now.get());
    assert!(outlook.until.is_some(), "somebody watches");
    let gone = listing(&fixture);
    assert_eq!(gone.segments.last().unwrap().duration, 800);
    assert_eq!((gone.next, gone.is_ended), ((9, 0), false));
    fixture.wait(5_000);
    fixture.publish();
    headers(&fixture);
    gops(&fixture, 3);
    let listing = listing(&fixture);
    let what = listing
        .segments
        .iter()
        .map(|s| (s.number, s.has_discontinuity, s.version));
    assert_eq!(
        what.collect::<Vec<_>>(),
        [(7, false, 0), (8, false, 0), (9, true, 0), (10, false, 0)]
    );
}

#[test]
fn those_who_watch_learn_that_the_stream_has_ended() {
    let fixture = watched(1024);
    let generation = fixture.generation.get();
    let waiters = Waiters::new(256);
    let (stream, asker) = (&fixture.stream, asker(&fixture, &waiters));
    let now = fixture.now.get();
    let short = Grace {
        until: now + 10_000,
        longer_for_hls: 0,
    };
    let (waited, outlook) = thread::scope(|scope| {
        let waiting = scope.spawn(move || stream.playlist(Some(Wanted::Segment(8)), asker));
        fixture.stream.unpublish(generation, short);
        let outlook = stream.advance(generation, now + 10_000);
        (waiting.join().unwrap(), outlook)
    });
    assert!(waited.unwrap().listing.is_ended);
    let tail = Outlook {
        has_ended: true,
        until: Some(now + 16_000),
    };
    assert_eq!(outlook, tail);
    assert_eq!(stream.advance(generation, now + 15_999).until, tail.until);
    let ended = listing(&fixture);
    assert!(ended.is_ended);
    assert_eq!(numbers(&ended), [4, 5, 6, 7]);
    assert!(fetch(&fixture, SegmentKind::Segment(7), 5_000).is_ok());
    let mut text = String::new();
    hls::media(&mut text, &ended, LIFE, 0, Carried(""), false).unwrap();
    assert!(text.ends_with("-7.m4s\n#EXT-X-ENDLIST\n"), "{text}");
}

#[test]
fn nobody_who_waits_is_deserted() {
    let fixture = watched(1024);
    fixture.unpublish();
    let (number, part) = listing(&fixture).next;
    let (generation, waiters) = (fixture.generation.get(), Waiters::new(256));
    let (stream, asker) = (&fixture.stream, asker(&fixture, &waiters));
    let is_over = AtomicBool::new(false);
    let asker = Asker {
        is_over: &|| is_over.load(Ordering::Relaxed),
        ..asker
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(move || stream.playlist(Some(Wanted::Part(number, part)), asker));
        let wait = |now| stream.advance(generation, now);
        let now = fixture.now.get();
        wait_until("it waits", || stream.is_wanted_by_hls(now + 60_000));
        assert!(wait(now + 30_000).until.is_some());
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(waiting.join().unwrap().unwrap_err(), Unavailable::Over);
        assert_eq!(wait(now + 40_000), Outlook::default());
    });
}

#[test]
fn nobody_is_deserted_for_hls_for_more_than_half_a_minute() {
    let fixture = watched(1024);
    listing(&fixture);
    fixture.unpublish();
    let advance = || {
        let (generation, now) = (fixture.generation.get(), fixture.now.get());
        fixture.stream.advance(generation, now)
    };
    fixture.wait(29_999);
    assert_eq!(advance().until, Some(fixture.now.get() + 1));
    fixture.wait(1);
    assert_eq!(advance(), Outlook::default());
}

#[test]
fn without_anything_for_mp4_there_is_no_hls() {
    let fixture = Fixture::new();
    assert_eq!(playlist(&fixture).unwrap_err(), Unavailable::NotFound);
    fixture.publish();
    for _ in 0..100 {
        fixture.append(Kind::Video, fixture.now.get() as u32, b"\x12\0\0\x84");
        fixture.append(Kind::Audio, fixture.now.get() as u32, b"\xB6\x01");
        fixture.wait(40);
    }
    assert_eq!(playlist(&fixture).unwrap_err(), Unavailable::NoCodec);
}

#[test]
fn sound_that_comes_a_little_later_is_in_the_first_segment() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    for index in 0..5 {
        fixture.picture(index * 40, index == 0, 1_000);
        fixture.wait(40);
    }
    fixture.append(Kind::Audio, 200, AAC_HEADER);
    for index in 5..100 {
        fixture.picture(index * 40, index % 50 == 0, 1_000);
        fixture.sound(index * 40, 100);
        fixture.wait(40);
    }
    let playlist = playlist(&fixture).unwrap();
    assert_eq!(numbers(&playlist.listing), [1]);
    assert_eq!(
        playlist.tracks.presentation.codecs(),
        "avc1.42C00D,mp4a.40.2"
    );
    let Ok(Named::Init(tracks)) = named(&fixture, SegmentKind::Init(0)) else {
        panic!("no init segment")
    };
    assert_eq!(tracks.presentation, playlist.tracks.presentation);
}

#[test]
fn sound_that_comes_a_little_before_the_pictures_is_in_the_first_segment() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    for index in 0..10 {
        fixture.sound(index * 20, 100);
        fixture.wait(20);
    }
    fixture.append(Kind::Video, 200, SMALL);
    for index in 0..101 {
        fixture.picture(200 + index * 40, index % 50 == 0, 1_000);
        fixture.sound(200 + index * 40, 100);
        fixture.wait(40);
        ask(&fixture);
    }
    let listing = listing(&fixture);
    let what = listing.segments.iter();
    let what = what.map(|s| (s.number, s.has_discontinuity, s.duration));
    assert_eq!(
        what.collect::<Vec<_>>(),
        [(1, false, 2_000), (2, false, 2_000)]
    );
    let samples = samples(&fixture, &listing);
    check_durations(&listing, &samples);
    assert_eq!(samples.len(), 10 + 200);
}

#[test]
fn sound_alone_has_segments_once_it_is_known_that_it_is_alone() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    // Before anything is there: what comes is kept from then on.
    ask(&fixture);
    for index in 0..500 {
        fixture.sound(index * 23, 100);
        fixture.wait(23);
    }
    let listing = listing(&fixture);
    let lengths = listing.segments.iter().map(|s| (s.number, s.duration));
    // 82 frames of 1,024 samples at 44,100 Hz are 1904.04 ms.
    let lengths: Vec<_> = lengths.collect();
    assert_eq!(lengths.len(), 4, "{lengths:?}");
    assert!(
        lengths
            .iter()
            .all(|(_, length)| (1_904..=1_905).contains(length))
    );
    assert_eq!(listing.segments[0].number, 2);
}

#[test]
fn other_parameters_are_another_init_segment_and_the_old_one_stays_while_it_is_needed() {
    let fixture = watched(1024);
    fixture.append(Kind::Video, fixture.now.get() as u32, LARGE);
    gops(&fixture, 2);
    let both = listing(&fixture);
    let versions = both
        .segments
        .iter()
        .map(|s| (s.version, s.has_discontinuity));
    assert_eq!(
        versions.collect::<Vec<_>>(),
        [(0, false), (0, false), (0, false), (1, true)]
    );
    let init = |version| named(&fixture, SegmentKind::Init(version)).is_ok();
    assert!(init(0) && init(1));
    for _ in 0..10 {
        gops(&fixture, 1);
        listing(&fixture);
    }
    assert!(!init(0) && init(1));
}

/// The next publisher pays for the tracks of the one before, as long as they are listed. If it can't, they
/// no longer are.
#[test]
fn a_publisher_that_cannot_pay_for_the_tracks_before_has_files_all_the_same() {
    // Its header says 320x240, and its pictures bring the parameter sets of 640x480.
    let size_in_the_end = |fixture: &Fixture, allowance: usize| {
        let sink = Arc::default();
        let allowance = Allowance::new(allowance);
        if let Err(busy) = fixture.try_publish_paid([127, 0, 0, 1], &sink, allowance) {
            panic!("{busy:?}");
        }
        fixture.append(Kind::Video, fixture.now.get() as u32, SMALL);
        fixture.append(Kind::Audio, fixture.now.get() as u32, AAC_HEADER);
        for _ in 0..12 {
            ask(fixture);
            let timestamp = fixture.now.get() as u32;
            let sets = [
                b"\0\0\0\x18",
                &LARGE[13..][..0x18],
                b"\0\0\0\x04\x68\xce\x0f\xc8",
            ];
            let keyframe = [
                &b"\x17\x01\0\0\0"[..],
                &sets.concat(),
                b"\0\0\0\x02\x65\x88",
            ]
            .concat();
            fixture.append(Kind::Video, timestamp, &keyframe);
            fixture.wait(40);
            fixture.pictures(timestamp + 40, 49, false);
        }
        let tracks = fixture.stream.report(fixture.now.get()).tracks;
        let video = tracks.presentation.video.as_ref();
        video.map(|video| (video.width(), video.height()))
    };
    let is_enough = |allowance: &usize| {
        let fixture = Fixture::with(1024, 0);
        size_in_the_end(&fixture, *allowance) == Some((640, 480))
    };
    let enough = (0..8_000).step_by(128).find(is_enough).unwrap();

    let fixture = Fixture::with(1024, 0);
    fixture.publish();
    headers(&fixture);
    for number in 0..12_u8 {
        ask(&fixture);
        let now = fixture.now.get() as u32;
        // Something behind the parameter sets that differs.
        fixture.append(
            Kind::Video,
            now,
            &[SMALL, &[0xFD, 0xF8, 0xF8, 0, number]].concat(),
        );
        fixture.gop(now, 50);
    }
    fixture.unpublish();
    // The newest of those before is held in any case.
    let enough = enough + 300;
    assert_eq!(
        size_in_the_end(&fixture, enough),
        Some((640, 480)),
        "{enough}"
    );
}

/// A picture or sound in a segment.
struct Sample {
    segment: u64,
    /// The number that the fixture gave it.
    number: u32,
    is_picture: bool,
    is_sync: bool,
    /// In ms for pictures, in samples for sounds.
    time: u64,
    duration: u64,
}

/// All that is in the segments of a listing.
fn samples(fixture: &Fixture, listing: &Listing) -> Vec<Sample> {
    let of_segment = |segment| {
        let bytes = fetch(fixture, SegmentKind::Segment(segment), 5_000).unwrap();
        let samples = fragments(&bytes).into_iter().map(move |fragment| {
            let Fragment::Sample {
                track,
                time,
                duration,
                is_sync,
                bytes,
            } = fragment
            else {
                panic!("an init segment within a segment")
            };
            let is_picture = track == 1;
            // Of AAC, 2 of the 5 bytes before the number are no part of the frame.
            let number = if is_picture {
                &bytes[..4]
            } else {
                &bytes[3..7]
            };
            Sample {
                segment,
                number: u32::from_be_bytes(number.try_into().unwrap()),
                is_picture,
                is_sync,
                time,
                duration: duration.into(),
            }
        });
        samples.collect::<Vec<_>>()
    };
    numbers(listing).into_iter().flat_map(of_segment).collect()
}

/// Every segment begins with a keyframe and lasts as long as its pictures; the next one begins where
/// it ends.
fn check_durations(listing: &Listing, samples: &[Sample]) {
    let mut end = None;
    for segment in &listing.segments {
        let own = samples.iter().filter(|s| s.segment == segment.number);
        let pictures: Vec<_> = own.filter(|sample| sample.is_picture).collect();
        assert!(pictures[0].is_sync && segment.is_independent);
        let length: u64 = pictures.iter().map(|picture| picture.duration).sum();
        assert_eq!(u64::from(segment.duration), length, "{segment:?}");
        let parts = listing.parts(segment);
        if !parts.is_empty() {
            let sum: u32 = parts.iter().map(|part| part.duration).sum();
            assert_eq!(sum, segment.duration);
        }
        if !segment.has_discontinuity {
            assert_eq!(*end.get_or_insert(pictures[0].time), pictures[0].time);
        }
        end = Some(pictures[0].time + length);
    }
}

#[test]
fn sound_that_begins_late_and_unannounced_keeps_no_picture_from_those_who_watch() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    ask(&fixture);
    let pictures = |from: u32, to: u32, has_sound: bool| {
        for index in from..to {
            fixture.picture(index * 40, index % 100 == 0, 1_000);
            if has_sound {
                fixture.sound(index * 40, 100);
            }
            fixture.wait(40);
        }
    };
    pictures(0, 220, false);
    let before = listing(&fixture);
    fixture.append(Kind::Audio, 220 * 40, AAC_HEADER);
    pictures(220, 290, true);
    let after = listing(&fixture);
    let (number, part) = before.next;
    assert_eq!(after.next.0, number);
    assert!(
        after.next.1 >= part + 5,
        "{:?} {:?}",
        before.next,
        after.next
    );
    let hinted = fetch(&fixture, SegmentKind::Part(number, part), 5_000).unwrap();
    let fragments = fragments(&hinted);
    let is_picture = |fragment: &Fragment| matches!(fragment, Fragment::Sample { track: 1, .. });
    assert!(
        fragments.iter().all(is_picture),
        "there is no track of sound"
    );
    pictures(290, 401, true);
    let listing = listing(&fixture);
    let what = listing.segments.iter();
    let what = what.map(|s| (s.version, s.has_discontinuity, s.duration));
    let of_pictures = (0, false, 4_000);
    let expected = [of_pictures, of_pictures, of_pictures, (1, true, 4_000)];
    assert_eq!(what.collect::<Vec<_>>(), expected);
    let samples = samples(&fixture, &listing);
    check_durations(&listing, &samples);
    assert_eq!(samples.iter().filter(|s| s.is_picture).count(), 400);
    // From the keyframe on all sounds are there.
    let sounds = samples.iter().filter(|sample| !sample.is_picture);
    assert_eq!(sounds.filter(|sample| sample.segment == 4).count(), 100);
}

#[test]
fn no_picture_and_no_sound_is_lost_when_the_configuration_changes() {
    /// AAC at 48,000 Hz.
    const OTHER_AAC: &[u8] = b"\xAF\0\x11\x90";

    for sounds_before in 0..4 {
        let fixture = watched(1024);
        fixture.append(Kind::Audio, fixture.now.get() as u32, OTHER_AAC);
        for _ in 0..sounds_before {
            fixture.sound(fixture.now.get() as u32, 100);
            fixture.wait(21);
        }
        gops(&fixture, 2);
        let listing = listing(&fixture);
        let samples = samples(&fixture, &listing);
        check_durations(&listing, &samples);
        for is_picture in [true, false] {
            let own = samples.iter().filter(|s| s.is_picture == is_picture);
            let numbers: Vec<_> = own.map(|sample| sample.number).collect();
            let mut expected: Vec<_> = numbers.clone();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(numbers, expected, "in order, and none twice");
        }
        let mut all: Vec<_> = samples.iter().map(|sample| sample.number).collect();
        all.sort_unstable();
        let every: Vec<_> = (all[0]..all[0] + all.len() as u32).collect();
        assert_eq!(all, every, "{sounds_before} sounds before the keyframe");
    }
}

#[test]
fn what_slow_pictures_last_is_what_is_said_from_the_first_one_on() {
    for (rate, length) in [(5.0, 2_000), (10.0, 2_000), (25.0, 2_000)] {
        let fixture = Fixture::new();
        fixture.publish();
        let metadata = fixture::numbers(&[("framerate", rate)]);
        let properties = Properties::of(&metadata);
        let (generation, now) = (fixture.generation.get(), fixture.now.get());
        let set = fixture
            .stream
            .set_metadata(generation, properties.as_ref(), now);
        set.unwrap();
        headers(&fixture);
        ask(&fixture);
        let pictures = 2 * rate as u32;
        for index in 0..=3 * pictures {
            let now = fixture.now.get() as u32;
            fixture.picture(now, index % pictures == 0, 1_000);
            fixture.sound(now, 100);
            fixture.wait(1_000 / rate as u64);
        }
        let listing = listing(&fixture);
        let lengths: Vec<_> = listing.segments.iter().map(|s| s.duration).collect();
        assert_eq!(lengths, [length; 3], "{rate}");
        check_durations(&listing, &samples(&fixture, &listing));
    }
}

#[test]
fn a_publisher_that_dies_just_after_a_keyframe_leaves_nothing_of_it() {
    let fixture = watched(1024);
    let before = listing(&fixture);
    let rest = before.next.1;
    fixture.picture(fixture.now.get() as u32, true, 1_000);
    fixture.unpublish();
    let gone = listing(&fixture);
    let newest = gone.segments.last().unwrap();
    assert_eq!((newest.number, newest.duration), (7, 2_000));
    assert_eq!(gone.parts(newest).len() as u64, rest + 1);
    assert_eq!(gone.next, (8, 0));
    fixture.wait(3_000);
    fixture.publish();
    headers(&fixture);
    gops(&fixture, 2);
    let back = listing(&fixture);
    let newest = back.segments.last().unwrap();
    assert_eq!((newest.number, newest.has_discontinuity), (8, true));
    assert!(fetch(&fixture, SegmentKind::Part(8, 0), 5_000).is_ok());
}

#[test]
fn ranges_of_a_segment_are_what_they_say() {
    let fixture = watched(1024);
    let kind = SegmentKind::Segment(4);
    let whole = fetch(&fixture, kind, 5_000).unwrap();
    let last = whole.len() as u64;
    for (skip, len) in [
        (0, 1),
        (0, last),
        (1, 5_000),
        (1_107, 1),
        (50_000, 1 << 40),
        (last - 1, 1),
        (last, 0),
    ] {
        let Ok(Named::Media(mut reading)) = named(&fixture, kind) else {
            panic!("no segment")
        };
        fixture.stream.cut(&mut reading, skip, len).unwrap();
        let expected = &whole[skip as usize..(skip + len).min(last) as usize];
        assert_eq!(reading.len, expected.len() as u64);
        let mut bytes = Vec::new();
        while read(&fixture, &mut reading, 1 << 20, &mut bytes).unwrap() > 0 {}
        assert!(bytes == expected, "{} bytes from {skip}", bytes.len());
    }
}

#[test]
fn who_reads_too_slowly_is_told_so() {
    let fixture = watched(16);
    let Ok(Named::Media(mut reading)) = named(&fixture, SegmentKind::Segment(6)) else {
        panic!("no segment")
    };
    let mut bytes = Vec::new();
    let mut read = |most| read(&fixture, &mut reading, most, &mut bytes);
    assert_eq!(read(1_000), Ok(1_000));
    gops(&fixture, 4);
    assert_eq!(read(1_000), Err(Evicted));
}

#[test]
fn viewers_are_counted_by_address_while_they_ask() {
    let fixture = watched(1024);
    fixture.wait(15_000);
    let waiters = Waiters::new(256);
    for last in [1, 2, 3, 2, 1] {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let asker = Asker {
            address,
            ..asker(&fixture, &waiters)
        };
        fixture.stream.playlist(None, asker).unwrap();
    }
    let viewers = || fixture.stream.report(fixture.now.get()).hls_viewers;
    assert_eq!(viewers(), 3);
    fixture.wait(14_999);
    assert_eq!(viewers(), 3);
    fixture.wait(1);
    assert_eq!(viewers(), 0);
    let before = fixture.stream.report(fixture.now.get()).bytes_out;
    let len = fetch(&fixture, SegmentKind::Segment(4), 5_000)
        .unwrap()
        .len();
    let after = fixture.stream.report(fixture.now.get()).bytes_out;
    assert_eq!(after - before, len as u64);
}

#[test]
fn a_player_beside_changes_nothing() {
    let fixture = published(1024);
    let mut player = fixture.play(Join::Live);
    ask(&fixture);
    gops(&fixture, 3);
    let before = listing(&fixture);
    assert_eq!(player.media().len(), 300);
    fixture.stream.leave(player.id);
    assert_eq!(listing(&fixture), before);
}

/// Six seconds of pictures of so many bytes, and of sounds, which are listed.
fn listing_of_pictures(fixture: &Fixture, len: usize) {
    for index in 0..151 {
        fixture.picture(index * 40, index % 50 == 0, len);
        fixture.sound(index * 40, 200);
        fixture.wait(40);
    }
    listing(fixture);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the pace, what is listed begins with keyframes and lasts as long as is said, and all
    /// that was sent is in it once.
    #[test]
    fn what_is_listed_is_what_was_sent(
        gops in prop::collection::vec(
            (prop::collection::vec(prop_oneof![6 => 15..45u64, 1 => 1..300u64], 5..100), 0..8u32),
            6..14,
        ),
    ) {
        let fixture = published(1024);
        let mut sent = Vec::new();
        ask(&fixture);
        for (index, (steps, change)) in gops.iter().enumerate() {
            // Another frequency, and back, before some keyframes: with sounds or without.
            if *change < 3 {
                let header = [AAC_HEADER, b"\xAF\0\x11\x90"][index % 2];
                fixture.append(Kind::Audio, fixture.now.get() as u32, header);
                for _ in 0..*change {
                    sent.push(fixture.sound(fixture.now.get() as u32, 100));
                }
            }
            for (picture, step) in steps.iter().enumerate() {
                fixture.wait(*step);
                let now = fixture.now.get() as u32;
                sent.push(fixture.picture(now, picture == 0, 1_000));
                if picture % 2 == 0 {
                    sent.push(fixture.sound(now, 100));
                }
            }
            ask(&fixture);
        }
        let nowhere = Waiters::new(0);
        let Ok(playlist) = fixture.stream.playlist(None, asker(&fixture, &nowhere)) else {
            return Ok(());
        };
        let listing = playlist.listing;
        let samples = samples(&fixture, &listing);
        check_durations(&listing, &samples);
        let mut all: Vec<_> = samples.iter().map(|sample| sample.number).collect();
        all.sort_unstable();
        // Before the first one listed there may be others, and sounds of the next one in it.
        let pictures = samples.iter().filter(|sample| sample.is_picture);
        let pictures: Vec<_> = pictures.map(|sample| sample.number).collect();
        let (first, last) = (pictures[0], pictures[pictures.len() - 1]);
        let within = |number: &u32| (first..=last).contains(number);
        all.retain(within);
        sent.retain(within);
        prop_assert_eq!(all, sent);
    }

    /// Whatever the memory, what a playlist lists is there when it is read, and hasn't changed.
    #[test]
    fn what_is_listed_is_there(
        blocks in 8..200usize,
        gop in 5..200u32,
        len in 100..6_000usize,
        asks in prop::collection::vec(1..100usize, 5..60),
    ) {
        let fixture = published(blocks);
        let mut seen = HashMap::new();
        let mut sequence = 0;
        let mut picture = 0;
        for pictures in asks {
            for _ in 0..pictures {
                let now = fixture.now.get() as u32;
                fixture.picture(now, picture % gop == 0, len);
                fixture.sound(now, 200);
                fixture.wait(40);
                picture += 1;
            }
            // Nobody waits in this test.
            let asker_gone = Waiters::new(0);
            let asked = fixture.stream.playlist(None, asker(&fixture, &asker_gone));
            let Ok(Playlist { listing, .. }) = asked else {
                continue;
            };
            prop_assert!(numbers(&listing)[0] >= sequence);
            sequence = numbers(&listing)[0];
            for segment in &listing.segments {
                let number = segment.number;
                let bytes = fetch(&fixture, SegmentKind::Segment(number), 16 * 1024);
                let bytes = bytes.expect("a listed segment is in the log");
                let known = seen.entry(number).or_insert_with(|| bytes.clone());
                prop_assert!(*known == bytes, "segment {} has changed", number);
                if !listing.parts(segment).is_empty() {
                    prop_assert!(parts(&fixture, &listing, number) == bytes);
                }
            }
            let held = fixture.stream.snapshot().blocks;
            prop_assert!(held <= blocks - blocks / 8);
        }
    }

    /// Whatever is taken at a time, and whatever room there is for what isn't in the log.
    #[test]
    fn the_bytes_are_the_same_at_any_pace(
        room in 112..20_000usize,
        lead in prop::collection::vec(any::<u8>(), 0..400),
        takes in prop::collection::vec(prop_oneof![0..300usize, 0..100_000usize], 1..40),
        len in 1..40_000usize,
    ) {
        let fixture = published(1024);
        listing_of_pictures(&fixture, len);
        let kind = SegmentKind::Segment(1);
        let whole = fetch(&fixture, kind, 1 << 20).unwrap();
        let Ok(Named::Media(mut reading)) = named(&fixture, kind) else {
            panic!("no segment")
        };
        let (mut bytes, mut room) = (Vec::new(), vec![0; room]);
        let mut takes = takes.into_iter().chain(std::iter::repeat(10_000));
        while reading.len > 0 || bytes.len() < lead.len() {
            let most = takes.next().unwrap();
            let ahead = lead.get(bytes.len()..).unwrap_or_default();
            let before = bytes.len();
            let now = fixture.now.get();
            let sent = fixture.stream.send(&mut reading, ahead, &mut room, now, &mut |slices| {
                let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
                assert!(offered > 0 && offered <= 400 + 512 * 1024, "{offered}");
                for slice in slices {
                    let left = before + most - bytes.len();
                    bytes.extend_from_slice(&slice[..slice.len().min(left)]);
                }
                Ok(bytes.len() - before)
            });
            prop_assert_eq!(sent.unwrap().unwrap(), bytes.len() - before);
        }
        prop_assert!(bytes == [lead, whole].concat());
    }
}
