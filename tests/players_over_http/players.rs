//! The programs that play, and what they have got in the end.

use std::process::Command;

use super::cells::Received;
use super::common::ffmpeg8::ffmpeg8;
use super::common::packets::{self, Capture};
use super::common::process::{Program, run};
use super::common::{TempDir, framehash, media};
use super::sources::Codec;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Player {
    Ffmpeg5,
    Ffmpeg7,
    Ffmpeg8,
    Gstreamer,
    Vlc,
    Mpv,
}

use Player::*;

/// How a stream is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Flv,
    Mp4,
    Hls,
}

impl Container {
    pub(crate) const ALL: &[Container] = &[Container::Flv, Container::Mp4, Container::Hls];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Container::Flv => ".flv",
            Container::Mp4 => ".mp4",
            Container::Hls => ".m3u8",
        }
    }

    /// FLV holds whatever comes; for MP4 there must be a way to put it there that browsers know.
    pub(crate) fn holds(self, codec: Codec) -> bool {
        self == Container::Flv || !matches!(codec, Codec::Sorenson | Codec::Ac3)
    }
}

impl Player {
    pub(crate) const ALL: &[Player] = &[Ffmpeg5, Ffmpeg7, Ffmpeg8, Gstreamer, Vlc, Mpv];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Ffmpeg5 => "ffmpeg 5.1",
            Ffmpeg7 => "ffmpeg 7.0",
            Ffmpeg8 => "FFmpeg 8.1",
            Gstreamer => "GStreamer",
            Vlc => "VLC",
            Mpv => "mpv",
        }
    }

    /// What it calls itself to the server.
    pub(crate) fn agent(self) -> &'static str {
        match self {
            Ffmpeg5 => "Ffmpeg5",
            Ffmpeg7 => "Ffmpeg7",
            Ffmpeg8 => "Ffmpeg8",
            Gstreamer => "Gstreamer",
            // It can't be talked into another name.
            Vlc => "VLC/",
            Mpv => "Mpv",
        }
    }

    /// As of these versions; Debian's VLC and mpv play FLV with the libraries of ffmpeg 5.1.
    pub(crate) fn can_take(self, codec: Codec, container: Container) -> bool {
        match self {
            _ if !container.holds(codec) => false,
            _ if container != Container::Flv => true,
            Ffmpeg5 | Vlc | Mpv | Gstreamer => codec.is_legacy(),
            Ffmpeg7 => codec.is_legacy() || codec.is_video(),
            Ffmpeg8 => true,
        }
    }

    /// What is recorded in the folder.
    fn file(self) -> &'static str {
        match self {
            Mpv => "mpv.mkv",
            Gstreamer => "gstreamer.i420",
            Vlc => "vlc.y4m",
            Ffmpeg5 | Ffmpeg7 | Ffmpeg8 => "",
        }
    }

    pub(crate) fn command(self, dir: &TempDir, url: &str, has_audio: bool) -> Command {
        let file = dir.join(self.file());
        let path = file.display();
        let agent = self.agent();
        match self {
            Ffmpeg5 | Ffmpeg7 => {
                let mut command = match self {
                    Ffmpeg5 => media::quiet("ffmpeg"),
                    _ => media::quiet(&media::ffmpeg7()),
                };
                command.args(["-user_agent", agent, "-i", url]);
                command.args(["-map", "0", "-c", "copy"]);
                command.args(framehash::FORMAT);
                command
            }
            Ffmpeg8 => {
                let agent = format!("user_agent={agent}");
                let mut command = ffmpeg8(&["--output-option", "hash=md5"]);
                command.args(["--input-option", &agent]);
                command.args([url, "framehash", "pipe:1"]);
                command
            }
            Gstreamer => {
                let mut command = Command::new("gst-launch-1.0");
                // Its messages only say that something failed; what, a demuxer's warning says.
                command.env("GST_DEBUG", "flvdemux:2,qtdemux:2");
                command.env("GST_DEBUG_NO_COLOR", "1");
                let pipeline = format!(
                    "souphttpsrc user-agent={agent} location={url} ! decodebin name=d d. ! \
                     videoconvert ! video/x-raw,format=I420 ! filesink location={path}"
                );
                command.arg("-q").args(pipeline.split_whitespace());
                // It would wait for what never comes.
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
                // The title would be drawn into the pictures.
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
                command.arg(format!("--user-agent={agent}"));
                command.arg(format!("--stream-record={path}")).arg(url);
                command
            }
        }
    }

    pub(crate) fn received(self, program: &Program, dir: &TempDir) -> Received {
        let file = dir.join(self.file());
        match self {
            Ffmpeg5 | Ffmpeg7 | Ffmpeg8 => Received::Packets(program.with_stdout(framehash::parse)),
            Mpv => {
                let capture = match file.exists() {
                    true => Capture::of_file(&file),
                    false => Capture::default(),
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
                let has_pictures = std::fs::metadata(&file).is_ok_and(|file| file.len() > 0);
                let pictures = match has_pictures {
                    true => framehash::parse(&run(&mut command)),
                    false => Vec::new(),
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
