//! Messages without a frame, and frames that span several messages.

mod headers;

use std::net::{IpAddr, Ipv4Addr};

use brooklet::live::capabilities::Capabilities;
use brooklet::live::hls::file_name::{FileKind, FileName};
use brooklet::live::hls::requests::{Answer, Asker, HlsRequest, Look};
use brooklet::live::kind::Kind;
use brooklet::live::out::carrier::Carrier;
use brooklet::live::out::framing::Framing;
use brooklet::live::out::join::Join;
use brooklet::live::out::request::Receiver;

use crate::files::{LARGE, SMALL};
use crate::fixture::{AAC_HEADER, Fixture, TestSink};

/// NAL units, each preceded by its length.
fn units(units: &[&[u8]]) -> Vec<u8> {
    let units = units.iter();
    let each = units.map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat());
    each.collect::<Vec<_>>().concat()
}

/// An H.264 message with these units.
fn message(is_flagged: bool, nal_units: &[&[u8]]) -> Vec<u8> {
    let first = if is_flagged { 0x17 } else { 0x27 };
    [&[first, 1, 0, 0, 0], &units(nal_units)[..]].concat()
}

const IDR: &[u8] = b"\x65\x88\x01";
const IDR_2: &[u8] = b"\x65\x42\x02";
const P: &[u8] = b"\x41\x9A\x03";
const P_2: &[u8] = b"\x41\x42\x04";
const SEI: &[u8] = b"\x06\x05\x01\x80";
const DELIMITER: &[u8] = b"\x09\xF0";
const EMPTY: &[u8] = b"";

const MP4: Framing = Framing::mp4(Carrier::Raw);

fn published() -> Fixture {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    fixture
}

/// A video sample in fragmented MP4.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    is_sync: bool,
    decode_time: u64,
    duration: u32,
    units: Vec<u8>,
}

/// Returns the samples of the video track.
fn frames(mp4: &[u8]) -> Vec<Frame> {
    let number = |at: usize| u32::from_be_bytes(mp4[at..at + 4].try_into().unwrap());
    let mut at = 0;
    let mut found = Vec::new();
    while at < mp4.len() {
        let len = number(at) as usize;
        if &mp4[at + 4..at + 8] == b"moof" && number(at + 44) == 1 {
            found.push(Frame {
                is_sync: mp4[at + 96] == 2,
                decode_time: number(at + 64).into(),
                duration: number(at + 88),
                units: mp4[at + 112..at + 104 + number(at + 104) as usize].to_vec(),
            });
        }
        at += len;
    }
    found
}

/// A viewer of MP4 that was connected from the beginning.
struct Viewer(std::sync::Arc<TestSink>);

impl Viewer {
    fn of(fixture: &Fixture, join: Join) -> Viewer {
        let sink = std::sync::Arc::new(TestSink::default());
        let receiver = Receiver {
            framing: MP4,
            join,
            capabilities: Capabilities::everything(),
        };
        fixture.receive(receiver, sink.clone());
        Viewer(sink)
    }

    fn frames(&self) -> Vec<Frame> {
        frames(&self.0.bytes())
    }

    fn units(&self) -> Vec<Vec<u8>> {
        self.frames().into_iter().map(|p| p.units).collect()
    }
}

/// Returns the frames of everything that HLS lists.
fn listed(fixture: &Fixture) -> Vec<Frame> {
    let ask = |request| {
        let asker = Asker {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            connection: 1,
            now: fixture.now.get(),
            nonce: || 7,
        };
        // As if the client had waited in vain for more.
        let _ = fixture.stream.ask_hls(request, &asker);
        match fixture.stream.look_again(request, &asker, true) {
            Ok(Look::Answer(answer)) => answer,
            look => panic!("no answer: {look:?}"),
        }
    };
    let Answer::Playlist(playlist) = ask(HlsRequest::Media(None)) else {
        panic!("no playlist");
    };
    let mut bytes = Vec::new();
    for segment in &playlist.listing.segments {
        let kind = FileKind::Segment(segment.number);
        let name = FileName { life: 7, kind };
        let Answer::Media(mut reader) = ask(HlsRequest::File(name)) else {
            panic!("no segment");
        };
        let start = bytes.len();
        while reader.len > 0 {
            let mut take = |slices: &[std::io::IoSlice<'_>]| {
                let before = bytes.len();
                slices
                    .iter()
                    .for_each(|slice| bytes.extend_from_slice(slice));
                Ok(bytes.len() - before)
            };
            let room = &mut [0; 1120];
            let sent = fixture.stream.send(&mut reader, &[], room, 0, &mut take);
            sent.unwrap().unwrap();
        }
        assert_eq!((bytes.len() - start) as u64, segment.bytes);
    }
    frames(&bytes)
}

