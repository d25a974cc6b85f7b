//! Streams that share the arena.

use std::net::IpAddr;
use std::sync::Arc;

use brooklet::allowance::Allowance;
use brooklet::live::arena::{Arena, ArenaFull, BLOCK_LEN};
use brooklet::live::capabilities::Capabilities;
use brooklet::live::cut::Form;
use brooklet::live::hls::requests::{Answer, Asker, HlsRequest, Look};
use brooklet::live::life::{PublishRefused, Publisher};
use brooklet::live::out::framing::Framing;
use brooklet::live::out::join::Join;
use brooklet::live::out::request::{JoinRequest, Receiver};
use brooklet::live::stream::{Appended, Closed, Desks, Stream, StreamSettings};
use brooklet::live::table::StreamTable;
use brooklet::media::Medium;
use brooklet::rtmp::server_session::Dialect;
use brooklet::rtmp::stream_key::StreamKey;

use crate::files::SMALL;
use crate::fixture::{AVC_HEADER, TestSink, grace};

/// A server's streams and its clock.
struct Streams {
    settings: StreamSettings,
    now: u64,
}

/// A stream and its publisher.
struct Camera {
    stream: Stream,
    generation: u64,
    frames: u32,
    /// The number of frames dropped.
    lost: u32,
}

impl Streams {
    fn of_blocks(blocks: usize) -> Streams {
        let settings = StreamSettings {
            arena: Arena::new(blocks * BLOCK_LEN),
            history: 12_000,
            max_lag: 2_000,
            batch: 0,
            kept: 0,
            is_hls_served: true,
            desks: Desks::default(),
        };
        Streams {
            settings,
            now: 1_000,
        }
    }

    fn publish(&self, name: usize) -> Result<Camera, PublishRefused> {
        let key = StreamKey::new("live", &name.to_string()).unwrap();
        let stream = Stream::new(key, &self.settings);
        let publisher = Publisher {
            connection: 1,
            is_trusted: false,
            address: IpAddr::from([192, 0, 2, 1]),
            sink: Arc::<TestSink>::default(),
            allowance: Allowance::default(),
        };
        let accepted = stream.publish(publisher, self.now)?;
        let camera = Camera {
            stream,
            generation: accepted.generation,
            frames: 0,
            lost: 0,
        };
        camera.append(AVC_HEADER, self.now);
        Ok(camera)
    }

    /// Publishes a stream that consists of a single keyframe of `len` bytes.
    fn still(&self, name: usize, len: usize) -> Result<Camera, PublishRefused> {
        let mut camera = self.publish(name)?;
        camera.frame(true, len, self.now);
        Ok(camera)
    }
}

impl Camera {
    fn append(&self, payload: &[u8], now: u64) -> Appended {
        self.stream.heard(now);
        let payload = std::iter::once(payload);
        self.stream
            .append(self.generation, Medium::Video, now as u32, payload, now)
            .unwrap()
    }

