//! The parts common to all requests: connect, cost, and end.

use super::{RtmpConnection, RtmpEnd, find};
use crate::allowance::{Exceeded, Taken, shrink};
use crate::live::Millis;
use crate::live::stream::STREAM_COST;
use crate::rtmp::server_session::Connect;
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::Action;
use crate::server::handler::StreamRequest;
use crate::server::playing::Playing;
use crate::server::publishing::Publishing;
use crate::server::text::in_brackets;

/// Status codes that make clients stop and show the text.
const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
pub(super) const BAD_NAME: &str = "NetStream.Publish.BadName";
pub(super) const DENIED: &str = "NetStream.Publish.Denied";
const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
pub(super) const PLAY_FAILED: &str = "NetStream.Play.Failed";

/// A publish or play that is allowed.
pub(super) struct Granted {
    pub(super) key: StreamKey,
    /// The name as it is shown to the client.
    pub(super) shown: String,
    pub(super) is_trusted: bool,
}

impl RtmpConnection {
    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn connect(&mut self, connect: Connect) -> Result<(), RtmpEnd> {
        self.name = in_brackets(&connect.flash_ver);
        // The client's name is kept three times: in `connect`, in `name`, and in the list of
        // connections.
        let len = connect.heap_len() + self.name.capacity();
        self.kept = match self.allowance.take(len) {
            Ok(kept) => Some(kept),
            Err(exceeded) => {
                let why = exceeded.to_string();
                self.session.refuse_connect(CONNECT_REJECTED, &why);
                return Err(RtmpEnd::refused("connect", &why));
            }
        };
        if let Err(why) = self.shared.relays.check(&connect.flash_ver) {
            self.session.refuse_connect(CONNECT_REJECTED, why);
            return Err(RtmpEnd::refused("connect", why));
        }
        // The app isn't logged, since any part of it may be a key.
        log::debug!("{} connect{}", self.client, self.name);
        let connections = &self.shared.connections;
        connections.note_client(self.client.id(), &connect.flash_ver);
        self.client.connect = connect;
        let (shared, now) = (&self.shared, self.shared.now());
        let decided = shared
            .guard
            .connect(&mut self.client, now)
            .and_then(|()| shared.handler.connect(&mut self.client));
        if let Err(refusal) = decided {
            self.session
                .refuse_connect(CONNECT_REJECTED, refusal.description());
            return Err(RtmpEnd::refused_by("connect", &refusal));
        }
        self.is_accepted = true;
        self.session.accept_connect();
        Ok(())
    }

    /// Asks the access rules and the handler about a publish or play, and sends the client their
    /// refusal, if any.
    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn decide(
        &mut self,
        action: Action,
        message_stream_id: u32,
        name: &str,
        now: Millis,
    ) -> Result<Granted, RtmpEnd> {
        let verb = action.verb();
        let why = format!("replaced by another {verb} on its message stream");
        // A message stream carries only one publish or play at a time.
        self.stop(message_stream_id, &why, now);
        let (client, shared, session) = (&self.client, &self.shared, &mut self.session);
        let mut refuse = |codes: [&str; 2], why: &str| match action {
            Action::Publish => session.refuse_stream(message_stream_id, codes[0], why),
            Action::Play => session.refuse_stream(message_stream_id, codes[1], why),
        };
        let key = match StreamKey::new(&client.connect().app, name) {
            Ok(key) => key,
            Err(error) => {
                let why = error.to_string();
                refuse([BAD_NAME, NOT_FOUND], &why);
                return Err(RtmpEnd::refused(verb, &why));
            }
        };
        let asked = key.to_string();
        let mut request = StreamRequest::new(client, name, key);
        let decided = shared.guard.authorize(action, &mut request, now);
        let decided = decided.and_then(|()| match action {
            Action::Publish => shared.handler.publish(client, &mut request),
            Action::Play => shared.handler.play(client, &mut request),
        });
        let key = request.key().clone();
        let flash_ver = &client.connect().flash_ver;
        let circle = shared.relays.check_stream(shared, flash_ver, action, &key);
        if let (Ok(()), Err(why)) = (&decided, circle) {
            refuse([DENIED, PLAY_FAILED], why);
            return Err(RtmpEnd::refused(&format!("{verb} {key}"), why));
        }
        if let Err(refusal) = decided {
            let key = match action {
                Action::Publish => key,
                Action::Play => shared.shown(&key),
            };
            refuse([DENIED, PLAY_FAILED], refusal.description());
            return Err(RtmpEnd::refused_by(&format!("{verb} {key}"), &refusal));
        }
        Ok(Granted {
            shown: if request.is_hidden {
                asked
            } else {
                key.to_string()
            },
            key,
            is_trusted: request.is_trusted(),
        })
    }

