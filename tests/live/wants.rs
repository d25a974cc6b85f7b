//! Players that pause, or that want only some of the media.

use brooklet::live::out::join::Join;
use brooklet::live::out::subscriber::PlayEnd;

use crate::fixture::{Fixture, Got};

#[test]
fn a_paused_player_gets_nothing_and_resumes_at_a_keyframe() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(0, 10);
    player.got();
    let id = player.id;
    let set_paused = |is_paused| {
        fixture
            .stream
            .with_subscriber(id, fixture.now.get(), |s| s.set_paused(is_paused))
            .unwrap()
    };
    set_paused(true);
    fixture.gop(400, 10);
    fixture.gop(800, 10);
    set_paused(false);
    fixture.gop(1_200, 1);
    let media = player.media();
    assert!(media[0].is_keyframe());
    let newest_cached = 800 + 9 * 40;
    assert_eq!(media[0].timestamp, newest_cached - 9);
}

#[test]
fn video_that_is_turned_on_again_resumes_with_a_keyframe() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(0, 10);
    player.got();
    let id = player.id;
    let set_video = |is_wanted| {
        fixture
            .stream
            .with_subscriber(id, fixture.now.get(), |s| s.wanted.set_video(is_wanted))
            .unwrap()
    };
    set_video(false);
    fixture.gop(400, 10);
    let got = player.got();
    assert!(got.iter().all(Got::is_audio));
    assert_eq!(got.len(), 10);
    set_video(true);
    fixture.frame(800, false, 100);
    fixture.audio(810, 100);
    fixture.pump();
    assert!(player.got().iter().all(Got::is_audio));
    fixture.gop(840, 2);
    let media = player.media();
    assert!(media[0].is_keyframe());
    assert_eq!(media.len(), 4);
}

#[test]
fn audio_can_be_turned_off() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture
        .stream
        .with_subscriber(player.id, fixture.now.get(), |s| s.wanted.audio = false)
        .unwrap();
    fixture.gop(0, 10);
    assert!(player.media().iter().all(Got::is_video));
}

#[test]
fn control_bytes_wait_for_the_end_of_a_message() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.frame(0, true, 1_000);
    player.sink.set_room(500);
    fixture.pump();
    // A ping request in the middle of the keyframe.
    let ping = b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x06\0\0\0\x01";
    fixture
        .stream
        .with_subscriber(player.id, fixture.now.get(), |s| s.queue_control(ping))
        .unwrap();
    fixture.frame(40, false, 1_000);
    player.sink.set_room(usize::MAX);
    fixture.pump();
    let types: Vec<_> = player.got().iter().map(|got| got.type_id).collect();
    assert_eq!(types, [9, 8, 9, 4, 9]);
}

#[test]
fn a_client_that_sends_requests_without_reading_is_cut_off() {
    let fixture = Fixture::published();
    let player = fixture.play(Join::Live);
    player.sink.set_room(0);
    let mut end = None;
    for _ in 0..100 {
        let ask =
            |s: &mut brooklet::live::out::subscriber::Subscriber| s.queue_control(&[0; 1_000]);
        end = fixture
            .stream
            .with_subscriber(player.id, fixture.now.get(), ask)
            .err();
    }
    assert_eq!(end, Some(PlayEnd::ControlOverflow));
}
