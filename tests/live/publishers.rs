//! Publishers that leave, return, and take over.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use brooklet::live::finding::{ClockRepair, Finding};
use brooklet::live::kind::Kind;
use brooklet::live::life::PublishRefused;
use brooklet::live::out::join::Join;
use brooklet::live::out::subscriber::PlayEnd;
use brooklet::live::stream::{Outlook, Superseded};
use brooklet::media::{Medium, TrackInfo};
use brooklet::rtmp::amf::Properties;
use brooklet::rtmp::amf0::{self, Value};

use crate::fixture::{
    AAC_HEADER, AVC_HEADER, AWAY, Fixture, GRACE, Got, HOME, Player, TestSink, grace, numbers,
};

fn metadata(fixture: &Fixture, properties: &[(&str, f64)]) {
    let properties = numbers(properties);
    let properties = Properties::of(&properties);
    let (generation, now) = (fixture.generation.get(), fixture.now.get());
    fixture
        .stream
        .set_metadata(generation, properties.as_ref(), now)
        .unwrap();
}

/// Returns the property names of the metadata messages that a player received.
fn metadata_of(player: &mut Player) -> Vec<Vec<String>> {
    let messages = player.got().into_iter().filter(|got| got.type_id == 18);
    messages
        .map(|got| {
            assert_eq!(got.timestamp, 0);
            let values = amf0::parse(&got.payload, amf0::MissingEnd::Refused).unwrap();
            let Value::EcmaArray(properties) = &values[1] else {
                panic!("{values:?}")
            };
            properties.iter().map(|(key, _)| key.clone()).collect()
        })
        .collect()
}

#[test]
fn another_address_is_refused_while_the_publisher_is_heard() {
    let fixture = Fixture::published();
    fixture.wait(500);
    assert_eq!(
        fixture.try_publish(AWAY),
        Err(PublishRefused::InUse { retry_in: 1_500 })
    );
}

#[test]
fn a_publisher_that_has_just_begun_counts_as_heard() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.wait(500);
    assert_eq!(
        fixture.try_publish(AWAY),
        Err(PublishRefused::InUse { retry_in: 1_500 })
    );
}

#[test]
fn a_stream_that_is_ended_early_can_no_longer_be_found() {
    let fixture = Fixture::published();
    let player = fixture.play(Join::Live);
    fixture.unpublish();
    let (generation, now) = (fixture.generation.get(), fixture.now.get());
    let outlook = fixture.stream.end(generation, now);
    assert!(outlook.has_ended);
    assert_eq!(outlook.until, None);
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Finished));
}

#[test]
fn another_address_may_publish_after_two_seconds_of_silence() {
    let fixture = Fixture::published();
    fixture.wait(2_000);
    assert!(fixture.try_publish(AWAY).unwrap().is_takeover);
}

#[test]
fn the_same_address_takes_over_at_once_and_the_old_connection_is_cut() {
    let fixture = Fixture::new();
    let old = Arc::new(TestSink::default());
    let first = fixture.try_publish_with(HOME, &old).unwrap();
    fixture.headers();
    let second = fixture.try_publish(HOME).unwrap();
    assert!(second.is_takeover);
    assert!(old.is_shut.load(Ordering::SeqCst));
    let late = fixture.stream.append(
        first.generation,
        Medium::Audio,
        0,
        std::iter::once(AAC_HEADER),
        0,
    );
    assert_eq!(late, Err(Superseded));
}

#[test]
fn the_clean_up_of_a_replaced_publisher_does_not_touch_its_successor() {
    let fixture = Fixture::new();
    let first = fixture.try_publish(HOME).unwrap();
    fixture.try_publish(HOME).unwrap();
    let grace = grace(fixture.now.get());
    let now = fixture.now.get();
    fixture.stream.unpublish(first.generation, grace, now);
    fixture.stream.end(first.generation, fixture.now.get());
    assert!(fixture.stream.is_live());
    fixture.headers();
}

#[test]
fn two_publishers_at_one_address_do_not_fight() {
    let fixture = Fixture::published();
    fixture.try_publish(HOME).unwrap();
    fixture.wait(1_000);
    fixture.stream.heard(fixture.now.get());
    assert_eq!(
        fixture.try_publish(HOME),
        Err(PublishRefused::Fighting { retry_in: 4_000 })
    );
    fixture.wait(4_000);
    fixture.stream.heard(fixture.now.get());
    assert!(fixture.try_publish(HOME).is_ok());
}

