//! The output of ffmpeg's muxer `framehash`: one line per packet, after lines that describe the tracks.
//!
//! ```text
//! #media_type 0: video
//! #codec_id 0: hevc
//! #stream#, dts,        pts, duration,     size, hash
//! 0,          0,        133,       66,     4741, 8a4d0ffa8571f96f...
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::ffmpeg8::ffmpeg8;
use super::process::run;

/// The output options that select this muxer.
pub(crate) const FORMAT: &[&str] = &["-f", "framehash", "-hash", "md5", "-"];

/// One track of a stream or file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Track {
    /// `video` or `audio`.
    pub(crate) media: String,
    pub(crate) codec: String,
    pub(crate) packets: Vec<Packet>,
    /// The number of frames decoded from the packets, if [`ffmpeg8`] was asked to decode.
    pub(crate) decoded: Option<usize>,
}

/// A packet: its decode time, and a hash of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) dts: i64,
    pub(crate) hash: String,
}

impl Track {
    pub(crate) fn hashes(&self) -> Vec<&str> {
        self.packets.iter().map(|p| p.hash.as_str()).collect()
    }
}

/// Returns the tracks in the text printed so far, in order.
pub(crate) fn parse(text: &str) -> Vec<Track> {
    let mut tracks: BTreeMap<usize, Track> = BTreeMap::new();
    // The last line may still be incomplete.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in complete.lines() {
        if let Some((name, index, value)) = parse_property(line) {
            let track = tracks.entry(index).or_default();
            match name {
                "media_type" => value.clone_into(&mut track.media),
                "codec_id" => value.clone_into(&mut track.codec),
                "decoded" => track.decoded = value.parse().ok(),
                _ => {}
            }
        } else if let Some((index, packet)) = parse_packet(line) {
            tracks.entry(index).or_default().packets.push(packet);
        }
    }
    tracks.into_values().collect()
}

/// Returns the first track of video or audio, or an empty one.
pub(crate) fn first(tracks: &[Track], media: &str) -> Track {
    let track = tracks.iter().find(|track| track.media == media);
    track.cloned().unwrap_or_default()
}

/// Returns the tracks of a file, as FFmpeg 8 reads it.
pub(crate) fn of_file(file: &Path) -> Vec<Track> {
    let mut command: Command = ffmpeg8(&["--output-option", "hash=md5"]);
    parse(&run(command.arg(file).args(["framehash", "pipe:1"])))
}

/// Parses a line such as `#codec_id 0: hevc`.
fn parse_property(line: &str) -> Option<(&str, usize, &str)> {
    let (name, rest) = line.strip_prefix('#')?.split_once(' ')?;
    let (index, value) = rest.split_once(": ")?;
    Some((name, index.parse().ok()?, value))
}

/// Parses a line such as `0,  0,  133,  66,  4741, 8a4d0ffa8571f96f...`, possibly with more fields at
/// the end.
fn parse_packet(line: &str) -> Option<(usize, Packet)> {
    let mut fields = line.split(',').map(str::trim);
    let index = fields.next()?.parse().ok()?;
    let dts = fields.next()?.parse().ok()?;
    let hash = fields.nth(3)?.to_owned();
    Some((index, Packet { dts, hash }))
}
