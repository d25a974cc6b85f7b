//! The memory outside the arena that a publisher can make its stream keep.

use std::sync::Arc;

use allocation_counter::measure;
use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::capabilities::Capabilities;
use brooklet::live::kind::Kind;
use brooklet::live::out::carrier::Carrier;
use brooklet::live::out::framing::Framing;
use brooklet::live::out::join::Join;
use brooklet::live::out::request::Receiver;
use brooklet::live::stream::{Desks, Stream, StreamSettings};
use brooklet::rtmp::stream_key::StreamKey;

use crate::fixture::{AAC_HEADER, AVC_HEADER, Fixture, TestSink};

/// The most bytes that a stream may occupy on the heap, with headers of the maximum length.
const STREAM: i64 = 16 * 1024;

/// The most bytes that a stream occupies if its headers are as short as those of real encoders.
const USUAL: i64 = 7 * 1024;

/// Returns the number of bytes that are still allocated after `act`.
fn kept(act: impl FnOnce()) -> i64 {
    measure(act).bytes_current
}

/// An H.264 sequence header that is padded to `len` bytes, and contains a number.
fn header(number: u32, len: usize) -> Vec<u8> {
    let mut header = AVC_HEADER.to_vec();
    header.extend(number.to_be_bytes());
    header.resize(header.len().max(len), 7);
    header
}

#[test]
fn tiny_messages_leave_nothing_outside_the_arena() {
    let fixture = Fixture::with(64, 0);
    fixture.publish();
    let kept = kept(|| {
        fixture.append(Kind::Audio, 0, AAC_HEADER);
        for index in 0..20_000 {
            fixture.append(Kind::Audio, index, b"\xAF\x01\x21");
        }
        fixture.pump();
    });
    assert!(kept < USUAL, "{kept}");
    assert!(fixture.stream.report(0).blocks > 40);
}

#[test]
fn new_headers_between_inter_frames_are_not_kept_for_hls() {
    for len in [0, 3_000, 16_000, 60_000] {
        let fixture = Fixture::with(512, 0);
        fixture.publish();
        let kept = kept(|| {
            fixture.append(Kind::Video, 0, AVC_HEADER);
            fixture.frame(0, true, 100);
            for index in 1..3_000 {
                fixture.append(Kind::Video, index * 40, &header(index, len));
                fixture.frame(index * 40, false, 100);
                fixture.pump();
                fixture.wait(40);
            }
        });
        assert!(
            kept < if len == 0 { USUAL } else { STREAM },
            "{len}: {kept}"
        );
    }
}

#[test]
fn new_headers_before_keyframes_are_not_kept_for_hls() {
    for len in [0, 3_000, 16_000, 60_000] {
        let fixture = Fixture::with(512, 0);
        fixture.publish();
        let kept = kept(|| {
            for index in 0..2_000 {
                fixture.append(Kind::Video, index * 40, &header(index, len));
                fixture.frame(index * 2_000, true, 100);
                fixture.frame(index * 2_000 + 1_000, false, 100);
                fixture.pump();
                fixture.wait(2_000);
            }
        });
        assert!(
            kept < if len == 0 { USUAL } else { STREAM },
            "{len}: {kept}"
        );
    }
}

#[test]
fn headers_of_many_tracks_lie_in_the_arena() {
    let fixture = Fixture::with(512, 0);
    fixture.publish();
    let kept = kept(|| {
        for round in 0..20 {
            for track in 0..64 {
                let mut video = b"\x96\x00hvc1".to_vec();
                video.push(track);
                video.resize(16_000, round);
                fixture.append(Kind::Video, 0, &video);
            }
            fixture.pump();
        }
    });
    assert!(kept < STREAM, "{kept}");
}

/// Players that stop in the middle of a header, each in a different version of the header.
#[test]
fn players_that_stop_inside_the_headers_keep_no_version_of_their_own() {
    const PLAYERS: u32 = 60;
    let framings = [Framing::flv(Carrier::Raw), Framing::mp4(Carrier::Raw)];
    for framing in [None, Some(framings[0]), Some(framings[1])] {
        let fixture = Fixture::with(512, 0);
        fixture.publish();
        fixture.append(Kind::Audio, 0, AAC_HEADER);
        let sinks: Vec<_> = (0..PLAYERS).map(|_| Arc::<TestSink>::default()).collect();
        let mut players = Vec::new();
        let mut join = || {
            for (index, sink) in (0..).zip(&sinks) {
                fixture.append(Kind::Video, index * 40, &header(index, 15_000));
                fixture.append(Kind::Video, index * 40, &header(index, 2_500));
                fixture.frame(index * 40, true, 100);
                sink.reserve(4_096);
                sink.set_room(30);
                if let Some(framing) = framing {
                    let receiver = Receiver {
                        framing,
                        join: Join::Live,
                        capabilities: Capabilities::everything(),
                    };
                    fixture.receive(receiver, sink.clone());
                } else {
                    players.push(fixture.play_with(Join::Live, sink.clone()));
                }
                fixture.pump();
                fixture.wait(40);
            }
        };
        let kept = kept(&mut join);
        // Players and their test sockets.
        let kept = kept - i64::from(PLAYERS) * (4_096 + 1_200);
        assert!(kept < STREAM, "{framing:?}: {kept}");
        let blocks = fixture.arena.total_blocks() - fixture.arena.free_blocks();
        assert!(blocks * BLOCK_LEN < 2_000_000, "{blocks} blocks");
    }
}

#[test]
fn a_stream_that_nobody_has_published_is_small() {
    let settings = StreamSettings {
        arena: Arena::new(4 * BLOCK_LEN),
        history: 12_000,
        max_lag: 2_000,
        batch: 0,
        kept: 0,
        is_hls_served: true,
        desks: Desks::default(),
    };
    let key = StreamKey::new("live", "test").unwrap();
    let mut stream = None;
    let kept = kept(|| stream = Some(Stream::new(key.clone(), &settings)));
    assert!(kept < 2_500, "{kept}");
}