/// Appends and pumps messages, each 10 ms after the previous one.
fn send(fixture: &Fixture, messages: &[(u32, Vec<u8>)]) {
    for (timestamp, payload) in messages {
        fixture.append(Kind::Video, *timestamp, payload);
        fixture.pump();
        fixture.wait(10);
    }
}

#[test]
fn messages_without_a_frame_are_relayed_but_are_no_samples() {
    let fixture = published();
    let viewer = Viewer::of(&fixture, Join::Live);
    let mut player = fixture.play(Join::Live);
    let messages = [
        (0, message(true, &[IDR])),
        (40, message(false, &[SEI])),
        (40, message(false, &[P])),
        (80, message(false, &[DELIMITER])),
        (80, message(true, &[])),
        (80, message(true, &[EMPTY])),
        (80, message(false, &[DELIMITER, SEI, P])),
    ];
    send(&fixture, &messages);
    let got: Vec<_> = player.media().into_iter().map(|got| got.payload).collect();
    let sent: Vec<_> = messages
        .iter()
        .map(|(_, payload)| payload.clone())
        .collect();
    assert_eq!(got, sent);
    let expected = [units(&[IDR]), units(&[P]), units(&[DELIMITER, SEI, P])];
    assert_eq!(viewer.units(), expected);
    let report = fixture.stream.report(fixture.now.get());
    assert_eq!(report.keyframe_interval, None, "one keyframe");
}

#[test]
fn an_empty_keyframe_message_is_no_join_point() {
    let fixture = published();
    let before = [(0, message(true, &[IDR])), (40, message(true, &[]))];
    send(&fixture, &before);
    send(&fixture, &[(80, message(false, &[P]))]);
    let mut player = fixture.play(Join::Gop);
    assert_eq!(player.media()[0].payload, before[0].1);
}

#[test]
fn empty_units_beside_a_frame_are_left_out_only_of_samples() {
    let fixture = published();
    let viewer = Viewer::of(&fixture, Join::Live);
    let mut player = fixture.play(Join::Live);
    let messages = [
        (0, message(true, &[EMPTY, IDR])),
        (40, message(false, &[SEI, EMPTY, P, EMPTY])),
        (80, message(false, &[P])),
    ];
    send(&fixture, &messages);
    assert_eq!(player.media().len(), 3);
    assert_eq!(
        viewer.units(),
        [units(&[IDR]), units(&[SEI, P]), units(&[P])]
    );
    let times: Vec<_> = viewer
        .frames()
        .iter()
        .map(|p| (p.decode_time, p.duration))
        .collect();
    let step = times[1].0 - times[0].0;
    assert_eq!(step, u64::from(times[0].1), "no hole");
}

