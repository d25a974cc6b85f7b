//! Receivers of endless files: FLV and fragmented MP4, over HTTP and WebSocket.

mod carriers;
mod tracks;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use brooklet::allowance::Allowance;
use brooklet::live::capabilities::Capabilities;
use brooklet::live::kind::Kind;
use brooklet::live::out::carrier::Carrier;
use brooklet::live::out::framing::{FileAnswer, Framing, Respond};
use brooklet::live::out::join::Join;
use brooklet::live::out::request::{JoinRequest, Receiver};
use brooklet::live::out::subscriber::{PlayEnd, Subscriber};

use crate::fixture::{AAC_HEADER, Fixture, TestSink};

/// H.264, 320x240 and 640x480.
pub(crate) const SMALL: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xc0\x0d\xff\xe1\0\x16\x67\x42\xc0\x0d\xda\x05\x07\xec\x04\x40\
    \0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8\x01\0\x04\x68\xce\x0f\xc8";
pub(crate) const LARGE: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\x18\x67\x42\xc0\x1e\xda\x02\x80\xf6\xc0\x44\
    \0\0\x03\0\x04\0\0\x03\0\xc8\x3c\x58\xba\x80\x01\0\x04\x68\xce\x0f\xc8";
const VP8: &[u8] = b"\x91vp08\x10\0\0\x9d\x01\x2a\x40\x01\xf0\0";

const FLV: Framing = Framing::flv(Carrier::Raw);
const MP4: Framing = Framing::mp4(Carrier::Raw);
const FLV_IN_CHUNKS: Framing = Framing::flv(Carrier::Chunked);
const MP4_IN_CHUNKS: Framing = Framing::mp4(Carrier::Chunked);
const FLV_IN_WEBSOCKET: Framing = Framing::flv(Carrier::WebSocket);
const MP4_IN_WEBSOCKET: Framing = Framing::mp4(Carrier::WebSocket);

fn published() -> Fixture {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    fixture
}

struct Viewer {
    id: u64,
    sink: Arc<TestSink>,
}

fn view(fixture: &Fixture, framing: Framing, join: Join) -> Viewer {
    view_as(fixture, framing, join, Capabilities::unknown())
}

fn view_as(fixture: &Fixture, framing: Framing, join: Join, capabilities: Capabilities) -> Viewer {
    let receiver = Receiver {
        framing,
        join,
        capabilities,
    };
    subscribe(fixture, receiver, |_| {})
}

fn view_with(fixture: &Fixture, framing: Framing, change: impl FnOnce(&mut JoinRequest)) -> Viewer {
    let receiver = Receiver {
        framing,
        join: Join::Gop,
        capabilities: Capabilities::unknown(),
    };
    subscribe(fixture, receiver, change)
}

/// Attaches a viewer to a socket provided by the test.
fn view_on(fixture: &Fixture, framing: Framing, sink: Arc<TestSink>) -> Viewer {
    let receiver = Receiver {
        framing,
        join: Join::Gop,
        capabilities: Capabilities::unknown(),
    };
    subscribe_on(fixture, receiver, sink, |_| {})
}

fn subscribe(
    fixture: &Fixture,
    receiver: Receiver,
    change: impl FnOnce(&mut JoinRequest),
) -> Viewer {
    subscribe_on(fixture, receiver, Arc::default(), change)
}

fn subscribe_on(
    fixture: &Fixture,
    receiver: Receiver,
    sink: Arc<TestSink>,
    change: impl FnOnce(&mut JoinRequest),
) -> Viewer {
    let id = fixture.next_player.get();
    fixture.next_player.set(id + 1);
    let mut request = request(id, sink.clone(), receiver);
    change(&mut request);
    let now = fixture.now.get();
    fixture.stream.subscribe(request, now).unwrap();
    let _ = fixture.stream.with_subscriber(id, now, |_| {});
    Viewer { id, sink }
}

fn request(id: u64, sink: Arc<TestSink>, receiver: Receiver) -> JoinRequest {
    let request = JoinRequest::new(id, sink, receiver, Vec::new());
    match receiver.framing {
        MP4_IN_WEBSOCKET | FLV_IN_WEBSOCKET => request,
        _ => JoinRequest {
            respond: Some(respond()),
            ..request
        },
    }
}

/// A server that writes the shortest heads.
fn respond() -> Respond {
    Box::new(|answer| {
        let head = match answer {
            FileAnswer::File(content_type) => {
                format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n")
            }
            FileAnswer::NotLive => "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
            FileAnswer::NoCodec => "HTTP/1.1 415 Unsupported Media Type\r\n\r\n".to_owned(),
        };
        head.into_bytes()
    })
}

