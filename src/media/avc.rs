//! H.264: the sequence header, which is an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1),
//! and the sequence parameter set in it (H.264, 7.3.2.1.1 and E.1.1).
//!
//! ```text
//! 01            version
//! 64 00 28      profile, constraints, level: High, 4.0
//! FF            reserved 6 bits, length size - 1: lengths of 4 bytes in front of NAL units
//! E1            reserved 3 bits, number of sequence parameter sets
//! 00 1B 67 ...  length, sequence parameter set
//! 01            number of picture parameter sets
//! 00 06 68 ...  length, picture parameter set
//! FD F8 F8 00   chroma and depth, for profiles 100 and up; some encoders leave it out
//! ```

use super::Error;
use super::bits::BitReader;
use super::video_format::VideoFormat;

/// The length of the shortest valid record in bytes. Some encoders mistakenly send shorter ones.
pub const MIN_LEN: usize = 7;

/// The NAL unit type of a sequence parameter set.
const SEQUENCE_PARAMETER_SET: u8 = 7;

/// The NAL unit type of a picture parameter set.
const PICTURE_PARAMETER_SET: u8 = 8;

/// The High profile, used by nearly all streams that aren't Baseline or Main: 4:2:0 with 8 bits.
const HIGH: u8 = 100;

/// The sequence header of an H.264 track.
#[derive(Clone, Debug, PartialEq)]
pub struct AvcConfig {
    /// profile_idc: 66 Baseline, 77 Main, 100 High.
    pub profile: u8,
    /// The constraint_set flags, most significant bit first.
    pub constraints: u8,
    /// level_idc: ten times the level.
    pub level: u8,
    /// The size of the length field in front of each NAL unit in bytes, 1 to 4; nearly always 4.
    pub nal_length_size: u8,
    /// The format in the first sequence parameter set; `None` if there is none, or if it is invalid.
    pub format: Option<VideoFormat>,
}

impl AvcConfig {
    /// Parses the body of a sequence header.
    pub fn parse(body: &[u8]) -> Result<AvcConfig, Error> {
        let Some((head, rest)) = body.split_first_chunk() else {
            return Err(Error::malformed(format!(
                "H.264 configuration of {} bytes, expected {MIN_LEN} or more",
                body.len()
            )));
        };
        let &[version, profile, constraints, level, length_size, count] = head;
        if version != 1 {
            let text = format!("H.264 configuration of version {version}, expected 1");
            return Err(Error::malformed(text));
        }
        let format = match count & 0x1F {
            0 => None,
            _ => split_set(rest).and_then(|(set, _)| format_of_parameter_set(set)),
        };
        Ok(AvcConfig {
            profile,
            constraints,
            level,
            nal_length_size: (length_size & 3) + 1,
            format,
        })
    }
}

/// Builds a record from these parameter sets, for NAL units with length fields of `length_size` bytes.
/// Returns `None` without a sequence parameter set and a picture parameter set.
pub fn config_of_sets<'a>(
    length_size: u8,
    sets: impl Iterator<Item = &'a [u8]> + Clone,
) -> Option<Vec<u8>> {
    let of_type = |wanted| {
        let is_wanted = move |set: &&[u8]| set.first().is_some_and(|head| head & 0x1F == wanted);
        sets.clone().filter(is_wanted)
    };
    let &[_, profile, constraints, level, ..] = of_type(SEQUENCE_PARAMETER_SET).next()? else {
        return None;
    };
    let lengths = 0xFC | length_size.wrapping_sub(1) & 3;
    let mut record = vec![1, profile, constraints, level, lengths];
    for (set_type, reserved) in [(SEQUENCE_PARAMETER_SET, 0xE0), (PICTURE_PARAMETER_SET, 0)] {
        let sets = of_type(set_type);
        record.push(reserved | sets.clone().count() as u8 & 0x1F);
        put_sets(&mut record, sets);
    }
    let has_pictures = of_type(PICTURE_PARAMETER_SET).next().is_some();
    // Profiles other than High may need different values here, or none; encoders leave them out as well.
    if profile == HIGH {
        record.extend(b"\xFD\xF8\xF8\0");
    }
    has_pictures.then_some(record)
}

