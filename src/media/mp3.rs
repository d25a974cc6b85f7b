//! MP3: the header of a frame (ISO/IEC 11172-3, 2.4.1.3, and ISO/IEC 13818-3).
//!
//! ```text
//! FF FB 90 64     11 bits set, version (2 bits: 3 is MPEG-1), layer (2: 1 is III), no checksum
//!                 bit rate (4), sample rate (2), padding, private; mode (2: 3 is mono), ...
//! ```

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mp3Header {
    /// The sample rate in Hz.
    pub sample_rate: u32,
    /// The number of channels, 1 or 2.
    pub channels: u8,
    /// The number of samples per channel.
    pub samples: u16,
}

impl Mp3Header {
    /// Parses the first bytes of a frame of any layer; `None` if they aren't a frame header.
    pub fn parse(frame: &[u8]) -> Option<Mp3Header> {
        let &[0xFF, version_and_layer, rates, mode, ..] = frame else {
            return None;
        };
        if version_and_layer & 0xE0 != 0xE0 {
            return None;
        }
        let sample_rate = *[44100, 48000, 32000].get(usize::from(rates >> 2 & 3))?;
        // MPEG-2 halves the rates, and MPEG-2.5 (not standardized) halves them again.
        let sample_rate = match version_and_layer >> 3 & 3 {
            3 => sample_rate,
            2 => sample_rate / 2,
            0 => sample_rate / 4,
            _ => return None,
        };
        let samples = match version_and_layer >> 1 & 3 {
            3 => 384,
            1 if sample_rate < 32000 => 576,
            0 => return None,
            _ => 1152,
        };
        Some(Mp3Header {
            sample_rate,
            channels: if mode >> 6 == 3 { 1 } else { 2 },
            samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_parsed() {
        type Parsed = (u32, u8, u16);
        let rows: &[(&str, [u8; 4], Parsed)] = &[
            (
                "LAME, 44.1 kHz joint stereo",
                [0xFF, 0xFB, 0x90, 0x64],
                (44100, 2, 1152),
            ),
            (
                "LAME, 48 kHz mono",
                [0xFF, 0xFB, 0x54, 0xC4],
                (48000, 1, 1152),
            ),
            (
                "MPEG-1, 32 kHz, checksum",
                [0xFF, 0xFA, 0x98, 0],
                (32000, 2, 1152),
            ),
            (
                "MPEG-2, 22.05 kHz mono",
                [0xFF, 0xF3, 0x40, 0xC4],
                (22050, 1, 576),
            ),
            ("MPEG-2, 24 kHz", [0xFF, 0xF3, 0x84, 0x04], (24000, 2, 576)),
            (
                "MPEG-2.5, 8 kHz mono",
                [0xFF, 0xE3, 0x18, 0xC4],
                (8000, 1, 576),
            ),
            ("layer II", [0xFF, 0xFD, 0x84, 0], (48000, 2, 1152)),
            ("layer I", [0xFF, 0xFF, 0x84, 0], (48000, 2, 384)),
        ];
        for (name, bytes, (sample_rate, channels, samples)) in rows {
            let header = Mp3Header {
                sample_rate: *sample_rate,
                channels: *channels,
                samples: *samples,
            };
            assert_eq!(Mp3Header::parse(bytes), Some(header), "{name}");
        }
    }

    #[test]
    fn invalid_headers_are_refused() {
        let rows: &[(&str, &[u8])] = &[
            ("empty", b""),
            ("cut", b"\xFF\xFB\x90"),
            ("no sync", b"\xFF\x1B\x90\x64"),
            ("an ID3 tag", b"ID3\x04"),
            ("reserved version", b"\xFF\xEB\x90\x64"),
            ("reserved layer (or ADTS)", b"\xFF\xF1\x50\x80"),
            ("reserved rate", b"\xFF\xFB\x9C\x64"),
        ];
        for (name, bytes) in rows {
            assert_eq!(Mp3Header::parse(bytes), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_no_rate_is_0(bytes: [u8; 4]) {
            if let Some(header) = Mp3Header::parse(&bytes) {
                prop_assert!(header.sample_rate >= 8000 && header.samples >= 384);
            }
        }
    }
}
