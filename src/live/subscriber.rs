//! A subscriber: a receiver attached to a stream, as a socket, a framing and a cursor.
//!
//! There is no queue of media per subscriber and no copy. A pump offers the socket
//! everything between the cursor and the log's head in one vectored send which never waits, and
//! moves the cursor by what was taken.
//!
//! What may go out next is decided at message boundaries only, in this order: control bytes, the
//! end, a skip, the preamble, messages. A message that was begun is always finished, because
//! clients can't abort one; when its bytes leave the log before that, the subscriber is lost.

mod file;
mod sending;

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::Millis;
use super::capabilities::Capabilities;
use super::framing::{Framing, Has};
use super::join::{Burst, Join};
use super::log::{Log, Needs};
use super::outgoing::Outgoing;
use super::preamble::Preamble;
use super::report::{Delivered, ViewerReport, protocol_of};
use super::sink::Sink;
use super::stage::Stage;
use super::tracks::Tracks;
use crate::allowance::{Allowance, Taken};
use crate::http::Response;
use crate::rtmp::server_session::{MAX_REPLIES, MAX_REPLY, Over};

/// Control bytes waiting for a message boundary. A client that asks without reading exceeds it.
pub const MAX_CONTROL_LEN: usize = MAX_REPLIES + MAX_REPLY;

/// A subscriber whose socket takes nothing at all for this long is lost.
const MAX_STALL: Millis = 20_000;

/// Why a subscriber was marked for removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was in the middle of a message that has left the log, or took no byte for a long time.
    Stalled,
    /// It asked for more replies than it read.
    ControlOverflow,
    /// The stream ended and the subscriber has been told.
    Finished,
    /// Nothing that is published is of a codec that it announced; it has been told.
    NothingToTake,
    /// The stream has other tracks than the file that it is getting.
    OtherTracks,
    /// It stopped playing, at a message boundary; its connection goes on.
    Left,
    /// The socket failed.
    Io(ErrorKind),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Stalled => f.write_str("stalled: it stopped reading, or reads too slowly"),
            End::ControlOverflow => f.write_str("it sends commands without reading the replies"),
            End::Finished => f.write_str("the stream ended"),
            End::NothingToTake => {
                f.write_str("the stream has none of the codecs that the player takes")
            }
            End::OtherTracks => f.write_str("the stream's tracks or codecs have changed"),
            End::Left => f.write_str("it stopped playing"),
            End::Io(kind) => write!(f, "{kind}"),
        }
    }
}

/// A skip that somebody should hear of: the first of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The subscriber.
    pub subscriber: u64,
    /// How far behind it was, in ms.
    pub lag: Millis,
    /// Messages left out.
    pub messages: u64,
}

/// What a subscriber sees of its stream while it is pumped.
pub struct View<'a> {
    /// The history.
    pub log: &'a Log,
    /// What joiners need first.
    pub preamble: &'a Arc<Preamble>,
    /// Oldest version of it that may still be sent.
    pub oldest_preamble: u32,
    /// Those at the last pump of all, and those before.
    pub old_tracks: &'a [Arc<Tracks>; 2],
    /// What files of the stream announce.
    pub tracks: &'a Arc<Tracks>,
    /// Whether that is all, so that a file can be begun.
    pub are_tracks_known: bool,
    /// The time.
    pub now: Millis,
    /// Lag at which a subscriber is moved to a newer keyframe.
    pub max_lag: Millis,
}

/// How a receiver wants a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// What comes around each message.
    pub framing: Framing,
    /// Where it starts.
    pub join: Join,
    /// What it can take.
    pub capabilities: Capabilities,
}

/// See the module's documentation.
pub struct Subscriber {
    id: u64,
    /// The number of its connection, for reports.
    connection: u64,
    since: Millis,
    sink: Arc<dyn Sink>,
    receiver: Receiver,
    /// The response to an HTTP request, until its head is out.
    opening: Option<Box<Response>>,
    /// What a file begins with isn't out yet.
    is_lead_due: bool,
    /// What the file has announced.
    tracks: Option<Arc<Tracks>>,
    cursor: Cursor,
    /// To be sent, or being sent, before the message at the cursor.
    preamble: Option<PreambleCursor>,
    /// Version of the preamble that the receiver has.
    preamble_version: Option<u32>,
    /// Messages from this one on came while the receiver was there.
    live_from: u64,
    /// When it got a place in the log. It isn't late for what is older.
    joined: Millis,
    burst: Option<Burst>,
    control: Vec<u8>,
    /// What its connection pays for them.
    paid: Option<Taken>,
    /// Bytes of `control` that are out.
    control_sent: usize,
    is_paused: bool,
    audio: bool,
    video: Video,
    /// Finish after the control bytes.
    is_ending: bool,
    /// What that end is.
    ends_as: End,
    /// Finish at the next boundary, and leave the connection open.
    is_retiring: bool,
    /// Messages that it couldn't take, until one came that it could.
    untaken: Option<u64>,
    end: Option<End>,
    /// Since when the socket has taken nothing.
    blocked_since: Option<Millis>,
    last_skip: Option<Millis>,
    delivered: Delivered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    /// For a join point with at least this number.
    Waiting { from: u64 },
    /// The next message to send, and how much of it is out, framing included.
    At { number: u64, sent: u64 },
}

