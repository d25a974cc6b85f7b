//! Protocol control and user control messages.

use super::*;

#[test]
fn a_ping_is_answered_with_its_own_bytes() {
    let mut scenario = Scenario::playing();
    scenario.ask_none(b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x06\x01\x02\x03\x04");
    let reply = scenario.session.take_output();
    assert_eq!(
        reply,
        b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x07\x01\x02\x03\x04"
    );
}

#[test]
fn the_server_pings_and_takes_any_answer() {
    let mut scenario = Scenario::playing();
    scenario.session.ping(7);
    assert_eq!(scenario.replies(), ["User(PingRequest(7))"]);
    scenario.send(&control(Control::User(UserControl::PingResponse(8))));
    assert_eq!(scenario.replies(), [""; 0]);
}

#[test]
fn control_messages_count_on_any_chunk_stream_and_message_stream() {
    // PTZOptics: Set Chunk Size on chunk stream 8.
    let mut scenario = Scenario::publishing();
    scenario.send(&message(type_id::SET_CHUNK_SIZE, 5, 99, b"\0\0\x10\0"));
    let body = [0x17; 200];
    let long = [b"\x06\0\0\0\0\0\xC8\x09\x01\0\0\0".as_slice(), &body].concat();
    assert_eq!(scenario.try_send(&long).unwrap()[0].1, body);
}

#[test]
fn an_aborted_message_never_becomes_an_event() {
    let mut scenario = Scenario::publishing();
    let half = [b"\x06\0\0\0\0\0\xC8\x09\x01\0\0\0".as_slice(), &[0x17; 128]].concat();
    scenario.send(&half);
    scenario.send(&control(Control::Abort(6)));
    let whole = b"\x06\0\0\x05\0\0\x01\x09\x01\0\0\0\x17";
    let events = scenario.try_send(whole).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1, b"\x17");
}

#[test]
fn set_peer_bandwidth_is_answered_with_the_window_if_it_differs() {
    let mut scenario = Scenario::connected();
    let bandwidth = |size| {
        control(Control::SetPeerBandwidth {
            size,
            limit_type: 2,
        })
    };
    scenario.send(&bandwidth(1_000_000));
    assert_eq!(scenario.replies(), ["WindowAcknowledgementSize(2500000)"]);
    scenario.send(&[bandwidth(2_500_000), bandwidth(0)].concat());
    assert_eq!(scenario.replies(), [""; 0]);
}

#[test]
fn undocumented_user_control_events_are_ignored() {
    let mut scenario = Scenario::playing();
    for body in [b"\0\x1F".as_slice(), b"\0\x20\0\0\0\x01", b"\x7F\xFF", b""] {
        assert_eq!(
            scenario.send(&message(type_id::USER_CONTROL, 0, 0, body)),
            []
        );
    }
    assert_eq!(scenario.replies(), [""; 0]);
}

#[test]
fn short_control_messages_and_chunk_sizes_of_0_end_the_connection() {
    let error = |type_id, body| Scenario::connected().error(&message(type_id, 0, 0, body));
    for type_id in [1, 2, 3, 5, 6] {
        assert_eq!(
            error(type_id, b"\0\0\x01"),
            format!("control message of type {type_id} with 3 bytes, expected 4")
        );
    }
    assert_eq!(
        error(1, b"\0\0\0\0"),
        "chunk size of 0, expected 1 to 2147483647"
    );
}
