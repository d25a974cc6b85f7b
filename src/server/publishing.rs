//! A stream that a connection publishes, from publish to the end of the grace time.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::connections::Permit;
use super::handler::Client;
use super::hosts::page_beside;
use super::lines::About;
use super::text::{Tenths, megabytes, seconds};
use super::{Shared, millis};
use crate::allowance::Taken;
use crate::http::percent::encode;
use crate::live::doctor::EXAMINATION;
use crate::live::log::Kind;
use crate::live::stream::{Appended, ClockRepair, Pumped, Stream, Superseded, Waited};
use crate::live::{Millis, When};
use crate::media::describe::describe;
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::data::{self, Relayed};
use crate::rtmp::rate::Rate;

/// Media is described in the log when both kinds of header have come, or after this long.
const DESCRIBE_AFTER: Millis = 2_000;

/// After a publish ends, players' tails are sent for at most this long.
const MAX_TAIL: Millis = 1_000;

/// How long after the last unsent bytes the publisher's thread still wakes often.
const UNSENT_MEMORY: Millis = 1_000;

/// Between two warnings of messages dropped for want of memory.
const WARN_INTERVAL: Millis = 1_000;

/// Data messages that are relayed: captions and the like are a few a second.
const DATA: Rate = Rate::new(50, 50);

/// How often a thread that waits for another publisher looks whether its place is wanted.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Between two warnings of time stamps that jump: some cameras' do all the time.
const REPAIR_INTERVAL: Millis = 10_000;

/// Waits out the grace times of what a connection that is closed has published, unless its place is
/// wanted for another one.
pub(super) fn wait_out_grace(mut publishing: Vec<Publishing>, shared: &Shared, permit: &Permit) {
    loop {
        let now = shared.now();
        publishing.retain_mut(|publishing| !publishing.is_over(now));
        if publishing.is_empty() {
            return;
        }
        if permit.is_displaced() || shared.is_stopping() {
            return publishing.into_iter().for_each(|p| p.end_early(now));
        }
        for publishing in &mut publishing {
            publishing.wait(now);
        }
    }
}

/// See the module's documentation.
pub(super) struct Publishing {
    shared: Arc<Shared>,
    connection: u64,
    address: IpAddr,
    /// The address of this machine by which the publisher came.
    local: IpAddr,
    pub(super) message_stream_id: u32,
    pub(super) stream: Arc<Stream>,
    generation: u64,
    since: Millis,
    bytes: u64,
    messages: u64,
    is_described: bool,
    dropped: u32,
    data_rate: Rate,
    dropped_data: u32,
    last_warning: When,
    /// Not logged yet.
    repair: Option<ClockRepair>,
    last_repair: When,
    /// When some player last had unsent bytes.
    unsent_at: When,
    is_waiting: bool,
    /// When it ended.
    ended: When,
    /// Its connection ended, and nothing had been said of that.
    is_lost: bool,
    /// The stream has ended too; until when it can be found still.
    found_until: When,
    /// What it costs, and its stream.
    taken: Option<Taken>,
}

impl Publishing {
    pub(super) fn new(
        shared: Arc<Shared>,
        client: &Client,
        message_stream_id: u32,
        stream: Arc<Stream>,
        generation: u64,
        taken: Taken,
        now: Millis,
    ) -> Publishing {
        Publishing {
            shared,
            connection: client.id(),
            address: client.address().ip(),
            local: client.local_address().ip(),
            message_stream_id,
            stream,
            generation,
            since: now,
            bytes: 0,
            messages: 0,
            is_described: false,
            dropped: 0,
            data_rate: DATA,
            dropped_data: 0,
            last_warning: When::default(),
            repair: None,
            last_repair: When::default(),
            unsent_at: When::default(),
            is_waiting: false,
            ended: When::default(),
            is_lost: false,
            found_until: When::default(),
            taken: Some(taken),
        }
    }

    pub(super) fn append<'a>(
        &mut self,
        kind: Kind,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Result<(), Superseded> {
        let len: usize = payload.clone().map(<[u8]>::len).sum();
        self.bytes += len as u64;
        self.messages += 1;
        let appended = self
            .stream
            .append(self.generation, kind, timestamp, payload, now)?;
        if appended == Appended::OutOfBlocks {
            self.dropped += 1;
            if self
                .last_warning
                .get()
                .is_none_or(|last| now - last >= WARN_INTERVAL)
            {
                self.last_warning = When::at(now);
                self.say(
                    log::Level::Warn,
                    About::Media,
                    format_args!(
                        "#{} {}: {} messages dropped, the last one of {} bytes: larger than the \
                     stream's share of the memory (raise --memory)",
                        self.connection,
                        self.stream.key(),
                        self.dropped,
                        len,
                    ),
                );
            }
        }
        if !self.is_described {
            self.describe(now);
        }
        Ok(())
    }

    pub(super) fn set_metadata(
        &mut self,
        properties: Option<&Properties<'_>>,
        now: Millis,
    ) -> Result<(), Superseded> {
        self.stream.set_metadata(self.generation, properties, now)
    }

