use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::record::disk::sim::SimDisk;
use crate::record::name::{FileName, Format};

/// 2026-11-28T11:00:00Z.
const ELEVEN: WallMillis = 1_795_863_600_000;

fn at(seconds: u64) -> WallMillis {
    ELEVEN + seconds * 1_000
}

/// Adds files of 10 bytes; the last one of a stream with `is_open` isn't closed.
fn recordings(files: &[(&str, u64, u64)], is_open: bool) -> Recordings {
    let recordings = Recordings {
        catalog: Arc::default(),
        disk: Arc::new(SimDisk::new()),
    };
    let mut list = recordings.list();
    for (index, (stream, from, to)) in files.iter().enumerate() {
        let key = StreamKey::new("", stream).unwrap();
        let name = FileName::dated(at(*from), Format::Mp4);
        let name = list.begin(&key, name, at(*from));
        if is_open && index + 1 == files.len() {
            list.grow(&key, name, 10, at(*to), at(*to));
        } else {
            list.close(&key, name, 10, at(*to), at(*to));
        }
    }
    drop(list);
    recordings
}

fn listed(recordings: &Recordings, wanted: &Wanted, locked: &str) -> Value {
    let mut text = String::new();
    list(&mut text, Some(recordings), wanted, &|key| {
        key.as_str() != locked
    });
    serde_json::from_str(&text).unwrap()
}

const ALL: Wanted = Wanted {
    stream: None,
    within: 0..u64::MAX,
};

const FILES: &[(&str, u64, u64)] = &[
    ("live/yard", 5, 6),
    ("live/door", 10, 20),
    ("live/door", 22, 30),
    ("live/door", 33, 40),
    ("live/door", 40, 95),
];

#[test]
fn files_that_follow_each_other_are_one_span() {
    let span = |from, to, bytes: u64| {
        let [from, to] = [from, to].map(|time| Shown(at(time)).to_string());
        json!({"from": from, "to": to, "bytes": bytes})
    };
    let expected = json!({
        "recordings": [
            {"stream": "live/door", "is_recording": true,
             "spans": [span(10, 30, 20), span(33, 95, 20)]},
            {"stream": "live/yard", "is_recording": false, "spans": [span(5, 6, 10)]},
        ],
        "locked": false,
    });
    assert_eq!(listed(&recordings(FILES, true), &ALL, ""), expected);
}

#[test]
fn one_stream_is_listed_with_its_files() {
    let wanted = Wanted {
        stream: StreamKey::new("live", "door").ok(),
        within: at(21)..at(34),
    };
    let list = listed(&recordings(FILES, true), &wanted, "");
    let door = &list["recordings"][0];
    assert_eq!(door["spans"].as_array().unwrap().len(), 2);
    let names = door["files"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["2026-11-28T11-00-22Z.mp4", "2026-11-28T11-00-33Z.mp4"]
    );
    assert_eq!(door["files"][1]["is_open"], false);
}

#[test]
fn a_list_that_takes_many_pieces_is_complete() {
    // The last one has no frame.
    let mut files: Vec<_> = (0..99)
        .map(|n| ("live/door", n * 30, n * 30 + 20))
        .collect();
    files.push(("live/door", 99 * 30, 99 * 30));
    let wanted = Wanted {
        stream: StreamKey::new("live", "door").ok(),
        ..ALL
    };
    let list = listed(&recordings(&files, false), &wanted, "");
    for (what, bytes) in [("spans", 1_000), ("files", 1_000)] {
        let items = list["recordings"][0][what].as_array().unwrap();
        let mut times: Vec<_> = items.iter().map(|item| item["from"].to_string()).collect();
        assert!(times.is_sorted(), "{what}");
        times.dedup();
        assert_eq!(times.len(), 100, "{what}");
        let sum: u64 = items.iter().filter_map(|item| item["bytes"].as_u64()).sum();
        assert_eq!(sum, bytes, "{what}");
    }
}

#[test]
fn a_stream_that_needs_a_key_is_left_out() {
    let recordings = recordings(FILES, false);
    let list = listed(&recordings, &ALL, "live/door");
    assert_eq!(list["recordings"][0]["stream"], "live/yard");
    assert_eq!(list["recordings"][1], Value::Null);
    assert_eq!(list["locked"], true);
    let wanted = Wanted {
        stream: StreamKey::new("live", "nothing").ok(),
        ..ALL
    };
    assert_eq!(listed(&recordings, &wanted, "")["recordings"], json!([]));
}
