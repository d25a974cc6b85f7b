//! Sends a response piece by piece, so that a long one is never in memory as a whole.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use super::Connection;
use super::end::HttpEnd;
use super::exchange::Facts;
use crate::http::response::Length;
use crate::http::{Rejected, Response, Status, conditions, inflate};
use crate::live::Millis;
use crate::net::socket::Socket;
use crate::server::Shared;
use crate::server::connection::check_open;
use crate::server::end::ConnectionEnd;
use crate::server::handler::Client;
use crate::server::wall_clock;

/// The minimum rate at which a client has to receive a response, in bytes per ms: 128 kbit/s, too little
/// to watch anything.
const MIN_RATE: u64 = 16;

/// The time that a client has in addition, in ms.
const PATIENCE: Millis = 15_000;

/// How often a writer checks whether the connection has to end, in ms.
const LOOK_INTERVAL: Millis = 1_000;

/// The number of bytes that are collected before they are sent. A body that isn't longer is sent
/// together with its head.
pub(super) const PIECE_LEN: usize = 2 * 1024;

/// The number of bytes of a block that are left free for the head of a response whose body is made in
/// the block.
pub(super) const HEAD_ROOM: usize = 1024;

/// The number of bytes before a piece, for the chunk size in three hexadecimal digits and CR LF, and
/// after it, for CR LF.
const BEFORE: usize = 5;
const BEHIND: usize = 2;

