//! Addresses and URLs at which clients reach this server, as people type them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The port of URLs without one.
const HTTP_USUAL_PORT: u16 = 80;

/// The addresses of this machine at which a listener can be reached. IPv4 comes first, because people
/// type it more easily.
pub fn reachable(listening: SocketAddr) -> Vec<IpAddr> {
    if !listening.ip().is_unspecified() {
        return vec![listening.ip()];
    }
    let (mut ips, v6): (Vec<_>, Vec<_>) = interfaces()
        .into_iter()
        .filter(|ip| listening.is_ipv6() || ip.is_ipv4())
        // Link-local addresses need a zone, which differs from machine to machine.
        .filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .partition(IpAddr::is_ipv4);
    ips.extend(v6);
    if ips.is_empty() {
        ips.push(Ipv4Addr::LOCALHOST.into());
    }
    ips
}

/// The addresses of the network interfaces, without loopback.
#[cfg(feature = "cli")]
fn interfaces() -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let found = found.iter().filter(|interface| !interface.is_loopback());
    found.map(if_addrs::Interface::ip).collect()
}

/// Returns no addresses: the crate that finds them comes with the feature `cli`.
#[cfg(not(feature = "cli"))]
fn interfaces() -> Vec<IpAddr> {
    Vec::new()
}

/// Returns `HOST:PORT`, or `HOST` if the port is the usual one.
pub fn host(ip: IpAddr, port: u16, usual_port: u16) -> String {
    match ip {
        IpAddr::V4(ip) if port == usual_port => ip.to_string(),
        IpAddr::V6(ip) if port == usual_port => format!("[{ip}]"),
        ip => SocketAddr::new(ip, port).to_string(),
    }
}

/// The URL of the page at an address of this machine: `http://192.0.2.5:8080/`.
pub fn page(ip: IpAddr, port: u16) -> String {
    format!("http://{}/", host(ip, port, HTTP_USUAL_PORT))
}

/// The URL of the page for people near a publisher that has connected to the address `local` of this
/// machine. Uses that address, or if it is loopback, another address of this machine if there is one.
pub(crate) fn page_beside(local: IpAddr, listening: &[SocketAddr]) -> Option<String> {
    let local = local.to_canonical();
    let covers_local = |address: &&SocketAddr| {
        let ip = address.ip();
        ip == local || (ip.is_unspecified() && (ip.is_ipv6() || local.is_ipv4()))
    };
    if !local.is_loopback() {
        if let Some(address) = listening.iter().find(covers_local) {
            return Some(page(local, address.port()));
        }
    }
    let is_for_others = |address: &&SocketAddr| !address.ip().is_loopback();
    let address = listening.iter().find(is_for_others).or(listening.first())?;
    Some(page(*reachable(*address).first()?, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_port_is_left_out_and_others_are_not() {
        for (address, text) in [
            ("192.0.2.7:1935", "192.0.2.7"),
            ("192.0.2.7:1936", "192.0.2.7:1936"),
            ("[2001:db8::7]:1935", "[2001:db8::7]"),
            ("[2001:db8::7]:1936", "[2001:db8::7]:1936"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(reachable(address), [address.ip()]);
            assert_eq!(host(address.ip(), address.port(), 1935), text);
        }
        assert_eq!(page(Ipv4Addr::LOCALHOST.into(), 80), "http://127.0.0.1/");
    }

    #[test]
    fn an_unspecified_address_stands_for_all_of_the_machine() {
        let ips = reachable("[::]:1935".parse().unwrap());
        assert!(!ips.is_empty() && ips.iter().all(|ip| !ip.is_unspecified()));
        let ips = reachable("0.0.0.0:1935".parse().unwrap());
        assert!(!ips.is_empty() && ips.iter().all(IpAddr::is_ipv4));
    }

    #[test]
    fn the_page_is_where_the_publisher_is() {
        for (local, listening, url) in [
            (
                "192.0.2.5",
                &["[::]:8080"][..],
                Some("http://192.0.2.5:8080/"),
            ),
            ("::ffff:192.0.2.5", &["[::]:80"], Some("http://192.0.2.5/")),
            ("192.0.2.5", &["0.0.0.0:81"], Some("http://192.0.2.5:81/")),
            (
                "2001:db8::5",
                &["[::]:81"],
                Some("http://[2001:db8::5]:81/"),
            ),
            (
                "2001:db8::5",
                &["127.0.0.1:80", "192.0.2.5:81"],
                Some("http://192.0.2.5:81/"),
            ),
            (
                "192.0.2.5",
                &["192.0.2.6:80", "192.0.2.5:81"],
                Some("http://192.0.2.5:81/"),
            ),
            (
                "127.0.0.1",
                &["127.0.0.1:80", "192.0.2.5:81"],
                Some("http://192.0.2.5:81/"),
            ),
            ("192.0.2.5", &["127.0.0.1:81"], Some("http://127.0.0.1:81/")),
            ("127.0.0.1", &["127.0.0.1:81"], Some("http://127.0.0.1:81/")),
            ("192.0.2.5", &[], None),
        ] {
            let listening: Vec<SocketAddr> = listening.iter().map(|a| a.parse().unwrap()).collect();
            let found = page_beside(local.parse().unwrap(), &listening);
            assert_eq!(found.as_deref(), url, "{local} {listening:?}");
        }
        let all: SocketAddr = "[::]:81".parse().unwrap();
        let found = page_beside("127.0.0.1".parse().unwrap(), &[all]).unwrap();
        assert_eq!(found, page(reachable(all)[0], 81));
    }
}