#[test]
fn slices_in_separate_messages_are_one_frame() {
    let fixture = published();
    let viewer = Viewer::of(&fixture, Join::Live);
    let mut player = fixture.play(Join::Live);
    let mut sent = Vec::new();
    for second in 0..4 {
        for frame in 0..25 {
            let timestamp = second * 1_000 + frame * 40;
            let (first, other) = if frame == 0 { (IDR, IDR_2) } else { (P, P_2) };
            let is_key = frame == 0;
            let messages = [
                (timestamp, message(is_key, &[SEI])),
                (timestamp, message(is_key, &[first])),
                (timestamp, message(is_key, &[other])),
                (timestamp, message(is_key, &[other])),
            ];
            send(&fixture, &messages);
            fixture.append(Kind::Audio, timestamp, b"\xAF\x01\x21");
            sent.extend(messages.map(|(_, payload)| payload));
        }
    }
    let got: Vec<_> = player
        .media()
        .into_iter()
        .filter(|got| got.is_video())
        .collect();
    let payloads: Vec<_> = got.iter().map(|got| got.payload.clone()).collect();
    // Media before the first frame is of no use.
    assert_eq!(payloads, sent[1..]);

    let frames = viewer.frames();
    let whole = |first, other| units(&[first, other, other]);
    // It wasn't known that the first frame would have more slices, and the last frame may continue.
    assert_eq!(frames[0].units, units(&[IDR]));
    assert_eq!(frames.len(), 100);
    for (index, frame) in frames[1..].iter().enumerate() {
        let is_key = index % 25 == 0;
        let expected = if is_key {
            whole(IDR, IDR_2)
        } else {
            whole(P, P_2)
        };
        assert_eq!(
            (frame.is_sync, &frame.units),
            (is_key, &expected),
            "{index}"
        );
        let before = &frames[index];
        assert_eq!(
            before.decode_time + u64::from(before.duration),
            frame.decode_time
        );
    }

    let report = fixture.stream.report(fixture.now.get());
    assert_eq!(report.frame_rate, Some(25_000));
    assert_eq!(report.keyframe_interval, Some(1_000));
    let listed = listed(&fixture);
    assert!(listed.iter().filter(|frame| frame.is_sync).count() >= 2);
    assert!(listed[0].is_sync && listed.len() > 40, "{}", listed.len());

    // A late player starts at the first slice of the newest keyframe, and each frame of the burst
    // has one timestamp.
    let mut late = fixture.play(Join::Live);
    let got: Vec<_> = late
        .media()
        .into_iter()
        .filter(|got| got.is_video())
        .collect();
    assert_eq!(got[0].payload, message(true, &[IDR]));
    let slices: Vec<_> = got.iter().filter(|got| got.payload[9] != 6).collect();
    for frame in slices.chunks(3) {
        assert!(
            frame
                .iter()
                .all(|slice| slice.timestamp == frame[0].timestamp)
        );
    }
    let late = Viewer::of(&fixture, Join::Live);
    send(&fixture, &[(4_000, message(true, &[IDR]))]);
    let frames = late.frames();
    assert_eq!(frames.len(), 25);
    assert_eq!(frames[0].units, whole(IDR, IDR_2));
    for (before, after) in frames.iter().zip(&frames[1..]) {
        assert!(before.decode_time < after.decode_time);
    }
    // The newest keyframe, as a still, isn't complete yet.
    fixture.unpublish();
    let (_, reading) = fixture.stream.keyframe().unwrap();
    assert_eq!(reading.len, 112 + units(&[IDR]).len() as u64);
}

#[test]
fn a_frame_of_many_slices_across_blocks_is_copied_whole() {
    let fixture = published();
    let viewer = Viewer::of(&fixture, Join::Live);
    let slice = |head: &[u8], len: usize| [head, &vec![9; len]].concat();
    let (first, second) = (slice(IDR, 40_000), slice(IDR_2, 70_000));
    for second_of in 0..2 {
        let timestamp = second_of * 40;
        send(&fixture, &[(timestamp, message(true, &[&first]))]);
        fixture.append(Kind::Audio, timestamp, b"\xAF\x01\x21");
        fixture.append(
            Kind::Video,
            timestamp,
            &message(true, &[EMPTY, &second, EMPTY]),
        );
    }
    send(&fixture, &[(80, message(true, &[&first]))]);
    let whole = units(&[&first, &second]);
    assert_eq!(viewer.units(), [units(&[&first]), whole.clone(), whole]);
}

/// Slices that seem to continue a frame, but arrive much later. The first frame that has slices is sent
/// without them, and then again with them.
#[test]
fn slices_whose_first_is_lost_are_a_frame_of_their_own() {
    for (step, expected) in [(5, 3), (40, 5)] {
        let fixture = published();
        let viewer = Viewer::of(&fixture, Join::Live);
        let mut messages = vec![(1_000, message(true, &[IDR]))];
        messages.extend((1..3).map(|at| (1_000 + at * step, message(false, &[P_2]))));
        messages.push((1_200, message(false, &[P])));
        messages.push((1_240, message(false, &[P])));
        send(&fixture, &messages);
        assert_eq!(viewer.frames().len(), expected, "{step} ms apart");
    }
}

