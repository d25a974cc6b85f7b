//! Plays a stream of any server, and says what comes:
//!
//! ```text
//! cargo run --example player -- rtmp://127.0.0.1/live/door
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use brooklet::client::Client;

fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: player URL")?;
    let client = Client::new(&url)?;
    println!("playing {}", client.shown_url());
    let mut player = client.play()?;
    while let Some(message) = player.recv(Duration::from_secs(10))? {
        let kind = message
            .medium()
            .map_or("data".to_owned(), |of| format!("{of:?}"));
        let mark = if message.is_keyframe() {
            ", a keyframe"
        } else {
            ""
        };
        let (at, len) = (message.timestamp(), message.payload().len());
        println!("{kind} at {at} ms: {len} bytes{mark}");
    }
    println!("the stream has ended");
    Ok(())
}
