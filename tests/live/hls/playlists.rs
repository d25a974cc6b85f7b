//! The contents of playlists.

use brooklet::live::out::join::Join;
use brooklet::live::stream::Outlook;
use brooklet::rtmp::amf::Properties;
use proptest::prelude::*;

use super::samples::{check_durations, samples};
use super::*;

#[test]
fn the_declared_bandwidth_is_above_the_bit_rate_to_come() {
    let fixture = published(4096);
    // A stream that begins with dark video, and later has 2.4 times the bit rate.
    for (gop, len) in [(0, 1_000), (1, 2_000), (2, 2_400)]
        .iter()
        .flat_map(|(at, len)| (0..6).map(move |gop| (at * 6 + gop, *len)))
    {
        for frame in 0..50 {
            let now = fixture.now.get() as u32;
            fixture.frame(now, frame == 0, len);
            fixture.wait(40);
        }
        let said = if gop < 4 {
            0
        } else {
            listing(&fixture).bandwidth
        };
        // The bit rate of the next ten seconds.
        let next = 8 * 25 * [1_000, 2_000, 2_400][(gop as usize + 5).min(17) / 6];
        assert!(
            gop < 4 || said >= next,
            "{said} after {gop} GOPs, {next} come"
        );
    }
    // The metadata announces more than has been seen.
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
fn a_pause_removes_nothing_from_the_playlist() {
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
        assert!(fetch(&fixture, FileKind::Segment(number), 5_000).is_ok());
    }
}

#[test]
fn another_player_changes_nothing() {
    let fixture = published(1024);
    let mut player = fixture.play(Join::Live);
    ask(&fixture);
    gops(&fixture, 3);
    let before = listing(&fixture);
    assert_eq!(player.media().len(), 300);
    fixture.stream.leave(player.id);
    assert_eq!(listing(&fixture), before);
}

#[test]
fn viewers_are_counted_by_address_while_they_ask() {
    let fixture = watched(1024);
    fixture.wait(15_000);
    for last in [1, 2, 3, 2, 1] {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let asker = Asker {
            address,
            ..asker(&fixture)
        };
        let look = fixture.stream.ask_hls(HlsRequest::Media(None), &asker);
        assert!(matches!(look, Ok(Look::Answer(_))));
    }
    let viewers = || fixture.stream.report(fixture.now.get()).hls_viewers;
    assert_eq!(viewers(), 3);
    fixture.wait(14_999);
    assert_eq!(viewers(), 3);
    fixture.wait(1);
    assert_eq!(viewers(), 0);
    let before = fixture.stream.report(fixture.now.get()).bytes_out;
    let len = fetch(&fixture, FileKind::Segment(4), 5_000).unwrap().len();
    let after = fixture.stream.report(fixture.now.get()).bytes_out;
    assert_eq!(after - before, len as u64);
}

#[test]
fn a_publisher_that_returns_continues_the_same_playlist() {
    let fixture = watched(1024);
    fixture.gop(fixture.now.get() as u32, 20);
    let generation = fixture.generation.get();
    fixture.unpublish();
    let outlook = fixture.stream.advance(generation, fixture.now.get());
    assert!(outlook.until.is_some(), "it is watched");
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
fn a_publisher_that_dies_just_after_a_keyframe_leaves_nothing_of_it() {
    let fixture = watched(1024);
    let before = listing(&fixture);
    let rest = before.next.1;
    fixture.frame(fixture.now.get() as u32, true, 1_000);
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
    assert!(fetch(&fixture, FileKind::Part(8, 0), 5_000).is_ok());
}

#[test]
fn a_stream_is_deserted_half_a_minute_after_the_last_request() {
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Holds for any pace: segments begin with keyframes, last as long as declared, and contain
    /// everything that was sent, once.
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
        for (gop, (steps, change)) in gops.iter().enumerate() {
            // Another sample rate, and back, before some keyframes: with audio or without.
            if *change < 3 {
                let header = [AAC_HEADER, b"\xAF\0\x11\x90"][gop % 2];
                fixture.append(Kind::Audio, fixture.now.get() as u32, header);
                for _ in 0..*change {
                    sent.push(fixture.audio(fixture.now.get() as u32, 100));
                }
            }
            for (index, step) in steps.iter().enumerate() {
                fixture.wait(*step);
                let now = fixture.now.get() as u32;
                sent.push(fixture.frame(now, index == 0, 1_000));
                if index % 2 == 0 {
                    sent.push(fixture.audio(now, 100));
                }
            }
            ask(&fixture);
        }
        let Some(listing) = listed(&fixture) else {
            return Ok(());
        };
        let samples = samples(&fixture, &listing);
        check_durations(&listing, &samples);
        let mut all: Vec<_> = samples.iter().map(|sample| sample.number).collect();
        all.sort_unstable();
        // There may be older messages, and audio of the next segment.
        let frames = samples.iter().filter(|sample| sample.is_video);
        let frames: Vec<_> = frames.map(|sample| sample.number).collect();
        let (first, last) = (frames[0], frames[frames.len() - 1]);
        let within = |number: &u32| (first..=last).contains(number);
        all.retain(within);
        sent.retain(within);
        prop_assert_eq!(all, sent);
    }
}
