use std::fs;
use std::io::{ErrorKind, IoSlice};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::OsDisk;
use crate::record::disk::{Disk, Failure};
use crate::record::name::{FileName, Format, path};
use crate::rtmp::stream_key::StreamKey;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("brooklet-disk-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn disk(&self) -> OsDisk {
        OsDisk::new(self.0.clone(), 4711)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NAME: &str = "live/door/a.mp4";

#[test]
fn a_file_is_written_in_slices_and_read_back() {
    let folder = Folder::new();
    let disk = folder.disk();
    let mut file = disk.create(Path::new(NAME)).unwrap();
    file.allocate(1 << 20).unwrap();
    assert_eq!(file.len().unwrap(), 0);
    file.write_at(
        3,
        &[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")],
    )
    .unwrap();
    file.sync().unwrap();
    let mut read = [1; 8];
    assert_eq!(
        disk.open(Path::new(NAME))
            .unwrap()
            .read_at(0, &mut read)
            .unwrap(),
        7
    );
    assert_eq!(&read[..7], b"\0\0\0abcd");
    file.truncate(4).unwrap();
    file.set_modified(1_234_567).unwrap();
    let path = folder.0.join(NAME);
    assert_eq!(fs::read(&path).unwrap(), b"\0\0\0a");
    assert!(
        fs::metadata(&path).unwrap().blocks() * 512 < 1 << 20,
        "still allocated"
    );
    let mut found = Vec::new();
    disk.list(&mut |file| found.push((file.path.to_owned(), file.len, file.modified)))
        .unwrap();
    assert_eq!(found, [(PathBuf::from(NAME), 4, 1_234_567)]);
}

#[test]
fn nothing_is_ever_overwritten() {
    let folder = Folder::new();
    let disk = folder.disk();
    let (a, b) = (Path::new("x/a"), Path::new("x/b"));
    disk.create(a).unwrap();
    let taken = |result: std::io::Result<()>| result.unwrap_err().kind();
    assert_eq!(taken(disk.create(a).map(drop)), ErrorKind::AlreadyExists);
    disk.create(b).unwrap();
    assert_eq!(taken(disk.rename(a, b)), ErrorKind::AlreadyExists);
    disk.remove(b).unwrap();
    assert!(disk.exists(a) && !disk.exists(b));
    disk.rename(a, b).unwrap();
    assert!(!disk.exists(a) && disk.exists(b));
}

#[test]
fn folders_vanish_with_their_last_file() {
    let folder = Folder::new();
    let disk = folder.disk();
    disk.create(Path::new("live/door/a")).unwrap();
    disk.create(Path::new("live/b")).unwrap();
    disk.remove(Path::new("live/door/a")).unwrap();
    assert!(!folder.0.join("live/door").exists());
    disk.remove(Path::new("live/b")).unwrap();
    assert!(!folder.0.join("live").exists());
    assert!(folder.0.exists());
}

#[test]
fn files_of_the_longest_names_are_listed() {
    let folder = Folder::new();
    let disk = folder.disk();
    let key = StreamKey::new("", &"a/".repeat(255)).unwrap();
    let path = path(&key, FileName::dated(1_795_865_400_000, Format::Mp4));
    disk.create(&path).unwrap();
    let mut found = Vec::new();
    disk.list(&mut |file| found.push(file.path.to_owned()))
        .unwrap();
    assert_eq!(found, [path]);
}

#[test]
fn the_root_is_never_created() {
    let folder = Folder::new();
    let disk = OsDisk::new(folder.0.join("card"), 1);
    for result in [disk.claim(), disk.create(Path::new("a")).map(drop)] {
        assert_eq!(Failure::of(&result.unwrap_err()), Failure::Gone);
    }
    assert!(!folder.0.join("card").exists());
}

#[test]
fn paths_stay_in_the_folder() {
    let folder = Folder::new();
    let disk = folder.disk();
    for path in ["../a", "a/../../b", "/tmp/a", "", "."] {
        let error = disk.create(Path::new(path)).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path}");
        assert!(!disk.exists(Path::new(path)), "{path}");
    }
}

#[test]
fn hidden_files_and_links_are_not_listed() {
    let folder = Folder::new();
    let disk = folder.disk();
    disk.claim().unwrap();
    fs::create_dir(folder.0.join(".hidden")).unwrap();
    fs::write(folder.0.join(".hidden/a"), b"").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("b")).unwrap();
    std::os::unix::fs::symlink("..", folder.0.join("circle")).unwrap();
    disk.list(&mut |file| panic!("{:?}", file.path)).unwrap();
}

