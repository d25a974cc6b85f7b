//! Whose page makes a browser send a request.
//!
//! A browser inside of a network lets every page of the world send requests to its neighbours, with
//! the passwords that it remembers. Which page it is, it says in the field Origin; whether that page
//! gets to read the answer, the server decides.

use std::net::IpAddr;

use crate::config::is_private;

/// Endings of names that mean something inside of a network only: RFC 6762, RFC 8375, RFC 6761, and
/// what routers make up.
const LOCAL_ENDINGS: [&str; 5] = [".local", ".home.arpa", ".localhost", ".internal", ".lan"];

/// Whether a page comes from inside of a network: from a private address, or a name that has no
/// meaning outside.
pub(super) fn is_local(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let name = host_name(authority);
    if let Ok(ip) = name.parse::<IpAddr>() {
        return is_private(ip.to_canonical());
    }
    let name = name.to_ascii_lowercase();
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let is_local = |ending: &&str| name.ends_with(*ending);
    is_web && !name.is_empty() && (!name.contains('.') || LOCAL_ENDINGS.iter().any(is_local))
}

/// Without port, and without the brackets of an IPv6 address.
fn host_name(authority: &str) -> &str {
    match authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((ip, _)) => ip,
        None => authority
            .split_once(':')
            .map_or(authority, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
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
            ("chrome-extension://abcdef", false),
            ("evil", false),
        ] {
            assert_eq!(super::is_local(origin), is_local, "{origin}");
        }
    }
}
