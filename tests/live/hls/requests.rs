//! Requests that arrive too early: how long they wait, and for what.

use std::sync::mpsc;
use std::time::Duration;

use brooklet::live::hls::playlist::{Carried, MediaContext, write_media};
use brooklet::live::hls::segments::Wanted;
use brooklet::live::life::Grace;
use brooklet::live::out::join::Join;
use brooklet::live::stream::Outlook;

use super::*;

/// A duration longer than a test should take, and twice that duration.
const LONG: Duration = Duration::from_secs(60);
const FOREVER: Duration = Duration::from_secs(120);

fn media(wanted: Wanted) -> HlsRequest {
    HlsRequest::Media(Some(wanted))
}

/// Returns the total time for which a request has to wait, and the number of changes that it has seen.
fn wait_of(look: Result<Look, Unavailable>) -> (u64, u32) {
    match look {
        Ok(Look::Wait { limit, seen }) => (limit, seen),
        look => panic!("it doesn't wait: {look:?}"),
    }
}

fn listing_of(look: Result<Look, Unavailable>) -> Listing {
    match look {
        Ok(Look::Answer(Answer::Playlist(playlist))) => playlist.listing,
        look => panic!("no playlist: {look:?}"),
    }
}

#[test]
fn the_first_playlist_waits_until_a_player_can_start_with_it() {
    let fixture = published(1024);
    gops(&fixture, 1);
    let (asker, media) = (asker(&fixture), HlsRequest::Media(None));
    assert_eq!(wait_of(fixture.stream.ask_hls(media, &asker)).0, 12_000);
    let mut segments = 0;
    let first = loop {
        fixture.gop(fixture.now.get() as u32, 25);
        segments += 1;
        match fixture.stream.look_again(media, &asker, false) {
            Ok(Look::Wait { .. }) => assert!(segments < 20, "it waits forever"),
            look => break listing_of(look),
        }
    };
    assert_eq!(numbers(&first), [1, 2, 3]);
    // A client that has waited long enough receives what is available.
    let fixture = published(1024);
    gops(&fixture, 2);
    assert!(listed(&fixture).is_none());
    assert_eq!(numbers(&listing(&fixture)), [1]);
    // Then others needn't wait either.
    assert!(listed(&fixture).is_some());
}

#[test]
fn two_long_segments_are_enough_to_start_with() {
    for (frames, segments) in [(50, 3), (75, 3), (100, 2), (250, 2)] {
        let fixture = published(1024);
        for gop in 1.. {
            fixture.gop(fixture.now.get() as u32, frames);
            // The next keyframe completes the segment.
            fixture.frame(fixture.now.get() as u32, true, 1_000);
            if let Some(first) = listed(&fixture) {
                let what = (frames, gop, first.segments.len());
                assert_eq!(what, (frames, segments, segments));
                break;
            }
        }
    }
}

#[test]
fn a_waiting_request_gets_the_part_as_soon_as_it_is_complete() {
    let fixture = watched(1024);
    let before = listing(&fixture);
    let (number, part) = before.next;
    let asker = asker(&fixture);
    let playlist = media(Wanted::Part(number, part));
    let kind = FileKind::Part(number, part);
    let file = HlsRequest::File(FileName { life: LIFE, kind });
    let (limit, mut seen) = wait_of(fixture.stream.ask_hls(playlist, &asker));
    assert_eq!(limit, 6_000, "three target durations");
    assert_eq!(wait_of(fixture.stream.ask_hls(file, &asker)), (limit, seen));
    // The open segment ends first, with its own last part.
    let mut frames = 0;
    let after = loop {
        fixture.frame(fixture.now.get() as u32, false, 1_000);
        fixture.wait(40);
        frames += 1;
        match fixture.stream.look_again(playlist, &asker, false) {
            // The request needn't look as long as nothing has changed.
            Ok(Look::Wait { seen: now, .. }) => assert_eq!(std::mem::replace(&mut seen, now), now),
            look => break listing_of(look),
        }
    };
    assert!(frames < 15, "{frames}");
    assert!(after.next > before.next);
    let look = fixture.stream.look_again(file, &asker, false);
    assert!(matches!(look, Ok(Look::Answer(Answer::Media(_)))));
}

#[test]
fn no_change_is_missed_between_a_look_and_the_wait() {
    let fixture = watched(1024);
    let (number, part) = listing(&fixture).next;
    let (stream, asker) = (&fixture.stream, asker(&fixture));
    let request = media(Wanted::Part(number, part));
    let (_, seen) = wait_of(stream.ask_hls(request, &asker));
    for _ in 0..15 {
        fixture.frame(fixture.now.get() as u32, false, 1_000);
        fixture.wait(40);
    }
    let (_, newer) = wait_of(stream.ask_hls(media(Wanted::Segment(number + 1)), &asker));
    assert_ne!(newer, seen);
    // The part is complete already, so this returns at once.
    stream.begin_hls_wait();
    stream.wait_for_hls(seen, FOREVER);
    stream.end_hls_wait(fixture.now.get());
    listing_of(stream.look_again(request, &asker, false));
}

