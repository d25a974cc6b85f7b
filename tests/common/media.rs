//! Media made by ffmpeg, and ffmpeg's programs as publishers and players.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::TempDir;
use super::process::{Program, run};

/// H.264 without B-frames, a keyframe every ten seconds.
pub(crate) const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "0",
    "-g",
    "300",
    "-sc_threshold",
    "0",
];

/// H.264 with up to three B-frames in a row, a keyframe every ten seconds.
pub(crate) const H264_B_FRAMES: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "3",
    "-g",
    "300",
    "-sc_threshold",
    "0",
];

pub(crate) const AAC: &[&str] = &["-c:a", "aac", "-ac", "2"];

/// The FLV muxer's default codecs: Sorenson Spark (H.263) and MP3.
pub(crate) const SORENSON_AND_MP3: &[&str] = &["-c:v", "flv1", "-g", "300", "-c:a", "libmp3lame"];

pub(crate) const NO_VIDEO: &[&str] = &["-vn"];
pub(crate) const NO_AUDIO: &[&str] = &["-an"];

/// Makes an FLV file of moving test frames (30 per second) and a tone.
pub(crate) fn make(dir: &TempDir, seconds: u32, arguments: &[&[&str]]) -> PathBuf {
    make_with_picture(dir, "testsrc2=size=640x360:rate=30", seconds, arguments)
}

/// Makes an FLV file of frames given as a filter graph.
pub(crate) fn make_with_picture(
    dir: &TempDir,
    frame: &str,
    seconds: u32,
    arguments: &[&[&str]],
) -> PathBuf {
    let path = dir.join("source.flv");
    let mut command = quiet("ffmpeg");
    command.args([
        "-f",
        "lavfi",
        "-i",
        frame,
        "-f",
        "lavfi",
        "-i",
        "sine=beep_factor=4",
    ]);
    command
        .args(arguments.concat())
        .args(["-t", &seconds.to_string()])
        .arg(&path);
    run(&mut command);
    path
}

/// Publishes a file with ffmpeg in real time, without reencoding.
pub(crate) fn publish(file: &Path, url: &str) -> Program {
    publish_with("ffmpeg", file, &[], url)
}

/// Like [`publish`], with another ffmpeg and more output options.
pub(crate) fn publish_with(ffmpeg: &str, file: &Path, options: &[&str], url: &str) -> Program {
    let mut command = quiet(ffmpeg);
    command
        .arg("-re")
        .arg("-i")
        .arg(file)
        .args(["-map", "0", "-c", "copy"]);
    command.args(options).args(["-f", "flv", url]);
    Program::start(&mut command)
}

/// Plays with ffprobe, which prints every packet as it received it; see
/// [`Capture`](super::packets::Capture).
pub(crate) fn play(url: &str) -> Program {
    Program::start(&mut super::packets::ffprobe(url))
}

/// Plays with ffmpeg, decoding everything.
pub(crate) fn play_decoding(url: &str) -> Program {
    let mut command = quiet("ffmpeg");
    // In the unit of its input, frames: two timestamps round to one where a stream resumes half a
    // frame later.
    command.args(["-i", url, "-enc_time_base", "-1", "-f", "null", "-"]);
    Program::start(&mut command)
}

/// Returns a command for an ffmpeg that prints warnings only.
pub(crate) fn quiet(ffmpeg: &str) -> Command {
    let mut command = Command::new(ffmpeg);
    command.args(["-nostdin", "-hide_banner", "-v", "warning", "-y"]);
    command
}

/// Returns the path of ffmpeg 7, which is installed beside the system's own.
pub(crate) fn ffmpeg7() -> String {
    std::env::var("BROOKLET_FFMPEG7").unwrap_or_else(|_| {
        panic!(
            "set BROOKLET_FFMPEG7 to the path of an ffmpeg 7, such as that in the Python package \
             imageio-ffmpeg 0.6.0 (imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v7.0.2)"
        )
    })
}

/// Returns a command for VLC without a screen. VLC refuses to run as root, so root becomes nobody.
pub(crate) fn vlc(writable: &Path) -> Command {
    const NOBODY: &str = "65534";

    let is_root = run(Command::new("id").arg("-u")).trim() == "0";
    let mut command = if is_root {
        run(Command::new("chmod").arg("777").arg(writable));
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            NOBODY,
            "--regid",
            NOBODY,
            "--clear-groups",
            "cvlc",
        ]);
        command
    } else {
        Command::new("cvlc")
    };
    command
        .env("HOME", writable)
        .args(["-I", "dummy", "--no-color"]);
    command
}
