//! Random schedules: what isn't in a file is counted.

use proptest::prelude::*;

use super::bench::*;
use super::feed::{AVC, OTHER_AVC};
use super::recorded::numbers;
use crate::live::cut::Form;
use crate::record::disk::sim::Faults;
use crate::record::recorder::Rules;

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    /// Time passes, but the recorder's thread waits.
    Lag(u64),
    Slow(u64),
    Fault(u8),
    Clock(i64),
    Leave(u64),
    Return(bool),
    NewFile,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1u64..12_000).prop_map(Event::Pass),
        1 => (1u64..40_000).prop_map(Event::Lag),
        1 => (0u64..3_000).prop_map(Event::Slow),
        2 => (0u8..8).prop_map(Event::Fault),
        1 => prop_oneof![-7_200_000i64..7_200_000, -9_000i64..9_000].prop_map(Event::Clock),
        1 => (0u64..20_000).prop_map(Event::Leave),
        1 => any::<bool>().prop_map(Event::Return),
        1 => Just(Event::NewFile),
    ]
}

fn faults(number: u8) -> Faults {
    Faults {
        // A disk that is full makes the keeper remove files, which isn't the recorder's loss.
        capacity: None,
        is_refusing: false,
        is_read_only: number == 2,
        is_failing: number == 3,
        is_sync_failing: number == 4,
        is_gone: number == 5,
        fails_after: (number == 6).then_some(70_000),
    }
}

fn apply(bench: &mut Bench, event: Event) {
    match event {
        Event::Pass(ms) => bench.pass(ms),
        Event::Lag(ms) => bench.feed().pass(ms),
        Event::Slow(ms) => bench.feed().slow = ms,
        Event::Fault(number) => bench.fail(faults(number)),
        Event::Clock(ms) => {
            let feed = &mut *bench.feed();
            feed.wall = feed.wall.saturating_add_signed(ms);
        }
        Event::Leave(ms) => {
            if bench.feed().is_live {
                bench.feed().unpublish();
            }
            bench.pass(ms);
        }
        Event::Return(is_same) => {
            let feed = &mut *bench.feed();
            if !feed.is_live {
                feed.publish(if is_same { AVC } else { OTHER_AVC });
            }
        }
        Event::NewFile => bench.recorder.begin_anew(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_in_a_file_or_counted(
        events in prop::collection::vec(event(), 1..30),
        is_flv in any::<bool>(),
        gop in prop_oneof![Just(25), Just(50), Just(130)],
        frame_len in prop_oneof![Just(300usize), Just(4_000)],
    ) {
        let form = Some(if is_flv { Form::Flv } else { Form::Mp4 });
        let mut bench = Bench::with(Rules { form, segment: 20_000, ..RULES }, 96, TODAY);
        {
            let feed = &mut *bench.feed();
            (feed.gop, feed.frame_len) = (gop, frame_len);
            feed.publish(AVC);
        }
        bench.pass(7_000);
        let mut headers = 2;
        for event in events {
            headers += 2 * u64::from(matches!(event, Event::Return(_)));
            apply(&mut bench, event);
        }
        bench.fail(faults(0));
        bench.feed().slow = 0;
        bench.pass(75_000);
        let sent = u64::from(bench.feed().sent);
        let files = bench.files();
        let missing = sent - numbers(&files).len() as u64;
        let missed = bench.report().missed_messages;
        prop_assert!((missing..=missing + headers).contains(&missed), "{missing} {missed}");
        // Headers alone make no gap.
        prop_assert!(missed <= headers || bench.report().gaps > 0);
        prop_assert_eq!(bench.store.catalog().open_count(), 0);
    }
}
