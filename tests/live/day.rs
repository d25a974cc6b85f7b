//! A day of one stream with simulated clocks: timestamps pass the limits of 24, 31 and 32 bits, the
//! publisher changes every hour, and players come, go and lag.
//!
//! An encoder writes chunks, a server session reads them, and the media passes through the stream to
//! players, whose bytes are parsed. There are two video and two audio frames per second.

use std::sync::Arc;

use brooklet::live::finding::Finding;
use brooklet::live::kind::Kind;
use brooklet::live::out::join::Join;
use brooklet::live::out::subscriber::PlayEnd;
use brooklet::live::stream::Superseded;

use crate::encoder::Encoder;
use crate::fixture::{AWAY, Fixture, HOME, Player, TestSink};

const HOUR: u64 = 3_600_000;
const HALF_AN_HOUR: u32 = 1_800_000;

/// The first timestamps of publishers: half an hour before the limit of each field. The first publisher
/// passes FFFFFF, the first extended timestamp, with a video frame.
const BASES: [u32; 4] = [
    0xFF_FFFFu32.wrapping_sub(HALF_AN_HOUR + 16_777_500),
    (1 << 24) - HALF_AN_HOUR,
    (1 << 31) - HALF_AN_HOUR,
    0,
];

/// The number of blocks in the arena.
const BLOCKS: usize = 16;

/// The number of blocks that the log needs for 12 s and a GOP, 25 kB that begin and end within a block.
const MAX_LOG_BLOCKS: usize = 3;

/// The keyframe interval in seconds.
const GOP: u64 = 10;

const KEYFRAME_LEN: usize = 8_000;

/// The number of bytes in a read: messages arrive in parts, and several at once.
const READ_LEN: usize = 700;

/// The number of bytes per second that the slow player reads, out of about 1100.
const SLOW: usize = 850;

/// A player, and what it has received so far.
struct Watched {
    player: Player,
    /// The number of the newest message.
    number: Option<u32>,
    /// The newest timestamps of audio and of video.
    newest: [Option<u32>; 2],
    /// The total advance of the video timestamps, in ms.
    time: u64,
    frames: u32,
    /// The number of messages that were left out.
    missing: u32,
}

impl Watched {
    fn new(player: Player) -> Watched {
        Watched {
            player,
            number: None,
            newest: [None; 2],
            time: 0,
            frames: 0,
            missing: 0,
        }
    }

    /// Checks the messages received since the last call.
    fn watch(&mut self) {
        for got in self.player.got() {
            if got.type_id == 18 {
                assert_eq!(got.timestamp, 0);
                continue;
            }
            assert!(got.is_video() || got.is_audio(), "{got:?}");
            if got.is_header() {
                continue;
            }
            let newest = &mut self.newest[usize::from(got.is_video())];
            let step = newest.map_or(0, |newest| got.timestamp.wrapping_sub(newest));
            assert!(
                step < 1 << 31,
                "{got:?} goes back {} ms",
                step.wrapping_neg()
            );
            *newest = Some(got.timestamp);

            let number = got.number();
            if let Some(last) = self.number {
                assert!(number > last, "{number} after {last}");
                self.missing += number - last - 1;
            } else {
                assert!(got.is_keyframe(), "starts with {got:?}");
            }
            self.number = Some(number);
            if got.is_video() {
                self.time += u64::from(step);
                self.frames += 1;
            }
        }
    }
}

struct Day {
    fixture: Fixture,
    encoder: Encoder,
    address: [u8; 4],
    /// The publisher's timestamp when its clock was set, and the time of that moment.
    base: u32,
    since: u64,
    number: u32,
    payload: [u8; KEYFRAME_LEN],
    ballast: Vec<u8>,
    slow_sink: Arc<TestSink>,
}

impl Day {
    fn new(base: u32) -> Day {
        let fixture = Fixture::with(BLOCKS, 0);
        Day {
            encoder: Encoder::publish(&fixture, HOME, base),
            address: HOME,
            base,
            since: fixture.now.get(),
            number: 0,
            payload: [0x41; KEYFRAME_LEN],
            ballast: Encoder::ballast(),
            slow_sink: Arc::default(),
            fixture,
        }
    }

    /// Returns the publisher's current timestamp.
    fn time(&self) -> u32 {
        let since = self.fixture.now.get() - self.since;
        self.base.wrapping_add(since as u32)
    }

    fn set_clock(&mut self, time: u32) {
        self.base = time;
        self.since = self.fixture.now.get();
    }

    /// Sends one second of media that begins with a video frame. Its last audio frame has the time of
    /// its end.
    fn second(&mut self, second: u64) {
        self.slow_sink.set_room(SLOW);
        // Just after the clock was set, messages are sent one at a time, otherwise together.
        let is_prompt = self.fixture.now.get() == self.since;
        for half in 0..2 {
            self.message(Kind::Video, half == 0 && second % GOP == 0);
            if is_prompt {
                self.send();
            }
            self.fixture.wait(500);
            self.message(Kind::Audio, false);
            if is_prompt {
                self.send();
            }
        }
        self.send();
    }

    fn message(&mut self, kind: Kind, is_keyframe: bool) {
        let (tag, len) = match kind {
            Kind::Video if is_keyframe => (0x17, KEYFRAME_LEN),
            Kind::Video => (0x27, 120),
            _ => (0xAF, 30),
        };
        self.payload[..5].copy_from_slice(&[tag, 1, 0, 0, 0]);
        self.payload[5..9].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        let time = self.time();
        self.encoder
            .media(kind, time, is_keyframe, &self.payload[..len]);
    }

    fn send(&mut self) {
        self.encoder.send(&self.fixture, READ_LEN).unwrap();
    }

