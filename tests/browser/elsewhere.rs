//! A page of another site that embeds streams, with players of other projects.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::chromium::Browser;

/// The first `<video>` is where that of the server's own page is.
const PAGE: &str = "<!DOCTYPE html><meta charset=utf-8><title>elsewhere</title>\
    <link rel=icon href=data:,><style>video { width: 320px }</style>\
    <div class=player></div><div class=message><p></p></div>\
    <script>
        self.players = {};
        function add(name) {
            const video = document.createElement('video');
            video.muted = video.autoplay = true;
            document.querySelector('.player').append(video);
            const player = players[name] = { video, errors: [], standstill: 0 };
            let last;
            video.requestVideoFrameCallback(function look(now, { mediaTime }) {
                player.standstill = Math.max(player.standstill, mediaTime - (last ?? mediaTime));
                last = mediaTime;
                video.requestVideoFrameCallback(look);
            });
            return player;
        }
    </script>";

/// A site of one page, and perhaps a library, on a free port of the loopback address.
pub(crate) struct Site {
    address: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    /// A site whose page has the library at the path that this environment variable names.
    pub(crate) fn with_library(variable: &str, package: &str) -> Site {
        let path = std::env::var(variable)
            .unwrap_or_else(|_| panic!("set {variable} to the path of {package}"));
        let library = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Site::start(format!("{PAGE}<script src=/library.js></script>"), library)
    }

    /// A site with the page alone.
    pub(crate) fn bare() -> Site {
        Site::start(PAGE.to_owned(), Vec::new())
    }

    fn start(page: String, library: Vec<u8>) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be listened on");
        let address = listener.local_addr().expect("it has an address");
        let is_stopping = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&is_stopping);
        let thread = thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (page, library) = (page.clone(), library.clone());
                // A browser opens connections that it doesn't use yet.
                thread::spawn(move || answer(&socket, page.as_bytes(), &library));
            }
        });
        Site {
            address,
            is_stopping,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens the page.
    pub(crate) fn open(&self, browser: &mut Browser) {
        browser.open(&format!("http://{}/", self.address));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one request: with the library, or else with the page.
fn answer(mut socket: &TcpStream, page: &[u8], library: &[u8]) {
    let mut lines = BufReader::new(socket).lines();
    let Some(Ok(request)) = lines.next() else {
        return;
    };
    // With the rest of the head unread, closing would be a reset.
    while matches!(lines.next(), Some(Ok(line)) if !line.is_empty()) {}
    let (content_type, body) = match request.starts_with("GET /library.js ") {
        true => ("text/javascript; charset=utf-8", library),
        false => ("text/html; charset=utf-8", page),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    // A browser that has left doesn't read it.
    let _ = socket.write_all(head.as_bytes());
    let _ = socket.write_all(body);
    let _ = socket.shutdown(Shutdown::Write);
}

/// A player of the page, made by a script with `add(NAME)`.
pub(crate) struct Player<'a>(pub(crate) &'a str);

impl Player<'_> {
    /// Returns the value of an expression about `player`.
    pub(crate) fn evaluate(&self, browser: &mut Browser, expression: &str) -> Value {
        browser.evaluate(&self.about(expression))
    }

    pub(crate) fn number(&self, browser: &mut Browser, expression: &str) -> f64 {
        browser.number(&self.about(expression))
    }

    /// Waits until an expression about `player` is true.
    pub(crate) fn wait_for(&self, browser: &mut Browser, what: &str, expression: &str) {
        browser.wait_for(&format!("{}: {what}", self.0), &self.about(expression));
    }

    /// Waits for `count` more decoded frames, while the playback time advances.
    pub(crate) fn wait_for_frames(&self, browser: &mut Browser, count: u32) {
        let now = self.evaluate(
            browser,
            &format!("({{ frames: {FRAMES}, time: player.video.currentTime }})"),
        );
        let (frames, time) = (&now["frames"], &now["time"]);
        let enough = format!("{FRAMES} > {frames} + {count} && player.video.currentTime > {time}");
        self.wait_for(browser, &format!("{count} frames are decoded"), &enough);
    }

    /// The longest time for which a frame stood still, in seconds of the stream.
    pub(crate) fn standstill(&self, browser: &mut Browser) -> f64 {
        self.number(browser, "player.standstill")
    }

    /// The errors that the player has reported so far.
    pub(crate) fn errors(&self, browser: &mut Browser) -> Value {
        self.evaluate(
            browser,
            "[...player.errors, player.video.error].filter(e => e)",
        )
    }

    fn about(&self, expression: &str) -> String {
        format!("(player => {expression})(players[{}])", json!(self.0))
    }
}

const FRAMES: &str = "player.video.getVideoPlaybackQuality().totalVideoFrames";
