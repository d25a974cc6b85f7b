//! Where a decoder can start, as the frames themselves say.
//!
//! The header's flag is what counts first; but gortmplib never sets it in Enhanced RTMP, and a few
//! encoders flag every frame as inter. Looking costs a few bytes per frame: lengths are followed,
//! pictures are not decoded.
//!
//! The bytes may be the beginning of a long frame. What can't be seen in them is no keyframe.

use super::av1::{obu_type, split_obu};
use super::codec::VideoCodec;

/// Whether the body of a frame message is a keyframe by its own account. Never true for codecs
/// that only have the flag.
pub fn is_keyframe(codec: VideoCodec, body: &[u8]) -> bool {
    match codec {
        // IDR slice, which is always a reference.
        VideoCodec::H264 => find_nal_unit(
            body,
            |nal| matches!(nal, [head, ..] if head & 0x9F == 5 && head & 0x60 != 0),
        )
        .is_some(),
        // BLA, IDR and CRA pictures.
        VideoCodec::Hevc => find_nal_unit(
            body,
            |nal| matches!(nal, [head, _, ..] if head & 0x80 == 0 && (16..=21).contains(&(head >> 1))),
        )
        .is_some(),
        // IDR, CRA and GDR pictures.
        VideoCodec::Vvc => find_nal_unit(
            body,
            |nal| matches!(nal, [0..0x80, head, ..] if (7..=10).contains(&(head >> 3))),
        )
        .is_some(),
        VideoCodec::Av1 => is_av1_keyframe(body),
        // RFC 6386, 9.1: the frame type is bit 0, and 9D 01 2A follows three bytes later.
        VideoCodec::Vp8 => {
            matches!(body, [head, _, _, 0x9D, 0x01, 0x2A, ..] if head & 1 == 0)
        }
        VideoCodec::Vp9 => is_vp9_keyframe(body),
        _ => false,
    }
}

/// The first NAL unit of a kind. Walks units with lengths of four bytes: other sizes are legal and
/// unheard of; a wrong walk ends soon, since a length is below 2^24, the limit of a message.
pub(super) fn find_nal_unit(body: &[u8], is_wanted: fn(&[u8]) -> bool) -> Option<&[u8]> {
    let mut rest = body;
    while let Some((&[0, l0, l1, l2], units)) = rest.split_first_chunk() {
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let (unit, after) = units.split_at_checked(len).unwrap_or((units, &[]));
        if is_wanted(unit) {
            return Some(unit);
        }
        rest = after;
    }
    None
}

/// A keyframe that comes with its sequence header (AV1, 5.3 and 5.9.2): a key frame alone may be
/// one of a layer, or one shown late, from which a decoder can't start.
fn is_av1_keyframe(body: &[u8]) -> bool {
    let mut rest = body;
    let mut has_sequence_header = false;
    while let Some((obu_type, payload, after)) = split_obu(rest) {
        match obu_type {
            obu_type::SEQUENCE_HEADER => has_sequence_header = true,
            obu_type::FRAME_HEADER | obu_type::FRAME => {
                // show_existing_frame (1 bit) and frame_type (2 bits) are all 0.
                let is_key = payload.first().is_some_and(|byte| byte & 0xE0 == 0);
                return has_sequence_header && is_key;
            }
            _ => {}
        }
        rest = after;
    }
    false
}

/// VP9, 6.2: marker 10, profile, [reserved bit of profile 3], show_existing_frame, frame_type.
fn is_vp9_keyframe(body: &[u8]) -> bool {
    let Some(&byte) = body.first() else {
        return false;
    };
    match byte {
        0xB0..=0xBF => byte & 0x06 == 0,
        0x80..=0xAF => byte & 0x0C == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_tell_whether_they_are_keyframes() {
        use VideoCodec::*;
        let rows: &[(&str, VideoCodec, &[u8], bool)] = &[
            (
                "x264: SEI, then IDR",
                H264,
                b"\0\0\0\x02\x06\x05\0\0\0\x02\x65\x88",
                true,
            ),
            (
                "x264: P slice",
                H264,
                b"\0\0\x04\xBF\x41\x9A\x24\x6C",
                false,
            ),
            (
                "DJI: empty unit, then IDR",
                H264,
                b"\0\0\0\0\0\0\0\x02\x65\x88",
                true,
            ),
            (
                "IDR that goes on in the next block",
                H264,
                b"\0\x01\0\0\x65\x88",
                true,
            ),
            (
                "slice with the number of an IDR, no reference",
                H264,
                b"\0\0\0\x02\x05\x88",
                false,
            ),
            (
                "start code instead of a length",
                H264,
                b"\0\0\0\x01\x67\x42\xC0\x1E\x65",
                false,
            ),
            ("nothing", H264, b"", false),
            ("x265: IDR_N_LP", Hevc, b"\0\0\0\x03\x28\x01\xAF", true),
            ("CRA", Hevc, b"\0\0\0\x03\x2A\x01\xAF", true),
            ("x265: TRAIL_R", Hevc, b"\0\0\0\x03\x02\x01\xD0", false),
            (
                "parameter sets alone",
                Hevc,
                b"\0\0\0\x02\x42\x01\0\0\0\x02\x44\x01",
                false,
            ),
            ("VVC IDR", Vvc, b"\0\0\0\x03\0\x41\0", true),
            ("VVC trailing picture", Vvc, b"\0\0\0\x03\0\x01\0", false),
            (
                "libaom: delimiter, sequence header, frame",
                Av1,
                b"\x12\0\x0A\x0D\x20\0\0\x04\x3C\xFF\xBC\xDA\xF9\x20\x21\xA0\x04\x32\x87\x0A\x14\0",
                true,
            ),
            (
                "libaom: inter frame",
                Av1,
                b"\x12\0\x32\x81\x02\x32\x01\xE0",
                false,
            ),
            (
                "key frame without a sequence header",
                Av1,
                b"\x32\x87\x0A\x14\0",
                false,
            ),
            ("sequence header cut off", Av1, b"\x0A\x0D\x20\0", false),
            ("endless size", Av1, b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF", false),
            (
                "libvpx VP8 key frame",
                Vp8,
                b"\xB0\x5A\0\x9D\x01\x2A\x40\x01\xF0\0",
                true,
            ),
            (
                "libvpx VP8 inter frame",
                Vp8,
                b"\xD1\x09\0\x07\x10\xAC\0\x18\x89\x1A",
                false,
            ),
            (
                "libvpx VP9 key frame",
                Vp9,
                b"\xA2\x49\x83\x42\xE0\x13\xF0\x0E\xF6\x0A",
                true,
            ),
            (
                "libvpx VP9 inter frame",
                Vp9,
                b"\xA6\0\x40\x92\x9C\x24\x50\0\0\x1D",
                false,
            ),
            ("VP9 shows an existing frame", Vp9, b"\x88", false),
            ("VP9 profile 3 key frame", Vp9, b"\xB1\x49\x83\x42", true),
            (
                "a codec with nothing but the flag",
                SorensonH263,
                b"\0\0\x84\0",
                false,
            ),
        ];
        for (name, codec, body, expected) in rows {
            assert_eq!(is_keyframe(*codec, body), *expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            use VideoCodec::*;
            for codec in [H264, Hevc, Vvc, Av1, Vp8, Vp9, Screen] {
                let _ = is_keyframe(codec, &bytes);
            }
        }
    }
}
