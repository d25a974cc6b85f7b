//! Closed files, and the frames in them.

use std::path::Path;

use crate::record::disk::sim::SimDisk;
use crate::record::mp4::tests::closed_file::ClosedFile;

/// A closed file.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Its name, without folder.
    pub(super) name: String,
    /// The numbers of its frames, and the times of those that are video, in ms.
    pub(super) video: Vec<u32>,
    pub(super) audio: Vec<u32>,
    pub(super) times: Vec<u64>,
}

impl Recorded {
    pub(super) fn read(disk: &SimDisk, path: &Path) -> Recorded {
        let bytes = disk.bytes(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(!name.ends_with(".part"), "{name} is left");
        if name.ends_with(".flv") {
            return read_flv(name, &bytes);
        }
        let file = ClosedFile::parse(&bytes);
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
        Recorded {
            name,
            video: file
                .video
                .iter()
                .map(|frame| number(&frame.bytes))
                .collect(),
            audio: file
                .audio
                .iter()
                .map(|frame| number(&frame.bytes[3..]))
                .collect(),
            times: file.video.iter().map(|frame| frame.time).collect(),
        }
    }
}

fn read_flv(name: String, bytes: &[u8]) -> Recorded {
    let mut recorded = Recorded {
        name,
        video: Vec::new(),
        audio: Vec::new(),
        times: Vec::new(),
    };
    let mut rest = &bytes[13..];
    while !rest.is_empty() {
        let len = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let time = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        let payload = &rest[11..11 + len];
        let number = || u32::from_be_bytes(payload[5..9].try_into().unwrap());
        match rest[0] {
            9 if payload[1] == 1 => {
                recorded.video.push(number());
                recorded.times.push(time.into());
            }
            8 if payload[1] == 1 => recorded.audio.push(number()),
            _ => {}
        }
        rest = &rest[11 + len + 4..];
    }
    recorded
}

/// All numbers in files, sorted. Panics if one is there twice, or if a file isn't in order.
pub(super) fn numbers(files: &[Recorded]) -> Vec<u32> {
    let mut all = Vec::new();
    for file in files {
        for track in [&file.video, &file.audio] {
            assert!(track.is_sorted(), "{file:?}");
            all.extend(track);
        }
    }
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(count, all.len(), "frames that were recorded twice");
    all
}

/// The numbers that are in no file.
pub(super) fn missing(files: &[Recorded], from: u32, sent: u32) -> Vec<u32> {
    let there = numbers(files);
    assert!(
        there.first().is_none_or(|first| *first >= from),
        "{:?} before {from}",
        there.first()
    );
    (from..sent)
        .filter(|number| there.binary_search(number).is_err())
        .collect()
}

pub(super) fn names(files: &[Recorded]) -> Vec<&str> {
    files.iter().map(|file| &*file.name).collect()
}
