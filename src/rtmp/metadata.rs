//! Metadata: what a publisher says about its stream, and for players reduced to what every player
//! survives.
//!
//! Players are strict where publishers are not. ffmpeg (and with it mpv and VLC) ends the play on
//! an undefined value, on a name of 128 bytes or more, on bytes after the end; it takes metadata
//! only as an ECMA array, and waits for a track that `audiocodecid` or `videocodecid` announces.
//! So nothing of the publisher's bytes is relayed: the values are filtered and written anew.
//!
//! ```text
//! 02 00 0A 6F 6E 4D 65 74 61 44 61 74 61         "onMetaData"
//! 08 00 00 00 01                                 ECMA array, one property
//!    00 05 77 69 64 74 68  00 40 9E 00 ...       "width", 1920
//!    00 00 09                                    end
//! ```

use super::amf0::{self, Encoder, Value};

/// Longest payload that is made, in bytes.
pub const MAX_LEN: usize = 16 * 1024;

/// Properties of one object.
const MAX_PROPERTIES: usize = 256;

/// Objects in objects, the outermost counted.
const MAX_DEPTH: usize = 4;

/// ffmpeg reads names into a buffer of 128 bytes, with a terminating zero.
const MAX_NAME_LEN: usize = 127;

/// ffmpeg reads strings into a buffer of 1024 bytes, with a terminating zero.
const MAX_STRING_LEN: usize = 1023;

/// Properties that announce or describe the audio track.
const AUDIO_NAMES: &[&str] = &[
    "audiocodecid",
    "audiodatarate",
    "audiosamplerate",
    "audiosamplesize",
    "audiochannels",
    "audiodelay",
    "audioTrackIdInfoMap",
    "hasAudio",
    "stereo",
];

/// Properties that announce or describe the video track.
const VIDEO_NAMES: &[&str] = &[
    "videocodecid",
    "videodatarate",
    "framerate",
    "fps",
    "width",
    "height",
    "displayWidth",
    "displayHeight",
    "videoTrackIdInfoMap",
    "hasVideo",
];

/// The payload of an `onMetaData` message for players.
///
/// `has_audio` and `has_video` are `Some(false)` once it is known that the track is absent
/// whatever the metadata promise; its properties are then left out.
pub fn for_players(
    properties: &[(String, Value)],
    has_audio: Option<bool>,
    has_video: Option<bool>,
) -> Vec<u8> {
    let is_absent = |name: &str| {
        has_audio == Some(false) && AUDIO_NAMES.contains(&name)
            || has_video == Some(false) && VIDEO_NAMES.contains(&name)
    };
    let mut pairs = Vec::new();
    let mut count = 0;
    for (name, value) in safe_properties(properties, 1) {
        let len = pairs.len();
        if is_absent(&name) {
            continue;
        }
        Encoder::new(&mut pairs).key(&name).value(&value);
        // 64 bytes are more than what stands around the pairs.
        if pairs.len() > MAX_LEN - 64 {
            pairs.truncate(len);
            continue;
        }
        count += 1;
    }
    let mut out = Vec::with_capacity(pairs.len() + 64);
    Encoder::new(&mut out)
        .string("onMetaData")
        .ecma_array(count);
    out.append(&mut pairs);
    Encoder::new(&mut out).end();
    out
}

/// The properties that may be relayed: one per name, with the last value, in the order of the
/// first.
fn safe_properties(properties: &[(String, Value)], depth: usize) -> Vec<(String, Value)> {
    let mut newest: Vec<(&str, &Value)> = Vec::new();
    for (name, value) in properties {
        if let Some((_, older)) = newest.iter_mut().find(|(known, _)| known == name) {
            *older = value;
        } else if is_safe_name(name) && newest.len() < MAX_PROPERTIES {
            newest.push((name, value));
        }
    }
    let safe = |(name, value): (&str, &Value)| Some((name.to_owned(), safe_value(value, depth)?));
    newest.into_iter().filter_map(safe).collect()
}

/// An empty name would end the object for ffmpeg.
fn is_safe_name(name: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&name.len()) && !name.contains(char::is_control)
}