/// See the module's documentation.
pub(super) struct Writer<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) socket: &'a Arc<Socket>,
    pub(super) client: &'a Client,
    facts: Facts,
    /// The start of the time that the client has to receive the response.
    pub(super) since: Millis,
    looked: Millis,
    sent: u64,
    /// The length of head and body in bytes, if the head announces it.
    len: Option<u64>,
    /// Whether the whole response has been sent, so that another one may follow.
    is_complete: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        shared: &'a Arc<Shared>,
        facts: Facts,
    ) -> Writer<'a> {
        let now = shared.now();
        Writer {
            shared,
            socket: &connection.socket,
            client: &connection.client,
            facts,
            since: now,
            looked: now,
            sent: 0,
            len: None,
            is_complete: false,
        }
    }

    /// Whether another request may follow.
    pub(super) fn may_go_on(&self) -> bool {
        self.facts.is_persistent && self.is_complete
    }

    /// Sends a response whose body is complete in memory.
    pub(super) fn respond(&mut self, mut response: Response) -> Result<(), HttpEnd> {
        let body = std::mem::take(&mut response.body);
        let body = match response.status.is_bodiless() {
            true => &[][..],
            false => &*body,
        };
        let mut head = self.head(response, Length::Known(body.len() as u64));
        if body.len() > PIECE_LEN || self.facts.is_head {
            self.write_all(&head)?;
            return self.write(body);
        }
        head.extend_from_slice(body);
        self.write_all(&head)
    }

    /// Sends the head of a response whose body would go on until somebody closes the connection.
    pub(super) fn describe(&mut self, response: &Response) -> Result<(), HttpEnd> {
        let head = response.head(Length::UntilClose, true);
        self.write_all(head.as_bytes())
    }

    /// Sends the head of a response, whose body follows by [`write`](Self::write).
    pub(super) fn begin(&mut self, response: Response, length: Length) -> Result<(), HttpEnd> {
        let head = self.head(response, length);
        self.write_all(&head)
    }

    /// Returns the head of a response. The caller has to send it next.
    pub(super) fn head(&mut self, mut response: Response, length: Length) -> Vec<u8> {
        response.date = now();
        response.is_for_all_sites |= self.facts.is_shared;
        if response.cache != Response::UNCACHED {
            // Which pages may read the response depends on their origin.
            response = response.header("Vary", "Origin");
        }
        let is_last = !self.facts.is_persistent;
        let head = response.head(length, is_last).into_bytes();
        self.len = match length {
            Length::Known(len) => Some(head.len() as u64 + len),
            _ => None,
        };
        head
    }

    /// Notes that bytes were sent. Fails if the client is too slow, or the connection has to end.
    pub(super) fn note_sent(&mut self, len: usize, was_blocked: bool) -> Result<(), HttpEnd> {
        self.sent += len as u64;
        self.is_complete |= self.len == Some(self.sent);
        let now = self.shared.now();
        // Measured over the whole response, so that a client may be slow for a while.
        if now.saturating_sub(self.since) > PATIENCE + self.sent / MIN_RATE {
            return Err(HttpEnd::Slow);
        }
        if was_blocked || now.saturating_sub(self.looked) >= LOOK_INTERVAL {
            self.looked = now;
            check_open(self.shared, self.client.id())?;
        }
        Ok(())
    }

    /// Sends the next bytes of the body, and waits for the client if necessary. Sends nothing in answer
    /// to HEAD.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), HttpEnd> {
        match self.facts.is_head {
            true => self.note_sent(bytes.len(), false),
            false => self.write_all(bytes),
        }
    }

    /// Whether the request wants a body; otherwise the head alone is the complete response.
    pub(super) fn wants_body(&mut self) -> bool {
        self.is_complete |= self.facts.is_head;
        !self.facts.is_head
    }

    /// Sends a response whose body is made by `make`, in pieces.
    pub(super) fn write_made(
        &mut self,
        response: Response,
        make: &mut dyn FnMut(&mut dyn fmt::Write),
    ) -> Result<(), HttpEnd> {
        let mut pieces = Pieces {
            writer: self,
            response: Some(response),
            buffer: [0; PIECE_LEN + BEFORE + BEHIND],
            len: 0,
            outcome: None,
        };
        make(&mut pieces);
        pieces.finish()
    }

    /// Sends a response whose body is made by `make`. Nearly all bodies fit into a block; these have a
    /// tag, and aren't sent if the tag is in `known`. Others are sent in pieces.
    #[inline(never)]
    pub(super) fn write_tagged(
        &mut self,
        mut response: Response,
        known: &str,
        make: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result,
    ) -> Result<(), HttpEnd> {
        if let Some(mut block) = self.shared.scratches.take() {
            let mut room = Room {
                bytes: block.bytes_mut(),
                end: HEAD_ROOM,
            };
            if make(&mut room).is_ok() {
                let end = room.end;
                let body = block.bytes().get(HEAD_ROOM..end).unwrap_or_default();
                let hash = conditions::hash(body);
                let tag = conditions::tag(&format_args!("{hash:016x}"));
                response = response.header("ETag", &tag);
                if conditions::lists(known, &tag) {
                    response.status = Status::NotModified;
                    return self.respond(response);
                }
                return self.respond_from(response, block.bytes_mut(), end);
            }
        }
        self.write_made(response, &mut |out| {
            // The writer remembers its own failure.
            let _ = make(out);
        })
    }

    /// Unpacks and sends a response with a gzip body, for a client that doesn't accept gzip.
    #[inline(never)]
    pub(super) fn unpack(&mut self, response: Response) -> Result<(), HttpEnd> {
        if let Some(mut block) = self.shared.scratches.take() {
            let room = block.bytes_mut().get_mut(HEAD_ROOM..).unwrap_or_default();
            if let Some(len) = inflate::unpack(&response.body, room) {
                return self.respond_from(response, block.bytes_mut(), HEAD_ROOM + len);
            }
        }
        self.respond(super::no_memory())
    }

    /// Sends a response whose body lies behind the room for its head. Both are sent with one call.
    fn respond_from(
        &mut self,
        response: Response,
        buffer: &mut [u8],
        end: usize,
    ) -> Result<(), HttpEnd> {
        let len = end - HEAD_ROOM;
        let head = self.head(response, Length::Known(len as u64));
        let place = HEAD_ROOM.checked_sub(head.len()).map(|start| start..end);
        let room = place.and_then(|place| buffer.get_mut(place));
        if let Some(room) = room.filter(|_| !self.facts.is_head) {
            room[..head.len()].copy_from_slice(&head);
            return self.write_all(room);
        }
        self.write_all(&head)?;
        self.write(buffer.get(HEAD_ROOM..end).unwrap_or_default())
    }

    /// Sends the next bytes, and waits for the client if necessary.
    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), HttpEnd> {
        while !bytes.is_empty() {
            let written = match self.socket.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => self.check(result)?,
            };
            self.note_sent(written, written < bytes.len())?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Maps an error of the socket to the end of the connection.
    pub(super) fn check<T>(&self, result: io::Result<T>) -> Result<T, HttpEnd> {
        result.map_err(|error| {
            if let Err(end) = check_open(self.shared, self.client.id()) {
                return end.into();
            }
            match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => HttpEnd::Slow,
                kind => ConnectionEnd::Lost(kind).into(),
            }
        })
    }
}

