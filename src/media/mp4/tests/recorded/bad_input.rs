//! What a damaged file may have.

use super::*;

fn sample(decode_time: u64, len: usize) -> Sample {
    Sample {
        decode_time,
        duration: 40,
        composition_offset: 0,
        is_sync: true,
        bytes: vec![7; len],
    }
}

fn file() -> File {
    let fragment = [
        vec![sample(0, 3), sample(40, 4)],
        vec![sample(100, 1), sample(1124, 2)],
    ];
    File::new(&h264_and_aac(), &[fragment])
}

#[test]
fn a_note_with_any_wrong_bit_is_none() {
    let file = file();
    let bytes = &file.bytes[file.places[0]..][..NOTE_LEN];
    assert!(Note::parse(bytes).is_some());
    for bit in 0..NOTE_LEN * 8 {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Note::parse(&damaged), None, "bit {bit}");
    }
    for len in 0..NOTE_LEN {
        assert_eq!(Note::parse(&bytes[..len]), None, "{len} bytes");
    }
}

#[test]
fn a_note_that_contradicts_itself_is_none() {
    let good = file().note(0);
    let mut more_runs = good;
    more_runs.video.time_runs = 3;
    let mut no_runs = good;
    no_runs.audio.time_runs = 0;
    let mut syncs = good;
    syncs.audio.syncs = 1;
    let mut samples = good;
    samples.video.samples = 3;
    for (name, note) in [
        (
            "length",
            Note {
                len: good.len + 1,
                ..good
            },
        ),
        (
            "moof",
            Note {
                moof_len: good.moof_len + 1,
                ..good
            },
        ),
        ("more runs than samples", more_runs),
        ("no runs", no_runs),
        ("sync samples of audio", syncs),
        ("more samples", samples),
        (
            "nothing",
            Note::default().with_counts(24, Default::default(), Default::default()),
        ),
    ] {
        assert_eq!(Note::parse(&note.bytes()), None, "{name}");
    }
}

#[test]
fn a_moof_or_a_head_that_is_cut_or_damaged_does_not_panic() {
    let file = file();
    let moof = &file.bytes[file.places[0] + NOTE_LEN..];
    let moof = &moof[..file.note(0).moof_len as usize];
    let head = &file.bytes[..file.places[0]];
    for len in 0..moof.len() {
        assert_eq!(Moof::parse(&moof[..len]), None, "{len} bytes");
    }
    for len in 0..head.len() {
        assert_eq!(FileHead::parse(&head[..len]), None, "{len} bytes");
    }
    for (bytes, name) in [(moof, "moof"), (head, "head")] {
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Some(moof) = Moof::parse(&damaged) {
                assert_eq!(moof.len as usize, damaged.len(), "{name}");
                Times::default().add(&moof, Shift::default());
                let [video, audio] = [Medium::Video, Medium::Audio].map(|medium| moof.run(medium));
                let (video, audio) = (video.unwrap(), audio.unwrap());
                assert_eq!(u64::from(video.data_offset), u64::from(moof.len) + 8);
                let end = u64::from(video.data_offset) + video.data_len();
                assert_eq!(u64::from(audio.data_offset), end);
            }
            let _ = FileHead::parse(&damaged);
        }
    }
}

#[test]
fn groups_without_samples_or_with_too_many_are_not_written() {
    let mut out = b"before".to_vec();
    let nothing = write_group_head(&mut out, 1, &mut [].into_iter(), &mut [].into_iter());
    assert_eq!(nothing, None);
    let one = sample(0, 1).head();
    for (video, audio, is_written) in [
        (1024, 0, true),
        (1025, 0, false),
        (512, 512, true),
        (512, 513, false),
    ] {
        let mut video = std::iter::repeat_n(one, video);
        let mut audio = std::iter::repeat_n(one, audio);
        let written = write_group_head(&mut out, 1, &mut video, &mut audio);
        assert_eq!(written.is_some(), is_written);
        if written.is_some() {
            assert!(out.len() - 6 <= note::MAX_MOOF_LEN + 8);
            out.truncate(6);
        }
        assert_eq!(out, b"before");
    }
    let huge = GroupSample {
        len: u32::MAX / 2,
        ..one
    };
    let written = write_group_head(
        &mut out,
        1,
        &mut [huge, huge].into_iter(),
        &mut [huge].into_iter(),
    );
    assert_eq!(written, None);
}

#[test]
fn times_that_go_back_do_not_change_those_that_follow() {
    let times = [100, 140, 120, 200].map(|time| sample(time, 1).head());
    let mut out = Vec::new();
    write_group_head(&mut out, 1, &mut times.into_iter(), &mut [].into_iter()).unwrap();
    let moof = Moof::parse(&out).unwrap();
    let times: Vec<_> = moof
        .video
        .unwrap()
        .samples()
        .map(|s| s.decode_time)
        .collect();
    assert_eq!(times, [100, 140, 140, 200]);
}

#[test]
fn a_piece_that_a_note_does_not_count_is_none() {
    let file = file();
    let span = Span::new(&file, 0..1);
    let mut note = file.note(0);
    note.video.syncs = 1;
    let moof = file.moof(0);
    let placed = Placed {
        moof: &moof,
        shift: Shift::default(),
        moof_at: 0,
    };
    let mut out = b"before".to_vec();
    let piece = |table, note: &Note, earlier: &Times, out: &mut Vec<u8>| {
        let (table, totals) = ((Medium::Video, table), Totals::default());
        let movie = &span.movie;
        movie.piece(table, &totals, earlier, note, &placed, out)
    };
    let nothing = &Times::default();
    assert_eq!(piece(movie::Table::Stss, &note, nothing, &mut out), None);
    assert_eq!(out, b"before");
    assert!(piece(movie::Table::Stss, &file.note(0), nothing, &mut out).is_some());
    assert_eq!(out, b"before\0\0\0\x01\0\0\0\x02");

    // Where nothing is before a fragment, times from before don't count.
    let mut earlier = Times::default();
    earlier.add(&moof, Shift::default());
    out.clear();
    assert!(piece(movie::Table::Stts, &file.note(0), &earlier, &mut out).is_some());
    assert_eq!(out, b"\0\0\0\x01\0\0\0\x28");
}
