//! A connection's socket: its options, its blocking reads, and sends that never wait.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use super::tls::Tls;
use crate::live::out::sink::Sink;

/// The maximum number of unsent bytes that the kernel holds for a socket. No skip can remove lag in the
/// kernel's buffer, and by default Linux accepts 4 MB for a player that has stopped reading.
const MAX_UNSENT: u32 = 256 * 1024;

/// The same for a connection to another server: what the kernel holds there isn't seen to be stuck.
#[cfg(feature = "relay")]
const MAX_UNSENT_OUTGOING: u32 = 64 * 1024;

/// The timeout of a blocking write of replies.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The kernel gives up a peer that acknowledges no data for this long, or has no room for more.
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// The same for a server, behind which viewers wait.
#[cfg(feature = "relay")]
const USER_TIMEOUT_OUTGOING: Duration = Duration::from_secs(10);

/// See the module's documentation. Shared between the connection's own thread, which reads, and the
/// threads of the publishers whose streams it plays, which send.
pub(crate) struct Socket {
    stream: TcpStream,
    tls: Option<Box<Tls>>,
    /// The number of the subscriber that is in the middle of a message; 0 for none. A connection may
    /// play several streams, whose messages must not be mixed.
    claimed_by: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    /// The read timeout that was set last, in ms; 0 if none was.
    read_timeout: AtomicU64,
}

impl Socket {
    /// Wraps an accepted connection and sets its options, except those that the kernel doesn't support.
    pub(crate) fn new(stream: TcpStream) -> Socket {
        Socket::with(stream, USER_TIMEOUT, MAX_UNSENT)
    }

    /// Wraps a connection to another server.
    #[cfg(feature = "relay")]
    pub(crate) fn outgoing(stream: TcpStream) -> Socket {
        Socket::with(stream, USER_TIMEOUT_OUTGOING, MAX_UNSENT_OUTGOING)
    }

