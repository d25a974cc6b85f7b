//! The log and its subscribers, compared with a naive model that keeps everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::capabilities::Capabilities;
use brooklet::live::kind::Kind;
use brooklet::live::log::{Log, Meta, RECORD_LEN, Role, Sample};
use brooklet::live::out::join::Join;
use proptest::prelude::*;

use crate::fixture::{Fixture, TestSink};

fn meta(arrived: u64, is_join_point: bool) -> Meta {
    Meta {
        kind: Kind::Video,
        timestamp: arrived as u32,
        arrived,
        is_join_point,
        role: Role::Media,
        preamble_version: 0,
        needs: Capabilities::NONE,
        mod_ex_len: 0,
        sample: Sample::default(),
    }
}

fn bytes_of(log: &Log, number: u64) -> Option<Vec<u8>> {
    let entry = log.entry(number)?;
    Some(
        log.slices(entry.position, 0, entry.len as usize)
            .collect::<Vec<_>>()
            .concat(),
    )
}

#[test]
fn blocks_that_a_large_message_left_unused_are_given_up_before_any_message() {
    let arena = Arena::new(32 * BLOCK_LEN);
    let mut log = Log::new(arena.clone(), u64::MAX);
    let append = |log: &mut Log, blocks| {
        let payload = vec![7; blocks * BLOCK_LEN - RECORD_LEN];
        let number = log.append(meta(0, true), std::iter::once(&payload[..]));
        number.unwrap()
    };
    append(&mut log, 12);
    let second = append(&mut log, 12);
    let others: Vec<_> = std::iter::from_fn(|| arena.take()).collect();
    let third = append(&mut log, 3);
    assert_eq!((log.start(), log.blocks_held()), (second, 24));
    log.give_up(5);
    assert_eq!((log.start(), log.blocks_held()), (second, 19));
    for number in [second, third] {
        assert!(
            bytes_of(&log, number)
                .unwrap()
                .iter()
                .all(|byte| *byte == 7)
        );
    }
    let fourth = append(&mut log, 4);
    assert_eq!((log.start(), log.blocks_held()), (second, 19));
    assert_eq!(
        bytes_of(&log, fourth).unwrap(),
        vec![7; 4 * BLOCK_LEN - RECORD_LEN]
    );
    log.give_up(6);
    assert_eq!(log.start(), third);
    drop(others);
}

#[test]
fn a_running_log_keeps_its_blocks_when_others_take_all_free_ones() {
    let arena = Arena::new(32 * BLOCK_LEN);
    let mut log = Log::new(arena.clone(), 1_000);
    let is_over = Arc::<AtomicBool>::default();
    log.append(meta(0, true), [&[0; 3 * BLOCK_LEN][..]].into_iter())
        .unwrap();
    let thief = {
        let is_over = Arc::clone(&is_over);
        let arena = arena.clone();
        thread::spawn(move || {
            let mut stolen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                stolen.extend(arena.take());
            }
        })
    };
    while arena.free_blocks() > 0 {
        thread::yield_now();
    }
    // Some with keyframes, some without any for long, some after a pause.
    let results: Vec<_> = (0..100_000)
        .map(|number| {
            let now = number * if number % 1_000 == 0 { 10 } else { 3 };
            let is_join_point = number % 100 == 0 && number < 50_000;
            if number % 1_000 == 500 {
                log.clear_join_point();
            }
            log.append(meta(now, is_join_point), [&[7; 3_000][..]].into_iter())
        })
        .collect();
    is_over.store(true, Ordering::Relaxed);
    thief.join().unwrap();
    assert!(results.iter().all(Result::is_ok));
}

proptest! {
    #[test]
    fn what_the_log_holds_equals_what_was_appended(
        blocks in 4..40usize,
        steps in prop::collection::vec((0..40_000usize, any::<bool>(), 0..4_000u64, any::<bool>()), 1..80),
    ) {
        let arena = Arena::new(blocks * BLOCK_LEN);
        let mut log = Log::new(arena.clone(), 12_000);
        let mut model: Vec<Vec<u8>> = Vec::new();
        let mut now = 0;
        for (len, is_join_point, pause, is_split) in steps {
            now += pause;
            let payload: Vec<u8> = (0..len).map(|i| (i * 31 + model.len()) as u8).collect();
            let cut = if is_split { len / 3 } else { 0 };
            let parts = [&payload[..cut], &payload[cut..]];
            let oldest_before = log.start();
            match log.append(meta(now, is_join_point), parts.into_iter()) {
                Ok(number) => {
                    prop_assert_eq!(number, model.len() as u64);
                    model.push(payload);
                }
                Err(_) => prop_assert!(len + RECORD_LEN > (blocks - blocks / 8) * BLOCK_LEN),
            }
            prop_assert!(log.start() >= oldest_before);
            prop_assert_eq!(log.end(), model.len() as u64);
            prop_assert!(log.blocks_held() <= blocks - blocks / 8);
            prop_assert_eq!(arena.free_blocks() + log.blocks_held(), arena.total_blocks());
            for number in 0..log.end() {
                let held = bytes_of(&log, number);
                prop_assert_eq!(held.is_some(), number >= log.start());
                if let Some(held) = held {
                    prop_assert_eq!(&held, &model[number as usize]);
                }
            }
            if let Some(join_point) = log.join_point() {
                prop_assert!(log.entry(join_point).is_some_and(|entry| entry.meta.is_join_point));
            }
        }
        drop(log);
        prop_assert_eq!(arena.free_blocks(), arena.total_blocks());
    }

    /// Holds however little the sockets accept: complete messages with the right bytes arrive in order,
    /// and the only jumps are forward to keyframes.
    #[test]
    fn players_get_whole_messages_and_jump_to_keyframes_only(
        blocks in 6..60usize,
        steps in prop::collection::vec(
            (0..30_000usize, 0..8u8, 0..400u64, prop::collection::vec(0..60_000usize, 5)),
            1..120,
        ),
    ) {
        let fixture = Fixture::with(blocks, 0);
        fixture.publish();
        fixture.headers();
        // Enough players for messages to be staged.
        let joins = [Join::Live, Join::Gop, Join::Next, Join::Live, Join::Live];
        let mut players: Vec<_> = joins
            .iter()
            .map(|join| fixture.play_with(*join, Arc::new(TestSink::default())))
            .collect();
        let mut last = [None; 5];
        let mut lengths = Vec::new();
        for (index, (len, kind, pause, rooms)) in steps.into_iter().enumerate() {
            let timestamp = index as u32 * 40;
            match kind {
                0..=1 => fixture.frame(timestamp, true, len),
                2..=5 => fixture.frame(timestamp, false, len),
                _ => fixture.audio(timestamp, len % 500),
            };
            lengths.push(if kind > 5 { len % 500 } else { len }.max(10));
            for (player, room) in players.iter().zip(rooms) {
                player.sink.set_room(room);
            }
            fixture.pump();
            fixture.wait(pause);
            for (player, last) in players.iter_mut().zip(&mut last) {
                for got in player.media() {
                    let number = got.number();
                    prop_assert_eq!(got.payload.len(), lengths[number as usize]);
                    prop_assert!(got.payload[10..].iter().all(|byte| *byte == number as u8));
                    prop_assert!(last.is_none_or(|last| number > last));
                    *last = Some(number);
                }
            }
        }
    }
}
