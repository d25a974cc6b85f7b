//! Publishes a stream of its own making, H.264 headers and a counter as frames, to any server:
//!
//! ```text
//! cargo run --example publisher -- rtmp://127.0.0.1/live/counter
//! ```

use std::env;
use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use brooklet::StreamMessage;
use brooklet::client::Client;

/// An AVC sequence header: Baseline, level 3.0, without parameter sets.
const HEADER: [u8; 12] = [0x17, 0, 0, 0, 0, 1, 0x42, 0xC0, 0x1E, 0xFF, 0xE0, 0];

fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: publisher URL")?;
    let mut publisher = Client::new(&url)?.publish()?;
    publisher.send(&StreamMessage::video(0, HEADER))?;
    for frame in 0..u32::MAX / 40 {
        // Every 50th frame is a keyframe.
        let kind = if frame % 50 == 0 { 0x17 } else { 0x27 };
        let mut payload = vec![kind, 1, 0, 0, 0];
        payload.extend_from_slice(&frame.to_be_bytes());
        publisher.send(&StreamMessage::video(frame * 40, payload))?;
        sleep(Duration::from_millis(40));
    }
    Ok(publisher.finish()?)
}
