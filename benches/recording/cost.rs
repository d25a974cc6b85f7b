//! CPU time per byte written, and bytes written to the device per byte of media.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::{TestDisk, output};
use crate::process::{Load, Server, own_thread_cpu};
use crate::publishers::Publishing;
use crate::table::{figure, median, write_line};
use crate::watch::pause;
use crate::{Options, STREAMS, figures};

/// How many times as fast as in real time streams are published.
const SPEED: u32 = 10;
/// Synced every second at this speed, a stream has written what it writes in 10 s in real time.
const RECORD: &str = "--record-sync 1s";
const SYNCED_LEN: u64 = 5_000_000;
const BLOCK_LEN: usize = 256 * 1024;
/// The time after which a recorder has written what is complete.
const REST: Duration = Duration::from_millis(1_500);

/// A round's figures of a server.
#[derive(Default)]
struct Run {
    /// CPU time of the recorders' threads, and of the whole server.
    recorders: Duration,
    server: Duration,
    /// Bytes of the files while they were open.
    in_files: u64,
    amplification: f64,
}

pub(crate) fn run(options: &Options, disk: &TestDisk) -> Result<(), String> {
    let names = [
        "recorders",
        "server's difference",
        "loop, same pace and syncs",
        "dd, one sync",
    ];
    let mut costs: [Vec<f64>; 4] = Default::default();
    let (mut amplifications, mut len) = (Vec::new(), 0);
    for round in 0..options.rounds {
        let mut with = Run::default();
        let mut without = Run::default();
        for turn in 0..2 {
            // In turns, so that none is always the first.
            if (round + turn) % 2 == 0 {
                with = record(options, disk, true)?;
            } else {
                without = record(options, disk, false)?;
            }
        }
        len = with.in_files;
        let gigabytes = len as f64 / 1e9;
        let difference = with.server.as_secs_f64() - without.server.as_secs_f64();
        let folder = disk.fresh("loop")?;
        let found = [
            with.recorders.as_secs_f64(),
            difference,
            write_like_dd(&folder, len, options)?.as_secs_f64(),
            dd(&folder, len)?,
        ];
        disk.fresh("loop")?;
        let found = found.map(|cpu| cpu / gigabytes);
        eprintln!(
            "round {}: {found:.2?} s/GB, {:.4}",
            round + 1,
            with.amplification
        );
        costs
            .iter_mut()
            .zip(found)
            .for_each(|(all, cost)| all.push(cost));
        amplifications.push(with.amplification);
    }
    println!(
        "Cost: {STREAMS} streams at {SPEED} times their speed, {:.0} MB in all, medians of {} rounds",
        len as f64 / 1e6,
        options.rounds
    );
    print(&names, costs, amplifications)
}

fn print(names: &[&str], costs: [Vec<f64>; 4], amplifications: Vec<f64>) -> Result<(), String> {
    struct Table<'a>(&'a [&'a str], [Vec<f64>; 4]);
    impl std::fmt::Display for Table<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let widths = [26, 9, 14];
            write_line(f, &widths, ["", "CPU s/GB", "(range)"].map(str::to_owned))?;
            for (name, costs) in self.0.iter().zip(&self.1) {
                let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
                let most = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let range = format!("({least:.2}-{most:.2})");
                let cost = figure(median(costs.iter().copied()));
                write_line(f, &widths, [(*name).to_owned(), cost, range])?;
            }
            Ok(())
        }
    }
    print!("{}", Table(names, costs));
    println!(
        "Written to the device per byte of media: {:.4}",
        median(amplifications)
    );
    Ok(())
}

/// Runs a server for as long as a window is.
fn record(options: &Options, disk: &TestDisk, is_on: bool) -> Result<Run, String> {
    let folder = disk.fresh("cost")?;
    let command = options.command(is_on.then_some(&*folder), RECORD);
    let device = disk.written();
    let mut server = Server::start(&command)?;
    let run = measure(options, &server, &folder);
    let (mut run, payload) = run.map_err(|error| server.explain(error))?;
    disk.sync()?;
    let written = match (disk.written(), device) {
        (Some(after), Some(before)) => after - before,
        _ => run.amplification as u64,
    };
    run.amplification = written as f64 / payload as f64;
    Ok(run)
}

/// Returns the figures, with what the process has written in place of the amplification, and the bytes of
/// payload published.
fn measure(options: &Options, server: &Server, folder: &Path) -> Result<(Run, u64), String> {
    let before = Load::read(server);
    let publishing = Publishing::start_at(server.address, STREAMS, SPEED)?;
    pause(options.window, &options.stop)?;
    let sent = publishing.end()?;
    pause(REST, &options.stop)?;
    let run = Run {
        recorders: figures::thread_cpu(server, "recording"),
        server: Load::read(server).since(&before).server,
        in_files: figures::len_of_files(folder),
        amplification: figures::written(server) as f64,
    };
    figures::end(server)?;
    Ok((run, figures::payload(&sent.counts)))
}

/// Does what `dd` does, with a sync now and then. Returns the CPU time.
fn write_like_dd(folder: &Path, len: u64, options: &Options) -> Result<Duration, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut zeros = File::open("/dev/zero").map_err(failed)?;
    let mut file = File::create(folder.join("loop")).map_err(failed)?;
    let mut block = vec![0; BLOCK_LEN];
    let (start, cpu) = (Instant::now(), own_thread_cpu());
    let (mut done, mut synced) = (0, 0);
    while done < len {
        zeros.read_exact(&mut block).map_err(failed)?;
        file.write_all(&block).map_err(failed)?;
        done += BLOCK_LEN as u64;
        if done - synced >= SYNCED_LEN || done >= len {
            file.sync_data().map_err(failed)?;
            synced = done;
            let due = options.window.mul_f64((done as f64 / len as f64).min(1.0));
            thread::sleep((start + due).saturating_duration_since(Instant::now()));
        }
    }
    Ok(own_thread_cpu() - cpu)
}

/// The CPU seconds of `dd`.
fn dd(folder: &Path, len: u64) -> Result<f64, String> {
    let file = folder.join("dd");
    let count = len / BLOCK_LEN as u64;
    let line = format!(
        "TIMEFORMAT='%3U %3S'; time dd if=/dev/zero of={} bs=256K count={count} conv=fdatasync status=none",
        file.display()
    );
    let line = format!("{{ {line}; }} 2>&1");
    let printed = output("bash", &["-c", &line])?;
    let times = printed.split_whitespace().map(str::parse::<f64>);
    let times: Result<Vec<_>, _> = times.collect();
    let times = times.map_err(|_| format!("dd: {printed}"))?;
    Ok(times.iter().sum())
}