#[test]
fn a_second_program_is_refused_with_the_first_ones_number() {
    let folder = Folder::new();
    let first = folder.disk();
    first.claim().unwrap();
    first.claim().unwrap();
    let second = OsDisk::new(folder.0.clone(), 4712);
    let error = second.claim().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    let expected = format!("process 4711 is recording in {}", folder.0.display());
    assert_eq!(error.to_string(), expected);
    drop(first);
    second.claim().unwrap();
    second.check().unwrap();
}

#[test]
fn a_disk_that_is_claimed_again_is_never_free_in_between() {
    let folder = Folder::new();
    let first = folder.disk();
    first.claim().unwrap();
    let root = folder.0.clone();
    let others = std::thread::spawn(move || {
        let second = OsDisk::new(root, 4712);
        (0..2_000).all(|_| second.claim().is_err())
    });
    while !others.is_finished() {
        first.claim().unwrap();
    }
    assert!(others.join().unwrap());
}

#[test]
fn a_disk_without_its_marker_is_gone_until_it_is_claimed() {
    let folder = Folder::new();
    let disk = folder.disk();
    assert!(disk.check().is_err());
    disk.claim().unwrap();
    disk.check().unwrap();
    let marker = folder.0.join(".brooklet");
    let text = fs::read_to_string(&marker).unwrap();
    fs::remove_file(&marker).unwrap();
    assert_eq!(Failure::of(&disk.check().unwrap_err()), Failure::Gone);
    // Back again, but this disk has been given up.
    fs::write(&marker, &text).unwrap();
    assert!(disk.check().is_err());
    disk.claim().unwrap();
    disk.check().unwrap();
    assert_eq!(fs::read_to_string(&marker).unwrap(), text);
    fs::write(&marker, "0000000000000001 4711\n").unwrap();
    assert_eq!(Failure::of(&disk.check().unwrap_err()), Failure::Gone);
}

#[test]
fn a_disk_that_was_mounted_is_not_the_root_file_system() {
    let folder = Folder::new();
    let disk = folder.disk();
    disk.claim().unwrap();
    disk.claim_state().is_mounted = true;
    if !disk.is_mounted().unwrap() {
        let created = disk.create(Path::new(NAME)).map(drop);
        for result in [created, disk.check(), disk.claim()] {
            assert_eq!(Failure::of(&result.unwrap_err()), Failure::Gone);
        }
        assert!(!disk.exists(Path::new(NAME)));
    }
}

/// Unmounts a folder at the end, whatever happens.
struct Mounted<'a>(&'a Folder);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        run("umount", &["-l"], self.0);
    }
}

