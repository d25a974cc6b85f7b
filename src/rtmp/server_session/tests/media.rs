//! Audio, video, metadata, and the envelopes in which they are sent.

use super::*;

#[test]
fn media_carries_medium_timestamp_and_payload() {
    let mut scenario = Scenario::publishing();
    let bytes = [
        message(type_id::AUDIO, 1, 0xFFFF_FFFF, b"\xAF\x01sound"),
        video(1, 3),
        message(type_id::VIDEO, 1, 3, b""),
    ]
    .concat();
    assert_eq!(
        scenario.try_send(&bytes).unwrap(),
        [
            (media(Medium::Audio, 0xFFFF_FFFF), b"\xAF\x01sound".to_vec()),
            (media(Medium::Video, 3), MEDIA.to_vec()),
            (media(Medium::Video, 3), vec![]),
        ]
    );
}

#[test]
fn media_where_nothing_is_published_is_dropped() {
    assert_eq!(Scenario::handshaken().send(&video(0, 0)), []);
    assert_eq!(Scenario::created().send(&video(1, 0)), []);
    assert_eq!(Scenario::playing().send(&video(1, 0)), []);
    let mut scenario = Scenario::publishing();
    scenario.call(2, "publish", 4.0, &[text("yard")]);
    assert_eq!(scenario.send(&[video(0, 0), video(3, 0)].concat()), []);
    assert_eq!(scenario.send(&video(1, 0)).len(), 1);
}

#[test]
fn media_may_be_long_only_once_something_is_published() {
    let long = message(type_id::VIDEO, 1, 0, &vec![0x17; 65_537]);
    assert_eq!(
        Scenario::created().error(&long),
        "length of a media message in bytes: 65537 exceeds the limit of 65536 (raise \
         --max-message)"
    );
    assert_eq!(Scenario::publishing().send(&long).len(), 1);
    let longest = message(type_id::VIDEO, 1, 0, &vec![0x17; MAX_MESSAGE as usize]);
    assert_eq!(Scenario::publishing().send(&longest).len(), 1);
    let too_long = message(type_id::VIDEO, 1, 0, &vec![0x17; MAX_MESSAGE as usize + 1]);
    assert!(Scenario::publishing().try_send(&too_long).is_err());
}

#[test]
fn metadata_comes_with_or_without_set_data_frame_and_in_any_envelope() {
    let properties = || Value::EcmaArray(width(64.0));
    let plain = values(&[text("onMetaData"), properties()]);
    let framed = values(&[text("@setDataFrame"), text("onMetaData"), properties()]);
    let as_object = values(&[text("onMetaData"), Value::Object(width(64.0))]);
    let with_selector = [b"\0".as_slice(), &framed].concat();
    // Truncated before the end of the array.
    let cut = framed[..framed.len() - 3].to_vec();
    for (type_id, body) in [
        (type_id::DATA, &plain),
        (type_id::DATA, &framed),
        (type_id::DATA, &as_object),
        (type_id::DATA, &cut),
        (type_id::DATA_AMF3, &framed),
        (type_id::DATA_AMF3, &with_selector),
    ] {
        let events = Scenario::publishing().try_send(&message(type_id, 1, 0, body));
        assert_eq!(events.unwrap(), [described_as(width(64.0))]);
    }
}

#[test]
fn clear_data_frame_withdraws_the_metadata() {
    let body = values(&[text("@clearDataFrame"), text("onMetaData")]);
    let events = Scenario::publishing().try_send(&message(type_id::DATA, 1, 0, &body));
    let (withdrawn, _) = described_as(vec![]);
    assert_eq!(events.unwrap(), [(withdrawn, vec![])]);
}

#[test]
fn data_without_a_name_is_ignored() {
    for body in [
        // A time code from ffmpeg, which isn't AMF.
        b"\0\0\0\0".to_vec(),
        vec![],
        values(&[Value::EcmaArray(width(1.0))]),
    ] {
        for type_id in [type_id::DATA, type_id::DATA_AMF3] {
            let mut scenario = Scenario::publishing();
            assert_eq!(
                scenario.send(&message(type_id, 1, 0, &body)),
                [],
                "{body:?}"
            );
            assert_eq!(scenario.send(&video(1, 0)).len(), 1);
        }
    }
}

