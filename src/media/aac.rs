//! AAC: the sequence header, an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
//!
//! ```text
//! 11 90    00010 0011 0010 000   object type 2 (LC), frequency index 3 (48 kHz), 2 channels
//! ```
//!
//! Object type 31 is followed by 6 more bits, frequency index 15 by the frequency in 24 bits. Types 5
//! and 29 (HE-AAC) have the doubled frequency of the output after the channels, followed by the object
//! type of the core.

use super::Error;
use super::bits::BitReader;

/// The length of the shortest configuration.
pub const MIN_LEN: usize = 2;

/// Sample rates by index, in Hz.
const FREQUENCIES: [u32; 13] = [
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
];

/// The sequence header of an AAC track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacConfig {
    /// The audio object type: 2 LC, 5 HE-AAC, 29 HE-AAC v2.
    pub object_type: u8,
    /// The sample rate of the core in Hz, above 0. Frames are counted at this rate.
    pub sample_rate: u32,
    /// The sample rate of the output in Hz, above 0. In HE-AAC it differs from that of the core.
    pub output_sample_rate: u32,
    /// The number of channels of the core; `None` if a program config element defines them.
    pub channels: Option<u8>,
    /// The number of samples per channel in a frame, at the core's sample rate: 1024, rarely 960, and
    /// 512 or 480 with the low-delay types.
    pub samples_per_frame: u16,
}

impl AacConfig {
    /// Parses the body of a sequence header.
    pub fn parse(body: &[u8]) -> Result<AacConfig, Error> {
        let config = read(&mut BitReader::new(body));
        config.ok_or_else(|| {
            let start = body.get(..body.len().min(8)).unwrap_or_default();
            Error::malformed(format!(
                "AAC configuration of {} bytes beginning {start:02X?}, expected an object type, a \
                 frequency and channels",
                body.len(),
            ))
        })
    }
}

fn read(r: &mut BitReader<'_>) -> Option<AacConfig> {
    const SBR: u8 = 5;
    const PS: u8 = 29;
    let object_type = object_type(r)?;
    let sample_rate = frequency(r)?;
    let channels = match r.bits(4)? {
        0 => None,
        channels @ 1..=6 => Some(channels as u8),
        7 | 12 | 14 => Some(8),
        11 => Some(7),
        13 => Some(24),
        _ => return None,
    };
    let (output_sample_rate, core_type) = match object_type {
        SBR | PS => (frequency(r)?, self::object_type(r).unwrap_or(object_type)),
        _ => (sample_rate, object_type),
    };
    // A configuration that is all zeros or truncated has type 0.
    (object_type != 0).then_some(AacConfig {
        object_type,
        sample_rate,
        output_sample_rate,
        channels,
        samples_per_frame: samples_per_frame(r, core_type),
    })
}

/// Reads frameLengthFlag, the first bit of the core's configuration (ISO/IEC 14496-3, 4.4.1). The bit
/// may be missing in a truncated configuration.
fn samples_per_frame(r: &mut BitReader<'_>, core_type: u8) -> u16 {
    const GENERAL: [u8; 9] = [1, 2, 3, 4, 6, 7, 17, 19, 20];
    const LOW_DELAY: [u8; 2] = [23, 39];
    let is_short = r.flag() == Some(true);
    if LOW_DELAY.contains(&core_type) {
        return if is_short { 480 } else { 512 };
    }
    if is_short && GENERAL.contains(&core_type) {
        960
    } else {
        1024
    }
}

fn object_type(r: &mut BitReader<'_>) -> Option<u8> {
    const ESCAPE: u32 = 31;
    let object_type = match r.bits(5)? {
        ESCAPE => 32 + r.bits(6)?,
        object_type => object_type,
    };
    Some(object_type as u8)
}

fn frequency(r: &mut BitReader<'_>) -> Option<u32> {
    const EXPLICIT: u32 = 15;
    match r.bits(4)? {
        EXPLICIT => r.bits(24).filter(|frequency| *frequency > 0),
        index => FREQUENCIES.get(index as usize).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn configurations_of_real_encoders_are_parsed() {
        type Parsed = (u8, u32, u32, Option<u8>, u16);
        let rows: &[(&str, &[u8], Parsed)] = &[
            (
                "ffmpeg, LC 48 kHz stereo",
                b"\x11\x90\x56\xE5\0",
                (2, 48000, 48000, Some(2), 1024),
            ),
            (
                "OBS, LC 44.1 kHz stereo",
                b"\x12\x10",
                (2, 44100, 44100, Some(2), 1024),
            ),
            ("LC 8 kHz mono", b"\x15\x88", (2, 8000, 8000, Some(1), 1024)),
            (
                "HE-AAC 22.05 to 44.1 kHz stereo",
                b"\x2B\x92\x08\0",
                (5, 22050, 44100, Some(2), 1024),
            ),
            (
                "HE-AAC v2 24 to 48 kHz",
                b"\xEB\x09\x88\0",
                (29, 24000, 48000, Some(1), 1024),
            ),
            ("5.1", b"\x11\xB0", (2, 48000, 48000, Some(6), 1024)),
            (
                "channels in a program config element",
                b"\x11\x80",
                (2, 48000, 48000, None, 1024),
            ),
            (
                "explicit frequency",
                b"\x17\x80\x5D\xC0\x10",
                (2, 48000, 48000, Some(2), 1024),
            ),
            (
                "escaped object type (42, xHE-AAC)",
                b"\xF9\x46\x40",
                (42, 48000, 48000, Some(2), 1024),
            ),
            (
                "frames of 960",
                b"\x11\x94",
                (2, 48000, 48000, Some(2), 960),
            ),
            (
                "HE-AAC with frames of 960",
                b"\x2B\x92\x0A\0",
                (5, 22050, 44100, Some(2), 960),
            ),
            (
                "low delay (23)",
                b"\xB9\x90",
                (23, 48000, 48000, Some(2), 512),
            ),
            (
                "enhanced low delay (39) with frames of 480",
                b"\xF8\xE6\x50",
                (39, 48000, 48000, Some(2), 480),
            ),
        ];
        for (name, bytes, expected) in rows {
            let (object_type, sample_rate, output_sample_rate, channels, samples) = expected;
            let config = AacConfig {
                object_type: *object_type,
                sample_rate: *sample_rate,
                output_sample_rate: *output_sample_rate,
                channels: *channels,
                samples_per_frame: *samples,
            };
            assert_eq!(AacConfig::parse(bytes), Ok(config), "{name}");
        }
    }

    #[test]
    fn invalid_configurations_are_refused() {
        let rows: &[(&str, &[u8])] = &[
            ("empty", b""),
            ("cut", b"\x11"),
            ("zeros", b"\0\0"),
            ("reserved frequency", b"\x16\x90"),
            ("frequency of 0 Hz", b"\x17\x80\0\0\x10"),
            ("reserved channels", b"\x11\xF8"),
        ];
        for (name, bytes) in rows {
            assert!(AacConfig::parse(bytes).is_err(), "{name}");
        }
        assert_eq!(
            AacConfig::parse(b"\0\0").unwrap_err().to_string(),
            "AAC configuration of 2 bytes beginning [00, 00], expected an object type, a frequency \
             and channels"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = AacConfig::parse(&bytes);
        }
    }
}
