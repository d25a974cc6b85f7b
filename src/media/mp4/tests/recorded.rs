//! Recorded files: growing, closed, and in parts.

mod bad_input;
mod movies;
mod reader;

use super::*;
use crate::media::mp4::group::{GroupSample, write_group_head};
use crate::media::mp4::movie::{Content, Movie, Placed, Shift, Times, Totals};
use crate::media::mp4::note::{Checksum, NOTE_LEN, Note};
use crate::media::mp4::read::{FileHead, Moof};

/// A sample with its bytes. Times are in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) decode_time: u64,
    pub(super) duration: u32,
    pub(super) composition_offset: i32,
    pub(super) is_sync: bool,
    pub(super) bytes: Vec<u8>,
}

impl Sample {
    fn head(&self) -> GroupSample {
        GroupSample {
            decode_time: self.decode_time,
            duration: self.duration,
            composition_offset: self.composition_offset,
            is_sync: self.is_sync,
            len: self.bytes.len() as u32,
        }
    }
}

/// The samples of video and of audio in a fragment.
type Fragment = [Vec<Sample>; 2];

/// A file that grows.
struct File {
    bytes: Vec<u8>,
    /// Where the fragments begin.
    places: Vec<usize>,
}

impl File {
    fn new(presentation: &Presentation, fragments: &[Fragment]) -> File {
        let mut file = File {
            bytes: presentation.file_head(),
            places: Vec::new(),
        };
        for fragment in fragments {
            file.append(fragment);
        }
        file
    }

    fn append(&mut self, [video, audio]: &Fragment) {
        self.places.push(self.bytes.len());
        let mut head = vec![0; NOTE_LEN];
        let sequence = self.places.len() as u32;
        let mut samples = [video, audio].map(|track| track.iter().map(Sample::head));
        let [of_video, of_audio] = &mut samples;
        let group = write_group_head(&mut head, sequence, of_video, of_audio).unwrap();
        let note = Note {
            wall: 1_700_000_000_000,
            time: video.first().map_or(0, |sample| sample.decode_time),
            is_start: video.first().is_none_or(|sample| sample.is_sync),
            ..Note::default()
        };
        let note = note.with_counts(group.moof_len, group.video, group.audio);
        head[..NOTE_LEN].copy_from_slice(&note.bytes());
        let data: Vec<u8> = video
            .iter()
            .chain(audio)
            .flat_map(|s| s.bytes.clone())
            .collect();
        let mut checksum = Checksum::default();
        checksum.add(&head[NOTE_LEN..][..group.moof_len as usize]);
        checksum.add(&data);
        self.bytes.extend(head);
        self.bytes.extend(data);
        self.bytes.extend(checksum.bytes());
        assert_eq!(
            self.bytes.len() - self.places.last().unwrap(),
            note.len as usize
        );
    }

    fn note(&self, index: usize) -> Note {
        Note::parse(&self.bytes[self.places[index]..]).unwrap()
    }

    fn moof(&self, index: usize) -> Moof<'_> {
        Moof::parse(&self.bytes[self.places[index] + NOTE_LEN..]).unwrap()
    }

    fn head(&self) -> FileHead {
        FileHead::parse(&self.bytes).unwrap()
    }

    /// Appends the moov, made in one pass over the fragments, and covers up the rest.
    fn closed(&self) -> Vec<u8> {
        let mut closed = self.bytes.clone();
        let moov = Span::new(self, 0..self.places.len()).in_one_pass(0);
        closed.extend(moov);
        let header = mdat_header((self.bytes.len() - FILE_TYPE_LEN - MDAT_HEADER_LEN) as u64);
        closed[FILE_TYPE_LEN..][..MDAT_HEADER_LEN].copy_from_slice(&header);
        closed
    }
}

/// Some of the fragments of a file, as a movie that begins with the first of them.
struct Span<'a> {
    file: &'a File,
    fragments: std::ops::Range<usize>,
    shift: Shift,
    movie: Movie,
}

