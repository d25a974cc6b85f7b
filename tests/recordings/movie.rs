//! What closed MP4 files contain, as their sample tables say.

use std::path::Path;

/// A sample, its decode time, and when it is shown, in units of its track.
pub(crate) struct Sample {
    pub(crate) time: u64,
    pub(crate) shown: i64,
    pub(crate) bytes: Vec<u8>,
}

/// The samples of a file's tracks, in decode order.
#[derive(Default)]
pub(crate) struct Movie {
    pub(crate) video: Vec<Sample>,
    pub(crate) audio: Vec<Sample>,
}

impl Movie {
    /// Reads a file with at most one track of each kind.
    pub(crate) fn read(path: &Path) -> Movie {
        let bytes = std::fs::read(path).unwrap();
        let mut movie = Movie::default();
        let top = boxes(&bytes);
        let (_, tables) = top.iter().find(|(name, _)| name == b"moov").unwrap();
        let tracks = boxes(tables);
        for (_, track) in tracks.iter().filter(|(name, _)| name == b"trak") {
            let handler = find(track, &["mdia", "hdlr"]);
            let samples = samples(&bytes, find(track, &["mdia", "minf", "stbl"]));
            match &handler[8..12] {
                b"vide" => movie.video = samples,
                _ => movie.audio = samples,
            }
        }
        movie
    }
}

/// The boxes in a range: names and contents.
fn boxes(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (header, len) = match number(bytes, 0) {
            1 => (16, u64::from_be_bytes(bytes[8..16].try_into().unwrap())),
            len => (8, len.into()),
        };
        let name = bytes[4..8].try_into().unwrap();
        let len = usize::try_from(len).unwrap();
        found.push((name, &bytes[header..len]));
        bytes = &bytes[len..];
    }
    found
}

/// The contents of a box within boxes.
fn find<'a>(bytes: &'a [u8], path: &[&str]) -> &'a [u8] {
    path.iter().fold(bytes, |bytes, wanted| {
        let boxes = boxes(bytes);
        let found = boxes.iter().find(|(name, _)| name == wanted.as_bytes());
        found.unwrap_or_else(|| panic!("there is no {wanted}")).1
    })
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The rows of a table with so many columns, which begins after `before` bytes.
fn rows(table: &[u8], before: usize, columns: usize) -> Vec<Vec<u32>> {
    let count = number(table, before) as usize;
    let cells =
        |row: usize| (0..columns).map(move |column| before + 4 + (row * columns + column) * 4);
    let row = |row| cells(row).map(|at| number(table, at)).collect();
    (0..count).map(row).collect()
}

/// The values of runs: numbers of repetitions and values.
fn each(runs: Vec<Vec<u32>>) -> impl Iterator<Item = u32> {
    let each = |run: Vec<u32>| std::iter::repeat_n(run[1], run[0] as usize);
    runs.into_iter().flat_map(each)
}

fn samples(file: &[u8], tables: &[u8]) -> Vec<Sample> {
    let lens = rows(find(tables, &["stsz"]), 8, 1);
    let mut durations = each(rows(find(tables, &["stts"]), 4, 2));
    // Without B-frames there may be none.
    let has_offsets = boxes(tables).iter().any(|(name, _)| name == b"ctts");
    let offsets = has_offsets.then(|| rows(find(tables, &["ctts"]), 4, 2));
    let mut offsets = each(offsets.unwrap_or_default());
    let chunks = rows(find(tables, &["co64"]), 4, 2);
    let runs = rows(find(tables, &["stsc"]), 4, 3);
    let (mut samples, mut time) = (Vec::new(), 0);
    for (index, chunk) in chunks.iter().enumerate() {
        let mut at = (u64::from(chunk[0]) << 32 | u64::from(chunk[1])) as usize;
        let run = runs
            .iter()
            .rfind(|run| run[0] as usize <= index + 1)
            .unwrap();
        for _ in 0..run[1] {
            let len = lens[samples.len()][0] as usize;
            let bytes = file[at..at + len].to_vec();
            let shown = time as i64 + i64::from(offsets.next().unwrap_or_default() as i32);
            samples.push(Sample { time, shown, bytes });
            at += len;
            time += u64::from(durations.next().unwrap());
        }
    }
    assert_eq!(samples.len(), lens.len());
    assert_eq!(durations.next(), None);
    samples
}
