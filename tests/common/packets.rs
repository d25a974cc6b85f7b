//! The contents of a stream or a file, packet by packet, and comparisons between two of them.
//!
//! ffprobe prints one line per packet as soon as it has the packet, and the tracks at the end:
//!
//! ```text
//! packet|codec_type=video|pts=23|dts=23|size=6474|flags=K_|data_hash=MD5:e0da138b...
//! stream|codec_name=h264|codec_type=video|extradata_size=44|extradata_hash=MD5:f662145d...
//! ```

use std::path::Path;
use std::process::Command;

use super::media::quiet;
use super::process::{Program, run};

/// The kind of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Track {
    Video,
    Audio,
    /// A track of subtitles or data, which no stream in these tests should have.
    Other,
}

/// A packet, as reported by ffmpeg's demuxer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) track: Track,
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) is_keyframe: bool,
    pub(crate) hash: String,
}

/// A track, as described by a demuxer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrackInfo {
    pub(crate) track: Track,
    pub(crate) codec: String,
    /// The hash of the track's sequence header; empty if it has none.
    pub(crate) header_hash: String,
}

/// Everything that a player received, or that a file contains.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    pub(crate) packets: Vec<Packet>,
    pub(crate) tracks: Vec<TrackInfo>,
}

/// Returns the command whose output [`Capture`] parses.
pub(crate) fn ffprobe(input: &str) -> Command {
    let mut command = Command::new("ffprobe");
    command.args([
        "-hide_banner",
        "-v",
        "warning",
        "-show_data_hash",
        "md5",
        "-of",
        "compact",
    ]);
    command.arg("-show_entries").arg(
        "packet=codec_type,pts,dts,size,flags,data_hash:packet_side_data=:\
         stream=codec_type,codec_name,extradata_hash:stream_tags=:stream_disposition=",
    );
    command.arg(input);
    command
}

impl Capture {
    pub(crate) fn of_file(path: &Path) -> Capture {
        Capture::parse(&run(&mut ffprobe(&path.to_string_lossy())))
    }

    /// Returns what a player started by [`play`](super::media::play) has received so far.
    pub(crate) fn of_player(player: &Program) -> Capture {
        player.with_stdout(Capture::parse)
    }

    fn parse(text: &str) -> Capture {
        let mut capture = Capture::default();
        // The last line may still be incomplete.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            let field = |name: &str| {
                line.split('|')
                    .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
            };
            let track = match field("codec_type") {
                Some("video") => Track::Video,
                Some("audio") => Track::Audio,
                _ => Track::Other,
            };
            let number = |name| field(name).and_then(|value| value.parse::<i64>().ok());
            if line.starts_with("packet|") {
                let dts = number("dts").or(number("pts"));
                capture.packets.push(Packet {
                    track,
                    pts: number("pts")
                        .or(dts)
                        .unwrap_or_else(|| panic!("no timestamp: {line}")),
                    dts: dts.unwrap_or_else(|| panic!("no timestamp: {line}")),
                    is_keyframe: field("flags").is_some_and(|flags| flags.starts_with('K')),
                    hash: field("data_hash").unwrap_or_default().to_owned(),
                });
            } else if line.starts_with("stream|") {
                capture.tracks.push(TrackInfo {
                    track,
                    codec: field("codec_name").unwrap_or_default().to_owned(),
                    header_hash: field("extradata_hash").unwrap_or_default().to_owned(),
                });
            }
        }
        capture
            .tracks
            .sort_by_key(|info| (info.track != Track::Video, info.codec.clone()));
        capture
    }

    pub(crate) fn track(&self, track: Track) -> Vec<&Packet> {
        self.packets
            .iter()
            .filter(|packet| packet.track == track)
            .collect()
    }

    pub(crate) fn hashes(&self, track: Track) -> Vec<&str> {
        self.track(track)
            .iter()
            .map(|packet| packet.hash.as_str())
            .collect()
    }

    /// Returns the part that starts at the keyframe with this hash.
    pub(crate) fn starting_at_keyframe(&self, hash: &str) -> Capture {
        let is_start = |p: &Packet| p.track == Track::Video && p.is_keyframe && p.hash == hash;
        let start = self.packets.iter().position(is_start);
        let start = start.expect("the first picture that a player got is a keyframe of the source");
        Capture {
            packets: self.packets[start..].to_vec(),
            tracks: self.tracks.clone(),
        }
    }

    /// Returns the newest video timestamp, or the newest audio timestamp without video; 0 if there are
    /// no packets.
    pub(crate) fn position(&self) -> i64 {
        let newest = |track| self.packets.iter().rfind(|packet| packet.track == track);
        newest(Track::Video)
            .or(newest(Track::Audio))
            .map_or(0, |packet| packet.dts)
    }
}

