//! CPU time per byte that is relayed.

use std::time::{Duration, Instant};

use crate::media::Track;
use crate::players::{self, Players};
use crate::process::{Load, Server};
use crate::publishers::Publishing;
use crate::session::Protocol;
use crate::watch::pause;
use crate::{COUNT, Options, bare_loop};

const WARM_UP: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut rows = [
        ("brooklet, receiving alone", Vec::new()),
        ("brooklet, receiving and pushing", Vec::new()),
        ("brooklet, receiving and sending to players", Vec::new()),
        ("bare loop, receiving alone", Vec::new()),
        ("bare loop, receiving and sending to players", Vec::new()),
        ("brooklet, pushing alone", Vec::new()),
        ("brooklet, sending to players alone", Vec::new()),
        ("bare loop, sending to players alone", Vec::new()),
    ];
    for round in 1..=options.rounds {
        let mut found = [0.0; 5];
        // In turns, so that none is always the first.
        for turn in 0..found.len() {
            let case = (turn + round) % found.len();
            found[case] = measure(case, options)?;
        }
        let [idle, pushes, players, bare_idle, bare] = found;
        eprintln!("round {round}: {found:.2?} s/GB");
        let alone = [pushes - idle, players - idle, bare - bare_idle];
        let all = found.into_iter().chain(alone);
        rows.iter_mut()
            .zip(all)
            .for_each(|(row, cost)| row.1.push(cost));
    }
    let title = format!("Cost: {COUNT} streams of 4.1 Mbit/s each, each to one receiver, CPU time");
    options.print(&title, "s/GB", &rows);
    Ok(())
}

fn measure(case: usize, options: &Options) -> Result<f64, String> {
    let far = bare_loop()?;
    let push = format!("bench/*=rtmp://{}/bench", far.address);
    let mut server = match case {
        0 | 2 => options.brooklet(&[])?,
        1 => options.brooklet(&["--push".to_owned(), push])?,
        _ => bare_loop()?,
    };
    let measured = match case {
        0 | 3 => watch(&server, None, options),
        1 => watch(&server, Some(&far), options),
        _ => watch(&server, Some(&server), options),
    };
    measured.map_err(|error| server.explain(error))
}

/// Publishes to a server, and returns its CPU time, in seconds for each GB published. If there are players,
/// they have to get everything.
fn watch(server: &Server, played: Option<&Server>, options: &Options) -> Result<f64, String> {
    let stop = &options.stop;
    let publishing = Publishing::start(server.address, COUNT)?;
    let start = |from| Players::start(from, Protocol::Rtmp, COUNT, 1);
    let players = played.map(start).transpose()?;
    let deadline = Instant::now() + players::JOIN_TIMEOUT;
    while players
        .as_ref()
        .is_some_and(|players| !players.have_joined())
    {
        if Instant::now() > deadline {
            return Err("not all players got a keyframe".into());
        }
        pause(Duration::from_millis(20), stop)?;
    }
    pause(WARM_UP, stop)?;
    let before = Load::read(server);
    pause(options.window, stop)?;
    let used = Load::read(server).since(&before).server;
    let sent = publishing.end()?;
    if let Some(players) = players {
        let tally = players.end(&sent.counts)?;
        if !tally.faults.is_empty() {
            return Err(format!("players missed something: {:#?}", tally.faults));
        }
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
