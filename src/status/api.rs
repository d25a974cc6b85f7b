//! The API's responses in JSON.

use std::fmt::Write;

use super::json::Json;
use super::{
    ConnectionReport, ServerStatus, Source, StreamStatus, VERSION, each_stream, each_viewer,
};
use crate::calendar;
use crate::config::Shown;
use crate::live::report::ViewerReport;
use crate::media::decimal::Thousandths;
use crate::record::report::{DiskReport, RecordingReport};
use crate::relay::report::RelayReport;
use crate::rtmp::stream_key::StreamKey;

/// Writes the response to `GET /api/v1/streams`.
pub(crate) fn streams(out: &mut dyn Write, status: &ServerStatus, source: &mut dyn Source) {
    let mut json = Json::new(out);
    json.begin('{');
    json.name("server");
    json.begin('{');
    json.named_text("name", "brooklet");
    json.named_text("version", VERSION);
    json.named_number("uptime_s", status.uptime());
    json.optional("rtmp_port", status.rtmp_port.map(u64::from));
    json.end('}');
    json.name("streams");
    json.begin('[');
    each_stream(source, |source, stream| {
        write_stream(&mut json, status, source, stream);
    });
    json.end(']');
    json.named_value("locked", Some(&source.is_locked()));
    json.name("disk");
    write_disk(&mut json, status.disk.as_ref());
    // Where streams go to and come from is for those who may see addresses.
    if status.is_privileged && cfg!(feature = "relay") {
        write_relays(&mut json, status, "pushes", &status.pushes);
        write_relays(&mut json, status, "pulls", &status.pulls);
    }
    json.end('}');
}

/// Writes the response to a request to begin or end a recording.
pub(crate) fn recording(
    out: &mut dyn Write,
    status: &ServerStatus,
    recording: Option<&RecordingReport>,
) {
    write_recording(&mut Json::new(out), status, recording);
}

/// Writes the response to `GET /api/v1/connections`.
pub(crate) fn connections(out: &mut dyn Write, status: &ServerStatus, source: &mut dyn Source) {
    let mut json = Json::new(out);
    json.begin('{');
    json.name("connections");
    json.begin('[');
    let mut last = 0;
    while let Some(connection) = source.connection_after(last) {
        write_connection(&mut json, status, &connection);
        last = connection.id;
    }
    json.end(']');
    json.end('}');
}

/// Writes the response to `GET /api/v1/pushes`.
pub(crate) fn pushes(out: &mut dyn Write, status: &ServerStatus, _: &mut dyn Source) {
    let mut json = Json::new(out);
    json.begin('{');
    write_relays(&mut json, status, "pushes", &status.pushes);
    json.end('}');
}

/// Writes the response to `GET /api/v1/pulls`.
pub(crate) fn pulls(out: &mut dyn Write, status: &ServerStatus, _: &mut dyn Source) {
    let mut json = Json::new(out);
    json.begin('{');
    write_relays(&mut json, status, "pulls", &status.pulls);
    json.end('}');
}

fn write_relays(json: &mut Json<'_>, status: &ServerStatus, name: &str, relays: &[RelayReport]) {
    json.name(name);
    json.begin('[');
    for relay in relays {
        json.begin('{');
        json.named_number("id", relay.id);
        json.named_text("stream", &relay.stream);
        json.named_text("target", &relay.target);
        json.named_text("state", relay.state.name());
        write_since(json, status, relay.since);
        json.named_number("bytes", relay.bytes);
        json.named_number("bits_per_second", relay.bits_per_second);
        json.named_number("lag_ms", relay.lag);
        json.named_number("skips", relay.skips);
        json.named_number("connections", relay.connections);
        json.named_number("attempts", relay.attempts.into());
        json.optional_text("why", relay.why.as_deref());
        let next_try = relay.next_try.map(|at| at.saturating_sub(status.now));
        json.optional("next_try_s", next_try.map(Thousandths));
        json.named_value("on_demand", Some(&relay.is_on_demand));
        json.end('}');
    }
    json.end(']');
}

fn write_stream(
    json: &mut Json<'_>,
    status: &ServerStatus,
    source: &mut dyn Source,
    stream: &StreamStatus,
) {
    let report = &stream.report;
    json.begin('{');
    json.named_text("name", stream.key.as_str());
    json.named_value("is_live", Some(&report.is_live));
    write_since(json, status, report.since);
    write_video(json, stream);
    write_audio(json, stream);
    let bits_in = report.audio.bits_per_second + report.video.bits_per_second;
    json.named_number("kbit_s_in", bits_in / 1000);
    json.named_number("kbit_s_out", report.bits_out / 1000);
    json.named_number("bytes_in", report.audio.bytes + report.video.bytes);
    json.named_number("bytes_out", report.bytes_out);
    json.named_number("viewers", report.viewer_count() as u64);
    json.named_number("peak_viewers", report.peak_viewers as u64);
    json.named_number("skips", report.skips);
    json.named_number("dropped_messages", report.dropped_messages);
    json.name("findings");
    json.begin('[');
    for finding in &report.findings {
        json.begin('{');
        json.named_text("id", finding.id());
        json.named_text("text", &finding.to_string());
        json.end('}');
    }
    json.end(']');
    json.name("recording");
    write_recording(json, status, stream.recording.as_ref());
    json.name("publisher");
    match report.publisher {
        Some((id, _)) => {
            json.begin('{');
            write_client(json, status, source, id);
            json.end('}');
        }
        None => json.value(&"null"),
    }
    if status.is_privileged {
        json.name("viewer_list");
        json.begin('[');
        each_viewer(source, &stream.key, &mut |source, viewer| {
            write_viewer(json, status, source, viewer);
        });
        json.end(']');
    }
    json.end('}');
}

