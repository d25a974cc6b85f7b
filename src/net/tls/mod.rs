//! TLS inside of a socket, in both directions.
//!
//! ```text
//! raw bytes -> read (no lock) -> input -> records --lock--> plaintext -> the connection's own thread
//! plaintext -> try_send, write_all --lock--> records -> raw bytes
//! ```
//!
//! The thread of the connection waits for raw bytes without the lock, so that other threads can send
//! meanwhile. What was accepted for sending leaves in order: as long as encrypted bytes wait for the kernel,
//! nothing more is accepted.

mod certificate;
#[cfg(all(test, feature = "relay"))]
mod tests;
#[cfg(feature = "relay")]
mod trust;
#[cfg(feature = "relay")]
mod verifier;
mod words;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Mutex;

use rustls::Connection;

use crate::live::lock;

pub(crate) use certificate::{Reload, TlsServer};
#[cfg(feature = "relay")]
pub(crate) use trust::TlsClient;

/// The number of raw bytes that are read at once. The connection takes no more at a time, and each idle
/// viewer keeps them.
const INPUT_LEN: usize = 4096;

/// The maximum number of bytes that wait encrypted, or are encrypted at once.
const MAX_PENDING: usize = 64 * 1024;

/// See the module's documentation.
pub(super) struct Tls {
    connection: Mutex<Connection>,
    /// Raw bytes that have been received and not yet been decrypted. Only the reading thread locks it.
    input: Mutex<Input>,
}

struct Input {
    bytes: Vec<u8>,
    used: usize,
}

impl Tls {
    pub(super) fn new(mut connection: Connection) -> Tls {
        connection.set_buffer_limit(Some(MAX_PENDING));
        Tls {
            connection: Mutex::new(connection),
            input: Mutex::new(Input {
                bytes: Vec::new(),
                used: 0,
            }),
        }
    }

    /// Reads plaintext. `raw` reads from the socket, and may wait; `send` sends to it without waiting.
    /// Fails with [`Interrupted`](ErrorKind::Interrupted) after each read that brought no plaintext, such as
    /// those of a handshake: so the caller sees in time how long that takes.
    pub(super) fn read(
        &self,
        buffer: &mut [u8],
        raw: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
        send: &mut dyn Write,
    ) -> io::Result<usize> {
        let input = &mut *lock(&self.input);
        let mut has_read = false;
        loop {
            {
                let connection = &mut *lock(&self.connection);
                match connection.reader().read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // The peer has closed without a word. Media are complete messages anyway.
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                    result => return result,
                }
                if input.has_some() {
                    let fed = input.feed(connection);
                    // Alerts, and the messages of the handshake.
                    let flushed = flush(connection, send);
                    fed?;
                    flushed?;
                    continue;
                }
            }
            if has_read {
                return Err(ErrorKind::Interrupted.into());
            }
            has_read = true;
            if input.fill(raw)? == 0 {
                return Ok(0);
            }
        }
    }

    /// Whether the peer has said that nothing more follows, or the connection is lost. False while
    /// plaintext is unread. `raw` reads from the socket without waiting. Only for the thread that reads.
    pub(super) fn is_closed(&self, raw: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> bool {
        let input = &mut *lock(&self.input);
        let connection = &mut *lock(&self.connection);
        loop {
            match connection.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return false,
                Ok(state) if state.peer_has_closed() => return true,
                Ok(_) => {}
                Err(_) => return true,
            }
            if input.has_some() {
                if input.feed(connection).is_err() {
                    return true;
                }
                continue;
            }
            match input.fill(raw) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    use ErrorKind::{Interrupted, WouldBlock};
                    return !matches!(error.kind(), WouldBlock | Interrupted);
                }
            }
        }
    }

    /// Whether bytes have been received that nobody has read. Only for the thread that reads.
    #[cfg(feature = "relay")]
    pub(super) fn has_input(&self) -> bool {
        if lock(&self.input).has_some() {
            return true;
        }
        let state = lock(&self.connection).process_new_packets();
        // A read tells of an error, or of the end.
        state.map_or(true, |state| {
            state.plaintext_bytes_to_read() > 0 || state.peer_has_closed()
        })
    }

    /// Why TLS has failed, in words; `None` if it hasn't.
    pub(super) fn failure(&self) -> Option<String> {
        let failed = lock(&self.connection).process_new_packets().err();
        failed.map(|error| words::text(&error))
    }

    /// Encrypts and sends some of the bytes, from the front, without waiting.
    pub(super) fn try_send(
        &self,
        slices: &[IoSlice<'_>],
        send: &mut dyn Write,
    ) -> io::Result<usize> {
        let connection = &mut *lock(&self.connection);
        if !flush(connection, send)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        // Together, so that small slices share records.
        let taken = connection.writer().write_vectored(slices)?;
        // What doesn't leave now does with the next call of `try_send` or `flush`.
        flush(connection, send)?;
        if taken == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    /// Sends encrypted bytes that wait; true if none are left.
    pub(super) fn flush(&self, send: &mut dyn Write) -> io::Result<bool> {
        flush(&mut lock(&self.connection), send)
    }

    /// Encrypts and sends some of the first bytes. `send` may wait.
    pub(super) fn write(&self, bytes: &[u8], send: &mut dyn Write) -> io::Result<usize> {
        let connection = &mut *lock(&self.connection);
        let taken = connection.writer().write(bytes)?;
        while connection.wants_write() {
            connection.write_tls(send)?;
        }
        Ok(taken)
    }

    /// Tells the peer that nothing more follows. `send` may wait.
    pub(super) fn close(&self, send: &mut dyn Write) {
        let connection = &mut *lock(&self.connection);
        connection.send_close_notify();
        while connection.wants_write() && connection.write_tls(send).is_ok_and(|len| len > 0) {}
    }
}

impl Input {
    fn has_some(&self) -> bool {
        self.used < self.bytes.len()
    }

    /// Reads raw bytes in place of the used ones.
    fn fill(&mut self, raw: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        self.bytes.resize(INPUT_LEN, 0);
        self.used = 0;
        let result = raw(&mut self.bytes);
        self.bytes.truncate(*result.as_ref().unwrap_or(&0));
        result
    }

    /// Decrypts as much as the connection has room for.
    fn feed(&mut self, connection: &mut Connection) -> io::Result<()> {
        let mut rest = self.bytes.get(self.used..).unwrap_or_default();
        let before = rest.len();
        connection.read_tls(&mut rest)?;
        self.used += before - rest.len();
        let processed = connection.process_new_packets();
        processed.map(drop).map_err(|error| words::to_io(&error))
    }
}

/// Sends encrypted bytes that wait, without waiting; true if none are left.
fn flush(connection: &mut Connection, send: &mut dyn Write) -> io::Result<bool> {
    while connection.wants_write() {
        match connection.write_tls(send) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
