//! Timestamps that jump: tables of arrivals, and of the timestamps that the messages get.

use super::*;

fn repair(jump_ms: i32, total: u32) -> Option<ClockRepair> {
    Some(ClockRepair {
        jump_ms,
        is_start: false,
        total,
    })
}

#[test]
fn jumps_are_taken_out_of_both_tracks_alike() {
    for (name, rows, found) in [
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
                // This timestamp would be a little before the track's last one.
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
        assert_eq!(clock.repair.take(), found, "{name}");
        assert_eq!(clock.repair.take(), None, "{name}: found once");
    }
}

#[test]
fn tracks_with_different_clocks_are_brought_together() {
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
        clock.repair.take(),
        Some(ClockRepair {
            jump_ms: 3_000_000_000u32.wrapping_sub(7_040) as i32,
            is_start: true,
            total: 1
        })
    );
    // They jump by the same, and stay in sync to the ms.
    check(
        "jump",
        &mut clock,
        &[
            (90, A, 107_069, 7_069),
            (121, V, 3_000_100_080, 7_120),
            (123, A, 107_092, 7_092),
        ],
    );
    assert_eq!(clock.repair.take(), repair(100_000, 2));
}

#[test]
fn audio_that_begins_late_with_a_clock_from_0_begins_where_the_video_is() {
    let mut clock = Clock::default();
    run(&mut clock, V, 250, (0, 40), (0, 40));
    check(
        "audio",
        &mut clock,
        &[(9_970, A, 0, 9_970), (9_993, A, 23, 9_993)],
    );
}

#[test]
fn jumps_in_bursts_do_not_add_to_the_lag() {
    let mut clock = Clock::default();
    let (mut came, mut most) = (0u32, 0);
    for minute in 0..60u64 {
        // Half a second late, with a jump; the rest of the half second arrives at once.
        came += 1_000_000;
        let arrives = minute * 60_000 + if minute == 0 { 0 } else { 500 };
        for frame in 0..1_500u64 {
            came += 40;
            let due = (minute * 1_500 + frame) * 40;
            let now = due.max(arrives);
            let placed = clock.place(V, came, now);
            most = most.max(i64::from(placed.wrapping_sub(1_000_040)) - due as i64);
        }
    }
    assert!(most < 600, "{most} ms ahead of the wall clock");
}

#[test]
fn after_a_jump_in_a_burst_the_usual_step_follows() {
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
fn after_a_jump_and_a_pause_in_a_file_pushed_fast_a_track_follows_the_other() {
    let mut clock = Clock::default();
    check("first frame", &mut clock, &[(0, V, 0, 0)]);
    run(&mut clock, A, 3_001, (0, 1), (0, 20));
    check("next frame", &mut clock, &[(3_000, V, 900_000_000, 60_000)]);
}

#[test]
fn a_track_that_jumps_to_the_clock_of_the_other_is_in_sync_to_the_ms() {
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
    assert_eq!(clock.repair.take().map(|repair| repair.total), Some(3));
}

#[test]
fn a_slow_camera_clock_does_not_widen_the_natural_range_over_a_day() {
    let mut clock = Clock::default();
    for second in 0..86_400u32 {
        let came = second * 1_000 - second / 10;
        assert_eq!(clock.place(V, came, Millis::from(second) * 1_000), came);
    }
    let (last, came) = (86_399_000 - 8_639, 86_400_000 - 8_640 + 5_000);
    check("jump", &mut clock, &[(86_400_000, V, came, last + 1_000)]);
}