struct PreambleCursor {
    /// Of a file: what comes first of all, with these tracks.
    lead: Option<Has>,
    preamble: Arc<Preamble>,
    /// Of the header that comes next; behind the last one if they aren't wanted.
    index: usize,
    sent: u64,
    timestamp: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Video {
    On,
    Off,
    /// Wanted again; on from the next keyframe.
    FromKeyframe,
}

/// What a pump works on.
#[derive(Default)]
pub(super) struct Scratch {
    pending: Vec<Pending>,
    pub(super) stage: Stage,
    /// Skips that are to be told.
    pub(super) skips: Vec<Skip>,
}

/// A message in a send under preparation, and its number.
type Pending = (u64, Outgoing);

enum Step {
    /// Everything offered was taken; there may be more.
    Sent,
    /// The socket is full.
    Blocked,
    /// Nothing to send.
    Idle,
}

impl Subscriber {
    /// A subscriber which will start as `receiver` says, after `control` has been sent.
    pub fn new(id: u64, sink: Arc<dyn Sink>, receiver: Receiver, control: Vec<u8>) -> Subscriber {
        Subscriber {
            id,
            connection: 0,
            since: 0,
            sink,
            receiver,
            opening: None,
            is_lead_due: receiver.framing.has_base(),
            tracks: None,
            cursor: Cursor::Waiting { from: 0 },
            preamble: None,
            preamble_version: None,
            live_from: 0,
            joined: 0,
            burst: None,
            control,
            paid: None,
            control_sent: 0,
            is_paused: false,
            audio: true,
            video: Video::On,
            is_ending: false,
            ends_as: End::Finished,
            is_retiring: false,
            untaken: Some(0),
            end: None,
            blocked_since: None,
            last_skip: None,
            delivered: Delivered::default(),
        }
    }

    /// The same, known in reports as that of a connection.
    pub fn of_connection(self, connection: u64) -> Subscriber {
        Subscriber { connection, ..self }
    }

    /// The same, whose control bytes its connection pays for from this.
    pub fn paid_from(mut self, allowance: &Allowance) -> Subscriber {
        self.paid = allowance.take(0).ok();
        if !self.pay(self.control.capacity()) {
            self.fail(End::ControlOverflow);
        }
        self
    }

    fn pay(&mut self, bytes: usize) -> bool {
        let is_paid = |paid: &mut Taken| paid.resize(bytes).is_ok();
        self.paid.as_mut().is_none_or(is_paid)
    }

    /// The answer to an HTTP request: with this response, but for its content type, which the
    /// stream knows.
    pub fn with_opening(self, opening: Response) -> Subscriber {
        Subscriber {
            opening: Some(opening.into()),
            ..self
        }
    }

    /// Whether an HTTP response has begun: what it will be isn't open any more.
    pub fn has_begun(&self) -> bool {
        self.tracks.is_some() || self.is_ending
    }

    /// Identifies it within the server.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its framing.
    pub fn framing(&self) -> Framing {
        self.receiver.framing
    }

    /// Why it is to be removed, once it is.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What it has been sent so far.
    pub fn delivered(&self) -> Delivered {
        self.delivered
    }

    /// Who it is and how it fares.
    pub(super) fn report(&self, log: &Log, now: Millis) -> ViewerReport {
        let oldest = match self.cursor {
            Cursor::At { number, .. } if !self.is_paused => log.entry(number.max(log.start())),
            _ => None,
        };
        ViewerReport {
            id: self.id,
            connection: self.connection,
            protocol: protocol_of(self.receiver.framing),
            since: self.since,
            delivered: self.delivered,
            lag: oldest.map_or(0, |entry| now.saturating_sub(entry.meta.arrived)),
        }
    }

    /// Which messages it wants still.
    pub(super) fn needs(&self) -> Needs {
        match self.cursor {
            _ if self.end.is_some() => Needs::NOTHING,
            Cursor::At { number, .. } => Needs {
                from: number,
                ..Needs::NOTHING
            },
            Cursor::Waiting { .. } if self.is_paused => Needs::NOTHING,
            Cursor::Waiting { from } => Needs {
                join_point_from: from.max(self.live_from),
                ..Needs::NOTHING
            },
        }
    }