impl Viewer {
    /// Returns the head of the response, and the bytes after it.
    fn body(&self) -> (String, Vec<u8>) {
        let bytes = self.sink.bytes();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.expect("a head") + 4);
        (String::from_utf8(head.to_vec()).unwrap(), body.to_vec())
    }

    fn content_type(&self) -> String {
        let (head, _) = self.body();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let mut lines = head.lines();
        let line = lines.find_map(|line| line.strip_prefix("Content-Type: "));
        line.unwrap().to_owned()
    }

    fn end(&self, fixture: &Fixture) -> Option<PlayEnd> {
        let now = fixture.now.get();
        fixture.stream.with_subscriber(self.id, now, |_| {}).err()
    }

    fn fragments(&self) -> Vec<Fragment> {
        fragments(&self.body().1)
    }

    fn tags(&self) -> (u8, Vec<Tag>) {
        tags(&self.body().1)
    }
}

/// An FLV tag: type, timestamp, payload.
type Tag = (u8, u32, Vec<u8>);

/// Returns the flags and all tags. Panics if the file violates the specification.
fn tags(file: &[u8]) -> (u8, Vec<Tag>) {
    assert_eq!(file[..4], *b"FLV\x01");
    assert_eq!(file[5..13], [0, 0, 0, 9, 0, 0, 0, 0]);
    let mut tags = Vec::new();
    let mut rest = &file[13..];
    while !rest.is_empty() {
        let len = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let timestamp = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        assert_eq!(rest[8..11], [0, 0, 0]);
        let previous = &rest[11 + len..15 + len];
        assert_eq!(previous, (11 + len as u32).to_be_bytes());
        tags.push((rest[0], timestamp, rest[11..11 + len].to_vec()));
        rest = &rest[15 + len..];
    }
    (file[4], tags)
}

/// An init segment, or a video or audio fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fragment {
    Init(Vec<u8>),
    Sample {
        track: u32,
        time: u64,
        duration: u32,
        is_sync: bool,
        bytes: Vec<u8>,
    },
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(crate) fn fragments(file: &[u8]) -> Vec<Fragment> {
    let mut found = Vec::new();
    let mut rest = file;
    let mut next = || {
        let (len, name) = (u32_at(rest, 0) as usize, &rest[4..8]);
        let (boxed, later) = rest.split_at(len);
        rest = later;
        (name, boxed, later.is_empty())
    };
    loop {
        let (name, boxed, _) = next();
        let (after, more, is_last) = next();
        found.push(match (name, after) {
            (b"ftyp", b"moov") => Fragment::Init(more.to_vec()),
            (b"moof", b"mdat") => {
                assert_eq!(boxed.len(), 104);
                assert_eq!(u32_at(boxed, 92) as usize + 8, more.len());
                Fragment::Sample {
                    track: u32_at(boxed, 44),
                    time: u64::from(u32_at(boxed, 60)) << 32 | u64::from(u32_at(boxed, 64)),
                    duration: u32_at(boxed, 88),
                    is_sync: u32_at(boxed, 96) & 0x1_0000 == 0,
                    bytes: more[8..].to_vec(),
                }
            }
            other => panic!("{other:?}"),
        });
        if is_last {
            return found;
        }
    }
}

/// Returns the time and duration of each sample of a track.
fn times(fragments: &[Fragment], wanted: u32) -> Vec<(u64, u32)> {
    let of_track = fragments.iter().filter_map(|fragment| match fragment {
        Fragment::Sample {
            track,
            time,
            duration,
            ..
        } if *track == wanted => Some((*time, *duration)),
        _ => None,
    });
    of_track.collect()
}

#[test]
fn an_flv_file_has_true_flags_headers_and_tags_from_near_zero() {
    let fixture = published();
    fixture.gop(5_000_000, 5);
    let viewer = view(&fixture, FLV, Join::Gop);
    fixture.gop(5_000_200, 2);
    assert_eq!(viewer.content_type(), "video/x-flv");
    let (flags, tags) = viewer.tags();
    assert_eq!(flags, 5);
    assert_eq!((tags[0].0, &tags[0].2[..]), (9, SMALL));
    assert_eq!((tags[1].0, &tags[1].2[..]), (8, AAC_HEADER));
    let video: Vec<u32> = tags[2..].iter().filter(|t| t.0 == 9).map(|t| t.1).collect();
    assert_eq!(video, [200, 240, 280, 320, 360, 400, 440]);
    let audio_frames = tags[2..].iter().filter(|tag| tag.0 == 8);
    assert_eq!(
        audio_frames.map(|tag| tag.1).take(2).collect::<Vec<_>>(),
        [210, 250]
    );
}

