//! Decimal numbers in playlists. A playlist contains a hundred of them and is generated for every
//! request; `write!` would take several times as long.

use std::fmt::{self, Write};

/// Writes a number with at least `width` digits; `width` is at most 9.
pub(super) fn decimal(out: &mut dyn Write, number: u64, width: usize) -> fmt::Result {
    const ALL: u64 = 1_000_000_000;
    if number >= ALL {
        decimal(out, number / ALL, width.saturating_sub(9))?;
        return decimal(out, number % ALL, 9);
    }
    let (mut rest, mut digits, mut start) = (number as u32, [0; 9], 9);
    while rest > 0 || 9 - start < width {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.write_str(std::str::from_utf8(&digits[start..]).unwrap_or_default())
}

/// Writes a number of thousandths with all zeros: "2.000".
pub(super) fn thousandths(out: &mut dyn Write, number: u64) -> fmt::Result {
    decimal(out, number / 1_000, 1)?;
    out.write_str(".")?;
    decimal(out, number % 1_000, 3)
}
