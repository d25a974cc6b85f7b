//! The site that browsers open: a page with players that are given URLs to play and report what
//! they did. Everything else is passed on to the server, so that its own page can be examined.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kind::{self, Kind};

const PAGE: &str = include_str!("page.html");

/// The libraries: the page's name for each, the environment variable with the path, and what that
/// is the path of.
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("hls", "BROOKLET_HLS_JS", "hls.js 1.7.4 (dist/hls.js)"),
    (
        "mpegts",
        "BROOKLET_MPEGTS_JS",
        "mpegts.js 1.8.2 (dist/mpegts.js)",
    ),
];

/// The prefix of this site's own paths.
const OWN: &str = "/field/";

pub(crate) struct Site {
    /// The addresses of the page and of files: a browser has six connections to an address at most.
    addresses: [SocketAddr; 2],
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    server: SocketAddr,
    libraries: HashMap<String, Vec<u8>>,
    state: Mutex<State>,
    changed: Condvar,
    is_stopping: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The number of pages that wait for a job.
    waiting: usize,
    /// The number of jobs given out.
    round: u64,
    /// What each page is to play, by the name of its browser.
    jobs: HashMap<String, Value>,
    /// The newest report of each player.
    reports: HashMap<String, Value>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    /// Starts a site in front of this server.
    pub(crate) fn start(server: SocketAddr) -> Site {
        let read = |&(name, variable, package): &(&str, &str, &str)| {
            let path = std::env::var(variable)
                .unwrap_or_else(|_| panic!("set {variable} to the path of {package}"));
            let library = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            (format!("{OWN}{name}.js"), library)
        };
        let shared = Arc::new(Shared {
            server,
            libraries: LIBRARIES.iter().map(read).collect(),
            state: Mutex::default(),
            changed: Condvar::new(),
            is_stopping: AtomicBool::new(false),
        });
        let listeners = ["127.0.0.1:0", "127.0.0.2:0"]
            .map(|address| TcpListener::bind(address).expect("a free port can be listened on"));
        let address = |listener: &TcpListener| listener.local_addr().expect("it has an address");
        Site {
            addresses: [address(&listeners[0]), address(&listeners[1])],
            threads: listeners.map(|listener| serve(listener, &shared)).into(),
            shared,
        }
    }

    /// The URL of a kind's file, which is sent in real time.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("http://{}{OWN}file/{name}", self.addresses[1])
    }

    /// The URL that a browser has to open.
    pub(crate) fn url(&self, browser: &str) -> String {
        format!("http://{}{OWN}?{browser}", self.addresses[0])
    }

    /// The number of pages that are open and waiting.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().waiting
    }

    /// Tells every page what to play next.
    pub(crate) fn begin(&self, jobs: HashMap<String, Value>) {
        let mut state = self.shared.lock();
        state.jobs = jobs;
        state.round += 1;
        state.waiting = 0;
        drop(state);
        self.shared.changed.notify_all();
    }

    pub(crate) fn report(&self, player: &str) -> Value {
        let state = self.shared.lock();
        state.reports.get(player).cloned().unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        self.begin(HashMap::new());
        for (address, thread) in self.addresses.iter().zip(self.threads.drain(..)) {
            // Wakes the thread.
            let _ = TcpStream::connect(address);
            let _ = thread.join();
        }
    }
}

/// Answers requests until the site stops.
fn serve(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            if shared.is_stopping.load(Ordering::Relaxed) {
                break;
            }
            let shared = Arc::clone(&shared);
            // A browser opens connections that it doesn't use yet.
            thread::spawn(move || answer(socket, &shared));
        }
    })
}

/// Sends a kind's messages as an FLV file in real time, until the browser closes.
fn send_file(mut socket: TcpStream, kind: &Kind) -> io::Result<()> {
    let began = Instant::now();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\
                Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n";
    socket.write_all(head.as_bytes())?;
    for (sent, bytes) in kind::flv(kind) {
        let due = began + Duration::from_millis(sent.into());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        socket.write_all(&bytes)?;
    }
    socket.shutdown(Shutdown::Write)
}

/// Answers one request, or passes it on.
fn answer(mut socket: TcpStream, shared: &Shared) {
    let Some((head, mut body)) = read_head(&mut socket) else {
        return;
    };
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if !target.starts_with(OWN) {
        // Without a response, browsers report an error.
        let _ = pass_on(socket, &head, &body, shared.server);
        return;
    }
    if let Some((_, name)) = target.split_once("/file/") {
        if let Some(kind) = kind::all().iter().find(|kind| kind.name == name) {
            let _ = send_file(socket, kind);
        }
        return;
    }
    let next;
    let (content_type, answer) = if let Some(library) = shared.libraries.get(&target) {
        ("text/javascript; charset=utf-8", &library[..])
    } else if let Some((_, browser)) = target.split_once("/next?") {
        next = next_jobs(browser, shared);
        ("application/json", next.as_bytes())
    } else if target.ends_with("/report") {
        let len = header(&head, "content-length").and_then(|len| len.parse().ok());
        let rest = len.unwrap_or(0_usize).saturating_sub(body.len());
        let mut more = vec![0; rest];
        if socket.read_exact(&mut more).is_ok() {
            body.extend(more);
            let report: Value = serde_json::from_slice(&body).unwrap_or_default();
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
        answer.len()
    );
    // A browser that has left doesn't read it.
    let _ = socket.write_all(head.as_bytes());
    let _ = socket.write_all(answer);
    let _ = socket.shutdown(Shutdown::Write);
}

/// Waits until a page has something to play.
fn next_jobs(browser: &str, shared: &Shared) -> String {
    let mut state = shared.lock();
    state.waiting += 1;
    let round = state.round;
    while state.round == round {
        let waited = shared.changed.wait(state);
        state = waited.unwrap_or_else(PoisonError::into_inner);
    }
    state
        .jobs
        .get(browser)
        .map_or("[]".to_owned(), Value::to_string)
}

/// Reads the head of a request without its last line, and what came after it.
fn read_head(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Some((head, rest));
        }
        match socket.read(&mut buffer) {
            Ok(len @ 1..) => bytes.extend_from_slice(&buffer[..len]),
            _ => return None,
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Passes one request on to the server, and returns its response without the fields that forbid
/// embedding.
fn pass_on(mut socket: TcpStream, head: &str, rest: &[u8], server: SocketAddr) -> io::Result<()> {
    let is_upgrade = header(head, "upgrade").is_some();
    let mut upstream = TcpStream::connect(server)?;
    let without = |head: &str, names: &[&str]| {
        let lines = head.lines().enumerate().filter(|(index, line)| {
            let name = line.split(':').next().unwrap_or_default().to_lowercase();
            *index == 0 || !names.contains(&&name[..])
        });
        lines.fold(String::new(), |all, (_, line)| all + line + "\r\n")
    };
    let mut request = match is_upgrade {
        true => format!("{head}\r\n"),
        false => without(head, &["connection"]) + "Connection: close\r\n",
    };
    request += "\r\n";
    upstream.write_all(request.as_bytes())?;
    upstream.write_all(rest)?;
    let mut from = socket.try_clone()?;
    let mut to = upstream.try_clone()?;
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    if let Some((head, rest)) = read_head(&mut upstream) {
        let head = without(&head, &["x-frame-options", "content-security-policy"]);
        socket.write_all(head.as_bytes())?;
        socket.write_all(b"\r\n")?;
        socket.write_all(&rest)?;
        let _ = io::copy(&mut upstream, &mut socket);
    }
    let _ = socket.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
    Ok(())
}
