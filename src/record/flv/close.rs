//! The close of a file.

use std::io::{self, IoSlice};

use super::head::{FLAGS_AT, Head};
use super::index;
use super::mark::Mark;
use crate::media::flv::file_header;
use crate::record::WallMillis;
use crate::record::disk::DiskFile;

/// Completes a file whose last mark ends at `end`, and whose recording ends at `to`. It then is on the disk as a whole.
pub(super) fn close(
    file: &mut dyn DiskFile,
    head: &Head,
    (end, to): (u64, WallMillis),
    last: &Mark,
) -> io::Result<()> {
    file.truncate(end)?;
    index::write(file, head, end, last)?;
    let header = file_header(last.has_audio, last.has_video);
    let flags = header.get(FLAGS_AT..=FLAGS_AT).unwrap_or_default();
    file.write_at(FLAGS_AT as u64, &[IoSlice::new(flags)])?;
    // A scan takes the end of the recording from here.
    file.set_modified(to)?;
    file.sync()
}
