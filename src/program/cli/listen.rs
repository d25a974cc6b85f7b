//! The addresses and host names to listen on. Addresses are parsed at once; host names are resolved when
//! the server starts, since a name that can't be resolved at the moment isn't wrong usage.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use socket2::{Domain, Socket, Type};

use super::Settings;
use brooklet::Config;
use brooklet::config::parse_host_name;

/// Adds an address or a host name, with a port, for `--rtmp` or `--http`; `None` if it is neither.
pub(super) fn listen(settings: &mut Settings, option: &'static str, text: &str) -> Option<()> {
    if let Some(address) = parse_address(text) {
        listeners(&mut settings.config, option).push(address);
        return Some(());
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    parse_host_name(host).ok()?;
    settings.names.push((option, host.to_owned(), port));
    Some(())
}

/// Removes the listeners added so far.
pub(super) fn forget(settings: &mut Settings, option: &str) {
    listeners(&mut settings.config, option).clear();
    settings.names.retain(|(of, ..)| *of != option);
}

impl Settings {
    /// Adds the addresses of all host names to the configuration, without those that this machine
    /// doesn't have: `/etc/hosts` often lists `::1` for localhost even if there is no IPv6.
    pub(crate) fn resolve(&mut self) -> Result<(), String> {
        for (option, host, port) in std::mem::take(&mut self.names) {
            let found = (&*host, port)
                .to_socket_addrs()
                .map_err(|error| format!("cannot resolve {host}:{port} for --{option}: {error}"))?;
            let listeners = listeners(&mut self.config, option);
            let found: Vec<_> = found.filter(is_here).collect();
            if found.is_empty() {
                return Err(format!(
                    "cannot listen on {host}:{port} for --{option}: this machine has no address of \
                     that name"
                ));
            }
            // Another option may have added one of the addresses already.
            listeners.retain(|address| !found.contains(address));
            listeners.extend(found);
        }
        Ok(())
    }
}

/// Whether this machine has an address, that is, whether a socket can be bound to it.
fn is_here(address: &SocketAddr) -> bool {
    let address = SocketAddr::new(address.ip(), 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
    socket.is_ok_and(|socket| socket.bind(&address.into()).is_ok())
}

fn listeners<'a>(config: &'a mut Config, option: &str) -> &'a mut Vec<SocketAddr> {
    match option {
        "rtmp" => &mut config.rtmp,
        "rtmps" => &mut config.tls.rtmps,
        "https" => &mut config.tls.https,
        _ => &mut config.http,
    }
}

/// Parses `ADDR:PORT`, `PORT` or `:PORT`.
fn parse_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = text.strip_prefix(':').unwrap_or(text).parse().ok()?;
    Some(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
}
