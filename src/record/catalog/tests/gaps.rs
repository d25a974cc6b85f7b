//! Gaps within files.

use super::*;

#[test]
fn only_files_whose_length_is_odd_are_looked_at_for_gaps() {
    let now = TODAY + 30 * MINUTE;
    for (extension, len, is_unsure) in [("mp4", 2, false), ("mp4", 3, true), ("flv", 3, false)] {
        let path = format!("live/door/2026-11-28T11-30-00Z.{extension}");
        let catalog = scan(&[(&path, len, TODAY + MINUTE)], now).catalog;
        let unsure = catalog.next_in(State::Unsure, None);
        assert_eq!(unsure.is_some(), is_unsure, "{path} {len}");
    }
}

#[test]
fn gaps_within_files_end_spans() {
    let mut catalog = Catalog::default();
    for (from, to) in [(0, 10), (10, 20), (20, 30)] {
        record(&mut catalog, from, to);
    }
    let door = key("live/door");
    let gap = |from, to| Gap {
        from: TODAY + from * MINUTE,
        to: TODAY + to * MINUTE,
    };
    catalog.note_gaps_of(
        &door,
        name(10),
        TODAY + 10 * MINUTE,
        &[gap(12, 13), gap(15, 19)],
    );
    // Known; partly known; outside of the file; backward.
    let others = [
        gap(12, 13),
        gap(12, 14),
        gap(0, 5),
        gap(21, 22),
        gap(18, 17),
    ];
    catalog.note_gaps_of(&door, name(10), TODAY + 10 * MINUTE, &others);
    let all = [(0, 12), (13, 15), (19, 30)];
    let times = |within| {
        let spans = spans(&catalog, within).into_iter();
        spans.map(|(from, to, _)| (from, to)).collect::<Vec<_>>()
    };
    assert_eq!(times(0..u64::MAX), all);
    let minute = |minute| TODAY + minute * MINUTE;
    assert_eq!(times(minute(12)..minute(13)), []);
    assert_eq!(times(minute(12)..minute(14)), [(13, 15)]);
    assert_eq!(times(minute(14)..minute(14) + 1), [(13, 15)]);
    assert_eq!(
        times(minute(11)..minute(19) + 1),
        [(10, 12), (13, 15), (19, 20)]
    );
    // Piece by piece.
    let (mut start, mut pieces) = (0, Vec::new());
    loop {
        let count = pieces.len();
        catalog.spans(&door, start..u64::MAX, 1, &mut pieces);
        let Some(last) = pieces.get(count) else { break };
        start = last.to;
    }
    let pieces = pieces.iter();
    let pieces: Vec<_> = pieces.map(|span| (span.from, span.to)).collect();
    let expected = all.map(|(from, to)| (minute(from), minute(to)));
    assert_eq!(pieces, expected);
    catalog.remove(&door, name(10));
    record(&mut catalog, 10, 20);
    assert_eq!(spans(&catalog, 0..u64::MAX).len(), 1);
}

#[test]
fn the_oldest_gaps_of_too_many_are_forgotten() {
    let mut catalog = Catalog::default();
    record(&mut catalog, 0, 60);
    let gap = |number: u64| Gap {
        from: TODAY + number * 2_000,
        to: TODAY + number * 2_000 + 1_000,
    };
    let gaps: Vec<_> = (1..1_500).map(gap).collect();
    catalog.note_gaps_of(&key("live/door"), name(0), TODAY, &gaps);
    let spans = spans(&catalog, 0..u64::MAX);
    assert_eq!(spans.len(), 1_025);
}
