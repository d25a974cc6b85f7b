//! The streams in the XML of nginx-rtmp's statistics, for the tools that were made for it: NOALBS,
//! exporters, pages that show bit rates.
//!
//! ```text
//! rtmp  server  application  name                            "live"
//!                            live    stream  name            "door"
//!                                            bw_video ...    bits per second
//!                                            client *        publisher and players
//!                                            meta            video, audio
//! ```
//!
//! Those tools take a missing element for an error, so each is there that some of them read. As in
//! the configuration that NOALBS comes with, a stream is listed as long as somebody publishes it.

use std::fmt::{Display, Write};

use super::{Status, StreamStatus, VERSION, tracks};
use crate::live::Millis;
use crate::live::subscriber::Delivered;
use crate::media::codec::{AudioCodec, VideoCodec};
use crate::media::decimal::Thousandths;

/// The content type.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// The application that is listed even if nobody publishes: NOALBS reads one at least.
const USUAL_APPLICATION: &str = "live";

/// `GET /stat`
pub fn xml(status: &Status) -> String {
    let streams = status.streams.iter();
    let streams: Vec<_> = streams.filter(|stream| stream.report.is_live).collect();
    let sum = |of: fn(&StreamStatus) -> u64| streams.iter().map(|stream| of(stream)).sum::<u64>();
    let mut xml = Xml(String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n<rtmp>\r\n",
    ));
    xml.value("nginx_version", &format_args!("brooklet {VERSION}"));
    xml.value("nginx_rtmp_version", &"1.1.4");
    xml.value("compiler", &"rustc");
    xml.value("built", &VERSION);
    xml.number("pid", std::process::id().into());
    xml.number("uptime", status.uptime());
    xml.number("naccepted", status.accepted);
    xml.number("bw_in", sum(bits_in));
    xml.number("bytes_in", status.bytes_in);
    xml.number("bw_out", sum(|stream| stream.report.bits_out));
    xml.number("bytes_out", status.bytes_out);
    xml.open("server");
    let mut apps = vec![USUAL_APPLICATION];
    for stream in &streams {
        let (app, _) = split(stream);
        if let Err(at) = apps.binary_search(&app) {
            apps.insert(at, app);
        }
    }
    for app in apps {
        let of_app = streams.iter().filter(|stream| split(stream).0 == app);
        xml.open("application");
        xml.text("name", app);
        xml.open("live");
        let mut clients = 0;
        for stream in of_app {
            clients += clients_of(stream);
            xml.write_stream(status, stream);
        }
        xml.number("nclients", clients as u64);
        xml.close("live");
        xml.close("application");
    }
    xml.close("server");
    xml.close("rtmp");
    xml.0
}

/// Application and name.
fn split(stream: &StreamStatus) -> (&str, &str) {
    let key = stream.key.as_str();
    key.rsplit_once('/').unwrap_or(("", key))
}

fn bits_in(stream: &StreamStatus) -> u64 {
    stream.report.audio.bits_per_second + stream.report.video.bits_per_second
}

/// The publisher counts as one.
fn clients_of(stream: &StreamStatus) -> usize {
    stream.report.viewer_count() + usize::from(stream.report.publisher.is_some())
}

struct Xml(String);

impl Xml {
    fn write_stream(&mut self, status: &Status, stream: &StreamStatus) {
        let report = &stream.report;
        self.open("stream");
        self.text("name", split(stream).1);
        self.number("time", status.age(report.since));
        self.number("bw_in", bits_in(stream));
        self.number("bytes_in", report.audio.bytes + report.video.bytes);
        self.number("bw_out", report.bits_out);
        self.number("bytes_out", report.bytes_out);
        self.number("bw_audio", report.audio.bits_per_second);
        self.number("bw_video", report.video.bits_per_second);
        self.number("bw_data", 0);
        if status.is_privileged {
            self.write_clients(status, stream);
        }
        self.write_meta(stream);
        self.number("nclients", clients_of(stream) as u64);
        self.empty("publishing");
        self.empty("active");
        self.close("stream");
    }

    /// Publisher and players.
    fn write_clients(&mut self, status: &Status, stream: &StreamStatus) {
        let report = &stream.report;
        if let Some((id, _)) = report.publisher {
            let dropped = report.dropped_messages;
            self.write_client(status, id, report.since, None, dropped, true);
        }
        for viewer in &report.viewers {
            let (sent, since) = (&viewer.delivered, viewer.since);
            let id = viewer.connection;
            self.write_client(status, id, since, Some(sent), sent.skipped_messages, false);
        }
    }

