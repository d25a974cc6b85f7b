//! The replies and events for each command of a client (7.2).

use super::event::Event;
use super::{Phase, ServerSession, StreamRole};
use crate::rtmp::Error;
use crate::rtmp::amf0::Value;
use crate::rtmp::chunk_reader::PayloadSource;
use crate::rtmp::client_command::{Call, ClientCommand};
use crate::rtmp::command::{self, info};
use crate::rtmp::dialect::Dialect;
use crate::rtmp::message::UserControl;
use crate::rtmp::printable::{Printable, at_most};

type Handled = Result<Option<Event<'static>>, Error>;

impl<S: PayloadSource> ServerSession<S> {
    /// Handles a command that arrived on this message stream.
    pub(super) fn handle_command(&mut self, id: u32, call: Call) -> Handled {
        let transaction_id = call.transaction_id;
        match (self.phase, call.command) {
            (Phase::Handshaken, ClientCommand::Connect(connect)) => {
                self.phase = Phase::Connecting { transaction_id };
                self.dialect = Dialect::of(&connect);
                Ok(Some(Event::Connect(connect)))
            }
            (Phase::Connected, command) if !matches!(command, ClientCommand::Connect(_)) => {
                self.act(id, transaction_id, command)
            }
            (phase, _) => Err(Error::malformed(format!(
                "command {} {} connect",
                Printable(at_most(&call.name, 40)),
                if phase == Phase::Connected {
                    "after"
                } else {
                    "before"
                },
            ))),
        }
    }

    fn act(&mut self, id: u32, transaction_id: f64, command: ClientCommand) -> Handled {
        let message_stream_id = id;
        match command {
            ClientCommand::ReleaseStream | ClientCommand::CheckBandwidth => {
                self.acknowledge_command(transaction_id);
            }
            ClientCommand::FcPublish => {
                self.acknowledge_command(transaction_id);
                self.notify("onFCPublish", "NetStream.Publish.Start", "FCPublish");
            }
            ClientCommand::FcSubscribe => {
                self.notify("onFCSubscribe", "NetStream.Play.Start", "FCSubscribe");
            }
            ClientCommand::FcUnpublish => {
                let code = "NetStream.Unpublish.Success";
                self.notify("onFCUnpublish", code, "FCUnpublish");
                self.acknowledge_command(transaction_id);
                return Ok(self.stop(Some(StreamRole::Publishing), None));
            }
            ClientCommand::GetStreamLength => {
                let reply = command::result(transaction_id, Value::Null, Value::Number(0.0));
                self.command(&reply);
            }
            ClientCommand::CreateStream => self.create_stream(transaction_id)?,
            ClientCommand::Publish(name, kind) => {
                self.streams.open(id)?;
                return Ok(Some(Event::Publish {
                    message_stream_id,
                    name,
                    kind,
                }));
            }
            ClientCommand::Play(name) => {
                self.streams.open(id)?;
                return Ok(Some(Event::Play {
                    message_stream_id,
                    name,
                }));
            }
            // On message stream 0, a client means its only stream in use.
            ClientCommand::CloseStream => return Ok(self.stop(None, Some(id).filter(is_not_0))),
            ClientCommand::DeleteStream(target) => {
                let target = target.or(Some(id)).filter(is_not_0);
                let event = self.stop(None, target);
                self.streams.remove(target);
                return Ok(event);
            }
            command if self.streams.role(id) == Some(StreamRole::Playing) => {
                return Ok(self.control_play(id, command));
            }
            // An unknown procedure gets no _error: it makes some encoders give up, and no client is
            // known to miss the reply.
            _ => {}
        }
        Ok(None)
    }

    /// Handles a command for a message stream that plays.
    fn control_play(&mut self, id: u32, command: ClientCommand) -> Option<Event<'static>> {
        let message_stream_id = id;
        match command {
            ClientCommand::Pause(is_paused) => {
                if is_paused {
                    self.status(id, "status", "NetStream.Pause.Notify", "Paused.");
                    self.user_control(UserControl::StreamEof(id));
                } else {
                    self.user_control(UserControl::StreamBegin(id));
                    self.status(id, "status", "NetStream.Unpause.Notify", "Unpaused.");
                }
                Some(Event::Pause {
                    message_stream_id,
                    is_paused,
                })
            }
            ClientCommand::Seek => {
                // A live stream can only be played from its newest messages, but the client waits for
                // this reply.
                let description = "Live: seeking has no effect.";
                self.status(id, "status", "NetStream.Seek.Notify", description);
                None
            }
            ClientCommand::Receive(medium, is_wanted) => {
                if is_wanted {
                    self.status(id, "status", "NetStream.Seek.Notify", "Receiving.");
                    self.status(id, "status", "NetStream.Play.Start", "Receiving.");
                }
                Some(Event::Receive {
                    message_stream_id,
                    medium,
                    is_wanted,
                })
            }
            _ => None,
        }
    }

    fn create_stream(&mut self, transaction_id: f64) -> Result<(), Error> {
        if self.streams.is_full() {
            let code = "NetConnection.Call.Failed";
            let reply = command::error(transaction_id, code, "too many message streams");
            self.command(&reply);
        }
        let id = self.streams.free_id();
        self.streams.open(id)?;
        let reply = command::result(transaction_id, Value::Null, Value::Number(id.into()));
        self.command(&reply);
        Ok(())
    }

    fn stop(&mut self, role: Option<StreamRole>, id: Option<u32>) -> Option<Event<'static>> {
        let message_stream_id = self.streams.stop(role, id)?;
        Some(Event::Stop { message_stream_id })
    }

    fn acknowledge_command(&mut self, transaction_id: f64) {
        if transaction_id != 0.0 {
            let reply = command::result(transaction_id, Value::Null, Value::Undefined);
            self.command(&reply);
        }
    }

    fn notify(&mut self, name: &str, code: &str, description: &str) {
        let information = info("status", code, description);
        self.command(&command::call(name, information));
    }
}

fn is_not_0(id: &u32) -> bool {
    *id != 0
}
