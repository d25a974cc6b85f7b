//! A reader of the bits of parameter sets, most significant first, with the Exp-Golomb codes of H.264
//! and H.265 (H.264, 9.1).
//!
//! ```text
//! bits     1  010  011  00100  00101
//! ue       0    1    2      3      4
//! se       0    1   -1      2     -2
//! ```
//!
//! Every read is bounded by the slice, and returns `None` at its end.

/// A cursor over the bits of a slice.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    /// The remaining bytes; some bits of the first byte may have been read.
    bytes: &'a [u8],
    /// The number of bits of the first byte that have been read, 0 to 7.
    used: u32,
    /// The number of zero bytes immediately before the first byte, used to detect escapes.
    zeros: u32,
    /// Whether 00 00 03 stands for 00 00.
    is_escaped: bool,
}

impl<'a> BitReader<'a> {
    /// Creates a reader of plain bytes.
    pub fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader {
            bytes,
            used: 0,
            zeros: 0,
            is_escaped: false,
        }
    }

    /// Creates a reader of a NAL unit. It skips the 03 in each 00 00 03, which encoders insert so that
    /// no start code occurs inside a unit (H.264, 7.4.1).
    pub fn of_nal_unit(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader {
            is_escaped: true,
            ..BitReader::new(bytes)
        }
    }

    /// Reads one bit as a flag.
    pub fn flag(&mut self) -> Option<bool> {
        let (byte, rest) = self.bytes.split_first()?;
        let bit = byte >> (7 - self.used) & 1;
        self.used += 1;
        if self.used == 8 {
            self.used = 0;
            self.bytes = rest;
            self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
            if self.is_escaped && self.zeros >= 2 {
                if let Some(rest) = rest.strip_prefix(&[3]) {
                    self.bytes = rest;
                    self.zeros = 0;
                }
            }
        }
        Some(bit == 1)
    }

    /// Reads an unsigned number of `count` bits, at most 32.
    pub fn bits(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= 32);
        (0..count).try_fold(0, |number, _| Some(number << 1 | u32::from(self.flag()?)))
    }

    /// Skips bits.
    pub fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.flag().map(drop))
    }

    /// Reads an unsigned Exp-Golomb code. Returns `None` for more than 31 leading zeros, which no
    /// valid parameter set has.
    pub fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// Reads a signed Exp-Golomb code.
    pub fn se(&mut self) -> Option<i32> {
        let code = self.ue()?;
        // The code is at most 2^32 - 2, so half of it fits.
        let half = code.div_ceil(2) as i32;
        Some(if code % 2 == 1 { half } else { -half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exp_golomb_codes_match_the_specification() {
        // 1 010 011 00100 00101 00110 00111 0001000
        let bytes = [
            0b1010_0110,
            0b0100_0010,
            0b1001_1000,
            0b1110_0010,
            0b0000_0000,
        ];
        let mut reader = BitReader::new(&bytes);
        let codes: Vec<_> = (0..8).map(|_| reader.ue().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7]);
        let mut reader = BitReader::new(&bytes);
        let codes: Vec<_> = (0..8).map(|_| reader.se().unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2, 3, -3, 4]);
    }

    #[test]
    fn numbers_cross_bytes() {
        let mut reader = BitReader::new(&[0xAB, 0xCD, 0xEF, 0x01, 0x23]);
        assert_eq!(reader.bits(4), Some(0xA));
        assert_eq!(reader.bits(32), Some(0xBCDE_F012));
        assert_eq!(reader.skip(4), Some(()));
        assert_eq!(reader.flag(), None);
        assert_eq!(reader.bits(0), Some(0));
    }

    #[test]
    fn the_longest_code_is_read_and_longer_ones_are_refused() {
        let mut bytes = vec![0, 0, 0, 1];
        bytes.extend([0xFF; 4]);
        assert_eq!(BitReader::new(&bytes).ue(), Some(u32::MAX - 1));
        assert_eq!(BitReader::new(&bytes).se(), Some(-i32::MAX));
        assert_eq!(
            BitReader::new(&[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]).ue(),
            None
        );
    }

    #[test]
    fn emulation_prevention_is_skipped_in_nal_units_only() {
        let bytes = [0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 0, 0, 3];
        let read = |mut reader: BitReader<'_>| {
            std::iter::from_fn(move || reader.bits(8)).collect::<Vec<_>>()
        };
        assert_eq!(
            read(BitReader::of_nal_unit(&bytes)),
            [0, 0, 1, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(read(BitReader::new(&bytes)), bytes.map(u32::from));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, reads: Vec<u8>) {
            let mut reader = BitReader::of_nal_unit(&bytes);
            for read in reads {
                match read % 4 {
                    0 => drop(reader.ue()),
                    1 => drop(reader.se()),
                    2 => drop(reader.skip(u32::from(read))),
                    _ => drop(reader.bits(u32::from(read) % 33)),
                }
            }
        }
    }
}
