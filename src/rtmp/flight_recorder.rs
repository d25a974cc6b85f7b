//! The flight recorder: a connection's first and last protocol events, written to the log if it fails.
//!
//! The first events are kept besides the last ones because the beginning of a session says as much about
//! a failure as the events just before it. An event is a kind and a few numbers, never payload, names or
//! keys. The recorder grows up to a fixed size, since most connections are players with few events.

use std::collections::VecDeque;
use std::fmt;

use super::message::Control;

pub use super::client_command::CommandName;

/// The number of events kept from the beginning.
const MAX_FIRST: usize = 8;

/// The number of events kept from the end.
const MAX_LAST: usize = 32;

/// Something that happened on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedEvent {
    /// The handshake is complete.
    Handshake {
        /// Whether both sides signed the handshake, as Flash players require.
        has_digest: bool,
    },
    /// A protocol control message or user control message arrived: its type and its first number. For
    /// user control messages, the type is 256 plus the number of the event.
    Control {
        /// The message type, or 256 plus the number of the user control event.
        kind: u16,
        /// The first number of the message: bytes, an id or a time.
        value: u32,
    },
    /// A command arrived on this message stream.
    Command(CommandName, u8),
    /// An audio, video, data or other message arrived.
    Message {
        /// The message type (7.1).
        type_id: u8,
        /// The payload length in bytes.
        len: u32,
        /// The timestamp in ms.
        timestamp: u32,
    },
    /// The server's decision on a request.
    Decision {
        /// Whether the client may connect, publish or play.
        is_accepted: bool,
    },
}

/// An event with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The time in ms since the connection began.
    pub at: u32,
    /// The event.
    pub event: RecordedEvent,
}

/// The number of bytes that a recorder occupies on the heap.
pub const COST: usize = (MAX_FIRST + MAX_LAST) * size_of::<Record>();

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct FlightRecorder {
    began: Option<u64>,
    first: Vec<Record>,
    last: VecDeque<Record>,
    total: u64,
}

/// A flight recorder together with the current time.
pub struct Tape<'a> {
    recorder: &'a mut FlightRecorder,
    /// The current time in ms on the caller's clock.
    pub(super) now: u64,
}

impl Tape<'_> {
    /// Records an event.
    pub fn note(&mut self, event: RecordedEvent) {
        self.recorder.note(event, self.now);
    }

    pub(super) fn note_control(&mut self, control: &Control) {
        let (kind, value) = control.kind_and_value();
        let kind = u16::try_from(kind).unwrap_or(u16::MAX);
        self.note(RecordedEvent::Control { kind, value });
    }
}

impl FlightRecorder {
    /// Returns the recorder with the current time, in ms on the caller's clock.
    pub fn at(&mut self, now: u64) -> Tape<'_> {
        Tape {
            recorder: self,
            now,
        }
    }

    /// Records an event; `now` is in ms on the caller's clock.
    pub fn note(&mut self, event: RecordedEvent, now: u64) {
        let at = now.saturating_sub(*self.began.get_or_insert(now));
        let entry = Record {
            at: u32::try_from(at).unwrap_or(u32::MAX),
            event,
        };
        self.total += 1;
        // Reserved at once, because a connection pays for the whole recorder from its first event on.
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

    /// Returns the number of events so far, including dropped ones.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the kept events in order; some may be missing between the first and the last ones.
    pub fn entries(&self) -> impl Iterator<Item = &Record> {
        self.first.iter().chain(&self.last)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}.{:03} s ", self.at / 1000, self.at % 1000)?;
        match self.event {
            RecordedEvent::Handshake { has_digest: true } => f.write_str("handshake with digest"),
            RecordedEvent::Handshake { has_digest: false } => f.write_str("handshake"),
            RecordedEvent::Control { kind, value } => {
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
            RecordedEvent::Command(name, message_stream_id) => {
                write!(f, "{} on message stream {message_stream_id}", name.as_str())
            }
            RecordedEvent::Message {
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
            RecordedEvent::Decision { is_accepted: true } => f.write_str("-> accepted"),
            RecordedEvent::Decision { is_accepted: false } => f.write_str("-> refused"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::message::UserControl;

    #[test]
    fn the_first_events_and_the_last_are_kept() {
        let mut recorder = FlightRecorder::default();
        for len in 0..1000 {
            let event = RecordedEvent::Message {
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
        assert!(size_of::<Record>() <= 16);
    }

    #[test]
    fn entries_read_like_a_log() {
        let mut recorder = FlightRecorder::default();
        recorder.note(RecordedEvent::Handshake { has_digest: true }, 1);
        let mut tape = recorder.at(1);
        tape.note_control(&Control::SetChunkSize(4096));
        tape.note_control(&Control::User(UserControl::Other(31)));
        recorder.note(RecordedEvent::Command(CommandName::new("publish"), 1), 1235);
        recorder.note(RecordedEvent::Command(CommandName::new("secret"), 0), 1235);
        recorder.note(RecordedEvent::Decision { is_accepted: true }, 1235);
        let media = RecordedEvent::Message {
            type_id: 9,
            len: 4523,
            timestamp: 40,
        };
        recorder.note(media, 1235);
        let lines: Vec<String> = recorder.entries().map(Record::to_string).collect();
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
