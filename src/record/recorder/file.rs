//! The file that a recorder writes at present, in one of the formats.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Rules;
use crate::live::Millis;
use crate::live::cut::{Cut, Form};
use crate::live::tracks::Tracks;
use crate::record::WallMillis;
pub(super) use crate::record::append::{AppendError, Source};
use crate::record::clock::WallTime;
use crate::record::disk::Disk;
use crate::record::extent::Extent;
use crate::record::flv::writer::FlvWriter;
use crate::record::mp4::writer::Mp4Writer;
use crate::record::name::FileName;
use crate::record::staging::Staging;

/// A writer of one format.
trait Writer: Send {
    fn extent(&self) -> &Extent;
    fn extend(&mut self, to: WallMillis);
    fn append(
        &mut self,
        cut: &mut Cut,
        wall: WallMillis,
        source: &mut Source<'_>,
        staging: &mut Staging,
    ) -> Result<(), AppendError>;
    fn sync(&mut self) -> io::Result<()>;
    fn close(self: Box<Self>, disk: &dyn Disk, staging: &mut Staging)
    -> io::Result<Option<Extent>>;
}

macro_rules! writer {
    ($type:ty, $close:expr) => {
        impl Writer for $type {
            fn extent(&self) -> &Extent {
                <$type>::extent(self)
            }

            fn extend(&mut self, to: WallMillis) {
                <$type>::extend(self, to)
            }

            fn append(
                &mut self,
                cut: &mut Cut,
                wall: WallMillis,
                source: &mut Source<'_>,
                staging: &mut Staging,
            ) -> Result<(), AppendError> {
                <$type>::append(self, cut, wall, source, staging)
            }

            fn sync(&mut self) -> io::Result<()> {
                <$type>::sync(self)
            }

            fn close(
                self: Box<Self>,
                disk: &dyn Disk,
                staging: &mut Staging,
            ) -> io::Result<Option<Extent>> {
                $close(*self, disk, staging)
            }
        }
    };
}

writer!(Mp4Writer, Mp4Writer::close_with);
writer!(FlvWriter, |writer: FlvWriter, disk, _| writer.close(disk));

/// See the module's documentation.
pub(super) struct OpenFile {
    writer: Box<dyn Writer>,
    pub(super) name: FileName,
    /// When it began.
    pub(super) began: WallMillis,
    /// The number of steps of the wall clock before it.
    pub(super) steps: u32,
    form: Option<Form>,
    tracks: Arc<Tracks>,
    /// The time of the last sync.
    synced: Millis,
    is_dirty: bool,
}

impl OpenFile {
    /// Begins a file with the tracks of a cut.
    pub(super) fn begin(
        disk: &dyn Disk,
        (path, name): (&Path, FileName),
        cut: &Cut,
        (time, now): (WallTime, Millis),
        expected_len: u64,
        rules: &Rules,
    ) -> io::Result<OpenFile> {
        let wall = time.wall;
        let writer: Box<dyn Writer> = match cut.form {
            Some(Form::Flv) => {
                let duration = rules.segment;
                let writer = FlvWriter::begin(disk, path, cut, wall, expected_len, duration)?;
                Box::new(writer)
            }
            _ => {
                let presentation = &cut.tracks.presentation;
                let writer = Mp4Writer::begin(disk, path, presentation, wall, expected_len)?;
                Box::new(writer)
            }
        };
        Ok(OpenFile {
            writer,
            name,
            began: wall,
            steps: time.steps,
            form: cut.form,
            tracks: Arc::clone(&cut.tracks),
            synced: now,
            is_dirty: false,
        })
    }

    /// What is in the file.
    pub(super) fn extent(&self) -> &Extent {
        self.writer.extent()
    }

    /// Notes that a time lapse goes on at this time, even if no keyframe has come.
    pub(super) fn extend(&mut self, time: WallTime) {
        /// The distance of messages that follow each other, in ms.
        const NEAR: WallMillis = 4_000;

        let to = self.extent().to;
        if self.steps == time.steps && (to..to + NEAR).contains(&time.wall) {
            self.writer.extend(time.wall);
        }
    }

    /// Whether the cut can be in the same file, judging by its tracks.
    pub(super) fn takes(&self, cut: &Cut) -> bool {
        let is_same = Arc::ptr_eq(&self.tracks, &cut.tracks);
        self.form == cut.form && (is_same || self.tracks.is_same_as(&cut.tracks))
    }

    /// Appends a cut whose first frame arrived at this time.
    pub(super) fn append(
        &mut self,
        cut: &mut Cut,
        wall: WallMillis,
        staging: &mut Staging,
        source: &mut Source<'_>,
    ) -> Result<(), AppendError> {
        self.is_dirty = true;
        self.writer.append(cut, wall, source, staging)
    }

    /// Whether something was written that isn't durable, and the last sync is this long ago, in ms.
    pub(super) fn is_sync_due(&self, now: Millis, interval: Millis) -> bool {
        self.is_dirty && now.saturating_sub(self.synced) >= interval
    }

    /// Makes everything durable that was written.
    pub(super) fn sync(&mut self, now: Millis) -> io::Result<()> {
        self.writer.sync()?;
        self.synced = now;
        self.is_dirty = false;
        Ok(())
    }

    /// Closes the file, and gives it its name; `None` if there was nothing in it.
    pub(super) fn close(
        self,
        disk: &dyn Disk,
        staging: &mut Staging,
    ) -> io::Result<Option<Extent>> {
        self.writer.close(disk, staging)
    }
}
