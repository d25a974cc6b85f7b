use proptest::prelude::*;

use super::*;
use crate::rtmp::amf0::{self, MAX_DEPTH, MAX_REPEATED_TEXT, MissingEnd, Value};
use crate::rtmp::amf3::{emit, emit_u29};

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn number(number: i32) -> Value {
    Value::Number(number.into())
}

fn pairs<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

/// Decodes a value; also returns the number of bytes after it.
fn decode(bytes: &[u8]) -> Result<(Value, usize), Error> {
    let mut reader = Reader::new(bytes.into());
    reader.tables.is_reading = true;
    let token = reader.value_amf3(Name::None, 0)?.token;
    let value = reader.tree(token)?;
    Ok((value, reader.bytes.len()))
}

fn read(bytes: &[u8]) -> Result<Value, Error> {
    let (value, left) = decode(bytes)?;
    assert_eq!(left, 0, "bytes are left");
    Ok(value)
}

/// Values whose bytes are the same when read and when written.
fn table() -> Vec<(&'static str, &'static [u8], Value)> {
    vec![
        ("undefined", b"\x00", Value::Undefined),
        ("null", b"\x01", Value::Null),
        ("false", b"\x02", Value::Boolean(false)),
        ("true", b"\x03", Value::Boolean(true)),
        ("integer 1", b"\x04\x01", number(1)),
        ("integer 127", b"\x04\x7F", number(127)),
        ("integer 128", b"\x04\x81\x00", number(128)),
        ("integer 16383", b"\x04\xFF\x7F", number(16383)),
        ("integer 16384", b"\x04\x81\x80\x00", number(16384)),
        ("integer 2097151", b"\x04\xFF\xFF\x7F", number(2_097_151)),
        (
            "integer 2097152",
            b"\x04\x80\xC0\x80\x00",
            number(2_097_152),
        ),
        ("the largest", b"\x04\xBF\xFF\xFF\xFF", number(268_435_455)),
        (
            "the smallest",
            b"\x04\xC0\x80\x80\x00",
            number(-268_435_456),
        ),
        ("integer -1", b"\x04\xFF\xFF\xFF\xFF", number(-1)),
        (
            "more than the largest",
            b"\x05\x41\xB0\0\0\0\0\0\0",
            number(268_435_456),
        ),
        ("a half", b"\x05\x3F\xE0\0\0\0\0\0\0", Value::Number(0.5)),
        ("string", b"\x06\x07foo", text("foo")),
        ("empty string", b"\x06\x01", text("")),
        ("string in UTF-8", b"\x06\x05\xC3\xB6", text("\u{f6}")),
        ("XML", b"\x07\x09<a/>", Value::XmlDocument("<a/>".into())),
        ("date", b"\x08\x01\0\0\0\0\0\0\0\0", Value::Date(0.0)),
        (
            "array",
            b"\x09\x05\x01\x01\x03",
            Value::StrictArray(vec![Value::Null, Value::Boolean(true)]),
        ),
        ("empty array", b"\x09\x01\x01", Value::StrictArray(vec![])),
        (
            "array with names",
            b"\x09\x01\x03a\x04\x01\x01",
            Value::EcmaArray(pairs([("a", number(1))])),
        ),
        (
            "object",
            b"\x0A\x0B\x01\x03a\x04\x01\x01",
            Value::Object(pairs([("a", number(1))])),
        ),
        ("empty object", b"\x0A\x0B\x01\x01", Value::Object(vec![])),
        (
            "object in an array in an object",
            b"\x0A\x0B\x01\x03a\x09\x03\x01\x0A\x0B\x01\x01\x01",
            Value::Object(pairs([(
                "a",
                Value::StrictArray(vec![Value::Object(vec![])]),
            )])),
        ),
        (
            "byte array",
            b"\x0C\x05\xFF\x00",
            Value::ByteArray(vec![0xFF, 0]),
        ),
    ]
}

