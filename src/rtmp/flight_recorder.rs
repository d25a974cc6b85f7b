//! The flight recorder: what happened last on a connection, for the moment when it fails.
//!
//! It keeps the first events and the last ones: how a session began says as much about a failure
//! as what came just before it. An event is a kind and a few numbers, never payload, names or
//! keys. It grows with what happens up to a fixed size, 256 entries of 16 bytes, since most
//! connections are players, on which little happens.

use std::collections::VecDeque;
use std::fmt;

use super::message::{Control, UserControl};

/// Events kept from the beginning.
const MAX_FIRST: usize = 8;

/// Events kept from the end.
const MAX_LAST: usize = 32;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Client and server have greeted each other; with digests or without.
    Handshake {
        /// Whether the client proved that it is a Flash player, and wanted the same.
        has_digest: bool,
    },
    /// A protocol control message or user control message came: its type, or 256 and the event's
    /// number for user control, and its first number.
    Control {
        /// Message type, or 256 + event.
        kind: u16,
        /// Bytes, an id or a time: what the message is about.
        value: u32,
    },
    /// A command came, on this message stream.
    Command(CommandName, u8),
    /// An audio, video, data or other message came.
    Message {
        /// Message type (7.1).
        type_id: u8,
        /// Bytes.
        len: u32,
        /// ms.
        timestamp: u32,
    },
    /// What the server made of it.
    Decision(Decision),
}

/// Name of a command, if it is one that real clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandName(u8);

const NAMES: [&str; 21] = [
    "an unknown command",
    "a command without a name",
    "connect",
    "createStream",
    "releaseStream",
    "FCPublish",
    "publish",
    "FCUnpublish",
    "deleteStream",
    "closeStream",
    "getStreamLength",
    "FCSubscribe",
    "play",
    "play2",
    "pause",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "_checkbw",
    "_result",
    "onStatus",
];

impl CommandName {
    pub(super) const UNREADABLE: CommandName = CommandName(1);

    pub(super) fn new(name: &str) -> CommandName {
        let index = NAMES.iter().position(|known| *known == name);
        CommandName(index.unwrap_or(0) as u8)
    }

    /// The name, or that it isn't known.
    pub fn as_str(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

/// A verdict on what a client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may connect, publish or play.
    Accepted,
    /// It may not.
    Refused,
    /// The publish or play has ended.
    Stopped,
}

/// An event and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// ms since the connection began.
    pub at: u32,
    /// What happened.
    pub event: Event,
}

/// What a recorder takes on the heap, in bytes.
pub const COST: usize = (MAX_FIRST + MAX_LAST) * size_of::<Entry>();

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct FlightRecorder {
    began: Option<u64>,
    first: Vec<Entry>,
    last: VecDeque<Entry>,
    total: u64,
}

/// A flight recorder at one moment.
pub struct Tape<'a> {
    recorder: &'a mut FlightRecorder,
    now: u64,
}

impl Tape<'_> {
    /// The moment, in ms on the caller's clock.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Notes an event.
    pub fn note(&mut self, event: Event) {
        self.recorder.note(event, self.now);
    }

    pub(super) fn note_control(&mut self, control: &Control) {
        self.recorder.note_control(control, self.now);
    }
}

