//! Request heads: request line and headers, up to the empty line (RFC 9112, sections 2 to 5).
//!
//! ```text
//! GET /live/door.flv?key=1 HTTP/1.1 CR LF
//! Host: camera:8080 CR LF
//! CR LF
//! ```
//!
//! Heads that proxies and servers are known to interpret differently are refused: lines without CR,
//! folded lines, a space before the colon, a second Host, any body.

use core::net::Ipv6Addr;

use super::{Rejected, Status};

/// The longest head, in bytes.
pub const MAX_HEAD_LEN: usize = 8 * 1024;

/// The maximum number of headers in a request.
pub(crate) const MAX_HEADERS: usize = 64;

/// Finds the end of a head in bytes that arrive in pieces.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// The number of bytes searched so far.
    seen: usize,
    /// The offset of the current line.
    line_start: usize,
}

impl HeadReader {
    /// Searches the bytes that are new since the last call; `bytes` is all of the head so far. Once the
    /// head is complete, returns its length, including the empty line.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Rejected> {
        if let (0, Some(first)) = (self.seen, bytes.first()) {
            check_first(*first)?;
        }
        let end = bytes.len().min(MAX_HEAD_LEN);
        for (index, byte) in bytes.iter().enumerate().take(end).skip(self.seen) {
            let is_after_cr = index
                .checked_sub(1)
                .is_some_and(|before| bytes.get(before) == Some(&b'\r'));
            if is_after_cr != (*byte == b'\n') {
                return Err(malformed("a line that doesn't end in CR LF"));
            }
            if *byte == b'\n' {
                // An empty line before the request is a leftover of the previous request (RFC 9112,
                // 2.2).
                if index == self.line_start + 1 && index > 1 {
                    return Ok(Some(index + 1));
                }
                self.line_start = index + 1;
            }
        }
        self.seen = end;
        if end == MAX_HEAD_LEN {
            let why = "a request head of more than 8192 bytes";
            return Err(Rejected::new(Status::HeadersTooLarge, why));
        }
        Ok(None)
    }
}

/// Recognizes other protocols by their first byte.
fn check_first(first: u8) -> Result<(), Rejected> {
    match first {
        3 | 6 => Err(RTMP),
        0x16 => Err(TLS),
        b'\r' | b'!'..=b'~' => Ok(()),
        _ => Err(malformed("not an HTTP request")),
    }
}

fn malformed(why: &'static str) -> Rejected {
    Rejected::new(Status::BadRequest, why)
}

const TLS: Rejected = Rejected {
    status: Status::BadRequest,
    why: "TLS (https://) on the HTTP port, expected http://",
};

/// The error for an RTMP client on the HTTP port.
pub const RTMP: Rejected = Rejected {
    status: Status::BadRequest,
    why: "RTMP on the HTTP port, expected http://",
};

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET: requests a resource.
    Get,
    /// HEAD: requests only the head of the response to GET.
    Head,
    /// OPTIONS: requests the allowed methods.
    Options,
    /// POST: begins something.
    Post,
    /// DELETE: removes a resource.
    Delete,
    /// A method that this server doesn't know.
    Other,
}

/// The longest body of a request, in bytes.
pub const MAX_BODY_LEN: usize = 4096;

/// The paths to which a request with a body may be posted.
const BODIES: &[&str] = &["/api/v1/pushes", "/api/v1/pulls"];

/// What requests begin with that may have a body.
pub const WITH_BODY: &[u8] = b"POST /api/v1/pu";

/// The value of a header that may occur only once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field<'a> {
    /// There is no such header.
    #[default]
    Absent,
    /// One header with this value.
    Text(&'a str),
    /// One header that isn't UTF-8, or several headers.
    Unreadable,
}

impl<'a> Field<'a> {
    /// Returns the value, if it is readable.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Field::Text(text) => Some(text),
            Field::Absent | Field::Unreadable => None,
        }
    }
}

/// A complete and valid request head. Borrows the bytes that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The header lines, each with its line end.
    lines: &'a [u8],
    method: Method,
    is_1_1: bool,
    path: &'a str,
    query: Option<&'a str>,
    /// The host, from the target or else from the header; empty if both are missing.
    host: &'a str,
}

