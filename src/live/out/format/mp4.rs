//! MP4: a fragmented file, one frame of video or audio in each fragment.

use crate::live::kind::Kind;
use crate::live::out::message::Message;
use crate::media::mp4::{AUDIO_TRACK_ID, Fragment, VIDEO_TRACK_ID};

/// The decode times that become 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::live) struct Base {
    /// The decode time of video, in ms.
    pub video: u64,
    /// The decode time of audio, in samples.
    pub audio: u64,
}

/// The boxes before a sample.
pub(in crate::live) fn fragment(message: &Message, base: Base) -> Fragment {
    let sample = &message.sample;
    let (track_id, base) = match message.kind {
        Kind::Video => (VIDEO_TRACK_ID, base.video),
        _ => (AUDIO_TRACK_ID, base.audio),
    };
    Fragment {
        // The sequence number only has to grow. It grows by two because VLC ignores the decode time
        // when the number is the previous one plus one: it assumes that the first audio frame of HLS is
        // at 0, which is much too late for it to be played.
        sequence: (message.number as u32).wrapping_mul(2).wrapping_add(2),
        track_id,
        decode_time: sample.decode_time.saturating_sub(base),
        duration: sample.duration.into(),
        composition_offset: sample.composition_time,
        is_sync: message.is_sync,
        len: message.len,
    }
}