    /// Appends a data message that isn't metadata, unless there are too many.
    pub(super) fn append_data(
        &mut self,
        timestamp: u32,
        body: Bytes<'_>,
        now: Millis,
    ) -> Result<(), Superseded> {
        if body.len() > data::MAX_LEN || !self.data_rate.take(1, now) {
            self.dropped_data += 1;
            if self.dropped_data == 1 {
                self.say(
                    log::Level::Warn,
                    About::Media,
                    format_args!(
                        "#{} {}: data messages are dropped: more than {} a second came, or one of \
                         more than {} bytes",
                        self.connection,
                        self.stream.key(),
                        DATA.capacity(),
                        data::MAX_LEN,
                    ),
                );
            }
            return Ok(());
        }
        let stream = &self.stream;
        let relayed = data::for_players(body);
        let bytes = match &relayed {
            Some(Relayed::AsItCame(bytes)) => *bytes,
            Some(Relayed::Rewritten(bytes)) => Bytes::from(&**bytes),
            None => return Ok(()),
        };
        stream.append_data(self.generation, timestamp, bytes, now)
    }

    /// Sends players what they haven't got yet.
    pub(super) fn pump(&mut self, now: Millis) {
        if self
            .ended
            .get()
            .is_some_and(|ended| now.saturating_sub(ended) > MAX_TAIL)
        {
            self.is_waiting = false;
            self.unsent_at = When::default();
            return;
        }
        let pumped = self.stream.pump(now);
        self.is_waiting = pumped.is_waiting;
        self.repair = pumped.repair.or(self.repair);
        if pumped.has_unsent {
            self.unsent_at = When::at(now);
        }
        if self.repair.is_some() {
            self.tell_repair(now);
        }
        let has_news = !pumped.findings.is_empty() || !pumped.skips.is_empty();
        if has_news || pumped.gone.is_some() {
            self.tell(&pumped);
        }
    }

    /// Says what was found at a pump.
    #[inline(never)] // Its variables are not to be on the stack of every publisher.
    fn tell(&self, pumped: &Pumped) {
        if let Some(viewer) = pumped.gone {
            self.say(
                log::Level::Info,
                About::Media,
                format_args!(
                    "#{} {}: stopped playing by HLS after {}: it no longer asks",
                    viewer.connection,
                    self.stream.key(),
                    seconds(viewer.asked.saturating_sub(viewer.since)),
                ),
            );
        }
        for finding in &pumped.findings {
            let (connection, key) = (self.connection, self.stream.key());
            self.say(
                log::Level::Warn,
                About::Media,
                format_args!("#{connection} {key}: {finding}"),
            );
        }
        for skip in &pumped.skips {
            self.say(
                log::Level::Warn,
                About::Media,
                format_args!(
                    "{}: a player was {} s behind, skipped {} messages to the newest keyframe",
                    self.stream.key(),
                    Tenths::of_thousandths(skip.lag as i64),
                    skip.messages,
                ),
            );
        }
    }

    /// Says that the time stamps jumped: the newest time only, once in a while.
    #[inline(never)] // Its variables are not to be on the stack of every publisher.
    fn tell_repair(&mut self, now: Millis) {
        let is_due = self
            .last_repair
            .get()
            .is_none_or(|last| now.saturating_sub(last) >= REPAIR_INTERVAL);
        let Some(repair) = self.repair.take_if(|_| is_due) else {
            return;
        };
        self.last_repair = When::at(now);
        let what = if repair.is_start {
            "of audio and video are apart"
        } else {
            "jumped"
        };
        self.say(
            log::Level::Warn,
            About::Media,
            format_args!(
                "#{} {}: time stamps {what} by {} s, continued without a jump ({} so far)",
                self.connection,
                self.stream.key(),
                Tenths::of_thousandths(repair.jump_ms.into()),
                repair.total,
            ),
        );
    }

    fn say(&self, level: log::Level, about: About, line: fmt::Arguments<'_>) {
        self.shared.say(level, about, self.address, line);
    }

    /// Whether players may still have unsent bytes, so that the thread should wake often.
    pub(super) fn has_unsent(&self, now: Millis) -> bool {
        self.unsent_at
            .get()
            .is_some_and(|at| now.saturating_sub(at) < UNSENT_MEMORY)
    }

    /// How long it may take from now until the first message comes; `None` once it has, or is too
    /// late.
    pub(super) fn patience_left(&self, now: Millis) -> Option<Duration> {
        let left = (self.since + EXAMINATION).saturating_sub(now);
        let is_waited_for = self.messages == 0 && self.is_live() && left > 0;
        is_waited_for.then_some(Duration::from_millis(left))
    }

    /// Whether messages wait for company.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Whether somebody else has taken over.
    pub(super) fn is_superseded(&self) -> bool {
        self.is_live() && !self.stream.is_published_by(self.generation)
    }

    /// Whether it still goes on.
    pub(super) fn is_live(&self) -> bool {
        self.ended.get().is_none()
    }

    /// Gives up the oldest message of the stream for a block.
    pub(super) fn evict(&self) -> bool {
        self.stream.evict_oldest(self.generation)
    }

