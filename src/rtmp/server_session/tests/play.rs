//! Commands of players.

use super::*;

#[test]
fn play_is_answered_with_stream_begin_reset_start_and_sample_access() {
    let mut scenario = Scenario::created();
    let events = scenario.call(
        1,
        "play",
        4.0,
        &[text("door?join=gop"), Value::Number(-2.0)],
    );
    let expected = Event::Play {
        message_stream_id: 1,
        name: "door?join=gop".into(),
    };
    assert_eq!(events, [expected]);
    assert_eq!(scenario.replies(), PLAY_REPLIES);
}

#[test]
fn the_sequence_of_a_player_is_answered_in_order() {
    let mut scenario = Scenario::connected();
    // The commands as sent by ffmpeg, in one piece.
    let bytes = [
        control(Control::WindowAcknowledgementSize(2_500_000)),
        command(0, "createStream", 2.0, &[]),
        command(0, "FCSubscribe", 0.0, &[text("door")]),
        command(0, "getStreamLength", 3.0, &[text("door")]),
        command(1, "play", 4.0, &[text("door"), Value::Number(-2000.0)]),
        control(Control::User(UserControl::SetBufferLength {
            message_stream_id: 1,
            buffer_ms: 3000,
        })),
    ]
    .concat();
    assert_eq!(scenario.send(&bytes).len(), 1);
    let replies = scenario.replies();
    assert_eq!(
        replies[..3],
        [
            "3/0 _result(2) 1",
            "3/0 onFCSubscribe(0) status NetStream.Play.Start",
            "3/0 _result(3) 0",
        ]
    );
    assert_eq!(replies[3..], PLAY_REPLIES);
}

#[test]
fn accepting_a_play_returns_all_pending_replies() {
    let mut scenario = Scenario::connected();
    let bytes = [
        command(0, "createStream", 2.0, &[]),
        command(1, "play", 3.0, &[text("door")]),
    ];
    scenario.ask(&bytes.concat());
    let control = scenario.session.accept_play(1, "live/door");
    assert!(scenario.session.take_output().is_empty());
    scenario.read(&control);
    let replies = scenario.replies();
    assert_eq!(replies[0], "3/0 _result(2) 1");
    assert_eq!(replies[1..], PLAY_REPLIES);
}

#[test]
fn play2_names_its_stream_in_an_object_or_plainly() {
    let expected = [Event::Play {
        message_stream_id: 1,
        name: "door".into(),
    }];
    for argument in [object([("streamName", text("door"))]), text("door")] {
        assert_eq!(
            Scenario::created().call(1, "play2", 0.0, &[argument]),
            expected
        );
    }
}

#[test]
fn a_second_play_on_a_message_stream_asks_again() {
    let mut scenario = Scenario::playing();
    let events = scenario.call(1, "play", 5.0, &[text("yard")]);
    assert_eq!(
        events,
        [Event::Play {
            message_stream_id: 1,
            name: "yard".into()
        }]
    );
    assert_eq!(scenario.replies(), PLAY_REPLIES);
}

#[test]
fn a_refused_play_gets_an_error_on_its_message_stream() {
    let mut scenario = Scenario::created();
    scenario.ask(&command(1, "play", 3.0, &[text("door")]));
    scenario
        .session
        .refuse_stream(1, "NetStream.Play.StreamNotFound", "no");
    assert_eq!(
        scenario.replies(),
        ["5/1 onStatus(0) error NetStream.Play.StreamNotFound"]
    );
    assert!(!scenario.session.is_in_use());
}

#[test]
fn a_player_can_stop() {
    assert_eq!(
        Scenario::playing().call(1, "closeStream", 0.0, &[]),
        [stop(1)]
    );
    let id = [Value::Number(1.0)];
    assert_eq!(
        Scenario::playing().call(0, "deleteStream", 0.0, &id),
        [stop(1)]
    );
}

