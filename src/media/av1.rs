//! AV1: open bitstream units (AV1, 5.3), the sequence header, an AV1CodecConfigurationRecord ("AV1
//! Codec ISO Media File Format Binding", 2.3.3), and the frame size in the unit that it holds.
//!
//! ```text
//! 81              marker and version
//! 00              profile (3 bits), level (5): Main, 2.0
//! 0C              tier, more than 8 bits, 12 bits, no color, subsampling; position of samples (2)
//! 00              delay of the first frame
//! 0A 0B 00 ...    units: type 1 (4 bits) with a size (02), size, sequence header
//! ```

use super::bits::BitReader;
use super::video_format::VideoFormat;

/// The type of a unit with a sequence header (AV1, 6.2.2).
const SEQUENCE_HEADER: u8 = 1;

/// The length of a record without units.
pub const MIN_LEN: usize = 4;

/// Reads the format from the body of a sequence header; `None` if no unit contains it.
pub fn format_of_config(body: &[u8]) -> Option<VideoFormat> {
    format_of_units(body.get(MIN_LEN..)?)
}

/// Reads the format from the units of a keyframe, which begin with a sequence header.
pub fn format_of_units(units: &[u8]) -> Option<VideoFormat> {
    let mut units = units.iter();
    loop {
        // Each unit has at least one byte, so this loop ends.
        let (obu_type, len) = obu_header(&mut || units.next().copied())?;
        let rest = units.as_slice();
        let unit = rest.split_at_checked(len.unwrap_or(rest.len()));
        let (payload, after) = unit.unwrap_or((rest, &[]));
        if obu_type == SEQUENCE_HEADER {
            return format_of_header(&mut BitReader::new(payload));
        }
        units = after.iter();
    }
}

/// Reads the header of an open bitstream unit byte by byte (AV1, 5.3.1 to 5.3.3). Returns the type of
/// the unit and the length of its payload; no length if the payload extends to the end.
pub(super) fn obu_header(next: &mut dyn FnMut() -> Option<u8>) -> Option<(u8, Option<usize>)> {
    let head = next()?;
    let (is_forbidden, has_extension, has_size) = (head & 0x80, head & 0x04, head & 0x02);
    if is_forbidden != 0 {
        return None;
    }
    if has_extension != 0 {
        next()?;
    }
    let obu_type = head >> 3 & 0xF;
    if has_size == 0 {
        return Some((obu_type, None));
    }
    // Groups of 7 bits, least significant first (4.10.5). 4 bytes hold the length of any message.
    let mut len = 0;
    for index in 0..4 {
        let group = next()?;
        len |= usize::from(group & 0x7F) << (7 * index);
        if group & 0x80 == 0 {
            return Some((obu_type, Some(len)));
        }
    }
    None
}

/// Reads the size in a sequence header (AV1, 5.5.1).
fn format_of_header(r: &mut BitReader<'_>) -> Option<VideoFormat> {
    r.skip(3 + 1)?; // seq_profile, still_picture
    if r.flag()? {
        r.skip(5)?; // reduced_still_picture_header: seq_level_idx alone
    } else {
        let decoder_model = timing(r)?;
        let has_display_delay = r.flag()?;
        for _ in 0..=r.bits(5)? {
            skip_operating_point(r, decoder_model, has_display_delay)?;
        }
    }
    let width_bits = r.bits(4)? + 1;
    let height_bits = r.bits(4)? + 1;
    let coded = [
        u64::from(r.bits(width_bits)?) + 1,
        u64::from(r.bits(height_bits)?) + 1,
    ];
    VideoFormat::new(coded, [0, 0])
}

/// Skips timing_info and decoder_model_info (AV1, 5.5.3 and 5.5.4). Returns the number of bits of
/// each buffer delay, if there is a decoder model.
fn timing(r: &mut BitReader<'_>) -> Option<Option<u32>> {
    if !r.flag()? {
        return Some(None);
    }
    r.skip(32 + 32)?; // num_units_in_display_tick, time_scale
    if r.flag()? {
        r.ue()?; // num_ticks_per_picture_minus_1; uvlc is the same code
    }
    if !r.flag()? {
        return Some(None);
    }
    let buffer_delay_bits = r.bits(5)? + 1;
    r.skip(32 + 5 + 5)?; // num_units_in_decoding_tick, lengths
    Some(Some(buffer_delay_bits))
}

