//! Decimal fractions as text: "29.97", "44.1", "30". Formatting floating-point numbers would add 25 KB
//! of code, one thirtieth of the program.

use std::fmt;

/// A number in thousandths, displayed without trailing zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thousandths(pub u64);

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1000, self.0 % 1000);
        match (part, part % 10, part % 100) {
            (0, ..) => write!(f, "{whole}"),
            (.., 0) => write!(f, "{whole}.{}", part / 100),
            (_, 0, _) => write!(f, "{whole}.{:02}", part / 10),
            _ => write!(f, "{whole}.{part:03}"),
        }
    }
}

/// A number in thousandths, displayed in tenths, rounded: "12.3".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenths(pub u64);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.saturating_add(50) / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

/// A number of bytes in the unit that fits: "12.3 MB", "1.2 GB".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (divisor, unit) = match self.0 {
            0..1_000_000_000 => (1_000, "MB"),
            _ => (1_000_000, "GB"),
        };
        write!(f, "{} {unit}", Tenths(self.0 / divisor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_zeros_are_left_out() {
        for (thousandths, text) in [
            (0, "0"),
            (30_000, "30"),
            (44_100, "44.1"),
            (29_970, "29.97"),
            (11_025, "11.025"),
            (1_005, "1.005"),
            (1_050, "1.05"),
        ] {
            assert_eq!(Thousandths(thousandths).to_string(), text);
        }
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0.0 MB"),
            (949_999, "0.9 MB"),
            (999_900_000, "999.9 MB"),
            (1_000_000_000, "1.0 GB"),
            (12_340_000_000, "12.3 GB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn tenths_are_rounded() {
        for (thousandths, text) in [
            (0, "0.0"),
            (349, "0.3"),
            (350, "0.4"),
            (86_399_950, "86400.0"),
        ] {
            assert_eq!(Tenths(thousandths).to_string(), text);
        }
        // At the end of the range it is not rounded up.
        assert_eq!(Tenths(u64::MAX).to_string(), "18446744073709551.6");
    }
}
