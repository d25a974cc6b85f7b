//! The server's commands: replies to those of the client, and statuses.

use super::event::{ClientEvent, Refusal, RefusalKind};
use super::{ClientSession, Phase, Request};
use crate::rtmp::authmod::is_challenge;
use crate::rtmp::chunk_reader::PayloadSource;
use crate::rtmp::server_call::{Info, ServerCall};

impl<S: PayloadSource> ClientSession<S> {
    pub(super) fn handle_call(&mut self, call: ServerCall) -> Option<ClientEvent<'static>> {
        match &*call.name {
            "_result" | "_error" => self.handle_reply(call),
            "onStatus" => self.handle_status(call),
            // Servers of Adobe's kind say so before they close the connection.
            "close" => Some(self.refuse(call.info)),
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
            // Servers that don't know releaseStream or FCPublish answer with an error.
            _ => None,
        }
    }

    fn handle_status(&mut self, call: ServerCall) -> Option<ClientEvent<'static>> {
        let is_error = call.is_error();
        let info = call.info;
        if info.code == "NetConnection.Connect.ReconnectRequest" {
            return Some(ClientEvent::Reconnect {
                url: info.url,
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
                    (Request::Play(name), "NetStream.Play.Start") => {
                        (ClientEvent::Playing, Phase::Playing(name.clone()))
                    }
                    _ => return Some(status(info)),
                };
                self.phase = phase;
                Some(event)
            }
            Phase::Publishing(_) if is_refusal || info.code == "NetStream.Unpublish.Success" => {
                Some(self.refuse(info))
            }
            Phase::Playing(_) if is_error => Some(self.refuse(info)),
            Phase::Playing(_) if is_end(&info.code) => Some(ClientEvent::EndOfStream),
            _ => Some(status(info)),
        }
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
    if let Some(url) = info.url.clone().filter(|url| !url.is_empty()) {
        return RefusalKind::Redirect(url);
    }
    if is_challenge(&info.description) {
        return RefusalKind::Login;
    }
    match &*info.code {
        "NetStream.Publish.BadName" => RefusalKind::BadName,
        "NetStream.Publish.Denied" | "NetStream.Publish.Rejected" => RefusalKind::Denied,
        "NetConnection.Connect.Rejected" => RefusalKind::Denied,
        "NetStream.Play.StreamNotFound" | "NetConnection.Connect.InvalidApp" => {
            RefusalKind::NotFound
        }
        _ => RefusalKind::Other,
    }
}
