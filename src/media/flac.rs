//! FLAC: the sequence header, which is a STREAMINFO block (RFC 9639, 8.2), and the duration of a frame
//! (9.1).
//!
//! ```text
//! "fLaC" 80 000022    magic, header of the last block, of type 0 and length 34; may be missing
//! 10 00 10 00         smallest and largest block size
//! 00000E 0010F2       smallest and largest frame size
//! 0A C4 42 F0 ...     sample rate (20 bits), channels - 1 (3), bits - 1 (5), samples (36)
//! (16 bytes)          checksum
//! ```

/// The length of the block without its header, in bytes.
pub const STREAMINFO_LEN: usize = 34;

/// Returns the STREAMINFO block in the body of a sequence header, in any of the three forms that
/// encoders send.
pub fn stream_info(body: &[u8]) -> Option<&[u8; STREAMINFO_LEN]> {
    let body = body.strip_prefix(b"fLaC").unwrap_or(body);
    // The first bit of a block header marks the last block. A STREAMINFO block itself can't begin with
    // these bytes: its largest size would be below its smallest, or its smallest below 16.
    let body = match body {
        [0x00 | 0x80, 0, 0, 0x22, block @ ..] => block,
        block => block,
    };
    body.first_chunk()
}

/// A STREAMINFO block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// The number of samples per channel in the largest block.
    pub max_block_size: u16,
    /// The sample rate in Hz, above 0.
    pub sample_rate: u32,
    /// The number of channels, 1 to 8.
    pub channels: u8,
}

impl StreamInfo {
    /// Parses the block that [`stream_info`] returns.
    pub fn parse(block: &[u8; STREAMINFO_LEN]) -> Option<StreamInfo> {
        let &[_, _, max0, max1, _, _, _, _, _, _, rate0, rate1, rate2, ..] = block;
        let sample_rate = u32::from_be_bytes([0, rate0, rate1, rate2]) >> 4;
        (sample_rate > 0).then_some(StreamInfo {
            max_block_size: u16::from_be_bytes([max0, max1]),
            sample_rate,
            channels: (rate2 >> 1 & 7) + 1,
        })
    }
}

/// Returns the number of samples per channel in a frame, read from its header of at most 16 bytes;
/// `None` if the header is invalid.
pub fn samples(frame: &[u8]) -> Option<u32> {
    let (&[0xFF, 0xF8 | 0xF9, sizes, _], rest) = frame.split_first_chunk()? else {
        return None;
    };
    // The number of the frame, or of its first sample, coded like a UTF-8 character.
    let number_len = match rest.first()?.leading_ones() {
        0 => 1,
        len @ 2..=7 => len as usize,
        _ => return None,
    };
    let size = rest.get(number_len..)?;
    Some(match sizes >> 4 {
        0 => return None,
        1 => 192,
        code @ 2..=5 => 144 << code,
        6 => u32::from(*size.first()?) + 1,
        7 => u32::from(u16::from_be_bytes(*size.first_chunk()?)) + 1,
        code => 1 << code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// ffmpeg's encoder, 44.1 kHz mono.
    const BLOCK: &[u8; STREAMINFO_LEN] = b"\x10\0\x10\0\0\0\x0E\0\x10\xF2\x0A\xC4\x40\xF0\0\0\0\0\
        \xD4\x1D\x8C\xD9\x8F\0\xB2\x04\xE9\x80\x09\x98\xEC\xF8\x42\x7E";

    #[test]
    fn stream_information_is_parsed_in_all_three_forms() {
        let expected = StreamInfo {
            max_block_size: 4096,
            sample_rate: 44100,
            channels: 1,
        };
        for start in [
            &b""[..],
            b"\x80\0\0\x22",
            b"\0\0\0\x22",
            b"fLaC\x80\0\0\x22",
        ] {
            let body = [start, BLOCK].concat();
            assert_eq!(stream_info(&body), Some(BLOCK), "{start:02X?}");
            assert_eq!(StreamInfo::parse(BLOCK), Some(expected));
            assert_eq!(
                stream_info(&body[..body.len() - 1]),
                None,
                "{start:02X?}, cut"
            );
        }
        assert_eq!(
            StreamInfo::parse(&[0; STREAMINFO_LEN]),
            None,
            "a rate of 0 Hz"
        );
    }

    #[test]
    fn frames_have_their_number_of_samples() {
        let rows: &[(&str, &[u8], Option<u32>)] = &[
            ("ffmpeg, first frame", b"\xFF\xF8\xC9\x08\0\x51", Some(4096)),
            ("frame 200", b"\xFF\xF8\xC9\x08\xC3\x88\x51", Some(4096)),
            ("192", b"\xFF\xF8\x19\x08\0", Some(192)),
            ("576", b"\xFF\xF8\x29\x08\0", Some(576)),
            ("4608", b"\xFF\xF8\x59\x08\0", Some(4608)),
            ("256", b"\xFF\xF8\x89\x08\0", Some(256)),
            ("32768", b"\xFF\xF8\xF9\x08\0", Some(32768)),
            ("in 8 bits", b"\xFF\xF8\x69\x08\0\x77", Some(120)),
            (
                "in 16 bits, after a number of 2 bytes",
                b"\xFF\xF8\x79\x08\xC3\x88\x04\xAF",
                Some(1200),
            ),
            (
                "in 16 bits, the largest",
                b"\xFF\xF8\x79\x08\0\xFF\xFF",
                Some(65536),
            ),
            (
                "variable, after the longest number",
                b"\xFF\xF9\x69\x08\xFE\xBF\xBF\xBF\xBF\xBF\xBF\x0F",
                Some(16),
            ),
            ("reserved size", b"\xFF\xF8\x09\x08\0", None),
            ("size cut", b"\xFF\xF8\x79\x08\0\x04", None),
            ("number cut", b"\xFF\xF8\x79\x08\xC3", None),
            ("no number", b"\xFF\xF8\xC9\x08\xBF\x51", None),
            ("no sync", b"\xFF\xF2\xC9\x08\0", None),
            ("empty", b"", None),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(samples(bytes), *expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = samples(&bytes);
            let _ = samples(&[&[0xFF, 0xF8], &bytes[..]].concat());
            let _ = stream_info(&bytes).and_then(StreamInfo::parse);
        }
    }
}
