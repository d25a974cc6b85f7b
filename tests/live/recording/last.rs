//! The last seconds of a log as one closed MP4 file.

use super::*;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use brooklet::record::playback::Body;
use brooklet::record::playback::last::LastBody;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A stream that keeps a minute.
fn kept() -> Fixture {
    let fixture = Fixture::of_settings(1024, |settings| {
        settings.is_hls_served = false;
        settings.kept = 60_000;
    });
    fixture.publish();
    headers(&fixture);
    fixture
}

fn body(
    fixture: &Fixture,
    last: u64,
    known: Option<(u32, Range<u64>)>,
) -> Option<(u32, Range<u64>, io::Result<LastBody>)> {
    let span = fixture
        .stream
        .last_messages(last, known, || 7, fixture.now.get())?;
    let (life, messages) = (span.life(), span.messages());
    let body = LastBody::new(Arc::clone(&fixture.stream), span);
    Some((life, messages, body))
}

fn last(fixture: &Fixture, ms: u64) -> LastBody {
    body(fixture, ms, None).unwrap().2.unwrap()
}

fn read(body: &mut LastBody, range: Range<u64>, step: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let mut buffer = vec![0; step.min((range.end - at) as usize)];
        let len = body.read(at, &mut buffer)?;
        assert!(len > 0);
        bytes.extend(&buffer[..len]);
        at += len as u64;
    }
    Ok(bytes)
}

fn whole(body: &mut LastBody) -> Vec<u8> {
    let len = body.len();
    read(body, 0..len, 16 * 1024).unwrap()
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The contents of all boxes with this path.
fn boxes<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Vec<&'a [u8]> {
    let Some((name, path)) = path.split_first() else {
        return vec![bytes];
    };
    let mut found = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 8 {
        let (len, head) = match number(rest, 0) {
            1 => (number(rest, 12), 16),
            len => (len, 8),
        };
        if rest[4..8] == name[..] {
            found.extend(boxes(&rest[head..len], path));
        }
        rest = &rest[len..];
    }
    found
}

/// A sample as players find it: its decode time, whether it is a keyframe, and its bytes.
type Found = (u64, bool, Vec<u8>);

/// Returns the samples of a track by its tables.
fn samples(file: &[u8], track: usize) -> Vec<Found> {
    let tables = boxes(file, &[b"moov", b"trak", b"mdia", b"minf", b"stbl"]);
    let table = |name: &[u8; 4]| boxes(tables[track], &[name]).first().copied();
    let entries = |name: &[u8; 4], width: usize| {
        let table = table(name).unwrap();
        let count = number(table, 4);
        assert_eq!(table.len(), 8 + count * width);
        (0..count).map(move |index| &table[8 + index * width..])
    };
    let sizes = table(b"stsz").unwrap();
    let sizes: Vec<_> = (0..number(sizes, 8))
        .map(|index| number(sizes, 12 + index * 4))
        .collect();
    let mut times = vec![0];
    for entry in entries(b"stts", 8) {
        for _ in 0..number(entry, 0) {
            times.push(times.last().unwrap() + number(entry, 4) as u64);
        }
    }
    assert_eq!(times.len(), sizes.len() + 1);
    let syncs: Option<Vec<_>> =
        table(b"stss").map(|_| entries(b"stss", 4).map(|entry| number(entry, 0)).collect());
    let chunks: Vec<_> = entries(b"co64", 8).map(|entry| number(entry, 4)).collect();
    let mut counts = vec![0; chunks.len()];
    for entry in entries(b"stsc", 12) {
        counts[number(entry, 0) - 1..].fill(number(entry, 4));
    }
    let mut all = Vec::new();
    for (chunk, count) in chunks.into_iter().zip(counts) {
        let mut at = chunk;
        for _ in 0..count {
            let index = all.len();
            let bytes = file[at..at + sizes[index]].to_vec();
            at += sizes[index];
            let is_sync = syncs
                .as_ref()
                .is_none_or(|syncs| syncs.contains(&(index + 1)));
            all.push((times[index], is_sync, bytes));
        }
    }
    assert_eq!(all.len(), sizes.len());
    all
}

#[test]
fn the_file_has_all_samples_from_a_keyframe_on() {
    let fixture = kept();
    let mut recorder = Recorder::of(&fixture, Form::Mp4);
    gops(&fixture, 0, 12, 25);
    fixture.frames(12_000, 10, true);
    recorder.poll(&fixture);
    fixture.wait(4_000);
    recorder.poll(&fixture);
    let mut body = last(&fixture, 5_000);
    let file = whole(&mut body);
    assert_eq!(&file[4..8], b"ftyp");
    let tops: usize = boxes(&file, &[b"mdat"]).iter().map(|data| data.len()).sum();
    let moov = boxes(&file, &[b"moov"])[0].len();
    assert_eq!(file.len(), 36 + 8 + moov + 16 + tops);
    for (track, kind) in [(0, Kind::Video), (1, Kind::Audio)] {
        let found = samples(&file, track);
        let all = recorder.messages.iter().filter(|(of, _)| *of == kind);
        let all: Vec<_> = all.map(|(_, bytes)| bytes).collect();
        // The newest keyframe that is old enough is that at 7 s.
        assert_eq!(found.len(), 5 * 25 + 10);
        let expected = &all[all.len() - found.len()..];
        let bytes: Vec<_> = found.iter().map(|(_, _, bytes)| bytes).collect();
        assert_eq!(bytes, expected);
        assert!(found[0].1);
        let span = found.last().unwrap().0 - found[0].0;
        let timescale = [1_000, 44_100][track];
        assert!(
            span.abs_diff(134 * 40 * timescale / 1_000) <= timescale / 20,
            "{span}"
        );
    }
    let syncs = samples(&file, 0)
        .iter()
        .filter(|(_, is_sync, _)| *is_sync)
        .count();
    assert_eq!(syncs, 6);
}

