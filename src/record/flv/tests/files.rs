//! Files that are written, and closed.

use std::path::Path;

use super::*;
use crate::record::append::AppendError;
use crate::record::disk::Disk;
use crate::record::disk::sim::Faults;
use crate::record::flv::extent;

#[test]
fn a_closed_file_has_all_messages_from_0_on_and_an_index() {
    for first in [0, 5_000, u32::MAX - 1_500] {
        let disk = SimDisk::new();
        let mut stream = Stream::new(5, first);
        let writer = stream.record(&disk);
        assert_eq!(writer.extent().fragments, 5);
        let open = disk.bytes(PART).unwrap();
        assert_eq!(writer.extent().len, open.len() as u64);
        assert_eq!(
            messages(&open),
            from_zero(&stream.messages),
            "while it grows"
        );
        assert_eq!(number(&properties(&open), "duration"), Some(0.0));
        let closed = writer.close(&disk).unwrap().unwrap();
        assert_eq!(
            (closed.duration, closed.from, closed.to),
            (5_013, WALL, WALL + 5_013)
        );
        assert_eq!(disk.paths(), [Path::new(PATH)]);
        let file = disk.bytes(PATH).unwrap();
        assert_eq!(file[4], 5);
        assert_eq!(messages(&file), from_zero(&stream.messages));
        check_closed(&file, &closed);
        assert_eq!(disk.modified(PATH), WALL + 5_013);
        let file = disk.open(Path::new(PATH)).unwrap();
        assert_eq!(extent(file.as_ref()).unwrap(), Some(closed));
    }
}

#[test]
fn audio_just_before_the_first_keyframe_begins_at_0() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(2, 1_000);
    stream.messages[1].timestamp = 990;
    stream.record(&disk).close(&disk).unwrap();
    let times: Vec<_> = messages(&disk.bytes(PATH).unwrap())
        .iter()
        .map(|m| m.timestamp)
        .collect();
    assert_eq!(times[..3], [10, 0, 50]);
}

#[test]
fn timestamps_are_true_across_gaps_of_any_length() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(3, u32::MAX - 500);
    for message in &mut stream.messages[100..] {
        message.timestamp = message.timestamp.wrapping_add(20_000_000);
    }
    let closed = stream.record(&disk).close(&disk).unwrap().unwrap();
    assert_eq!(closed.duration, 20_003_013);
    let file = disk.bytes(PATH).unwrap();
    check_closed(&file, &closed);
    assert_eq!(messages(&file), from_zero(&stream.messages));
}

#[test]
fn an_index_that_would_be_full_is_thinned_out() {
    for seconds in [3, 4, 5, 9, 400] {
        let disk = SimDisk::new();
        let mut stream = Stream::new(seconds, 0);
        stream.messages.retain(|message| message.is_sync);
        let mut writer =
            FlvWriter::begin(&disk, Path::new(PATH), &stream.cuts()[0], WALL, 0, 0).unwrap();
        let mut staging = staging();
        for mut cut in stream.cuts() {
            stream.append(&mut writer, &mut cut, &mut staging).unwrap();
        }
        writer.close(&disk).unwrap();
        let file = disk.bytes(PATH).unwrap();
        let index = index(&file);
        // There is room for two.
        assert_eq!(index.len(), 2, "{seconds} s");
        assert_eq!(index[0].0, 0);
        for (time, at) in index {
            let tag = tags(&file).into_iter().find(|tag| tag.at == at).unwrap();
            assert_eq!((tag.kind, tag.timestamp), (9, time));
        }
    }
}

#[test]
fn a_long_index_is_complete() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(500, 0);
    stream.messages.retain(|message| message.is_sync);
    let closed = stream.record(&disk).close(&disk).unwrap().unwrap();
    check_closed(&disk.bytes(PATH).unwrap(), &closed);
}

#[test]
fn headers_precede_the_first_frame_and_are_repeated_after_a_loss() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(3, 0);
    let with = |preamble: &Preamble, bytes: &[u8]| {
        preamble
            .with(Slot::Audio(0), bytes, HEAP_LEN, || None)
            .unwrap()
    };
    stream.preamble = with(&stream.preamble, b"\xAF\0\x12\x10");
    let mut writer = stream.begin(&disk);
    let mut staging = staging();
    let mut cuts = stream.cuts();
    stream
        .append(&mut writer, &mut cuts[0], &mut staging)
        .unwrap();
    // A header that has come as a message isn't written again.
    cuts[1].preamble = Arc::new(with(&stream.preamble, b"\xAF\0\x11\x90"));
    stream
        .append(&mut writer, &mut cuts[1], &mut staging)
        .unwrap();
    cuts[2].preamble = Arc::new(with(&cuts[1].preamble, b"\xAF\0\x13\x90"));
    cuts[2].missed = 1;
    stream
        .append(&mut writer, &mut cuts[2], &mut staging)
        .unwrap();
    writer.close(&disk).unwrap();
    let file = messages(&disk.bytes(PATH).unwrap());
    let headers = file
        .iter()
        .filter(|message| message.payload.starts_with(b"\xAF\0"));
    let headers: Vec<_> = headers.map(|m| (m.timestamp, m.payload[2])).collect();
    assert_eq!(headers, [(0, 0x12), (2_000, 0x13)]);
    let said = properties(&disk.bytes(PATH).unwrap());
    assert_eq!(number(&said, "audiocodecid"), Some(10.0));
    assert_eq!(
        number(&said, "videocodecid"),
        Some(2.0),
        "as the publisher says"
    );
}

