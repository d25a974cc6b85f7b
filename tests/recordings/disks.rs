//! Recordings on real disks that fill up, fail, vanish, or are slow. The viewers of the stream never
//! notice, and recording goes on by itself.

mod live;
mod loop_device;
mod slow;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::*;
use common::{Brooklet, all_the_while};
use live::{Live, check_file, closed_files, has_part};
use loop_device::LoopDevice;
use slow::SlowDisk;

/// Longer than any time after which the program looks at a disk again, a few times.
const LATER: Duration = Duration::from_secs(150);

/// The length of frames: 1 MB/s.
const FRAME_LEN: usize = 40_000;

/// The file that fills a disk up.
const OTHERS: &str = "others";

/// A server that records on a disk, and its stream.
struct Recorded {
    server: Brooklet,
    live: Option<Live>,
}

impl Recorded {
    fn start(folder: &Path, frame_len: usize, rules: &[&str]) -> Recorded {
        let folder = folder.to_str().unwrap();
        let own = ["--record", folder, "--grace", "1s"];
        // Each request is a connection of its own.
        let own = [&own[..], &["--max-connect-rate", "1000"]].concat();
        let server = Brooklet::start(&[&own, rules].concat());
        let live = Some(Live::start(&server, frame_len));
        Recorded { server, live }
    }

    fn api(&self) -> Value {
        let answer = HttpClient::connect(self.server.http_address()).get("/api/v1/streams");
        serde_json::from_str(&answer.text()).unwrap()
    }

    /// A figure of the recording.
    fn figure(&self, name: &str) -> u64 {
        self.api()["streams"][0]["recording"][name]
            .as_u64()
            .unwrap_or_default()
    }

    /// The state of the recording, in words.
    fn state(&self) -> String {
        let api = self.api();
        let state = api["streams"][0]["recording"]["state"].as_str();
        state.unwrap_or_default().to_owned()
    }

    /// The state of the disk, in words.
    fn disk(&self) -> String {
        self.api()["disk"]["state"].as_str().unwrap().to_owned()
    }

    /// Waits until the recording is in a state, and checks that all ways to ask for it agree.
    fn wait_for(&self, state: &str, finding: Option<&str>) {
        let words = format!("the recording is {state:?}");
        wait_until(&words, LATER, || self.state() == state);
        let has_finding = || {
            let api = self.api();
            let findings = api["streams"][0]["findings"].as_array().unwrap().clone();
            let id = |found: &Value| found["id"].as_str().unwrap().to_owned();
            let mut ids = findings
                .iter()
                .map(id)
                .filter(|id| id.starts_with("recording"));
            ids.next().as_deref() == finding
        };
        wait_until(&format!("{state}: {finding:?} is found"), SOON, has_finding);
        let metrics = || {
            let mut client = HttpClient::connect(self.server.http_address());
            client.get("/metrics").text()
        };
        let sample =
            format!("brooklet_recording_state{{stream=\"live/door\",state=\"{state}\"}} 1\n");
        wait_until(&sample, SOON, || metrics().contains(&sample));
    }

    /// Waits until the disk can't be used, and why.
    fn wait_for_trouble(&self, state: &str) {
        self.wait_for(state, Some("recording-stopped"));
        assert_eq!(self.disk(), state);
        let sample = format!("brooklet_recordings_disk_state{{state=\"{state}\"}} 1\n");
        let answer = HttpClient::connect(self.server.http_address()).get("/metrics");
        assert!(answer.text().contains(&sample), "{sample}");
    }

    /// Waits until recording goes on, and two more files have been closed.
    fn wait_for_files(&self, folder: &Path) {
        let before = closed_files(folder).len();
        wait_until("recording goes on", LATER, || {
            closed_files(folder).len() > before + 1
        });
        self.wait_for("recording", None);
        assert_eq!(self.disk(), "fine");
    }

    /// Ends the stream and waits until everything is closed, then checks the files. Returns the number
    /// of messages of video that are in none, but should be between two that are.
    fn finish(mut self, who: &str, folder: &Path) -> u32 {
        let gaps = self.figure("gaps");
        let live = self.live.take().unwrap();
        let frame_len = live.frame_len();
        let seen = live.stop();
        wait_until("everything is closed", LATER, || !has_part(folder));
        let files = closed_files(folder);
        let (mut end, mut missing) = (None, 0);
        for file in &files {
            let (from, to) = check_file(file, frame_len, false);
            missing += (from - end.unwrap_or(from)) / 2;
            end = Some(to);
        }
        println!(
            "{who}: {} files, {missing} frames in none of them; the viewer got {} messages, {} ms late \
             at most",
            files.len(),
            seen.messages,
            seen.longest
        );
        assert!(missing == 0 || gaps > 0, "{who}: {missing} frames");
        self.server.stop();
        missing
    }
}

