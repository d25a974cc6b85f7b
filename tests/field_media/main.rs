//! Media as phones, drones and cameras really send it, from a publisher that sends exactly the
//! messages of a file, to players of all kinds at once: frames shown of frames sent.
//!
//! Some players wait for the stream, some join three seconds late. What they must show at least
//! follows from the file's kind alone (`tests/data/field/README.md`).
//!
//! The test takes the most demanding kinds. `BROOKLET_FIELD=all` takes all, `BROOKLET_FIELD=03,av1`
//! those with such a part in their name; `BROOKLET_FIELD_RECEIVERS=rtmp,mp4` only such players;
//! `BROOKLET_FIELD_AT_ONCE=2` two streams at a time. A table is printed:
//!
//! ```text
//! BROOKLET_FIELD=all cargo test --test field_media -- --ignored --nocapture
//! ```

#[path = "../hls_players/browsers.rs"]
mod browsers;
#[path = "../common/mod.rs"]
mod common;

mod kind;
mod play;
mod receiver;
mod site;
mod table;

use std::time::Instant;

use kind::Kind;
use play::Row;
use receiver::{RECEIVERS, Receiver};

/// The kinds that are tested unless others are selected.
const USUAL: &[&str] = &[
    "01-all-intra-h264",
    "02-sei-h264",
    "02-parameters-h264",
    "02-empty-nal-after-h264",
    "02-delimiter-av1",
    "02-aud-hevc",
    "03-nal-units-h264",
    "03-slices-2-hevc",
    "04-fps-0.5",
    "05-returns-both",
    "06-still-inter",
    "07-size-h264",
    "08-bursts-20",
    "09-zero",
    "09-fast-10",
    "10-refresh",
    "10-nothing-key",
    "11-all-flagged-key-h264",
    "11-none-flagged-key-av1",
    "12-hvcc-empty",
    "12-late-sound",
];

/// Whether a name contains one of the comma-separated parts.
fn is_wanted(wanted: &str, name: &str) -> bool {
    wanted.split(',').any(|part| name.contains(part.trim()))
}

fn kinds() -> Vec<Kind> {
    let wanted = std::env::var("BROOKLET_FIELD").unwrap_or_default();
    let is_wanted = |kind: &Kind| match &wanted[..] {
        "" => USUAL.contains(&&kind.name[..]),
        "all" => true,
        parts => is_wanted(parts, &kind.name),
    };
    kind::all().into_iter().filter(is_wanted).collect()
}

fn receivers() -> Vec<Receiver> {
    let wanted = std::env::var("BROOKLET_FIELD_RECEIVERS").unwrap_or_default();
    let all = RECEIVERS.iter().copied();
    all.filter(|receiver| is_wanted(&wanted, receiver.name))
        .collect()
}

fn at_once() -> usize {
    let wanted = std::env::var("BROOKLET_FIELD_AT_ONCE");
    wanted
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(3)
}

/// Plays those few that fail once more, one at a time: on a machine that was busy they don't fail
/// twice.
fn again<'a>(rows: Vec<Row<'a>>, receivers: &[Receiver]) -> Vec<Row<'a>> {
    const FEW: usize = 3;

    let faults = |row: &Row| table::faults(std::slice::from_ref(row), receivers).len();
    let failed: Vec<_> = rows.iter().filter(|row| faults(row) > 0).collect();
    if failed.is_empty() || failed.len() > FEW {
        return rows;
    }
    let failed = failed.iter().map(|row| row.kind);
    let mut second = play::all(failed, receivers, 1);
    let better = |row: Row<'a>| {
        let other = second
            .iter()
            .position(|other| other.kind.name == row.kind.name);
        match other.map(|index| second.swap_remove(index)) {
            Some(other) if faults(&other) < faults(&row) => other,
            _ => row,
        }
    };
    rows.into_iter().map(better).collect()
}

#[test]
#[ignore = "needs Chromium, Firefox, ffmpeg, BROOKLET_FFMPEG9, BROOKLET_HLS_JS, BROOKLET_MPEGTS_JS"]
fn players_show_what_each_kind_of_field_media_allows() {
    let (kinds, receivers) = (kinds(), receivers());
    let begin = Instant::now();
    let rows = play::all(&kinds, &receivers, at_once());
    let rows = again(rows, &receivers);
    table::print(&rows, &receivers);
    println!("in {} s", begin.elapsed().as_secs());
    let faults = table::faults(&rows, &receivers);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
