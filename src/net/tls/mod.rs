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

mod client;
mod server;
mod words;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Mutex;

use rustls::Connection;

use crate::live::lock;

pub(crate) use self::client::TlsClient;
pub(crate) use self::server::{Reload, TlsServer};

/// The number of raw bytes that are read at once: a record of the largest size, with what is around it.
const INPUT_LEN: usize = 16 * 1024 + 256;

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
    pub(super) fn read(
        &self,
        buffer: &mut [u8],
        raw: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
        send: &mut dyn Write,
    ) -> io::Result<usize> {
        let input = &mut *lock(&self.input);
        loop {
            {
                let connection = &mut *lock(&self.connection);
                match connection.reader().read(buffer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // The peer has closed without a word. Media are complete messages anyway.
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                    result => return result,
                }
                if input.used < input.bytes.len() {
                    input.feed(connection)?;
                    // Alerts, and the messages of the handshake.
                    flush(connection, send)?;
                    continue;
                }
            }
            input.bytes.resize(INPUT_LEN, 0);
            input.used = 0;
            let result = raw(&mut input.bytes);
            input.bytes.truncate(*result.as_ref().unwrap_or(&0));
            if result? == 0 {
                return Ok(0);
            }
        }
    }

    /// Whether decrypted or encrypted bytes have been received that nobody has read.
    pub(super) fn has_input(&self) -> bool {
        let input = lock(&self.input);
        input.used < input.bytes.len()
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
        let mut taken = 0;
        for slice in slices {
            let len = connection.writer().write(slice)?;
            taken += len;
            if len < slice.len() {
                break;
            }
        }
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
