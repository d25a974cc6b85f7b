//! What a client asks for: connect, publish, play, and the end of them.

use std::sync::Arc;

use super::{Connection, find};
use crate::allowance::{Exceeded, Taken, push, shrink};
use crate::live::Millis;
use crate::live::capabilities::Capabilities;
use crate::live::join::Join;
use crate::live::life::{PublishRefused, Publisher};
use crate::live::out::framing::Framing;
use crate::live::out::request::{JoinRequest, Receiver};
use crate::live::out::sink::Sink;
use crate::live::stream::{Closed, PUBLISH_COST, STREAM_COST};
use crate::rtmp::command::MAX_DESCRIPTION_LEN;
use crate::rtmp::metadata;
use crate::rtmp::server_session::{Connect, MAX_REPLIES, MAX_REPLY};
use crate::rtmp::stream_key::{StreamKey, query_value};
use crate::server::client::Action;
use crate::server::connections::Connections;
use crate::server::end::End;
use crate::server::handler::StreamRequest;
use crate::server::lines::About;
use crate::server::playing::{PLAY_COST, Playing};
use crate::server::publishing::{Publishing, advance};
use crate::server::text::in_brackets;

/// Blocks that a publisher keeps for its next message: enough for most pictures.
const SPARE_BLOCKS: usize = 4;

/// Status codes that make clients stop and show the text.
mod code {
    pub(super) const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
    pub(super) const PUBLISH_BAD_NAME: &str = "NetStream.Publish.BadName";
    pub(super) const PUBLISH_DENIED: &str = "NetStream.Publish.Denied";
    pub(super) const STREAM_NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    pub(super) const PLAY_FAILED: &str = "NetStream.Play.Failed";
}

impl Connection {
    #[inline(never)] // Its variables are not to be on the stack of a connection that waits.
    pub(super) fn connect(&mut self, connect: Connect) -> Result<(), End> {
        self.name = in_brackets(&connect.flash_ver);
        // The flash version is kept three times: here, in the line, and in the list of connections.
        let len = connect.heap_len() + self.name.capacity();
        self.kept = match self.allowance.take(len) {
            Ok(kept) => Some(kept),
            Err(exceeded) => {
                let why = exceeded.to_string();
                self.session.refuse_connect(code::CONNECT_REJECTED, &why);
                return Err(End::refused("connect", &why));
            }
        };
        // Without the app: a key may stand in any part of it.
        log::debug!("{} connect{}", self.client, self.name);
        let connections = &self.shared.connections;
        connections.note_client(self.client.id(), &connect.flash_ver);
        self.client.set_connect(connect);
        let (shared, now) = (&self.shared, self.shared.now());
        let decided = shared
            .guard
            .connect(&mut self.client, now)
            .and_then(|()| shared.handler.connect(&mut self.client));
        if let Err(refusal) = decided {
            self.session
                .refuse_connect(code::CONNECT_REJECTED, refusal.description());
            return Err(End::refused_by("connect", &refusal));
        }
        self.is_accepted = true;
        self.session.accept_connect();
        Ok(())
    }