#[test]
fn players_stay_and_timestamps_advance_by_the_time_away() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(10_000, 10);
    player.got();
    fixture.unpublish();
    fixture.wait(3_000);
    assert!(fixture.try_publish(AWAY).unwrap().is_return);
    fixture.headers();
    fixture.gop(0, 2);
    let got = player.got();
    // The last video frame had timestamp 10360 and the last audio frame 10370; the next frame follows 40
    // ms and 3 s later.
    let frames: Vec<_> = got.iter().filter(|got| got.is_video()).collect();
    assert!(
        frames[0].is_keyframe(),
        "the same headers are not sent again"
    );
    assert_eq!(frames[0].timestamp, 10_370 + 3_040);
    assert_eq!(frames[1].timestamp, 10_370 + 3_080);
}

#[test]
fn a_track_that_begins_before_the_seam_is_raised_to_it() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(10_000, 1);
    player.got();
    fixture.unpublish();
    fixture.publish();
    fixture.frame(500, true, 100);
    fixture.audio(400, 100);
    fixture.audio(520, 100);
    fixture.pump();
    let times: Vec<_> = player.media().iter().map(|got| got.timestamp).collect();
    assert_eq!(times, [10_050, 10_010, 10_070]);
}

#[test]
fn changed_headers_are_sent_at_the_seam() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(0, 2);
    player.got();
    fixture.unpublish();
    fixture.publish();
    let new_header = [AVC_HEADER, b"other"].concat();
    fixture.append(Kind::Video, 0, &new_header);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    fixture.gop(0, 1);
    let got = player.got();
    assert_eq!(got[0].payload, new_header);
    assert!(got[1].is_keyframe());
}

#[test]
fn a_header_at_time_zero_does_not_set_the_seam_of_a_clock_that_runs_on() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(10_000, 1);
    player.got();
    fixture.unpublish();
    fixture.publish();
    fixture.append(Kind::Video, 0, &[AVC_HEADER, b"other"].concat());
    fixture.gop(5_000_000, 1);
    let times: Vec<_> = player.got().iter().map(|got| got.timestamp).collect();
    assert_eq!(times, [10_010, 10_050, 10_060]);
}

#[test]
fn nobody_joins_at_a_keyframe_of_the_publisher_before() {
    let fixture = Fixture::published();
    fixture.gop(0, 10);
    fixture.unpublish();
    fixture.publish();
    let mut player = fixture.play(Join::Live);
    fixture.frame(0, false, 100);
    fixture.pump();
    assert_eq!(player.got(), []);
    fixture.gop(40, 1);
    assert!(player.media()[0].is_keyframe());
}

#[test]
fn at_the_end_players_get_every_message_that_some_player_waits_for() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(0, 2);
    player.got();
    fixture.unpublish();
    fixture
        .stream
        .end(fixture.generation.get(), fixture.now.get());
    let got = player.got();
    assert_eq!(
        (got[0].type_id, &got[0].payload[..]),
        (4, &b"\0\x01\0\0\0\x01"[..])
    );
    let text = |got: &Got| String::from_utf8_lossy(&got.payload).into_owned();
    assert!(text(&got[1]).contains("NetStream.Play.UnpublishNotify"));
    assert!(text(&got[2]).contains("NetStream.Play.Stop"));
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Finished));
    assert!(player.sink.is_finished.load(Ordering::SeqCst));
}

#[test]
fn a_stream_waits_for_a_publisher_while_it_has_players() {
    let fixture = Fixture::published();
    let player = fixture.play(Join::Live);
    let advance = |generation| fixture.stream.advance(generation, fixture.now.get());
    let generation = fixture.generation.get();
    let is_over_at = fixture.now.get() + GRACE;
    fixture.unpublish();
    assert_eq!(advance(generation).until, Some(is_over_at));
    fixture.publish();
    assert_eq!(advance(generation), Outlook::default());
    fixture.unpublish();
    fixture.stream.leave(player.id);
    assert_eq!(advance(fixture.generation.get()), Outlook::default());
    assert_eq!(fixture.try_publish(HOME), Err(PublishRefused::Closed));
}

#[test]
fn a_stream_whose_publisher_does_not_come_back_ends() {
    let fixture = Fixture::published();
    let player = fixture.play(Join::Live);
    fixture.unpublish();
    fixture.wait(GRACE);
    let advance = || {
        let (generation, now) = (fixture.generation.get(), fixture.now.get());
        fixture.stream.advance(generation, now)
    };
    let until = Some(fixture.now.get() + 3_000);
    let has_ended = true;
    assert_eq!(advance(), Outlook { has_ended, until });
    assert_eq!(fixture.end_of(&player), Some(PlayEnd::Finished));
    // The player has time to read the last bytes and hang up. Then it is disconnected.
    fixture.wait(2_999);
    assert_eq!(advance().until, until);
    assert!(!player.sink.is_shut.load(Ordering::Relaxed));
    fixture.wait(1);
    assert_eq!(advance(), Outlook::default());
    assert!(player.sink.is_shut.load(Ordering::Relaxed));
}

