//! Files with what publishers send, and publishers that send them.

use std::path::{Path, PathBuf};

use super::common::media;
use super::common::process::{Program, run};
use super::common::{Brooklet, TempDir};

/// The length of a source in seconds, and its frames per second.
pub(crate) const SECONDS: usize = 12;
pub(crate) const FPS: usize = 25;

/// The number of frames of a source.
pub(crate) const FRAMES: usize = SECONDS * FPS;

/// A pair of codecs: the name of its stream, the file's ending, and ffmpeg's encoders.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    ending: &'static str,
    encoders: &'static str,
}

const H264: &str = "-c:v libx264 -preset veryfast -bf 2 -sc_threshold 0";

/// What is recorded, each with a keyframe every second.
pub(crate) const PAIRS: &[Pair] = &[
    Pair {
        name: "h264-aac",
        ending: "flv",
        encoders: "-c:a aac -ac 2",
    },
    Pair {
        name: "h264-flac",
        ending: "mp4",
        // In MP4 files, ffmpeg 5.1 calls it experimental.
        encoders: "-c:a flac -strict experimental",
    },
    Pair {
        name: "hevc-aac",
        ending: "mp4",
        encoders: "-c:v libx265 -preset ultrafast -x265-params \
            log-level=none:open-gop=0:bframes=2:keyint=25:min-keyint=25 -c:a aac -ac 2",
    },
    Pair {
        name: "av1-opus",
        ending: "mp4",
        encoders: "-c:v libsvtav1 -preset 12 -c:a libopus -b:a 64k -ac 2",
    },
    Pair {
        name: "vp9-opus",
        ending: "mp4",
        encoders: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k -c:a libopus -b:a 64k -ac 2",
    },
    Pair {
        name: "sorenson-mp3",
        ending: "flv",
        encoders: "-c:v flv1 -c:a libmp3lame -ar 44100",
    },
];

/// A file to publish.
pub(crate) struct Source {
    pub(crate) pair: Pair,
    pub(crate) file: PathBuf,
}

impl Source {
    pub(crate) fn make(dir: &TempDir, pair: Pair) -> Source {
        let file = dir.join(&format!("{}.{}", pair.name, pair.ending));
        let mut command = media::quiet("ffmpeg");
        let inputs = format!(
            "-f lavfi -i testsrc2=size=320x180:rate={FPS} -f lavfi -i sine=beep_factor=4:r=48000 \
             -t {SECONDS} -pix_fmt yuv420p -g {FPS}"
        );
        command.args(inputs.split_whitespace());
        if !pair.encoders.contains("-c:v") {
            command.args(H264.split_whitespace());
        }
        command.args(pair.encoders.split_whitespace());
        run(command.arg(&file));
        Source { pair, file }
    }

    /// Whether it is recorded in MP4.
    pub(crate) fn is_mp4(&self) -> bool {
        self.pair.name != "sorenson-mp3"
    }

    /// Publishes it in real time.
    pub(crate) fn publish(&self, server: &Brooklet) -> Program {
        let url = server.url(self.pair.name);
        media::publish_with(&media::ffmpeg9(), &self.file, &[], &url)
    }

    /// The recorded files, in order.
    pub(crate) fn recorded(&self, folder: &Path) -> Vec<PathBuf> {
        let folder = folder.join("live").join(self.pair.name);
        let files = std::fs::read_dir(folder).expect("it was recorded");
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}
