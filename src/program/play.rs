//! `brooklet play`: a stream, into a file of FLV or nowhere.

use std::path::Path;
use std::time::{Duration, Instant};

use brooklet::client::{Client, ClientErrorKind};

use super::flv_file::FlvFile;
use super::progress::{Progress, Stop};

/// The time between two looks at signals.
const LOOK: Duration = Duration::from_millis(250);

/// Plays until the stream ends, a signal comes, or nothing came for `patience`.
pub(crate) fn play(client: Client, path: Option<&Path>, patience: Duration) -> Result<(), String> {
    let stop = Stop::catch()?;
    let mut player = client.play().map_err(|error| error.to_string())?;
    stop.begin();
    // Created now: a server that refuses leaves an existing file as it is.
    let mut file = match path {
        Some(path) => Some(FlvFile::create(path)?),
        None => None,
    };
    let mut progress = Progress::new();
    let mut last = Instant::now();
    let mut has_media = false;
    let result = loop {
        if stop.is_asked() {
            break Ok(());
        }
        match player.recv(LOOK) {
            Ok(Some(message)) => {
                last = Instant::now();
                has_media |= message.medium().is_some();
                progress.add(message.payload().len());
                if let Some(file) = &mut file {
                    if let Err(error) = file.write(message) {
                        break Err(error);
                    }
                }
            }
            Ok(None) if has_media => break Ok(()),
            Ok(None) => break Err("the stream has ended before any audio or video came".to_owned()),
            Err(error) if error.kind() == ClientErrorKind::TimedOut => {
                if last.elapsed() >= patience {
                    break Err(format!(
                        "no message for {patience:?}, expected a live stream"
                    ));
                }
            }
            Err(error) => break Err(error.to_string()),
        }
    };
    drop(progress);
    // What came is complete, whatever the end was.
    let finished = file.map_or(Ok(()), FlvFile::finish);
    result.and(finished)
}