    fn frame(&mut self, is_keyframe: bool, len: usize, now: u64) {
        let mut frame = vec![if is_keyframe { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        frame.resize(len, 0x41);
        self.lost += u32::from(self.append(&frame, now) != Appended::Stored);
        self.frames += 1;
        self.stream.pump(now);
    }

    /// Sends the next frame, at 25 frames per second, with keyframes of 90 KB every two seconds.
    fn film(&mut self, now: u64) {
        let is_keyframe = self.frames % 50 == 0;
        self.frame(is_keyframe, if is_keyframe { 90_000 } else { 9_000 }, now);
    }

    /// Whether a player that joins now receives a frame immediately.
    fn can_be_joined(&self) -> bool {
        let sink = Arc::<TestSink>::default();
        let receiver = Receiver {
            framing: Framing::rtmp(1, Dialect::AMF0),
            join: Join::Gop,
            capabilities: Capabilities::unknown(),
        };
        let request = JoinRequest::new(1, sink.clone(), receiver, Vec::new());
        self.stream.subscribe(request, 0).unwrap();
        let _ = self.stream.with_subscriber(1, 0, |_| {});
        self.stream.leave(1);
        sink.len() > 90_000
    }

    fn blocks(&self) -> usize {
        self.stream.report(0).blocks
    }
}

/// Sends some frames. Returns how often a player could join.
fn film(streams: &mut Streams, camera: &mut Camera, frames: u32) -> u32 {
    let mut joinable = 0;
    for _ in 0..frames {
        streams.now += 40;
        camera.film(streams.now);
        joinable += u32::from(camera.can_be_joined());
    }
    joinable
}

#[test]
fn a_camera_beside_480_tiny_streams_loses_nothing() {
    for is_first in [true, false] {
        let mut streams = Streams::of_blocks(2_048);
        let mut early = is_first.then(|| streams.publish(1_000).unwrap());
        if let Some(camera) = &mut early {
            assert_eq!(film(&mut streams, camera, 500), 500);
        }
        let tiny: Vec<_> = (0..480).map(|name| streams.still(name, 72)).collect();
        assert!(tiny.iter().all(Result::is_ok));
        let mut camera = early.unwrap_or_else(|| streams.publish(1_000).unwrap());
        assert_eq!(film(&mut streams, &mut camera, 500), 500);
        assert_eq!(camera.lost, 0);
        assert!(camera.blocks() >= 33, "{}", camera.blocks());
    }
}

#[test]
fn streams_without_a_publisher_give_up_their_blocks_first() {
    let mut streams = Streams::of_blocks(512);
    let mut zombies: Vec<_> = (0..12).map(|name| streams.publish(name).unwrap()).collect();
    for _ in 0..100 {
        streams.now += 40;
        for zombie in &mut zombies {
            zombie.film(streams.now);
        }
    }
    assert!(streams.settings.arena.free_blocks() <= 128);
    for zombie in &zombies {
        zombie
            .stream
            .unpublish(zombie.generation, grace(streams.now), streams.now);
    }
    let mut camera = streams.publish(1_000).unwrap();
    assert_eq!(film(&mut streams, &mut camera, 500), 500);
    assert_eq!(camera.lost, 0);
    let other = streams.publish(1_001).unwrap();
    let mut cameras = [camera, other];
    for index in 0..500 {
        streams.now += 40;
        for camera in &mut cameras {
            camera.frame(index % 250 == 0, 12_000, streams.now);
        }
    }
    // All blocks except the reserve, half of them for each stream.
    for camera in &cameras {
        assert!(camera.blocks() >= 184, "{}", camera.blocks());
    }
}

#[test]
fn a_recorder_that_never_reads_takes_nothing_from_another_stream() {
    let film_two = |is_hls_served: bool, is_recorded: bool| {
        let mut streams = Streams::of_blocks(256);
        streams.settings.is_hls_served = is_hls_served;
        let mut cameras = [0, 1].map(|name| streams.publish(name).unwrap());
        let place = is_recorded.then(|| cameras[0].stream.begin_recording(Form::Flv, 0));
        let mut joinable = 0;
        for index in 0..1_000 {
            streams.now += 40;
            // The second camera begins when the first one's messages have filled the memory.
            let running = if index < 400 { 1 } else { 2 };
            for camera in &mut cameras[..running] {
                camera.film(streams.now);
                joinable += u32::from(camera.can_be_joined());
            }
        }
        let free = streams.settings.arena.free_blocks();
        let held = cameras.each_ref().map(Camera::blocks);
        drop(place);
        assert_eq!(cameras.map(|camera| camera.lost), [0, 0]);
        assert_eq!(joinable, 1_600);
        (held, free)
    };
    for is_hls_served in [true, false] {
        let ([own, other], _) = film_two(is_hls_served, false);
        let ([recorded, beside], free) = film_two(is_hls_served, true);
        assert!(recorded > own + 30, "{recorded} blocks instead of {own}");
        assert!(beside >= other, "{beside} blocks instead of {other}");
        // The reserve is 32 blocks, and half as many are left in addition, but for what has come since
        // the spare blocks were counted.
        assert!(free >= 36, "{free} blocks are free");
    }
}

#[test]
fn unwatched_streams_share_the_memory_for_hls() {
    let mut streams = Streams::of_blocks(1_024);
    let mut cameras: Vec<_> = (0..4).map(|name| streams.publish(name).unwrap()).collect();
    let mut small = streams.publish(4).unwrap();
    for camera in cameras.iter().chain([&small]) {
        camera.append(SMALL, streams.now);
    }
    let listed = |camera: &Camera, now| {
        let asker = Asker {
            address: IpAddr::from([192, 0, 2, 2]),
            connection: 1,
            now,
            nonce: || 1,
        };
        match camera.stream.ask_hls(HlsRequest::Media(None), &asker) {
            Ok(Look::Answer(Answer::Playlist(playlist))) => playlist.listing,
            look => panic!("no playlist: {look:?}"),
        }
    };
    for index in 0..1_000 {
        streams.now += 40;
        for camera in &mut cameras {
            camera.film(streams.now);
        }
        // A keyframe each second: no segment is complete without the GOP before the newest.
        small.frame(index % 25 == 0, 2_000, streams.now);
        if index >= 500 && index % 25 == 0 {
            // A segment of this stream occupies 33 blocks, and ten segments are kept.
            listed(&cameras[0], streams.now);
        }
    }
    let (free, now) = (streams.settings.arena.free_blocks(), streams.now);
    // The reserve is 128 blocks, and half as many are left in addition.
    assert!((180..230).contains(&free), "{free} blocks are free");
    for camera in &cameras {
        let listing = listed(camera, now);
        assert!(listing.segments.len() >= 3, "{}", camera.blocks());
    }
    let listing = listed(&small, now);
    assert!(listing.segments.len() >= 4, "{listing:?}");
    assert!(
        listing
            .segments
            .iter()
            .all(|segment| !segment.has_discontinuity)
    );
}

#[test]
fn memory_kept_for_unwatched_hls_is_given_up_when_needed() {
    for is_silent in [true, false] {
        let mut streams = Streams::of_blocks(512);
        let mut unwatched = streams.publish(0).unwrap();
        unwatched.append(SMALL, streams.now);
        film(&mut streams, &mut unwatched, 1_000);
        assert!(unwatched.blocks() > 150, "{}", unwatched.blocks());
        let mut huge = streams.publish(1).unwrap();
        // All blocks except those that the other stream's newest GOP occupies.
        let mut most = 0;
        for index in 0..440 {
            streams.now += 40;
            huge.frame(index == 0, 15_000, streams.now);
            if !is_silent {
                unwatched.film(streams.now);
            }
            assert!(huge.can_be_joined() || index < 8 || huge.blocks() > 370);
            assert!(unwatched.can_be_joined());
            most = huge.blocks().max(most);
        }
        let (free, most) = (streams.settings.arena.free_blocks(), most);
        assert!(
            most > 370,
            "{most}, {} {} {free}",
            huge.blocks(),
            unwatched.blocks()
        );
    }
}

#[test]
fn a_huge_gop_takes_nothing_from_streams_with_small_ones() {
    for is_first in [true, false] {
        let mut streams = Streams::of_blocks(512);
        let mut huge = streams.publish(0).unwrap();
        if is_first {
            for index in 0..400 {
                huge.frame(index == 0, 9_200, streams.now);
            }
        }
        let mut cameras: Vec<_> = (1..5).map(|name| streams.publish(name).unwrap()).collect();
        // First a length that fits in addition, then one that doesn't.
        for len in [9_200, 30_000] {
            for index in 0..500 {
                streams.now += 40;
                for half in 0..2 {
                    huge.frame(index % 250 == 0 && half == 0, len, streams.now);
                }
                for camera in &mut cameras {
                    camera.film(streams.now);
                    assert!(camera.can_be_joined(), "{index}");
                }
            }
            // Of 448, and 33 for each camera.
            if len == 9_200 {
                assert!(huge.blocks() >= 280, "{}", huge.blocks());
            }
        }
        for camera in &cameras {
            assert_eq!(camera.lost, 0);
            assert!(camera.blocks() >= 33, "{}", camera.blocks());
        }
    }
}

#[test]
fn a_running_stream_keeps_its_gop_and_new_ones_without_room_are_refused() {
    let mut streams = Streams::of_blocks(128);
    let mut camera = streams.publish(1_000).unwrap();
    assert_eq!(film(&mut streams, &mut camera, 200), 200);
    let mut greedy = Vec::new();
    let mut refused = None;
    for name in 0..60 {
        match streams.still(name, 40_000) {
            Ok(camera) => greedy.push(camera),
            Err(busy) => refused = Some(busy),
        }
        for other in &mut greedy {
            for _ in 0..20 {
                other.frame(false, 40_000, streams.now);
            }
        }
        assert_eq!(film(&mut streams, &mut camera, 10), 10, "{name}");
    }
    assert_eq!(camera.lost, 0);
    let Some(PublishRefused::Full(full)) = refused else {
        panic!("{refused:?} after {} streams", greedy.len())
    };
    let ArenaFull::InAll { streams, .. } = full else {
        panic!("{full}")
    };
    assert_eq!(streams, greedy.len() + 1);
    let said = full.to_string();
    assert!(said.starts_with("no memory for another stream: "), "{said}");
    assert!(said.ends_with("(raise --memory)"), "{said}");
}

#[test]
fn a_publish_refused_for_lack_of_memory_leaves_no_stream_behind() {
    let streams = Streams::of_blocks(4);
    let table = StreamTable::new(streams.settings.clone());
    let publisher = |number: u8| Publisher {
        connection: u64::from(number),
        is_trusted: false,
        address: IpAddr::from([192, 0, 2, number]),
        sink: Arc::<TestSink>::default(),
        allowance: Allowance::default(),
    };
    let mut refused = 0;
    for number in 0..100 {
        let key = StreamKey::new("live", &number.to_string()).unwrap();
        let verdict = table.with(&key, 1_000, |stream| {
            Ok::<_, Closed>(stream.publish(publisher(number), 1_000))
        });
        refused += usize::from(matches!(verdict, Err(PublishRefused::Full(_))));
        assert_eq!(table.find(&key).is_some(), verdict.is_ok());
    }
    assert!(refused > 90, "{refused}");
}
