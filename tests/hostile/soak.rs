//! Eight kinds of attack at the same time, for as long as requested, next to four canaries that lose
//! nothing.
//!
//! ```text
//! BROOKLET_SOAK_MINUTES=60 cargo test --release --test hostile soak -- --ignored --nocapture
//! ```
//!
//! The server has a limited address space, and a memory cgroup where one can be created (as root, with
//! the controller of cgroup v1 or v2 mounted). One line is printed per minute. The server's log is
//! written to the file named by `BROOKLET_SOAK_LOG`, if that is set.

mod attacks;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::canary::{Canary, Load};
use crate::common::Brooklet;
use crate::common::random::Random;
use crate::outside::{Outside, Resident};
use crate::viewers::{How, Viewer};
use attacks::{Attack, KINDS};

/// The memory for media, in MiB.
const MEMORY: u64 = 16;

/// The default number of connections, and the memory that a connection may occupy outside the arena, in
/// kB.
const CONNECTIONS: u64 = 256;
const PER_CONNECTION: u64 = if cfg!(debug_assertions) { 48 } else { 24 };

/// The memory of the program, its libraries and everything else, in kB.
const REST: u64 = if cfg!(debug_assertions) {
    16 * 1024
} else {
    3_584
};

/// The address space of a thread, in kB: its stack with guard page, and its signal stack.
const THREAD: u64 = if cfg!(debug_assertions) { 512 } else { 128 } + 16;

/// Additional address space, in kB: program, libraries, and the heap of all connections.
const SPACE: u64 = 24 * 1024;

/// The memory that the kernel keeps for a connection in a memory cgroup, in kB: the size of two stacks,
/// page tables, and sockets.
const KERNEL: u64 = 64;

/// A memory cgroup, removed when dropped.
struct Group {
    folder: PathBuf,
    /// The files with the group's current and highest memory use.
    files: [&'static str; 2],
}

impl Group {
    /// Creates a group with a limit in kB, if that is possible.
    fn new(limit: u64) -> Option<Group> {
        let name = format!("brooklet-soak-{}", std::process::id());
        let of = |root: &str, limit_file, files| {
            let folder = PathBuf::from(root).join(&name);
            // A controller has its files in each group.
            fs::create_dir(&folder).ok()?;
            let group = Group { folder, files };
            fs::write(group.folder.join(limit_file), (limit * 1024).to_string()).ok()?;
            Some(group)
        };
        let v1 = ["memory.usage_in_bytes", "memory.max_usage_in_bytes"];
        let v2 = ["memory.current", "memory.peak"];
        of("/sys/fs/cgroup/memory", "memory.limit_in_bytes", v1)
            .or_else(|| of("/sys/fs/cgroup", "memory.max", v2))
    }

