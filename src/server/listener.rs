//! Listening sockets, and the threads that accept connections on them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket as RawSocket, Type};

use super::Shared;
use super::connection::refuse;
use super::connections::{Full, Permit};
use super::handler::Protocol;
use super::{http_conn, rtmp_conn, thread};
use crate::config::Shown;
use crate::net::socket::Socket;
use crate::net::tls::{Reload, TlsServer};

/// The pause after a failed accept: without descriptors or memory, the next try would fail, too.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The maximum number of connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 128;

/// A listening socket.
pub(super) struct Listener {
    socket: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) protocol: Protocol,
    /// Whether clients have to speak TLS.
    pub(super) is_tls: bool,
}

impl Listener {
    /// Listens on an address. `[::]` includes IPv4, and means only IPv4 if the machine has no IPv6.
    pub(super) fn bind(
        address: SocketAddr,
        protocol: Protocol,
        is_tls: bool,
    ) -> io::Result<Listener> {
        let socket = match bind(address) {
            Err(_) if address.is_ipv6() && address.ip().is_unspecified() && !has_ipv6() => {
                bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))?
            }
            result => result?,
        };
        let address = socket.local_addr()?;
        Ok(Listener {
            socket,
            address,
            protocol,
            is_tls,
        })
    }

    /// Ends the thread's `accept`.
    pub(super) fn close(&self) {
        // On Linux, this wakes the thread in `accept`. On other systems, a connection from here does.
        let is_woken = SockRef::from(&self.socket).shutdown(Shutdown::Both).is_ok();
        if !is_woken && !cfg!(target_os = "linux") {
            let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Lets a restarted server listen before the connections of its last run have timed out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn has_ipv6() -> bool {
    RawSocket::new(Domain::IPV6, Type::STREAM, None).is_ok()
}

/// Starts the thread that accepts on a listener.
pub(super) fn spawn(listener: Arc<Listener>, shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let accept = move || accept_loop(&listener, &shared);
    thread::spawn("accept", thread::STACK_LEN, Box::new(accept))
}

fn accept_loop(listener: &Listener, shared: &Arc<Shared>) {
    let mut is_failing = false;
    while !shared.is_stopping() {
        match listener.socket.accept() {
            Ok((stream, peer)) => {
                is_failing = false;
                if !shared.is_stopping() {
                    begin(stream, canonical(peer), listener, shared);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if shared.is_stopping() => {}
            Err(error) => {
                // Logged once, not with every try while the failure lasts.
                if !is_failing {
                    log::error!("cannot accept connections on {}: {error}", listener.address);
                }
                is_failing = true;
                sleep(ACCEPT_PAUSE);
            }
        }
    }
}

fn begin(stream: TcpStream, peer: SocketAddr, listener: &Listener, shared: &Arc<Shared>) {
    let protocol = listener.protocol;
    let socket = Socket::new(stream);
    let (socket, stack_len) = match shared.tls.as_ref().filter(|_| listener.is_tls) {
        None => (socket, thread::STACK_LEN),
        Some(tls) => match inside(tls, socket) {
            Ok(socket) => (socket, thread::TLS_STACK_LEN),
            Err(error) => return log::warn!("{} refused: {error}", Shown(peer)),
        },
    };
    let socket = Arc::new(socket);
    // A proxy connects for many clients, whose rates are limited by their requests.
    let is_limited = !shared.is_of_proxy(protocol, peer, &socket);
    if is_limited && !shared.rates.allow(peer.ip(), shared.now()) {
        return refuse(shared, peer, Full::Rate(shared.rates.per_second));
    }
    let permit = match Permit::take(shared, protocol, peer, &socket) {
        Ok(permit) => permit,
        Err(full) => return refuse(shared, peer, full),
    };
    let name = format!("{} {}", protocol.name(), permit.id);
    let shared_by_all = Arc::clone(shared);
    let run = move || match protocol {
        Protocol::Rtmp => rtmp_conn::run(shared_by_all, socket, peer, permit),
        Protocol::Http => http_conn::run(shared_by_all, socket, peer, permit),
    };
    if let Err(error) = thread::spawn(&name, stack_len, Box::new(run)) {
        refuse(shared, peer, Full::Thread(error.kind()));
    }
}

/// Begins TLS on a connection, with the certificate as it is now.
fn inside(tls: &TlsServer, socket: Socket) -> io::Result<Socket> {
    match tls.reload() {
        Reload::Unchanged => {}
        Reload::Done => log::info!("the certificate has changed, and was loaded"),
        Reload::Failed(error) => {
            log::warn!(
                "the certificate has changed, and can't be used; the old one stays: {error}"
            );
        }
    }
    socket.accept_tls(tls)
}

/// Returns the address with mapped IPv4, as clients of a dual-stack listener have it, turned into plain
/// IPv4.
fn canonical(peer: SocketAddr) -> SocketAddr {
    match peer.ip() {
        IpAddr::V6(ip) => SocketAddr::new(ip.to_canonical(), peer.port()),
        IpAddr::V4(_) => peer,
    }
}