fn write_video(json: &mut Json<'_>, stream: &StreamStatus) {
    let report = &stream.report;
    json.name("video");
    let Some(video) = &stream.video else {
        json.value(&"null");
        return;
    };
    json.begin('{');
    json.named_text("codec", &video.info.codec_name());
    json.optional_text("mime_codec", video.mime_codec.as_deref());
    let format = video.info.format;
    json.optional("width", format.map(|format| u64::from(format.width)));
    json.optional("height", format.map(|format| u64::from(format.height)));
    json.optional("frame_rate", report.frame_rate.map(thousandths));
    json.named_number("kbit_s", report.video.bits_per_second / 1000);
    let interval = report.keyframe_interval.map(thousandths);
    json.optional("keyframe_interval_s", interval);
    json.end('}');
}

fn write_audio(json: &mut Json<'_>, stream: &StreamStatus) {
    let report = &stream.report;
    json.name("audio");
    let Some(audio) = &stream.audio else {
        json.value(&"null");
        return;
    };
    json.begin('{');
    json.named_text("codec", &audio.info.codec_name());
    json.optional_text("mime_codec", audio.mime_codec.as_deref());
    json.optional("sample_rate", audio.info.sample_rate.map(u64::from));
    json.optional("channels", audio.info.channels.map(u64::from));
    json.named_number("kbit_s", report.audio.bits_per_second / 1000);
    json.end('}');
}

fn write_recording(
    json: &mut Json<'_>,
    status: &ServerStatus,
    recording: Option<&RecordingReport>,
) {
    let Some(recording) = recording.filter(|_| cfg!(feature = "record")) else {
        json.value(&"null");
        return;
    };
    json.begin('{');
    json.named_text("state", recording.state.name());
    write_time(json, "since", Some(status.wall_clock_at(recording.since)));
    json.optional_text("file", recording.file.as_deref());
    json.named_number("bytes", recording.bytes);
    json.named_number("bytes_today", recording.bytes_today);
    json.named_number("gaps", recording.gaps);
    json.named_number("missed_messages", recording.missed_messages);
    json.named_number("longest_write_ms", recording.longest_write);
    let last_sync = recording.last_sync;
    write_time(
        json,
        "last_sync",
        last_sync.map(|at| status.wall_clock_at(at)),
    );
    json.optional("behind_s", Some(Thousandths(recording.behind)));
    json.end('}');
}

fn write_disk(json: &mut Json<'_>, disk: Option<&DiskReport>) {
    let Some(disk) = disk.filter(|_| cfg!(feature = "record")) else {
        json.value(&"null");
        return;
    };
    json.begin('{');
    json.named_text("state", disk.state.name());
    write_time(json, "since", disk.since.map(|ms| ms / 1000));
    json.optional("free_bytes", disk.free);
    json.optional("total_bytes", disk.total);
    json.named_number("recordings_bytes", disk.recordings);
    json.named_number("files", disk.files);
    json.end('}');
}

fn write_viewer(
    json: &mut Json<'_>,
    status: &ServerStatus,
    source: &mut dyn Source,
    viewer: &ViewerReport,
) {
    let delivered = &viewer.delivered;
    json.begin('{');
    write_client(json, status, source, viewer.connection);
    json.named_text("protocol", viewer.protocol);
    write_since(json, status, viewer.since);
    json.named_number("bytes_out", delivered.bytes);
    json.named_number("lag_ms", viewer.lag);
    json.named_number("skips", delivered.skips.into());
    json.named_number("skipped_messages", delivered.skipped_messages);
    json.end('}');
}

/// Writes id and name of a connection, and its address if the client may see it.
fn write_client(json: &mut Json<'_>, status: &ServerStatus, source: &mut dyn Source, id: u64) {
    json.named_number("connection", id);
    let connection = source.connection(id);
    let client = connection.as_ref().map_or("", |found| &found.client);
    json.named_text("client", client);
    if let Some(connection) = connection.filter(|_| status.is_privileged) {
        json.named_text("address", &Shown(connection.address).to_string());
    }
}

fn write_connection(json: &mut Json<'_>, status: &ServerStatus, connection: &ConnectionReport) {
    json.begin('{');
    json.named_number("id", connection.id);
    json.named_text("address", &Shown(connection.address).to_string());
    json.named_text("protocol", connection.protocol);
    json.named_text("client", &connection.client);
    write_since(json, status, connection.since);
    write_keys(json, "publishes", &connection.publishes);
    write_keys(json, "plays", &connection.plays);
    json.named_number("bytes_in", connection.bytes_in);
    json.named_number("bytes_out", connection.bytes_out);
    json.end('}');
}

fn write_since(json: &mut Json<'_>, status: &ServerStatus, since: u64) {
    write_time(json, "since", Some(status.wall_clock_at(since)));
    json.named_number("uptime_s", status.age(since) / 1000);
}

/// Writes a time in seconds since 1970, or `null` for `None`.
fn write_time(json: &mut Json<'_>, name: &str, time: Option<u64>) {
    let text = time.map(|time| calendar::date_and_time(time, 'T') + "Z");
    json.optional_text(name, text.as_deref());
}

fn write_keys(json: &mut Json<'_>, name: &str, keys: &[StreamKey]) {
    json.name(name);
    json.begin('[');
    for key in keys {
        json.text(key.as_str());
    }
    json.end(']');
}

fn thousandths(number: u32) -> Thousandths {
    Thousandths(number.into())
}
