//! A reader of MP4 files by others, as the messages of RTMP.
//!
//! ```text
//! ftyp  moov [ trak [ .. stsd stts ctts stss stsc stsz stco ] .. ]  mdat     tables
//! ftyp  mdat  moov                                                           the same
//! ftyp  moov [ trak .. mvex ]  moof mdat  moof mdat ..                       fragments
//!
//! sequence headers -> frames of all tracks in the order in which they are decoded
//! ```
//!
//! The first video and the first audio track are read that FLV can carry. A `moov` is kept whole, and its
//! tables are read where they lie; of fragments, one at a time is kept. Times are those of the edit lists,
//! beginning at 0.

mod codec;
mod fragment;
mod summary;
mod table;
mod track;

use super::boxes_read::BoxHeader;
use crate::media::{Error, Medium};
pub use summary::TrackSummary;
use track::{Track, Tracks};

/// The longest `moov` and `moof` that are read, in bytes. An hour has about half a megabyte for each track.
const MAX_MOOV_LEN: u64 = 64 << 20;
const MAX_MOOF_LEN: u64 = 4 << 20;

/// The number of bytes by which a buffer grows, so that memory is claimed by bytes that are there.
const STEP: usize = 64 * 1024;

/// The boxes with which files begin (ISO/IEC 14496-12, 4.3; QuickTime).
const FIRST_BOXES: [&[u8; 4]; 9] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"uuid",
];

/// Whether a file that begins with these bytes, of which 8 are enough, is MP4.
pub fn is_mp4(start: &[u8]) -> bool {
    let name = start.get(4..8).unwrap_or_default();
    FIRST_BOXES.iter().any(|first| name == *first)
}

/// A file that can be read at any place.
pub trait ReadAt {
    /// Fills the buffer from this offset on. Returns the number of bytes, which is less than the buffer has
    /// only at the end of the file.
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, Error>;
}

/// The frame of a track, before its bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    /// The place of its bytes in the file.
    at: u64,
    len: u32,
    /// When it is decoded, in ticks of the track.
    decode_time: i64,
    /// The ticks from decoding to presentation.
    composition: i32,
    is_keyframe: bool,
}

/// See the module's documentation.
pub struct Demuxer {
    tracks: Tracks,
    /// The offset of the next box to look at for fragments; `None` in a file with tables.
    next_box: Option<u64>,
    /// The longest frame, in bytes.
    max_len: u32,
    /// The time that is 0 in the messages, in ms.
    base: i64,
    /// Tracks whose sequence headers have yet to be returned.
    headers_left: u8,
}

/// The description of a message whose payload was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemuxedMessage {
    /// Audio or video.
    pub medium: Medium,
    /// The time at which it is decoded, in ms, wrapping.
    pub timestamp: u32,
    /// Whether it configures a decoder.
    pub is_header: bool,
}

impl Demuxer {
    /// Opens a file whose frames may have up to `max_len` bytes.
    ///
    /// Fails if it isn't MP4, is cut before its `moov` ends, or has no track that FLV can carry.
    pub fn open(file: &mut dyn ReadAt, max_len: u32) -> Result<Demuxer, Error> {
        let mut at = 0;
        let mut last: Option<BoxHeader> = None;
        loop {
            let Some(header) = box_header(file, at)? else {
                return Err(match last {
                    None => not_mp4(),
                    Some(last) => without_moov(file, at, &last)?,
                });
            };
            if last.is_none() && !FIRST_BOXES.contains(&&header.name) {
                return Err(not_mp4());
            }
            last = Some(header);
            let end = at.saturating_add(header.len);
            if header.name != *b"moov" {
                at = end;
                continue;
            }
            let moov = read_box(file, at, &header, MAX_MOOV_LEN)?;
            let tracks = Tracks::parse(&moov)?;
            let is_fragmented = tracks.is_fragmented();
            let mut demuxer = Demuxer {
                headers_left: 2,
                base: 0,
                max_len,
                next_box: is_fragmented.then_some(end),
                tracks,
            };
            demuxer.fill(file)?;
            demuxer.base = demuxer.tracks.first_time();
            return Ok(demuxer);
        }
    }

    /// What is known of the tracks, video first.
    pub fn summaries(&mut self) -> Vec<TrackSummary> {
        let mut summaries = Vec::new();
        for medium in [Medium::Video, Medium::Audio] {
            let track = self.tracks.of(medium);
            summaries.extend(track.map(|track| TrackSummary::of(medium, track)));
        }
        summaries
    }

    /// The tracks that are left out, and why, if there are any: those that FLV can't carry, and damaged ones.
    pub fn left_out(&self) -> Option<String> {
        self.tracks.others()
    }

