//! A publish of a connection, from its beginning to the end of its stream's grace time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::connections::Permit;
use super::handler::Client;
use super::hosts::page_beside;
use super::lines::{About, Line};
use super::text::{megabytes, seconds};
use super::{Shared, millis};
use crate::allowance::Taken;
use crate::http::percent::encode;
use crate::live::finding::EXAMINATION;
use crate::live::life::Grace;
use crate::live::stream::{Outlook, Pumped, Stream, Superseded};
use crate::live::{Millis, When};
use crate::media::decimal::Tenths;
use crate::media::{Medium, TrackInfo};
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::data::{self, Relayed};
use crate::rtmp::rate::Rate;

/// How long the log line that describes the media waits for audio and video sequence headers, in ms.
const DESCRIBE_AFTER: Millis = 2_000;

/// How long after the end of a publish, and after that of its stream, its thread keeps sending the rest to
/// players, in ms.
const MAX_TAIL: Millis = 3_000;

/// How long the publisher's thread keeps waking often after some player had unsent bytes, in ms.
const UNSENT_MEMORY: Millis = 1_000;

/// The maximum rate of data messages that are relayed. Captions and the like come a few times a second.
const DATA: Rate = Rate::new(50, 50);

/// How often a thread that waits for another publisher checks whether its place is needed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How often a publisher's thread wakes while some player has unsent bytes: during the publish, and after
/// it, when nothing else does and the time is short.
const UNSENT_INTERVAL: Duration = Duration::from_millis(50);
const TAIL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits out the grace times of the streams that a closed connection has published, unless its place is
/// needed for another connection.
pub(super) fn wait_out_grace(mut publishing: Vec<Publishing>, shared: &Shared, permit: &Permit) {
    loop {
        let now = shared.now();
        advance(&mut publishing, now);
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

/// Advances publishes that have ended, and removes those for which nothing is left to do.
pub(super) fn advance(publishing: &mut Vec<Publishing>, now: Millis) {
    for ended in publishing.iter_mut() {
        ended.advance(now);
    }
    publishing.retain(|publishing| !matches!(publishing.course, Course::Over));
}

/// The state of a publish.
enum Course {
    Live,
    /// The publish has ended, but its stream still exists.
    Ended {
        at: Millis,
        /// The time at which the stream has to be advanced again.
        until: Millis,
    },
    /// The publish has ended, and nothing is left to do for it.
    Over,
}

/// See the module's documentation.
pub(super) struct Publishing {
    shared: Arc<Shared>,
    connection: u64,
    address: IpAddr,
    /// The address of this machine that the publisher connected to.
    local: IpAddr,
    pub(super) message_stream_id: u32,
    pub(super) stream: Arc<Stream>,
    generation: u64,
    since: Millis,
    bytes: u64,
    messages: u64,
    is_described: bool,
    data_rate: Rate,
    dropped_data: u32,
    /// The time at which some player last had unsent bytes.
    unsent_at: When,
    /// Whether messages wait to be sent together with later ones.
    is_waiting: bool,
    course: Course,
    /// Whether the connection was lost before the client ended the publish, so that the client may come
    /// back.
    pub(super) is_lost: bool,
    /// Pays for the publish and its stream. `None` once a later publish of the stream has taken it over.
    pub(super) taken: Option<Taken>,
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
            data_rate: DATA,
            dropped_data: 0,
            unsent_at: When::default(),
            is_waiting: false,
            course: Course::Live,
            is_lost: false,
            taken: Some(taken),
        }
    }

    pub(super) fn append<'a>(
        &mut self,
        medium: Medium,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Result<(), Superseded> {
        self.bytes += payload.clone().map(<[u8]>::len).sum::<usize>() as u64;
        self.messages += 1;
        self.stream
            .append(self.generation, medium, timestamp, payload, now)?;
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
            // Logged once. The end of the publish logs how many there were.
            if self.dropped_data == 1 {
                self.warn().say(format_args!(
                    "#{} {}: data messages are dropped: more than {} a second came, or one of more \
                     than {} bytes",
                    self.connection,
                    self.stream.key(),
                    DATA.capacity(),
                    data::MAX_LEN,
                ));
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
        // Slower players are sent the rest by their own threads.
        if matches!(self.course, Course::Ended { at, .. } if now.saturating_sub(at) > MAX_TAIL) {
            self.is_waiting = false;
            self.unsent_at = When::default();
            return;
        }
        let pumped = self.stream.pump(now);
        self.is_waiting = pumped.is_waiting;
        if pumped.has_unsent {
            self.unsent_at = When::at(now);
        }
        let has_news = !pumped.findings.is_empty() || !pumped.skips.is_empty();
        if has_news || pumped.gone.is_some() {
            self.log(&pumped);
        }
    }

    /// Logs the events that a pump reports.
    #[inline(never)] // Keeps these locals off the stack of every publisher's thread.
    fn log(&self, pumped: &Pumped) {
        let (connection, key) = (self.connection, self.stream.key());
        if let Some(viewer) = pumped.gone {
            self.info(About::Media).say(format_args!(
                "#{} {key}: stopped playing by HLS after {}: it no longer asks",
                viewer.connection,
                seconds(viewer.asked.saturating_sub(viewer.since)),
            ));
        }
        for finding in &pumped.findings {
            self.warn()
                .say(format_args!("#{connection} {key}: {finding}"));
        }
        for skip in &pumped.skips {
            self.warn().say(format_args!(
                "{key}: a player was {} s behind, skipped {} messages to the newest keyframe",
                Tenths(skip.lag),
                skip.messages,
            ));
        }
    }

    fn info(&self, about: About) -> Line<'_> {
        self.shared.info(about, self.address)
    }

    fn warn(&self) -> Line<'_> {
        self.shared.warn(About::Media, self.address)
    }

    /// Whether players may still have unsent bytes, so that the thread should wake often.
    fn has_unsent(&self, now: Millis) -> bool {
        self.unsent_at
            .get()
            .is_some_and(|at| now.saturating_sub(at) < UNSENT_MEMORY)
    }

    /// How long the thread may sleep.
    pub(super) fn tick_interval(&self, now: Millis) -> Duration {
        let mut interval = match self.course {
            Course::Ended { until, .. } => Duration::from_millis(until.saturating_sub(now)),
            // The doctor reports a publish without media, so the thread must wake up for that.
            Course::Live if self.messages == 0 && now < self.since + EXAMINATION => {
                Duration::from_millis(self.since + EXAMINATION - now)
            }
            _ => Duration::MAX,
        };
        if self.has_unsent(now) {
            interval = interval.min(match self.is_live() {
                true => UNSENT_INTERVAL,
                false => TAIL_INTERVAL,
            });
        } else if self.is_waiting {
            interval = interval.min(self.shared.config.batch);
        }
        interval
    }

    /// Whether another publisher has taken over.
    pub(super) fn is_superseded(&self) -> bool {
        self.is_live() && !self.stream.is_published_by(self.generation)
    }

    /// Whether the publish is still going on.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.course, Course::Live)
    }

    /// Evicts the oldest message of the stream to free a block; false if it has none, or another
    /// publisher has taken over.
    pub(super) fn evict(&self) -> bool {
        self.stream.evict_oldest(self.generation)
    }

    /// Ends the publish. Players stay for the grace time, which is twice as long for HLS viewers if the
    /// connection was lost, because HLS players don't come back after the end of a stream.
    pub(super) fn unpublish(&mut self, why: &str, now: Millis) {
        if !self.is_live() {
            return;
        }
        let grace = millis(self.shared.config.grace);
        let until = now + grace;
        self.course = Course::Ended { at: now, until };
        // A client that ended the publish itself won't be back soon.
        let longer_for_hls = if self.is_lost { grace } else { 0 };
        let grace = Grace {
            until,
            longer_for_hls,
        };
        self.stream.unpublish(self.generation, grace, now);
        let duration = now - self.since;
        // Bits per ms are kbit/s.
        let rate = (self.bytes * 8).checked_div(duration).unwrap_or(0);
        let dropped = match self.dropped_data {
            0 => String::new(),
            dropped => format!(", {dropped} data messages dropped"),
        };
        self.info(About::Publishing).say(format_args!(
            "#{} {}: stopped publishing after {}, {} messages, {}, {rate} kbit/s{dropped}: {why}",
            self.connection,
            self.stream.key(),
            seconds(duration),
            self.messages,
            megabytes(self.bytes),
        ));
    }

    fn advance(&mut self, now: Millis) {
        if let Course::Ended { at, .. } = self.course {
            let outlook = self.stream.advance(self.generation, now);
            let at = if outlook.has_ended { now } else { at };
            self.course = match outlook.until {
                Some(until) => Course::Ended { at, until },
                None => Course::Over,
            };
            self.note(outlook, now);
        }
    }

    /// Ends the stream before its grace time is over.
    pub(super) fn end_early(self, now: Millis) {
        let outlook = self.stream.end(self.generation, now);
        self.note(outlook, now);
    }

    /// Waits until the stream has another publisher or no audience, or its time is over, but at most for
    /// `LOOK_INTERVAL`.
    fn wait(&mut self, now: Millis) {
        // Until the players' next ticks, no other thread sends them what they haven't got yet.
        self.pump(now);
        let pause = self.tick_interval(now).min(LOOK_INTERVAL);
        self.stream.wait(self.generation, pause, now);
    }

    fn note(&self, outlook: Outlook, now: Millis) {
        if outlook.has_ended {
            let key = self.stream.key();
            let line = self.info(About::Publishing);
            line.say(format_args!(
                "{key}: ended, its publisher did not come back"
            ));
        }
        if outlook.until.is_none() {
            self.shared.table.remove_unused(&self.stream, now);
        }
    }

    /// Logs the published tracks and where they can be watched, once the tracks are known.
    #[inline(never)] // Keeps these locals off the stack of every publisher's thread.
    fn describe(&mut self, now: Millis) {
        let tracks = self.stream.track_infos();
        let is_complete = tracks.iter().all(Option::is_some);
        if is_complete || now - self.since >= DESCRIBE_AFTER {
            self.is_described = true;
            let tracks: Vec<_> = tracks.iter().flatten().map(TrackInfo::to_string).collect();
            let page = page_beside(self.local, &self.shared.http_addresses);
            let path = encode(self.stream.key().as_str());
            let place = page.map(|page| format!("watch at {page}{path}"));
            let what = Some(tracks.join(", ")).filter(|what| !what.is_empty());
            let parts: Vec<_> = what.into_iter().chain(place).collect();
            if parts.is_empty() {
                return;
            }
            let text = parts.join("; ");
            let (connection, key) = (self.connection, self.stream.key());
            let line = self.info(About::Publishing);
            line.say(format_args!("#{connection} {key}: {text}"));
        }
    }
}
