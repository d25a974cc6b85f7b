//! From whose page a browser sends a request.
//!
//! A browser inside of a network lets every page of the world send requests to its neighbours, with
//! the passwords that it remembers. Which page it is, it says in the field Origin; whether that
//! page gets to read the answer, the server decides. A page whose name was made to lead here (DNS
//! rebinding) looks as if it came from here, under a name of its own in the field Host.

use std::net::IpAddr;

use crate::config::is_private;
use crate::http::head::{Field, is_host_and_port};

/// Endings of names that mean something inside of a network only: RFC 6762, RFC 8375, RFC 6761, and
/// what routers make up. Not by themselves, nor other names without a dot: these exist in public, too.
const LOCAL_ENDINGS: [&str; 5] = [".local", ".home.arpa", ".localhost", ".internal", ".lan"];

/// Names that can't belong to a site on the internet.
#[derive(Debug, Default)]
pub(super) struct LocalNames {
    /// This machine's name for itself, without a dot and in lower case.
    own: String,
    /// Those of `--host-name`, in lower case.
    named: Vec<String>,
}

impl LocalNames {
    pub(super) fn new(named: &[String]) -> LocalNames {
        // A service may not be shown the first one; elsewhere than on Linux the operator can name it.
        let own = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"))
            .unwrap_or_default();
        let own = own.trim().split('.').next().unwrap_or_default();
        LocalNames {
            own: own.to_ascii_lowercase(),
            named: named.to_vec(),
        }
    }

    fn have(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_under = |ending: &&str| name.len() > ending.len() && name.ends_with(*ending);
        name == "localhost"
            || LOCAL_ENDINGS.iter().any(is_under)
            || (!name.is_empty() && name == self.own)
            || self.named.contains(&name)
    }
}

/// What a request says of where it comes from: the fields as they came.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Page<'a> {
    pub(in crate::server) host: Option<&'a str>,
    pub(in crate::server) origin: Field<'a>,
    pub(in crate::server) sec_fetch_site: Field<'a>,
}

impl Page<'_> {
    /// Whether no page of another site has a part in it, as far as browsers tell.
    pub(super) fn is_own(&self) -> bool {
        let is_own_fetch = match self.sec_fetch_site {
            Field::Absent => true,
            Field::Text(site) => site == "same-origin" || site == "none",
            Field::Unreadable => false,
        };
        is_own_fetch && (self.origin == Field::Absent || self.is_same_origin())
    }

    /// The host name that was asked for, unless it is known to be this server's.
    pub(super) fn foreign_name(&self, names: &LocalNames) -> Option<&str> {
        // Browsers have sent the field for as long as there have been names in it.
        let name = host_name(self.host?);
        (ip(name).is_none() && !names.have(name)).then_some(name)
    }

    /// Whether it was sent to an address, or to this machine by its own name for itself: no name
    /// that could belong to somebody else.
    pub(super) fn is_to_address(&self) -> bool {
        let name = host_name(self.host.unwrap_or_default());
        name.eq_ignore_ascii_case("localhost") || ip(name).is_some()
    }

    /// Whether a page asks that came from here itself.
    pub(super) fn is_same_origin(&self) -> bool {
        let (Some(host), Field::Text(origin)) = (self.host, self.origin) else {
            return false;
        };
        authority(origin).is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    }

    /// Whether a page asks that came from this network: from a private address, or a name that
    /// has no meaning outside.
    pub(super) fn is_local(&self, names: &LocalNames) -> bool {
        let Some(authority) = self.origin.text().and_then(authority) else {
            return false;
        };
        let name = host_name(authority);
        match ip(name) {
            Some(ip) => is_private(ip.to_canonical()),
            None => names.have(name),
        }
    }
}

/// Of `http://pi.lan:8080`: `pi.lan:8080`. An origin can be `null`, too.
fn authority(origin: &str) -> Option<&str> {
    let (scheme, rest) = origin.split_once(':')?;
    let authority = rest.strip_prefix("//")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    (is_web && is_host_and_port(authority)).then_some(authority)
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
        Page {
            host: Some(host).filter(|text| !text.is_empty()),
            origin: field(origin),
            sec_fetch_site: field(site),
        }
    }

    /// An empty text is no field, `?` one that can't be read.
    fn field(text: &str) -> Field<'_> {
        match text {
            "" => Field::Absent,
            "?" => Field::Unreadable,
            text => Field::Text(text),
        }
    }

    fn names() -> LocalNames {
        LocalNames {
            own: "pi".into(),
            named: vec!["cams.example.com".into()],
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
            ("127.0.0.1:8080", "?", "", false),
            ("127.0.0.1:8080", "", "?", false),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", "?", false),
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
            ("http://pi", true),
            ("https://PI:8123", true),
            ("http://nas", false),
            ("http://com", false),
            ("https://nas.lan", true),
            ("https://cams.example.com", true),
            ("http://evil.cams.example.com", false),
            ("http://evil.example", false),
            ("http://evil.example.local.com", false),
            ("http://evil.example\t.local", false),
            ("http://evil.example/.local", false),
            ("http://evil.example@pi", false),
            ("https://local", false),
            ("?", false),
            ("http://203.0.113.5", false),
            ("http://[2001:db8::1]", false),
            ("http://0.0.0.0", false),
            ("null", false),
            ("", false),
            ("http://", false),
            ("file://", false),
            ("evil", false),
        ] {
            let found = page("pi", origin, "").is_local(&names());
            assert_eq!(found, is_local, "{origin}");
        }
    }

    #[test]
    fn a_name_that_somebody_can_make_lead_here_is_foreign() {
        for (host, is_foreign) in [
            ("", false),
            ("127.0.0.1", false),
            ("203.0.113.5:8080", false),
            ("[2001:db8::5]:8080", false),
            ("localhost:8080", false),
            ("localhost.", false),
            ("raspberrypi.local", false),
            ("Raspberrypi.LOCAL.:8080", false),
            ("nas.lan", false),
            ("nas.home.arpa", false),
            ("nas.internal", false),
            ("pi", false),
            ("PI:8080", false),
            ("cams.example.com", false),
            ("CAMS.example.com.:443", false),
            ("evil.example", true),
            ("evil.example.:8080", true),
            ("pi.evil.example", true),
            ("x.cams.example.com", true),
            ("cams.example.com.evil.example", true),
            ("com", true),
            ("local", true),
            ("lan", true),
            (".local", true),
            (".", true),
            ("evillocal", true),
            ("evil.local.", false),
            ("evil.local..", true),
            ("127.0.0.1.", true),
            ("127.1", true),
            ("2130706433", true),
            ("0x7f000001", true),
        ] {
            let found = page(host, "", "").foreign_name(&names()).is_some();
            assert_eq!(found, is_foreign, "{host}");
        }
        // Without a name of its own nothing is.
        let nameless = LocalNames::default();
        assert!(page("pi", "", "").foreign_name(&nameless).is_some());
        assert!(page(".", "", "").foreign_name(&nameless).is_some());
    }
}
