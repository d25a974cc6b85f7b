//! The server side of WebSocket (RFC 6455): the opening handshake, control frames to the client, and a
//! reader of the client's frames, which are rare for viewers.
//!
//! ```text
//! client  89 82 01 02 03 04 60 60     Ping "ab", masked with 01 02 03 04
//! server  8A 02 61 62                 Pong "ab"
//! ```
//!
//! Messages from a viewer are skipped as they arrive, never kept.

mod sha1;

use super::head::Field;
use super::{Head, Method, Response, Status};
use crate::rtmp::base64;

/// The string that is hashed together with the key, to prove that the server speaks WebSocket (1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest message in bytes that is skipped. Viewers have no reason to send messages.
pub(crate) const MAX_MESSAGE_LEN: u64 = 64 * 1024;

/// The longest payload of a control frame, in bytes (5.5).
pub const MAX_CONTROL_LEN: usize = 125;

/// Whether a request asks for an upgrade to WebSocket, well-formed or not.
pub fn is_upgrade(head: &Head<'_>) -> bool {
    head.has_token("upgrade", "websocket")
}

/// Answers the opening handshake (4.2) with "Switching Protocols", or with the reason for refusing it.
pub fn accept(head: &Head<'_>) -> Result<Response, Response> {
    let refuse = |why| Err(Response::text(Status::BadRequest, why));
    if head.method() != Method::Get || !head.is_1_1() {
        return refuse("a WebSocket begins with GET and HTTP/1.1");
    }
    if !head.has_token("connection", "upgrade") {
        return refuse("no Connection: Upgrade");
    }
    let version = head.field("sec-websocket-version");
    if version == Field::Unreadable {
        return refuse("more than one Sec-WebSocket-Version");
    }
    if version != Field::Text("13") {
        let refusal = Response::text(Status::UpgradeRequired, "expected WebSocket version 13");
        return Err(refusal
            .header("Sec-WebSocket-Version", "13")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade"));
    }
    let key = head.header("sec-websocket-key").unwrap_or_default();
    if !is_key(key) {
        return refuse("expected a Sec-WebSocket-Key of 16 bytes in base64");
    }
    Ok(Response::text(Status::SwitchingProtocols, "")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Accept", &accept_key(key)))
}

/// Whether a text is 16 bytes in base64.
fn is_key(key: &str) -> bool {
    let digits = key.strip_suffix("==").unwrap_or_default();
    // The key isn't decoded, in order to accept clients that set the unused bits at its end.
    digits.len() == 22 && digits.bytes().all(|digit| base64::value(digit).is_some())
}

fn accept_key(key: &str) -> String {
    base64::encode(&sha1::sha1(&[key.as_bytes(), GUID].concat()))
}

/// The kinds of control frames (5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// The end of the connection, with the reason.
    Close = 8,
    /// A request for a Pong.
    Ping = 9,
    /// The answer to a Ping.
    Pong = 10,
}

/// Builds a control frame from the server. The payload is cut to 125 bytes.
pub(crate) fn control_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    const FINAL: u8 = 0x80;

    let payload = payload.get(..MAX_CONTROL_LEN).unwrap_or(payload);
    [&[FINAL | opcode as u8, payload.len() as u8], payload].concat()
}

/// Builds a Close frame with a status code (7.4.1) and a reason in words.
pub(crate) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    control_frame(
        Opcode::Close,
        &[&code.to_be_bytes(), reason.as_bytes()].concat(),
    )
}

/// Status codes of Close frames (7.4.1).
pub mod close_code {
    /// The connection has fulfilled its purpose.
    pub(crate) const NORMAL: u16 = 1000;
    /// The client broke the protocol.
    pub(crate) const PROTOCOL_ERROR: u16 = 1002;
    /// A text message isn't UTF-8.
    pub(crate) const NOT_TEXT: u16 = 1007;
    /// The client did something that the server doesn't allow.
    pub(crate) const POLICY_VIOLATION: u16 = 1008;
    /// The server can't handle the request now.
    pub(crate) const TRY_AGAIN_LATER: u16 = 1013;
    /// A message is longer than the server accepts.
    pub(crate) const TOO_BIG: u16 = 1009;
}

/// A frame or message from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketEvent {
    /// A Ping; these bytes must be returned in a Pong.
    Ping(Vec<u8>),
    /// A Pong: the answer to a Ping, or a keepalive.
    Pong,
    /// A Close, with its status code if it has one. No events follow.
    Close(Option<u16>),
    /// A text or binary message, which has been skipped.
    Message,
}

/// A violation of the protocol or of a limit by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The status code for the Close frame.
    pub code: u16,
    /// A description of what the client did wrong.
    pub why: &'static str,
}

fn violation(why: &'static str) -> Violation {
    let code = close_code::PROTOCOL_ERROR;
    Violation { code, why }
}

const NOT_TEXT: Violation = Violation {
    code: close_code::NOT_TEXT,
    why: "a text that isn't UTF-8",
};

/// A reader of a client's frames, in pieces of any size.
#[derive(Debug, Default)]
pub struct FrameReader {
    state: FrameState,
    /// The received part of a frame's head: at most 14 bytes.
    head: Vec<u8>,
    /// The received part of a control frame's payload.
    control: Vec<u8>,
    /// The number of bytes received of an incomplete data message.
    message_len: Option<u64>,
    /// The bytes of an incomplete character, if the data message is a text.
    text: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
enum FrameState {
    #[default]
    Head,
    Payload {
        head: FrameHead,
        /// The number of bytes still to be received.
        left: u64,
    },
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct FrameHead {
    is_final: bool,
    opcode: u8,
    len: u64,
    mask: [u8; 4],
}

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = Opcode::Close as u8;
const PING: u8 = Opcode::Ping as u8;

impl FrameHead {
    fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }

