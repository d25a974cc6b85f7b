//! Playing: from the request to the subscriber.

use std::iter::successors;
use std::sync::Arc;

use super::requests::{Granted, PLAY_FAILED, stream_cost};
use super::{RtmpConnection, RtmpEnd};
use crate::allowance::{Taken, push};
use crate::live::Millis;
use crate::live::capabilities::Capabilities;
use crate::live::out::framing::Framing;
use crate::live::out::join::Join;
use crate::live::out::request::{JoinRequest, Receiver};
use crate::live::out::sink::Sink;
use crate::live::stream::Stream;
use crate::rtmp::command::MAX_DESCRIPTION_LEN;
use crate::rtmp::server_session::{Connect, MAX_REPLIES, MAX_REPLY};
use crate::rtmp::stream_key::{StreamKey, query_value};
use crate::server::client::Action;
use crate::server::connections::Connections;
use crate::server::lines::About;
use crate::server::playing::{PLAY_COST, Playing};

/// The length in bytes of the status messages that a player gets first, without the name of the stream.
const FIRST_REPLIES: usize = 384;

impl RtmpConnection {
    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn play(
        &mut self,
        message_stream_id: u32,
        name: &str,
        now: Millis,
    ) -> Result<(), RtmpEnd> {
        let granted = self.decide(Action::Play, message_stream_id, name, now)?;
        let Granted { key, shown, .. } = granted;
        let taken = match self.pay_for_play(&key, now) {
            Ok(taken) => taken,
            Err(why) => {
                // The connection's other plays go on.
                self.shared.handler.stop(&self.client, &key);
                let (client, name) = (&self.client, &self.name);
                let address = client.address().ip();
                let line = self.shared.warn(About::Connection, address);
                line.say(format_args!("{client}{name} refused to play {key}: {why}"));
                self.session
                    .refuse_stream(message_stream_id, PLAY_FAILED, &why);
                if self.playing.is_empty() {
                    return Err(RtmpEnd::refused(&format!("play {key}"), &why));
                }
                return Ok(());
            }
        };
        // Replies to earlier commands go first.
        if let Err(end) = self.send_replies() {
            self.shared.handler.stop(&self.client, &key);
            return Err(end);
        }
        if let Err(full) = Connections::note_play(&self.shared, self.client.id(), &key) {
            self.shared.handler.stop(&self.client, &key);
            let why = format!("no place: {full}");
            self.session
                .refuse_stream(message_stream_id, PLAY_FAILED, &why);
            let what = format!("play {}", self.shared.shown(&key));
            return Err(RtmpEnd::refused(&what, &why));
        }
        self.begin_play(message_stream_id, name, &key, &shown, taken, now);
        Ok(())
    }

    /// Takes the cost of a play from the allowance, including that of its stream, which lives as long as
    /// it has a player.
    fn pay_for_play(&mut self, key: &StreamKey, now: Millis) -> Result<Taken, String> {
        let is_played = |playing: &Playing| !playing.is_retiring && playing.key() == key;
        if self.playing.iter().any(is_played) {
            return Err("the connection plays this stream already".to_owned());
        }
        let stream = self.shared.table.find(key);
        let is_lent = stream.is_some_and(|stream| stream.is_live());
        // Unsent replies are in the session's queue, or in the subscriber's.
        let queue = MAX_REPLIES + MAX_REPLY;
        let cost = PLAY_COST + queue + stream_cost(key);
        // The subscriber pays for its first replies when it joins, so the allowance must have enough
        // left for them.
        let first = FIRST_REPLIES + 2 * key.to_string().len().min(MAX_DESCRIPTION_LEN);
        // Streams that aren't live don't count against the common allowance.
        let taken = self.pay(cost + first, is_lent, now);
        let mut taken = taken.map_err(|exceeded| exceeded.to_string())?;
        let less = taken.resize(cost);
        less.map_err(|exceeded| exceeded.to_string())?;
        Ok(taken)
    }

    /// Begins a play that is allowed and paid for.
    #[inline(never)]
    fn begin_play(
        &mut self,
        message_stream_id: u32,
        name: &str,
        key: &StreamKey,
        shown: &str,
        taken: Taken,
        now: Millis,
    ) {
        let join = query_value(name, "join").and_then(Join::from_name);
        let join = join.unwrap_or(self.shared.config.join);
        let control = self.session.accept_play(message_stream_id, shown);
        let receiver = Receiver {
            framing: Framing::rtmp(message_stream_id, self.session.dialect()),
            join,
            capabilities: capabilities(self.client.connect(), name),
        };
        let connection = self.client.id();
        let allowance = &self.allowance;
        let request = |id| {
            let sink: Arc<dyn Sink> = self.socket.clone();
            JoinRequest {
                connection,
                paid: allowance.take(0).ok(),
                ..JoinRequest::new(id, sink, receiver, control.clone())
            }
        };
        let shared = &self.shared;
        let playing = Playing::start(shared, key, message_stream_id, request, taken, now);
        let state = if playing.is_live() {
            String::new()
        } else {
            [", waiting for its publisher", &self.live_names(now)].concat()
        };
        let address = self.client.address();
        let (name, shown) = (&self.name, shared.shown(key));
        let line = shared.info(About::Media, address.ip());
        line.say(format_args!(
            "#{connection} {shown}: playing to {address}{name}{state}"
        ));
        push(&mut self.playing, playing);
    }

    /// Returns text for the log that lists live streams, since the player of a stream that isn't live
    /// may have meant one of them.
    fn live_names(&self, now: Millis) -> String {
        const MOST: usize = 5;

        let shared = &self.shared;
        let (first, count) = shared.table.next(None);
        // Limited by address, because each stream's lock is taken.
        let address = self.client.address().ip();
        if !shared.looks.allow_many(address, count, now) {
            return String::new();
        }
        let next = |stream: &Arc<Stream>| shared.table.next(Some(stream.key())).0;
        let mut live = successors(first, next).filter(|stream| stream.is_live());
        let names = live.by_ref().take(MOST);
        let names: Vec<_> = names.map(|s| shared.shown(s.key()).to_string()).collect();
        match (names.join(", "), live.count()) {
            (names, _) if names.is_empty() => "; nothing is live".to_owned(),
            (names, 0) => format!("; live: {names}"),
            (names, more) => format!("; live: {names} and {more} more"),
        }
    }
}

/// The capabilities of a player: those it announced, and all tracks with `?tracks=all`, for players such
/// as FFmpeg 8 that understand several tracks without announcing it.
fn capabilities(connect: &Connect, name: &str) -> Capabilities {
    let capabilities = Capabilities::announced(connect.codecs, connect.caps_ex);
    if query_value(name, "tracks") == Some("all") {
        return capabilities.with_all_tracks();
    }
    capabilities
}
