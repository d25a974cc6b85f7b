//! Random streams and recorders, compared with all that was sent.

use super::*;

use brooklet::live::stream::Appended;
use proptest::prelude::*;

/// What a publisher or a recorder does next.
#[derive(Clone, Debug)]
enum Step {
    Video {
        is_keyframe: bool,
        len: usize,
    },
    Audio {
        len: usize,
    },
    Data,
    Header {
        is_large: bool,
    },
    /// The publisher leaves, and returns later.
    Return {
        after: u64,
    },
    Pause {
        ms: u64,
    },
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (prop::bool::weighted(0.1), 10..3_000_usize)
            .prop_map(|(is_keyframe, len)| Step::Video { is_keyframe, len }),
        1 => (20_000..200_000_usize).prop_map(|len| Step::Video { is_keyframe: true, len }),
        30 => (10..300_usize).prop_map(|len| Step::Audio { len }),
        3 => Just(Step::Data),
        1 => any::<bool>().prop_map(|is_large| Step::Header { is_large }),
        1 => (0..6_000_u64).prop_map(|after| Step::Return { after }),
        3 => (0..1_500_u64).prop_map(|ms| Step::Pause { ms }),
        8 => Just(Step::Poll),
    ]
}

/// All messages that were accepted.
struct Sent {
    fixture: Fixture,
    timestamp: u32,
    header: &'static [u8],
    messages: Vec<Message>,
}

impl Sent {
    fn apply(&mut self, step: &Step) {
        let fixture = &self.fixture;
        let mut message = |kind, payload: Vec<u8>| {
            if fixture.append(kind, self.timestamp, &payload) == Appended::Stored {
                self.messages.push((kind, payload));
            }
        };
        let filled = |head: &[u8], len: usize| {
            let mut payload = head.to_vec();
            // A unit whose length doesn't fit, and that is no IDR: the frame is taken as it is.
            payload.extend([0xFF, 0xFF, 0xFF, 0xFF, 0x41]);
            payload.resize(len.max(12), len as u8);
            payload
        };
        match *step {
            Step::Video { is_keyframe, len } => {
                let first = if is_keyframe { 0x17 } else { 0x27 };
                message(Kind::Video, filled(&[first, 1, 0, 0, 0], len));
                self.timestamp += 40;
                fixture.wait(40);
            }
            Step::Audio { len } => message(Kind::Audio, filled(&[0xAF, 1], len)),
            Step::Data => {
                let payload = b"\x02\0\x02hi".to_vec();
                fixture.data(self.timestamp, &payload);
                self.messages.push((Kind::Script, payload));
            }
            Step::Header { is_large } => {
                let header = if is_large { LARGE } else { SMALL };
                self.header = header;
                message(Kind::Video, header.to_vec());
            }
            Step::Return { after } => {
                fixture.unpublish();
                fixture.wait(after);
                fixture.publish();
                message(Kind::Video, self.header.to_vec());
                message(Kind::Audio, AAC_HEADER.to_vec());
            }
            Step::Pause { ms } => {
                self.timestamp += ms as u32;
                fixture.wait(ms);
            }
            Step::Poll => {}
        }
        fixture.pump();
    }

    /// The messages of a file from the first keyframe on.
    fn of_form(&self, form: Form) -> Vec<Message> {
        let is_keyframe = |(kind, payload): &Message| {
            *kind == Kind::Video && payload[0] == 0x17 && payload[1] == 1
        };
        let from_keyframe = self.messages.iter().skip_while(|m| !is_keyframe(m));
        let all = from_keyframe.filter_map(|(kind, payload)| match (form, kind) {
            (Form::Flv, _) => Some((*kind, payload.clone())),
            (Form::Mp4, Kind::Video) if payload[1] == 1 => Some((*kind, payload[5..].to_vec())),
            (Form::Mp4, Kind::Audio) if payload[1] == 1 => Some((*kind, payload[2..].to_vec())),
            _ => None,
        });
        all.collect()
    }
}

fn run(blocks: usize, steps: &[Step]) -> (Sent, [Recorder; 2]) {
    let fixture = Fixture::with(blocks, 0);
    let mut recorders = [Form::Mp4, Form::Flv].map(|form| Recorder::of(&fixture, form));
    fixture.publish();
    headers(&fixture);
    let mut sent = Sent {
        fixture,
        timestamp: 0,
        header: SMALL,
        messages: Vec::new(),
    };
    let mut changes = 0;
    // Otherwise it might begin with another frame, after a while.
    let first = Step::Video {
        is_keyframe: true,
        len: 1_000,
    };
    for step in [&first].into_iter().chain(steps) {
        sent.apply(step);
        changes += u32::from(matches!(step, Step::Header { .. } | Step::Return { .. }));
        // Only so many changes of the tracks are remembered for recorders that lag.
        if matches!(step, Step::Poll) || changes > 8 {
            changes = 0;
            for recorder in &mut recorders {
                recorder.poll(&sent.fixture);
            }
        }
    }
    sent.fixture.unpublish();
    let (generation, now) = (sent.fixture.generation.get(), sent.fixture.now.get());
    sent.fixture.stream.end(generation, now);
    for recorder in &mut recorders {
        assert_eq!(recorder.poll(&sent.fixture), Next::Over);
    }
    (sent, recorders)
}

fn check_cuts(recorder: &Recorder) {
    let mut end = None;
    for cut in &recorder.cuts {
        // Between two cuts is nothing but what is counted, or what the form leaves out.
        assert_eq!(
            cut.missed > 0,
            end.is_some_and(|end| cut.messages.start > end && cut.missed > 0)
        );
        let numbers = cut.samples.iter().map(|sample| sample.number);
        let numbers: Vec<_> = numbers.collect();
        assert!(numbers.is_sorted() && cut.messages.contains(&numbers[0]));
        assert!(cut.messages.contains(numbers.last().unwrap()));
        assert!(end.is_none_or(|end| cut.messages.start >= end));
        end = Some(cut.messages.end);
        let bytes: u64 = cut.samples.iter().map(|sample| u64::from(sample.len)).sum();
        assert!(cut.samples.len() == 1 || bytes <= 2 << 20);
        // A keyframe is the first frame of its cut.
        let frames = cut
            .samples
            .iter()
            .filter(|s| s.kind == Kind::Video && s.is_sync);
        let syncs: Vec<_> = frames.map(|sample| sample.number).collect();
        assert!(syncs.len() <= 1);
        if cut.form == Some(Form::Mp4) {
            assert!(syncs.iter().all(|sync| *sync == numbers[0]));
            assert_eq!(cut.is_start, !syncs.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_cuts_together_are_what_was_sent(steps in prop::collection::vec(step(), 1..400)) {
        let (sent, recorders) = run(4096, &steps);
        for recorder in &recorders {
            check_cuts(recorder);
            prop_assert_eq!(recorder.missed(), 0);
            let expected = sent.of_form(recorder.place.form());
            prop_assert_eq!(&recorder.messages, &expected);
        }
    }

    #[test]
    fn in_a_small_arena_the_cuts_are_a_part_of_it(steps in prop::collection::vec(step(), 1..400)) {
        let (sent, recorders) = run(16, &steps);
        for recorder in &recorders {
            check_cuts(recorder);
            // In the same order.
            let mut all = sent.of_form(Form::Flv).into_iter();
            if recorder.place.form() == Form::Flv {
                for message in &recorder.messages {
                    prop_assert!(all.any(|sent| sent == *message));
                }
            }
            for pair in recorder.cuts.windows(2) {
                if pair[1].missed > 0 {
                    prop_assert!(pair[1].is_start);
                }
            }
        }
    }
}