    /// Advances the time while the publisher sends nothing.
    fn pause(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.slow_sink.set_room(SLOW);
            self.fixture.wait(1_000);
            self.fixture.pump();
        }
    }

    /// Removes the publisher in one of three ways, and connects another one.
    fn change_publisher(&mut self, hour: u64) {
        match hour % 3 {
            0 => {
                // Lost, and back within the grace time.
                self.fixture.unpublish();
                self.pause(5);
            }
            1 => {
                // Silent, and replaced from another address.
                self.pause(3);
                self.address = if self.address == HOME { AWAY } else { HOME };
            }
            _ => {
                // Replaced by itself in the middle of a message.
                self.encoder.frame_in_part(&self.fixture, 50_000, 20_000);
                let log = self.fixture.stream.report(0).blocks;
                assert_eq!(self.blocks_in_use(), log + 2);
                self.pause(1);
            }
        }
        let base = BASES[(hour + 1) as usize % BASES.len()];
        // Every other encoder sends headers at timestamp 0.
        let header_time = if hour % 2 == 0 { 0 } else { base };
        let new = Encoder::publish(&self.fixture, self.address, header_time);
        let mut old = std::mem::replace(&mut self.encoder, new);
        old.media(Kind::Audio, 0, false, &[0xAF; 200_000]);
        assert_eq!(old.send(&self.fixture, READ_LEN), Err(Superseded));
        old.unpublish(&self.fixture);
        assert!(self.fixture.stream.is_live());
        self.set_clock(base);
    }

    /// Returns the number of jumps of the encoder's clock that were found.
    fn jumps(&self) -> u32 {
        let report = self.fixture.stream.report(self.fixture.now.get());
        let jumps = report.findings.iter().filter_map(|finding| match finding {
            Finding::Timestamps(repair) => Some(repair.total),
            _ => None,
        });
        jumps.sum()
    }

    fn blocks_in_use(&self) -> usize {
        self.fixture.arena.total_blocks() - self.fixture.arena.free_blocks()
    }

    /// Checks the number of used blocks while no message is under assembly.
    fn check_blocks(&self) {
        let log = self.fixture.stream.report(0).blocks;
        assert!((1..=MAX_LOG_BLOCKS).contains(&log), "{log} blocks");
        // One additional block, until the next read, for a message that was split between two reads.
        assert!(self.blocks_in_use() <= log + 1);
    }
}

fn live_through(hours: u64, base: u32) {
    let mut day = Day::new(base);
    let start = day.fixture.now.get();
    let mut all_day = Watched::new(day.fixture.play(Join::Live));
    let mut slow = Watched::new(day.fixture.play_with(Join::Live, day.slow_sink.clone()));
    let mut guest = None;
    for hour in 0..hours {
        let is_clock_set = hour % 4 == 1;
        for second in 0..3_600 {
            match second {
                7 => {
                    let join = [Join::Live, Join::Gop, Join::Next][hour as usize % 3];
                    guest = Some(Watched::new(day.fixture.play(join)));
                }
                1_800 => {
                    let mut guest = guest.take().unwrap();
                    guest.watch();
                    assert!(guest.frames >= 2 * 1_790);
                    let delivered = day.fixture.stream.leave(guest.player.id).unwrap();
                    assert_eq!(delivered.skips, 0);
                }
                // A day ahead, and then two hours back.
                2_700 if is_clock_set => day.set_clock(day.time().wrapping_add(24 * HOUR as u32)),
                3_100 if is_clock_set => day.set_clock(day.time().wrapping_sub(2 * HOUR as u32)),
                _ => {}
            }
            if second % 2 == 0 {
                day.encoder.send_ballast(&day.fixture, &day.ballast);
            }
            day.second(second);
            if second % 60 == 0 {
                all_day.watch();
                slow.watch();
                guest.iter_mut().for_each(Watched::watch);
                day.check_blocks();
            }
        }
        all_day.watch();
        slow.watch();
        // Every message, and the elapsed time, to the ms. The newest frame is from half a second
        // ago.
        let passed = day.fixture.now.get() - start - 500;
        assert_eq!((all_day.time, all_day.missing), (passed, 0));
        assert_eq!(all_day.number, Some(day.number - 1));
        assert_eq!(all_day.newest[1], Some(base.wrapping_add(passed as u32)));
        let behind = passed - slow.time;
        assert!(behind < 3 * GOP * 1_000, "{behind} ms behind");
        assert!(day.encoder.sent > u32::MAX.into());
        assert_eq!(day.jumps(), if is_clock_set { 2 } else { 0 });
        if hour + 1 < hours {
            day.change_publisher(hour);
        }
    }
    assert!(
        slow.missing > day.number / 4,
        "{} of {}",
        slow.missing,
        day.number
    );

    let Day {
        fixture,
        encoder,
        slow_sink,
        ..
    } = day;
    slow_sink.set_room(usize::MAX);
    fixture.unpublish();
    drop(encoder);
    fixture
        .stream
        .end(fixture.generation.get(), fixture.now.get());
    for watched in [&all_day, &slow] {
        assert_eq!(fixture.end_of(&watched.player), Some(PlayEnd::Finished));
        fixture.stream.leave(watched.player.id);
    }
    let Fixture { arena, stream, .. } = fixture;
    drop(stream);
    assert_eq!(arena.free_blocks(), arena.total_blocks());
}

#[test]
fn a_day_passes_the_ends_of_32_and_of_24_bits() {
    live_through(24, BASES[0]);
}

#[test]
fn an_hour_passes_the_end_of_31_bits() {
    live_through(1, BASES[2]);
}
