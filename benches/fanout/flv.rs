//! Just enough of FLV to read it as it comes (FLV, Annex E). A tag of five bytes at 26 ms:
//!
//! ```text
//! 09 000005 00001A 00 000000 | 17 01 00 00 00 | 00000010
//! ```

use crate::http::Gathered;
use crate::wire::{MessageHeader, Piece};

const FILE_HEADER_LEN: usize = 13;
const TAG_HEADER_LEN: usize = 11;

/// Cuts a file, fed in any portions, into pieces of its tags' contents.
pub(crate) struct FlvReader {
    state: State,
    gathered: Gathered,
    header: MessageHeader,
}

enum State {
    /// The file's header, and the size of the tag before the first, which is 0.
    FileHeader,
    TagHeader,
    Payload {
        received: usize,
    },
    /// The size of the tag that has just ended.
    TagSize,
}

impl FlvReader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::FileHeader,
            gathered: Gathered::default(),
            header: MessageHeader::default(),
        }
    }

    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        mut take: impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        while !input.is_empty() {
            self.state = match self.state {
                State::FileHeader => {
                    if !self.gathered.fill(&mut input, FILE_HEADER_LEN) {
                        break;
                    }
                    // Both tracks are flagged.
                    if self.gathered.bytes() != b"FLV\x01\x05\0\0\0\x09\0\0\0\0" {
                        return Err(format!("file header {:02X?}", self.gathered.bytes()));
                    }
                    self.gathered.clear();
                    State::TagHeader
                }
                State::TagHeader => {
                    if !self.gathered.fill(&mut input, TAG_HEADER_LEN) {
                        break;
                    }
                    self.parse_tag_header()?;
                    self.gathered.clear();
                    if self.header.len == 0 {
                        return Err("a tag without a payload".into());
                    }
                    State::Payload { received: 0 }
                }
                State::Payload { received } => {
                    let left = self.header.len - received;
                    let (bytes, rest) = input.split_at(left.min(input.len()));
                    input = rest;
                    take(Piece {
                        header: &self.header,
                        offset: received,
                        bytes,
                    })?;
                    match bytes.len() == left {
                        true => State::TagSize,
                        false => State::Payload {
                            received: received + bytes.len(),
                        },
                    }
                }
                State::TagSize => {
                    if !self.gathered.fill(&mut input, 4) {
                        break;
                    }
                    let expected = (TAG_HEADER_LEN + self.header.len) as u32;
                    if self.gathered.bytes() != expected.to_be_bytes() {
                        return Err(format!(
                            "a tag of {expected} bytes that says {:02X?}",
                            self.gathered.bytes()
                        ));
                    }
                    self.gathered.clear();
                    State::TagHeader
                }
            };
        }
        Ok(())
    }

    fn parse_tag_header(&mut self) -> Result<(), String> {
        let &[kind, l1, l2, l3, t1, t2, t3, t0, 0, 0, 0] = self.gathered.bytes() else {
            return Err(format!("tag header {:02X?}", self.gathered.bytes()));
        };
        self.header = MessageHeader {
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            len: u32::from_be_bytes([0, l1, l2, l3]) as usize,
            message_type: kind,
            ..MessageHeader::default()
        };
        Ok(())
    }
}
