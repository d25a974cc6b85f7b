use super::*;
use crate::live::finding::Pace;

mod jumps;
mod random;

const A: Kind = Kind::Audio;
const V: Kind = Kind::Video;

/// Time of arrival, kind, timestamp as received, timestamp as placed.
type Row = (Millis, Kind, u32, u32);

fn check(name: &str, clock: &mut Clock, rows: &[Row]) {
    for (index, (arrival, kind, came, placed)) in rows.iter().enumerate() {
        assert_eq!(
            clock.place(*kind, *came, *arrival),
            *placed,
            "{name}, row {index}: {kind:?} {came} at {arrival}"
        );
    }
}

/// Messages of one track at equal steps of arrival and of timestamps.
fn run(clock: &mut Clock, kind: Kind, count: u32, arrival: (Millis, Millis), came: (u32, u32)) {
    for index in 0..count {
        let now = arrival.0 + arrival.1 * Millis::from(index);
        clock.place(kind, came.0.wrapping_add(came.1 * index), now);
    }
}

#[test]
fn natural_timestamps_are_not_changed() {
    let same = |rows: &[(Millis, Kind, u32)]| -> Vec<Row> {
        rows.iter()
            .map(|(now, kind, t)| (*now, *kind, *t, *t))
            .collect()
    };
    for (name, rows) in [
        (
            "small steps back",
            &[
                (0, V, 5_000),
                (40, V, 5_080),
                (80, V, 5_040),
                (120, V, 5_120),
            ][..],
        ),
        (
            "audio behind video",
            &[
                (0, V, 5_000),
                (10, A, 2_500),
                (40, V, 5_040),
                (50, A, 2_523),
            ],
        ),
        (
            "steps back of almost the tolerance",
            &[
                (0, V, 9_000),
                (40, V, 6_000),
                (80, V, 6_040),
                (3_080, V, 9_040),
            ],
        ),
        (
            "the end of 32 bits",
            &[
                (0, V, 0xFFFF_FFF0),
                (10, A, 0xFFFF_FFFA),
                (40, V, 24),
                (50, A, 7),
            ],
        ),
        (
            "a pause of both",
            &[
                (0, V, 0),
                (10, A, 10),
                (20_040, V, 20_040),
                (20_050, A, 20_050),
            ],
        ),
        (
            "video switched off for a minute",
            &[
                (0, V, 0),
                (0, A, 0),
                (30_000, A, 30_000),
                (60_000, A, 60_000),
                (60_001, V, 60_001),
            ],
        ),
        (
            "no media for a while, time stamps stand still",
            &[(0, V, 0), (10, A, 10), (20_000, V, 40), (20_010, A, 33)],
        ),
        (
            "audio that begins late",
            &[
                (0, V, 0),
                (30_000, V, 30_000),
                (60_000, V, 60_000),
                (60_010, A, 60_010),
            ],
        ),
        (
            "a burst at the start, one track after the other",
            &[
                (0, V, 0),
                (1, V, 2_000),
                (2, V, 4_000),
                (3, A, 0),
                (4, A, 4_010),
            ],
        ),
        (
            "a slow publisher, a few pictures later each time",
            &[
                (0, V, 0),
                (2_000, V, 1_000),
                (4_000, V, 2_000),
                (4_001, V, 4_000),
            ],
        ),
        (
            "one time stamp for all",
            &[
                (0, V, 0),
                (40, V, 0),
                (50, A, 0),
                (90, V, 0),
                (1_000_000, A, 0),
            ],
        ),
    ] {
        let mut clock = Clock::default();
        check(name, &mut clock, &same(rows));
        assert_eq!(clock.repair.take(), None, "{name}");
    }
}

#[test]
fn after_an_outage_a_burst_with_a_gap_is_natural() {
    let mut clock = Clock::default();
    run(&mut clock, V, 250, (0, 40), (0, 40));
    // Nothing for 10 s, then the messages that were on their way, then those that the encoder didn't
    // drop.
    check(
        "burst",
        &mut clock,
        &[
            (20_000, V, 10_000, 10_000),
            (20_001, A, 10_010, 10_010),
            (20_002, V, 10_700, 10_700),
            (20_003, V, 19_500, 19_500),
            (20_004, A, 19_510, 19_510),
        ],
    );
    assert_eq!(clock.repair.take(), None);
}

#[test]
fn timestamps_of_a_file_that_is_pushed_at_thirty_times_its_speed_are_not_changed() {
    let mut clock = Clock::default();
    for index in 0..100_000u32 {
        let now = Millis::from(index * 40 / 30);
        assert_eq!(clock.place(V, index * 40, now), index * 40);
        assert_eq!(clock.place(A, index * 40 + 5, now), index * 40 + 5);
        if index % 250 == 0 {
            // Every 10 s a frame of a second video track.
            assert_eq!(clock.place(V, index * 40, now), index * 40);
        }
    }
    assert_eq!(clock.repair.take(), None);
}

