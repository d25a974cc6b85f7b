//! Metadata: a publisher's description of its stream, reduced for players to what every player can
//! handle.
//!
//! Players are strict where publishers are not. ffmpeg (and so mpv and VLC) stops playing at an
//! undefined value, at a name of 128 bytes or more, and at bytes after the end; it accepts metadata only
//! as an ECMA array, and waits for any track that `audiocodecid` or `videocodecid` announces. So none of
//! the publisher's bytes are relayed: the values are filtered and rewritten from the message in place,
//! without building a tree.
//!
//! ```text
//! 02 00 0A 6F 6E 4D 65 74 61 44 61 74 61         "onMetaData"
//! 08 00 00 00 01                                 ECMA array, one property
//!    00 05 77 69 64 74 68  00 40 9E 00 ...       "width", 1920
//!    00 00 09                                    end
//! ```

use super::amf::marker::amf0 as marker;
use super::amf::{Bytes, MissingEnd, Name, Properties, Reader, Token};
use super::relay_writer::RelayWriter;

/// The longest payload for players, in bytes.
pub const MAX_LEN: usize = 16 * 1024;

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

/// Returns the payload of an `onMetaData` message for players: at most [`MAX_LEN`] bytes. A name that
/// occurs twice is written twice; receivers use the last value.
///
/// `has_audio` and `has_video` are `Some(false)` once the track is known to be absent, whatever the
/// metadata announces; the properties of that track are then left out.
pub fn for_players(
    properties: &Properties<'_>,
    has_audio: Option<bool>,
    has_video: Option<bool>,
) -> Vec<u8> {
    let is_absent = |name: &Name<'_>| {
        has_audio == Some(false) && AUDIO_NAMES.iter().any(|absent| name == absent)
            || has_video == Some(false) && VIDEO_NAMES.iter().any(|absent| name == absent)
    };
    // 64 bytes are more than enough for the name, the count and the end.
    let most = MAX_LEN - 64;
    let all = &properties.reader;
    let count = RelayWriter::counting(most).properties(all.clone(), 1, &is_absent);
    let mut bytes = Vec::new();
    let mut out = RelayWriter::new(&mut bytes, most);
    out.text(marker::STRING, ON_METADATA);
    out.begin(marker::ECMA_ARRAY, count);
    out.len = 0;
    out.properties(all.clone(), 1, &is_absent);
    out.end();
    bytes
}

pub(super) const ON_METADATA: &str = "onMetaData";

/// Returns the properties of a metadata message; `Some(None)` if it withdraws them, and `None` if the
/// message is something else or can't be decoded. ffmpeg sends time codes as data messages that aren't
/// AMF; they must not end a publish.
pub fn parse(body: Bytes<'_>) -> Option<Option<Properties<'_>>> {
    let mut reader = Reader::tolerating(body, MissingEnd::Tolerated);
    let mut whole = reader.clone();
    let mut name = reader.next_token().ok()??.token;
    let mut is_cleared = false;
    if is_text(name, "@setDataFrame") {
        name = reader.next_token().ok()??.token;
    } else if is_text(name, "@clearDataFrame") {
        is_cleared = true;
        name = reader.next_token().ok()??.token;
    }
    if !is_text(name, ON_METADATA) {
        return None;
    }
    let first = reader.next_token();
    while whole.next_token().ok()?.is_some() {}
    if is_cleared {
        return Some(None);
    }
    let is_object = first.ok()??.token.is_object();
    is_object.then_some(Some(Properties { reader }))
}

pub(super) fn is_text(token: Token<'_>, expected: &str) -> bool {
    matches!(token, Token::String(text) if text == *expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf::marker::amf0 as marker;
    use crate::rtmp::amf0::{Value, parse};
    use crate::rtmp::relay_writer::{MAX_DEPTH, MAX_PROPERTIES};

    /// The metadata of ffmpeg 5.1 (libx264, aac), without the properties from `stereo` on.
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

    /// Returns the properties that players receive.
    fn for_players(
        came: &[(String, Value)],
        has_audio: Option<bool>,
        has_video: Option<bool>,
    ) -> Vec<u8> {
        let mut object = Vec::new();
        Value::Object(came.to_vec()).emit(&mut object);
        let properties = Properties::of(&object).unwrap();
        super::for_players(&properties, has_audio, has_video)
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
            let came = super::parse(body.as_slice().into()).unwrap().unwrap();
            let bytes = super::for_players(&came, None, None);
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
    fn arrays_announce_the_number_of_properties_that_are_left_of_them() {
        let level = |inner: Value| {
            let properties = [("a", inner), ("b", Value::Null)];
            Value::EcmaArray(
                properties
                    .map(|(name, value)| (name.to_owned(), value))
                    .into(),
            )
        };
        let value = (0..MAX_DEPTH).fold(Value::Null, |inner, _| level(inner));
        let bytes = for_players(&[("key".to_owned(), value)], None, None);
        // No other byte of the message equals the marker of an array.
        let arrays = bytes[13..]
            .split(|byte| *byte == marker::ECMA_ARRAY)
            .skip(1);
        let counts: Vec<_> = arrays.map(|array| array[..4].to_vec()).collect();
        let expected = [1u32, 2, 2, 1].map(|count| count.to_be_bytes().to_vec());
        assert_eq!(counts, expected);
    }

    #[test]
    fn objects_in_arrays_are_cut_off_at_the_same_depth() {
        let object = |inner| Value::Object(vec![("a".to_owned(), inner)]);
        let deep = (0..10).fold(Value::Null, |inner, _| object(inner));
        let kept = object(Value::Object(vec![]));
        assert_eq!(
            relayed(Value::StrictArray(vec![deep])),
            Some(Value::StrictArray(vec![kept]))
        );
    }

    #[test]
    fn the_last_of_two_values_with_the_same_name_counts() {
        let came = [("a", 1.0), ("b", 2.0), ("a", 3.0)]
            .map(|(name, number)| (name.to_owned(), Value::Number(number)));
        let bytes = for_players(&came, None, None);
        assert_eq!(properties(&bytes), came);
        let kept = super::parse(bytes.as_slice().into()).unwrap().unwrap();
        assert_eq!(kept.find("a").unwrap().as_f64(), Some(3.0));
    }

    #[test]
    fn a_flood_of_properties_is_cut_off() {
        let many: Vec<_> = (0..8000)
            .map(|i| (format!("key{i}"), Value::Null))
            .collect();
        assert_eq!(
            properties(&for_players(&many, None, None)).len(),
            MAX_PROPERTIES as usize
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
        assert_eq!(properties(&bytes).len(), 16);
    }
}
