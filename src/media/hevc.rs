//! H.265: the sequence header, which is an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1),
//! and the sequence parameter set in it (H.265, 7.3.2.2.1).
//!
//! ```text
//!  0  01                 version
//!  1  01                 profile space (2 bits), tier (1), profile (5): Main
//!  2  60 00 00 00        compatibility flags
//!  6  90 00 00 00 00 00  constraint flags
//! 12  78                 level, thirty times: 4.0
//! 13  F0 00 FC FD F8 F8  reserved bits around segmentation, parallelism, chroma and depths
//! 19  00 00              average frame rate, in frames per 256 s; 0 is unknown
//! 21  0F                 ..., length size - 1 (2 bits)
//! 22  04                 number of arrays
//! 23  21 00 01           array: NAL unit type (6 bits), number of NAL units
//!     00 2A 42 01 ...    length, NAL unit
//! ```

use byteorder::{BigEndian, ByteOrder};

use super::Error;
use super::avc;
use super::bits::BitReader;
use super::video_format::VideoFormat;

/// The length of a record without arrays, in bytes. Some encoders send their parameter sets only in the
/// stream.
pub const MIN_LEN: usize = 23;

/// The NAL unit type of a sequence parameter set.
const SEQUENCE_PARAMETER_SET: u8 = 33;

/// The NAL unit types of the other parameter sets.
const VIDEO_PARAMETER_SET: u8 = 32;
const PICTURE_PARAMETER_SET: u8 = 34;

/// A record without arrays: 4:2:0, 8 bits, one layer.
const DEFAULT_HEAD: &[u8; MIN_LEN] =
    b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0";

/// The sequence header of an H.265 track.
#[derive(Clone, Debug, PartialEq)]
pub struct HevcConfig {
    /// general_profile_space, 0 to 3.
    pub profile_space: u8,
    /// Whether the level is of the High tier.
    pub is_high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10.
    pub profile: u8,
    /// general_profile_compatibility_flags, the first flag in the most significant bit.
    pub compatibility: u32,
    /// The 48 constraint flags.
    pub constraints: [u8; 6],
    /// general_level_idc: thirty times the level.
    pub level: u8,
    /// The size of the length field in front of each NAL unit in bytes, 1 to 4; nearly always 4.
    pub nal_length_size: u8,
    /// The format in the first sequence parameter set; `None` if there is none, or if it is invalid.
    pub format: Option<VideoFormat>,
}

impl HevcConfig {
    /// Parses the body of a sequence header.
    pub fn parse(body: &[u8]) -> Result<HevcConfig, Error> {
        let Some((head, arrays)) = body.split_first_chunk::<MIN_LEN>() else {
            return Err(Error::malformed(format!(
                "H.265 configuration of {} bytes, expected {MIN_LEN} or more",
                body.len()
            )));
        };
        let (version, profile) = (head[0], head[1]);
        if version != 1 {
            let text = format!("H.265 configuration of version {version}, expected 1");
            return Err(Error::malformed(text));
        }
        let frame_rate = BigEndian::read_u16(&head[19..21]);
        let format = first_parameter_set(arrays, head[22])
            .and_then(format_of_parameter_set)
            .map(|format| format.with_frame_rate(frame_rate.into(), 256));
        Ok(HevcConfig {
            profile_space: profile >> 6,
            is_high_tier: profile & 0x20 != 0,
            profile: profile & 0x1F,
            compatibility: BigEndian::read_u32(&head[2..6]),
            constraints: [head[6], head[7], head[8], head[9], head[10], head[11]],
            level: head[12],
            nal_length_size: (head[21] & 3) + 1,
            format,
        })
    }

    /// Whether the body of a sequence header that is declared as H.264 is actually H.265, as sent by
    /// some cameras and old builds of OBS. Judged by the reserved bits, which are in other places in an
    /// H.264 record.
    pub fn is_disguised(body: &[u8]) -> bool {
        /// The reserved bits of bytes 13 to 18.
        const RESERVED: [u8; 6] = [0xF0, 0, 0xFC, 0xFC, 0xF8, 0xF8];
        let Some(head) = body.first_chunk::<MIN_LEN>() else {
            return false;
        };
        let is_avc = head[4] & 0xFC == 0xFC && head[5] & 0xE0 == 0xE0;
        let mut bytes = head[13..19].iter().zip(RESERVED);
        !is_avc && head[0] & 1 == 1 && bytes.all(|(byte, mask)| byte & mask == mask)
    }
}

