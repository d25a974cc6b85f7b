//! The head of a server's answer to a request for a stream (RFC 9112, 4), and its body's coding (7.1).
//!
//! ```text
//! HTTP/1.1 200 OK CR LF
//! Transfer-Encoding: chunked CR LF
//! CR LF
//! 1f4 CR LF (500 bytes) CR LF ...
//! ```

use super::head::{MAX_HEAD_LEN, MAX_HEADERS};

/// The longest line of a chunk's size, in bytes.
const MAX_SIZE_LINE: usize = 256;

/// The head of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What the server says beside the status.
    pub(crate) reason: String,
    /// Where the stream is.
    pub(crate) location: Option<String>,
    pub(crate) is_chunked: bool,
    pub(crate) content_type: String,
}

impl Answer {
    /// Parses a head, and returns its length; `None` if it isn't complete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, &'static str> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD_LEN => {
                return Err("a head of more than 8192 bytes");
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err("a head of more than 64 fields"),
            Err(_) => return Err("not an answer in HTTP/1.1"),
        };
        let mut answer = Answer {
            status: response.code.unwrap_or_default(),
            reason: response.reason.unwrap_or_default().to_owned(),
            ..Answer::default()
        };
        for header in response.headers.iter() {
            let value = String::from_utf8_lossy(header.value);
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("location") {
                answer.location = Some(value.into_owned());
            } else if is("content-type") {
                answer.content_type = value.into_owned();
            } else if is("transfer-encoding") {
                let last = value.rsplit(',').next().unwrap_or_default().trim();
                answer.is_chunked = last.eq_ignore_ascii_case("chunked");
            }
        }
        Ok(Some((answer, len)))
    }
}

/// Takes the sizes of chunks out of a body.
#[derive(Debug, Default)]
pub(crate) struct ChunkedBody {
    state: State,
    /// The bytes of the size that is being read.
    size: u64,
    /// The length of the line that is being read.
    line_len: usize,
    /// Whether the line has a character that isn't of the size.
    has_extension: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    /// In the line with the size of a chunk.
    #[default]
    Size,
    Data(u64),
    /// Before the end of the line that follows a chunk.
    AfterData,
    Over,
}

impl ChunkedBody {
    /// Whether the last chunk has come.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Skips what isn't body, and returns the next bytes of the body at the front of `input`; `None` if
    /// there are none yet, or the body is over.
    pub(crate) fn peek<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<&'a [u8]>, &'static str> {
        while let Some((first, rest)) = input.split_first() {
            match self.state {
                State::Over => return Ok(None),
                State::Data(left) => {
                    let len = usize::try_from(left).unwrap_or(usize::MAX);
                    return Ok(input.get(..len.min(input.len())));
                }
                State::AfterData => match first {
                    b'\r' => {}
                    b'\n' => self.state = State::Size,
                    _ => return Err("a chunk that is longer than its size"),
                },
                State::Size => self.take_of_size(*first)?,
            }
            *input = rest;
        }
        Ok(None)
    }

    /// Consumes the first `len` of the bytes that [`peek`](Self::peek) has returned.
    pub(crate) fn advance(&mut self, len: usize, input: &mut &[u8]) {
        if let State::Data(left) = self.state {
            self.state = match left.saturating_sub(len as u64) {
                0 => State::AfterData,
                left => State::Data(left),
            };
            *input = input.get(len..).unwrap_or_default();
        }
    }

    fn take_of_size(&mut self, byte: u8) -> Result<(), &'static str> {
        const BAD: &str = "a chunk without its size in hexadecimal digits";

        self.line_len += 1;
        match (byte, (byte as char).to_digit(16)) {
            (b'\n', _) if self.line_len < 2 => return Err(BAD),
            (b'\n', _) => {
                self.state = match self.size {
                    0 => State::Over,
                    size => State::Data(size),
                };
                (self.size, self.line_len) = (0, 0);
                self.has_extension = false;
            }
            _ if self.line_len > MAX_SIZE_LINE => return Err(BAD),
            (_, Some(digit)) if !self.has_extension => {
                if self.size >> 48 != 0 {
                    return Err(BAD);
                }
                self.size = self.size << 4 | u64::from(digit);
            }
            (b'\r' | b';' | b' ', _) if self.line_len > 1 => self.has_extension = true,
            _ if self.has_extension => {}
            _ => return Err(BAD),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_where_the_stream_is_and_how_it_comes() {
        let head =
            b"HTTP/1.1 302 Found\r\nLocation: /x.flv\r\nTransfer-Encoding: gzip, Chunked\r\n\r\nab";
        let (answer, len) = Answer::parse(head).unwrap().unwrap();
        assert_eq!((answer.status, &*answer.reason), (302, "Found"));
        assert_eq!(answer.location.as_deref(), Some("/x.flv"));
        assert!(answer.is_chunked);
        assert_eq!(len, head.len() - 2);
        for cut in 0..len {
            assert_eq!(Answer::parse(&head[..cut]), Ok(None), "{cut}");
        }
        assert!(Answer::parse(b"RTSP/1.0 200 OK\r\n\r\n").is_err());
        assert!(Answer::parse(&[b"HTTP/1.1 200 OK\r\na: ", &[b'a'; 9000][..]].concat()).is_err());
    }

    /// Reads a body that comes in pieces of `piece` bytes.
    fn read(body: &[u8], piece: usize) -> Result<(Vec<u8>, bool), &'static str> {
        let mut reader = ChunkedBody::default();
        let mut whole = Vec::new();
        for mut input in body.chunks(piece) {
            while let Some(bytes) = reader.peek(&mut input)? {
                whole.extend_from_slice(bytes);
                reader.advance(bytes.len(), &mut input);
            }
        }
        Ok((whole, reader.is_over()))
    }

    #[test]
    fn chunks_become_one_body_however_they_are_cut() {
        let body = b"5\r\nhello\r\n00B;x=1\r\n, hello you\r\n1 \r\n!\r\n0\r\n\r\nleft";
        for piece in 1..body.len() {
            let expected = (b"hello, hello you!".to_vec(), true);
            assert_eq!(read(body, piece), Ok(expected), "{piece}");
        }
        assert_eq!(read(b"5\r\nhel", 2), Ok((b"hel".to_vec(), false)));
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        for body in [
            &b"\r\n"[..],
            b"\n",
            b"x\r\n",
            b"-1\r\n",
            b"5\r\nhello!\r\n",
            b"fffffffffffffff\r\n",
            &[b'0'; 300],
        ] {
            assert!(read(body, 7).is_err(), "{body:?}");
        }
    }
}
