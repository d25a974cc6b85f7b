//! The repair of recordings that are anything but whole.

use std::io::{self, IoSlice};

use brooklet::media::mp4::FILE_TYPE_LEN;
use brooklet::media::mp4::note::{Checksum, NOTE_LEN, Note};
use brooklet::media::mp4::read::FileHead;
use brooklet::record::WallMillis;
use brooklet::record::disk::DiskFile;
use brooklet::record::mp4::reader::{Fragments, read_head, read_moof};
use brooklet::record::mp4::repair::repair_file;

/// One byte, and a file. If the byte is odd, checksums are made right first, because a fuzzer can't: those
/// of notes, and from 128 on those of fragments too.
///
/// Whatever the file is, its repair must end, and what it leaves must be a closed file in which every
/// fragment can be read, and that another repair leaves as it is.
pub fn repair(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else {
        return;
    };
    let mut file = MemoryFile(data.to_vec());
    if mode % 2 == 1 {
        make_checksums_right(&mut file.0, mode >= 128);
    }
    let data = file.0.clone();
    let Ok(Some(extent)) = repair_file(&mut file) else {
        return;
    };
    assert_eq!(extent.len, file.0.len() as u64);
    let head = read_head(&file).unwrap().expect("a head");
    let closed_at = head.closed_at.expect("a closed file");
    let mut fragments = Fragments::of_closed(&file, head.len, closed_at).unwrap();
    let mut buffer = Vec::new();
    let mut count = 0;
    while let Some(fragment) = fragments.next(&file).unwrap() {
        // Files that were closed before aren't searched for damage.
        let is_whole = read_moof(&file, &fragment, &mut buffer).unwrap().is_some();
        assert!(is_whole || file.0 == data);
        count += 1;
    }
    assert_eq!((count, fragments.offset()), (extent.fragments, closed_at));
    let before = file.0.clone();
    assert_eq!(repair_file(&mut file).unwrap(), Some(extent));
    assert!(file.0 == before);
}

/// Makes the checksums of all notes right, one behind the other, and those of their fragments.
fn make_checksums_right(file: &mut [u8], of_fragments: bool) {
    const LINK_AT: usize = FILE_TYPE_LEN + 12;

    let Some(head) = FileHead::parse(file) else {
        return;
    };
    let mut link: [u8; 4] = file[LINK_AT..][..4].try_into().expect("four bytes");
    let mut at = head.len as usize;
    while let Some(fragment) = file.get_mut(at..).filter(|rest| rest.len() >= NOTE_LEN) {
        let mut checksum = Checksum::default();
        checksum.add(&fragment[24..NOTE_LEN - 4]);
        fragment[NOTE_LEN - 4..NOTE_LEN].copy_from_slice(&checksum.bytes());
        let Some(note) = Note::parse(fragment) else {
            return;
        };
        let Some(fragment) = fragment.get_mut(..note.len as usize) else {
            return;
        };
        let end = fragment.len() - link.len();
        if of_fragments {
            let mut checksum = Checksum::default();
            checksum.add(&link);
            let moof = NOTE_LEN..NOTE_LEN + note.moof_len as usize;
            checksum.add(&fragment[moof.clone()]);
            checksum.add(&fragment[moof.end + 8..end]);
            fragment[end..].copy_from_slice(&checksum.bytes());
        }
        link.copy_from_slice(&fragment[end..]);
        at += note.len as usize;
    }
}

/// A file in memory.
struct MemoryFile(Vec<u8>);

impl DiskFile for MemoryFile {
    fn write_at(&mut self, offset: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let mut at = offset as usize;
        for slice in slices {
            let end = at + slice.len();
            if self.0.len() < end {
                self.0.resize(end, 0);
            }
            self.0[at..end].copy_from_slice(slice);
            at = end;
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = offset.min(self.0.len() as u64) as usize;
        let count = buffer.len().min(self.0.len() - start);
        buffer[..count].copy_from_slice(&self.0[start..start + count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn is_removed(&self) -> bool {
        false
    }

    fn set_modified(&mut self, _: WallMillis) -> io::Result<()> {
        Ok(())
    }
}
