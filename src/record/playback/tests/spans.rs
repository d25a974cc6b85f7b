use super::*;
use crate::media::mp4::AudioTrack;
use crate::media::mp4::movie::TrackTimes;
use crate::record::mp4::tests::closed_file::{ClosedFile, ReadSample};
use crate::record::playback::plan::{MAX_FILES, NoPlan, plan};
use crate::record::playback::span::SpanBody;

fn free(_: usize) -> bool {
    true
}

fn try_span(recorded: &Recorded, from: WallMillis, to: WallMillis) -> Result<SpanBody, NoPlan> {
    let (recordings, key) = (&recorded.recordings, &recorded.key);
    let plan = plan(recordings, key, from, to, &mut free)?;
    Ok(SpanBody::new(recordings.clone(), key.clone(), plan).unwrap())
}

fn span(recorded: &Recorded, from: WallMillis, to: WallMillis) -> SpanBody {
    try_span(recorded, from, to).unwrap()
}

/// Three files, the last of which grows.
fn three_files(seed: u64) -> Recorded {
    let mut recorded = Recorded::new(seed);
    recorded.record_files(&[14, 5]);
    recorded.record(8);
    recorded
}

/// The tracks of a span, without what only files have.
fn tracks(file: ClosedFile) -> [Vec<ReadSample>; 2] {
    [file.video, file.audio]
}

#[test]
fn a_span_has_the_samples_from_the_keyframe_before_it_to_its_end() {
    for seed in 0..8 {
        let recorded = three_files(seed);
        let walls = &recorded.walls;
        let (start, end) = (walls[0][0], walls[walls.len() - 1][1]);
        let mut random = Random(seed);
        for _ in 0..12 {
            let from = start - 1_000 + random.below(end - start + 1_000);
            let to = from + 1 + random.below(end + 1_000 - from);
            // The fragments that begin well before the end, from the last one that begins at or before
            // the start. In a gap, that is the next one, which may be all.
            let first = walls.iter().rposition(|[begin, _]| *begin <= from);
            let first = first.map_or(0, |first| first + usize::from(walls[first][1] <= from));
            let last = walls.iter().filter(|[begin, _]| begin + 250 < to).count();
            let begins = walls.get(first).is_some_and(|[begin, _]| *begin < to);
            let last = if begins { last.max(first + 1) } else { last };
            let name = format!("seed {seed}: {from} to {to} of {start} to {end}");
            if first >= last {
                assert!(try_span(&recorded, from, to).is_err(), "{name}");
                continue;
            }
            let mut body = span(&recorded, from, to);
            assert_eq!(body.plan().from, walls[first][0], "{name}");
            let times = body.plan().times();
            let is_early = |track: &TrackTimes, rate: u64| track.shown < rate / 2;
            let [video, audio] = [times.video.unwrap(), times.audio.unwrap()];
            assert!(is_early(&video, 1_000), "{name}: {video:?}");
            assert!(is_early(&audio, 48_000), "{name}: {audio:?}");
            let found = ClosedFile::parse_span(&read_all(&mut body));
            let expected = recorded.script.expected_of(first..last);
            assert!(tracks(found) == tracks(expected), "{name}");
        }
    }
}

#[test]
fn a_damaged_file_is_a_gap_in_a_span() {
    for (bad, first, last) in [(0, 14, 27), (1, 0, 27), (2, 0, 19)] {
        let recorded = three_files(3);
        let name = recorded.names()[bad];
        let mut path = path(&recorded.key, name).into_os_string();
        if bad == 2 {
            path.push(".part");
        }
        recorded.disk.put(&path, b"another program's".to_vec());
        let (start, end) = (recorded.walls[0][0], recorded.walls[26][1] + 1_000);
        let mut body = span(&recorded, start, end);
        let samples = ClosedFile::parse_span(&read_all(&mut body)).video.len();
        let good = (first..last).filter(|fragment| bad != 1 || !(14..19).contains(fragment));
        let frames = |fragment| {
            recorded
                .script
                .expected_of(fragment..fragment + 1)
                .video
                .len()
        };
        assert_eq!(samples, good.map(frames).sum::<usize>(), "file {bad}");
        let [from, to] = [recorded.walls[14][0], recorded.walls[18][1]];
        let is_failure = matches!(try_span(&recorded, from, to), Err(NoPlan::Disk(_)));
        assert_eq!(is_failure, bad == 1);
    }
}