#[test]
fn a_slide_show_pushed_faster_than_it_plays_stays_in_sync_with_its_audio() {
    let mut clock = Clock::default();
    for slide in 0..20u32 {
        let now = Millis::from(slide * 300);
        assert_eq!(clock.place(V, slide * 10_000, now), slide * 10_000);
        for frame in 0..100 {
            let came = slide * 10_000 + frame * 100;
            assert_eq!(clock.place(A, came, now + Millis::from(frame * 3)), came);
        }
    }
}

#[test]
fn headers_do_not_move_the_clock() {
    let mut clock = Clock::default();
    assert_eq!(clock.place_beside(V, 5), 5);
    check(
        "before",
        &mut clock,
        &[(0, V, 80_000, 80_000), (10, A, 80_010, 80_010)],
    );
    assert_eq!(clock.place_beside(V, 0), 80_010);
    assert_eq!(clock.place_beside(V, 80_040), 80_040);
    check(
        "after",
        &mut clock,
        &[(40, V, 80_040, 80_040), (50, A, 80_033, 80_033)],
    );
    assert_eq!(clock.repair.take(), None);
}

#[test]
fn the_next_publisher_goes_on_at_the_time_of_arrival() {
    let mut clock = Clock::default();
    check("first", &mut clock, &[(0, V, 500, 500), (10, A, 510, 510)]);
    clock.begin_publish();
    check(
        "second",
        &mut clock,
        &[
            (3_010, V, 4_000_000_000, 3_510),
            (3_020, A, 3_999_999_000, 2_510),
            (3_050, V, 4_000_000_040, 3_550),
            (3_060, A, 3_999_999_023, 2_533),
        ],
    );
    clock.begin_publish();
    check(
        "third, at once, with pictures from before the seam",
        &mut clock,
        &[
            (3_061, A, 500, 3_590),
            (3_062, V, 400, 3_550),
            (3_070, V, 480, 3_570),
        ],
    );
    assert_eq!(clock.repair.take(), None);
}

/// Sends messages of both tracks every `step` ms, whose timestamps run at this fraction of time.
/// Returns the finding about the pace, and where the last video frame was placed, in ms relative to the
/// first.
fn paced(times: (u64, u64), seconds: u64, step: u64, has_audio: bool) -> (Option<Pace>, i64) {
    let mut clock = Clock::default();
    let (mut pace, mut placed) = (None, 0);
    for at in (0..seconds * 1_000).step_by(step as usize) {
        let stamp = 5_000 + (at * times.0 / times.1) as u32;
        placed = clock.place(Kind::Video, stamp, 1_000 + at);
        if has_audio {
            let audio = clock.place(Kind::Audio, stamp, 1_000 + at);
            assert!(placed - audio < 100, "{placed} {audio}");
            clock.pacer.audio += step * 1_000;
        }
        pace = clock.pacer.news.take().or(pace);
    }
    (pace, i64::from(placed) - 5_000)
}

#[test]
fn a_useless_clock_is_replaced_by_the_time_of_arrival() {
    for has_audio in [true, false] {
        let (pace, placed) = paced((0, 1), 60, 40, has_audio);
        assert_eq!(pace, Some(Pace::Still { is_zero: false }));
        assert_eq!(placed, 59_960);
    }
    // A clock that hovers, and one that is always 0.
    for (base, is_zero) in [(1_000, false), (0, true)] {
        let mut clock = Clock::default();
        let mut pace = None;
        for at in 0..1_500_u64 {
            let stamp = base + base / 10 * (at as u32 * 7 % 5);
            clock.place(Kind::Video, stamp, at * 40);
            pace = clock.pacer.news.take().or(pace);
        }
        assert_eq!(pace, Some(Pace::Still { is_zero }));
    }
    let mut clock = Clock::default();
    for at in 0..100_u32 {
        let stamp = at * 40 + at * 7 % 5 * 20;
        assert_eq!(
            clock.place(Kind::Video, 1_000 + stamp, (at * 40).into()),
            1_000 + stamp
        );
    }
    assert_eq!(clock.pacer.news.take(), Some(Pace::Hovers));
    // A clock that runs backward is known as such after a window, and replaced.
    for has_audio in [true, false] {
        let mut clock = Clock::default();
        let (mut pace, mut placed) = (None, [0; 2]);
        for at in (0..20_000_u64).step_by(40) {
            let stamp = 1_000_000 - at as u32;
            let before = placed;
            placed = [clock.place(Kind::Video, stamp, at); 2];
            if has_audio {
                placed[1] = clock.place(Kind::Audio, stamp, at);
                clock.pacer.audio += 40_000;
            }
            if at > 2_000 {
                assert_eq!(placed, before.map(|before| before + 40), "{at}");
            }
            pace = clock.pacer.news.take().or(pace);
        }
        assert_eq!(pace, Some(Pace::Backward));
    }
    for times in [3, 10, 60] {
        let (pace, placed) = paced((times, 1), 60, 40, true);
        let tenths = times as u32 * 10;
        assert_eq!(
            pace,
            Some(Pace::Off {
                tenths,
                is_lost: true
            })
        );
        // Except for the time before that was known.
        assert_eq!(placed, 1_960 * times as i64 + 57_960);
    }
}

