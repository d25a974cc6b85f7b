//! The programs that play, and what they have got in the end.

use std::process::Command;

use super::cells::{Cell, Received, compare, complaint};
use super::common::ffmpeg8::ffmpeg8;
use super::common::packets::{self, Capture};
use super::common::process::{Program, run};
use super::common::{TempDir, framehash, media};
use super::sources::{Codec, Source};

/// The file in the players' folder for which the late one waits.
pub(crate) const GO: &str = "go";

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Player {
    Ffmpeg5,
    Ffmpeg7,
    Ffmpeg8,
    /// Joins in the middle, and decodes.
    Ffmpeg8Late,
    /// These three write what comes to a file, whatever it is.
    Rtmp2src,
    Rtmpsrc,
    Rtmpdump,
    /// Plays with GStreamer's demuxer and decoders, through rtmp2src.
    Gstreamer,
    Vlc,
    Mpv,
}

use Player::*;

impl Player {
    pub(crate) const ALL: &[Player] = &[
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

    pub(crate) fn name(self) -> &'static str {
        match self {
            Ffmpeg5 => "ffmpeg 5.1",
            Ffmpeg7 => "ffmpeg 7.0",
            Ffmpeg8 => "FFmpeg 8.1",
            Ffmpeg8Late => "8.1, late",
            Rtmp2src => "rtmp2src",
            Rtmpsrc => "rtmpsrc",
            Rtmpdump => "rtmpdump",
            Gstreamer => "decodebin",
            Vlc => "VLC",
            Mpv => "mpv",
        }
    }

    pub(crate) fn is_late(self) -> bool {
        self == Ffmpeg8Late
    }

    /// As of these versions; Debian's VLC and mpv play with the libraries of ffmpeg 5.1.
    fn can_take(self, codec: Codec) -> bool {
        match self {
            Ffmpeg5 | Vlc | Mpv | Gstreamer => codec.is_legacy(),
            Ffmpeg7 => codec.is_legacy() || codec.is_video(),
            Ffmpeg8 | Ffmpeg8Late | Rtmp2src | Rtmpsrc | Rtmpdump => true,
        }
    }

    /// What is recorded in the folder.
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

    pub(crate) fn command(self, dir: &TempDir, url: &str) -> Command {
        let file = dir.join(self.file());
        let path = file.display();
        match self {
            Ffmpeg5 => ffmpeg("ffmpeg", url),
            Ffmpeg7 => ffmpeg(&media::ffmpeg7(), url),
            Ffmpeg8 | Ffmpeg8Late => {
                let mut command = ffmpeg8(&["--output-option", "hash=md5"]);
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
                // The space belongs to the location: it is an option of librtmp.
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
            Gstreamer => gstreamer(&format!(
                "rtmp2src location={url} ! decodebin name=d d. ! videoconvert ! \
                 video/x-raw,format=I420 ! filesink location={path} d. ! audioconvert ! \
                 audioresample ! audio/x-raw,format=S16LE,rate=44100,channels=2 ! wavenc ! \
                 filesink location={path}.wav"
            )),
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
                command.arg(format!("--stream-record={path}")).arg(url);
                command
            }
        }
    }

    /// Looks at what it got, once it has ended.
    pub(crate) fn cell(self, program: &mut Program, dir: &TempDir, source: &Source) -> Cell {
        if !self.can_take(source.video) {
            return Cell::Cannot(complaint(program));
        }
        let audio = self.can_take(source.audio);
        match compare(&self.received(program, dir), source, audio) {
            Ok(words) if audio => Cell::Same(words),
            Ok(words) => Cell::NoSound(words, complaint(program)),
            Err(words) => Cell::Wrong(format!("{words}; it says: {}", complaint(program))),
        }
    }

    fn received(self, program: &mut Program, dir: &TempDir) -> Received {
        let file = dir.join(self.file());
        match self {
            Ffmpeg5 | Ffmpeg7 | Ffmpeg8 => Received::Packets(program.with_stdout(framehash::parse)),
            Ffmpeg8Late => Received::Late(program.with_stdout(framehash::parse)),
            Rtmp2src | Rtmpsrc | Rtmpdump => Received::Packets(framehash::of_file(&file)),
            Mpv => {
                let capture = Capture::of_file(&file);
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
                let pictures = framehash::parse(&run(&mut command));
                let sound = std::fs::metadata(dir.join(&format!("{}.wav", self.file())));
                Received::Decoded {
                    pictures: framehash::first(&pictures, "video"),
                    sound_len: sound.map_or(0, |file| file.len()),
                }
            }
        }
    }
}

fn ffmpeg(program: &str, url: &str) -> Command {
    let mut command = media::quiet(program);
    command.args(["-i", url, "-map", "0", "-c", "copy"]);
    command.args(framehash::FORMAT);
    command
}

fn gstreamer(pipeline: &str) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    // Its messages only say that something failed; what, a demuxer's warning says.
    command.env("GST_DEBUG", "flvdemux:2");
    command.env("GST_DEBUG_NO_COLOR", "1");
    command.arg("-q").args(pipeline.split_whitespace());
    command
}
