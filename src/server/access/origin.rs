//! From whose page a browser sends a request.
//!
//! A browser inside of a network lets every page of the world send requests to its neighbours, with
//! the passwords that it remembers. Which page it is, it says in the field Origin; whether that
//! page gets to read the answer, the server decides. A page whose name was made to lead here (DNS
//! rebinding) looks as if it came from here, under a name of its own in the field Host.

use std::net::IpAddr;

use crate::config::is_private;

/// Endings of names that mean something inside of a network only: RFC 6762, RFC 8375, RFC 6761, and
/// what routers make up.
const LOCAL_ENDINGS: [&str; 5] = [".local", ".home.arpa", ".localhost", ".internal", ".lan"];

/// What a request says of where it comes from: the fields as they came.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Page<'a> {
    pub(in crate::server) host: Option<&'a str>,
    pub(in crate::server) origin: Option<&'a str>,
    pub(in crate::server) sec_fetch_site: Option<&'a str>,
}

impl Page<'_> {
    /// Whether no page of another site has a part in it, as far as browsers tell.
    pub(super) fn is_own(&self) -> bool {
        let is_own_fetch = |site: &str| site == "same-origin" || site == "none";
        let is_foreign = self.origin.is_some() && !self.is_same_origin();
        !is_foreign && self.sec_fetch_site.is_none_or(is_own_fetch)
    }

    /// Whether it was sent to an address, or to this machine by its own name for itself: no name
    /// that could belong to somebody else.
    pub(super) fn is_to_address(&self) -> bool {
        let name = host_name(self.host.unwrap_or_default());
        name.eq_ignore_ascii_case("localhost") || ip(name).is_some()
    }

    /// Whether a page asks that came from here itself.
    pub(super) fn is_same_origin(&self) -> bool {
        let (Some(host), Some(origin)) = (self.host, self.origin) else {
            return false;
        };
        authority(origin).is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    }

    /// Whether a page asks that came from this network: from a private address, or a name that
    /// has no meaning outside.
    pub(super) fn is_local(&self) -> bool {
        let Some(authority) = self.origin.and_then(authority) else {
            return false;
        };
        let name = host_name(authority);
        if let Some(ip) = ip(name) {
            return is_private(ip.to_canonical());
        }
        let name = name.to_ascii_lowercase();
        let is_local = |ending: &&str| name.ends_with(*ending);
        !name.is_empty() && (!name.contains('.') || LOCAL_ENDINGS.iter().any(is_local))
    }
}

/// Of `http://pi.lan:8080`: `pi.lan:8080`. An origin can be `null`, too.
fn authority(origin: &str) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_web.then_some(authority)
}

/// Without port, and without the brackets of an IPv6 address.
fn host_name(authority: &str) -> &str {
    if let Some((ip, _)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return ip;
    }
    authority
        .split_once(':')
        .map_or(authority, |(name, _)| name)
}

fn ip(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page<'a>(host: &'a str, origin: &'a str, site: &'a str) -> Page<'a> {
        let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        Page {
            host: some(host),
            origin: some(origin),
            sec_fetch_site: some(site),
        }
    }

    #[test]
    fn browsers_tell_whose_page_it_is() {
        for (host, origin, site, is_own) in [
            ("127.0.0.1:8080", "", "", true),
            (
                "127.0.0.1:8080",
                "http://127.0.0.1:8080",
                "same-origin",
                true,
            ),
            ("pi.lan:8080", "http://PI.lan:8080", "", true),
            ("pi.example.org", "https://pi.example.org", "", true),
            ("127.0.0.1:8080", "", "none", true),
            ("127.0.0.1:8080", "http://127.0.0.1", "", false),
            (
                "127.0.0.1:8080",
                "http://127.0.0.1:3000",
                "same-site",
                false,
            ),
            ("127.0.0.1:8080", "", "same-site", false),
            ("127.0.0.1:8080", "", "cross-site", false),
            ("127.0.0.1:8080", "", "something new", false),
            ("127.0.0.1:8080", "http://evil.example", "", false),
            ("127.0.0.1:8080", "null", "", false),
            ("127.0.0.1:8080", "ftp://127.0.0.1:8080", "", false),
            ("", "http://127.0.0.1:8080", "", false),
            ("", "http://", "", false),
        ] {
            assert_eq!(
                page(host, origin, site).is_own(),
                is_own,
                "{host} {origin} {site}"
            );
        }
    }

    #[test]
    fn an_address_is_nobodys_name() {
        for (host, is_address) in [
            ("127.0.0.1", true),
            ("127.0.0.1:8080", true),
            ("192.168.1.5:8080", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("", false),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("pi", false),
            ("[::1", false),
            ("127.0.0.1@evil.example", false),
            ("0x7f.1", false),
        ] {
            assert_eq!(page(host, "", "").is_to_address(), is_address, "{host}");
        }
    }

    #[test]
    fn pages_of_this_network_are_told_from_those_of_the_world() {
        for (origin, is_local) in [
            ("http://192.168.1.9:3000", true),
            ("http://[fd00::5]:3000", true),
            ("http://[::1]", true),
            ("http://localhost:5173", true),
            ("http://homeassistant.local:8123", true),
            ("http://HA.Home.Arpa", true),
            ("http://nas", true),
            ("https://nas.lan", true),
            ("http://evil.example", false),
            ("http://evil.example.local.com", false),
            ("https://local", true),
            ("http://203.0.113.5", false),
            ("http://[2001:db8::1]", false),
            ("http://0.0.0.0", false),
            ("null", false),
            ("", false),
            ("http://", false),
            ("file://", false),
            ("evil", false),
        ] {
            assert_eq!(page("pi", origin, "").is_local(), is_local, "{origin}");
        }
    }
}
