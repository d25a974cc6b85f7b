//! Recordings that were made up.

use allocation_counter::{AllocationInfo, measure};

use super::NAME;
use super::closed_file::{ClosedFile, ReadSample};
use crate::live::arena::{Arena, BLOCK_LEN};
use crate::live::cut::{CopyPlace, Cut, CutSample, Evicted};
use crate::live::kind::Kind;
use crate::media::mp4::{AudioTrack, Presentation, VideoTrack};
use crate::record::WallMillis;
use crate::record::append::AppendError;
use crate::record::disk::Disk;
use crate::record::disk::sim::SimDisk;
use crate::record::extent::Extent;
use crate::record::mp4::writer::Mp4Writer;
use crate::record::staging::Staging;
use std::io;
use std::ops::Range;
use std::path::Path;

/// H.264, Constrained Baseline, level 3.0, 640x360.
const AVC: &[u8] = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\
    \x2F\xF9\x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";

/// AAC LC, 48 kHz, two channels.
const AAC: &[u8] = b"\xAF\0\x11\x90";

/// When the recording begins.
pub(in crate::record) const WALL: WallMillis = 1_764_288_000_250;

pub(in crate::record) fn presentation() -> Presentation {
    Presentation {
        video: VideoTrack::from_sequence_header(AVC),
        audio: AudioTrack::from_sequence_header(AAC),
    }
}

/// Numbers that look random (splitmix64).
pub(in crate::record) struct Random(pub(in crate::record) u64);

impl Random {
    pub(in crate::record) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(in crate::record) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The bytes of a sample, from an offset on.
fn bytes_of(sample: &CutSample, from: u32) -> impl Iterator<Item = u8> {
    let seed = sample.number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (from..sample.len).map(move |at| {
        let mixed = seed.wrapping_add(at.into());
        (mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 56) as u8
    })
}

impl Mp4Writer {
    /// Closes the file with memory of its own.
    pub(in crate::record) fn close(self, disk: &dyn Disk) -> io::Result<Option<Extent>> {
        let mut staging = Staging::new(&Arena::new(64 * BLOCK_LEN)).unwrap();
        self.close_with(disk, &mut staging)
    }
}

/// A recording under way.
pub(in crate::record) struct Script {
    random: Random,
    arena: Arena,
    number: u64,
    /// The decode time of the next cut, in ms.
    pub(in crate::record) time: u64,
    /// Whether there is video.
    pub(in crate::record) has_video: bool,
    /// The samples of audio per second.
    pub(in crate::record) audio_rate: u64,
    /// What the last append has allocated.
    pub(in crate::record) allocated: AllocationInfo,
    /// What was appended, one for each fragment.
    pub(in crate::record) appended: Vec<Vec<CutSample>>,
}

impl Script {
    pub(in crate::record) fn new(seed: u64) -> Script {
        Script {
            random: Random(seed),
            arena: Arena::new(64 * BLOCK_LEN),
            number: 17,
            time: 5_000 + seed,
            has_video: true,
            audio_rate: 48_000,
            allocated: AllocationInfo::default(),
            appended: Vec::new(),
        }
    }

    pub(in crate::record) fn writer(&self, disk: &SimDisk) -> Mp4Writer {
        Mp4Writer::begin(disk, Path::new(NAME), &presentation(), WALL, 4 << 20).unwrap()
    }

