//! Players that read slowly, or not at all.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use brooklet::live::life::Grace;
use brooklet::live::out::join::Join;
use brooklet::live::out::subscriber::{PlayEnd, Subscriber};

use crate::fixture::{Fixture, Got, Player, TestSink};

#[test]
fn a_player_at_half_the_rate_skips_to_keyframes() {
    let fixture = Fixture::published();
    let mut slow = fixture.play(Join::Live);
    let mut fast = fixture.play(Join::Live);
    let mut skips = Vec::new();
    for index in 0..1_500u32 {
        // 1000 bytes every 40 ms, of which the slow player accepts 500.
        fixture.frame(index * 40, index % 25 == 0, 1_000);
        slow.sink.set_room(500);
        skips.extend(fixture.stream.pump(fixture.now.get()).skips);
        fixture.wait(40);
    }
    assert_eq!(fast.media().len(), 1_500);
    assert_eq!(fixture.end_of(&slow), None);

    let got = slow.media();
    let mut last = None;
    for got in &got {
        let expected = last.map_or(0, |last| last + 1);
        let is_jump = got.is_keyframe() && got.number() > expected;
        assert!(
            got.number() == expected || is_jump,
            "{} after {last:?}",
            got.number()
        );
        last = Some(got.number());
    }
    assert!(got.len() > 500, "{} pictures arrived", got.len());
    assert!(last > Some(1_400), "the newest is {last:?}");
    assert_eq!(skips.len(), 1, "one episode is told once");
    assert!(skips[0].lag > 2_000);
    let delivered = fixture.stream.leave(slow.id).unwrap();
    assert!(delivered.skips > 5);
    assert_eq!(
        delivered.skipped_messages as usize + got.len(),
        last.unwrap() as usize + 1
    );
}

#[test]
fn a_player_that_is_half_of_the_log_behind_skips_however_short_the_time() {
    let fixture = Fixture::with(64, 0);
    fixture.publish();
    fixture.headers();
    let mut player = fixture.play(Join::Live);
    fixture.frame(0, true, 1_000);
    fixture.pump();
    assert_eq!(player.media().len(), 1);
    player.sink.set_room(0);
    // 600 kB, which the log can hold twice at most.
    for index in 1..=40 {
        fixture.frame(index, index % 10 == 0, 15_000);
        fixture.pump();
    }
    player.sink.set_room(usize::MAX);
    fixture.pump();
    let media = player.media();
    assert!(media[0].is_keyframe() && media[0].number() > 1);
    assert_eq!(media.last().map(Got::number), Some(40));
    assert_eq!(fixture.end_of(&player), None);
}

#[test]
fn a_player_in_the_middle_of_a_message_that_has_left_the_log_is_cut_off() {
    let fixture = Fixture::with(64, 0);
    fixture.publish();
    fixture.headers();
    let player = fixture.play(Join::Live);
    player.sink.set_room(300);
    fixture.frame(0, true, 10_000);
    fixture.pump();
    assert_eq!(player.sink.len(), 300);
    // More than 64 blocks, in no time.
    for index in 1..=100 {
        fixture.frame(index, index % 10 == 0, 15_000);
    }
    player.sink.set_room(usize::MAX);
    fixture.pump();
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Stalled));
    assert!(player.sink.is_shut.load(Ordering::SeqCst));
    assert_eq!(player.sink.len(), 300);
}

#[test]
fn a_burst_of_the_publisher_does_not_count_as_lag() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    // Five seconds of media at once, as after an outage. The socket accepts one second's worth.
    player.sink.set_room(25_000);
    fixture.frame(0, true, 1_000);
    fixture.pump();
    for index in 1..125 {
        fixture.frame(index * 40, index % 25 == 0, 1_000);
    }
    fixture.pump();
    fixture.wait(1_000);
    player.sink.set_room(usize::MAX);
    fixture.pump();
    assert_eq!(player.media().len(), 125);
}

