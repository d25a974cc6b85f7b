//! What a file takes of memory, on a real disk.

use std::fs;
use std::path::{Path, PathBuf};

use allocation_counter::{AllocationInfo, measure};

use super::closed_file::ClosedFile;
use super::script::{Script, WALL, presentation};
use super::{NAME, part};
use crate::live::arena::{Arena, BLOCK_LEN};
use crate::record::disk::Disk;
use crate::record::disk::os::OsDisk;
use crate::record::mp4::repair::repair;
use crate::record::mp4::writer::Mp4Writer;
use crate::record::staging::Staging;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(what: &str) -> Folder {
        let name = format!("brooklet-{what}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn disk(&self) -> OsDisk {
        OsDisk::new(self.0.clone(), 1)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Records and closes a file. Returns what the close has allocated, and what a repair of the same file
/// has.
fn close_and_repair(fragments: usize) -> [AllocationInfo; 2] {
    let folder = Folder::new(&format!("close-{fragments}"));
    let disk = folder.disk();
    disk.claim().unwrap();
    let path = Path::new(NAME);
    let mut script = Script::new(1);
    let mut writer = Mp4Writer::begin(&disk, path, &presentation(), WALL, 0).unwrap();
    for _ in 0..fragments {
        let mut cut = script.cut();
        script.append(&mut writer, &mut cut, usize::MAX).unwrap();
    }
    let open = fs::read(folder.0.join(part())).unwrap();
    let mut staging = Staging::new(&Arena::new(64 * BLOCK_LEN)).unwrap();
    let close = measure(|| assert!(writer.close_with(&disk, &mut staging).unwrap().is_some()));
    let closed = fs::read(folder.0.join(NAME)).unwrap();
    assert!(ClosedFile::parse(&closed) == script.expected(fragments));

    fs::remove_file(folder.0.join(NAME)).unwrap();
    fs::write(folder.0.join(part()), open).unwrap();
    let repair = measure(|| assert!(repair(&disk, &part(), path).is_ok()));
    assert!(fs::read(folder.0.join(NAME)).unwrap() == closed);
    [close, repair]
}

#[test]
fn a_close_and_a_repair_take_as_much_memory_for_long_files_as_for_short_ones() {
    let short = close_and_repair(500);
    let long = close_and_repair(1_500);
    for (short, long) in short.iter().zip(&long) {
        assert!(
            long.bytes_max <= short.bytes_max + 512,
            "{short:?} {long:?}"
        );
        assert!(long.bytes_max < 40 * 1024, "{long:?}");
    }
}

#[test]
fn appending_takes_hardly_any_memory() {
    let folder = Folder::new("append");
    let disk = folder.disk();
    let mut script = Script::new(1);
    let path = Path::new(NAME);
    let mut writer = Mp4Writer::begin(&disk, path, &presentation(), WALL, 0).unwrap();
    for number in 0..50 {
        let mut cut = script.cut();
        script.append(&mut writer, &mut cut, usize::MAX).unwrap();
        // In the first ones, the buffer for heads grows.
        assert!(number < 20 || script.allocated.bytes_max <= 96);
    }
}