/// Builds a record from these parameter sets, for NAL units with length fields of `length_size` bytes.
/// Values that the beginning of the sets doesn't contain are taken from the previous record, if there is
/// one. Returns `None` unless there is a parameter set of each type.
pub fn config_of_sets<'a>(
    length_size: u8,
    before: Option<&[u8]>,
    sets: impl Iterator<Item = &'a [u8]> + Clone,
) -> Option<Vec<u8>> {
    let of_type = |wanted| {
        let is_wanted = move |set: &&[u8]| set.first().is_some_and(|head| head >> 1 == wanted);
        sets.clone().filter(is_wanted)
    };
    let mut record = *before
        .and_then(<[u8]>::first_chunk::<MIN_LEN>)
        .unwrap_or(DEFAULT_HEAD);
    // Profile, tier and level follow the NAL unit header and one more byte.
    let r = &mut BitReader::of_nal_unit(of_type(SEQUENCE_PARAMETER_SET).next()?.get(2..)?);
    r.skip(8)?;
    for byte in record.get_mut(1..13)? {
        *byte = r.bits(8)? as u8;
    }
    let [.., sizes, count] = &mut record;
    *sizes = *sizes & 0xFC | length_size.wrapping_sub(1) & 3;
    // One array for each type of parameter set.
    *count = 3;
    let mut record = record.to_vec();
    for set_type in VIDEO_PARAMETER_SET..=PICTURE_PARAMETER_SET {
        let sets = of_type(set_type);
        sets.clone().next()?;
        record.extend([set_type, 0, sets.clone().count() as u8]);
        avc::put_sets(&mut record, sets);
    }
    Some(record)
}

/// Returns a record without its supplemental information (SEI), which decoders don't need: x265 stores
/// two kilobytes of text there. Returns the record unchanged if it can't be read to its end.
pub fn without_sei(body: &[u8]) -> Vec<u8> {
    let stripped = || {
        let (head, mut arrays) = body.split_first_chunk::<MIN_LEN>()?;
        let mut out = head.to_vec();
        let mut kept = 0;
        for _ in 0..*head.last()? {
            let (&[kind, n0, n1], mut rest) = arrays.split_first_chunk()?;
            for _ in 0..u16::from_be_bytes([n0, n1]) {
                (_, rest) = avc::split_set(rest)?;
            }
            let len = arrays.len() - rest.len();
            // Prefix and suffix SEI.
            if !matches!(kind & 0x3F, 39 | 40) {
                out.extend_from_slice(arrays.get(..len)?);
                kept += 1;
            }
            arrays = rest;
        }
        *out.get_mut(MIN_LEN - 1)? = kept;
        Some(out)
    };
    stripped().unwrap_or_else(|| body.to_vec())
}

/// Returns the first sequence parameter set in the arrays, which may be in any order.
fn first_parameter_set(mut arrays: &[u8], count: u8) -> Option<&[u8]> {
    for _ in 0..count {
        let (&[kind, n0, n1], mut rest) = arrays.split_first_chunk()?;
        // Each unit has at least the two bytes of its length, so this loop ends with the record.
        for _ in 0..u16::from_be_bytes([n0, n1]) {
            let (unit, units) = avc::split_set(rest)?;
            if kind & 0x3F == SEQUENCE_PARAMETER_SET {
                return Some(unit);
            }
            rest = units;
        }
        arrays = rest;
    }
    None
}

