//! MP4: a fragmented file, one frame of video or audio in each fragment.

use crate::live::kind::Kind;
use crate::live::out::message::Message;
use crate::media::mp4::{AUDIO_TRACK_ID, Fragment, VIDEO_TRACK_ID};

/// The decode times that become 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::live) struct Base {
    /// Of video, in ms.
    pub video: u64,
    /// Of audio, in samples.
    pub audio: u64,
}

/// The boxes in front of a sample.
pub(in crate::live) fn fragment(message: &Message, base: Base) -> Fragment {
    let sample = &message.sample;
    let (track_id, base) = match message.kind {
        Kind::Video => (VIDEO_TRACK_ID, base.video),
        _ => (AUDIO_TRACK_ID, base.audio),
    };
    Fragment {
        // Has to grow, no more. It grows by two, because after a number that is the next one VLC
        // ignores the decode time: it takes the first audio frame of HLS for one at 0, which is
        // much too late to be played.
        sequence: (message.number as u32).wrapping_mul(2).wrapping_add(2),
        track_id,
        decode_time: sample.decode_time.saturating_sub(base),
        duration: sample.duration.into(),
        composition_offset: sample.composition_time,
        is_sync: message.is_sync,
        len: message.len,
    }
}
