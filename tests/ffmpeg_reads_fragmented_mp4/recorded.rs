//! Recorded files: ffmpeg reads the same packets, at the same times, from fragments and from the
//! sample tables of the closed file, and decodes both without a warning.

use std::path::Path;

use brooklet::media::Medium;
use brooklet::media::mp4::group::{GroupSample, write_group_head};
use brooklet::media::mp4::movie::{Content, Movie, Placed, Shift, Times, Totals};
use brooklet::media::mp4::note::{Checksum, NOTE_LEN, Note};
use brooklet::media::mp4::read::{FileHead, Moof};
use brooklet::media::mp4::{FILE_TYPE_LEN, MDAT_HEADER_LEN, mdat_header};

use super::common::TempDir;
use super::common::media::{self, AAC, H264_B_FRAMES};
use super::common::packets::{Capture, Track, assert_same_packets, decoded_pictures};
use super::{Converted, Frame, assert_same_bytes, decode};

/// A keyframe every second.
const SHORT_GOPS: &[&str] = &["-g", "30"];

type Fragment<'a> = [Vec<(GroupSample, &'a Frame)>; 2];

/// A recorded file.
struct Recorded {
    bytes: Vec<u8>,
    /// Where the fragments begin.
    places: Vec<usize>,
}

/// Cuts frames in front of keyframes; without video, at every 20th frame.
fn cut(converted: &Converted) -> Vec<Fragment<'_>> {
    let audio = converted.presentation.audio.as_ref();
    let has_video = converted.presentation.video.is_some();
    let mut fragments: Vec<Fragment<'_>> = Vec::new();
    let mut audio_time = None;
    for (index, frame) in converted.frames.iter().enumerate() {
        let is_start = match frame.track {
            Track::Video => frame.is_sync,
            _ => !has_video && index % 20 == 0,
        };
        if is_start || fragments.is_empty() {
            fragments.push(Default::default());
        }
        let mut sample = GroupSample {
            decode_time: frame.timestamp as u64,
            duration: 33,
            composition_offset: frame.composition_time,
            is_sync: frame.is_sync,
            len: frame.body.len() as u32,
        };
        if let (Track::Audio, Some(audio)) = (frame.track, audio) {
            let at = frame.timestamp as u64 * u64::from(audio.sample_rate) / 1000;
            sample.duration = audio.samples(&frame.body[..frame.body.len().min(16)]);
            // In samples without a gap, unless the time stamps have one.
            let next = audio_time.filter(|time: &u64| time.abs_diff(at) < 2_000);
            sample.decode_time = next.unwrap_or(at);
            audio_time = Some(sample.decode_time + u64::from(sample.duration));
        }
        let track = usize::from(frame.track == Track::Audio);
        fragments.last_mut().unwrap()[track].push((sample, frame));
    }
    fragments
}

impl Recorded {
    fn new(converted: &Converted) -> Recorded {
        let mut file = Recorded {
            bytes: converted.presentation.file_head(),
            places: Vec::new(),
        };
        cut(converted)
            .iter()
            .for_each(|fragment| file.append(fragment));
        file
    }

    fn append(&mut self, fragment: &Fragment<'_>) {
        self.places.push(self.bytes.len());
        let mut head = vec![0; NOTE_LEN];
        let [mut video, mut audio] = fragment.each_ref().map(|t| t.iter().map(|s| s.0));
        let sequence = self.places.len() as u32;
        let group = write_group_head(&mut head, sequence, &mut video, &mut audio).unwrap();
        let note = Note::default().with_counts(group.moof_len, group.video, group.audio);
        head[..NOTE_LEN].copy_from_slice(&note.bytes());
        let mut checksum = Checksum::default();
        checksum.add(&head[NOTE_LEN..][..group.moof_len as usize]);
        self.bytes.append(&mut head);
        for (_, frame) in fragment.iter().flatten() {
            checksum.add(&frame.body);
            self.bytes.extend_from_slice(&frame.body);
        }
        self.bytes.extend(checksum.bytes());
    }

    fn fragment(&self, index: usize) -> (Note, Moof<'_>) {
        let bytes = &self.bytes[self.places[index]..];
        (
            Note::parse(bytes).unwrap(),
            Moof::parse(&bytes[NOTE_LEN..]).unwrap(),
        )
    }

    fn closed(&self) -> Vec<u8> {
        let init = FileHead::parse(&self.bytes).unwrap().init;
        let all = || (0..self.places.len()).map(|index| self.fragment(index));
        let (mut totals, mut times) = (Totals::default(), Times::default());
        for (note, moof) in all() {
            totals.add(&note);
            times.add(&moof, Shift::default());
        }
        let movie = Movie::new(&init, &totals, &times, 1_700_000_000_000).unwrap();
        let mut bytes = self.bytes.clone();
        let header = mdat_header((bytes.len() - FILE_TYPE_LEN - MDAT_HEADER_LEN) as u64);
        bytes[FILE_TYPE_LEN..][..MDAT_HEADER_LEN].copy_from_slice(&header);
        for section in movie.sections() {
            let (medium, table): (Medium, _) = match section.content {
                Content::Fixed(fixed) => {
                    bytes.extend_from_slice(fixed);
                    continue;
                }
                Content::Table(medium, table) => (medium, table),
            };
            let (mut totals, mut times) = (Totals::default(), Times::default());
            for ((note, moof), place) in all().zip(&self.places) {
                let placed = Placed {
                    moof: &moof,
                    shift: Shift::default(),
                    moof_at: (place + NOTE_LEN) as u64,
                };
                let table = (medium, table);
                let piece = movie.piece(table, &totals, &times, &note, &placed, &mut bytes);
                assert!(piece.is_some());
                totals.add(&note);
                times.add(&moof, Shift::default());
            }
        }
        assert_eq!(bytes.len(), self.bytes.len() + movie.len() as usize);
        bytes
    }
}

