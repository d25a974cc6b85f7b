mod damage;
mod files;
mod power;

use std::path::Path;
use std::sync::Arc;

use super::mark::MARK_LEN;
use super::writer::FlvWriter;
use crate::live::arena::{Arena, BLOCK_LEN};
use crate::live::capabilities::Capabilities;
use crate::live::cut::{CopyPlace, Cut, CutSample, Evicted, Form};
use crate::live::kind::Kind;
use crate::live::preamble::{HEAP_LEN, Preamble, Slot};
use crate::live::tracks::Tracks;
use crate::record::disk::sim::SimDisk;
use crate::record::extent::Extent;
use crate::record::staging::Staging;
use crate::rtmp::amf::MissingEnd;
use crate::rtmp::amf0::{self, Value};

const WALL: u64 = 1_764_329_400_250;
const PATH: &str = "live/door/2025-11-28T11-30-00Z.flv";
const PART: &str = "live/door/2025-11-28T11-30-00Z.flv.part";

#[derive(Clone, Debug, PartialEq)]
struct Message {
    kind: Kind,
    timestamp: u32,
    payload: Vec<u8>,
    is_sync: bool,
}

/// A stream whose messages never leave memory, unless they are told to.
struct Stream {
    messages: Vec<Message>,
    preamble: Preamble,
    has_video: bool,
    /// The number of bytes that can still be copied.
    left: usize,
}