fn skip_operating_point(
    r: &mut BitReader<'_>,
    decoder_model: Option<u32>,
    has_display_delay: bool,
) -> Option<()> {
    r.skip(12)?; // operating_point_idc
    if r.bits(5)? > 7 {
        r.flag()?; // seq_tier
    }
    if let Some(buffer_delay_bits) = decoder_model {
        if r.flag()? {
            r.skip(2 * buffer_delay_bits + 1)?;
        }
    }
    if has_display_delay && r.flag()? {
        r.skip(4)?; // initial_display_delay_minus_1
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// libaom 3.6, 322x180.
    const LIBAOM: &[u8] = b"\x81\0\x0C\0\x0A\x0B\0\0\0\x04\x3D\x06\xCC\xDA\xF9\0\x40";

    #[test]
    fn configurations_of_real_encoders_have_a_format() {
        let rows: &[(&str, &[u8], &str)] = &[
            ("libaom", LIBAOM, "322x180"),
            (
                "SVT-AV1, 10 bits",
                b"\x81\x0C\x4C\0\x0A\x0C\0\0\0\x62\xEF\xBF\xE1\xBC\x02\xF8\x40\x40",
                "3840x2160",
            ),
        ];
        for (name, bytes, expected) in rows {
            let format = format_of_config(bytes).unwrap();
            assert_eq!(format.to_string(), *expected, "{name}");
        }
    }

    #[test]
    fn a_keyframe_has_its_format_behind_a_delimiter_and_metadata() {
        let units = [b"\x12\0\x2A\x02\x01\x80", &LIBAOM[4..], b"\x32\x02\x10\0"].concat();
        assert_eq!(format_of_units(&units).unwrap().to_string(), "322x180");
        assert_eq!(format_of_units(b"\x12\0\x32\x02\x30\0"), None);
    }

    #[test]
    fn a_cut_configuration_has_no_format() {
        // The last of the 11 bytes of the sequence header is not needed for the size.
        for len in 0..LIBAOM.len() - 5 {
            assert_eq!(format_of_config(&LIBAOM[..len]), None, "{len}");
        }
    }

    /// Makes a unit whose sequence header consists of these bits.
    fn sequence_header(bits: &str) -> Vec<u8> {
        let bits: Vec<u8> = bits
            .bytes()
            .filter(|b| *b != b' ')
            .map(|b| b - b'0')
            .collect();
        let byte = |bits: &[u8]| (0..8).fold(0, |n, i| n << 1 | bits.get(i).unwrap_or(&0));
        let payload: Vec<u8> = bits.chunks(8).map(byte).collect();
        [&[0x0A, payload.len() as u8], &payload[..]].concat()
    }

    #[test]
    fn timing_models_and_operating_points_are_skipped() {
        const SIZE: &str = "0111 0111 01111111 00111111";
        let zeros = "0".repeat(32);
        // Level 5.0 has a tier. The buffer delays have 3 bits.
        let timing = format!("1 {zeros} {zeros} 1 00101 1 00010 {zeros} 00000 00000");
        let points = "1 00001 000000000001 01100 1 1 101 101 1 1 0011 000000000010 00111 0 0";
        for (name, bits) in [
            ("all there is", format!("000 0 0 {timing} {points} {SIZE}")),
            ("no decoder model", {
                let timing = format!("1 {zeros} {zeros} 0 0");
                format!("000 0 0 {timing} 0 00000 000000000000 01100 1 {SIZE}")
            }),
            ("a still picture", format!("000 1 1 00100 {SIZE}")),
        ] {
            let format = format_of_units(&sequence_header(&bits)).unwrap();
            assert_eq!(format.to_string(), "128x64", "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = format_of_config(&bytes);
            let _ = format_of_units(&[b"\x0A\x7F", &bytes[..]].concat());
        }
    }
}
