//! Figures in Prometheus' text format, version 0.0.4.
//!
//! ```text
//! # HELP brooklet_stream_sent_bytes_total Bytes sent to viewers.
//! # TYPE brooklet_stream_sent_bytes_total counter
//! brooklet_stream_sent_bytes_total{stream="live/door"} 1234567
//! ```
//!
//! Seconds and bytes, counters end in `_total`, one series per stream: no label has as many values
//! as there are viewers.

use std::fmt::Write;

use super::{Status, StreamStatus, VERSION, tracks};
use crate::live::arena::BLOCK_LEN;
use crate::live::stats::{StreamReport, TrackReport};
use crate::media::decimal::Thousandths;

/// The content type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What viewers may be told to speak.
const PROTOCOLS: [&str; 4] = ["rtmp", "flv", "mp4", HLS];

/// Those who watch by it come and go; the stream counts them.
const HLS: &str = "hls";

/// A figure of the server: name, type, help, value in thousandths.
type ServerFigure = (&'static str, &'static str, &'static str, fn(&Status) -> u64);

const OF_SERVER: &[ServerFigure] = &[
    (
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        |status| whole(status.wall_clock_at(0)),
    ),
    (
        "brooklet_connections",
        "gauge",
        "Connections that are open.",
        |status| whole(status.connections.len() as u64),
    ),
    (
        "brooklet_connections_accepted_total",
        "counter",
        "Connections that were accepted.",
        |status| whole(status.accepted),
    ),
    (
        "brooklet_received_bytes_total",
        "counter",
        "Bytes received from all connections.",
        |status| whole(status.bytes_in),
    ),
    (
        "brooklet_sent_bytes_total",
        "counter",
        "Bytes sent to all connections.",
        |status| whole(status.bytes_out),
    ),
    (
        "brooklet_memory_bytes",
        "gauge",
        "Memory for media, claimed at the start.",
        |status| whole((status.total_blocks * BLOCK_LEN) as u64),
    ),
    (
        "brooklet_memory_free_bytes",
        "gauge",
        "Memory for media that is not in use.",
        |status| whole((status.free_blocks * BLOCK_LEN) as u64),
    ),
];

/// A figure of a stream: name, type, help, value in thousandths.
type StreamFigure = (
    &'static str,
    &'static str,
    &'static str,
    fn(&StreamReport) -> Option<u64>,
);

const OF_STREAM: &[StreamFigure] = &[
    (
        "brooklet_stream_live",
        "gauge",
        "Whether somebody publishes the stream.",
        |report| Some(whole(report.is_live.into())),
    ),
    (
        "brooklet_stream_publishes_total",
        "counter",
        "How often somebody has begun to publish the stream.",
        |report| Some(whole(report.publishes)),
    ),
    (
        "brooklet_stream_sent_bytes_total",
        "counter",
        "Bytes sent to viewers of the stream.",
        |report| Some(whole(report.bytes_out)),
    ),
    (
        "brooklet_stream_frame_rate_hertz",
        "gauge",
        "Pictures per second, by their time stamps.",
        |report| report.frame_rate.map(u64::from),
    ),
    (
        "brooklet_stream_keyframe_interval_seconds",
        "gauge",
        "Media time from the last keyframe but one to the last.",
        |report| report.keyframe_interval.map(u64::from),
    ),
    (
        "brooklet_stream_dropped_messages_total",
        "counter",
        "Messages of the publisher that the memory could not hold.",
        |report| Some(whole(report.dropped_messages)),
    ),
    (
        "brooklet_stream_viewer_lag_max_seconds",
        "gauge",
        "How far behind the slowest viewer is.",
        |report| Some(report.viewers.iter().map(|v| v.lag).max().unwrap_or(0)),
    ),
    (
        "brooklet_stream_skips_total",
        "counter",
        "Jumps of slow viewers to a newer keyframe.",
        |report| Some(whole(report.skips)),
    ),
    (
        "brooklet_stream_skipped_messages_total",
        "counter",
        "Messages left out by those jumps.",
        |report| Some(whole(report.skipped_messages)),
    ),
    (
        "brooklet_stream_memory_bytes",
        "gauge",
        "Memory that the stream's history takes.",
        |report| Some(whole((report.blocks * BLOCK_LEN) as u64)),
    ),
];

/// A figure of what came of one medium: name, help, value.
type TrackFigure = (&'static str, &'static str, fn(&TrackReport) -> u64);

const OF_TRACK: &[TrackFigure] = &[
    (
        "brooklet_stream_received_bytes_total",
        "Bytes of media received from the publisher.",
        |track| track.bytes,
    ),
    (
        "brooklet_stream_received_messages_total",
        "Messages of media received from the publisher.",
        |track| track.messages,
    ),
];

fn whole(number: u64) -> u64 {
    number.saturating_mul(1000)
}

/// `GET /metrics`
pub fn text(status: &Status) -> String {
    let mut out = Exposition::default();
    out.family("brooklet_build_info", "gauge", "The program's version.");
    out.sample("brooklet_build_info", &[("version", VERSION)], whole(1));
    for (name, kind, help, value) in OF_SERVER {
        out.family(name, kind, help);
        out.sample(name, &[], value(status));
    }
    for (name, kind, help, value) in OF_STREAM {
        out.family(name, kind, help);
        for stream in &status.streams {
            if let Some(value) = value(&stream.report) {
                out.sample(name, &[("stream", stream.key.as_str())], value);
            }
        }
    }
    for (name, help, value) in OF_TRACK {
        out.family(name, "counter", help);
        for stream in &status.streams {
            let report = &stream.report;
            for (medium, track) in [("audio", &report.audio), ("video", &report.video)] {
                let labels = [("stream", stream.key.as_str()), ("medium", medium)];
                out.sample(name, &labels, whole(value(track)));
            }
        }
    }
    out.write_viewers(&status.streams);
    out.write_findings(&status.streams);
    out.write_info(&status.streams);
    out.0
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn write_viewers(&mut self, streams: &[StreamStatus]) {
        const NAME: &str = "brooklet_stream_viewers";

        self.family(NAME, "gauge", "Viewers of the stream.");
        for stream in streams {
            for protocol in PROTOCOLS {
                let viewers = stream.report.viewers.iter();
                let count = match protocol {
                    HLS => stream.report.hls_viewers,
                    _ => viewers.filter(|viewer| viewer.protocol == protocol).count(),
                };
                let labels = [("stream", stream.key.as_str()), ("protocol", protocol)];
                self.sample(NAME, &labels, whole(count as u64));
            }
        }
    }

    fn write_findings(&mut self, streams: &[StreamStatus]) {
        const NAME: &str = "brooklet_stream_finding";

        self.family(NAME, "gauge", "What is wrong with the stream.");
        for stream in streams {
            for finding in &stream.report.findings {
                let labels = [("stream", stream.key.as_str()), ("finding", finding.id())];
                self.sample(NAME, &labels, whole(1));
            }
        }
    }

    fn write_info(&mut self, streams: &[StreamStatus]) {
        const NAME: &str = "brooklet_stream_info";

        self.family(NAME, "gauge", "Codecs and picture size of the stream.");
        for stream in streams {
            let video = tracks::video(&stream.report);
            let audio = tracks::audio(&stream.report);
            let codec = video.as_ref().map(|video| video.codec.to_string());
            let size = video.and_then(|video| video.size);
            let resolution = size.map(|(width, height)| format!("{width}x{height}"));
            let labels = [
                ("stream", stream.key.as_str()),
                ("video_codec", &codec.unwrap_or_default()),
                ("resolution", &resolution.unwrap_or_default()),
                (
                    "audio_codec",
                    &audio.map_or(String::new(), |audio| audio.name),
                ),
            ];
            self.sample(NAME, &labels, whole(1));
        }
    }

    /// The two lines before the samples of a name.
    #[inline(never)]
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        for line in [
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ] {
            self.0.push_str(line);
        }
    }

    /// A line with a value in thousandths.
    #[inline(never)]
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            self.push_escaped(value);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        // A String takes everything.
        let _ = writeln!(self.0, " {}", Thousandths(value));
    }

    #[inline(never)]
    fn push_escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                // Legal, and read differently by different parsers.
                c if c.is_control() => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
    }
}
