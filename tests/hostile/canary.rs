//! A stream through a server under attack. It must not lose anything.
//!
//! The publisher sends messages whose every byte follows from their number. The player computes each
//! message again and compares it: from the join on, each message must arrive once, in order, with intact
//! bytes and timestamps.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use brooklet::rtmp::chunk::MessageHeader;
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::message::type_id;

use crate::common::client::{Client, Message};
use crate::common::{SOON, poll_until};
use crate::delays::Delays;

/// The time between two messages, which are alternately video and audio.
const STEP: Duration = Duration::from_millis(10);

/// The number of messages from one keyframe to the next: half a second.
const GOP: u64 = 50;

/// The number of bytes of a message that are held back until the next message. It is less than the
/// length of the shortest message.
const TAIL: usize = 3;

/// An H.264 sequence header, 320x240, with everything that MP4 needs.
const VIDEO_HEADER: &[u8] =
    b"\x17\0\0\0\0\x01\x42\xc0\x0d\xff\xe1\0\x16\x67\x42\xc0\x0d\xda\x05\x07\xec\x04\x40\
    \0\0\x03\0\x40\0\0\x0c\x83\xc5\x0a\xa8\x01\0\x04\x68\xce\x0f\xc8";

/// An AAC sequence header whose frames of 1024 samples last two steps: 51,200 Hz.
const AUDIO_HEADER: &[u8] = b"\xAF\0\x17\x80\x64\0\x10";

/// The timestamp of the first message.
const START: u32 = 1_000;

/// The size of the stream's frames.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    keyframe_len: usize,
    frame_len: usize,
}

impl Load {
    /// 300 kbit/s: occupies a few blocks of memory, whatever the attackers do.
    pub(crate) const LIGHT: Load = Load {
        keyframe_len: 3_000,
        frame_len: 500,
    };

    /// 11 Mbit/s: a player that doesn't read falls behind quickly.
    pub(crate) const HEAVY: Load = Load {
        keyframe_len: 80_000,
        frame_len: 25_000,
    };

    /// Returns the type, timestamp and payload of a message.
    pub(crate) fn message(self, number: u64) -> (u8, u32, Vec<u8>) {
        let timestamp = START + (number * STEP.as_millis() as u64) as u32;
        let is_keyframe = number % GOP == 0;
        let (type_id, len, mut payload) = if number % 2 == 1 {
            (type_id::AUDIO, 100, vec![0xAF, 1])
        } else if is_keyframe {
            let nal_len = (self.keyframe_len - 9) as u32;
            let mut payload = vec![0x17, 1, 0, 0, 0];
            payload.extend(nal_len.to_be_bytes());
            payload.extend([0x65, 0x88]);
            (type_id::VIDEO, self.keyframe_len, payload)
        } else {
            let nal_len = (self.frame_len - 9) as u32;
            let mut payload = vec![0x27, 1, 0, 0, 0];
            payload.extend(nal_len.to_be_bytes());
            payload.extend([0x41, 0x9A]);
            (type_id::VIDEO, self.frame_len, payload)
        };
        payload.extend((number as u32).to_be_bytes());
        let missing = len - payload.len();
        let offset = number as usize * 97 % 65_536;
        payload.extend_from_slice(&PATTERN[offset..offset + missing]);
        (type_id, timestamp, payload)
    }
}

/// Bytes without a pattern. Each message consists of a different range of them.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x1234_5678_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..192 * 1024).map(|_| next()).collect()
});

/// See the module's documentation.
pub(crate) struct Canary {
    sent: Arc<AtomicU64>,
    delays: Arc<Delays>,
    received: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    player_socket: TcpStream,
    publisher: Option<JoinHandle<()>>,
    player: Mutex<Option<JoinHandle<()>>>,
}

/// The app and name of the canary's stream.
pub(crate) const STREAM: (&str, &str) = ("live", "canary");

impl Canary {
    /// Starts to publish and to play.
    pub(crate) fn start(server: SocketAddr, load: Load) -> Canary {
        let player = Client::playing(server, STREAM.0, STREAM.1);
        let publisher = Client::publishing(server, STREAM.0, STREAM.1);
        let player_socket = player.socket().try_clone().unwrap();
        let sent = Arc::<AtomicU64>::default();
        let received = Arc::<AtomicU64>::default();
        let is_over = Arc::<AtomicBool>::default();
        let delays = Arc::<Delays>::default();
        let publisher = {
            let (sent, is_over) = (Arc::clone(&sent), Arc::clone(&is_over));
            let delays = Arc::clone(&delays);
            thread::spawn(move || publish(publisher, load, &sent, &delays, &is_over))
        };
        let player = {
            let (received, is_over) = (Arc::clone(&received), Arc::clone(&is_over));
            let delays = Arc::clone(&delays);
            thread::spawn(move || play(player, load, &received, &delays, &is_over))
        };
        let canary = Canary {
            sent,
            delays,
            received,
            is_over,
            player_socket,
            publisher: Some(publisher),
            player: Mutex::new(Some(player)),
        };
        canary.verdict(10);
        canary
    }

