mod api_text;
mod metrics_text;
#[cfg(feature = "record")]
mod recordings;
#[cfg(feature = "relay")]
mod relays;
mod stat_text;

use std::sync::Arc;

use super::*;
use crate::live::finding::Finding;
use crate::live::report::{Delivered, TrackReport, Viewers};
use crate::live::tracks::Tracks;
use crate::media::mp4::{AudioTrack, Presentation, VideoTrack};
use crate::media::{Medium, TrackInfo};

/// H.264 Baseline 3.0, 640x360 pixels.
const AVC: &[u8] = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";

/// AAC LC, 48 kHz, two channels.
const AAC: &[u8] = b"\xAF\0\x11\x90";

/// Stream names that `StreamKey` accepts. Clients may call themselves the same.
const HOSTILE: &[&str] = &[
    "\"><script>alert(1)</script>",
    "a&b;&lt;'\"",
    "]]>--><!--",
    "{stream=\"x\"} 1",
    "\u{202E}\u{2028}\u{2029}\u{FEFF}\u{FFFE}\u{FFFF}",
    "\u{1F3A5} d\u{F6}r",
    "%s%n${x}",
];

fn key(name: &str) -> StreamKey {
    StreamKey::new("live", name).unwrap()
}

fn connection(id: u64, protocol: &'static str, client: &str) -> ConnectionReport {
    ConnectionReport {
        id,
        address: format!("192.0.2.{id}:5123").parse().unwrap(),
        protocol,
        client: client.to_owned(),
        since: 9_000,
        publishes: Vec::new(),
        plays: Vec::new(),
        bytes_in: id * 1000,
        bytes_out: id * 10,
    }
}

/// A server with the state that a test needs.
#[derive(Clone, Default)]
struct Figures {
    status: ServerStatus,
    streams: Vec<(StreamKey, StreamReport)>,
    /// The recording of each of them.
    recording: Option<RecordingReport>,
    viewers: Vec<ViewerReport>,
    connections: Vec<ConnectionReport>,
}

impl Source for Figures {
    fn stream_after(&mut self, key: Option<&StreamKey>) -> Option<StreamStatus> {
        let later = self
            .streams
            .iter()
            .filter(|(other, _)| key.is_none_or(|key| other > key));
        let (key, report) = later.min_by(|(a, _), (b, _)| a.cmp(b))?;
        let recording = self.recording.clone();
        Some(StreamStatus::new(key.clone(), report.clone(), recording))
    }

    fn is_locked(&self) -> bool {
        false
    }

    fn viewer_after(&mut self, key: &StreamKey, viewer: u64) -> Option<ViewerReport> {
        let (_, report) = self.streams.iter().find(|(other, _)| other == key)?;
        let has_viewers = report.viewers != Viewers::default();
        let mut viewers = self.viewers.iter().filter(|_| has_viewers);
        viewers.find(|found| found.id > viewer).cloned()
    }

    fn connection_after(&mut self, id: u64) -> Option<ConnectionReport> {
        let mut connections = self.connections.iter();
        connections.find(|found| found.id > id).cloned()
    }

    fn connection(&mut self, id: u64) -> Option<ConnectionReport> {
        self.connection_after(id - 1).filter(|found| found.id == id)
    }
}

type TextWriter = fn(&mut dyn std::fmt::Write, &ServerStatus, &mut dyn Source);

fn text_of(form: TextWriter, server: &Figures) -> String {
    let mut text = String::new();
    form(&mut text, &server.status, &mut server.clone());
    text
}

/// Returns two viewers, one of them slow.
fn viewers() -> Vec<ViewerReport> {
    let viewer = |connection, protocol, lag, skips| ViewerReport {
        id: connection + 100,
        connection,
        protocol,
        since: 70_000,
        delivered: Delivered {
            bytes: 40_000,
            skips,
            skipped_messages: u64::from(skips) * 50,
        },
        lag,
    };
    vec![viewer(18, "rtmp", 20, 0), viewer(19, "mp4", 1_250, 2)]
}

/// Returns the report of a camera with these two viewers.
fn door() -> StreamReport {
    let mut all = Viewers::default();
    viewers().iter().for_each(|viewer| all.add(viewer));
    let track = |bytes, messages, bits_per_second, info| TrackReport {
        bytes,
        messages,
        bits_per_second,
        info,
    };
    let presentation = Presentation {
        video: VideoTrack::from_sequence_header(AVC),
        audio: AudioTrack::from_sequence_header(AAC),
    };
    StreamReport {
        is_live: true,
        publishes: 2,
        since: 60_000,
        publisher: Some((17, [192, 0, 2, 17].into())),
        audio: track(96_000, 1_000, 128_000, TrackInfo::read(Medium::Audio, AAC)),
        video: track(
            1_800_000,
            300,
            2_400_999,
            TrackInfo::read(Medium::Video, AVC),
        ),
        frame_rate: Some(29_970),
        keyframe_interval: Some(2_000),
        dropped_messages: 3,
        bytes_out: 123_456,
        bits_out: 5_000_000,
        skips: 2,
        skipped_messages: 100,
        peak_viewers: 5,
        blocks: 10,
        tracks: Arc::new(Tracks {
            presentation,
            ..Tracks::default()
        }),
        findings: vec![Finding::MissingTrack(Medium::Audio)],
        hls_viewers: 4,
        past: Default::default(),
        viewers: all,
    }
}

fn server(is_privileged: bool) -> Figures {
    let mut publisher = connection(17, "rtmp", "FMLE/3.0");
    publisher.publishes = vec![key("door")];
    let mut player = connection(18, "rtmp", "LNX 9,0,124,2");
    player.plays = vec![key("door")];
    let status = ServerStatus {
        now: 72_345,
        // 2026-11-21T08:00:12.345Z
        wall_clock: 1_795_248_012_345,
        rtmp_port: Some(1935),
        is_privileged,
        connections: 3,
        accepted: 19,
        bytes_in: 2_000_000,
        bytes_out: 200_000,
        free_blocks: 2_038,
        total_blocks: 2_048,
        disk: None,
        pushes: Vec::new(),
        pulls: Vec::new(),
    };
    Figures {
        status,
        streams: vec![(key("door"), door())],
        recording: None,
        viewers: viewers(),
        connections: vec![publisher, player, connection(19, "http", "Mozilla/5.0")],
    }
}

#[test]
fn only_privileged_clients_see_addresses() {
    let server = server(false);
    for (form, text) in [
        ("JSON", text_of(api::streams, &server)),
        ("Prometheus", text_of(metrics::text, &server)),
        ("nginx-rtmp", text_of(stat::xml, &server)),
    ] {
        assert!(!text.contains("192.0.2"), "{form}: {text}");
    }
}

/// Returns streams with hostile names, published by clients with such names.
fn hostile() -> Figures {
    let mut server = server(true);
    server.streams = HOSTILE.iter().map(|name| (key(name), door())).collect();
    server.streams.sort_by(|(a, _), (b, _)| a.cmp(b));
    server.streams[0].1.publisher = Some((40, [192, 0, 2, 40].into()));
    let client = HOSTILE.concat() + "\0\x01\r\n\x1B\u{7F}\u{85}";
    server.connections.push(connection(40, "rtmp", &client));
    server
}
