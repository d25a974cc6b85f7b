use super::*;

mod random;

const A: Kind = Kind::Audio;
const V: Kind = Kind::Video;

/// Arrival, kind, what came, what is placed.
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

/// Messages of one track, one per step of arrival and of time stamp.
fn run(clock: &mut Clock, kind: Kind, count: u32, arrival: (Millis, Millis), came: (u32, u32)) {
    for index in 0..count {
        let now = arrival.0 + arrival.1 * Millis::from(index);
        clock.place(kind, came.0.wrapping_add(came.1 * index), now);
    }
}

fn repair(jump_ms: i32, total: u32) -> Option<ClockRepair> {
    Some(ClockRepair {
        jump_ms,
        is_start: false,
        total,
    })
}

#[test]
fn what_is_natural_is_relayed_untouched() {
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
        assert_eq!(clock.take_repair(), None, "{name}");
    }
}

#[test]
fn what_an_outage_held_back_comes_in_a_burst_and_may_have_a_gap() {
    let mut clock = Clock::default();
    run(&mut clock, V, 250, (0, 40), (0, 40));
    // Nothing for 10 s; then what was on its way, then what the encoder didn't drop.
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
    assert_eq!(clock.take_repair(), None);
}

#[test]
fn a_file_that_is_pushed_at_thirty_times_its_speed_is_relayed_untouched() {
    let mut clock = Clock::default();
    for index in 0..100_000u32 {
        let now = Millis::from(index * 40 / 30);
        assert_eq!(clock.place(V, index * 40, now), index * 40);
        assert_eq!(clock.place(A, index * 40 + 5, now), index * 40 + 5);
        if index % 250 == 0 {
            // Every 10 s a picture of a second video track.
            assert_eq!(clock.place(V, index * 40, now), index * 40);
        }
    }
    assert_eq!(clock.take_repair(), None);
}