/// Reads the format from a sequence parameter set, which begins with its NAL unit header.
fn format_of_parameter_set(parameter_set: &[u8]) -> Option<VideoFormat> {
    let (header, payload) = parameter_set.split_at_checked(2)?;
    if header.first()? >> 1 & 0x3F != SEQUENCE_PARAMETER_SET {
        return None;
    }
    let r = &mut BitReader::of_nal_unit(payload);
    r.skip(4)?; // sps_video_parameter_set_id
    let sub_layers = r.bits(3)?; // sps_max_sub_layers_minus1
    r.flag()?; // sps_temporal_id_nesting_flag
    skip_profile_tier_level(r, sub_layers)?;
    r.ue()?; // sps_seq_parameter_set_id
    let chroma_format = r.ue()?;
    if chroma_format == 3 {
        r.flag()?; // separate_colour_plane_flag
    }
    let coded = [u64::from(r.ue()?), u64::from(r.ue()?)];
    if !r.flag()? {
        return VideoFormat::new(coded, [0, 0]);
    }
    let (sub_width, sub_height) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let mut side = || r.ue().map(u64::from);
    let [left, right, top, bottom] = [side()?, side()?, side()?, side()?];
    VideoFormat::new(
        coded,
        [sub_width * (left + right), sub_height * (top + bottom)],
    )
}

