//! Commands of publishers.

use super::*;

#[test]
fn publish_is_answered_with_stream_begin_and_start_on_its_message_stream() {
    let mut scenario = Scenario::created();
    let events = scenario.call(1, "publish", 5.0, &[text("door?key=1"), text("live")]);
    let expected = Event::Publish {
        message_stream_id: 1,
        name: "door?key=1".into(),
        kind: PublishKind::Live,
    };
    assert_eq!(events, [expected]);
    assert_eq!(scenario.replies(), PUBLISH_REPLIES);
}

#[test]
fn publish_needs_no_type_and_knows_every_type() {
    let types = [
        (vec![], PublishKind::Live),
        (vec![text("record")], PublishKind::Record),
        (vec![text("append")], PublishKind::Append),
        (vec![text("Record")], PublishKind::Live),
        (vec![text("nonsense")], PublishKind::Live),
        (vec![text(&"record".repeat(10_000))], PublishKind::Live),
        (vec![Value::Null], PublishKind::Live),
    ];
    for (more, kind) in types {
        let mut scenario = Scenario::created();
        let arguments = [vec![text("door")], more].concat();
        let events = scenario.call(1, "publish", 0.0, &arguments);
        let expected = Event::Publish {
            message_stream_id: 1,
            name: "door".into(),
            kind,
        };
        assert_eq!(events, [expected]);
        assert_eq!(scenario.replies(), PUBLISH_REPLIES);
    }
}

#[test]
fn publish_without_a_name_has_an_empty_one() {
    let empty = [Event::Publish {
        message_stream_id: 1,
        name: String::new(),
        kind: PublishKind::Live,
    }];
    for arguments in [[].as_slice(), &[Value::Null], &[Value::Number(1.0)]] {
        assert_eq!(
            Scenario::created().call(1, "publish", 3.0, arguments),
            empty
        );
    }
}

#[test]
fn publish_needs_no_create_stream() {
    for id in [0, 1, 77] {
        let mut scenario = Scenario::connected();
        scenario.call(id, "publish", 3.0, &[text("door")]);
        let events = scenario.send(&video(id, 5));
        assert_eq!(events.len(), 1, "media on message stream {id}");
        assert_eq!(scenario.call(id, "closeStream", 0.0, &[]), [stop(id)]);
    }
}

#[test]
fn the_sequence_of_an_encoder_is_answered_in_order() {
    let mut scenario = Scenario::connected();
    let name = || text("door");
    scenario.call(0, "releaseStream", 2.0, &[name()]);
    assert_eq!(scenario.replies(), ["3/0 _result(2) undefined"]);
    scenario.call(0, "FCPublish", 3.0, &[name()]);
    assert_eq!(
        scenario.replies(),
        [
            "3/0 _result(3) undefined",
            "3/0 onFCPublish(0) status NetStream.Publish.Start"
        ]
    );
    scenario.call(0, "createStream", 4.0, &[]);
    assert_eq!(scenario.replies(), ["3/0 _result(4) 1"]);
    scenario.call(1, "publish", 5.0, &[name(), text("live")]);
    assert_eq!(scenario.replies(), PUBLISH_REPLIES);
    assert_eq!(scenario.call(0, "FCUnpublish", 6.0, &[name()]), [stop(1)]);
    assert_eq!(
        scenario.replies(),
        [
            "3/0 onFCUnpublish(0) status NetStream.Unpublish.Success",
            "3/0 _result(6) undefined"
        ]
    );
    // Nothing is left to stop.
    assert_eq!(
        scenario.call(0, "deleteStream", 7.0, &[Value::Number(1.0)]),
        []
    );
    assert_eq!(scenario.replies(), [""; 0]);
}

#[test]
fn commands_with_transaction_id_0_get_no_result() {
    let mut scenario = Scenario::connected();
    scenario.call(0, "releaseStream", 0.0, &[text("door")]);
    scenario.call(0, "_checkbw", 0.0, &[]);
    assert_eq!(scenario.replies(), [""; 0]);
    scenario.call(0, "FCPublish", 0.0, &[text("door")]);
    assert_eq!(
        scenario.replies(),
        ["3/0 onFCPublish(0) status NetStream.Publish.Start"]
    );
}

