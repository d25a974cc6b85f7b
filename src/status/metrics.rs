//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! ```text
//! # HELP brooklet_stream_sent_bytes_total Bytes sent to viewers.
//! # TYPE brooklet_stream_sent_bytes_total counter
//! brooklet_stream_sent_bytes_total{stream="live/door"} 1234567
//! ```
//!
//! Units are seconds and bytes, and counters end in `_total`. There is one series per stream; no label
//! has a value for each viewer.

use std::fmt::Write;

use super::tracks::TrackStatus;
use super::{ServerStatus, Source, StreamStatus, VERSION, each_stream};
use crate::live::arena::BLOCK_LEN;
use crate::live::report::{PROTOCOLS, RECEIVED, StreamReport};
use crate::media::decimal::Thousandths;
use crate::record::report::{DiskReport, RecordingReport};
use crate::relay::report::{RelayReport, RelayState};

/// The content type of the response.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The protocol label of HLS viewers, which have no connection that lasts, so the stream counts them
/// separately.
const HLS: &str = "hls";

/// A metric: name, help, value in thousandths.
type Figure<T, V> = (&'static str, &'static str, fn(&T) -> V);

const OF_SERVER: &[Figure<ServerStatus, u64>] = &[
    (
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        |status| whole(status.wall_clock_at(0)),
    ),
    (
        "brooklet_connections",
        "Connections that are open.",
        |status| whole(status.connections as u64),
    ),
    (
        "brooklet_connections_accepted_total",
        "Connections that were accepted.",
        |status| whole(status.accepted),
    ),
    (
        "brooklet_received_bytes_total",
        "Bytes received from all connections.",
        |status| whole(status.bytes_in),
    ),
    (
        "brooklet_sent_bytes_total",
        "Bytes sent to all connections.",
        |status| whole(status.bytes_out),
    ),
    (
        "brooklet_memory_bytes",
        "Memory for media, claimed at the start.",
        |status| whole((status.total_blocks * BLOCK_LEN) as u64),
    ),
    (
        "brooklet_memory_free_bytes",
        "Memory for media that is not in use.",
        |status| whole((status.free_blocks * BLOCK_LEN) as u64),
    ),
];

const OF_STREAM: &[Figure<StreamReport, Option<u64>>] = &[
    (
        "brooklet_stream_live",
        "Whether somebody publishes the stream.",
        |report| Some(whole(report.is_live.into())),
    ),
    (
        "brooklet_stream_publishes_total",
        "How often somebody has begun to publish the stream.",
        |report| Some(whole(report.totals()[0])),
    ),
    (
        "brooklet_stream_sent_bytes_total",
        "Bytes sent to viewers of the stream.",
        |report| Some(whole(report.totals()[1])),
    ),
    (
        "brooklet_stream_frame_rate_hertz",
        "Pictures per second, by their time stamps.",
        |report| report.frame_rate.map(u64::from),
    ),
    (
        "brooklet_stream_keyframe_interval_seconds",
        "Media time from the last keyframe but one to the last.",
        |report| report.keyframe_interval.map(u64::from),
    ),
    (
        "brooklet_stream_dropped_messages_total",
        "Messages of the publisher that the memory could not hold.",
        |report| Some(whole(report.totals()[2])),
    ),
    (
        "brooklet_stream_viewer_lag_max_seconds",
        "How far behind the slowest viewer is.",
        |report| Some(report.viewers.lag),
    ),
    (
        "brooklet_stream_skips_total",
        "Jumps of slow viewers to a newer keyframe.",
        |report| Some(whole(report.totals()[3])),
    ),
    (
        "brooklet_stream_skipped_messages_total",
        "Messages left out by those jumps.",
        |report| Some(whole(report.totals()[4])),
    ),
    (
        "brooklet_stream_memory_bytes",
        "Memory that the stream's history takes.",
        |report| Some(whole((report.blocks * BLOCK_LEN) as u64)),
    ),
];

