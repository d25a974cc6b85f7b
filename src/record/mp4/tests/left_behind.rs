//! What older files left on the disk.

use std::path::Path;

use super::files::record;
use super::script::{WALL, presentation};
use super::{NAME, Script, SimDisk, part, repaired};
use crate::record::mp4::writer::Mp4Writer;

#[test]
fn what_another_file_left_behind_is_not_taken_for_fragments() {
    let record_at = |wall| {
        let disk = SimDisk::new();
        let mut script = Script::new(10);
        let path = Path::new(NAME);
        let mut writer = Mp4Writer::begin(&disk, path, &presentation(), wall, 0).unwrap();
        let head = writer.extent().len;
        record(&mut script, &mut writer, 1);
        let first = writer.extent().len;
        record(&mut script, &mut writer, 1);
        (disk, head as usize, first as usize)
    };
    let (old, head, first) = record_at(WALL);
    let (new, ..) = record_at(WALL + 1);
    let old = old.bytes(part()).unwrap();
    let whole = new.bytes(part()).unwrap();
    for from in [head, first] {
        new.put(part(), [&whole[..from], &old[from..]].concat());
        let left = repaired(&new).map_or(0, |(_, read)| read.notes);
        assert_eq!(left, usize::from(from == first));
    }
}

#[test]
fn what_another_file_left_behind_does_not_say_what_was_synced() {
    // Fragments of the same lengths, of which the last one says that those before it were synced.
    let record_at = |wall: u64| {
        let disk = SimDisk::new();
        let mut script = Script::new(10);
        let path = Path::new(NAME);
        let mut writer = Mp4Writer::begin(&disk, path, &presentation(), wall, 0).unwrap();
        let ends = [0, 1, 2, 3].map(|number| {
            if number == 3 {
                writer.sync().unwrap();
            }
            let (mut cut, wall) = (script.cut(), wall + number * 200);
            script
                .append_at(&mut writer, &mut cut, wall, usize::MAX)
                .unwrap();
            writer.extent().len as usize
        });
        (disk, ends)
    };
    let (old, _) = record_at(WALL);
    let (new, ends) = record_at(WALL + 3_600_000);
    let old = old.bytes(part()).unwrap();
    let mut bytes = new.bytes(part()).unwrap();
    bytes[ends[1] - 10] ^= 1;
    new.put(part(), [&bytes[..ends[1]], &old[ends[1]..]].concat());
    let (_, read) = repaired(&new).unwrap();
    assert_eq!(read.notes, 1);
}
