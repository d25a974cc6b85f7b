//! Notes: what a recorded fragment has, in a box of fixed length in front of it.
//!
//! ```text
//!   0  uuid 96, id (8)
//!  24  length of the fragment: note, moof and mdat     28  length of the moof
//!  32  wall                                            40  time
//!  48  duration                                        52  speed (16), flags (16): 1 is_start, 2 has_gap
//!  56  synced_to
//!  64  video: samples, time runs, offset runs, syncs, 16 bits each
//!  72  audio: the same
//!  80  video bytes     84  audio bytes     88  zero
//!  92  XXH32 of bytes 24 to 92
//! ```
//!
//! The counts say how much room the samples take in the tables of a [`Movie`](super::movie::Movie), so that
//! the place of every table is known without reading fragments. Players skip boxes of the type `uuid`.

use twox_hash::XxHash32;

use super::fields::Fields;

/// The length of a note in bytes.
pub const NOTE_LEN: usize = 96;

/// The maximum number of samples in a fragment, of both tracks together.
pub const MAX_SAMPLES: u16 = 1_024;

/// The length in bytes of the checksum at the end of an `mdat`.
pub const CHECKSUM_LEN: u32 = 4;

/// The beginning of all notes: size, type, and an identifier that was made up at random.
const START: &[u8; 24] = b"\0\0\0\x60uuid\
    \x3B\x9E\x51\xC7\x0D\xA2\x4F\x68\x9C\x14\xE7\x2A\xD5\x80\x76\xF3";

const IS_START: u32 = 1;
const HAS_GAP: u32 = 2;

/// What a fragment has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The length in bytes of note, `moof` and `mdat`.
    pub len: u32,
    /// The length in bytes of the `moof`.
    pub moof_len: u32,
    /// When its first frame arrived, in ms since 1970.
    pub wall: u64,
    /// The earliest decode time in it, in ms from the file's zero.
    pub time: u64,
    /// Its duration in ms.
    pub duration: u32,
    /// Whether playback can start here: it begins with a keyframe, or there is no video.
    pub is_start: bool,
    /// Whether messages were lost before it.
    pub has_gap: bool,
    /// How many times as fast as it came it is shown, in a time lapse; otherwise 0.
    pub speed: u16,
    /// The length of the file when it was last known to be on the disk.
    pub synced_to: u64,
    /// The samples of the video track.
    pub video: Counts,
    /// The samples of the audio track.
    pub audio: Counts,
    /// The file's zero as a decode time of the stream: the low 32 bits of that in ms. Tells how far two
    /// files of the same stream are apart; 0 in files that don't say.
    pub zero: u32,
}

/// How many samples of one track a fragment has, and how many entries they take in sample tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples.
    pub samples: u16,
    /// Runs of samples of the same duration. The last sample is always a run of its own, because its
    /// duration depends on the next fragment.
    pub time_runs: u16,
    /// Runs of samples with the same composition offset. 0 for audio.
    pub offset_runs: u16,
    /// Sync samples. 0 for audio.
    pub syncs: u16,
    /// The number of bytes of all samples.
    pub bytes: u32,
}

impl Note {
    /// Takes lengths and counts from a group; the other fields are kept.
    pub fn with_counts(self, moof_len: u32, video: Counts, audio: Counts) -> Note {
        let note = Note {
            moof_len,
            video,
            audio,
            ..self
        };
        Note {
            len: u32::try_from(note.true_len()).unwrap_or(u32::MAX),
            ..note
        }
    }

