//! createStream and deleteStream.

use super::*;

#[test]
fn the_first_message_stream_is_1_with_these_bytes() {
    let mut scenario = Scenario::connected();
    let input = command(0, "createStream", 4.0, &[]);
    assert_eq!(scenario.next(&mut input.as_slice().into()), Ok(None));
    assert_eq!(
        scenario.session.take_output(),
        b"\x03\0\0\0\0\0\x1D\x14\0\0\0\0\
          \x02\0\x07_result\0\x40\x10\0\0\0\0\0\0\x05\0\x3F\xF0\0\0\0\0\0\0"
    );
}

#[test]
fn message_streams_are_numbered_from_1_and_the_9th_is_refused() {
    let mut scenario = Scenario::connected();
    for id in 1..=8 {
        scenario.call(0, "createStream", f64::from(id + 10), &[]);
        assert_eq!(
            scenario.replies(),
            [format!("3/0 _result({}) {id}", id + 10)]
        );
    }
    assert_eq!(
        scenario.error(&command(0, "createStream", 9.0, &[])),
        "message streams on one connection: 9 exceeds the limit of 8"
    );
    assert_eq!(
        scenario.replies(),
        ["3/0 _error(9) error NetConnection.Call.Failed"]
    );
}

#[test]
fn the_id_of_a_deleted_message_stream_is_free_again() {
    let mut scenario = Scenario::connected();
    for _ in 1..=3 {
        scenario.call(0, "createStream", 2.0, &[]);
    }
    scenario.replies();
    assert_eq!(
        scenario.call(0, "deleteStream", 0.0, &[Value::Number(2.0)]),
        []
    );
    scenario.call(0, "createStream", 3.0, &[]);
    assert_eq!(scenario.replies(), ["3/0 _result(3) 2"]);
}

#[test]
fn a_9th_message_stream_is_refused_without_create_stream_too() {
    let mut scenario = Scenario::connected();
    for id in 10..18 {
        scenario.call(id, "publish", 0.0, &[text("door")]);
    }
    assert_eq!(
        scenario.error(&command(18, "publish", 0.0, &[text("door")])),
        "message streams on one connection: 9 exceeds the limit of 8"
    );
}

#[test]
fn several_message_streams_publish_and_play_side_by_side() {
    let mut scenario = Scenario::publishing();
    scenario.call(0, "createStream", 4.0, &[]);
    let event = scenario.call(2, "publish", 5.0, &[text("yard")]);
    let publish = Event::Publish {
        message_stream_id: 2,
        name: "yard".into(),
        kind: PublishKind::Live,
    };
    assert_eq!(event, [publish]);
    scenario.call(0, "createStream", 6.0, &[]);
    let event = scenario.call(3, "play", 7.0, &[text("door")]);
    assert_eq!(
        event,
        [Event::Play {
            message_stream_id: 3,
            name: "door".into()
        }]
    );

    let bytes = [video(1, 10), video(2, 20), video(3, 30)].concat();
    let media = |message_stream_id, timestamp| {
        Event::Media(Media {
            message_stream_id,
            medium: Medium::Video,
            timestamp,
            in_place: None,
        })
    };
    assert_eq!(scenario.send(&bytes), [media(1, 10), media(2, 20)]);

    // FCUnpublish doesn't identify which of the two streams it means; deleteStream does.
    assert_eq!(scenario.call(0, "FCUnpublish", 8.0, &[text("yard")]), []);
    assert_eq!(
        scenario.call(0, "deleteStream", 9.0, &[Value::Number(2.0)]),
        [stop(2)]
    );
    assert_eq!(scenario.send(&video(1, 10)), [media(1, 10)]);
    assert_eq!(
        scenario.call(0, "FCUnpublish", 10.0, &[text("door")]),
        [stop(1)]
    );
    assert!(scenario.session.is_in_use(), "message stream 3 still plays");
    assert_eq!(scenario.call(3, "closeStream", 0.0, &[]), [stop(3)]);
    assert!(!scenario.session.is_in_use());
}

/// Node-Media-Server's client creates message stream 1, publishes on it, but sends its media on 0.
#[test]
fn media_on_another_message_stream_belongs_to_the_only_publish() {
    let metadata = values(&[text("onMetaData"), Value::EcmaArray(width(64.0))]);
    let all = |id| {
        let inner = [b"\x09\0\0\x0C\0\0\x05\0\0\0\0", MEDIA, &[0; 4]].concat();
        [
            message(type_id::DATA, id, 0, &metadata),
            // The first message isn't read in place, because its chunk stream is new.
            message(type_id::VIDEO, id, 10, &[MEDIA, &[0; 500]].concat()),
            video(id, 20),
            message(type_id::AGGREGATE, id, 30, &inner),
        ]
        .concat()
    };
    let ids = |events: Vec<Event<'_>>| -> Vec<(u32, u32)> {
        let id = |event| match event {
            Event::Metadata { message_stream_id } => (message_stream_id, 0),
            Event::Media(media) => (media.message_stream_id, media.timestamp),
            other => panic!("{other:?}"),
        };
        events.into_iter().map(id).collect()
    };
    let expected = [(1, 0), (1, 10), (1, 20), (1, 30)];
    for id in [0, 1, 2, 9] {
        // The result doesn't depend on whether other message streams exist.
        let mut scenario = Scenario::publishing();
        assert_eq!(ids(scenario.send(&all(id))), expected, "{id}");
        scenario.call(0, "createStream", 4.0, &[]);
        assert_eq!(ids(scenario.send(&all(id))), expected, "{id}");
    }
    // A message stream that plays doesn't count.
    let mut scenario = Scenario::publishing();
    scenario.call(2, "play", 7.0, &[text("yard")]);
    assert_eq!(ids(scenario.send(&all(0))), expected);
    // With two publishes it is unknown which one is meant; without any, there is no destination.
    scenario.call(3, "publish", 5.0, &[text("yard")]);
    assert_eq!(scenario.send(&all(0)), []);
    scenario.call(1, "closeStream", 0.0, &[]);
    assert_eq!(ids(scenario.send(&video(0, 20))), [(3, 20)]);
    scenario.call(3, "closeStream", 0.0, &[]);
    assert_eq!(scenario.send(&all(0)), []);
}
