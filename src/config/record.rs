//! Recording: what is recorded, where, and how much of the disk it may take.

use std::path::PathBuf;
use std::time::Duration;

use super::access::Scope;
use crate::rtmp::stream_key::StreamKey;

settings! {
    /// The rules of recording. Nothing is recorded without a folder.
    ///
    /// ```
    /// use brooklet::Config;
    /// use brooklet::config::{Record, parse_recorded};
    ///
    /// let record = Record::default()
    ///     .dir(Some("/mnt/card/recordings".into()))
    ///     .streams(vec![parse_recorded("live/door")?, parse_recorded("garage/*")?])
    ///     .max(Some(8 << 30));
    /// let config = Config::default().record(record);
    /// # Ok::<(), &str>(())
    /// ```
    Record {
        /// The folder of the recordings, which must exist. `None`: nothing can be recorded.
        dir: Option<PathBuf> = None,
        /// The streams that are recorded whenever they are published. Without any, those are that are
        /// asked for.
        streams: Vec<Scope> = vec![Scope::All],
        /// Whether publishers may ask for the recording of their stream, by the publish types `record`
        /// and `append`.
        on_request: bool = false,
        /// The format of the files.
        format: RecordFormat = RecordFormat::Auto,
        /// The length of a file: a new one begins at the first keyframe after a multiple of this on the
        /// wall clock.
        segment: Duration = Duration::from_secs(600),
        /// The number of bytes that all recordings together may take; `None` for no such limit.
        max: Option<u64> = None,
        /// The number of bytes of the disk that are left free; `None` for the larger of 500 MB and 5 %
        /// of the disk, or an eighth of a disk under 4 GB.
        free: Option<u64> = None,
        /// How often what was written is made safe from power cuts; `None`: only when a file is closed.
        sync: Option<Duration> = Some(Duration::from_secs(10)),
        /// Records keyframes only, and stamps them so that they play this many times as fast.
        timelapse: Option<u32> = None,
        /// How much of what came before it a recording contains that is asked for in the middle of a
        /// publish, unless the request says otherwise; as far as it is still in memory.
        preroll: Duration = Duration::ZERO,
    }
}

/// The format of recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordFormat {
    /// MP4 for streams whose codecs it can hold, and FLV for others.
    #[default]
    Auto,
    /// MP4 only. Streams that it can't hold aren't recorded.
    Mp4,
    /// FLV only.
    Flv,
}

impl RecordFormat {
    /// Parses `auto`, `mp4` or `flv`.
    pub fn from_name(name: &str) -> Option<RecordFormat> {
        match name {
            "auto" => Some(RecordFormat::Auto),
            "mp4" => Some(RecordFormat::Mp4),
            "flv" => Some(RecordFormat::Flv),
            _ => None,
        }
    }
}

impl Record {
    /// The shortest segment.
    pub const MIN_SEGMENT: Duration = Duration::from_secs(1);

    /// The possible speeds of a time-lapse.
    pub const SPEEDS: std::ops::RangeInclusive<u32> = 2..=10_000;

    /// Returns what is wrong with the settings, if anything is.
    pub(crate) fn error(&self) -> Option<&'static str> {
        if self.segment < Record::MIN_SEGMENT {
            return Some("segments of less than a second");
        }
        if self.sync.is_some_and(|sync| sync.is_zero()) {
            return Some("no time between syncs");
        }
        let is_speed = |speed| Record::SPEEDS.contains(&speed);
        if !self.timelapse.is_none_or(is_speed) {
            return Some("a time-lapse that isn't 2 to 10000 times as fast");
        }
        None
    }

    /// Whether a stream is recorded whenever it is published.
    pub fn is_wanted(&self, stream: &StreamKey) -> bool {
        let mut streams = self.streams.iter();
        self.dir.is_some() && streams.any(|scope| scope.contains(stream))
    }
}

/// Parses the name of streams to record: `live/door`, `live/*` or `*`; the error says what was expected.
pub fn parse_recorded(text: &str) -> Result<Scope, &'static str> {
    let scope = match text {
        "*" => Some(Scope::All),
        _ => Scope::parse(text),
    };
    scope.ok_or(
        "the name of a stream such as live/door, live/* for all that begin with live/, * for all, \
         or none",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(streams: &[&str]) -> Record {
        let scopes = streams.iter().map(|text| parse_recorded(text).unwrap());
        Record::default()
            .dir(Some("/recordings".into()))
            .streams(scopes.collect())
    }

    #[test]
    fn names_decide_which_streams_are_recorded() {
        for (scopes, stream, is_wanted) in [
            (&["*"][..], "live/door", true),
            (&["live/door", "garage/*"], "live/door", true),
            (&["live/door", "garage/*"], "garage/left/top", true),
            (&["live/door", "garage/*"], "live/door/two", false),
            (&["live/door", "garage/*"], "garages/left", false),
            (&[], "live/door", false),
        ] {
            let stream = StreamKey::new("", stream).unwrap();
            assert_eq!(record(scopes).is_wanted(&stream), is_wanted, "{scopes:?}");
        }
        let stream = StreamKey::new("live", "door").unwrap();
        assert!(!Record::default().is_wanted(&stream));
    }

    #[test]
    fn a_star_in_the_middle_is_refused() {
        for text in ["", "live/d*r", "*/door", "live/door?key=1", "**", "live/**"] {
            assert!(parse_recorded(text).is_err(), "{text:?}");
        }
    }
}
