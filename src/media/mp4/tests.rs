//! Init segments and fragments, read back by a reader that shares no code with the writer.

mod init;
mod properties;
#[cfg(feature = "record")]
mod recorded;
mod tracks;

use super::*;
use crate::media::codec::{AudioCodec, VideoCodec};

/// A box: its name, its body, and the boxes in it.
#[derive(Debug)]
struct Node {
    name: String,
    body: Vec<u8>,
    children: Vec<Node>,
}

/// Returns the number of bytes that precede the inner boxes of a box; `None` if it holds no boxes.
fn boxes_begin_at(name: &str) -> Option<usize> {
    Some(match name {
        "moov" | "trak" | "mdia" | "minf" | "dinf" | "stbl" | "mvex" | "moof" | "traf" | "edts" => {
            0
        }
        "stsd" | "dref" => 8,
        "avc1" | "hvc1" | "av01" | "vp09" => 78,
        "mp4a" | "Opus" | "fLaC" => 28,
        _ => return None,
    })
}

/// Reads boxes. Every byte must belong to a box.
fn nodes(mut bytes: &[u8]) -> Vec<Node> {
    let mut nodes = Vec::new();
    while !bytes.is_empty() {
        let mut size = u32_at(bytes, 0) as usize;
        let mut begin = 8;
        if size == 1 {
            (size, begin) = (u64_at(bytes, 8) as usize, 16);
        }
        let name = String::from_utf8(bytes[4..8].to_vec()).unwrap();
        let body = bytes[begin..size].to_vec();
        let begin = boxes_begin_at(&name);
        let children = begin.map_or(Vec::new(), |begin| self::nodes(&body[begin..]));
        nodes.push(Node {
            name,
            body,
            children,
        });
        bytes = &bytes[size..];
    }
    nodes
}

/// Returns the bodies of all boxes at a path of names.
fn bodies<'a>(nodes: &'a [Node], path: &str) -> Vec<&'a [u8]> {
    let (name, rest) = path.split_once('/').unwrap_or((path, ""));
    let found = nodes.iter().filter(|node| node.name == name);
    match rest {
        "" => found.map(|node| &node.body[..]).collect(),
        rest => found
            .flat_map(|node| bodies(&node.children, rest))
            .collect(),
    }
}

fn body<'a>(nodes: &'a [Node], path: &str) -> &'a [u8] {
    match bodies(nodes, path)[..] {
        [body] => body,
        ref bodies => panic!("{} boxes {path}", bodies.len()),
    }
}

fn u32_at(body: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(body[at..at + 4].try_into().unwrap())
}

fn u64_at(body: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(body[at..at + 8].try_into().unwrap())
}

fn u16_at(body: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(body[at..at + 2].try_into().unwrap())
}

/// libx264, 640x360.
const AVC: &[u8] = b"\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\x2F\xF9\x70\x11\0\0\
    \x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";

/// libx265, 1920x1080, parameter sets only.
const HEVC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\x03\
    \x20\0\x01\0\x18\x40\x01\x0C\x01\xFF\xFF\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\x95\x98\
    \x09\x21\0\x01\0\x2A\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\xA0\x03\xC0\x80\
    \x10\xE5\x96\x56\x69\x24\xCA\xF0\x16\x80\x80\0\0\x03\0\x80\0\0\x0F\x04\
    \x22\0\x01\0\x07\x44\x01\xC1\x72\xB4\x62\x40";

/// libaom, 322x180.
const AV1: &[u8] = b"\x81\0\x0C\0\x0A\x0B\0\0\0\x04\x3D\x06\xCC\xDA\xF9\0\x40";

/// libvpx, with version and flags.
const VP9: &[u8] = b"\x01\0\0\0\0\x0B\x82\x02\x02\x02\0\0";

/// libopus, stereo, 312 samples to be dropped.
const OPUS: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0";

/// ffmpeg, 44.1 kHz mono.
const FLAC: &[u8] = b"\x10\0\x10\0\0\0\x0E\0\x10\xF2\x0A\xC4\x40\xF0\0\0\0\0\
    \xD4\x1D\x8C\xD9\x8F\0\xB2\x04\xE9\x80\x09\x98\xEC\xF8\x42\x7E";

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn video(payload: &[u8]) -> VideoTrack {
    VideoTrack::from_sequence_header(payload).expect("a good sequence header")
}

fn audio(payload: &[u8]) -> AudioTrack {
    let track = AudioTrack::from_sequence_header(payload);
    track
        .or_else(|| AudioTrack::from_frame(payload))
        .expect("a good sequence header or frame")
}

fn presentation(video: Option<&[u8]>, audio: Option<&[u8]>) -> Presentation {
    Presentation {
        video: video.map(self::video),
        audio: audio.map(self::audio),
    }
}