#[test]
fn data_are_in_the_file_unless_they_speak_of_its_length_or_look_like_marks() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(2, 1_000);
    let data = |kind, payload: Vec<u8>| Message {
        kind,
        timestamp: 1_500,
        payload,
        is_sync: false,
    };
    let cue = b"\x02\0\x0AonCuePoint\x03\0\0\x09".to_vec();
    let mut mark = b"\x02\0\x0AonCuePoint\x0A\0\0\0\x09".to_vec();
    mark.resize(MARK_LEN - 15, 0);
    let title = ("title", Value::String("door".into()));
    let said = metadata(&[("duration", Value::Number(9.0)), title.clone()]);
    stream.messages.insert(3, data(Kind::Script, cue.clone()));
    stream.messages.insert(4, data(Kind::Script, mark));
    stream.messages.insert(5, data(Kind::Data, said.clone()));
    stream.messages.insert(7, data(Kind::Data, said));
    // What the file begins with isn't said again.
    let first = stream.preamble.header(Slot::Metadata).unwrap().to_vec();
    stream.messages.insert(2, data(Kind::Data, first));
    stream
        .messages
        .insert(6, data(Kind::Data, b"\x09".to_vec()));
    let closed = stream.record(&disk).close(&disk).unwrap().unwrap();
    let file = disk.bytes(PATH).unwrap();
    check_closed(&file, &closed);
    let data = messages(&file)
        .into_iter()
        .filter(|message| message.kind == Kind::Script);
    let data: Vec<_> = data
        .map(|message| (message.timestamp, message.payload))
        .collect();
    assert_eq!(data, [(500, cue), (0, metadata(&[title]))]);
}

#[test]
fn data_alone_take_no_time() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(2, 0);
    let cue = b"\x02\0\x0AonCuePoint\x03\0\0\x09".to_vec();
    stream.messages.push(Message {
        kind: Kind::Script,
        timestamp: 1_990,
        payload: cue,
        is_sync: false,
    });
    let mut writer = stream.begin(&disk);
    let mut staging = staging();
    for (start, end) in [(0, 50), (50, 100), (100, 101)] {
        let mut cut = stream.cut(start, end);
        stream.append(&mut writer, &mut cut, &mut staging).unwrap();
    }
    let closed = writer.close(&disk).unwrap().unwrap();
    assert_eq!((closed.duration, closed.to), (2_013, WALL + 1_990));
    assert_eq!(messages(&disk.bytes(PATH).unwrap()), stream.messages);
}

#[test]
fn a_fragment_whose_messages_are_gone_leaves_nothing_behind() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(4, 0);
    // Some of it has been written when the rest is gone.
    stream.messages[60].payload.resize(300_000, 0);
    let mut writer = stream.begin(&disk);
    let mut staging = staging();
    let mut cuts = stream.cuts();
    stream
        .append(&mut writer, &mut cuts[0], &mut staging)
        .unwrap();
    let before = *writer.extent();
    stream.left = 290_000;
    let gone = stream.append(&mut writer, &mut cuts[1], &mut staging);
    assert!(matches!(gone, Err(AppendError::Evicted)), "{gone:?}");
    assert_eq!(*writer.extent(), before);
    assert_eq!(disk.bytes(PART).unwrap().len() as u64, before.len);
    stream.left = usize::MAX;
    for cut in &mut cuts[2..] {
        stream.append(&mut writer, cut, &mut staging).unwrap();
    }
    let closed = writer.close(&disk).unwrap().unwrap();
    assert_eq!(closed.duration, 4_013);
    let file = disk.bytes(PATH).unwrap();
    check_closed(&file, &closed);
    let kept = [&stream.messages[..50], &stream.messages[100..]].concat();
    assert_eq!(messages(&file), kept);
}

#[test]
fn a_full_disk_leaves_a_file_that_can_be_closed() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(4, 0);
    let mut writer = stream.begin(&disk);
    let mut staging = staging();
    let mut cuts = stream.cuts();
    stream
        .append(&mut writer, &mut cuts[0], &mut staging)
        .unwrap();
    disk.set_faults(Faults {
        fails_after: Some(9_999),
        ..Faults::default()
    });
    let full = stream.append(&mut writer, &mut cuts[1], &mut staging);
    assert!(matches!(full, Err(AppendError::Disk(_))), "{full:?}");
    disk.set_faults(Faults::default());
    let closed = writer.close(&disk).unwrap().unwrap();
    assert_eq!(closed.fragments, 1);
    check_closed(&disk.bytes(PATH).unwrap(), &closed);
}

#[test]
fn a_file_without_a_fragment_is_removed() {
    let disk = SimDisk::new();
    let stream = Stream::new(1, 0);
    assert_eq!(stream.begin(&disk).close(&disk).unwrap(), None);
    assert!(disk.paths().is_empty());
}

#[test]
fn sound_alone_needs_no_index() {
    let disk = SimDisk::new();
    let mut stream = Stream::new(2, 0);
    stream.has_video = false;
    stream
        .messages
        .retain(|message| message.kind == Kind::Audio);
    let closed = stream.record(&disk).close(&disk).unwrap().unwrap();
    let file = disk.bytes(PATH).unwrap();
    assert_eq!(file[4], 4);
    check_closed(&file, &closed);
    assert_eq!(messages(&file), from_zero(&stream.messages));
    assert!(tags(&file)[0].payload.len() < 300);
}
