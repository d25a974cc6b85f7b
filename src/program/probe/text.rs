//! The result of a probe, for people and for programs.

use std::fmt::Write;

use super::analysis::{Analysis, Track};

/// Returns the result as lines.
pub(super) fn lines(url: &str, analysis: &Analysis) -> String {
    let mut out = format!("{url}\n");
    for (name, track) in [("video", &analysis.video), ("audio", &analysis.audio)] {
        if track.frames == 0 {
            let _ = writeln!(out, "{name:<11} none");
            continue;
        }
        let _ = write!(out, "{name:<11} ");
        match &track.info {
            Some(info) => drop(write!(out, "{info}")),
            None => out.push_str("unknown codec"),
        }
        if let Some(rate) = track.millihertz() {
            let _ = write!(out, ", {}.{:02} frames/s", rate / 1000, rate % 1000 / 10);
        }
        if let Some(bits) = track.bits_per_second() {
            let _ = write!(out, ", {} kbit/s", bits / 1000);
        }
        match (track.keyframes, track.keyframe_interval_ms) {
            _ if name == "audio" => {}
            (0, _) => out.push_str(", no keyframe"),
            (1, _) => out.push_str(", one keyframe"),
            (count, None) => drop(write!(out, ", {count} keyframes")),
            (_, Some(ms)) => {
                let _ = write!(out, ", keyframe every {}.{} s", ms / 1000, ms % 1000 / 100);
            }
        }
        out.push('\n');
    }
    out.push_str("timestamps  ");
    if analysis.is_in_order() {
        out.push_str("in order");
    }
    let mut separator = "";
    for (name, track) in [("video", &analysis.video), ("audio", &analysis.audio)] {
        for (count, what) in [(track.backward, "steps back"), (track.jumps, "jumps")] {
            if count > 0 {
                let _ = write!(out, "{separator}{name}: {count} {what}");
                separator = ", ";
            }
        }
    }
    if let Some(ahead) = analysis.audio_ahead_ms() {
        let _ = write!(out, ", audio {ahead:+} ms to video");
    }
    if let Some(ms) = analysis.jitter_ms() {
        let _ = write!(out, ", arrival within {ms} ms");
    }
    out.push('\n');
    let first = analysis.first_ms.unwrap_or_default();
    let _ = writeln!(
        out,
        "live        accepted after {} ms, first frame after {first} ms, {} ms of media in {} ms{}",
        analysis.accepted_ms,
        analysis.video.length_ms.max(analysis.audio.length_ms),
        analysis.last_ms - first,
        if analysis.is_ended {
            ", then it ended"
        } else {
            ""
        }
    );
    out
}

/// Returns the result as JSON, on one line.
pub(super) fn json(url: &str, analysis: &Analysis) -> String {
    let mut out = format!("{{\"live\":true,\"url\":{}", quoted(url));
    for (name, track) in [("video", &analysis.video), ("audio", &analysis.audio)] {
        let _ = write!(out, ",\"{name}\":");
        match track.frames {
            0 => out.push_str("null"),
            _ => put_track(track, &mut out),
        }
    }
    let _ = writeln!(
        out,
        ",\"timestamps_in_order\":{},\"audio_ahead_ms\":{},\"jitter_ms\":{},\"accepted_ms\":{},\
         \"first_frame_ms\":{},\"received_ms\":{},\"ended\":{}}}",
        analysis.is_in_order(),
        number(analysis.audio_ahead_ms()),
        number(analysis.jitter_ms()),
        analysis.accepted_ms,
        analysis.first_ms.unwrap_or_default(),
        analysis.last_ms - analysis.first_ms.unwrap_or_default(),
        analysis.is_ended
    );
    out
}

/// Returns the result of a stream that isn't live, as JSON.
pub(super) fn json_not_live(url: &str, why: &str) -> String {
    let (url, why) = (quoted(url), quoted(why));
    format!("{{\"live\":false,\"url\":{url},\"why\":{why}}}\n")
}

fn put_track(track: &Track, out: &mut String) {
    let codec = track.info.as_ref().map(|info| quoted(&info.codec_name()));
    let _ = write!(out, "{{\"codec\":{}", codec.as_deref().unwrap_or("null"));
    if let Some(format) = track.info.and_then(|info| info.format) {
        let (width, height) = format.size();
        let _ = write!(out, ",\"width\":{width},\"height\":{height}");
    }
    if let Some(info) = track.info.filter(|info| info.sample_rate.is_some()) {
        let (rate, channels) = (number(info.sample_rate), number(info.channels));
        let _ = write!(out, ",\"sample_rate\":{rate},\"channels\":{channels}");
    }
    let _ = write!(
        out,
        ",\"frames\":{},\"bytes\":{},\"frames_per_1000_s\":{},\"bits_per_second\":{},\
         \"keyframes\":{},\"keyframe_interval_ms\":{},\"steps_back\":{},\"jumps\":{},\
         \"longest_gap_ms\":{},\"length_ms\":{}}}",
        track.frames,
        track.bytes,
        number(track.millihertz()),
        number(track.bits_per_second()),
        track.keyframes,
        number(track.keyframe_interval_ms),
        track.backward,
        track.jumps,
        track.longest_gap_ms,
        track.length_ms
    );
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// A string of JSON (RFC 8259, 7).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_servers_cannot_end_a_string_of_json() {
        assert_eq!(
            json_not_live("rtmp://host/live/***", "says \"no\\\"\n"),
            "{\"live\":false,\"url\":\"rtmp://host/live/***\",\
             \"why\":\"says \\\"no\\\\\\\"\\u000a\"}\n"
        );
    }
}
