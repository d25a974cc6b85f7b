//! The `onMetaData` of an FLV file: what the publisher says of its stream, and what isn't known before
//! the file is complete, for which there is room from the beginning.
//!
//! ```text
//! "onMetaData", ECMA array
//!    "room"       [capacity]           the number of keyframes for which there is room
//!    ---- region, rewritten when the file is complete ----
//!    "duration"   in seconds
//!    "filesize"   in bytes
//!    "keyframes"  { "times" [ ... ], "filepositions" [ ... ] }, or "hasKeyframes" false
//!    "padding"    [ "     ", ... ]     what is left of the room
//!    ---- end of the region ----
//!    what the publisher says, without what it says of length
//! ```
//!
//! Everything outside of the region is written once, so that the region can be written again after a
//! power cut in the middle of it. Arrays are what ffmpeg doesn't show as tags of the file.

use super::amf::marker::amf0 as marker;
use super::amf::{Name, Properties};
use super::metadata::{MAX_LEN, ON_METADATA};
use super::relay_writer::RelayWriter;

/// The most keyframes for which there is room: the whole stays below 64 KiB even with what publishers
/// say at usual length.
pub const MAX_CAPACITY: u32 = 3_500;

/// The position of the region in the payload.
pub const REGION_AT: usize = 13 + 5 + ROOM_LEN;

/// The position of the first of the times in the payload.
pub const TIMES_AT: usize = REGION_AT + 2 * NUMBER_LEN + 24;

/// The number of bytes of each time and each file position.
pub const ENTRY_LEN: usize = 9;

/// The length of "room", with its value.
const ROOM_LEN: usize = 6 + 5 + ENTRY_LEN;

/// The length of "duration" or "filesize", with its value.
const NUMBER_LEN: usize = 10 + ENTRY_LEN;

/// The bytes between the times and the file positions.
const BETWEEN: usize = 20;

/// The region's bytes besides what is in the arrays.
const REGION_FIXED: usize = 2 * NUMBER_LEN + 24 + BETWEEN + 3 + 14;

/// The bytes of "hasKeyframes" and its value.
const NO_KEYFRAMES_LEN: usize = 16;

/// The longest string of the padding: ffmpeg reads at most 1023 bytes.
const PAD_LEN: usize = 1000;

/// What publishers, and files that they publish, say of the length; and names of ours.
const NAMES_OF_FILES: &[&str] = &[
    "audiosize",
    "canSeekToEnd",
    "cuePoints",
    "datasize",
    "duration",
    "filesize",
    "hasCuePoints",
    "hasKeyframes",
    "hasMetadata",
    "keyframes",
    "lastkeyframelocation",
    "lastkeyframetimestamp",
    "lasttimestamp",
    "padding",
    "room",
    "starttime",
    "totalduration",
    "videosize",
];

/// Properties in AMF0, as they stand in an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileProperties {
    count: u32,
    bytes: Vec<u8>,
}

impl FileProperties {
    /// Returns what a publisher says of its stream, without what it says of length: at most
    /// [`MAX_LEN`] bytes.
    pub fn of(properties: &Properties<'_>) -> FileProperties {
        let is_of_files = |name: &Name<'_>| NAMES_OF_FILES.iter().any(|of_files| name == of_files);
        let mut bytes = Vec::new();
        let mut out = RelayWriter::new(&mut bytes, MAX_LEN - 64);
        let count = out.properties(properties.reader.clone(), 1, &is_of_files);
        FileProperties { count, bytes }
    }

    /// Adds a number.
    pub fn add_number(&mut self, name: &str, number: f64) {
        put_number(&mut self.bytes, name, number);
        self.count += 1;
    }

    /// Returns the payload of a message with these properties.
    pub fn message(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 32);
        self.put_begin(0, &mut out);
        self.put_end(&mut out);
        out
    }

    /// Appends the payload of the metadata of a file that isn't complete, with room for `capacity`
    /// keyframes.
    pub fn put_open_file(&self, capacity: u32, out: &mut Vec<u8>) {
        let room = Room::new(capacity);
        out.reserve_exact(REGION_AT + room.region_len() + self.bytes.len() + 32);
        self.put_begin(5, out);
        put_name(out, "room");
        put_array(out, 1);
        put_entry(out, room.capacity.into());
        out.extend_from_slice(&room.before_times(0.0, 0, 0));
        room.put_padding(0, out);
        self.put_end(out);
    }

    fn put_begin(&self, more: u32, out: &mut Vec<u8>) {
        let mut writer = RelayWriter::new(out, MAX_LEN);
        writer.text(marker::STRING, ON_METADATA);
        writer.begin(marker::ECMA_ARRAY, self.count + more);
    }

    fn put_end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        put_end(out);
    }
}

