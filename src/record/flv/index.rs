//! The index of keyframes, made from the marks of a file when it is complete.

use std::io::{self, IoSlice};

use super::head::Head;
use super::mark::{MARK_LEN, Mark};
use crate::record::disk::DiskFile;
use crate::record::mp4::reader::read_exactly;
use crate::rtmp::file_metadata::{ENTRY_LEN, REGION_AT, TIMES_AT, put_position, put_time};

/// The number of keyframes that are written at once.
const AT_ONCE: usize = 128;

/// The fragments of a file, from the last to the first.
pub(super) struct Backward<'f> {
    file: &'f dyn DiskFile,
    /// The position behind the next mark.
    end: u64,
}

impl<'f> Backward<'f> {
    /// Begins with the fragment that ends at this position.
    pub(super) fn new(file: &'f dyn DiskFile, end: u64) -> Backward<'f> {
        Backward { file, end }
    }

    /// Returns the mark of a fragment, and the position from which its `len` counts; `None` before the first one, or
    /// if there is no mark.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Mark)>> {
        let Some(at) = self.end.checked_sub(MARK_LEN as u64) else {
            return Ok(None);
        };
        let mut tag = [0; MARK_LEN];
        if !read_exactly(self.file, at, &mut tag)? {
            return Ok(None);
        }
        let mark = Mark::parse(&tag);
        let start = mark.and_then(|mark| Some((at.checked_sub(mark.len)?, mark)));
        self.end = start.map_or(0, |(start, _)| start);
        Ok(start)
    }

    /// Returns the time and position of the next keyframe.
    pub(super) fn next_keyframe(&mut self) -> io::Result<Option<(u64, u64)>> {
        while let Some((start, mark)) = self.next()? {
            if let Some(at) = mark.keyframe_at {
                return Ok(Some((mark.time, start + at)));
            }
        }
        Ok(None)
    }
}

/// Writes what is known at the end of a file into its metadata.
pub(super) fn write(file: &mut dyn DiskFile, head: &Head, end: u64, last: &Mark) -> io::Result<()> {
    let capacity = u64::from(head.room.capacity());
    let mut keyframes = 0_u64;
    let mut backward = Backward::new(file, end);
    while capacity > 0 && backward.next_keyframe()?.is_some() {
        keyframes += 1;
    }
    // An index of one entry says nothing, and ffmpeg complains of it.
    if keyframes == 1 {
        keyframes = 0;
    }
    // Every keyframe, or every second, every third ...
    let step = keyframes.div_ceil(capacity.max(1)).max(1);
    let count = keyframes.div_ceil(step) as u32;
    let payload_at = head.payload_at();
    let put = |file: &mut dyn DiskFile, at: usize, bytes: &[u8]| {
        file.write_at(payload_at + at as u64, &[IoSlice::new(bytes)])
    };
    let before = head.room.before_times(last.end as f64 / 1000.0, end, count);
    if count == 0 {
        let mut region = before;
        head.room.put_padding(0, &mut region);
        return put(file, REGION_AT, &region);
    }
    put(file, REGION_AT, &before)?;
    let times_len = ENTRY_LEN * count as usize;
    let between = head.room.between(count);
    let positions_at = TIMES_AT + times_len + between.len();
    put(file, TIMES_AT + times_len, &between)?;
    put(
        file,
        positions_at + times_len,
        &head.room.after_positions(count),
    )?;

    let mut end_of_next = end;
    let mut next = keyframes;
    while next > 0 {
        // Those that precede what is written already, the last one first.
        let mut some = Vec::with_capacity(AT_ONCE);
        let mut backward = Backward::new(file, end_of_next);
        while some.len() < AT_ONCE && next > 0 {
            let Some(keyframe) = backward.next_keyframe()? else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            next -= 1;
            if next % step == 0 {
                some.push(keyframe);
            }
        }
        end_of_next = backward.end;
        let first = (next.div_ceil(step)) as usize * ENTRY_LEN;
        let mut times = Vec::with_capacity(some.len() * ENTRY_LEN);
        let mut positions = Vec::with_capacity(some.len() * ENTRY_LEN);
        for (time, position) in some.iter().rev() {
            put_time(&mut times, *time);
            put_position(&mut positions, *position);
        }
        if !some.is_empty() {
            put(file, TIMES_AT + first, &times)?;
            put(file, positions_at + first, &positions)?;
        }
    }
    Ok(())
}
