//! One thread that publishes all streams, in real time or faster.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::amf::{self, Value};
use crate::client::{ANSWER_TIMEOUT, Client};
use crate::media::{self, Stamp, Track};
use crate::wire;

/// The time over which the streams start, so that their keyframes do not coincide.
const STAGGER: Duration = Duration::from_secs(2);

pub(crate) fn stream_name(stream: u32) -> String {
    format!("stream{stream}")
}

/// What was sent in all, once publishing has ended.
pub(crate) struct Sent {
    /// The number of messages by stream and track.
    pub(crate) counts: Vec<[u32; 2]>,
    /// How far a message ran behind its schedule, at worst.
    pub(crate) latest: Duration,
    /// Kept open: a player must receive the rest of a stream while its publisher is still there.
    pub(crate) publishers: Vec<Publisher>,
}

/// The thread and its stop flag.
pub(crate) struct Publishing {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Sent, String>>>,
}

impl Publishing {
    pub(crate) fn start(address: SocketAddr, streams: u32) -> Result<Self, String> {
        Self::start_at(address, streams, 1)
    }

    /// Publishes this many times as fast as in real time.
    pub(crate) fn start_at(address: SocketAddr, streams: u32, speed: u32) -> Result<Self, String> {
        let connect = |stream| Publisher::connect(address, stream, streams);
        let publishers = (0..streams).map(connect).collect::<Result<Vec<_>, _>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = thread::spawn(move || publish(publishers, speed, &seen));
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    pub(crate) fn end(mut self) -> Result<Sent, String> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("publishing ended twice")?;
        thread
            .join()
            .map_err(|_| "the publishing thread panicked")?
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn publish(mut publishers: Vec<Publisher>, speed: u32, stop: &AtomicBool) -> Result<Sent, String> {
    let start = Instant::now() + Duration::from_millis(20);
    let mut latest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let first = publishers.iter_mut().min_by_key(|p| p.next().1);
        let publisher = first.ok_or("no stream to publish")?;
        let (track, due) = publisher.next();
        let due = due / speed;
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        latest = latest.max((start + due).elapsed());
        publisher.send(track)?;
    }
    let counts = publishers.iter().map(|p| p.counts).collect();
    Ok(Sent {
        counts,
        latest,
        publishers,
    })
}

/// One stream's publisher.
pub(crate) struct Publisher {
    client: Client,
    stream: u32,
    offset: Duration,
    /// The next sequence number of each track.
    counts: [u32; 2],
    payload: Vec<u8>,
    out: Vec<u8>,
}

impl Publisher {
    pub(crate) fn connect(address: SocketAddr, stream: u32, streams: u32) -> Result<Self, String> {
        let failed = |error| format!("publisher {stream}: {error}");
        let mut client = Client::connect(address).map_err(failed)?;
        client.publish(&stream_name(stream)).map_err(failed)?;
        let mut publisher = Self {
            client,
            stream,
            offset: STAGGER * stream / streams,
            counts: [0; 2],
            payload: Vec::new(),
            out: Vec::new(),
        };
        publisher.send_preamble().map_err(failed)?;
        Ok(publisher)
    }

    fn send_preamble(&mut self) -> Result<(), String> {
        // Like ffmpeg, adopts the server's chunk size for sending.
        let size = self.client.reader.chunk_size();
        let id = self.client.message_stream_id;
        let announced = (size as u32).to_be_bytes();
        let metadata = amf::emit(&[
            Value::text("@setDataFrame"),
            Value::text("onMetaData"),
            Value::ecma_array(&[
                ("width", Value::Number(128.0)),
                ("height", Value::Number(96.0)),
                ("framerate", Value::Number(30.0)),
                ("videocodecid", Value::Number(7.0)),
                ("audiocodecid", Value::Number(10.0)),
            ]),
        ]);
        let out = &mut self.out;
        wire::emit_message((2, 0), wire::SET_CHUNK_SIZE, 0, &announced, 128, out);
        wire::emit_message((5, id), wire::DATA, 0, &metadata, size, out);
        for track in Track::ALL {
            let (ids, kind) = ((track.chunk_stream_id(), id), track.message_type());
            wire::emit_message(ids, kind, 0, track.sequence_header(), size, out);
        }
        let nonblocking = self.client.socket.set_nonblocking(true);
        nonblocking
            .and_then(|()| self.write())
            .map_err(|error| error.to_string())
    }

    /// The next track and its time, counted from the start of all.
    fn next(&self) -> (Track, Duration) {
        let due = |track: Track| (track, self.offset + track.due(self.counts[track as usize]));
        let [audio, video] = Track::ALL.map(due);
        if audio.1 < video.1 { audio } else { video }
    }

    pub(crate) fn send(&mut self, track: Track) -> Result<(), String> {
        let sequence = self.counts[track as usize];
        self.counts[track as usize] += 1;
        let stamp = Stamp {
            stream: self.stream,
            sequence,
            sent_ns: media::now_ns(),
        };
        track.emit(stamp, &mut self.payload);
        wire::emit_message(
            (track.chunk_stream_id(), self.client.message_stream_id),
            track.message_type(),
            track.due(sequence).as_millis() as u32,
            &self.payload,
            self.client.reader.chunk_size(),
            &mut self.out,
        );
        let mut result = self.write();
        if result.is_ok() && track == Track::Video && media::is_keyframe(sequence) {
            result = self.discard_input();
        }
        result.map_err(|error| format!("publisher {}: {error}", self.stream))
    }

    fn write(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut done = 0;
        while done < self.out.len() {
            match self.client.socket.write(&self.out[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Err(_) if Instant::now() > deadline => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => thread::sleep(Duration::from_micros(200)),
            }
        }
        self.out.clear();
        Ok(())
    }

    /// The server's acknowledgements need reading, not answering.
    fn discard_input(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.client.socket.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
