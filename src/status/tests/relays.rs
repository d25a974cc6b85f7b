use serde_json::{Value, json};

use super::metrics_text::samples;
use super::*;
use crate::relay::report::RelayState;

fn relays(is_privileged: bool) -> Figures {
    let mut figures = server(is_privileged);
    figures.status.pushes = vec![
        RelayReport {
            id: 3,
            stream: "live/door".to_owned(),
            target: "rtmp://a.example/live2/***".to_owned(),
            state: RelayState::Live,
            since: 60_000,
            bytes: 1_234_567,
            bits_per_second: 4_000_000,
            lag: 40,
            skips: 2,
            connections: 1,
            ..RelayReport::default()
        },
        RelayReport {
            id: 4,
            stream: "live/door".to_owned(),
            target: "rtmp://b.example/app/***".to_owned(),
            state: RelayState::BackingOff,
            since: 72_000,
            why: Some("refused: \"no\" \u{1F3A5}\n</script>".to_owned()),
            attempts: 5,
            next_try: Some(74_845),
            ..RelayReport::default()
        },
    ];
    figures.status.pulls = vec![RelayReport {
        id: 5,
        stream: "live/away".to_owned(),
        target: "http://camera/***".to_owned(),
        why: Some("nobody watches".to_owned()),
        bytes: 9,
        is_on_demand: true,
        ..RelayReport::default()
    }];
    figures
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn pushes_and_pulls_are_listed_as_the_page_expects_them() {
    let pushes = json!([
        {
            "id": 3, "stream": "live/door", "target": "rtmp://a.example/live2/***", "state": "live",
            "since": "2026-11-21T08:00:00Z", "uptime_s": 12, "bytes": 1_234_567,
            "bits_per_second": 4_000_000, "lag_ms": 40, "skips": 2, "connections": 1, "attempts": 0,
            "why": null, "next_try_s": null, "on_demand": false
        },
        {
            "id": 4, "stream": "live/door", "target": "rtmp://b.example/app/***",
            "state": "backing off", "since": "2026-11-21T08:00:12Z", "uptime_s": 0, "bytes": 0,
            "bits_per_second": 0, "lag_ms": 0, "skips": 0, "connections": 0, "attempts": 5,
            "why": "refused: \"no\" \u{1F3A5}\n</script>", "next_try_s": 2.5, "on_demand": false
        }
    ]);
    let pulls = json!([{
        "id": 5, "stream": "live/away", "target": "http://camera/***", "state": "waiting",
        "since": "2026-11-21T07:59:00Z", "uptime_s": 72, "bytes": 9, "bits_per_second": 0,
        "lag_ms": 0, "skips": 0, "connections": 0, "attempts": 0, "why": "nobody watches",
        "next_try_s": null, "on_demand": true
    }]);
    let figures = relays(true);
    let text = text_of(api::pushes, &figures);
    assert_eq!(read(&text), json!({ "pushes": pushes }));
    let text = text_of(api::pulls, &figures);
    assert_eq!(read(&text), json!({ "pulls": pulls }));
    let streams = read(&text_of(api::streams, &figures));
    assert_eq!((&streams["pushes"], &streams["pulls"]), (&pushes, &pulls));
    // Who has no rights isn't told that there are any.
    let streams = read(&text_of(api::streams, &relays(false)));
    assert_eq!((streams.get("pushes"), streams.get("pulls")), (None, None));
}

#[test]
fn metrics_of_pushes_and_pulls_are_for_those_who_may_see_addresses() {
    let before = samples(&text_of(metrics::text, &server(true))).len();
    let samples = samples(&text_of(metrics::text, &relays(true)));
    let door = |id: u32, target: &str| {
        let labels = [
            ("id", id.to_string()),
            ("stream", "live/door".to_owned()),
            ("target", target.to_owned()),
        ];
        labels
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    };
    let first = door(3, "rtmp://a.example/live2/***");
    let second = door(4, "rtmp://b.example/app/***");
    let in_state = |of: &[(String, String)], state: &str| {
        let state = ("state".to_owned(), state.to_owned());
        let mut labels = [of, &[state]].concat();
        labels.sort();
        labels
    };
    for (name, labels, expected) in [
        ("brooklet_push_sent_bytes_total", first.clone(), 1_234_567.0),
        ("brooklet_push_connections_total", first.clone(), 1.0),
        ("brooklet_push_lag_seconds", first.clone(), 0.04),
        ("brooklet_push_skips_total", first.clone(), 2.0),
        ("brooklet_push_failed_attempts", second.clone(), 5.0),
        ("brooklet_push_state", in_state(&first, "live"), 1.0),
        ("brooklet_push_state", in_state(&first, "stalled"), 0.0),
        ("brooklet_push_state", in_state(&second, "backing off"), 1.0),
    ] {
        let value = samples.get(&(name.to_owned(), labels));
        assert_eq!(value, Some(&expected), "{name}");
    }
    let states = RelayState::ALL.len();
    assert_eq!(samples.len(), before + 2 * (states + 5) + states + 3);
    let of_others = text_of(metrics::text, &relays(false));
    assert!(!of_others.contains("example") && !of_others.contains("camera"));
}