#[test]
fn a_player_that_never_reads_is_cut_off_and_costs_no_more_than_the_history() {
    let fixture = Fixture::published();
    let stalled = fixture.play(Join::Live);
    stalled.sink.set_room(300);
    let mut most = 0;
    for index in 0..1_000u32 {
        fixture.frame(index * 40, index % 25 == 0, 10_000);
        fixture.pump();
        fixture.wait(40);
        most = most.max(fixture.stream.report(0).blocks);
    }
    assert_eq!(fixture.end_of(&stalled), Some(PlayEnd::Stalled));
    assert!(stalled.sink.is_shut.load(Ordering::SeqCst));
    // 12 s of 250 kB/s, and the newest GOP.
    assert!(most <= 13 * 250_000 / 16_384 + 2, "{most} blocks");
}

#[test]
fn without_slow_players_only_the_newest_gop_is_kept() {
    let fixture = Fixture::published();
    let _player = fixture.play(Join::Live);
    for index in 0..500u32 {
        fixture.frame(index * 40, index % 25 == 0, 10_000);
        fixture.pump();
        fixture.wait(40);
        assert!(fixture.stream.report(0).blocks <= 26 * 10_000 / 16_384 + 2);
    }
}

#[test]
fn a_player_that_stops_at_a_boundary_is_cut_off_too() {
    let fixture = Fixture::published();
    let sink = Arc::new(TestSink::default());
    let stalled = fixture.play_with(Join::Live, sink.clone());
    sink.set_room(0);
    for index in 0..600u32 {
        fixture.frame(index * 40, index % 25 == 0, 1_000);
        fixture.pump();
        fixture.wait(40);
    }
    assert_eq!(fixture.end_of(&stalled), Some(PlayEnd::Stalled));
}

#[test]
fn when_even_the_newest_keyframe_is_evicted_joiners_wait_for_the_next() {
    // Twelve blocks: the log may hold six, 96 KiB.
    let fixture = Fixture::with(12, 0);
    fixture.publish();
    fixture.headers();
    fixture.frame(0, true, 50_000);
    for index in 1..10 {
        fixture.frame(index * 40, false, 20_000);
    }
    let mut player = fixture.play(Join::Live);
    assert_eq!(player.got(), []);
    fixture.frame(400, true, 1_000);
    fixture.pump();
    assert!(player.media()[0].is_keyframe());
}

#[test]
fn a_message_larger_than_the_share_is_dropped_and_video_waits_for_a_keyframe() {
    let fixture = Fixture::with(12, 0);
    fixture.publish();
    fixture.headers();
    let mut player = fixture.play(Join::Live);
    fixture.frame(0, true, 1_000);
    fixture.pump();
    fixture.frame(40, true, 200_000);
    fixture.frame(80, false, 1_000);
    fixture.frame(120, true, 1_000);
    fixture.pump();
    let times: Vec<_> = player
        .media()
        .iter()
        .filter(|got| got.is_video())
        .map(|got| got.timestamp)
        .collect();
    assert_eq!(times, [0, 120]);
}

