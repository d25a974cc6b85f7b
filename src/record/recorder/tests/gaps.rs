//! Gaps within files, as they are listed.

use std::sync::Arc;

use super::bench::*;
use crate::live::cut::Form;
use crate::record::disk::sim::SimDisk;
use crate::record::keeper::Keeper;
use crate::record::mend::Mender;
use crate::record::recorder::Rules;
use crate::record::space::Limits;
use crate::record::store::Store;
use crate::rtmp::stream_key::StreamKey;

/// The spans of the stream in seconds, as the recorder has listed them.
fn spans(bench: &Bench, store: &Store) -> Vec<(u64, u64)> {
    let key = StreamKey::new("live", "door").unwrap();
    let mut spans = Vec::new();
    store.catalog().spans(&key, 0..u64::MAX, 99, &mut spans);
    let start = bench.feed().wall;
    let seconds = |time: u64| (time + 500 - start) / 1_000;
    let spans = spans.iter();
    spans
        .map(|span| (seconds(span.from), seconds(span.to)))
        .collect()
}

/// A store that has found the files on a disk.
fn found(disk: &SimDisk) -> Arc<Store> {
    let store = Arc::new(Store::new(Arc::new(disk.clone())));
    let (disk, catalog) = (store.disk().clone(), store.shared_catalog().clone());
    let mut keeper = Keeper::new(disk, catalog, Limits::default(), Box::new(Mender));
    for step in 0..50 {
        keeper.step(step * 1_000, TODAY + 86_400_000, &mut |_| {});
    }
    store
}

#[test]
fn what_is_missing_within_a_file_is_listed_as_a_gap_also_after_a_restart() {
    for form in [Form::Mp4, Form::Flv] {
        let mut bench = Bench::new(Rules {
            form: Some(form),
            ..RULES
        });
        bench.publish();
        bench.pass(10_000);
        bench.feed().unpublish();
        bench.pass(20_000);
        bench.publish();
        bench.pass(10_000);
        // Whatever comes late, all at once, isn't missing.
        bench.feed().is_live = false;
        bench.pass(3_000);
        bench.feed().timestamp -= 3_000;
        for _ in 0..3 {
            bench.feed().is_live = true;
            let now = bench.feed().now;
            bench.feed().pass(1_000);
            bench.feed().now = now;
        }
        bench.pass(7_000);
        let listed = spans(&bench, &bench.store);
        assert_eq!(listed.len(), 2, "{form:?}");
        if form == Form::Mp4 {
            let disk = bench.disk.crash(bench.disk.operations(), &mut || true);
            assert_eq!(spans(&bench, &found(&disk)), listed);
        }
        bench.end();
        let listed = spans(&bench, &bench.store);
        assert_eq!(listed, [(1, 11), (31, listed[1].1)], "{form:?}");
        assert_eq!(bench.files().len(), 1);
        if form == Form::Mp4 {
            assert_eq!(spans(&bench, &found(&bench.disk)), listed);
        }
    }
}

#[test]
fn what_left_memory_before_it_was_written_is_listed_as_a_gap() {
    // 2 MiB are less than 10 s of the stream.
    let mut bench = Bench::with(RULES, 128, TODAY);
    bench.feed().frame_len = 20_000;
    bench.publish();
    bench.pass(5_000);
    bench.feed().slow = 10_000;
    bench.pass(40_000);
    bench.feed().slow = 0;
    bench.pass(5_000);
    bench.end();
    let gaps = bench.report().gaps;
    let listed = spans(&bench, &bench.store);
    assert!(
        gaps > 0 && listed.len() as u64 == gaps + 1,
        "{gaps} {listed:?}"
    );
    assert_eq!(spans(&bench, &found(&bench.disk)), listed);
}