#[test]
fn any_range_is_that_of_the_whole_file() {
    let fixture = kept();
    gops(&fixture, 0, 10, 25);
    let mut body = last(&fixture, 9_000);
    let file = whole(&mut body);
    let len = file.len() as u64;
    let mut runner = TestRunner::new(Config::with_cases(1_000));
    let ranges = (0..len, 1..40_000_u64, 1..20_000_usize);
    let result = runner.run(&ranges, |(start, count, step)| {
        let range = start..(start + count).min(len);
        let mut body = last(&fixture, 9_000);
        let bytes = read(&mut body, range.clone(), step).unwrap();
        prop_assert_eq!(bytes, &file[range.start as usize..range.end as usize]);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn what_is_sent_stays_and_what_was_sent_may_go() {
    let fixture = Fixture::of_settings(1024, |settings| settings.is_hls_served = false);
    fixture.publish();
    headers(&fixture);
    let recorder = Recorder::of(&fixture, Form::Mp4);
    gops(&fixture, 0, 20, 25);
    let mut body = last(&fixture, 19_000);
    drop(recorder);
    let blocks = || fixture.stream.report(fixture.now.get()).blocks;
    let len = body.len();
    // Sent slowly, while the stream goes on.
    let mut bytes = read(&mut body, 0..len / 2, 10_000).unwrap();
    gops(&fixture, 20_000, 25, 25);
    let before = blocks();
    bytes.extend(read(&mut body, len / 2..len, 10_000).unwrap());
    assert_eq!(samples(&bytes, 0).len(), 500);
    gops(&fixture, 45_000, 1, 25);
    assert!(blocks() < before, "{} blocks, {before} before", blocks());
    drop(body);
    // What somebody has asked for is kept for the next time.
    gops(&fixture, 46_000, 2, 25);
    assert!(blocks() > 50, "{} blocks", blocks());
    fixture.wait(600_000);
    gops(&fixture, 648_000, 2, 25);
    assert!(blocks() < 10, "{} blocks", blocks());
}

#[test]
fn messages_that_are_gone_are_an_error() {
    let fixture = Fixture::with(32, 0);
    fixture.publish();
    headers(&fixture);
    fixture.gop(0, 25);
    let mut body = last(&fixture, 0);
    let (life, messages, _) = self::body(&fixture, 0, None).unwrap();
    // More than there is room for.
    gops(&fixture, 1_000, 60, 25);
    let len = body.len();
    assert!(read(&mut body, 0..len, 10_000).is_err());
    // What can't be had again is something else.
    let (_, others, again) = self::body(&fixture, 0, Some((life, messages.clone()))).unwrap();
    assert!(others.start > messages.start && again.is_ok());
}

#[test]
fn a_client_gets_the_rest_of_the_file_of_which_it_has_a_part() {
    let fixture = kept();
    gops(&fixture, 0, 5, 25);
    let (life, messages, body) = self::body(&fixture, 3_000, None).unwrap();
    let file = whole(&mut body.unwrap());
    gops(&fixture, 5_000, 5, 25);
    let known = Some((life, messages.clone()));
    let (_, again, body) = self::body(&fixture, 3_000, known).unwrap();
    assert_eq!(again, messages);
    assert_eq!(whole(&mut body.unwrap()), file);
    // Not of another stream.
    let known = Some((life + 1, messages.clone()));
    let (_, other, _) = self::body(&fixture, 3_000, known).unwrap();
    assert!(other.start > messages.start);
}

#[test]
fn without_a_keyframe_there_is_no_file() {
    let fixture = Fixture::new();
    assert!(body(&fixture, 1_000, None).is_none());
    fixture.publish();
    headers(&fixture);
    assert!(body(&fixture, 1_000, None).is_none());
    fixture.audio(0, 100);
    assert!(body(&fixture, 1_000, None).is_none());
    fixture.frame(0, true, 100);
    let mut body = last(&fixture, 1_000);
    assert_eq!(samples(&whole(&mut body), 0).len(), 1);
}

#[test]
fn an_audio_file_has_no_video() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    for frame in 0..200 {
        fixture.audio(frame * 20, 50);
        fixture.wait(20);
    }
    let mut body = last(&fixture, 0);
    let file = whole(&mut body);
    assert_eq!(boxes(&file, &[b"moov", b"trak"]).len(), 1);
    assert!(!samples(&file, 0).is_empty());
}