/// Values that can be read from other bytes than those that are written.
fn other_forms() -> Vec<(&'static str, &'static [u8], Value)> {
    let numbers =
        |numbers: &[f64]| Value::StrictArray(numbers.iter().copied().map(Value::Number).collect());
    let a = |value| Value::Object(pairs([("a", value)]));
    vec![
        ("integer longer than needed", b"\x04\x80\x80\x01", number(1)),
        ("and in four bytes", b"\x04\x80\x80\x80\x01", number(1)),
        ("XML of E4X", b"\x0B\x09<a/>", Value::XmlDocument("<a/>".into())),
        (
            "a string again",
            b"\x09\x05\x01\x06\x07foo\x06\x00",
            Value::StrictArray(vec![text("foo"), text("foo")]),
        ),
        (
            "names are in the table too, the empty string isn't",
            b"\x0A\x0B\x01\x03a\x06\x01\x05bb\x06\x00\x00\x06\x02\x01",
            Value::Object(pairs([
                ("a", text("")),
                ("bb", text("a")),
                ("a", text("bb")),
            ])),
        ),
        (
            "sealed members",
            b"\x0A\x23\x0FPersona\x03a\x03b\x04\x01\x04\x02",
            Value::Object(pairs([("a", number(1)), ("b", number(2))])),
        ),
        (
            "sealed and dynamic members",
            b"\x0A\x1B\x01\x03a\x04\x01\x03b\x04\x02\x01",
            Value::Object(pairs([("a", number(1)), ("b", number(2))])),
        ),
        (
            "traits again",
            b"\x09\x05\x01\x0A\x13\x03C\x03a\x04\x01\x0A\x01\x04\x02",
            Value::StrictArray(vec![a(number(1)), a(number(2))]),
        ),
        (
            "an object again is null",
            b"\x09\x05\x01\x0A\x0B\x01\x01\x0A\x02",
            Value::StrictArray(vec![Value::Object(vec![]), Value::Null]),
        ),
        (
            "an object in itself is null",
            b"\x0A\x0B\x01\x03a\x0A\x00\x01",
            a(Value::Null),
        ),
        (
            "a date, an array, XML and bytes again are null",
            b"\x09\x11\x01\x08\x01\0\0\0\0\0\0\0\0\x08\x02\x09\x00\x07\x01\x07\x04\x0C\x01\x0C\x06\x0B\x04",
            Value::StrictArray(vec![
                Value::Date(0.0),
                Value::Null,
                Value::Null,
                Value::XmlDocument(String::new()),
                Value::Null,
                Value::ByteArray(vec![]),
                Value::Null,
                Value::Null,
            ]),
        ),
        (
            "array with names and elements",
            b"\x09\x03\x03a\x01\x01\x04\x07",
            Value::EcmaArray(pairs([("a", Value::Null), ("0", number(7))])),
        ),
        (
            "vector of int",
            b"\x0D\x05\x00\0\0\0\x01\xFF\xFF\xFF\xFF",
            numbers(&[1.0, -1.0]),
        ),
        (
            "vector of uint",
            b"\x0E\x03\x01\xFF\xFF\xFF\xFF",
            numbers(&[4_294_967_295.0]),
        ),
        (
            "vector of double",
            b"\x0F\x03\x00\x3F\xE0\0\0\0\0\0\0",
            numbers(&[0.5]),
        ),
        (
            "vector of objects",
            b"\x10\x03\x00\x03*\x0A\x0B\x01\x01",
            Value::StrictArray(vec![Value::Object(vec![])]),
        ),
        (
            "dictionary",
            b"\x11\x07\x00\x06\x03a\x04\x01\x04\x05\x04\x02\x01\x04\x03",
            Value::Object(pairs([("a", number(1)), ("5", number(2))])),
        ),
        (
            "a collection of Flex is what it wraps",
            b"\x0A\x07\x43flex.messaging.io.ArrayCollection\x09\x03\x01\x01",
            Value::StrictArray(vec![Value::Null]),
        ),
    ]
}

#[test]
fn values_have_the_bytes_of_the_specification() {
    for (name, bytes, value) in table() {
        assert_eq!(read(bytes).as_ref(), Ok(&value), "{name}");
        let mut out = Vec::new();
        emit(&value, &mut out);
        assert_eq!(out, bytes, "{name}");
    }
}

#[test]
fn other_forms_are_understood() {
    for (name, bytes, value) in other_forms() {
        assert_eq!(read(bytes), Ok(value), "{name}");
    }
}

#[test]
fn a_value_that_is_cut_off_is_an_error_that_says_where() {
    for (name, bytes, _) in table().into_iter().chain(other_forms()) {
        for len in 0..bytes.len() {
            let error = read(&bytes[..len]).unwrap_err().to_string();
            assert!(error.contains("at byte"), "{name}, {len} bytes: {error}");
        }
    }
}

#[test]
fn errors_say_what_came_and_what_was_expected() {
    for (bytes, expected) in [
        (&b"\x12"[..], "amf3 marker 0x12 at byte 0, expected a value"),
        (
            b"\x06\x02",
            "amf3 reference to string 1 before byte 2, but there are 0",
        ),
        (
            b"\x09\x02",
            "amf3 reference to object 1 before byte 2, but there are 0",
        ),
        (
            b"\x0A\x05",
            "amf3 reference to traits 1 before byte 2, but there are 0",
        ),
        (
            b"\x0A\x07\x09file\x01",
            "amf3 object of class \"file\" at byte 7, which has a format of its own",
        ),
        (
            b"\x06\x7Ffoo",
            "amf3 string of 63 bytes at byte 2, but only 3 are left",
        ),
    ] {
        assert_eq!(read(bytes).unwrap_err().to_string(), expected);
    }
}