    fn write_client(
        &mut self,
        status: &Status,
        id: u64,
        since: Millis,
        delivered: Option<&Delivered>,
        dropped: u64,
        is_publishing: bool,
    ) {
        // It may have closed in the meantime.
        let Some(connection) = status.connection(id) else {
            return;
        };
        let time = status.age(since);
        self.open("client");
        self.number("id", id);
        self.value("address", &connection.address.ip());
        self.number("port", connection.address.port().into());
        self.number("time", time);
        self.text("flashver", &connection.client);
        self.number("bytes_in", connection.bytes_in);
        let bytes_out = delivered.map_or(connection.bytes_out, |delivered| delivered.bytes);
        self.number("bytes_out", bytes_out);
        self.number("dropped", dropped);
        self.number("avsync", 0);
        self.number("timestamp", time);
        if is_publishing {
            self.empty("publishing");
        }
        self.empty("active");
        self.close("client");
    }

    fn write_meta(&mut self, stream: &StreamStatus) {
        let report = &stream.report;
        self.open("meta");
        self.open("video");
        let video = tracks::video(report);
        let (width, height) = video
            .as_ref()
            .and_then(|video| video.size)
            .unwrap_or((0, 0));
        let frame_rate = report.frame_rate.unwrap_or(0);
        self.number("width", width.into());
        self.number("height", height.into());
        self.value("frame_rate", &Thousandths(frame_rate.into()));
        self.number("data_rate", report.video.bits_per_second / 1000);
        let codec = match &video {
            // As they spell it.
            Some(video) if video.codec == VideoCodec::H264 => "H264".to_owned(),
            Some(video) => video.codec.to_string(),
            None => String::new(),
        };
        self.text("codec", &codec);
        let [profile, compat, level] = video.and_then(|video| video.avc).unwrap_or_default();
        self.value("profile", &avc_profile(profile));
        self.number("compat", compat.into());
        self.value("level", &Thousandths(u64::from(level) * 100));
        self.close("video");
        self.open("audio");
        if let Some(audio) = tracks::audio(report) {
            self.text("codec", &audio.codec.to_string());
            if audio.codec == AudioCodec::Aac {
                self.value("profile", &aac_profile(audio.object_type));
            }
            if let Some(channels) = audio.channels {
                self.number("channels", channels.into());
            }
            if let Some(sample_rate) = audio.sample_rate {
                self.number("sample_rate", sample_rate.into());
            }
            self.number("data_rate", report.audio.bits_per_second / 1000);
        }
        self.close("audio");
        self.close("meta");
    }

    fn open(&mut self, name: &str) {
        self.tag("<", name, ">\r\n");
    }

    fn close(&mut self, name: &str) {
        self.tag("</", name, ">\r\n");
    }

    fn empty(&mut self, name: &str) {
        self.tag("<", name, "/>\r\n");
    }

    #[inline(never)] // Once, not in each of a hundred places.
    fn tag(&mut self, start: &str, name: &str, end: &str) {
        for part in [start, name, end] {
            self.0.push_str(part);
        }
    }

    #[inline(never)]
    fn number(&mut self, name: &str, number: u64) {
        self.value(name, &number);
    }

    /// An element whose content is ours.
    #[inline(never)]
    fn value(&mut self, name: &str, value: &dyn Display) {
        self.tag("<", name, ">");
        // A String takes everything.
        let _ = write!(self.0, "{value}");
        self.close(name);
    }

    /// An element whose content comes from a stranger.
    #[inline(never)]
    fn text(&mut self, name: &str, text: &str) {
        self.tag("<", name, ">");
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // No reference makes them legal (XML 1.0, 2.2).
                '\u{FFFE}' | '\u{FFFF}' => self.0.push(' '),
                c if c.is_control() => self.0.push(' '),
                c => self.0.push(c),
            }
        }
        self.close(name);
    }
}

fn avc_profile(profile: u8) -> &'static str {
    match profile {
        66 => "Baseline",
        77 => "Main",
        100 => "High",
        110 => "High 10",
        122 => "High 4:2:2",
        244 => "High 4:4:4",
        _ => "",
    }
}

fn aac_profile(object_type: u8) -> &'static str {
    match object_type {
        1 => "Main",
        2 => "LC",
        5 => "HE",
        29 => "HEv2",
        _ => "",
    }
}
