//! The capabilities that client and server announce in connect (E2, "connect").

use super::*;
use crate::rtmp::stream_key::MAX_KEPT_NAME;

fn connect_with(properties: &[(&str, Value)]) -> Vec<u8> {
    let app = ("app", text("live"));
    let properties = object([app].into_iter().chain(properties.iter().cloned()));
    message(
        type_id::COMMAND,
        0,
        0,
        &body("connect", 1.0, properties, &[]),
    )
}

fn said(properties: &[(&str, Value)]) -> Connect {
    match Scenario::handshaken().ask(&connect_with(properties)) {
        Event::Connect(connect) => connect,
        event => panic!("{event:?}"),
    }
}

/// FourCCs that stand for unknown video and audio codecs.
const VIDEO: &str = "others of video";
const AUDIO: &str = "others of audio";

/// Returns the bits of these codecs.
fn bits_of(names: &[&str]) -> u16 {
    let bits = names.iter().map(|name| match *name {
        VIDEO => VIDEO_OTHERS,
        AUDIO => AUDIO_OTHERS,
        name => Codecs::of(&[name]).bits(),
    });
    bits.fold(0, |all, bits| all | bits)
}

type Map = &'static [(&'static str, f64)];

/// Returns the codecs that a client accepts after it announced these properties, given by FourCC.
fn taken(list: &[&str], video: Map, audio: Map) -> Codecs {
    let map = |map: Map| object(map.iter().map(|(name, mask)| (*name, Value::Number(*mask))));
    let list = list.iter().map(|name| text(name)).collect();
    let connect = said(&[
        ("fourCcList", Value::StrictArray(list)),
        ("videoFourCcInfoMap", map(video)),
        ("audioFourCcInfoMap", map(audio)),
    ]);
    connect.codecs
}

#[test]
fn lists_and_maps_name_the_codecs() {
    type Row = (
        &'static str,
        &'static [&'static str],
        Map,
        Map,
        &'static [&'static str],
    );
    const ALL: &[&str] = &[
        "avc1", "hvc1", "vvc1", "av01", "vp08", "vp09", "Opus", "fLaC", "ac-3", "ec-3", ".mp3",
        "mp4a", VIDEO, AUDIO,
    ];
    let rows: &[Row] = &[
        ("nothing", &[], &[], &[], ALL),
        (
            "ffmpeg: a list",
            &["hvc1", "av01", "vp09"],
            &[],
            &[],
            &["hvc1", "av01", "vp09"],
        ),
        ("a wildcard in the list", &["*"], &[], &[], ALL),
        (
            "what isn't known here",
            &["zzzz"],
            &[],
            &[],
            &[VIDEO, AUDIO],
        ),
        (
            "the same in a map",
            &[],
            &[("zzzz", 1.0)],
            &[("*", 2.0)],
            &[VIDEO],
        ),
        (
            "a map of video says nothing of audio",
            &[],
            &[("hvc1", 1.0), ("av01", 2.0), ("vp09", 4.0)],
            &[],
            &[
                "hvc1", "vp09", "Opus", "fLaC", "ac-3", "ec-3", ".mp3", "mp4a", AUDIO,
            ],
        ),
        (
            "both maps",
            &[],
            &[("avc1", 3.0)],
            &[("Opus", 7.0), ("fLaC", 2.0)],
            &["avc1", "Opus"],
        ),
        (
            "a wildcard overrides",
            &[],
            &[("hvc1", 2.0), ("*", 4.0)],
            &[("Opus", 7.0), ("*", 2.0)],
            &["avc1", "hvc1", "vvc1", "av01", "vp08", "vp09", VIDEO],
        ),
        (
            "a map overrides the list",
            &["hvc1", "av01"],
            &[("hvc1", 2.0), ("vp09", 1.0)],
            &[],
            &["av01", "vp09"],
        ),
        (
            "a codec of video in the map of audio",
            &["av01"],
            &[],
            &[("hvc1", 1.0)],
            &["av01"],
        ),
    ];
    for (name, list, video, audio, expected) in rows {
        let taken = taken(list, video, audio).bits();
        assert_eq!(taken, bits_of(expected), "{name}");
    }
}

#[test]
fn maps_may_be_arrays_and_caps_ex_is_a_mask() {
    let connect = said(&[
        (
            "audioFourCcInfoMap",
            Value::EcmaArray(vec![("Opus".into(), Value::Number(3.0))]),
        ),
        ("videoFourCcInfoMap", object([("hvc1", text("1"))])),
        ("capsEx", Value::Number(7.0)),
    ]);
    assert_eq!(connect.codecs, Codecs::of(&["hvc1", "Opus"]));
    assert_eq!(connect.caps_ex, 7);
    assert!(connect.can_reconnect());
}

#[test]
fn capabilities_of_the_wrong_type_are_none() {
    let connect = said(&[
        ("fourCcList", text("hvc1")),
        ("videoFourCcInfoMap", Value::Number(1.0)),
        ("capsEx", Value::Null),
    ]);
    assert_eq!(
        connect,
        Connect {
            app: "live".into(),
            ..Connect::default()
        }
    );
}

#[test]
fn long_texts_of_connect_are_cut() {
    let long = |len| text(&"x".repeat(len));
    let connect = said(&[
        ("app", long(60_000 - 9000)),
        ("tcUrl", long(3000)),
        ("flashVer", long(3000)),
        ("pageUrl", long(3000)),
    ]);
    assert_eq!(connect.app.len(), MAX_KEPT_NAME);
    assert!(crate::rtmp::stream_key::StreamKey::new(&connect.app, "door").is_err());
    assert_eq!(connect.tc_url.len(), MAX_URL_LEN);
    assert_eq!(connect.flash_ver.len(), MAX_FLASH_VER_LEN);
    let kept = MAX_KEPT_NAME + MAX_URL_LEN + MAX_FLASH_VER_LEN;
    assert_eq!(connect.heap_len(), kept);
}

#[test]
fn publishers_announce_themselves_in_connect() {
    assert!(said(&[("type", text("nonprivate"))]).is_publisher);
    assert!(said(&[("flashVer", text("FMLE/3.0 (compatible; FMSc/1.0)"))]).is_publisher);
    assert!(!said(&[("flashVer", text("LNX 9,0,124,2"))]).is_publisher);
}

#[test]
fn the_server_announces_that_it_forwards_everything() {
    let mut scenario = Scenario::handshaken();
    scenario.ask(&connect());
    scenario.session.accept_connect();
    let bytes = scenario.session.take_output();
    let reply = &bytes[16 + 17 + 16 + 12..];
    let command = Command::parse(reply).unwrap();
    let star = object([("*", Value::Number(4.0))]);
    for (key, value) in [
        ("fourCcList", Value::StrictArray(vec![text("*")])),
        ("videoFourCcInfoMap", star.clone()),
        ("audioFourCcInfoMap", star),
        ("capsEx", Value::Number(15.0)),
    ] {
        assert_eq!(command.object.property(key), Some(&value), "{key}");
    }
}

#[test]
fn only_clients_that_can_reconnect_are_asked_to() {
    let mut scenario = Scenario::handshaken();
    scenario.send(&connect_with(&[("capsEx", Value::Number(1.0))]));
    scenario.replies();
    scenario.session.shut_down();
    assert_eq!(
        scenario.replies(),
        ["3/0 onStatus(0) status NetConnection.Connect.ReconnectRequest"]
    );
}
