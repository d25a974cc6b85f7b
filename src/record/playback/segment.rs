//! A segment of a playlist: fragments of a file, with other times in them.
//!
//! ```text
//! file      ... | note | moof: tfdt 4000 | mdat | note | moof: tfdt 5000 | mdat | ...
//! segment         note | moof: tfdt 9000 | mdat | note | moof: tfdt 10000 | mdat
//! ```

use std::fmt;
use std::io::{self, ErrorKind};

use super::Body;
use super::file::{FileBody, up_to};
use crate::media::Medium;
use crate::media::mp4::movie::Shift;
use crate::record::mp4::reader::{Fragment, Fragments, read_exactly};

/// Where a segment is, as in its URI: `1204-1048576-5000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The offset of its first fragment in the file.
    pub offset: u64,
    /// The number of bytes of all its fragments.
    pub len: u64,
    /// The time of the stream that is 0 in the playlist: the low 32 bits of that in ms.
    pub zero: u32,
}

impl Place {
    /// Reads the text of a URI.
    pub fn parse(text: &str) -> Option<Place> {
        let mut numbers = text.split('-');
        let mut next = || numbers.next()?.parse::<u64>().ok();
        let (offset, len, zero) = (next()?, next()?, next()?);
        let zero = u32::try_from(zero).ok()?;
        numbers
            .next()
            .is_none()
            .then_some(Place { offset, len, zero })
    }

    fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.offset, self.len, self.zero)
    }
}

/// See the module's documentation.
pub struct SegmentBody {
    file: FileBody,
    place: Place,
    shift: Shift,
    fragments: Fragments,
    /// The fragment that was read last.
    last: Fragment,
}

impl SegmentBody {
    /// Looks for a segment in an MP4 file; `None` if it isn't there.
    pub fn new(file: FileBody, place: Place) -> io::Result<Option<SegmentBody>> {
        let (head, _) = file.fragments()?;
        let end = head.closed_at.unwrap_or(file.len()).min(file.len());
        if place.end() > end {
            return Ok(None);
        }
        let mut fragments = Fragments::between(place.offset, place.end());
        let first = fragments.next(&*file.file)?;
        Ok(first.map(|first| {
            let from = i64::from(place.zero);
            let distance = first.note.zero.wrapping_sub(place.zero) as i32;
            let zeros = [from, from + i64::from(distance)];
            SegmentBody {
                file,
                place,
                shift: Shift::default().of_next(&head.init, zeros),
                fragments,
                last: first,
            }
        }))
    }

    /// Finds the fragment that contains an offset in the file.
    fn find(&mut self, at: u64) -> io::Result<Fragment> {
        if at < self.last.offset {
            self.fragments = Fragments::between(self.place.offset, self.place.end());
        }
        while !(self.last.offset..self.last.end()).contains(&at) {
            let next = self.fragments.next(&*self.file.file)?;
            self.last = next.ok_or(ErrorKind::InvalidData)?;
        }
        Ok(self.last)
    }
}

impl Body for SegmentBody {
    fn len(&self) -> u64 {
        self.place.len
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.len() {
            return Ok(0);
        }
        let at = self.place.offset + offset;
        let fragment = self.find(at)?;
        let read = self.file.read(at, up_to(fragment.end(), at, buffer))?;
        let places = fragment.note.decode_times();
        for (medium, place) in [Medium::Video, Medium::Audio].into_iter().zip(places) {
            let place = place.map(|place| fragment.moof_offset() + place);
            // Both ends are compared, since a read may begin or end within the time.
            let Some(place) = place.filter(|place| at < place + 8 && *place < at + read as u64)
            else {
                continue;
            };
            let mut time = [0; 8];
            if !read_exactly(&*self.file.file, place, &mut time)? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let time = self.shift.apply(medium, u64::from_be_bytes(time));
            for (byte, place) in time.to_be_bytes().into_iter().zip(place..) {
                let index = place.checked_sub(at).filter(|index| *index < read as u64);
                if let Some(to) = index.and_then(|index| buffer.get_mut(index as usize)) {
                    *to = byte;
                }
            }
        }
        Ok(read)
    }
}
