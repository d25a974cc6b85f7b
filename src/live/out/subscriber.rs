//! A subscriber: a receiver attached to a stream, with a socket, a framing and a cursor.
//!
//! There is no media queue per subscriber and no copy. A pump offers the socket everything between the
//! cursor and the log's end in one vectored send that never waits, and advances the cursor by the
//! number of bytes that the socket accepted.
//!
//! The next bytes are chosen at message boundaries only, in this order: control bytes, the end, a skip,
//! headers, messages. A message that was begun is always finished, because clients can't abort one. If
//! its bytes leave the log before that, the subscriber is lost.

mod place;
mod send;

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use super::control_queue::ControlQueue;
pub use super::control_queue::MAX_CONTROL_LEN;
use super::desk::Desk;
pub use super::desk::Skip;
use super::framing::Respond;
use super::join::{Burst, Join};
use super::media_choice::MediaChoice;
use super::request::{JoinRequest, Receiver};
use super::sink::Sink;
use crate::live::log::{Log, Needs};
use crate::live::preamble::Preamble;
use crate::live::report::{Delivered, PROTOCOLS, ViewerReport};
use crate::live::tracks::{Has, Tracks};
use crate::live::{Millis, When};
use crate::rtmp::server_session::Over;

/// A subscriber whose socket accepts nothing at all for this long, in ms, is lost.
const MAX_STALL: Millis = 20_000;

/// The reason why a subscriber was marked for removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayEnd {
    /// The receiver was in the middle of a message that has left the log, or accepted no byte for a
    /// long time, as noticed by this program or by the kernel.
    Stalled,
    /// The receiver requested more replies than it read.
    ControlOverflow,
    /// The stream ended and the subscriber was notified.
    Finished,
    /// The stream has no codec that the subscriber announced, and the subscriber was notified.
    NothingToTake,
    /// The stream's tracks differ from those of the file that the subscriber gets.
    OtherTracks,
    /// The receiver stopped playing, at a message boundary; its connection goes on.
    Left,
    /// The socket failed.
    Io(ErrorKind),
}

impl fmt::Display for PlayEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlayEnd::Stalled => "stalled: it stopped reading, or reads too slowly",
            PlayEnd::ControlOverflow => "it sends commands without reading the replies",
            PlayEnd::Finished => "the stream ended",
            PlayEnd::NothingToTake => "the stream has none of the codecs that the player takes",
            PlayEnd::OtherTracks => "the stream's tracks or codecs have changed",
            PlayEnd::Left => "it stopped playing",
            PlayEnd::Io(kind) => return kind.fmt(f),
        })
    }
}

/// The parts of a stream that a subscriber needs while it is pumped.
pub struct StreamView<'a> {
    /// The stream's log.
    pub log: &'a Log,
    /// The headers for receivers that join.
    pub preamble: &'a Arc<Preamble>,
    /// The oldest version of the preamble that may still be sent.
    pub oldest_preamble: u32,
    /// The tracks at the last pump of all subscribers, and those before them.
    pub old_tracks: &'a [Option<Arc<Tracks>>; 2],
    /// The tracks that files of the stream announce.
    pub tracks: &'a Arc<Tracks>,
    /// Whether these are all tracks, so that a file can begin.
    pub are_tracks_known: bool,
    /// The time of the pump.
    pub now: Millis,
    /// The lag at which a subscriber skips to a newer keyframe, in ms.
    pub max_lag: Millis,
}

/// See the module's documentation.
pub struct Subscriber {
    /// The subscriber's id within the server.
    pub id: u64,
    /// The number of its connection, for reports.
    connection: u64,
    sink: Arc<dyn Sink>,
    receiver: Receiver,
    /// The media that the receiver wants.
    pub wanted: MediaChoice,
    /// The state of a file's subscriber; `None` for RTMP.
    file: Option<Box<FileState>>,
    cursor: LogCursor,
    /// The headers to send before the message at the cursor.
    lead: Option<Box<LeadIn>>,
    sending: Sending,
    edge: Edge,
    /// The version of the preamble that the receiver has.
    preamble_version: Option<u32>,
    control: ControlQueue,
    ending: Ending,
    is_paused: bool,
    /// The number of messages that the receiver didn't accept; `None` once it accepted one.
    untaken: Option<u32>,
    record: DeliveryRecord,
}

