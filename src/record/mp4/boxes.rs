//! The boxes in front of the samples of a cut.

use crate::live::cut::CutSample;
use crate::live::kind::Kind;
use crate::media::mp4::group::{GroupHead, GroupSample, write_group_head};

/// Appends the boxes of a fragment to `out`; `None` if there are no samples, or too many. Of the `samples`, the first
/// ones are video, `video_len` in number. `zero`: the decode times that are 0 in the file, of video and of
/// audio.
pub(in crate::record) fn write_boxes(
    out: &mut Vec<u8>,
    sequence: u32,
    samples: &[CutSample],
    video_len: usize,
    zero: [u64; 2],
) -> Option<GroupHead> {
    let (video, audio) = samples.split_at_checked(video_len)?;
    let [video_zero, audio_zero] = zero;
    write_group_head(
        out,
        sequence,
        &mut video.iter().map(|sample| group_sample(sample, video_zero)),
        &mut audio.iter().map(|sample| group_sample(sample, audio_zero)),
    )
}

fn group_sample(sample: &CutSample, zero: u64) -> GroupSample {
    let is_video = sample.kind == Kind::Video;
    GroupSample {
        decode_time: sample.decode_time.saturating_sub(zero),
        duration: sample.duration,
        composition_offset: if is_video { sample.composition_time } else { 0 },
        is_sync: sample.is_sync || !is_video,
        len: sample.len,
    }
}
