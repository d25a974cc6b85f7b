//! Enhanced RTMP on its way from publisher to players: tracks, codecs, ModEx.

mod receivers;

use std::sync::Arc;

use brooklet::live::capabilities::Capabilities;
use brooklet::live::kind::Kind::{self, Audio, Video};
use brooklet::live::out::join::Join;
use brooklet::live::out::subscriber::PlayEnd;
use brooklet::live::stream::Appended;
use brooklet::rtmp::server_session::Codecs;
use proptest::prelude::*;

use crate::fixture::{AAC_HEADER, AVC_HEADER, Fixture, Got, Player, TestSink};

const HVCC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0";
const AV1C: &[u8] = b"\x81\0\x0C\0";
/// The configuration record in [`AVC_HEADER`].
const AVCC: &[u8] = b"\x01\x42\xC0\x1E\xFF\xE1\0\x04\x67\x42\xC0\x1E\x01\0\0";
const OTHER_AVCC: &[u8] = b"\x01\x4D\x40\x1F\xFF\xE1\0\x04\x67\x4D\x40\x1F\x01\0\0";

/// The capabilities of four players: one announced nothing, one announced everything, one requested
/// tracks in the URL, and one announced only HEVC and AAC.
fn plain() -> Capabilities {
    Capabilities::unknown()
}

fn all() -> Capabilities {
    Capabilities::announced(Codecs::default(), 2 | 4)
}

fn tracks() -> Capabilities {
    Capabilities::unknown().with_all_tracks()
}

fn hevc_only() -> Capabilities {
    Capabilities::announced(Codecs::of(&["hvc1", "mp4a"]), 2)
}

fn play(fixture: &Fixture, capabilities: Capabilities) -> Player {
    fixture.play_as(capabilities, Join::Gop, Arc::default())
}

fn payloads(got: Vec<Got>) -> Vec<Vec<u8>> {
    got.into_iter().map(|got| got.payload).collect()
}

/// Returns the payloads that a player receives which joins after these messages, 10 ms apart.
fn late(capabilities: Capabilities, messages: &[(Kind, &[u8])]) -> Vec<Vec<u8>> {
    let fixture = Fixture::new();
    fixture.publish();
    for (index, (kind, payload)) in messages.iter().enumerate() {
        fixture.append(*kind, index as u32 * 10, payload);
    }
    payloads(play(&fixture, capabilities).got())
}

/// Track 0 with H.264 and AAC in legacy form, and track 1 as sent by OBS.
const OBS: [(Kind, &[u8]); 8] = [
    (Video, AVC_HEADER),
    (Audio, AAC_HEADER),
    (
        Video,
        b"\x96\0avc1\x01\x01\x4D\x40\x1F\xFF\xE1\0\x04\x67\x4D\x40\x1F\x01\0\0",
    ),
    (Audio, b"\x95\0mp4a\x01\x11\x88"),
    (Video, b"\x17\x01\0\0\x53\0\0\0\x02\x65\x00"),
    (Video, b"\x96\x01avc1\x01\0\0\x53\0\0\0\x02\x65\x01"),
    (Audio, b"\xAF\x01\x21\x00"),
    (Audio, b"\x95\x01mp4a\x01\x21\x01"),
];

#[test]
fn a_late_joiner_gets_the_headers_of_all_tracks_first() {
    let order = [0, 2, 1, 3, 4, 5, 6, 7];
    let expected: Vec<_> = order.iter().map(|index| OBS[*index].1).collect();
    assert_eq!(late(all(), &OBS), expected);
    assert_eq!(late(tracks(), &OBS), expected);
}

#[test]
fn a_player_that_announced_nothing_gets_only_the_first_track() {
    let expected: Vec<_> = [0, 1, 4, 6].iter().map(|index| OBS[*index].1).collect();
    assert_eq!(late(plain(), &OBS), expected);
}

/// A track in a message with many tracks: id, size, body.
fn sized(id: u8, body: &[u8]) -> Vec<u8> {
    let size = body.len() as u32;
    [&[id], &size.to_be_bytes()[1..], body].concat()
}

