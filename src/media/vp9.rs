//! VP9: the sequence header, a VPCodecConfigurationRecord ("VP Codec ISO Media File Format
//! Binding"), and the frame size in the header of a keyframe (VP9, 6.2).
//!
//! ```text
//! 01 00 00 00     version and flags of the box; some encoders leave these out
//! 00              profile
//! 0A              level, ten times
//! 82              bit depth (4 bits), subsampling (3), full range (1)
//! 02 02 02        color: primaries, transfer, matrix
//! 00 00           length of the initialization data: none
//! ```

use super::bits::BitReader;
use super::video_format::VideoFormat;

/// Returns the body of a sequence header, starting at the profile; `None` if its form is unknown.
pub fn config(body: &[u8]) -> Option<&[u8; 8]> {
    match body {
        [1, 0, 0, 0, config @ ..] => config.first_chunk(),
        _ => body.try_into().ok(),
    }
}

/// Reads the format from the uncompressed header of a keyframe; `None` for any other frame.
pub fn format_of_keyframe(frame: &[u8]) -> Option<VideoFormat> {
    const FRAME_MARKER: u32 = 2;
    const SYNC_CODE: u32 = 0x49_8342;
    const RGB: u32 = 7;

    let r = &mut BitReader::new(frame);
    if r.bits(2)? != FRAME_MARKER {
        return None;
    }
    let profile = r.bits(1)? | r.bits(1)? << 1;
    if profile == 3 {
        r.flag()?; // reserved_zero
    }
    // show_existing_frame and frame_type are both 0 in a keyframe.
    if r.bits(2)? != 0 {
        return None;
    }
    r.skip(1 + 1)?; // show_frame, error_resilient_mode
    if r.bits(24)? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        r.flag()?; // ten_or_twelve_bit
    }
    let color_space = r.bits(3)?;
    let has_subsampling = matches!(profile, 1 | 3);
    if color_space != RGB {
        r.flag()?; // color_range
    }
    match (color_space, has_subsampling) {
        (RGB, true) => r.flag().map(drop)?, // reserved_zero
        (_, true) => r.skip(3)?,            // subsampling_x, subsampling_y, reserved_zero
        _ => {}
    }
    let coded = [u64::from(r.bits(16)?) + 1, u64::from(r.bits(16)?) + 1];
    VideoFormat::new(coded, [0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_of_a_configuration_are_accepted() {
        let config_bytes = b"\0\x0A\x82\x02\x02\x02\0\0";
        let boxed = [b"\x01\0\0\0", &config_bytes[..]].concat();
        type Row<'a> = (&'a str, &'a [u8], Option<&'a [u8; 8]>);
        let rows: &[Row] = &[
            ("ffmpeg: with version and flags", &boxed, Some(config_bytes)),
            ("without", config_bytes, Some(config_bytes)),
            ("cut", &boxed[..11], None),
            ("neither", b"\0\x0A\x82\x02\x02\x02\0\0\0", None),
            ("empty", b"", None),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(config(bytes), *expected, "{name}");
        }
    }

    /// Frames of libvpx 1.12.
    #[test]
    fn keyframes_of_all_profiles_have_a_format() {
        let rows: &[(&str, &[u8], Option<&str>)] = &[
            (
                "0",
                b"\x82\x49\x83\x42\0\x4F\xF0\x2C\xD6\x06\x38",
                Some("1280x718"),
            ),
            (
                "0, inter",
                b"\x86\0\x40\x92\xF0\x21\x40\x06\0\xF0\x6F",
                None,
            ),
            (
                "1, RGB",
                b"\xA2\x49\x83\x42\xE0\x03\xF0\x02\x36\x02\x38",
                Some("64x36"),
            ),
            (
                "2, 10 bits",
                b"\x92\x49\x83\x42\0\x01\xF8\x01\x1B\x01\x1C",
                Some("64x36"),
            ),
            (
                "3, 10 bits, 4:4:4",
                b"\xB1\x24\xC1\xA1\0\x02\x7F\x81\x66\xB0\x31",
                Some("1280x718"),
            ),
            (
                "3, inter",
                b"\xB3\0\x20\x49\x78\x38\xA0\x03\0\xA2\x80",
                None,
            ),
            (
                "0, shows an existing frame",
                b"\x88\x49\x83\x42\0\x4F\xF0\x2C\xD6",
                None,
            ),
            (
                "0, without the sync code",
                b"\x82\x49\x83\x43\0\x4F\xF0\x2C\xD6",
                None,
            ),
            ("no marker", b"\x02\x49\x83\x42\0\x4F\xF0\x2C\xD6", None),
            ("cut", b"\x82\x49\x83\x42\0\x4F\xF0\x2C", None),
            ("empty", b"", None),
        ];
        for (name, bytes, expected) in rows {
            let format = format_of_keyframe(bytes).map(|format| format.to_string());
            assert_eq!(format.as_deref(), *expected, "profile {name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = config(&bytes);
            let _ = format_of_keyframe(&bytes);
            let _ = format_of_keyframe(&[b"\xA2\x49\x83\x42", &bytes[..]].concat());
        }
    }
}