/// Returns the time in seconds since 1970.
pub(super) fn now() -> u64 {
    wall_clock::now() / 1_000
}

/// Room for a body of limited length.
struct Room<'a> {
    bytes: &'a mut [u8],
    end: usize,
}

impl fmt::Write for Room<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.end + text.len();
        let room = self.bytes.get_mut(self.end..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.end = end;
        Ok(())
    }
}

/// A body that is being made, of which only one piece is in memory at a time.
struct Pieces<'w, 'a> {
    writer: &'w mut Writer<'a>,
    /// The response, until its head has been sent.
    response: Option<Response>,
    buffer: [u8; PIECE_LEN + BEFORE + BEHIND],
    /// The number of bytes of the body in the buffer.
    len: usize,
    /// Set once no more bytes are wanted: after the head, if the request was HEAD, or after a failure.
    outcome: Option<Result<(), HttpEnd>>,
}

impl Pieces<'_, '_> {
    /// Sends the bytes in the buffer, and empties it.
    fn flush(&mut self) -> Result<(), HttpEnd> {
        let is_chunked = self.writer.facts.is_1_1;
        if let Some(response) = self.response.take() {
            let length = match is_chunked {
                true => Length::Chunked,
                false => Length::UntilClose,
            };
            self.writer.begin(response, length)?;
            if self.writer.facts.is_head {
                self.outcome = Some(Ok(()));
                return Ok(());
            }
        }
        let (start, end) = match is_chunked {
            true => (0, BEFORE + self.len + BEHIND),
            false => (BEFORE, BEFORE + self.len),
        };
        let buffer = &mut self.buffer;
        // Can't fail: the length of a piece has at most three digits.
        let _ = write!(&mut buffer[..BEFORE], "{:03x}\r\n", self.len);
        buffer[BEFORE + self.len..][..BEHIND].copy_from_slice(b"\r\n");
        self.writer.write(&buffer[start..end])?;
        self.len = 0;
        Ok(())
    }

    /// Sends the rest. Receives `self` by reference, because by value, the buffer would be on the stack
    /// twice.
    fn finish(&mut self) -> Result<(), HttpEnd> {
        if let Some(outcome) = self.outcome.take() {
            self.writer.is_complete = outcome.is_ok();
            return outcome;
        }
        if let Some(mut response) = self.response.take() {
            // The whole body is in the buffer, so its length is known.
            response.body = self.buffer[BEFORE..BEFORE + self.len].to_vec().into();
            return self.writer.respond(response);
        }
        if self.len > 0 {
            self.flush()?;
        }
        if self.writer.facts.is_1_1 {
            self.writer.write(b"0\r\n\r\n")?;
        }
        self.writer.is_complete = true;
        Ok(())
    }
}

impl fmt::Write for Pieces<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            if self.outcome.is_some() {
                return Err(fmt::Error);
            }
            let room = &mut self.buffer[BEFORE + self.len..BEFORE + PIECE_LEN];
            let taken = bytes.len().min(room.len());
            room[..taken].copy_from_slice(&bytes[..taken]);
            self.len += taken;
            bytes = &bytes[taken..];
            // Flushed only if more follows: a body that fits is sent with its length.
            if !bytes.is_empty() {
                if let Err(end) = self.flush() {
                    self.outcome = Some(Err(end));
                }
            }
        }
        Ok(())
    }
}

/// Refuses a request that couldn't be parsed, so that no request after it can be, either.
pub(super) fn reject(socket: &Socket, rejected: Rejected) {
    let mut response = Response::from(rejected);
    response.date = now();
    let _ = socket.write_all(&whole(&response));
}

/// Returns the bytes of a response that is the last one on its connection.
pub(super) fn whole(response: &Response) -> Vec<u8> {
    let body = &*response.body;
    let head = response.head(Length::Known(body.len() as u64), true);
    [head.as_bytes(), body].concat()
}