/// A subscriber's place in the log.
#[derive(Clone, Copy)]
enum LogCursor {
    /// Waits for a join point with at least this number.
    Waiting { from: u64 },
    /// Before this message, or inside it while it is being sent.
    At(u64),
}

/// The headers that a receiver needs before the message at its cursor.
struct LeadIn {
    /// The media that a file's beginning announces, until that has been sent.
    opening: Option<Has>,
    preamble: Arc<Preamble>,
    /// The index of the next header.
    next: usize,
    /// Timestamp of the headers.
    timestamp: u32,
}

/// The state that only the subscriber of a file needs.
struct FileState {
    /// Makes the answer to an HTTP request, until that has been sent.
    respond: Option<Respond>,
    /// The tracks that the file has announced, or is about to announce.
    tracks: Option<Arc<Tracks>>,
    /// Whether the beginning that announces them has yet to be sent.
    is_opening_due: bool,
}

/// The piece that is being sent, and how many of its bytes have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// No piece: this is a message boundary.
    Between,
    Control(u64),
    /// The beginning of a file.
    Opening(u64),
    /// The next header of the lead-in.
    Header(u64),
    /// The message at the cursor.
    Message(u64),
}

/// Where the live part of the stream begins for a subscriber.
#[derive(Default)]
struct Edge {
    /// Messages from this one on arrived while the receiver was attached.
    live_from: u64,
    /// When the receiver got a place in the log. The age of messages before that doesn't count as lag.
    joined: Millis,
    burst: Option<Burst>,
}

/// The progress of a subscriber's end.
enum Ending {
    /// The play goes on.
    No,
    /// The stream is over. The play goes on up to the last message, and is then told so.
    Draining(Over),
    /// The play ends at the next message boundary; the connection stays open.
    Retiring,
    /// The play ends after the control bytes; the connection is finished.
    Queued(PlayEnd),
    /// The subscriber must be removed.
    Over(PlayEnd),
}

/// The figures on which reports and time limits are based.
#[derive(Default)]
struct DeliveryRecord {
    since: Millis,
    /// When the socket began to accept nothing.
    blocked_since: When,
    last_skip: When,
    delivered: Delivered,
}

/// The outcome of one send.
enum SendStep {
    /// The socket accepted everything offered; there may be more.
    Sent,
    /// The socket is full.
    Blocked,
    /// There was nothing to send.
    Idle,
}

impl SendStep {
    fn of(is_complete: bool) -> SendStep {
        if is_complete {
            Self::Sent
        } else {
            Self::Blocked
        }
    }
}

impl Subscriber {
    /// Attaches a receiver to a stream with this log. Messages from now on are live for it.
    pub(in crate::live) fn new(request: JoinRequest, log: &Log, now: Millis) -> Subscriber {
        let is_file = request.receiver.framing.format.is_file();
        let from = match request.receiver.join {
            Join::Live | Join::Gop => 0,
            Join::Next => log.end(),
        };
        let mut subscriber = Subscriber {
            id: request.id,
            connection: request.connection,
            sink: request.sink,
            receiver: request.receiver,
            wanted: request.wanted,
            file: is_file.then(|| {
                Box::new(FileState {
                    respond: request.respond,
                    tracks: None,
                    is_opening_due: true,
                })
            }),
            cursor: LogCursor::Waiting { from },
            lead: None,
            sending: Sending::Between,
            edge: Edge {
                live_from: log.end(),
                ..Edge::default()
            },
            preamble_version: None,
            control: ControlQueue::new(request.paid),
            ending: Ending::No,
            is_paused: false,
            untaken: Some(0),
            record: DeliveryRecord {
                since: now,
                ..DeliveryRecord::default()
            },
        };
        subscriber.queue_control(&request.control);
        subscriber
    }

