//! A parser of closed files, for tests: panics at anything that isn't as it should be.

use std::collections::BTreeSet;

use crate::record::mp4::index::SUMMARY_LEN;

/// The samples of a closed file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::record) struct ClosedFile {
    pub(in crate::record) video: Vec<ReadSample>,
    pub(in crate::record) audio: Vec<ReadSample>,
    /// The number of notes in the index.
    pub(in crate::record) notes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::record) struct ReadSample {
    /// The decode time, counted from the first sample of the track.
    pub(in crate::record) time: u64,
    pub(in crate::record) composition_offset: i32,
    pub(in crate::record) is_sync: bool,
    pub(in crate::record) bytes: Vec<u8>,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// All boxes: name and body.
fn boxes(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut boxes = Vec::new();
    while !bytes.is_empty() {
        let (len, start) = match u32_at(bytes, 0) {
            1 => (u64_at(bytes, 8) as usize, 16),
            len => (len as usize, 8),
        };
        boxes.push((&bytes[4..8], &bytes[start..len]));
        bytes = &bytes[len..];
    }
    boxes
}

fn body<'a>(bytes: &'a [u8], path: &[&str]) -> &'a [u8] {
    path.iter().fold(bytes, |bytes, name| {
        let found = boxes(bytes)
            .into_iter()
            .find(|(found, _)| *found == name.as_bytes());
        found.unwrap_or_else(|| panic!("no {name}")).1
    })
}

/// The entries of a table, as rows of 32-bit numbers.
fn rows(table: &[u8], columns: usize) -> Vec<Vec<u32>> {
    let count = u32_at(table, 4) as usize;
    assert_eq!(table.len(), 8 + count * columns * 4);
    let row = |row: &[u8]| (0..columns).map(|column| u32_at(row, column * 4)).collect();
    table[8..].chunks(columns * 4).map(row).collect()
}

impl ClosedFile {
    pub(in crate::record) fn parse(file: &[u8]) -> ClosedFile {
        let top = boxes(file);
        let names: Vec<&[u8]> = top.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [&b"ftyp"[..], b"mdat", b"moov", b"uuid"]);
        let index = top[3].1;
        assert_eq!(&index[index.len() - 4..], b"bkix");
        let mut closed = ClosedFile {
            notes: (index.len() - 16 - 8 - SUMMARY_LEN) / 96,
            ..ClosedFile::default()
        };
        closed.read_tracks(file, top[2].1);
        closed
    }

    /// Parses a file that has its `moov` in front, and no index.
    pub(in crate::record) fn parse_span(file: &[u8]) -> ClosedFile {
        let top = boxes(file);
        let names: Vec<&[u8]> = top.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [&b"ftyp"[..], b"moov", b"mdat"]);
        let mut span = ClosedFile::default();
        span.read_tracks(file, top[1].1);
        span
    }

    fn read_tracks(&mut self, file: &[u8], movie: &[u8]) {
        for (name, track) in boxes(movie) {
            if name != b"trak" {
                continue;
            }
            let handler = body(track, &["mdia", "hdlr"]);
            let samples = samples(file, body(track, &["mdia", "minf", "stbl"]));
            match &handler[8..12] {
                b"vide" => self.video = samples,
                b"soun" => self.audio = samples,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn samples(file: &[u8], tables: &[u8]) -> Vec<ReadSample> {
    let sizes = body(tables, &["stsz"]);
    assert_eq!(u32_at(sizes, 4), 0);
    let sizes: Vec<usize> = rows(&sizes[4..], 1)
        .iter()
        .map(|row| row[0] as usize)
        .collect();
    let runs = |name| {
        let is_there = boxes(tables)
            .iter()
            .any(|(found, _)| *found == str::as_bytes(name));
        let rows = if is_there {
            rows(body(tables, &[name]), 2)
        } else {
            Vec::new()
        };
        rows.into_iter()
            .flat_map(|row| vec![row[1]; row[0] as usize])
            .collect::<Vec<u32>>()
    };
    let (durations, offsets) = (runs("stts"), runs("ctts"));
    assert_eq!(durations.len(), sizes.len());
    assert!(offsets.is_empty() || offsets.len() == sizes.len());
    let has_syncs = boxes(tables).iter().any(|(name, _)| *name == b"stss");
    let syncs: BTreeSet<u32> = match has_syncs {
        true => rows(body(tables, &["stss"]), 1)
            .concat()
            .into_iter()
            .collect(),
        false => BTreeSet::new(),
    };
    let chunks = body(tables, &["co64"]);
    let count = u32_at(chunks, 4) as usize;
    assert_eq!(chunks.len(), 8 + count * 8);
    let per_chunk = rows(body(tables, &["stsc"]), 3);
    let (mut samples, mut time) = (Vec::new(), 0);
    for chunk in 0..count {
        let run = per_chunk
            .iter()
            .rfind(|run| run[0] as usize <= chunk + 1)
            .unwrap();
        let mut offset = u64_at(chunks, 8 + chunk * 8) as usize;
        for _ in 0..run[1] {
            let number = samples.len();
            samples.push(ReadSample {
                time,
                composition_offset: offsets.get(number).map_or(0, |offset| *offset as i32),
                is_sync: !has_syncs || syncs.contains(&(number as u32 + 1)),
                bytes: file[offset..offset + sizes[number]].to_vec(),
            });
            offset += sizes[number];
            time += u64::from(durations[number]);
        }
    }
    assert_eq!(samples.len(), sizes.len());
    samples
}
