//! A small disk with a file system of its own: ext4 in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;

use crate::common::TempDir;
use crate::common::process::run;

/// The size of the disk in bytes.
pub(super) const LEN: u64 = 64 << 20;

/// See the module's documentation. It is mounted as long as nobody unmounts it.
pub(super) struct LoopDevice {
    dir: TempDir,
    device: String,
}

impl LoopDevice {
    pub(super) fn new() -> LoopDevice {
        let dir = TempDir::new();
        let image = dir.join("image");
        fs::File::create(&image).unwrap().set_len(LEN).unwrap();
        run(Command::new("mkfs.ext4")
            .args(["-q", "-m", "0"])
            .arg(&image));
        let device = run(Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&image));
        let device = device.trim().to_owned();
        let disk = LoopDevice { dir, device };
        fs::create_dir(disk.folder()).unwrap();
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub(super) fn folder(&self) -> PathBuf {
        self.dir.join("mounted")
    }

    pub(super) fn mount(&self) {
        let mut command = Command::new("mount");
        command.args(["-o", "errors=remount-ro", &self.device]);
        run(command.arg(self.folder()));
    }

    /// Takes it away from its folder, though files may be open on it.
    pub(super) fn unmount(&self) {
        run(Command::new("umount").arg("--lazy").arg(self.folder()));
    }

    /// Mounts it for reading only (`ro`), or for writing too (`rw`).
    pub(super) fn remount(&self, how: &str) {
        let option = format!("remount,{how}");
        run(Command::new("mount")
            .args(["-o", &option])
            .arg(self.folder()));
    }

    /// Makes the kernel find an error on it, after which it can't be written to until it is mounted anew.
    pub(super) fn break_down(&self) {
        fs::write(self.state().join("trigger_fs_error"), "1").unwrap();
    }

    /// Whether the kernel still uses it. As long as it does, a mount is the same one again.
    pub(super) fn is_used(&self) -> bool {
        self.state().exists()
    }

    /// What the kernel tells of it.
    fn state(&self) -> PathBuf {
        let name = self.device.trim_start_matches("/dev/");
        Path::new("/sys/fs/ext4").join(name)
    }

    /// The number of bytes that are free.
    pub(super) fn free(&self) -> u64 {
        let space = statvfs(self.folder()).unwrap();
        space.f_bavail * space.f_frsize
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder())
            .output();
        let _ = Command::new("losetup")
            .args(["--detach", &self.device])
            .output();
    }
}
