//! One run of players: they join, and are watched for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::players::{self, Players, Tally};
use crate::process::{Load, Server, Used};
use crate::publishers::Publishing;
use crate::session::Protocol;

/// Players join in the middle of a GOP.
const HEAD_START: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_secs(2);

/// What was seen in the window.
pub(crate) struct Watched {
    /// CPU time.
    pub(crate) used: Used,
    /// Resident bytes of the server at the end.
    pub(crate) resident: u64,
    /// How late a publisher ran at worst.
    pub(crate) latest: Duration,
    pub(crate) tally: Tally,
}

/// Connects so many players to each of the first `streams` streams, and watches them for `window`. Then it
/// ends publishing.
pub(crate) fn watch(
    server: &Server,
    publishing: Publishing,
    (protocol, streams, each): (Protocol, u32, usize),
    window: Duration,
    stop: &AtomicBool,
) -> Result<Watched, String> {
    pause(HEAD_START, stop)?;
    let players = Players::start(server, protocol, streams, each)?;
    wait_until_joined(&players, stop)?;
    pause(WARM_UP, stop)?;

    let before = Load::read(server);
    players.count_messages(true);
    pause(window, stop)?;
    let used = Load::read(server).since(&before);
    players.count_messages(false);
    let resident = server.resident();

    let sent = publishing.end()?;
    let tally = players.end(&sent.counts)?;
    drop(sent.publishers);
    Ok(Watched {
        used,
        resident,
        latest: sent.latest,
        tally,
    })
}

/// Sleeps, unless a signal asks to end.
pub(crate) fn pause(duration: Duration, stop: &AtomicBool) -> Result<(), String> {
    let end = Instant::now() + duration;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Waits until each player has seen a keyframe.
pub(crate) fn wait_until_joined(players: &Players, stop: &AtomicBool) -> Result<(), String> {
    let deadline = Instant::now() + players::JOIN_TIMEOUT;
    while !players.have_joined() {
        if Instant::now() > deadline {
            return Err("not all players got a keyframe".into());
        }
        pause(Duration::from_millis(20), stop)?;
    }
    Ok(())
}
