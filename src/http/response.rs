//! Responses: status, headers, and a body in memory.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::{Rejected, date};

/// Declares [`Status`], given the name, the number, and the reason phrase of each status.
macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        /// Status codes (RFC 9110, section 15).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // The RFC's words.
        pub enum Status {
            $($name = $code,)*
        }

        impl Status {
            /// Returns the words after the number.
            pub fn reason(self) -> &'static str {
                match self {
                    $(Status::$name => $reason,)*
                }
            }
        }
    };
}

statuses! {
    SwitchingProtocols = 101, "Switching Protocols";
    Ok = 200, "OK";
    NoContent = 204, "No Content";
    PartialContent = 206, "Partial Content";
    MovedPermanently = 301, "Moved Permanently";
    NotModified = 304, "Not Modified";
    TemporaryRedirect = 307, "Temporary Redirect";
    BadRequest = 400, "Bad Request";
    Unauthorized = 401, "Unauthorized";
    Forbidden = 403, "Forbidden";
    NotFound = 404, "Not Found";
    MethodNotAllowed = 405, "Method Not Allowed";
    RequestTimeout = 408, "Request Timeout";
    Conflict = 409, "Conflict";
    ContentTooLarge = 413, "Content Too Large";
    UnsupportedMediaType = 415, "Unsupported Media Type";
    RangeNotSatisfiable = 416, "Range Not Satisfiable";
    UpgradeRequired = 426, "Upgrade Required";
    TooManyRequests = 429, "Too Many Requests";
    HeadersTooLarge = 431, "Request Header Fields Too Large";
    NotImplemented = 501, "Not Implemented";
    ServiceUnavailable = 503, "Service Unavailable";
    VersionNotSupported = 505, "HTTP Version Not Supported";
}

impl Status {
    /// Returns the number.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Whether a response with this status never has a body (RFC 9110, 6.4.1).
    pub(crate) fn is_bodiless(self) -> bool {
        matches!(self.code(), 101 | 204 | 304)
    }
}

/// The way in which the head announces the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The body has this number of bytes. For a response to HEAD, this is the length of the response to
    /// GET.
    Known(u64),
    /// The body ends with the connection.
    UntilClose,
    /// The body is in chunks (RFC 9112, 7.1). For HTTP/1.1 only.
    Chunked,
}

/// A response; see the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The content type of the body; empty without a body.
    pub content_type: Cow<'static, str>,
    /// The value of Cache-Control: how long caches may keep the response.
    pub cache: &'static str,
    /// Whether pages of other sites may read the response (CORS).
    pub is_for_all_sites: bool,
    /// The time of the response in seconds since 1970; unknown if the machine's clock wasn't set.
    pub date: u64,
    /// Additional headers, each with CR LF at its end.
    headers: String,
    /// The bytes after the head: generated for this response, or part of the program.
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// The value of Cache-Control for responses that must not be cached.
    pub(crate) const UNCACHED: &'static str = "no-store";

    /// Creates a response with a body that must not be cached.
    pub fn new(
        content_type: impl Into<Cow<'static, str>>,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Response {
        Response {
            status: Status::Ok,
            content_type: content_type.into(),
            cache: Response::UNCACHED,
            is_for_all_sites: false,
            date: 0,
            headers: String::new(),
            body: body.into(),
        }
    }

    /// Creates a response with a status and a line of text that gives the reason.
    pub fn text(status: Status, why: &str) -> Response {
        let body = if status.is_bodiless() {
            Vec::new()
        } else {
            [why, "\n"].concat().into_bytes()
        };
        let mut response = Response::new("text/plain; charset=utf-8", body);
        response.status = status;
        response
    }

    /// Creates the response for paths that don't exist, the same for all of them.
    pub fn not_found() -> Response {
        Response::text(Status::NotFound, NOT_FOUND)
    }

    /// Creates the response to a method that isn't in `allowed`.
    pub(crate) fn method_not_allowed(allowed: &str) -> Response {
        Response::text(Status::MethodNotAllowed, "method not allowed").header("Allow", allowed)
    }

    /// Creates the response to OPTIONS, which browsers send before some requests (CORS preflight).
    pub fn options(allowed: &str, is_for_all_sites: bool) -> Response {
        let mut response = Response::text(Status::NoContent, "").header("Allow", allowed);
        response.is_for_all_sites = is_for_all_sites;
        if is_for_all_sites {
            let headers = "Range, Content-Type, Authorization";
            response = response
                .header("Access-Control-Allow-Methods", allowed)
                .header("Access-Control-Allow-Headers", headers)
                .header("Access-Control-Max-Age", "86400");
        }
        response
    }

    /// Adds a header. A header whose value contains control characters is left out, so that no value can
    /// add lines to a response.
    pub fn header(mut self, name: &'static str, value: &str) -> Response {
        if !value.bytes().any(|byte| byte.is_ascii_control()) {
            if self.headers.is_empty() {
                self.headers.reserve(USUAL_HEADERS_LEN);
            }
            self.headers.extend([name, ": ", value, "\r\n"]);
        }
        self
    }

    /// Returns the head, including the empty line. `is_last` means that the connection ends after this
    /// response.
    pub fn head(&self, length: Length, is_last: bool) -> String {
        let mut head = String::with_capacity(USUAL_LEN);
        // Writing to a string never fails.
        let _ = self.write_lines(&mut head, length, is_last);
        if !self.status.is_bodiless() {
            head.extend([TYPE, &self.content_type, "\r\n"]);
        }
        head.push_str("\r\n");
        head
    }

    /// Writes all lines except Content-Type, which comes last, and the empty line.
    fn write_lines(&self, head: &mut String, length: Length, is_last: bool) -> fmt::Result {
        let is_switching = self.status == Status::SwitchingProtocols;
        let is_last = is_last || length == Length::UntilClose;
        let (code, reason) = (self.status.code(), self.status.reason());
        write!(head, "HTTP/1.1 {code} {reason}\r\n")?;
        // No date is better than that of a clock that wasn't set.
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
            let end = "\r\nX-Content-Type-Options: nosniff\r\n";
            head.extend(["Cache-Control: ", self.cache, end]);
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

/// The text of the response for a path that doesn't exist.
pub(crate) const NOT_FOUND: &str = "not found. There is the page at /, and of each stream /APP/NAME.flv, .mp4 \
                             and .m3u8, and /APP/NAME/frame.mp4";

/// The name of the last header.
const TYPE: &str = "Content-Type: ";

/// The usual length in bytes of heads, and of the headers added by [`Response::header`].
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
    fn heads_are_as_in_the_rfc() {
        let mut page = Response::new("text/html", b"<p>");
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
    fn every_response_has_a_date_once_the_clock_is_set() {
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
    fn a_header_value_cannot_add_lines() {
        for value in ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b", "a\u{7f}"] {
            let response = Response::not_found().header("Location", value);
            assert_eq!(response, Response::not_found(), "{value:?}");
        }
    }

    #[test]
    fn allowed_methods_are_named() {
        let head = Response::method_not_allowed("GET").head(Length::Known(1), false);
        assert!(head.contains("\r\nAllow: GET\r\n"), "{head}");
    }
}
