//! Memory per recording, beside the arena.

use crate::disk::TestDisk;
use crate::process::Server;
use crate::publishers::Publishing;
use crate::table::median;
use crate::watch::pause;
use crate::{Options, STREAMS, figures};

/// Which streams are recorded, and how many they are.
const RECORDED: [(&str, u32); 3] = [("none", 0), ("bench/stream0", 1), ("*", STREAMS)];

pub(crate) fn run(options: &Options, disk: &TestDisk) -> Result<(), String> {
    let mut found: [Vec<f64>; 3] = Default::default();
    for _ in 0..options.rounds {
        for (found, (streams, _)) in found.iter_mut().zip(RECORDED) {
            found.push(measure(options, disk, streams)? as f64 / 1024.0);
        }
    }
    println!(
        "Memory: anonymous and resident, without the arena, of {STREAMS} streams, medians of {} rounds",
        options.rounds
    );
    let medians = found.map(median);
    for ((_, count), kib) in RECORDED.iter().zip(medians) {
        println!("{count:>12} recordings {kib:>8.0} KiB");
    }
    let [_, one, all] = medians;
    let each = (all - one) / f64::from(STREAMS - 1);
    println!("      each one more {each:>8.0} KiB");
    Ok(())
}

fn measure(options: &Options, disk: &TestDisk, streams: &str) -> Result<u64, String> {
    let folder = disk.fresh("memory")?;
    let record = format!("--record-sync 1s --record-segment 2s --record-streams {streams}");
    let server = Server::start(&options.command(Some(&folder), &record))?;
    let publishing = Publishing::start(server.address, STREAMS)?;
    // Long enough for a few files, each of which is closed.
    pause(options.window, &options.stop)?;
    let memory = figures::memory(&server);
    let sent = publishing.end()?;
    figures::end(&server)?;
    drop(sent);
    Ok(memory)
}
