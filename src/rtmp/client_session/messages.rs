//! The handling of each message of a server.

use std::ops::Range;

use super::event::{ClientEvent, Media};
use super::{ClientSession, DEFAULT_ACKNOWLEDGE_AFTER, WINDOW};
use crate::rtmp::Error;
use crate::rtmp::aggregate::Aggregate;
use crate::rtmp::chunk_reader::{InPlace, Limits, Payload, PayloadSource, ReceivedMessage};
use crate::rtmp::data;
use crate::rtmp::message::{Control, UserControl, medium_of, type_id, without_selector};
use crate::rtmp::metadata;
use crate::rtmp::server_call::ServerCall;

type Handled = Result<Option<ClientEvent<'static>>, Error>;

impl<S: PayloadSource> ClientSession<S> {
    pub(super) fn handle_message<'a>(
        &mut self,
        message: ReceivedMessage<'a>,
        now: u64,
    ) -> Result<Option<ClientEvent<'a>>, Error> {
        let assembled = self.reader.assembled().map_or(0, Payload::len);
        let len = message.in_place.map_or(assembled, |bytes| bytes.len());
        match message.type_id {
            1..=6 => self.handle_control(message.type_id, len, now),
            // In the AMF3 envelope, an empty command has a selector byte.
            type_id::COMMAND | type_id::COMMAND_AMF3
                if len > usize::from(message.type_id == type_id::COMMAND_AMF3) =>
            {
                self.quotas.take_command(now)?;
                let parts = self.parts(0..len);
                let call = ServerCall::parse(without_selector(message.type_id, parts.bytes()));
                self.reader.forget_payload();
                match call {
                    Ok(call) => {
                        self.quotas.note_readable();
                        let event = self.conversation.handle_call(call);
                        if self.conversation.is_playing() {
                            self.expect_media();
                        }
                        Ok(event)
                    }
                    Err(error) => self.quotas.take_unreadable(error).map(|()| None),
                }
            }
            _ if !self.is_played(message.message_stream_id) => Ok(None),
            type_id::AGGREGATE => {
                let id = message.message_stream_id;
                self.aggregate = Some(Aggregate::new(id, message.timestamp));
                Ok(self.next_in_aggregate())
            }
            type_id => {
                Ok(self.played_message(type_id, message.timestamp, 0..len, message.in_place))
            }
        }
    }

    /// Whether media on a message stream belong to the stream that is played. Some servers send media
    /// before the status of the play, and some on message stream 0: Node-Media-Server 4 and ffmpeg.
    fn is_played(&self, message_stream_id: u32) -> bool {
        let own = self.conversation.message_stream_id;
        self.conversation.is_playing() && [Some(0), own].contains(&Some(message_stream_id))
    }

    fn played_message<'a>(
        &mut self,
        type_id: u8,
        timestamp: u32,
        range: Range<usize>,
        in_place: Option<InPlace<'a>>,
    ) -> Option<ClientEvent<'a>> {
        if let Some(medium) = medium_of(type_id) {
            self.body = range;
            return Some(ClientEvent::Media(Media {
                medium,
                timestamp,
                in_place,
            }));
        }
        if !matches!(type_id, type_id::DATA | type_id::DATA_AMF3) {
            return None;
        }
        let parts = self.parts(range.clone());
        let body = without_selector(type_id, parts.bytes());
        let event = if metadata::parse(body).is_some() {
            ClientEvent::Metadata { timestamp }
        } else if data::may_have_name(body) {
            ClientEvent::Data { timestamp }
        } else {
            return None;
        };
        self.body = range.end - body.len()..range.end;
        Some(event)
    }

    /// Returns the event for the next relevant message in the aggregate message.
    pub(super) fn next_in_aggregate(&mut self) -> Option<ClientEvent<'static>> {
        loop {
            let parts = self.reader.assembled()?.parts();
            let aggregate = self.aggregate.as_mut()?;
            let message_stream_id = aggregate.message_stream_id;
            let inner = aggregate.next(parts);
            let Some(inner) = inner.filter(|_| self.is_played(message_stream_id)) else {
                self.aggregate = None;
                return None;
            };
            // Charged like a message that is sent in its own chunks.
            self.reader.note_chunk(inner.range.len() as u32);
            let event = self.played_message(inner.type_id, inner.timestamp, inner.range, None);
            if event.is_some() {
                return event;
            }
        }
    }

    fn handle_control(&mut self, type_id: u8, len: usize, now: u64) -> Handled {
        let body: [u8; Limits::CONTROL as usize] = self.parts(0..len).bytes().to_array();
        let control = Control::parse(type_id, body.get(..len).unwrap_or(&body))?;
        self.quotas.take_control(now)?;
        match control {
            Control::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Control::Abort(id) => self.reader.abort(id),
            Control::Acknowledgement(number) => self.peer_acknowledged = Some(number),
            Control::WindowAcknowledgementSize(size) if size > 0 => {
                // Half the window, so that a server that waits for acknowledgements never has to.
                self.acknowledge_after = (size / 2).clamp(1, DEFAULT_ACKNOWLEDGE_AFTER);
            }
            Control::SetPeerBandwidth { size, .. } if size > 0 && size != WINDOW => {
                let window = Control::WindowAcknowledgementSize(size);
                self.conversation.control(&window);
            }
            Control::User(UserControl::PingRequest(time)) => {
                let response = UserControl::PingResponse(time);
                self.conversation.user_control(response);
            }
            Control::User(UserControl::StreamEof(id))
                if Some(id) == self.conversation.message_stream_id =>
            {
                return Ok(self.conversation.end_play());
            }
            _ => {}
        }
        Ok(None)
    }
}
