//! The streams in the XML format of nginx-rtmp's statistics, for the tools made for it: NOALBS,
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
//! These tools treat a missing element as an error, so every element that any of them reads is present.
//! As in the configuration that comes with NOALBS, a stream is listed while it is published.

use std::fmt::{Display, Write};

use super::{
    ConnectionReport, ServerStatus, Source, StreamStatus, VERSION, each_stream, each_viewer,
};
use crate::live::Millis;
use crate::live::report::Delivered;
use crate::media::codec::{AudioCodec, Codec, VideoCodec};
use crate::media::decimal::Thousandths;
use crate::rtmp::stream_key::StreamKey;

/// The content type of the response.
pub(crate) const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// The application that is listed even without streams: NOALBS needs at least one.
const USUAL_APPLICATION: &str = "live";

/// Writes the response to `GET /stat`.
pub(crate) fn xml(out: &mut dyn Write, status: &ServerStatus, source: &mut dyn Source) {
    // A separate walk, because the sums come before the streams in the text.
    let (mut sum_in, mut sum_out) = (0, 0);
    let mut has_usual = false;
    each_live(source, |_, stream| {
        sum_in += bits_in(stream);
        sum_out += stream.report.bits_out;
        has_usual |= app_of(stream) == USUAL_APPLICATION;
    });
    let mut xml = Xml(out);
    xml.put("<?xml version=\"1.0\" encoding=\"utf-8\" ?>\r\n<rtmp>\r\n");
    xml.value("nginx_version", &format_args!("brooklet {VERSION}"));
    xml.value("nginx_rtmp_version", &"1.1.4");
    xml.value("compiler", &"rustc");
    xml.value("built", &VERSION);
    xml.number("pid", std::process::id().into());
    xml.number("uptime", status.uptime());
    xml.number("naccepted", status.accepted);
    xml.number("bw_in", sum_in);
    xml.number("bytes_in", status.bytes_in);
    xml.number("bw_out", sum_out);
    xml.number("bytes_out", status.bytes_out);
    xml.open("server");
    if !has_usual {
        xml.begin_application(USUAL_APPLICATION);
        xml.end_application(0);
    }
    // Streams are sorted by name, so those of one application are together.
    let mut application: Option<StreamKey> = None;
    let mut clients = 0;
    each_live(source, |source, stream| {
        let app = app_of(stream);
        let last = application.as_ref().map(|key| key.app_and_name().0);
        if last != Some(app) {
            if last.is_some() {
                xml.end_application(std::mem::take(&mut clients));
            }
            xml.begin_application(app);
            application = Some(stream.key.clone());
        }
        clients += clients_of(stream);
        xml.write_stream(status, source, stream);
    });
    if application.is_some() {
        xml.end_application(clients);
    }
    xml.close("server");
    xml.close("rtmp");
}

/// Calls a function with each stream that is published.
fn each_live(source: &mut dyn Source, mut act: impl FnMut(&mut dyn Source, &StreamStatus)) {
    each_stream(source, |source, stream| {
        if stream.report.is_live {
            act(source, stream);
        }
    });
}

fn app_of(stream: &StreamStatus) -> &str {
    stream.key.app_and_name().0
}

fn bits_in(stream: &StreamStatus) -> u64 {
    stream.report.audio.bits_per_second + stream.report.video.bits_per_second
}

/// The number of clients, including the publisher.
fn clients_of(stream: &StreamStatus) -> usize {
    stream.report.viewer_count() + usize::from(stream.report.publisher.is_some())
}

struct Xml<'a>(&'a mut dyn Write);

