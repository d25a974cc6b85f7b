//! Records every stream into a folder, as MP4 or FLV, and prints how that goes. The same rules as for the
//! option `--record` apply: the oldest files are deleted when the disk runs short, and what a crash has left
//! is repaired at the next start.
//!
//! ```sh
//! mkdir recordings
//! cargo run --example recorder
//! ffmpeg -re -i INPUT -c copy -f flv rtmp://127.0.0.1/live/door
//! ffplay recordings/live/door/2026-11-28T11-30-00Z.mp4
//! ```

use std::thread::sleep;
use std::time::Duration;

use brooklet::config::Record;
use brooklet::{Config, Server};

const INTERVAL: Duration = Duration::from_secs(5);

fn main() -> Result<(), brooklet::StartError> {
    let record = Record::default()
        .dir(Some("recordings".into()))
        .max(Some(8 << 30));
    let server = Server::start(Config::default().record(record))?;
    println!("listening on {:?}", server.rtmp_addresses());
    loop {
        sleep(INTERVAL);
        if let Some(disk) = server.disk() {
            let (files, megabytes) = (disk.files, disk.recordings / 1_000_000);
            println!("disk: {}, {files} files, {megabytes} MB", disk.state.name());
        }
        for stream in server.streams() {
            let Some(recording) = stream.recording else {
                continue;
            };
            println!(
                "{}: {}, {} MB today in {}, {} gaps",
                stream.key,
                recording.state.name(),
                recording.bytes_today / 1_000_000,
                recording.file.as_deref().unwrap_or("no file yet"),
                recording.gaps,
            );
        }
    }
}