/// Metrics of the messages of one medium, in the order of [`Totals`](crate::live::report::Totals): name,
/// help.
const OF_TRACK: &[(&str, &str)] = &[
    (
        "brooklet_stream_received_bytes_total",
        "Bytes of media received from the publisher.",
    ),
    (
        "brooklet_stream_received_messages_total",
        "Messages of media received from the publisher.",
    ),
];

/// A metric of a recording, as [`Figure`].
type RecordingFigure = (
    &'static str,
    &'static str,
    fn(&ServerStatus, &RecordingReport) -> Option<u64>,
);

/// Metrics of recordings. Only shown if the server can record.
const OF_RECORDING: &[RecordingFigure] = &[
    (
        "brooklet_recording_start_timestamp_seconds",
        "When the recording began.",
        |status, report| Some(whole(status.wall_clock_at(report.since))),
    ),
    (
        "brooklet_recording_written_bytes_total",
        "Bytes written since the recording began.",
        |_, report| Some(whole(report.bytes)),
    ),
    (
        "brooklet_recording_today_bytes",
        "Bytes of the stream that were recorded today (UTC); those from before a restart as far as they are there.",
        |_, report| Some(whole(report.bytes_today)),
    ),
    (
        "brooklet_recording_gaps_total",
        "Gaps since the recording began, because the disk was too slow or gone.",
        |_, report| Some(whole(report.gaps)),
    ),
    (
        "brooklet_recording_missed_messages_total",
        "Messages that are missing in these gaps.",
        |_, report| Some(whole(report.missed_messages)),
    ),
    (
        "brooklet_recording_longest_write_seconds",
        "The longest time that a write or sync took.",
        |_, report| Some(report.longest_write),
    ),
    (
        "brooklet_recording_last_sync_timestamp_seconds",
        "When what was recorded was last safe from power cuts.",
        |status, report| Some(whole(status.wall_clock_at(report.last_sync?))),
    ),
    (
        "brooklet_recording_behind_seconds",
        "How far the recording is behind the stream.",
        |_, report| Some(report.behind),
    ),
];

const OF_PUSH: &[Figure<RelayReport, u64>] = &[
    (
        "brooklet_push_sent_bytes_total",
        "Bytes sent to the other server.",
        |push| whole(push.bytes),
    ),
    (
        "brooklet_push_connections_total",
        "Connections that the other server has accepted.",
        |push| whole(push.connections),
    ),
    (
        "brooklet_push_failed_attempts",
        "Attempts that have failed since media flowed last.",
        |push| whole(push.attempts.into()),
    ),
    (
        "brooklet_push_lag_seconds",
        "How far the other server is behind.",
        |push| push.lag,
    ),
    (
        "brooklet_push_skips_total",
        "Jumps to a newer keyframe because the other server was too slow.",
        |push| whole(push.skips),
    ),
];

const OF_PULL: &[Figure<RelayReport, u64>] = &[
    (
        "brooklet_pull_received_bytes_total",
        "Bytes received from the other server.",
        |pull| whole(pull.bytes),
    ),
    (
        "brooklet_pull_connections_total",
        "Connections that the other server has accepted.",
        |pull| whole(pull.connections),
    ),
    (
        "brooklet_pull_failed_attempts",
        "Attempts that have failed since media flowed last.",
        |pull| whole(pull.attempts.into()),
    ),
];

/// Metrics of the disk of the recordings.
const OF_DISK: &[Figure<DiskReport, Option<u64>>] = &[
    (
        "brooklet_recordings_bytes",
        "Bytes of all recordings.",
        |disk| Some(whole(disk.recordings)),
    ),
    (
        "brooklet_recordings_files",
        "Files of all recordings.",
        |disk| Some(whole(disk.files)),
    ),
    (
        "brooklet_recordings_disk_free_bytes",
        "Bytes that are free on the disk of the recordings.",
        |disk| disk.free.map(whole),
    ),
    (
        "brooklet_recordings_disk_size_bytes",
        "Size of the disk of the recordings.",
        |disk| disk.total.map(whole),
    ),
];

fn whole(number: u64) -> u64 {
    number.saturating_mul(1000)
}

