//! Limits on rates and sizes.

use super::*;

/// Sends the same bytes repeatedly until there is an error. Returns the number of times, and the error.
fn until_error(scenario: &mut Scenario, bytes: &[u8], most: usize) -> (usize, String) {
    for count in 0..most {
        if let Err(error) = scenario.try_send(bytes) {
            return (count, error.to_string());
        }
    }
    panic!("{most} times without an error")
}

#[test]
fn a_hundred_commands_may_come_at_a_time_and_then_ten_a_second() {
    let mut scenario = Scenario::publishing();
    scenario.now = 60_000;
    let ping = command(0, "getStreamLength", 9.0, &[]);
    for _ in 0..100 {
        scenario.send(&ping);
    }
    scenario.now += 1000;
    let (count, error) = until_error(&mut scenario, &ping, 200);
    assert_eq!(count, 10);
    assert_eq!(error, "commands at a time: 101 exceeds the limit of 100");
}

#[test]
fn a_thousand_control_messages_may_come_in_a_second() {
    let mut scenario = Scenario::publishing();
    scenario.now = 60_000;
    let ping = control(Control::User(UserControl::PingRequest(1)));
    let (count, error) = until_error(&mut scenario, &ping, 2000);
    assert_eq!(count, 1000);
    assert_eq!(
        error,
        "control messages in a second: 1001 exceeds the limit of 1000"
    );
}

#[test]
fn tiny_chunks_are_limited_to_a_rate_that_a_small_machine_can_handle() {
    let mut scenario = Scenario::publishing();
    scenario.now = 60_000;
    scenario.send(&control(Control::SetChunkSize(1)));
    // 20,000 bytes in chunks of one byte.
    let picture = tiny_chunks(&[0x17; 20_000]);
    assert_eq!(scenario.send(&picture).len(), 1);
    assert_eq!(scenario.send(&picture).len(), 1);
    let error = scenario.error(&picture);
    assert_eq!(
        error,
        "chunks of less than 128 bytes in a second: 50001 exceeds the limit of 50000"
    );

    let mut scenario = Scenario::publishing();
    scenario.send(&control(Control::SetChunkSize(1)));
    for second in 0..5 {
        scenario.now = second * 1000;
        assert_eq!(scenario.send(&picture).len(), 1);
    }
}

#[test]
fn chunks_of_the_first_size_are_not_counted() {
    let mut scenario = Scenario::publishing();
    let len = (128 * 1000_u32).to_be_bytes();
    let header = [&[8, 0, 0, 0], &len[1..], b"\x09\x01\0\0\0"].concat();
    let chunks = [[0x17; 129]; 1000].concat();
    let mut bytes = [header, chunks[1..].to_vec()].concat();
    // Type 3 headers.
    bytes[12 + 128..]
        .iter_mut()
        .step_by(129)
        .for_each(|byte| *byte = 0xC8);
    for _ in 0..60 {
        assert_eq!(scenario.send(&bytes).len(), 1);
    }
}

#[test]
fn little_may_be_under_assembly_before_a_publish() {
    // Four messages, whatever their length, are allowed.
    let mut scenario = Scenario::connected();
    for chunk_stream_id in 10..14 {
        scenario.send(&begun(chunk_stream_id, 1000));
    }
    assert_eq!(
        scenario.error(&begun(14, 1000)),
        "messages under assembly at the same time: 5 exceeds the limit of 4"
    );
    // About one message of the maximum length is allowed.
    let mut scenario = Scenario::connected();
    scenario.send(&begun(10, 60_000));
    assert_eq!(
        scenario.error(&begun(11, 60_000)),
        "bytes of messages under assembly: 120000 exceeds the limit of 66560 (raise --max-message)"
    );
}

#[test]
fn a_publisher_may_be_in_the_middle_of_its_longest_message_and_some_more() {
    let mut scenario = Scenario::publishing();
    scenario.send(&begun(10, MAX_MESSAGE));
    for chunk_stream_id in 11..18 {
        scenario.send(&begun(chunk_stream_id, 60_000));
    }
    let error = scenario.error(&begun(18, 1));
    assert!(error.starts_with("messages under assembly"), "{error}");
    let mut scenario = Scenario::publishing();
    scenario.send(&begun(10, MAX_MESSAGE));
    let error = scenario.error(&begun(11, MAX_MESSAGE));
    assert!(error.starts_with("bytes of messages"), "{error}");
}

#[test]
fn commands_without_a_name_are_tolerated_but_not_ten_in_a_row() {
    let nameless = message(type_id::COMMAND, 0, 0, &values(&[Value::Number(1.0)]));
    let mut scenario = Scenario::publishing();
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(scenario.send(&nameless), []);
        }
        scenario.call(0, "getStreamLength", 9.0, &[]);
    }
    let (count, error) = until_error(&mut scenario, &nameless, 20);
    assert_eq!(count, 9);
    assert_eq!(
        error,
        "command without a name, expected an AMF0 string first"
    );
}

