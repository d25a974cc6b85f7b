//! The handling of each message of a client.

use std::ops::Range;

use super::event::{Event, Media};
use super::{DEFAULT_ACKNOWLEDGE_AFTER, MAX_METADATA_LEN, ServerSession, StreamRole, WINDOW};
use crate::rtmp::Error;
use crate::rtmp::aggregate::Aggregate;
use crate::rtmp::bytes::{Parts, slice};
use crate::rtmp::chunk_reader::{InPlace, Limits, Payload, PayloadSource, ReceivedMessage};
use crate::rtmp::client_command::{Call, ClientCommand};
use crate::rtmp::data;
use crate::rtmp::flight_recorder::{CommandName, RecordedEvent, Tape};
use crate::rtmp::message::{Control, UserControl, medium_of, type_id, without_selector};
use crate::rtmp::metadata;

impl<S: PayloadSource> ServerSession<S> {
    pub(super) fn handle_message<'a>(
        &mut self,
        message: ReceivedMessage<'a>,
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event<'a>>, Error> {
        let ReceivedMessage {
            type_id, timestamp, ..
        } = message;
        let assembled = self.reader.assembled().map_or(0, Payload::len);
        let len = message.in_place.map_or(assembled, |bytes| bytes.len());
        match type_id {
            1..=6 => {
                self.handle_control(type_id, len, tape)?;
                return Ok(None);
            }
            // Empty commands are ignored; in the AMF3 envelope, an empty command has a selector byte.
            type_id::COMMAND | type_id::COMMAND_AMF3
                if len > usize::from(type_id == type_id::COMMAND_AMF3) =>
            {
                let call = self.read_command(type_id, 0..len);
                // Acting on the command may take some time, and may need the memory.
                self.reader.forget_payload();
                return self.handle_call(message.message_stream_id, call, tape);
            }
            _ => {}
        }
        tape.note(RecordedEvent::Message {
            type_id,
            len: len as u32,
            timestamp,
        });
        let Some(id) = self.streams.publish_of(message.message_stream_id) else {
            return Ok(None);
        };
        if type_id == type_id::AGGREGATE {
            self.aggregate = Some(Aggregate::new(id, timestamp));
            return Ok(self.next_in_aggregate(tape));
        }
        Ok(self.publish_message(id, type_id, timestamp, 0..len, message.in_place))
    }

    /// Returns the event for a published message, whether it came alone or in an aggregate message.
    fn publish_message<'a>(
        &mut self,
        message_stream_id: u32,
        type_id: u8,
        timestamp: u32,
        range: Range<usize>,
        in_place: Option<InPlace<'a>>,
    ) -> Option<Event<'a>> {
        if let Some(medium) = medium_of(type_id) {
            self.body = range;
            return Some(Event::Media(Media {
                message_stream_id,
                medium,
                timestamp,
                in_place,
            }));
        }
        if !matches!(type_id, type_id::DATA | type_id::DATA_AMF3) {
            return None;
        }
        self.data(message_stream_id, type_id, timestamp, range)
    }

    /// Returns the event for the next relevant message in the aggregate message.
    pub(super) fn next_in_aggregate(&mut self, tape: &mut Tape<'_>) -> Option<Event<'static>> {
        loop {
            let parts = self.reader.assembled()?.parts();
            let aggregate = self.aggregate.as_mut()?;
            let message_stream_id = aggregate.message_stream_id;
            let inner = aggregate.next(parts);
            let role = self.streams.role(message_stream_id);
            let is_published = role == Some(StreamRole::Publishing);
            let Some(inner) = inner.filter(|_| is_published) else {
                self.aggregate = None;
                return None;
            };
            let len = inner.range.len() as u32;
            // Charged like a message that is sent in its own chunks.
            self.reader.note_chunk(len);
            let (type_id, timestamp) = (inner.type_id, inner.timestamp);
            if medium_of(type_id).is_some() {
                tape.note(RecordedEvent::Message {
                    type_id,
                    len,
                    timestamp,
                });
            }
            let event =
                self.publish_message(message_stream_id, type_id, timestamp, inner.range, None);
            if event.is_some() {
                return event;
            }
        }
    }

    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    fn data(
        &mut self,
        message_stream_id: u32,
        type_id: u8,
        timestamp: u32,
        range: Range<usize>,
    ) -> Option<Event<'static>> {
        if range.len() > MAX_METADATA_LEN {
            return None;
        }
        let parts = self.parts(range.clone());
        let body = without_selector(type_id, parts.bytes());
        let event = if metadata::parse(body).is_some() {
            Event::Metadata { message_stream_id }
        } else if data::may_have_name(body) {
            Event::Data {
                message_stream_id,
                timestamp,
            }
        } else {
            return None;
        };
        let start = range.end - body.len();
        self.body = start..range.end;
        Some(event)
    }

    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    fn read_command(&self, type_id: u8, range: Range<usize>) -> Result<Call, Error> {
        let parts = self.parts(range);
        ClientCommand::parse(without_selector(type_id, parts.bytes()))
    }

    fn handle_call(
        &mut self,
        id: u32,
        call: Result<Call, Error>,
        tape: &mut Tape<'_>,
    ) -> Result<Option<Event<'static>>, Error> {
        // Charged before the result is known, because unreadable commands cost time as well.
        self.quotas.take_command(tape.now)?;
        let call = match call {
            Ok(call) => call,
            Err(error) => {
                tape.note(RecordedEvent::Command(CommandName::UNREADABLE, 0));
                return self.quotas.take_unreadable(error).map(|()| None);
            }
        };
        self.quotas.note_readable();
        let name = CommandName::new(&call.name);
        tape.note(RecordedEvent::Command(name, id as u8));
        self.handle_command(id, call)
    }

    fn handle_control(
        &mut self,
        type_id: u8,
        len: usize,
        tape: &mut Tape<'_>,
    ) -> Result<(), Error> {
        let body: [u8; Limits::CONTROL as usize] = self.parts(0..len).bytes().to_array();
        let control = Control::parse(type_id, body.get(..len).unwrap_or(&body))?;
        tape.note_control(&control);
        self.quotas.take_control(tape.now)?;
        match control {
            Control::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Control::Abort(id) => self.reader.abort(id),
            Control::WindowAcknowledgementSize(size) if size > 0 => {
                // Half the window, so that an encoder that waits for acknowledgements never has to.
                self.acknowledge_after = (size / 2).clamp(1, DEFAULT_ACKNOWLEDGE_AFTER);
            }
            Control::SetPeerBandwidth { size, .. } if size > 0 && size != WINDOW => {
                self.writer
                    .write_control(&Control::WindowAcknowledgementSize(WINDOW), &mut self.out);
            }
            Control::User(UserControl::PingRequest(time)) => {
                self.user_control(UserControl::PingResponse(time));
            }
            // Acknowledgements aren't needed, since the socket tells how much was delivered, and the
            // size of a player's buffer makes no difference to a live stream.
            _ => {}
        }
        Ok(())
    }

    /// Returns the bytes of the assembled payload; no bytes if it has more parts than commands and data
    /// messages ever have.
    pub(super) fn parts(&self, range: Range<usize>) -> Parts<'_> {
        let parts = self.reader.assembled().map(Payload::parts);
        Parts::new(slice(parts.into_iter().flatten(), range)).unwrap_or_default()
    }
}
