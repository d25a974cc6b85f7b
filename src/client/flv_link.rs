//! A connection to an HTTP server that sends FLV without an end.
//!
//! ```text
//! GET /flv?port=1935&app=bcs&stream=channel0_main.bcs HTTP/1.1  ->
//!                     <-  HTTP/1.1 200 OK, FLV header, tag, tag, ...
//! ```

use std::io::ErrorKind;
use std::sync::Arc;

use super::error::{ClientError, ClientErrorKind, words};
use super::target::{LinkOptions, Target};
use crate::http::answer::{Answer, ChunkedBody};
use crate::media::flv::TagHeader;
use crate::media::flv_reader::{FlvPart, FlvReader};
use crate::net::socket::Socket;
use crate::rtmp::Error;
use crate::rtmp::base64;
use crate::rtmp::chunk_reader::{Payload, PayloadSource};
use crate::rtmp::via::Via;
use crate::url::Url;

/// The length of the buffer into which the answer is read.
const BUFFER_LEN: usize = 4096;

/// See the module's documentation.
pub(crate) struct FlvLink<S: PayloadSource> {
    pub(crate) socket: Arc<Socket>,
    /// The body's first bytes, which came with the head.
    pub(crate) input: Vec<u8>,
    /// The stream's URL, after redirects.
    pub(crate) url: Url,
    chunks: Option<ChunkedBody>,
    reader: FlvReader,
    /// The tag that is being read.
    tag: Option<TagHeader>,
    payload: S::Payload,
    /// Bytes of the payload for which there was no memory.
    pending: Vec<u8>,
}

/// The body of an answer.
pub(super) struct Body {
    socket: Socket,
    input: Vec<u8>,
    url: Url,
    is_chunked: bool,
}

impl<S: PayloadSource> FlvLink<S> {
    /// Connects and asks for the stream; returns when the server has begun to answer.
    pub(crate) fn open(source: &S, options: &LinkOptions<'_>) -> Result<FlvLink<S>, ClientError> {
        let body = request(options)?;
        Ok(FlvLink {
            socket: Arc::new(body.socket),
            input: body.input,
            url: body.url,
            chunks: body.is_chunked.then(ChunkedBody::default),
            reader: FlvReader::new(options.max_message),
            tag: None,
            payload: source.payload(),
            pending: Vec::new(),
        })
    }

    /// Consumes input up to the end of the next message, whose bytes are in [`payload`](Self::payload) until
    /// the next call. Returns `None` once all input was consumed. After [`Error::OutOfBlocks`] the call may
    /// be repeated.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<TagHeader>, Error> {
        if self.tag.is_none() {
            self.payload.clear();
        }
        let pending = std::mem::take(&mut self.pending);
        self.keep(&pending)?;
        loop {
            let before = *input;
            let piece = match &mut self.chunks {
                Some(chunks) => chunks.peek(input).map_err(Error::malformed)?,
                None => Some(*input).filter(|input| !input.is_empty()),
            };
            let Some(piece) = piece else {
                return Ok(None);
            };
            let mut rest = piece;
            let part = self.reader.read(&mut rest);
            let part = part.map_err(|error| Error::malformed(error.to_string()))?;
            let used = piece.len() - rest.len();
            match &mut self.chunks {
                Some(chunks) => chunks.advance(used, input),
                None => *input = before.get(used..).unwrap_or_default(),
            }
            match part {
                Some(FlvPart::Tag(header)) => self.tag = Some(header),
                Some(FlvPart::Payload(bytes)) => self.keep(bytes)?,
                Some(FlvPart::End) => return Ok(self.tag.take()),
                None => {}
            }
        }
    }

    /// The bytes of the last message.
    pub(crate) fn payload(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.payload.parts()
    }

    /// Whether the server has sent the last chunk.
    pub(crate) fn is_over(&self) -> bool {
        self.chunks.as_ref().is_some_and(ChunkedBody::is_over)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let len = self.payload.extend(bytes);
        match bytes.get(len..) {
            Some(rest) if !rest.is_empty() => {
                self.pending = rest.to_vec();
                Err(Error::OutOfBlocks)
            }
            _ => Ok(()),
        }
    }
}

/// Asks for a stream, wherever the server says that it is.
fn request(options: &LinkOptions<'_>) -> Result<Body, ClientError> {
    const WHAT: &str = "the request";

    let mut target = Target::new(options);
    loop {
        let socket = target.dial()?;
        let io = |error| ClientError::io(&target.url, WHAT, &error);
        socket
            .write_all(head(&target.url, options.flash_ver).as_bytes())
            .map_err(io)?;
        let mut input = Vec::new();
        let mut buffer = [0; BUFFER_LEN];
        let (answer, len) = loop {
            let patience = target.patience(WHAT)?;
            socket.set_read_timeout(patience).map_err(io)?;
            match socket.read(&mut buffer) {
                Ok(0) => return Err(ClientError::closed(&target.url, WHAT)),
                Ok(len) => input.extend_from_slice(buffer.get(..len).unwrap_or_default()),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => continue,
                    _ => return Err(io(error)),
                },
            }
            let parsed = Answer::parse(&input);
            match parsed.map_err(|why| ClientError::protocol(&target.url, &why))? {
                Some(found) => break found,
                None => continue,
            }
        };
        if let (300..=399, Some(to)) = (answer.status, &answer.location) {
            target.redirect(to)?;
            continue;
        }
        check(&target.url, &answer)?;
        input.drain(..len);
        return Ok(Body {
            socket,
            input,
            url: target.url,
            is_chunked: answer.is_chunked,
        });
    }
}

/// The head of the request. Path and query are sent as they are in the URL.
fn head(url: &Url, flash_ver: &str) -> String {
    let path = url.path();
    let place = match url.port() == url.scheme().default_port() {
        true if url.host().contains(':') => format!("[{}]", url.host()),
        true => url.host().to_owned(),
        false => url.authority(),
    };
    let login = url.login().map_or(String::new(), |login| {
        let login = base64::encode(login.as_bytes());
        format!("Authorization: Basic {login}\r\n")
    });
    let agent = Via::parse(flash_ver).user_agent(env!("CARGO_PKG_VERSION"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
         {login}Connection: close\r\n\r\n"
    )
}

/// Fails if the answer isn't a stream.
fn check(url: &Url, answer: &Answer) -> Result<(), ClientError> {
    let kind = match answer.status {
        200 => return Ok(()),
        401 | 403 => ClientErrorKind::Denied,
        404 | 410 => ClientErrorKind::NotFound,
        _ => ClientErrorKind::Refused,
    };
    let (place, status) = (url.place(), answer.status);
    let reason = words(url, &answer.reason);
    Err(ClientError::new(
        kind,
        format!("{place} answered {status} {reason}, expected 200 and FLV"),
    ))
}
