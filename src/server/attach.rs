//! A program that is attached to a stream: a player without a socket.
//!
//! ```text
//! log         [K][p][a][p][a][K][p][a]
//!                       ^ cursor          of a subscriber like any other
//!                       | framing
//!             inbox     one message       filled by the pump of the publisher, or of `recv`
//!                       v
//!             `recv`    the program's thread
//! ```
//!
//! Messages wait for the program in the log, not in a queue: the inbox holds one message, and until that
//! is taken, it refuses the next one, as a full socket buffer does.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Shared;
use crate::live::capabilities::Capabilities;
use crate::live::lock;
use crate::live::out::framing::Framing;
use crate::live::out::join::Join;
use crate::live::out::request::{JoinRequest, Receiver};
use crate::live::out::sink::Sink;
use crate::live::out::subscriber::PlayEnd;
use crate::live::signal::Signal;
use crate::live::stream::Stream;
use crate::rtmp::bytes::Bytes;
use crate::rtmp::chunk_reader::{ChunkReader, Heap, Limits};
use crate::rtmp::chunk_writer::CHUNK_SIZE;
use crate::rtmp::message::type_id;
use crate::rtmp::server_session::Dialect;
use crate::rtmp::stream_key::StreamKey;
use crate::stream_message::StreamMessage;

/// The attachment of a program to a stream, from [`Server::attach`](super::Server::attach); given up
/// when dropped.
///
/// Metadata and sequence headers come first, then everything from a keyframe on, with the timestamps of
/// the publisher ([`Join::Gop`] and [`Join::Next`]), all tracks included. When a publisher comes back,
/// its headers come again. A program that is too slow skips to a newer keyframe, as a player does. A
/// program that receives nothing for 20 s although messages are waiting is detached. An attached program
/// counts as a viewer of its stream.
///
/// ```no_run
/// use std::time::Duration;
///
/// use brooklet::{Config, Join, Server, StreamKey};
///
/// let server = Server::start(Config::default())?;
/// let mut camera = server.attach(&StreamKey::new("live", "door")?, Join::Gop)?;
/// let why = loop {
///     match camera.recv(Duration::from_secs(5)) {
///         Ok(Some(message)) => println!("{} bytes", message.payload().len()),
///         Ok(None) => println!("the camera is silent"),
///         Err(detached) => break detached,
///     }
/// };
/// println!("{why}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Attached {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    subscriber: u64,
    inbox: Arc<Inbox>,
    message: StreamMessage,
}

/// The reason why a program isn't attached to a stream any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detached {
    /// The stream has ended.
    StreamEnded,
    /// The program took messages too slowly.
    TooSlow,
    /// The server is stopping.
    Stopping,
}

/// The sink of the subscriber: accepts one message, and the next one when that has been received.
struct Inbox {
    state: Mutex<InboxState>,
    /// Notified when there is a message, and when there will be no more.
    changed: Signal,
}

struct InboxState {
    reader: ChunkReader<Heap>,
    message: StreamMessage,
    /// Whether `message` waits to be taken.
    is_ready: bool,
    is_over: bool,
}

impl Attached {
    pub(super) fn new(
        shared: &Arc<Shared>,
        key: &StreamKey,
        join: Join,
    ) -> Result<Attached, Detached> {
        let inbox = Arc::new(Inbox::new());
        let receiver = Receiver {
            framing: Framing::rtmp(1, Dialect::AMF0),
            join,
            capabilities: Capabilities::everything(),
        };
        let id = shared.next_subscriber();
        let now = shared.now();
        let stream = shared.table.with(key, now, |stream| {
            let sink: Arc<dyn Sink> = inbox.clone();
            stream.subscribe(JoinRequest::new(id, sink, receiver, Vec::new()), now)?;
            Ok(Arc::clone(stream))
        });
        let attached = Attached {
            shared: Arc::clone(shared),
            stream,
            subscriber: id,
            inbox,
            message: StreamMessage::default(),
        };
        // Checked after the subscription: a server that begins to stop later finds the stream, and ends
        // it.
        if shared.is_stopping() {
            return Err(Detached::Stopping);
        }
        Ok(attached)
    }

    /// The name of the stream.
    pub fn key(&self) -> &StreamKey {
        self.stream.key()
    }

    /// Whether somebody publishes the stream.
    pub fn is_live(&self) -> bool {
        self.stream.is_live()
    }