    /// Whether the answer to the HTTP request has been decided.
    pub fn has_begun(&self) -> bool {
        let has_tracks = |file: &FileState| file.tracks.is_some();
        self.file.as_deref().is_some_and(has_tracks) || self.is_ending()
    }

    /// The reason why the subscriber must be removed, once it must.
    pub fn end(&self) -> Option<&PlayEnd> {
        match &self.ending {
            Ending::Over(end) => Some(end),
            _ => None,
        }
    }

    /// Whether somebody watches. A server to which the stream is pushed is no viewer: it has figures of
    /// its own.
    pub(in crate::live) fn is_viewer(&self) -> bool {
        !self.receiver.framing.is_push()
    }

    /// The messages and bytes sent so far.
    pub fn delivered(&self) -> Delivered {
        self.record.delivered
    }

    /// A report on the subscriber, for lists of viewers.
    pub(in crate::live) fn report(&self, log: &Log, now: Millis) -> ViewerReport {
        let lag = match self.cursor {
            LogCursor::At(number) if !self.is_paused => lag_of(number, log, now),
            _ => 0,
        };
        ViewerReport {
            id: self.id,
            connection: self.connection,
            protocol: PROTOCOLS[self.receiver.framing.format.index()],
            since: self.record.since,
            delivered: self.record.delivered,
            lag,
        }
    }

    /// The messages that the subscriber still wants.
    pub(in crate::live) fn needs(&self) -> Needs {
        match self.cursor {
            _ if self.end().is_some() => Needs::NOTHING,
            LogCursor::At(number) => Needs {
                from: number,
                ..Needs::NOTHING
            },
            LogCursor::Waiting { .. } if self.is_paused => Needs::NOTHING,
            LogCursor::Waiting { from } => Needs {
                join_point_from: from.max(self.edge.live_from),
                ..Needs::NOTHING
            },
        }
    }

    /// Queues control bytes, which are whole messages, for the next message boundary.
    pub fn queue_control(&mut self, bytes: &[u8]) {
        if !self.control.push(bytes) {
            self.fail(PlayEnd::ControlOverflow);
        }
    }

    /// The number of queued control bytes that haven't been sent.
    pub fn control_len(&self) -> usize {
        let sent = match self.sending {
            Sending::Control(sent) => sent as usize,
            _ => 0,
        };
        self.control.as_slice().len().saturating_sub(sent)
    }

    /// Queues the last bytes. After these, the connection is finished.
    pub fn queue_end(&mut self, end: PlayEnd, bytes: &[u8]) {
        self.queue_control(bytes);
        if !self.is_ending() {
            self.ending = Ending::Queued(end);
        }
    }

    /// Queues the last bytes of its framing, for a stream that is over, or for one that has nothing
    /// that the receiver accepts.
    pub(in crate::live) fn say_goodbye(&mut self, end: PlayEnd, over: Option<Over>) {
        let respond = self.file.as_ref().and_then(|file| file.respond.as_ref());
        // A response that has begun is finished first, and can't become another one.
        let respond = respond.filter(|_| self.is_at_boundary());
        let bytes = self.receiver.framing.goodbye(over, respond);
        self.queue_end(end, &bytes);
    }

    /// Tells the receiver that the stream is over, once it has got everything before that.
    pub(in crate::live) fn drain(&mut self, over: Over) {
        if matches!(self.ending, Ending::No) {
            self.ending = Ending::Draining(over);
        }
    }

    /// Doesn't wait any longer for a receiver that hasn't got everything before the end.
    pub(in crate::live) fn stop_draining(&mut self) {
        if let Ending::Draining(over) = self.ending {
            self.say_goodbye(PlayEnd::Finished, Some(over));
        }
    }

    fn is_ending(&self) -> bool {
        !matches!(self.ending, Ending::No | Ending::Draining(_))
    }

