//! Spans, files and playlists of recordings on a disk in memory.

mod files;
mod playlists;
mod spans;

use std::sync::Arc;

use super::*;
use crate::media::mp4::Presentation;
use crate::record::disk::sim::SimDisk;
use crate::record::mp4::tests::script::{Random, Script, WALL, presentation};
use crate::record::mp4::writer::Mp4Writer;
use crate::record::name::{Format, path};

/// Ten bytes that are read two at a time, of which those from `broken` on can't be read.
struct Pieces {
    broken: u64,
}

impl Body for Pieces {
    fn len(&self) -> u64 {
        10
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.broken {
            return Err(io::ErrorKind::NotFound.into());
        }
        let bytes = (offset..self.len()).map(|at| at as u8);
        let pairs = buffer.iter_mut().zip(bytes).take(2);
        Ok(pairs.map(|(to, byte)| *to = byte).count())
    }
}

#[test]
fn small_pieces_fill_a_buffer_and_an_error_comes_after_the_bytes_before_it() {
    let mut buffer = [99; 12];
    let mut body = Pieces { broken: 20 };
    assert_eq!(body.fill(0, &mut buffer[..7]).unwrap(), 7);
    assert_eq!(body.fill(3, &mut buffer).unwrap(), 7);
    assert_eq!(buffer[..7], [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(body.fill(10, &mut buffer).unwrap(), 0);
    let mut body = Pieces { broken: 4 };
    assert_eq!(body.fill(0, &mut buffer).unwrap(), 4);
    assert!(body.fill(4, &mut buffer).is_err());
}

/// A stream that is being recorded.
struct Recorded {
    disk: SimDisk,
    recordings: Recordings,
    key: StreamKey,
    script: Script,
    presentation: Presentation,
    /// The number of cuts from one keyframe to the next.
    gop: usize,
    /// How late frames arrive, in ms.
    delay: WallMillis,
    /// The last file while it is open.
    open: Option<(FileName, Mp4Writer)>,
    /// Of each fragment, when it begins and ends.
    walls: Vec<[WallMillis; 2]>,
}

impl Recorded {
    fn new(seed: u64) -> Recorded {
        let disk = SimDisk::new();
        Recorded {
            recordings: Recordings {
                catalog: Arc::default(),
                disk: Arc::new(disk.clone()),
            },
            disk,
            key: StreamKey::new("live", "door").unwrap(),
            script: Script::new(seed),
            presentation: presentation(),
            gop: 1,
            delay: 0,
            open: None,
            walls: Vec::new(),
        }
    }

    /// Records some fragments into the open file, or a new one.
    fn record(&mut self, fragments: usize) {
        for _ in 0..fragments {
            let mut cut = self.script.cut();
            cut.samples[0].is_sync = self.walls.len() % self.gop == 0;
            let frames = cut.samples.iter().filter(|sample| sample.duration == 40);
            let end = WALL + self.script.time + self.delay;
            let start = end - 40 * frames.count() as u64;
            let (name, writer) = self.open.get_or_insert_with(|| {
                let wanted = FileName::dated(start, Format::Mp4);
                let name = self.recordings.list().begin(&self.key, wanted, start);
                let path = path(&self.key, name);
                let writer = Mp4Writer::begin(&self.disk, &path, &self.presentation, start, 0);
                (name, writer.unwrap())
            });
            let script = &mut self.script;
            script
                .append_at(writer, &mut cut, start, usize::MAX)
                .unwrap();
            let len = writer.extent().len;
            self.recordings.list().grow(&self.key, *name, len, end, end);
            self.walls.push([start, end]);
        }
    }

    /// Closes the file.
    fn close(&mut self) {
        if let Some((name, writer)) = self.open.take() {
            let extent = writer.close(&self.disk).unwrap().unwrap();
            let (len, to) = (extent.len, extent.to);
            self.recordings.list().close(&self.key, name, len, to, to);
        }
    }

    /// Records files with these numbers of fragments.
    fn record_files(&mut self, files: &[usize]) {
        for fragments in files {
            self.record(*fragments);
            self.close();
        }
    }

    /// The names of all files.
    fn names(&self) -> Vec<FileName> {
        let mut files = Vec::new();
        let list = self.recordings.list();
        list.files(&self.key, 0..u64::MAX, None, 1_000, &mut files);
        files.iter().map(|file| file.name).collect()
    }

    fn body(&self, name: FileName) -> file::FileBody {
        let body = file::FileBody::open(&self.recordings, &self.key, name);
        body.unwrap().unwrap()
    }
}

/// Reads a range, a few bytes at a time.
fn read(body: &mut dyn Body, start: u64, end: u64, piece: usize) -> Vec<u8> {
    let mut bytes = vec![0; (end - start) as usize];
    let mut done = 0;
    while done < bytes.len() {
        let room = (bytes.len() - done).min(piece);
        let read = body.read(start + done as u64, &mut bytes[done..done + room]);
        let read = read.unwrap();
        assert!(read > 0, "at {}", start + done as u64);
        done += read;
    }
    bytes
}

fn read_all(body: &mut dyn Body) -> Vec<u8> {
    let len = body.len();
    read(body, 0, len, 16 * 1024)
}

/// Compares a thousand ranges with the whole.
fn check_ranges(body: &mut dyn Body, whole: &[u8], random: &mut Random) {
    let len = whole.len() as u64;
    for round in 0..1_000 {
        let start = random.below(len);
        let end = start + 1 + random.below((len - start).min(5_000));
        let piece = 1 + random.below(700) as usize;
        let bytes = read(body, start, end, piece);
        let expected = &whole[start as usize..end as usize];
        assert!(
            bytes == expected,
            "round {round}: {start}..{end} by {piece}"
        );
    }
    assert_eq!(body.read(len, &mut [0]).unwrap(), 0);
}