/// The room for keyframes in the metadata of a file. The bytes of its region, in this order: those
/// [before the times](Self::before_times), the times, those [between](Self::between), the file positions,
/// those [after](Self::after_positions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    capacity: u32,
}

impl Room {
    /// Room for this many keyframes, at most [`MAX_CAPACITY`].
    pub fn new(capacity: u32) -> Room {
        Room {
            capacity: capacity.min(MAX_CAPACITY),
        }
    }

    /// Reads it at the beginning of a payload, of at least [`REGION_AT`] bytes.
    pub fn parse(payload: &[u8]) -> Option<Room> {
        let (begin, capacity) = payload.get(..REGION_AT)?.split_last_chunk::<8>()?;
        let capacity = f64::from_be_bytes(*capacity);
        let is_number = (0.0..=f64::from(MAX_CAPACITY)).contains(&capacity);
        let mut expected = Vec::with_capacity(REGION_AT);
        FileProperties::default().put_begin(0, &mut expected);
        put_name(&mut expected, "room");
        put_array(&mut expected, 1);
        expected.push(marker::NUMBER);
        // The number of properties varies.
        let is_same =
            begin.get(..14) == expected.get(..14) && begin.get(18..) == expected.get(18..);
        (is_same && is_number && capacity.fract() == 0.0).then_some(Room {
            capacity: capacity as u32,
        })
    }

    /// The number of keyframes.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The length of the region in bytes.
    pub fn region_len(&self) -> usize {
        REGION_FIXED + 2 * ENTRY_LEN * self.capacity as usize
    }

    /// Returns the region's bytes before the times of `count` keyframes. `duration` is in seconds, `len` the
    /// length of the file in bytes. Without keyframes, the padding follows.
    pub fn before_times(&self, duration: f64, len: u64, count: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(TIMES_AT - REGION_AT);
        put_number(&mut out, "duration", duration);
        put_number(&mut out, "filesize", len as f64);
        if count == 0 {
            put_name(&mut out, "hasKeyframes");
            out.extend_from_slice(&[marker::BOOLEAN, 0]);
        } else {
            put_name(&mut out, "keyframes");
            out.push(marker::OBJECT);
            put_name(&mut out, "times");
            put_array(&mut out, count);
        }
        out
    }

    /// The bytes between the times and the file positions of `count` keyframes.
    pub fn between(&self, count: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(BETWEEN);
        put_name(&mut out, "filepositions");
        put_array(&mut out, count);
        out
    }

    /// The bytes from the file positions of `count` keyframes to the end of the region.
    pub fn after_positions(&self, count: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.region_len());
        put_end(&mut out);
        self.put_padding(count, &mut out);
        out
    }

    /// Writes what is left of the region with `count` keyframes.
    pub fn put_padding(&self, count: u32, out: &mut Vec<u8>) {
        let mut left = 2 * ENTRY_LEN * self.capacity.saturating_sub(count) as usize;
        if count == 0 {
            left += 24 + BETWEEN + 3 - NO_KEYFRAMES_LEN;
        }
        let strings = left.div_ceil(PAD_LEN + 3);
        put_name(out, "padding");
        put_array(out, strings as u32);
        // As equal as they can be, since none can be shorter than 3 bytes.
        for n in (1..=strings).rev() {
            let len = (left / n).saturating_sub(3);
            left -= len + 3;
            out.push(marker::STRING);
            out.extend_from_slice(&(len as u16).to_be_bytes());
            out.resize(out.len() + len, b' ');
        }
    }
}

/// Appends a time in ms as an element of an array, in seconds. Receivers multiply by 1000 and cut off what
/// is behind the point, so the nearest number may be too small.
pub fn put_time(out: &mut Vec<u8>, ms: u64) {
    let exact = ms as f64 / 1000.0;
    let seconds = if (exact * 1000.0) < ms as f64 {
        // The next larger number.
        f64::from_bits(exact.to_bits() + 1)
    } else {
        exact
    };
    put_entry(out, seconds);
}

/// Appends a file position as an element of an array.
pub fn put_position(out: &mut Vec<u8>, position: u64) {
    put_entry(out, position as f64);
}