#[test]
fn a_file_begins_once_the_tracks_are_known() {
    for framing in [FLV, MP4] {
        let fixture = Fixture::new();
        fixture.publish();
        fixture.append(Kind::Video, 0, SMALL);
        let viewer = view(&fixture, framing, Join::Gop);
        fixture.frame(0, true, 1_000);
        fixture.pump();
        assert!(viewer.sink.bytes().is_empty(), "audio may come");
        fixture.append(Kind::Audio, 0, AAC_HEADER);
        fixture.audio(10, 100);
        fixture.pump();
        let tracks = match framing {
            FLV => viewer.tags().0,
            _ => {
                assert_eq!(
                    viewer.content_type(),
                    r#"video/mp4; codecs="avc1.42C00D,mp4a.40.2""#
                );
                5
            }
        };
        assert_eq!(tracks, 5);
    }
}

#[test]
fn without_audio_a_file_begins_after_two_seconds() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    let viewers = [FLV, MP4].map(|framing| view(&fixture, framing, Join::Gop));
    for index in 0..60 {
        fixture.frame(index * 40, index == 0, 1_000);
        fixture.pump();
        fixture.wait(40);
    }
    assert_eq!(viewers[0].tags().0, 1);
    assert_eq!(
        viewers[1].content_type(),
        r#"video/mp4; codecs="avc1.42C00D""#
    );
}

#[test]
fn an_mp4_file_has_every_frame_without_gaps() {
    let fixture = published();
    fixture.gop(0, 5);
    let viewer = view(&fixture, MP4, Join::Gop);
    fixture.gop(200, 5);
    let fragments = viewer.fragments();
    assert!(matches!(fragments[0], Fragment::Init(_)));
    let Fragment::Sample {
        is_sync: true,
        bytes,
        ..
    } = &fragments[1]
    else {
        panic!("{:?}", fragments[1]);
    };
    assert_eq!(bytes.len(), 995, "without the tag's header");
    let video = times(&fragments, 1);
    // Decoded one step early.
    let expected: Vec<_> = (0..10).map(|i| (160 + i * 40, 40)).collect();
    assert_eq!(video, expected);
    // At 44,100 Hz. The timestamps are 40 ms apart, so the count is corrected in the end.
    let audio_frames = times(&fragments, 2);
    assert_eq!(audio_frames[0], (8820 + 441, 1024));
    assert!(
        audio_frames[..5]
            .windows(2)
            .all(|pair| pair[0].0 + 1024 == pair[1].0)
    );
}

/// Two hours at 30 frames per second, together with AAC at 44,100 Hz. As with real encoders, timestamps
/// are whole ms.
#[test]
fn audio_and_video_are_in_sync_after_hours() {
    const SECONDS: u64 = 2 * 3600;
    const RATE: u64 = 44_100;
    let fixture = published();
    let viewer = view(&fixture, MP4, Join::Gop);
    let (mut worst, mut apart, mut frames) = (0, None, 0_u64);
    // In parts, since the sink keeps everything that it accepts.
    let mut begin = 0;
    for frame in 0..SECONDS * 30 {
        let ms = frame * 1000 / 30;
        fixture.frame(ms as u32, frame % 60 == 0, 12);
        while frames * 1024 * 1000 <= ms * RATE {
            fixture.audio((frames * 1024 * 1000 / RATE) as u32, 12);
            frames += 1;
        }
        fixture.wait(33);
        if frame % 3_000 != 2_999 {
            continue;
        }
        fixture.pump();
        let (_, body) = viewer.body();
        let found = fragments(&body[begin..]);
        begin = body.len();
        // The time at which the newest sample of each track is due, in us, and the time at which it
        // should be.
        let (decoded, step) = *times(&found, 1).last().unwrap();
        let shown = (decoded + u64::from(step)) * 1000;
        let heard = times(&found, 2).last().unwrap().0 * 1_000_000 / RATE;
        let offset = (shown as i64 - (ms * 1000) as i64)
            - (heard as i64 - ((frames - 1) * 1024 * 1_000_000 / RATE) as i64);
        worst = worst.max((offset - *apart.get_or_insert(offset)).abs());
    }
    assert!(worst < 1_000, "{worst} us");
}

