//! What a power cut leaves of the operations on a disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is written as a whole or not at all, in bytes.
const SECTOR: u64 = 512;

/// A change of the disk. Files have numbers.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Create(PathBuf, usize),
    Write(usize, u64, Vec<u8>),
    Truncate(usize, u64),
    Sync(usize),
    SyncFolder,
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// The bytes of a file after a power cut.
pub(super) fn bytes_after(
    mut bytes: Vec<u8>,
    done: &[Operation],
    number: usize,
    keeps: &mut dyn FnMut() -> bool,
) -> Vec<u8> {
    let is_sync = |operation: &Operation| matches!(operation, Operation::Sync(of) if *of == number);
    let synced = done.iter().rposition(is_sync).map_or(0, |last| last + 1);
    for operation in &done[..synced] {
        apply(&mut bytes, operation, number);
    }
    // One of the lengths since then survives.
    let mut whole = bytes.clone();
    let mut len = bytes.len();
    for operation in &done[synced..] {
        let before = whole.len();
        apply(&mut whole, operation, number);
        if whole.len() != before && keeps() {
            len = whole.len();
        }
    }
    for operation in &done[synced..] {
        match operation {
            Operation::Write(of, offset, written) if *of == number => {
                write_sectors(&mut bytes, *offset, written, keeps);
            }
            // Sectors that are cut off and written again are those of the later write or zeros.
            Operation::Truncate(of, to) if *of == number && keeps() => {
                let to = bytes.len().min(*to as usize);
                bytes[to..].fill(0);
            }
            _ => {}
        }
    }
    bytes.resize(len, 0);
    bytes
}

fn write_sectors(
    bytes: &mut Vec<u8>,
    offset: u64,
    written: &[u8],
    keeps: &mut dyn FnMut() -> bool,
) {
    let mut done = 0;
    while done < written.len() {
        let at = offset + done as u64;
        let in_sector = (SECTOR - at % SECTOR) as usize;
        let count = in_sector.min(written.len() - done);
        if keeps() {
            put(bytes, at, &written[done..done + count]);
        }
        done += count;
    }
}

fn apply(bytes: &mut Vec<u8>, operation: &Operation, number: usize) {
    match operation {
        Operation::Write(of, offset, written) if *of == number => put(bytes, *offset, written),
        Operation::Truncate(of, len) if *of == number => bytes.resize(*len as usize, 0),
        _ => {}
    }
}

pub(super) fn put(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + written.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(written);
}

pub(super) fn entries_after(
    mut entries: BTreeMap<PathBuf, usize>,
    done: &[Operation],
    keeps: &mut dyn FnMut() -> bool,
) -> BTreeMap<PathBuf, usize> {
    let is_sync = |operation: &Operation| matches!(operation, Operation::SyncFolder);
    let synced = done.iter().rposition(is_sync).map_or(0, |last| last + 1);
    for (index, operation) in done.iter().enumerate() {
        let is_lost = |keeps: &mut dyn FnMut() -> bool| index >= synced && !keeps();
        match operation {
            Operation::Create(path, number) if !is_lost(keeps) => {
                entries.insert(path.clone(), *number);
            }
            Operation::Rename(from, to) if !is_lost(keeps) => {
                if let Some(number) = entries.remove(from) {
                    entries.insert(to.clone(), number);
                }
            }
            Operation::Remove(path) if !is_lost(keeps) => drop(entries.remove(path)),
            _ => {}
        }
    }
    entries
}
