//! Random publishers, with and without jumps: invariants of where messages are placed.

use proptest::prelude::*;

use super::*;

/// The largest delay of a message, in ms.
const MAX_JITTER: u64 = 800;

/// A camera for a minute, in ms of true time.
#[derive(Clone, Debug)]
struct Camera {
    /// The step from one message to the next: audio, video.
    periods: [u64; 2],
    /// How much later audio is sent than video of the same time.
    audio_lag: u64,
    base: u32,
    /// The amount by which the timestamps of audio are later, in ms.
    apart: u32,
    /// The delays of successive messages.
    jitter: Vec<u64>,
    jumps: Vec<Jump>,
}

#[derive(Clone, Debug)]
struct Jump {
    at: u64,
    by: i64,
}

/// A message: its true time, its timestamp as received and as placed.
#[derive(Clone, Copy, Debug)]
struct Message {
    at: u64,
    kind: Kind,
    arrival: u64,
    came: u32,
    placed: u32,
}

const LEN: u64 = 60_000;

impl Camera {
    /// Places all messages, in the order of arrival.
    fn publish(&self, clock: &mut Clock) -> Vec<Message> {
        let mut sent = Vec::new();
        for (kind, period, lag) in [
            (A, self.periods[0], self.audio_lag),
            (V, self.periods[1], 0),
        ] {
            let times = (0..LEN / period).map(|index| index * period);
            sent.extend(times.map(|at| (at + lag, at, kind)));
        }
        sent.sort_by_key(|(sent, _, _)| *sent);
        let mut arrival = 0;
        let message = |(index, (sent, at, kind)): (usize, (u64, u64, Kind))| {
            arrival = (sent + self.jitter[index % self.jitter.len()]).max(arrival);
            let jumped = self.jumps.iter().filter(|jump| jump.at <= at);
            let jumped: i64 = jumped.map(|jump| jump.by).sum();
            let apart = if kind == A { self.apart } else { 0 };
            let came = later(self.base.wrapping_add(apart), at as i64 + jumped);
            let placed = clock.place(kind, came, arrival);
            Message {
                at,
                kind,
                arrival,
                came,
                placed,
            }
        };
        sent.into_iter().enumerate().map(message).collect()
    }
}

fn camera(jump: impl Strategy<Value = i64> + 'static) -> impl Strategy<Value = Camera> {
    // 5 s apart, so that one jump has been corrected before the next.
    let jumps = prop::collection::vec((0..4_000u64, jump), 0..10).prop_map(|jumps| {
        let place = |(index, (at, by))| Jump {
            at: 3_000 + 5_500 * index as u64 + at / 4,
            by,
        };
        jumps.into_iter().enumerate().map(place).collect()
    });
    (
        [10..60u64, 15..100],
        0..500u64,
        any::<u32>(),
        // Never as large as a jump, from which it could not be distinguished.
        prop_oneof![Just(0), 1_000_000_000..2_000_000_000u32],
        prop::collection::vec(0..MAX_JITTER, 1..50),
        jumps,
    )
        .prop_map(|(periods, audio_lag, base, apart, jitter, jumps)| Camera {
            periods,
            audio_lag,
            base,
            apart,
            jitter,
            jumps,
        })
}

fn any_jump() -> impl Strategy<Value = i64> {
    prop_oneof![
        -8_000..8_000i64,
        -900_000_000..900_000_000i64,
        Just(-(1 << 24)),
        Just(-(1 << 31)),
    ]
}

/// Jumps that no delay of the network can explain.
fn large_jump() -> impl Strategy<Value = i64> {
    let far = 5_000..2_000_000_000i64;
    prop_oneof![far.clone(), far.prop_map(|by| -by)]
}

proptest! {
    #[test]
    fn without_jumps_a_constant_is_added(camera in camera(Just(0)), before: Option<u32>) {
        let mut clock = Clock::default();
        if let Some(last) = before {
            clock.place(V, last, 0);
            clock.begin_publish();
        }
        let messages = camera.publish(&mut clock);
        for kind in [A, V] {
            let messages = messages.iter().filter(|message| message.kind == kind);
            let added = |message: &Message| message.placed.wrapping_sub(message.came);
            let constant = messages.clone().map(added).next();
            for message in messages {
                prop_assert_eq!(Some(added(message)), constant, "{:?}", message);
            }
            if before.is_none() && camera.apart == 0 {
                prop_assert_eq!(constant, Some(0));
            }
        }
        if camera.apart == 0 {
            prop_assert_eq!(clock.repair.take(), None);
        }
    }

    #[test]
    fn no_track_goes_back_by_more_than_the_tolerance(camera in camera(any_jump())) {
        let mut clock = Clock::default();
        let mut newest = [None; 2];
        for message in camera.publish(&mut clock) {
            let newest = &mut newest[usize::from(message.kind == V)];
            let step = newest.map_or(0, |newest| difference(message.placed, newest));
            prop_assert!(step >= -TOLERANCE, "{:?}", message);
            if step >= 0 {
                *newest = Some(message.placed);
            }
        }
    }

    #[test]
    fn audio_and_video_stay_in_sync_to_the_ms(camera in camera(any_jump())) {
        let mut clock = Clock::default();
        let messages = camera.publish(&mut clock);
        // Right before each jump, and at the end.
        let mut ends: Vec<u64> = camera.jumps.iter().map(|jump| jump.at).collect();
        ends.push(LEN);
        let mut apart = None;
        for end in ends {
            let error = |kind| {
                let mut before = messages.iter().rev();
                let last = before.find(|message| message.kind == kind && message.at < end);
                last.map_or(0, |message| later(message.placed, -(message.at as i64)))
            };
            let now = error(A).wrapping_sub(error(V));
            prop_assert_eq!(now, *apart.get_or_insert(now), "before {}", end);
            if camera.apart == 0 {
                prop_assert_eq!(now, 0);
            }
        }
    }

    #[test]
    fn the_stream_stays_where_the_wall_clock_is(camera in camera(large_jump())) {
        let mut clock = Clock::default();
        let messages = camera.publish(&mut clock);
        let start = messages[0].placed.wrapping_sub(messages[0].arrival as u32);
        for message in messages {
            let wall = later(start, message.arrival as i64);
            let ahead = difference(message.placed, wall);
            // The delay of the network, the lag of audio, and a step.
            let most = 2 * MAX_JITTER as i64 + 500 + 100;
            prop_assert!(ahead.abs() <= most, "{} ms ahead: {:?}", ahead, message);
        }
    }
}
