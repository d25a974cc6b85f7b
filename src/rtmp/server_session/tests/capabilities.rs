//! What client and server tell each other in connect (E2, "connect").

use super::*;

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

#[test]
fn the_codecs_that_a_client_announces_are_read() {
    let map = object([("*", Value::Number(4.0)), ("hvc1", Value::Number(1.0))]);
    let connect = said(&[
        (
            "fourCcList",
            Value::StrictArray(vec![text("av01"), text("hvc1")]),
        ),
        ("videoFourCcInfoMap", map),
        (
            "audioFourCcInfoMap",
            Value::EcmaArray(vec![("Opus".into(), Value::Number(3.0))]),
        ),
        ("capsEx", Value::Number(7.0)),
    ]);
    assert_eq!(connect.four_cc_list, ["av01", "hvc1"]);
    assert_eq!(
        connect.video_four_ccs,
        [("*".into(), 4), ("hvc1".into(), 1)]
    );
    assert_eq!(connect.audio_four_ccs, [("Opus".into(), 3)]);
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
    let flood = vec![text("hvc1"); 1000];
    let connect = said(&[("fourCcList", Value::StrictArray(flood))]);
    assert_eq!(connect.four_cc_list.len(), 32);
}

#[test]
fn who_publishes_says_so() {
    assert!(said(&[("type", text("nonprivate"))]).is_publisher);
    assert!(said(&[("flashVer", text("FMLE/3.0 (compatible; FMSc/1.0)"))]).is_publisher);
    assert!(!said(&[("flashVer", text("LNX 9,0,124,2"))]).is_publisher);
}

#[test]
fn the_server_says_that_it_forwards_everything() {
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
fn only_who_can_reconnect_is_asked_to() {
    let mut scenario = Scenario::handshaken();
    scenario.send(&connect_with(&[("capsEx", Value::Number(1.0))]));
    scenario.replies();
    scenario.session.shut_down();
    assert_eq!(
        scenario.replies(),
        ["3/0 onStatus(0) status NetConnection.Connect.ReconnectRequest"]
    );
}
