use super::*;
use crate::media::mp4::note::{NOTE_LEN, Note};
use crate::media::mp4::read::Moof;
use crate::record::playback::playlist::{PlaylistSpan, Uris};
use crate::record::playback::segment::{Place, SegmentBody};

const URIS: Uris<'static> = Uris {
    folder: "door/",
    query: "key=a",
};

fn playlist(recorded: &Recorded, from: WallMillis, to: WallMillis, now: WallMillis) -> String {
    let span = PlaylistSpan {
        recordings: recorded.recordings.clone(),
        stream: recorded.key.clone(),
        from,
        to,
    };
    let mut text = String::new();
    let survey = span.survey(now).unwrap();
    span.write(&mut text, survey, URIS).unwrap();
    text
}

/// The segments: the name of a file, and a place in it.
fn segments(playlist: &str) -> Vec<(String, Place)> {
    let segments = playlist.lines().filter(|line| !line.starts_with('#'));
    let segments = segments.map(|uri| {
        let uri = uri.strip_prefix("door/").unwrap();
        let (name, place) = uri.split_once("?segment=").unwrap();
        let place = place.strip_suffix("&key=a").unwrap();
        (name.to_owned(), Place::parse(place).unwrap())
    });
    segments.collect()
}

#[test]
fn a_playlist_has_what_is_around_a_damaged_file() {
    let mut recorded = Recorded::new(1);
    recorded.record_files(&[20, 20, 20]);
    let names = recorded.names();
    let bad = path(&recorded.key, names[1]);
    recorded.disk.put(bad, b"another program's".to_vec());
    let text = playlist(&recorded, 0, u64::MAX, u64::MAX);
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    let mut listed: Vec<String> = segments(&text).into_iter().map(|file| file.0).collect();
    listed.dedup();
    assert_eq!(listed, [names[0].to_string(), names[2].to_string()]);
}

#[test]
fn a_playlist_lists_all_bytes_of_the_fragments() {
    let mut recorded = Recorded::new(1);
    recorded.record_files(&[60, 30]);
    let text = playlist(&recorded, 0, u64::MAX, u64::MAX);
    assert!(text.contains("#EXT-X-PLAYLIST-TYPE:VOD\n"), "{text}");
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    let listed = segments(&text);
    for name in recorded.names() {
        let body = recorded.body(name);
        let (head, _) = body.fragments().unwrap();
        let mut at = head.len;
        for (_, place) in listed.iter().filter(|file| file.0 == name.to_string()) {
            assert_eq!(place.offset, at);
            at += place.len;
        }
        assert_eq!(Some(at), head.closed_at);
    }
    let name = recorded.names()[0];
    let map = format!("#EXT-X-MAP:URI=\"door/{name}?init&key=a\"\n#EXT-X-PROGRAM-DATE-TIME:");
    assert_eq!(text.matches(&map).count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-MAP:").count(), 1, "{text}");
    let target: u64 = number(&text, "#EXT-X-TARGETDURATION:");
    for (seconds, ms) in durations(&text) {
        let ms = seconds * 1_000 + ms;
        assert!(ms > 0 && ms <= target * 1_000, "{ms}");
    }
}

fn number(text: &str, tag: &str) -> u64 {
    let mut lines = text.lines();
    lines
        .find_map(|line| line.strip_prefix(tag))
        .unwrap()
        .parse()
        .unwrap()
}

/// The decode times in ms of video and audio in all segments, and when they end.
fn times(recorded: &Recorded, playlist: &str) -> [Vec<[u64; 2]>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for (name, place) in segments(playlist) {
        let (name, _) = FileName::parse(&name).unwrap();
        let mut body = SegmentBody::new(recorded.body(name), place)
            .unwrap()
            .unwrap();
        let bytes = read_all(&mut body);
        let mut random = Random(place.offset);
        check_ranges(&mut body, &bytes, &mut random);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let note = Note::parse(rest).unwrap();
            let moof = Moof::parse(&rest[NOTE_LEN..]).unwrap();
            for (run, times) in [moof.video, moof.audio].into_iter().zip(&mut times) {
                let timescale = if run == moof.video { 1_000 } else { 48_000 };
                if let Some(run) = run {
                    let last = run.samples().last().unwrap();
                    let ends = [run.decode_time, last.decode_time + u64::from(last.duration)];
                    times.push(ends.map(|time| time * 1_000 / timescale));
                }
            }
            rest = &rest[note.len as usize..];
        }
    }
    times
}

