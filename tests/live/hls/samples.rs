//! The frames that a playlist lists.

use brooklet::live::hls::file_name::FileKind;
use brooklet::live::hls::segments::Listing;

use super::{fetch, numbers};
use crate::files::{Fragment, fragments};
use crate::fixture::Fixture;

/// A frame in a segment.
pub(super) struct Sample {
    pub(super) segment: u64,
    /// The number that the fixture gave to the frame.
    pub(super) number: u32,
    pub(super) is_video: bool,
    pub(super) is_sync: bool,
    /// The time in ms for video, in samples for audio.
    pub(super) time: u64,
    pub(super) duration: u64,
}

/// Returns all frames in the segments of a listing.
pub(super) fn samples(fixture: &Fixture, listing: &Listing) -> Vec<Sample> {
    let of_segment = |segment| {
        let bytes = fetch(fixture, FileKind::Segment(segment), 5_000).unwrap();
        let samples = fragments(&bytes).into_iter().map(move |fragment| {
            let Fragment::Sample {
                track,
                time,
                duration,
                is_sync,
                bytes,
            } = fragment
            else {
                panic!("an init segment within a segment")
            };
            let is_video = track == 1;
            // Of the five bytes that precede the number, AAC frames lack two.
            let number = if is_video { &bytes[..4] } else { &bytes[3..7] };
            Sample {
                segment,
                number: u32::from_be_bytes(number.try_into().unwrap()),
                is_video,
                is_sync,
                time,
                duration: duration.into(),
            }
        });
        samples.collect::<Vec<_>>()
    };
    numbers(listing).into_iter().flat_map(of_segment).collect()
}

/// Checks that every segment begins with a keyframe, lasts as long as its video, and begins where the
/// previous segment ended.
pub(super) fn check_durations(listing: &Listing, samples: &[Sample]) {
    let mut end = None;
    for segment in &listing.segments {
        let own = samples.iter().filter(|s| s.segment == segment.number);
        let frames: Vec<_> = own.filter(|sample| sample.is_video).collect();
        assert!(frames[0].is_sync && segment.is_independent);
        let length: u64 = frames.iter().map(|frame| frame.duration).sum();
        assert_eq!(u64::from(segment.duration), length, "{segment:?}");
        let parts = listing.parts(segment);
        if !parts.is_empty() {
            let sum: u32 = parts.iter().map(|part| part.duration).sum();
            assert_eq!(sum, segment.duration);
        }
        if !segment.has_discontinuity {
            assert_eq!(*end.get_or_insert(frames[0].time), frames[0].time);
        }
        end = Some(frames[0].time + length);
    }
}