/// Checks files of frames of the usual length.
fn check_files(files: &[PathBuf]) {
    for file in files {
        check_file(file, FRAME_LEN, false);
    }
}

/// Fills a disk up but for this many bytes, by a file that gets longer.
fn fill(disk: &LoopDevice, free: u64) {
    let mut options = File::options();
    let file = options.append(true).create(true);
    let mut file = file.open(disk.folder().join(OTHERS)).unwrap();
    let bytes = vec![0x55; 128 << 10];
    while disk.free() > free {
        let len = bytes.len().min((disk.free() - free) as usize);
        if file.write_all(&bytes[..len]).is_err() {
            return;
        }
        // The file system gives blocks out when they are written back, at the latest.
        let _ = file.sync_data();
    }
}

/// Others fill the disk, and make space again.
fn full() {
    let disk = LoopDevice::new();
    let folder = disk.folder();
    let rules = ["--record-free", "off", "--record-segment", "3s"];
    let recorded = Recorded::start(&folder, FRAME_LEN, &rules);
    wait_until("three files are closed", SOON, || {
        closed_files(&folder).len() > 2
    });
    let early = closed_files(&folder);
    check_files(&early);
    // The oldest recordings go first, as long as that helps.
    fill(&disk, 0);
    wait_until("the disk is full", LATER, || {
        // They take what the recorder frees.
        fill(&disk, 0);
        recorded.disk() == "disk full"
    });
    recorded.wait_for_trouble("disk full");
    check_files(&closed_files(&folder));
    fs::remove_file(folder.join(OTHERS)).unwrap();
    recorded.wait_for_files(&folder);
    recorded.finish("a full disk", &folder);
}

/// The bytes of all files of live/door.
fn recorded_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder.join("live/door")).into_iter().flatten();
    let lens = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    lens.sum()
}

/// Limits are kept, and the oldest files go.
fn limited() {
    const FLOOR: u64 = 8 << 20;
    const MAX: u64 = 24 << 20;

    let disk = LoopDevice::new();
    let folder = disk.folder();
    // At first, others leave less than the cap.
    fill(&disk, FLOOR + (14 << 20));
    let rules = [
        "--record-free",
        "8M",
        "--record-max",
        "24M",
        "--record-segment",
        "2s",
    ];
    let recorded = Recorded::start(&folder, FRAME_LEN, &rules);
    let (mut least, mut most) = (u64::MAX, 0);
    let mut watch = |what: &str, is_over: &dyn Fn() -> bool| {
        wait_until(what, LATER, || {
            least = least.min(disk.free());
            most = most.max(recorded_bytes(&folder));
            is_over()
        });
    };
    let oldest = || closed_files(&folder).first().cloned();
    watch("a file is closed", &|| oldest().is_some());
    let first = oldest().unwrap();
    watch("the first file goes because of the floor", &|| {
        !first.exists()
    });
    fs::remove_file(folder.join(OTHERS)).unwrap();
    watch("nearly everything is used", &|| {
        recorded_bytes(&folder) > MAX - (3 << 20)
    });
    let first = oldest().unwrap();
    watch("the oldest goes because of the cap", &|| !first.exists());
    println!("floor {FLOOR}, least free {least}; cap {MAX}, most recorded {most}");
    assert!(least >= FLOOR, "{least} bytes were free");
    assert!(most <= MAX, "recordings took {most} bytes");
    assert_eq!(recorded.state(), "recording");
    let missing = recorded.finish("a disk with limits", &folder);
    assert_eq!(missing, 0);
}

