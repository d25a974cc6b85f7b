//! Plays over HLS as an embedding program's handler sees them: one for each viewer, not one for each
//! request.
//!
//! ```text
//! request    of a new viewer: play    of a known one: nothing
//! its end    nothing
//! 15 s without a request: stop
//! ```
//!
//! A viewer is a program at an address that plays a stream with a certain query. The access rules of the
//! configuration don't depend on this: they are checked for every request.
//!
//! No connection lasts as long as such a play, so a separate thread notifies the handler of its end. The
//! thread runs while there are sessions. Servers without a handler have no sessions.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::live::signal::Signal;
use crate::live::{Millis, lock};
use crate::rtmp::stream_key::StreamKey;
use crate::server::client::Client;
use crate::server::handler::{Handler, Refusal, StreamRequest};
use crate::server::thread::STACK_LEN;
use crate::server::{millis, thread};

/// A session ends if there is no request for this long, in ms. Players reload a playlist at least every
/// target duration, which is 13 s at most.
const IDLE_TIMEOUT: Millis = 15_000;

/// The sessions of a program's handler. See the module's documentation.
pub(in crate::server) struct HlsSessions {
    handler: Arc<dyn Handler>,
    max: usize,
    hasher: RandomState,
    started: Instant,
    list: Mutex<SessionList>,
    /// Notified when all sessions have been ended.
    emptied: Signal,
}

#[derive(Default)]
struct SessionList {
    open: Vec<Session>,
    /// Whether the thread that ends sessions is running.
    is_reaped: bool,
}

struct Session {
    /// The hash that identifies the viewer.
    viewer: u64,
    /// The client that sent the first request.
    client: Client,
    /// The stream that the viewer was allowed to play.
    key: StreamKey,
    /// The connections on which requests are being answered.
    connections: Vec<u64>,
    asked: Millis,
}

impl Session {
    /// Returns the shortest time until the session can be idle for too long, in ms.
    fn left(&self, now: Millis) -> Millis {
        if self.connections.is_empty() {
            (self.asked + IDLE_TIMEOUT).saturating_sub(now)
        } else {
            IDLE_TIMEOUT
        }
    }
}

impl HlsSessions {
    /// Creates a list of at most `max` sessions. Beyond these, each request is a separate play.
    pub(in crate::server) fn new(handler: Arc<dyn Handler>, max: usize) -> Arc<HlsSessions> {
        Arc::new(HlsSessions {
            handler,
            max,
            hasher: RandomState::new(),
            started: Instant::now(),
            list: Mutex::default(),
            emptied: Signal::default(),
        })
    }

    /// Decides about a request for a playlist, or for a file that one lists.
    pub(in crate::server) fn play(
        self: &Arc<Self>,
        client: &Client,
        request: &mut StreamRequest<'_>,
    ) -> Result<(), Refusal> {
        let viewer = self.viewer(client, request);
        if let Some(key) = self.join(viewer, client.id()) {
            request.set_key(key);
            return Ok(());
        }
        self.handler.play(client, request)?;
        if self.begin(viewer, client, request.key(), self.now()) {
            self.start_reaping();
        }
        Ok(())
    }

    /// Notes the end of an HTTP request. A request that belongs to no session was a separate play.
    pub(in crate::server) fn stop(&self, client: &Client, stream: &StreamKey) {
        if !self.leave(client.id(), self.now()) {
            self.handler.stop(client, stream);
        }
    }

    /// Ends all sessions, when the server stops and no request is being answered.
    pub(in crate::server) fn end_all(&self) {
        let open = std::mem::take(&mut lock(&self.list).open);
        self.emptied.notify();
        for session in open {
            self.handler.stop(&session.client, &session.key);
        }
    }

    /// Starts the thread that ends sessions, unless it is running.
    fn start_reaping(self: &Arc<Self>) {
        if std::mem::replace(&mut lock(&self.list).is_reaped, true) {
            return;
        }
        let sessions = Arc::clone(self);
        let run = Box::new(move || sessions.reap());
        if thread::spawn("hls sessions", STACK_LEN, run).is_err() {
            // The next session tries again to start it.
            lock(&self.list).is_reaped = false;
        }
    }