#[test]
fn times_run_on_over_files_and_gaps() {
    let mut recorded = Recorded::new(2);
    recorded.record_files(&[40, 40, 40]);
    let text = playlist(&recorded, 0, u64::MAX, u64::MAX);
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 0);
    let walls = recorded.walls.windows(2);
    let gaps = walls.filter(|pair| pair[0][1] < pair[1][0]).count();
    assert!(gaps > 5);
    let dates = text.matches("#EXT-X-PROGRAM-DATE-TIME:").count();
    assert!(dates > gaps, "{dates} dates, {gaps} gaps");
    for times in times(&recorded, &text) {
        assert!(times[0][0] < 100, "begins at {} ms", times[0][0]);
        for pair in times.windows(2) {
            let step = pair[1][0] as i64 - pair[0][1] as i64;
            assert!((-50..=50).contains(&step), "{pair:?}");
        }
    }
}

#[test]
fn other_tracks_are_a_discontinuity() {
    let mut recorded = Recorded::new(2);
    recorded.record_files(&[40, 40]);
    recorded.presentation.audio = None;
    recorded.record_files(&[40]);
    let text = playlist(&recorded, 0, u64::MAX, u64::MAX);
    let name = recorded.names()[2];
    let map = format!("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"door/{name}?init&key=a\"\n");
    assert_eq!(text.matches(&map).count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-MAP:").count(), 2, "{text}");
    let times = times(&recorded, &text);
    let ends = times.map(|times| times[times.len() - 1][1]);
    assert!(ends[0] > ends[1] + 5_000, "{ends:?}");
}

#[test]
fn the_target_duration_of_a_growing_playlist_stays_as_it_is() {
    let mut recorded = Recorded::new(3);
    recorded.record(20);
    let mut targets = Vec::new();
    for round in 0..20 {
        // Later, there are no keyframes any more.
        recorded.gop = if round < 3 { 1 } else { 1_000 };
        recorded.record(7);
        let now = recorded.walls[recorded.walls.len() - 1][1];
        let text = playlist(&recorded, 0, u64::MAX, now);
        let target: u64 = number(&text, "#EXT-X-TARGETDURATION:");
        for (seconds, ms) in durations(&text) {
            assert!(seconds * 1_000 + ms <= target * 1_000, "{text}");
        }
        targets.push(target);
    }
    targets.dedup();
    assert_eq!(targets, [10]);
}

/// The durations of segments in seconds and milliseconds.
fn durations(text: &str) -> impl Iterator<Item = (u64, u64)> {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:"));
    lines.map(|line| {
        let (seconds, ms) = line.strip_suffix(',').unwrap().split_once('.').unwrap();
        (seconds.parse().unwrap(), ms.parse().unwrap())
    })
}

#[test]
fn a_playlist_of_a_growing_file_lists_what_it_has_listed_and_more() {
    let mut recorded = Recorded::new(3);
    recorded.record_files(&[20]);
    recorded.record(40);
    let mut last = String::new();
    for _ in 0..10 {
        recorded.record(7);
        let now = recorded.walls[recorded.walls.len() - 1][1];
        let text = playlist(&recorded, recorded.walls[5][0], u64::MAX, now);
        assert!(text.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"), "{text}");
        assert!(text.starts_with(&last), "{last}{text}");
        last = text;
    }
    recorded.close();
    let now = recorded.walls[recorded.walls.len() - 1][1];
    let text = playlist(&recorded, recorded.walls[5][0], u64::MAX, now + 60_000);
    let text = text.replace(":VOD", ":EVENT");
    assert!(text.starts_with(&last), "{last}{text}");
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
}

#[test]
fn a_span_that_has_ended_is_complete_even_in_a_growing_file() {
    let mut recorded = Recorded::new(4);
    recorded.record(60);
    let now = recorded.walls[59][1];
    let [from, to] = [recorded.walls[10][0], recorded.walls[50][0]];
    let text = playlist(&recorded, from, to, now);
    assert!(text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    let listed = segments(&text);
    let (first, last) = (&listed[0], &listed[listed.len() - 1]);
    let body = recorded.body(recorded.names()[0]);
    let (_, mut fragments) = body.fragments().unwrap();
    let mut places = Vec::new();
    while let Some(fragment) = fragments.next(&*body.file).unwrap() {
        places.push(fragment.offset);
    }
    // A fragment that begins just before the end isn't part of it.
    let count = recorded
        .walls
        .iter()
        .filter(|wall| wall[0] + 250 < to)
        .count();
    let end = last.1.offset + last.1.len;
    assert_eq!((first.1.offset, end), (places[10], places[count]));
}
