//! A writer of a file that grows by fragments.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::close::close;
use super::reader::read_head;
use super::{LINK_AT, Link, write_boxes};
use crate::live::cut::{CopyPlace, Cut, CutSample};
use crate::live::kind::Kind;
use crate::media::mp4::Presentation;
use crate::media::mp4::note::{Checksum, Note};
use crate::record::WallMillis;
use crate::record::append::{AppendError, Source};
use crate::record::disk::Disk;
use crate::record::extent::Extent;
use crate::record::part::Part;
use crate::record::staging::Staging;

/// See the module's documentation. If it is dropped, the file stays as it is, to be
/// [repaired](super::repair).
pub struct Mp4Writer {
    part: Part,
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
    /// Creates the file `path`, with `.part` at its end, and writes what precedes the fragments. `AlreadyExists` if there is such a file; whether there is a closed file under that name is for
    /// the caller to check.
    ///
    /// `aside` bytes are set aside for it.
    pub fn begin(
        disk: &dyn Disk,
        path: &Path,
        presentation: &Presentation,
        wall: WallMillis,
        aside: u64,
    ) -> io::Result<Mp4Writer> {
        let mut head = presentation.file_head();
        let link = (wall as u32).to_be_bytes();
        let place = head.iter_mut().skip(LINK_AT as usize);
        place.zip(link).for_each(|(to, byte)| *to = byte);
        let part = Part::begin(disk, path, &head, wall, aside)?;
        let audio = presentation.audio.as_ref();
        Ok(Mp4Writer {
            part,
            zero: None,
            has_video: presentation.video.is_some(),
            audio_rate: audio.map_or(0, |audio| audio.sample_rate.into()),
            checksum: link,
            head: Vec::new(),
        })
    }

    /// What is in the file. Its length is that up to which others may read it.
    pub fn extent(&self) -> &Extent {
        &self.part.extent
    }

    /// Notes that nothing is missing up to this time, although no frame was written.
    pub fn extend(&mut self, to: WallMillis) {
        self.part.extent.to = to;
    }

    /// Appends a cut as one fragment. `wall` is when its first frame arrived. The samples are put into the order
    /// in which they lie in the file, video first, and samples of other tracks than those of the file
    /// are dropped. `source` copies them.
    ///
    /// After an error nothing of the cut is in the file. After an error of the disk it can be appended again, here or
    /// to another file.
    pub fn append(
        &mut self,
        cut: &mut Cut,
        wall: WallMillis,
        source: &mut Source<'_>,
        staging: &mut Staging,
    ) -> Result<(), AppendError> {
        self.part.has_gap |= cut.missed > 0;
        let (has_video, has_audio) = (self.has_video, self.audio_rate > 0);
        cut.samples.retain(|sample| match sample.kind {
            Kind::Video => has_video,
            Kind::Audio => has_audio,
            Kind::Data | Kind::Script => false,
        });
        if cut.samples.is_empty() {
            return Ok(());
        }
        let audio_at = cut.put_video_first();
        self.part.begin_fragment()?;
        let note = self.lay_out(cut, audio_at, wall)?;
        let written = self.write(&note, &cut.samples, source, staging);
        self.part.end_fragment(staging, written.as_ref().err());
        self.checksum = written?;
        self.part.extent.add(&note);
        self.part.extent.len += u64::from(note.len);
        Ok(())
    }

    /// Writes the beginning of a fragment into `head`, and returns its note.
    fn lay_out(&mut self, cut: &Cut, audio_at: usize, wall: WallMillis) -> io::Result<Note> {
        let rate = self.audio_rate.max(1);
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
        let audio_zero = scale(zero, rate, 1000);
        let end = |track: &[CutSample]| {
            let last = track.last();
            last.map(|sample| sample.decode_time.saturating_add(sample.duration.into()))
        };
        let end = end(video).or(end(audio).map(|time| to_millis(time, rate)));
        let sequence = self.part.extent.fragments.saturating_add(1);
        self.head.clear();
        let zeros = [zero, audio_zero];
        let written = write_boxes(&mut self.head, sequence, &cut.samples, audio_at, zeros);
        let written = written.ok_or(ErrorKind::InvalidInput)?;
        let note = Note {
            wall,
            time: time.saturating_sub(zero),
            duration: u32::try_from(end.unwrap_or(0).saturating_sub(time)).unwrap_or(u32::MAX),
            is_start: cut
                .samples
                .first()
                .is_some_and(|first| first.is_sync || first.kind != Kind::Video),
            has_gap: self.part.has_gap,
            speed: cut.speed,
            synced_to: self.part.synced_to,
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
        let file = self.part.file.as_mut();
        let mut offset = self.part.extent.len;
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
        Ok(checksum)
    }

    /// Returns when everything that was appended is on the disk. After an error nobody knows what is: begin
    /// another file, and have this one [repaired](super::repair).
    pub fn sync(&mut self) -> io::Result<()> {
        self.part.sync()
    }

    /// Closes the file, and gives it its name. `None` if there was nothing in it: it is removed. After an
    /// error it can be [repaired](super::repair); `AlreadyExists` means that only the name is missing.
    ///
    /// `staging` is for the tables.
    pub fn close_with(self, disk: &dyn Disk, staging: &mut Staging) -> io::Result<Option<Extent>> {
        let closed = self.part.close(disk, &mut |file, extent| {
            let head = read_head(file)?.ok_or(ErrorKind::InvalidData)?;
            close(file, &head, (extent.len, extent.to), &mut staging.whole())
        });
        staging.release();
        closed
    }
}

fn to_millis(time: u64, rate: u64) -> u64 {
    scale(time, 1000, rate)
}

/// Returns `time * to / from`, of which `to` and `from` have 32 bits. Dividing 128 bits would take much code.
fn scale(time: u64, to: u64, from: u64) -> u64 {
    let whole = (time / from).saturating_mul(to);
    whole.saturating_add(time % from * to / from)
}