impl<'a> Span<'a> {
    fn new(file: &'a File, fragments: std::ops::Range<usize>) -> Span<'a> {
        let init = file.head().init;
        let start = fragments.clone().flat_map(|index| {
            let moof = file.moof(index);
            let rate = init.audio.as_ref().map_or(1, |track| track.timescale);
            let audio = moof
                .audio
                .map(|run| run.decode_time * 1000 / u64::from(rate));
            [moof.video.map(|run| run.decode_time), audio]
        });
        let start = match fragments.start {
            0 => 0,
            _ => start.flatten().min().unwrap_or(0),
        };
        let shift = Shift::new(&init, -(start as i64));
        let (mut totals, mut times) = Default::default();
        for index in fragments.clone() {
            Totals::add(&mut totals, &file.note(index));
            Times::add(&mut times, &file.moof(index), shift);
        }
        let movie = Movie::new(&init, &totals, &times, 1_700_000_000_000).unwrap();
        Span {
            file,
            fragments,
            shift,
            movie,
        }
    }

    fn moof_at(&self, index: usize) -> u64 {
        (self.file.places[index] + NOTE_LEN) as u64
    }

    /// Makes the whole moov as at the close of a file. `moved`: how far the fragments will have moved.
    fn in_one_pass(&self, moved: i64) -> Vec<u8> {
        let mut moov = vec![0xEE; self.movie.len() as usize];
        for section in self.movie.sections() {
            if let Content::Fixed(bytes) = section.content {
                moov[section.start as usize..][..bytes.len()].copy_from_slice(bytes);
            }
        }
        let (mut totals, mut times) = (Totals::default(), Times::default());
        for index in self.fragments.clone() {
            let (note, moof) = (self.file.note(index), self.file.moof(index));
            let placed = Placed {
                moof: &moof,
                shift: self.shift,
                moof_at: self.moof_at(index).saturating_add_signed(moved),
            };
            for section in self.movie.sections() {
                if let Content::Table(medium, table) = section.content {
                    let mut piece = Vec::new();
                    let table = (medium, table);
                    let place = self
                        .movie
                        .piece(table, &totals, &times, &note, &placed, &mut piece)
                        .expect("a piece as long as the note says");
                    moov[place.start as usize..place.end as usize].copy_from_slice(&piece);
                }
            }
            totals.add(&note);
            times.add(&moof, self.shift);
        }
        moov
    }

    /// Makes a range of the moov as for a player: fragments are read only if they have a part of it.
    fn range(&self, range: std::ops::Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for section in self.movie.sections() {
            let mut overlap = |start: u64, piece: &[u8]| {
                let from = range.start.clamp(start, start + piece.len() as u64) - start;
                let to = range.end.clamp(start, start + piece.len() as u64) - start;
                bytes.extend_from_slice(&piece[from as usize..to as usize]);
            };
            let (medium, table) = match section.content {
                Content::Fixed(fixed) => {
                    overlap(section.start, fixed);
                    continue;
                }
                Content::Table(medium, table) => (medium, table),
            };
            let mut totals = Totals::default();
            for index in self.fragments.clone() {
                let note = self.file.note(index);
                let place = self.movie.piece_range(medium, table, &totals, &note);
                if place.start < range.end && range.start < place.end {
                    let moof = self.file.moof(index);
                    let earlier = (self.fragments.start..index).rev().find_map(|index| {
                        let mut times = Times::default();
                        times.add(&self.file.moof(index), self.shift);
                        times.track(medium).is_some().then_some(times)
                    });
                    let placed = Placed {
                        moof: &moof,
                        shift: self.shift,
                        moof_at: self.moof_at(index),
                    };
                    let mut piece = Vec::new();
                    self.movie
                        .piece(
                            (medium, table),
                            &totals,
                            &earlier.unwrap_or_default(),
                            &note,
                            &placed,
                            &mut piece,
                        )
                        .unwrap();
                    overlap(place.start, &piece);
                }
                totals.add(&note);
            }
        }
        bytes
    }
}

fn h264_and_aac() -> Presentation {
    presentation(
        Some(&joined(&[b"\x17\0\0\0\0", AVC])),
        Some(b"\xAF\0\x11\x90"),
    )
}

#[test]
fn a_file_begins_with_its_brands_room_and_tracks() {
    let head = h264_and_aac().file_head();
    let nodes = nodes(&head);
    let names: Vec<_> = nodes.iter().map(|n| &n.name[..]).collect();
    assert_eq!(names, ["ftyp", "free", "moov"]);
    assert_eq!(nodes[0].body.len() + 8, FILE_TYPE_LEN);
    assert_eq!(nodes[1].body.len() + 8, MDAT_HEADER_LEN);
    let init = h264_and_aac().init_segment();
    assert_eq!(nodes[2].body, super::nodes(&init)[1].body);
    let read = FileHead::parse(&head).unwrap();
    assert_eq!(read.len, head.len() as u64);
    assert_eq!(read.closed_at, None);
    let video = read.init.video.unwrap();
    assert_eq!(
        (video.timescale, video.size),
        (1000, [640 << 16, 360 << 16])
    );
    assert_eq!(&video.sample_description[4..8], b"stsd");
    assert_eq!(read.init.audio.unwrap().timescale, 48000);
}

#[test]
fn a_note_has_the_bytes_of_its_documentation() {
    let counts = |samples, syncs, bytes| note::Counts {
        samples,
        time_runs: 1,
        offset_runs: syncs,
        syncs,
        bytes,
    };
    let note = Note {
        wall: 0x0102_0304_0506,
        time: 7,
        duration: 8,
        is_start: true,
        has_gap: true,
        speed: 60,
        synced_to: 9,
        ..Note::default()
    };
    let note = note.with_counts(24 + 2 * 64 + 3 * 16, counts(1, 1, 10), counts(2, 0, 11));
    let bytes = note.bytes();
    assert_eq!(bytes[..8], *b"\0\0\0\x60uuid");
    assert_eq!(
        bytes[24..92],
        *b"\0\0\x01\x49\0\0\0\xC8\0\0\x01\x02\x03\x04\x05\x06\0\0\0\0\0\0\0\x07\
           \0\0\0\x08\0\x3C\0\x03\0\0\0\0\0\0\0\x09\
           \0\x01\0\x01\0\x01\0\x01\0\x02\0\x01\0\0\0\0\0\0\0\x0A\0\0\0\x0B\0\0\0\0"
    );
    assert_eq!(Note::parse(&bytes), Some(note));
}