#[test]
fn messages_of_many_tracks_become_those_of_one_track() {
    let header = [b"\x96\x10avc1", &sized(1, OTHER_AVCC)[..], &sized(0, AVCC)].concat();
    let key = [
        b"\x96\x11avc1",
        &sized(1, b"\0\0\x53\0\0\0\x02\x65\x01")[..],
        &sized(0, b"\0\0\x53\0\0\0\x02\x65\x00"),
    ]
    .concat();
    let audio = [
        &b"\x95\x21"[..],
        b"mp4a",
        &sized(0, b"\x21\x00"),
        b"Opus",
        &sized(1, b"\xFC\x01"),
    ]
    .concat();
    let messages = [
        (Video, &header[..]),
        (Audio, b"\x95\x20mp4a\0\0\0\x02\x12\x10Opus\x01\0\0\0"),
        (Video, &key),
        (Audio, &audio),
    ];
    assert_eq!(
        late(all(), &messages),
        [
            AVC_HEADER,
            &[b"\x96\0avc1\x01", OTHER_AVCC].concat(),
            AAC_HEADER,
            b"\x95\0Opus\x01",
            b"\x17\x01\0\0\x53\0\0\0\x02\x65\x00",
            b"\x96\x01avc1\x01\0\0\x53\0\0\0\x02\x65\x01",
            b"\xAF\x01\x21\x00",
            b"\x95\x01Opus\x01\xFC\x01",
        ]
    );
    assert_eq!(
        late(plain(), &messages),
        [
            AVC_HEADER,
            AAC_HEADER,
            b"\x17\x01\0\0\x53\0\0\0\x02\x65\x00",
            b"\xAF\x01\x21\x00",
        ]
    );
}

#[test]
fn codecs_that_a_player_did_not_announce_are_left_out() {
    let messages: [(Kind, &[u8]); 8] = [
        (Video, &[b"\x90hvc1", HVCC].concat()),
        (Video, &[b"\x96\0av01\x01", AV1C].concat()),
        (Audio, b"\x90Opus"),
        (Audio, b"\x95\0mp4a\x01\x11\x88"),
        (Video, b"\x91hvc1\0\0\x28\0\0\0\x03\x28\x01\x00"),
        (Video, b"\x96\x01av01\x01\x12\0\x01"),
        (Audio, b"\x91Opus\xFC\x00"),
        (Audio, b"\x95\x01mp4a\x01\x21\x01"),
    ];
    let expected: Vec<_> = [0, 3, 4, 7]
        .iter()
        .map(|index| messages[*index].1)
        .collect();
    assert_eq!(late(hevc_only(), &messages), expected);
    let av1_only = Capabilities::announced(Codecs::of(&["av01"]), 0);
    assert_eq!(late(av1_only, &messages), [b""; 0]);
    // Legacy messages aren't announced.
    let expected: Vec<_> = [0, 1, 4, 6].iter().map(|index| OBS[*index].1).collect();
    assert_eq!(late(av1_only, &OBS), expected);
}

#[test]
fn a_player_without_any_matching_codec_is_notified() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Video, 0, &[b"\x90hvc1", HVCC].concat());
    fixture.append(Audio, 0, b"\x90Opus");
    let frame = |number: u32| {
        fixture.append(
            Video,
            number * 40,
            b"\x91hvc1\0\0\x28\0\0\0\x03\x28\x01\x00",
        );
        fixture.append(Audio, number * 40, b"\x91Opus\xFC\x00");
        fixture.pump();
    };
    frame(0);
    let av1_only = Capabilities::announced(Codecs::of(&["av01"]), 0);
    let mut none = play(&fixture, av1_only);
    let mut some = play(&fixture, hevc_only());
    (1..60).for_each(frame);
    assert_eq!(fixture.end_of(&none), Some(PlayEnd::NothingToTake));
    let last = none.got().pop().unwrap();
    let text = String::from_utf8_lossy(&last.payload).into_owned();
    assert!(text.contains("NetStream.Play.Failed"), "{text}");
    assert_eq!(fixture.end_of(&some), None);
    assert!(some.media().len() >= 50);
}

#[test]
fn headers_are_known_behind_mod_ex_and_kept_without() {
    let messages: [(Kind, &[u8]); 4] = [
        (Video, &[b"\x97\x02\0\0\x07\0hvc1", HVCC].concat()),
        (Video, &[b"\x97\x02\0\0\x07\x06\0av01\x01", AV1C].concat()),
        (Audio, b"\x97\x02\0\0\x07\0Opus"),
        (Video, b"\x93hvc1\0\0\0\x03\x28\x01\xAF"),
    ];
    assert_eq!(
        late(all(), &messages),
        [
            &[b"\x90hvc1", HVCC].concat()[..],
            &[b"\x96\0av01\x01", AV1C].concat(),
            b"\x90Opus",
            b"\x93hvc1\0\0\0\x03\x28\x01\xAF",
        ]
    );
}

