//! The options of recording.

use std::time::Duration;

use super::opt::{Kind, Opt};
use super::{parse_size, parse_time};
use brooklet::config::{Record, RecordFormat, parse_recorded};

/// All options of recording, in the order of the help text.
pub(super) const RECORD: &[Opt] = &[
    Opt {
        name: "record",
        value: "DIR",
        default: "nothing is recorded",
        help: "record streams as files in this folder, which must exist",
        kind: Kind::Single,
        set: |settings, text| {
            let dir = Some(text).filter(|text| !text.is_empty());
            settings.config.record.dir = Some(dir.ok_or("a folder that exists")?.into());
            Ok(())
        },
    },
    Opt {
        name: "record-streams",
        value: "NAMES",
        default: "*",
        help: "streams to record: live/door, live/* for all below live, * for all, none for those \
               only that are asked for; may be repeated",
        kind: Kind::List(|settings| settings.config.record.streams.clear()),
        set: |settings, text| {
            if text != "none" {
                let scope = parse_recorded(text)?;
                settings.config.record.streams.push(scope);
            }
            Ok(())
        },
    },
    Opt {
        name: "record-on-request",
        value: "on|off",
        default: "off",
        help: "whether publishers may ask to be recorded, by the publish types record and append",
        kind: Kind::Single,
        set: |settings, text| {
            settings.config.record.on_request = match text {
                "on" => true,
                "off" => false,
                _ => return Err("on or off"),
            };
            Ok(())
        },
    },
    Opt {
        name: "record-format",
        value: "auto|mp4|flv",
        default: "auto",
        help: "MP4 (mp4), FLV (flv), or MP4 where it can hold the codecs and else FLV (auto)",
        kind: Kind::Single,
        set: |settings, text| {
            let format = RecordFormat::from_name(text).ok_or("auto, mp4 or flv")?;
            settings.config.record.format = format;
            Ok(())
        },
    },
    Opt {
        name: "record-segment",
        value: "TIME",
        default: "10m",
        help: "a new file begins at each multiple of this on the clock; at least 1s",
        kind: Kind::Single,
        set: |settings, text| {
            let segment = parse_time(text).filter(|time| *time >= Record::MIN_SEGMENT);
            let segment = segment.ok_or("a time such as 10m or 1h, from 1s to a day")?;
            settings.config.record.segment = segment;
            Ok(())
        },
    },
    Opt {
        name: "record-max",
        value: "SIZE",
        default: "off",
        help: "what all recordings together may take, such as 8G; the oldest are deleted first",
        kind: Kind::Single,
        set: |settings, text| {
            settings.config.record.max = match text {
                "off" => None,
                _ => {
                    let max = parse_size(text).filter(|bytes| *bytes >= 1 << 20);
                    Some(max.ok_or("a size such as 8G, at least 1M, or off")?)
                }
            };
            Ok(())
        },
    },
    Opt {
        name: "record-free",
        value: "SIZE",
        default: "5 %, at least 500 MB or 1/8 of the disk",
        help: "what recordings leave free on the disk, such as 2G; the oldest are deleted first; \
               or off",
        kind: Kind::Single,
        set: |settings, text| {
            let free = match text {
                "off" => 0,
                _ => parse_size(text).ok_or("a size such as 2G, or off")?,
            };
            settings.config.record.free = Some(free);
            Ok(())
        },
    },
    Opt {
        name: "record-sync",
        value: "TIME",
        default: "10s",
        help: "how much a power cut may cost, beside the newest GOP; off: up to a whole file",
        kind: Kind::Single,
        set: |settings, text| {
            settings.config.record.sync = match text {
                "off" => None,
                _ => {
                    let sync = parse_time(text).filter(|time| *time >= MIN_SYNC);
                    Some(sync.ok_or("a time such as 10s, from 100ms to a day, or off")?)
                }
            };
            Ok(())
        },
    },
    Opt {
        name: "record-timelapse",
        value: "N",
        default: "off",
        help: "record keyframes only, so that they play N times as fast, such as 60",
        kind: Kind::Single,
        set: |settings, text| {
            settings.config.record.timelapse = match text {
                "off" => None,
                _ => {
                    let speed = text.parse().ok();
                    let speed = speed.filter(|speed| Record::SPEEDS.contains(speed));
                    Some(speed.ok_or("a number from 2 to 10000, or off")?)
                }
            };
            Ok(())
        },
    },
];

/// The shortest time between syncs. A card that is synced for every frame does nothing else.
const MIN_SYNC: Duration = Duration::from_millis(100);

