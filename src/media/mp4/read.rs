//! Parsers of what is recorded. The bytes come from a disk, and may be anything.
//!
//! Only files of this server are read, so everything but the numbers must be as it was written.

use std::slice::ChunksExact;

pub use super::boxes_read::BoxHeader;
use super::boxes_read::{expect_box, find, next_box};
use super::fields::Fields;
use super::note::{Counts, MAX_SAMPLES, moof_len};
use super::{AUDIO_TRACK_ID, MAX_CONFIG_LEN, VIDEO_TRACK_ID};
use crate::media::Medium;

/// The maximum length of everything in front of the first fragment of a file, in bytes.
pub const MAX_FILE_HEAD_LEN: usize = 2 * MAX_CONFIG_LEN + 4096;

/// What precedes the fragments of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHead {
    /// The tracks.
    pub init: InitMoov,
    /// The offset of the first fragment.
    pub len: u64,
    /// The offset of the `moov` with sample tables, if the file is closed.
    pub closed_at: Option<u64>,
}

/// The tracks of a file, from the `moov` at its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitMoov {
    /// The video track.
    pub video: Option<InitTrack>,
    /// The audio track.
    pub audio: Option<InitTrack>,
}

/// A track without samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitTrack {
    /// The ticks per second; above 0.
    pub timescale: u32,
    /// Width and height in pixels, as 16.16 numbers.
    pub size: [u32; 2],
    /// The box `stsd`, which has the codec.
    pub sample_description: Box<[u8]>,
}

impl FileHead {
    /// Reads the beginning of a file, of which [`MAX_FILE_HEAD_LEN`] bytes are enough.
    pub fn parse(bytes: &[u8]) -> Option<FileHead> {
        let mut f = Fields(bytes);
        let (file_type, _) = expect_box(&mut f, b"ftyp")?;
        let space = BoxHeader::parse(f.0)?;
        let closed_at = match (&space.name, space.header_len) {
            (b"free", 8) if space.len == 16 => None,
            (b"mdat", 16) => Some(space.len.checked_add(file_type.len() as u64)?),
            _ => return None,
        };
        f.take(16)?;
        let init = InitMoov::parse(f.0)?;
        expect_box(&mut f, b"moov")?;
        let len = (bytes.len() - f.0.len()) as u64;
        if closed_at.is_some_and(|at| at < len) {
            return None;
        }
        Some(FileHead {
            init,
            len,
            closed_at,
        })
    }
}

impl InitMoov {
    /// Reads a `moov` at the beginning of `bytes`.
    pub fn parse(bytes: &[u8]) -> Option<InitMoov> {
        let mut f = Fields(bytes);
        let (_, body) = expect_box(&mut f, b"moov")?;
        let mut init = InitMoov::default();
        let mut f = Fields(body);
        while !f.0.is_empty() {
            let (name, _, body) = next_box(&mut f)?;
            if name != *b"trak" {
                continue;
            }
            let (track_id, track) = InitTrack::parse(body)?;
            let place = match track_id {
                VIDEO_TRACK_ID => &mut init.video,
                AUDIO_TRACK_ID => &mut init.audio,
                _ => return None,
            };
            if place.replace(track).is_some() {
                return None;
            }
        }
        Some(init)
    }

    /// Returns a track.
    pub fn track(&self, medium: Medium) -> Option<&InitTrack> {
        match medium {
            Medium::Video => self.video.as_ref(),
            Medium::Audio => self.audio.as_ref(),
        }
    }
}

impl InitTrack {
    /// Reads the body of a `trak`, with its number.
    fn parse(body: &[u8]) -> Option<(u32, InitTrack)> {
        let (_, header) = find(body, b"tkhd")?;
        let mut f = Fields(header);
        f.expect(b"\0")?;
        f.take(3 + 4 + 4)?;
        let track_id = f.u32()?;
        f.take(4 + 4 + 8 + 2 + 2 + 2 + 2 + 36)?;
        let size = [f.u32()?, f.u32()?];
        let (_, media) = find(body, b"mdia")?;
        let (_, header) = find(media, b"mdhd")?;
        let mut f = Fields(header);
        f.expect(b"\0")?;
        f.take(3 + 4 + 4)?;
        let timescale = f.u32()?;
        let (_, information) = find(media, b"minf")?;
        let (_, tables) = find(information, b"stbl")?;
        let (sample_description, _) = find(tables, b"stsd")?;
        if timescale == 0 || sample_description.len() > MAX_FILE_HEAD_LEN {
            return None;
        }
        let track = InitTrack {
            timescale,
            size,
            sample_description: sample_description.into(),
        };
        Some((track_id, track))
    }
}

/// A `moof` of a recorded fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moof<'a> {
    /// Its length in bytes.
    pub len: u32,
    /// The number of the fragment in its file, from 1 on.
    pub sequence: u32,
    /// Its samples of video.
    pub video: Option<Run<'a>>,
    /// Its samples of audio.
    pub audio: Option<Run<'a>>,
}

/// The samples of one track in a fragment: at least one, at most [`MAX_SAMPLES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// The decode time of the first sample, in ticks from the file's zero.
    pub decode_time: u64,
    /// The number of bytes from the beginning of the `moof` to the first sample.
    pub data_offset: u32,
    /// 16 bytes for each sample: duration, size, flags, composition offset.
    entries: &'a [u8],
    is_video: bool,
}