impl FlightRecorder {
    /// The recorder at this moment, in ms on the caller's clock.
    pub fn at(&mut self, now: u64) -> Tape<'_> {
        Tape {
            recorder: self,
            now,
        }
    }

    /// Notes an event; `now` in ms on the caller's clock.
    pub fn note(&mut self, event: Event, now: u64) {
        let at = now.saturating_sub(*self.began.get_or_insert(now));
        let entry = Entry {
            at: u32::try_from(at).unwrap_or(u32::MAX),
            event,
        };
        self.total += 1;
        // All of it at once: it is part of what a connection costs from its first event on.
        if self.first.len() < MAX_FIRST {
            self.first.reserve_exact(MAX_FIRST - self.first.len());
            self.first.push(entry);
            return;
        }
        if self.last.len() == MAX_LAST {
            self.last.pop_front();
        } else if self.last.is_empty() {
            self.last.reserve_exact(MAX_LAST);
        }
        self.last.push_back(entry);
    }

    fn note_control(&mut self, control: &Control, now: u64) {
        let (kind, value) = match *control {
            Control::SetChunkSize(size) => (1, size),
            Control::Abort(id) => (2, id),
            Control::Acknowledgement(sequence) => (3, sequence),
            Control::WindowAcknowledgementSize(size) => (5, size),
            Control::SetPeerBandwidth { size, .. } => (6, size),
            Control::User(UserControl::StreamBegin(id)) => (256, id),
            Control::User(UserControl::StreamEof(id)) => (257, id),
            Control::User(UserControl::SetBufferLength { buffer_ms, .. }) => (259, buffer_ms),
            Control::User(UserControl::PingRequest(time)) => (262, time),
            Control::User(UserControl::PingResponse(time)) => (263, time),
            Control::User(UserControl::Other(event)) => (256_u16.saturating_add(event), 0),
        };
        self.note(Event::Control { kind, value }, now);
    }

    /// Events so far, those included that were forgotten.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What it remembers, in order; between the first and the last ones some may be missing.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().chain(&self.last)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}.{:03} s ", self.at / 1000, self.at % 1000)?;
        match self.event {
            Event::Handshake { has_digest: true } => f.write_str("handshake with digest"),
            Event::Handshake { has_digest: false } => f.write_str("handshake"),
            Event::Control { kind, value } => {
                let name = match kind {
                    1 => "Set Chunk Size",
                    2 => "Abort Message",
                    3 => "Acknowledgement",
                    5 => "Window Acknowledgement Size",
                    6 => "Set Peer Bandwidth",
                    256 => "Stream Begin",
                    257 => "Stream EOF",
                    259 => "Set Buffer Length",
                    262 => "Ping Request",
                    263 => "Ping Response",
                    _ => return write!(f, "User Control event {}", kind.saturating_sub(256)),
                };
                write!(f, "{name} {value}")
            }
            Event::Command(name, message_stream_id) => {
                write!(f, "{} on message stream {message_stream_id}", name.as_str())
            }
            Event::Message {
                type_id,
                len,
                timestamp,
            } => {
                let name = match type_id {
                    8 => "audio",
                    9 => "video",
                    15 | 18 => "data",
                    22 => "aggregate",
                    _ => return write!(f, "message of type {type_id}, {len} bytes"),
                };
                write!(f, "{name}, {len} bytes, time stamp {timestamp}")
            }
            Event::Decision(Decision::Accepted) => f.write_str("-> accepted"),
            Event::Decision(Decision::Refused) => f.write_str("-> refused"),
            Event::Decision(Decision::Stopped) => f.write_str("-> stopped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_events_and_the_last_are_kept() {
        let mut recorder = FlightRecorder::default();
        for len in 0..1000 {
            let event = Event::Message {
                type_id: 9,
                len,
                timestamp: 0,
            };
            recorder.note(event, 5000 + u64::from(len));
        }
        let times: Vec<u32> = recorder.entries().map(|entry| entry.at).collect();
        let expected: Vec<u32> = (0..8).chain(968..1000).collect();
        assert_eq!(recorder.first.capacity(), 8);
        assert_eq!(recorder.last.capacity(), 32);
        assert_eq!(times, expected);
        assert_eq!(recorder.total(), 1000);
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 16);
    }

    #[test]
    fn entries_read_like_a_log() {
        let mut recorder = FlightRecorder::default();
        recorder.note(Event::Handshake { has_digest: true }, 1);
        recorder.note_control(&Control::SetChunkSize(4096), 1);
        recorder.note_control(&Control::User(UserControl::Other(31)), 1);
        recorder.note(Event::Command(CommandName::new("publish"), 1), 1235);
        recorder.note(Event::Command(CommandName::new("secret"), 0), 1235);
        recorder.note(Event::Decision(Decision::Accepted), 1235);
        let media = Event::Message {
            type_id: 9,
            len: 4523,
            timestamp: 40,
        };
        recorder.note(media, 1235);
        let lines: Vec<String> = recorder.entries().map(Entry::to_string).collect();
        assert_eq!(
            lines,
            [
                "+0.000 s handshake with digest",
                "+0.000 s Set Chunk Size 4096",
                "+0.000 s User Control event 31",
                "+1.234 s publish on message stream 1",
                "+1.234 s an unknown command on message stream 0",
                "+1.234 s -> accepted",
                "+1.234 s video, 4523 bytes, time stamp 40",
            ]
        );
    }
}
