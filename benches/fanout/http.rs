//! Just enough of HTTP for viewers of files that never end: one request, the head of its response.
//!
//! ```text
//! GET /bench/stream0.flv HTTP/1.1          HTTP/1.1 200 OK
//! Host: 127.0.0.1:8080                     Content-Type: video/x-flv
//! ```

/// Longer heads are refused.
const MAX_HEAD_LEN: usize = 4096;

/// Returns the bytes of a request.
pub(crate) fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: fanout\r\n\r\n").into_bytes()
}

/// Removes the head of a response, and the framing of its chunks (RFC 9112, 7.1), if there is any.
pub(crate) struct ResponseReader {
    state: State,
    gathered: Gathered,
}

#[derive(Clone, Copy)]
enum State {
    Head,
    ChunkSize,
    /// The bytes left of a chunk, with the end of line after it.
    Chunk(usize),
    /// In a body that is not in chunks.
    Body,
}

impl ResponseReader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Head,
            gathered: Gathered::default(),
        }
    }

    /// Passes on the bytes of the body.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        const LINE_END: &[u8] = b"\r\n";

        while !input.is_empty() {
            self.state = match self.state {
                State::Head => match self.gathered.fill_until(&mut input, b"\r\n\r\n")? {
                    false => break,
                    true => self.parse_head()?,
                },
                State::ChunkSize => match self.gathered.fill_until(&mut input, LINE_END)? {
                    false => break,
                    true => {
                        let line = String::from_utf8_lossy(self.gathered.bytes());
                        let size = usize::from_str_radix(line.trim_end(), 16);
                        let size = size.map_err(|_| format!("chunk of {line:?} bytes"))?;
                        self.gathered.clear();
                        State::Chunk(size + LINE_END.len())
                    }
                },
                State::Chunk(left) if left > LINE_END.len() => {
                    let now = input.len().min(left - LINE_END.len());
                    let (bytes, rest) = input.split_at(now);
                    take(bytes)?;
                    input = rest;
                    State::Chunk(left - now)
                }
                State::Chunk(_) => match self.gathered.fill(&mut input, LINE_END.len()) {
                    false => break,
                    true if self.gathered.bytes() == LINE_END => {
                        self.gathered.clear();
                        State::ChunkSize
                    }
                    true => return Err("a chunk is longer than it said".into()),
                },
                State::Body => return take(input),
            };
        }
        Ok(())
    }

    fn parse_head(&mut self) -> Result<State, String> {
        let head = String::from_utf8_lossy(self.gathered.bytes()).to_ascii_lowercase();
        let is_ours = head.starts_with("http/1.1 200 ") && !head.contains("\r\ncontent-length:");
        if !is_ours {
            return Err(format!("the server answered: {head}"));
        }
        self.gathered.clear();
        match head.contains("\r\ntransfer-encoding: chunked\r\n") {
            true => Ok(State::ChunkSize),
            false => Ok(State::Body),
        }
    }
}

/// Bytes that come in portions and are parsed as a whole.
#[derive(Default)]
pub(crate) struct Gathered(Vec<u8>);

impl Gathered {
    /// Takes from `input` until there are `len` bytes; returns false if it ends before.
    pub(crate) fn fill(&mut self, input: &mut &[u8], len: usize) -> bool {
        let missing = len.saturating_sub(self.0.len());
        let (now, later) = input.split_at(missing.min(input.len()));
        self.0.extend_from_slice(now);
        *input = later;
        now.len() == missing
    }

    /// Takes from `input` until this is at the end; returns false if it ends before.
    fn fill_until(&mut self, input: &mut &[u8], end: &[u8]) -> Result<bool, String> {
        while self.fill(input, self.0.len() + 1) {
            if self.0.ends_with(end) {
                return Ok(true);
            }
            if self.0.len() > MAX_HEAD_LEN {
                return Err("a response without an end of its head".into());
            }
        }
        Ok(false)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
