//! AMF0 and AMF3: values, and metadata.

use super::*;

/// What was read can be written, and reads as the same again. It equals what a simpler decoder
/// reads, wherever the message is cut in two.
pub fn amf0(data: &[u8]) {
    for missing_end in [MissingEnd::Refused, MissingEnd::Tolerated] {
        compare(data, missing_end);
    }
    let Ok(values) = amf0::parse(data, MissingEnd::Tolerated) else {
        return;
    };
    let bytes = emit(&values);
    // Compared as bytes, since NaN isn't equal to itself.
    let again = amf0::parse(&bytes, MissingEnd::Refused).expect("what was emitted parses");
    assert_eq!(emit(&again), bytes);
    let _ = Command::parse(data);
}

/// The server's reader and the simple decoder must find the same.
fn compare(data: &[u8], missing_end: MissingEnd) {
    let expected = tree::parse(data, missing_end == MissingEnd::Tolerated);
    let middle = data.len() / 2;
    for cut in [0, 1, 2, 3, 5, middle, data.len().saturating_sub(1)] {
        let (left, right) = data.split_at(cut.min(data.len()));
        let parts = Parts::new([left, right]).expect("two are few");
        let mut reader = Reader::tolerating(parts.bytes(), missing_end);
        for value in &expected.values {
            let read = reader.next_value().expect("the decoder read it");
            let read = read.expect("the decoder read it");
            assert_eq!(
                emit(&[read]),
                emit(std::slice::from_ref(value)),
                "cut at {cut}"
            );
        }
        let rest = reader.next_value();
        assert_eq!(
            rest.is_err(),
            expected.is_cut_short,
            "cut at {cut}: {rest:?}"
        );
        assert!(!matches!(rest, Ok(Some(_))), "cut at {cut}: {rest:?}");
    }
}

/// A value in AMF3. What it decodes to is written in AMF3 and in AMF0, and must read back the same.
pub fn amf3(data: &[u8]) {
    let avmplus = [&[0x11], data].concat();
    compare(&avmplus, MissingEnd::Refused);
    let mut reader = Reader::new(avmplus.as_slice().into());
    let value = match reader.next_value() {
        Ok(Some(value)) => value,
        Ok(None) => unreachable!("there is a marker"),
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
            return;
        }
    };
    let mut again = Vec::new();
    amf0::emit_avmplus(&value, &mut again);
    for bytes in [again, emit(std::slice::from_ref(&value))] {
        let read = amf0::parse(&bytes, MissingEnd::Refused).expect("what was emitted parses");
        assert_eq!(emit(&read), emit(std::slice::from_ref(&value)));
    }
}

fn emit(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    values.iter().for_each(|value| value.emit(&mut bytes));
    bytes
}

/// The first byte says which tracks there are, the rest are values. Players must be sent one ECMA
/// array with the right count, never too long, and filtering it again must change nothing.
pub fn metadata(data: &[u8]) {
    let Some((&tracks, bytes)) = data.split_first() else {
        return;
    };
    let Ok(values) = amf0::parse(bytes, MissingEnd::Tolerated) else {
        return;
    };
    let track = |bit: u8| (tracks & bit != 0).then_some(tracks & (bit << 1) != 0);
    let (has_audio, has_video) = (track(1), track(4));
    for value in values {
        let bytes = emit(&[value]);
        let Some(properties) = Properties::of(&bytes) else {
            continue;
        };
        let made = rtmp_metadata::for_players(&properties, has_audio, has_video);
        assert!(made.len() <= rtmp_metadata::MAX_LEN, "{} bytes", made.len());
        let read = amf0::parse(&made, MissingEnd::Refused).expect("players can parse it");
        let [Value::String(name), Value::EcmaArray(safe)] = read.as_slice() else {
            panic!("expected onMetaData and an ECMA array: {read:?}")
        };
        assert_eq!(name, "onMetaData");
        assert_eq!(made[14..18], (safe.len() as u32).to_be_bytes());
        let again = rtmp_metadata::parse(made.as_slice().into()).expect("it is metadata");
        let again = again.expect("it has properties");
        assert_eq!(
            rtmp_metadata::for_players(&again, has_audio, has_video),
            made
        );
    }
}
