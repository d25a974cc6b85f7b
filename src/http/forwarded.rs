//! The client behind a proxy, from the fields X-Forwarded-For and Forwarded (RFC 7239).
//!
//! ```text
//! X-Forwarded-For: 203.0.113.5, 10.0.0.7                     each proxy appends its peer
//! Forwarded: for=203.0.113.5, for="[2001:db8::1]:4711";proto=https
//! ```
//!
//! Entries on the left may have been made up by the client itself. So the fields are read from the
//! right: the first address that isn't a trusted proxy is the client.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Head;

/// A client as a field names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// At this address; with port 0 where the field has none.
    At(SocketAddr),
    /// At an address that isn't given, or can't be read.
    Hidden,
}

/// Whether a proxy may have forwarded a request: one of the fields is present, whatever it holds.
/// nginx adds none by itself, but forwards requests in HTTP/1.0.
pub fn is_forwarded(head: &Head) -> bool {
    let is_of_proxies = |name: &str| {
        let starts = |start: &str| starts_with(name, start);
        starts("forwarded")
            || starts("x-forwarded")
            || name.eq_ignore_ascii_case("via")
            || name.len() > 3 && ends_with(name, "-ip")
    };
    head.names().any(is_of_proxies)
}

/// The client that sent a request to the trusted proxies, whose addresses satisfy `is_ours`; `None` if
/// there is no field. If both fields are present and disagree, the client is hidden.
pub fn sender(head: &Head, is_ours: &dyn Fn(IpAddr) -> bool) -> Option<Sender> {
    let mut commas = None;
    for value in head.values("x-forwarded-for") {
        for name in value.split(|byte| *byte == b',') {
            note(&mut commas, node(name.trim_ascii()), is_ours);
        }
    }
    let mut elements = None;
    for value in head.values("forwarded") {
        each_element(value, &mut |sender| note(&mut elements, sender, is_ours));
    }
    match (commas, elements) {
        (Some(one), Some(other)) if !is_same(one, other) => Some(Sender::Hidden),
        (one, other) => one.or(other),
    }
}

/// The right-most address that isn't ours, or else the left-most of all.
fn note(found: &mut Option<Sender>, next: Sender, is_ours: &dyn Fn(IpAddr) -> bool) {
    let is_proxy = matches!(next, Sender::At(address) if is_ours(address.ip()));
    if found.is_none() || !is_proxy {
        *found = Some(next);
    }
}

/// One field may know the port, and the other one not.
fn is_same(one: Sender, other: Sender) -> bool {
    match (one, other) {
        (Sender::At(one), Sender::At(other)) => one.ip() == other.ip(),
        (one, other) => one == other,
    }
}

/// Tells whom each element of Forwarded names: commas between elements, semicolons between pairs, and
/// both mean nothing inside of quotes.
fn each_element(value: &[u8], tell: &mut dyn FnMut(Sender)) {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut start = 0;
    for (index, byte) in value.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                tell(element(value.get(start..index).unwrap_or_default()));
                start = index + 1;
            }
            _ => {}
        }
    }
    let rest = value.get(start..).unwrap_or_default();
    // A client's open quote swallows what the proxy appended.
    tell(match is_quoted {
        true => Sender::Hidden,
        false => element(rest),
    });
}

/// `for=192.0.2.60;proto=http;by=203.0.113.43`, with one pair that says for whom.
fn element(text: &[u8]) -> Sender {
    let mut found = None;
    // What isn't quoted holds no semicolon, and in quotes there is none in any name that is read.
    for pair in text.split(|byte| *byte == b';') {
        let pair = pair.trim_ascii();
        let (Some(name), Some(b'=')) = (pair.get(..3), pair.get(3)) else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"for") {
            let value = pair.get(4..).unwrap_or_default();
            let sender = node(unquoted(value).unwrap_or_default());
            if found.replace(sender).is_some() {
                return Sender::Hidden;
            }
        }
    }
    found.unwrap_or(Sender::Hidden)
}

/// Of a value in quotes what is in them. Addresses need no escapes, so there are none in them.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\""),
        // Brackets and colons have to be in quotes, but not everybody knows.
        None => Some(value),
    }
}

/// `192.0.2.43`, `192.0.2.43:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`; whatever
/// else it is (`unknown`, `_hidden`, nothing), it hides somebody.
fn node(name: &[u8]) -> Sender {
    let name = std::str::from_utf8(name).unwrap_or_default();
    let at = |ip: IpAddr, port| {
        let ip = ip.to_canonical();
        match ip.is_unspecified() {
            true => Sender::Hidden,
            false => Sender::At(SocketAddr::new(ip, port)),
        }
    };
    if let Ok(ip) = name.parse::<IpAddr>() {
        return at(ip, 0);
    }
    if let Ok(SocketAddr::V4(address)) = name.parse() {
        return at(IpAddr::V4(*address.ip()), address.port());
    }
    let in_brackets = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let Some((ip, port)) = in_brackets else {
        return Sender::Hidden;
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
        None => port.is_empty().then_some(0),
    };
    match (ip.parse::<Ipv6Addr>(), port) {
        (Ok(ip), Some(port)) => at(IpAddr::V6(ip), port),
        _ => Sender::Hidden,
    }
}

fn starts_with(name: &str, start: &str) -> bool {
    let beginning = name.get(..start.len());
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(start))
}

fn ends_with(name: &str, end: &str) -> bool {
    let at = name.len().checked_sub(end.len());
    at.and_then(|at| name.get(at..))
        .is_some_and(|ending| ending.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests;