impl<'a> Head<'a> {
    /// Parses the bytes that [`HeadReader`] recognized as a head.
    #[inline(never)] // Keeps the table of headers off the stack of what handles the request.
    pub fn parse(bytes: &'a [u8]) -> Result<Head<'a>, Rejected> {
        // `HeadReader` allows one empty line before the request line.
        let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
            Ok(_) => return Err(malformed("an incomplete request head")),
            Err(error) => return Err(refuse(error)),
        }
        let method = match request.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("OPTIONS") => Method::Options,
            Some("POST") => Method::Post,
            Some("DELETE") => Method::Delete,
            _ => Method::Other,
        };
        let line_end = bytes.iter().position(|byte| *byte == b'\n');
        let lines = line_end.and_then(|at| bytes.get(at + 1..));
        let mut head = Head {
            lines: lines.unwrap_or_default(),
            method,
            is_1_1: request.version == Some(1),
            path: "",
            query: None,
            host: "",
        };
        head.set_host()?;
        head.set_target(request.path.unwrap_or_default())?;
        // Last, since the path decides whether there may be a body.
        head.check_body()?;
        Ok(head)
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whether the client speaks HTTP/1.1 instead of 1.0.
    pub fn is_1_1(&self) -> bool {
        self.is_1_1
    }