    fn now(&self) -> Millis {
        millis(self.started.elapsed())
    }

    /// Returns a hash that identifies the viewer that sends a request. It is keyed, so that no client
    /// can craft a collision with another one.
    fn viewer(&self, client: &Client, request: &StreamRequest<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        client.address().ip().hash(&mut hasher);
        client.user_agent().hash(&mut hasher);
        request.name().hash(&mut hasher);
        // HLS parameters are left out, since they differ from one request to the next.
        let parameters = request.query.unwrap_or_default().split('&');
        let parameters = parameters.filter(|text| !text.is_empty() && !text.starts_with("_HLS_"));
        parameters.for_each(|text| text.hash(&mut hasher));
        hasher.finish()
    }

    /// Adds a request to the viewer's session, if there is one, and returns the stream that it plays.
    fn join(&self, viewer: u64, connection: u64) -> Option<StreamKey> {
        let mut list = lock(&self.list);
        let session = list.open.iter_mut().find(|open| open.viewer == viewer)?;
        session.connections.push(connection);
        Some(session.key.clone())
    }

    /// Begins a session with a request that was allowed. Returns false if the request has to be a
    /// separate play: because there is no room, or another request of the viewer was faster.
    fn begin(&self, viewer: u64, client: &Client, key: &StreamKey, now: Millis) -> bool {
        let mut list = lock(&self.list);
        if list.open.len() >= self.max || list.open.iter().any(|open| open.viewer == viewer) {
            return false;
        }
        list.open.push(Session {
            viewer,
            connections: vec![client.id()],
            client: client.clone(),
            key: key.clone(),
            asked: now,
        });
        true
    }

    /// Ends a request. Returns false if it was a separate play.
    fn leave(&self, connection: u64, now: Millis) -> bool {
        let mut list = lock(&self.list);
        for session in &mut list.open {
            let mut connections = session.connections.iter();
            if let Some(index) = connections.position(|other| *other == connection) {
                session.connections.swap_remove(index);
                session.asked = now;
                return true;
            }
        }
        false
    }

    /// Removes and returns an idle session, or returns the time until there may be one, in ms. `None` if
    /// there are no sessions.
    fn take_idle(list: &mut SessionList, now: Millis) -> Option<Result<Session, Millis>> {
        let lefts = list.open.iter().map(|session| session.left(now));
        let (index, left) = lefts.enumerate().min_by_key(|(_, left)| *left)?;
        Some(if left == 0 {
            Ok(list.open.swap_remove(index))
        } else {
            Err(left)
        })
    }

