//! The published files: four seconds of small test video and a tone, in pairs of codecs.

use std::path::PathBuf;

use super::common::framehash::{self, Track};
use super::common::packets::decoded_pictures;
use super::common::process::run;
use super::common::{TempDir, media};

/// Codecs that RTMP carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    H264,
    Sorenson,
    Hevc,
    Av1,
    Vp9,
    Aac,
    Mp3,
    Opus,
    Flac,
    Ac3,
}

use Codec::*;

const PAIRS: &[(Codec, Codec)] = &[
    (H264, Aac),
    (Sorenson, Mp3),
    (Hevc, Aac),
    (Av1, Aac),
    (Vp9, Mp3),
    (Hevc, Opus),
    (Av1, Flac),
    (Vp9, Ac3),
];

impl Codec {
    pub(crate) fn name(self) -> &'static str {
        match self {
            H264 => "H.264",
            Sorenson => "Sorenson",
            Hevc => "HEVC",
            Av1 => "AV1",
            Vp9 => "VP9",
            Aac => "AAC",
            Mp3 => "MP3",
            Opus => "Opus",
            Flac => "FLAC",
            Ac3 => "AC-3",
        }
    }

    /// Whether the FLV format had it from the beginning; the others came with Enhanced RTMP.
    pub(crate) fn is_legacy(self) -> bool {
        matches!(self, H264 | Sorenson | Aac | Mp3)
    }

    pub(crate) fn is_video(self) -> bool {
        matches!(self, H264 | Sorenson | Hevc | Av1 | Vp9)
    }

    /// ffmpeg's encoder options.
    fn encoder(self, keyframe_interval: u32) -> String {
        let options = match self {
            H264 => "-c:v libx264 -preset veryfast -bf 2 -sc_threshold 0",
            Sorenson => "-c:v flv1",
            Hevc => {
                return format!(
                    "-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=0:\
                     bframes=2:keyint={keyframe_interval}:min-keyint={keyframe_interval}"
                );
            }
            Av1 => "-c:v libsvtav1 -preset 12",
            Vp9 => "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k",
            Aac => "-c:a aac -ac 2",
            Mp3 => "-c:a libmp3lame",
            Opus => "-c:a libopus -b:a 64k -ar 48000 -ac 2",
            // In MP4 files, ffmpeg 5.1 calls it experimental.
            Flac => "-c:a flac -strict experimental",
            Ac3 => "-c:a ac3 -ac 2",
        };
        options.to_owned()
    }
}

/// A file and its contents.
pub(crate) struct Source {
    pub(crate) video: Codec,
    pub(crate) audio: Codec,
    pub(crate) file: PathBuf,
    pub(crate) tracks: Vec<Track>,
    /// A hash of each decoded frame.
    pub(crate) pictures: Vec<String>,
}

impl Source {
    pub(crate) fn name(&self) -> String {
        format!("{} + {}", self.video.name(), self.audio.name())
    }

    pub(crate) fn hashes(&self, media: &str) -> Vec<String> {
        let track = framehash::first(&self.tracks, media);
        track.packets.into_iter().map(|p| p.hash).collect()
    }
}

/// Makes all files, with this keyframe interval in frames.
pub(crate) fn make_all(dir: &TempDir, keyframe_interval: u32) -> Vec<Source> {
    let make = |pair: &(Codec, Codec)| make(dir, *pair, keyframe_interval);
    PAIRS.iter().map(make).collect()
}

fn make(dir: &TempDir, (video, audio): (Codec, Codec), keyframe_interval: u32) -> Source {
    // GStreamer and ffmpeg 5.1 can't read Enhanced FLV.
    let extension = match video.is_legacy() && audio.is_legacy() {
        true => "flv",
        false => "mp4",
    };
    let name = format!("{video:?}-{audio:?}-{keyframe_interval}.{extension}");
    let file = dir.join(&name);
    let mut command = media::quiet("ffmpeg");
    let inputs = "-f lavfi -i testsrc2=size=320x180:rate=15 -f lavfi -i sine=beep_factor=4";
    command.args(inputs.split_whitespace());
    command.args(["-t", "4", "-pix_fmt", "yuv420p", "-g"]);
    command.arg(keyframe_interval.to_string());
    for codec in [video, audio] {
        command.args(codec.encoder(keyframe_interval).split_whitespace());
    }
    run(command.arg(&file));
    let source = Source {
        video,
        audio,
        tracks: framehash::of_file(&file),
        pictures: decoded_pictures(&file),
        file,
    };
    assert_eq!(source.pictures.len(), 60, "{}", source.name());
    assert_eq!(source.hashes("video").len(), 60, "{}", source.name());
    source
}
