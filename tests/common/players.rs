//! Programs that play over RTMP and HTTP, and what they have received at the end.

use std::process::Command;

use super::cells::Received;
use super::common::ffmpeg8::ffmpeg8;
use super::common::packets::{self, Capture};
use super::common::process::{Program, run};
use super::common::{TempDir, framehash, media};
use super::sources::Codec;

/// The file in the players' folder for which the late player waits.
pub(crate) const GO: &str = "go";

/// The way in which a stream is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Rtmp,
    Flv,
    Mp4,
    Hls,
}

impl Container {
    /// The containers over HTTP.
    pub(crate) const HTTP: &[Container] = &[Container::Flv, Container::Mp4, Container::Hls];

    /// Returns the part of the URL after the stream's name.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Container::Rtmp => "",
            Container::Flv => ".flv",
            Container::Mp4 => ".mp4",
            Container::Hls => ".m3u8",
        }
    }

    /// Whether the container can hold the codec in a form that players support. RTMP and FLV relay any
    /// codec.
    pub(crate) fn holds(self, codec: Codec) -> bool {
        let is_mp4 = matches!(self, Container::Mp4 | Container::Hls);
        !(is_mp4 && matches!(codec, Codec::Sorenson | Codec::Ac3))
    }
}

/// A program that plays; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Player {
    Ffmpeg5,
    Ffmpeg7,
    Ffmpeg8,
    /// A player that joins in the middle, and decodes.
    Ffmpeg8Late,
    /// This player and the next two write everything they receive to a file.
    Rtmp2src,
    Rtmpsrc,
    Rtmpdump,
    /// GStreamer's demuxer and decoders.
    Gstreamer,
    Vlc,
    Mpv,
}

use Player::*;

impl Player {
    pub(crate) const OVER_RTMP: &[Player] = &[
        Ffmpeg5,
        Ffmpeg7,
        Ffmpeg8,
        Ffmpeg8Late,
        Rtmp2src,
        Rtmpsrc,
        Rtmpdump,
        Gstreamer,
        Vlc,
        Mpv,
    ];

