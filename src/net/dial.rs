//! Outgoing connections.
//!
//! ```text
//! host -- resolved anew --> 2001:db8::7, 2001:db8::8, 192.0.2.7
//!                           1st          3rd          2nd         at most 3 s each
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::socket::Socket;

/// The time for one address.
const PATIENCE: Duration = Duration::from_secs(3);

/// The maximum number of addresses that are tried. A name server could send thousands.
const MAX_ADDRESSES: usize = 16;

/// The reason why there is no connection.
#[derive(Debug)]
pub(crate) struct DialError {
    /// The host and port that were asked for.
    place: String,
    what: Failed,
}

#[derive(Debug)]
enum Failed {
    Resolve(io::Error),
    /// The addresses that were tried, with what each has answered.
    Connect(Vec<(SocketAddr, io::Error)>),
    Cancelled,
}

/// Connects to a host, which may be a name or an address without brackets. Names are resolved anew, since
/// they may have moved, and all their addresses are tried, families alternating, until `deadline`. Calls
/// `is_cancelled` before each attempt.
///
/// The resolver waits as long as the system's settings say, which may be longer than the deadline.
pub(crate) fn dial(
    host: &str,
    port: u16,
    deadline: Instant,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Socket, DialError> {
    let resolve = || (host, port).to_socket_addrs();
    dial_by(&resolve, host, port, deadline, is_cancelled)
}

/// A resolver of one name.
type Resolve<'a> = dyn Fn() -> io::Result<std::vec::IntoIter<SocketAddr>> + 'a;

fn dial_by(
    resolve: &Resolve<'_>,
    host: &str,
    port: u16,
    deadline: Instant,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Socket, DialError> {
    let failed = |what| {
        let colon = if host.contains(':') { "[]" } else { "" };
        let (open, close) = colon.split_at(colon.len() / 2);
        let place = format!("{open}{host}{close}:{port}");
        DialError { place, what }
    };
    let addresses = resolve().map_err(|error| failed(Failed::Resolve(error)));
    let addresses = alternating(addresses?);
    let mut tried = Vec::new();
    for address in addresses {
        if is_cancelled() {
            return Err(failed(Failed::Cancelled));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let connected = match left.is_zero() {
            true => Err(ErrorKind::TimedOut.into()),
            false => TcpStream::connect_timeout(&address, left.min(PATIENCE)),
        };
        match connected {
            Ok(stream) => return Ok(Socket::outgoing(stream)),
            Err(error) => tried.push((address, error)),
        }
    }
    Err(failed(Failed::Connect(tried)))
}

/// The first addresses, families alternating, beginning with the one that the resolver prefers. Each one
/// once.
fn alternating(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut families = [VecDeque::new(), VecDeque::new()];
    let mut first = None;
    for address in addresses {
        let is_first = *first.get_or_insert(address.is_ipv4()) == address.is_ipv4();
        let [same, other] = &mut families;
        let family = if is_first { same } else { other };
        if family.len() < MAX_ADDRESSES && !family.contains(&address) {
            family.push_back(address);
        }
    }
    let mut ordered = Vec::new();
    while ordered.len() < MAX_ADDRESSES && families.iter().any(|family| !family.is_empty()) {
        ordered.extend(families.iter_mut().filter_map(VecDeque::pop_front));
    }
    ordered.truncate(MAX_ADDRESSES);
    ordered
}

impl DialError {
    /// Whether the host has no address.
    pub(crate) fn is_unresolved(&self) -> bool {
        matches!(self.what, Failed::Resolve(_))
    }

    /// Whether the caller has given up.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self.what, Failed::Cancelled)
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.what {
            Failed::Resolve(error) => write!(f, "cannot resolve {place}: {error}"),
            Failed::Cancelled => write!(f, "cannot connect to {place}: given up"),
            Failed::Connect(tried) if tried.is_empty() => {
                write!(f, "cannot connect to {place}: it has no address")
            }
            Failed::Connect(tried) => {
                write!(f, "cannot connect to {place}")?;
                for (index, (address, error)) in tried.iter().enumerate() {
                    f.write_str(if index == 0 { ": " } else { "; " })?;
                    let address = address.ip();
                    match error.kind() {
                        ErrorKind::TimedOut => write!(f, "{address}: no answer")?,
                        _ => write!(f, "{address}: {error}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn families_alternate_and_each_address_is_tried_once() {
        let addresses = ["[2001:db8::7]:1", "[2001:db8::8]:1", "192.0.2.7:1"];
        let addresses = addresses.map(|address| address.parse().unwrap());
        let [first, third, second] = addresses;
        let twice = addresses.into_iter().chain(addresses);
        assert_eq!(alternating(twice), [first, second, third]);
        assert_eq!(alternating([second, first].into_iter()), [second, first]);
        let many = (0..1000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(alternating(many).len(), MAX_ADDRESSES);
    }

    #[test]
    fn an_open_port_is_found_on_either_family() {
        for (address, host) in [("127.0.0.1:0", "localhost"), ("[::1]:0", "::1")] {
            // Without IPv6, there is nothing to try.
            let Ok(listener) = TcpListener::bind(address) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            dial(host, port, soon(), &|| false).unwrap();
        }
    }

    #[test]
    fn each_attempt_asks_for_the_addresses_anew_and_tries_all_of_them() {
        let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
        let [gone, moved] = [listen(), listen()].map(|listener| {
            let address = listener.local_addr().unwrap();
            (listener, address)
        });
        drop(gone.0);
        let answers = [vec![gone.1], vec![gone.1, moved.1], vec![moved.1]];
        let asked = std::cell::Cell::new(0);
        let resolve = || {
            let answer = answers[asked.get()].clone();
            asked.set(asked.get() + 1);
            Ok(answer.into_iter())
        };
        let attempt = || dial_by(&resolve, "camera.example", 1935, soon(), &|| false);
        let error = attempt().err().unwrap().to_string();
        let expected = "cannot connect to camera.example:1935: 127.0.0.1: Connection refused";
        assert!(error.starts_with(expected), "{error}");
        for _ in 0..2 {
            let socket = attempt().unwrap();
            assert_eq!(socket.peer_address(), Some(moved.1));
        }
        assert_eq!(asked.get(), 3);
    }

    #[test]
    fn an_error_says_what_was_tried() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let error = |host: &str, is_cancelled: &dyn Fn() -> bool| {
            let dialed = dial(host, port, soon(), is_cancelled);
            dialed.err().unwrap()
        };
        let refused = error("127.0.0.1", &|| false).to_string();
        let expected = format!("cannot connect to 127.0.0.1:{port}: 127.0.0.1: Connection refused");
        assert!(refused.starts_with(&expected), "{refused}");
        let unknown = error("no-such-host.invalid", &|| false);
        assert!(unknown.is_unresolved());
        let expected = format!("cannot resolve no-such-host.invalid:{port}: ");
        assert!(unknown.to_string().starts_with(&expected), "{unknown}");
        let cancelled = error("::1", &|| true);
        assert!(cancelled.is_cancelled());
        let expected = format!("cannot connect to [::1]:{port}: given up");
        assert_eq!(cancelled.to_string(), expected);
    }
}
