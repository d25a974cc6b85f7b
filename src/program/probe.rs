//! `brooklet probe`: what a stream has, and whether it is live.

mod analysis;
mod text;

use std::time::{Duration, Instant};

use brooklet::client::{Client, ClientErrorKind};

use super::progress::{Progress, Stop};
use analysis::Analysis;

/// The time between two looks at signals.
const LOOK: Duration = Duration::from_millis(250);

/// Looks at a stream for `time`, from its first message on, for which it waits `patience`. Returns the text
/// to print, and whether the stream is live.
pub(crate) fn probe(
    client: Client,
    time: Duration,
    patience: Duration,
    is_json: bool,
) -> (String, bool) {
    let url = client.shown_url();
    match examine(client, time, patience) {
        Ok(analysis) if is_json => (text::json(&url, &analysis), true),
        Ok(analysis) => (text::lines(&url, &analysis), true),
        Err(why) if is_json => (text::json_not_live(&url, &why), false),
        Err(why) => (format!("{url}\nnot live: {why}\n"), false),
    }
}

fn examine(client: Client, time: Duration, patience: Duration) -> Result<Analysis, String> {
    let stop = Stop::catch()?;
    let start = Instant::now();
    let mut player = client.play().map_err(|error| error.to_string())?;
    stop.begin();
    let mut progress = Progress::new();
    let mut analysis = Analysis::default();
    let accepted = Instant::now();
    analysis.accepted_ms = (accepted - start).as_millis() as u64;
    let mut first = None;
    loop {
        let end = first.map_or(accepted + patience, |first| first + time);
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stop.is_asked() {
            break;
        }
        match player.recv(left.min(LOOK)) {
            Ok(Some(message)) => {
                let now = start.elapsed().as_millis() as u64;
                progress.add(message.payload().len());
                analysis.add(message, now);
                if first.is_none() && analysis.is_live() {
                    first = Some(Instant::now());
                }
            }
            Ok(None) => {
                analysis.is_ended = true;
                break;
            }
            Err(error) if error.kind() == ClientErrorKind::TimedOut => {}
            // What came before was live.
            Err(_) if analysis.is_live() => {
                analysis.is_ended = true;
                break;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    // What the server kept of the past comes at once, also while nobody publishes.
    let silence = start
        .elapsed()
        .saturating_sub(Duration::from_millis(analysis.last_ms));
    let looked = first.map_or(Duration::ZERO, |first| first.elapsed());
    match analysis.is_live() {
        true if !analysis.is_ended && silence > looked / 2 => {
            let silence = in_tenths(silence);
            Err(format!(
                "nothing came in the last {silence:?}: its publisher is away"
            ))
        }
        true => Ok(analysis),
        false if analysis.is_ended => Err("the stream has ended before a frame came".to_owned()),
        false => {
            let waited = in_tenths(accepted.elapsed());
            Err(format!(
                "no audio or video within {waited:?} after play was accepted"
            ))
        }
    }
}

/// A time in tenths of a second, rounded down.
fn in_tenths(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis() as u64 / 100 * 100)
}
