//! A test video whose frames show their own numbers, and its publisher.
//!
//! ffmpeg draws the number into the top of each frame as a row of black and white boxes, the lowest
//! bit on the left. So what a player shows tells how old it is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::common::process::Program;
use super::common::{Brooklet, TempDir, media};
use super::wall_clock;

pub(crate) const WIDTH: u32 = 320;
pub(crate) const HEIGHT: u32 = 180;

/// The number of boxes, and the width and height of each.
pub(crate) const BITS: u32 = 13;
pub(crate) const BOX: u32 = 24;

/// The duration of a frame, in ms.
pub(crate) const FRAME_MS: u64 = 40;

/// Makes a file with a keyframe every `gop` seconds, and a tone.
pub(crate) fn make(dir: &TempDir, gop: u32, seconds: u32) -> PathBuf {
    let mut picture = format!("testsrc2=size={WIDTH}x{HEIGHT}:rate={}", 1000 / FRAME_MS);
    let _ = write!(picture, ",drawbox=w={WIDTH}:h={BOX}:color=black:t=fill");
    for bit in 0..BITS {
        let _ = write!(
            picture,
            ",drawbox=x={}:w={BOX}:h={BOX}:color=white:t=fill:enable='mod(floor(n/{}),2)'",
            bit * BOX,
            1 << bit
        );
    }
    let pictures = (u64::from(gop) * 1000 / FRAME_MS).to_string();
    let encoders = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -b:v 600k \
                    -sc_threshold 0";
    let mut arguments: Vec<_> = encoders.split_whitespace().collect();
    arguments.extend(["-g", &pictures, "-keyint_min", &pictures]);
    media::make_with_picture(dir, &picture, seconds, &[&arguments, media::AAC])
}

/// A stream that is being published.
pub(crate) struct Stream {
    _publisher: Program,
    /// When its first frame arrived, in ms of the wall clock.
    pub(crate) begin: u64,
}

impl Stream {
    pub(crate) fn publish(server: &Brooklet, name: &str, file: &Path) -> Stream {
        let publisher = media::publish(file, &server.url(name));
        server.wait_for_log(&format!("live/{name}: publishing from"), 1);
        Stream {
            _publisher: publisher,
            begin: wall_clock(),
        }
    }
}