    /// Its connection ends, and it with that: its publisher will be back.
    pub(super) fn note_loss(&mut self) {
        self.is_lost = true;
    }

    /// Ends the publish; players stay for the grace time.
    pub(super) fn unpublish(&mut self, why: &str, now: Millis) {
        if self.ended.get().is_some() {
            return;
        }
        self.ended = When::at(now);
        self.stream.unpublish(self.generation);
        let duration = now - self.since;
        // bytes * 8 / 1000 bits per second * 1000 ms
        let rate = (self.bytes * 8).checked_div(duration).unwrap_or(0);
        let dropped = match self.dropped_data {
            0 => String::new(),
            dropped => format!(", {dropped} data messages dropped"),
        };
        self.say(
            log::Level::Info,
            About::Publishing,
            format_args!(
                "#{} {}: stopped publishing after {}, {} messages, {}, {rate} kbit/s{dropped}: {why}",
                self.connection,
                self.stream.key(),
                seconds(duration),
                self.messages,
                megabytes(self.bytes),
            ),
        );
    }

    /// How long the stream waits for another publisher, once this one has ended: twice as long if it
    /// said nothing and somebody watches by HLS, since players of that don't come back after the end.
    pub(super) fn grace_left(&self, now: Millis) -> Option<Duration> {
        let grace = millis(self.shared.config.grace);
        let mut until = self.ended.get()? + grace;
        if until <= now && self.is_lost && self.stream.is_wanted_by_hls(now) {
            until += grace;
        }
        let until = self.found_until.get().unwrap_or(until);
        Some(Duration::from_millis(until.saturating_sub(now)))
    }

    /// For a connection that goes on after its publish has ended: ends the stream when the grace
    /// time is over. True when there is nothing more to do.
    pub(super) fn is_over(&mut self, now: Millis) -> bool {
        let Some(left) = self.grace_left(now) else {
            return false;
        };
        if self.found_until.get().is_some() {
            if left.is_zero() {
                self.end_tail();
            }
            return left.is_zero();
        }
        match self
            .stream
            .wait_for_publisher(self.generation, Duration::ZERO, now)
        {
            Waited::TimedOut if !left.is_zero() => return false,
            waited => self.conclude(waited, now),
        }
        self.found_until.get().is_none()
    }

    /// What it was paid with, for a publish that takes its place.
    pub(super) fn take_payment(&mut self) -> Option<Taken> {
        self.taken.take()
    }

    /// Ends the stream before its grace time is over.
    pub(super) fn end_early(mut self, now: Millis) {
        if self.found_until.get().is_none() {
            let waited = self
                .stream
                .wait_for_publisher(self.generation, Duration::ZERO, now);
            self.conclude(waited, now);
        }
        if self.found_until.get().is_some() {
            self.end_tail();
        }
    }

    /// Waits for a while until another publisher comes, nobody waits for one, or the time is over.
    fn wait(&mut self, now: Millis) {
        let left = self.grace_left(now).unwrap_or_default();
        let mut pause = left.min(LOOK_INTERVAL);
        if self.found_until.get().is_some() {
            return self.stream.wait_out_hls_tail(pause);
        }
        // Nobody else sends tails before the players' next tick.
        self.pump(now);
        if self.has_unsent(now) {
            pause = pause.min(Duration::from_millis(50));
        }
        self.stream.wait_for_publisher(self.generation, pause, now);
    }

    fn conclude(&mut self, waited: Waited, now: Millis) {
        match waited {
            Waited::Returned => {}
            Waited::Deserted => self.shared.table.remove_unused(&self.stream),
            Waited::TimedOut => {
                self.say(
                    log::Level::Info,
                    About::Publishing,
                    format_args!(
                        "{}: ended, its publisher did not come back",
                        self.stream.key()
                    ),
                );
                self.stream.end(self.generation, now);
                let tail = self.stream.begin_hls_tail(now);
                if tail.is_zero() {
                    self.shared.table.remove_unused(&self.stream);
                } else {
                    self.found_until = When::at(now + millis(tail));
                }
            }
        }
    }

    /// Who watched by HLS has learned by now that the stream has ended.
    fn end_tail(&self) {
        self.stream.end_hls_tail();
        self.shared.table.remove_unused(&self.stream);
    }

    #[inline(never)] // Its variables are not to be on the stack of every publisher.
    fn describe(&mut self, now: Millis) {
        let (video, audio) = self.stream.sequence_headers();
        let is_complete = video.is_some() && audio.is_some();
        if is_complete || now - self.since >= DESCRIBE_AFTER {
            self.is_described = true;
            let what = describe(video.as_deref(), audio.as_deref());
            let page = page_beside(self.local, &self.shared.http_addresses);
            let path = encode(self.stream.key().as_str());
            let place = page.map(|page| format!("watch at {page}{path}"));
            let text = match (&*what, place) {
                ("", None) => return,
                ("", Some(place)) => place,
                (what, None) => what.to_owned(),
                (what, Some(place)) => format!("{what}; {place}"),
            };
            self.say(
                log::Level::Info,
                About::Publishing,
                format_args!("#{} {}: {text}", self.connection, self.stream.key()),
            );
        }
    }
}
