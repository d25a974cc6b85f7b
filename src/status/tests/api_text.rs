use serde_json::{Value, json};

use super::*;

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

#[test]
fn streams_are_listed_as_the_page_expects_them() {
    let expected = json!({
        "server": {"name": "brooklet", "version": VERSION, "uptime_s": 72, "rtmp_port": 1935},
        "locked": false,
        "disk": null,
        "streams": [{
            "name": "live/door",
            "is_live": true,
            "since": "2026-11-21T08:00:00Z",
            "uptime_s": 12,
            "video": {
                "codec": "H.264", "mime_codec": "avc1.42C01E", "width": 640, "height": 360,
                "frame_rate": 29.97, "kbit_s": 2400, "keyframe_interval_s": 2
            },
            "audio": {
                "codec": "AAC", "mime_codec": "mp4a.40.2", "sample_rate": 48000, "channels": 2,
                "kbit_s": 128
            },
            "kbit_s_in": 2528, "kbit_s_out": 5000, "bytes_in": 1_896_000, "bytes_out": 123_456,
            "viewers": 6, "peak_viewers": 5, "skips": 2, "dropped_messages": 3,
            "findings": [{
                "id": "missing-audio",
                "text": Finding::MissingTrack(Medium::Audio).to_string()
            }],
            "recording": null,
            "publisher": {"connection": 17, "client": "FMLE/3.0"}
        }]
    });
    assert_eq!(read(&text_of(api::streams, &server(false))), expected);
}

#[test]
fn privileged_clients_see_viewers_and_addresses() {
    let answer = read(&text_of(api::streams, &server(true)));
    let stream = &answer["streams"][0];
    assert_eq!(
        stream["publisher"],
        json!({"connection": 17, "client": "FMLE/3.0", "address": "192.0.2.17:5123"})
    );
    assert_eq!(
        stream["viewer_list"],
        json!([
            {
                "connection": 18, "client": "LNX 9,0,124,2", "address": "192.0.2.18:5123",
                "protocol": "rtmp", "since": "2026-11-21T08:00:10Z", "uptime_s": 2,
                "bytes_out": 40_000, "lag_ms": 20, "skips": 0, "skipped_messages": 0
            },
            {
                "connection": 19, "client": "Mozilla/5.0", "address": "192.0.2.19:5123",
                "protocol": "mp4", "since": "2026-11-21T08:00:10Z", "uptime_s": 2,
                "bytes_out": 40_000, "lag_ms": 1250, "skips": 2, "skipped_messages": 100
            }
        ])
    );
}

#[test]
fn unknown_values_are_null() {
    let mut server = server(true);
    server.status.rtmp_port = None;
    server.streams[0].1 = StreamReport {
        video: TrackReport {
            messages: 1,
            // VP6.
            info: TrackInfo::read(Medium::Video, &[0x24, 0]),
            ..TrackReport::default()
        },
        ..StreamReport::default()
    };
    let answer = read(&text_of(api::streams, &server));
    assert_eq!(answer["server"]["rtmp_port"], Value::Null);
    let stream = &answer["streams"][0];
    assert_eq!(
        stream["video"],
        json!({
            "codec": "VP6", "mime_codec": null, "width": null, "height": null,
            "frame_rate": null, "kbit_s": 0, "keyframe_interval_s": null
        })
    );
    assert_eq!(stream["audio"], Value::Null);
    assert_eq!(stream["publisher"], Value::Null);
    assert_eq!(stream["viewer_list"], json!([]));
}

#[test]
fn a_track_of_an_earlier_publisher_is_not_listed() {
    let mut server = server(false);
    server.streams[0].1.audio = TrackReport::default();
    let answer = read(&text_of(api::streams, &server));
    assert_eq!(answer["streams"][0]["audio"], Value::Null);
    assert_ne!(answer["streams"][0]["video"], Value::Null);
}

#[test]
fn connections_are_listed_by_id() {
    let answer = read(&text_of(api::connections, &server(true)));
    let connections = answer["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 3);
    assert_eq!(
        connections[0],
        json!({
            "id": 17, "address": "192.0.2.17:5123", "protocol": "rtmp", "client": "FMLE/3.0",
            "since": "2026-11-21T07:59:09Z", "uptime_s": 63, "publishes": ["live/door"],
            "plays": [], "bytes_in": 17_000, "bytes_out": 170
        })
    );
    assert_eq!(connections[1]["plays"], json!(["live/door"]));
    assert_eq!(connections[2]["protocol"], "http");
}

#[test]
fn hostile_names_survive_a_round_trip_through_json() {
    let server = hostile();
    let text = text_of(api::streams, &server);
    assert!(!text.contains(['<', '\u{2028}', '\n']), "{text}");
    let answer = read(&text);
    let listed = answer["streams"].as_array().unwrap();
    assert_eq!(listed.len(), HOSTILE.len());
    for (stream, (key, _)) in listed.iter().zip(&server.streams) {
        assert_eq!(stream["name"], key.as_str());
    }
    let client = &answer["streams"][0]["publisher"]["client"];
    assert_eq!(client, &server.connections[3].client);
    let answer = read(&text_of(api::connections, &server));
    assert_eq!(answer["connections"][3]["client"], *client);
}

#[test]
fn an_empty_server_has_empty_lists() {
    let empty = Figures::default();
    assert_eq!(read(&text_of(api::streams, &empty))["streams"], json!([]));
    assert_eq!(
        read(&text_of(api::connections, &empty)),
        json!({"connections": []})
    );
}
