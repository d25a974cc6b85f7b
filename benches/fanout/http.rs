//! Just enough of HTTP for viewers of files that never end: one request, the head of its response.
//!
//! ```text
//! GET /bench/stream0.flv HTTP/1.1          HTTP/1.1 200 OK
//! Host: 127.0.0.1:8080                     Content-Type: video/x-flv
//! ```

/// Longer heads are no heads.
const MAX_HEAD_LEN: usize = 4096;

/// The bytes of a request.
pub(crate) fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: fanout\r\n\r\n").into_bytes()
}

/// Takes the head off a response.
#[derive(Default)]
pub(crate) struct HeadReader {
    head: Gathered,
    is_complete: bool,
}

impl HeadReader {
    /// Leaves in `input` what belongs to the body. It ends with the connection, so it has no length and no
    /// chunks.
    pub(crate) fn take(&mut self, input: &mut &[u8]) -> Result<(), String> {
        while !self.is_complete && self.head.fill(input, self.head.bytes().len() + 1) {
            let head = self.head.bytes();
            if head.len() > MAX_HEAD_LEN {
                return Err("a response without an end of its head".into());
            }
            if !head.ends_with(b"\r\n\r\n") {
                continue;
            }
            let text = String::from_utf8_lossy(head).to_ascii_lowercase();
            let is_ours = text.starts_with("http/1.1 200 ")
                && !text.contains("\r\ntransfer-encoding:")
                && !text.contains("\r\ncontent-length:");
            if !is_ours {
                return Err(format!("the server answered: {text}"));
            }
            self.is_complete = true;
        }
        Ok(())
    }
}

/// Bytes that come in portions and are looked at as a whole.
#[derive(Default)]
pub(crate) struct Gathered(Vec<u8>);

impl Gathered {
    /// Takes from `input` until there are `len` bytes; false if it ended before.
    pub(crate) fn fill(&mut self, input: &mut &[u8], len: usize) -> bool {
        let missing = len.saturating_sub(self.0.len());
        let (now, later) = input.split_at(missing.min(input.len()));
        self.0.extend_from_slice(now);
        *input = later;
        now.len() == missing
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
