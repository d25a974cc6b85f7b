//! A writer of a file that grows by fragments.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};

use super::close::close;
use super::reader::read_head;
use super::{Extent, LINK_AT, Link, part_of};
use crate::live::cut::{CopyPlace, Cut, CutSample, Evicted};
use crate::live::kind::Kind;
use crate::media::mp4::Presentation;
use crate::media::mp4::group::{GroupSample, write_group_head};
use crate::media::mp4::note::{Checksum, Note};
use crate::record::WallMillis;
use crate::record::disk::{Disk, DiskFile};
use crate::record::staging::Staging;

/// The least and the most space that is set aside for a file, in bytes.
const ALLOCATED: (u64, u64) = (4 << 20, 512 << 20);

/// A function that copies the next bytes of samples to the beginning of a buffer, like
/// [`Stream::copy`](crate::live::stream::Stream::copy).
pub type Source<'a> =
    dyn FnMut(&[CutSample], &mut CopyPlace, &mut [u8]) -> Result<usize, Evicted> + 'a;

/// Why a fragment wasn't appended. The file ends where it ended before.
#[derive(Debug)]
pub enum AppendError {
    /// Messages have left the log before they were copied.
    Evicted,
    /// The disk has failed.
    Disk(io::Error),
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> AppendError {
        AppendError::Disk(error)
    }
}

impl From<Evicted> for AppendError {
    fn from(Evicted: Evicted) -> AppendError {
        AppendError::Evicted
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::Evicted => {
                f.write_str("messages have left the memory before they were written")
            }
            AppendError::Disk(error) => error.fmt(f),
        }
    }
}

/// See the module's documentation. If it is dropped, the file stays as it is, to be
/// [repaired](super::repair).
pub struct Mp4Writer {
    file: Box<dyn DiskFile>,
    /// The name that the file gets at the close.
    path: PathBuf,
    /// What has been written. Everything up to its length are whole fragments.
    extent: Extent,
    /// The length at the last sync.
    synced_to: u64,
    /// Whether something lies behind the last whole fragment.
    has_rest: bool,
    /// Whether messages were lost since the last fragment.
    has_gap: bool,
    /// The length up to which space was set aside.
    allocated: u64,
    /// The decode time in ms that is 0 in the file.
    zero: Option<u64>,
    has_video: bool,
    /// The ticks per second of the audio track; 0 without one.
    audio_rate: u64,
    /// The checksum of the last fragment.
    checksum: Link,
    /// The beginning of a fragment.
    head: Vec<u8>,
}

impl Mp4Writer {
    /// Creates the file, under the name [`part_of`] makes of `path`, and writes what precedes the fragments.
    /// `AlreadyExists` if there is such a file; whether there is a closed file under that name is for
    /// the caller to check.
    ///
    /// `expected_len` is the length of the file before, in bytes: so much and a tenth more is set aside.
    pub fn begin(
        disk: &dyn Disk,
        path: &Path,
        presentation: &Presentation,
        wall: WallMillis,
        expected_len: u64,
    ) -> io::Result<Mp4Writer> {
        let part = part_of(path);
        let mut file = disk.create(&part)?;
        let expected_len = expected_len.saturating_add(expected_len / 10);
        let allocated = expected_len.clamp(ALLOCATED.0, ALLOCATED.1);
        let mut head = presentation.file_head();
        let link = (wall as u32).to_be_bytes();
        let place = head.iter_mut().skip(LINK_AT as usize);
        place.zip(link).for_each(|(to, byte)| *to = byte);
        // Without space set aside, recording goes on: the first write that fails will say why.
        let _ = file.allocate(allocated);
        let written = file.write_at(0, &[IoSlice::new(&head)]);
        if let Err(error) = written.and_then(|()| file.sync()) {
            drop(file);
            let _ = disk.remove(&part);
            return Err(error);
        }
        let len = head.len() as u64;
        let audio = presentation.audio.as_ref();
        Ok(Mp4Writer {
            file,
            path: path.to_owned(),
            extent: Extent {
                len,
                from: wall,
                to: wall,
                ..Extent::default()
            },
            synced_to: len,
            has_rest: false,
            has_gap: false,
            allocated,
            zero: None,
            has_video: presentation.video.is_some(),
            audio_rate: audio.map_or(0, |audio| audio.sample_rate.into()),
            checksum: link,
            head: Vec::new(),
        })
    }

    /// The name that the file gets at the close.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the file. Its length is that up to which others may read it.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// The length of the file at its last sync.
    pub fn synced_to(&self) -> u64 {
        self.synced_to
    }

    /// Appends a cut as one fragment. `wall` is when its first frame arrived. The samples are put into the order
    /// in which they lie in the file, video first, and samples of other tracks than those of the file
    /// are dropped. `source` copies them.
    ///
    /// After an error the cut can't be appended again. After an error of the disk, this file should be
    /// closed, or [repaired](super::repair) later.
    pub fn append(
        &mut self,
        cut: &mut Cut,
        wall: WallMillis,
        source: &mut Source<'_>,
        staging: &mut Staging,
    ) -> Result<(), AppendError> {
        self.has_gap |= cut.missed > 0;
        let (has_video, has_audio) = (self.has_video, self.audio_rate > 0);
        cut.samples.retain(|sample| match sample.kind {
            Kind::Video => has_video,
            Kind::Audio => has_audio,
            Kind::Data | Kind::Script => false,
        });
        if cut.samples.is_empty() {
            return Ok(());
        }
        let order = |sample: &CutSample| (sample.kind != Kind::Video, sample.number);
        cut.samples.sort_unstable_by_key(order);
        self.cut_rest()?;
        let note = self.lay_out(cut, wall)?;
        let written = self.write(&note, &cut.samples, source, staging);
        staging.release();
        match written {
            Ok(checksum) => {
                self.checksum = checksum;
                self.has_gap = false;
                self.extent.add(&note);
                self.extent.len += u64::from(note.len);
                Ok(())
            }
            Err(error) => {
                self.has_gap = true;
                // If this fails, it is done before the next fragment, or by a repair.
                let _ = self.cut_rest();
                Err(error)
            }
        }
    }