    /// Waits for the next message. Returns `None` if none arrives within `timeout`.
    pub fn recv(&mut self, timeout: Duration) -> Result<Option<&StreamMessage>, Detached> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if self.inbox.take(&mut self.message) {
                return Ok(Some(&self.message));
            }
            // Fills the inbox from the log. Messages that arrive later are brought by the publisher's
            // pump.
            let now = self.shared.now();
            if let Err(end) = self.stream.with_subscriber(self.subscriber, now, |_| {}) {
                // The last message may have arrived together with the end.
                if self.inbox.take(&mut self.message) {
                    return Ok(Some(&self.message));
                }
                return Err(match end {
                    PlayEnd::Finished if self.shared.is_stopping() => Detached::Stopping,
                    PlayEnd::Finished => Detached::StreamEnded,
                    _ => Detached::TooSlow,
                });
            }
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if !self.inbox.wait(left) && left.is_zero() {
                return Ok(None);
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.stream.leave(self.subscriber);
        let now = self.shared.now();
        self.shared.table.remove_unused(&self.stream, now);
    }
}

impl fmt::Display for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Detached::StreamEnded => "the stream has ended",
            Detached::TooSlow => "messages were taken too slowly",
            Detached::Stopping => "the server is stopping",
        })
    }
}

impl std::error::Error for Detached {}

impl Inbox {
    fn new() -> Inbox {
        let mut reader = ChunkReader::new(Heap, Limits::NONE);
        // Subscribers are sent chunks of this size. It is valid, so this can't fail.
        let _ = reader.set_chunk_size(CHUNK_SIZE);
        Inbox {
            state: Mutex::new(InboxState {
                reader,
                message: StreamMessage::default(),
                is_ready: false,
                is_over: false,
            }),
            changed: Signal::default(),
        }
    }

    /// Moves the message to `to`; false if there is none.
    fn take(&self, to: &mut StreamMessage) -> bool {
        let mut state = lock(&self.state);
        if !state.is_ready {
            return false;
        }
        state.is_ready = false;
        // A swap, so that the next message reuses the memory of the previous one.
        std::mem::swap(to, &mut state.message);
        true
    }

    /// Waits until there is a message, or there will be no more; false if neither is the case.
    fn wait(&self, timeout: Duration) -> bool {
        let mut state = lock(&self.state);
        if !state.is_ready && !state.is_over {
            state = self.changed.wait(state, timeout);
        }
        state.is_ready || state.is_over
    }

    fn end(&self) {
        lock(&self.state).is_over = true;
        self.changed.notify();
    }
}

impl Sink for Inbox {
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let state = &mut *lock(&self.state);
        if state.is_ready {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        for slice in slices {
            let mut input = Bytes::from(&**slice);
            while !input.is_empty() {
                let before = input.len();
                let read = state.reader.read(&mut input);
                taken += before - input.len();
                let read = read.map_err(|error| io::Error::other(error.to_string()))?;
                // Control messages and commands are for players that speak RTMP.
                let of_stream = [type_id::AUDIO, type_id::VIDEO, type_id::DATA];
                let Some(received) = read.filter(|of| of_stream.contains(&of.type_id)) else {
                    continue;
                };
                let InboxState {
                    reader, message, ..
                } = state;
                let payload = reader.payload(received.in_place);
                message.replace(received.type_id, received.timestamp, payload);
                state.is_ready = true;
                self.changed.notify();
                return Ok(taken);
            }
        }
        Ok(taken)
    }

    fn shutdown(&self) {
        self.end();
    }

    fn finish(&self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use super::*;
    use crate::allowance::Allowance;
    use crate::config::Config;
    use crate::live::life::Publisher;
    use crate::media::Medium;
    use crate::server::Server;

    /// A time in ms after which a subscriber that accepts nothing is closed.
    const TOO_LONG: u64 = 20_001;

    #[test]
    fn a_program_that_takes_nothing_for_too_long_is_detached() {
        let config = Config::default()
            .rtmp(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
            .http(Vec::new());
        let server = Server::start(config).unwrap();
        let key = StreamKey::new("live", "door").unwrap();
        let mut attached = server.attach(&key, Join::Gop).unwrap();
        let stream = Arc::clone(&attached.stream);
        let now = server.shared.now();
        let publisher = Publisher {
            connection: 1,
            is_trusted: false,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            sink: Arc::new(Inbox::new()),
            allowance: Allowance::default(),
        };
        let generation = stream.publish(publisher, now).unwrap().generation;
        for (timestamp, payload) in [(0, b"\x17\x01\0\0\0first"), (40, b"\x27\x01\0\0\0later")] {
            let parts = std::iter::once(&payload[..]);
            stream
                .append(generation, Medium::Video, timestamp, parts, now)
                .unwrap();
        }
        // The inbox accepts the first message, but not the second one.
        assert!(stream.pump(now).has_unsent);
        assert!(stream.pump(now + TOO_LONG - 1).has_unsent);
        stream.pump(now + TOO_LONG);
        let first = attached.recv(Duration::ZERO).unwrap();
        assert!(first.is_some_and(StreamMessage::is_keyframe));
        assert_eq!(attached.recv(Duration::ZERO), Err(Detached::TooSlow));
    }
}