/// The largest count, inline.
const HUGE: &[u8] = b"\xFF\xFF\xFF\xFF";

#[test]
fn counts_are_not_believed() {
    for (name, before, after) in [
        ("array", &b"\x09"[..], &b"\x01\x01"[..]),
        ("vector of int", b"\x0D", b"\0\0\0\0\0"),
        ("vector of double", b"\x0F", b"\0\0\0\0\0"),
        ("vector of objects", b"\x10", b"\0\x01\x01"),
        ("dictionary", b"\x11", b"\0\x01\x01"),
        ("byte array", b"\x0C", b"\0"),
        ("XML", b"\x07", b"<"),
        // A dynamic class with 2^25 members (CVE-2015-8271).
        ("members", b"\x0A", b"\x01\x03a"),
    ] {
        // The lowest bits of a member count stand for an inline, not externalizable class.
        let count = if name == "members" {
            b"\xFF\xFF\xFF\xFB".as_slice()
        } else {
            HUGE
        };
        let bytes = [before, count, after].concat();
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{name}: {error}");
    }
}

#[test]
fn hostile_depth_ends_at_the_limit() {
    for (name, level) in [
        ("array", &b"\x09\x03\x01"[..]),
        ("object", b"\x0A\x0B\x01\x03a"),
        ("vector", b"\x10\x03\x00\x01"),
        ("dictionary", b"\x11\x03\x00"),
        ("wrapper", b"\x0A\x07\x43flex.messaging.io.ArrayCollection"),
    ] {
        let error = read(&level.repeat(100_000)).unwrap_err().to_string();
        assert_eq!(
            error, "depth of amf values: 17 exceeds the limit of 16",
            "{name}"
        );
    }
}

#[test]
fn depth_and_number_of_values_count_across_both_formats() {
    // AMF0 arrays of one value, then AMF3 arrays.
    let mixed = |levels: usize| {
        let amf0 = b"\x0A\0\0\0\x01".repeat(levels);
        [amf0, b"\x11".to_vec(), b"\x09\x03\x01".repeat(8), vec![1]].concat()
    };
    assert!(amf0::parse(&mixed(7), MissingEnd::Refused).is_ok());
    assert!(amf0::parse(&mixed(8), MissingEnd::Refused).is_err());

    let array = |count: u32| {
        let mut bytes = b"\x11\x09".to_vec();
        emit_u29(count << 1 | 1, &mut bytes);
        bytes.push(1);
        bytes.resize(bytes.len() + count as usize, 1);
        bytes
    };
    let two = [array(4000), array(4000)].concat();
    assert_eq!(amf0::parse(&two, MissingEnd::Refused).unwrap().len(), 2);
    let three = [two, array(4000)].concat();
    let error = amf0::parse(&three, MissingEnd::Refused).unwrap_err();
    assert_eq!(
        error.to_string(),
        "amf values in a message: 8193 exceeds the limit of 8192"
    );
}

#[test]
fn the_numbers_of_a_vector_lie_as_deep_as_other_elements() {
    for (empty, one) in [
        (&b"\x0D\x01\0"[..], &b"\x0D\x03\0\0\0\0\x01"[..]),
        (b"\x0E\x01\0", b"\x0E\x03\0\0\0\0\x01"),
        (b"\x0F\x01\0", b"\x0F\x03\0\0\0\0\0\0\0\0\0"),
    ] {
        let inside =
            |levels: usize, vector: &[u8]| [&b"\x09\x03\x01".repeat(levels), vector].concat();
        assert!(read(&inside(MAX_DEPTH - 1, empty)).is_ok());
        assert!(read(&inside(MAX_DEPTH - 2, one)).is_ok());
        assert_eq!(
            read(&inside(MAX_DEPTH - 1, one)).unwrap_err().to_string(),
            "depth of amf values: 17 exceeds the limit of 16"
        );
    }
}

#[test]
fn a_value_after_avmplus_counts_once() {
    let many = Value::StrictArray(vec![Value::ByteArray(vec![]); 8000]);
    let mut bytes = Vec::new();
    many.emit(&mut bytes);
    assert_eq!(amf0::parse(&bytes, MissingEnd::Refused), Ok(vec![many]));
}

/// Encodes bytes with their length in front.
fn inline(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    emit_u29((bytes.len() as u32) << 1 | 1, &mut out);
    [&out, bytes].concat()
}

const TOO_MUCH_REPEATED: &str =
    "bytes that amf3 references repeat: 131073 exceeds the limit of 131072";