    #[inline(never)] // Its variables are not to be on the stack of a connection that waits.
    pub(super) fn publish(
        &mut self,
        message_stream_id: u32,
        name: &str,
        now: Millis,
    ) -> Result<(), End> {
        self.stop(
            message_stream_id,
            "replaced by another publish on its message stream",
            now,
        );
        let client = &self.client;
        let key = match StreamKey::new(&client.connect().app, name) {
            Ok(key) => key,
            Err(error) => {
                let why = error.to_string();
                self.session
                    .refuse_publish(message_stream_id, code::PUBLISH_BAD_NAME, &why);
                return Err(End::refused("publish", &why));
            }
        };
        let mut request = StreamRequest::new(client, name, key);
        let decided = self
            .shared
            .guard
            .authorize(Action::Publish, &mut request, now)
            .and_then(|()| self.shared.handler.publish(client, &mut request));
        if let Err(refusal) = decided {
            let what = format!("publish {}", request.key());
            let description = refusal.description();
            self.session
                .refuse_publish(message_stream_id, code::PUBLISH_DENIED, description);
            return Err(End::refused_by(&what, &refusal));
        }
        let key = request.key().clone();
        let is_trusted = request.is_trusted();
        let taken = match self.pay_for_publish(&key, now) {
            Ok(taken) => taken,
            Err(exceeded) => {
                self.shared.handler.unpublish(&self.client, &key);
                let why = exceeded.to_string();
                self.session
                    .refuse_publish(message_stream_id, code::PUBLISH_DENIED, &why);
                return Err(End::refused(&format!("publish {key}"), &why));
            }
        };
        let client = &self.client;
        let connections = &self.shared.connections;
        if let Err(full) = connections.note_publish(client.id(), &key) {
            self.shared.handler.unpublish(client, &key);
            let why = full.to_string();
            self.session
                .refuse_publish(message_stream_id, code::PUBLISH_DENIED, &why);
            return Err(End::refused(&format!("publish {key}"), &why));
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
                self.shared.handler.unpublish(&self.client, &key);
                let why = refused.to_string();
                self.session
                    .refuse_publish(message_stream_id, code::PUBLISH_BAD_NAME, &why);
                return Err(End::refused(&format!("publish {key}"), &why));
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
        self.shared.say(
            log::Level::Info,
            About::Publishing,
            address.ip(),
            format_args!("#{id} {key}: publishing from {address}{}{how}", self.name),
        );
        connections.note_live(&key);
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
        push(&mut self.publishing, publishing);
        Ok(())
    }

    /// Takes what a publish costs from the allowance.
    fn pay_for_publish(&mut self, key: &StreamKey, now: Millis) -> Result<Taken, Exceeded> {
        advance(&mut self.publishing, now);
        // One that comes back is the same stream, and waits no longer.
        let mut publishing = self.publishing.iter_mut();
        let before = publishing.find(|p| !p.is_live() && p.stream.key() == key);
        if let Some(taken) = before.and_then(Publishing::take_payment) {
            return Ok(taken);
        }
        self.pay(publish_cost(key), true, now)
    }

    /// Takes this from the allowance. Publishes that have ended, and wait for their publisher to come
    /// back, make room. If `is_lent`, who publishes or plays already takes it from what all have in
    /// common, as long as that lasts, and keeps its own for its tables.
    fn pay(&mut self, cost: usize, is_lent: bool, now: Millis) -> Result<Taken, Exceeded> {
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

    #[inline(never)] // Its variables are not to be on the stack of a connection that waits.
    pub(super) fn set_metadata(&mut self, message_stream_id: u32, now: Millis) -> Result<(), End> {
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
        publishing
            .set_metadata(properties, now)
            .map_err(|_| End::Superseded)
    }

    #[inline(never)] // Its variables are not to be on the stack of a connection that waits.
    pub(super) fn append_data(
        &mut self,
        message_stream_id: u32,
        timestamp: u32,
        now: Millis,
    ) -> Result<(), End> {
        let Some(publishing) = find(&mut self.publishing, message_stream_id) else {
            return Ok(());
        };
        let body = self.session.body();
        publishing
            .append_data(timestamp, body.bytes(), now)
            .map_err(|_| End::Superseded)
    }

    #[inline(never)] // Its variables are not to be on the stack of a connection that waits.
    pub(super) fn play(
        &mut self,
        message_stream_id: u32,
        name: &str,
        now: Millis,
    ) -> Result<(), End> {
        self.stop(
            message_stream_id,
            "replaced by another play on its message stream",
            now,
        );
        let client = &self.client;
        let key = match StreamKey::new(&client.connect().app, name) {
            Ok(key) => key,
            Err(error) => {
                let why = error.to_string();
                self.session
                    .refuse_play(message_stream_id, code::STREAM_NOT_FOUND, &why);
                return Err(End::refused("play", &why));
            }
        };
        let asked = key.to_string();
        let mut request = StreamRequest::new(client, name, key);
        let decided = self
            .shared
            .guard
            .authorize(Action::Play, &mut request, now)
            .and_then(|()| self.shared.handler.play(client, &mut request));
        if let Err(refusal) = decided {
            let what = format!("play {}", self.shared.shown(request.key()));
            let description = refusal.description();
            self.session
                .refuse_play(message_stream_id, code::PLAY_FAILED, description);
            return Err(End::refused_by(&what, &refusal));
        }
        let key = request.key().clone();
        let told = if request.is_hidden() {
            asked
        } else {
            key.to_string()
        };
        let taken = match self.pay_for_play(&key, now) {
            Ok(taken) => taken,
            Err(why) => {
                // The others that it plays go on.
                self.shared.handler.stop(&self.client, &key);
                self.shared.say(
                    log::Level::Warn,
                    About::Connection,
                    self.client.address().ip(),
                    format_args!("{}{} refused to play {key}: {why}", self.client, self.name),
                );
                self.session
                    .refuse_play(message_stream_id, code::PLAY_FAILED, &why);
                return match self.playing.is_empty() {
                    true => Err(End::refused(&format!("play {key}"), &why)),
                    false => Ok(()),
                };
            }
        };
        // Replies to what came before go first.
        if let Err(end) = self.send_replies() {
            self.shared.handler.stop(&self.client, &key);
            return Err(end);
        }
        if let Err(full) = Connections::note_play(&self.shared, self.client.id(), &key) {
            self.shared.handler.stop(&self.client, &key);
            let why = format!("no place: {full}");
            self.session
                .refuse_play(message_stream_id, code::PLAY_FAILED, &why);
            let what = format!("play {}", self.shared.shown(&key));
            return Err(End::refused(&what, &why));
        }
        self.begin_play(message_stream_id, name, &key, &told, taken, now);
        Ok(())
    }

    /// Takes what a play costs from the allowance; with its stream, which stays as long as the player,
    /// whenever the publisher goes.
    fn pay_for_play(&mut self, key: &StreamKey, now: Millis) -> Result<Taken, String> {
        let is_played = |playing: &Playing| !playing.is_retiring && playing.key() == key;
        if self.playing.iter().any(is_played) {
            return Err("the connection plays this stream already".to_owned());
        }
        let stream = self.shared.table.find(key);
        let is_lent = stream.is_some_and(|stream| stream.snapshot().is_live);
        // What the player has to be told waits in one queue, or in the other.
        let queue = MAX_REPLIES + MAX_REPLY;
        let cost = PLAY_COST + queue + stream_cost(key);
        // The subscriber pays for what it is told at once: there must be as much left.
        let told = TOLD_AT_ONCE + 2 * key.to_string().len().min(MAX_DESCRIPTION_LEN);
        // Names that nobody publishes are lent nothing.
        let taken = self.pay(cost + told, is_lent, now);
        let mut taken = taken.map_err(|exceeded| exceeded.to_string())?;
        let less = taken.resize(cost);
        less.map_err(|exceeded| exceeded.to_string())?;
        Ok(taken)
    }

    /// Plays what is allowed.
    #[inline(never)]
    fn begin_play(
        &mut self,
        message_stream_id: u32,
        name: &str,
        key: &StreamKey,
        told: &str,
        taken: Taken,
        now: Millis,
    ) {
        let join = query_value(name, "join").and_then(Join::from_name);
        let join = join.unwrap_or(self.shared.config.join);
        let control = self.session.accept_play(message_stream_id, told);
        let receiver = Receiver {
            framing: Framing::rtmp(message_stream_id, self.session.dialect()),
            join,
            capabilities: capabilities(self.client.connect(), name),
        };
        let connection = self.client.id();
        let allowance = &self.allowance;
        let request = |id| {
            let sink: Arc<dyn Sink> = self.socket.clone();
            let request = JoinRequest::new(id, sink, receiver, control.clone());
            request.of_connection(connection).paid_from(allowance)
        };
        let shared = &self.shared;
        let id = connection;
        let taken = Some(taken);
        let playing = Playing::start(shared, key, message_stream_id, request, taken, now);
        let state = match playing.is_live() {
            true => String::new(),
            false => [", waiting for its publisher", &self.live_names(now)].concat(),
        };
        let address = self.client.address();
        shared.say(
            log::Level::Info,
            About::Media,
            address.ip(),
            format_args!(
                "#{id} {}: playing to {address}{}{state}",
                shared.shown(key),
                self.name
            ),
        );
        push(&mut self.playing, playing);
    }

    /// What may be meant instead of a name that nobody publishes, for the log.
    fn live_names(&self, now: Millis) -> String {
        const MOST: usize = 5;

        let shared = &self.shared;
        let (first, count) = shared.table.next(None);
        // Each stream's lock is taken.
        let address = self.client.address().ip();
        if !shared.looks.allow_many(address, count, now) {
            return String::new();
        }
        let mut names = String::new();
        let mut live = 0;
        let mut next = first;
        while let Some(stream) = next {
            if stream.snapshot().is_live {
                live += 1;
                if live <= MOST {
                    names += if live == 1 { "; live: " } else { ", " };
                    names += &shared.shown(stream.key()).to_string();
                }
            }
            next = shared.table.next(Some(stream.key())).0;
        }
        match live.checked_sub(MOST) {
            _ if live == 0 => names += "; nothing is live",
            None | Some(0) => {}
            Some(more) => names += &format!(" and {more} more"),
        }
        names
    }

    /// Ends what a message stream does, if anything.
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
            // In the middle of a message it stays for the rest of that.
            if let Some(unsent) = self.playing[index].retire(now) {
                let playing = self.playing.swap_remove(index);
                shrink(&mut self.playing);
                self.leave(playing, why, now);
                self.session.put_back_output(&unsent);
            }
        }
    }

    /// Ends everything.
    pub(super) fn stop_all(&mut self, why: &str, now: Millis) {
        while let Some(publishing) = self.publishing.iter_mut().find(|p| p.is_live()) {
            publishing.note_loss();
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

/// What a player is told before anything else, but for the name of the stream, in bytes.
const TOLD_AT_ONCE: usize = 384;

/// What a stream of this name takes outside of the arena, in bytes. The name is shared with the
/// table; whoever publishes or plays pays for its own copy when that is noted.
fn stream_cost(key: &StreamKey) -> usize {
    STREAM_COST + key.as_str().len()
}

/// The same with what only its publisher brings, and with a place in the connection's list.
fn publish_cost(key: &StreamKey) -> usize {
    stream_cost(key) + PUBLISH_COST + 2 * size_of::<Publishing>()
}

/// What a player can take: by what it announced, and by `?tracks=all` for one that understands
/// several tracks without saying so, as FFmpeg 8 does.
fn capabilities(connect: &Connect, name: &str) -> Capabilities {
    let capabilities = Capabilities::announced(connect.codecs, connect.caps_ex);
    if query_value(name, "tracks") == Some("all") {
        return capabilities.with_all_tracks();
    }
    capabilities
}
