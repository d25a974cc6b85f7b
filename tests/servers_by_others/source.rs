//! What is published, and comparisons of what arrives with it.

use std::fs;
use std::path::{Path, PathBuf};

use brooklet::media::flv::{TagHeader, file_header};

use crate::common::TempDir;
use crate::common::client::{AAC_HEADER, AVC_320X240};
use crate::common::media::{self, AAC};
use crate::common::packets::{FlvTag, flv_tags};

/// H.264 with B-frames and a keyframe every second.
const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "2",
    "-g",
    "30",
    "-sc_threshold",
    "0",
];

/// An FLV file.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    tags: Vec<FlvTag>,
    _dir: TempDir,
}

impl Source {
    /// A file of H.264 and AAC from ffmpeg's encoders.
    pub(crate) fn encoded(seconds: u32) -> Source {
        let dir = TempDir::new();
        let path = media::make(&dir, seconds, &[H264, AAC]);
        Source::new(dir, path)
    }

    /// A file with random bytes in place of pictures and sound: 25 of each a second, some longer than any
    /// chunk.
    pub(crate) fn made_up(seconds: u32) -> Source {
        let dir = TempDir::new();
        let path = dir.join("source.flv");
        let mut file = file_header(true, true).to_vec();
        let mut put = |tag_type, timestamp, payload: &[u8]| {
            let header = TagHeader {
                tag_type,
                len: payload.len() as u32,
                timestamp,
            };
            file.extend(header.bytes());
            file.extend(payload);
            file.extend(header.size_bytes());
        };
        put(9, 0, AVC_320X240);
        put(8, 0, AAC_HEADER);
        for number in 0..seconds * 25 {
            let is_key = number % 25 == 0;
            let len = if is_key {
                70_000
            } else {
                500 + number * 97 % 9_000
            };
            let nal = [if is_key { 0x65 } else { 0x41 }];
            let mut video = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
            video.extend((len + 1).to_be_bytes());
            video.extend(nal);
            video.extend((0..len).map(|at| (at * 31 + number) as u8));
            put(9, number * 40, &video);
            let mut audio = vec![0xAF, 1];
            audio.extend((0..200).map(|at: u32| (at * 7 + number) as u8));
            put(8, number * 40 + 13, &audio);
        }
        fs::write(&path, file).unwrap();
        Source::new(dir, path)
    }

    fn new(dir: TempDir, path: PathBuf) -> Source {
        Source {
            tags: flv_tags(&path),
            path,
            _dir: dir,
        }
    }

    /// The frames, without sequence headers.
    pub(crate) fn frames(&self) -> Vec<&FlvTag> {
        frames(&self.tags)
    }

    fn header(&self, type_id: u8) -> &FlvTag {
        header(&self.tags, type_id).expect("each track has a header")
    }
}

fn is_medium(tag: &FlvTag) -> bool {
    matches!(tag.type_id, 8 | 9)
}

/// What has a picture or sound. The end of a sequence, which ffmpeg's muxer writes, has none.
fn frames(tags: &[FlvTag]) -> Vec<&FlvTag> {
    let is_end = |tag: &FlvTag| tag.type_id == 9 && tag.body.get(1) == Some(&2);
    let frames = tags.iter().filter(|tag| is_medium(tag));
    frames
        .filter(|tag| !tag.is_sequence_header() && !is_end(tag))
        .collect()
}

fn header(tags: &[FlvTag], type_id: u8) -> Option<&FlvTag> {
    let mut of_track = tags.iter().filter(|tag| tag.type_id == type_id);
    of_track.find(|tag| tag.is_sequence_header())
}

/// How much of a source has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// What follows a keyframe, up to the end. Sound may begin earlier.
    FromKeyframe,
}

/// Checks that a file has the source's frames in their order, byte for byte, with timestamps that differ by
/// one constant; and its sequence headers before them. Metadata isn't looked at: servers write their own.
pub(crate) fn assert_arrived(source: &Source, file: &Path, extent: Extent, who: &str) {
    let tags = flv_tags(file);
    for type_id in [8, 9] {
        let mut of_track = tags.iter().filter(|tag| tag.type_id == type_id);
        let first = of_track
            .next()
            .unwrap_or_else(|| panic!("{who}: no track {type_id}"));
        let header = source.header(type_id);
        assert!(
            first.body == header.body,
            "{who}: track {type_id} begins with its header"
        );
        let mut headers = of_track.filter(|tag| tag.is_sequence_header());
        assert!(
            headers.all(|again| again.body == header.body),
            "{who}: another header of track {type_id}"
        );
    }
    assert_same_frames(&source.frames(), &frames(&tags), extent, who);
}

/// Compares frames; see [`assert_arrived`].
pub(crate) fn assert_same_frames(expected: &[&FlvTag], got: &[&FlvTag], extent: Extent, who: &str) {
    let first = got.first().unwrap_or_else(|| panic!("{who}: nothing came"));
    let is_first = |tag: &&FlvTag| (tag.type_id, &tag.body) == (first.type_id, &first.body);
    let start = expected.iter().position(is_first);
    let start = start.unwrap_or_else(|| panic!("{who}: the first frame is none of the source's"));
    let mut rest = expected[start..].to_vec();
    match extent {
        Extent::Whole => assert_eq!(start, 0, "{who}: the first frame's number"),
        Extent::FromKeyframe => {
            let mut is_waiting = true;
            rest.retain(|tag| {
                is_waiting &= !tag.is_keyframe();
                tag.type_id != 9 || !is_waiting
            });
        }
    }
    let offset = first.timestamp.wrapping_sub(rest[0].timestamp);
    for (number, (expected, got)) in rest.iter().zip(got).enumerate() {
        let timestamp = expected.timestamp.wrapping_add(offset);
        let what = (expected.type_id, timestamp, expected.body.len());
        assert_eq!(
            (got.type_id, got.timestamp, got.body.len()),
            what,
            "{who}: frame {number} of {}: type, time, length",
            rest.len()
        );
        assert!(
            got.body == expected.body,
            "{who}: the bytes of frame {number}"
        );
    }
    assert_eq!(got.len(), rest.len(), "{who}: number of frames");
}

#[test]
fn the_comparison_notices_every_change() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let source = Source::made_up(3);
    let frames = source.frames();
    let is_same = |got: &[FlvTag], extent| {
        let got: Vec<_> = got.iter().collect();
        let compare = || assert_same_frames(&frames, &got, extent, "a copy");
        catch_unwind(AssertUnwindSafe(compare)).is_ok()
    };
    let copy: Vec<FlvTag> = frames.iter().map(|tag| (*tag).clone()).collect();
    assert!(is_same(&copy, Extent::Whole));
    // Late by a constant, from a keyframe, and with sound before that.
    let mut late = copy.clone();
    late.iter_mut().for_each(|tag| tag.timestamp += 7);
    assert!(is_same(&late, Extent::Whole));
    assert!(is_same(&late[50..], Extent::FromKeyframe));
    assert!(!is_same(&late[50..], Extent::Whole));
    let mut sound = late[47..].to_vec();
    sound.remove(1);
    assert!(is_same(&sound, Extent::FromKeyframe));
    for change in 0..5 {
        let mut other = copy.clone();
        match change {
            0 => drop(other.remove(77)),
            1 => other.truncate(149),
            2 => other[77].timestamp += 1,
            3 => other[77].body[20] ^= 1,
            _ => other.swap(76, 77),
        }
        assert!(!is_same(&other, Extent::Whole), "change {change}");
    }
}
