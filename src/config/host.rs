//! Host names of the server.

use std::net::IpAddr;

/// The maximum length of a name, in bytes (RFC 1035, 2.3.4).
const MAX_NAME_LEN: usize = 253;

/// Parses a name as browsers send it in the field Host, without the port, and returns it in lower
/// case. The error says what was expected.
pub fn parse_host_name(text: &str) -> Result<String, &'static str> {
    const NAME: &str = "a name such as cams.example.com, without http:// and port";

    let name = text.strip_suffix('.').unwrap_or(text);
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_name_byte);
    // An address isn't a valid name, since requests to addresses are always accepted.
    let is_name = name.len() <= MAX_NAME_LEN && name.parse::<IpAddr>().is_err();
    if is_name && name.split('.').all(is_label) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_browsers_write_them() {
        for (text, name) in [
            ("cams.example.com", "cams.example.com"),
            ("Cams.Example.Com.", "cams.example.com"),
            ("pi", "pi"),
            ("xn--drr-sna.fritz.box", "xn--drr-sna.fritz.box"),
        ] {
            assert_eq!(parse_host_name(text).as_deref(), Ok(name));
        }
        let long = "a.".repeat(127) + "a";
        for text in [
            "",
            ".",
            "..",
            ".example.com",
            "cams..example.com",
            "cams.example.com:8080",
            "http://cams.example.com",
            "*.example.com",
            "d\u{f6}rr.example",
            "192.168.1.5",
            "[::1]",
            "::1",
            "a b",
            &long,
        ] {
            assert!(parse_host_name(text).is_err(), "{text:?}");
        }
    }
}
