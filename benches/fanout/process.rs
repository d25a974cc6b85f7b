//! A server as a child process, and its figures in `/proc`.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server, which ends when dropped, in whatever way the benchmark ends.
pub(crate) struct Server {
    child: Child,
    /// The address on which it listens for RTMP.
    pub(crate) address: SocketAddr,
    /// The address on which it listens for HTTP, if it does.
    pub(crate) http_address: SocketAddr,
}

impl Server {
    /// Starts a command (program, then arguments; `{address}` stands for the address to listen on,
    /// and `{http_address}` for that of HTTP) and waits until it accepts.
    pub(crate) fn start(command: &[String]) -> Result<Self, String> {
        let addresses = free_addresses().map_err(|error| format!("no free port: {error}"))?;
        Self::start_at(command, addresses)
    }

    /// Starts it at these addresses, of which the second is that of HTTP.
    pub(crate) fn start_at(
        command: &[String],
        [address, http_address]: [SocketAddr; 2],
    ) -> Result<Self, String> {
        let place = |argument: &String| {
            let argument = argument.replace("{address}", &address.to_string());
            argument.replace("{http_address}", &http_address.to_string())
        };
        let (program, arguments) = command.split_first().ok_or("empty server command")?;
        let mut command = Command::new(program);
        // The caller's settings aren't meant for the servers, and brooklet refuses unknown ones.
        let names = std::env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.to_string_lossy().starts_with("BROOKLET_")) {
            command.env_remove(name);
        }
        let child = command
            .args(arguments.iter().map(place))
            .stdin(Stdio::piped()) // its end tells the bare loop that the benchmark has ended
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let mut server = Self {
            child,
            address,
            http_address,
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("{program} ended at once: {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("{program} does not listen on {address}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Adds to an error how the server ended, if it has.
    pub(crate) fn explain(&mut self, error: String) -> String {
        match self.child.try_wait() {
            Ok(Some(status)) => format!("{error}; the server has ended: {status}"),
            _ => error,
        }
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // Both at once, so that they differ.
    let (first, second) = (listen()?, listen()?);
    Ok([first.local_addr()?, second.local_addr()?])
}

/// CPU time of a process at one moment, from two sources.
///
/// `/proc/PID/task/*/schedstat` counts nanoseconds, but each thread's vanish with it (and
/// `/proc/PID/schedstat` is the first thread's alone). `/proc/PID/stat` includes ended threads, but in
/// ticks of 10 ms, a third of what one player costs in ten seconds. So the first is taken, unless the
/// second exceeds it by more than its rounding: then threads have ended, and the second is taken.
struct CpuTime {
    /// By thread id, in ns.
    threads: HashMap<String, u64>,
    coarse: Duration,
}

const TICK: Duration = Duration::from_millis(10);

impl CpuTime {
    fn read(pid: u32) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        let threads = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let ran = schedstat.split_whitespace().next()?.parse().ok()?;
            Some((task.file_name().to_string_lossy().into_owned(), ran))
        });
        Self {
            threads: threads.collect(),
            coarse: coarse(pid).unwrap_or_default(),
        }
    }

    fn since(&self, earlier: &Self) -> Duration {
        let ran = |(id, ns): (&String, &u64)| ns - earlier.threads.get(id).unwrap_or(&0).min(ns);
        let precise = Duration::from_nanos(self.threads.iter().map(ran).sum());
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        // User and system time are rounded down one by one, at both ends.
        if coarse > precise + 2 * TICK {
            coarse
        } else {
            precise
        }
    }
}

/// utime + stime, the 14th and 15th field; the 2nd, a name in parentheses, may hold anything.
fn coarse(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

/// CPU times at one moment: of the server, of this process and of the whole machine.
pub(crate) struct Load {
    server: CpuTime,
    own: CpuTime,
    machine: Duration,
}

/// CPU time used between two moments.
pub(crate) struct Used {
    pub(crate) server: Duration,
    /// By all programs but the server and the benchmark.
    pub(crate) others: Duration,
}

impl Load {
    pub(crate) fn read(server: &Server) -> Self {
        Self {
            server: CpuTime::read(server.id()),
            own: CpuTime::read(std::process::id()),
            machine: machine().unwrap_or_default(),
        }
    }

    pub(crate) fn since(&self, earlier: &Self) -> Used {
        let server = self.server.since(&earlier.server);
        let ours = server + self.own.since(&earlier.own);
        let machine = self.machine.saturating_sub(earlier.machine);
        Used {
            server,
            others: machine.saturating_sub(ours),
        }
    }
}

/// The processors' busy time: user, nice and system, then, after idle and waiting, interrupts.
fn machine() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields = stat.lines().next()?.split_whitespace().skip(1).take(7);
    let ticks: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    let busy = ticks
        .iter()
        .enumerate()
        .filter(|(at, _)| !(3..5).contains(at));
    let busy: u64 = busy.map(|(_, ticks)| ticks).sum();
    Some(Duration::from_millis(10 * busy))
}

/// CPU time of the calling thread.
pub(crate) fn own_thread_cpu() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ran = schedstat
        .split_whitespace()
        .next()
        .and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ran.unwrap_or(0))
}
