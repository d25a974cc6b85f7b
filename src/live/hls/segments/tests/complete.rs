//! Properties: no message is lost, and segments last as long as their frames.

use proptest::prelude::*;

use super::*;

/// An action of an encoder.
#[derive(Clone, Debug)]
enum Act {
    /// Sends a GOP with these intervals; an audio frame follows each frame if there is audio.
    Gop(Vec<u64>),
    /// Disappears, and returns after this many ms.
    Death(u64),
    /// Changes its configurations.
    Change {
        video: u8,
        audio: u8,
    },
    Ask,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // GOPs of up to 10 s, with constant and with arbitrary intervals.
    let gop = prop_oneof![
        (5..60_u64, 500..10_000_u64).prop_map(|(rate, length)| vec![
            1_000 / rate;
            (length * rate / 1_000).max(1)
                as usize
        ]),
        prop::collection::vec(1..150_u64, 1..120),
        prop::collection::vec(prop_oneof![9 => 30..36_u64, 1 => 20..450_u64], 1..200),
    ];
    let gop = gop.prop_map(|mut steps| {
        let mut length = 0;
        steps.retain(|step| {
            length += step;
            length <= 10_000
        });
        steps
    });
    let act = prop_oneof![
        12 => gop.prop_map(Act::Gop),
        1 => (0..5_000_u64).prop_map(Act::Death),
        2 => (1..3_u8, 0..3_u8).prop_map(|(video, audio)| Act::Change { video, audio }),
        4 => Just(Act::Ask),
    ];
    prop::collection::vec(act, 1..25)
}

/// Keeps track of the messages of a [`TestStream`].
#[derive(Default)]
struct Ledger {
    newest: Option<Segment>,
    /// Messages that may be in no segment, because a decoder couldn't use them.
    excused: Vec<bool>,
    taken: Vec<bool>,
    /// The configurations that decoders have since the last keyframe.
    video: Option<u8>,
    audio: Option<u8>,
    /// Audio that precedes its keyframe, and its configuration.
    early: Vec<u64>,
    early_config: u8,
}

impl Ledger {
    /// Notes the newest message.
    fn note(&mut self, stream: &TestStream) {
        let number = stream.number() - 1;
        let message = stream.messages[number as usize];
        self.taken.push(false);
        self.excused.push(false);
        let early_time = self
            .early
            .first()
            .map(|first| stream.messages[*first as usize].time);
        match (message.is_video, message.is_keyframe) {
            (true, true) => {
                self.video = Some(message.config);
                self.audio = Some(stream.tracks.1);
                for number in self.early.drain(..) {
                    let is_far = early_time.unwrap() + 1_000 < message.time;
                    let is_other = self.early_config != stream.tracks.1;
                    self.excused[number as usize] = is_far || is_other;
                }
            }
            (true, false) => {
                self.video = self.video.filter(|config| *config == message.config);
                self.excused[number as usize] = self.video.is_none();
            }
            _ if self.audio == Some(message.config) => {}
            _ => {
                self.audio = None;
                if self.early_config != message.config {
                    self.give_up();
                }
                self.early_config = message.config;
                self.early.push(number);
            }
        }
    }

    fn give_up(&mut self) {
        for number in self.early.drain(..) {
            self.excused[number as usize] = true;
        }
    }

    /// Notes that the publisher leaves.
    fn end(&mut self, stream: &mut TestStream) {
        let open = stream.segments.open.as_ref();
        let begun = open.map(|open| open.segment.messages.start);
        let is_kept = stream.segments.cut_off();
        self.check(stream);
        self.give_up();
        (self.video, self.audio) = (None, None);
        assert_eq!(self.excused.len() as u64, stream.number());
        if let Some(begun) = begun.filter(|_| !is_kept) {
            self.excused[begun as usize..].fill(true);
        }
    }

