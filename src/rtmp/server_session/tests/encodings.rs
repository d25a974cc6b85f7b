//! AMF3: negotiated in connect, and used by both sides from then on.

use super::*;

/// A connect with objectEncoding 3, as sent by Flash Player: in AMF0.
fn connect_amf3() -> Vec<u8> {
    let properties = object([
        ("app", text("live")),
        ("flashVer", text("WIN 32,0,0,465")),
        ("objectEncoding", Value::Number(3.0)),
    ]);
    message(
        type_id::COMMAND,
        0,
        0,
        &body("connect", 1.0, properties, &[]),
    )
}

fn connected() -> Scenario {
    let mut scenario = Scenario::handshaken();
    scenario.ask(&connect_amf3());
    scenario.session.accept_connect();
    scenario.session.take_output();
    scenario.handshake_left = 0;
    scenario
}

/// Returns the bytes of the next reply with this length, without its chunk header.
fn reply(scenario: &mut Scenario, message_len: usize) -> Vec<u8> {
    let bytes = scenario.session.take_output();
    assert_eq!(bytes.len(), 12 + message_len, "{bytes:X?}");
    bytes
}

#[test]
fn the_reply_to_connect_agrees_on_amf3_in_amf0() {
    let mut scenario = Scenario::handshaken();
    scenario.ask(&connect_amf3());
    scenario.session.accept_connect();
    let bytes = scenario.session.take_output();
    let agreed = b"\0\x0EobjectEncoding\0\x40\x08\0\0\0\0\0\0\0\0\x09";
    assert!(bytes.ends_with(agreed), "{bytes:X?}");
    assert_eq!(bytes[12 + 4 + 12 + 5 + 12 + 4 + 7], type_id::COMMAND);
}

#[test]
fn simple_values_stay_amf0_in_the_envelope() {
    let mut scenario = connected();
    // createStream as sent by Flash: type 17, selector 0, AMF0 values.
    let body = [vec![0], body("createStream", 2.0, Value::Null, &[])].concat();
    scenario.ask_none(&message(type_id::COMMAND_AMF3, 0, 0, &body));
    let bytes = reply(&mut scenario, 30);
    assert_eq!(
        bytes,
        b"\x03\0\0\0\0\0\x1E\x11\0\0\0\0\
          \0\x02\0\x07_result\0\x40\0\0\0\0\0\0\0\x05\0\x3F\xF0\0\0\0\0\0\0"
    );
}

#[test]
fn objects_are_amf3_in_the_envelope() {
    let mut scenario = connected();
    scenario.ask_none(&command(0, "createStream", 2.0, &[]));
    scenario.session.take_output();
    scenario.ask(&command(1, "publish", 3.0, &[text("door")]));
    scenario
        .session
        .refuse_stream(1, "NetStream.Publish.Denied", "no");
    let bytes = scenario.session.take_output();
    // 11 is avmplus; 0A is an object, 0B 01 a dynamic class with an empty name; strings are preceded by
    // twice their length plus one.
    let expected = b"\0\x02\0\x08onStatus\0\0\0\0\0\0\0\0\0\x05\
        \x11\x0A\x0B\x01\x0Blevel\x06\x0Berror\
        \x09code\x06\x31NetStream.Publish.Denied\
        \x17description\x06\x05no\x01";
    assert_eq!(bytes[7], type_id::COMMAND_AMF3);
    assert_eq!(bytes[12..], *expected);
}

#[test]
fn arguments_in_amf3_are_understood() {
    let mut scenario = connected();
    scenario.ask_none(&command(0, "createStream", 2.0, &[]));
    // publish: AMF0 name and number, then avmplus: null, "door", "live".
    let body = b"\0\x02\0\x07publish\0\x40\x08\0\0\0\0\0\0\
        \x11\x01\x11\x06\x09door\x11\x06\x09live";
    let event = scenario.ask(&message(type_id::COMMAND_AMF3, 1, 0, body));
    let name = "door".to_owned();
    assert_eq!(
        event,
        Event::Publish {
            message_stream_id: 1,
            name,
            kind: PublishKind::Live
        }
    );
}

#[test]
fn metadata_in_amf3_is_understood() {
    // Type 15: selector, "onMetaData" in AMF0, and an AMF3 object {width: 64}.
    let body = b"\0\x02\0\x0AonMetaData\x11\x0A\x0B\x01\x0Bwidth\x04\x40\x01";
    let bytes = message(type_id::DATA_AMF3, 1, 0, body);
    let events = every_split(&bytes, |pieces| {
        let mut scenario = Scenario::publishing();
        let events = pieces.iter().map(|piece| scenario.try_send(piece).unwrap());
        events.collect::<Vec<_>>().concat()
    });
    assert_eq!(events, [described_as(width(64.0))]);
}

#[test]
fn clients_that_ask_for_nothing_or_for_amf0_get_amf0() {
    for encoding in [None, Some(0.0), Some(1.0), Some(f64::NAN)] {
        let mut properties = vec![("app", text("live"))];
        properties.extend(encoding.map(|number| ("objectEncoding", Value::Number(number))));
        let body = body("connect", 1.0, object(properties), &[]);
        let mut scenario = Scenario::handshaken();
        scenario.send(&message(type_id::COMMAND, 0, 0, &body));
        scenario.replies();
        scenario.call(0, "createStream", 2.0, &[]);
        assert_eq!(scenario.replies(), ["3/0 _result(2) 1"]);
    }
}
