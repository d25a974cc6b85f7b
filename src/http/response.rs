//! Responses: status, headers, and a body that is at hand.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::{Rejected, date};

/// Status codes (RFC 9110, section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The RFC's words.
pub enum Status {
    SwitchingProtocols = 101,
    Ok = 200,
    NoContent = 204,
    PartialContent = 206,
    MovedPermanently = 301,
    NotModified = 304,
    BadRequest = 400,
    Unauthorized = 401,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    Gone = 410,
    ContentTooLarge = 413,
    UnsupportedMediaType = 415,
    RangeNotSatisfiable = 416,
    UpgradeRequired = 426,
    TooManyRequests = 429,
    HeadersTooLarge = 431,
    InternalServerError = 500,
    NotImplemented = 501,
    ServiceUnavailable = 503,
    VersionNotSupported = 505,
}

impl Status {
    /// The number.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The words behind the number.
    pub fn reason(self) -> &'static str {
        match self {
            Status::SwitchingProtocols => "Switching Protocols",
            Status::Ok => "OK",
            Status::NoContent => "No Content",
            Status::PartialContent => "Partial Content",
            Status::MovedPermanently => "Moved Permanently",
            Status::NotModified => "Not Modified",
            Status::BadRequest => "Bad Request",
            Status::Unauthorized => "Unauthorized",
            Status::Forbidden => "Forbidden",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::RequestTimeout => "Request Timeout",
            Status::Gone => "Gone",
            Status::ContentTooLarge => "Content Too Large",
            Status::UnsupportedMediaType => "Unsupported Media Type",
            Status::RangeNotSatisfiable => "Range Not Satisfiable",
            Status::UpgradeRequired => "Upgrade Required",
            Status::TooManyRequests => "Too Many Requests",
            Status::HeadersTooLarge => "Request Header Fields Too Large",
            Status::InternalServerError => "Internal Server Error",
            Status::NotImplemented => "Not Implemented",
            Status::ServiceUnavailable => "Service Unavailable",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// Whether a response of this status never has a body (RFC 9110, 6.4.1).
    pub fn is_bodiless(self) -> bool {
        matches!(
            self,
            Status::SwitchingProtocols | Status::NoContent | Status::NotModified
        )
    }
}

/// What follows the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Made for this response.
    Owned(Vec<u8>),
    /// Part of the program.
    Static(&'static [u8]),
}

impl Body {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Body::Owned(bytes) => bytes,
            Body::Static(bytes) => bytes,
        }
    }
}

/// How long a response is, for its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Bytes of the body. For a response to HEAD: those that GET would bring.
    Known(u64),
    /// The end of the connection is the end of the body.
    UntilClose,
    /// The body says itself where it ends (RFC 9112, 7.1). For HTTP/1.1 only.
    Chunked,
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How it went.
    pub status: Status,
    /// What the body is; empty for nothing.
    pub content_type: Cow<'static, str>,
    /// For how long it may be kept: the value of Cache-Control.
    pub cache: &'static str,
    /// Whether pages of other sites may read it (CORS).
    pub is_for_all_sites: bool,
    /// When it is made, in seconds since 1970; before [`date::EARLIEST`] nobody knows.
    pub date: u64,
    /// More headers, each with CR LF at its end.
    headers: String,
    /// What follows the head.
    pub body: Body,
}

impl Response {
    /// What nobody may keep.
    pub const UNCACHED: &'static str = "no-store";

    /// A response whose body is made for it. Nobody may keep it.
    pub fn new(content_type: impl Into<Cow<'static, str>>, body: Vec<u8>) -> Response {
        Response::with_body(content_type.into(), Body::Owned(body))
    }

    /// A response with a body that is part of the program.
    pub fn of_static(content_type: &'static str, body: &'static [u8]) -> Response {
        Response::with_body(content_type.into(), Body::Static(body))
    }

    fn with_body(content_type: Cow<'static, str>, body: Body) -> Response {
        Response {
            status: Status::Ok,
            content_type,
            cache: Response::UNCACHED,
            is_for_all_sites: false,
            date: 0,
            headers: String::new(),
            body,
        }
    }

    /// A response with a status and a line of text that says why.
    pub fn text(status: Status, why: &str) -> Response {
        let body = match status.is_bodiless() {
            true => Vec::new(),
            false => [why, "\n"].concat().into_bytes(),
        };
        let mut response = Response::new("text/plain; charset=utf-8", body);
        response.status = status;
        response
    }

    /// "There is nothing of this name": the same whatever was asked for.
    pub fn not_found() -> Response {
        Response::text(Status::NotFound, NOT_FOUND)
    }

    /// What the methods are that `allowed` names.
    pub fn method_not_allowed(allowed: &str) -> Response {
        Response::text(Status::MethodNotAllowed, "method not allowed").header("Allow", allowed)
    }

    /// The answer to OPTIONS, which a browser sends ahead of some requests (CORS preflight).
    pub fn options(allowed: &str, is_for_all_sites: bool) -> Response {
        let mut response = Response::text(Status::NoContent, "").header("Allow", allowed);
        response.is_for_all_sites = is_for_all_sites;
        if is_for_all_sites {
            response = response
                .header("Access-Control-Allow-Methods", allowed)
                .header(
                    "Access-Control-Allow-Headers",
                    "Range, Content-Type, Authorization",
                )
                .header("Access-Control-Max-Age", "86400");
        }
        response
    }

    /// Adds a header. A value that can't stand in one is left out, and the header with it: nobody
    /// smuggles lines into a response.
    pub fn header(mut self, name: &'static str, value: &str) -> Response {
        if !value.bytes().any(|byte| byte.is_ascii_control()) {
            if self.headers.is_empty() {
                self.headers.reserve(USUAL_HEADERS_LEN);
            }
            for text in [name, ": ", value, "\r\n"] {
                self.headers.push_str(text);
            }
        }
        self
    }