    /// Takes `cost` bytes from the allowance. To make room, ends streams whose publish is over and that
    /// wait for their publisher. With `is_lent`, a connection that already publishes or plays takes the
    /// bytes from the common allowance while that lasts, and keeps its own for its tables.
    pub(super) fn pay(
        &mut self,
        cost: usize,
        is_lent: bool,
        now: Millis,
    ) -> Result<Taken, Exceeded> {
        loop {
            let mut publishing = self.publishing.iter();
            let are_live = publishing.all(Publishing::is_live);
            let is_in_use = !self.publishing.is_empty() || !self.playing.is_empty();
            if is_lent && are_live && is_in_use {
                if let Ok(taken) = self.shared.common.take(cost) {
                    return Ok(taken);
                }
            }
            match self.allowance.take(cost) {
                Ok(taken) => return Ok(taken),
                Err(exceeded) => {
                    let mut publishing = self.publishing.iter();
                    let oldest = publishing.position(|p| !p.is_live()).ok_or(exceeded)?;
                    self.publishing.remove(oldest).end_early(now);
                    shrink(&mut self.publishing);
                }
            }
        }
    }

    /// Ends the publish or play of a message stream, if there is one.
    pub(super) fn stop(&mut self, message_stream_id: u32, why: &str, now: Millis) {
        if let Some(publishing) = find(&mut self.publishing, message_stream_id) {
            publishing.unpublish(why, now);
            let key = publishing.stream.key();
            let connections = &self.shared.connections;
            connections.note_unpublish(self.client.id(), key, true);
            self.shared.handler.unpublish(&self.client, key);
        }
        let found = self
            .playing
            .iter()
            .position(|p| p.message_stream_id == message_stream_id && !p.is_retiring);
        if let Some(index) = found {
            // A play in the middle of a message stays until the message is complete.
            if let Some(unsent) = self.playing[index].retire(now) {
                let playing = self.playing.swap_remove(index);
                shrink(&mut self.playing);
                self.leave(playing, why, now);
                self.session.put_back_output(&unsent);
            }
        }
    }

    /// Ends all publishes and plays, and notifies the handlers.
    pub(super) fn stop_all(&mut self, why: &str, now: Millis) {
        while let Some(publishing) = self.publishing.iter_mut().find(|p| p.is_live()) {
            // HLS viewers wait longer for a publisher whose connection was lost.
            publishing.is_lost = true;
            let message_stream_id = publishing.message_stream_id;
            self.stop(message_stream_id, why, now);
        }
        while let Some(playing) = self.playing.pop() {
            self.leave(playing, why, now);
        }
        if std::mem::take(&mut self.is_accepted) {
            self.shared.handler.disconnect(&self.client);
        }
    }

    pub(super) fn leave(&self, playing: Playing, why: &str, now: Millis) {
        let key = playing.key().clone();
        playing.leave(&self.shared, &self.client, why, now);
        let connections = &self.shared.connections;
        connections.note_stop(self.client.id(), &key);
        self.shared.handler.stop(&self.client, &key);
    }
}

/// Returns the number of bytes that a stream of this name occupies outside of the arena. The name is
/// shared with the table; publishers and players pay for their own copies in the list of connections.
pub(super) fn stream_cost(key: &StreamKey) -> usize {
    STREAM_COST + key.as_str().len()
}
