//! Carriers: how a file without an end travels over a connection, piece by piece.
//!
//! ```text
//! raw        piece, piece, ...                      up to the end of the connection
//! chunked    12C CR LF, 300 bytes, CR LF, ...       up to a chunk of no bytes (RFC 9112, 7.1)
//! WebSocket  82 7E 01 2C, 300 bytes, ...            up to a Close frame (RFC 6455, 5.2)
//! ```

use super::framed::CARRIER_HEAD_LEN;
use crate::media::short_bytes::ShortBytes;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Nothing around the pieces: RTMP, or the body of an HTTP response that ends with its
    /// connection.
    Raw,
    /// The body of an HTTP response in chunks. Its client can tell the end from a lost connection:
    /// ffmpeg reports an error when a raw body ends.
    Chunked,
    /// The messages of a WebSocket.
    WebSocket,
}

impl Carrier {
    /// The bytes before a piece.
    pub(super) fn head(self, piece_len: u64) -> CarrierHead {
        match self {
            Carrier::Raw => ShortBytes::new(),
            Carrier::Chunked => chunk_head(piece_len),
            Carrier::WebSocket => frame_head(BINARY, piece_len),
        }
    }

    /// The bytes after a piece.
    pub(super) fn tail(self) -> &'static [u8] {
        if self == Carrier::Chunked {
            b"\r\n"
        } else {
            b""
        }
    }

    /// Appends a piece to `out`.
    pub(super) fn put(self, piece: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.head(piece.len() as u64).as_slice());
        out.extend_from_slice(piece);
        out.extend_from_slice(self.tail());
    }

    /// The bytes that end the file.
    pub(super) fn end(self) -> Vec<u8> {
        match self {
            Carrier::Raw => Vec::new(),
            Carrier::Chunked => b"0\r\n\r\n".to_vec(),
            Carrier::WebSocket => close_frame(GOING_AWAY, ""),
        }
    }

    /// The bytes that end a file when the stream has nothing left that the receiver accepts. A chunked
    /// body just stops, so that the client notices that something went wrong.
    pub(super) fn give_up(self) -> Vec<u8> {
        match self {
            Carrier::Raw | Carrier::Chunked => Vec::new(),
            Carrier::WebSocket => close_frame(UNSUPPORTED_DATA, "no codec that fits"),
        }
    }
}

type CarrierHead = ShortBytes<CARRIER_HEAD_LEN>;

/// Opcodes of WebSocket frames (RFC 6455, 5.2).
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;

/// Status codes of Close frames (RFC 6455, 7.4.1).
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED_DATA: u16 = 1003;

/// The head of an unmasked frame that is a whole message.
fn frame_head(opcode: u8, len: u64) -> CarrierHead {
    const FINAL: u8 = 0x80;

    let mut head = ShortBytes::new();
    head.push(&[FINAL | opcode]);
    match len {
        0..=125 => head.push(&[len as u8]),
        126..=0xFFFF => {
            head.push(&[126]);
            head.push(&(len as u16).to_be_bytes());
        }
        _ => {
            head.push(&[127]);
            head.push(&len.to_be_bytes());
        }
    }
    head
}

/// Appends a text message of a WebSocket to `out`.
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(frame_head(TEXT, text.len() as u64).as_slice());
    out.extend_from_slice(text.as_bytes());
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let len = 2 + reason.len() as u64;
    let head = frame_head(CLOSE, len);
    [head.as_slice(), &code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The head of a chunk: its length in as few hexadecimal digits as possible.
fn chunk_head(len: u64) -> CarrierHead {
    // A message has less than 2^32 bytes.
    let digits = (64 - len.leading_zeros()).div_ceil(4).clamp(1, 8);
    let mut head = ShortBytes::new();
    for index in (0..digits).rev() {
        let digit = b"0123456789ABCDEF"[(len >> (4 * index)) as usize & 0xF];
        head.push(&[digit]);
    }
    head.push(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_lengths_have_as_few_digits_as_possible() {
        for (len, expected) in [
            (0, "0\r\n"),
            (1, "1\r\n"),
            (0xF, "F\r\n"),
            (0x10, "10\r\n"),
            (0xABC, "ABC\r\n"),
            (0x9_0000, "90000\r\n"),
            (0xFFFF_FFFF, "FFFFFFFF\r\n"),
        ] {
            assert_eq!(chunk_head(len).as_slice(), expected.as_bytes());
        }
    }

    #[test]
    fn websocket_frame_lengths_take_1_3_or_9_bytes() {
        for (len, expected) in [
            (0, &b"\x82\0"[..]),
            (125, b"\x82\x7D"),
            (126, b"\x82\x7E\0\x7E"),
            (0xFFFF, b"\x82\x7E\xFF\xFF"),
            (0x1_0000, b"\x82\x7F\0\0\0\0\0\x01\0\0"),
        ] {
            assert_eq!(Carrier::WebSocket.head(len).as_slice(), expected, "{len}");
        }
    }

    #[test]
    fn a_websocket_ends_with_a_close_frame() {
        assert_eq!(Carrier::WebSocket.end(), b"\x88\x02\x03\xE9");
        assert_eq!(
            Carrier::WebSocket.give_up(),
            b"\x88\x14\x03\xEBno codec that fits"
        );
    }
}
