//! H.264 and AAC that are published as Enhanced messages, some with more tracks, reach a player
//! that may not know Enhanced RTMP: the same packets with the same timestamps.

mod common;

use common::media::{self, AAC, H264_B_FRAMES};
use common::packets::{Capture, FlvTag, Track, assert_same_packets, flv_tags};
use common::publisher::Publisher;
use common::{Brooklet, SOON, TempDir, wait_until};

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;

/// A track of a message with many: id, size, body.
fn sized(id: u8, body: &[u8]) -> Vec<u8> {
    let size = body.len() as u32;
    [&[id], &size.to_be_bytes()[1..], body].concat()
}

/// Converts a legacy message to the Enhanced form of this number.
fn enhanced(tag: FlvTag, form: usize) -> FlvTag {
    // In video, the composition time stays part of the body, unless there are no frames.
    let (four_cc, high, multitrack, packet_type, body): (_, _, u8, _, &[u8]) =
        match (tag.type_id, &tag.body[..]) {
            (AUDIO, [_, packet_type, body @ ..]) => (b"mp4a", 0x90, 5, *packet_type, body),
            (VIDEO, [first, 1, body @ ..]) => (b"avc1", 0x80 | first & 0x70, 6, 1, body),
            (VIDEO, [first, packet_type, _, _, _, body @ ..]) => {
                (b"avc1", 0x80 | first & 0x70, 6, *packet_type, body)
            }
            _ => return tag,
        };
    let mod_ex = [2, 0, 0, 100];
    let body = match form % 5 {
        0 => [&[high | packet_type][..], four_cc, body].concat(),
        1 => [&[high | multitrack, packet_type][..], four_cc, &[0], body].concat(),
        2 => [&[high | 7], &mod_ex[..], &[packet_type], four_cc, body].concat(),
        3 => [
            &[high | multitrack, 0x10 | packet_type][..],
            four_cc,
            &sized(7, body),
            &sized(0, body),
        ]
        .concat(),
        _ => [
            &[high | 7],
            &mod_ex[..],
            &[multitrack, 0x20 | packet_type],
            four_cc,
            &sized(0, body),
            four_cc,
            &sized(1, body),
        ]
        .concat(),
    };
    FlvTag { body, ..tag }
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_gets_the_first_track_of_every_form_as_it_was_encoded() {
    let dir = TempDir::new();
    let file = media::make(&dir, 5, &[H264_B_FRAMES, AAC]);
    let tags = flv_tags(&file).into_iter().enumerate();
    let tags: Vec<_> = tags.map(|(form, tag)| enhanced(tag, form)).collect();
    assert!(tags.iter().any(|tag| tag.body.starts_with(b"\xA6\x11avc1")));
    assert!(tags.iter().any(|tag| tag.body.starts_with(b"\x91mp4a")));

    let server = Brooklet::start(&["--grace", "1s"]);
    let url = server.url("cam");
    let mut early = media::play(&url);
    server.wait_for_log("waiting for its publisher", 1);
    let publisher = Publisher::start(server.port(), "cam", tags, 0);
    wait_until("it is time for the late player", SOON, || {
        Capture::of_player(&early).position() >= 2_000
    });
    let mut late = media::play(&format!("{url}?join=gop"));
    publisher.finish();

    let source = Capture::of_file(&file);
    for (who, player) in [("early", &mut early), ("late", &mut late)] {
        player.wait_for_success(SOON);
        assert_eq!(
            player.stderr(),
            "",
            "{who}: ffprobe has nothing to complain about"
        );
        let got = Capture::of_player(player);
        assert_eq!(
            got.tracks, source.tracks,
            "{who}: tracks and sequence headers"
        );
        let expected = source.starting_at_keyframe(&got.track(Track::Video)[0].hash);
        assert_same_packets(Track::Video, &expected, &got, who);
        assert_same_packets(Track::Audio, &expected, &got, who);
    }
    server.stop();
}