#[test]
fn small_messages_do_not_become_large() {
    // A string of 32 KiB, repeated many times.
    let string = inline(&[b'x'; MAX_REPEATED_TEXT / 4]);
    let repeated = |times: usize| {
        let mut bytes = b"\x09".to_vec();
        emit_u29((times as u32 + 1) << 1 | 1, &mut bytes);
        [
            &bytes,
            &b"\x01\x06"[..],
            &string,
            &b"\x06\x00".repeat(times),
        ]
        .concat()
    };
    assert!(read(&repeated(4)).is_ok());
    let error = read(&repeated(5)).unwrap_err();
    assert_eq!(error.to_string(), TOO_MUCH_REPEATED);
    // The limit applies to the message, not to each value.
    let apart = |times| [b"\x11", repeated(2).as_slice()].concat().repeat(times);
    assert!(amf0::parse(&apart(2), MissingEnd::Refused).is_ok());
    let error = amf0::parse(&apart(3), MissingEnd::Refused).unwrap_err();
    assert_eq!(error.to_string(), TOO_MUCH_REPEATED);
    // Objects of one class, whose only member has a name of 32 KiB.
    let objects = |times: usize| {
        let mut bytes = b"\x09".to_vec();
        emit_u29((times as u32 + 1) << 1 | 1, &mut bytes);
        let first = [b"\x01\x0A\x13\x01", string.as_slice(), b"\x01"].concat();
        [bytes, first, b"\x0A\x01\x01".repeat(times)].concat()
    };
    assert!(read(&objects(4)).is_ok());
    let error = read(&objects(5)).unwrap_err();
    assert_eq!(error.to_string(), TOO_MUCH_REPEATED);
    // Member names that are all references to the same string.
    let mut bytes = b"\x0A".to_vec();
    emit_u29(9000 << 4 | 3, &mut bytes);
    bytes.extend(b"\x03a\x03b");
    bytes.extend(b"\x00".repeat(20_000));
    assert_eq!(
        read(&bytes).unwrap_err().to_string(),
        "amf values in a message: 8193 exceeds the limit of 8192"
    );
}

#[test]
fn avmplus_holds_for_one_value_and_its_tables_for_no_longer() {
    let bytes = b"\x11\x06\x07foo\x05\x11\x04\x01";
    assert_eq!(
        amf0::parse(bytes, MissingEnd::Refused).unwrap(),
        [text("foo"), Value::Null, number(1)]
    );
    let error = amf0::parse(b"\x11\x06\x07foo\x11\x06\x00", MissingEnd::Refused);
    assert_eq!(
        error.unwrap_err().to_string(),
        "amf3 reference to string 0 before byte 9, but there are 0"
    );
    // In an AMF0 object, too.
    let bytes = b"\x03\0\x01a\x11\x0A\x0B\x01\x01\0\x01b\x05\0\0\x09";
    assert_eq!(
        amf0::parse(bytes, MissingEnd::Refused).unwrap(),
        [Value::Object(pairs([
            ("a", Value::Object(vec![])),
            ("b", Value::Null)
        ]))]
    );
}

#[test]
fn a_byte_array_survives_amf0() {
    let value = Value::StrictArray(vec![Value::ByteArray(vec![1, 2, 3])]);
    let mut out = Vec::new();
    value.emit(&mut out);
    assert_eq!(out, b"\x0A\0\0\0\x01\x11\x0C\x07\x01\x02\x03");
    assert_eq!(amf0::parse(&out, MissingEnd::Refused).unwrap(), [value]);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(Value::Undefined),
        any::<bool>().prop_map(Value::Boolean),
        any::<i32>().prop_map(|integer| Value::Number(integer.into())),
        proptest::num::f64::NORMAL.prop_map(Value::Number),
        ".{0,12}".prop_map(Value::String),
        proptest::num::f64::NORMAL.prop_map(Value::Date),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(Value::ByteArray),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let named = proptest::collection::vec((".{1,6}", inner.clone()), 1..5);
        prop_oneof![
            named.clone().prop_map(Value::Object),
            named.prop_map(Value::EcmaArray),
            proptest::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        let mut out = Vec::new();
        emit(&value, &mut out);
        prop_assert_eq!(read(&out), Ok(value));
    }

    #[test]
    fn arbitrary_bytes_are_a_value_or_an_error(
        bytes in proptest::collection::vec(
            prop_oneof![0_u8..0x13, any::<u8>()], 0..200)
    ) {
        if let Ok((value, left)) = decode(&bytes) {
            prop_assert!(left < bytes.len());
            let mut out = Vec::new();
            emit(&value, &mut out);
            // NaN isn't equal to itself.
            prop_assert_eq!(format!("{:?}", read(&out).unwrap()), format!("{value:?}"));
        }
    }

    #[test]
    fn integers_of_29_bits_read_back(integer in -(1_i32 << 28)..1 << 28) {
        let value = Value::Number(integer.into());
        let mut out = Vec::new();
        emit(&value, &mut out);
        prop_assert_eq!(out[0], 4);
        prop_assert_eq!(read(&out), Ok(value));
    }
}
