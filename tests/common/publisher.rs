//! A publisher inside the test, for features that ffmpeg lacks: arbitrary timestamps, and a known live
//! edge.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::chunk::MessageHeader;
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::command::{self, Command};

use super::packets::FlvTag;

/// The length of C1, S1, C2 and S2 in bytes (RTMP 1.0, 5.2).
const BLOCK_LEN: usize = 1536;

/// The type of a command message (RTMP 1.0, 7.1).
const COMMAND: u8 = 20;

/// A publisher that sends the tags of an FLV file in real time, until it is dropped or has sent all of
/// them.
pub(crate) struct Publisher {
    began: Instant,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts publishing. `offset` is added to the timestamps, which wrap as on the wire.
    pub(crate) fn start(port: u16, name: &str, tags: Vec<FlvTag>, offset: u32) -> Publisher {
        Publisher::start_stamped(port, name, tags, move |time| time.wrapping_add(offset))
    }

    /// Starts publishing. `stamp` maps the file's timestamps to those on the wire.
    pub(crate) fn start_stamped(
        port: u16,
        name: &str,
        tags: Vec<FlvTag>,
        stamp: impl Fn(u32) -> u32 + Send + 'static,
    ) -> Publisher {
        let mut socket = connect(port, name);
        let is_stopping = Arc::<AtomicBool>::default();
        let began = Instant::now();
        let stop = Arc::clone(&is_stopping);
        let thread = thread::spawn(move || {
            let mut writer = ChunkWriter::default();
            let mut out = Vec::new();
            writer.announce_chunk_size(&mut out);
            for tag in tags {
                let due = began + Duration::from_millis(tag.timestamp.into());
                while Instant::now() < due {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Sent in real time, like a live source.
                    thread::sleep((due - Instant::now()).min(Duration::from_millis(50)));
                }
                let header = header(tag.type_id, stamp(tag.timestamp), 1);
                writer.write(header, &tag.body, &mut out);
                if socket.write_all(&out).is_err() {
                    return;
                }
                out.clear();
            }
            let _ = socket.shutdown(Shutdown::Write);
        });
        Publisher {
            began,
            is_stopping,
            thread: Some(thread),
        }
    }

    /// Returns the position of the stream, in ms of its own timestamps.
    pub(crate) fn live_edge(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * 1000.0
    }

    /// Waits until everything is published.
    pub(crate) fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the publisher gets rid of its tags");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn header(type_id: u8, timestamp: u32, message_stream_id: u32) -> MessageHeader {
    let chunk_stream_id = if message_stream_id == 0 { 3 } else { 4 };
    MessageHeader {
        chunk_stream_id,
        timestamp,
        len: 0,
        type_id,
        message_stream_id,
    }
}

/// Connects, sends everything up to `publish` at once, as encoders may do, and waits for the reply.
fn connect(port: u16, name: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
    let timeout = Some(Duration::from_secs(10));
    socket
        .set_read_timeout(timeout)
        .expect("a time-out can be set");
    socket
        .set_nodelay(true)
        .expect("a socket option can be set");

    let mut hello = vec![0; 1 + BLOCK_LEN];
    hello[0] = 3;
    socket.write_all(&hello).expect("the server reads");
    let mut answer = vec![0; 1 + 2 * BLOCK_LEN];
    socket
        .read_exact(&mut answer)
        .expect("the server shakes hands");
    let mut out = answer[1..=BLOCK_LEN].to_vec();

    let writer = ChunkWriter::default();
    let mut say = |message_stream_id, transaction_id, words: &str, object, arguments| {
        let name = words.to_owned();
        let command = Command {
            name,
            transaction_id,
            object,
            arguments,
        };
        writer.write(
            header(COMMAND, 0, message_stream_id),
            &command.emit(),
            &mut out,
        );
    };
    let url = format!("rtmp://127.0.0.1:{port}/live");
    let object = command::object([
        ("app", command::text("live")),
        ("tcUrl", command::text(&url)),
    ]);
    say(0, 1.0, "connect", object, vec![]);
    say(0, 2.0, "createStream", Value::Null, vec![]);
    let arguments = vec![command::text(name), command::text("live")];
    say(1, 3.0, "publish", Value::Null, arguments);
    socket.write_all(&out).expect("the server reads");

    let mut replies = Vec::new();
    let mut buffer = [0; 1024];
    let accepted = b"NetStream.Publish.Start";
    while !replies
        .windows(accepted.len())
        .any(|words| words == accepted)
    {
        let len = socket.read(&mut buffer).expect("the server replies");
        assert!(
            len > 0,
            "the server refused: {}",
            String::from_utf8_lossy(&replies)
        );
        replies.extend_from_slice(&buffer[..len]);
    }
    socket
}