#[test]
fn ranges_of_spans_equal_the_whole() {
    let recorded = three_files(7);
    let walls = &recorded.walls;
    let mut body = span(&recorded, walls[3][0] + 1, walls[25][0]);
    let whole = read_all(&mut body);
    assert_eq!(body.len(), whole.len() as u64);
    check_ranges(&mut body, &whole, &mut Random(8));
    let mut other = span(&recorded, walls[3][0] + 1, walls[25][0]);
    assert!(read(&mut other, 0, whole.len() as u64, 13) == whole);
}

#[test]
fn a_span_stays_the_same_while_its_last_file_grows_and_is_closed() {
    let mut recorded = three_files(9);
    let end = recorded.walls[26][1];
    let mut body = span(&recorded, 0, end);
    let before = read_all(&mut body);
    recorded.record(3);
    recorded.close();
    assert!(
        read_all(&mut span(&recorded, 0, end)) == before,
        "planned later"
    );
    assert!(read_all(&mut body) == before, "planned before");
}

#[test]
fn a_span_up_to_the_end_does_not_change_with_what_follows() {
    let mut recorded = Recorded::new(15);
    recorded.record(4);
    let end = recorded.walls[3][1];
    let before = read_all(&mut span(&recorded, 0, end));
    // The next file seems to begin a moment before the end.
    recorded.close();
    recorded.script.time -= 40;
    recorded.record(2);
    assert!(recorded.walls[4][0] < end);
    assert!(read_all(&mut span(&recorded, 0, end)) == before);
}

#[test]
fn a_gap_between_files_is_as_long_as_it_was() {
    let mut recorded = Recorded::new(10);
    recorded.record_files(&[3]);
    recorded.script.time += 3_600_000;
    recorded.record_files(&[3]);
    let found = ClosedFile::parse_span(&read_all(&mut span(&recorded, 0, u64::MAX)));
    let expected = recorded.script.expected_of(0..6);
    assert!(tracks(found) == tracks(expected));
}

#[test]
fn files_are_as_far_apart_as_in_the_stream_however_late_frames_arrive() {
    /// AAC LC, 44.1 kHz, two channels: most milliseconds aren't a whole number of its samples.
    const AAC: &[u8] = b"\xAF\0\x12\x10";

    for (seed, start) in (0..20).zip([7, u64::from(u32::MAX) - 1_500].into_iter().cycle()) {
        let mut recorded = Recorded::new(seed);
        recorded.presentation.audio = AudioTrack::from_sequence_header(AAC);
        recorded.script.audio_rate = 44_100;
        recorded.script.time = start + seed;
        let mut random = Random(seed);
        for _ in 0..5 {
            recorded.delay = random.below(900);
            recorded.record_files(&[14 + random.below(6) as usize]);
        }
        let fragments = recorded.walls.len();
        let found = ClosedFile::parse_span(&read_all(&mut span(&recorded, 0, u64::MAX)));
        let expected = recorded.script.expected_of(0..fragments);
        assert!(tracks(found) == tracks(expected), "seed {seed}");
    }
}

#[test]
fn a_stream_that_began_anew_between_two_files_follows_by_the_wall_clock() {
    let mut recorded = Recorded::new(16);
    recorded.record_files(&[8]);
    let [before, after] = [recorded.script.time, 5_000];
    recorded.script.time = after;
    recorded.delay = before - after;
    recorded.record_files(&[8]);
    let found = ClosedFile::parse_span(&read_all(&mut span(&recorded, 0, u64::MAX)));
    let expected = recorded.script.expected_of(0..8).video;
    let first = expected.last().unwrap().time + 40;
    assert_eq!(found.video[expected.len()].time, first);
}

#[test]
fn a_clock_that_went_back_makes_no_time_go_back() {
    let mut recorded = Recorded::new(11);
    recorded.record_files(&[3]);
    // The next file seems to begin within the first one.
    let end = recorded.walls[2][1];
    recorded.script.time -= (end - recorded.walls[0][0]) / 2;
    recorded.record_files(&[3]);
    let found = ClosedFile::parse_span(&read_all(&mut span(&recorded, 0, u64::MAX)));
    for track in tracks(found) {
        assert!(track.len() > 10);
        let rises = |pair: &[ReadSample]| pair[0].time < pair[1].time;
        assert!(track.windows(2).all(rises));
    }
}

