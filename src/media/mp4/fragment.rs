//! The bytes in front of a frame in fragmented MP4 (ISO/IEC 14496-12, 8.8).
//!
//! ```text
//!   0  moof 104
//!   8    mfhd 16   sequence (20)
//!  24    traf 80
//!  32      tfhd 16   default-base-is-moof; track (44)
//!  48      tfdt 20   version 1; decode time, 64 bits (60)
//!  68      trun 36   version 1; 1 sample; data offset 112;
//!                    duration (88), size (92), flags (96), composition offset (100)
//! 104  mdat 8 + size of the sample (104)
//! 112  the frame
//! ```
//!
//! The head has a fixed length and depends only on a few numbers, so it can be built again if only a
//! part of it could be sent.

/// The length in bytes of a `moof` with one sample of one track, and the header of the following `mdat`.
pub const FRAGMENT_HEAD_LEN: usize = 112;

/// A fragment of one frame, without the frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The sequence number of the fragment, from 1 on.
    pub sequence: u32,
    /// [`VIDEO_TRACK_ID`](super::VIDEO_TRACK_ID) or [`AUDIO_TRACK_ID`](super::AUDIO_TRACK_ID).
    pub track_id: u32,
    /// The decode time, in ticks of the track's timescale.
    pub decode_time: u64,
    /// The number of ticks until the next frame.
    pub duration: u32,
    /// The number of ticks from decoding to presentation; may be negative.
    pub composition_offset: i32,
    /// Whether a decoder can start here: true for keyframes, and for all audio frames.
    pub is_sync: bool,
    /// The length of the frame in bytes. Below 2^32 - 8, like the length of any message.
    pub len: u32,
}

const TEMPLATE: &[u8; FRAGMENT_HEAD_LEN] = b"\0\0\0\x68moof\
    \0\0\0\x10mfhd\0\0\0\0\0\0\0\0\
    \0\0\0\x50traf\
    \0\0\0\x10tfhd\0\x02\0\0\0\0\0\0\
    \0\0\0\x14tfdt\x01\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\x24trun\x01\0\x0F\x01\0\0\0\x01\0\0\0\x70\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0mdat";

/// Sample flags: doesn't depend on other samples.
pub(super) const SYNC: [u8; 4] = [0x02, 0, 0, 0];

/// Sample flags: depends on other samples, and isn't a sync sample.
pub(super) const NO_SYNC: [u8; 4] = [0x01, 0x01, 0, 0];

impl Fragment {
    /// Returns all bytes that precede the frame.
    pub fn head(&self) -> [u8; FRAGMENT_HEAD_LEN] {
        let mut head = *TEMPLATE;
        let flags = if self.is_sync { SYNC } else { NO_SYNC };
        head[20..24].copy_from_slice(&self.sequence.to_be_bytes());
        head[44..48].copy_from_slice(&self.track_id.to_be_bytes());
        head[60..68].copy_from_slice(&self.decode_time.to_be_bytes());
        head[88..92].copy_from_slice(&self.duration.to_be_bytes());
        head[92..96].copy_from_slice(&self.len.to_be_bytes());
        head[96..100].copy_from_slice(&flags);
        head[100..104].copy_from_slice(&self.composition_offset.to_be_bytes());
        head[104..108].copy_from_slice(&self.len.saturating_add(8).to_be_bytes());
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_matches_the_specification() {
        let fragment = Fragment {
            sequence: 0x0102_0304,
            track_id: 1,
            decode_time: 0x11_2233_4455,
            duration: 40,
            composition_offset: -80,
            is_sync: true,
            len: 0x0001_0203,
        };
        let expected = b"\0\0\0\x68moof\
            \0\0\0\x10mfhd\0\0\0\0\x01\x02\x03\x04\
            \0\0\0\x50traf\
            \0\0\0\x10tfhd\0\x02\0\0\0\0\0\x01\
            \0\0\0\x14tfdt\x01\0\0\0\0\0\0\x11\x22\x33\x44\x55\
            \0\0\0\x24trun\x01\0\x0F\x01\0\0\0\x01\0\0\0\x70\
            \0\0\0\x28\0\x01\x02\x03\x02\0\0\0\xFF\xFF\xFF\xB0\
            \0\x01\x02\x0Bmdat";
        assert_eq!(&fragment.head(), expected);

        let inter = Fragment {
            is_sync: false,
            ..fragment
        };
        assert_eq!(inter.head()[96..100], [1, 1, 0, 0]);
    }

    #[test]
    fn the_largest_length_does_not_overflow() {
        let fragment = Fragment {
            sequence: u32::MAX,
            track_id: 2,
            decode_time: u64::MAX,
            duration: u32::MAX,
            composition_offset: i32::MIN,
            is_sync: false,
            len: u32::MAX,
        };
        assert_eq!(fragment.head()[104..108], [0xFF; 4]);
    }
}