/// Appends parameter sets, each preceded by its length.
pub(super) fn put_sets<'a>(record: &mut Vec<u8>, sets: impl Iterator<Item = &'a [u8]>) {
    for set in sets {
        record.extend((set.len() as u16).to_be_bytes());
        record.extend(set);
    }
}

/// Splits off the first of several parameter sets, each preceded by its length.
pub(super) fn split_set(sets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = sets.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(len).into())
}

/// Reads the format from a sequence parameter set, which begins with its NAL unit header.
fn format_of_parameter_set(parameter_set: &[u8]) -> Option<VideoFormat> {
    let (header, payload) = parameter_set.split_first()?;
    if header & 0x1F != SEQUENCE_PARAMETER_SET {
        return None;
    }
    let r = &mut BitReader::of_nal_unit(payload);
    let profile = r.bits(8)?;
    r.skip(8 + 8)?; // constraints, level
    r.ue()?; // seq_parameter_set_id
    // The other profiles don't have chroma format, bit depths and scaling lists.
    let chroma_format = match profile {
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135 => {
            chroma_format(r)?
        }
        _ => 1,
    };
    r.ue()?; // log2_max_frame_num_minus4
    skip_picture_order_count(r)?;
    r.ue()?; // max_num_ref_frames
    r.flag()?; // gaps_in_frame_num_value_allowed_flag
    let width_in_blocks = u64::from(r.ue()?) + 1;
    let height_in_units = u64::from(r.ue()?) + 1;
    let has_only_frames = r.flag()?;
    if !has_only_frames {
        r.flag()?; // mb_adaptive_frame_field_flag
    }
    r.flag()?; // direct_8x8_inference_flag

    // A unit of height is one row of blocks, or one row in each of two fields.
    let rows = if has_only_frames { 1 } else { 2 };
    let cropped = if r.flag()? {
        let crop_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let crop_y = rows * if chroma_format == 1 { 2 } else { 1 };
        let mut side = || r.ue().map(u64::from);
        let [left, right, top, bottom] = [side()?, side()?, side()?, side()?];
        [crop_x * (left + right), crop_y * (top + bottom)]
    } else {
        [0, 0]
    };
    let format = VideoFormat::new([width_in_blocks * 16, height_in_units * 16 * rows], cropped)?;
    // The size is valid even if the rest is missing.
    let Some((num_units_in_tick, time_scale)) = timing(r) else {
        return Some(format);
    };
    // A tick is the duration of a field, so a frame lasts two ticks.
    Some(format.with_frame_rate(time_scale, 2 * u64::from(num_units_in_tick)))
}

