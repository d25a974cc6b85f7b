//! Extended timestamps, deltas, and wrapping.

use super::*;

#[test]
fn timestamps_from_ffffff_on_are_extended_and_repeated_or_omitted() {
    let payload = [b'v'; 200];
    for (field, extended, timestamp) in [
        (b"\xFF\xFF\xFE", b"".as_slice(), 0xFF_FFFE),
        (b"\xFF\xFF\xFF", b"\0\xFF\xFF\xFF", 0xFF_FFFF),
        (b"\xFF\xFF\xFF", b"\x01\0\0\0", 0x100_0000),
        (b"\xFF\xFF\xFF", b"\xFF\xFF\xFF\xFF", 0xFFFF_FFFF),
        // Unnecessary, but some senders do it.
        (b"\xFF\xFF\xFF", b"\0\0\0\x1A", 26),
    ] {
        for repeated in [extended, b""] {
            let bytes = [
                b"\x06".as_slice(),
                field,
                b"\0\0\xC8\x09\x01\0\0\0",
                extended,
                &payload[..128],
                b"\xC6",
                repeated,
                &payload[..72],
            ]
            .concat();
            assert_eq!(timed(&bytes), [media(timestamp, &payload)]);
        }
    }
}

#[test]
fn a_new_message_of_type_3_repeats_or_omits_the_extended_timestamp() {
    for repeated in [b"\x01\0\0\0".as_slice(), b""] {
        let after_0 = [
            b"\x06\xFF\xFF\xFF\0\0\x05\x09\x01\0\0\0\x01\0\0\0hello".as_slice(),
            b"\xC6",
            repeated,
            b"world",
        ]
        .concat();
        assert_eq!(
            timed(&after_0),
            [media(0x100_0000, b"hello"), media(0x200_0000, b"world")]
        );
        // After types 1 and 2 the extended timestamp is a delta.
        for header in [
            b"\x46\xFF\xFF\xFF\0\0\x05\x09".as_slice(),
            b"\x86\xFF\xFF\xFF",
        ] {
            let bytes = [
                b"\x06\0\0\x0A\0\0\x05\x09\x01\0\0\0first".as_slice(),
                header,
                b"\x01\0\0\0hello",
                b"\xC6",
                repeated,
                b"world",
            ]
            .concat();
            assert_eq!(
                timed(&bytes),
                [
                    media(10, b"first"),
                    media(0x100_000A, b"hello"),
                    media(0x200_000A, b"world")
                ]
            );
        }
    }
}

#[test]
fn a_continuation_may_repeat_the_timestamp_where_the_header_had_a_delta() {
    let payload = [b'v'; 130];
    for repeated in [b"\x01\0\0\0", b"\x01\0\0\x0A"] {
        let bytes = [
            b"\x06\0\0\x0A\0\0\x82\x09\x01\0\0\0".as_slice(),
            &payload[..128],
            b"\xC6vv",
            b"\x46\xFF\xFF\xFF\0\0\x82\x09\x01\0\0\0",
            &payload[..128],
            b"\xC6",
            repeated,
            b"vv",
        ]
        .concat();
        assert_eq!(
            timed(&bytes),
            [media(10, &payload), media(0x100_000A, &payload)]
        );
    }
}

#[test]
fn a_short_payload_after_an_omitted_timestamp_waits_for_nothing() {
    // Fewer than four bytes of the message are left, and another chunk's header follows.
    for short in [
        b"".as_slice(),
        b"x",
        b"xy",
        b"xyz",
        b"\x01",
        b"\x01\0",
        b"\x01\0\0",
    ] {
        let len = [short.len() as u8];
        let bytes = [
            b"\x06\xFF\xFF\xFF\0\0".as_slice(),
            &len,
            b"\x09\x01\0\0\0\x01\0\0\0",
            short,
            b"\xC6",
            short,
            b"\x04\0\0\x1A\0\0\x02\x08\x01\0\0\0ab",
        ]
        .concat();
        assert_eq!(
            timed(&bytes),
            [
                media(0x100_0000, short),
                media(0x200_0000, short),
                media(26, b"ab")
            ]
        );
    }
}

#[test]
fn payload_that_resembles_the_omitted_timestamp_is_payload() {
    for rest in [b"\x01wxyz", b"\x01\x02xyz", b"\x01\x02\x03yz"] {
        let payload = [[b'v'; 128].as_slice(), rest].concat();
        let bytes = [
            b"\x06\xFF\xFF\xFF\0\0\x85\x09\x01\0\0\0\x01\x02\x03\x04".as_slice(),
            &payload[..128],
            b"\xC6",
            rest,
        ]
        .concat();
        assert_eq!(timed(&bytes), [media(0x0102_0304, &payload)]);
    }
}

