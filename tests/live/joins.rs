//! The position at which a player starts, and what it receives first.

use brooklet::live::out::join::Join;

use crate::fixture::{AAC_HEADER, AVC_HEADER, Fixture, Got};
use brooklet::live::kind::Kind;

fn timestamps(media: &[Got], is_wanted: impl Fn(&Got) -> bool) -> Vec<u32> {
    media
        .iter()
        .filter(|got| is_wanted(got))
        .map(|got| got.timestamp)
        .collect()
}

#[test]
fn a_joiner_gets_headers_then_the_newest_keyframe() {
    let fixture = Fixture::published();
    fixture.gop(0, 5);
    fixture.gop(200, 3);
    let mut player = fixture.play(Join::Gop);
    let got = player.got();
    assert_eq!(got[0].payload, AVC_HEADER);
    assert_eq!(got[1].payload, AAC_HEADER);
    assert!(got[2].is_keyframe());
    assert_eq!(got[2].timestamp, 200);
    assert_eq!(got.len(), 2 + 6);
}

#[test]
fn sequence_headers_have_the_timestamp_of_the_first_frame() {
    let fixture = Fixture::published();
    fixture.gop(5_000, 3);
    for join in [Join::Gop, Join::Live] {
        let got = fixture.play(join).got();
        assert_eq!(got[0].timestamp, got[2].timestamp, "{join:?}");
    }
}

#[test]
fn a_live_join_restamps_the_cached_frames_to_end_at_the_live_edge() {
    let fixture = Fixture::published();
    fixture.gop(1_000, 50);
    let mut player = fixture.play(Join::Live);
    fixture.gop(3_000, 2);
    let media = player.media();

    let frames = timestamps(&media, Got::is_video);
    let newest = 1_000 + 49 * 40;
    let expected: Vec<u32> = (0..50)
        .map(|i| newest - 49 + i)
        .chain([3_000, 3_040])
        .collect();
    assert_eq!(frames, expected);
    assert!(media[0].is_keyframe());
}

#[test]
fn a_live_join_sends_the_newest_four_cached_audio_frames() {
    let fixture = Fixture::published();
    fixture.gop(1_000, 50);
    let mut player = fixture.play(Join::Live);
    let audio_frames = timestamps(&player.media(), Got::is_audio);
    let newest = 1_010 + 49 * 40;
    assert_eq!(
        audio_frames,
        [newest - 120, newest - 80, newest - 40, newest]
    );
}

#[test]
fn a_gop_join_changes_no_timestamp() {
    let fixture = Fixture::published();
    fixture.gop(1_000, 50);
    let mut player = fixture.play(Join::Gop);
    let frames = timestamps(&player.media(), Got::is_video);
    assert_eq!(frames, (0..50).map(|i| 1_000 + i * 40).collect::<Vec<_>>());
}

#[test]
fn a_next_join_waits_for_the_next_keyframe() {
    let fixture = Fixture::published();
    fixture.gop(0, 10);
    let mut player = fixture.play(Join::Next);
    assert_eq!(player.got(), []);
    fixture.frame(400, false, 100);
    fixture.pump();
    assert_eq!(player.got(), []);
    fixture.gop(440, 2);
    assert_eq!(timestamps(&player.media(), Got::is_video), [440, 480]);
}

#[test]
fn a_player_may_come_before_the_publisher() {
    let fixture = Fixture::new();
    let mut player = fixture.play(Join::Live);
    assert_eq!(player.got(), []);
    fixture.publish();
    fixture.headers();
    fixture.gop(7_000, 2);
    let got = player.got();
    assert_eq!(
        (&got[0].payload[..], &got[1].payload[..]),
        (AVC_HEADER, AAC_HEADER)
    );
    assert_eq!(timestamps(&got[2..], Got::is_video), [7_000, 7_040]);
}

