//! FLV: a file of tags (FLV, Annex E).
//!
//! ```text
//! 46 4C 56 01 05  00 00 00 09         "FLV", version 1, audio and video, 9 bytes of header
//! 00 00 00 00                         the size of the tag before the first one
//! 09  00 00 05  00 00 28 00  00 00 00 video, 5 bytes, at 40 ms, stream 0
//!    17 01 00 00 00                   payload
//! 00 00 00 10                         the size of this tag: 16 bytes
//! ```

/// The length of the header of a file, with the size of the tag before the first one (E.2, E.3).
pub const FILE_HEADER_LEN: usize = 13;

/// The length of a tag's header (E.4.1).
pub const TAG_HEADER_LEN: usize = 11;

/// The number of bytes around a tag's payload: its header, and the tag's size after it.
pub const OVERHEAD: usize = TAG_HEADER_LEN + 4;

/// The longest payload of a tag: its length has 24 bits.
pub const MAX_PAYLOAD_LEN: u32 = 0xFF_FFFF;

/// Timestamps up to this many ms before 0 become 0.
const JUST_BEFORE: u32 = 10_000;

/// What a tag holds (E.4.1).
pub mod tag_type {
    /// An audio message.
    pub const AUDIO: u8 = 8;
    /// A video message.
    pub const VIDEO: u8 = 9;
    /// A data message, in AMF0.
    pub const SCRIPT: u8 = 18;
}

/// Returns the header of a file, and the size of the tag before the first one (E.2, E.3).
pub fn file_header(has_audio: bool, has_video: bool) -> [u8; FILE_HEADER_LEN] {
    let media = u8::from(has_audio) << 2 | u8::from(has_video);
    let [f, l, v] = *b"FLV";
    [f, l, v, 1, media, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// The header of a tag (E.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagHeader {
    /// One of [`tag_type`].
    pub tag_type: u8,
    /// The length of the payload in bytes, at most [`MAX_PAYLOAD_LEN`].
    pub len: u32,
    /// The time at which it is decoded, in ms from the beginning of the file.
    pub timestamp: u32,
}

impl TagHeader {
    /// Returns the bytes before the payload.
    pub fn bytes(&self) -> [u8; TAG_HEADER_LEN] {
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [_, l1, l2, l3] = self.len.to_be_bytes();
        [self.tag_type, l1, l2, l3, t1, t2, t3, t0, 0, 0, 0]
    }

    /// Returns the bytes after the payload: the size of the tag (E.3).
    pub fn size_bytes(&self) -> [u8; 4] {
        (TAG_HEADER_LEN as u32 + self.len).to_be_bytes()
    }

    /// Reads the bytes before a payload; `None` if no file of ours has such a tag.
    pub fn parse(bytes: &[u8; TAG_HEADER_LEN]) -> Option<TagHeader> {
        let [tag_type, l1, l2, l3, t1, t2, t3, t0, stream @ ..] = *bytes;
        let is_known = matches!(
            tag_type,
            tag_type::AUDIO | tag_type::VIDEO | tag_type::SCRIPT
        );
        (is_known && stream == [0; 3]).then_some(TagHeader {
            tag_type,
            len: u32::from_be_bytes([0, l1, l2, l3]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        })
    }
}

/// Returns the time from `base` to a timestamp of RTMP, which wraps. Just before `base` it is 0.
pub fn since(base: u32, timestamp: u32) -> u32 {
    let since = timestamp.wrapping_sub(base);
    if since > u32::MAX - JUST_BEFORE {
        0
    } else {
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_specification() {
        assert_eq!(file_header(true, true), *b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        assert_eq!(file_header(false, true)[4], 1);
        let header = TagHeader {
            tag_type: tag_type::VIDEO,
            len: 0x01_02_03,
            timestamp: 0x0405_0607,
        };
        let bytes = *b"\x09\x01\x02\x03\x05\x06\x07\x04\0\0\0";
        assert_eq!(header.bytes(), bytes);
        assert_eq!(TagHeader::parse(&bytes), Some(header));
        assert_eq!(header.size_bytes(), [0, 1, 2, 0x0E]);
        assert_eq!(TagHeader::parse(&[0; TAG_HEADER_LEN]), None);
        assert_eq!(
            TagHeader::parse(b"\x09\0\0\x03\0\0\0\0\0\0\x01"),
            None,
            "another stream"
        );
    }

    #[test]
    fn time_counts_across_the_wrap() {
        assert_eq!(since(u32::MAX - 9, 30), 40);
        assert_eq!(since(100, 90), 0);
        assert_eq!(since(0, 1 << 31), 1 << 31);
    }
}