    pub(crate) const OVER_HTTP: &[Player] = &[Ffmpeg5, Ffmpeg7, Ffmpeg8, Gstreamer, Vlc, Mpv];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Ffmpeg5 => "ffmpeg 5.1",
            Ffmpeg7 => "ffmpeg 7.0",
            Ffmpeg8 => "FFmpeg 8.1",
            Ffmpeg8Late => "8.1, late",
            Rtmp2src => "rtmp2src",
            Rtmpsrc => "rtmpsrc",
            Rtmpdump => "rtmpdump",
            Gstreamer => "GStreamer",
            Vlc => "VLC",
            Mpv => "mpv",
        }
    }

    pub(crate) fn is_late(self) -> bool {
        self == Ffmpeg8Late
    }

    /// Returns the name by which the server's log identifies the player over HTTP.
    pub(crate) fn agent(self) -> String {
        match self {
            // VLC doesn't accept another name.
            Vlc => "VLC/".to_owned(),
            player => format!("{player:?}"),
        }
    }

    /// Whether this version of the player can play the codec. Debian's VLC and mpv use the libraries of
    /// ffmpeg 5.1.
    pub(crate) fn can_take(self, codec: Codec, container: Container) -> bool {
        match self {
            _ if !container.holds(codec) => false,
            _ if matches!(container, Container::Mp4 | Container::Hls) => true,
            Ffmpeg5 | Vlc | Mpv | Gstreamer => codec.is_legacy(),
            Ffmpeg7 => codec.is_legacy() || codec.is_video(),
            Ffmpeg8 | Ffmpeg8Late | Rtmp2src | Rtmpsrc | Rtmpdump => true,
        }
    }

    /// Returns the name of the file in the players' folder to which the player records.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Rtmp2src => "rtmp2src.flv",
            Rtmpsrc => "rtmpsrc.flv",
            Rtmpdump => "rtmpdump.flv",
            Mpv => "mpv.mkv",
            Gstreamer => "gstreamer.i420",
            Vlc => "vlc.y4m",
            Ffmpeg5 | Ffmpeg7 | Ffmpeg8 | Ffmpeg8Late => "",
        }
    }

    /// Returns the command that plays an RTMP or HTTP URL.
    pub(crate) fn command(self, dir: &TempDir, url: &str, has_audio: bool) -> Command {
        let file = dir.join(self.file());
        let path = file.display();
        let is_http = url.starts_with("http");
        let agent = self.agent();
        match self {
            Ffmpeg5 | Ffmpeg7 => {
                let mut command = match self {
                    Ffmpeg5 => media::quiet("ffmpeg"),
                    _ => media::quiet(&media::ffmpeg7()),
                };
                if is_http {
                    command.args(["-user_agent", &agent]);
                }
                command.args(["-i", url, "-map", "0", "-c", "copy"]);
                command.args(framehash::FORMAT);
                command
            }
            Ffmpeg8 | Ffmpeg8Late => {
                let mut command = ffmpeg8(&["--output-option", "hash=md5"]);
                if is_http {
                    command.args(["--input-option", &format!("user_agent={agent}")]);
                }
                if self.is_late() {
                    command.args(["--decode", "--wait-for"]).arg(dir.join(GO));
                }
                command.args([url, "framehash", "pipe:1"]);
                command
            }
            Rtmp2src => gstreamer(&format!(
                "rtmp2src location={url} ! filesink location={path}"
            )),
            Rtmpsrc => {
                // The space is part of the location: the rest is an option for librtmp.
                let mut command = Command::new("gst-launch-1.0");
                command.args(["-q", "rtmpsrc", &format!("location={url} live=1")]);
                let rest = format!("! filesink buffer-mode=unbuffered location={path}");
                command.args(rest.split_whitespace());
                command
            }
            Rtmpdump => {
                let mut command = Command::new("rtmpdump");
                command.args(["-q", "--live", "-r", url, "-o"]).arg(&file);
                command
            }
            Gstreamer => {
                let source = if is_http {
                    format!("souphttpsrc user-agent={agent}")
                } else {
                    "rtmp2src".to_owned()
                };
                let mut command = gstreamer(&format!(
                    "{source} location={url} ! decodebin name=d d. ! videoconvert ! \
                     video/x-raw,format=I420 ! filesink location={path}"
                ));
                // Without audio in the stream, this branch would wait forever.
                if has_audio {
                    let pipeline = format!(
                        "d. ! audioconvert ! audioresample ! \
                         audio/x-raw,format=S16LE,rate=44100,channels=2 ! wavenc ! \
                         filesink location={path}.wav"
                    );
                    command.args(pipeline.split_whitespace());
                }
                command
            }
            Vlc => {
                let mut command = media::vlc(dir.path());
                command.args(["--vout", "yuv", "--yuv-yuv4mpeg2", "--yuv-file"]);
                command.arg(&file);
                command.args(["--no-drop-late-frames", "--no-skip-frames"]);
                // The title would be drawn into the frames.
                command.args(["--no-video-title-show", "--no-osd", "-v"]);
                command.args(["--aout", "afile", "--audiofile-file"]);
                command.arg(format!("{path}.wav"));
                command.args([url, "vlc://quit"]);
                command
            }
            Mpv => {
                let mut command = Command::new("mpv");
                command.args(["--no-config", "--msg-level=all=warn"]);
                command.args(["--vo=null", "--ao=null"]);
                if is_http {
                    command.arg(format!("--user-agent={agent}"));
                }
                command.arg(format!("--stream-record={path}")).arg(url);
                command
            }
        }
    }

    /// Returns what the player has received, once it has ended.
    pub(crate) fn received(self, program: &Program, dir: &TempDir) -> Received {
        let file = dir.join(self.file());
        match self {
            Ffmpeg5 | Ffmpeg7 | Ffmpeg8 => Received::Packets(program.with_stdout(framehash::parse)),
            Ffmpeg8Late => Received::Late(program.with_stdout(framehash::parse)),
            Rtmp2src | Rtmpsrc | Rtmpdump => Received::Packets(framehash::of_file(&file)),
            Mpv => {
                let capture = if file.exists() {
                    Capture::of_file(&file)
                } else {
                    Capture::default()
                };
                let track = |media: &str, track| framehash::Track {
                    media: media.to_owned(),
                    packets: capture
                        .track(track)
                        .iter()
                        .map(|packet| framehash::Packet {
                            dts: packet.dts,
                            hash: packet.hash.trim_start_matches("MD5:").to_owned(),
                        })
                        .collect(),
                    ..framehash::Track::default()
                };
                Received::Packets(vec![
                    track("video", packets::Track::Video),
                    track("audio", packets::Track::Audio),
                ])
            }
            Vlc | Gstreamer => {
                let mut command = media::quiet("ffmpeg");
                if self == Gstreamer {
                    command.args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x180"]);
                }
                command.arg("-i").arg(&file).args(framehash::FORMAT);
                let has_frames = std::fs::metadata(&file).is_ok_and(|file| file.len() > 0);
                let pictures = if has_frames {
                    framehash::parse(&run(&mut command))
                } else {
                    Vec::new()
                };
                let sound = std::fs::metadata(dir.join(&format!("{}.wav", self.file())));
                Received::Decoded {
                    pictures: framehash::first(&pictures, "video"),
                    sound_len: sound.map_or(0, |file| file.len()),
                }
            }
        }
    }
}

fn gstreamer(pipeline: &str) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    // GStreamer's messages only say that something failed; the demuxers' warnings say what.
    command.env("GST_DEBUG", "flvdemux:2,qtdemux:2");
    command.env("GST_DEBUG_NO_COLOR", "1");
    command.arg("-q").args(pipeline.split_whitespace());
    command
}