#[test]
fn the_bitstream_decides_what_is_a_keyframe() {
    let fixture = published();
    // Each frame is flagged.
    send(
        &fixture,
        &[
            (0, message(true, &[IDR])),
            (40, message(true, &[P])),
            (80, message(true, &[P])),
        ],
    );
    let viewer = Viewer::of(&fixture, Join::Gop);
    let mut player = fixture.play(Join::Gop);
    assert_eq!(player.media().len(), 3);
    let is_sync: Vec<_> = viewer.frames().iter().map(|p| p.is_sync).collect();
    assert_eq!(is_sync, [true, false, false]);
    let report = fixture.stream.report(fixture.now.get());
    assert_eq!(report.keyframe_interval, None);
    // None is.
    send(&fixture, &[(120, message(false, &[IDR]))]);
    assert_eq!(fixture.play(Join::Gop).media().len(), 1);
}

#[test]
fn units_are_found_behind_lengths_of_any_size() {
    for length_size in [1, 2, 4] {
        let unit = |unit: &[u8]| {
            let len = (unit.len() as u32).to_be_bytes();
            [&b"\x27\x01\0\0\0"[..], &len[4 - length_size..], unit].concat()
        };
        let mut header = SMALL.to_vec();
        header[9] = 0xFC | (length_size as u8 - 1);
        let fixture = Fixture::new();
        fixture.publish();
        // No frame is flagged.
        send(&fixture, &[(0, header), (0, unit(IDR)), (40, unit(P))]);
        let media = fixture.play(Join::Gop).media().len();
        assert_eq!(media, 2, "lengths of {length_size} bytes");
    }
}

#[test]
fn flags_count_only_until_the_bitstream_is_known() {
    let fixture = published();
    send(
        &fixture,
        &[(0, message(true, &[P])), (40, message(true, &[P]))],
    );
    assert_eq!(fixture.play(Join::Gop).media().len(), 1);
    // A recovery point has only the flag.
    let refresh = message(true, &[b"\x06\x06\x01\xC4\x80", P]);
    send(&fixture, &[(80, message(true, &[IDR])), (120, refresh)]);
    assert_eq!(fixture.play(Join::Gop).media().len(), 1);
    send(&fixture, &[(160, message(true, &[P]))]);
    assert_eq!(fixture.play(Join::Gop).media().len(), 2);
}

#[test]
fn the_bitstream_decides_in_hevc_and_av1_too() {
    type Row<'a> = (&'a str, &'a [u8], &'a [u8], &'a [u8], &'a [u8]);
    let rows: &[Row] = &[
        (
            "HEVC",
            b"\x90hvc1\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0",
            b"\x91hvc1\0\0\0\0\0\0\x03\x26\x01\xAF",
            b"\x91hvc1\0\0\0\0\0\0\x03\x02\x01\xD0",
            b"\xA3hvc1\0\0\0\x03\x26\x01\xAF",
        ),
        (
            "AV1",
            b"\x90av01\x81\0\x0C\0\x0A\x0B\0\0\0\x04\x3D\x06\xCC\xDA\xF9\0\x40",
            b"\x91av01\x0A\x01\0\x32\x02\x10\0",
            b"\x91av01\x32\x02\x30\0",
            b"\xA1av01\x0A\x01\0\x32\x02\x10\0",
        ),
    ];
    for (name, header, key, flagged, unflagged) in rows {
        let fixture = Fixture::new();
        fixture.publish();
        let play = || {
            let sink = std::sync::Arc::default();
            fixture.play_as(Capabilities::everything(), Join::Gop, sink)
        };
        send(&fixture, &[(0, header.to_vec()), (0, key.to_vec())]);
        send(&fixture, &[(40, flagged.to_vec())]);
        let media = |got: Vec<crate::fixture::Got>| {
            got.iter().filter(|got| got.payload[0] & 0xF != 0).count()
        };
        assert_eq!(media(play().got()), 2, "{name}");
        send(&fixture, &[(80, unflagged.to_vec())]);
        assert_eq!(media(play().got()), 1, "{name}");
    }
}