#[test]
fn frames_that_come_while_a_player_waits_keep_their_timestamps() {
    let fixture = Fixture::new();
    let mut player = fixture.play(Join::Live);
    fixture.publish();
    fixture.headers();
    // One read may contain several messages.
    for index in 0..5 {
        fixture.audio(1_000 + index * 40, 100);
        fixture.frame(1_010 + index * 40, index == 0, 100);
    }
    fixture.pump();
    let media = player.media();
    let frames = timestamps(&media, Got::is_video);
    assert_eq!(frames, (0..5).map(|i| 1_010 + i * 40).collect::<Vec<_>>());
    assert_eq!(
        timestamps(&media, Got::is_audio),
        [1_040, 1_080, 1_120, 1_160]
    );
}

#[test]
fn frames_before_the_first_keyframe_reach_no_player() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.frame(0, false, 100);
    fixture.frame(40, true, 100);
    fixture.pump();
    assert_eq!(timestamps(&player.media(), Got::is_video), [40]);
}

#[test]
fn without_video_every_audio_frame_is_a_join_point() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    for index in 0..20 {
        fixture.audio(index * 23, 100);
    }
    let mut player = fixture.play(Join::Live);
    let got = player.got();
    assert_eq!(got[0].payload, AAC_HEADER);
    assert_eq!(got[1].timestamp, 19 * 23);
    assert_eq!(got.len(), 2);
}

#[test]
fn after_new_headers_joiners_wait_for_a_keyframe() {
    let fixture = Fixture::published();
    fixture.gop(0, 10);
    let new_header = [AVC_HEADER, b"new"].concat();
    fixture.append(Kind::Video, 400, &new_header);
    let mut player = fixture.play(Join::Live);
    assert_eq!(player.got(), []);
    fixture.gop(400, 1);
    let got = player.got();
    assert_eq!(got[0].payload, new_header);
    assert!(
        got.iter()
            .filter(|got| got.is_video())
            .nth(1)
            .unwrap()
            .is_keyframe()
    );
}

#[test]
fn players_get_new_headers_in_order_and_repeated_ones_not_at_all() {
    let fixture = Fixture::published();
    let mut player = fixture.play(Join::Live);
    fixture.gop(0, 2);
    fixture.append(Kind::Video, 80, AVC_HEADER);
    fixture.append(Kind::Audio, 80, AAC_HEADER);
    let new_header = [AVC_HEADER, b"new"].concat();
    fixture.append(Kind::Video, 80, &new_header);
    fixture.gop(80, 1);
    let headers: Vec<_> = player
        .got()
        .into_iter()
        .filter(Got::is_header)
        .map(|got| got.payload)
        .collect();
    assert_eq!(
        headers,
        [AVC_HEADER.to_vec(), AAC_HEADER.to_vec(), new_header]
    );
}

#[test]
fn an_empty_sequence_header_does_not_replace_a_good_one() {
    let fixture = Fixture::published();
    fixture.append(Kind::Video, 0, b"\x17\0\0\0\0");
    fixture.append(Kind::Audio, 0, b"\xAF\0");
    fixture.gop(0, 1);
    let got = fixture.play(Join::Live).got();
    assert_eq!(
        (&got[0].payload[..], &got[1].payload[..]),
        (AVC_HEADER, AAC_HEADER)
    );
}

/// One read may contain several messages, which are all appended before any is sent.
#[test]
fn a_waiting_player_gets_everything_from_the_first_join_point_on() {
    for join in [Join::Live, Join::Gop, Join::Next] {
        let fixture = Fixture::new();
        let mut player = fixture.play(join);
        fixture.publish();
        fixture.append(Kind::Audio, 0, AAC_HEADER);
        for index in 0..5 {
            fixture.audio(index * 20, 100);
        }
        fixture.pump();
        let got = player.got();
        assert_eq!(got[0].payload, AAC_HEADER);
        let audio_frames = timestamps(&got[1..], Got::is_audio);
        assert_eq!(audio_frames, [0, 20, 40, 60, 80], "{join:?}, sound alone");

        let fixture = Fixture::new();
        let mut player = fixture.play(join);
        fixture.publish();
        fixture.append(Kind::Video, 0, AVC_HEADER);
        for index in 0..8 {
            fixture.frame(index * 20, index % 2 == 1, 100);
        }
        fixture.pump();
        let frames = timestamps(&player.media(), Got::is_video);
        assert_eq!(frames, [20, 40, 60, 80, 100, 120, 140], "{join:?}, video");
        // From here on, the player is like any other.
        fixture.frame(160, false, 100);
        fixture.pump();
        assert_eq!(timestamps(&player.media(), Got::is_video), [160]);
    }
}

