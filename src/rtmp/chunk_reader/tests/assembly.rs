//! Assembly of chunks into whole messages.

use super::*;

#[test]
fn messages_of_different_chunk_streams_interleave() {
    let payload = [b'v'; 300];
    let bytes = [
        b"\x06\0\0\x0A\0\x01\x2C\x09\x01\0\0\0".as_slice(),
        &payload[..128],
        b"\x04\0\0\x0B\0\0\x82\x08\x01\0\0\0",
        &[b'a'; 128],
        b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\0\x26\x25\xA0",
        b"\xC6",
        &payload[..128],
        b"\xC4aa",
        b"\xC6",
        &payload[..44],
    ]
    .concat();
    assert_eq!(
        messages(&bytes),
        [
            (2, 0, 5, 0, b"\0\x26\x25\xA0".to_vec()),
            (4, 11, 8, 1, vec![b'a'; 130]),
            (6, 10, 9, 1, payload.to_vec()),
        ]
    );
}

#[test]
fn a_new_chunk_size_holds_in_the_middle_of_a_message() {
    let payload: Vec<u8> = (0..200).collect();
    let begin = [
        b"\x06\0\0\0\0\0\xC8\x09\x01\0\0\0".as_slice(),
        &payload[..128],
    ]
    .concat();
    let smaller = [
        begin.as_slice(),
        b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\0\x32",
        b"\xC6",
        &payload[128..178],
        b"\xC6",
        &payload[178..],
    ]
    .concat();
    assert_eq!(timed(&smaller)[1..], [media(0, &payload)]);

    let mut long = payload.clone();
    long.resize(1000, 7);
    let larger = [
        b"\x06\0\0\0\0\x03\xE8\x09\x01\0\0\0".as_slice(),
        &long[..128],
        b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x10\0",
        b"\xC6",
        &long[128..],
    ]
    .concat();
    assert_eq!(timed(&larger)[1..], [media(0, &long)]);
}

#[test]
fn the_chunk_size_may_be_1() {
    let bytes = [
        b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\0\x01".as_slice(),
        b"\x06\0\0\x05\0\0\x03\x09\x01\0\0\0a\xC6b\xC6c",
    ]
    .concat();
    assert_eq!(timed(&bytes)[1..], [media(5, b"abc")]);
}

#[test]
fn the_chunk_size_may_be_7fffffff() {
    let bytes = [
        b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\x7F\xFF\xFF\xFF".as_slice(),
        b"\x06\0\0\x05\0\x02\0\x09\x01\0\0\0",
        &[b'v'; 512],
    ]
    .concat();
    assert_eq!(timed(&bytes)[1..], [media(5, &[b'v'; 512])]);
}

#[test]
fn a_chunk_size_of_0_or_with_the_top_bit_is_refused() {
    assert_eq!(
        error(b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\0\0"),
        "chunk size of 0, expected 1 to 2147483647"
    );
    assert_eq!(
        error(b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\x80\0\0\0"),
        "chunk size of 2147483648, expected 1 to 2147483647"
    );
}

#[test]
fn an_aborted_message_is_forgotten() {
    let half = [
        b"\x06\0\0\x0A\0\0\x82\x09\x01\0\0\0".as_slice(),
        &[b'x'; 128],
        b"\x02\0\0\0\0\0\x04\x02\0\0\0\0\0\0\0\x06",
    ]
    .concat();
    let with_type_0 = [half.as_slice(), b"\x06\0\0\x14\0\0\x01\x09\x01\0\0\0a"].concat();
    assert_eq!(timed(&with_type_0)[1..], [media(20, b"a")]);
    // Type 3 can't continue an aborted message: it begins a new one, one delta later.
    let with_type_3 = [half.as_slice(), b"\xC6", &[b'y'; 128], b"\xC6yy"].concat();
    assert_eq!(timed(&with_type_3)[1..], [media(20, &[b'y'; 130])]);
}

#[test]
fn aborting_an_unknown_or_finished_chunk_stream_changes_nothing() {
    let bytes = [
        b"\x02\0\0\0\0\0\x04\x02\0\0\0\0\0\0\0\x06".as_slice(),
        b"\x06\0\0\x0A\0\0\x01\x09\x01\0\0\0a",
        b"\x02\0\0\0\0\0\x04\x02\0\0\0\0\0\0\0\x06",
        b"\x02\0\0\0\0\0\x04\x02\0\0\0\0\0\0\0\x02",
        b"\xC6b",
    ]
    .concat();
    let timed = timed(&bytes);
    assert_eq!(timed[1], media(10, b"a"));
    assert_eq!(timed[4], media(20, b"b"));
}

#[test]
fn a_message_without_payload_is_complete_with_its_header() {
    let bytes = b"\x04\0\0\x1A\0\0\0\x08\x01\0\0\0\xC4\x44\0\0\x01\0\0\x01\x08a";
    assert_eq!(
        timed(bytes),
        [media(26, b""), media(52, b""), media(53, b"a")]
    );
}

#[test]
fn types_1_and_2_may_continue_a_message_of_the_same_length() {
    let payload = [b'v'; 130];
    for header in [b"\x46\0\0\x21\0\0\x82\x09".as_slice(), b"\x86\0\0\x21"] {
        let bytes = [
            b"\x06\0\0\x0A\0\0\x82\x09\x01\0\0\0".as_slice(),
            &payload[..128],
            header,
            b"vv",
        ]
        .concat();
        assert_eq!(timed(&bytes), [media(10, &payload)]);
    }
}

/// A length that changes in the middle of a message caused a buffer overflow in ffmpeg (CVE-2016-10191).
#[test]
fn another_length_in_the_middle_of_a_message_is_refused() {
    for (header, type_name) in [
        (b"\x06\0\0\x0A\0\x01\0\x09\x01\0\0\0".as_slice(), "type 0"),
        (b"\x46\0\0\x0A\0\x01\0\x09", "type 1"),
        // Another type, and a full header that changes nothing.
        (b"\x46\0\0\x0A\0\0\x82\x08", "type 1"),
        (b"\x06\0\0\x0A\0\0\x82\x09\x01\0\0\0", "type 0"),
    ] {
        let bytes = [
            b"\x06\0\0\x0A\0\0\x82\x09\x01\0\0\0".as_slice(),
            &[b'v'; 128],
            header,
        ]
        .concat();
        assert_eq!(
            error(&bytes),
            format!(
                "chunk of {type_name} on chunk stream 6 in the middle of a message of 130 bytes, \
                 expected type 3"
            )
        );
    }
}
