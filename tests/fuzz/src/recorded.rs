//! Recorded MP4 files, with arbitrary bytes in them.

use brooklet::media::Medium;
use brooklet::media::mp4::group::{GroupSample, write_group_head};
use brooklet::media::mp4::movie::{Content, Movie, Placed, Shift, Times, Totals};
use brooklet::media::mp4::note::{Checksum, MAX_SAMPLES, NOTE_LEN, Note};
use brooklet::media::mp4::read::{FileHead, InitMoov, Moof};
use brooklet::media::mp4::{AudioTrack, Presentation, VideoTrack};

/// The index of a note's checksum.
const CHECKSUM_AT: usize = NOTE_LEN - 4;

/// The beginning of a file, or fragments of a file whose beginning is good.
///
/// Checksums of notes are made right first, because a fuzzer can't. Whatever the numbers are, samples
/// lie one behind the other, and sample tables have the length that was predicted.
pub fn recorded(data: &[u8]) {
    let head = FileHead::parse(data);
    let start = head.as_ref().map_or(0, |head| head.len as usize);
    let init = head.map_or_else(good_init, |head| head.init);
    let mut fragments = Vec::new();
    let mut rest = &data[start..];
    while let Some((note, moof)) = fragment(rest) {
        fragments.push((note, moof));
        rest = rest.get(note.len as usize..).unwrap_or_default();
    }
    for (_, moof) in &fragments {
        samples(moof);
    }
    movie(&init, &fragments);
}

fn fragment(bytes: &[u8]) -> Option<(Note, Moof<'_>)> {
    let (note, rest) = bytes.split_first_chunk::<NOTE_LEN>()?;
    let mut right = *note;
    let mut checksum = Checksum::default();
    checksum.add(&note[24..CHECKSUM_AT]);
    right[CHECKSUM_AT..].copy_from_slice(&checksum.bytes());
    assert_eq!(
        Note::parse(note).is_some(),
        *note == right && Note::parse(&right).is_some()
    );
    let note = Note::parse(&right)?;
    assert_eq!(Note::parse(&note.bytes()), Some(note));
    let moof = Moof::parse(rest)?;
    assert!(moof.len as usize <= rest.len());
    Some((note, moof))
}

/// Checks that samples follow each other, as the counts say.
fn samples(moof: &Moof<'_>) {
    let counts = moof.counts();
    assert!((1..=MAX_SAMPLES).contains(&counts.iter().map(|c| c.samples).sum()));
    let mut offset = u64::from(moof.len) + 8;
    for (medium, counts) in [Medium::Video, Medium::Audio].into_iter().zip(counts) {
        let Some(run) = moof.run(medium) else {
            assert_eq!(counts.samples, 0);
            continue;
        };
        assert_eq!(run.samples().count(), usize::from(counts.samples));
        assert_eq!(run.data_len(), counts.bytes.into());
        let mut time = run.decode_time;
        for sample in run.samples() {
            assert_eq!((sample.data_offset, sample.decode_time), (offset, time));
            offset += u64::from(sample.len);
            time = time.saturating_add(sample.duration.into());
        }
    }
}

/// Makes sample tables of all fragments, whose notes are corrected first.
fn movie(init: &InitMoov, fragments: &[(Note, Moof<'_>)]) {
    let (mut totals, mut times) = (Totals::default(), Times::default());
    let shift = Shift::new(init, -1_000);
    let mut right = Vec::new();
    for (note, moof) in fragments {
        let [video, audio] = moof.counts();
        let note = note.with_counts(moof.len, video, audio);
        totals.add(&note);
        times.add(moof, shift);
        right.push(note);
    }
    let Some(movie) = Movie::new(init, &totals, &times, u64::MAX) else {
        return;
    };
    let mut len = 0;
    for section in movie.sections() {
        assert_eq!(section.start, len);
        len += section.len;
        let table = match section.content {
            Content::Fixed(bytes) => {
                assert_eq!(bytes.len() as u64, section.len);
                continue;
            }
            Content::Table(medium, table) => (medium, table),
        };
        let (mut totals, mut times) = (Totals::default(), Times::default());
        let mut end = section.start;
        for ((_, moof), note) in fragments.iter().zip(&right) {
            let placed = Placed {
                moof,
                shift,
                moof_at: u64::MAX,
            };
            let mut out = Vec::new();
            let place = movie.piece(table, &totals, &times, note, &placed, &mut out);
            let place = place.expect("the counts are right");
            if !place.is_empty() {
                assert_eq!(
                    (place.start, place.end - place.start),
                    (end, out.len() as u64)
                );
                end = place.end;
            }
            totals.add(note);
            times.add(moof, shift);
        }
        assert_eq!(end, section.start + section.len);
    }
    assert_eq!(movie.len(), len);
}

fn good_init() -> InitMoov {
    let head = presentation().file_head();
    FileHead::parse(&head).expect("it was just written").init
}

fn presentation() -> Presentation {
    // libx264, 640x360; AAC of 48 kHz.
    let video = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\x2F\xF9\x70\
        \x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";
    Presentation {
        video: VideoTrack::from_sequence_header(video),
        audio: AudioTrack::from_sequence_header(b"\xAF\0\x11\x90"),
    }
}

/// A good file with three fragments, to begin with.
pub fn recorded_file() -> Vec<u8> {
    let mut file = presentation().file_head();
    for number in 0..3 {
        let sample = |decode_time, duration, composition_offset, is_sync| GroupSample {
            decode_time,
            duration,
            composition_offset,
            is_sync,
            len: 5,
        };
        let time = number * 120;
        let video = [(0, 80, true), (40, 120, false), (80, -40, false)];
        let mut video = video.map(|(at, offset, is_sync)| sample(time + at, 40, offset, is_sync));
        video[1].len = 0;
        let audio = [0, 1024, 2048, 3072].map(|at| sample(time * 48 + at, 1024, 0, true));
        let mut head = vec![0; NOTE_LEN];
        let (video, audio) = (&mut video.into_iter(), &mut audio.into_iter());
        let group = write_group_head(&mut head, number as u32 + 1, video, audio);
        let group = group.expect("a few samples");
        let note = Note {
            time,
            is_start: true,
            ..Note::default()
        };
        let note = note.with_counts(group.moof_len, group.video, group.audio);
        head[..NOTE_LEN].copy_from_slice(&note.bytes());
        let data = [7; 30];
        let mut checksum = Checksum::default();
        checksum.add(&head[NOTE_LEN..][..group.moof_len as usize]);
        checksum.add(&data);
        file.extend(head);
        file.extend(data);
        file.extend(checksum.bytes());
    }
    file
}
