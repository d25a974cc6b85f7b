//! Viewers of the canary over HTTP, each of which checks every byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::canary::{Load, STREAM};
use crate::common::client::DEADLINE;
use crate::common::http::HttpClient;
use crate::delays::{Delays, Histogram};

/// The number of bytes that precede the data of video and of audio, which MP4 leaves out.
const VIDEO_TAG: usize = 5;
const AUDIO_TAG: usize = 2;

/// The format in which a viewer watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Flv,
    Mp4,
    Hls,
}

/// See the module's documentation.
pub(crate) struct Viewer {
    pub(crate) how: How,
    pub(crate) delays: Arc<Histogram>,
    /// The number of messages received so far.
    received: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    pub(crate) fn start(server: SocketAddr, how: How, load: Load, sent: &Arc<Delays>) -> Viewer {
        let delays = Arc::<Histogram>::default();
        let received = Arc::<AtomicU64>::default();
        let is_over = Arc::<AtomicBool>::default();
        let check = Check {
            load,
            next: [None; 2],
            sent: Arc::clone(sent),
            delays: Arc::clone(&delays),
            received: Arc::clone(&received),
        };
        let thread = {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || match how {
                How::Flv => watch(server, "flv", check, flv_message, &is_over),
                How::Mp4 => watch(server, "mp4", check, mp4_message, &is_over),
                How::Hls => watch_segments(server, check, &is_over),
            })
        };
        Viewer {
            how,
            delays,
            received,
            is_over,
            thread: Some(thread),
        }
    }

    /// Returns the number of messages received so far. Fails if a message was lost or damaged, or if the
    /// viewer was disconnected.
    pub(crate) fn verdict(&mut self) -> u64 {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            match thread.join() {
                Ok(()) => panic!("the canary's viewer ({:?}) ended by itself", self.how),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Checks that each message arrives once and in order, starting at the first received message.
struct Check {
    load: Load,
    /// The numbers of the next audio and the next video message; audio and video alternate.
    next: [Option<u64>; 2],
    sent: Arc<Delays>,
    delays: Arc<Histogram>,
    received: Arc<AtomicU64>,
}

impl Check {
    /// Checks a message, given without the first `missing` bytes.
    fn note(&mut self, is_video: bool, bytes: &[u8], missing: usize) {
        // In a frame, the number follows the length of the NAL unit and the unit's first two bytes.
        let tag = if is_video { VIDEO_TAG } else { AUDIO_TAG };
        let at = tag - missing + if is_video { 6 } else { 0 };
        let number = bytes.get(at..at + 4).expect("a message has a number");
        let number = u64::from(u32::from_be_bytes(number.try_into().expect("four bytes")));
        let next = &mut self.next[usize::from(is_video)];
        if let Some(next) = *next {
            assert_eq!(number, next, "the number of the message that comes next");
        }
        *next = Some(number + 2);
        let (_, _, payload) = self.load.message(number);
        assert!(payload[missing..] == *bytes, "message {number} is damaged");
        self.delays.note(&self.sent, number);
        self.received.fetch_add(1, Ordering::Relaxed);
    }
}

/// Parses a message at the front, if it is complete. Returns its length.
type Take = fn(&[u8], &mut Check) -> Option<usize>;

fn number_at(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + len)?;
    Some(
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    )
}

fn flv_message(bytes: &[u8], check: &mut Check) -> Option<usize> {
    if bytes.starts_with(b"FLV") {
        return (bytes.len() >= 13).then_some(13);
    }
    let len = number_at(bytes, 1, 3)?;
    let payload = bytes.get(11..11 + len)?;
    let end = 11 + len + 4;
    bytes.get(..end)?;
    // In headers the second byte is 0.
    match (bytes[0], payload.get(1)) {
        (9, Some(1)) => check.note(true, payload, 0),
        (8, Some(1)) => check.note(false, payload, 0),
        _ => {}
    }
    Some(end)
}

fn mp4_message(bytes: &[u8], check: &mut Check) -> Option<usize> {
    let len = number_at(bytes, 0, 4)?;
    let body = bytes.get(8..len)?;
    if bytes[4..8] == *b"mdat" {
        // Each fragment holds one message: one NAL unit, or an audio frame.
        let is_video = number_at(body, 0, 4)? + 4 == body.len();
        let missing = if is_video { VIDEO_TAG } else { AUDIO_TAG };
        check.note(is_video, body, missing);
    }
    Some(len)
}

fn watch(server: SocketAddr, end: &str, mut check: Check, take: Take, is_over: &AtomicBool) {
    let mut socket = TcpStream::connect(server).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let (app, name) = STREAM;
    // HTTP/1.0: without chunks.
    let request = format!("GET /{app}/{name}.{end}?join=next HTTP/1.0\r\nHost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let (mut bytes, mut has_head) = (Vec::new(), false);
    let mut buffer = [0; 16 * 1024];
    while !is_over.load(Ordering::Relaxed) {
        match socket.read(&mut buffer) {
            Ok(len @ 1..) => bytes.extend_from_slice(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => panic!("the canary's viewer ({end}) was disconnected"),
        }
        if !has_head {
            let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            assert!(bytes.starts_with(b"HTTP/1.1 200") || bytes.starts_with(b"HTTP/1.0 200"));
            bytes.drain(..at + 4);
            has_head = true;
        }
        let mut at = 0;
        while let Some(len) = take(&bytes[at..], &mut check) {
            at += len;
        }
        bytes.drain(..at);
    }
    let _ = socket.shutdown(Shutdown::Both);
}

fn watch_segments(server: SocketAddr, mut check: Check, is_over: &AtomicBool) {
    let mut client = HttpClient::connect(server);
    let (app, name) = STREAM;
    let playlist = format!("/{app}/{name}/media.m3u8");
    let mut next: Option<u64> = None;
    while !is_over.load(Ordering::Relaxed) {
        let target = match next {
            Some(next) => format!("{playlist}?_HLS_msn={next}"),
            None => playlist.clone(),
        };
        let answer = get(&mut client, &target);
        if answer.0 != 200 {
            assert!(next.is_none(), "{target} is answered by {}", answer.0);
            thread::sleep(Duration::from_millis(200));
            continue;
        }
        let text = String::from_utf8(answer.1).unwrap();
        let first: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:")?.parse().ok())
            .unwrap_or_default();
        let segments: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        let end = first + segments.len() as u64;
        // Starting at the newest segment.
        let from = next.unwrap_or(end.saturating_sub(1));
        assert!(
            from >= first,
            "segment {from} has gone before it could be read"
        );
        for (number, uri) in (first..).zip(segments).skip((from - first) as usize) {
            let (status, bytes) = get(&mut client, &format!("/{app}/{name}/{uri}"));
            assert_eq!(status, 200, "segment {number}");
            let mut at = 0;
            while let Some(len) = mp4_message(&bytes[at..], &mut check) {
                at += len;
            }
            assert_eq!(at, bytes.len(), "segment {number} is whole");
        }
        if !text.is_empty() && end > first {
            next = Some(end.max(from));
        } else {
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Sends a GET request. Like a player, tries once more if the server has closed an idle connection.
fn get(client: &mut HttpClient, target: &str) -> (u16, Vec<u8>) {
    client.socket().set_read_timeout(Some(DEADLINE)).unwrap();
    client.request("GET", target, "");
    if let Some(answer) = client.next(true) {
        return (answer.status, answer.body);
    }
    *client = HttpClient::connect(client.socket().peer_addr().unwrap());
    let answer = client.get(target);
    (answer.status, answer.body)
}