/// Somebody mounts the disk for reading only, and for writing again.
fn read_only_for_a_while() {
    let disk = LoopDevice::new();
    let folder = disk.folder();
    let rules = ["--record-free", "off", "--record-segment", "1s"];
    let recorded = Recorded::start(&folder, 2_000, &rules);
    wait_until("a file is closed", SOON, || {
        !closed_files(&folder).is_empty()
    });
    // This is refused while a file is open, which is closed once a second.
    wait_until("the disk can be remounted", LATER, || {
        let remounted = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&folder)
            .output();
        remounted.unwrap().status.success()
    });
    recorded.wait_for_trouble("read-only");
    disk.remount("rw");
    recorded.wait_for_files(&folder);
    let missing = recorded.finish("a disk that was read-only", &folder);
    assert_eq!(missing, 0, "what came meanwhile waits in memory");
}

/// The kernel finds an error on the disk, which is taken away, and mounted again.
fn broken() {
    let disk = LoopDevice::new();
    let folder = disk.folder();
    let rules = ["--record-free", "off", "--record-segment", "2s"];
    let recorded = Recorded::start(&folder, FRAME_LEN / 4, &rules);
    wait_until("two files are closed", SOON, || {
        closed_files(&folder).len() > 1
    });
    disk.break_down();
    recorded.wait_for_trouble("read-only");
    // Nobody says otherwise in between, though the disk looks well.
    let longer = Duration::from_secs(45);
    all_the_while("it is read-only", longer, || recorded.disk() == "read-only");
    disk.unmount();
    wait_until("the disk is gone", LATER, || recorded.disk() == "disk gone");
    wait_until("the kernel has let go of it", LATER, || !disk.is_used());
    recorded.wait_for_trouble("disk gone");
    disk.mount();
    recorded.wait_for_files(&folder);
    recorded.finish("a disk with an error", &folder);
}

/// The disk is taken away in the middle, and comes back.
fn gone() {
    let disk = LoopDevice::new();
    let folder = disk.folder();
    let rules = ["--record-free", "off", "--record-segment", "10s"];
    let recorded = Recorded::start(&folder, FRAME_LEN / 4, &rules);
    wait_until("a file is closed", SOON, || {
        !closed_files(&folder).is_empty()
    });
    wait_until("the next is written", SOON, || has_part(&folder));
    disk.unmount();
    recorded.wait_for_trouble("disk gone");
    let left = fs::read_dir(&folder).unwrap().count();
    assert_eq!(left, 0, "nothing is written to what is below");
    disk.mount();
    recorded.wait_for_files(&folder);
    recorded.finish("a disk that was gone", &folder);
}

/// Each write and each sync takes 2 s.
fn slow_disk() {
    let disk = SlowDisk::new(Duration::from_secs(2));
    let folder = disk.folder();
    let rules = [
        "--record-free",
        "off",
        "--record-segment",
        "20s",
        "--memory",
        "8M",
    ];
    let mut recorded = Recorded::start(&folder, FRAME_LEN / 4, &rules);
    wait_until("it writes", LATER, || recorded.figure("bytes") > 0);
    let before = recorded.server.status("VmRSS");
    recorded.wait_for("behind", Some("recording-behind"));
    wait_until("messages are missed", LATER, || recorded.figure("gaps") > 0);
    wait_until("a file is closed", LATER, || {
        !closed_files(&folder).is_empty()
    });
    let after = recorded.server.status("VmRSS");
    println!(
        "a slow disk: {} gaps, {} messages missed, {} ms the longest write; resident {before} to {after} KiB",
        recorded.figure("gaps"),
        recorded.figure("missed_messages"),
        recorded.figure("longest_write_ms"),
    );
    // What waits is in the memory for media, of which a part may not have been touched before.
    assert!(after < before + 2_048, "{before} to {after} KiB");
    let seen = recorded.live.take().unwrap().stop();
    println!("a slow disk: the viewer got {seen:?}");
    for file in closed_files(&folder) {
        check_file(&file, FRAME_LEN / 4, true);
    }
    // It doesn't wait until everything is written.
    recorded.server.stop();
}

#[test]
#[ignore = "needs root, loop devices, FUSE and minutes"]
fn disks_may_fill_up_fail_vanish_and_be_slow() {
    thread::scope(|scope| {
        for (name, scenario) in [
            ("full", full as fn()),
            ("limited", limited),
            ("read-only for a while", read_only_for_a_while),
            ("broken", broken),
            ("gone", gone),
            ("slow", slow_disk),
        ] {
            let builder = thread::Builder::new().name(name.to_owned());
            builder.spawn_scoped(scope, scenario).unwrap();
        }
    });
}
