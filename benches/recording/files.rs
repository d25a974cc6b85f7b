//! A folder with many files: start, memory, and the list over HTTP.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::disk::TestDisk;
use crate::process::Server;
use crate::table::median;
use crate::watch::pause;
use crate::{Options, STREAMS, figures};

/// 2026-01-01 in seconds since 1970.
const FIRST: u64 = 1_767_225_600;
const SEGMENT: u64 = 600;
const LEN: u64 = 4_000_000;
/// How long the list may take to be complete.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
const LIMITS: &str = "--record-streams none";

/// A round's figures: ms until the server accepts, ms until the list is complete, KiB of memory; then ms and
/// bytes of the list of all streams, and of one.
type Figures = [f64; 7];

pub(crate) fn run(options: &Options, disk: &TestDisk) -> Result<(), String> {
    let empty = disk.fresh("none")?;
    let full = disk.fresh("files")?;
    create(&full, options.files).map_err(|error| format!("{}: {error}", full.display()))?;
    disk.sync()?;
    let mut found: [Vec<Figures>; 2] = Default::default();
    for _ in 0..options.rounds {
        found[0].push(measure(options, &empty, 0)?);
        found[1].push(measure(options, &full, options.files)?);
    }
    println!("Files: medians of {} rounds", options.rounds);
    println!(
        "        files  accepts ms  listed ms  memory KiB  list ms    bytes  one's ms    bytes"
    );
    for (count, rounds) in [0, options.files].into_iter().zip(found) {
        let of = |index: usize| median(rounds.iter().map(|figures| figures[index]));
        println!(
            "{count:>13} {:>11.0} {:>10.0} {:>11.0} {:>8.1} {:>8.0} {:>9.1} {:>8.0}",
            of(0),
            of(1),
            of(2),
            of(3),
            of(4),
            of(5),
            of(6)
        );
    }
    Ok(())
}

/// Creates files with holes, of ten minutes each, without gaps between them.
fn create(folder: &Path, count: u32) -> std::io::Result<()> {
    for stream in 0..STREAMS {
        let folder = folder.join(format!("bench/stream{stream}"));
        fs::create_dir_all(&folder)?;
        for number in 0..count / STREAMS {
            let start = FIRST + u64::from(number) * SEGMENT;
            let file = File::create_new(folder.join(name(start)))?;
            file.set_len(LEN)?;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(start + SEGMENT))?;
        }
    }
    Ok(())
}

/// The name of a file that starts at this second since 1970.
fn name(start: u64) -> String {
    let (mut day, second) = (start / 86_400, start % 86_400);
    let mut year = 1970;
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = |year| if is_leap(year) { 366 } else { 365 };
    while day >= days(year) {
        day -= days(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}-{minute:02}-{:02}Z.mp4",
        day + 1,
        second % 60
    )
}

fn measure(options: &Options, folder: &Path, count: u32) -> Result<Figures, String> {
    let start = Instant::now();
    let server = Server::start(&options.command(Some(folder), LIMITS))?;
    let accepts = start.elapsed();
    let expected = format!("\"files\":{}", count / STREAMS * STREAMS);
    loop {
        let streams = figures::get(&server, "/api/v1/streams")?;
        if streams.contains(&expected) {
            break;
        }
        if start.elapsed() > LIST_TIMEOUT {
            return Err(format!("the list is not complete: {streams}"));
        }
        pause(Duration::from_millis(5), &options.stop)?;
    }
    let listed = start.elapsed();
    let memory = figures::memory(&server);
    let (all_ms, all) = timed(&server, "/api/v1/recordings")?;
    let (one_ms, one) = match count {
        0 => (f64::NAN, f64::NAN),
        _ => timed(&server, "/api/v1/recordings?stream=bench/stream0")?,
    };
    let memory = memory.max(figures::memory(&server)) as f64 / 1024.0;
    Ok([
        millis(accepts),
        millis(listed),
        memory,
        all_ms,
        all,
        one_ms,
        one,
    ])
}

/// How long an answer took in ms, and its length.
fn timed(server: &Server, path: &str) -> Result<(f64, f64), String> {
    let start = Instant::now();
    let body = figures::get(server, path)?;
    Ok((millis(start.elapsed()), body.len() as f64))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
