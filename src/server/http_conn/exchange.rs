//! One request and its response.

use std::io::ErrorKind;
use std::sync::Arc;

use super::super::Shared;
use super::super::access::{Credentials, Page};
use super::super::connections::{Connections, Full};
use super::super::end::End;
use super::super::handler::{Client, Handler};
use super::super::socket::Socket;
use super::super::text::in_brackets;
use crate::http::head::MAX_HEAD_LEN;
use crate::http::response::Length;
use crate::http::{Body, Head, Method, Rejected, Response, Route};
use crate::live::Millis;
use crate::rtmp::stream_key::StreamKey;

/// A client takes a response at no less than this many bytes per ms: 128 kbit/s, too little for
/// anything to be watched.
const MIN_RATE: u64 = 16;

/// What it may take longer, in ms.
const PATIENCE: Millis = 15_000;

/// A body of at most so many bytes goes out together with its head.
const MAX_TOGETHER: usize = 8 * 1024;

/// How a handler answers.
pub(super) enum Reply {
    /// With this, which is written for it.
    Response(Response),
    /// To HEAD: with the head of a response that would go on until somebody closes.
    Unending(Response),
    /// It has done so itself, by [`Exchange::begin`] and [`Exchange::write`].
    Sent,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        Reply::Response(response)
    }
}

/// See the module's documentation.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) socket: &'a Arc<Socket>,
    pub(super) client: &'a mut Client,
    pub(super) head: &'a Head,
    /// What came behind the head.
    input: &'a mut Vec<u8>,
    is_shared: bool,
    /// Streams whose play was allowed, and has to be followed by its end.
    plays: Vec<StreamKey>,
    sending: Option<Sending>,
}

/// A response on its way.
struct Sending {
    since: Millis,
    sent: u64,
    /// Bytes that the head has promised.
    len: u64,
}

