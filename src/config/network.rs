//! Sets of addresses: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`, `private`, `any`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub(crate) use crate::allowance::one_client;

/// A set of client addresses. IPv4 addresses written as IPv6 (`::ffff:192.0.2.7`) count as IPv4.
///
/// ```
/// use brooklet::config::Network;
///
/// let network = Network::parse("192.168.1.0/24").unwrap();
/// let here = "192.168.1.1".parse()?;
/// assert!(network.contains("192.168.1.7".parse()?, here));
/// assert!(!network.contains("192.168.2.7".parse()?, here));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// All addresses.
    Any,
    /// This machine and the network around it: loopback, private and link-local addresses, and IPv6
    /// addresses in the /64 of the address that accepted the client. Behind address translation (a
    /// container's bridge, a forwarded port), clients from anywhere may seem to have private addresses.
    Private,
    /// The addresses that begin with the first `prefix` bits of `address`.
    Prefix {
        /// An IPv4 address if it can be written as one.
        address: IpAddr,
        /// At most 32 with an IPv4 address, 128 with an IPv6 address.
        prefix: u8,
    },
}

impl Network {
    /// Parses a network; the error says what was expected.
    pub fn parse(text: &str) -> Result<Network, &'static str> {
        match text {
            "any" => return Ok(Network::Any),
            "private" => return Ok(Network::Private),
            _ => {}
        }
        Network::parse_prefix(text)
            .ok_or("an address, a network such as 192.168.1.0/24 or fd00::/8, private or any")
    }

    /// Parses the network of trusted proxies. Refuses "any": every client could claim any address.
    pub fn parse_of_proxies(text: &str) -> Result<Network, &'static str> {
        match Network::parse(text) {
            Ok(Network::Any | Network::Prefix { prefix: 0, .. }) | Err(_) => Err(
                "an address, a network such as 172.18.0.0/16, or private: where the proxies are, and \
                 nobody else",
            ),
            Ok(network) => Ok(network),
        }
    }

    fn parse_prefix(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let max = bits_of(written);
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= max)?
            }
            Some(_) => return None,
            None => max,
        };
        let address = written.to_canonical();
        // In a mapped address, 96 bits precede those of the IPv4 address.
        let prefix = prefix.checked_sub(max - bits_of(address))?;
        Some(Network::Prefix { address, prefix })
    }

    /// Whether the network contains a client at `peer` that was accepted at `local`.
    pub fn contains(&self, peer: IpAddr, local: IpAddr) -> bool {
        let (peer, local) = (peer.to_canonical(), local.to_canonical());
        match self {
            Network::Any => true,
            // A machine that connects to itself may use its public address.
            Network::Private => is_private(peer) || is_neighbour(peer, local) || peer == local,
            Network::Prefix { address, prefix } => has_prefix(peer, *address, *prefix),
        }
    }
}

/// Prints the network in the form that [`parse`](Network::parse) understands.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Any => f.write_str("any"),
            Network::Private => f.write_str("private"),
            Network::Prefix { address, prefix } if *prefix == bits_of(*address) => {
                write!(f, "{address}")
            }
            Network::Prefix { address, prefix } => write!(f, "{address}/{prefix}"),
        }
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether an address is only valid within a network.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether two hosts share a /64, as the hosts of a household or an office do with public addresses.
fn is_neighbour(peer: IpAddr, local: IpAddr) -> bool {
    peer.is_ipv6() && local.is_ipv6() && has_prefix(peer, local, 64)
}

fn has_prefix(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let difference = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(u32::from(a) ^ u32::from(b)) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => u128::from(a) ^ u128::from(b),
        _ => return false,
    };
    difference.leading_zeros() >= u32::from(prefix)
}

/// A client's address in the form for display: with the port, unless a proxy named it without one.
pub(crate) struct Shown(pub(crate) SocketAddr);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.port() {
            0 => write!(f, "{}", self.0.ip()),
            _ => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_the_addresses_with_their_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.168.1.0/24", "192.168.1.255", "192.168.2.0"),
            ("192.168.1.7/24", "192.168.1.9", "192.168.0.7"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("fe80::/10", "febf::1", "fec0::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
        ] {
            let parsed = Network::parse(network).unwrap();
            let local = ip("203.0.113.9");
            assert!(parsed.contains(ip(inside), local), "{network} {inside}");
            assert!(!parsed.contains(ip(outside), local), "{network} {outside}");
            assert!(Network::Any.contains(ip(outside), local));
        }
    }

    #[test]
    fn private_is_this_machine_and_the_network_around_it() {
        for (peer, local, is_in) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.9.9.9", "127.0.0.1", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::1", true),
            ("10.1.2.3", "10.0.0.1", true),
            ("172.16.0.1", "10.0.0.1", true),
            ("172.31.255.255", "10.0.0.1", true),
            ("172.32.0.1", "10.0.0.1", false),
            ("192.168.178.20", "192.168.178.1", true),
            ("192.169.0.1", "192.168.178.1", false),
            ("169.254.7.7", "169.254.1.1", true),
            ("100.64.0.1", "100.64.0.2", false),
            ("203.0.113.5", "203.0.113.6", false),
            ("203.0.113.5", "203.0.113.5", true),
            ("fd12:3456::1", "2001:db8::1", true),
            ("fe80::1", "fe80::2", true),
            ("2001:db8:0:1::5", "2001:db8:0:1:aaaa::1", true),
            ("2001:db8:0:2::5", "2001:db8:0:1:aaaa::1", false),
            ("2001:db8::5", "192.168.1.1", false),
        ] {
            let is_found = Network::Private.contains(ip(peer), ip(local));
            assert_eq!(is_found, is_in, "{peer} at {local}");
        }
    }

    #[test]
    fn other_texts_are_not_parsed_as_networks() {
        for text in [
            "",
            "lan",
            "Any",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0/8",
            "10.0.0.0/8/8",
            "::/129",
            "fe80::1%eth0",
            "::ffff:10.0.0.0/8",
            "192.168.1.*",
            " 10.0.0.1",
        ] {
            assert!(Network::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_proxy_may_not_be_any_address() {
        for text in ["127.0.0.1", "::1", "10.0.0.0/8", "private"] {
            assert_eq!(Network::parse_of_proxies(text), Network::parse(text));
        }
        for text in ["any", "0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96", "proxy", ""] {
            assert!(Network::parse_of_proxies(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn networks_are_displayed_as_they_are_written() {
        for text in [
            "any",
            "private",
            "10.0.0.0/8",
            "192.0.2.7",
            "fd00::/8",
            "::1",
        ] {
            assert_eq!(Network::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_whole_ipv6_subnet_is_one_client() {
        for (address, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(one_client(ip(address)), ip(client), "{address}");
        }
    }
}