fn metadata(said: &[(&str, Value)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let said = said.iter();
    let said = said.map(|(name, value)| ((*name).to_owned(), value.clone()));
    Value::String("onMetaData".into()).emit(&mut bytes);
    Value::EcmaArray(said.collect()).emit(&mut bytes);
    bytes
}

impl Stream {
    /// Sorenson H.263 at 25 fps with a keyframe every second, and MP3.
    fn new(seconds: u32, first: u32) -> Stream {
        let mut messages = Vec::new();
        for n in 0..seconds * 25 {
            let is_sync = n % 25 == 0;
            let len = 40 + (n * 7919 % 900) as usize + if is_sync { 3_000 } else { 0 };
            let mut payload = vec![n as u8; len];
            payload[0] = if is_sync { 0x12 } else { 0x22 };
            let timestamp = first.wrapping_add(n * 40);
            let audio = Message {
                kind: Kind::Audio,
                timestamp: timestamp.wrapping_add(13),
                payload: [&b"\x2F"[..], &n.to_be_bytes().repeat(25)].concat(),
                is_sync: false,
            };
            messages.push(Message {
                kind: Kind::Video,
                timestamp,
                payload,
                is_sync,
            });
            messages.push(audio);
        }
        let said = metadata(&[
            ("duration", Value::Number(0.0)),
            ("width", Value::Number(320.0)),
            ("videocodecid", Value::Number(2.0)),
        ]);
        let preamble = Preamble::default().with(Slot::Metadata, &said, HEAP_LEN, || None);
        Stream {
            messages,
            preamble: preamble.unwrap(),
            has_video: true,
            left: usize::MAX,
        }
    }

    /// The cuts of the stream: from keyframe to keyframe.
    fn cuts(&self) -> Vec<Cut> {
        let starts = (0..self.messages.len()).filter(|n| self.messages[*n].is_sync);
        let mut ends: Vec<_> = starts.skip(1).collect();
        ends.push(self.messages.len());
        let mut start = 0;
        let cut = |end| {
            let cut = self.cut(start, end);
            start = end;
            cut
        };
        ends.into_iter().map(cut).collect()
    }

    fn cut(&self, start: usize, end: usize) -> Cut {
        let tracks = Tracks {
            video: self.has_video.then(Capabilities::everything),
            audio: Some(Capabilities::everything()),
            ..Tracks::default()
        };
        let samples = (start..end).map(|number| {
            let message = &self.messages[number];
            CutSample {
                number: number as u64,
                kind: message.kind,
                timestamp: message.timestamp,
                len: message.payload.len() as u32,
                decode_time: 0,
                duration: 0,
                composition_time: 0,
                is_sync: message.is_sync,
            }
        });
        Cut {
            form: Some(Form::Flv),
            samples: samples.collect(),
            messages: start as u64..end as u64,
            tracks: Arc::new(tracks),
            preamble: Arc::new(self.preamble.clone()),
            is_start: true,
            ..Cut::default()
        }
    }

    fn copy(
        &mut self,
        samples: &[CutSample],
        place: &mut CopyPlace,
        out: &mut [u8],
    ) -> Result<usize, Evicted> {
        let message = &self.messages[samples[place.index].number as usize];
        let rest = &message.payload[place.offset as usize..];
        // Never everything at once.
        let count = rest.len().min(out.len()).min(1_000);
        if self.left < count {
            return Err(Evicted);
        }
        self.left -= count;
        out[..count].copy_from_slice(&rest[..count]);
        place.offset += count as u32;
        Ok(count)
    }

    fn begin(&self, disk: &SimDisk) -> FlvWriter {
        let cut = &self.cuts()[0];
        FlvWriter::begin(disk, Path::new(PATH), cut, WALL, 0, 600_000).unwrap()
    }

    fn append(
        &mut self,
        writer: &mut FlvWriter,
        cut: &mut Cut,
        staging: &mut Staging,
    ) -> Result<(), crate::record::append::AppendError> {
        let first = self.messages[0].timestamp;
        let later = cut.samples[0].timestamp.wrapping_sub(first);
        let wall = WALL + u64::from(later);
        writer.append(
            cut,
            wall,
            &mut |samples, place, out| self.copy(samples, place, out),
            staging,
        )
    }

    /// Records the whole stream.
    fn record(&mut self, disk: &SimDisk) -> FlvWriter {
        let mut writer = self.begin(disk);
        let mut staging = staging();
        for mut cut in self.cuts() {
            self.append(&mut writer, &mut cut, &mut staging).unwrap();
        }
        writer
    }
}

fn staging() -> Staging {
    Staging::new(&Arena::new(64 * BLOCK_LEN)).unwrap()
}

/// A tag of a file.
#[derive(Clone, Debug, PartialEq)]
struct Tag {
    at: usize,
    kind: u8,
    timestamp: u32,
    payload: Vec<u8>,
}

/// Reads a file that must be whole, knowing nothing of how it was written.
fn tags(file: &[u8]) -> Vec<Tag> {
    assert_eq!(&file[..4], b"FLV\x01");
    assert_eq!(&file[5..13], b"\0\0\0\x09\0\0\0\0");
    let mut tags = Vec::new();
    let mut at = 13;
    while at < file.len() {
        let number = |from: usize, to: usize| {
            let bytes = file[at + from..at + to].iter();
            bytes.fold(0, |number, byte| number << 8 | u32::from(*byte))
        };
        let len = number(1, 4) as usize;
        let end = at + 11 + len;
        assert_eq!(file[end..end + 4], (len as u32 + 11).to_be_bytes());
        assert_eq!(number(8, 11), 0);
        tags.push(Tag {
            at,
            kind: file[at],
            timestamp: number(7, 8) << 24 | number(4, 7),
            payload: file[at + 11..end].to_vec(),
        });
        at = end + 4;
    }
    tags
}

fn is_mark(tag: &Tag) -> bool {
    tag.payload.starts_with(b"\x02\0\x0AonCuePoint\x0A") && tag.payload.len() == MARK_LEN - 15
}

/// The messages of a file, apart from its first metadata. Their timestamps count from 0.
fn messages(file: &[u8]) -> Vec<Message> {
    let tags = tags(file).into_iter().skip(1).filter(|tag| !is_mark(tag));
    let messages = tags.map(|tag| Message {
        kind: match tag.kind {
            8 => Kind::Audio,
            9 => Kind::Video,
            18 => Kind::Script,
            other => panic!("tag of type {other}"),
        },
        timestamp: tag.timestamp,
        is_sync: tag.kind == 9 && tag.payload[0] >> 4 == 1,
        payload: tag.payload,
    });
    messages.collect()
}

fn from_zero(messages: &[Message]) -> Vec<Message> {
    let first = messages[0].timestamp;
    let messages = messages.iter().cloned().map(|message| Message {
        timestamp: message.timestamp.wrapping_sub(first),
        ..message
    });
    messages.collect()
}

/// The properties of the metadata at the beginning of a file.
fn properties(file: &[u8]) -> Value {
    let first = tags(file).remove(0);
    assert_eq!((first.kind, first.timestamp), (18, 0));
    let mut values = amf0::parse(&first.payload, MissingEnd::Refused).unwrap();
    assert_eq!(values[0].as_str(), Some("onMetaData"));
    assert_eq!(values.len(), 2);
    values.pop().unwrap()
}

fn number(properties: &Value, name: &str) -> Option<f64> {
    properties.property(name).and_then(Value::as_f64)
}

/// The times in ms and the positions of the index.
fn index(file: &[u8]) -> Vec<(u32, usize)> {
    let properties = properties(file);
    let numbers = |name| match properties.property("keyframes")?.property(name)? {
        Value::StrictArray(values) => values.iter().map(Value::as_f64).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let (Some(times), Some(positions)) = (numbers("times"), numbers("filepositions")) else {
        return Vec::new();
    };
    assert_eq!(times.len(), positions.len());
    let times = times.iter().map(|time| (time * 1000.0) as u32);
    times.zip(positions.iter().map(|at| *at as usize)).collect()
}

/// Checks everything that a closed file says of itself.
fn check_closed(file: &[u8], extent: &Extent) {
    assert_eq!(extent.len, file.len() as u64);
    let said = properties(file);
    assert_eq!(
        number(&said, "duration"),
        Some(extent.duration as f64 / 1000.0)
    );
    assert_eq!(number(&said, "filesize"), Some(file.len() as f64));
    assert_eq!(number(&said, "width"), Some(320.0));
    let keyframes = tags(file)
        .into_iter()
        .filter(|tag| tag.kind == 9 && tag.payload[0] >> 4 == 1);
    let mut keyframes: Vec<_> = keyframes.map(|tag| (tag.timestamp, tag.at)).collect();
    if keyframes.len() == 1 {
        keyframes.clear();
    }
    assert_eq!(index(file), keyframes);
}
