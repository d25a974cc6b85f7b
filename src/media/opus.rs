//! Opus: the sequence header, which is an identification header (RFC 7845, 5.1) and may be missing, and
//! the duration of a packet (RFC 6716, 3.1). The clock always runs at 48 kHz.
//!
//! ```text
//! "OpusHead"      magic
//! 01              version
//! 02              channels
//! 38 01           samples to drop at the beginning, 312: from here on little-endian
//! 80 BB 00 00     sample rate of the encoder's input
//! 00 00           gain
//! 00              channel mapping family; families other than 0 are followed by a mapping
//! ```

use byteorder::{ByteOrder, LittleEndian};

/// The rate of the clock in Hz.
pub const SAMPLE_RATE: u32 = 48000;

/// The maximum number of samples in a packet: 120 ms.
const MAX_SAMPLES: u32 = 5760;

/// An identification header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusHead<'a> {
    /// The number of channels, at least 1.
    pub channels: u8,
    /// The number of samples to drop at the beginning.
    pub pre_skip: u16,
    /// The sample rate of the encoder's input, in Hz.
    pub input_sample_rate: u32,
    /// The output gain in 1/256 dB.
    pub gain: i16,
    /// The channel mapping family. Family 0 is one stream of one or two channels.
    pub mapping_family: u8,
    /// The mapping of families above 0: streams, coupled streams, one byte per channel.
    pub mapping: &'a [u8],
}

impl<'a> OpusHead<'a> {
    /// The header that is assumed if an encoder sends none.
    pub const STEREO: OpusHead<'static> = OpusHead {
        channels: 2,
        pre_skip: 0,
        input_sample_rate: SAMPLE_RATE,
        gain: 0,
        mapping_family: 0,
        mapping: &[],
    };

    /// Parses the body of a sequence header.
    pub fn parse(body: &'a [u8]) -> Option<OpusHead<'a>> {
        let rest = body.strip_prefix(b"OpusHead")?;
        let (head, rest) = rest.split_first_chunk::<11>()?;
        let (channels, mapping_family) = (head[1], head[10]);
        let mapping: &[u8] = match mapping_family {
            0 if channels <= 2 => &[],
            0 => return None,
            _ => rest.get(..2 + usize::from(channels))?,
        };
        (channels > 0).then_some(OpusHead {
            channels,
            pre_skip: LittleEndian::read_u16(&head[2..4]),
            input_sample_rate: LittleEndian::read_u32(&head[4..8]),
            gain: LittleEndian::read_i16(&head[8..10]),
            mapping_family,
            mapping,
        })
    }
}

/// Returns the number of samples per channel in a packet, from its first two bytes; `None` if they are
/// invalid.
pub fn samples(packet: &[u8]) -> Option<u32> {
    let (&head, rest) = packet.split_first()?;
    let configuration = u32::from(head >> 3);
    let size = match configuration {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1920, 2880]
            .get(configuration as usize & 3)
            .copied()?,
        // Hybrid: 10, 20 ms.
        12..=15 => 480 << (configuration & 1),
        // CELT: 2.5, 5, 10, 20 ms.
        _ => 120 << (configuration & 3),
    };
    let count = match head & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3F),
    };
    Some(count * size).filter(|samples| (1..=MAX_SAMPLES).contains(samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn identification_headers_are_parsed() {
        let head = OpusHead::parse(b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\xFE\xFF\0").unwrap();
        let expected = OpusHead {
            pre_skip: 312,
            gain: -2,
            ..OpusHead::STEREO
        };
        assert_eq!(head, expected);
        let surround =
            b"OpusHead\x01\x06\x38\x01\x80\xBB\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
        let head = OpusHead::parse(surround).unwrap();
        assert_eq!((head.channels, head.mapping_family), (6, 1));
        assert_eq!(head.mapping, b"\x04\x02\0\x04\x01\x02\x03\x05");
    }

    #[test]
    fn invalid_identification_headers_are_refused() {
        let rows: &[(&str, &[u8])] = &[
            ("empty", b""),
            ("cut", b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0"),
            ("other magic", b"OpusTags\x01\x02\x38\x01\x80\xBB\0\0\0\0\0"),
            ("no channels", b"OpusHead\x01\0\x38\x01\x80\xBB\0\0\0\0\0"),
            (
                "three channels without a mapping",
                b"OpusHead\x01\x03\x38\x01\x80\xBB\0\0\0\0\0",
            ),
            (
                "mapping cut",
                b"OpusHead\x01\x03\x38\x01\x80\xBB\0\0\0\0\x01\x02\x01\0\x01",
            ),
        ];
        for (name, bytes) in rows {
            assert_eq!(OpusHead::parse(bytes), None, "{name}");
        }
    }

    #[test]
    fn packets_have_their_number_of_samples() {
        let rows: &[(&str, &[u8], Option<u32>)] = &[
            ("libopus: CELT, 20 ms stereo", b"\xFC\x7F", Some(960)),
            ("SILK, 10 ms", b"\0", Some(480)),
            ("SILK, 60 ms", b"\x18", Some(2880)),
            ("SILK wideband, 40 ms", b"\x50", Some(1920)),
            ("hybrid, 10 ms", b"\x60", Some(480)),
            ("hybrid, 20 ms", b"\x68", Some(960)),
            ("CELT, 2.5 ms", b"\x80", Some(120)),
            ("CELT, 5 ms", b"\xE8", Some(240)),
            ("two frames", b"\xFD", Some(1920)),
            ("two frames of different size", b"\xFE", Some(1920)),
            ("three frames", b"\xFF\x03", Some(2880)),
            ("six frames, padded", b"\xFF\x46", Some(5760)),
            ("seven frames: above 120 ms", b"\xFF\x07", None),
            ("no frames", b"\xFF\x40", None),
            ("cut", b"\xFF", None),
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
            let _ = OpusHead::parse(&bytes);
            let _ = OpusHead::parse(&[b"OpusHead", &bytes[..]].concat());
        }
    }
}