    /// Called once, when the subscriber is attached: what comes from now on is live to it.
    pub(super) fn attach(&mut self, log: &Log, now: Millis) {
        self.since = now;
        self.live_from = log.end();
        if self.receiver.join == Join::Next {
            self.cursor = Cursor::Waiting { from: log.end() };
        }
    }

    /// Queues control bytes, whole messages, for the next message boundary.
    pub fn queue_control(&mut self, bytes: &[u8]) {
        let len = self.control.len() + bytes.len();
        if len > MAX_CONTROL_LEN || !self.pay(len.max(self.control.capacity())) {
            self.fail(End::ControlOverflow);
            return;
        }
        self.control.reserve_exact(bytes.len());
        self.control.extend_from_slice(bytes);
    }

    /// Bytes of control messages that are queued, and not out.
    pub fn control_len(&self) -> usize {
        self.control.len().saturating_sub(self.control_sent)
    }

    /// Queues the last words; after them the connection is finished.
    pub fn queue_end(&mut self, bytes: &[u8]) {
        self.queue_control(bytes);
        self.is_ending = true;
    }

    /// Queues what its framing has to say when the stream is over.
    pub(super) fn queue_last_words(&mut self, over: Over) {
        // What has begun is finished first.
        let is_out = !self.is_at_boundary();
        let opening = self.opening.as_deref().filter(|_| !is_out);
        let last_words = self.receiver.framing.last_words(over, opening);
        self.queue_end(&last_words);
    }

    /// Ends the play, and leaves the socket to others. In the middle of a message it goes on to the
    /// end of it, since clients can't abort one: then `None`, and its end is [`End::Left`] later.
    /// Otherwise it has ended, and these control bytes are for somebody else to send.
    pub fn retire(&mut self) -> Option<Vec<u8>> {
        self.is_retiring = true;
        if !self.is_at_boundary() {
            return None;
        }
        self.end.get_or_insert(End::Left);
        let unsent = std::mem::take(&mut self.control);
        self.forget_control();
        Some(unsent)
    }

    fn forget_control(&mut self) {
        self.control = Vec::new();
        self.control_sent = 0;
        self.pay(0);
    }

    /// Stops at the next message boundary, or starts again as after a join.
    pub fn set_paused(&mut self, is_paused: bool) {
        if self.is_paused && !is_paused && self.is_at_boundary() {
            self.cursor = Cursor::Waiting { from: 0 };
            self.live_from = u64::MAX;
        }
        self.is_paused = is_paused;
    }

    /// Whether audio is wanted.
    pub fn set_audio(&mut self, is_wanted: bool) {
        self.audio = is_wanted;
    }

    /// Whether video is wanted. It comes back with a keyframe.
    pub fn set_video(&mut self, is_wanted: bool) {
        self.video = match (is_wanted, self.video) {
            (false, _) => Video::Off,
            (true, Video::Off) => Video::FromKeyframe,
            (true, video) => video,
        };
    }

    /// Sends what the socket takes, without waiting. True when something is left unsent.
    pub(super) fn pump(&mut self, view: &View<'_>, scratch: &mut Scratch) -> bool {
        if self.end.is_some() {
            return false;
        }
        if !self.sink.claim(self.id) {
            return true;
        }
        self.give_up_old_preamble(view);
        self.give_up_old_tracks(view);
        let is_blocked = loop {
            match self.step(view, scratch) {
                Ok(Step::Sent) => {}
                Ok(Step::Blocked) => break true,
                Ok(Step::Idle) => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fail(End::Io(error.kind()));
                    break false;
                }
            }
        };
        if self.is_at_boundary() {
            self.sink.release(self.id);
        }
        if !is_blocked {
            self.blocked_since = None;
        } else if view
            .now
            .saturating_sub(*self.blocked_since.get_or_insert(view.now))
            > MAX_STALL
        {
            self.fail(End::Stalled);
        }
        is_blocked
    }

    fn step(&mut self, view: &View<'_>, scratch: &mut Scratch) -> io::Result<Step> {
        if self.is_at_boundary() {
            if !self.control.is_empty() {
                return self.send_control(view);
            }
            if self.is_retiring {
                self.end = Some(End::Left);
                return Ok(Step::Idle);
            }
            if self.is_ending {
                self.end = Some(self.ends_as.clone());
                self.sink.finish();
                return Ok(Step::Idle);
            }
            if self.is_paused {
                return Ok(Step::Idle);
            }
            self.place_cursor(view, &mut scratch.skips);
        } else if self.control_sent > 0 {
            return self.send_control(view);
        }
        if self.preamble.is_some() {
            return self.send_preamble(view);
        }
        self.send_messages(view, scratch)
    }