    /// Ends the play and leaves the socket to others. Returns the control bytes that the caller must
    /// send. Returns `None` in the middle of a message: the message is finished first because clients
    /// can't abort one, and [`PlayEnd::Left`] follows.
    pub fn retire(&mut self) -> Option<Vec<u8>> {
        let is_done = self.is_at_boundary();
        if self.end().is_none() {
            self.ending = if is_done {
                Ending::Over(PlayEnd::Left)
            } else {
                Ending::Retiring
            };
        }
        is_done.then(|| self.control.take())
    }

    /// Pauses at the next message boundary, or starts again as after a join.
    pub fn set_paused(&mut self, is_paused: bool) {
        if self.is_paused && !is_paused && self.is_at_boundary() {
            self.wait_from(0);
            // The next join lowers this to the end of the log at that time.
            self.edge.live_from = u64::MAX;
        }
        self.is_paused = is_paused;
    }

    /// Sends as much as the socket accepts, without waiting. Returns whether something is left unsent.
    pub(in crate::live) fn pump(&mut self, view: &StreamView<'_>, desk: &mut Desk) -> bool {
        if self.end().is_some() {
            return false;
        }
        // Another subscriber of the same connection is in the middle of a message.
        if !self.sink.claim(self.id) {
            return true;
        }
        self.replace_old_preamble(view);
        self.replace_old_tracks(view);
        let is_blocked = loop {
            match self.step(view, desk) {
                Ok(SendStep::Sent) => {}
                Ok(SendStep::Blocked) => break true,
                Ok(SendStep::Idle) => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.lose(error.kind());
                    break false;
                }
            }
        };
        if self.is_at_boundary() {
            self.sink.release(self.id);
        }
        let blocked_since = &mut self.record.blocked_since;
        if !is_blocked {
            *blocked_since = When::default();
        } else if view.now.saturating_sub(blocked_since.get_or_set(view.now)) > MAX_STALL {
            self.fail(PlayEnd::Stalled);
        }
        is_blocked
    }

    fn is_at_boundary(&self) -> bool {
        self.sending == Sending::Between
    }

    /// Counts bytes that the socket has accepted.
    fn count(&mut self, sent: usize, view: &StreamView<'_>) {
        self.record.delivered.bytes += sent as u64;
        if sent > 0 {
            self.record.blocked_since = When::at(view.now);
        }
    }

    /// Disconnects a client that was sent everything and hasn't hung up. This wakes the thread of its
    /// connection, which would otherwise notice at its next tick.
    pub(in crate::live) fn disconnect_finished(&self) {
        if matches!(
            self.ending,
            Ending::Over(PlayEnd::Finished | PlayEnd::NothingToTake | PlayEnd::OtherTracks)
        ) {
            self.sink.shutdown();
        }
    }

    /// Ends the subscription because its socket has failed. The error that its own thread got from a
    /// read replaces the one that a send got: the kernel reports a timeout once, to either of them, and
    /// the other one gets a broken pipe.
    pub fn lose(&mut self, kind: ErrorKind) {
        let is_receiving = matches!(self.cursor, LogCursor::At(_)) && !self.is_paused;
        // The kernel gives up a connection whose client accepts nothing, and one whose client is gone.
        let has_stalled = kind == ErrorKind::TimedOut && (is_receiving || !self.is_at_boundary());
        let end = if has_stalled {
            PlayEnd::Stalled
        } else {
            PlayEnd::Io(kind)
        };
        if let Some(PlayEnd::Io(_)) = self.end() {
            self.ending = Ending::No;
        }
        self.fail(end);
    }

    /// Ends the subscription at once. Its own thread removes it some time later, so memory is freed
    /// here.
    fn fail(&mut self, end: PlayEnd) {
        if self.end().is_none() {
            self.ending = Ending::Over(end);
        }
        self.lead = None;
        self.file = None;
        self.control.take();
        self.sink.shutdown();
    }
}

/// The time since the arrival of the message at a cursor, or of the oldest message left after it.
fn lag_of(number: u64, log: &Log, now: Millis) -> Millis {
    let entry = log.entry(number.max(log.start()));
    entry.map_or(0, |entry| now.saturating_sub(entry.meta.arrived))
}
