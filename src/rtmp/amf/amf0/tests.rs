use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn pairs<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

/// Values whose bytes are the same when read and when written.
fn table() -> Vec<(&'static str, &'static [u8], Value)> {
    vec![
        ("number 1", b"\x00\x3F\xF0\0\0\0\0\0\0", Value::Number(1.0)),
        (
            "number -0.5",
            b"\x00\xBF\xE0\0\0\0\0\0\0",
            Value::Number(-0.5),
        ),
        ("true", b"\x01\x01", Value::Boolean(true)),
        ("false", b"\x01\x00", Value::Boolean(false)),
        ("string", b"\x02\0\x03foo", text("foo")),
        ("empty string", b"\x02\0\0", text("")),
        ("string in UTF-8", b"\x02\0\x02\xC3\xB6", text("\u{f6}")),
        (
            "object",
            b"\x03\0\x05level\x02\0\x06status\0\0\x09",
            Value::Object(pairs([("level", text("status"))])),
        ),
        ("empty object", b"\x03\0\0\x09", Value::Object(vec![])),
        (
            "object with a property that has no name",
            b"\x03\0\0\x01\x01\0\x01a\x05\0\0\x09",
            Value::Object(pairs([("", Value::Boolean(true)), ("a", Value::Null)])),
        ),
        (
            "objects in objects",
            b"\x03\0\x01a\x03\0\x01b\x03\0\0\x09\0\0\x09\0\x01c\x05\0\0\x09",
            Value::Object(pairs([
                ("a", Value::Object(pairs([("b", Value::Object(vec![]))]))),
                ("c", Value::Null),
            ])),
        ),
        ("null", b"\x05", Value::Null),
        ("undefined", b"\x06", Value::Undefined),
        (
            "ECMA array",
            b"\x08\0\0\0\x01\0\x01a\x00\x3F\xF0\0\0\0\0\0\0\0\0\x09",
            Value::EcmaArray(pairs([("a", Value::Number(1.0))])),
        ),
        (
            "strict array",
            b"\x0A\0\0\0\x02\x05\x01\x01",
            Value::StrictArray(vec![Value::Null, Value::Boolean(true)]),
        ),
        ("date", b"\x0B\0\0\0\0\0\0\0\0\0\0", Value::Date(0.0)),
        (
            "XML document",
            b"\x0F\0\0\0\x04<a/>",
            Value::XmlDocument("<a/>".into()),
        ),
    ]
}

fn read(bytes: &[u8]) -> Result<Value, Error> {
    let mut values = parse(bytes, MissingEnd::Refused)?;
    assert_eq!(values.len(), 1);
    Ok(values.remove(0))
}

#[test]
fn values_are_read_and_written_with_the_same_bytes() {
    for (name, bytes, value) in table() {
        assert_eq!(read(bytes).as_ref(), Ok(&value), "{name}");
        let mut out = Vec::new();
        value.emit(&mut out);
        assert_eq!(out, bytes, "{name}");
    }
}

#[test]
fn forms_that_are_never_written_are_still_read() {
    let a = || pairs([("a", Value::Number(1.0))]);
    let rows: &[(&str, &[u8], Value)] = &[
        (
            "ECMA array with count 0",
            b"\x08\0\0\0\0\0\x01a\x00\x3F\xF0\0\0\0\0\0\0\0\0\x09",
            Value::EcmaArray(a()),
        ),
        (
            "ECMA array with count 4294967295",
            b"\x08\xFF\xFF\xFF\xFF\0\x01a\x00\x3F\xF0\0\0\0\0\0\0\0\0\x09",
            Value::EcmaArray(a()),
        ),
        (
            "typed object",
            b"\x10\0\x01X\0\x01a\x00\x3F\xF0\0\0\0\0\0\0\0\0\x09",
            Value::Object(a()),
        ),
        ("short long string", b"\x0C\0\0\0\x03foo", text("foo")),
        ("reference", b"\x07\0\0", Value::Null),
        ("unsupported", b"\x0D", Value::Undefined),
        ("boolean 2", b"\x01\x02", Value::Boolean(true)),
        (
            "date with a time zone",
            b"\x0B\0\0\0\0\0\0\0\0\xFF\x88",
            Value::Date(0.0),
        ),
        (
            "string that isn't UTF-8",
            b"\x02\0\x02a\xFF",
            text("a\u{fffd}"),
        ),
    ];
    for (name, bytes, value) in rows {
        assert_eq!(read(bytes).as_ref(), Ok(value), "{name}");
    }
}

#[test]
fn a_message_cut_anywhere_inside_a_value_is_refused() {
    for (name, bytes, _) in table() {
        for len in 1..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{name}, {len} bytes");
        }
    }
}

#[test]
fn errors_say_what_came_and_what_was_expected() {
    let rows: &[(&[u8], &str)] = &[
        (
            b"\x02\xFF\xFFab",
            "amf0 string of 65535 bytes at byte 3, but only 2 are left",
        ),
        (
            b"\x05\x00\x01",
            "amf0 number of 8 bytes at byte 2, but only 1 are left",
        ),
        (
            b"\x03\0\x01a",
            "amf0 marker of 1 bytes at byte 4, but only 0 are left",
        ),
        (
            b"\x0C\xFF\xFF\xFF\xFF",
            "amf0 long string of 4294967295 bytes at byte 5, but only 0 are left",
        ),
        (
            b"\x0A\xFF\xFF\xFF\xFF\x05",
            "strict array of 4294967295 values at byte 1, but only 1 bytes are left",
        ),
        (b"\x09", "amf0 marker 0x09 at byte 0, expected a value"),
        (b"\x04", "amf0 marker 0x04 at byte 0, expected a value"),
        (b"\x05\x12", "amf0 marker 0x12 at byte 1, expected a value"),
        (b"\x11\x12", "amf3 marker 0x12 at byte 1, expected a value"),
    ];
    for (bytes, message) in rows {
        let error = parse(bytes, MissingEnd::Refused).unwrap_err();
        assert_eq!(error.to_string(), *message);
    }
}

