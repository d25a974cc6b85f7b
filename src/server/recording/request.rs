//! Requests for recordings: why a stream is recorded, and why it can't be.
//!
//! A *session* is what one request records: a run of files, broken only where nothing came. `record`
//! begins a new one, and a new file with it, even if the publisher is back within its grace time.
//! `append` goes on with the newest one: in the file that is still open, or else in a new file after it,
//! since a file that was closed is never opened again.

use std::fmt;

use crate::config::Record;
use crate::record::report::DiskState;
use crate::rtmp::server_session::PublishKind;
use crate::rtmp::stream_key::StreamKey;

/// Why a stream is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Why {
    /// The settings say so.
    Configured,
    /// Its publisher has asked for a new recording.
    Record,
    /// Its publisher has asked to go on with the newest recording.
    Append,
    /// A request over HTTP, or of the embedding program.
    Asked,
}

/// Returns why a stream is recorded that was just published; `None` if it isn't.
pub(in crate::server) fn why(record: &Record, key: &StreamKey, kind: PublishKind) -> Option<Why> {
    let may_ask = record.dir.is_some() && record.on_request;
    match kind {
        PublishKind::Record if may_ask => Some(Why::Record),
        PublishKind::Append if may_ask => Some(Why::Append),
        _ => record.is_wanted(key).then_some(Why::Configured),
    }
}

/// The reason why a recording can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartRefused {
    /// The server has no folder for recordings.
    NoFolder,
    /// This build can't record.
    NotBuilt,
    /// Nobody publishes the stream.
    NotLive,
    /// The disk can't be used in this state.
    Disk(DiskState),
    /// There is no memory or thread for it.
    NoRoom,
    /// The server stops.
    Stopping,
}

impl StartRefused {
    /// The reason in words.
    pub(in crate::server) fn text(self) -> &'static str {
        match self {
            StartRefused::NoFolder => {
                "there is no folder for recordings: start the server with --record DIR"
            }
            StartRefused::NotBuilt => "this build can't record",
            StartRefused::NotLive => "the stream isn't live",
            StartRefused::Disk(state) => state.name(),
            StartRefused::NoRoom => "there is no memory for a recording at the moment",
            StartRefused::Stopping => "the server stops",
        }
    }
}

impl fmt::Display for StartRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for StartRefused {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_recorded;

    #[test]
    fn publishers_are_heard_only_if_they_may_ask() {
        use PublishKind::{Append, Live, Record as New};

        let key = StreamKey::new("live", "door").unwrap();
        let off = Record::default().on_request(true);
        let all = Record::default().dir(Some("/recordings".into()));
        let garage = vec![parse_recorded("garage/*").unwrap()];
        let others = all.clone().streams(garage);
        let asked = others.clone().on_request(true);
        for (record, kind, expected) in [
            (&off, New, None),
            (&off, Live, None),
            (&all, Live, Some(Why::Configured)),
            (&all, New, Some(Why::Configured)),
            (&others, New, None),
            (&others, Append, None),
            (&asked, Live, None),
            (&asked, New, Some(Why::Record)),
            (&asked, Append, Some(Why::Append)),
            (&all.clone().on_request(true), Append, Some(Why::Append)),
        ] {
            assert_eq!(why(record, &key, kind), expected, "{record:?} {kind:?}");
        }
    }
}