#[test]
fn the_end_of_a_stream_is_announced_by_three_messages() {
    let mut scenario = Scenario::playing();
    scenario.read(&end_of_stream(1, Dialect::default(), Over::Unpublished));
    assert_eq!(
        scenario.replies(),
        [
            "User(StreamEof(1))",
            "5/1 onStatus(0) status NetStream.Play.UnpublishNotify",
            "5/1 onStatus(0) status NetStream.Play.Stop",
        ]
    );
}

#[test]
fn pause_is_answered_with_notify_and_stream_eof_or_begin() {
    let mut scenario = Scenario::playing();
    let pause = |is_paused| Event::Pause {
        message_stream_id: 1,
        is_paused,
    };
    for name in ["pause", "pauseRaw"] {
        let arguments = [Value::Boolean(true), Value::Number(0.0)];
        assert_eq!(scenario.call(1, name, 0.0, &arguments), [pause(true)]);
        assert_eq!(
            scenario.replies(),
            [
                "5/1 onStatus(0) status NetStream.Pause.Notify",
                "User(StreamEof(1))"
            ]
        );
        let arguments = [Value::Boolean(false), Value::Number(0.0)];
        assert_eq!(scenario.call(1, name, 0.0, &arguments), [pause(false)]);
        assert_eq!(
            scenario.replies(),
            [
                "User(StreamBegin(1))",
                "5/1 onStatus(0) status NetStream.Unpause.Notify"
            ]
        );
    }
    assert_eq!(scenario.call(1, "pause", 0.0, &[]), [pause(true)]);
}

#[test]
fn seek_is_answered_and_changes_nothing() {
    let mut scenario = Scenario::playing();
    assert_eq!(scenario.call(1, "seek", 0.0, &[Value::Number(5000.0)]), []);
    assert_eq!(
        scenario.replies(),
        ["5/1 onStatus(0) status NetStream.Seek.Notify"]
    );
}

#[test]
fn receive_audio_and_video_are_answered_only_when_wanted() {
    let mut scenario = Scenario::playing();
    for (name, medium) in [
        ("receiveAudio", Medium::Audio),
        ("receiveVideo", Medium::Video),
    ] {
        let receive = |is_wanted| Event::Receive {
            message_stream_id: 1,
            medium,
            is_wanted,
        };
        assert_eq!(
            scenario.call(1, name, 0.0, &[Value::Boolean(false)]),
            [receive(false)]
        );
        assert_eq!(scenario.replies(), [""; 0]);
        assert_eq!(
            scenario.call(1, name, 0.0, &[Value::Boolean(true)]),
            [receive(true)]
        );
        assert_eq!(
            scenario.replies(),
            [
                "5/1 onStatus(0) status NetStream.Seek.Notify",
                "5/1 onStatus(0) status NetStream.Play.Start",
            ]
        );
    }
}

#[test]
fn a_players_commands_where_nothing_plays_are_ignored() {
    for mut scenario in [Scenario::created(), Scenario::publishing()] {
        for name in ["pause", "seek", "receiveAudio", "receiveVideo"] {
            assert_eq!(scenario.call(1, name, 9.0, &[Value::Boolean(true)]), []);
        }
        assert_eq!(scenario.replies(), [""; 0]);
    }
}

#[test]
fn known_calls_are_answered_and_unknown_ones_ignored() {
    let mut scenario = Scenario::connected();
    for (name, reply) in [
        ("getStreamLength", Some("3/0 _result(7) 0")),
        ("_checkbw", Some("3/0 _result(7) undefined")),
        (
            "FCSubscribe",
            Some("3/0 onFCSubscribe(0) status NetStream.Play.Start"),
        ),
        ("FCUnsubscribe", None),
        ("nobodyKnowsThis", None),
        ("", None),
        ("_result", None),
        ("_error", None),
        ("onStatus", None),
        ("onBWDone", None),
    ] {
        assert_eq!(scenario.call(0, name, 7.0, &[text("door")]), []);
        let expected: Vec<&str> = reply.into_iter().collect();
        assert_eq!(scenario.replies(), expected, "{name}");
    }
}
