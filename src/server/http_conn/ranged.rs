//! Responses of which a client may request a part, or nothing if it has them already.

use std::ops::Range;

use crate::http::{Head, Response, Status, conditions, range};

/// The maximum length of the Range header, in bytes. A longer one isn't for a single range.
pub(super) const MAX_RANGE_LEN: usize = 64;

/// The part of a response that a request wants. Doesn't borrow the request.
pub(super) struct Ranged {
    /// The tag of the response.
    pub(super) tag: String,
    /// Whether the client has a response with this tag.
    pub(super) is_known: bool,
    /// The value of the Range header, if it applies.
    pub(super) range: Option<String>,
}

impl Ranged {
    pub(super) fn new(head: &Head<'_>, tag: String) -> Ranged {
        let range = head.range(&tag);
        let range = range.filter(|range| range.len() <= MAX_RANGE_LEN);
        Ranged {
            is_known: conditions::lists(&head.known_tags(), &tag),
            range: range.map(str::to_owned),
            tag,
        }
    }

    /// Completes a response whose body has `len` bytes, and returns it with the range of bytes to send.
    /// Fails with the response to send instead.
    #[inline(never)] // Keeps these locals off the stack while the body is sent.
    pub(super) fn open(
        &self,
        mut response: Response,
        len: u64,
    ) -> Result<(Response, Range<u64>), Response> {
        response = response
            .header("ETag", &self.tag)
            .header("Accept-Ranges", "bytes");
        if self.is_known {
            response.status = Status::NotModified;
            return Err(response);
        }
        match range::parse(self.range.as_deref(), len) {
            Ok(None) => Ok((response, 0..len)),
            Ok(Some(range)) => {
                response.status = Status::PartialContent;
                let content_range = range::content_range(Some(&range), len);
                Ok((response.header("Content-Range", &content_range), range))
            }
            Err(range::Unsatisfiable) => {
                let refusal = Response::text(Status::RangeNotSatisfiable, "no such range");
                Err(refusal.header("Content-Range", &range::content_range(None, len)))
            }
        }
    }
}