#[test]
fn a_live_join_restamps_the_cached_frames() {
    let fixture = published();
    fixture.gop(0, 20);
    let viewer = view(&fixture, MP4, Join::Live);
    fixture.gop(800, 1);
    let video = times(&viewer.fragments(), 1);
    let expected = (0..20).map(|i| (199 + i, 1));
    assert_eq!(video, expected.chain([(219, 40)]).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_sent_byte_by_byte_is_the_same_file() {
    for framing in [FLV, MP4, FLV_IN_CHUNKS, MP4_IN_CHUNKS, MP4_IN_WEBSOCKET] {
        let fixture = published();
        fixture.gop(0, 3);
        let whole = view(&fixture, framing, Join::Gop);
        let slow = view(&fixture, framing, Join::Gop);
        slow.sink.set_room(0);
        for index in 0..20 {
            fixture.frame(120 + index * 40, false, 300);
            fixture.audio(125 + index * 40, 30);
            for _ in 0..400 {
                slow.sink.set_room(1 + index as usize * 3);
                fixture.pump();
            }
        }
        slow.sink.set_room(usize::MAX);
        fixture.pump();
        assert!(slow.sink.bytes() == whole.sink.bytes(), "{framing:?}");
    }
}

#[test]
fn a_file_is_the_same_for_any_number_of_viewers() {
    /// Returns what the first viewer receives, and what a viewer that joined later receives.
    fn seen(framing: Framing, others: usize) -> (Vec<u8>, Vec<u8>) {
        let fixture = published();
        fixture.gop(0, 3);
        let first = view(&fixture, framing, Join::Gop);
        let _players: Vec<_> = (0..others).map(|_| fixture.play(Join::Gop)).collect();
        let _viewers: Vec<_> = (0..others)
            .flat_map(|_| [FLV, MP4, MP4_IN_WEBSOCKET])
            .map(|framing| view(&fixture, framing, Join::Gop))
            .collect();
        fixture.gop(120, 30);
        let late = view(&fixture, framing, Join::Live);
        fixture.gop(1_320, 5);
        fixture.append(Kind::Video, 1_520, LARGE);
        fixture.gop(1_520, 30);
        (first.sink.bytes(), late.sink.bytes())
    }

    for framing in [FLV, MP4, MP4_IN_WEBSOCKET] {
        let (alone, among_others) = (seen(framing, 0), seen(framing, 3));
        assert!(alone == among_others, "{framing:?}");
        assert_ne!(alone.0, alone.1);
    }
}

/// If nothing announces the tracks earlier, they are known after two seconds.
#[test]
fn a_viewer_that_waited_gets_everything_from_the_first_join_point_on() {
    let of_flv = |viewer: &Viewer, kind: u8| -> Vec<u32> {
        let tags = viewer.tags().1.into_iter();
        let media = tags.filter(|(found, _, body)| *found == kind && body[1] == 1);
        media.map(|(_, timestamp, _)| timestamp).collect()
    };
    let of_mp4 = |viewer: &Viewer, track| -> Vec<u64> {
        let times = times(&viewer.fragments(), track);
        times.into_iter().map(|(time, _)| time).collect()
    };

    let fixture = Fixture::new();
    let viewers = [FLV, MP4].map(|framing| view(&fixture, framing, Join::Live));
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    for index in 0..150 {
        fixture.audio(index * 10_240 / 441, 100);
        if index % 5 == 4 {
            fixture.pump();
        }
        fixture.wait(23);
    }
    assert_eq!(of_flv(&viewers[0], 8).len(), 150);
    assert_eq!(of_mp4(&viewers[1], 2).len(), 150);

    let fixture = Fixture::new();
    let viewers = [FLV, MP4].map(|framing| view(&fixture, framing, Join::Live));
    fixture.publish();
    fixture.append(Kind::Video, 0, SMALL);
    for index in 0..150 {
        fixture.frame(index * 20, index % 10 == 0, 100);
        fixture.pump();
        fixture.wait(20);
    }
    let expected: Vec<u32> = (0..150).map(|index| 200 + index * 20).collect();
    assert_eq!(of_flv(&viewers[0], 9), expected);
    assert_eq!(of_mp4(&viewers[1], 1).len(), 150);
    let sent = viewers.map(|viewer| fixture.stream.leave(viewer.id).unwrap().skips);
    assert_eq!(sent, [0, 0]);
}
