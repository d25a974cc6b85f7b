//! Deadlines of a connection, and the time that its thread may sleep.

use std::io::ErrorKind;
use std::time::Duration;

use super::{RtmpConnection, RtmpEnd};
use crate::live::Millis;
use crate::server::end::ConnectionEnd;
use crate::server::millis;
use crate::server::publishing::Publishing;

/// The longest time that a connection's thread sleeps when nothing arrives.
const TICK: Duration = Duration::from_secs(20);

/// How often a player's thread wakes up while one of its plays waits for another to finish a message.
const UNSENT_TICK: Duration = Duration::from_millis(20);

impl RtmpConnection {
    pub(super) fn set_deadline(&mut self, was_handshaken: bool, now: Millis) {
        if !was_handshaken && self.session.is_handshaken() {
            self.deadline = Some(now + millis(self.shared.config.command_timeout));
        }
        if self.session.is_in_use() {
            self.deadline = None;
        } else if self.session.is_connected() {
            // Set again after a publish or play has ended: an idle client occupies a place that others
            // may need.
            let deadline = now + millis(self.shared.config.command_timeout);
            self.deadline.get_or_insert(deadline);
        }
    }

    /// Fails if the current phase is taking too long. A client can't extend it by sending a byte now and
    /// then.
    pub(super) fn check_deadline(&self, now: Millis) -> Result<(), RtmpEnd> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let config = &self.shared.config;
        let (mut after, mut option) = (config.command_timeout, "--command-timeout");
        let missing = if !self.session.is_handshaken() {
            (after, option) = (config.handshake_timeout, "--handshake-timeout");
            "no complete handshake"
        } else if self.session.is_connected() {
            "neither publish nor play"
        } else {
            "no connect command"
        };
        Err(RtmpEnd::Timeout {
            missing,
            after,
            option,
        })
    }

    /// Handles a read timeout: ends the connection of a silent publisher, and pumps or pings players.
    pub(super) fn tick(&mut self) -> Result<(), RtmpEnd> {
        let now = self.shared.now();
        let silence = now.saturating_sub(self.last_read);
        let idle_timeout = self.shared.config.idle_timeout;
        let is_publishing = self.publishing.iter().any(Publishing::is_live);
        if is_publishing && silence >= millis(idle_timeout) {
            for publishing in self.publishing.iter().filter(|p| p.is_live()) {
                self.session
                    .end_publish(publishing.message_stream_id, "Nothing was sent.");
            }
            return Err(RtmpEnd::Timeout {
                missing: "nothing from the publisher",
                after: idle_timeout,
                option: "--idle-timeout",
            });
        }
        self.leave_retired(now);
        for playing in &mut self.playing {
            if playing.tick(now).map_err(ConnectionEnd::Player)? {
                self.session.ping(now as u32);
            }
        }
        Ok(())
    }

    pub(super) fn set_read_timeout(&mut self, now: Millis) -> Result<(), RtmpEnd> {
        let config = &self.shared.config;
        let mut timeout = TICK;
        if let Some(deadline) = self.deadline {
            timeout = timeout.min(Duration::from_millis(deadline.saturating_sub(now)));
        }
        if !self.publishing.is_empty() {
            timeout = timeout.min(config.idle_timeout);
        }
        for playing in &self.playing {
            timeout = timeout.min(playing.tick_interval());
        }
        if self.has_unsent_replies {
            timeout = timeout.min(UNSENT_TICK);
        }
        for publishing in &self.publishing {
            timeout = timeout.min(publishing.tick_interval(now));
        }
        let result = self.socket.set_read_timeout(timeout);
        result.map_err(|error| ConnectionEnd::Lost(error.kind()).into())
    }

    /// Ends the plays after a read has failed. Returns why the connection ends.
    #[inline(never)] // Keeps these locals off the stack of idle connection threads.
    pub(super) fn lost(&self, kind: ErrorKind) -> RtmpEnd {
        let now = self.shared.now();
        let mut end = ConnectionEnd::Lost(kind);
        for playing in &self.playing {
            if let Some(stalled) = playing.lose(kind, now) {
                end = ConnectionEnd::Player(stalled);
            }
        }
        end.into()
    }

    /// Returns why the connection ends after a read has returned no bytes.
    pub(super) fn why_closed(&self) -> RtmpEnd {
        if self.shared.is_stopping() {
            ConnectionEnd::Stopping.into()
        } else if self.publishing.iter().any(Publishing::is_superseded) {
            RtmpEnd::Superseded
        } else {
            ConnectionEnd::Closed.into()
        }
    }
}
