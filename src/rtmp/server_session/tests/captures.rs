//! Complete sessions, as sent by real clients (see `tests/data/README.md`).

use super::*;
use crate::rtmp::amf::Properties;

/// Returns the events, with payloads, and the replies except acknowledgements, whose time depends on how
/// much input arrives at once.
fn replay(bytes: &[u8]) -> (Vec<(Event<'static>, Vec<u8>)>, Vec<String>) {
    let (events, replies) = every_split(bytes, |pieces| {
        let mut scenario = Scenario::new();
        let events = pieces.iter().map(|piece| scenario.try_send(piece).unwrap());
        let events: Vec<_> = events.collect();
        let mut replies = scenario.replies();
        replies.retain(|reply| !reply.starts_with("Acknowledgement"));
        (events.concat(), replies)
    });
    assert_eq!(
        replies[..4],
        [
            "WindowAcknowledgementSize(2500000)",
            "SetPeerBandwidth { size: 2500000, limit_type: 2 }",
            "SetChunkSize(65536)",
            "3/0 _result(1) status NetConnection.Connect.Success",
        ]
    );
    (events, replies[4..].to_vec())
}

/// Checks the properties common to all publishers: the events are Connect, Publish, then metadata and
/// messages of both media, with sequence headers first, then Stop.
fn check_publish(events: &[(Event<'_>, Vec<u8>)], name: &str) {
    let [
        (Event::Connect(connect), _),
        (publish, _),
        media @ ..,
        (end, _),
    ] = events
    else {
        panic!("{} events", events.len())
    };
    assert_eq!(connect.app, "live");
    assert_eq!(connect.tc_url.matches("rtmp://127.0.0.1").count(), 1);
    assert_eq!(
        *publish,
        Event::Publish {
            message_stream_id: 1,
            name: name.into(),
            kind: PublishKind::Live
        }
    );
    assert_eq!(*end, stop(1));
    let is_metadata = |(event, object): &&(Event<'_>, Vec<u8>)| {
        let width = Properties::of(object).and_then(|all| all.find("width")?.as_f64());
        matches!(event, Event::Metadata { .. }) && width == Some(64.0)
    };
    assert_eq!(media.iter().filter(is_metadata).count(), 1);
    for (wanted, header) in [(Medium::Video, [0x17, 0]), (Medium::Audio, [0xAF, 0])] {
        let mut last = 0;
        let mut payloads = media.iter().filter_map(|(event, payload)| match event {
            Event::Media(media) if media.message_stream_id == 1 && media.medium == wanted => {
                let timestamp = media.timestamp;
                assert!(
                    (last..2000).contains(&timestamp),
                    "{timestamp} after {last}"
                );
                last = timestamp;
                Some(payload)
            }
            _ => None,
        });
        assert_eq!(payloads.next().unwrap()[..2], header);
        assert!(payloads.count() > 8);
    }
}

#[test]
fn ffmpeg_publishes_however_its_bytes_are_split() {
    let (events, replies) = replay(include_bytes!("../../../../tests/data/ffmpeg_publish.bin"));
    check_publish(&events, "one");
    assert_eq!(
        replies,
        [
            "3/0 _result(2) undefined",
            "3/0 _result(3) undefined",
            "3/0 onFCPublish(0) status NetStream.Publish.Start",
            "3/0 _result(4) 1",
            "User(StreamBegin(1))",
            "5/1 onStatus(0) status NetStream.Publish.Start",
            "3/0 onFCUnpublish(0) status NetStream.Unpublish.Success",
            "3/0 _result(6) undefined",
        ]
    );
}

#[test]
fn gstreamer_publishes_however_its_bytes_are_split() {
    let (events, replies) = replay(include_bytes!("../../../../tests/data/gst_rtmp2sink.bin"));
    check_publish(&events, "two");
    assert_eq!(
        replies,
        [
            "3/0 onFCPublish(0) status NetStream.Publish.Start",
            "3/0 _result(2) 1",
            "User(StreamBegin(1))",
            "5/1 onStatus(0) status NetStream.Publish.Start",
            "3/0 onFCUnpublish(0) status NetStream.Unpublish.Success",
        ]
    );
}

#[test]
fn ffmpeg_plays_however_its_bytes_are_split() {
    let (events, replies) = replay(include_bytes!("../../../../tests/data/ffmpeg_play.bin"));
    let events: Vec<_> = events.into_iter().skip(1).map(|(event, _)| event).collect();
    let play = Event::Play {
        message_stream_id: 1,
        name: "three".into(),
    };
    assert_eq!(events, [play, stop(1)]);
    assert_eq!(replies[..2], ["3/0 _result(2) 1", "3/0 _result(3) 0"]);
    assert_eq!(replies[2..], PLAY_REPLIES);
}

#[test]
fn rtmpdump_plays_however_its_bytes_are_split() {
    let (events, replies) = replay(include_bytes!("../../../../tests/data/rtmpdump_play.bin"));
    let events: Vec<_> = events.into_iter().skip(1).map(|(event, _)| event).collect();
    let play = Event::Play {
        message_stream_id: 1,
        name: "three".into(),
    };
    assert_eq!(events, [play, stop(1)]);
    assert_eq!(
        replies[..2],
        [
            "3/0 _result(2) 1",
            "3/0 onFCSubscribe(0) status NetStream.Play.Start"
        ]
    );
    assert_eq!(replies[2..], PLAY_REPLIES);
}
