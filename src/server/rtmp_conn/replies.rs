//! Everything that a connection sends besides media.

use std::io::{self, IoSlice};

use super::{RtmpConnection, RtmpEnd, STOPPED};
use crate::allowance::shrink;
use crate::live::Millis;
use crate::live::out::sink::try_send;
use crate::live::out::subscriber::{PlayEnd, Subscriber};
use crate::rtmp::Error;
use crate::server::end::ConnectionEnd;
use crate::server::playing::Playing;
use crate::server::publishing::advance;

impl RtmpConnection {
    pub(super) fn with_subscriber(
        &self,
        message_stream_id: u32,
        now: Millis,
        act: &mut dyn FnMut(&mut Subscriber),
    ) -> Result<(), RtmpEnd> {
        let playing = self
            .playing
            .iter()
            .find(|p| p.message_stream_id == message_stream_id && !p.is_retiring);
        if let Some(playing) = playing {
            let result = playing.with_subscriber(now, act);
            result.map_err(ConnectionEnd::Player)?;
        }
        Ok(())
    }

    /// Sends the session's replies. While the connection plays, only the streams write to the socket, so
    /// replies go out at a message boundary.
    pub(super) fn send_replies(&mut self) -> Result<(), RtmpEnd> {
        let replies = self.session.take_output();
        if replies.is_empty() {
            return Ok(());
        }
        let now = self.shared.now();
        for playing in &self.playing {
            let mut is_taken = false;
            let result = playing.with_subscriber(now, &mut |subscriber| {
                // A subscriber that has left sends nothing any more.
                is_taken = subscriber.end().is_none();
                if is_taken {
                    subscriber.queue_control(&replies);
                }
            });
            match result {
                // Replies may have to wait until another play has completed its message; until then, the
                // thread wakes more often.
                Ok(has_unsent) => self.has_unsent_replies |= has_unsent && self.playing.len() > 1,
                Err(PlayEnd::Left) => {}
                Err(end) => return Err(ConnectionEnd::Player(end).into()),
            }
            if is_taken {
                return Ok(());
            }
        }
        self.write(&replies)
    }

    /// Writes to the socket, and waits if its buffer is full. Bytes that have to wait count against the
    /// allowance; a few replies fit into any socket buffer.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), RtmpEnd> {
        let lost = |error: io::Error| ConnectionEnd::Lost(error.kind());
        let sent = try_send(&*self.socket, &[IoSlice::new(bytes)]).map_err(lost)?;
        let left = bytes.get(sent..).unwrap_or_default();
        if left.is_empty() {
            return Ok(());
        }
        // All bytes are kept until then, in a vector whose capacity may be twice their number.
        let _taken = self.allowance.take(2 * bytes.len()).map_err(|exceeded| {
            let what = "bytes of replies that are waiting, beyond what is left for the connection";
            let (got, allowed) = (exceeded.wanted as u64, exceeded.left as u64);
            RtmpEnd::Protocol(Error::limit(what, got, allowed))
        })?;
        Ok(self.socket.write_all(left).map_err(lost)?)
    }

    /// Drops plays that have ended, once their last message has been sent.
    pub(super) fn leave_retired(&mut self, now: Millis) {
        let has_left = |playing: &Playing| {
            let sent = || playing.pump(now);
            playing.is_retiring && sent() == Err(PlayEnd::Left)
        };
        while let Some(index) = self.playing.iter().position(has_left) {
            let playing = self.playing.swap_remove(index);
            shrink(&mut self.playing);
            self.leave(playing, STOPPED, now);
        }
    }

    /// Sends everything that is due after a read: media of the streams that the connection publishes,
    /// replies that have waited, and the first burst of a play.
    pub(super) fn pump(&mut self, now: Millis) {
        // Done after every read: if a client sends all the time, no read times out, and `tick` never
        // runs.
        advance(&mut self.publishing, now);
        shrink(&mut self.publishing);
        for publishing in &mut self.publishing {
            publishing.pump(now);
        }
        if self.has_unsent_replies {
            self.has_unsent_replies = false;
            for playing in &self.playing {
                // A failure is found by the connection's own read, or at its next tick.
                let result = playing.pump(now);
                self.has_unsent_replies |= result.unwrap_or(false);
            }
        }
        self.leave_retired(now);
        // Done here and not in `begin_play`, whose locals would make the stack of each player's thread a
        // page larger.
        for playing in self.playing.iter_mut().filter(|p| p.is_in_burst) {
            // A failure is found by the connection's own read, or at its next tick.
            let _ = playing.tick(now);
        }
    }
}