fn safe_value(value: &Value, depth: usize) -> Option<Value> {
    match value {
        // Players cast numbers to integers without a look.
        Value::Number(number) | Value::Date(number) => number.is_finite().then(|| value.clone()),
        Value::Boolean(_) | Value::Null => Some(value.clone()),
        Value::String(text) => {
            let text: String = text.chars().filter(|c| !c.is_control()).collect();
            (text.len() <= MAX_STRING_LEN).then_some(Value::String(text))
        }
        Value::Object(_) | Value::EcmaArray(_) | Value::StrictArray(_) if depth == MAX_DEPTH => {
            None
        }
        Value::Object(inner) => Some(Value::Object(safe_properties(inner, depth + 1))),
        Value::EcmaArray(inner) => Some(Value::EcmaArray(safe_properties(inner, depth + 1))),
        // Elements keep their places: arrays such as times and file positions belong together.
        Value::StrictArray(elements) => {
            let safe = |element: &Value| match element {
                Value::StrictArray(_) => Value::Null,
                element => safe_value(element, depth + 1).unwrap_or(Value::Null),
            };
            Some(Value::StrictArray(elements.iter().map(safe).collect()))
        }
        Value::Undefined | Value::XmlDocument(_) | Value::ByteArray(_) => None,
    }
}