#[test]
fn a_whole_publish_may_be_pipelined_however_it_is_split() {
    let metadata = values(&[
        text("@setDataFrame"),
        text("onMetaData"),
        Value::EcmaArray(width(64.0)),
    ]);
    let bytes = [
        connect(),
        // Haivision's order: createStream before FCPublish.
        command(0, "_checkbw", 2.0, &[]),
        command(0, "createStream", 3.0, &[]),
        command(0, "FCPublish", 4.0, &[text("door")]),
        command(1, "publish", 5.0, &[text("door"), text("live")]),
        message(type_id::DATA, 1, 0, &metadata),
        video(1, 0),
        message(type_id::AUDIO, 1, 7, b"\xAF\x01sound"),
        command(0, "FCUnpublish", 6.0, &[text("door")]),
        command(0, "deleteStream", 7.0, &[Value::Number(1.0)]),
    ]
    .concat();
    let (events, replies) = every_split(&bytes, |pieces| {
        let mut scenario = Scenario::handshaken();
        let events = pieces.iter().map(|piece| scenario.try_send(piece).unwrap());
        let events: Vec<_> = events.collect();
        (events.concat(), scenario.replies())
    });
    let (audio, video) = (Medium::Audio, Medium::Video);
    assert_eq!(
        events[1..],
        [
            (
                Event::Publish {
                    message_stream_id: 1,
                    name: "door".into(),
                    kind: PublishKind::Live
                },
                vec![]
            ),
            described_as(width(64.0)),
            (media(video, 0), MEDIA.to_vec()),
            (media(audio, 7), b"\xAF\x01sound".to_vec()),
            (stop(1), vec![]),
        ]
    );
    assert_eq!(
        replies[3..],
        [
            "3/0 _result(1) status NetConnection.Connect.Success",
            "3/0 _result(2) undefined",
            "3/0 _result(3) 1",
            "3/0 _result(4) undefined",
            "3/0 onFCPublish(0) status NetStream.Publish.Start",
            "User(StreamBegin(1))",
            "5/1 onStatus(0) status NetStream.Publish.Start",
            "3/0 onFCUnpublish(0) status NetStream.Unpublish.Success",
            "3/0 _result(6) undefined",
        ]
    );
}

#[test]
fn a_refused_publish_gets_an_error_on_its_message_stream() {
    for code in ["NetStream.Publish.BadName", "NetStream.Publish.Denied"] {
        let mut scenario = Scenario::created();
        scenario.ask(&command(1, "publish", 3.0, &[text("door")]));
        scenario.session.refuse_stream(1, code, "no");
        assert_eq!(
            scenario.replies(),
            [format!("5/1 onStatus(0) error {code}")]
        );
        assert_eq!(scenario.send(&video(1, 0)), []);
        assert!(!scenario.session.is_in_use());
    }
}

#[test]
fn a_publish_that_replaces_another_asks_again_and_may_be_refused() {
    let mut scenario = Scenario::publishing();
    let event = scenario.ask(&command(1, "publish", 4.0, &[text("yard")]));
    assert_eq!(
        event,
        Event::Publish {
            message_stream_id: 1,
            name: "yard".into(),
            kind: PublishKind::Live
        }
    );
    scenario
        .session
        .refuse_stream(1, "NetStream.Publish.BadName", "no");
    assert_eq!(scenario.send(&video(1, 0)), []);
}

#[test]
fn the_server_ends_a_publish_with_unpublish_success() {
    let mut scenario = Scenario::publishing();
    scenario.session.end_publish(1, "enough");
    assert_eq!(
        scenario.replies(),
        ["5/1 onStatus(0) status NetStream.Unpublish.Success"]
    );
    assert_eq!(scenario.send(&video(1, 0)), []);
}

#[test]
fn the_server_says_that_it_shuts_down_on_message_stream_0() {
    let mut scenario = Scenario::publishing();
    scenario.session.shut_down();
    assert_eq!(
        scenario.replies(),
        ["3/0 onStatus(0) error NetConnection.Connect.AppShutdown"]
    );
}

#[test]
fn gstreamer_deletes_its_stream_by_name() {
    // Also with a name that looks like an id.
    for name in ["door", "77", "1e3", ""] {
        let mut scenario = Scenario::publishing();
        assert_eq!(
            scenario.call(0, "deleteStream", 0.0, &[text(name)]),
            [stop(1)]
        );
        assert!(!scenario.session.is_in_use());
    }
}

#[test]
fn delete_stream_of_another_id_stops_nothing() {
    let mut scenario = Scenario::publishing();
    for id in [2.0, 77.0, 4e9] {
        assert_eq!(
            scenario.call(0, "deleteStream", 0.0, &[Value::Number(id)]),
            []
        );
    }
    assert!(scenario.session.is_in_use());
}

#[test]
fn delete_stream_without_an_id_means_the_message_stream_that_brought_it() {
    for id in [0, 1] {
        let mut scenario = Scenario::publishing();
        assert_eq!(scenario.call(id, "deleteStream", 0.0, &[]), [stop(1)]);
    }
}

#[test]
fn a_closed_message_stream_may_publish_again() {
    let mut scenario = Scenario::publishing();
    assert_eq!(scenario.call(1, "closeStream", 0.0, &[]), [stop(1)]);
    assert_eq!(scenario.send(&video(1, 0)), []);
    scenario.call(1, "publish", 0.0, &[text("door")]);
    assert_eq!(scenario.replies(), PUBLISH_REPLIES);
    assert_eq!(scenario.send(&video(1, 0)).len(), 1);
}

#[test]
fn fc_unpublish_stops_no_player() {
    let mut scenario = Scenario::playing();
    assert_eq!(scenario.call(0, "FCUnpublish", 5.0, &[text("door")]), []);
    assert!(scenario.session.is_in_use());
}
