//! Latency and losses of players, beside recordings.

use crate::disk::TestDisk;
use crate::process::Server;
use crate::publishers::Publishing;
use crate::session::Protocol;
use crate::table::{figure, median};
use crate::watch::{Watched, watch};
use crate::{Options, STREAMS, figures};

const PLAYERS: usize = 50;
const RECORD: &str = "--record-sync 2s";

pub(crate) fn run(options: &Options, disk: &TestDisk) -> Result<(), String> {
    let mut found: [Vec<Watched>; 2] = Default::default();
    for round in 0..options.rounds {
        for turn in 0..2 {
            let is_on = (round + turn) % 2 == 1;
            let watched = measure(options, disk, is_on)?;
            let tally = &watched.tally;
            let (median, p99) = (tally.latency(50), tally.latency(99));
            let faults = tally.faults.len();
            eprintln!("recording: {is_on}: {median:.2} / {p99:.2} ms, {faults} faults");
            found[usize::from(is_on)].push(watched);
        }
    }
    println!(
        "Players: {PLAYERS} of one of {STREAMS} streams, in real time, medians of {} rounds",
        options.rounds
    );
    println!("   recordings  median ms  p99 ms  max ms  messages  faults");
    for (count, rounds) in [0, STREAMS].into_iter().zip(&found) {
        let of = |percent| median(rounds.iter().map(|round| round.tally.latency(percent)));
        let messages: usize = rounds
            .iter()
            .map(|round| round.tally.latencies_us.len())
            .sum();
        let faults = rounds.iter().flat_map(|round| &round.tally.faults);
        let [median, p99, most] = [50, 99, 100].map(of).map(figure);
        let count_of_faults = faults.clone().count();
        println!("{count:>13} {median:>10} {p99:>7} {most:>7} {messages:>9} {count_of_faults:>7}");
        faults.take(5).for_each(|fault| println!("    {fault}"));
    }
    let rounds = || found.iter().flatten();
    let others = rounds().map(|round| round.used.others.as_secs_f64());
    let others = others.fold(0.0, f64::max) / options.window.as_secs_f64();
    let latest = rounds().map(|round| round.latest.as_millis()).max();
    println!(
        "Other programs used up to {others:.1} processors, and the publisher was up to {} ms late.",
        latest.unwrap_or(0)
    );
    match rounds().any(|round| !round.tally.faults.is_empty()) {
        true => Err("players missed something".into()),
        false => Ok(()),
    }
}

fn measure(options: &Options, disk: &TestDisk, is_on: bool) -> Result<Watched, String> {
    let folder = disk.fresh("players")?;
    let server = Server::start(&options.command(is_on.then_some(&*folder), RECORD))?;
    let publishing = Publishing::start(server.address, STREAMS)?;
    let audience = (Protocol::Rtmp, 1, PLAYERS);
    let watched = watch(&server, publishing, audience, options.window, &options.stop)?;
    if is_on && figures::len_of_files(&folder) == 0 {
        return Err("nothing was recorded".into());
    }
    Ok(watched)
}