#[test]
fn metadata_where_nothing_is_published_is_ignored() {
    let body = values(&[text("onMetaData"), Value::EcmaArray(width(64.0))]);
    let bytes = message(type_id::DATA, 1, 0, &body);
    assert_eq!(Scenario::handshaken().send(&bytes), []);
    assert_eq!(Scenario::created().send(&bytes), []);
    assert_eq!(Scenario::playing().send(&bytes), []);
}

#[test]
fn messages_of_other_types_are_ignored() {
    let mut scenario = Scenario::publishing();
    for type_id in [0, 7, 10, 16, 19, 22, 255] {
        assert_eq!(scenario.send(&message(type_id, 1, 0, b"anything")), []);
    }
    assert_eq!(scenario.replies(), [""; 0]);
}

#[test]
fn commands_come_in_the_amf3_envelope_with_or_without_selector() {
    for selector in [b"\0".as_slice(), b""] {
        let envelope = |message_stream_id, body: Vec<u8>| {
            let body = [selector, &body].concat();
            message(type_id::COMMAND_AMF3, message_stream_id, 0, &body)
        };
        let mut scenario = Scenario::handshaken();
        let events = scenario.send(&envelope(0, connect_body()));
        assert!(matches!(&events[..], [Event::Connect(c)] if c.app == "live?key=1"));
        scenario.replies();
        scenario.send(&envelope(0, body("createStream", 2.0, Value::Null, &[])));
        assert_eq!(scenario.replies(), ["3/0 _result(2) 1"]);
        let name = [text("door"), text("live")];
        scenario.send(&envelope(1, body("publish", 3.0, Value::Null, &name)));
        assert_eq!(scenario.replies(), PUBLISH_REPLIES);
        assert_eq!(scenario.send(&video(1, 0)).len(), 1);
    }
}

#[test]
fn only_the_amf3_envelope_has_a_selector() {
    let metadata = values(&[text("onMetaData"), Value::EcmaArray(width(64.0))]);
    let with_selector = [b"\0".as_slice(), &metadata].concat();
    let bytes = message(type_id::DATA, 1, 0, &with_selector);
    assert_eq!(Scenario::publishing().send(&bytes), []);
    let with_selector = [b"\0".as_slice(), &connect_body()].concat();
    let bytes = message(type_id::COMMAND, 0, 0, &with_selector);
    assert_eq!(Scenario::handshaken().send(&bytes), []);
}

#[test]
fn data_that_is_no_metadata_comes_with_its_time_and_without_its_envelope() {
    let body = values(&[text("onTextData"), object([("text", text("hello"))])]);
    let amf3 = [b"\0", &body[..]].concat();
    let len = (body.len() as u32).to_be_bytes();
    let inner = [&[18], &len[1..], &[0, 0, 7, 0, 0, 0, 0], &body, &[0; 4]].concat();
    for (type_id, sent) in [
        (type_id::DATA, &body),
        (type_id::DATA_AMF3, &amf3),
        (type_id::DATA_AMF3, &body),
        (type_id::AGGREGATE, &inner),
    ] {
        let mut scenario = Scenario::publishing();
        let event = Event::Data {
            message_stream_id: 1,
            timestamp: 70,
        };
        let events = scenario.try_send(&message(type_id, 1, 70, sent)).unwrap();
        assert_eq!(events, [(event, body.clone())], "{type_id}");
        assert_eq!(Scenario::playing().send(&message(type_id, 1, 70, sent)), []);
    }
    // A time code from ffmpeg.
    let time_code = message(type_id::DATA, 1, 70, b"\0\0\0\x01");
    assert_eq!(Scenario::publishing().send(&time_code), []);
}
