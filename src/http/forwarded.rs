//! The client behind a proxy, as named by the fields X-Forwarded-For and Forwarded (RFC 7239).
//!
//! ```text
//! X-Forwarded-For: 203.0.113.5, 10.0.0.7                     each proxy appends its peer
//! Forwarded: for=203.0.113.5, for="[2001:db8::1]:4711";proto=https
//! ```
//!
//! Entries on the left may be forged by the client. So the fields are read from the right: the first
//! address that isn't a trusted proxy is the client.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Head;

/// The client that a field names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client at this address; the port is 0 if the field has none.
    At(SocketAddr),
    /// A client whose address isn't given, or can't be parsed.
    Hidden,
}

/// Whether a proxy may have forwarded a request: one of the fields that proxies add is present, whatever
/// its value. nginx doesn't add any by default, but forwards requests in HTTP/1.0.
pub(crate) fn is_forwarded(head: &Head) -> bool {
    let mut names = head.names().map(str::to_ascii_lowercase);
    names.any(|name| {
        name.starts_with("forwarded")
            || name.starts_with("x-forwarded")
            || name == "via"
            || name.len() > 3 && name.ends_with("-ip")
    })
}

/// Returns the client that sent a request to the trusted proxies, whose addresses satisfy `is_ours`;
/// `None` if no field names a client. If both fields are present and disagree, the client is hidden.
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

/// Processes the next client from the left. In the end `found` is the rightmost address that isn't a
/// trusted proxy, or else the leftmost of all.
fn note(found: &mut Option<Sender>, next: Sender, is_ours: &dyn Fn(IpAddr) -> bool) {
    let is_proxy = matches!(next, Sender::At(address) if is_ours(address.ip()));
    if found.is_none() || !is_proxy {
        *found = Some(next);
    }
}

/// Whether two fields name the same client. The port may be missing in one of them.
fn is_same(one: Sender, other: Sender) -> bool {
    match (one, other) {
        (Sender::At(one), Sender::At(other)) => one.ip() == other.ip(),
        (one, other) => one == other,
    }
}

/// Calls `act` with the client that each element of Forwarded names. Commas separate elements, and
/// semicolons pairs, except inside quotes.
fn each_element(value: &[u8], act: &mut dyn FnMut(Sender)) {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut start = 0;
    for (index, byte) in value.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => {
                act(element(value.get(start..index).unwrap_or_default()));
                start = index + 1;
            }
            _ => {}
        }
    }
    let rest = value.get(start..).unwrap_or_default();
    // A quote that the client left open swallows what the proxy appended.
    act(if is_quoted {
        Sender::Hidden
    } else {
        element(rest)
    });
}

/// Parses an element such as `for=192.0.2.60;proto=http;by=203.0.113.43`, in which one pair names the
/// client.
fn element(text: &[u8]) -> Sender {
    let mut found = None;
    // This also splits at quoted semicolons, but no valid address contains one.
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

/// Removes the quotes around a value. Escapes aren't decoded, since addresses don't need them.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.strip_prefix(b"\"") {
        Some(rest) => rest.strip_suffix(b"\""),
        // Brackets and colons must be quoted, but some proxies omit the quotes.
        None => Some(value),
    }
}

/// Parses `192.0.2.43`, `192.0.2.43:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`. Any
/// other text (`unknown`, `_hidden`, an empty one) stands for a hidden client.
fn node(name: &[u8]) -> Sender {
    let name = std::str::from_utf8(name).unwrap_or_default();
    let at = |ip: IpAddr, port| {
        let ip = ip.to_canonical();
        if ip.is_unspecified() {
            return Sender::Hidden;
        }
        Sender::At(SocketAddr::new(ip, port))
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

#[cfg(test)]
mod tests;