impl Sending {
    /// Whether the client takes what was given to it so slowly that it only holds a place.
    fn is_too_slow(&self, now: Millis) -> bool {
        now.saturating_sub(self.since) > PATIENCE + self.sent / MIN_RATE
    }
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        socket: &'a Arc<Socket>,
        client: &'a mut Client,
        head: &'a Head,
        input: &'a mut Vec<u8>,
    ) -> Exchange<'a> {
        Exchange {
            shared,
            socket,
            client,
            head,
            input,
            is_shared: false,
            plays: Vec::new(),
            sending: None,
        }
    }

    /// What the request says of who sends it.
    pub(super) fn credentials(&self) -> Credentials<'a> {
        let head = self.head;
        Credentials {
            query: head.query(),
            authorization: head.field("authorization"),
            page: Page {
                host: Some(head.host()).filter(|host| !host.is_empty()),
                origin: head.field("origin"),
                sec_fetch_site: head.field("sec-fetch-site"),
            },
        }
    }

    /// Decides whether pages of other sites may read the response.
    pub(super) fn decide_sharing(&mut self, route: &Route) {
        self.is_shared = match route {
            Route::Home | Route::Player(_) | Route::Asset(_) | Route::Health => true,
            Route::Connections | Route::Connection(_) | Route::Metrics | Route::Stat => false,
            _ => self.shared.guard.may_share(&self.credentials()),
        };
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The handlers have allowed to play this, which takes a viewer's place if it is live.
    pub(super) fn note_play(&mut self, key: &StreamKey) -> Result<(), Full> {
        self.plays.push(key.clone());
        Connections::note_play(self.shared, self.client.id(), key)
    }

    /// What the client calls itself, as it stands in log lines.
    pub(super) fn agent(&self) -> String {
        in_brackets(&self.client.connect().flash_ver)
    }

    /// What has come behind the request: for a protocol that begins with the response.
    pub(super) fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(self.input)
    }

    /// Puts back what came behind the request and wasn't for its handler; false if it is too much.
    pub(super) fn put_input(&mut self, bytes: &[u8]) -> bool {
        let fits = self.input.len() + bytes.len() < MAX_HEAD_LEN;
        if fits {
            self.input.extend_from_slice(bytes);
        }
        fits
    }

    /// Sends the head of a response whose body of `len` bytes follows by [`Exchange::write`];
    /// [`Reply::Sent`] says that it has.
    pub(super) fn begin(&mut self, response: Response, len: u64) -> Result<(), End> {
        let head = self.head_of(response, len);
        self.write_all(&head)
    }

    /// Sends the next bytes of the body, waiting for the client; to HEAD nothing.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        if let Some(sending) = &mut self.sending {
            sending.sent += bytes.len() as u64;
        }
        match self.head.method() {
            Method::Head => Ok(()),
            _ => self.write_all(bytes),
        }
    }

    /// Sends what is still to be sent; whether another request may follow.
    pub(super) fn finish(&mut self, reply: Reply) -> Result<bool, End> {
        if let Reply::Unending(response) = reply {
            let head = response.head(Length::UntilClose, true);
            self.write_all(head.as_bytes())?;
            return Ok(false);
        }
        if let Reply::Response(mut response) = reply {
            let body = std::mem::replace(&mut response.body, Body::Static(&[]));
            let body = match response.status.is_bodiless() {
                true => &[],
                false => body.as_bytes(),
            };
            let mut head = self.head_of(response, body.len() as u64);
            if body.len() <= MAX_TOGETHER && self.head.method() != Method::Head {
                head.extend_from_slice(body);
                self.write_all(&head)?;
                return Ok(self.head.is_persistent());
            }
            self.write_all(&head)?;
            self.write(body)?;
        }
        // A client that was promised more would take the next response for the rest.
        let is_complete = |sending: &Sending| sending.sent == sending.len;
        Ok(self.head.is_persistent() && self.sending.as_ref().is_some_and(is_complete))
    }

    fn head_of(&mut self, mut response: Response, len: u64) -> Vec<u8> {
        response.is_for_all_sites |= self.is_shared;
        if response.cache != Response::UNCACHED {
            // Who may read it depends on where the page is from.
            response = response.header("Vary", "Origin");
        }
        self.sending = Some(Sending {
            since: self.shared.now(),
            sent: 0,
            len,
        });
        let is_last = !self.head.is_persistent();
        response.head(Length::Known(len), is_last).into_bytes()
    }

    fn write_all(&self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            let written = self
                .socket
                .write(bytes)
                .map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => End::Slow,
                    kind => End::Lost(kind),
                })?;
            bytes = bytes.get(written..).unwrap_or_default();
            let now = self.shared.now();
            if self.sending.as_ref().is_some_and(|s| s.is_too_slow(now)) {
                return Err(End::Slow);
            }
        }
        Ok(())
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        for key in &self.plays {
            self.shared.connections.note_stop(self.client.id(), key);
            self.shared.handlers.stop(self.client, key);
        }
    }
}

/// Refuses a request that couldn't be read, after which nothing can be.
pub(super) fn reject(socket: &Socket, rejected: Rejected) {
    let response = Response::from(rejected);
    let body = response.body.as_bytes();
    let head = response.head(Length::Known(body.len() as u64), true);
    let _ = socket.write_all(&[head.as_bytes(), body].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_response_too_slowly_to_watch_it_is_told_apart() {
        for (sent, after, is_too_slow) in [
            (0, 15_000, false),
            (0, 15_001, true),
            // A page, a segment of 4 MB at 1 Mbit/s, and at 100 kbit/s.
            (24_000, 16_000, false),
            (4_000_000, 32_000, false),
            (4_000_000, 320_000, true),
        ] {
            let sending = Sending {
                since: 1_000,
                sent,
                len: sent,
            };
            let found = sending.is_too_slow(1_000 + after);
            assert_eq!(found, is_too_slow, "{sent} bytes in {after} ms");
        }
    }
}
