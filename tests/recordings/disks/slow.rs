//! A file system in memory on which each write and each sync takes its time, over FUSE, without a library
//! for it.
//!
//! The kernel's requests are read from /dev/fuse, and answered in the same way (`linux/fuse.h`, 7.31):
//!
//! ```text
//! request   len 4 | opcode 4 | unique 8 | node 8 | uid, gid, pid 12 | 4 | arguments
//! answer    len 4 | -errno 4 | unique 8 | result
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::common::TempDir;

/// The longest write of one request.
const MAX_WRITE: u32 = 1 << 20;

/// The size of the file system in blocks of 4 KiB: 1 GiB.
const BLOCKS: u64 = 1 << 18;

const NOT_FOUND: i32 = 2;
const EXISTS: i32 = 17;
const NOT_EMPTY: i32 = 39;
const NOT_IMPLEMENTED: i32 = 38;

/// See the module's documentation. It is mounted until it is dropped.
pub(super) struct SlowDisk {
    dir: TempDir,
}

impl SlowDisk {
    /// Mounts one where each write and each sync takes so long.
    pub(super) fn new(pause: Duration) -> SlowDisk {
        let dir = TempDir::new();
        let disk = SlowDisk { dir };
        std::fs::create_dir(disk.folder()).unwrap();
        let mut options = File::options();
        let door = options.read(true).write(true).open("/dev/fuse").unwrap();
        let served = door.try_clone().unwrap();
        thread::spawn(move || Served::new(pause).serve(&served));
        let mut mount = Command::new("mount");
        mount.args(["-i", "-t", "fuse", "-o"]);
        mount
            .arg("fd=0,rootmode=40000,user_id=0,group_id=0")
            .arg("slow");
        let mounted = mount.arg(disk.folder()).stdin(door).status();
        assert!(mounted.unwrap().success(), "FUSE can be mounted");
        disk
    }

    /// Where it is mounted.
    pub(super) fn folder(&self) -> PathBuf {
        self.dir.join("mounted")
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder())
            .output();
    }
}

/// A file or a folder.
#[derive(Default)]
struct Node {
    is_folder: bool,
    bytes: Vec<u8>,
    /// When it was last modified: seconds since 1970, and nanoseconds.
    modified: (u64, u32),
    /// Folders only.
    entries: BTreeMap<Vec<u8>, u64>,
}

struct Served {
    pause: Duration,
    /// By number; nothing is ever given up.
    nodes: Vec<Node>,
}

/// What is answered: an error number, or the bytes of the result.
type Answer = Result<Vec<u8>, i32>;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn half_words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The names in a request, each of which ends with a zero.
fn name(bytes: &[u8], number: usize) -> Vec<u8> {
    bytes.split(|byte| *byte == 0).nth(number).unwrap().to_vec()
}

impl Served {
    fn new(pause: Duration) -> Served {
        let folder = |_| Node {
            is_folder: true,
            ..Node::default()
        };
        // Node 0 isn't any; 1 is the root.
        let nodes = (0..2).map(folder).collect();
        Served { pause, nodes }
    }

    /// Answers until the file system isn't mounted any more.
    fn serve(&mut self, mut door: &File) {
        let mut buffer = vec![0; MAX_WRITE as usize + 4_096];
        loop {
            let len = match door.read(&mut buffer) {
                Ok(len) => len,
                // Not yet mounted.
                Err(error) if error.raw_os_error() == Some(1) => {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                }
                Err(error) if error.raw_os_error() == Some(19) => return,
                Err(_) => continue,
            };
            let (head, arguments) = buffer[..len].split_at(40);
            let (opcode, unique, node) = (u32_at(head, 4), u64_at(head, 8), u64_at(head, 16));
            // Those that aren't answered.
            if matches!(opcode, 2 | 36 | 42) {
                continue;
            }
            let answer = self.answer(opcode, node as usize, arguments);
            let error = answer.as_ref().err().map_or(0, |errno| -errno);
            let result = answer.unwrap_or_default();
            let mut out = half_words(&[16 + result.len() as u32, error as u32]);
            out.extend(unique.to_ne_bytes());
            out.extend(result);
            let mut door = door.try_clone().unwrap();
            // WRITE, FSYNC, FSYNCDIR.
            if matches!(opcode, 16 | 20 | 30) {
                let pause = self.pause;
                thread::spawn(move || {
                    thread::sleep(pause);
                    let _ = door.write_all(&out);
                });
            } else {
                let _ = door.write_all(&out);
            }
        }
    }

