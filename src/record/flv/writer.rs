//! A writer of a file that grows by fragments.

use std::hash::Hasher;
use std::io;
use std::path::Path;

use twox_hash::XxHash32;

use super::close::close;
use super::head::Head;
use super::mark::Mark;
use crate::live::Millis;
use crate::live::cut::{CopyPlace, Cut, CutSample};
use crate::live::kind::Kind;
use crate::live::preamble::Slot;
use crate::media::flv::{MAX_PAYLOAD_LEN, since};
use crate::record::WallMillis;
use crate::record::append::{AppendError, Source};
use crate::record::disk::{Disk, DiskFile};
use crate::record::extent::Extent;
use crate::record::part::Part;
use crate::record::staging::Staging;
use crate::rtmp::file_metadata::FileProperties;
use crate::rtmp::metadata;

/// The longest data message that is looked into, in bytes.
const MAX_DATA_LEN: u32 = metadata::MAX_LEN as u32;

/// See the module's documentation. If it is dropped, the file stays as it is, to be
/// [repaired](super::repair).
pub struct FlvWriter {
    part: Part,
    head: Head,
    /// The last fragment.
    last: Mark,
    /// The timestamp that is 0 in the file.
    base: u32,
    /// The version of the headers that precede the next fragment unless messages are lost.
    preamble_version: Option<u32>,
    /// The checksum with which the next fragment begins.
    checksum: XxHash32,
    /// The times of audio and video.
    paces: [Pace; 2],
    /// The checksum of the metadata that the file has.
    metadata: Option<u32>,
}

impl FlvWriter {
    /// Creates the file `path`, with `.part` at its end, and writes what precedes the fragments of a file that
    /// begins with `cut`. `AlreadyExists` if there is such a file; whether there is a closed file under
    /// that name is for the caller to check.
    ///
    /// `aside` bytes are set aside for it.
    /// The index of keyframes has room for `expected_duration`, in ms. If the file gets longer, it has only every
    /// second keyframe, or every third one, and so on.
    pub fn begin(
        disk: &dyn Disk,
        path: &Path,
        cut: &Cut,
        wall: WallMillis,
        aside: u64,
        expected_duration: Millis,
    ) -> io::Result<FlvWriter> {
        // Files begin at the first keyframe after a full period, so they may be longer.
        let seconds = expected_duration / 1000 + expected_duration / 10_000 + 2;
        let capacity = match cut.tracks.video {
            Some(_) => u32::try_from(seconds).unwrap_or(u32::MAX),
            None => 0,
        };
        let (head, bytes) = Head::of(cut, capacity);
        let part = Part::begin(disk, path, &bytes, wall, aside)?;
        let media = |sample: &&CutSample| sample.kind.medium().is_some();
        let timestamps = cut.samples.iter().filter(media).map(|s| s.timestamp);
        let first = timestamps.clone().next().unwrap_or(0);
        // Audio may have been sent after a keyframe that it precedes.
        let earliest = timestamps.map(|timestamp| timestamp.wrapping_sub(first) as i32);
        Ok(FlvWriter {
            part,
            head,
            last: Mark::default(),
            base: first.wrapping_add_signed(earliest.min().unwrap_or(0)),
            preamble_version: None,
            checksum: head.checksum(&bytes),
            paces: Default::default(),
            metadata: cut
                .preamble
                .header(Slot::Metadata)
                .and_then(for_file)
                .map(|message| XxHash32::oneshot(0, &message)),
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

    /// Appends a cut as one fragment. `wall` is when its first frame arrived. `source` copies the messages.
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
        if cut.samples.is_empty() {
            return Ok(());
        }
        self.part.begin_fragment()?;
        let mut fragment = Fragment::new(self, wall, staging);
        let written = fragment.write(cut, source);
        let Fragment {
            mark,
            paces,
            metadata,
            ..
        } = fragment;
        self.part.end_fragment(staging, written.as_ref().err());
        let (len, checksum) = written?;
        self.checksum = checksum;
        self.preamble_version = Some(cut.preamble.version());
        self.paces = paces;
        self.metadata = metadata;
        self.last = mark;
        let extent = &mut self.part.extent;
        extent.gap = extent.gap_before(mark.wall, mark.time, cut.speed, mark.follows_gap);
        extent.len = len;
        extent.to = mark.wall_end();
        extent.duration = mark.end;
        extent.fragments += 1;
        Ok(())
    }

    /// Returns when everything that was appended is on the disk. After an error nobody knows what is: begin
    /// another file, and have this one [repaired](super::repair).
    pub fn sync(&mut self) -> io::Result<()> {
        self.part.sync()
    }

    /// Closes the file, and gives it its name. `None` if there was nothing in it: it is removed. After an
    /// error it can be [repaired](super::repair); `AlreadyExists` means that only the name is missing.
    pub fn close(self, disk: &dyn Disk) -> io::Result<Option<Extent>> {
        self.part.close(disk, &mut |file, extent| {
            close(file, &self.head, (extent.len, extent.to), &self.last)?;
            Ok(extent)
        })
    }
}

/// The times of the messages of one medium.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// The last timestamp in ms from the beginning of the file.
    last: u64,
    /// How much later it was than the one before.
    step: u64,
}

impl Pace {
    /// Notes the next timestamp, and returns when that message is over.
    fn note(&mut self, time: u64) -> u64 {
        /// Longer steps are gaps.
        const LONGEST: u64 = 1000;

        let step = time.saturating_sub(self.last);
        if (1..=LONGEST).contains(&step) {
            self.step = step;
        }
        self.last = self.last.max(time);
        time + self.step
    }
}

/// A fragment on its way to the file.
struct Fragment<'w> {
    file: &'w mut dyn DiskFile,
    staging: &'w mut Staging,
    /// The position in the file of the first byte that isn't written yet.
    offset: u64,
    /// The position from which the mark's `len` counts.
    start: u64,
    checksum: XxHash32,
    base: u32,
    /// The version of the headers that are in the file.
    preamble_version: Option<u32>,
    paces: [Pace; 2],
    metadata: Option<u32>,
    mark: Mark,
    has_time: bool,
}