#[test]
fn a_waiting_player_starts_with_the_current_headers() {
    const OTHER_AAC: &[u8] = b"\xAF\0\x11\x90";

    let fixture = Fixture::new();
    let mut player = fixture.play(Join::Live);
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    fixture.audio(0, 100);
    fixture.append(Kind::Audio, 0, OTHER_AAC);
    fixture.audio(20, 100);
    fixture.audio(40, 100);
    fixture.pump();
    let got = player.got();
    assert_eq!(got[0].payload, OTHER_AAC);
    assert_eq!(timestamps(&got[1..], Got::is_audio), [20, 40]);
}

#[test]
fn timestamps_do_not_go_back_after_a_players_pause() {
    let fixture = Fixture::published();
    fixture.gop(0, 3);
    let mut player = fixture.play(Join::Live);
    let pause = |is_paused| {
        let now = fixture.now.get();
        let act = |s: &mut brooklet::live::out::subscriber::Subscriber| s.set_paused(is_paused);
        fixture.stream.with_subscriber(player.id, now, act).unwrap();
    };
    pause(true);
    for gop in 1..4 {
        fixture.gop(gop * 120, 3);
    }
    pause(false);
    let frames = timestamps(&player.media(), Got::is_video);
    assert_eq!(frames, [78, 79, 80, 438, 439, 440]);
}

/// Returns the data messages that a player received: timestamp and contents.
fn data(got: Vec<Got>) -> Vec<(u32, Vec<u8>)> {
    let is_data = |got: &Got| got.type_id == 18;
    let all = got.into_iter().filter(is_data);
    all.map(|got| (got.timestamp, got.payload)).collect()
}

#[test]
fn data_messages_are_relayed_in_order_with_their_times() {
    let fixture = Fixture::published();
    fixture.gop(1_000, 3);
    let mut player = fixture.play(Join::Next);
    fixture.gop(1_120, 1);
    fixture.data(1_140, b"cue");
    fixture.frame(1_160, false, 100);
    // A timestamp that is far off says nothing about the publisher's clock.
    fixture.data(900_000, b"far");
    fixture.frame(1_200, false, 100);
    fixture.pump();
    let got = player.got();
    let order: Vec<_> = got[2..]
        .iter()
        .map(|got| (got.type_id, got.timestamp))
        .collect();
    assert_eq!(
        order,
        [
            (9, 1_120),
            (8, 1_130),
            (18, 1_140),
            (9, 1_160),
            (18, 1_160),
            (9, 1_200)
        ]
    );
    assert_eq!(
        data(got),
        [(1_140, b"cue".to_vec()), (1_160, b"far".to_vec())]
    );
}

#[test]
fn a_joiners_burst_brings_no_data_messages() {
    let fixture = Fixture::published();
    fixture.gop(1_000, 3);
    fixture.data(1_100, b"before");
    fixture.pump();
    let others: Vec<_> = (0..4).map(|_| fixture.play(Join::Next)).collect();
    for join in [Join::Live, Join::Gop] {
        fixture.data(1_110, b"not pumped");
        let mut player = fixture.play(join);
        fixture.data(1_120, b"after");
        fixture.frame(1_130, false, 100);
        fixture.pump();
        let got = player.got();
        assert!(got.iter().any(Got::is_keyframe));
        assert_eq!(data(got), [(1_120, b"after".to_vec())], "{join:?}");
        // A pause has the same effect.
        let pause = |is_paused| {
            let now = fixture.now.get();
            let act = |s: &mut brooklet::live::out::subscriber::Subscriber| s.set_paused(is_paused);
            fixture.stream.with_subscriber(player.id, now, act).unwrap();
        };
        pause(true);
        fixture.data(1_135, b"paused");
        fixture.pump();
        pause(false);
        fixture.data(1_137, b"later");
        fixture.pump();
        assert_eq!(data(player.got()), [(1_137, b"later".to_vec())], "{join:?}");
        fixture.stream.leave(player.id);
    }
    for mut other in others {
        assert_eq!(data(other.got()), []);
    }
}