    /// Parses a head; `None` if it is incomplete (5.2).
    fn parse(bytes: &[u8]) -> Result<Option<FrameHead>, Violation> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (is_final, opcode) = (first & 0x80 != 0, first & 0x0F);
        if first & 0x70 != 0 {
            return Err(violation("a frame with reserved bits"));
        }
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(violation("a frame of an unknown kind"));
        }
        if second & 0x80 == 0 {
            return Err(violation("a frame without mask"));
        }
        let short = second & 0x7F;
        if opcode >= CLOSE && (!is_final || short > 125) {
            return Err(violation(
                "a control frame in pieces, or of more than 125 bytes",
            ));
        }
        // Longer lengths follow in two or eight bytes, and must use the shortest form.
        let (size, shortest) = match short {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let Some((long, rest)) = rest.split_at_checked(size) else {
            return Ok(None);
        };
        let len = match long {
            [] => u64::from(short),
            long => long.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        if len < shortest || len > i64::MAX as u64 {
            return Err(violation(
                "a frame whose length isn't written as it must be",
            ));
        }
        let [m0, m1, m2, m3] = rest else {
            return Ok(None);
        };
        Ok(Some(FrameHead {
            is_final,
            opcode,
            len,
            mask: [*m0, *m1, *m2, *m3],
        }))
    }
}

impl FrameReader {
    /// Consumes input up to the next event. Returns `None` once all input is consumed. Input after Close
    /// or a violation is ignored.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<WebSocketEvent>, Violation> {
        let result = self.advance(input);
        if result.is_err() {
            self.state = FrameState::Closed;
        }
        result
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<WebSocketEvent>, Violation> {
        loop {
            match self.state {
                FrameState::Closed => {
                    *input = &[];
                    return Ok(None);
                }
                FrameState::Head => {
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(None);
                    };
                    *input = rest;
                    // Byte by byte, because a head may be split between reads.
                    self.head.push(*byte);
                    if let Some(head) = FrameHead::parse(&self.head)? {
                        self.head.clear();
                        self.begin(head)?;
                        let left = head.len;
                        self.state = FrameState::Payload { head, left };
                    }
                }
                FrameState::Payload { head, left: 0 } => {
                    self.state = FrameState::Head;
                    if let Some(event) = self.end(head)? {
                        return Ok(Some(event));
                    }
                }
                FrameState::Payload { head, left } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let (payload, rest) = input.split_at_checked(len).unwrap_or_default();
                    *input = rest;
                    // The mask repeats, starting at the first byte of the payload (5.3).
                    let mask = head.mask.iter().cycle();
                    let mask = mask.skip((head.len - left) as usize % 4);
                    for byte in payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask) {
                        if head.is_control() {
                            self.control.push(byte);
                        } else if let Some(text) = &mut self.text {
                            check_text(text, byte)?;
                        }
                    }
                    let left = left - len as u64;
                    self.state = FrameState::Payload { head, left };
                }
            }
        }
    }

    fn begin(&mut self, head: FrameHead) -> Result<(), Violation> {
        if head.is_control() {
            return Ok(());
        }
        let so_far = match (head.opcode, self.message_len) {
            (CONTINUATION, Some(len)) => len,
            (CONTINUATION, None) => return Err(violation("the rest of a message without one")),
            (_, None) => 0,
            (_, Some(_)) => return Err(violation("a message inside another one")),
        };
        let len = so_far.saturating_add(head.len);
        if len > MAX_MESSAGE_LEN {
            return Err(Violation {
                code: close_code::TOO_BIG,
                why: "a message of more than 65536 bytes",
            });
        }
        self.message_len = Some(len);
        match head.opcode {
            CONTINUATION => {}
            TEXT => self.text = Some(Vec::new()),
            _ => self.text = None,
        }
        Ok(())
    }

    fn end(&mut self, head: FrameHead) -> Result<Option<WebSocketEvent>, Violation> {
        if !head.is_control() {
            if !head.is_final {
                return Ok(None);
            }
            self.message_len = None;
            // A text must not end in the middle of a character.
            let is_cut = self.text.as_ref().is_some_and(|rest| !rest.is_empty());
            return if is_cut {
                Err(NOT_TEXT)
            } else {
                Ok(Some(WebSocketEvent::Message))
            };
        }
        let payload = std::mem::take(&mut self.control);
        Ok(Some(match head.opcode {
            CLOSE => {
                self.state = FrameState::Closed;
                WebSocketEvent::Close(close_code_of(&payload)?)
            }
            PING => WebSocketEvent::Ping(payload),
            _ => WebSocketEvent::Pong,
        }))
    }
}

/// Checks the next byte of a text, which must be UTF-8 even if it is skipped (8.1).
fn check_text(character: &mut Vec<u8>, byte: u8) -> Result<(), Violation> {
    character.push(byte);
    match std::str::from_utf8(character) {
        Ok(_) => character.clear(),
        // The character is still incomplete.
        Err(error) if error.error_len().is_none() => {}
        Err(_) => return Err(NOT_TEXT),
    }
    Ok(())
}

/// Parses the status code of a Close frame (5.5.1, 7.4).
fn close_code_of(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        _ => return Err(violation("half a status code")),
    };
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(violation("a Close frame with a wrong status code"));
    }
    if std::str::from_utf8(reason).is_err() {
        return Err(NOT_TEXT);
    }
    Ok(Some(code))
}

#[cfg(test)]
mod tests;