    /// Returns the send times of its messages, and their delays.
    pub(crate) fn delays(&self) -> &Arc<Delays> {
        &self.delays
    }

    /// Waits until `more` messages that haven't been sent yet have arrived. Fails if any message so far
    /// was wrong. Returns the total number of messages that have arrived.
    pub(crate) fn verdict(&self, more: u64) -> u64 {
        let goal = self.sent.load(Ordering::Relaxed) + more;
        let mut received = 0;
        let has_come = poll_until(SOON, || {
            received = self.received.load(Ordering::Relaxed);
            let mut player = self.player.lock().unwrap();
            if let Some(player) = player.take_if(|player| player.is_finished()) {
                match player.join() {
                    Ok(()) => panic!("the canary's player ended by itself"),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            received >= goal
        });
        let sent = self.sent.load(Ordering::Relaxed);
        assert!(
            has_come,
            "the canary starves: {received} messages of {sent} arrived, waited for {goal}"
        );
        received
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.player_socket.shutdown(Shutdown::Both);
        let player = self
            .player
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for thread in [self.publisher.take(), player.take()].into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

fn publish(
    mut client: Client,
    load: Load,
    sent: &AtomicU64,
    delays: &Delays,
    is_over: &AtomicBool,
) {
    let writer = ChunkWriter::with_announced_chunk_size();
    let mut bytes = Vec::new();
    let mut write = |(type_id, timestamp, payload): (u8, u32, Vec<u8>)| {
        let header = MessageHeader {
            chunk_stream_id: type_id % 60,
            timestamp,
            len: 0,
            type_id,
            message_stream_id: 1,
        };
        writer.write(header, &payload, &mut bytes);
        // The end of each message is sent with the next message, as happens in networks: the server is
        // always in the middle of a message.
        let end = bytes.len() - TAIL;
        client.send(&bytes[..end]);
        bytes.drain(..end);
    };
    write((type_id::VIDEO, START, VIDEO_HEADER.to_vec()));
    write((type_id::AUDIO, START, AUDIO_HEADER.to_vec()));
    let began = Instant::now();
    for number in 0.. {
        let due = STEP * number as u32;
        // Real time, like a live source.
        thread::sleep(due.saturating_sub(began.elapsed()));
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        sent.store(number, Ordering::Relaxed);
        // The next bytes to be sent contain the end of the previous message.
        if let Some(before) = number.checked_sub(1) {
            delays.note_sent(before);
        }
        write(load.message(number));
    }
}

fn play(
    mut client: Client,
    load: Load,
    received: &AtomicU64,
    delays: &Delays,
    is_over: &AtomicBool,
) {
    let mut next = || loop {
        match client.next() {
            Some(message) if matches!(message.type_id, type_id::AUDIO | type_id::VIDEO) => {
                return Some(message);
            }
            Some(_) => {}
            None => {
                let is_over = is_over.load(Ordering::Relaxed);
                assert!(is_over, "the canary's player was disconnected");
                return None;
            }
        }
    };
    for header in [VIDEO_HEADER, AUDIO_HEADER] {
        let Some(message) = next() else { return };
        assert_eq!(message.payload, header, "the canary's headers come first");
    }
    // The player starts at a keyframe: the first one, unless it was read together with the next.
    let Some(first) = next() else { return };
    assert!(
        first.is_keyframe(),
        "the canary's player starts at a keyframe"
    );
    let joined_at = u64::from((first.timestamp - START) / STEP.as_millis() as u32);
    check(&first, joined_at, load);
    for number in joined_at + 1.. {
        let Some(message) = next() else { return };
        check(&message, number, load);
        delays.note_received(number);
        received.store(number + 1, Ordering::Relaxed);
    }
}

fn check(message: &Message, number: u64, load: Load) {
    let (type_id, timestamp, payload) = load.message(number);
    let came = (message.type_id, message.timestamp, message.payload.len());
    assert_eq!(
        came,
        (type_id, timestamp, payload.len()),
        "type, timestamp and length of the canary's message {number}"
    );
    // Not assert_eq, which would print 25,000 numbers.
    let damaged = message
        .payload
        .iter()
        .zip(&payload)
        .position(|(a, b)| a != b);
    assert_eq!(
        damaged, None,
        "byte of the canary's message {number} that isn't what was sent"
    );
}