impl<'w> Fragment<'w> {
    fn new(writer: &'w mut FlvWriter, wall: WallMillis, staging: &'w mut Staging) -> Fragment<'w> {
        Fragment {
            file: writer.part.file.as_mut(),
            staging,
            offset: writer.part.extent.len,
            start: if writer.part.extent.fragments == 0 {
                0
            } else {
                writer.part.extent.len
            },
            checksum: writer.checksum.clone(),
            base: writer.base,
            preamble_version: writer.preamble_version,
            paces: writer.paces,
            metadata: writer.metadata,
            mark: Mark {
                follows_gap: writer.part.has_gap,
                has_audio: writer.last.has_audio,
                has_video: writer.last.has_video,
                wall,
                end: writer.last.end,
                synced_to: writer.part.synced_to,
                ..Mark::default()
            },
            has_time: false,
        }
    }

    /// Writes a cut, and a mark. Returns the length of the file, and the checksum with which the next fragment
    /// begins.
    fn write(
        &mut self,
        cut: &Cut,
        source: &mut Source<'_>,
    ) -> Result<(u64, XxHash32), AppendError> {
        // Otherwise they have come as messages.
        let is_new = match self.preamble_version {
            None => true,
            Some(version) => self.mark.follows_gap && version != cut.preamble.version(),
        };
        if is_new {
            let first = cut.samples.first();
            let time = first.map_or(0, |first| since(self.base, first.timestamp));
            self.put_headers(cut, time)?;
        }
        for sample in &cut.samples {
            match sample.kind {
                _ if sample.len > MAX_PAYLOAD_LEN => {}
                Kind::Data => self.put_metadata(sample, source)?,
                Kind::Script => self.put_script(sample, source)?,
                Kind::Audio | Kind::Video => {
                    self.note(sample);
                    self.put_message(sample, source)?;
                }
            }
        }
        if !self.has_time {
            self.mark.time = self.mark.end;
        }
        self.mark.len = self.position() - self.start;
        let mark = self.mark.bytes(self.checksum.clone());
        self.put(&mark)?;
        self.staging.flush(self.file, &mut self.offset)?;
        Ok((self.offset, Mark::checksum_after(&mark)))
    }

    /// The position in the file of the next byte.
    fn position(&self) -> u64 {
        self.offset + self.staging.len() as u64
    }

    /// Notes the time of a frame whose tag comes next.
    fn note(&mut self, sample: &CutSample) {
        let time = u64::from(since(self.base, sample.timestamp));
        let [audio, video] = &mut self.paces;
        let pace = match sample.kind {
            Kind::Video => video,
            _ => audio,
        };
        let end = pace.note(time);
        let at = self.position() - self.start;
        let mark = &mut self.mark;
        mark.has_audio |= sample.kind == Kind::Audio;
        mark.has_video |= sample.kind == Kind::Video;
        mark.end = mark.end.max(end);
        let is_keyframe = sample.kind == Kind::Video && sample.is_sync;
        if is_keyframe && mark.keyframe_at.is_none() {
            mark.keyframe_at = Some(at);
            mark.time = time;
        } else if !self.has_time {
            mark.time = time;
        }
        self.has_time = true;
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.write(bytes);
        self.staging.push(self.file, &mut self.offset, bytes)
    }

    fn put_tag(&mut self, kind: Kind, time: u32, payload: &[u8]) -> io::Result<()> {
        let header = kind.tag_header(payload.len() as u32, time);
        self.put(&header.bytes())?;
        self.put(payload)?;
        self.put(&header.size_bytes())
    }

    fn put_headers(&mut self, cut: &Cut, time: u32) -> io::Result<()> {
        let headers = (0..).map_while(|index| cut.preamble.nth(index));
        for (slot, payload) in headers {
            let is_left_out = slot.kind() == Kind::Audio && cut.tracks.audio.is_none();
            // The metadata stands at the beginning of the file.
            if slot != Slot::Metadata && !is_left_out {
                self.put_tag(slot.kind(), time, payload)?;
            }
        }
        Ok(())
    }

    /// Writes a message as it came.
    fn put_message(
        &mut self,
        sample: &CutSample,
        source: &mut Source<'_>,
    ) -> Result<(), AppendError> {
        let time = since(self.base, sample.timestamp);
        let header = sample.kind.tag_header(sample.len, time);
        self.put(&header.bytes())?;
        let mut place = CopyPlace::default();
        let mut left = sample.len as usize;
        while left > 0 {
            let room = self.staging.room();
            let most = room.len().min(left);
            let room = room.get_mut(..most).unwrap_or_default();
            if room.is_empty() {
                self.staging.flush(self.file, &mut self.offset)?;
                continue;
            }
            let count = source(std::slice::from_ref(sample), &mut place, room)?;
            let copied = room.get(..count).unwrap_or_default();
            if copied.is_empty() {
                // Less than was announced: gone for good.
                return Err(AppendError::Evicted);
            }
            self.checksum.write(copied);
            self.staging.extend(count);
            left -= count;
        }
        self.put(&header.size_bytes())?;
        Ok(())
    }

    /// Writes metadata that change within the file. Some players forget the index when they come to other
    /// metadata, so these aren't repeated without need.
    fn put_metadata(
        &mut self,
        sample: &CutSample,
        source: &mut Source<'_>,
    ) -> Result<(), AppendError> {
        if sample.len > MAX_DATA_LEN {
            return Ok(());
        }
        if let Some(message) = for_file(&copy(sample, source)?) {
            let checksum = Some(XxHash32::oneshot(0, &message));
            if self.metadata != checksum {
                self.put_tag(sample.kind, 0, &message)?;
                self.metadata = checksum;
            }
        }
        Ok(())
    }

    /// Writes a data message, unless a repair would take it for a mark.
    fn put_script(
        &mut self,
        sample: &CutSample,
        source: &mut Source<'_>,
    ) -> Result<(), AppendError> {
        if Mark::may_have_len(sample.len) && Mark::is_like(&copy(sample, source)?) {
            return Ok(());
        }
        self.put_message(sample, source)
    }
}

/// Returns the metadata of a publisher without what they say of length; `None` if they are none.
fn for_file(payload: &[u8]) -> Option<Vec<u8>> {
    let properties = metadata::parse(payload.into()).flatten()?;
    Some(FileProperties::of(&properties).message())
}

/// Returns the payload of a short message.
fn copy(sample: &CutSample, source: &mut Source<'_>) -> Result<Vec<u8>, AppendError> {
    let mut payload = vec![0; sample.len as usize];
    let mut place = CopyPlace::default();
    let mut rest = &mut payload[..];
    while !rest.is_empty() {
        let count = source(std::slice::from_ref(sample), &mut place, rest)?;
        if count == 0 {
            return Err(AppendError::Evicted);
        }
        rest = rest.get_mut(count..).unwrap_or_default();
    }
    Ok(payload)
}