#[test]
fn a_slide_show_pushed_faster_than_it_plays_stays_with_its_sound() {
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
fn jumps_are_taken_out_for_both_tracks_alike() {
    for (name, rows, told) in [
        (
            "the clock is set, by a minute",
            &[
                (1_000, V, 1_000, 1_000),
                (1_010, A, 1_010, 1_010),
                (1_030, A, 1_030, 1_030),
                (1_040, V, 81_040, 1_040),
                (1_050, A, 81_050, 1_050),
                (1_080, V, 81_080, 1_080),
            ][..],
            repair(80_000, 1),
        ),
        (
            "the clock is set back, and the other track's last message comes in between",
            &[
                (0, V, 900_000, 900_000),
                (10, A, 900_010, 900_010),
                (40, V, 0, 900_040),
                (41, A, 900_033, 900_033),
                (64, A, 16, 900_056),
                (80, V, 40, 900_080),
            ],
            repair(-900_040, 1),
        ),
        (
            "the second track's jump is less than the tolerance",
            &[
                (0, V, 10_000, 10_000),
                (10, A, 9_900, 9_900),
                (40, V, 13_200, 10_040),
                // Would be a little before its last one.
                (50, A, 13_040, 9_900),
                (80, V, 13_240, 10_080),
                (90, A, 13_080, 9_920),
            ],
            repair(3_160, 1),
        ),
        (
            "the first track's jump back is less than the tolerance: it follows",
            &[
                (0, V, 10_000, 10_000),
                (10, A, 10_100, 10_100),
                (40, V, 7_050, 7_050),
                (50, A, 7_090, 10_140),
                (80, V, 7_090, 10_140),
                (90, A, 7_130, 10_180),
            ],
            repair(-3_050, 1),
        ),
        (
            "24 bits",
            &[
                (0, V, 0xFF_FFF0, 0xFF_FFF0),
                (9, A, 0xFF_FFFA, 0xFF_FFFA),
                (70, V, 24, 0x100_0018),
                (71, A, 17, 0x100_0011),
            ],
            repair(-0x100_0000, 1),
        ),
        (
            "31 bits",
            &[
                (0, V, 0x7FFF_FFF0, 0x7FFF_FFF0),
                (9, A, 0x7FFF_FFFA, 0x7FFF_FFFA),
                (70, V, 24, 0x8000_0018),
                (71, A, 17, 0x8000_0011),
            ],
            repair(i32::MIN, 1),
        ),
        (
            "one wrong time stamp",
            &[
                (0, V, 50_000, 50_000),
                (10, A, 50_010, 50_010),
                (40, V, 0, 50_040),
                (50, A, 50_033, 50_033),
                (82, V, 50_080, 50_080),
                (90, A, 50_056, 50_056),
            ],
            repair(-50_040, 1),
        ),
        (
            "one wrong time stamp, and no audio",
            &[
                (0, V, 50_000, 50_000),
                (43, V, 0, 50_043),
                (82, V, 50_080, 50_080),
                (120, V, 50_120, 50_120),
            ],
            repair(-50_043, 1),
        ),
        (
            "two clocks by turns",
            &[
                (0, V, 50_000, 50_000),
                (20, V, 900_020, 50_020),
                (40, V, 50_040, 50_040),
                (60, V, 900_060, 50_060),
                (80, V, 50_080, 50_080),
            ],
            repair(850_000, 1),
        ),
        (
            "a hiccup of two seconds, then from 0",
            &[
                (0, V, 50_000, 50_000),
                (10, A, 50_010, 50_010),
                (2_040, V, 0, 52_040),
                (2_041, A, 10, 52_050),
            ],
            repair(-52_040, 1),
        ),
        (
            "time stamps that stood still for ten minutes don't go on five minutes later",
            &[
                (0, V, 0, 0),
                (600_000, V, 40, 40),
                (600_040, V, 300_080, 80),
            ],
            repair(300_000, 1),
        ),
    ] {
        let mut clock = Clock::default();
        check(name, &mut clock, rows);
        assert_eq!(clock.take_repair(), told, "{name}");
        assert_eq!(clock.take_repair(), None, "{name}: told once");
    }
}

#[test]
fn tracks_with_clocks_of_their_own_are_brought_together() {
    let mut clock = Clock::default();
    check(
        "start",
        &mut clock,
        &[
            (0, A, 7_000, 7_000),
            (23, A, 7_023, 7_023),
            (40, V, 3_000_000_000, 7_040),
            (46, A, 7_046, 7_046),
            (80, V, 3_000_000_040, 7_080),
        ],
    );
    assert_eq!(
        clock.take_repair(),
        Some(ClockRepair {
            jump_ms: 3_000_000_000u32.wrapping_sub(7_040) as i32,
            is_start: true,
            total: 1
        })
    );
    // They jump by the same, and are still together to the ms.
    check(
        "jump",
        &mut clock,
        &[
            (90, A, 107_069, 7_069),
            (121, V, 3_000_100_080, 7_120),
            (123, A, 107_092, 7_092),
        ],
    );
    assert_eq!(clock.take_repair(), repair(100_000, 2));
}

#[test]
fn audio_that_begins_late_with_a_clock_from_0_begins_where_the_pictures_are() {
    let mut clock = Clock::default();
    run(&mut clock, V, 250, (0, 40), (0, 40));
    check(
        "audio",
        &mut clock,
        &[(9_970, A, 0, 9_970), (9_993, A, 23, 9_993)],
    );
}

#[test]
fn jumps_in_a_burst_do_not_make_the_stream_later_each_time() {
    let mut clock = Clock::default();
    let (mut came, mut most) = (0u32, 0);
    for minute in 0..60u64 {
        // Half a second late, with a jump; the rest of the half second comes at once.
        came += 1_000_000;
        let arrives = minute * 60_000 + if minute == 0 { 0 } else { 500 };
        for picture in 0..1_500u64 {
            came += 40;
            let due = (minute * 1_500 + picture) * 40;
            let now = due.max(arrives);
            let placed = clock.place(V, came, now);
            most = most.max(i64::from(placed.wrapping_sub(1_000_040)) - due as i64);
        }
    }
    assert!(most < 600, "{most} ms ahead of the wall clock");
}

#[test]
fn a_jump_in_a_burst_goes_on_at_the_usual_step() {
    let mut clock = Clock::default();
    run(&mut clock, V, 250, (0, 40), (0, 40));
    check(
        "burst",
        &mut clock,
        &[
            (20_000, V, 10_000, 10_000),
            (20_000, V, 800_000, 10_040),
            (20_000, V, 800_040, 10_080),
        ],
    );
}

#[test]
fn a_jump_after_a_long_pause_in_a_file_pushed_fast_goes_on_with_the_other_track() {
    let mut clock = Clock::default();
    check("first picture", &mut clock, &[(0, V, 0, 0)]);
    run(&mut clock, A, 3_001, (0, 1), (0, 20));
    check(
        "next picture",
        &mut clock,
        &[(3_000, V, 900_000_000, 60_000)],
    );
}

#[test]
fn a_track_that_jumps_to_the_others_clock_is_with_it_to_the_ms() {
    let mut clock = Clock::default();
    check(
        "audio at 0 until the time is known, video twice elsewhere",
        &mut clock,
        &[
            (0, V, 900_000, 900_000),
            (20, A, 0, 900_020),
            (40, V, 77_000_000, 900_040),
            (80, V, 5_000_000, 900_080),
            (120, A, 5_000_035, 900_115),
        ],
    );
    assert_eq!(clock.take_repair().map(|repair| repair.total), Some(3));
}

#[test]
fn a_camera_whose_seconds_are_long_has_no_more_room_for_jumps_after_a_day() {
    let mut clock = Clock::default();
    for second in 0..86_400u32 {
        let came = second * 1_000 - second / 10;
        assert_eq!(clock.place(V, came, Millis::from(second) * 1_000), came);
    }
    let (last, came) = (86_399_000 - 8_639, 86_400_000 - 8_640 + 5_000);
    check("jump", &mut clock, &[(86_400_000, V, came, last + 1_000)]);
}

#[test]
fn no_header_moves_the_clock() {
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
    assert_eq!(clock.take_repair(), None);
}

#[test]
fn the_next_publisher_goes_on_where_time_is() {
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
    assert_eq!(clock.take_repair(), None);
}
