//! A reader of fragments and of sample tables, from their specification.

use super::*;

/// A sample as a player sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) decode_time: u64,
    pub(super) duration: u64,
    pub(super) composition_offset: i32,
    pub(super) is_sync: bool,
    pub(super) bytes: Vec<u8>,
}

/// Reads the samples of video and audio from the fragments of a file.
pub(super) fn of_fragments(file: &[u8]) -> [Vec<Seen>; 2] {
    let mut seen = [Vec::new(), Vec::new()];
    let mut at = 0;
    while at < file.len() {
        let size = u32_at(file, at) as usize;
        if &file[at + 4..at + 8] == b"moof" {
            for traf in &nodes(&file[at..at + size])[0].children[1..] {
                let track = u32_at(body(&traf.children, "tfhd"), 4) as usize - 1;
                let mut time = u64_at(body(&traf.children, "tfdt"), 4);
                let run = body(&traf.children, "trun");
                let mut data = at + u32_at(run, 8) as usize;
                for entry in run[12..].chunks(16) {
                    let [duration, len, flags, offset] = [0, 4, 8, 12].map(|i| u32_at(entry, i));
                    seen[track].push(Seen {
                        decode_time: time,
                        duration: duration.into(),
                        composition_offset: offset as i32,
                        is_sync: flags == 0x0200_0000,
                        bytes: file[data..data + len as usize].to_vec(),
                    });
                    time += u64::from(duration);
                    data += len as usize;
                }
            }
        }
        at += size;
    }
    seen
}

/// Reads the samples of video and audio from sample tables, which refer to `file`. Decode times begin
/// where the edit list says.
pub(super) fn of_tables(moov: &[u8], file: &[u8]) -> [Vec<Seen>; 2] {
    let mut seen = [Vec::new(), Vec::new()];
    let nodes = nodes(moov);
    let movie_timescale = u64::from(u32_at(body(&nodes, "moov/mvhd"), 20));
    for track in nodes[0].children.iter().filter(|n| n.name == "trak") {
        let number = u32_at(body(&track.children, "tkhd"), 20) as usize - 1;
        let header = body(&track.children, "mdia/mdhd");
        let timescale = u64::from(u32_at(header, 20));
        let start = match bodies(&track.children, "edts/elst")[..] {
            [] => 0,
            [list] => {
                assert_eq!(u32_at(list, 4), 2);
                assert_eq!(u64_at(list, 16), u64::MAX);
                let ticks = u64_at(list, 8) * timescale;
                assert_eq!(ticks % movie_timescale, 0);
                ticks / movie_timescale - u64_at(list, 36)
            }
            _ => panic!("several edit lists"),
        };
        let samples = of_track(body_node(&track.children, "mdia/minf/stbl"), file, start);
        let duration: u64 = samples.iter().map(|sample| sample.duration).sum();
        assert_eq!(u64_at(header, 24), duration);
        seen[number] = samples;
    }
    seen
}

fn body_node<'a>(nodes: &'a [Node], path: &str) -> &'a [Node] {
    path.split('/').fold(nodes, |nodes, name| {
        &nodes.iter().find(|n| n.name == name).unwrap().children
    })
}

fn of_track(tables: &[Node], file: &[u8], start: u64) -> Vec<Seen> {
    let runs = |name: &str| -> Vec<u32> {
        let table = body(tables, name);
        assert_eq!(table.len(), 8 + 8 * u32_at(table, 4) as usize, "{name}");
        let entries = table[8..].chunks(8);
        let run = |entry: &[u8]| vec![u32_at(entry, 4); u32_at(entry, 0) as usize];
        entries.flat_map(run).collect()
    };
    let durations = runs("stts");
    let offsets = match bodies(tables, "ctts").len() {
        0 => vec![0; durations.len()],
        _ => runs("ctts"),
    };
    let syncs: Option<Vec<u32>> = bodies(tables, "stss").first().map(|table| {
        assert_eq!(table.len(), 8 + 4 * u32_at(table, 4) as usize);
        table[8..].chunks(4).map(|entry| u32_at(entry, 0)).collect()
    });
    let sizes = body(tables, "stsz");
    assert_eq!(u32_at(sizes, 4), 0);
    assert_eq!(sizes.len(), 12 + 4 * u32_at(sizes, 8) as usize);
    let mut sizes = sizes[12..].chunks(4).map(|entry| u32_at(entry, 0) as usize);
    let (chunks, offsets_of_chunks) = (body(tables, "stsc"), body(tables, "co64"));
    assert_eq!(chunks.len(), 8 + 12 * u32_at(chunks, 4) as usize);
    assert_eq!(
        offsets_of_chunks.len(),
        8 + 8 * u32_at(offsets_of_chunks, 4) as usize
    );
    let mut seen = Vec::new();
    let mut decode_time = start;
    for (index, entry) in offsets_of_chunks[8..].chunks(8).enumerate() {
        // This writer has an entry for every chunk.
        let chunk = &chunks[8 + 12 * index..][..12];
        assert_eq!((u32_at(chunk, 0), u32_at(chunk, 8)), (index as u32 + 1, 1));
        let mut at = u64_at(entry, 0) as usize;
        for _ in 0..u32_at(chunk, 4) {
            let len = sizes.next().unwrap();
            let number = seen.len();
            let duration = u64::from(durations[number]);
            seen.push(Seen {
                decode_time,
                duration,
                composition_offset: offsets[number] as i32,
                is_sync: syncs
                    .as_ref()
                    .is_none_or(|s| s.contains(&(number as u32 + 1))),
                bytes: file[at..at + len].to_vec(),
            });
            at += len;
            decode_time += duration;
        }
    }
    assert_eq!(sizes.next(), None);
    assert_eq!([durations.len(), offsets.len()], [seen.len(); 2]);
    seen
}