#[test]
fn a_file_with_other_tracks_ends_the_span() {
    let mut recorded = Recorded::new(12);
    recorded.record_files(&[4]);
    let mut audio = presentation();
    audio.video = None;
    let start = WALL + recorded.script.time;
    write_file(&mut recorded, &audio, start);
    recorded.record_files(&[2]);
    let body = span(&recorded, 0, u64::MAX);
    assert_eq!(body.plan().places().count(), 1);
    assert_eq!(body.plan().to, recorded.walls[3][1]);
    let body = span(&recorded, recorded.walls[4][0], u64::MAX);
    assert_eq!(body.plan().places().count(), 1);
}

/// Writes a file of one fragment with other tracks.
fn write_file(recorded: &mut Recorded, presentation: &Presentation, start: WallMillis) {
    let wanted = FileName::dated(start, Format::Mp4);
    let name = recorded
        .recordings
        .list()
        .begin(&recorded.key, wanted, start);
    let path = path(&recorded.key, name);
    let writer = Mp4Writer::begin(&recorded.disk, &path, presentation, start, 0);
    let mut writer = writer.unwrap();
    recorded.script.has_video = presentation.video.is_some();
    let mut cut = recorded.script.cut();
    let script = &mut recorded.script;
    script
        .append_at(&mut writer, &mut cut, start, usize::MAX)
        .unwrap();
    recorded.script.appended.pop();
    recorded.script.has_video = true;
    recorded.open = Some((name, writer));
    recorded.close();
}

#[test]
fn what_cannot_be_played_as_a_span_has_a_reason() {
    let mut recorded = Recorded::new(13);
    let nothing =
        |recorded: &Recorded| matches!(try_span(recorded, 0, u64::MAX), Err(NoPlan::Nothing));
    assert!(nothing(&recorded));
    recorded.record_files(&[2]);
    let (recordings, key) = (&recorded.recordings, &recorded.key);
    let end = recorded.walls[1][1];
    let later = plan(recordings, key, end, end + 1_000, &mut free);
    assert!(matches!(later, Err(NoPlan::Nothing)));
    let poor = plan(recordings, key, 0, end, &mut |_| false);
    assert!(matches!(poor, Err(NoPlan::NoMemory)));
    // A list that knows more than the disk.
    let name = recorded.names()[0];
    recorded.disk.remove(&path(key, name)).unwrap();
    assert!(nothing(&recorded));
    let wanted = FileName::dated(end + 5_000, Format::Flv);
    let name = recordings.list().begin(key, wanted, end + 5_000);
    let (len, to) = (9, end + 6_000);
    recordings.list().close(key, name, len, to, to);
    assert!(matches!(
        try_span(&recorded, end + 5_000, to),
        Err(NoPlan::Flv(_))
    ));
}

#[test]
fn a_span_has_a_limited_number_of_files() {
    let mut recorded = Recorded::new(14);
    recorded.record_files(&[1; MAX_FILES]);
    let mut most = 0;
    let planned = plan(
        &recorded.recordings,
        &recorded.key,
        0,
        u64::MAX,
        &mut |bytes| {
            most = bytes;
            true
        },
    );
    assert_eq!(planned.unwrap().places().count(), MAX_FILES);
    println!("{MAX_FILES} files take {most} bytes");
    recorded.record_files(&[1]);
    let all = try_span(&recorded, 0, u64::MAX);
    assert!(matches!(all, Err(NoPlan::TooManyFiles)));
}

#[test]
fn a_file_that_lies_in_a_span_as_a_whole_is_read_once() {
    let mut recorded = Recorded::new(6);
    recorded.record_files(&[300, 5]);
    let end = recorded.walls[304][1] + 1;
    let reads = |recorded: &Recorded| {
        let before = recorded.disk.counts().reads;
        let body = span(recorded, 0, u64::MAX / 2);
        (recorded.disk.counts().reads - before, body)
    };
    let (two, _) = reads(&recorded);
    recorded.record_files(&[300, 300, 2]);
    let (five, mut body) = reads(&recorded);
    assert_eq!(five, two + 3);
    let read = ClosedFile::parse_span(&read_all(&mut body));
    assert!(tracks(read) == tracks(recorded.script.expected(907)));
    assert!(try_span(&recorded, 0, end).is_ok());
}
