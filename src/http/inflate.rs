//! A decompressor for the gzip files (RFC 1951, RFC 1952) that the build makes: files of the page, for
//! clients that don't accept gzip.
//!
//! The decompressor supports only blocks with dynamic codes, of which compressed text consists. It is
//! small rather than fast.

/// The length of the gzip header in bytes, which is skipped (RFC 1952, 2.3).
const HEADER_LEN: usize = 10;

/// The order in which the lengths of the code length codes are stored (RFC 1951, 3.2.7).
const ORDER: &[u8; 19] =
    b"\x10\x11\x12\0\x08\x07\x09\x06\x0A\x05\x0B\x04\x0C\x03\x0D\x02\x0E\x01\x0F";

/// The maximum number of symbols in both alphabets together.
const MAX_SYMBOLS: usize = 320;

/// Decompresses a file into `out` and returns its length. Returns `None` if the data doesn't fit, or if
/// it is recognizably not a file made by the build.
#[inline(never)] // Keeps its tables off the stack of its callers.
pub(crate) fn unpack(file: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut input = Input {
        bytes: file.get(HEADER_LEN..)?,
        bit: 0,
    };
    let mut codes = [Code::NONE; 2];
    let mut len = 0_usize;
    loop {
        let is_last = input.bits(1) == 1;
        if input.bits(2) != 2 {
            return None;
        }
        input.read_codes(&mut codes)?;
        let [literals, distances] = &codes;
        loop {
            let symbol = input.symbol(literals);
            let Some(symbol) = symbol.checked_sub(256) else {
                *out.get_mut(len)? = symbol as u8;
                len += 1;
                continue;
            };
            let count = match symbol {
                0 => break,
                // The longest length has its own symbol (3.2.5).
                29 => 258,
                _ => input.value(symbol - 1, 2) + 3,
            };
            let symbol = input.symbol(distances);
            let start = len.checked_sub(input.value(symbol, 1) + 1)?;
            for from in start..start + count {
                *out.get_mut(len)? = *out.get(from)?;
                len += 1;
            }
        }
        if is_last {
            return Some(len);
        }
    }
}

/// A Huffman code (RFC 1951, 3.2.2): the number of symbols with a code of each length, and the symbols
/// in the order of their codes.
struct Code {
    counts: [u16; 16],
    symbols: [u16; MAX_SYMBOLS],
}

impl Code {
    const NONE: Code = Code {
        counts: [0; 16],
        symbols: [0; MAX_SYMBOLS],
    };

    /// Sets the code from the code lengths of its symbols.
    fn set(&mut self, lengths: &[u8]) {
        let [_, counts @ ..] = &mut self.counts;
        let mut at = 0;
        for (len, count) in (1..).zip(counts) {
            let first = at;
            for (symbol, found) in lengths.iter().enumerate() {
                if let (true, Some(place)) = (*found == len, self.symbols.get_mut(at)) {
                    *place = symbol as u16;
                    at += 1;
                }
            }
            *count = (at - first) as u16;
        }
    }
}

struct Input<'a> {
    bytes: &'a [u8],
    /// The number of bits read.
    bit: usize,
}

impl Input<'_> {
    /// Returns the next `count` bits; zeros after the end.
    fn bits(&mut self, count: usize) -> usize {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.bit / 8).copied().unwrap_or_default();
            value |= (usize::from(byte) >> (self.bit % 8) & 1) << place;
            self.bit += 1;
        }
        value
    }

    fn symbol(&mut self, code: &Code) -> usize {
        let (mut bits, mut index) = (0, 0);
        let [_, counts @ ..] = &code.counts;
        for count in counts {
            let count = usize::from(*count);
            // The distance of the read bits from the first code of this length.
            bits = bits << 1 | self.bits(1);
            if bits < count {
                index += bits;
                break;
            }
            bits -= count;
            index += count;
        }
        code.symbols.get(index).copied().unwrap_or_default().into()
    }

    /// Returns the value of a length or distance symbol, starting at 0. The symbol contains `precision`
    /// bits of the value; the rest follows as extra bits, one more for each larger group (3.2.5).
    fn value(&mut self, symbol: usize, precision: usize) -> usize {
        let size = 1 << precision;
        match (symbol >> precision).checked_sub(1) {
            None => symbol,
            Some(more) => ((symbol % size + size) << more) + self.bits(more),
        }
    }

    /// Reads the two codes of a block: one for literals and lengths, one for distances (3.2.7).
    fn read_codes(&mut self, codes: &mut [Code; 2]) -> Option<()> {
        let literals = self.bits(5) + 257;
        let count = literals + self.bits(5) + 1;
        let mut lengths = [0; MAX_SYMBOLS];
        for place in ORDER.iter().take(self.bits(4) + 4) {
            *lengths.get_mut(usize::from(*place))? = self.bits(3) as u8;
        }
        let [literal, distance] = codes;
        // The code for code lengths is only needed until the other codes are known, so it uses the
        // distance code's memory.
        distance.set(lengths.get(..ORDER.len())?);
        let (mut at, mut last) = (0, 0);
        while at < count {
            let symbol = self.symbol(distance);
            if symbol != 16 {
                last = if symbol < 16 { symbol as u8 } else { 0 };
            }
            let times = match symbol {
                16 => self.bits(2) + 3,
                17 => self.bits(3) + 3,
                18 => self.bits(7) + 11,
                _ => 1,
            };
            lengths.get_mut(at..at + times)?.fill(last);
            at += times;
        }
        let (literals, distances) = lengths.get(..count)?.split_at_checked(literals)?;
        literal.set(literals);
        distance.set(distances);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn texts_are_what_they_were() {
        let far = [include_str!("inflate.rs"), include_str!("head.rs")].concat();
        let run = [far.as_str(), &"=".repeat(5_000)].concat();
        for text in [include_str!("inflate.rs"), &far, &run] {
            let mut out = vec![0; text.len()];
            let file = packed(text.as_bytes());
            assert_eq!(unpack(&file, &mut out), Some(text.len()));
            assert!(out == text.as_bytes());
            let short = out.len() - 1;
            assert_eq!(unpack(&file, &mut out[..short]), None, "no room");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(
            place in 0..2_000_usize,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut file = packed(include_bytes!("inflate.rs"));
            file.splice(place..place + bytes.len(), bytes.iter().copied());
            let _ = unpack(&file, &mut [0; 20_000]);
            let _ = unpack(&bytes, &mut [0; 300]);
        }
    }
}
