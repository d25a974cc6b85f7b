//! Recordings in FLV that were damaged, repaired without panics.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::capabilities::Capabilities;
use brooklet::live::cut::{CopyPlace, Cut, CutSample, Evicted, Form};
use brooklet::live::kind::Kind;
use brooklet::live::tracks::Tracks;
use brooklet::record::WallMillis;
use brooklet::record::disk::{Disk, DiskFile, FoundFile, Space};
use brooklet::record::flv::repair::{look, repair_file};
use brooklet::record::flv::writer::FlvWriter;
use brooklet::record::flv::extent;
use brooklet::record::staging::Staging;

/// A file in memory; clones are the same file.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl DiskFile for Memory {
    fn write_at(&mut self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let mut at = offset as usize;
        for slice in slices {
            let end = at + slice.len();
            let len = bytes.len().max(end);
            bytes.resize(len, 0);
            bytes[at..end].copy_from_slice(slice);
            at = end;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let start = bytes.len().min(offset as usize);
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&mut self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn is_removed(&self) -> bool {
        false
    }

    fn set_modified(&mut self, _to: WallMillis) -> io::Result<()> {
        Ok(())
    }
}

/// A disk with one file, whatever its name.
struct OneFile(Memory);

impl Disk for OneFile {
    fn create(&self, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.0.clone()))
    }

    fn open(&self, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.0.clone()))
    }

    fn reopen(&self, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.0.clone()))
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, _path: &Path) -> bool {
        false
    }

    fn list(&self, _found: &mut dyn FnMut(FoundFile<'_>)) -> io::Result<()> {
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space::default())
    }

    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    fn claim(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file in the making with four fragments, of which two are synced.
fn good_file() -> Vec<u8> {
    let memory = Memory::default();
    let disk = OneFile(memory.clone());
    let arena = Arena::new(16 * BLOCK_LEN);
    let mut staging = Staging::new(&arena).expect("there are blocks");
    let mut writer = None;
    for n in 0..4 {
        let mut cut = cut(n);
        let writer = writer.get_or_insert_with(|| {
            FlvWriter::begin(&disk, Path::new("a.flv"), &cut, 9, 0, 3_000).expect("begins")
        });
        let appended = writer.append(&mut cut, 9, &mut copy, &mut staging);
        appended.expect("nothing fails");
        if n == 1 {
            writer.sync().expect("nothing fails");
        }
    }
    let bytes = memory.0.lock().unwrap();
    bytes.clone()
}

fn cut(n: u32) -> Cut {
    let sample = |kind, timestamp, len, is_sync| CutSample {
        number: 0,
        kind,
        timestamp,
        len,
        decode_time: 0,
        duration: 0,
        composition_time: 0,
        is_sync,
    };
    let tracks = Tracks {
        video: Some(Capabilities::everything()),
        ..Tracks::default()
    };
    Cut {
        form: Some(Form::Flv),
        samples: vec![
            sample(Kind::Video, n * 80, 60, true),
            sample(Kind::Audio, n * 80 + 5, 20, false),
            sample(Kind::Script, n * 80 + 5, 99, false),
            sample(Kind::Video, n * 80 + 40, 9, false),
        ],
        tracks: Arc::new(tracks),
        is_start: true,
        ..Cut::default()
    }
}

fn copy(samples: &[CutSample], place: &mut CopyPlace, out: &mut [u8]) -> Result<usize, Evicted> {
    let left = samples[place.index].len - place.offset;
    let count = out.len().min(left as usize);
    out[..count].fill(0x12);
    place.offset += count as u32;
    Ok(count)
}

/// If the first byte is odd, the rest is a file. Otherwise it is what happens to a file: places (2 bytes), each with
/// what is written there: a length below 16, and the bytes. Whatever it is, the file that a repair leaves is whole,
/// and another repair changes nothing.
pub fn flv_recording(data: &[u8]) {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();

    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let bytes = if first & 1 == 1 {
        rest.to_vec()
    } else {
        let mut bytes = GOOD.get_or_init(good_file).clone();
        damage(&mut bytes, rest);
        bytes
    };
    let mut file = Memory(Arc::new(Mutex::new(bytes)));
    let _ = look(&file).expect("memory doesn't fail");
    let Some(repaired) = repair_file(&mut file).expect("memory doesn't fail") else {
        return;
    };
    let bytes = file.0.lock().unwrap().clone();
    assert_eq!(repaired.len, bytes.len() as u64);
    whole_tags(&bytes);
    let known = extent(&file)
        .expect("memory doesn't fail")
        .expect("it ends with a mark");
    assert_eq!(
        (known.len, known.duration),
        (repaired.len, repaired.duration)
    );
    let again = repair_file(&mut file).expect("memory doesn't fail");
    assert_eq!(again, Some(repaired));
    assert!(*file.0.lock().unwrap() == bytes);
}

fn damage(bytes: &mut Vec<u8>, mut steps: &[u8]) {
    while let [high, low, len, rest @ ..] = steps {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len().max(1);
        if *len == 255 {
            bytes.truncate(at);
        }
        let (written, rest) = rest.split_at(rest.len().min(usize::from(len % 16)));
        let end = bytes.len().min(at + written.len());
        bytes[at..end].copy_from_slice(&written[..end - at]);
        steps = rest;
    }
}

fn whole_tags(file: &[u8]) {
    let mut rest = &file[13..];
    while !rest.is_empty() {
        let len = 11 + u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        assert_eq!(rest[len..len + 4], (len as u32).to_be_bytes());
        rest = &rest[len + 4..];
    }
}