/// A sample of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoofSample {
    /// The decode time in ticks from the file's zero.
    pub decode_time: u64,
    /// The duration in ticks, which leads to the next sample of the run.
    pub duration: u32,
    /// The length in bytes.
    pub len: u32,
    /// Whether a decoder can start here.
    pub is_sync: bool,
    /// The number of ticks from decoding to presentation.
    pub composition_offset: i32,
    /// The number of bytes from the beginning of the `moof` to the sample.
    pub data_offset: u64,
}

impl<'a> Moof<'a> {
    /// Reads the `moof` at the beginning of `bytes`. `None` if it is cut, or not as
    /// [`write_group_head`](super::group::write_group_head) writes it.
    pub fn parse(bytes: &'a [u8]) -> Option<Moof<'a>> {
        let mut f = Fields(bytes);
        let (whole, body) = expect_box(&mut f, b"moof")?;
        let len = u32::try_from(whole.len()).ok()?;
        let mut f = Fields(body);
        f.expect(b"\0\0\0\x10mfhd\0\0\0\0")?;
        let mut moof = Moof {
            len,
            sequence: f.u32()?,
            video: None,
            audio: None,
        };
        let mut data_offset = len.checked_add(8)?;
        while !f.0.is_empty() {
            let (_, body) = expect_box(&mut f, b"traf")?;
            let (track_id, run) = Run::parse(body)?;
            let data_len = u32::try_from(run.data_len()).ok()?;
            match track_id {
                VIDEO_TRACK_ID if moof.video.is_none() && moof.audio.is_none() => {
                    moof.video = Some(Run {
                        is_video: true,
                        ..run
                    });
                }
                AUDIO_TRACK_ID if moof.audio.is_none() => moof.audio = Some(run),
                _ => return None,
            }
            if run.data_offset != data_offset {
                return None;
            }
            data_offset = data_offset.checked_add(data_len)?;
        }
        let [video, audio] = moof.counts().map(|counts| counts.samples);
        (len == moof_len(video, audio) && (1..=MAX_SAMPLES).contains(&(video + audio)))
            .then_some(moof)
    }

    /// Returns the samples of a track.
    pub fn run(&self, medium: Medium) -> Option<&Run<'a>> {
        match medium {
            Medium::Video => self.video.as_ref(),
            Medium::Audio => self.audio.as_ref(),
        }
    }

    /// Counts the samples of video and of audio, as notes have them.
    pub fn counts(&self) -> [Counts; 2] {
        [&self.video, &self.audio].map(|run| run.map_or(Counts::default(), |run| run.counts()))
    }
}

impl<'a> Run<'a> {
    /// Reads the body of a `traf`, with the number of the track.
    fn parse(body: &'a [u8]) -> Option<(u32, Run<'a>)> {
        let mut f = Fields(body);
        f.expect(b"\0\0\0\x10tfhd\0\x02\0\0")?;
        let track_id = f.u32()?;
        f.expect(b"\0\0\0\x14tfdt\x01\0\0\0")?;
        let decode_time = f.u64()?;
        let (_, run) = expect_box(&mut f, b"trun")?;
        if !f.0.is_empty() {
            return None;
        }
        let mut f = Fields(run);
        f.expect(b"\x01\0\x0F\x01")?;
        let (count, data_offset) = (f.u32()?, f.u32()?);
        if count == 0 || count > u32::from(MAX_SAMPLES) || f.0.len() != 16 * count as usize {
            return None;
        }
        let run = Run {
            decode_time,
            data_offset,
            entries: f.0,
            is_video: false,
        };
        Some((track_id, run))
    }

    /// Returns the samples in their order.
    pub fn samples(&self) -> Samples<'a> {
        Samples {
            entries: self.entries.chunks_exact(16),
            decode_time: self.decode_time,
            data_offset: self.data_offset.into(),
        }
    }

    /// Returns the number of samples.
    pub fn sample_count(&self) -> usize {
        self.entries.len() / 16
    }

    /// Returns the number of bytes of all samples.
    pub fn data_len(&self) -> u64 {
        self.samples().map(|sample| u64::from(sample.len)).sum()
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let (mut duration, mut offset) = (None, None);
        let mut samples = self.samples().peekable();
        while let Some(sample) = samples.next() {
            // In 16 bits, because there are at most MAX_SAMPLES.
            counts.samples += 1;
            counts.bytes = counts.bytes.saturating_add(sample.len);
            let is_last = samples.peek().is_none();
            if is_last || duration.replace(sample.duration) != Some(sample.duration) {
                counts.time_runs += 1;
            }
            if self.is_video {
                let composition_offset = sample.composition_offset;
                if offset.replace(composition_offset) != Some(composition_offset) {
                    counts.offset_runs += 1;
                }
                counts.syncs += u16::from(sample.is_sync);
            }
        }
        counts
    }
}

/// An iterator over the samples of a [`Run`].
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    entries: ChunksExact<'a, u8>,
    decode_time: u64,
    data_offset: u64,
}

impl Iterator for Samples<'_> {
    type Item = MoofSample;

    fn next(&mut self) -> Option<MoofSample> {
        const IS_NO_SYNC_SAMPLE: u32 = 0x0001_0000;
        let mut f = Fields(self.entries.next()?);
        let (duration, len, flags) = (f.u32()?, f.u32()?, f.u32()?);
        let sample = MoofSample {
            decode_time: self.decode_time,
            duration,
            len,
            is_sync: flags & IS_NO_SYNC_SAMPLE == 0,
            composition_offset: f.u32()? as i32,
            data_offset: self.data_offset,
        };
        self.decode_time = self.decode_time.saturating_add(duration.into());
        self.data_offset = self.data_offset.saturating_add(len.into());
        Some(sample)
    }
}