    /// The next GOP of a stream. The messages are in the order of their timestamps.
    pub(in crate::record) fn cut(&mut self) -> Cut {
        let frames = 2 + self.random.below(5);
        let mut cut = Cut::default();
        if self.random.below(8) == 0 {
            self.time += 3_000;
            cut.missed = 5;
        }
        let (start, end) = (self.time, self.time + frames * 40);
        for frame in 0..frames {
            let time = start + frame * 40;
            let len = if frame == 0 { 700 } else { 10 };
            if self.has_video {
                let sample = self.sample(Kind::Video, time, 40, len);
                cut.samples.push(CutSample {
                    is_sync: frame == 0,
                    composition_time: [0, 80, -40][self.random.below(3) as usize],
                    ..sample
                });
            }
            let frames_until = |time: u64| (time * self.audio_rate).div_ceil(1_024_000);
            for audio in frames_until(time)..frames_until(time + 40) {
                let sample = self.sample(Kind::Audio, audio * 1_024, 1_024, 5);
                cut.samples.push(sample);
            }
        }
        self.time = end;
        cut.is_start = true;
        cut
    }

    fn sample(&mut self, kind: Kind, decode_time: u64, duration: u32, least: u64) -> CutSample {
        self.number += 1;
        CutSample {
            number: self.number,
            kind,
            timestamp: 0,
            len: (least + self.random.below(least * 2)) as u32,
            decode_time,
            duration,
            composition_time: 0,
            is_sync: false,
        }
    }

    /// Appends a cut. Its messages leave the log after `most` bytes.
    pub(in crate::record) fn append(
        &mut self,
        writer: &mut Mp4Writer,
        cut: &mut Cut,
        most: usize,
    ) -> Result<(), AppendError> {
        let ms = |sample: &CutSample| match sample.kind {
            Kind::Video => sample.decode_time,
            _ => sample.decode_time / 48,
        };
        let wall = WALL + cut.samples.iter().map(ms).min().unwrap_or(0);
        self.append_at(writer, cut, wall, most)
    }

    /// Appends a cut whose first frame arrived at this time.
    pub(in crate::record) fn append_at(
        &mut self,
        writer: &mut Mp4Writer,
        cut: &mut Cut,
        wall: WallMillis,
        most: usize,
    ) -> Result<(), AppendError> {
        let mut staging = Staging::new(&self.arena).unwrap();
        let mut left = most;
        let mut random = Random(self.random.next());
        let mut source = |samples: &[CutSample], place: &mut CopyPlace, out: &mut [u8]| {
            let mut done = 0;
            let most = (1 + random.below(3_000) as usize).min(out.len());
            while let Some(sample) = samples.get(place.index).filter(|_| done < most) {
                let rest = bytes_of(sample, place.offset);
                let count = rest
                    .zip(&mut out[done..most])
                    .map(|(byte, to)| *to = byte)
                    .count();
                done += count;
                place.offset += count as u32;
                if place.offset == sample.len {
                    *place = CopyPlace {
                        index: place.index + 1,
                        offset: 0,
                    };
                }
            }
            left = left.checked_sub(done).ok_or(Evicted)?;
            Ok(done)
        };
        let mut outcome = Ok(());
        self.allocated = measure(|| outcome = writer.append(cut, wall, &mut source, &mut staging));
        outcome?;
        self.appended.push(cut.samples.clone());
        Ok(())
    }

    /// What a closed file with the first fragments must have.
    pub(in crate::record) fn expected(&self, fragments: usize) -> ClosedFile {
        self.expected_of(0..fragments)
    }

    /// What a file with these fragments must have.
    pub(in crate::record) fn expected_of(&self, fragments: Range<usize>) -> ClosedFile {
        let notes = fragments.len();
        let track = |kind: Kind| {
            let samples = self.appended[fragments.clone()].iter().flatten();
            let samples: Vec<&CutSample> = samples.filter(|sample| sample.kind == kind).collect();
            let first = samples.first().map_or(0, |sample| sample.decode_time);
            let samples = samples.into_iter().map(|sample| ReadSample {
                time: sample.decode_time - first,
                composition_offset: sample.composition_time,
                is_sync: sample.is_sync || kind == Kind::Audio,
                bytes: bytes_of(sample, 0).collect(),
            });
            samples.collect()
        };
        ClosedFile {
            video: track(Kind::Video),
            audio: track(Kind::Audio),
            notes,
        }
    }
}
