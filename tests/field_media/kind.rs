//! The files of `tests/data/field`, and what players are expected to show of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The types of FLV tags, which are those of messages.
pub(crate) const AUDIO: u8 = 8;
const VIDEO: u8 = 9;

/// A message, and when it is sent, in ms from the start.
pub(crate) struct Message {
    pub(crate) sent: u32,
    pub(crate) timestamp: u32,
    pub(crate) type_id: u8,
    pub(crate) payload: Vec<u8>,
}

/// See `tests/data/field/README.md`.
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) codec: String,
    /// What each connection sends, one after another.
    pub(crate) sessions: Vec<Vec<Message>>,
    /// When each frame is sent, in ms.
    pub(crate) pictures: Vec<u32>,
    /// The number of audio frames, for kinds of which a player that joins at once receives all.
    pub(crate) sounds: u32,
    /// The fraction of the frames that players over HTTP must show, and over which they show too
    /// many.
    pub(crate) fraction: f64,
    pub(crate) at_most: f64,
    /// Frames before this time, in ms, are not expected of any player.
    pub(crate) from_ms: u32,
    /// The same for players that join late, and for those that start at keyframes.
    pub(crate) late_from_ms: u32,
    /// How far players have to get, in seconds of the stream; 0 if only the frames count.
    pub(crate) plays: f64,
    /// Width and height at the end.
    pub(crate) size: Option<(u32, u32)>,
    /// A message that explains why this can't be played is enough: on the page, and by the doctor
    /// for others over HTTP.
    pub(crate) may_say_why: bool,
    /// The longest HLS segment, in seconds.
    pub(crate) longest: f64,
    /// The doctor has to report a finding with one of these words.
    pub(crate) finding: Vec<String>,
    /// How long the publisher stays after its last message, in ms.
    pub(crate) stays: u32,
}

/// From the end of one connection to the next, in ms: the files' timestamps continue.
const AWAY: u32 = 1000;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/field")
}

/// All kinds, in their order.
pub(crate) fn all() -> Vec<Kind> {
    let list = fs::read(folder().join("kinds.json")).expect("the list of kinds is there");
    let list: Value = serde_json::from_slice(&list).expect("the list of kinds is JSON");
    let list = list.as_array().expect("the list of kinds is a list");
    list.iter().map(Kind::read).collect()
}

/// A list of texts.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    let texts = list.iter().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

impl Kind {
    fn read(entry: &Value) -> Kind {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| entry[name].as_u64().unwrap_or_default() as u32;
        let numbers = |value: &Value| -> Vec<u32> {
            let list = value.as_array().map_or(&[][..], Vec::as_slice);
            let list = list.iter().map(|n| n.as_u64().unwrap_or_default() as u32);
            list.collect()
        };
        let name = text("name");
        let mut sessions = vec![messages(&folder().join(format!("{name}.flv")))];
        let again = folder().join(format!("{name}.again.flv"));
        if again.exists() {
            let begin = end_of(&sessions[0]) + AWAY;
            let mut session = messages(&again);
            session.iter_mut().for_each(|message| message.sent += begin);
            sessions.push(session);
        }
        let runs = entry["pictures"].as_array().expect("pictures are listed");
        let runs = runs.iter().map(numbers);
        let times = runs.flat_map(|run| (0..run[2]).map(move |index| run[0] + index * run[1]));
        let size = numbers(&entry["size"]);
        Kind {
            what: text("what"),
            codec: text("codec"),
            pictures: times.collect(),
            sounds: number("sounds"),
            fraction: entry["fraction"].as_f64().unwrap_or(0.9),
            at_most: entry["at_most"].as_f64().unwrap_or(f64::INFINITY),
            from_ms: number("from_ms"),
            late_from_ms: number("late_from_ms"),
            plays: entry["plays"].as_f64().unwrap_or_default(),
            size: (size.len() == 2).then(|| (size[0], size[1])),
            may_say_why: entry["may_say_why"] == true,
            longest: entry["longest"].as_f64().unwrap_or(f64::INFINITY),
            finding: texts(&entry["finding"]),
            stays: number("stays"),
            sessions,
            name,
        }
    }

    /// When the publisher leaves, in ms.
    pub(crate) fn end(&self) -> u32 {
        self.sessions.last().map_or(0, |s| end_of(s)) + self.stays
    }

    /// The number of frames sent from one time to another.
    pub(crate) fn pictures_between(&self, from: u32, until: u32) -> u32 {
        let counted = self
            .pictures
            .iter()
            .filter(|at| (from..=until).contains(at));
        counted.count() as u32
    }

    /// The number of audio frames sent from some time on.
    pub(crate) fn sounds_from(&self, from: u32) -> u32 {
        if self.sounds == 0 {
            return 0;
        }
        let all = self.sessions.iter().flatten();
        all.filter(|m| m.type_id == AUDIO && m.sent >= from && m.payload.get(1) != Some(&0))
            .count() as u32
    }
}

/// The messages of a kind's first connection as an FLV file, without their send times.
pub(crate) fn flv(kind: &Kind) -> impl Iterator<Item = (u32, Vec<u8>)> {
    let messages = &kind.sessions[0];
    let has = |type_id| messages.iter().any(|message| message.type_id == type_id);
    let tracks = u8::from(has(AUDIO)) << 2 | u8::from(has(VIDEO));
    let start = [b"FLV\x01", &[tracks][..], &[0, 0, 0, 9, 0, 0, 0, 0]].concat();
    let tags = messages.iter().map(|message| {
        let len = (message.payload.len() as u32).to_be_bytes();
        let time = message.timestamp.to_be_bytes();
        let mut tag = vec![message.type_id, len[1], len[2], len[3]];
        tag.extend([time[1], time[2], time[3], time[0], 0, 0, 0]);
        tag.extend(&message.payload);
        tag.extend((message.payload.len() as u32 + 11).to_be_bytes());
        (message.sent, tag)
    });
    std::iter::once((0, start)).chain(tags)
}

fn end_of(session: &[Message]) -> u32 {
    session.last().map_or(0, |message| message.sent)
}

/// The messages of a file.
fn messages(path: &Path) -> Vec<Message> {
    /// Header of the file (9), and the length of the tag before the first (4).
    const START: usize = 13;
    const HEADER: usize = 11;
    const LEN_AFTER: usize = 4;

    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rest = &bytes[START..];
    let mut messages = Vec::new();
    while let Some((header, after)) = rest.split_at_checked(HEADER) {
        let number =
            |at: usize| u32::from_be_bytes([0, header[at], header[at + 1], header[at + 2]]);
        let len = number(1) as usize;
        messages.push(Message {
            sent: number(8),
            timestamp: number(4) | u32::from(header[7]) << 24,
            type_id: header[0],
            payload: after[..len].to_vec(),
        });
        rest = &after[len + LEN_AFTER..];
    }
    messages
}