    /// The head, up to the empty line. `is_last`: the connection ends after this response.
    pub fn head(&self, length: Length, is_last: bool) -> String {
        let mut head = String::with_capacity(USUAL_LEN);
        // A string takes everything.
        let _ = self.write_lines(&mut head, length, is_last);
        if !self.status.is_bodiless() {
            for text in [TYPE, &self.content_type, "\r\n"] {
                head.push_str(text);
            }
        }
        head.push_str("\r\n");
        head
    }

    /// All lines but Content-Type, which comes last, and the empty one.
    fn write_lines(&self, head: &mut String, length: Length, is_last: bool) -> fmt::Result {
        let is_switching = self.status == Status::SwitchingProtocols;
        let is_last = is_last || length == Length::UntilClose;
        let (code, reason) = (self.status.code(), self.status.reason());
        write!(head, "HTTP/1.1 {code} {reason}\r\n")?;
        if self.date >= date::EARLIEST {
            head.push_str("Date: ");
            date::write(head, self.date)?;
            head.push_str("\r\n");
        }
        match length {
            Length::Known(len) if !self.status.is_bodiless() => {
                write!(head, "Content-Length: {len}\r\n")?;
            }
            Length::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            _ => {}
        }
        if !is_switching {
            for text in [
                "Cache-Control: ",
                self.cache,
                "\r\nX-Content-Type-Options: nosniff\r\n",
            ] {
                head.push_str(text);
            }
        }
        if self.is_for_all_sites {
            head.push_str("Access-Control-Allow-Origin: *\r\n");
        }
        if is_last && !is_switching {
            head.push_str("Connection: close\r\n");
        }
        head.push_str(&self.headers);
        Ok(())
    }
}

/// Why there is nothing at a path, whatever it is.
pub const NOT_FOUND: &str = "not found. There is the page at /, and of each stream /APP/NAME.flv, .mp4 \
                             and .m3u8, and /APP/NAME/frame.mp4";

/// Begins the last header.
const TYPE: &str = "Content-Type: ";

/// Room that is enough for most heads, and for most headers of [`Response::header`], in bytes.
const USUAL_LEN: usize = 512;
const USUAL_HEADERS_LEN: usize = 128;

impl From<Rejected> for Response {
    fn from(rejected: Rejected) -> Response {
        Response::text(rejected.status, rejected.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_written_as_the_rfc_has_them() {
        let mut page = Response::of_static("text/html", b"<p>");
        page.is_for_all_sites = true;
        page.cache = "no-cache";
        for (name, response, length, is_last, head) in [
            (
                "a page",
                page.clone().header("ETag", "\"1\""),
                Length::Known(3),
                false,
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\
                 Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n\
                 Access-Control-Allow-Origin: *\r\nETag: \"1\"\r\n\
                 Content-Type: text/html\r\n\r\n",
            ),
            (
                "the last one",
                Response::not_found(),
                Length::Known(10),
                true,
                "HTTP/1.1 404 Not Found\r\n\
                 Content-Length: 10\r\nCache-Control: no-store\r\n\
                 X-Content-Type-Options: nosniff\r\nConnection: close\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\n",
            ),
            (
                "without an end",
                Response::new("video/x-flv", Vec::new()),
                Length::UntilClose,
                false,
                "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n\
                 X-Content-Type-Options: nosniff\r\nConnection: close\r\n\
                 Content-Type: video/x-flv\r\n\r\n",
            ),
            (
                "in chunks",
                Response::new("video/x-flv", Vec::new()),
                Length::Chunked,
                true,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: no-store\r\n\
                 X-Content-Type-Options: nosniff\r\nConnection: close\r\n\
                 Content-Type: video/x-flv\r\n\r\n",
            ),
            (
                "an upgrade",
                Response::text(Status::SwitchingProtocols, "").header("Upgrade", "websocket"),
                Length::UntilClose,
                false,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            ),
            (
                "a preflight's answer",
                Response::options("GET, HEAD, OPTIONS", true),
                Length::Known(0),
                false,
                "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\
                 X-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: *\r\n\
                 Allow: GET, HEAD, OPTIONS\r\n\
                 Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
                 Access-Control-Allow-Headers: Range, Content-Type, Authorization\r\n\
                 Access-Control-Max-Age: 86400\r\n\r\n",
            ),
        ] {
            assert_eq!(response.head(length, is_last), head, "{name}");
        }
    }

    #[test]
    fn every_response_says_when_it_was_made_once_that_is_known() {
        for (seconds, date) in [
            (0, ""),
            (date::EARLIEST - 1, ""),
            (1_795_248_000, "Date: Sat, 21 Nov 2026 08:00:00 GMT\r\n"),
        ] {
            for status in [Status::Ok, Status::SwitchingProtocols, Status::NotModified] {
                let mut response = Response::text(status, "");
                response.date = seconds;
                let head = response.head(Length::Known(0), false);
                let line_end = head.find('\n').unwrap() + 1;
                assert!(head[line_end..].starts_with(date), "{head}");
                assert_eq!(head.contains("Date:"), !date.is_empty(), "{head}");
            }
        }
    }

    #[test]
    fn a_header_value_cannot_bring_lines_of_its_own() {
        for value in ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "a\u{7f}"] {
            let response = Response::not_found().header("Location", value);
            assert_eq!(response, Response::not_found(), "{value:?}");
        }
    }

    #[test]
    fn a_client_is_told_what_is_allowed() {
        let head = Response::method_not_allowed("GET").head(Length::Known(1), false);
        assert!(head.contains("\r\nAllow: GET\r\n"), "{head}");
    }
}