/// Refuses settings of recordings that have no effect because there is no folder.
pub(super) fn settle(record: &Record) -> Result<(), String> {
    let has_effect = record.dir.is_some() || *record == Record::default();
    has_effect.then_some(()).ok_or_else(|| {
        "nothing is recorded without a folder: add --record DIR, or leave out the other options \
         that begin with --record"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Request, parse};
    use super::*;

    fn record_in(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Record, String> {
        let environment = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        match parse(arguments.iter().map(OsString::from), environment)? {
            Request::Serve(settings) => Ok(settings.config.record),
            other => panic!("{other:?}"),
        }
    }

    /// The settings with a folder and these arguments.
    fn record(arguments: &[&str]) -> Result<Record, String> {
        let folder = ["--record", "/recordings"];
        record_in(&[&folder, arguments].concat(), &[])
    }

    fn names(record: &Record) -> Vec<String> {
        record.streams.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_folder_alone_records_every_stream() {
        let record = record(&[]).unwrap();
        let expected = Record::default().dir(Some("/recordings".into()));
        assert_eq!(record, expected);
        assert_eq!(names(&record), ["*"]);
    }

    #[test]
    fn streams_are_listed_and_replace_the_default() {
        for (arguments, expected) in [
            (
                &["--record-streams", "live/door, garage/*"][..],
                &["live/door", "garage/*"][..],
            ),
            (
                &["--record-streams=live/door", "--record-streams", "garage/*"],
                &["live/door", "garage/*"],
            ),
            (&["--record-streams", "none"], &[]),
            (&["--record-streams", "none,live/door"], &["live/door"]),
        ] {
            assert_eq!(names(&record(arguments).unwrap()), expected);
        }
    }

    #[test]
    fn each_option_sets_its_value() {
        let default = || Record::default().dir(Some("/recordings".into()));
        for (arguments, expected) in [
            (["--record-on-request", "on"], default().on_request(true)),
            (["--record-on-request", "off"], default()),
            (
                ["--record-format", "mp4"],
                default().format(RecordFormat::Mp4),
            ),
            (
                ["--record-segment", "1h"],
                default().segment(Duration::from_secs(3600)),
            ),
            (["--record-max", "8G"], default().max(Some(8 << 30))),
            (["--record-max", "1T"], default().max(Some(1 << 40))),
            (["--record-max", "off"], default()),
            (["--record-free", "2G"], default().free(Some(2 << 30))),
            (["--record-free", "off"], default().free(Some(0))),
            (
                ["--record-sync", "2s"],
                default().sync(Some(Duration::from_secs(2))),
            ),
            (["--record-sync", "off"], default().sync(None)),
            (["--record-timelapse", "60"], default().timelapse(Some(60))),
            (["--record-timelapse", "off"], default()),
        ] {
            assert_eq!(record(&arguments).unwrap(), expected, "{arguments:?}");
        }
        let environment = [
            ("BROOKLET_RECORD", "/recordings"),
            ("BROOKLET_RECORD_MAX", "4G"),
            ("BROOKLET_RECORD_STREAMS", "live/door,live/gate"),
        ];
        let record = record_in(&["--record-max", "5G"], &environment).unwrap();
        assert_eq!(record.max, Some(5 << 30));
        assert_eq!(names(&record), ["live/door", "live/gate"]);
    }

    #[test]
    fn wrong_values_are_refused_with_what_to_write() {
        for (arguments, words) in [
            (
                ["--record-streams", "live/d*r"],
                "expected the name of a stream such as live/door, live/*",
            ),
            (["--record-on-request", "yes"], "expected on or off"),
            (["--record-format", "mkv"], "expected auto, mp4 or flv"),
            (["--record-segment", "0"], "from 1s to a day"),
            (["--record-segment", "2d"], "a time such as 10m"),
            (
                ["--record-max", "8"],
                "invalid value \"8\" for --record-max: expected a size such as 8G, at least 1M, or \
                 off",
            ),
            (["--record-free", "5%"], "a size such as 2G, or off"),
            (["--record-sync", "0s"], "from 100ms to a day, or off"),
            (["--record-timelapse", "1"], "from 2 to 10000, or off"),
            (["--record", ""], "expected a folder that exists"),
        ] {
            let error = record(&arguments).unwrap_err();
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn misspelled_options_are_refused_with_the_ones_that_were_meant() {
        for (argument, words) in [
            (
                "--record-stream=live/door",
                "unknown option --record-stream. Did you mean --record-streams?",
            ),
            (
                "--recording=/mnt",
                "unknown option --recording. Did you mean --record?",
            ),
        ] {
            assert_eq!(record_in(&[argument], &[]).unwrap_err(), words);
        }
    }

    #[test]
    fn options_without_a_folder_are_refused() {
        let error = record_in(&["--record-max", "8G"], &[]).unwrap_err();
        assert!(error.contains("add --record DIR"), "{error}");
        let environment = [("BROOKLET_RECORD_STREAMS", "live/door")];
        assert!(record_in(&[], &environment).is_err());
    }
}
