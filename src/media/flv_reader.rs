//! A reader of FLV as it arrives, from a file or over HTTP (FLV, Annex E).
//!
//! ```text
//! bytes -> FLV header        (skipped)
//!       -> tag header        FlvPart::Tag(header)
//!       -> payload           FlvPart::Payload(bytes), as often as bytes come
//!       -> size of the tag   FlvPart::End
//! ```
//!
//! The payload isn't kept here: the caller appends its pieces wherever it keeps messages, so that memory is
//! claimed by bytes that came, never by a length that was announced.

use byteorder::{BigEndian, ByteOrder};

use super::Error;
use super::flv::{MAX_PAYLOAD_LEN, TAG_HEADER_LEN, TagHeader, tag_type};

/// The length of the file's header, without the size of the tag before the first one (E.2).
const HEADER_LEN: usize = 9;

/// The length of the size that follows each tag.
const SIZE_LEN: u32 = 4;

/// The longest file header that is skipped, in bytes. Its length is a field of its own, of which only 9 is
/// in use.
const MAX_HEADER_LEN: u32 = 1024;

/// The bits of a tag's first byte for its type, and the one of encrypted tags (E.4.1).
const TYPE_BITS: u8 = 0x1F;
const FILTER_BIT: u8 = 0x20;

/// A part of an FLV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlvPart<'a> {
    /// A tag begins.
    Tag(TagHeader),
    /// The next bytes of its payload.
    Payload(&'a [u8]),
    /// The payload is complete.
    End,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct FlvReader {
    state: State,
    /// The bytes of an incomplete header.
    header: [u8; TAG_HEADER_LEN],
    header_len: usize,
    /// The longest payload, in bytes.
    max_len: u32,
    /// The number of bytes read.
    position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FileHeader,
    /// Between tags, or in the header of one.
    TagHeader,
    /// In a payload; holds the number of bytes left.
    Payload(u32),
    /// Bytes of no interest, before a tag's header.
    Skip(u32),
}

impl FlvReader {
    /// Creates a reader at the beginning of a file whose payloads may have up to `max_len` bytes.
    pub fn new(max_len: u32) -> FlvReader {
        FlvReader {
            state: State::FileHeader,
            header: [0; TAG_HEADER_LEN],
            header_len: 0,
            max_len: max_len.min(MAX_PAYLOAD_LEN),
            position: 0,
        }
    }

    /// Consumes input up to the next part. Returns `None` once all input was consumed.
    ///
    /// Fails if the bytes aren't FLV, or a tag is encrypted, of an unknown type or too long; the reader
    /// can't be used any longer then.
    pub fn read<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<FlvPart<'a>>, Error> {
        loop {
            match self.state {
                State::FileHeader => {
                    if !self.fill_header(HEADER_LEN, input) {
                        return Ok(None);
                    }
                    self.state = State::Skip(self.after_file_header()?);
                }
                State::Skip(0) => self.state = State::TagHeader,
                State::Skip(left) => {
                    let skipped = self.take(left, input);
                    if skipped.is_empty() {
                        return Ok(None);
                    }
                    self.state = State::Skip(left - skipped.len() as u32);
                }
                State::TagHeader => {
                    if !self.fill_header(TAG_HEADER_LEN, input) {
                        return Ok(None);
                    }
                    let header = self.tag_header()?;
                    self.state = State::Payload(header.len);
                    return Ok(Some(FlvPart::Tag(header)));
                }
                State::Payload(0) => {
                    self.state = State::Skip(SIZE_LEN);
                    return Ok(Some(FlvPart::End));
                }
                State::Payload(left) => {
                    let piece = self.take(left, input);
                    if piece.is_empty() {
                        return Ok(None);
                    }
                    self.state = State::Payload(left - piece.len() as u32);
                    return Ok(Some(FlvPart::Payload(piece)));
                }
            }
        }
    }

    /// Checks that the file may end here: after its header, or after a tag. The size of the last tag may be
    /// missing.
    pub fn finish(&self) -> Result<(), Error> {
        let at = self.position;
        match self.state {
            State::FileHeader if at == 0 => Err(Error::malformed("no bytes, expected FLV")),
            State::FileHeader => Err(Error::malformed(format!(
                "the end after {at} bytes, expected the header of an FLV file"
            ))),
            State::Payload(left) if left > 0 => Err(Error::malformed(format!(
                "the end at byte {at}, in the middle of a tag: {left} bytes of it are missing"
            ))),
            State::TagHeader if self.header_len > 0 => Err(Error::malformed(format!(
                "the end at byte {at}, in the middle of a tag's header"
            ))),
            _ => Ok(()),
        }
    }

    fn take<'a>(&mut self, most: u32, input: &mut &'a [u8]) -> &'a [u8] {
        let len = input.len().min(most as usize);
        let (taken, rest) = input.split_at(len);
        *input = rest;
        self.position += len as u64;
        taken
    }

    /// Fills the buffer up to `len` bytes; false if there isn't enough input.
    fn fill_header(&mut self, len: usize, input: &mut &[u8]) -> bool {
        let taken = self.take((len - self.header_len) as u32, input);
        let place = self.header.get_mut(self.header_len..).unwrap_or_default();
        place
            .iter_mut()
            .zip(taken)
            .for_each(|(to, from)| *to = *from);
        self.header_len += taken.len();
        if self.header_len < len {
            return false;
        }
        self.header_len = 0;
        true
    }

    /// Checks the file's header. Returns the number of bytes from there to the first tag.
    fn after_file_header(&self) -> Result<u32, Error> {
        let [f, l, v, _, _, offset @ ..] = self.header;
        if [f, l, v] != *b"FLV" {
            let found = [f, l, v]
                .map(|byte| byte.escape_ascii().to_string())
                .concat();
            return Err(Error::malformed(format!(
                "the first bytes are \"{found}\", expected \"FLV\""
            )));
        }
        let len = offset.get(..4).map_or(0, BigEndian::read_u32);
        let more = len.checked_sub(HEADER_LEN as u32);
        match more.filter(|_| len <= MAX_HEADER_LEN) {
            Some(more) => Ok(more + SIZE_LEN),
            None => Err(Error::malformed(format!(
                "an FLV header of {len} bytes, expected {HEADER_LEN}"
            ))),
        }
    }

    fn tag_header(&self) -> Result<TagHeader, Error> {
        let [first, l1, l2, l3, t1, t2, t3, t0, ..] = self.header;
        let at = self.position - TAG_HEADER_LEN as u64;
        let tag_type = first & TYPE_BITS;
        if first & FILTER_BIT != 0 {
            return Err(Error::unsupported(format!("an encrypted tag at byte {at}")));
        }
        if !matches!(first, tag_type::AUDIO | tag_type::VIDEO | tag_type::SCRIPT) {
            return Err(Error::malformed(format!(
                "a tag of type {tag_type} at byte {at}, expected 8 (audio), 9 (video) or 18 (data)"
            )));
        }
        let len = u32::from_be_bytes([0, l1, l2, l3]);
        if len > self.max_len {
            return Err(Error::malformed(format!(
                "a tag of {len} bytes at byte {at}, expected at most {}",
                self.max_len
            )));
        }
        Ok(TagHeader {
            tag_type,
            len,
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::flv::file_header;

    fn tag(tag_type: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let len = payload.len() as u32;
        let header = TagHeader {
            tag_type,
            len,
            timestamp,
        };
        let size = (len + 11).to_be_bytes();
        [&header.bytes()[..], payload, &size].concat()
    }

    fn file() -> Vec<u8> {
        let mut bytes = file_header(true, true).to_vec();
        bytes.extend(tag(18, 0, b"meta"));
        bytes.extend(tag(9, 0x0102_0304, &[0x17; 300]));
        bytes.extend(tag(8, 0xFFFF_FFFF, b""));
        bytes
    }

    /// Reads pieces of `len` bytes: the tags, and whether the file may end after them.
    fn read(bytes: &[u8], len: usize) -> Result<Vec<(u8, u32, Vec<u8>)>, Error> {
        let mut reader = FlvReader::new(1000);
        let mut tags = Vec::new();
        let mut open = None;
        for mut piece in bytes.chunks(len) {
            while let Some(part) = reader.read(&mut piece)? {
                match part {
                    FlvPart::Tag(header) => {
                        assert!(open.is_none());
                        open = Some((header.tag_type, header.timestamp, Vec::new()));
                    }
                    FlvPart::Payload(bytes) => open.as_mut().unwrap().2.extend_from_slice(bytes),
                    FlvPart::End => tags.push(open.take().unwrap()),
                }
            }
            assert!(piece.is_empty());
        }
        reader.finish()?;
        Ok(tags)
    }

    #[test]
    fn tags_come_out_however_the_bytes_are_split() {
        let expected = [
            (18, 0, b"meta".to_vec()),
            (9, 0x0102_0304, vec![0x17; 300]),
            (8, 0xFFFF_FFFF, Vec::new()),
        ];
        let bytes = file();
        for len in 1..bytes.len() + 1 {
            assert_eq!(read(&bytes, len).unwrap(), expected, "pieces of {len}");
        }
    }

    #[test]
    fn a_longer_header_is_skipped_and_the_last_size_may_be_missing() {
        let mut bytes = file();
        bytes.truncate(bytes.len() - 4);
        bytes[8] = 12;
        bytes.splice(9..9, [1, 2, 3]);
        assert_eq!(read(&bytes, 7).unwrap().len(), 3);
    }

    #[test]
    fn a_cut_file_is_told_apart_from_a_whole_one() {
        let bytes = file();
        let ends: Vec<usize> = (0..bytes.len())
            .filter(|end| read(&bytes[..*end], 1000).is_ok())
            .collect();
        // After the header, and after each tag; the last four bytes are the size of a tag.
        let mut expected: Vec<usize> = (9..14).collect();
        expected.extend(28..33);
        expected.extend(343..348);
        expected.extend(358..362);
        assert_eq!(ends, expected);
    }

    #[test]
    fn what_is_no_flv_is_refused_with_what_was_found() {
        let with = |at: usize, byte: u8| {
            let mut bytes = file();
            bytes[at] = byte;
            bytes
        };
        for (bytes, words) in [
            (Vec::new(), "no bytes"),
            (
                b"\0\0\0 ftypisom".to_vec(),
                "the first bytes are \"\\x00\\x00\\x00\"",
            ),
            (b"FLV".to_vec(), "the end after 3 bytes"),
            (with(8, 8), "an FLV header of 8 bytes"),
            (with(5, 1), "an FLV header of"),
            (with(13, 0x29), "an encrypted tag at byte 13"),
            (with(13, 15), "a tag of type 15 at byte 13"),
            (
                with(14, 1),
                "a tag of 65540 bytes at byte 13, expected at most 1000",
            ),
        ] {
            let error = read(&bytes, 5).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
