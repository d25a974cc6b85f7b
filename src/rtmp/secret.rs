//! Comparing secrets.

use std::hint::black_box;

/// Whether both are equal, in a time that depends on their lengths only, so that guessing doesn't
/// reveal how many of the first bytes were right.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    // `black_box` keeps the optimizer from leaving the loop early.
    let differences = a
        .iter()
        .zip(b)
        .fold(0, |seen, (a, b)| black_box(seen | (a ^ b)));
    a.len() == b.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_bytes_are_equal() {
        for (a, b, is_equal) in [
            ("", "", true),
            ("", "a", false),
            ("secret", "secret", true),
            ("secret", "secre", false),
            ("secre", "secret", false),
            ("secret", "Secret", false),
            ("secret", "secreT", false),
        ] {
            assert_eq!(
                constant_time_eq(a.as_bytes(), b.as_bytes()),
                is_equal,
                "{a:?} {b:?}"
            );
        }
    }

    #[test]
    fn every_bit_counts() {
        let a = [0x5A; 32];
        for bit in 0..8 * a.len() {
            let mut b = a;
            b[bit / 8] ^= 1 << (bit % 8);
            assert!(!constant_time_eq(&a, &b), "bit {bit}");
        }
    }
}