/// Writes the response to `GET /metrics`. All samples of a name must be together, so each name requires
/// another walk through the streams.
pub(crate) fn text(out: &mut dyn Write, status: &ServerStatus, source: &mut dyn Source) {
    let mut out = Exposition(out);
    out.family("brooklet_build_info", "The program's version.");
    out.sample("brooklet_build_info", &[("version", VERSION)], whole(1));
    for (name, help, value) in OF_SERVER {
        out.family(name, help);
        out.sample(name, &[], value(status));
    }
    for (name, help, value) in OF_STREAM {
        out.family(name, help);
        out.each_stream(source, &|out, stream| {
            // Counters have to stay when a stream ends, or their rates would be wrong. Gauges of a
            // stream that is gone would be stale.
            let is_shown = is_counter(name) || is_there(stream);
            if let Some(value) = value(&stream.report).filter(|_| is_shown) {
                out.sample(name, &[("stream", stream.key.as_str())], value);
            }
        });
    }
    for (index, (name, help)) in OF_TRACK.iter().enumerate() {
        out.family(name, help);
        out.each_stream(source, &|out, stream| {
            let totals = stream.report.totals();
            let media = totals[RECEIVED..].chunks(OF_TRACK.len());
            for (medium, totals) in ["audio", "video"].into_iter().zip(media) {
                let labels = [("stream", stream.key.as_str()), ("medium", medium)];
                out.sample(name, &labels, whole(totals[index]));
            }
        });
    }
    out.write_viewers(source);
    out.write_findings(source);
    out.write_info(source);
    // Where streams go to is for those who may see addresses.
    if status.is_privileged {
        out.write_relays(OF_PUSH, "brooklet_push_state", &status.pushes);
        out.write_relays(OF_PULL, "brooklet_pull_state", &status.pulls);
    }
    if let (Some(disk), true) = (&status.disk, cfg!(feature = "record")) {
        out.write_disk(disk);
        out.write_recordings(status, source);
    }
}

/// Whether a metric is a counter rather than a gauge.
fn is_counter(name: &str) -> bool {
    name.ends_with("_total")
}

/// Whether the stream exists. Only the counters of a stream that is gone are left.
fn is_there(stream: &StreamStatus) -> bool {
    stream.report.publishes > 0
}

/// The number of walks through all streams that [`text`] makes.
pub(crate) const WALKS: usize = OF_STREAM.len() + OF_TRACK.len() + OF_RECORDING.len() + 4;

struct Exposition<'a>(&'a mut dyn Write);

