//! The programs that publish.

use std::process::Command;

use super::common::ffmpeg8::ffmpeg8;
use super::common::media;
use super::sources::{Codec, Source};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publisher {
    Ffmpeg5,
    Ffmpeg7,
    Ffmpeg8,
    Rtmp2sink,
    /// Through librtmp.
    Rtmpsink,
}

use Publisher::*;

impl Publisher {
    pub(crate) const ALL: &[Publisher] = &[Ffmpeg5, Ffmpeg7, Ffmpeg8, Rtmp2sink, Rtmpsink];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Ffmpeg5 => "ffmpeg 5.1",
            Ffmpeg7 => "ffmpeg 7.0",
            Ffmpeg8 => "FFmpeg 8.1",
            Rtmp2sink => "rtmp2sink",
            Rtmpsink => "rtmpsink",
        }
    }

    /// As of these versions; GStreamer is Debian's, 1.22.
    pub(crate) fn can_send(self, codec: Codec) -> bool {
        match self {
            Ffmpeg5 | Rtmp2sink | Rtmpsink => codec.is_legacy(),
            Ffmpeg7 => codec.is_legacy() || codec.is_video(),
            Ffmpeg8 => true,
        }
    }

    /// The command that publishes all tracks in real time without reencoding.
    pub(crate) fn command(self, source: &Source, url: &str) -> Command {
        match self {
            Ffmpeg5 => ffmpeg("ffmpeg", source, url),
            Ffmpeg7 => ffmpeg(&media::ffmpeg7(), source, url),
            Ffmpeg8 => {
                let mut command = ffmpeg8(&["--realtime"]);
                command.arg(&source.file).args(["flv", url]);
                command
            }
            Rtmp2sink => gstreamer("rtmp2sink", source, url),
            Rtmpsink => gstreamer("rtmpsink", source, url),
        }
    }
}

fn ffmpeg(program: &str, source: &Source, url: &str) -> Command {
    let mut command = media::quiet(program);
    command.arg("-re").arg("-i").arg(&source.file);
    command.args(["-map", "0", "-c", "copy", "-f", "flv", url]);
    command
}

fn gstreamer(sink: &str, source: &Source, url: &str) -> Command {
    let demuxer = match source.file.extension().is_some_and(|e| e == "flv") {
        true => "flvdemux",
        false => "qtdemux",
    };
    let parser = |codec| match codec {
        Codec::H264 => "h264parse",
        Codec::Sorenson => "video/x-flash-video",
        Codec::Hevc => "h265parse",
        Codec::Av1 => "av1parse",
        Codec::Vp9 => "vp9parse",
        Codec::Aac => "aacparse",
        Codec::Mp3 => "mpegaudioparse",
        Codec::Opus => "opusparse",
        Codec::Flac => "flacparse",
        Codec::Ac3 => "ac3parse",
    };
    let mut command = Command::new("gst-launch-1.0");
    command
        .args(["-q", "filesrc"])
        .arg(format!("location={}", source.file.display()));
    let pipeline = format!(
        "! {demuxer} name=demux flvmux name=mux streamable=true ! {sink} location={url} \
         demux. ! queue ! {} ! mux. demux. ! queue ! {} ! mux.",
        parser(source.video),
        parser(source.audio)
    );
    command.args(pipeline.split_whitespace());
    command
}
