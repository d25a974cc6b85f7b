//! What the peer of a connection has acknowledged, as the kernel knows it.
//!
//! Linux tells it over a netlink socket ("sock_diag"), as to the program `ss`. The other ways, the ioctl
//! SIOCOUTQ and the option TCP_INFO, need unsafe code.
//!
//! ```text
//! request  nlmsghdr 16 | inet_diag_req_v2 56: family, protocol, what to add, states, addresses
//! answer   nlmsghdr 16 | inet_diag_msg 72: state, addresses, queues | attribute INET_DIAG_INFO: tcp_info
//! ```

use std::io::Read;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// SOCK_DIAG_BY_FAMILY, and the flag of a request.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;

/// The number of the attribute with the `tcp_info`.
const INET_DIAG_INFO: u16 = 2;

const NLMSGHDR_LEN: usize = 16;
const REQUEST_LEN: usize = NLMSGHDR_LEN + 56;

/// The place of the send queue's length in an answer, and that of the first attribute.
const WQUEUE_AT: usize = NLMSGHDR_LEN + 60;
const ATTRIBUTES_AT: usize = NLMSGHDR_LEN + 72;

/// The place of `tcpi_bytes_acked` in a `tcp_info`, since Linux 4.1.
const BYTES_ACKED_AT: usize = 120;

/// Returns the number of bytes that the peer has acknowledged since the connection began, and the number of
/// those that the kernel holds for it; `None` if the kernel doesn't know, or can't be asked.
pub(super) fn ask(local: SocketAddr, peer: SocketAddr) -> Option<[u64; 2]> {
    let domain = Domain::from(libc::AF_NETLINK);
    let protocol = Protocol::from(libc::NETLINK_SOCK_DIAG);
    let mut kernel = Socket::new(domain, Type::DGRAM, Some(protocol)).ok()?;
    kernel.send(&request(local, peer)?).ok()?;
    // The kernel has answered within the send.
    kernel.set_nonblocking(true).ok()?;
    let mut answer = [0; 1024];
    let len = kernel.read(&mut answer).ok()?;
    parse(answer.get(..len)?)
}

/// The question about one connection. Numbers are in the machine's order, except for ports.
fn request(local: SocketAddr, peer: SocketAddr) -> Option<Vec<u8>> {
    const ANY: u32 = u32::MAX;

    let family = match local {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let interface = match peer {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(peer) => peer.scope_id(),
    };
    let mut request = Vec::with_capacity(REQUEST_LEN);
    request.extend((REQUEST_LEN as u32).to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and sender.
    request.extend([0; 8]);
    let info = 1 << (INET_DIAG_INFO - 1);
    request.extend([u8::try_from(family).ok()?, libc::IPPROTO_TCP as u8, info, 0]);
    // All states.
    request.extend(ANY.to_ne_bytes());
    request.extend([local.port(), peer.port()].map(u16::to_be_bytes).concat());
    for address in [local, peer] {
        match address.ip() {
            IpAddr::V4(address) => {
                request.extend(address.octets());
                request.extend([0; 12]);
            }
            IpAddr::V6(address) => request.extend(address.octets()),
        }
    }
    request.extend(interface.to_ne_bytes());
    // Any cookie.
    request.extend([ANY, ANY].map(u32::to_ne_bytes).concat());
    Some(request)
}

fn parse(answer: &[u8]) -> Option<[u64; 2]> {
    let u16_at = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    if u16_at(4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut at = ATTRIBUTES_AT;
    while u16_at(at + 2)? != INET_DIAG_INFO {
        // Attributes begin at multiples of four.
        at += usize::from(u16_at(at)?).max(4).next_multiple_of(4);
    }
    let bytes = answer.get(at + 4 + BYTES_ACKED_AT..)?.get(..8)?;
    let bytes = u64::from_ne_bytes(bytes.try_into().ok()?);
    Some([bytes, u32_at(WQUEUE_AT)?.into()])
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_a_peer_does_not_take_is_not_acknowledged() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // Without IPv6, there is nothing to ask.
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            let ask = || ask(near.local_addr().unwrap(), near.peer_addr().unwrap());
            // A kernel without sock_diag.
            let Some([first, 0]) = ask() else {
                assert_eq!(ask(), None);
                continue;
            };
            near.set_nonblocking(true).unwrap();
            let mut sent = 0;
            let blocked = loop {
                match (&near).write(&[0; 65_536]) {
                    Ok(len) => sent += len as u64,
                    Err(error) => break error,
                }
            };
            assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
            let [stuck, left] = ask().unwrap();
            assert!(left > 0);
            assert_eq!(stuck - first + left, sent);
            let mut rest = vec![0; sent as usize];
            far.read_exact(&mut rest).unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while ask().unwrap()[1] > 0 {
                assert!(Instant::now() < deadline, "never acknowledged");
                std::thread::yield_now();
            }
            assert_eq!(ask().unwrap()[0] - first, sent);
        }
    }

    #[test]
    fn broken_answers_say_nothing() {
        let mut answer = vec![0; 400];
        for len in 0..answer.len() {
            assert_eq!(parse(&answer[..len]), None);
        }
        answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        for len in 0..answer.len() {
            assert_eq!(parse(&answer[..len]), None);
        }
    }
}