    fn is_at_boundary(&self) -> bool {
        self.control_sent == 0
            && self
                .preamble
                .as_ref()
                .is_none_or(|preamble| preamble.sent == 0)
            && !matches!(self.cursor, Cursor::At { sent: 1.., .. })
    }

    /// At a boundary: joins, skips, or stays.
    fn place_cursor(&mut self, view: &View<'_>, skips: &mut Vec<Skip>) {
        match self.cursor {
            Cursor::Waiting { from } => {
                // Of what came while it waited it gets everything.
                let is_file = self.is_file();
                let first = view.log.join_point_from(from.max(self.live_from), is_file);
                let newest = self.start(view).filter(|number| *number >= from);
                if let Some(number) = first.or(newest) {
                    self.join(number, view);
                }
            }
            Cursor::At { number, .. } if self.must_announce(number, view) => {
                self.announce(number, view);
            }
            Cursor::At { number, .. } => {
                let is_evicted = number < view.log.start();
                if !is_evicted && !self.is_lagging(number, view) {
                    if view
                        .log
                        .entry(number)
                        .is_some_and(|entry| entry.meta.is_join_point)
                        && self.video == Video::FromKeyframe
                    {
                        self.video = Video::On;
                    }
                    return;
                }
                let target = self.start(view).filter(|target| *target > number);
                self.note_skip(number, target.unwrap_or(view.log.end()), view, skips);
                match target {
                    Some(target) => self.start_at(target, view),
                    None => {
                        self.cursor = Cursor::Waiting {
                            from: view.log.end(),
                        };
                        self.preamble = None;
                    }
                }
            }
        }
    }

    fn is_file(&self) -> bool {
        matches!(self.receiver.framing, Framing::Mp4 { .. })
    }

    /// The newest message where it may start.
    fn start(&self, view: &View<'_>) -> Option<u64> {
        view.log.start_of(self.is_file())
    }

    fn join(&mut self, number: u64, view: &View<'_>) {
        self.burst = match self.receiver.join {
            Join::Live if number < self.live_from => Burst::to_live_edge(number, view.log),
            _ => None,
        };
        if self.video == Video::FromKeyframe {
            self.video = Video::On;
        }
        self.joined = view.now;
        self.live_from = self.live_from.min(view.log.end());
        self.start_at(number, view);
    }

    /// Sets the cursor on a join point, after the preamble if the receiver's is out of date.
    fn start_at(&mut self, number: u64, view: &View<'_>) {
        if self.receiver.framing.has_base() {
            self.announce(number, view);
            return;
        }
        self.cursor = Cursor::At { number, sent: 0 };
        self.preamble = None;
        if self.preamble_version != Some(view.preamble.version()) {
            self.send_headers(number, None, view);
        }
    }

    /// Whether the subscriber should move, and can: a newer join point is there, and it is
    /// further behind than allowed or than half of what the log can hold. Moved any later, it
    /// would nearly always be in the middle of a message that has left the log.
    fn is_lagging(&self, number: u64, view: &View<'_>) -> bool {
        if self.start(view).is_none_or(|target| target <= number) {
            return false;
        }
        view.log.entry(number).is_some_and(|entry| {
            view.now.saturating_sub(entry.meta.arrived.max(self.joined)) > view.max_lag
                || view.log.bytes_behind(&entry) > view.log.capacity() / 2
        })
    }

    fn note_skip(&mut self, from: u64, to: u64, view: &View<'_>, skips: &mut Vec<Skip>) {
        /// Skips less than this apart are one episode.
        const EPISODE: Millis = 10_000;

        let messages = to.saturating_sub(from);
        self.delivered.skips += 1;
        self.delivered.skipped_messages += messages;
        self.burst = None;
        let is_new = self
            .last_skip
            .is_none_or(|last| view.now.saturating_sub(last) > EPISODE);
        self.last_skip = Some(view.now);
        // The list is taken by whoever pumps next; it holds a few at most.
        if is_new && skips.len() < 16 {
            let oldest = view.log.entry(from.max(view.log.start()));
            let lag = oldest.map_or(0, |entry| view.now.saturating_sub(entry.meta.arrived));
            skips.push(Skip {
                subscriber: self.id,
                lag,
                messages,
            });
        }
    }

    fn end_as(&mut self, end: End, last_words: Vec<u8>) {
        self.ends_as = end;
        self.queue_end(&last_words);
    }

    fn count(&mut self, sent: usize, view: &View<'_>) {
        self.delivered.bytes += sent as u64;
        if sent > 0 {
            self.blocked_since = Some(view.now);
        }
    }

    fn fail(&mut self, end: End) {
        self.end.get_or_insert(end);
        // Its own thread removes it, when it gets to that.
        self.preamble = None;
        self.tracks = None;
        self.opening = None;
        self.forget_control();
        self.sink.shutdown();
    }
}
