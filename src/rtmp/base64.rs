//! Base64, for handshakes and passwords.

/// Base64 of RFC 4648, section 4, with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| {
            bits << 8 | u32::from(group.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            text.push(if i > group.len() {
                '='
            } else {
                base64_digit((bits >> (18 - 6 * i) & 63) as u8)
            });
        }
    }
    text
}

fn base64_digit(value: u8) -> char {
    char::from(match value {
        0..=25 => b'A' + value,
        26..=51 => b'a' + (value - 26),
        52..=61 => b'0' + (value - 52),
        62 => b'+',
        _ => b'/',
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        let all: Vec<u8> = (0..64u32)
            .collect::<Vec<_>>()
            .chunks(4)
            .flat_map(|c| (c[0] << 18 | c[1] << 12 | c[2] << 6 | c[3]).to_be_bytes()[1..].to_vec())
            .collect();
        let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        assert_eq!(base64(&all), digits);
    }
}
