//! Prints the streams and connections of a server every few seconds, and closes every connection on which
//! more than one stream is played.
//!
//! ```sh
//! cargo run --example overseer
//! ffmpeg -re -i INPUT -c copy -f flv rtmp://127.0.0.1/live/door
//! ```

use std::thread::sleep;
use std::time::Duration;

use brooklet::{Config, Server};

const INTERVAL: Duration = Duration::from_secs(5);

fn main() -> Result<(), brooklet::StartError> {
    let server = Server::start(Config::default())?;
    println!("listening on {:?}", server.rtmp_addresses());
    loop {
        sleep(INTERVAL);
        for stream in server.streams() {
            let report = &stream.report;
            println!(
                "{}: {}, {} viewers, {} kbit/s in, {} kbit/s out",
                stream.key,
                if report.is_live { "live" } else { "waiting" },
                report.viewer_count(),
                (report.audio.bits_per_second + report.video.bits_per_second) / 1000,
                report.bits_out / 1000,
            );
        }
        for connection in server.connections() {
            println!("#{} {}", connection.id, connection.address);
            if connection.plays.len() > 1 && server.kick(connection.id) {
                println!("#{}: disconnected", connection.id);
            }
        }
    }
}
