//! The form in which each receiver gets each message, and codecs that aren't known yet.

use super::*;

/// A message, and the payloads that each of [`RECEIVERS`] receives for it.
type Row = (Kind, Vec<u8>, [Vec<Vec<u8>>; 4]);

const RECEIVERS: [fn() -> Capabilities; 4] = [plain, all, tracks, hevc_only];

fn rows() -> Vec<Row> {
    let row = |kind, came: &[u8], become_: [&[&[u8]]; 4]| -> Row {
        let owned = |payloads: &[&[u8]]| payloads.iter().map(|bytes| bytes.to_vec()).collect();
        (kind, came.to_vec(), become_.map(owned))
    };
    let same = |kind, payload: &[u8]| row(kind, payload, [&[payload]; 4]);
    // Blocks have 16 KiB, chunks 64.
    let long: Vec<u8> = (0..70_000u32).map(|n| n as u8).collect();
    let long_hevc = [b"\xA1hvc1\0\0\x28", &long[..]].concat();
    let long_mod_ex = [b"\xA7\x02\x01\x02\x03\x01hvc1\0\0\x28", &long[..]].concat();
    let long_track = [b"\xA6\x01avc1\x01\0\0\x28", &long[..]].concat();
    let long_legacy = [b"\x27\x01\0\0\x28", &long[..]].concat();
    let long_many = [
        b"\xA6\x11avc1",
        &sized(0, &long_legacy[2..])[..],
        &sized(1, &long_legacy[2..]),
    ]
    .concat();
    let mod_ex = b"\xA7\x02\x01\x02\x03\x03hvc1\0\0\0\x03\x02\x01\xD0";
    let without = b"\xA3hvc1\0\0\0\x03\x02\x01\xD0";
    let on_track = b"\xA7\x02\x01\x02\x03\x06\x03hvc1\x01\0\0\0\x03\x02\x01\xD0";
    let on_track_without = b"\xA6\x03hvc1\x01\0\0\0\x03\x02\x01\xD0";
    let opus = b"\x97\x02\x01\x02\x03\x11Opus\xFC\x07";
    let opus_without = b"\x91Opus\xFC\x07";
    let opus_end = b"\x92Opus";
    let av1 = b"\xA1av01\x32\x00";
    let track_end = b"\x95\x02mp4a\x03";
    vec![
        same(Video, b"\x27\x01\0\0\0\0\0\0\x02\x41\x9A"),
        same(Audio, b"\xAF\x01\x21\x10"),
        row(
            Video,
            b"\xA3avc1\0\0\0\x02\x41\x9A",
            [&[b"\x27\x01\0\0\0\0\0\0\x02\x41\x9A"]; 4],
        ),
        row(
            Video,
            b"\x27\x01\0\0\0\0\0\0\x02\x65\x9A",
            [&[b"\x17\x01\0\0\0\0\0\0\x02\x65\x9A"]; 4],
        ),
        row(
            Video,
            mod_ex,
            [&[without], &[mod_ex], &[without], &[without]],
        ),
        row(
            Video,
            on_track,
            [&[], &[on_track], &[on_track_without], &[on_track_without]],
        ),
        row(
            Audio,
            opus,
            [&[opus_without], &[opus], &[opus_without], &[]],
        ),
        row(
            Audio,
            opus_end,
            [&[opus_end], &[opus_end], &[opus_end], &[]],
        ),
        row(
            Audio,
            track_end,
            [&[], &[track_end], &[track_end], &[track_end]],
        ),
        row(Video, av1, [&[av1], &[av1], &[av1], &[]]),
        row(
            Video,
            &long_mod_ex,
            [&[&long_hevc], &[&long_mod_ex], &[&long_hevc], &[&long_hevc]],
        ),
        row(
            Video,
            &long_many,
            [
                &[&long_legacy],
                &[&long_legacy, &long_track],
                &[&long_legacy, &long_track],
                &[&long_legacy],
            ],
        ),
        row(Video, b"\x9Fwhat nobody knows", [&[]; 4]),
    ]
}

/// A stream with a player for each of the receivers.
fn stream_with_players(sinks: &[Arc<TestSink>; 4]) -> (Fixture, Vec<Player>) {
    let fixture = Fixture::published();
    let player = |(capabilities, sink): (fn() -> Capabilities, &Arc<TestSink>)| {
        fixture.play_as(capabilities(), Join::Gop, sink.clone())
    };
    let mut players: Vec<_> = RECEIVERS.into_iter().zip(sinks).map(player).collect();
    fixture.frame(0, true, 100);
    fixture.pump();
    for player in &mut players {
        assert_eq!(player.got().len(), 3);
    }
    (fixture, players)
}

#[test]
fn each_receiver_gets_its_codecs_in_its_form() {
    for (index, (kind, came, become_)) in rows().into_iter().enumerate() {
        let (fixture, mut players) = stream_with_players(&Default::default());
        fixture.append(kind, 40, &came);
        fixture.pump();
        for (player, expected) in players.iter_mut().zip(become_) {
            let got = payloads(player.got());
            assert_eq!(got, expected, "row {index}, player {}", player.id);
        }
    }
}

