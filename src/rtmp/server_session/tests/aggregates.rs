//! Aggregate messages: several messages in one.

use super::*;

/// Audio at 100, video at 140, metadata at 150, and video at 133, out of order.
fn aggregate_body() -> Vec<u8> {
    let metadata = values(&[text("onMetaData"), Value::EcmaArray(width(64.0))]);
    [
        inner(8, 100, b"\xAF\x01sound"),
        inner(9, 140, MEDIA),
        inner(18, 150, &metadata),
        inner(3, 150, b"\0\0\0\x01"),
        inner(9, 133, MEDIA),
    ]
    .concat()
}

/// A message in an aggregate, with a message stream id that is ignored.
fn inner(type_id: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let [high, low @ ..] = timestamp.to_be_bytes();
    let back_pointer = (11 + body.len() as u32).to_be_bytes();
    let header = [&[type_id], &len[1..], &low, &[high, 0, 0, 7]].concat();
    [header.as_slice(), body, &back_pointer].concat()
}

fn media(medium: Medium, timestamp: u32, payload: &[u8]) -> (Event<'static>, Vec<u8>) {
    (super::media(medium, timestamp), payload.to_vec())
}

fn expected(timestamp: u32) -> Vec<(Event<'static>, Vec<u8>)> {
    vec![
        media(Medium::Audio, timestamp, b"\xAF\x01sound"),
        media(Medium::Video, timestamp.wrapping_add(40), MEDIA),
        described_as(width(64.0)),
        media(Medium::Video, timestamp.wrapping_add(33), MEDIA),
    ]
}

#[test]
fn an_aggregate_becomes_its_messages_however_it_is_split() {
    let bytes = [
        message(22, 1, 5000, &aggregate_body()),
        // The message that follows the aggregate comes after the aggregate's messages.
        video(1, 6000),
    ]
    .concat();
    let mut all = expected(5000);
    all.push(media(Medium::Video, 6000, MEDIA));
    every_split(&bytes, |pieces| {
        let mut scenario = Scenario::publishing();
        let events: Vec<_> = pieces
            .iter()
            .flat_map(|piece| scenario.try_send(piece).unwrap())
            .collect();
        assert_eq!(events, all);
    });
}

#[test]
fn time_in_an_aggregate_wraps() {
    let bytes = message(22, 1, u32::MAX - 10, &aggregate_body());
    let events = Scenario::publishing().try_send(&bytes).unwrap();
    assert_eq!(events, expected(u32::MAX - 10));
}

#[test]
fn an_aggregate_that_nobody_publishes_is_dropped() {
    let bytes = message(22, 1, 5000, &aggregate_body());
    assert_eq!(Scenario::created().send(&bytes), []);
    assert_eq!(Scenario::playing().send(&bytes), []);
    let mut scenario = Scenario::publishing();
    scenario.call(2, "publish", 4.0, &[text("yard")]);
    let bytes = message(22, 3, 5000, &aggregate_body());
    assert_eq!(scenario.send(&bytes), []);
}

#[test]
fn the_rest_of_a_truncated_aggregate_is_dropped_and_the_connection_goes_on() {
    let body = aggregate_body();
    for len in 0..body.len() {
        let mut scenario = Scenario::publishing();
        let events = scenario.try_send(&message(22, 1, 5000, &body[..len]));
        assert!(expected(5000).starts_with(&events.unwrap()), "{len} bytes");
        assert_eq!(scenario.send(&video(1, 6000)).len(), 1);
    }
}

#[test]
fn an_aggregate_in_an_aggregate_is_dropped() {
    let body = [
        inner(22, 0, &aggregate_body()),
        inner(8, 20, b"\xAF\x01sound"),
    ]
    .concat();
    let events = Scenario::publishing().try_send(&message(22, 1, 0, &body));
    assert_eq!(
        events.unwrap(),
        [media(Medium::Audio, 20, b"\xAF\x01sound")]
    );
}