    fn reap(&self) {
        let mut list = lock(&self.list);
        while let Some(idle) = HlsSessions::take_idle(&mut list, self.now()) {
            match idle {
                Ok(session) => {
                    // Outside the lock, since the handler may block.
                    drop(list);
                    self.handler.stop(&session.client, &session.key);
                    list = lock(&self.list);
                }
                Err(left) => list = self.emptied.wait(list, Duration::from_millis(left)),
            }
        }
        list.is_reaped = false;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A handler that records all questions and notifications.
    #[derive(Default)]
    struct Witness(Mutex<Vec<String>>);

    impl Handler for Witness {
        fn play(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
            lock(&self.0).push(format!("#{} play {}", client.id(), request.name()));
            match request.name() {
                "live/no" => Err(Refusal::new("no")),
                _ => Ok(()),
            }
        }

        fn stop(&self, client: &Client, stream: &StreamKey) {
            lock(&self.0).push(format!("#{} stop {stream}", client.id()));
        }
    }

    fn client(id: u64, address: &str, user_agent: &str) -> Client {
        let address: SocketAddr = address.parse().unwrap();
        Client::over_http(id, address, address, user_agent)
    }

    fn play(sessions: &Arc<HlsSessions>, client: &Client, target: &str) -> bool {
        let (name, query) = target.split_once('?').unwrap_or((target, ""));
        let key = StreamKey::new("", name).unwrap();
        let mut request = StreamRequest::over_http(client, &key, Some(query));
        sessions.play(client, &mut request).is_ok()
    }

    fn door() -> StreamKey {
        StreamKey::new("live", "door").unwrap()
    }

    #[test]
    fn a_viewer_is_an_address_a_program_a_stream_and_a_query() {
        let witness = Arc::new(Witness::default());
        let sessions = HlsSessions::new(witness.clone(), 100);
        let first = client(1, "192.0.2.1:1000", "player");
        for (viewer, name, is_new) in [
            (&first, "live/door?key=a", true),
            (&first, "live/door?key=a", false),
            (&first, "live/door?key=a&_HLS_msn=7&_HLS_part=1", false),
            (&first, "live/door?key=b", true),
            (&first, "live/door?", true),
            (&first, "live/door?_HLS_msn=7", false),
            (&first, "live/street?key=a", true),
            (
                &client(2, "192.0.2.1:2000", "player"),
                "live/door?key=a",
                false,
            ),
            (
                &client(3, "192.0.2.1:3000", "other"),
                "live/door?key=a",
                true,
            ),
            (
                &client(4, "192.0.2.2:1000", "player"),
                "live/door?key=a",
                true,
            ),
        ] {
            let before = lock(&witness.0).len();
            assert!(play(&sessions, viewer, name));
            sessions.stop(viewer, &door());
            let asked = lock(&witness.0).len() - before;
            assert_eq!(asked, usize::from(is_new), "{viewer} {name}");
        }
        let before = lock(&witness.0).len();
        sessions.end_all();
        let lines = lock(&witness.0).split_off(before);
        assert_eq!(lines.len(), before, "each play has its end");
        assert!(lines.iter().all(|line| line.contains("stop live/")));
    }

    #[test]
    fn a_session_ends_15_seconds_after_the_end_of_its_last_request() {
        let witness = Arc::new(Witness::default());
        let sessions = HlsSessions::new(witness, 100);
        let (first, second) = (
            client(1, "192.0.2.1:1000", "player"),
            client(2, "192.0.2.1:2000", "player"),
        );
        assert!(sessions.begin(7, &first, &door(), 1_000));
        assert!(!sessions.begin(7, &second, &door(), 1_000), "it is known");
        assert_eq!(sessions.join(7, second.id()), Some(door()));
        assert!(sessions.leave(first.id(), 2_000));
        assert!(
            !sessions.leave(first.id(), 2_000),
            "it has no more requests"
        );
        let left = |now| match HlsSessions::take_idle(&mut lock(&sessions.list), now) {
            Some(Ok(session)) => Ok(session.client.id()),
            Some(Err(left)) => Err(left),
            None => panic!("no session"),
        };
        assert_eq!(left(90_000), Err(15_000), "one request is being answered");
        assert!(sessions.leave(second.id(), 100_000));
        assert_eq!(left(114_999), Err(1));
        assert_eq!(left(115_000), Ok(1), "as the client of the first request");
        assert!(HlsSessions::take_idle(&mut lock(&sessions.list), 0).is_none());
    }

    #[test]
    fn what_has_no_session_is_a_play_of_its_own() {
        let witness = Arc::new(Witness::default());
        let sessions = HlsSessions::new(witness.clone(), 0);
        let viewer = client(1, "192.0.2.1:1000", "player");
        for _ in 0..2 {
            assert!(play(&sessions, &viewer, "live/door"), "there is no room");
            sessions.stop(&viewer, &door());
        }
        assert!(!play(&sessions, &viewer, "live/no"));
        sessions.end_all();
        let expected = [
            "#1 play live/door",
            "#1 stop live/door",
            "#1 play live/door",
            "#1 stop live/door",
            "#1 play live/no",
        ];
        assert_eq!(*lock(&witness.0), expected);
    }
}