/// Runs `mount` or `umount`. `false` if that isn't allowed here.
fn run(program: &str, arguments: &[&str], folder: &Folder) -> bool {
    let mut command = std::process::Command::new(program);
    let output = command.args(arguments).arg(&folder.0).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn a_disk_that_is_unmounted_and_mounted_again_is_claimed_anew() {
    let folder = Folder::new();
    let mount = |options: &[&str]| run("mount", options, &folder);
    // Only root may do this, and not everywhere.
    if !mount(&["-t", "tmpfs", "none"]) {
        return;
    }
    let _mounted = Mounted(&folder);
    let disk = folder.disk();
    disk.claim().unwrap();
    drop(disk.create(Path::new(NAME)).unwrap());
    assert!(mount(&["-o", "remount,ro"]));
    assert_eq!(Failure::of(&disk.check().unwrap_err()), Failure::ReadOnly);
    let created = disk.create(Path::new("b")).map(drop);
    assert_eq!(Failure::of(&created.unwrap_err()), Failure::ReadOnly);
    // Another process could play what is there.
    drop(disk);
    let disk = OsDisk::new(folder.0.clone(), 4712);
    disk.claim().unwrap();
    assert!(disk.exists(Path::new(NAME)));
    assert!(mount(&["-o", "remount,rw"]));
    disk.check().unwrap();

    assert!(run("umount", &["-l"], &folder));
    let created = disk.create(Path::new("b")).map(drop);
    for result in [created, disk.check(), disk.claim()] {
        assert_eq!(Failure::of(&result.unwrap_err()), Failure::Gone);
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);

    assert!(mount(&["-t", "tmpfs", "none"]));
    assert_eq!(Failure::of(&disk.check().unwrap_err()), Failure::Gone);
    disk.claim().unwrap();
    disk.check().unwrap();
}

#[test]
fn a_file_system_has_space() {
    let folder = Folder::new();
    let space = folder.disk().space().unwrap();
    assert!(space.free > 0 && space.total >= space.free);
}

#[test]
fn files_of_streams_with_many_parts_are_found() {
    let folder = Folder::new();
    let disk = folder.disk();
    let deep = ["a/".repeat(255), NAME.to_owned()].concat();
    disk.create(Path::new(&deep)).unwrap();
    let mut found = Vec::new();
    disk.list(&mut |file| found.push(file.path.to_owned()))
        .unwrap();
    assert_eq!(found, [Path::new(&deep)]);
}

#[test]
fn neither_links_nor_pipes_are_opened() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let folder = Folder::new();
    let disk = folder.disk();
    let other = folder.0.join("other");
    fs::write(&other, "mine").unwrap();
    fs::create_dir_all(folder.0.join("live/door")).unwrap();
    std::os::unix::fs::symlink(&other, folder.0.join(NAME)).unwrap();
    std::os::unix::fs::symlink(&other, folder.0.join(".brooklet")).unwrap();
    assert!(disk.open(Path::new(NAME)).is_err());
    assert!(disk.reopen(Path::new(NAME)).is_err());
    assert!(disk.claim().is_err());
    assert_eq!(fs::read(&other).unwrap(), b"mine");
    disk.remove(Path::new(NAME)).unwrap();
    fs::create_dir_all(folder.0.join("live/door")).unwrap();
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, folder.0.join(NAME), FileType::Fifo, mode, 0).unwrap();
    // Nobody writes to it, so waiting for that would take forever.
    let mut file = disk.open(Path::new(NAME)).unwrap();
    assert!(file.sync().is_err());
}

#[test]
fn an_open_file_tells_that_it_was_removed() {
    let folder = Folder::new();
    let disk = folder.disk();
    let written = disk.create(Path::new(NAME)).unwrap();
    let read = disk.open(Path::new(NAME)).unwrap();
    assert!(!written.is_removed() && !read.is_removed());
    disk.rename(Path::new(NAME), Path::new("live/door/b.mp4"))
        .unwrap();
    assert!(!written.is_removed() && !read.is_removed());
    disk.remove(Path::new("live/door/b.mp4")).unwrap();
    assert!(written.is_removed() && read.is_removed());
}

#[test]
fn no_file_is_created_behind_a_link() {
    let folder = Folder::new();
    let disk = folder.disk();
    let other = folder.0.join("other");
    fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(&other, folder.0.join("live")).unwrap();
    let error = disk.create(Path::new(NAME)).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotADirectory);
    assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
}