    /// Returns the current and the highest memory use, in kB.
    fn used(&self) -> [u64; 2] {
        self.files.map(|file| {
            let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
            text.trim().parse::<u64>().unwrap_or_default() / 1024
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The bound at any time, in kB.
const ALLOWED: u64 = CONNECTIONS * PER_CONNECTION + REST;

fn minutes(name: &str) -> f64 {
    let text = std::env::var(name).unwrap_or_default();
    text.parse().unwrap_or(60.0)
}

#[test]
#[ignore = "needs an hour"]
fn eight_kinds_of_attack_for_an_hour_cost_four_canaries_nothing() {
    let load = Load::LIGHT;
    let space = MEMORY * 1024 + CONNECTIONS * THREAD + SPACE;
    let group = Group::new(MEMORY * 1024 + ALLOWED + CONNECTIONS * KERNEL);
    let log = std::env::var("BROOKLET_SOAK_LOG").unwrap_or("/dev/null".to_owned());
    let mut shell = format!("exec 2>{log} && ulimit -v {space}");
    if let Some(group) = &group {
        let procs = group.folder.join("cgroup.procs");
        shell += &format!(" && echo $$ > {}", procs.display());
    }
    let size = format!("{MEMORY}M");
    let mut server = Brooklet::start_after(&shell, &["--memory", &size, "--play-from=any"]);
    let outside = Outside::of(server.id(), MEMORY << 20);
    println!(
        "at most {space} kB of address space; cgroup: {}",
        group.is_some()
    );
    let canary = Canary::start(server.address(), load);
    let mut viewers = [How::Flv, How::Mp4, How::Hls]
        .map(|how| Viewer::start(server.http_address(), how, load, canary.delays()));
    let is_over = AtomicBool::new(false);
    let counts = KINDS.map(|_| AtomicU64::new(0));
    let end = Duration::from_secs_f64(60.0 * minutes("BROOKLET_SOAK_MINUTES"));
    let (rtmp, http) = (server.address(), server.http_address());
    let began = Instant::now();
    let mut highest: Vec<Resident> = Vec::new();
    thread::scope(|scope| {
        // However this ends, the attackers end too.
        let _over = Over(&is_over);
        for (kind, ((_, attack), count)) in KINDS.iter().zip(&counts).enumerate() {
            let mut with = Attack {
                kind: kind as u8,
                rtmp,
                http,
                is_over: &is_over,
                count,
                random: Random(4_711 + kind as u64),
            };
            scope.spawn(move || {
                while !with.is_over() {
                    if attack(&mut with).is_none() {
                        thread::sleep(Duration::from_millis(20));
                    }
                }
            });
        }
        let mut minute = Resident::default();
        let mut next_line = Duration::from_secs(60).min(end);
        while began.elapsed() < end {
            thread::sleep(Duration::from_millis(100));
            let now = outside.now().expect("the server runs");
            minute.own = minute.own.max(now.own);
            minute.all = minute.all.max(now.all);
            let judged = if cfg!(debug_assertions) {
                now.own
            } else {
                now.all
            };
            assert!(
                judged <= ALLOWED,
                "{now:?} outside of the arena, allowed are {ALLOWED} kB"
            );
            for viewer in &mut viewers {
                viewer.verdict();
            }
            if began.elapsed() >= next_line {
                next_line += Duration::from_secs(60);
                let messages = canary.verdict(1);
                line(&server, began.elapsed(), minute, group.as_ref());
                let (count, median, p99) = canary.delays().received().take();
                print!("    RTMP {messages} messages, {median}/{p99} ms ({count})");
                for viewer in &mut viewers {
                    let (count, median, p99) = viewer.delays.take();
                    let messages = viewer.verdict();
                    print!("; {:?} {messages}, {median}/{p99} ms ({count})", viewer.how);
                }
                let tried = KINDS.iter().zip(&counts);
                let tried: Vec<String> = tried
                    .map(|((name, _), count)| format!("{name} {}", count.load(Ordering::Relaxed)))
                    .collect();
                println!("\n    connections so far: {}", tried.join(", "));
                highest.push(std::mem::take(&mut minute));
            }
        }
    });
    canary.verdict(50);
    let counts: Vec<u64> = viewers.iter_mut().map(Viewer::verdict).collect();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    drop((viewers, canary));
    assert!(server.is_running());
    // Memory isn't flat if the last quarter exceeds everything before it.
    let (before, last) = highest.split_at(highest.len() * 3 / 4);
    let own = |minutes: &[Resident]| minutes.iter().map(|m| m.own).max().unwrap_or_default();
    assert!(
        before.is_empty() || own(last) <= own(before) + 1024,
        "{} kB in the last quarter, {} before",
        own(last),
        own(before)
    );
    server.stop();
}

fn line(server: &Brooklet, time: Duration, minute: Resident, group: Option<&Group>) {
    println!(
        "{:3.0} min: RSS {} kB (highest {}), outside of the arena at most {} of {ALLOWED} kB \
         (own {}), {} threads, {} kB of address space, cgroup {:?} kB",
        time.as_secs_f64() / 60.0,
        server.status("VmRSS"),
        server.status("VmHWM"),
        minute.all,
        minute.own,
        server.status("Threads"),
        server.status("VmSize"),
        group.map(Group::used)
    );
}

/// Notifies the attackers of the end when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
