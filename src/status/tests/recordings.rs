use serde_json::{Value, json};

use super::metrics_text::samples;
use super::*;
use crate::record::report::{DiskState, RecordingState};

/// A server that records a stream.
fn recording() -> Figures {
    let mut server = server(false);
    server.status.disk = Some(DiskReport {
        free: Some(1_500_000_000),
        total: Some(32_000_000_000),
        recordings: 30_000_000_000,
        files: 812,
        ..DiskReport::default()
    });
    server.recording = Some(RecordingReport {
        state: RecordingState::Behind,
        since: 60_345,
        file: Some("live/door/2026-11-21T08-00-00Z.mp4".to_owned()),
        bytes: 5_000_000,
        bytes_today: 9_000_000,
        gaps: 2,
        missed_messages: 150,
        longest_write: 2_250,
        last_sync: Some(70_345),
        behind: 1_500,
    });
    server
}

fn streams(server: &Figures) -> Value {
    serde_json::from_str(&text_of(api::streams, server)).unwrap()
}

#[test]
fn a_recording_and_its_disk_are_listed_as_the_page_expects_them() {
    let answer = streams(&recording());
    let expected = json!({
        "state": "behind", "since": "2026-11-21T08:00:00Z",
        "file": "live/door/2026-11-21T08-00-00Z.mp4", "bytes": 5_000_000,
        "bytes_today": 9_000_000, "gaps": 2, "missed_messages": 150,
        "longest_write_ms": 2_250, "last_sync": "2026-11-21T08:00:10Z", "behind_s": 1.5
    });
    assert_eq!(answer["streams"][0]["recording"], expected);
    assert_eq!(
        answer["disk"],
        json!({
            "state": "fine", "since": null, "free_bytes": 1_500_000_000_u64,
            "total_bytes": 32_000_000_000_u64, "recordings_bytes": 30_000_000_000_u64,
            "files": 812
        })
    );
    let server = recording();
    let mut text = String::new();
    api::recording(&mut text, &server.status, server.recording.as_ref());
    let alone: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(alone, expected);
}

#[test]
fn what_is_not_known_of_a_recording_is_null() {
    let mut server = recording();
    server.recording = Some(RecordingReport::default());
    server.status.disk = Some(DiskReport {
        state: DiskState::Gone,
        since: Some(1_795_248_000_000),
        ..DiskReport::default()
    });
    let answer = streams(&server);
    let recording = &answer["streams"][0]["recording"];
    assert_eq!(recording["state"], "waiting");
    assert_eq!(
        [&recording["file"], &recording["last_sync"]],
        [&Value::Null; 2]
    );
    assert_eq!(
        answer["disk"],
        json!({
            "state": "disk gone", "since": "2026-11-21T08:00:00Z", "free_bytes": null,
            "total_bytes": null, "recordings_bytes": 0, "files": 0
        })
    );
}

#[test]
fn metrics_tell_of_recordings_and_their_disk() {
    let samples = samples(&text_of(metrics::text, &recording()));
    let door = ("stream", "live/door");
    for (name, labels, expected) in [
        (
            "brooklet_recording_state",
            &[("state", "behind"), door][..],
            1.0,
        ),
        (
            "brooklet_recording_start_timestamp_seconds",
            &[door],
            1_795_248_000.0,
        ),
        ("brooklet_recording_written_bytes_total", &[door], 5e6),
        ("brooklet_recording_today_bytes", &[door], 9e6),
        ("brooklet_recording_gaps_total", &[door], 2.0),
        ("brooklet_recording_missed_messages_total", &[door], 150.0),
        ("brooklet_recording_longest_write_seconds", &[door], 2.25),
        (
            "brooklet_recording_last_sync_timestamp_seconds",
            &[door],
            1_795_248_010.0,
        ),
        ("brooklet_recording_behind_seconds", &[door], 1.5),
        ("brooklet_recordings_disk_state", &[("state", "fine")], 1.0),
        ("brooklet_recordings_bytes", &[], 3e10),
        ("brooklet_recordings_files", &[], 812.0),
        ("brooklet_recordings_disk_free_bytes", &[], 1.5e9),
        ("brooklet_recordings_disk_size_bytes", &[], 3.2e10),
    ] {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let value = samples.get(&(name.to_owned(), labels.collect()));
        assert_eq!(value, Some(&expected), "{name}");
    }
}

#[test]
fn a_server_that_records_nothing_has_no_such_metrics() {
    let text = text_of(metrics::text, &server(true));
    assert!(!text.contains("recording"), "{text}");
}
