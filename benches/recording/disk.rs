//! The disk under test: a file system of its own on a loop device, or a folder.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The length of the file below the file system, which has holes.
const LEN: u64 = 4 << 30;

/// See the module's documentation. Removed when dropped.
pub(crate) struct TestDisk {
    /// What is removed at the end.
    base: PathBuf,
    /// The device, such as `loop3`; `None` for a folder.
    device: Option<String>,
}

impl TestDisk {
    pub(crate) fn new(dir: &Path) -> Result<Self, String> {
        let base = dir.join(format!("brooklet-recording-{}", std::process::id()));
        let made = fs::create_dir_all(base.join("disk"));
        made.map_err(|error| format!("{}: {error}", base.display()))?;
        let mut disk = Self { base, device: None };
        match disk.mount() {
            Ok(device) => disk.device = Some(device),
            Err(error) => eprintln!("no loop device, so a folder takes its place: {error}"),
        }
        Ok(disk)
    }

    /// Creates the file system, and returns the name of its device.
    fn mount(&self) -> Result<String, String> {
        let image = self.base.join("image");
        let file = fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(LEN).map_err(|error| error.to_string())?;
        // Nothing is left to be done in the background, and there are inodes for many small files.
        let extended = "lazy_itable_init=0,lazy_journal_init=0";
        let image = image.to_string_lossy();
        output(
            "mkfs.ext4",
            &[
                "-q", "-F", "-N", "250000", "-m", "0", "-E", extended, &image,
            ],
        )?;
        let device = output("losetup", &["-f", "--show", &image])?;
        let folder = self.folder();
        if let Err(error) = output("mount", &[&device, &folder.to_string_lossy()]) {
            let _ = output("losetup", &["-d", &device]);
            return Err(error);
        }
        Ok(device.trim_start_matches("/dev/").to_owned())
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.base.join("disk")
    }

    /// Creates an empty folder on the disk.
    pub(crate) fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder().join(name);
        let _ = fs::remove_dir_all(&folder);
        let made = fs::create_dir(&folder);
        made.map_err(|error| format!("{}: {error}", folder.display()))?;
        self.sync()?;
        Ok(folder)
    }

    /// Waits until everything is on the device.
    pub(crate) fn sync(&self) -> Result<(), String> {
        output("sync", &["-f", &self.folder().to_string_lossy()]).map(drop)
    }

    /// The number of bytes written to the device since it exists; `None` for a folder.
    pub(crate) fn written(&self) -> Option<u64> {
        let stat = fs::read_to_string(format!("/sys/block/{}/stat", self.device.as_ref()?)).ok()?;
        let sectors: u64 = stat.split_whitespace().nth(6)?.parse().ok()?;
        Some(sectors * 512)
    }
}

impl Display for TestDisk {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.device {
            Some(device) => write!(f, "ext4 on {device}, in a file of {}", self.base.display()),
            None => write!(f, "the folder {}", self.base.display()),
        }
    }
}

impl Drop for TestDisk {
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            let _ = output("umount", &[&self.folder().to_string_lossy()]);
            let _ = output("losetup", &["-d", &format!("/dev/{device}")]);
        }
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// Runs a program to its end, and returns what it printed.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}", error.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
