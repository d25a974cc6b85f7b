//! Publishing: from the request to the stream.

use std::sync::Arc;

use super::requests::{BAD_NAME, DENIED, Granted, stream_cost};
use super::{RtmpConnection, RtmpEnd, find};
use crate::allowance::{Exceeded, Taken, push};
use crate::live::Millis;
use crate::live::life::{PublishRefused, Publisher};
use crate::live::stream::{Closed, PUBLISH_COST};
use crate::rtmp::metadata;
use crate::rtmp::server_session::PublishKind;
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::Action;
use crate::server::lines::About;
use crate::server::publishing::{Publishing, advance};

/// The number of blocks that a publisher keeps for its next message: enough for most frames.
pub(in crate::server) const SPARE_BLOCKS: usize = 4;

impl RtmpConnection {
    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn publish(
        &mut self,
        message_stream_id: u32,
        name: &str,
        kind: PublishKind,
        now: Millis,
    ) -> Result<(), RtmpEnd> {
        let granted = self.decide(Action::Publish, message_stream_id, name, now)?;
        let Granted {
            key, is_trusted, ..
        } = granted;
        if self
            .publishing
            .iter()
            .any(|p| p.is_live() && *p.stream.key() == key)
        {
            self.refuse_second(message_stream_id, &key);
            return Ok(());
        }
        let taken = match self.pay_for_publish(&key, now) {
            Ok(taken) => taken,
            Err(exceeded) => {
                let why = exceeded.to_string();
                return Err(self.take_back(message_stream_id, &key, DENIED, &why));
            }
        };
        let client = &self.client;
        let connections = &self.shared.connections;
        if let Err(full) = connections.note_publish(client.id(), &key) {
            let why = full.to_string();
            return Err(self.take_back(message_stream_id, &key, DENIED, &why));
        }
        let publisher = || Publisher {
            connection: client.id(),
            address: client.address().ip(),
            is_trusted,
            sink: self.socket.clone(),
            allowance: self.allowance.clone(),
        };
        let table = &self.shared.table;
        let verdict = table.with(&key, now, |stream| match stream.publish(publisher(), now) {
            Err(PublishRefused::Closed) => Err(Closed),
            verdict => Ok(verdict.map(|accepted| (Arc::clone(stream), accepted))),
        });
        let (stream, accepted) = match verdict {
            Ok(published) => published,
            Err(refused) => {
                connections.note_unpublish(client.id(), &key, false);
                let why = refused.to_string();
                return Err(self.take_back(message_stream_id, &key, BAD_NAME, &why));
            }
        };
        self.session
            .accept_publish(message_stream_id, &key.to_string());
        let how = match (accepted.is_takeover, accepted.is_return) {
            (true, _) => ", taking over from the publisher before",
            (false, true) => ", its players have waited",
            (false, false) => "",
        };
        let (id, address) = (self.client.id(), self.client.address());
        let line = self.shared.info(About::Publishing, address.ip());
        line.say(format_args!(
            "#{id} {key}: publishing from {address}{}{how}",
            self.name
        ));
        // Connections that wait for this stream become viewers, which are harder to displace.
        self.shared.connections.note_live(&key);
        self.assembly.keep(SPARE_BLOCKS);
        let publishing = Publishing::new(
            Arc::clone(&self.shared),
            &self.client,
            message_stream_id,
            stream,
            accepted.generation,
            taken,
            now,
        );
        let stream = Arc::clone(&publishing.stream);
        push(&mut self.publishing, publishing);
        self.shared.relays.published(&self.shared, &stream);
        self.record(message_stream_id, &key, kind);
        Ok(())
    }

    /// Refuses a publish that the handlers have accepted.
    fn take_back(&mut self, id: u32, key: &StreamKey, code: &str, why: &str) -> RtmpEnd {
        self.shared.handler.unpublish(&self.client, key);
        self.session.refuse_stream(id, code, why);
        RtmpEnd::refused(&format!("publish {key}"), why)
    }

    /// Refuses to publish a stream that the connection already publishes on another message stream. The
    /// first publish goes on; a takeover would end both.
    fn refuse_second(&mut self, id: u32, key: &StreamKey) {
        let why = "the connection publishes this stream already";
        let refused = self.take_back(id, key, BAD_NAME, why);
        let (client, name) = (&self.client, &self.name);
        let line = self.shared.warn(About::Publishing, client.address().ip());
        line.say(format_args!("{client}{name} {refused}"));
    }

    /// Takes the cost of a publish from the allowance.
    fn pay_for_publish(&mut self, key: &StreamKey, now: Millis) -> Result<Taken, Exceeded> {
        advance(&mut self.publishing, now);
        // A publisher that comes back continues the same stream, which is paid for already.
        let mut publishing = self.publishing.iter_mut();
        let before = publishing.find(|p| !p.is_live() && p.stream.key() == key);
        if let Some(taken) = before.and_then(|p| p.taken.take()) {
            return Ok(taken);
        }
        self.pay(publish_cost(key), true, now)
    }

    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn set_metadata(
        &mut self,
        message_stream_id: u32,
        now: Millis,
    ) -> Result<(), RtmpEnd> {
        let Some(publishing) = find(&mut self.publishing, message_stream_id) else {
            return Ok(());
        };
        let body = self.session.body();
        let Some(properties) = metadata::parse(body.bytes()) else {
            return Ok(());
        };
        let (client, properties) = (&self.client, properties.as_ref());
        let key = publishing.stream.key();
        self.shared.handler.metadata(client, key, properties);
        Ok(publishing.set_metadata(properties, now)?)
    }

    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn append_data(
        &mut self,
        message_stream_id: u32,
        timestamp: u32,
        now: Millis,
    ) -> Result<(), RtmpEnd> {
        let Some(publishing) = find(&mut self.publishing, message_stream_id) else {
            return Ok(());
        };
        let body = self.session.body();
        Ok(publishing.append_data(timestamp, body.bytes(), now)?)
    }
}

/// Returns the number of bytes that a published stream occupies outside of the arena, including its
/// place in the connection's list.
pub(in crate::server) fn publish_cost(key: &StreamKey) -> usize {
    stream_cost(key) + PUBLISH_COST + 2 * size_of::<Publishing>()
}