#[test]
fn unflagged_keyframes_of_gortmplib_are_flagged_and_joinable() {
    let messages: [(Kind, &[u8]); 4] = [
        (Video, &[b"\x80hvc1", HVCC].concat()),
        (Video, b"\x83hvc1\0\0\0\x03\x02\x01\xD0"),
        (Video, b"\x83hvc1\0\0\0\x03\x28\x01\xAF"),
        (Video, b"\x83hvc1\0\0\0\x03\x02\x01\xD1"),
    ];
    assert_eq!(
        late(plain(), &messages),
        [
            &[b"\x90hvc1", HVCC].concat()[..],
            b"\x93hvc1\0\0\0\x03\x28\x01\xAF",
            b"\xA3hvc1\0\0\0\x03\x02\x01\xD1",
        ]
    );
}

#[test]
fn colour_information_comes_after_the_header_and_as_a_command() {
    let messages: [(Kind, &[u8]); 3] = [
        (Video, &[b"\x90hvc1", HVCC].concat()),
        (Video, b"\x84hvc1\x02\0\x09colorInfo"),
        (Video, b"\x93hvc1\0\0\0\x03\x28\x01\xAF"),
    ];
    assert_eq!(
        late(plain(), &messages),
        [messages[0].1, b"\xD4hvc1\x02\0\x09colorInfo", messages[2].1]
    );
}

#[test]
fn enhanced_h264_and_aac_reach_players_as_if_they_were_legacy() {
    let enhanced: [(Kind, &[u8]); 7] = [
        (Video, &[b"\x90avc1", AVCC].concat()),
        (Audio, b"\x90mp4a\x12\x10"),
        (Video, b"\x91avc1\0\0\x53\0\0\0\x02\x65\x00"),
        (Audio, b"\x91mp4a\x21\x00"),
        (Video, b"\xA3avc1\0\0\0\x02\x41\x01"),
        (Audio, b"\x92mp4a"),
        (Video, b"\xA2avc1"),
    ];
    let legacy: [(Kind, &[u8]); 7] = [
        (Video, AVC_HEADER),
        (Audio, AAC_HEADER),
        (Video, b"\x17\x01\0\0\x53\0\0\0\x02\x65\x00"),
        (Audio, b"\xAF\x01\x21\x00"),
        (Video, b"\x27\x01\0\0\0\0\0\0\x02\x41\x01"),
        (Audio, b""),
        (Video, b"\x27\x02\0\0\0"),
    ];
    let wire = |messages: &[(Kind, &[u8])], capabilities| {
        let fixture = Fixture::new();
        fixture.publish();
        let early = play(&fixture, capabilities);
        for (index, (kind, payload)) in messages.iter().enumerate() {
            fixture.append(*kind, index as u32 * 10, payload);
            fixture.pump();
        }
        let late = play(&fixture, capabilities);
        (early.sink.bytes(), late.sink.bytes())
    };
    for capabilities in [plain(), all(), hevc_only()] {
        let (early, late) = wire(&enhanced, capabilities);
        assert!(early.len() > 100 && late.len() > 100);
        assert_eq!((early, late), wire(&legacy, capabilities));
    }
}

#[test]
fn a_new_header_of_another_track_keeps_the_join_point() {
    let fixture = Fixture::new();
    fixture.publish();
    for (index, (kind, payload)) in OBS.iter().enumerate() {
        fixture.append(*kind, index as u32 * 10, payload);
    }
    let (mut early, mut narrow) = (play(&fixture, all()), play(&fixture, plain()));
    early.got();
    narrow.got();
    let header = [b"\x96\0avc1\x01", AVCC].concat();
    assert_eq!(fixture.append(Video, 80, &header), Appended::Stored);
    assert_eq!(fixture.append(Video, 81, &header), Appended::Ignored);
    fixture.pump();
    assert_eq!(payloads(early.got()), [&header[..]]);
    assert_eq!(payloads(narrow.got()), [b""; 0]);

    let late = payloads(play(&fixture, all()).got());
    assert_eq!(late[1], header);
    assert_eq!(late[4..], OBS.map(|(_, payload)| payload)[4..]);
    // A new header of the first track does.
    fixture.append(Video, 90, &[b"\x90avc1", OTHER_AVCC].concat());
    assert_eq!(payloads(play(&fixture, all()).got()), [b""; 0]);
}

