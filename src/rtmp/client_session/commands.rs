//! The server's commands: replies to those of the client, and statuses.

use super::conversation::{Conversation, Phase, Request};
use super::event::{ClientEvent, Refusal, RefusalKind};
use crate::rtmp::authmod::is_challenge;
use crate::rtmp::chunk::chunk_stream_id;
use crate::rtmp::server_call::{Info, ServerCall};

impl Conversation {
    pub(super) fn handle_call(&mut self, call: ServerCall) -> Option<ClientEvent<'static>> {
        match &*call.name {
            "_result" | "_error" => self.handle_reply(call),
            "onStatus" => self.handle_status(call),
            // Servers of Adobe's kind say so before they close the connection.
            "close" => Some(self.refuse(call.info)),
            // Flash players answer so, and some servers of their time wait for it. Once is enough.
            "onBWDone" if !self.has_checked_bandwidth && self.is_connected() => {
                self.has_checked_bandwidth = true;
                self.command("_checkbw", Vec::new(), chunk_stream_id::COMMAND, 0);
                None
            }
            _ => None,
        }
    }

    fn handle_reply(&mut self, call: ServerCall) -> Option<ClientEvent<'static>> {
        let is_error = call.is_error();
        match &self.phase {
            // There is one command without a reply so far, so that its id doesn't matter.
            Phase::Connecting if is_error => Some(self.refuse(call.info)),
            Phase::Connecting => {
                self.phase = Phase::Connected;
                self.announced = (call.info.codecs, call.info.caps_ex);
                self.is_amf3 = self.options.is_amf3 && call.info.is_amf3;
                Some(ClientEvent::Connected)
            }
            Phase::Creating { transaction, .. }
                if call.transaction_id == f64::from(*transaction) =>
            {
                if is_error {
                    return Some(self.refuse(call.info));
                }
                let number = call.number.unwrap_or_default();
                // Ids of message streams are in 1 to 2^32 - 1; 0 is that of the connection.
                let is_id = (1.0..=f64::from(u32::MAX)).contains(&number);
                let Phase::Creating { request, .. } =
                    std::mem::replace(&mut self.phase, Phase::Over)
                else {
                    return None;
                };
                if !is_id {
                    let description = "createStream was answered without a message stream";
                    return Some(ClientEvent::Refused(Refusal {
                        kind: RefusalKind::Other,
                        code: String::new(),
                        description: description.to_owned(),
                    }));
                }
                self.request(number as u32, request);
                None
            }
            Phase::Requested { transaction, .. }
                if is_error && call.transaction_id == f64::from(*transaction) =>
            {
                Some(self.refuse(call.info))
            }
            // Some servers answer publish with a reply instead of a status.
            Phase::Requested {
                transaction,
                request: Request::Publish(name),
            } if call.transaction_id == f64::from(*transaction) => {
                self.phase = Phase::Publishing(name.clone());
                Some(ClientEvent::Publishing)
            }
            // Servers that don't know releaseStream or FCPublish answer with an error.
            _ => None,
        }
    }

    fn handle_status(&mut self, call: ServerCall) -> Option<ClientEvent<'static>> {
        let is_error = call.is_error();
        let info = call.info;
        if info.code == "NetConnection.Connect.ReconnectRequest" {
            return Some(ClientEvent::Reconnect {
                url: info.tc_url,
                description: info.description,
            });
        }
        let is_refusal = is_error || is_refusal(&info.code);
        match &self.phase {
            Phase::Connecting | Phase::Creating { .. } | Phase::Requested { .. } if is_refusal => {
                Some(self.refuse(info))
            }
            Phase::Requested { request, .. } => {
                let (event, phase) = match (request, &*info.code) {
                    (Request::Publish(name), "NetStream.Publish.Start") => {
                        (ClientEvent::Publishing, Phase::Publishing(name.clone()))
                    }
                    (
                        Request::Play(name),
                        "NetStream.Play.Start" | "NetStream.Play.PublishNotify",
                    ) => (ClientEvent::Playing, Phase::Playing(name.clone())),
                    _ => return Some(status(info)),
                };
                self.phase = phase;
                Some(event)
            }
            Phase::Publishing(_) if is_refusal || info.code == "NetStream.Unpublish.Success" => {
                Some(self.refuse(info))
            }
            Phase::Playing(_) if is_refusal => Some(self.refuse(info)),
            Phase::Playing(_) if is_end(&info.code) => self.end_play(),
            _ => Some(status(info)),
        }
    }

    /// Ends the play once: servers say it in up to three ways, one after the other, since there are clients
    /// that wait for each of them.
    pub(super) fn end_play(&mut self) -> Option<ClientEvent<'static>> {
        let is_playing = matches!(self.phase, Phase::Playing(_));
        is_playing.then(|| {
            self.phase = Phase::Over;
            ClientEvent::EndOfStream
        })
    }

    fn refuse(&mut self, info: Info) -> ClientEvent<'static> {
        self.phase = Phase::Over;
        let kind = kind_of(&info);
        ClientEvent::Refused(Refusal {
            kind,
            code: info.code,
            description: info.description,
        })
    }
}

fn status(info: Info) -> ClientEvent<'static> {
    ClientEvent::Status {
        level: info.level,
        code: info.code,
        description: info.description,
    }
}

/// Whether a code is a refusal whatever the level says: some servers send these as "status".
fn is_refusal(code: &str) -> bool {
    matches!(
        code,
        "NetStream.Publish.BadName"
            | "NetStream.Publish.Denied"
            | "NetStream.Publish.Rejected"
            | "NetStream.Publish.Failed"
            | "NetStream.Play.StreamNotFound"
            | "NetStream.Play.Failed"
            | "NetStream.Failed"
            | "NetConnection.Connect.Rejected"
            | "NetConnection.Connect.Failed"
            | "NetConnection.Connect.Closed"
            | "NetConnection.Connect.InvalidApp"
    )
}

fn is_end(code: &str) -> bool {
    matches!(
        code,
        "NetStream.Play.UnpublishNotify" | "NetStream.Play.Stop" | "NetStream.Play.Complete"
    )
}

fn kind_of(info: &Info) -> RefusalKind {
    if let Some(url) = info.redirect.clone() {
        return RefusalKind::Redirect(url);
    }
    if is_challenge(&info.description) {
        return RefusalKind::Login;
    }
    match &*info.code {
        "NetStream.Publish.BadName" => RefusalKind::BadName,
        "NetStream.Publish.Denied"
        | "NetStream.Publish.Rejected"
        | "NetStream.Publish.BadAuth"
        | "NetStream.Publish.Unauthorized"
        | "NetStream.Play.BadAuth"
        | "NetConnection.Connect.Rejected" => RefusalKind::Denied,
        "NetStream.Play.StreamNotFound" | "NetConnection.Connect.InvalidApp" => {
            RefusalKind::NotFound
        }
        _ => RefusalKind::Other,
    }
}
