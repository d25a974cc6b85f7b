//! A player of the stream during the measurement, and how late each message arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::media;
use crate::process::Server;
use crate::session::{Protocol, Session};
use crate::view::View;

/// The phase in which a message arrives.
pub(crate) const UNCOUNTED: usize = 0;
pub(crate) const IDLE: usize = 1;
pub(crate) const NGINX: usize = 2;
pub(crate) const SERVER: usize = 3;

/// The names of the phases.
const PHASES: [(usize, &str); 3] = [
    (IDLE, "no requests"),
    (NGINX, "requests to nginx"),
    (SERVER, "requests to it"),
];

/// See the module's documentation.
pub(crate) struct Canary {
    socket: TcpStream,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    phase: AtomicUsize,
    is_over: AtomicBool,
    /// Delays by phase, in microseconds.
    delays: Mutex<[Vec<u32>; 4]>,
    fault: Mutex<Option<String>>,
}

impl Canary {
    pub(crate) fn start(server: &Server) -> Result<Self, String> {
        let mut session = Session::open(server, Protocol::Flv, 0)?;
        let failed = |error| format!("the player: {error}");
        let request = std::mem::take(&mut session.request);
        session.socket.write_all(&request).map_err(failed)?;
        let socket = session.socket.try_clone().map_err(failed)?;
        let shared = Arc::<Shared>::default();
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let result = play(session, &seen);
            if let (Err(fault), false) = (result, seen.is_over.load(Ordering::Relaxed)) {
                *seen.fault.lock().unwrap() = Some(fault);
            }
        });
        Ok(Self {
            socket,
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn set_phase(&self, phase: usize) {
        self.shared.phase.store(phase, Ordering::Relaxed);
    }

    /// Returns how late messages arrived in each phase, as lines of text, or what was wrong with
    /// them.
    pub(crate) fn report(&self, name: &str) -> Result<String, String> {
        if let Some(fault) = self.shared.fault.lock().unwrap().take() {
            return Err(format!("{name}'s player: {fault}"));
        }
        let mut delays = self.shared.delays.lock().unwrap();
        let mut text =
            format!("\n{name}'s player, delay in ms  messages  median     p99    most\n");
        for (phase, what) in PHASES {
            let delays = &mut delays[phase];
            delays.sort_unstable();
            let at = |percent: usize| {
                let index = (delays.len() * percent / 100).min(delays.len().saturating_sub(1));
                delays
                    .get(index)
                    .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
            };
            text += &format!(
                "  {what:28}  {:8}  {:6.2}  {:6.2}  {:6.2}\n",
                delays.len(),
                at(50),
                at(99),
                at(100)
            );
        }
        Ok(text)
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn play(mut session: Session, shared: &Shared) -> Result<(), String> {
    let mut view = View::new(0, 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match session.socket.read(&mut buffer) {
            Ok(0) => return Err("the server closed the connection".into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
        };
        let arrived_ns = media::now_ns();
        let phase = shared.phase.load(Ordering::Relaxed);
        session.reader.feed(&buffer[..count], |piece| {
            if let Some(sent_ns) = view.take(&piece)? {
                let delay = arrived_ns.saturating_sub(sent_ns) / 1000;
                shared.delays.lock().unwrap()[phase].push(delay as u32);
            }
            Ok(())
        })?;
        if let Some(fault) = view.faults.pop() {
            return Err(fault);
        }
    }
}
