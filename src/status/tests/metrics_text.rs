use std::collections::HashMap;

use super::*;

/// Returns the samples that another parser reads, by name and labels.
pub(super) fn samples(text: &str) -> HashMap<(String, Vec<(String, String)>), f64> {
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let scrape = prometheus_parse::Scrape::parse(lines).unwrap();
    let samples = scrape.samples.into_iter().map(|sample| {
        let labels = sample.labels.iter();
        let mut labels: Vec<_> = labels.map(|(k, v)| (k.clone(), v.clone())).collect();
        labels.sort();
        let value = match sample.value {
            prometheus_parse::Value::Counter(value) | prometheus_parse::Value::Gauge(value) => {
                value
            }
            other => panic!("{} has no type: {other:?}", sample.metric),
        };
        ((sample.metric, labels), value)
    });
    samples.collect()
}

#[test]
fn metrics_are_read_by_another_parser() {
    let samples = samples(&text_of(metrics::text, &server(false)));
    let value = |name: &str, labels: &[(&str, &str)]| {
        let mut labels: Vec<_> = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        labels.sort();
        let value = samples.get(&(name.to_owned(), labels));
        *value.unwrap_or_else(|| panic!("no {name}: {samples:#?}"))
    };
    let door = ("stream", "live/door");
    for (name, labels, expected) in [
        ("brooklet_build_info", &[("version", VERSION)][..], 1.0),
        ("process_start_time_seconds", &[], 1_795_247_940.0),
        ("brooklet_connections", &[], 3.0),
        ("brooklet_connections_accepted_total", &[], 19.0),
        ("brooklet_received_bytes_total", &[], 2e6),
        ("brooklet_sent_bytes_total", &[], 2e5),
        ("brooklet_memory_bytes", &[], 33_554_432.0),
        ("brooklet_memory_free_bytes", &[], 33_390_592.0),
        ("brooklet_stream_live", &[door], 1.0),
        ("brooklet_stream_publishes_total", &[door], 2.0),
        ("brooklet_stream_sent_bytes_total", &[door], 123_456.0),
        ("brooklet_stream_frame_rate_hertz", &[door], 29.97),
        ("brooklet_stream_keyframe_interval_seconds", &[door], 2.0),
        ("brooklet_stream_dropped_messages_total", &[door], 3.0),
        ("brooklet_stream_viewer_lag_max_seconds", &[door], 1.25),
        ("brooklet_stream_skips_total", &[door], 2.0),
        ("brooklet_stream_skipped_messages_total", &[door], 100.0),
        ("brooklet_stream_memory_bytes", &[door], 163_840.0),
        (
            "brooklet_stream_received_bytes_total",
            &[door, ("medium", "video")],
            1_800_000.0,
        ),
        (
            "brooklet_stream_received_messages_total",
            &[door, ("medium", "audio")],
            1_000.0,
        ),
        (
            "brooklet_stream_viewers",
            &[door, ("protocol", "rtmp")],
            1.0,
        ),
        ("brooklet_stream_viewers", &[door, ("protocol", "flv")], 0.0),
        ("brooklet_stream_viewers", &[door, ("protocol", "mp4")], 1.0),
        ("brooklet_stream_viewers", &[door, ("protocol", "hls")], 4.0),
        (
            "brooklet_stream_finding",
            &[door, ("finding", "missing-audio")],
            1.0,
        ),
        (
            "brooklet_stream_info",
            &[
                door,
                ("video_codec", "H.264"),
                ("resolution", "640x360"),
                ("audio_codec", "AAC"),
            ],
            1.0,
        ),
    ] {
        assert_eq!(value(name, labels), expected, "{name}");
    }
    assert_eq!(samples.len(), 28);
}

/// Returns the value of a line's first label and the rest of the line, as the format is defined. The
/// other parser doesn't support escapes.
fn first_label(line: &str) -> (String, &str) {
    let (_, quoted) = line.split_once("=\"").expect(line);
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next().expect("the end of the value") {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("an escape {other:?} in {line}"),
            }),
            c => value.push(c),
        }
    }
}

#[test]
fn hostile_names_stay_within_their_labels() {
    let mut server = hostile();
    let names = server.streams.iter();
    let names: Vec<_> = names.map(|(key, _)| key.as_str().to_owned()).collect();
    let text = text_of(metrics::text, &server);
    let live = text
        .lines()
        .filter(|line| line.starts_with("brooklet_stream_live{"));
    let found: Vec<_> = live.map(first_label).collect();
    assert_eq!(found.len(), HOSTILE.len());
    for ((found, rest), name) in found.iter().zip(&names) {
        assert_eq!((found, *rest), (name, "} 1"));
    }
    let families = text.lines().filter(|line| line.starts_with("# TYPE"));
    assert_eq!(families.count(), 23);

    server.streams.truncate(1);
    server.streams[0].0 = key("a\"b");
    let text = text_of(metrics::text, &server);
    assert!(text.contains("brooklet_stream_live{stream=\"live/a\\\"b\"} 1\n"));
}

/// Checks the rules of promtool's linter and of the format: help and type once in front of all samples
/// of a name, which are together; counters and nothing else end in `_total`; base units.
#[test]
fn metrics_follow_the_naming_rules() {
    let text = text_of(metrics::text, &hostile());
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let mut seen = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").expect(line);
        let (name, help) = help.split_once(' ').unwrap();
        assert!(help.ends_with('.') && !help.contains('\\'), "{help}");
        assert!(!seen.contains(&name), "{name} twice");
        seen.push(name);
        let is_legal = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(is_legal), "{name}");
        let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
        let kind = kind.strip_prefix(name).unwrap();
        assert!([" gauge", " counter"].contains(&kind), "{kind}");
        assert_eq!(kind == " counter", name.ends_with("_total"), "{name}");
        for unit in [
            "milli", "kilo", "kbit", "bits", "minutes", "percent", "_ms", "count",
        ] {
            assert!(!name.contains(unit), "{name}");
        }
        for reserved in ["_sum", "_bucket", "gauge", "counter"] {
            assert!(!name.ends_with(reserved), "{name}");
        }
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = sample.strip_prefix(name).expect(sample);
            assert!(rest.starts_with([' ', '{']), "{sample}");
        }
    }
}

#[test]
fn an_empty_server_has_its_own_metrics_only() {
    let text = text_of(metrics::text, &Figures::default());
    assert_eq!(samples(&text).len(), 8);
}