#[test]
fn a_thread_that_waits_is_woken_up() {
    let fixture = watched(1024);
    let (number, part) = listing(&fixture).next;
    let (stream, asker) = (&fixture.stream, asker(&fixture));
    let request = media(Wanted::Part(number, part));
    wait_of(stream.ask_hls(request, &asker));
    stream.begin_hls_wait();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(Look::Wait { seen, .. }) = stream.look_again(request, &asker, false) {
                sender.send("waits").unwrap();
                stream.wait_for_hls(seen, FOREVER);
            }
            sender.send("has an answer").unwrap();
        });
        assert_eq!(receiver.recv_timeout(LONG), Ok("waits"));
        // Nothing shows that the thread has fallen asleep, so it gets time to do so.
        (0..1_000).for_each(|_| std::thread::yield_now());
        for _ in 0..15 {
            fixture.frame(fixture.now.get() as u32, false, 1_000);
            fixture.wait(40);
        }
        let last = std::iter::from_fn(|| receiver.recv_timeout(LONG).ok()).last();
        assert_eq!(last, Some("has an answer"));
    });
    stream.end_hls_wait(fixture.now.get());
}

#[test]
fn no_request_waits_forever_or_for_the_distant_future() {
    let fixture = watched(1024);
    let (distant, next) = (media(Wanted::Segment(9)), media(Wanted::Segment(8)));
    assert_eq!(request(&fixture, distant).unwrap_err(), Unavailable::TooFar);
    assert_eq!(wait_of(request(&fixture, next)).0, 6_000);
    let last_look = || fixture.stream.look_again(next, &asker(&fixture), true);
    wait_of(last_look());
    // While the publisher is away, requests that have waited receive what is available.
    fixture.unpublish();
    wait_of(request(&fixture, next));
    assert_eq!(numbers(&listing_of(last_look())).last(), Some(&7));
}

#[test]
fn viewers_learn_that_the_stream_has_ended() {
    let fixture = watched(1024);
    let (generation, asker) = (fixture.generation.get(), asker(&fixture));
    let next = media(Wanted::Segment(8));
    let (_, seen) = wait_of(fixture.stream.ask_hls(next, &asker));
    let now = fixture.now.get();
    let short = Grace {
        until: now + 10_000,
        longer_for_hls: 0,
    };
    fixture
        .stream
        .unpublish(generation, short, fixture.now.get());
    let outlook = fixture.stream.advance(generation, now + 10_000);
    fixture.stream.wait_for_hls(seen, FOREVER);
    assert!(listing_of(fixture.stream.look_again(next, &asker, false)).is_ended);
    let tail = Outlook {
        has_ended: true,
        until: Some(now + 16_000),
    };
    assert_eq!(outlook, tail);
    let later = fixture.stream.advance(generation, now + 15_999);
    assert_eq!(later.until, tail.until);
    let ended = listing(&fixture);
    assert!(ended.is_ended);
    assert_eq!(numbers(&ended), [4, 5, 6, 7]);
    assert!(fetch(&fixture, FileKind::Segment(7), 5_000).is_ok());
    let context = MediaContext {
        life: LIFE,
        epoch: 0,
        query: Carried(""),
        is_filled: false,
    };
    let mut text = String::new();
    write_media(&mut text, &ended, context).unwrap();
    assert!(text.ends_with("-7.m4s\n#EXT-X-ENDLIST\n"), "{text}");
}

#[test]
fn a_stream_for_which_a_request_waits_is_not_deserted() {
    let fixture = watched(1024);
    fixture.unpublish();
    let (number, part) = listing(&fixture).next;
    let (generation, stream) = (fixture.generation.get(), &fixture.stream);
    let now = fixture.now.get();
    let advance = |now| stream.advance(generation, now);
    wait_of(request(&fixture, media(Wanted::Part(number, part))));
    stream.begin_hls_wait();
    assert!(advance(now + 30_000).until.is_some());
    stream.end_hls_wait(now + 9_000);
    assert_eq!(advance(now + 38_999).until, Some(now + 39_000));
    assert_eq!(advance(now + 39_000), Outlook::default());
}

#[test]
fn the_most_viewers_at_a_time_include_those_by_hls() {
    let fixture = watched(1024);
    let player = fixture.play(Join::Live);
    let report = fixture.stream.report(fixture.now.get());
    assert_eq!((report.viewer_count(), report.peak_viewers), (2, 2));
    fixture.stream.leave(player.id);
    let fixture = published(1024);
    let _player = fixture.play(Join::Live);
    ask(&fixture);
    let report = fixture.stream.report(fixture.now.get());
    assert_eq!((report.viewer_count(), report.peak_viewers), (2, 2));
}
