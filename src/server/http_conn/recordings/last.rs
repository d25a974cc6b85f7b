//! The last seconds of a stream, from memory.
//!
//! While the stream goes on, each request is answered with another file. But the ranges that a player reads must
//! all be of the same one. Browsers say which one they mean (`If-Range`). VLC and mpv don't, so a first
//! request for a range is redirected to a URL that names the file:
//!
//! ```text
//! GET /live/door.mp4?last=30s         Range: bytes=0-       307, to door.mp4?last=30s&of=00c0ffee-10-2f
//! ```

use std::ops::Range;
use std::sync::Arc;

use super::{Answer, Bytes, Offer, RecordedReply, bad, pay};
use crate::http::{Response, Status, percent, query};
use crate::record::playback::last::LastBody;
use crate::rtmp::stream_key::StreamKey;
use crate::server::http_conn::exchange::{Exchange, not_live};
use crate::server::http_conn::hls::random;
use crate::server::http_conn::no_memory;
use crate::server::wall_clock;

/// The cost of a request, in streams that could be looked at in the same time.
const COST: usize = 20;

/// Answers a request for the last seconds of a stream as a closed MP4 file.
#[inline(never)] // Keeps these locals off the stack while the answer is sent.
pub(in crate::server::http_conn) fn reply<'s>(
    exchange: &mut Exchange<'_>,
    key: &StreamKey,
) -> Result<RecordedReply<'s>, Response> {
    let answer = answer(exchange, key).map(RecordedReply::Bytes);
    answer.map_err(|response| *response)
}

fn answer(exchange: &mut Exchange<'_>, key: &StreamKey) -> Answer<Bytes> {
    let last = exchange.parameter("last").and_then(query::duration);
    let last = last.ok_or_else(|| bad("last isn't a time such as 30s, 500ms or 10m"))?;
    let asked = key;
    let admission = exchange.authorize(asked)?;
    let key = admission.key;
    let stream = admission.stream.ok_or_else(|| not_live(&key))?;
    exchange.look_at(COST)?;
    // A client that asks for the rest of a file gets it of the same file.
    let condition = exchange.head.header("if-range");
    let of = exchange.parameter("of").map(str::to_owned);
    let known = match (&of, condition) {
        (Some(of), _) => parse_id(of),
        (None, Some(tag)) => parse_tag(tag),
        (None, None) => None,
    };
    let nothing = || Response::text(Status::NotFound, "nothing of this stream can be MP4 now");
    let span = stream.last_messages(last, known, random, exchange.shared.now());
    let span = span.ok_or_else(nothing)?;
    let cost = LastBody::cost(&span);
    let paid = pay(exchange, cost).ok_or_else(no_memory)?;
    let messages = span.messages();
    let id = format!(
        "{:08x}-{:x}-{:x}",
        span.life(),
        messages.start,
        messages.end
    );
    let age = exchange.shared.now().saturating_sub(span.arrived());
    match of {
        Some(of) if of != id => return Err(gone()),
        None if condition.is_none() && exchange.head.header("range").is_some() => {
            return Err(redirect(exchange, asked, &id));
        }
        _ => {}
    }
    let body = LastBody::new(Arc::clone(&stream), span).map_err(|_| nothing())?;
    let offer = Offer {
        response: Response::new("video/mp4", &[][..]),
        id,
        from: wall_clock::now().saturating_sub(age),
        extension: ".mp4",
        body: Box::new(body),
        paid: Some(paid),
    };
    offer.open(exchange, &key)
}

/// The response that leads to the URL of this file alone.
#[inline(never)]
fn redirect(exchange: &Exchange<'_>, asked: &StreamKey, id: &str) -> Box<Response> {
    let (_, name) = asked.app_and_name();
    let query = exchange.head.query().unwrap_or_default();
    let target = [&percent::encode(name), ".mp4?", query, "&of=", id].concat();
    let why = "these seconds have a URL of their own";
    let mut response = Response::text(Status::TemporaryRedirect, why);
    // ffmpeg asks again whenever it seeks, unless it may keep the answer. It reads the first age. Browsers
    // read the second one, and the caches for which the first one is meant may not keep the answer.
    response.cache = "s-maxage=3600, private, max-age=0";
    response.header("Location", &target).into()
}

fn gone() -> Box<Response> {
    Response::text(Status::NotFound, "these seconds aren't in memory any more").into()
}

/// Reads a tag.
fn parse_tag(tag: &str) -> Option<(u32, Range<u64>)> {
    parse_id(tag.strip_prefix('"')?.strip_suffix('"')?)
}

/// Reads what tells a file from others: the life of a stream, and a range of its messages.
fn parse_id(id: &str) -> Option<(u32, Range<u64>)> {
    let mut numbers = id.split('-');
    let mut next = || u64::from_str_radix(numbers.next()?, 16).ok();
    let (life, start, end) = (next()?, next()?, next()?);
    let life = u32::try_from(life).ok()?;
    (start < end && numbers.next().is_none()).then_some((life, start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_a_range_of_messages() {
        assert_eq!(parse_tag("\"00c0ffee-10-2f\""), Some((0xC0_FFEE, 16..47)));
        for other in [
            "",
            "\"\"",
            "\"00c0ffee-10\"",
            "\"00c0ffee-2f-10\"",
            "\"100000000-10-2f\"",
            "\"00c0ffee-10-2f-30\"",
            "W/\"00c0ffee-10-2f\"",
            "\"file-1-2\"",
        ] {
            assert_eq!(parse_tag(other), None, "{other}");
        }
    }
}