/// Each step of these timestamps is a jump, which is corrected.
#[test]
fn timestamps_in_units_of_90_khz_are_found_too() {
    let (pace, placed) = paced((90, 1), 60, 40, true);
    let (tenths, is_lost) = (900, true);
    assert_eq!(pace, Some(Pace::Off { tenths, is_lost }));
    assert!((59_000..66_000).contains(&placed), "{placed}");
}

#[test]
fn a_clock_at_another_pace_is_found_but_only_replaced_if_audio_proves_it() {
    for has_audio in [true, false] {
        let slow = Pace::Off {
            tenths: 8,
            is_lost: has_audio,
        };
        // Audio proves that the clock is too slow.
        let expected = if has_audio { 59_960 } else { 47_968 };
        assert_eq!(paced((8, 10), 60, 40, has_audio), (Some(slow), expected));
        assert_eq!(paced((1, 1), 60, 40, has_audio), (None, 59_960));
        assert_eq!(paced((101, 100), 60, 40, has_audio).0, None);
        assert_eq!(paced((1, 1), 60, 250, has_audio).0, None);
    }
    let fast = Pace::Off {
        tenths: 100,
        is_lost: false,
    };
    assert_eq!(paced((10, 1), 60, 40, false), (Some(fast), 599_600));
    // With 25 frames a second by its timestamps, the source is a file.
    assert_eq!(paced((10, 1), 60, 4, false).0, None);
}

/// Until the clock is known to be too slow, the audio is ahead of the timestamps. From then on the
/// timestamps follow the time of arrival.
#[test]
fn no_audio_is_left_out_with_a_clock_that_is_too_slow() {
    for percent in [10, 50, 70, 80, 85, 90, 91] {
        let mut clock = Clock::default();
        let mut media_clock = crate::live::intake::media_clock::MediaClock::default();
        let mut end = None;
        for frame in 0..3_000_u64 {
            let at = frame * 1024 * 1000 / 44_100;
            let stamp = clock.place(Kind::Audio, (at * percent / 100) as u32, at);
            clock.pacer.audio += 23_220;
            let timed = media_clock.audio(stamp, 44_100, 1024);
            let timed = timed.unwrap_or_else(|| panic!("{frame} of a clock at {percent} %"));
            // There is no gap.
            assert_eq!(
                *end.get_or_insert(timed.time),
                timed.time,
                "{frame} {percent}"
            );
            end = Some(timed.time + 1024);
            clock.place(Kind::Video, (at * percent / 100) as u32, at);
        }
    }
}

/// In the first window, without audio, the source could be a file.
#[test]
fn a_clock_that_is_too_fast_is_found_if_the_audio_begins_later() {
    let mut clock = Clock::default();
    let mut pace = None;
    for at in (0..10_000_u64).step_by(40) {
        clock.place(Kind::Video, at as u32 * 10, at);
        if at >= 2_100 {
            clock.place(Kind::Audio, at as u32 * 10, at);
            clock.pacer.audio += 40_000;
        }
        pace = clock.pacer.news.take().or(pace);
    }
    let (tenths, is_lost) = (100, true);
    assert_eq!(pace, Some(Pace::Off { tenths, is_lost }));
}

#[test]
fn pushed_files_backlogs_and_bursts_are_not_taken_for_a_wrong_clock() {
    // (time, timestamp), both in ms.
    let file = |speed: u64| (0..3_000_u64).map(move |n| (n * 40 / speed, n * 40));
    let outage = (0..3_000_u64).map(|n| match n * 40 {
        at @ 20_000..50_000 => (50_000 + (at - 20_000) / 20, at),
        at => (at, at),
    });
    let slow_network = (0..3_000_u64).map(|n| (n * 50, n * 40));
    let bursts = (0..3_000_u64).map(|n| (n / 40 * 1_600, n / 40 * 1_600));
    for (name, audio, messages) in [
        ("as it should be", 40_000, file(1).collect::<Vec<_>>()),
        ("a file at 3 times its speed", 40_000, file(3).collect()),
        (
            "a file at 20 times its speed whose audio pauses",
            21_000,
            file(20).collect(),
        ),
        ("a file at 100 times its speed", 40_000, file(100).collect()),
        ("an outage", 40_000, outage.collect()),
        ("a slow network", 40_000, slow_network.collect()),
        ("bursts", 40_000, bursts.collect()),
    ] {
        let mut clock = Clock::default();
        for (now, stamp) in messages {
            clock.pacer.audio += audio;
            assert_eq!(
                clock.place(Kind::Video, stamp as u32, now),
                stamp as u32,
                "{name}"
            );
            clock.place(Kind::Audio, stamp as u32, now);
            assert_eq!(clock.pacer.news.take(), None, "{name}");
        }
    }
}
