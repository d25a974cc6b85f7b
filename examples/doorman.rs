//! A policy: only cameras on a list may publish, one of them under another name. Prints who comes and
//! goes.
//!
//! ```sh
//! cargo run --example doorman
//! ffmpeg -re -i INPUT -c copy -f flv rtmp://127.0.0.1/live/door
//! ```

use std::sync::Arc;

use brooklet::{Client, Config, Handler, Properties, Refusal, Server, StreamKey, StreamRequest};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The streams that may be published, and the names under which they are played.
const STREAMS: &[(&str, &str)] = &[
    ("live/door", "live/door"),
    ("live/garden", "live/garden"),
    // A camera whose name can't be changed.
    ("live/IPCAM_0042", "live/yard"),
];

struct Doorman;

impl Handler for Doorman {
    fn connect(&self, client: &mut Client) -> Result<(), Refusal> {
        // What a client says of itself can be anything: `{:?}` escapes line breaks.
        println!("{client}: hello, {:?}", client.connect().flash_ver);
        Ok(())
    }

    fn publish(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        let wanted = request.key().as_str();
        let Some((_, name)) = STREAMS.iter().find(|(sent, _)| *sent == wanted) else {
            println!("{client}: may not publish {wanted}");
            // The first text is for the log, the second one for the client.
            return Err(Refusal::new("it isn't on the list of streams")
                .with_description("this camera is not on the list"));
        };
        request.set_key(StreamKey::new("", name).map_err(|error| Refusal::new(error.to_string()))?);
        println!("{client}: publishes {}", request.key());
        Ok(())
    }

    fn metadata(&self, client: &Client, stream: &StreamKey, properties: Option<&Properties<'_>>) {
        let encoder = properties.and_then(|all| all.find("encoder"));
        if let Some(encoder) = encoder.as_ref().and_then(|value| value.as_str()) {
            println!("{client}: {stream} is made by {encoder:?}");
        }
    }

    fn unpublish(&self, client: &Client, stream: &StreamKey) {
        println!("{client}: no longer publishes {stream}");
    }

    fn play(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        println!("{client}: plays {}", request.key());
        Ok(())
    }

    fn stop(&self, client: &Client, stream: &StreamKey) {
        println!("{client}: no longer plays {stream}");
    }

    fn disconnect(&self, client: &Client) {
        println!("{client}: good-bye");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    // The keys and networks of the configuration are checked before the doorman is asked.
    let mut server = Server::builder(Config::default())
        .handler(Arc::new(Doorman))
        .start()?;
    for address in server.rtmp_addresses() {
        println!("listening on {address}");
    }
    signals.forever().next();
    server.stop();
    Ok(())
}
