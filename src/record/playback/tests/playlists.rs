use super::*;
use crate::record::playback::playlist::{PlaylistSpan, Uris};

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

/// The segments: the name of a file, and a range of it.
fn segments(playlist: &str) -> Vec<(String, u64, u64)> {
    let mut lines = playlist.lines();
    let mut segments = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(range) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (len, offset) = range.split_once('@').unwrap();
            let uri = lines.next().unwrap();
            let name = uri.strip_prefix("door/").unwrap();
            let name = name.strip_suffix("?key=a").unwrap().to_owned();
            segments.push((name, offset.parse().unwrap(), len.parse().unwrap()));
        }
    }
    segments
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
        for (_, offset, len) in listed.iter().filter(|file| file.0 == name.to_string()) {
            assert_eq!(*offset, at);
            at += len;
        }
        assert_eq!(Some(at), head.closed_at);
        let map = format!("#EXT-X-MAP:URI=\"door/{name}?init&key=a\"\n#EXT-X-PROGRAM-DATE-TIME:");
        assert_eq!(text.matches(&map).count(), 1, "{text}");
    }
    let target: u64 = number(&text, "#EXT-X-TARGETDURATION:");
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:"))
    {
        let (seconds, ms) = line.strip_suffix(',').unwrap().split_once('.').unwrap();
        let ms = seconds.parse::<u64>().unwrap() * 1_000 + ms.parse::<u64>().unwrap();
        assert!(ms > 0 && ms <= target * 1_000, "{line}");
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

#[test]
fn gaps_and_the_borders_of_files_are_discontinuities() {
    let mut recorded = Recorded::new(2);
    recorded.record_files(&[40, 40, 40]);
    let text = playlist(&recorded, 0, u64::MAX, u64::MAX);
    let mut expected = 2;
    for pair in recorded.walls.windows(2) {
        expected += usize::from(pair[0][1] < pair[1][0]);
    }
    for border in [40, 80] {
        let [before, next] = [&recorded.walls[border - 1], &recorded.walls[border]];
        expected -= usize::from(before[1] < next[0]);
    }
    assert!(expected > 5);
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), expected);
    let dates = text.matches("#EXT-X-PROGRAM-DATE-TIME:").count();
    assert_eq!(dates, expected + 1);
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
    assert_eq!((first.1, last.1 + last.2), (places[10], places[count]));
}
