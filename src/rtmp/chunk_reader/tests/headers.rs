//! Basic headers and message headers.

use super::*;

#[test]
fn each_header_type_leaves_out_what_stays_the_same() {
    let bytes = [
        b"\x04\0\0\x64\0\0\x02\x08\x01\0\0\0ab".as_slice(),
        b"\x44\0\0\x14\0\0\x03\x09cde",
        b"\x84\0\0\x0Afgh",
        b"\xC4ijk",
    ]
    .concat();
    assert_eq!(
        messages(&bytes),
        [
            (4, 100, 8, 1, b"ab".to_vec()),
            (4, 120, 9, 1, b"cde".to_vec()),
            (4, 130, 9, 1, b"fgh".to_vec()),
            (4, 140, 9, 1, b"ijk".to_vec()),
        ]
    );
}

#[test]
fn the_message_stream_id_is_little_endian() {
    let bytes = b"\x04\0\0\0\0\0\x01\x08\x04\x03\x02\x01a";
    assert_eq!(messages(bytes), [(4, 0, 8, 0x0102_0304, b"a".to_vec())]);
}

#[test]
fn basic_headers_have_three_forms() {
    for (basic, id) in [
        (b"\x02".as_slice(), 2),
        (b"\x3F", 63),
        (b"\0\0", 64),
        (b"\0\xFF", 319),
        (b"\x01\0\0", 64),
        (b"\x01\x02\x01", 322),
        (b"\x01\xFF\xFF", 65599),
    ] {
        let bytes = [basic, b"\0\0\x07\0\0\x01\x08\x01\0\0\0a"].concat();
        assert_eq!(messages(&bytes), [(id, 7, 8, 1, b"a".to_vec())]);
    }
}

#[test]
fn both_long_forms_of_an_id_are_one_chunk_stream() {
    // A message begun with one form of the basic header and continued with the other; then a new message
    // in the first form.
    let payload = [b'v'; 130];
    let bytes = [
        b"\0\x05\0\0\x0A\0\0\x82\x09\x01\0\0\0".as_slice(),
        &payload[..128],
        b"\xC1\x05\0vv",
        b"\x80\x05\0\0\x03",
        &payload[..128],
        b"\xC0\x05vv",
    ]
    .concat();
    let expected = |timestamp| (69, timestamp, 9, 1, payload.to_vec());
    assert_eq!(messages(&bytes), [expected(10), expected(13)]);
}

#[test]
fn type_3_after_type_0_adds_the_absolute_timestamp_again() {
    let bytes = b"\x04\0\0\x1A\0\0\x01\x08\x01\0\0\0a\xC4b\xC4c";
    assert_eq!(
        timed(bytes),
        [media(26, b"a"), media(52, b"b"), media(78, b"c")]
    );
}

#[test]
fn type_3_after_types_1_and_2_adds_their_delta() {
    let after_1 = b"\x04\0\0\x1A\0\0\x01\x08\x01\0\0\0a\x44\0\0\x05\0\0\x01\x08b\xC4c\xC4d";
    assert_eq!(timestamps(after_1), [26, 31, 36, 41]);
    let after_2 = b"\x04\0\0\x1A\0\0\x01\x08\x01\0\0\0a\x84\0\0\x05b\xC4c\xC4d";
    assert_eq!(timestamps(after_2), [26, 31, 36, 41]);
}

#[test]
fn a_continuation_leaves_the_timestamp_alone() {
    let payload = [b'v'; 300];
    let bytes = [
        b"\x06\0\0\x1A\0\x01\x2C\x09\x01\0\0\0".as_slice(),
        &payload[..128],
        b"\xC6",
        &payload[..128],
        b"\xC6",
        &payload[..44],
        // The next message starts one delta later, not three.
        b"\xC6",
        &payload[..128],
        b"\xC6",
        &payload[..128],
        b"\xC6",
        &payload[..44],
    ]
    .concat();
    assert_eq!(timed(&bytes), [media(26, &payload), media(52, &payload)]);
}

#[test]
fn librtmp_opens_a_chunk_stream_with_type_1() {
    // Set Buffer Length as sent by rtmpdump.
    let bytes = b"\x42\0\0\0\0\0\x0A\x04\0\x03\0\0\0\0\0\0\x01\x2C";
    assert_eq!(
        messages(bytes),
        [(2, 0, 4, 0, b"\0\x03\0\0\0\0\0\0\x01\x2C".to_vec())]
    );
}

#[test]
fn dji_opens_a_chunk_stream_with_type_2() {
    let bytes = b"\xA1\0\0\x05\x21\0\0\x09\0\0\x01\x09\x01\0\0\0a";
    assert_eq!(
        messages(bytes),
        [(33, 5, 0, 0, vec![]), (33, 9, 9, 1, b"a".to_vec())]
    );
}

#[test]
fn type_3_opens_no_chunk_stream() {
    assert_eq!(
        error(b"\xC6"),
        "chunk of type 3 on chunk stream 6 before any full header"
    );
    assert_eq!(
        error(b"\x04\0\0\0\0\0\x01\x08\x01\0\0\0a\xC1\x01\0"),
        "chunk of type 3 on chunk stream 65 before any full header"
    );
}