/// A video message's header and its first byte.
fn begun(chunk_stream_id: u8, len: u32) -> Vec<u8> {
    let len = &len.to_be_bytes()[1..];
    [
        &[chunk_stream_id, 0, 0, 0],
        len,
        b"\x09\x01\0\0\0",
        &[0x17; 128],
    ]
    .concat()
}

/// A video message in chunks of one byte.
fn tiny_chunks(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let header = [&[8, 0, 0, 0], &len[1..], b"\x09\x01\0\0\0"].concat();
    let rest = payload[1..].iter().flat_map(|byte| [0xC8, *byte]);
    header.into_iter().chain([payload[0]]).chain(rest).collect()
}

/// Messages of this many bytes in chunks of 64 KiB, the first with a whole header.
fn messages(count: usize, len: u32) -> Vec<u8> {
    let header = [&[8, 0, 0, 0], &len.to_be_bytes()[1..], b"\x09\x01\0\0\0"].concat();
    let body = vec![0x27; len as usize];
    let next = [&[0xC8], body.as_slice()].concat();
    [header, body, next.repeat(count - 1)].concat()
}

#[test]
fn what_chunks_carry_is_counted_however_large_they_may_be() {
    for len in [0, 1] {
        let mut scenario = Scenario::publishing();
        scenario.now = 60_000;
        scenario.send(&control(Control::SetChunkSize(65_536)));
        assert_eq!(scenario.send(&messages(49_000, len)).len(), 49_000);
        let error = scenario.error(&messages(2_000, len));
        assert!(
            error.starts_with("chunks of less than 128 bytes in a second: 50001"),
            "{error}"
        );
    }
    // The same with type 1 chunks, which are read in place.
    let mut scenario = Scenario::publishing();
    scenario.now = 60_000;
    scenario.send(&control(Control::SetChunkSize(65_536)));
    scenario.send(&messages(1, 1));
    let in_place = b"\x48\0\0\0\0\0\x01\x09\x27".repeat(51_000);
    assert!(scenario.try_send(&in_place).is_err());
}

#[test]
fn empty_messages_in_an_aggregate_are_counted() {
    let empty = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
    let aggregate = message(type_id::AGGREGATE, 1, 0, &empty.repeat(4000));
    let mut scenario = Scenario::publishing();
    scenario.now = 60_000;
    let (count, error) = until_error(&mut scenario, &aggregate, 20);
    assert_eq!(count, 12);
    assert!(error.starts_with("chunks of less than"), "{error}");
}

#[test]
fn chunks_of_real_publishers_stay_within_the_quota() {
    // Sixteen AAC tracks with 43 messages per second each, of 90 bytes; the backlog of a one-minute
    // outage is sent at once.
    let mut scenario = Scenario::publishing();
    scenario.now = 60_000;
    scenario.send(&control(Control::SetChunkSize(65_536)));
    let minute = 16 * 43 * 60;
    assert_eq!(scenario.send(&messages(minute, 90)).len(), minute);
    // Files of audio frames: of 170 bytes at 100 MB per second, of 100 bytes at 20 MB per second.
    for (count, len) in [(600_000, 170), (200_000, 100)] {
        let mut scenario = Scenario::publishing();
        scenario.now = 60_000;
        scenario.send(&control(Control::SetChunkSize(65_536)));
        let piece = messages(10_000, len);
        for _ in 0..count / 10_000 {
            assert_eq!(scenario.send(&piece).len(), 10_000);
        }
    }
    // For messages of 130 bytes in chunks of 128, the last chunk has two bytes.
    let mut scenario = Scenario::publishing();
    scenario.now = 60_000;
    let message = message(type_id::VIDEO, 1, 0, &[0x27; 130]);
    for _ in 0..60 {
        assert_eq!(scenario.send(&message.repeat(1_000)).len(), 1_000);
    }
}

#[test]
fn empty_commands_and_data_messages_are_ignored() {
    let mut scenario = Scenario::publishing();
    for _ in 0..100 {
        for (type_id, body) in [
            (type_id::COMMAND, &b""[..]),
            (type_id::COMMAND_AMF3, b""),
            // The selector of the AMF3 envelope, followed by nothing.
            (type_id::COMMAND_AMF3, b"\0"),
            (type_id::DATA, b""),
            (type_id::DATA_AMF3, b""),
            (type_id::DATA_AMF3, b"\0"),
        ] {
            assert_eq!(scenario.send(&message(type_id, 1, 0, body)), []);
        }
    }
    assert_eq!(scenario.send(&video(1, 0)).len(), 1);
    // Messages with content but without a name are still too many after ten.
    for _ in 0..9 {
        assert_eq!(scenario.send(&message(type_id::COMMAND, 1, 0, b"\x05")), []);
    }
    scenario.send(&message(type_id::COMMAND, 1, 0, b""));
    scenario.error(&message(type_id::COMMAND, 1, 0, b"\x05"));
}