/// Skips profile, tier and level (H.265, 7.3.3), with the general profile present.
fn skip_profile_tier_level(r: &mut BitReader<'_>, sub_layers: u32) -> Option<()> {
    r.skip(88 + 8)?;
    if sub_layers == 0 {
        return Some(());
    }
    let mut bits = 0;
    for _ in 0..sub_layers {
        bits += if r.flag()? { 88 } else { 0 };
        bits += if r.flag()? { 8 } else { 0 };
    }
    r.skip(2 * (8 - sub_layers))?;
    r.skip(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Main, level 4.0, 1920x1080: ffmpeg 5.1 with libx265, parameter sets only.
    const MAIN: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\x03\
        \x20\0\x01\0\x18\x40\x01\x0C\x01\xFF\xFF\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\x95\
        \x98\x09\
        \x21\0\x01\0\x2A\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\xA0\x03\xC0\x80\
        \x10\xE5\x96\x56\x69\x24\xCA\xF0\x16\x80\x80\0\0\x03\0\x80\0\0\x0F\x04\
        \x22\0\x01\0\x07\x44\x01\xC1\x72\xB4\x62\x40";

    /// Main 10, 1280x718, two sub-layers: the sequence parameter set.
    const MAIN_10: &[u8] = b"\x42\x01\x02\x02\x20\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x5D\0\0\xA0\x02\
        \x80\x80\x2D\x1F\x4D\x96\x56\x62\xB3\x49\x26\x57\x80\xB4\x04\0\0\x03\0\x04\0\0\x03\0\x64\
        \x20";

    #[test]
    fn a_record_of_a_real_encoder_is_parsed() {
        let format = VideoFormat::new([1920, 1080], [0, 0]);
        let config = HevcConfig {
            profile_space: 0,
            is_high_tier: false,
            profile: 1,
            compatibility: 0x6000_0000,
            constraints: [0x90, 0, 0, 0, 0, 0],
            level: 120,
            nal_length_size: 4,
            format,
        };
        assert_eq!(HevcConfig::parse(MAIN), Ok(config));
    }

    #[test]
    fn sub_layers_and_the_conformance_window_are_read() {
        let format = format_of_parameter_set(MAIN_10).unwrap();
        assert_eq!(format.to_string(), "1280x718");
    }

    #[test]
    fn the_parameter_sets_of_a_record_make_the_same_record() {
        let video = &MAIN[28..][..0x18];
        let sequence = &MAIN[28 + 0x18 + 5..][..0x2A];
        let picture = &MAIN[28 + 0x18 + 5 + 0x2A + 5..][..7];
        let sets = [video, sequence, picture];
        let record = config_of_sets(4, Some(MAIN), sets.into_iter()).unwrap();
        assert_eq!(record, MAIN);
        // Without a previous record.
        let record = config_of_sets(4, None, sets.into_iter()).unwrap();
        assert_eq!(HevcConfig::parse(&record), HevcConfig::parse(MAIN));
        // Profile, tier and level differ from those of the previous record.
        let record = config_of_sets(4, Some(MAIN), [video, MAIN_10, picture].into_iter());
        let config = HevcConfig::parse(&record.unwrap()).unwrap();
        assert_eq!((config.profile, config.level), (2, 93));
        assert_eq!(config.format.unwrap().to_string(), "1280x718");
        for missing in 0..3 {
            let sets = (0..3)
                .filter(|index| *index != missing)
                .map(|index| sets[index]);
            assert_eq!(config_of_sets(4, Some(MAIN), sets), None, "{missing}");
        }
    }

    #[test]
    fn the_average_frame_rate_is_read_if_there_is_one() {
        let mut bytes = MAIN.to_vec();
        bytes[19..21].copy_from_slice(&(25 * 256u16).to_be_bytes());
        let format = HevcConfig::parse(&bytes).unwrap().format.unwrap();
        assert_eq!(format.to_string(), "1920x1080 25 fps");
    }

    #[test]
    fn a_cut_record_is_an_error_or_has_no_format() {
        let end = MIN_LEN + 5 + 0x18 + 5 + 0x2A;
        for len in 0..MAIN.len() {
            match HevcConfig::parse(&MAIN[..len]) {
                Ok(config) => assert_eq!(config.format.is_some(), len >= end, "{len}"),
                Err(error) => assert!(len < MIN_LEN, "{len}: {error}"),
            }
        }
    }

    #[test]
    fn a_record_with_wrong_lengths_of_arrays_has_no_format() {
        let mut bytes = MAIN[..MIN_LEN].to_vec();
        bytes[22] = 0xFF;
        for array in [
            &b"\x20\xFF\xFF\0\0"[..],
            b"\x21\xFF\xFF\xFF\xFF",
            b"\x21\0\x01\0\0",
        ] {
            let bytes = [&bytes[..], array].concat();
            assert_eq!(HevcConfig::parse(&bytes).unwrap().format, None);
        }
    }

    #[test]
    fn a_record_under_the_codec_id_of_h264_is_recognized() {
        assert!(HevcConfig::is_disguised(MAIN));
        assert!(!HevcConfig::is_disguised(&MAIN[..MIN_LEN - 1]));
        let avc = b"\x01\x64\0\x28\xFF\xE1\0\x1B\x67\x64\0\x28\xAC\xF9\x40\xFF\xFF\xFF\xFF\xC0\x44\
            \0\0\x03\0\x04\0";
        assert!(!HevcConfig::is_disguised(avc));
    }

    #[test]
    fn invalid_records_are_refused() {
        let error = HevcConfig::parse(&[1; 22]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "H.265 configuration of 22 bytes, expected 23 or more"
        );
        let error = HevcConfig::parse(&[0; 23]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "H.265 configuration of version 0, expected 1"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = HevcConfig::parse(&bytes);
            let _ = config_of_sets(4, Some(&bytes), bytes.chunks(20));
            let _ = HevcConfig::parse(&[&MAIN[..MIN_LEN], &bytes].concat());
            let _ = HevcConfig::is_disguised(&bytes);
            let _ = format_of_parameter_set(&[&MAIN_10[..2], &bytes].concat());
        }
    }

    #[test]
    fn supplemental_information_is_left_out() {
        let arrays: &[(u8, &[&[u8]])] = &[
            (0xA0, &[b"vps"]),
            (0xA7, &[b"text of x265", b"more"]),
            (0x21, &[b"sps", b"another"]),
            (40, &[b""]),
        ];
        let record = |arrays: &[(u8, &[&[u8]])]| {
            let mut record = vec![1; MIN_LEN - 1];
            record.push(arrays.len() as u8);
            for (kind, units) in arrays {
                record.extend([*kind, 0, units.len() as u8]);
                for unit in *units {
                    record.extend((unit.len() as u16).to_be_bytes());
                    record.extend(*unit);
                }
            }
            record
        };
        let all = record(arrays);
        assert_eq!(without_sei(&all), record(&[arrays[0], arrays[2]]));
        for len in 0..all.len() {
            assert_eq!(without_sei(&all[..len]), all[..len]);
        }
    }
}
