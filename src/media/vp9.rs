//! VP9: the sequence header, a VPCodecConfigurationRecord ("VP Codec ISO Media File Format
//! Binding"), and the picture size in the header of a keyframe (VP9, 6.2).
//!
//! ```text
//! 01 00 00 00     version and flags of the box; some encoders leave these out
//! 00              profile
//! 0A              level, ten times
//! 82              bit depth (4 bits), subsampling (3), full range (1)
//! 02 02 02        colour: primaries, transfer, matrix
//! 00 00           length of what follows: nothing
//! ```

use super::bits::BitReader;
use super::picture::Picture;

/// What the body of a sequence header says, from the profile on; `None` if it is of no known form.
pub fn config(body: &[u8]) -> Option<&[u8; 8]> {
    match body {
        [1, 0, 0, 0, config @ ..] => config.first_chunk(),
        _ => body.try_into().ok(),
    }
}

/// The picture of a keyframe by its uncompressed header; `None` of any other frame.
pub fn picture_of_keyframe(frame: &[u8]) -> Option<Picture> {
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
    // show_existing_frame, frame_type: both are 0 of a keyframe.
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
    Picture::new(coded, [0, 0])
}