#[test]
fn a_batch_waits_for_more_messages_but_never_delays_a_keyframe() {
    let fixture = Fixture::with(1024, 350);
    fixture.publish();
    fixture.headers();
    let mut player = fixture.play(Join::Live);
    let mut sends = Vec::new();
    for index in 0..30u32 {
        fixture.frame(index * 40, index % 20 == 0, 1_000);
        fixture.pump();
        sends.push(
            player
                .media()
                .iter()
                .filter(|got| Got::is_video(got))
                .count(),
        );
        fixture.wait(40);
    }
    // The keyframe immediately; then everything received within 350 ms; then the rest up to the next
    // keyframe, at once.
    assert_eq!(sends[0], 1);
    assert_eq!(sends[1..10], [0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(sends[10], 10);
    assert_eq!(sends[20], 10);
}

/// The kernel closes a connection whose client accepts nothing, in most cases before the socket has been
/// full for that long.
#[test]
fn a_player_that_the_kernel_gives_up_has_stalled() {
    let fixture = Fixture::published();
    let [live, paused, reset] = [(); 3].map(|()| fixture.play(Join::Live));
    fixture.frame(0, true, 1_000);
    fixture.pump();
    let act = |player: &Player, act: &mut dyn FnMut(&mut Subscriber)| {
        let now = fixture.now.get();
        fixture.stream.with_subscriber(player.id, now, |s| act(s))
    };
    assert!(act(&paused, &mut |s| s.set_paused(true)).is_ok());
    // A player whose client vanished silently: nothing was on its way to the client.
    let end = act(&paused, &mut |s| s.lose(ErrorKind::TimedOut));
    assert_eq!(end, Err(PlayEnd::Io(ErrorKind::TimedOut)));
    let end = act(&reset, &mut |s| s.lose(ErrorKind::ConnectionReset));
    assert_eq!(end, Err(PlayEnd::Io(ErrorKind::ConnectionReset)));
    // A send may fail before the connection's thread has reported the result of its read.
    let end = act(&live, &mut |s| s.lose(ErrorKind::BrokenPipe));
    assert_eq!(end, Err(PlayEnd::Io(ErrorKind::BrokenPipe)));
    let end = act(&live, &mut |s| s.lose(ErrorKind::TimedOut));
    assert_eq!(end, Err(PlayEnd::Stalled));
    assert!(live.sink.is_shut.load(Ordering::SeqCst));
}

#[test]
fn a_send_that_times_out_is_a_stall() {
    let fixture = Fixture::published();
    let sink = Arc::new(TestSink::default());
    let player = fixture.play_with(Join::Live, sink.clone());
    fixture.frame(0, true, 1_000);
    fixture.pump();
    *sink.failure.lock().unwrap() = Some(ErrorKind::TimedOut);
    fixture.frame(40, false, 1_000);
    fixture.pump();
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Stalled));
}

/// Ends the stream of a fixture whose publisher hasn't returned.
fn end(fixture: &Fixture) {
    let (generation, now) = (fixture.generation.get(), fixture.now.get());
    let grace = Grace {
        until: now,
        longer_for_hls: 0,
    };
    fixture.stream.unpublish(generation, grace, now);
    assert!(fixture.stream.advance(generation, now).has_ended);
}

#[test]
fn what_was_never_offered_comes_before_the_end_of_a_stream() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    for index in 0..20 {
        fixture.frame(index * 40, index == 0, 1_000);
    }
    end(&fixture);
    assert_eq!(player.media().len(), 20);
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Finished));
}

#[test]
fn a_player_that_is_behind_gets_the_rest_before_the_end_of_a_stream() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    player.sink.set_room(5_300);
    for index in 0..20 {
        fixture.frame(index * 40, index == 0, 1_000);
    }
    fixture.pump();
    end(&fixture);
    assert_eq!(fixture.end_of(&player), None);
    player.sink.set_room(usize::MAX);
    fixture.pump();
    let got = player.got();
    assert_eq!(got.iter().filter(|got| got.is_video()).count(), 21);
    // The goodbye.
    assert_eq!(got.last().map(|got| got.type_id), Some(20));
    assert!(player.sink.is_finished.load(Ordering::SeqCst));
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Finished));
}

#[test]
fn a_player_that_stays_behind_is_told_of_the_end_after_the_next_message() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    player.sink.set_room(5_300);
    for index in 0..20 {
        fixture.frame(index * 40, index == 0, 1_000);
    }
    fixture.pump();
    end(&fixture);
    fixture.wait(10_000);
    let now = fixture.now.get();
    fixture.stream.advance(fixture.generation.get(), now);
    player.sink.set_room(usize::MAX);
    fixture.pump();
    assert!(player.media().len() < 10);
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Finished));
}
