//! Sample tables of any fragments.

use proptest::prelude::*;

use super::reader::{Seen, of_fragments, of_tables};
use super::*;

/// A track of one fragment: samples, as distance to the next one, composition offset, sync, length; and
/// a gap behind them.
type Track = (Vec<(u32, i32, bool, u8)>, u32);

fn track(most: usize) -> impl Strategy<Value = Track> {
    // Few different values, so that there are runs.
    let duration = prop_oneof![Just(40u32), Just(1024), 1u32..3000];
    let offset = prop_oneof![Just(0i32), Just(80), -100i32..200];
    let sample = (duration, offset, any::<bool>(), 0u8..20);
    let gap = prop_oneof![3 => Just(0u32), 1 => 1u32..100_000];
    (prop::collection::vec(sample, 0..most), gap)
}

/// Puts samples one behind the other, each with bytes of its own.
fn fragments(rows: &[(Track, Track)], starts: [u64; 2]) -> Vec<Fragment> {
    let mut times = starts;
    let mut byte = 0u8;
    let mut fragments = Vec::new();
    for (video, audio) in rows {
        let mut fragment: Fragment = Default::default();
        for (number, (samples, gap)) in [video, audio].into_iter().enumerate() {
            for &(duration, composition_offset, is_sync, len) in samples {
                fragment[number].push(Sample {
                    decode_time: times[number],
                    // Its own, which is shorter than the time to the next one.
                    duration: duration.div_ceil(2),
                    composition_offset: if number == 0 { composition_offset } else { 0 },
                    is_sync: is_sync || number == 1,
                    bytes: (0..len)
                        .map(|_| {
                            byte = byte.wrapping_add(1);
                            byte
                        })
                        .collect(),
                });
                times[number] += u64::from(duration);
            }
            times[number] += u64::from(*gap);
        }
        if fragment.iter().any(|track| !track.is_empty()) {
            fragments.push(fragment);
        }
    }
    fragments
}

/// The samples that a player should see, moved by some ticks: durations lead to the next sample.
fn expected(fragments: &[Fragment], moved: [u64; 2]) -> [Vec<Seen>; 2] {
    [0, 1].map(|track| {
        let samples: Vec<&Sample> = fragments.iter().flat_map(|f| &f[track]).collect();
        let seen = |(index, sample): (usize, &&Sample)| Seen {
            decode_time: sample.decode_time - moved[track],
            duration: match samples.get(index + 1) {
                Some(next) => next.decode_time - sample.decode_time,
                None => sample.duration.into(),
            },
            composition_offset: sample.composition_offset,
            is_sync: sample.is_sync,
            bytes: sample.bytes.clone(),
        };
        samples.iter().enumerate().map(seen).collect()
    })
}

proptest! {
    #[test]
    fn a_closed_file_has_the_samples_that_were_put_in(
        rows in prop::collection::vec((track(6), track(8)), 1..8),
        starts: [u16; 2],
    ) {
        let fragments = fragments(&rows, starts.map(u64::from));
        prop_assume!(!fragments.is_empty());
        let file = File::new(&h264_and_aac(), &fragments);
        let expected = expected(&fragments, [0, 0]);

        let mut growing = of_fragments(&file.bytes);
        // Fragments know nothing of what follows them.
        for (seen, expected) in growing.iter_mut().zip(&expected) {
            prop_assert_eq!(seen.len(), expected.len());
            for (seen, expected) in seen.iter_mut().zip(expected) {
                prop_assert!(seen.duration <= expected.duration);
                seen.duration = expected.duration;
            }
        }
        prop_assert_eq!(&growing, &expected);

        let closed = file.closed();
        let nodes = nodes(&closed);
        let names: Vec<_> = nodes.iter().map(|n| &n.name[..]).collect();
        prop_assert_eq!(names, ["ftyp", "mdat", "moov"]);
        let head = FileHead::parse(&closed).unwrap();
        prop_assert_eq!(head.closed_at, Some(file.bytes.len() as u64));
        prop_assert_eq!(of_tables(&closed[file.bytes.len()..], &closed), expected);
    }

    #[test]
    fn any_range_of_a_moov_of_any_fragments_equals_the_whole(
        rows in prop::collection::vec((track(6), track(8)), 1..8),
        starts: [u16; 2],
        span: [prop::sample::Index; 2],
        cuts: [prop::sample::Index; 6],
    ) {
        let fragments = fragments(&rows, starts.map(u64::from));
        prop_assume!(!fragments.is_empty());
        let file = File::new(&h264_and_aac(), &fragments);
        let [a, b] = span.map(|index| index.index(fragments.len()));
        let span = Span::new(&file, a.min(b)..a.max(b) + 1);
        let whole = span.in_one_pass(0);
        prop_assert_eq!(whole.len() as u64, span.movie.len());
        prop_assert_eq!(nodes(&whole).len(), 1);
        let mut cuts = cuts.map(|index| index.index(whole.len() + 1) as u64);
        cuts.sort_unstable();
        for range in cuts.windows(2) {
            let expected = &whole[range[0] as usize..range[1] as usize];
            prop_assert_eq!(&span.range(range[0]..range[1])[..], expected);
        }
        prop_assert_eq!(&span.range(0..whole.len() as u64), &whole);

        let moved = [Medium::Video, Medium::Audio].map(|medium| {
            let mut times = Times::default();
            span.fragments.clone().for_each(|i| times.add(&file.moof(i), Shift::default()));
            let mut shifted = Times::default();
            span.fragments.clone().for_each(|i| shifted.add(&file.moof(i), span.shift));
            times.track(medium).map_or(0, |t| t.first - shifted.track(medium).unwrap().first)
        });
        let expected = expected(&fragments[span.fragments.clone()], moved);
        prop_assert_eq!(of_tables(&whole, &file.bytes), expected);
    }

    #[test]
    fn notes_and_groups_are_read_as_they_were_written(
        rows in prop::collection::vec((track(6), track(8)), 1..2),
    ) {
        let fragments = fragments(&rows, [5, 6]);
        prop_assume!(!fragments.is_empty());
        let file = File::new(&h264_and_aac(), &fragments);
        let (note, moof) = (file.note(0), file.moof(0));
        prop_assert_eq!(moof.counts(), [note.video, note.audio]);
        for (medium, samples) in [Medium::Video, Medium::Audio].into_iter().zip(&fragments[0]) {
            let run = moof.run(medium);
            prop_assert_eq!(run.map_or(0, |run| run.sample_count()), samples.len());
            for (seen, sample) in run.into_iter().flat_map(|run| run.samples()).zip(samples) {
                let at = file.places[0] + NOTE_LEN + seen.data_offset as usize;
                prop_assert_eq!(&file.bytes[at..at + seen.len as usize], &sample.bytes[..]);
                prop_assert_eq!(seen.decode_time, sample.decode_time);
                prop_assert_eq!(seen.is_sync, sample.is_sync);
                prop_assert_eq!(seen.composition_offset, sample.composition_offset);
            }
        }
    }
}