    /// Returns the box.
    pub fn bytes(&self) -> [u8; NOTE_LEN] {
        let mut bytes = Vec::with_capacity(NOTE_LEN);
        bytes.extend_from_slice(START);
        let flags =
            if self.is_start { IS_START } else { 0 } | if self.has_gap { HAS_GAP } else { 0 };
        let flags = u32::from(self.speed) << 16 | flags;
        let numbers = [
            self.wall,
            self.time,
            u64::from(self.duration) << 32 | u64::from(flags),
        ];
        bytes.extend_from_slice(&self.len.to_be_bytes());
        bytes.extend_from_slice(&self.moof_len.to_be_bytes());
        for number in numbers.into_iter().chain([self.synced_to]) {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for counts in [self.video, self.audio] {
            for count in [
                counts.samples,
                counts.time_runs,
                counts.offset_runs,
                counts.syncs,
            ] {
                bytes.extend_from_slice(&count.to_be_bytes());
            }
        }
        for number in [self.video.bytes, self.audio.bytes, self.zero] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let checksum = checksum_of(bytes.get(START.len()..).unwrap_or_default());
        bytes.extend_from_slice(&checksum.to_be_bytes());
        let mut note = [0; NOTE_LEN];
        note.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        note
    }

    /// Reads the note at the beginning of `bytes`. `None` if there is none, its checksum is wrong, or
    /// its numbers contradict each other.
    pub fn parse(bytes: &[u8]) -> Option<Note> {
        let mut f = Fields(bytes);
        f.expect(START)?;
        let body = f.take(NOTE_LEN - START.len())?;
        let (content, checksum) = body.split_last_chunk()?;
        if checksum_of(content) != u32::from_be_bytes(*checksum) {
            return None;
        }
        let mut f = Fields(content);
        let (len, moof_len) = (f.u32()?, f.u32()?);
        let (wall, time, duration) = (f.u64()?, f.u64()?, f.u32()?);
        let (flags, synced_to) = (f.u32()?, f.u64()?);
        let mut counts = || {
            Some(Counts {
                samples: f.u16()?,
                time_runs: f.u16()?,
                offset_runs: f.u16()?,
                syncs: f.u16()?,
                bytes: 0,
            })
        };
        let (mut video, mut audio) = (counts()?, counts()?);
        (video.bytes, audio.bytes) = (f.u32()?, f.u32()?);
        let zero = f.u32()?;
        let note = Note {
            len,
            moof_len,
            wall,
            time,
            duration,
            is_start: flags & IS_START != 0,
            has_gap: flags & HAS_GAP != 0,
            speed: (flags >> 16) as u16,
            synced_to,
            video,
            audio,
            zero,
        };
        note.is_plausible().then_some(note)
    }

    /// When its last frame ended, by the clock of `wall`.
    pub fn wall_end(&self) -> u64 {
        let duration = u64::from(self.duration) * u64::from(self.speed.max(1));
        self.wall.saturating_add(duration)
    }

    /// The number of bytes between the beginnings of the note and of the first sample.
    pub fn data_offset(&self) -> u64 {
        NOTE_LEN as u64 + u64::from(self.moof_len) + 8
    }

    /// The earliest decode time in the stream: the low 32 bits of that in ms.
    pub fn stream_time(&self) -> u32 {
        self.zero.wrapping_add(self.time as u32)
    }

    /// The time from the file's zero at which it ends, in ms.
    pub fn end(&self) -> u64 {
        self.time.saturating_add(self.duration.into())
    }

    /// The numbers of bytes between the beginning of the `moof` and the decode times in it, of 64 bits each:
    /// of video, of audio.
    pub fn decode_times(&self) -> [Option<u64>; 2] {
        // `traf`, `tfhd`, `tfdt`.
        const HEADERS: u32 = 8 + 16 + 12;

        let places = [
            (self.video.samples, 0),
            (self.audio.samples, self.video.samples),
        ];
        places.map(|(samples, before)| {
            let at = moof_len(before, 0) + HEADERS;
            (samples > 0).then_some(u64::from(at))
        })
    }

    /// The length that follows from the other fields.
    fn true_len(&self) -> u64 {
        let data = u64::from(self.video.bytes) + u64::from(self.audio.bytes);
        self.data_offset() + data + u64::from(CHECKSUM_LEN)
    }

    fn is_plausible(&self) -> bool {
        let Counts {
            offset_runs, syncs, ..
        } = self.audio;
        let samples = self.video.samples.saturating_add(self.audio.samples);
        u64::from(self.len) == self.true_len()
            && self.moof_len == moof_len(self.video.samples, self.audio.samples)
            && (1..=MAX_SAMPLES).contains(&samples)
            && self.video.are_plausible()
            && self.audio.are_plausible()
            && offset_runs == 0
            && syncs == 0
    }
}

impl Counts {
    fn are_plausible(&self) -> bool {
        let has_some = u16::from(self.samples > 0);
        (has_some..=self.samples).contains(&self.time_runs)
            && self.offset_runs <= self.samples
            && self.syncs <= self.samples
    }
}

/// The length of a `moof` with so many samples of video and audio, in bytes.
pub fn moof_len(video: u16, audio: u16) -> u32 {
    const TRACK: u32 = 8 + 16 + 20 + 20;
    let tracks = [video, audio].map(|samples| match samples {
        0 => 0,
        samples => TRACK + 16 * u32::from(samples),
    });
    8 + 16 + tracks.iter().sum::<u32>()
}

/// The length of the longest `moof`, in bytes.
pub const MAX_MOOF_LEN: usize = 24 + 2 * 64 + 16 * MAX_SAMPLES as usize;

/// The checksum of a fragment: XXH32 of its `moof` and its samples.
#[derive(Clone, Default)]
pub struct Checksum(XxHash32);

impl Checksum {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(&mut self.0, bytes);
    }

    /// Returns the last bytes of the `mdat`.
    pub fn bytes(&self) -> [u8; CHECKSUM_LEN as usize] {
        self.0.finish_32().to_be_bytes()
    }
}

fn checksum_of(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}
