//! Attaches to every stream that is published, and writes its messages to an FLV file: so a program can take
//! media to wherever it likes. A file ends with its stream: a camera that returns within the grace time
//! continues it.
//!
//! ```sh
//! cargo run --example tap
//! ffmpeg -re -i INPUT -c copy -f flv rtmp://127.0.0.1/live/door
//! ffplay live-door-1.flv
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use brooklet::{
    Attached, Client, Config, Detached, Handler, Join, Refusal, Server, StreamKey, StreamMessage,
    StreamRequest,
};

/// Reports streams that are about to be published.
struct Announcer(Mutex<Sender<StreamKey>>);

impl Handler for Announcer {
    fn publish(&self, _: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        let announcements = self.0.lock().map_err(|_| Refusal::new("nobody listens"))?;
        let sent = announcements.send(request.key().clone());
        sent.map_err(|_| Refusal::new("nobody listens"))
    }
}

/// An FLV file that is being written.
struct Tap {
    file: BufWriter<File>,
    /// The timestamp that becomes 0 in the file.
    base: Option<u32>,
}

impl Tap {
    fn create(path: &str) -> io::Result<Tap> {
        let mut file = BufWriter::new(File::create_new(path)?);
        // Signature, version, "audio and video", length of this header, size of the tag before.
        file.write_all(b"FLV\x01\x05\0\0\0\x09\0\0\0\0")?;
        Ok(Tap { file, base: None })
    }

    fn write(&mut self, message: &StreamMessage) -> io::Result<()> {
        let timestamp = match message.medium() {
            // Audio and video are interleaved: one of the first messages may be older than the very first.
            Some(_) => {
                let base = *self.base.get_or_insert(message.timestamp());
                let since = message.timestamp().wrapping_sub(base);
                if since > u32::MAX / 2 { 0 } else { since }
            }
            // Metadata has no time.
            None => 0,
        };
        let len = message.payload().len() as u32;
        let [t0, t1, t2, t3] = timestamp.to_be_bytes();
        let [_, l1, l2, l3] = len.to_be_bytes();
        let header = [message.type_id(), l1, l2, l3, t1, t2, t3, t0, 0, 0, 0];
        self.file.write_all(&header)?;
        self.file.write_all(message.payload())?;
        self.file.write_all(&(11 + len).to_be_bytes())
    }
}

/// Writes all messages of a stream to a file, until the stream ends.
fn write_all(mut stream: Attached, path: &str) -> io::Result<Detached> {
    let mut tap = Tap::create(path)?;
    loop {
        match stream.recv(Duration::from_secs(60)) {
            Ok(Some(message)) => tap.write(message)?,
            Ok(None) => {}
            Err(why) => {
                tap.file.flush()?;
                return Ok(why);
            }
        }
    }
}

/// Returns the path of a file that doesn't exist yet, such as `live-door-3.flv`.
fn free_path(key: &StreamKey) -> String {
    let name = key.as_str().replace('/', "-");
    let paths = (1..).map(|number: u64| format!("{name}-{number}.flv"));
    let mut free = paths.filter(|path| !Path::new(path).exists());
    free.next().unwrap_or_default()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (announcements, announced) = channel();
    let announcer = Announcer(Mutex::new(announcements));
    let server = Server::builder(Config::default())
        .handler(Arc::new(announcer))
        .start()?;
    println!("listening on {:?}", server.rtmp_addresses());
    let mut threads = HashMap::<StreamKey, JoinHandle<()>>::new();
    for key in announced {
        let is_running = |thread: &JoinHandle<()>| !thread.is_finished();
        if threads.get(&key).is_some_and(is_running) {
            continue;
        }
        // An attached program waits for its stream, which begins a little later.
        let stream = server.attach(&key, Join::Gop)?;
        let path = free_path(&key);
        let run = move || match write_all(stream, &path) {
            Ok(why) => println!("{path}: {why}"),
            Err(error) => println!("{path}: {error}"),
        };
        threads.insert(key, thread::spawn(run));
    }
    Ok(())
}