#[test]
fn a_missing_end_is_tolerated_only_where_asked_and_only_at_the_end() {
    let cut = b"\x08\0\0\0\x14\0\x01a\x03\0\x01b\x05";
    assert!(parse(cut, MissingEnd::Refused).is_err());
    let inner = Value::Object(pairs([("b", Value::Null)]));
    let values = parse(cut, MissingEnd::Tolerated).unwrap();
    assert_eq!(values, [Value::EcmaArray(pairs([("a", inner)]))]);
    for len in [cut.len() - 1, cut.len() - 2, cut.len() - 3] {
        assert!(parse(&cut[..len], MissingEnd::Tolerated).is_err());
    }
}

#[test]
fn the_values_before_an_undecodable_one_count() {
    let mut decoder = Reader::new(b"\x02\0\x04play\x05\x12\x05\x05"[..].into());
    assert_eq!(decoder.next_value(), Ok(Some(text("play"))));
    assert_eq!(decoder.next_value(), Ok(Some(Value::Null)));
    assert!(decoder.next_value().is_err());
    assert_eq!(decoder.next_value(), Ok(None));
}

#[test]
fn hostile_depth_ends_at_the_limit() {
    for opening in [
        &b"\x03\0\x01a"[..],
        b"\x08\0\0\0\0\0\x01a",
        b"\x0A\0\0\0\x01",
        b"\x10\0\0\0\0",
    ] {
        for missing_end in [MissingEnd::Refused, MissingEnd::Tolerated] {
            let error = parse(&opening.repeat(100_000), missing_end).unwrap_err();
            assert_eq!(
                error.to_string(),
                "depth of amf values: 17 exceeds the limit of 16"
            );
        }
    }
    let mut bytes = b"\x0A\0\0\0\x01".repeat(MAX_DEPTH - 1);
    bytes.push(marker::NULL);
    assert!(read(&bytes).is_ok());
}

#[test]
fn a_flood_of_values_ends_at_the_limit() {
    assert_eq!(
        parse(&[marker::NULL; MAX_VALUES], MissingEnd::Refused)
            .unwrap()
            .len(),
        MAX_VALUES
    );
    let error = parse(&[marker::NULL; MAX_VALUES + 1], MissingEnd::Refused).unwrap_err();
    assert_eq!(
        error.to_string(),
        "amf values in a message: 8193 exceeds the limit of 8192"
    );
    let mut nested = b"\x0A\0\x01\0\0".to_vec();
    nested.resize(70_000, marker::NULL);
    assert!(parse(&nested, MissingEnd::Refused).is_err());
}

#[test]
fn strings_too_long_for_their_length_field_are_still_readable() {
    let long = "\u{f6}".repeat(40_000);
    let mut out = Vec::new();
    text(&long).emit(&mut out);
    assert_eq!(out[..5], [marker::LONG_STRING, 0, 1, 0x38, 0x80]);
    assert_eq!(read(&out), Ok(text(&long)));

    let mut out = Vec::new();
    Value::Object(vec![(long, Value::Null)]).emit(&mut out);
    let Ok(Value::Object(properties)) = read(&out) else {
        panic!()
    };
    assert_eq!(properties[0].0.len(), 65534);
}

#[test]
fn accessors_take_what_clients_send_instead() {
    assert_eq!(Value::Boolean(true).as_f64(), Some(1.0));
    assert_eq!(text(" 7 ").as_f64(), Some(7.0));
    assert_eq!(text("door").as_f64(), None);
    assert_eq!(Value::Number(-1.0).as_bool(), Some(true));
    assert_eq!(Value::Number(f64::NAN).as_bool(), Some(false));
    assert_eq!(text("true").as_bool(), None);
    assert_eq!(Value::Null.as_str(), None);

    let twice = Value::Object(pairs([
        ("a", Value::Null),
        ("b", Value::Null),
        ("a", text("last")),
    ]));
    assert_eq!(twice.property("a"), Some(&text("last")));
    assert_eq!(twice.property("c"), None);
    assert_eq!(Value::Null.property("a"), None);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-1e12..1e12).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        (-1e12..1e12).prop_map(Value::Date),
        ".{0,20}".prop_map(Value::XmlDocument),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let pairs = || prop::collection::vec((".{0,8}", inner.clone()), 0..6);
        prop_oneof![
            pairs().prop_map(Value::Object),
            pairs().prop_map(Value::EcmaArray),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(values in prop::collection::vec(any_value(), 0..4)) {
        let mut out = Vec::new();
        for value in &values {
            value.emit(&mut out);
        }
        prop_assert_eq!(parse(&out, MissingEnd::Refused), Ok(values));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        markers in prop::collection::vec(prop_oneof![0u8..0x13, Just(0), any::<u8>()], 0..300),
    ) {
        let _ = parse(&markers, MissingEnd::Refused);
        if let Ok(values) = parse(&markers, MissingEnd::Tolerated) {
            let mut out = Vec::new();
            values.iter().for_each(|value| value.emit(&mut out));
            prop_assert!(parse(&out, MissingEnd::Refused).is_ok());
        }
    }
}
