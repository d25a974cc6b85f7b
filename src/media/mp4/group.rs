//! The bytes in front of the samples of a recorded fragment (ISO/IEC 14496-12, 8.8).
//!
//! ```text
//! moof
//!   mfhd 16         sequence
//!   traf            video, if there are samples of it; then audio
//!     tfhd 16         default-base-is-moof
//!     tfdt 20         version 1: the decode time of the first sample
//!     trun 20 + 16n   version 1: of each sample its duration, size, flags, composition offset
//! mdat 8            then samples of video, samples of audio, and a checksum, which aren't written here
//! ```

use super::boxes::Boxes;
use super::fragment::{NO_SYNC, SYNC};
use super::note::{CHECKSUM_LEN, Counts, MAX_SAMPLES};
use super::read::Moof;
use super::{AUDIO_TRACK_ID, VIDEO_TRACK_ID};

/// A sample, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSample {
    /// The decode time in ticks of its track, from the file's zero.
    pub decode_time: u64,
    /// The duration in ticks. Counts for the last sample of a track; otherwise the distance to the next
    /// one is written.
    pub duration: u32,
    /// The number of ticks from decoding to presentation; may be negative. 0 for audio.
    pub composition_offset: i32,
    /// Whether a decoder can start here: true for keyframes, and for all audio frames.
    pub is_sync: bool,
    /// The length in bytes.
    pub len: u32,
}

/// What [`write_group_head`] has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHead {
    /// The length in bytes of the `moof`. The header of the `mdat` has another 8.
    pub moof_len: u32,
    /// The samples of video.
    pub video: Counts,
    /// The samples of audio.
    pub audio: Counts,
}

/// Appends the `moof` and the header of the `mdat` to `out`. Samples are passed in the order in which
/// their bytes will follow.
///
/// Returns `None`, and leaves `out` as it was, if there are no samples, more than [`MAX_SAMPLES`], or
/// too many bytes for 32 bits.
pub fn write_group_head(
    out: &mut Vec<u8>,
    sequence: u32,
    video: &mut dyn Iterator<Item = GroupSample>,
    audio: &mut dyn Iterator<Item = GroupSample>,
) -> Option<GroupHead> {
    let start = out.len();
    let mut boxes = Boxes(std::mem::take(out));
    let written = write(&mut boxes, start, sequence, video, audio);
    *out = boxes.0;
    let head = written.and_then(|()| {
        let moof = Moof::parse(out.get(start..)?)?;
        Some(GroupHead {
            moof_len: moof.len,
            video: moof.counts()[0],
            audio: moof.counts()[1],
        })
    });
    if head.is_none() {
        out.truncate(start);
    }
    head
}

fn write<'a>(
    b: &mut Boxes,
    start: usize,
    sequence: u32,
    video: &'a mut dyn Iterator<Item = GroupSample>,
    audio: &'a mut dyn Iterator<Item = GroupSample>,
) -> Option<()> {
    let moof = b.begin(b"moof");
    b.bytes(b"\0\0\0\x10mfhd\0\0\0\0");
    b.u32(sequence);
    let (mut samples, mut len) = (0, 0);
    let mut offsets = [None; 2];
    let tracks = [(VIDEO_TRACK_ID, video), (AUDIO_TRACK_ID, audio)];
    for ((track_id, track), offset) in tracks.into_iter().zip(&mut offsets) {
        if let Some(first) = track.next() {
            let run = traf(b, track_id, first, track)?;
            *offset = Some((run.offset_at, len));
            samples += run.samples;
            len += run.len;
        }
    }
    b.end(moof);
    if samples == 0 || samples > u32::from(MAX_SAMPLES) {
        return None;
    }
    let data_offset = (b.0.len() - start + 8) as u32;
    for (at, before) in offsets.into_iter().flatten() {
        let offset = u32::try_from(before).ok()?.checked_add(data_offset)?;
        let field = b.0.get_mut(at..at + 4)?;
        field.copy_from_slice(&offset.to_be_bytes());
    }
    b.u32(u32::try_from(8 + len + u64::from(CHECKSUM_LEN)).ok()?);
    b.bytes(b"mdat");
    Some(())
}

/// A `traf` that was written.
struct Run {
    /// The index of the data offset.
    offset_at: usize,
    samples: u32,
    len: u64,
}

fn traf(
    b: &mut Boxes,
    track_id: u32,
    first: GroupSample,
    rest: &mut dyn Iterator<Item = GroupSample>,
) -> Option<Run> {
    let traf = b.begin(b"traf");
    b.bytes(b"\0\0\0\x10tfhd\0\x02\0\0");
    b.u32(track_id);
    b.bytes(b"\0\0\0\x14tfdt\x01\0\0\0");
    b.bytes(&first.decode_time.to_be_bytes());
    let trun = b.begin_full(b"trun", 0x0100_0F01);
    let count_at = b.0.len();
    b.zeros(4 + 4); // count and data offset
    let mut run = Run {
        offset_at: count_at + 4,
        samples: 0,
        len: 0,
    };
    // The time that follows from what is written. It is the true one, unless times go back.
    let mut time = first.decode_time;
    let mut next = Some(first);
    while let Some(sample) = next {
        next = rest.next();
        let duration = match next {
            Some(next) => u32::try_from(next.decode_time.saturating_sub(time)).unwrap_or(u32::MAX),
            None => sample.duration,
        };
        time = time.saturating_add(duration.into());
        b.u32(duration);
        b.u32(sample.len);
        b.bytes(if sample.is_sync { &SYNC } else { &NO_SYNC });
        b.bytes(&sample.composition_offset.to_be_bytes());
        run.len += u64::from(sample.len);
        run.samples += 1;
        if run.samples > u32::from(MAX_SAMPLES) {
            return None;
        }
    }
    b.end(trun);
    b.end(traf);
    let count = b.0.get_mut(count_at..count_at + 4)?;
    count.copy_from_slice(&run.samples.to_be_bytes());
    Some(run)
}