impl Exposition<'_> {
    #[inline(never)] // One copy of the walk, not one for each name.
    fn each_stream(
        &mut self,
        source: &mut dyn Source,
        act: &dyn Fn(&mut Exposition<'_>, &StreamStatus),
    ) {
        each_stream(source, |_, stream| act(self, stream));
    }

    fn write_viewers(&mut self, source: &mut dyn Source) {
        const NAME: &str = "brooklet_stream_viewers";

        self.family(NAME, "Viewers of the stream.");
        self.each_stream(source, &|out, stream| {
            if !is_there(stream) {
                return;
            }
            let counts = PROTOCOLS.iter().zip(stream.report.viewers.counts);
            for (protocol, count) in counts.chain([(&HLS, stream.report.hls_viewers)]) {
                let labels = [("stream", stream.key.as_str()), ("protocol", protocol)];
                out.sample(NAME, &labels, whole(count as u64));
            }
        });
    }

    fn write_findings(&mut self, source: &mut dyn Source) {
        const NAME: &str = "brooklet_stream_finding";

        self.family(NAME, "What is wrong with the stream.");
        self.each_stream(source, &|out, stream| {
            for finding in &stream.report.findings {
                let labels = [("stream", stream.key.as_str()), ("finding", finding.id())];
                out.sample(NAME, &labels, whole(1));
            }
        });
    }

    fn write_info(&mut self, source: &mut dyn Source) {
        const NAME: &str = "brooklet_stream_info";

        self.family(NAME, "Codecs and picture size of the stream.");
        self.each_stream(source, &|out, stream| {
            if !is_there(stream) {
                return;
            }
            let codec = |track: &Option<TrackStatus>| {
                (track.as_ref()).map_or_else(String::new, |track| track.info.codec_name())
            };
            let format = stream.video.as_ref().and_then(|video| video.info.format);
            let size = format.map(|format| format!("{}x{}", format.width, format.height));
            let labels = [
                ("stream", stream.key.as_str()),
                ("video_codec", &codec(&stream.video)),
                ("resolution", &size.unwrap_or_default()),
                ("audio_codec", &codec(&stream.audio)),
            ];
            out.sample(NAME, &labels, whole(1));
        });
    }

    /// Writes the figures of pushes or pulls. Nothing is written if there are none.
    fn write_relays(
        &mut self,
        figures: &[Figure<RelayReport, u64>],
        state: &str,
        relays: &[RelayReport],
    ) {
        if relays.is_empty() {
            return;
        }
        self.family(state, "Whether the push or pull is in this state.");
        for relay in relays {
            let id = relay.id.to_string();
            for one in RelayState::ALL {
                let labels = [
                    ("id", id.as_str()),
                    ("stream", &relay.stream),
                    ("target", &relay.target),
                    ("state", one.name()),
                ];
                self.sample(state, &labels, whole((one == relay.state).into()));
            }
        }
        for (name, help, value) in figures {
            self.family(name, help);
            for relay in relays {
                let id = relay.id.to_string();
                let labels = [
                    ("id", id.as_str()),
                    ("stream", &relay.stream),
                    ("target", &relay.target),
                ];
                self.sample(name, &labels, value(relay));
            }
        }
    }

    fn write_disk(&mut self, disk: &DiskReport) {
        const STATE: &str = "brooklet_recordings_disk_state";

        self.family(STATE, "The state of the disk of the recordings.");
        self.sample(STATE, &[("state", disk.state.name())], whole(1));
        for (name, help, value) in OF_DISK {
            if let Some(value) = value(disk) {
                self.family(name, help);
                self.sample(name, &[], value);
            }
        }
    }

    fn write_recordings(&mut self, status: &ServerStatus, source: &mut dyn Source) {
        const STATE: &str = "brooklet_recording_state";

        self.family(STATE, "The state of the stream's recording.");
        self.each_recording(source, &|out, stream, recording| {
            let labels = [("stream", stream), ("state", recording.state.name())];
            out.sample(STATE, &labels, whole(1));
        });
        for (name, help, value) in OF_RECORDING {
            self.family(name, help);
            self.each_recording(source, &|out, stream, recording| {
                if let Some(value) = value(status, recording) {
                    out.sample(name, &[("stream", stream)], value);
                }
            });
        }
    }

    /// Calls a function with the name of each stream that is recorded, and its recording.
    fn each_recording(
        &mut self,
        source: &mut dyn Source,
        act: &dyn Fn(&mut Exposition<'_>, &str, &RecordingReport),
    ) {
        self.each_stream(source, &|out, stream| {
            if let Some(recording) = &stream.recording {
                act(out, stream.key.as_str(), recording);
            }
        });
    }

    /// Ignores errors, because the writer remembers them itself.
    #[inline(never)]
    fn put(&mut self, text: &str) {
        let _ = self.0.write_str(text);
    }

    /// Writes the two lines before the samples of a name.
    #[inline(never)]
    fn family(&mut self, name: &str, help: &str) {
        let kind = if is_counter(name) { "counter" } else { "gauge" };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// Writes a line with a value in thousandths.
    #[inline(never)]
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.put(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.put(if index == 0 { "{" } else { "," });
            self.put(label);
            self.put("=\"");
            self.push_escaped(value);
            self.put("\"");
        }
        if !labels.is_empty() {
            self.put("}");
        }
        let _ = writeln!(self.0, " {}", Thousandths(value));
    }

    #[inline(never)]
    fn push_escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\\' => self.put("\\\\"),
                '"' => self.put("\\\""),
                '\n' => self.put("\\n"),
                // Control characters are legal, but parsers disagree on them.
                c if c.is_control() => self.put("\u{FFFD}"),
                c => self.put(c.encode_utf8(&mut [0; 4])),
            }
        }
    }
}
