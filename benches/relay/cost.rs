//! CPU time per byte that is relayed.

use std::time::Duration;

use crate::media::Track;
use crate::players::Players;
use crate::process::{Load, Server};
use crate::publishers::Publishing;
use crate::session::Protocol;
use crate::watch::{pause, wait_until_joined};
use crate::{COUNT, Options, bare_loop, figures, wait_until_live};

const WARM_UP: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut rows = [
        ("brooklet, pushes", Vec::new()),
        ("brooklet, players", Vec::new()),
        ("bare loop, players", Vec::new()),
    ];
    for round in 0..options.rounds {
        let mut found = [0.0; 3];
        // In turns, so that none is always the first.
        for turn in 0..found.len() {
            let case = (turn + round) % found.len();
            found[case] = measure(case, options)?;
        }
        eprintln!("round {}: {found:.2?} s/GB", round + 1);
        rows.iter_mut()
            .zip(found)
            .for_each(|(row, cost)| row.1.push(cost));
    }
    let title = format!("Cost: a stream of 4.1 Mbit/s to {COUNT} receivers, CPU time");
    options.print(&title, "s/GB", &rows);
    Ok(())
}

fn measure(case: usize, options: &Options) -> Result<f64, String> {
    let far = bare_loop()?;
    let mut server = match case {
        0 => options.brooklet(&Options::pushes(far.address))?,
        1 => options.brooklet(&[])?,
        _ => bare_loop()?,
    };
    let measured = match case {
        0 => watch(&server, &far, 1, options),
        _ => watch(&server, &server, COUNT as usize, options),
    };
    measured.map_err(|error| server.explain(error))
}

/// Publishes to a server, and returns its CPU time, in seconds for each GB that it sends. The players, who play
/// from it or from where it is pushed to, have to get everything.
fn watch(
    server: &Server,
    played: &Server,
    players: usize,
    options: &Options,
) -> Result<f64, String> {
    let stop = &options.stop;
    let publishing = Publishing::start(server.address, 1)?;
    let has_pushes = server.id() != played.id();
    if has_pushes {
        wait_until_live(server, "pushes", COUNT, options)?;
    }
    let players = Players::start(played, Protocol::Rtmp, 1, players)?;
    wait_until_joined(&players, stop)?;
    pause(WARM_UP, stop)?;
    let before = Load::read(server);
    pause(options.window, stop)?;
    let used = Load::read(server).since(&before).server;
    if has_pushes {
        let pushes = figures::get(server, "/api/v1/pushes")?;
        if pushes.matches("\"skips\":0,").count() != COUNT as usize {
            return Err(format!("a push had to skip: {pushes}"));
        }
    }
    let sent = publishing.end()?;
    let tally = players.end(&sent.counts)?;
    if !tally.faults.is_empty() {
        return Err(format!("players missed something: {:#?}", tally.faults));
    }
    drop(sent.publishers);
    let bytes = u64::from(COUNT) * payload_in(options.window);
    Ok(used.as_secs_f64() / (bytes as f64 / 1e9))
}

/// The number of bytes of payload in so much of a stream. Publishers send in real time.
fn payload_in(time: Duration) -> u64 {
    let of_track = |track: Track| -> u64 {
        let all = (0..).take_while(|number| track.due(*number) < time);
        all.map(|number| track.payload_len(number) as u64).sum()
    };
    Track::ALL.map(of_track).iter().sum()
}