#[test]
fn a_keyframe_of_another_track_is_no_join_point() {
    let fixture = Fixture::new();
    fixture.publish();
    for (kind, payload) in &OBS[..4] {
        fixture.append(*kind, 0, payload);
    }
    let (kind, payload) = OBS[5];
    assert_eq!(fixture.append(kind, 10, payload), Appended::Ignored);
    assert_eq!(payloads(play(&fixture, all()).got()), [b""; 0]);
}

#[test]
fn without_video_on_the_first_track_its_audio_frames_are_join_points() {
    let messages: [(Kind, &[u8]); 6] = [
        (Audio, AAC_HEADER),
        (Audio, b"\x95\0mp4a\x01\x11\x88"),
        (Video, b"\x96\x01avc1\x01\0\0\x53\0\0\0\x02\x65\x01"),
        (Audio, b"\xAF\x01\x21\x00"),
        (Audio, b"\xAF\x01\x21\x01"),
        (Audio, b"\x95\x01mp4a\x01\x21\x02"),
    ];
    let expected: Vec<_> = [0, 1, 4, 5]
        .iter()
        .map(|index| messages[*index].1)
        .collect();
    assert_eq!(late(all(), &messages), expected);
}

#[test]
fn loss_on_another_track_does_not_stop_the_first() {
    // The log may hold 96 KiB.
    let fixture = Fixture::with(12, 0);
    fixture.publish();
    fixture.headers();
    fixture.frame(0, true, 100);
    let mut player = fixture.play(Join::Gop);
    let long = [&b"\xA6\x01avc1\x01"[..], &[0; 200_000]].concat();
    assert_eq!(fixture.append(Video, 40, &long), Appended::OutOfBlocks);
    fixture.frame(40, false, 100);
    fixture.pump();
    assert_eq!(player.media().len(), 2);
}

#[test]
fn audio_of_other_tracks_does_not_crowd_the_first_out_of_a_live_join() {
    let fixture = Fixture::published();
    fixture.frame(0, true, 100);
    for index in 1..20 {
        fixture.audio(index * 20, 20);
        for track in 1..6 {
            let payload = [&b"\x95\x01mp4a"[..], &[track], b"\x21\0\0\0"].concat();
            fixture.append(Audio, index * 20, &payload);
        }
        fixture.frame(index * 20, false, 100);
    }
    let mut player = fixture.play(Join::Live);
    let media = player.media();
    let audio_frames: Vec<_> = media.iter().filter(|got| got.is_audio()).collect();
    let times: Vec<_> = audio_frames.iter().map(|got| got.timestamp).collect();
    assert_eq!(times, [16 * 20, 17 * 20, 18 * 20, 19 * 20]);

    let wide = fixture.play_as(all(), Join::Live, Arc::default()).media();
    let audio_frames = wide.iter().filter(|got| got.is_audio()).count();
    assert_eq!(audio_frames, 4 * 6);
}

#[test]
fn frames_of_all_tracks_keep_together_in_a_live_join() {
    let fixture = Fixture::published();
    for index in 0..10 {
        fixture.frame(index * 40, index == 0, 100);
        fixture.append(
            Video,
            index * 40,
            b"\xA6\x01avc1\x01\0\0\0\0\0\0\x02\x41\x01",
        );
    }
    let mut player = fixture.play_as(all(), Join::Live, Arc::default());
    let got: Vec<_> = player.got().split_off(2);
    let times: Vec<_> = got.iter().map(|got| got.timestamp).collect();
    let expected: Vec<_> = (0..10).flat_map(|index| [360 - 9 + index; 2]).collect();
    assert_eq!(times, expected);
}

#[test]
fn damage_in_a_message_loses_only_the_tracks_behind_it() {
    let fixture = Fixture::new();
    fixture.publish();
    let mut player = play(&fixture, all());
    fixture.append(Video, 0, AVC_HEADER);
    fixture.append(Video, 0, OBS[4].1);
    let tracks = [
        sized(0, b"\0\0\0\0\0\0\x01\x41"),
        sized(1, b"\0\0\0\0\0\0\x01\x41"),
    ];
    let whole = [&b"\xA6\x11avc1"[..], &tracks.concat()].concat();
    fixture.append(Video, 10, &whole[..whole.len() - 1]);
    fixture.append(Video, 20, b"\xA6\x11avc1\0\xFF");
    fixture.append(Video, 30, OBS[5].1);
    fixture.pump();
    assert_eq!(
        payloads(player.got()),
        [
            AVC_HEADER,
            OBS[4].1,
            b"\x27\x01\0\0\0\0\0\0\x01\x41",
            OBS[5].1
        ]
    );
}