#[test]
fn a_socket_that_takes_single_bytes_gets_the_same_bytes() {
    let rows: Vec<_> = rows();
    let (fixture, players) = stream_with_players(&Default::default());
    let (slow_fixture, slow_players) = stream_with_players(&Default::default());
    for (kind, came, _) in rows.iter().filter(|(_, came, _)| came.len() < 1_000) {
        fixture.append(*kind, 40, came);
        fixture.pump();
        slow_fixture.append(*kind, 40, came);
    }
    let mut sends = 0;
    loop {
        for player in &slow_players {
            player.sink.set_room(1);
        }
        if !slow_fixture.pump() {
            break;
        }
        sends += 1;
        assert!(sends < 10_000);
    }
    assert!(sends > 100);
    for (player, slow) in players.iter().zip(&slow_players) {
        assert_eq!(player.sink.bytes(), slow.sink.bytes());
    }
}

proptest! {
    /// Holds however little the sockets accept, and whatever other players there are.
    #[test]
    fn partial_sends_change_nothing_of_what_players_get(
        alike in 0..5usize,
        steps in prop::collection::vec(
            (prop::collection::vec(0..13usize, 0..4), prop::array::uniform4(0..100_000usize)),
            // In all less than the lag at which players skip.
            1..10,
        ),
    ) {
        let rows = rows();
        let (fixture, mut players) = stream_with_players(&Default::default());
        // If there are more players of one kind than of the others, the stage holds their messages.
        let company: Vec<_> = RECEIVERS
            .get(alike)
            .map(|capabilities| [(); 3].map(|()| play(&fixture, capabilities())))
            .into_iter()
            .flatten()
            .collect();
        let mut expected: [Vec<Vec<u8>>; 4] = Default::default();
        for (index, (messages, rooms)) in steps.into_iter().enumerate() {
            for (kind, came, become_) in messages.iter().map(|index| &rows[*index]) {
                fixture.append(*kind, index as u32 * 40, came);
                for (expected, payloads) in expected.iter_mut().zip(become_) {
                    expected.extend(payloads.iter().cloned());
                }
            }
            for (player, room) in players.iter().zip(rooms) {
                player.sink.set_room(room);
            }
            fixture.pump();
        }
        for player in &players {
            player.sink.set_room(usize::MAX);
        }
        fixture.pump();
        for (player, expected) in players.iter_mut().zip(expected) {
            prop_assert_eq!(payloads(player.got()), expected);
        }
        for player in company {
            prop_assert_eq!(fixture.end_of(&player), None);
        }
    }
}

/// Codecs that aren't known yet, and long-forgotten legacy codecs.
const UNKNOWN: [(Kind, &[u8]); 8] = [
    (Video, b"\x90zzzz\x01config"),
    (Audio, b"\x90qqqqconfig"),
    (Video, b"\x91zzzz\0\0\0key"),
    (Audio, b"\x91qqqqsound"),
    (Video, b"\xA3zzzz\0\0\0\0inter"),
    (Video, b"\x96\x01zzzz\x01another track"),
    (Video, b"\x2Fa legacy one"),
    (Audio, b"\xC0the same"),
];

#[test]
fn unknown_codecs_are_relayed_as_they_came() {
    let without = |left_out: &[usize]| -> Vec<Vec<u8>> {
        let all = UNKNOWN.iter().enumerate();
        let kept = all.filter(|(index, _)| !left_out.contains(index));
        kept.map(|(_, (_, payload))| payload.to_vec()).collect()
    };
    assert_eq!(late(plain(), &UNKNOWN), without(&[5]));
    assert_eq!(late(all(), &UNKNOWN), without(&[]));
    assert_eq!(late(tracks(), &UNKNOWN), without(&[]));
    // A player that lists codecs receives unlisted ones only if they are unknown.
    let announced = |names: &[&str]| Capabilities::announced(Codecs::of(names), 0);
    assert_eq!(late(announced(&["yyyy"]), &UNKNOWN), without(&[5]));
    assert_eq!(
        late(announced(&["hvc1"]), &UNKNOWN),
        [UNKNOWN[6].1, UNKNOWN[7].1]
    );
    assert_eq!(late(Capabilities::browser(), &UNKNOWN), [b""; 0]);
}

#[test]
fn players_join_unknown_codecs_by_their_flags() {
    let fixture = Fixture::new();
    fixture.publish();
    for gop in 0..3 {
        fixture.append(Video, gop * 80, b"\x90zzzz\x01config");
        fixture.append(Video, gop * 80, b"\x91zzzzkey");
        fixture.append(Video, gop * 80 + 40, b"\xA1zzzzinter");
    }
    let got = play(&fixture, plain()).got();
    let times: Vec<u32> = got.iter().map(|got| got.timestamp).collect();
    assert_eq!(times, [160, 160, 200]);
    assert_eq!(got[1].payload, b"\x91zzzzkey");
}