/// Reads chroma format, bit depths and scaling lists. Returns chroma_format_idc, with 3 (which
/// crops by single pixels) also for separate planes.
fn chroma_format(r: &mut BitReader<'_>) -> Option<u32> {
    let chroma_format = r.ue()?;
    if chroma_format == 3 {
        r.flag()?; // separate_colour_plane_flag
    }
    r.ue()?; // bit_depth_luma_minus8
    r.ue()?; // bit_depth_chroma_minus8
    r.flag()?; // qpprime_y_zero_transform_bypass_flag
    if r.flag()? {
        let lists = if chroma_format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if r.flag()? {
                skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma_format)
}

/// Skips a list of deltas, which ends early once the scale becomes 0 (H.264, 7.3.2.1.1.1).
fn skip_scaling_list(r: &mut BitReader<'_>, len: u32) -> Option<()> {
    let mut scale = 8;
    for _ in 0..len {
        scale = r.se()?.wrapping_add(scale) & 0xFF;
        if scale == 0 {
            break;
        }
    }
    Some(())
}

fn skip_picture_order_count(r: &mut BitReader<'_>) -> Option<()> {
    match r.ue()? {
        0 => {
            r.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            r.flag()?; // delta_pic_order_always_zero_flag
            r.se()?; // offset_for_non_ref_pic
            r.se()?; // offset_for_top_to_bottom_field
            let offsets = r.ue()?;
            // More offsets are invalid, and would only cost time.
            if offsets > 255 {
                return None;
            }
            for _ in 0..offsets {
                r.se()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Reads num_units_in_tick and time_scale of the video usability information (H.264, E.1.1).
fn timing(r: &mut BitReader<'_>) -> Option<(u32, u32)> {
    const EXTENDED_SAR: u32 = 255;
    if !r.flag()? {
        return None; // no video usability information
    }
    if r.flag()? && r.bits(8)? == EXTENDED_SAR {
        r.skip(16 + 16)?; // sar_width, sar_height
    }
    if r.flag()? {
        r.flag()?; // overscan_appropriate_flag
    }
    if r.flag()? {
        r.skip(3 + 1)?; // video_format, video_full_range_flag
        if r.flag()? {
            r.skip(8 + 8 + 8)?; // colour primaries, transfer, matrix
        }
    }
    if r.flag()? {
        r.ue()?; // chroma_sample_loc_type_top_field
        r.ue()?; // chroma_sample_loc_type_bottom_field
    }
    if !r.flag()? {
        return None; // no timing information
    }
    Some((r.bits(32)?, r.bits(32)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sequence headers from ffmpeg 5.1 with libx264.
    const RECORDS: &[(&str, &[u8], &str)] = &[
        (
            "High, cropped to 1080 rows",
            b"\x01\x64\0\x28\xFF\xE1\0\x1B\x67\x64\0\x28\xAC\xD9\x40\x78\x02\x27\xE5\xC0\x44\0\0\x03\
              \0\x04\0\0\x03\0\xF0\x3C\x60\xC6\x58\x01\0\x06\x68\xEB\xE3\xCB\x22\xC0\xFD\xF8\xF8\0",
            "1920x1080 30 fps",
        ),
        (
            "High, interlaced",
            b"\x01\x64\0\x28\xFF\xE1\0\x1A\x67\x64\0\x28\xAC\xD9\x40\x78\x04\x4F\xDE\x02\x20\0\0\x03\
              \0\x20\0\0\x06\x43\xE2\xC5\xB2\xC0\x01\0\x06\x68\xFB\xA3\xCB\x22\xC0\xFD\xF8\xF8\0",
            "1920x1080 25 fps",
        ),
        (
            "Constrained Baseline",
            b"\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\x2F\xF9\x70\x11\0\0\x03\0\x01\
              \0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20",
            "640x360 25 fps",
        ),
        (
            "Main, odd size and rate",
            b"\x01\x4D\x40\x0D\xFF\xE1\0\x18\x67\x4D\x40\x0D\xEC\xA0\xA8\x43\xC4\x44\x60\x22\0\0\x07\
              \xD2\0\x01\xD4\xC0\x1E\x28\x53\x2C\x01\0\x05\x68\xEB\xE3\xCB\x20",
            "322x242 29.97 fps",
        ),
        (
            "High 4:4:4",
            b"\x01\xF4\0\x0C\xFF\xE1\0\x19\x67\xF4\0\x0C\x91\x9B\x28\x28\x3F\x60\x22\0\0\x03\0\x02\0\
              \0\x03\0\x3C\x1E\x28\x53\x2C\x01\0\x06\x68\xEB\xE3\xC4\x48\x44\xFF\xF8\xF8\0",
            "320x240 15 fps",
        ),
        (
            "High, with scaling lists in the picture parameter set",
            b"\x01\x64\0\x15\xFF\xE1\0\x1A\x67\x64\0\x15\xAC\xD9\x41\xB1\xFE\x4F\x01\x10\0\0\x03\0\
              \x10\0\0\x03\x03\0\xF1\x62\xD9\x60\x01\0\x07\x68\xEB\xE3\xCB\x30\x02\xC0\xFD\xF8\xF8\0",
            "426x240 24 fps",
        ),
    ];

    #[test]
    fn records_of_real_encoders_are_parsed() {
        for (name, bytes, expected) in RECORDS {
            let config = AvcConfig::parse(bytes).unwrap();
            assert_eq!(config.format.unwrap().to_string(), *expected, "{name}");
            assert_eq!(config.nal_length_size, 4, "{name}");
            assert_eq!(
                [config.profile, config.constraints, config.level],
                bytes[1..4],
                "{name}"
            );
        }
    }

    /// Makes a parameter set from the bits after its level.
    fn parameter_set(profile: u8, bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits
            .bytes()
            .filter(|b| *b != b' ')
            .map(|b| b - b'0')
            .collect();
        let byte = |bits: &[u8]| (0..8).fold(0, |n, i| n << 1 | bits.get(i).unwrap_or(&0));
        [0x67, profile, 0, 30]
            .into_iter()
            .chain(bits.chunks(8).map(byte))
            .collect()
    }

    #[test]
    fn scaling_lists_and_the_longest_order_count_are_skipped() {
        // Size 40 x 23 blocks, frames only, 4 x 2 rows cropped, no usability information.
        const SIZE: &str = "1 0 00000101000 000010111 1 1 1 1 1 1 00101 0";
        // Present: one of 16 equal scales, one that ends at once (delta -8), six absent.
        let lists = "1 1111111111111111 1 000010001 000000";
        let high = format!("1 010 1 1 0 1 {lists} 1 011 {SIZE}");
        // Type 1: flag, two offsets, two more.
        let baseline = format!("1 1 010 0 1 010 011 1 010 {SIZE}");
        for (profile, bits) in [(100, &high), (66, &baseline)] {
            let format = format_of_parameter_set(&parameter_set(profile, bits)).unwrap();
            assert_eq!(format.to_string(), "640x360");
        }
    }

    #[test]
    fn a_cut_record_is_an_error_or_has_no_format() {
        let (_, bytes, _) = RECORDS[0];
        for len in 0..bytes.len() {
            match AvcConfig::parse(&bytes[..len]) {
                Ok(config) => assert_eq!(config.format.is_some(), len >= 8 + 0x1B),
                Err(error) => assert!(len < 6, "{len}: {error}"),
            }
        }
    }

    #[test]
    fn the_parameter_sets_of_a_record_make_the_same_record() {
        let (_, bytes, _) = RECORDS[0];
        let (sequence, picture) = (&bytes[8..8 + 0x1B], &bytes[8 + 0x1B + 3..][..6]);
        let sets = [&b"\x09\x10"[..], picture, sequence];
        let record = config_of_sets(4, sets.iter().copied());
        assert_eq!(record.as_deref(), Some(bytes));
        for sets in [&[sequence][..], &[picture], &[b"\x67\x64\0", picture], &[]] {
            assert_eq!(config_of_sets(4, sets.iter().copied()), None);
        }
        let baseline = [&b"\x67\x42\xC0\x1E"[..], b"\x68\xCE", b"\x68\x47"];
        let record = config_of_sets(2, baseline.into_iter());
        let expected = b"\x01\x42\xC0\x1E\xFD\xE1\0\x04\x67\x42\xC0\x1E\
            \x02\0\x02\x68\xCE\0\x02\x68\x47";
        assert_eq!(record.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn the_size_is_read_even_if_the_usability_information_is_cut_off() {
        let (_, bytes, _) = RECORDS[0];
        let format = format_of_parameter_set(&bytes[8..8 + 14]).unwrap();
        assert_eq!(format.to_string(), "1920x1080");
    }

    #[test]
    fn a_record_without_parameter_sets_has_no_format() {
        let config = AvcConfig::parse(b"\x01\x42\xC0\x1E\xFE\xE0\0").unwrap();
        assert_eq!((config.format, config.nal_length_size), (None, 3));
        assert_eq!(
            AvcConfig::parse(b"\x01\x42\xC0\x1E\xFF\xE1\xFF\xFF\x67")
                .unwrap()
                .format,
            None
        );
    }

    #[test]
    fn invalid_records_are_refused() {
        let error = AvcConfig::parse(b"").unwrap_err();
        assert_eq!(
            error.to_string(),
            "H.264 configuration of 0 bytes, expected 7 or more"
        );
        let error = AvcConfig::parse(b"\0\0\0\x01\x67\x42\xC0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "H.264 configuration of version 0, expected 1"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, high: bool) {
            let _ = AvcConfig::parse(&bytes);
            let _ = config_of_sets(4, bytes.chunks(5));
            let profile = if high { 100 } else { 66 };
            let _ = format_of_parameter_set(&[&[0x67, profile, 0, 30][..], &bytes].concat());
        }
    }
}