fn put_entry(out: &mut Vec<u8>, number: f64) {
    out.push(marker::NUMBER);
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_number(out: &mut Vec<u8>, name: &str, number: f64) {
    put_name(out, name);
    put_entry(out, number);
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

fn put_array(out: &mut Vec<u8>, count: u32) {
    out.push(marker::STRICT_ARRAY);
    out.extend_from_slice(&count.to_be_bytes());
}

fn put_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, marker::OBJECT_END]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf::MissingEnd;
    use crate::rtmp::amf0::{Value, parse};
    use crate::rtmp::metadata;
    use proptest::prelude::*;

    fn properties(payload: &[u8]) -> Value {
        let values = parse(payload, MissingEnd::Refused).unwrap();
        let [Value::String(name), array @ Value::EcmaArray(all)] = &values[..] else {
            panic!("{values:?}")
        };
        assert_eq!(name, "onMetaData");
        assert_eq!(payload[14..18], (all.len() as u32).to_be_bytes());
        array.clone()
    }

    fn open_file(properties: &FileProperties, capacity: u32) -> Vec<u8> {
        let mut payload = Vec::new();
        properties.put_open_file(capacity, &mut payload);
        payload
    }

    fn said() -> FileProperties {
        let mut object = Vec::new();
        let said = [
            ("duration", Value::Number(0.0)),
            ("width", Value::Number(1920.0)),
            ("filesize", Value::Number(1.0)),
            ("title", Value::String("door".into())),
        ];
        let said = said.map(|(name, value)| (name.to_owned(), value));
        Value::Object(said.to_vec()).emit(&mut object);
        FileProperties::of(&Properties::of(&object).unwrap())
    }

    /// Rewrites the region as it is done at the end of a file.
    fn close(payload: &mut [u8], keyframes: &[(u64, u64)]) {
        let room = Room::parse(payload).unwrap();
        let count = keyframes.len() as u32;
        let mut region = room.before_times(12.5, 1 << 33, count);
        if count == 0 {
            room.put_padding(0, &mut region);
        } else {
            assert_eq!(region.len(), TIMES_AT - REGION_AT);
            keyframes
                .iter()
                .for_each(|(time, _)| put_time(&mut region, *time));
            region.extend(room.between(count));
            keyframes
                .iter()
                .for_each(|(_, at)| put_position(&mut region, *at));
            region.extend(room.after_positions(count));
        }
        assert_eq!(region.len(), room.region_len());
        payload[REGION_AT..][..region.len()].copy_from_slice(&region);
    }

    fn numbers(value: Option<&Value>) -> Vec<f64> {
        let Some(Value::StrictArray(values)) = value else {
            panic!("{value:?}")
        };
        values.iter().map(|value| value.as_f64().unwrap()).collect()
    }

    #[test]
    fn what_is_said_of_length_is_ours() {
        let payload = open_file(&said(), 0);
        let all = properties(&payload);
        assert_eq!(all.property("duration"), Some(&Value::Number(0.0)));
        assert_eq!(all.property("filesize"), Some(&Value::Number(0.0)));
        assert_eq!(all.property("width"), Some(&Value::Number(1920.0)));
        let message = said().message();
        let again = properties(&message);
        assert_eq!(again.property("duration"), None);
        assert_eq!(again.property("title").unwrap().as_str(), Some("door"));
        assert!(metadata::parse(message[..].into()).flatten().is_some());
    }

    proptest! {
        #[test]
        fn metadata_stays_valid_with_any_number_of_keyframes(
            capacity in 0u32..5_000,
            share in 0.0f64..=1.0,
        ) {
            let mut payload = open_file(&said(), capacity);
            prop_assert!(payload.len() < 65_536);
            properties(&payload);
            let room = Room::parse(&payload).unwrap();
            prop_assert_eq!(room.capacity(), capacity.min(MAX_CAPACITY));
            let count = (f64::from(room.capacity()) * share) as u64;
            let keyframes: Vec<_> = (0..count).map(|n| (n * 1_001, n * 70_000 + 9)).collect();
            close(&mut payload, &keyframes);
            let all = properties(&payload);
            prop_assert_eq!(all.property("duration"), Some(&Value::Number(12.5)));
            prop_assert_eq!(all.property("filesize"), Some(&Value::Number((1u64 << 33) as f64)));
            prop_assert_eq!(all.property("width"), Some(&Value::Number(1920.0)));
            if let Some(index) = all.property("keyframes") {
                let times = numbers(index.property("times"));
                let positions = numbers(index.property("filepositions"));
                let read = times.iter().map(|time| (time * 1000.0) as u64);
                let read = read.zip(positions.iter().map(|at| *at as u64));
                prop_assert_eq!(read.collect::<Vec<_>>(), keyframes);
            } else {
                prop_assert_eq!(count, 0);
            }
        }

        #[test]
        fn times_come_back_exactly(ms in 0u64..1 << 32) {
            let mut bytes = Vec::new();
            put_time(&mut bytes, ms);
            let seconds = f64::from_be_bytes(bytes[1..].try_into().unwrap());
            prop_assert_eq!((seconds * 1000.0) as u64, ms);
        }

        #[test]
        fn room_in_arbitrary_bytes_never_panics(bytes: Vec<u8>, at in 0usize..40) {
            let mut payload = open_file(&said(), 3);
            payload.splice(at..at, bytes);
            let _ = Room::parse(&payload);
        }
    }
}