    fn answer(&mut self, opcode: u32, node: usize, arguments: &[u8]) -> Answer {
        match opcode {
            // LOOKUP, GETATTR, SETATTR
            1 => Ok(self.entry(self.find(node, &name(arguments, 0))?)),
            3 => Ok([words(&[0, 0]), self.attributes(node)].concat()),
            4 => Ok(self.set_attributes(node, arguments)),
            // MKDIR, CREATE
            9 => Ok(self.create(node, &arguments[8..], true)?.0),
            35 => {
                let (entry, _) = self.create(node, &arguments[16..], false)?;
                Ok([entry, words(&[0, 0])].concat())
            }
            // UNLINK, RMDIR, RENAME2
            10 | 11 => self.remove(node, &name(arguments, 0)),
            45 => self.rename(node, arguments),
            // OPEN, OPENDIR: no handle
            14 | 27 => Ok(words(&[0, 0])),
            // READ, WRITE, READDIR
            15 => Ok(self.read(node, u64_at(arguments, 8), u32_at(arguments, 16))),
            16 => Ok(self.write(node, u64_at(arguments, 8), &arguments[40..])),
            28 => Ok(self.list(node, u64_at(arguments, 8) as usize)),
            // STATFS
            17 => {
                let counts = words(&[BLOCKS, self.free(), self.free(), 1_000, 1_000]);
                let sizes = half_words(&[4_096, 255, 4_096, 0, 0, 0, 0, 0, 0, 0]);
                Ok([counts, sizes].concat())
            }
            // RELEASE, FSYNC, FLUSH, RELEASEDIR, FSYNCDIR
            18 | 20 | 25 | 29 | 30 => Ok(Vec::new()),
            // INIT: long writes and reads
            26 => {
                let flags = 1 << 5 | 1 << 22;
                let mut init = half_words(&[7, 31, MAX_WRITE, flags, 0, MAX_WRITE, 1, 256]);
                init.resize(64, 0);
                Ok(init)
            }
            _ => Err(NOT_IMPLEMENTED),
        }
    }

    fn free(&self) -> u64 {
        let used = self
            .nodes
            .iter()
            .map(|node| node.bytes.len() as u64 / 4_096 + 1);
        BLOCKS.saturating_sub(used.sum())
    }

    fn find(&self, folder: usize, name: &[u8]) -> Result<u64, i32> {
        self.nodes[folder]
            .entries
            .get(name)
            .copied()
            .ok_or(NOT_FOUND)
    }

    fn attributes(&self, number: usize) -> Vec<u8> {
        let node = &self.nodes[number];
        let len = node.bytes.len() as u64;
        let (seconds, nanoseconds) = node.modified;
        let mode = if node.is_folder { 0o40_755 } else { 0o100_644 };
        [
            words(&[
                number as u64,
                len,
                len.div_ceil(512),
                seconds,
                seconds,
                seconds,
            ]),
            half_words(&[nanoseconds, nanoseconds, nanoseconds]),
            half_words(&[mode, 1, 0, 0, 0, 4_096, 0]),
        ]
        .concat()
    }

    fn entry(&self, node: u64) -> Vec<u8> {
        [words(&[node, 0, 0, 0, 0]), self.attributes(node as usize)].concat()
    }

    fn set_attributes(&mut self, number: usize, arguments: &[u8]) -> Vec<u8> {
        let (valid, node) = (u32_at(arguments, 0), &mut self.nodes[number]);
        if valid & 8 != 0 {
            node.bytes.resize(u64_at(arguments, 16) as usize, 0);
        }
        if valid & 32 != 0 {
            node.modified = (u64_at(arguments, 40), u32_at(arguments, 60));
        }
        [words(&[0, 0]), self.attributes(number)].concat()
    }

    fn create(
        &mut self,
        folder: usize,
        names: &[u8],
        is_folder: bool,
    ) -> Result<(Vec<u8>, u64), i32> {
        let name = name(names, 0);
        if self.find(folder, &name).is_ok() {
            return Err(EXISTS);
        }
        let number = self.nodes.len() as u64;
        self.nodes.push(Node {
            is_folder,
            ..Node::default()
        });
        self.nodes[folder].entries.insert(name, number);
        Ok((self.entry(number), number))
    }

    fn remove(&mut self, folder: usize, name: &[u8]) -> Answer {
        let number = self.find(folder, name)?;
        if !self.nodes[number as usize].entries.is_empty() {
            return Err(NOT_EMPTY);
        }
        self.nodes[folder].entries.remove(name);
        Ok(Vec::new())
    }

    fn rename(&mut self, from: usize, arguments: &[u8]) -> Answer {
        let (to, names) = (u64_at(arguments, 0) as usize, &arguments[16..]);
        let number = self.find(from, &name(names, 0))?;
        if self.find(to, &name(names, 1)).is_ok() {
            return Err(EXISTS);
        }
        self.nodes[from].entries.remove(&name(names, 0));
        self.nodes[to].entries.insert(name(names, 1), number);
        Ok(Vec::new())
    }

    fn read(&self, node: usize, offset: u64, len: u32) -> Vec<u8> {
        let bytes = &self.nodes[node].bytes;
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min(start + len as usize);
        bytes[start..end].to_vec()
    }

    fn write(&mut self, node: usize, offset: u64, written: &[u8]) -> Vec<u8> {
        let bytes = &mut self.nodes[node].bytes;
        let (start, end) = (offset as usize, offset as usize + written.len());
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(written);
        half_words(&[written.len() as u32, 0])
    }

    fn list(&self, folder: usize, skip: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let entries = self.nodes[folder].entries.iter().enumerate();
        for (index, (name, number)) in entries.skip(skip) {
            let kind = if self.nodes[*number as usize].is_folder {
                4
            } else {
                8
            };
            out.extend(words(&[*number, index as u64 + 1]));
            out.extend(half_words(&[name.len() as u32, kind]));
            out.extend(name);
            out.resize(out.len().next_multiple_of(8), 0);
        }
        // There are few files.
        out.truncate(4_096);
        out
    }
}