    /// Reads the next message; its payload replaces what is in `payload`. `None` at the end.
    ///
    /// Fails if a table or fragment is damaged, or the file ends before a frame does.
    pub fn next(
        &mut self,
        file: &mut dyn ReadAt,
        payload: &mut Vec<u8>,
    ) -> Result<Option<DemuxedMessage>, Error> {
        payload.clear();
        while let Some(index) = self.headers_left.checked_sub(1) {
            self.headers_left = index;
            // Video first.
            let medium = match index {
                1 => Medium::Video,
                _ => Medium::Audio,
            };
            let Some(track) = self.tracks.of(medium) else {
                continue;
            };
            if track.codec.put_header(payload) {
                return Ok(Some(DemuxedMessage {
                    medium,
                    timestamp: 0,
                    is_header: true,
                }));
            }
        }
        self.fill(file)?;
        let Some((medium, track)) = self.tracks.next() else {
            return Ok(None);
        };
        let Some(sample) = track.take()? else {
            return Ok(None);
        };
        let decoded = track.ms(sample.decode_time);
        let shown = track.ms(sample.decode_time.saturating_add(sample.composition.into()));
        track.codec.put_frame_header(
            sample.is_keyframe,
            shown.wrapping_sub(decoded) as i32,
            payload,
        );
        if sample.len > self.max_len {
            return Err(Error::malformed(format!(
                "a frame of {} bytes at byte {}, expected at most {}",
                sample.len, sample.at, self.max_len
            )));
        }
        append(file, sample.at, sample.len as usize, payload)?;
        Ok(Some(DemuxedMessage {
            medium,
            timestamp: decoded.wrapping_sub(self.base) as u32,
            is_header: false,
        }))
    }

    /// Reads fragments until each track has a frame, or there are no more.
    fn fill(&mut self, file: &mut dyn ReadAt) -> Result<(), Error> {
        while let Some(at) = self.next_box.filter(|_| self.tracks.needs_fragment()) {
            let Some(header) = box_header(file, at)? else {
                self.next_box = None;
                break;
            };
            if header.name == *b"moof" {
                let moof = read_box(file, at, &header, MAX_MOOF_LEN)?;
                self.tracks.add_fragment(&moof, at)?;
            }
            self.next_box = Some(at.saturating_add(header.len));
        }
        Ok(())
    }
}

impl Track {
    /// Ticks in ms, rounded to the nearest; exact from the beginning of the file, so that nothing drifts.
    fn ms(&self, ticks: i64) -> i64 {
        let timescale = i128::from(self.timescale);
        let ticks = i128::from(ticks) + i128::from(self.delay);
        (ticks * 1000 + timescale / 2).div_euclid(timescale) as i64
    }
}

fn not_mp4() -> Error {
    Error::malformed("no box at the beginning, expected the ftyp of an MP4 file")
}

/// The error of a file that ends without `moov`, given the offset where the last box should end.
fn without_moov(file: &mut dyn ReadAt, end: u64, last: &BoxHeader) -> Result<Error, Error> {
    let name = last.name.escape_ascii();
    // Recorders write the length of the media when they are done.
    let is_open = end == u64::MAX;
    let is_cut = is_open || file.read_at(end.saturating_sub(1), &mut [0])? == 0;
    Ok(Error::malformed(match (is_open, is_cut) {
        (true, _) => format!("its recording was never completed: after {name} comes no box moov"),
        (_, true) => format!("the file is cut: it ends in its box {name}, before a box moov"),
        _ => format!("the file ends after its box {name}, expected a box moov: it is cut"),
    }))
}

/// Reads the header of the box at this offset; `None` at the end of the file.
fn box_header(file: &mut dyn ReadAt, at: u64) -> Result<Option<BoxHeader>, Error> {
    let mut bytes = [0; 16];
    let len = file.read_at(at, &mut bytes)?;
    let bytes = bytes.get(..len).unwrap_or_default();
    if len < 8 {
        return Ok(None);
    }
    // A size of 0 means up to the end of the file.
    if bytes.get(..4) == Some(&[0; 4]) {
        let name = bytes.get(4..8).and_then(|name| name.try_into().ok());
        return Ok(Some(BoxHeader {
            name: name.unwrap_or_default(),
            header_len: 8,
            len: u64::MAX,
        }));
    }
    let header = BoxHeader::parse(bytes);
    let broken = || Error::malformed(format!("a broken box at byte {at}, expected a box of MP4"));
    header.ok_or_else(broken).map(Some)
}

/// Reads a box whole.
fn read_box(
    file: &mut dyn ReadAt,
    at: u64,
    header: &BoxHeader,
    most: u64,
) -> Result<Vec<u8>, Error> {
    let name = header.name.escape_ascii();
    if header.len > most {
        return Err(Error::malformed(format!(
            "a box {name} of {} bytes at byte {at}, expected at most {most}",
            header.len
        )));
    }
    let mut bytes = Vec::new();
    append(file, at, header.len as usize, &mut bytes)?;
    Ok(bytes)
}

/// Appends bytes of the file to a buffer, which grows as they come.
fn append(
    file: &mut dyn ReadAt,
    mut at: u64,
    mut left: usize,
    to: &mut Vec<u8>,
) -> Result<(), Error> {
    while left > 0 {
        let len = left.min(STEP);
        let start = to.len();
        to.resize(start + len, 0);
        let read = file.read_at(at, to.get_mut(start..).unwrap_or_default())?;
        if read < len {
            return Err(Error::malformed(format!(
                "the end at byte {}, {} bytes before a box or frame ends: the file is cut",
                at.saturating_add(read as u64),
                left - read
            )));
        }
        at = at.saturating_add(len as u64);
        left -= len;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