impl Xml<'_> {
    fn begin_application(&mut self, app: &str) {
        self.open("application");
        self.text("name", app);
        self.open("live");
    }

    fn end_application(&mut self, clients: usize) {
        self.number("nclients", clients as u64);
        self.close("live");
        self.close("application");
    }

    fn write_stream(
        &mut self,
        status: &ServerStatus,
        source: &mut dyn Source,
        stream: &StreamStatus,
    ) {
        let report = &stream.report;
        self.open("stream");
        self.text("name", stream.key.app_and_name().1);
        self.number("time", status.age(report.since));
        self.number("bw_in", bits_in(stream));
        self.number("bytes_in", report.audio.bytes + report.video.bytes);
        self.number("bw_out", report.bits_out);
        self.number("bytes_out", report.bytes_out);
        self.number("bw_audio", report.audio.bits_per_second);
        self.number("bw_video", report.video.bits_per_second);
        self.number("bw_data", 0);
        if status.is_privileged {
            self.write_clients(status, source, stream);
        }
        self.write_meta(stream);
        self.number("nclients", clients_of(stream) as u64);
        self.empty("publishing");
        self.empty("active");
        self.close("stream");
    }

    /// Writes the publisher and the players.
    fn write_clients(
        &mut self,
        status: &ServerStatus,
        source: &mut dyn Source,
        stream: &StreamStatus,
    ) {
        let report = &stream.report;
        if let Some((id, _)) = report.publisher {
            let dropped = report.dropped_messages;
            let connection = source.connection(id);
            self.write_client(status, connection, report.since, None, dropped, true);
        }
        each_viewer(source, &stream.key, &mut |source, viewer| {
            let (sent, since) = (&viewer.delivered, viewer.since);
            let connection = source.connection(viewer.connection);
            let dropped = sent.skipped_messages;
            self.write_client(status, connection, since, Some(sent), dropped, false);
        });
    }

    fn write_client(
        &mut self,
        status: &ServerStatus,
        connection: Option<ConnectionReport>,
        since: Millis,
        delivered: Option<&Delivered>,
        dropped: u64,
        is_publishing: bool,
    ) {
        // The connection may have closed in the meantime.
        let Some(connection) = connection else {
            return;
        };
        let time = status.age(since);
        self.open("client");
        self.number("id", connection.id);
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
        let video = stream.video.as_ref().map(|video| &video.info);
        let format = video.and_then(|video| video.format);
        let frame_rate = report.frame_rate.unwrap_or(0);
        self.number("width", format.map_or(0, |format| format.width.into()));
        self.number("height", format.map_or(0, |format| format.height.into()));
        self.value("frame_rate", &Thousandths(frame_rate.into()));
        self.number("data_rate", report.video.bits_per_second / 1000);
        let codec = match video {
            // As nginx-rtmp spells it.
            Some(video) if video.codec == Codec::Video(VideoCodec::H264) => "H264".to_owned(),
            Some(video) => video.codec.to_string(),
            None => String::new(),
        };
        self.text("codec", &codec);
        let numbers = video.map(|video| [video.profile, video.constraints, video.level]);
        let [profile, compat, level] = numbers.unwrap_or_default();
        self.value("profile", &avc_profile(profile));
        self.number("compat", compat.into());
        self.value("level", &Thousandths(u64::from(level) * 100));
        self.close("video");
        self.open("audio");
        if let Some(audio) = stream.audio.as_ref().map(|audio| &audio.info) {
            self.text("codec", &audio.codec.to_string());
            if audio.codec == Codec::Audio(AudioCodec::Aac) {
                self.value("profile", &aac_profile(audio.profile));
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

    #[inline(never)] // Called from a hundred places.
    fn tag(&mut self, start: &str, name: &str, end: &str) {
        for part in [start, name, end] {
            self.put(part);
        }
    }

    /// Ignores errors, because the writer remembers them itself.
    #[inline(never)]
    fn put(&mut self, text: &str) {
        let _ = self.0.write_str(text);
    }

    #[inline(never)]
    fn number(&mut self, name: &str, number: u64) {
        self.value(name, &number);
    }

    /// Writes an element whose content needs no escapes.
    #[inline(never)]
    fn value(&mut self, name: &str, value: &dyn Display) {
        self.tag("<", name, ">");
        let _ = write!(self.0, "{value}");
        self.close(name);
    }

    /// Writes an element whose content comes from the network.
    #[inline(never)]
    fn text(&mut self, name: &str, text: &str) {
        self.tag("<", name, ">");
        for c in text.chars() {
            match c {
                '&' => self.put("&amp;"),
                '<' => self.put("&lt;"),
                '>' => self.put("&gt;"),
                '"' => self.put("&quot;"),
                '\'' => self.put("&#39;"),
                // These aren't legal even as character references (XML 1.0, 2.2).
                '\u{FFFE}' | '\u{FFFF}' => self.put(" "),
                c if c.is_control() => self.put(" "),
                c => self.put(c.encode_utf8(&mut [0; 4])),
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
