//! Requests that wait for an answer, on their connection's thread.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use crate::config::one_client;
use crate::http::{Response, Status};
use crate::live::hls::requests::{Answer, Asker, HlsRequest, Look, Unavailable};
use crate::live::stream::Stream;
use crate::live::{Millis, lock};
use crate::server::Shared;
use crate::server::connection::check_open;
use crate::server::end::ConnectionEnd;
use crate::server::http_conn::writer::Writer;
use crate::server::http_conn::{self, HttpEnd};

/// How often a waiting request checks whether its connection has to end, in ms.
const CHECK_INTERVAL: Millis = 1_000;

/// A client may use a quarter of the places for waiting requests, but at least this number: enough for a
/// few players of video and audio.
const MIN_PER_CLIENT: usize = 8;

/// The waiting requests of all streams, by client. Each occupies a thread that exists anyway, so there
/// are as many places as connections; but no client may occupy all of them.
pub(in crate::server) struct Waiters {
    max: usize,
    /// The client of each waiting request.
    clients: Mutex<Vec<IpAddr>>,
}

/// A place among the requests that wait, given back when dropped.
struct WaitingPlace<'a> {
    waiters: &'a Waiters,
    client: IpAddr,
}

impl Waiters {
    pub(in crate::server) fn new(max: usize) -> Waiters {
        Waiters {
            max,
            clients: Mutex::default(),
        }
    }

    fn try_add(&self, client: IpAddr) -> Option<WaitingPlace<'_>> {
        let mut clients = lock(&self.clients);
        let own = clients.iter().filter(|other| **other == client).count();
        if clients.len() >= self.max || own >= (self.max / 4).max(MIN_PER_CLIENT) {
            return None;
        }
        clients.push(client);
        Some(WaitingPlace {
            waiters: self,
            client,
        })
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        let mut clients = lock(&self.waiters.clients);
        if let Some(at) = clients.iter().position(|other| *other == self.client) {
            clients.swap_remove(at);
        }
    }
}

/// Returns a stream's answer to a request, or the response that says why there is none.
#[inline(never)] // Keeps these locals off the stack while the response is sent.
pub(super) fn answer(
    writer: &mut Writer<'_>,
    stream: &Stream,
    request: HlsRequest,
) -> Result<Result<Answer, Response>, HttpEnd> {
    let shared: &Shared = writer.shared;
    let retry_later = |why| http_conn::retry_later(Status::ServiceUnavailable, why);
    let address = writer.client.address().ip();
    let asker = Asker {
        address,
        connection: writer.client.id(),
        now: shared.now(),
        nonce: super::random,
    };
    let mut look = stream.ask_hls(request, &asker);
    if let Ok(Look::Wait { limit, seen }) = look {
        let Some(_place) = shared.waiters.try_add(one_client(address)) else {
            return Ok(Err(retry_later("too many requests wait")));
        };
        stream.begin_hls_wait();
        let waited = wait(writer, stream, request, &asker, limit, seen);
        stream.end_hls_wait(shared.now());
        look = waited?;
    }
    // The time that the client has to receive the response begins now, not when the request arrived.
    writer.since = shared.now();
    Ok(match look {
        Ok(Look::Answer(answer)) => Ok(answer),
        Ok(Look::Wait { .. }) => Err(retry_later("nothing new has come")),
        Err(why) => Err(super::refusal(why)),
    })
}

/// Asks again after each change of the stream, until there is an answer or the time is over.
fn wait(
    writer: &Writer<'_>,
    stream: &Stream,
    request: HlsRequest,
    asker: &Asker,
    limit: Millis,
    mut seen: u32,
) -> Result<Result<Look, Unavailable>, HttpEnd> {
    let (shared, client) = (writer.shared, writer.client);
    let until = asker.now + limit;
    loop {
        let left = until.saturating_sub(shared.now()).min(CHECK_INTERVAL);
        stream.wait_for_hls(seen, Duration::from_millis(left));
        let is_last = shared.now() >= until;
        match stream.look_again(request, asker, is_last) {
            Ok(Look::Wait { seen: newer, .. }) if !is_last => seen = newer,
            look => return Ok(look),
        }
        check_open(shared, client.id())?;
        // Looked up, because nothing reads the socket during the wait.
        if writer.socket.is_closed_by_peer() {
            return Err(ConnectionEnd::Closed.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_have_a_quarter_of_the_places_but_no_fewer_than_eight() {
        let client = |last: u8| IpAddr::from([192, 0, 2, last]);
        for (max, per_client) in [(256, 64), (40, 10), (20, 8)] {
            let waiters = Waiters::new(max);
            let mut places = Vec::new();
            let mut add = |of| places.extend(waiters.try_add(client(of)));
            (0..max).for_each(|_| add(1));
            (0..max).for_each(|_| add(2));
            assert_eq!(places.len(), 2 * per_client, "of {max}");
            // Places that were given back are free again.
            drop(places.pop());
            assert!(waiters.try_add(client(2)).is_some());
        }
    }

    #[test]
    fn there_are_no_more_places_than_connections() {
        let waiters = Waiters::new(3);
        let places = [1, 2, 3, 4].map(|last| waiters.try_add(IpAddr::from([192, 0, 2, last])));
        assert!(places[..3].iter().all(Option::is_some) && places[3].is_none());
        drop(places);
        assert!(lock(&waiters.clients).is_empty());
    }
}