/// Checks that both have the same packets for a track, including timestamps.
pub(crate) fn assert_same_packets(track: Track, expected: &Capture, got: &Capture, who: &str) {
    let (expected, got) = (expected.track(track), got.track(track));
    for (index, (expected, got)) in expected.iter().zip(&got).enumerate() {
        assert_eq!(got, expected, "{who}: {track:?} packet {index}");
    }
    assert_eq!(
        got.len(),
        expected.len(),
        "{who}: number of {track:?} packets"
    );
}

/// Checks that a track's decode timestamps never decrease.
pub(crate) fn assert_monotonic(capture: &Capture, who: &str) {
    for track in [Track::Video, Track::Audio] {
        let mut newest = i64::MIN;
        for (index, packet) in capture.track(track).into_iter().enumerate() {
            assert!(
                packet.dts >= newest,
                "{who}: {track:?} packet {index} goes back from {newest} to {} ms",
                packet.dts
            );
            newest = packet.dts;
        }
    }
}

/// Checks that `part` has at least `min` entries and is a contiguous part of `whole`. Returns the index
/// of its first entry in `whole`.
pub(crate) fn assert_is_part<T: AsRef<str>>(
    whole: &[T],
    part: &[T],
    min: usize,
    who: &str,
) -> usize {
    assert!(
        part.len() >= min,
        "{who}: only {} of at least {min}",
        part.len()
    );
    let whole: Vec<&str> = whole.iter().map(AsRef::as_ref).collect();
    let part: Vec<&str> = part.iter().map(AsRef::as_ref).collect();
    let found = whole.windows(part.len()).position(|window| window == part);
    found.unwrap_or_else(|| {
        let start = whole.iter().position(|hash| *hash == part[0]);
        let same = start.map_or(0, |start| {
            whole[start..]
                .iter()
                .zip(&part)
                .take_while(|(whole, part)| whole == part)
                .count()
        });
        panic!(
            "{who}: {} in all; the first is number {start:?} of the source's {}, then {same} are \
             the same",
            part.len(),
            whole.len()
        )
    })
}

/// Returns a hash of each decoded frame of a file.
pub(crate) fn decoded_pictures(path: &Path) -> Vec<String> {
    let mut command = quiet("ffmpeg");
    command.arg("-i").arg(path);
    command.args([
        "-map",
        "0:v",
        "-vsync",
        "passthrough",
        "-pix_fmt",
        "yuv420p",
    ]);
    command.args(["-f", "framehash", "-hash", "md5", "-"]);
    let text = run(&mut command);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit(',').next())
        .map(|hash| hash.trim().to_owned())
        .collect()
}

/// A tag of an FLV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlvTag {
    /// The type of the tag: 8 audio, 9 video, 18 script data.
    pub(crate) type_id: u8,
    pub(crate) timestamp: u32,
    pub(crate) body: Vec<u8>,
}

impl FlvTag {
    /// Whether the tag is a keyframe, as opposed to a sequence header.
    pub(crate) fn is_keyframe(&self) -> bool {
        self.type_id == 9 && self.body[0] >> 4 == 1 && !self.is_sequence_header()
    }

    /// Whether the tag is a sequence header of H.264 or AAC.
    pub(crate) fn is_sequence_header(&self) -> bool {
        let (first, second) = (self.body[0], self.body.get(1).copied());
        second == Some(0)
            && (self.type_id == 9 && first & 15 == 7 || self.type_id == 8 && first >> 4 == 10)
    }
}

/// Returns the tags of an FLV file, in order.
pub(crate) fn flv_tags(file: &Path) -> Vec<FlvTag> {
    /// The file's header (9), and the length of the tag before the first (4).
    const START: usize = 13;
    const HEADER: usize = 11;
    const LEN_AFTER: usize = 4;

    let bytes = std::fs::read(file).expect("the FLV file is there");
    let mut rest = bytes.get(START..).unwrap_or_default();
    let mut tags = Vec::new();
    while let Some((header, after)) = rest.split_at_checked(HEADER) {
        let len = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        let Some(body) = after.get(..len) else { break };
        let timestamp = u32::from_be_bytes([header[7], header[4], header[5], header[6]]);
        if len > 0 {
            tags.push(FlvTag {
                type_id: header[0] & 0x1F,
                timestamp,
                body: body.to_vec(),
            });
        }
        rest = after.get(len + LEN_AFTER..).unwrap_or_default();
    }
    tags
}