#[test]
fn a_stream_that_has_ended_is_closed_once_all_players_have_left() {
    let fixture = Fixture::published();
    let player = fixture.play(Join::Live);
    fixture.unpublish();
    fixture.wait(GRACE);
    let (generation, now) = (fixture.generation.get(), fixture.now.get());
    assert!(fixture.stream.advance(generation, now).has_ended);
    fixture.stream.leave(player.id);
    assert_eq!(fixture.stream.advance(generation, now), Outlook::default());
    assert!(!player.sink.is_shut.load(Ordering::Relaxed));
}

#[test]
fn metadata_is_an_ecma_array_at_time_zero_and_comes_first() {
    let fixture = Fixture::published();
    metadata(&fixture, &[("width", 640.0), ("audiocodecid", 10.0)]);
    fixture.gop(5_000, 1);
    let mut player = fixture.play(Join::Live);
    assert_eq!(metadata_of(&mut player), [["width", "audiocodecid"]]);
}

#[test]
fn metadata_of_a_track_that_never_comes_is_dropped() {
    let fixture = Fixture::new();
    fixture.publish();
    metadata(&fixture, &[("width", 640.0), ("audiocodecid", 10.0)]);
    fixture.append(Kind::Video, 0, AVC_HEADER);
    let mut early = fixture.play(Join::Live);
    for index in 0..60 {
        fixture.frame(index * 40, index == 0, 100);
        fixture.pump();
        fixture.wait(40);
    }
    assert_eq!(
        metadata_of(&mut early),
        [vec!["width", "audiocodecid"], vec!["width"]]
    );
    let mut late = fixture.play(Join::Live);
    assert_eq!(metadata_of(&mut late), [["width"]]);
}

#[test]
fn a_publisher_without_audio_leaves_no_audio_header_of_the_one_before() {
    let fixture = Fixture::published();
    let _player = fixture.play(Join::Live);
    fixture.gop(0, 2);
    fixture.unpublish();
    fixture.publish();
    fixture.append(Kind::Video, 0, AVC_HEADER);
    for index in 0..60 {
        fixture.frame(index * 40, index == 0, 100);
        fixture.wait(40);
    }
    let got = fixture.play(Join::Live).got();
    assert!(got.iter().all(|got| !got.is_audio()));
}

#[test]
fn a_clock_jump_is_hidden_from_players_and_reported_once() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(10_000, 10);
    let before = player.media().len();
    fixture.frame(50_000_400, true, 1_000);
    // In between, headers with timestamp 0, and new headers.
    fixture.headers();
    fixture.append(Kind::Video, 0, &[AVC_HEADER, b"other"].concat());
    let repair = ClockRepair {
        jump_ms: 49_990_000,
        is_start: false,
        total: 1,
    };
    let findings = fixture.stream.pump(fixture.now.get()).findings;
    assert_eq!(findings, [Finding::Timestamps(repair)]);
    fixture.wait(40);
    fixture.gop(50_000_440, 2);
    assert_eq!(fixture.stream.pump(fixture.now.get()).findings, []);
    let times: Vec<_> = player.got().iter().map(|got| got.timestamp).collect();
    assert_eq!(before, 20);
    assert_eq!(times, [10_400, 10_400, 10_440, 10_450, 10_480, 10_490]);
}

#[test]
fn after_a_takeover_only_the_new_publishers_media_is_reported() {
    const MP3: &[u8] = b"\x2F\xFF\xFB";

    let fixture = Fixture::published();
    fixture.gop(0, 3);
    let told = || {
        let report = fixture.stream.report(fixture.now.get());
        let reported = [report.video.info, report.audio.info];
        (fixture.stream.track_infos(), reported)
    };
    let read = |medium, payload: &[u8]| Some(TrackInfo::read(medium, payload).unwrap());
    let video = read(Medium::Video, AVC_HEADER);
    let audio = read(Medium::Audio, AAC_HEADER);
    assert_eq!(told(), ([video, audio], [video, audio]));
    // Nothing changes while the publisher is awaited.
    fixture.unpublish();
    assert_eq!(told(), ([video, audio], [video, audio]));

    fixture.publish();
    assert_eq!(told(), ([None, None], [None, None]));
    fixture.append(Kind::Audio, 0, MP3);
    let mut other = AVC_HEADER.to_vec();
    other[6] = 0x64;
    fixture.append(Kind::Video, 0, &other);
    let other = read(Medium::Video, &other);
    assert_ne!(other, video);
    let mp3 = read(Medium::Audio, MP3);
    assert_eq!(told(), ([other, None], [other, mp3]));
    // The same header sent again is also the publisher's own.
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    assert_eq!(told(), ([other, audio], [other, audio]));
}
