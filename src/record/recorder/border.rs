//! Borders: where one file ends and the next begins.

use std::io;

use super::file::OpenFile;
use super::{Now, Recorder};
use crate::live::Millis;
use crate::live::cut::Form;
use crate::record::WallMillis;
use crate::record::clock::{WallTime, is_next_segment};
use crate::record::name::{self, FileName, Format};
use crate::record::space::length_to_set_aside;

/// The length of a file, in bytes, after which the next one begins: FAT ends at 4 GiB. Tests have no disks for that.
const MAX_LEN: u64 = if cfg!(test) {
    50_000_000
} else {
    3_900_000_000
};

impl Recorder {
    /// The length after which a file ends.
    fn most_len(&self) -> u64 {
        let most = self.store.catalog().condition.most_len;
        most.map_or(MAX_LEN, |most| most.min(MAX_LEN))
    }

    /// Whether a file ends before the cut, which begins at this time.
    pub(super) fn is_over(&self, file: &OpenFile, time: WallTime) -> bool {
        // A file can begin only with a start, but other tracks can't wait for one.
        let must = !file.takes(&self.cut);
        let may = self.wants_file
            || file.steps != time.steps
            || is_next_segment(file.began, time.wall, self.rules.segment())
            || file.extent().len > self.most_len();
        must || self.cut.is_start && may
    }

    /// Begins a file.
    pub(super) fn begin(
        &mut self,
        time: WallTime,
        now: Millis,
        wall: WallMillis,
        clock: &Now<'_>,
    ) -> io::Result<()> {
        self.wants_file = false;
        let format = match self.cut.form {
            Some(Form::Flv) => Format::Flv,
            _ => Format::Mp4,
        };
        let wanted_len = length_to_set_aside(self.last_len);
        let key = self.stream.key();
        let mut wanted = if time.is_set {
            FileName::dated(time.wall, format)
        } else {
            FileName::booted(self.store.boot(), self.cut.arrived, format)
        };
        loop {
            let (name, aside) = {
                let mut catalog = self.store.catalog();
                let name = catalog.begin(key, wanted, time.wall);
                let aside = catalog.condition.take_room_aside(wanted_len);
                catalog.set_aside(key, name, aside);
                (name, aside)
            };
            let (disk, path) = (self.store.disk(), name::path(key, name));
            let (times, place) = ((time, now), (&*path, name));
            let began = clock().0;
            let begun = OpenFile::begin(&**disk, place, &self.cut, times, aside, &self.rules);
            self.tally.note_time(clock().0.saturating_sub(began));
            match begun {
                Ok(file) => {
                    self.tally.begin_file(key, path.display().to_string());
                    self.file = Some(file);
                    self.note_growth(wall);
                    return Ok(());
                }
                Err(error) => {
                    self.store.catalog().remove(key, name);
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(error);
                    }
                    wanted = name.next();
                }
            }
        }
    }

    /// Closes the file.
    pub(super) fn close(&mut self, clock: &Now<'_>) {
        let Some(file) = self.file.take() else {
            return;
        };
        let (name, key) = (file.name, self.stream.key().clone());
        let began = clock().0;
        let closed = file.close(&**self.store.disk(), &mut self.staging);
        self.note_time(began, clock);
        let (now, wall) = clock();
        match closed {
            Ok(Some(extent)) => {
                self.last_len = extent.len;
                self.tally.grow(&extent);
                self.tally.report.last_sync = Some(now);
                let mut catalog = self.store.catalog();
                catalog.close(&key, name, extent.len, extent.to, wall);
            }
            Ok(None) => {
                self.tally.remove_file();
                self.store.catalog().remove(&key, name);
            }
            Err(error) => {
                self.store.catalog().abandon(&key, name);
                self.note_failure(&error, now);
            }
        }
    }
}
