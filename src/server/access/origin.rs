//! The page on whose behalf a browser sends a request.
//!
//! A browser inside a network lets every page on the internet send requests to hosts in that network,
//! with the passwords that it remembers. It names the page's origin in the field Origin, and the server
//! decides whether that page may read the answer. A page whose name was made to point here (DNS
//! rebinding) seems to come from this server; only the field Host shows its foreign name.

use std::net::IpAddr;

use crate::config::is_private;
use crate::http::Head;
use crate::http::head::{Field, is_host_and_port};

/// Endings of names that have a meaning only inside a network: those of RFC 6762, RFC 8375 and RFC 6761,
/// and those that routers make up. An ending alone doesn't count, nor does any other name without a dot:
/// such names exist in public, too.
const LOCAL_ENDINGS: [&str; 5] = [".local", ".home.arpa", ".localhost", ".internal", ".lan"];

/// Names that can't belong to a site on the internet.
#[derive(Debug, Default)]
pub(super) struct LocalNames {
    /// The host name of this machine, without a dot and in lower case.
    own: String,
    /// The names of `--host-name`, in lower case.
    named: Vec<String>,
}

impl LocalNames {
    pub(super) fn new(named: &[String]) -> LocalNames {
        // A sandboxed service may not be able to read the first file. On systems other than Linux,
        // `--host-name` can name the machine.
        let own = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"))
            .unwrap_or_default();
        let own = own.trim().split('.').next().unwrap_or_default();
        LocalNames {
            own: own.to_ascii_lowercase(),
            named: named.to_vec(),
        }
    }

    fn contain(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_under = |ending: &&str| name.len() > ending.len() && name.ends_with(*ending);
        name == "localhost"
            || LOCAL_ENDINGS.iter().any(is_under)
            || (!name.is_empty() && name == self.own)
            || self.named.contains(&name)
    }
}

/// The fields of a request that say which page sent it, and to which host.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Page<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) origin: Field<'a>,
    pub(super) sec_fetch_site: Field<'a>,
}

impl<'a> Page<'a> {
    pub(in crate::server) fn of(head: &Head<'a>) -> Page<'a> {
        Page {
            host: Some(head.host()).filter(|host| !host.is_empty()),
            origin: head.field("origin"),
            sec_fetch_site: head.field("sec-fetch-site"),
        }
    }

    /// Whether no page of another site is involved, as far as browsers say so.
    pub(super) fn is_own(&self) -> bool {
        let is_own_fetch = match self.sec_fetch_site {
            Field::Absent => true,
            Field::Text(site) => site == "same-origin" || site == "none",
            Field::Unreadable => false,
        };
        is_own_fetch && (self.origin == Field::Absent || self.is_same_origin())
    }

    /// The host name of the request, unless it is known to be this server's.
    pub(super) fn foreign_name(&self, names: &LocalNames) -> Option<&'a str> {
        // A request without the field Host isn't from a browser.
        let name = host_name(self.host?);
        (ip(name).is_none() && !names.contain(name)).then_some(name)
    }

    /// Whether the request was sent to an address or to `localhost`, not to a name that could belong to
    /// another site.
    pub(super) fn is_to_address(&self) -> bool {
        let name = host_name(self.host.unwrap_or_default());
        name.eq_ignore_ascii_case("localhost") || ip(name).is_some()
    }

    /// Whether the page came from this server.
    pub(super) fn is_same_origin(&self) -> bool {
        let (Some(host), Field::Text(origin)) = (self.host, self.origin) else {
            return false;
        };
        authority(origin).is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    }

    /// Whether the page came from this network: from a private address, or from a name that has no
    /// meaning outside.
    pub(super) fn is_local(&self, names: &LocalNames) -> bool {
        let Some(authority) = self.origin.text().and_then(authority) else {
            return false;
        };
        let name = host_name(authority);
        match ip(name) {
            Some(ip) => is_private(ip.to_canonical()),
            None => names.contain(name),
        }
    }
}

/// The authority of an origin: `pi.lan:8080` in `http://pi.lan:8080`. `None` for others, such as the
/// origin `null`.
fn authority(origin: &str) -> Option<&str> {
    let (scheme, rest) = origin.split_once(':')?;
    let authority = rest.strip_prefix("//")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    (is_web && is_host_and_port(authority)).then_some(authority)
}

/// The host in an authority, without the port and the brackets of an IPv6 address.
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

    /// A field of this value; an empty one is absent, `?` unreadable.
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
    fn pages_of_other_sites_are_recognized() {
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
    fn requests_to_an_address_are_recognized() {
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
    fn pages_of_this_network_are_recognized() {
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
    fn a_name_that_anyone_can_point_here_is_foreign() {
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
        // A machine without a host name.
        let nameless = LocalNames::default();
        assert!(page("pi", "", "").foreign_name(&nameless).is_some());
        assert!(page(".", "", "").foreign_name(&nameless).is_some());
    }
}