    fn with(stream: TcpStream, user_timeout: Duration, max_unsent: u32) -> Socket {
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(20))
            .with_interval(Duration::from_secs(5))
            .with_retries(3);
        let results = [
            // Replies are small and written whole. Nagle's algorithm would delay them by 40 ms.
            socket.set_tcp_nodelay(true),
            socket.set_tcp_keepalive(&keepalive),
            socket.set_tcp_user_timeout(Some(user_timeout)),
            socket.set_tcp_notsent_lowat(max_unsent),
            socket.set_write_timeout(Some(WRITE_TIMEOUT)),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            log::debug!("a socket option is not available: {error}");
        }
        Socket {
            stream,
            tls: None,
            claimed_by: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            read_timeout: AtomicU64::new(0),
        }
    }

    /// The same inside of TLS. The handshake is done by the first reads and writes.
    pub(crate) fn accept_tls(self, server: &super::tls::TlsServer) -> io::Result<Socket> {
        let tls = Some(Box::new(server.accept()?));
        Ok(Socket { tls, ..self })
    }

    /// The same inside of TLS, to a server of this name. With a pin, its certificate has to have this
    /// SHA-256. The handshake is done by the first reads and writes.
    #[cfg(feature = "relay")]
    pub(crate) fn connect_tls(
        self,
        client: &super::tls::TlsClient,
        host: &str,
        pin: Option<&[u8; 32]>,
    ) -> io::Result<Socket> {
        let tls = Some(Box::new(client.connect(host, pin)?));
        Ok(Socket { tls, ..self })
    }

    /// The address at which the connection was accepted; `None` if it is gone already.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        let address = self.stream.local_addr().ok()?;
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The address of the peer; `None` if the connection is gone already.
    #[cfg(feature = "relay")]
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        let address = self.stream.peer_addr().ok()?;
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// The number of bytes that the peer's system has acknowledged, and the number of those that it
    /// hasn't; `None` if this system doesn't tell.
    #[cfg(feature = "relay")]
    pub(crate) fn acknowledged(&self) -> Option<[u64; 2]> {
        #[cfg(target_os = "linux")]
        return super::acknowledged::ask(
            self.stream.local_addr().ok()?,
            self.stream.peer_addr().ok()?,
        );
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Whether the peer speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Why TLS has failed, in words; `None` if it hasn't.
    pub(crate) fn tls_failure(&self) -> Option<String> {
        self.tls.as_ref()?.failure()
    }

    /// Reads available bytes. Waits for them for at most the read timeout, after which it fails with
    /// [`WouldBlock`](ErrorKind::WouldBlock). Fails with [`Interrupted`](ErrorKind::Interrupted) if bytes
    /// have come, but none for the caller, as in a handshake of TLS. Fails with [`TimedOut`](ErrorKind::TimedOut) if the kernel
    /// has given up the connection.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = match &self.tls {
            None => (&self.stream).read(buffer),
            Some(tls) => {
                let raw = &mut |input: &mut [u8]| (&self.stream).read(input);
                tls.read(buffer, raw, &mut Unwaiting(&self.stream))
            }
        };
        count(&self.received, result)
    }

    /// Like [`read`](Self::read), into several buffers one after the other.
    pub(crate) fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match buffers {
            [first, ..] if self.tls.is_some() => self.read(first),
            _ => count(&self.received, (&self.stream).read_vectored(buffers)),
        }
    }

    /// The numbers of bytes received and sent.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        [&self.received, &self.sent].map(|bytes| bytes.load(Ordering::Relaxed))
    }

    /// Whether the peer has closed its side, or the connection is lost. False while earlier bytes are
    /// unread.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        if let Some(tls) = &self.tls {
            // What was peeked at is read without waiting.
            let raw = &mut |input: &mut [u8]| match self.peek()? {
                0 => Ok(0),
                _ => (&self.stream).read(input),
            };
            return tls.is_closed(raw);
        }
        match self.peek() {
            Ok(len) => len == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Whether a read would bring something, be it the end.
    #[cfg(feature = "relay")]
    pub(crate) fn has_input(&self) -> bool {
        if self.tls.as_ref().is_some_and(|tls| tls.has_input()) {
            return true;
        }
        !self.peek().is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        })
    }

    /// Looks at the next byte, which stays for the next read, without waiting; 0 if none follow.
    fn peek(&self) -> io::Result<usize> {
        let mut byte = [MaybeUninit::uninit()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        SockRef::from(&self.stream).recv_with_flags(&mut byte, flags)
    }

    /// Sets how long a read waits.
    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        // To the system, zero means no timeout.
        let ms = (timeout.as_millis() as u64).max(1);
        if self.read_timeout.swap(ms, Ordering::Relaxed) == ms {
            return Ok(());
        }
        self.stream
            .set_read_timeout(Some(Duration::from_millis(ms)))
    }

    /// Makes the kernel acknowledge the next bytes at once. Clients that hold back each small command
    /// until the previous one is acknowledged (Nagle's algorithm; ffmpeg, VLC and mpv among them)
    /// otherwise need 40 ms for each step from connect to play. The kernel resets this option, so it is
    /// set again before each read.
    pub(crate) fn acknowledge_quickly(&self) {
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&self.stream).set_tcp_quickack(true);
    }

    /// Writes all bytes, and waits if necessary. Only for a connection that plays nothing.
    pub(crate) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes some of the first bytes, and waits if necessary.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let result = match &self.tls {
            None => (&self.stream).write(bytes),
            Some(tls) => tls.write(bytes, &mut &self.stream),
        };
        count(&self.sent, result)
    }

    /// Wakes up the connection's thread from its read as if the peer had closed.
    pub(crate) fn stop_reading(&self) {
        // Fails only when the peer is gone already.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Ends the connection so that the peer can read the last bytes: closing it with unread input would
    /// reset the connection, and the peer could lose bytes that were sent to it.
    #[inline(never)] // Keeps the buffer off the stack of idle connection threads.
    pub(crate) fn drain(&self) {
        /// The maximum number of reads, and the maximum time for all of them.
        const MAX_READS: usize = 64;
        const PATIENCE: Duration = Duration::from_secs(1);

        self.finish();
        let deadline = Instant::now() + PATIENCE;
        let mut rest = [0; 1024];
        for _ in 0..MAX_READS {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.set_read_timeout(left).is_err() {
                break;
            }
            match self.read(&mut rest) {
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::Interrupted => break,
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// A socket to which writes never wait.
struct Unwaiting<'a>(&'a TcpStream);

impl Write for Unwaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        SockRef::from(self.0).send_with_flags(bytes, flags)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn count(bytes: &AtomicU64, result: io::Result<usize>) -> io::Result<usize> {
    if let Ok(len) = result {
        bytes.fetch_add(len as u64, Ordering::Relaxed);
    }
    result
}

impl Sink for Socket {
    fn try_send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(tls) = &self.tls {
            let result = tls.try_send(slices, &mut Unwaiting(&self.stream));
            return count(&self.sent, result);
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let socket = SockRef::from(&self.stream);
        let result = match slices {
            // The call for a single buffer is cheaper.
            [bytes] => socket.send_with_flags(bytes, flags),
            _ => socket.send_vectored_with_flags(slices, flags),
        };
        count(&self.sent, result)
    }

    fn flush(&self) -> io::Result<bool> {
        let tls = self.tls.as_ref();
        tls.map_or(Ok(true), |tls| tls.flush(&mut Unwaiting(&self.stream)))
    }

    fn shutdown(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn finish(&self) {
        if let Some(tls) = &self.tls {
            tls.close(&mut Unwaiting(&self.stream));
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn claim(&self, subscriber: u64) -> bool {
        let acquire = Ordering::Acquire;
        let claimed = self
            .claimed_by
            .compare_exchange(0, subscriber, acquire, acquire);
        claimed.map_or_else(|holder| holder == subscriber, |_| true)
    }

    fn release(&self, _subscriber: u64) {
        self.claimed_by.store(0, Ordering::Release);
    }
}
