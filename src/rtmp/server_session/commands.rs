//! The commands of a client (7.2), each with its reply or event.

use super::event::{Connect, Event, MediaKind};
use super::{Dialect, MessageStream, Phase, Role, ServerSession};
use crate::rtmp::Error;
use crate::rtmp::amf0::Value;
use crate::rtmp::chunk_reader::PayloadSource;
use crate::rtmp::command::{self, Argument, Call, info};
use crate::rtmp::message::UserControl;
use crate::rtmp::printable::{Printable, at_most};

/// Message streams per connection.
const MAX_MESSAGE_STREAMS: usize = 8;

impl<S: PayloadSource> ServerSession<S> {
    pub(super) fn handle_command(
        &mut self,
        id: u32,
        command: Call,
        connect: Option<(Connect, Dialect)>,
    ) -> Result<Option<Event>, Error> {
        let transaction_id = command.transaction_id;
        if self.phase == Phase::Handshaken && command.name == "connect" {
            self.phase = Phase::Connecting { transaction_id };
            let (connect, dialect) = connect.unwrap_or_default();
            self.dialect = dialect;
            return Ok(Some(Event::Connect(connect)));
        }
        if self.phase != Phase::Connected || command.name == "connect" {
            return Err(Error::malformed(format!(
                "command {} {} connect",
                Printable(at_most(&command.name, 40)),
                if self.phase == Phase::Connected {
                    "after"
                } else {
                    "before"
                },
            )));
        }
        let message_stream_id = id;
        match command.name.as_str() {
            "releaseStream" | "_checkbw" => self.acknowledge_command(transaction_id),
            "FCPublish" => {
                self.acknowledge_command(transaction_id);
                let information = info("status", "NetStream.Publish.Start", "FCPublish");
                self.command(0, &command::call("onFCPublish", information));
            }
            "FCSubscribe" => {
                let information = info("status", "NetStream.Play.Start", "FCSubscribe");
                self.command(0, &command::call("onFCSubscribe", information));
            }
            "getStreamLength" => {
                let reply = command::result(transaction_id, Value::Null, Value::Number(0.0));
                self.command(0, &reply);
            }
            "createStream" => self.create_stream(transaction_id)?,
            "publish" => {
                self.open(id)?;
                return Ok(Some(Event::Publish {
                    message_stream_id,
                    name: text_of(command.argument),
                }));
            }
            "play" | "play2" => {
                self.open(id)?;
                return Ok(Some(Event::Play {
                    message_stream_id,
                    name: text_of(command.argument),
                }));
            }
            "FCUnpublish" => {
                let information = info("status", "NetStream.Unpublish.Success", "FCUnpublish");
                self.command(0, &command::call("onFCUnpublish", information));
                self.acknowledge_command(transaction_id);
                return Ok(self.stop(Some(Role::Publishing), None));
            }
            "closeStream" => return Ok(self.stop(None, Some(id).filter(|id| *id != 0))),
            "deleteStream" => {
                // GStreamer sends the stream's name where the id belongs. A name of digits is
                // no id either.
                let is_name = command.argument.text().is_some();
                let target = command.argument.unsigned().filter(|_| !is_name);
                let target = target.or(Some(id)).filter(|id| *id != 0);
                let event = self.stop(None, target);
                self.message_streams
                    .retain(|stream| Some(stream.id) != target);
                return Ok(event);
            }
            "pause" | "pauseRaw" if self.role(id) == Some(Role::Playing) => {
                let is_paused = command.argument.flag().unwrap_or(true);
                if is_paused {
                    self.status(id, "status", "NetStream.Pause.Notify", "Paused.");
                    self.user_control(UserControl::StreamEof(id));
                } else {
                    self.user_control(UserControl::StreamBegin(id));
                    self.status(id, "status", "NetStream.Unpause.Notify", "Unpaused.");
                }
                return Ok(Some(Event::Pause {
                    message_stream_id,
                    is_paused,
                }));
            }
            "seek" if self.role(id) == Some(Role::Playing) => {
                // A live stream has one place to play from. The client hears what it expects.
                self.status(
                    id,
                    "status",
                    "NetStream.Seek.Notify",
                    "Live: seeking has no effect.",
                );
            }
            "receiveAudio" | "receiveVideo" if self.role(id) == Some(Role::Playing) => {
                let is_wanted = command.argument.flag().unwrap_or(true);
                if is_wanted {
                    self.status(id, "status", "NetStream.Seek.Notify", "Receiving.");
                    self.status(id, "status", "NetStream.Play.Start", "Receiving.");
                }
                let is_audio = command.name == "receiveAudio";
                let kind = if is_audio {
                    MediaKind::Audio
                } else {
                    MediaKind::Video
                };
                return Ok(Some(Event::Receive {
                    message_stream_id,
                    kind,
                    is_wanted,
                }));
            }
            // Replies to what this server never asked, and calls of unknown procedures. An
            // _error to the latter makes some encoders give up; nobody misses an answer.
            _ => {}
        }
        Ok(None)
    }

    fn create_stream(&mut self, transaction_id: f64) -> Result<(), Error> {
        // From 1 up: 0 is refused by GStreamer, which ends on a Stream EOF for 1 only.
        if self.message_streams.len() == MAX_MESSAGE_STREAMS {
            let reply = command::error(
                transaction_id,
                "NetConnection.Call.Failed",
                "too many message streams",
            );
            self.command(0, &reply);
        }
        let is_free = |id: &u32| self.message_streams.iter().all(|stream| stream.id != *id);
        let id = (1..).find(is_free).unwrap_or(1);
        self.open(id)?;
        let reply = command::result(transaction_id, Value::Null, Value::Number(id.into()));
        self.command(0, &reply);
        Ok(())
    }

    /// Makes the message stream known. Some clients publish without createStream.
    fn open(&mut self, id: u32) -> Result<(), Error> {
        if self.role(id).is_some() {
            return Ok(());
        }
        if self.message_streams.len() == MAX_MESSAGE_STREAMS {
            return Err(Error::Limit {
                what: "message streams on one connection",
                got: MAX_MESSAGE_STREAMS as u64 + 1,
                allowed: MAX_MESSAGE_STREAMS as u64,
                option: None,
            });
        }
        self.message_streams.push(MessageStream {
            id,
            role: Role::Idle,
        });
        Ok(())
    }

    /// Ends what a message stream does. Without an id: the only one in use that has the role.
    fn stop(&mut self, role: Option<Role>, id: Option<u32>) -> Option<Event> {
        let mut matching = self.message_streams.iter_mut().filter(|stream| {
            stream.role != Role::Idle
                && role.is_none_or(|role| stream.role == role)
                && id.is_none_or(|id| stream.id == id)
        });
        let stream = matching.next()?;
        if matching.next().is_some() {
            return None;
        }
        stream.role = Role::Idle;
        Some(Event::Stop {
            message_stream_id: stream.id,
        })
    }

    fn acknowledge_command(&mut self, transaction_id: f64) {
        if transaction_id != 0.0 {
            self.command(
                0,
                &command::result(transaction_id, Value::Null, Value::Undefined),
            );
        }
    }
}

fn text_of(argument: Argument) -> String {
    match argument {
        Argument::Text(text) => text,
        _ => String::new(),
    }
}
