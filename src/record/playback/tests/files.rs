use std::io::IoSlice;

use super::*;
use crate::record::disk::DiskFile;
use crate::record::playback::file::{FileBody, InitBody};

#[test]
fn ranges_of_files_equal_the_whole() {
    let mut recorded = Recorded::new(1);
    recorded.record_files(&[9]);
    recorded.record(7);
    for name in recorded.names() {
        let mut body = recorded.body(name);
        let whole = read_all(&mut body);
        check_ranges(&mut body, &whole, &mut Random(2));
    }
}

#[test]
fn a_growing_file_ends_with_its_last_whole_fragment_even_if_it_is_closed_meanwhile() {
    let mut recorded = Recorded::new(3);
    recorded.record(5);
    let name = recorded.names()[0];
    let mut body = recorded.body(name);
    let before = read_all(&mut body);
    recorded.record(1);
    assert_eq!(read_all(&mut body), before);
    // What the file itself has there is for repairs only.
    assert_eq!(&before[36..52], b"\0\0\0\x10free\0\0\0\0\0\0\0\0");
    recorded.close();
    assert!(read_all(&mut body) == before, "closed while it was read");
    let closed = read_all(&mut recorded.body(name));
    assert_eq!(&closed[40..44], b"mdat");
    assert!(closed.len() > before.len());
    assert!(closed[52..before.len()] == before[52..]);
}

#[test]
fn a_file_that_was_renamed_after_it_was_looked_up_is_found() {
    let mut recorded = Recorded::new(4);
    recorded.record(2);
    let (name, writer) = recorded.open.take().unwrap();
    // Closed, but the list doesn't say so yet, and won't.
    writer.close(&recorded.disk).unwrap();
    let open = || FileBody::open(&recorded.recordings, &recorded.key, name).unwrap();
    assert!(open().is_none());
    let mut list = recorded.recordings.list();
    list.close(&recorded.key, name, 1, WALL, WALL);
    drop(list);
    assert!(open().is_some());
}

#[test]
fn the_init_segment_is_what_precedes_the_fragments() {
    let mut recorded = Recorded::new(5);
    recorded.record_files(&[3]);
    let name = recorded.names()[0];
    let whole = read_all(&mut recorded.body(name));
    let mut init = InitBody::new(recorded.body(name)).unwrap();
    let bytes = read_all(&mut init);
    assert_eq!(bytes[..36], whole[..36]);
    assert_eq!(bytes[36..], whole[52..bytes.len() + 16]);
    assert_eq!(&bytes[40..44], b"moov");
    let moov_len = u32::from_be_bytes(bytes[36..40].try_into().unwrap());
    assert_eq!(moov_len as usize, bytes.len() - 36);
    for start in 0..bytes.len() as u64 {
        let end = bytes.len() as u64;
        assert_eq!(read(&mut init, start, end, 7), bytes[start as usize..]);
    }
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    let mut recorded = Recorded::new(6);
    recorded.record_files(&[3]);
    let name = recorded.names()[0];
    let mut body = recorded.body(name);
    let path = path(&recorded.key, name);
    let mut file: Box<dyn DiskFile> = recorded.disk.reopen(&path).unwrap();
    file.truncate(100).unwrap();
    file.write_at(0, &[IoSlice::new(b"x")]).unwrap();
    assert_eq!(body.read(99, &mut [0; 9]).unwrap(), 1);
    assert!(body.read(100, &mut [0; 9]).is_err());
}

#[test]
fn a_file_that_had_to_go_is_no_longer_read() {
    let mut recorded = Recorded::new(4);
    recorded.record_files(&[5]);
    let name = recorded.names()[0];
    let mut body = recorded.body(name);
    let read = body.read(0, &mut [0; 100]).unwrap();
    assert_eq!(read, 100);
    recorded.disk.remove(&path(&recorded.key, name)).unwrap();
    let error = body.read(100, &mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