#[test]
fn a_chunk_stream_remembers_whether_extended_timestamps_are_repeated() {
    let header = b"\x06\xFF\xFF\xFF\0\0\x85\x09\x01\0\0\0\x01\x02\x03\x04".as_slice();
    let first = [b'v'; 128].as_slice();
    let like = [first, b"\x01\x02\x03\x04!"].concat();
    let unlike = [first, b"other"].concat();
    // A sender that omits the repetition: later, the same four bytes are payload.
    let omits = [
        header,
        first,
        b"\xC6other",
        header,
        first,
        b"\xC6\x01\x02\x03\x04!",
    ]
    .concat();
    assert_eq!(
        timed(&omits),
        [media(0x0102_0304, &unlike), media(0x0102_0304, &like)]
    );
    // A sender that repeats the timestamp: payload that looks like it follows it.
    let repeats = [
        header,
        first,
        b"\xC6\x01\x02\x03\x04other",
        header,
        first,
        b"\xC6\x01\x02\x03\x04\x01\x02\x03\x04!",
    ]
    .concat();
    assert_eq!(
        timed(&repeats),
        [media(0x0102_0304, &unlike), media(0x0102_0304, &like)]
    );
}

#[test]
fn a_timestamp_that_is_known_to_be_repeated_is_skipped_unread() {
    // From the third message on, the sender repeats a timestamp of its own.
    let bytes = [
        b"\x06\xFF\xFF\xFF\0\0\x01\x09\x01\0\0\0\x01\0\0\0a".as_slice(),
        b"\xC6\x01\0\0\0b",
        b"\xC6\x03\0\0\0c",
    ]
    .concat();
    assert_eq!(
        timed(&bytes),
        [
            media(0x100_0000, b"a"),
            media(0x200_0000, b"b"),
            media(0x300_0000, b"c")
        ]
    );
}

#[test]
fn bytes_put_back_for_one_chunk_stream_may_begin_anothers_chunk() {
    // The bytes that resemble the timestamp of chunk stream 6 are a payload of one byte, the next
    // header, and the payload of chunk stream 4, which omits its timestamp as well.
    let bytes = [
        b"\x04\xFF\xFF\xFF\0\0\x02\x08\x01\0\0\0\x09\0\0\0aa".as_slice(),
        b"\x06\xFF\xFF\xFF\0\0\x01\x09\x01\0\0\0\x01\xC4\xAA\x55v",
        b"\xC6\x01",
        b"\xC4\xAA\x56",
    ]
    .concat();
    assert_eq!(
        timed(&bytes)[2..],
        [media(0x0389_54AA, b"\x01"), media(0x1200_0000, b"\xAA\x56")]
    );
}

#[test]
fn a_continuation_of_type_1_ends_the_repetition_too() {
    let payload = [b'v'; 512];
    let bytes = [
        b"\x06\xFF\xFF\xFF\0\x02\0\x09\x01\0\0\0\x01\0\0\0".as_slice(),
        &payload[..128],
        b"\xC6\x01\0\0\0",
        &payload[..128],
        b"\x46\0\0\0\0\x02\0\x09",
        &payload[..128],
        b"\xC6",
        &payload[..128],
    ]
    .concat();
    assert_eq!(timed(&bytes), [media(0x100_0000, &payload)]);
}

#[test]
fn a_header_without_extended_timestamp_ends_the_repetition() {
    let bytes = [
        b"\x06\xFF\xFF\xFF\0\0\x01\x09\x01\0\0\0\x01\0\0\0a".as_slice(),
        b"\xC6\x01\0\0\0b",
        b"\x86\0\0\x05c",
        b"\xC6d",
    ]
    .concat();
    assert_eq!(
        timestamps(&bytes),
        [0x100_0000, 0x200_0000, 0x200_0005, 0x200_000A]
    );
}

#[test]
fn timestamps_wrap_at_2_to_the_32() {
    let bytes = [
        b"\x06\xFF\xFF\xFF\0\0\x01\x09\x01\0\0\0\xFF\xFF\xFF\xF0a".as_slice(),
        b"\x86\0\0\x20b",
        b"\xC6c",
    ]
    .concat();
    assert_eq!(timestamps(&bytes), [0xFFFF_FFF0, 0x10, 0x30]);
}

#[test]
fn a_negative_delta_goes_back() {
    // GStreamer sends -20 as an extended delta.
    let bytes = [
        b"\x06\0\0\x64\0\0\x01\x09\x01\0\0\0a".as_slice(),
        b"\x86\xFF\xFF\xFF\xFF\xFF\xFF\xECb",
        b"\xC6\xFF\xFF\xFF\xECc",
    ]
    .concat();
    assert_eq!(timestamps(&bytes), [100, 80, 60]);
}