/// The properties of a metadata message, `Some(None)` when it withdraws them, `None` when the
/// message is something else or can't be decoded. ffmpeg sends time codes as data messages that
/// aren't AMF; that must not end a publish.
pub fn parse(body: &[u8]) -> Option<Option<Vec<(String, Value)>>> {
    let values = amf0::parse(body, amf0::MissingEnd::Tolerated).ok()?;
    let mut values = values.into_iter();
    let mut name = values.next()?;
    let mut is_cleared = false;
    match name.as_str()? {
        "@setDataFrame" => name = values.next()?,
        "@clearDataFrame" => {
            is_cleared = true;
            name = values.next()?;
        }
        _ => {}
    }
    if name.as_str()? != "onMetaData" {
        return None;
    }
    if is_cleared {
        return Some(None);
    }
    match values.next()? {
        Value::Object(properties) | Value::EcmaArray(properties) => Some(Some(properties)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf0::{MissingEnd, parse};

    /// Metadata of ffmpeg 5.1 (libx264, aac), without the properties from `stereo` on.
    const FFMPEG: &[u8] = b"\x02\0\x0AonMetaData\x08\0\0\0\x0D\
        \0\x08duration\0\x3F\xD7\x7C\xED\x91\x68\x72\xB0\
        \0\x05width\0\x40\x9E\0\0\0\0\0\0\
        \0\x06height\0\x40\x90\xE0\0\0\0\0\0\
        \0\x0Dvideodatarate\0\0\0\0\0\0\0\0\0\
        \0\x09framerate\0\x40\x3E\0\0\0\0\0\0\
        \0\x0Cvideocodecid\0\x40\x1C\0\0\0\0\0\0\
        \0\x0Daudiodatarate\0\x40\x5F\x40\0\0\0\0\0\
        \0\x0Faudiosamplerate\0\x40\xE7\x70\0\0\0\0\0\0\0\x09";

    fn properties(bytes: &[u8]) -> Vec<(String, Value)> {
        let values = parse(bytes, MissingEnd::Refused).unwrap();
        let [Value::String(name), Value::EcmaArray(properties)] = &values[..] else {
            panic!("{values:?}")
        };
        assert_eq!(name, "onMetaData");
        assert_eq!(
            bytes[14..18],
            (properties.len() as u32).to_be_bytes(),
            "true count"
        );
        properties.clone()
    }

    fn relayed(value: Value) -> Option<Value> {
        let bytes = for_players(&[("key".to_owned(), value)], None, None);
        properties(&bytes).pop().map(|(_, value)| value)
    }

    fn text(text: impl Into<String>) -> Value {
        Value::String(text.into())
    }

    #[test]
    fn metadata_of_ffmpeg_is_relayed_with_the_true_count() {
        let Some(Value::EcmaArray(came)) = parse(FFMPEG, MissingEnd::Refused).unwrap().pop() else {
            panic!()
        };
        let bytes = for_players(&came, None, Some(true));
        assert_eq!(properties(&bytes), came);
        assert_eq!((&bytes[..17], bytes[17]), (&FFMPEG[..17], 8));
        assert_eq!(bytes[18..], FFMPEG[18..]);
    }

    #[test]
    fn properties_of_an_absent_track_are_left_out() {
        let names = |has_audio, has_video| {
            let came = ["encoder", "audiocodecid", "stereo", "videocodecid", "width"]
                .map(|name| (name.to_owned(), Value::Number(1.0)));
            let names = properties(&for_players(&came, has_audio, has_video)).into_iter();
            names.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Some(false), Some(true)), "encoder videocodecid width");
        assert_eq!(names(None, Some(false)), "encoder audiocodecid stereo");
        assert_eq!(names(Some(false), Some(false)), "encoder");
        assert_eq!(
            names(None, None),
            "encoder audiocodecid stereo videocodecid width"
        );
    }

    #[test]
    fn values_that_end_a_play_are_dropped() {
        for value in [
            Value::Undefined,
            Value::XmlDocument("<a/>".into()),
            Value::ByteArray(vec![1]),
            Value::Number(f64::NAN),
            Value::Date(f64::INFINITY),
            text("x".repeat(1024)),
        ] {
            assert_eq!(relayed(value.clone()), None, "{value:?}");
            let object = Value::Object(vec![("inner".into(), value.clone())]);
            assert_eq!(relayed(object), Some(Value::Object(vec![])), "{value:?}");
            let array = Value::StrictArray(vec![value, Value::Boolean(true)]);
            let kept = Value::StrictArray(vec![Value::Null, Value::Boolean(true)]);
            assert_eq!(relayed(array), Some(kept));
        }
        assert_eq!(
            relayed(text("x".repeat(1023))),
            Some(text("x".repeat(1023)))
        );
        assert_eq!(relayed(Value::Null), Some(Value::Null));
    }

    #[test]
    fn metadata_in_amf3_is_relayed_in_amf0() {
        // {width: 1920, fps: 29.5, made: date 0, raw: byte array, again: the same string}
        let object = b"\x11\x0A\x0B\x01\x0Bwidth\x04\x8F\x00\x07fps\x05\x40\x3D\x80\0\0\0\0\0\
            \x09made\x08\x01\0\0\0\0\0\0\0\0\x07raw\x0C\x03\xFF\x0Bagain\x06\x00\x01";
        let array = [b"\x11\x09\x01", &object[4..]].concat();
        for value in [&object[..], &array] {
            let body = [b"\x02\0\x0AonMetaData", value].concat();
            let came = super::parse(&body).unwrap().unwrap();
            let bytes = for_players(&came, None, None);
            assert_eq!(
                bytes[13..],
                *b"\x08\0\0\0\x04\0\x05width\0\x40\x9E\0\0\0\0\0\0\
                    \0\x03fps\0\x40\x3D\x80\0\0\0\0\0\
                    \0\x04made\x0B\0\0\0\0\0\0\0\0\0\0\
                    \0\x05again\x02\0\x05width\0\0\x09"
            );
        }
    }

    #[test]
    fn names_that_end_a_play_are_dropped() {
        for name in ["", "a\nb", &"x".repeat(128)] {
            let bytes = for_players(&[(name.to_owned(), Value::Null)], None, None);
            assert_eq!(properties(&bytes), []);
        }
    }

    #[test]
    fn control_characters_are_stripped_from_strings() {
        assert_eq!(
            relayed(text("OBS\x1B[31m\r\n\u{85}1")),
            Some(text("OBS[31m1"))
        );
    }

    #[test]
    fn deep_objects_and_arrays_of_arrays_are_cut_off() {
        let mut value = Value::Null;
        for _ in 0..10 {
            value = Value::Object(vec![("a".into(), value)]);
        }
        let depth = |mut value: &Value| {
            let mut depth = 1;
            while let Some(inner) = value.property("a") {
                (value, depth) = (inner, depth + 1);
            }
            depth + 1
        };
        assert_eq!(depth(&relayed(value).unwrap()), MAX_DEPTH);

        let array = Value::StrictArray(vec![Value::StrictArray(vec![])]);
        assert_eq!(relayed(array), Some(Value::StrictArray(vec![Value::Null])));
    }

    #[test]
    fn the_last_of_two_values_stands_at_the_place_of_the_first() {
        let came = [("a", 1.0), ("b", 2.0), ("a", 3.0)]
            .map(|(name, number)| (name.to_owned(), Value::Number(number)));
        let kept = properties(&for_players(&came, None, None));
        assert_eq!(
            kept,
            [
                ("a".into(), Value::Number(3.0)),
                ("b".into(), Value::Number(2.0))
            ]
        );
    }

    #[test]
    fn a_flood_of_properties_is_cut_off() {
        let many: Vec<_> = (0..8000)
            .map(|i| (format!("key{i}"), Value::Null))
            .collect();
        assert_eq!(
            properties(&for_players(&many, None, None)).len(),
            MAX_PROPERTIES
        );
        let large: Vec<_> = (0..200)
            .map(|i| (format!("key{i}"), text("x".repeat(1000))))
            .collect();
        let bytes = for_players(&large, None, None);
        assert!(
            bytes.len() <= MAX_LEN && bytes.len() > MAX_LEN - 1100,
            "{}",
            bytes.len()
        );
        assert_eq!(properties(&bytes).len(), 64);
    }
}