    /// Checks the segment that has become complete since the last call.
    fn check(&mut self, stream: &TestStream) {
        let newest = stream.segments.lists.newest();
        if newest == self.newest {
            return;
        }
        let before = std::mem::replace(&mut self.newest, newest);
        let segment = self.newest.clone().unwrap();
        assert_eq!(segment.number, before.map_or(1, |before| before.number + 1));
        assert!(segment.is_independent);
        let tracks = stream.tracks_of(segment.version);
        let message = |number: u64| stream.messages[number as usize];
        let numbers = stream.in_segment(&segment);
        for number in &numbers {
            let taken = &mut self.taken[*number as usize];
            assert!(
                !std::mem::replace(taken, true),
                "{number} is in two segments"
            );
            let expected = if message(*number).is_video {
                tracks.0
            } else {
                tracks.1
            };
            assert_eq!(message(*number).config, expected);
        }
        let frames = |from: u64, to: u64| {
            let numbers = numbers.iter().copied();
            let within = numbers.filter(move |number| (from..to).contains(number));
            let frames = within.map(message).filter(|message| message.is_video);
            frames.collect::<Vec<_>>()
        };
        let all = frames(0, u64::MAX);
        assert!(all[0].is_keyframe, "{segment:?}");
        let media = |frames: &[SentMessage]| frames.last().unwrap().end - frames[0].time;
        assert_eq!(segment.start, all[0].time);
        assert_eq!(u64::from(segment.duration), media(&all), "{segment:?}");
        let Some(target) = stream.segments.part_target else {
            return;
        };
        let mut at = segment.messages.start;
        let count = segment.parts.end - segment.parts.start;
        if count == 0 || segment.parts.start < stream.segments.parts_from {
            return;
        }
        let mut sum = 0;
        for index in 0..count {
            let Lookup::Found((part, _)) = stream.segments.part(segment.number, index) else {
                return;
            };
            let messages = &part.messages;
            assert_eq!(std::mem::replace(&mut at, messages.end), messages.start);
            let own = frames(messages.start, messages.end);
            assert_eq!(u64::from(part.duration), media(&own));
            assert!(part.duration <= target);
            assert_eq!(part.is_independent, own[0].is_keyframe);
            sum += part.duration;
        }
        assert_eq!((at, sum), (segment.messages.end, segment.duration));
    }
}

proptest! {
    #[test]
    fn everything_an_encoder_sends_is_in_segments_that_begin_with_keyframes(acts in acts()) {
        let mut stream = TestStream::new();
        stream.max_bytes = u64::MAX;
        let mut ledger = Ledger::default();
        for act in acts {
            match act {
                Act::Gop(steps) => {
                    for (index, step) in steps.into_iter().enumerate() {
                        stream.late_frame(step, index == 0, 0);
                        ledger.note(&stream);
                        ledger.check(&stream);
                        if stream.tracks.1 > 0 {
                            stream.audio();
                            ledger.note(&stream);
                        }
                    }
                }
                Act::Death(after) => {
                    ledger.end(&mut stream);
                    stream.time += after;
                }
                Act::Change { video, audio } => stream.tracks = (video, audio),
                Act::Ask => {
                    stream.segments.promise();
                }
            }
            // Some audio that precedes the next keyframe.
            if stream.tracks.1 > 0 {
                for _ in 0..stream.number() % 3 {
                    stream.audio();
                    ledger.note(&stream);
                }
            }
        }
        ledger.end(&mut stream);
        let end = ledger.newest.as_ref().map_or(0, |newest| newest.messages.end);
        for number in 0..end as usize {
            prop_assert!(
                ledger.taken[number] || ledger.excused[number],
                "{:?} is lost, the {}th", stream.messages[number], number
            );
        }
    }
}

/// GOPs: ms of audio alone before it, whether it begins with a keyframe, and its number of frames.
fn pauses() -> impl Strategy<Value = Vec<(u64, bool, u32)>> {
    let pause = prop_oneof![2 => Just(0_u64), 2 => 0..4_000_u64, 1 => 0..40_000_u64];
    prop::collection::vec((pause, any::<bool>(), 1..120_u32), 2..12)
}

proptest! {
    /// A pause is no discontinuity either.
    #[test]
    fn while_video_pauses_all_audio_is_in_the_segment_of_its_time(gops in pauses(), is_asked in any::<bool>()) {
        let mut stream = TestStream::new();
        stream.max_bytes = u64::MAX;
        let mut newest = 0;
        let mut taken = Vec::new();
        let mut end = None;
        for (index, (pause, is_keyframe, frames)) in gops.into_iter().enumerate() {
            stream.audio_for(if index == 0 { 0 } else { pause });
            for frame in 0..frames {
                stream.frame(40, frame == 0 && (is_keyframe || index == 0));
                if is_asked {
                    stream.segments.promise();
                }
                let Some(segment) = stream.segments.lists.newest().filter(|s| s.number > newest) else {
                    continue;
                };
                // Several may become complete at once after a pause.
                for number in newest + 1..=segment.number {
                    let Some(segment) = stream.segments.segment(number) else { continue };
                    prop_assert!(!segment.has_discontinuity);
                    prop_assert!((20..=MAX_SEGMENT).contains(&segment.duration), "{:?}", segment);
                    prop_assert_eq!(*end.get_or_insert(segment.start), segment.start);
                    end = Some(segment.start + u64::from(segment.duration));
                    for number in stream.in_segment(&segment) {
                        let message = stream.messages[number as usize];
                        taken.push(number);
                        if !message.is_video {
                            let at = message.time;
                            let is_in = segment.start <= at + 1_000 && at < end.unwrap() + 1_050;
                            prop_assert!(is_in, "{:?} in {:?}", message, segment);
                        }
                    }
                }
                newest = segment.number;
            }
        }
        taken.sort_unstable();
        let all: Vec<_> = (0..taken.len() as u64).collect();
        prop_assert!(taken == all, "{} taken", taken.len());
    }
}