/// What ffmpeg says about both forms of a file, which must be the same. Returns the packets.
pub(super) fn assert_both_forms(name: &str, converted: &Converted, dir: &TempDir) -> Capture {
    let recorded = Recorded::new(converted);
    let (growing, closed) = (dir.join("growing.mp4"), dir.join("closed.mp4"));
    std::fs::write(&growing, &recorded.bytes).unwrap();
    std::fs::write(&closed, recorded.closed()).unwrap();
    let (of_growing, of_closed) = (Capture::of_file(&growing), Capture::of_file(&closed));
    let mut tracks = of_growing.tracks.clone();
    // A track without samples has no tables.
    tracks.retain(|track| !of_growing.track(track.track).is_empty());
    assert_eq!(of_closed.tracks, tracks, "{name}");
    for track in [Track::Video, Track::Audio] {
        assert_same_packets(track, &of_growing, &of_closed, name);
        let frames = converted.frames(track);
        assert_eq!(of_closed.track(track).len(), frames.len(), "{name}");
    }
    let decoded = |file| decoded(converted, file);
    assert_eq!(decoded(&growing), decoded(&closed), "{name}");
    of_closed
}

/// Returns hashes of the decoded pictures and of the sound.
fn decoded(converted: &Converted, file: &Path) -> (Vec<String>, String) {
    let has = |track| !converted.frames(track).is_empty();
    let pictures = has(Track::Video).then(|| decoded_pictures(file));
    let sound = has(Track::Audio).then(|| {
        let (warnings, sound) = decode(file);
        assert_eq!(warnings, "", "ffmpeg has nothing to complain about");
        sound
    });
    (pictures.unwrap_or_default(), sound.unwrap_or_default())
}

fn source(dir: &TempDir, arguments: &[&[&str]]) -> std::path::PathBuf {
    let arguments = [&[H264_B_FRAMES, SHORT_GOPS][..], arguments].concat();
    media::make(dir, 5, &arguments)
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_reads_a_closed_file_like_its_source_and_its_fragments() {
    let dir = TempDir::new();
    let file = source(&dir, &[AAC]);
    let converted = Converted::of_flv(&file);
    let got = assert_both_forms("H.264 and AAC", &converted, &dir);
    let expected = Capture::of_file(&file);
    for track in [Track::Video, Track::Audio] {
        assert_same_bytes("closed", &got.hashes(track), &expected.hashes(track));
        for (frame, packet) in converted.frames(track).into_iter().zip(got.track(track)) {
            super::assert_time("closed", &converted, frame, packet);
        }
    }
    assert!(got.packets.iter().any(|p| p.pts != p.dts));
    assert_eq!(
        decoded(&converted, &dir.join("closed.mp4")),
        decoded(&converted, &file)
    );
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_reads_files_with_one_track() {
    let dir = TempDir::new();
    let mut converted = Converted::of_flv(&source(&dir, &[AAC]));
    converted.frames.retain(|frame| frame.track == Track::Audio);
    converted.presentation.video = None;
    let got = assert_both_forms("audio", &converted, &dir);
    assert!(got.track(Track::Audio).len() > 200);

    let mut converted = Converted::of_flv(&source(&dir, &[AAC]));
    converted.frames.retain(|frame| frame.track == Track::Video);
    let got = assert_both_forms("an audio track without samples", &converted, &dir);
    assert_eq!(got.track(Track::Video).len(), 150);
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_reads_files_with_gaps_and_late_tracks() {
    let dir = TempDir::new();
    let mut converted = Converted::of_flv(&source(&dir, &[AAC]));
    let gap = 1_000..3_000;
    converted
        .frames
        .retain(|frame| !gap.contains(&frame.timestamp));
    let got = assert_both_forms("a gap", &converted, &dir);
    let times: Vec<_> = got.track(Track::Video).iter().map(|p| p.dts).collect();
    assert!(times.windows(2).any(|pair| pair[1] - pair[0] >= 2_000));

    let mut converted = Converted::of_flv(&source(&dir, &[AAC]));
    converted
        .frames
        .retain(|f| f.track == Track::Video || f.timestamp > 1_500);
    assert_both_forms("audio later", &converted, &dir);

    let mut converted = Converted::of_flv(&source(&dir, &[AAC]));
    converted
        .frames
        .retain(|f| f.track == Track::Audio || f.timestamp >= 2_000);
    assert_both_forms("video later", &converted, &dir);
}

#[test]
#[ignore = "needs ffmpeg"]
fn ffmpeg_reads_negative_composition_offsets() {
    let dir = TempDir::new();
    let mut converted = Converted::of_flv(&source(&dir, &[AAC]));
    for frame in &mut converted.frames {
        if frame.track == Track::Video {
            frame.composition_time -= 67;
        }
    }
    let closed = dir.join("closed.mp4");
    std::fs::write(&closed, Recorded::new(&converted).closed()).unwrap();
    let got = Capture::of_file(&closed);
    // ffmpeg presents fragments with such offsets later as a whole, and sample tables at their time.
    let shown: Vec<_> = got.track(Track::Video).iter().map(|p| p.pts).collect();
    let frames = converted.frames(Track::Video);
    let expected = frames
        .iter()
        .map(|f| f.timestamp + i64::from(f.composition_time));
    assert_eq!(shown, expected.collect::<Vec<_>>());
    assert_eq!(decode(&closed).0, "");
}