    /// Writes the beginning of a fragment into `head`, and returns its note.
    fn lay_out(&mut self, cut: &Cut, wall: WallMillis) -> io::Result<Note> {
        let rate = self.audio_rate.max(1);
        let audio_at = cut
            .samples
            .partition_point(|sample| sample.kind == Kind::Video);
        let (video, audio) = cut.samples.split_at(audio_at);
        let first = |track: &[CutSample]| track.first().map(|sample| sample.decode_time);
        let first_video = first(video);
        let first_audio = first(audio).map(|time| to_millis(time, rate));
        let time = first_video
            .into_iter()
            .chain(first_audio)
            .min()
            .unwrap_or(0);
        let zero = *self.zero.get_or_insert(time);
        let audio_zero = (u128::from(zero) * u128::from(rate) / 1000) as u64;
        let end = |track: &[CutSample]| {
            let last = track.last();
            last.map(|sample| sample.decode_time.saturating_add(sample.duration.into()))
        };
        let end = end(video).or(end(audio).map(|time| to_millis(time, rate)));
        let sequence = self.extent.fragments.saturating_add(1);
        self.head.clear();
        let written = write_group_head(
            &mut self.head,
            sequence,
            &mut video.iter().map(|sample| group_sample(sample, zero)),
            &mut audio.iter().map(|sample| group_sample(sample, audio_zero)),
        );
        let written = written.ok_or(ErrorKind::InvalidInput)?;
        let note = Note {
            wall,
            time: time.saturating_sub(zero),
            duration: u32::try_from(end.unwrap_or(0).saturating_sub(time)).unwrap_or(u32::MAX),
            is_start: cut
                .samples
                .first()
                .is_some_and(|first| first.is_sync || first.kind != Kind::Video),
            has_gap: self.has_gap,
            synced_to: self.synced_to,
            zero: zero as u32,
            ..Note::default()
        };
        Ok(note.with_counts(written.moof_len, written.video, written.audio))
    }

    /// Writes a fragment behind the others. Returns its checksum.
    fn write(
        &mut self,
        note: &Note,
        samples: &[CutSample],
        source: &mut Source<'_>,
        staging: &mut Staging,
    ) -> Result<Link, AppendError> {
        let file = self.file.as_mut();
        let mut offset = self.extent.len;
        self.has_rest = true;
        let mut checksum = Checksum::default();
        checksum.add(&self.checksum);
        checksum.add(self.head.get(..note.moof_len as usize).unwrap_or_default());
        staging.push(file, &mut offset, &note.bytes())?;
        staging.push(file, &mut offset, &self.head)?;
        let mut place = CopyPlace::default();
        let mut left = u64::from(note.video.bytes) + u64::from(note.audio.bytes);
        while left > 0 {
            let room = staging.room();
            if room.is_empty() {
                staging.flush(file, &mut offset)?;
                continue;
            }
            let most = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let room = &mut room[..most];
            let count = source(samples, &mut place, room)?.min(most);
            if count == 0 {
                // Less than was announced: gone for good.
                return Err(AppendError::Evicted);
            }
            checksum.add(&room[..count]);
            staging.extend(count);
            left -= count as u64;
        }
        let checksum = checksum.bytes();
        staging.push(file, &mut offset, &checksum)?;
        staging.flush(file, &mut offset)?;
        self.has_rest = false;
        Ok(checksum)
    }

    /// Cuts the file back to its last whole fragment.
    fn cut_rest(&mut self) -> io::Result<()> {
        if self.has_rest {
            self.file.truncate(self.extent.len)?;
            let _ = self.file.allocate(self.allocated);
            self.has_rest = false;
        }
        Ok(())
    }

    /// Returns when everything that was appended is on the disk. After an error nobody knows what is: begin
    /// another file, and have this one [repaired](super::repair).
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.synced_to = self.extent.len;
        Ok(())
    }

    /// Closes the file, and gives it its name. `None` if there was nothing in it: it is removed. After an
    /// error it can be [repaired](super::repair); `AlreadyExists` means that only the name is missing.
    pub fn close(mut self, disk: &dyn Disk) -> io::Result<Option<Extent>> {
        let part = part_of(&self.path);
        if self.extent.fragments == 0 {
            drop(self.file);
            disk.remove(&part)?;
            return Ok(None);
        }
        let head = read_head(self.file.as_ref())?.ok_or(ErrorKind::InvalidData)?;
        let extent = close(self.file.as_mut(), &head, self.extent.len)?;
        drop(self.file);
        disk.rename(&part, &self.path)?;
        Ok(Some(extent))
    }

    /// Leaves the file as it is. Returns its name, for a [repair](super::repair).
    pub fn abandon(self) -> PathBuf {
        part_of(&self.path)
    }
}

fn to_millis(time: u64, rate: u64) -> u64 {
    (u128::from(time) * 1000 / u128::from(rate)) as u64
}

fn group_sample(sample: &CutSample, zero: u64) -> GroupSample {
    let is_video = sample.kind == Kind::Video;
    GroupSample {
        decode_time: sample.decode_time.saturating_sub(zero),
        duration: sample.duration,
        composition_offset: if is_video { sample.composition_time } else { 0 },
        is_sync: sample.is_sync || !is_video,
        len: sample.len,
    }
}
