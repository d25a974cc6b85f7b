//! A test video that shows when each frame was made, and how to read that off a screen.
//!
//! ffmpeg draws the time of day into the top of each frame as a row of black and white boxes, the
//! lowest bit on the left. They are drawn one after another, so it is a Gray code: from one number
//! to the next, one box changes.

use std::fmt::Write as _;
use std::time::Duration;

use super::chromium::Browser;
use super::common::media::quiet;
use super::common::process::Program;

/// The number of boxes, each [`BOX`] pixels wide and high in a frame of 640 x 360.
const BITS: u32 = 18;
const BOX: u32 = 32;

/// The unit of the lowest bit, in ms.
const UNIT: u32 = 10;

/// Publishes the video (30 frames per second, a keyframe every 2 s) and a tone until it is dropped.
pub(crate) fn publish(url: &str) -> Program {
    let mut command = quiet("ffmpeg");
    command.args(["-re", "-f", "lavfi", "-i", &video()]);
    command.args(["-f", "lavfi", "-i", "sine=beep_factor=4:sample_rate=48000"]);
    let encoders = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 1M \
                    -c:a aac -ac 2 -f flv";
    command.args(encoders.split_whitespace()).arg(url);
    Program::start(&mut command)
}

fn video() -> String {
    let mut graph = "testsrc=size=640x360:rate=30,drawbox=w=640:h=32:color=black:t=fill".to_owned();
    for bit in 0..BITS {
        let x = bit * BOX;
        // Each bit of a Gray code is the exclusive or of two bits of the number itself. Above the
        // highest there is none.
        let value = |bit: u32| format!("floor(time(0)*1000/{})", u64::from(UNIT) << bit);
        let mut bits = value(bit);
        if bit + 1 < BITS {
            bits = format!("{bits}+{}", value(bit + 1));
        }
        let _ = write!(
            graph,
            ",drawbox=x={x}:w={BOX}:h={BOX}:color=white:t=fill:enable='mod({bits},2)'"
        );
    }
    graph
}

/// The age of the frames that the player shows, since ffmpeg drew them; the median of some.
pub(crate) fn latency(browser: &mut Browser) -> Duration {
    const FRAMES: usize = 9;

    let script = format!(
        "new Promise(done => {{
            const video = document.querySelector('.player video');
            const canvas = document.createElement('canvas');
            canvas.width = 640;
            canvas.height = 360;
            const context = canvas.getContext('2d', {{ willReadFrequently: true }});
            video.requestVideoFrameCallback(() => {{
                context.drawImage(video, 0, 0, 640, 360);
                const now = Math.floor(Date.now() / {UNIT});
                let number = 0;
                for (let bit = {BITS} - 1, last = 0; bit >= 0; bit--) {{
                    const [luma] = context.getImageData((bit + 0.5) * {BOX}, {BOX} / 2, 1, 1).data;
                    last ^= luma > 128;
                    number += last * 2 ** bit;
                }}
                const range = 2 ** {BITS};
                done((now % range - number + range) % range * {UNIT});
            }});
        }})"
    );
    let mut ages: Vec<f64> = (0..FRAMES).map(|_| browser.number(&script)).collect();
    ages.sort_by(f64::total_cmp);
    Duration::from_millis(ages[FRAMES / 2] as u64)
}
