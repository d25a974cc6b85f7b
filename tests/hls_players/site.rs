//! The site whose page plays: it tells browsers what to play and when, and collects their reports.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

const PAGE: &str = include_str!("page.html");

/// The libraries: the page's name for each, the environment variable with the path, and what that
/// is the path of.
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("hls", "BROOKLET_HLS_JS", "hls.js 1.7.4 (dist/hls.js)"),
    (
        "shaka",
        "BROOKLET_SHAKA_JS",
        "shaka-player 5.2.12 (dist/shaka-player.compiled.js)",
    ),
    (
        "video",
        "BROOKLET_VIDEO_JS",
        "video.js 8.24.1 (dist/video.min.js)",
    ),
    (
        "mpegts",
        "BROOKLET_MPEGTS_JS",
        "mpegts.js 1.8.2 (dist/mpegts.js)",
    ),
];

pub(crate) struct Site {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    libraries: Vec<(String, Vec<u8>)>,
    state: Mutex<State>,
    changed: Condvar,
    is_stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The number of pages that wait for a job.
    waiting: usize,
    /// What each page is to play, by the name of its browser.
    jobs: Option<HashMap<String, Value>>,
    /// The newest report of each player.
    reports: HashMap<String, Value>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    pub(crate) fn start() -> Site {
        let read = |&(name, variable, package): &(&str, &str, &str)| {
            let path = std::env::var(variable)
                .unwrap_or_else(|_| panic!("set {variable} to the path of {package}"));
            let library = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            (format!("GET /{name}.js "), library)
        };
        let shared = Arc::new(Shared {
            libraries: LIBRARIES.iter().map(read).collect(),
            ..Shared::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be listened on");
        let address = listener.local_addr().expect("it has an address");
        let answering = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if answering.is_stopping.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&answering);
                // A browser opens connections that it doesn't use yet.
                thread::spawn(move || answer(&socket, &shared));
            }
        });
        Site {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// The URL that a browser has to open.
    pub(crate) fn url(&self, browser: &str) -> String {
        format!("http://{}/?{browser}", self.address)
    }

    /// The number of pages that are open and waiting.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().waiting
    }

    /// Tells every page what to play.
    pub(crate) fn begin(&self, jobs: HashMap<String, Value>) {
        self.shared.lock().jobs = Some(jobs);
        self.shared.changed.notify_all();
    }

    pub(crate) fn report(&self, player: &str) -> Option<Value> {
        self.shared.lock().reports.get(player).cloned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        self.begin(HashMap::new());
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one request.
fn answer(mut socket: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(socket);
    let mut request = String::new();
    if reader.read_line(&mut request).is_err() {
        return;
    }
    let mut len = 0;
    loop {
        let mut line = String::new();
        if !matches!(reader.read_line(&mut line), Ok(3..)) {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                len = value.trim().parse().unwrap_or(0);
            }
        }
    }
    let library = shared
        .libraries
        .iter()
        .find(|(start, _)| request.starts_with(start));
    let started;
    let (content_type, body) = if let Some((_, library)) = library {
        ("text/javascript; charset=utf-8", &library[..])
    } else if let Some(browser) = request.strip_prefix("GET /start?") {
        started = jobs_of(browser.split(' ').next().unwrap_or_default(), shared);
        ("application/json", started.as_bytes())
    } else if request.starts_with("POST /report ") {
        let mut text = vec![0; len];
        if reader.read_exact(&mut text).is_ok() {
            let report: Value = serde_json::from_slice(&text).unwrap_or_default();
            let player = report["name"].as_str().unwrap_or_default().to_owned();
            shared.lock().reports.insert(player, report);
        }
        ("text/plain", &b""[..])
    } else {
        ("text/html; charset=utf-8", PAGE.as_bytes())
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

/// Waits until a page has something to play.
fn jobs_of(browser: &str, shared: &Shared) -> String {
    let mut state = shared.lock();
    state.waiting += 1;
    loop {
        if let Some(jobs) = &state.jobs {
            return jobs.get(browser).map_or("[]".to_owned(), Value::to_string);
        }
        state = shared
            .changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
}