    /// Returns the path as received, still percent-encoded. It begins with a slash, or is `*` for
    /// OPTIONS.
    pub fn path(&self) -> &'a str {
        match self.path {
            "" => "/",
            path => path,
        }
    }

    /// Returns the part of the target after the question mark, as received.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Returns the server's name as the client knows it, with the port unless it is the default:
    /// `camera:8080`. Empty if an HTTP/1.0 client doesn't send it.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// Returns the header with this name. For decisions that allow something if a header is absent: an
    /// unreadable header doesn't count as absent.
    pub fn field(&self, name: &str) -> Field<'a> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (None, _) => Field::Absent,
            (Some(value), None) => {
                std::str::from_utf8(value).map_or(Field::Unreadable, Field::Text)
            }
            _ => Field::Unreadable,
        }
    }

    /// Returns the value of the header with this name, if there is exactly one and it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.field(name).text()
    }

    /// Returns the values of all headers with this name, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.headers();
        headers
            .filter(move |(found, _)| is_named(found, name))
            .map(|(_, value)| value)
    }

    /// Returns the names of all headers, in order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        // Valid names are ASCII.
        self.headers().map(|(name, _)| text(name))
    }

    /// Whether one of the comma-separated values of a header is this word.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.has_value(name, &|value| value.eq_ignore_ascii_case(token))
    }

    /// Whether the client accepts gzip explicitly (RFC 9110, 12.5.3).
    pub fn takes_gzip(&self) -> bool {
        let takes = |wanted: &str, is_zero: bool| {
            self.has_value("accept-encoding", &|value| {
                let (coding, weight) = value.split_once(';').unwrap_or((value, "q=1"));
                // The weight is a number from 0 to 1, with up to three decimals.
                let is_none = weight.contains('0') && !weight.contains(|c| matches!(c, '1'..='9'));
                coding.trim_ascii_end().eq_ignore_ascii_case(wanted) && is_none == is_zero
            })
        };
        takes("gzip", false) || takes("*", false) && !takes("gzip", true)
    }

    /// Whether another request may follow on the connection. Never with HTTP/1.0.
    pub fn is_persistent(&self) -> bool {
        let is_readable = |value: &[u8]| std::str::from_utf8(value).is_ok();
        self.is_1_1
            && !self.has_token("connection", "close")
            && self.values("connection").all(is_readable)
    }

    /// Whether a browser sent the request. In unencrypted requests to the page's own site, browsers omit
    /// Origin and Sec-Fetch headers, so the common prefix of their User-Agent counts as well.
    pub(crate) fn is_browser(&self) -> bool {
        let is_of_browsers = |name: &[u8]| {
            let start = name.get(.."sec-fetch-".len()).unwrap_or_default();
            is_named(name, "origin") || is_named(start, "sec-fetch-")
        };
        let agent = self.header("user-agent").unwrap_or_default();
        agent.starts_with("Mozilla/") || self.headers().any(|(name, _)| is_of_browsers(name))
    }

    /// Returns the names and values of all headers, without the whitespace around the values.
    fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let lines = self.lines.split(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            // Removes whitespace, and the CR at the end of the line.
            Some((name, value.strip_prefix(b":")?.trim_ascii()))
        })
    }

    /// Whether a predicate holds for one of the comma-separated values of a header.
    fn has_value(&self, name: &str, is_it: &dyn Fn(&str) -> bool) -> bool {
        self.headers().any(|(found, value)| {
            is_named(found, name)
                && text(value)
                    .split(',')
                    .any(|value| is_it(value.trim_matches([' ', '\t'])))
        })
    }

    fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// The length of the body in bytes: 0 for nearly all requests.
    pub fn body_len(&self) -> usize {
        let length = self.header("content-length").unwrap_or_default();
        length.parse().unwrap_or(0)
    }

    /// Whether the request may have a body.
    fn may_have_body(&self) -> bool {
        self.method == Method::Post && BODIES.contains(&self.path)
    }

    /// Refuses requests with a body (RFC 9112, section 6), except short ones where one is expected.
    fn check_body(&self) -> Result<(), Rejected> {
        let lengths = self.count("content-length");
        match (self.count("transfer-encoding"), lengths) {
            (0, 0) => return Ok(()),
            (0, _) => {}
            (_, 0) => {
                let why = "a request with a body (Transfer-Encoding), expected none";
                return Err(Rejected::new(Status::NotImplemented, why));
            }
            _ => return Err(malformed("both Transfer-Encoding and Content-Length")),
        }
        let length = self.header("content-length").unwrap_or_default();
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        if lengths > 1 || !is_number {
            return Err(malformed("a Content-Length that isn't one number"));
        }
        if self.may_have_body() {
            let is_short = length.len() <= 4 && self.body_len() <= MAX_BODY_LEN;
            let why = "a body of more than 4096 bytes";
            let too_long = Rejected::new(Status::ContentTooLarge, why);
            return is_short.then_some(()).ok_or(too_long);
        }
        // A body of zero bytes is allowed: it can't hide another request.
        if length.bytes().any(|byte| byte != b'0') {
            let why = "a request with a body (Content-Length), expected none";
            return Err(Rejected::new(Status::ContentTooLarge, why));
        }
        Ok(())
    }

    /// Sets the host from the header Host, which must occur exactly once (RFC 9112, 3.2).
    fn set_host(&mut self) -> Result<(), Rejected> {
        match (self.count("host"), self.is_1_1) {
            (0, false) => return Ok(()),
            (0, true) => return Err(malformed("no Host")),
            (1, _) => {}
            _ => return Err(malformed("more than one Host")),
        }
        let host = self.header("host").unwrap_or_default();
        if !is_host_and_port(host) {
            return Err(malformed("an invalid Host"));
        }
        self.host = host;
        Ok(())
    }

    /// Splits a target such as `/path?query`, `http://host/path?query` or `*`.
    fn set_target(&mut self, target: &'a str) -> Result<(), Rejected> {
        if target.contains('#') {
            return Err(malformed("a target with a fragment"));
        }
        let mut path = target;
        let is_star = target == "*" && self.method == Method::Options;
        if !target.starts_with('/') && !is_star {
            let (scheme, rest) = target.split_once(':').unwrap_or_default();
            let is_http = ["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known));
            let Some(rest) = rest.strip_prefix("//").filter(|_| is_http) else {
                return Err(malformed("a target that isn't a path"));
            };
            let len = rest.find(['/', '?']).unwrap_or(rest.len());
            let (host, rest) = rest.split_at_checked(len).unwrap_or_default();
            if !is_host_and_port(host) {
                return Err(malformed("an invalid host in the target"));
            }
            // The host of an absolute URI replaces the header (RFC 9112, 3.2.2).
            self.host = host;
            path = rest;
        }
        (self.path, self.query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        Ok(())
    }
}

fn is_named(found: &[u8], name: &str) -> bool {
    found.eq_ignore_ascii_case(name.as_bytes())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Whether a text is `name`, `192.0.2.7` or `[2001:db8::7]`, with or without `:8080` (RFC 3986, 3.2).
pub(crate) fn is_host_and_port(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').unwrap_or_default();
        let is_address = address.parse::<Ipv6Addr>().is_ok();
        return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = text.split_once(':').unwrap_or((text, ""));
    let is_name_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    !host.is_empty() && host.bytes().all(is_name_byte) && is_port(port)
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn refuse(error: httparse::Error) -> Rejected {
    match error {
        httparse::Error::TooManyHeaders => {
            Rejected::new(Status::HeadersTooLarge, "more than 64 headers")
        }
        httparse::Error::Version => {
            let why = "a version other than HTTP/1.0 and HTTP/1.1";
            Rejected::new(Status::VersionNotSupported, why)
        }
        httparse::Error::HeaderName => malformed("an invalid header name, or a folded line"),
        httparse::Error::HeaderValue => malformed("an invalid header value"),
        _ => malformed("an invalid request line"),
    }
}

#[cfg(test)]
mod tests;
