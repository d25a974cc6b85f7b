//! Head: what precedes the fragments of a file.

use std::hash::Hasher;
use std::io;
use std::ops::Range;

use twox_hash::XxHash32;

use super::walk::Bytes;
use crate::live::cut::Cut;
use crate::live::preamble::Slot;
use crate::media::flv::{
    FILE_HEADER_LEN, OVERHEAD, TAG_HEADER_LEN, TagHeader, file_header, tag_type,
};
use crate::record::disk::DiskFile;
use crate::rtmp::file_metadata::{FileProperties, REGION_AT, Room};
use crate::rtmp::metadata;

/// The position of the flags in the header that tell which media there are.
pub(super) const FLAGS_AT: usize = 4;

/// The position of the payload of the metadata.
const PAYLOAD_AT: usize = FILE_HEADER_LEN + TAG_HEADER_LEN;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The room for what is known at the end.
    pub(super) room: Room,
    /// The length in bytes.
    pub(super) len: u64,
}

impl Head {
    /// The position of the payload of the metadata in the file.
    pub(super) fn payload_at(&self) -> u64 {
        PAYLOAD_AT as u64
    }

    /// The range of the file that is rewritten at the close.
    fn region(&self) -> Range<usize> {
        let start = PAYLOAD_AT + REGION_AT;
        start..start + self.room.region_len()
    }

    /// Returns the head of a file that begins with a cut, and its bytes.
    pub(super) fn of(cut: &Cut, capacity: u32) -> (Head, Vec<u8>) {
        let (has_audio, has_video) = (cut.tracks.audio.is_some(), cut.tracks.video.is_some());
        let mut bytes = vec![0; PAYLOAD_AT];
        properties(cut).put_open_file(capacity, &mut bytes);
        let header = TagHeader {
            tag_type: tag_type::SCRIPT,
            len: (bytes.len() - PAYLOAD_AT) as u32,
            timestamp: 0,
        };
        let begin = file_header(has_audio, has_video).into_iter();
        let begin = begin.chain(header.bytes());
        bytes
            .iter_mut()
            .zip(begin)
            .for_each(|(to, from)| *to = from);
        bytes.extend_from_slice(&header.size_bytes());
        let head = Head {
            room: Room::new(capacity),
            len: bytes.len() as u64,
        };
        (head, bytes)
    }

    /// The checksum of the bytes that are never rewritten.
    pub(super) fn checksum(&self, bytes: &[u8]) -> XxHash32 {
        let region = self.region();
        let mut checksum = XxHash32::with_seed(0);
        checksum.write(bytes.get(FLAGS_AT + 1..region.start).unwrap_or_default());
        checksum.write(bytes.get(region.end..).unwrap_or_default());
        checksum
    }

    /// Reads the head of a file; `None` if it is damaged.
    pub(super) fn read(file: &dyn DiskFile) -> io::Result<Option<(Head, XxHash32)>> {
        let mut bytes = Bytes::new(file, 0);
        let mut begin = [0; PAYLOAD_AT + REGION_AT];
        if !bytes.read(&mut begin)? {
            return Ok(None);
        }
        let Some((head, header)) = Head::parse(&begin) else {
            return Ok(None);
        };
        let region = head.region();
        let mut checksum = head.checksum(&begin);
        let mut bytes = Bytes::new(file, region.end as u64);
        let rest = head.len - region.end as u64;
        let mut size = [0; 4];
        let is_whole = bytes.pass(rest - 4, &mut checksum)? && bytes.read(&mut size)?;
        checksum.write(&size);
        Ok((is_whole && size == header.size_bytes()).then_some((head, checksum)))
    }

    fn parse(begin: &[u8; PAYLOAD_AT + REGION_AT]) -> Option<(Head, TagHeader)> {
        let (header, tag) = begin.split_first_chunk::<FILE_HEADER_LEN>()?;
        let flags = *header.get(FLAGS_AT)?;
        let is_flv = *header == file_header(flags & 4 != 0, flags & 1 != 0);
        let (tag, payload) = tag.split_first_chunk::<TAG_HEADER_LEN>()?;
        let tag = TagHeader::parse(tag)?;
        let room = Room::parse(payload)?;
        let head = Head {
            room,
            len: (FILE_HEADER_LEN + OVERHEAD) as u64 + u64::from(tag.len),
        };
        let is_metadata = tag.tag_type == tag_type::SCRIPT && tag.timestamp == 0;
        let has_room = head.region().end as u64 + 4 <= head.len;
        (is_flv && is_metadata && has_room).then_some((head, tag))
    }
}

/// What is said of the stream: by its publisher, else by its tracks.
fn properties(cut: &Cut) -> FileProperties {
    let said = cut.preamble.header(Slot::Metadata).unwrap_or_default();
    let said = metadata::parse(said.into()).flatten();
    let mut properties = said.as_ref().map(FileProperties::of).unwrap_or_default();
    let is_said = |name| said.as_ref().is_some_and(|said| said.token(name).is_some());
    let video = cut.tracks.presentation.video.as_ref();
    if let Some(format) = video.and_then(|video| video.format.as_ref()) {
        if !is_said("width") && !is_said("height") {
            properties.add_number("width", f64::from(format.width));
            properties.add_number("height", f64::from(format.height));
        }
    }
    for (slot, name) in [
        (Slot::Video(0), "videocodecid"),
        (Slot::Audio(0), "audiocodecid"),
    ] {
        let header = cut.preamble.header(slot).filter(|_| !is_said(name));
        if let Some(id) = header.and_then(|header| codec_id(slot, header)) {
            properties.add_number(name, id);
        }
    }
    properties
}

/// The codec of a sequence header as a number (FLV, E.4.2.1 and E.4.3.1; E2, "Metadata Frame").
fn codec_id(slot: Slot, header: &[u8]) -> Option<f64> {
    let first = *header.first()?;
    let (is_enhanced, id) = match slot {
        Slot::Video(_) => (first & 0x80 != 0, first & 0x0F),
        _ => (first >> 4 == 9, first >> 4),
    };
    if !is_enhanced {
        return Some(id.into());
    }
    let four_cc = header.get(1..5)?.try_into().ok()?;
    Some(u32::from_be_bytes(four_cc).into())
}
