//! HLS by RFC 8216bis, for streams of many kinds at once, minute by minute and byte by byte.
//!
//! Each scenario is a synthetic stream that is published in real time, and watched by two readers:
//! one with low latency, one that polls. What they receive is compared with the RFC and with what
//! was sent: playlists over all reloads, segments and parts, samples, times. All faults are
//! collected; the table at the end has a row for each stream.
//!
//! `BROOKLET_HLS_SECONDS` says how long it takes, `BROOKLET_HLS_ONLY` which scenarios: words,
//! separated by commas, one of which is in the name.

#[path = "../common/mod.rs"]
mod common;

mod codecs;
mod http;
mod judge;
mod mp4;
mod playlist;
mod reader;
mod report;
mod scenario;
mod source;
mod trial;

use std::thread;

use common::Brooklet;
use judge::Judge;
use reader::Reader;
use report::Report;
use scenario::Scenario;
use source::{Clock, Source};

/// The number of publishing threads; each feeds several connections.
const PUBLISHERS: usize = 3;

/// How long the publishers go on after the readers, in s.
const LONGER: u64 = 4;

/// Publishes these and watches them for so long.
fn watch(scenarios: &[Scenario], seconds: u64) -> Report {
    let brooklet = Brooklet::start(&[
        "--memory",
        "256M",
        "--max-connections",
        "600",
        "--max-per-address",
        "500",
        "--max-connect-rate",
        "2000",
    ]);
    let (rtmp, http) = (brooklet.address(), brooklet.http_address());
    let sources: Vec<Source> = (scenarios.iter().zip(0..))
        .map(|(scenario, number)| Source::new(*scenario, number, seconds + LONGER))
        .collect();
    let report = Report::new(scenarios.iter().map(|scenario| scenario.name));
    let clock = Clock::start();
    let end = seconds * 1_000_000;
    thread::scope(|scope| {
        let (report, clock) = (&report, &clock);
        let mut threads = Vec::new();
        for sources in sources.chunks(sources.len().div_ceil(PUBLISHERS)) {
            let until = end + LONGER * 1_000_000;
            let publish = move || source::publish(sources, rtmp, clock, until);
            threads.push((sources[0].number, scope.spawn(publish)));
        }
        for source in &sources {
            for who in ["low latency", "polling"] {
                let read = move || {
                    let judge = Judge::new(source, report, clock, who);
                    let reader = Reader::new(http, source, clock, judge, end);
                    match who {
                        "polling" => reader.watch_by_polling(),
                        _ => reader.watch_with_low_latency(),
                    }
                };
                threads.push((source.number, scope.spawn(read)));
            }
        }
        // What was found until then is worth printing.
        for (number, thread) in threads {
            if thread.join().is_err() {
                report.wrong(number, "a thread failed", String::new());
            }
        }
    });
    report
}

fn assert_nothing_is_wrong(report: &Report) {
    let table = report.table();
    println!("{table}");
    assert_eq!(report.total(), 0, "violations, see above");
}

#[test]
#[ignore = "needs a minute or more"]
fn streams_of_all_kinds_follow_the_specification() {
    let seconds = std::env::var("BROOKLET_HLS_SECONDS").ok();
    let seconds = seconds.map_or(70, |text| text.parse().expect("a number of seconds"));
    let only = std::env::var("BROOKLET_HLS_ONLY").unwrap_or_default();
    let is_wanted = |scenario: &&Scenario| only.split(',').any(|word| scenario.name.contains(word));
    let scenarios: Vec<Scenario> = scenario::ALL.iter().filter(is_wanted).copied().collect();
    assert_nothing_is_wrong(&watch(&scenarios, seconds));
}

#[test]
fn short_gops_follow_the_specification_from_the_first_request() {
    let wanted = [
        "gop-1",
        "b-frames-2",
        "jitter",
        "fps-5",
        "aac-only",
        "vp9-flac",
    ];
    let all = scenario::ALL.iter();
    let scenarios = all.filter(|scenario| wanted.contains(&scenario.name));
    let scenarios: Vec<Scenario> = scenarios.copied().collect();
    assert_nothing_is_wrong(&watch(&scenarios, 10));
}
