//! Ranges of a body (RFC 9110, section 14): `bytes=0-499`, `bytes=500-`, `bytes=-500`.

use std::ops::Range;

/// A range that lies outside the body, answered with status 416.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsatisfiable;

/// Returns the range that a Range header requests of a body of `len` bytes. `None` means the whole body:
/// without a header, and for several ranges, other units, or a malformed header (14.2).
pub fn parse(header: Option<&str>, len: u64) -> Result<Option<Range<u64>>, Unsatisfiable> {
    let Some((first, last)) = header.and_then(bounds) else {
        return Ok(None);
    };
    let range = match (first, last) {
        (Some(first), Some(last)) if last < first => return Ok(None),
        (Some(first), last) => first..last.map_or(len, |last| last.saturating_add(1).min(len)),
        (None, Some(suffix)) => len.saturating_sub(suffix)..len,
        (None, None) => return Ok(None),
    };
    if range.is_empty() {
        return Err(Unsatisfiable);
    }
    Ok(Some(range))
}

/// Returns the value of Content-Range: `bytes 0-499/1234`, or `bytes */1234` without a range.
pub(crate) fn content_range(range: Option<&Range<u64>>, len: u64) -> String {
    match range {
        Some(Range { start, end }) => format!("bytes {start}-{}/{len}", end.saturating_sub(1)),
        None => format!("bytes */{len}"),
    }
}

fn bounds(header: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, range) = header.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    Some((number(first)?, number(last)?))
}

/// Parses a number; an empty text gives `None`. A number that is too large becomes the largest one.
fn number(digits: &str) -> Option<Option<u64>> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(match digits {
        "" => None,
        digits => Some(digits.parse().unwrap_or(u64::MAX)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        for (header, range) in [
            ("bytes=0-499", Ok(Some(0..500))),
            ("bytes=500-999", Ok(Some(500..1000))),
            ("bytes=500-", Ok(Some(500..1000))),
            ("bytes=-300", Ok(Some(700..1000))),
            ("bytes=-3000", Ok(Some(0..1000))),
            ("bytes=0-0", Ok(Some(0..1))),
            ("bytes=999-5000", Ok(Some(999..1000))),
            ("BYTES=0-", Ok(Some(0..1000))),
            ("bytes=0-99999999999999999999999", Ok(Some(0..1000))),
            ("bytes=0-18446744073709551615", Ok(Some(0..1000))),
            ("bytes=1000-", Err(Unsatisfiable)),
            ("bytes=-0", Err(Unsatisfiable)),
            ("bytes=99999999999999999999999-", Err(Unsatisfiable)),
            // A range that can't be parsed is ignored, and the whole body is sent.
            ("bytes=5-3", Ok(None)),
            ("bytes=0-1,5-6", Ok(None)),
            ("bytes=-", Ok(None)),
            ("bytes=a-b", Ok(None)),
            ("bytes=+1-2", Ok(None)),
            ("bytes 0-1", Ok(None)),
            ("lines=0-1", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(parse(Some(header), 1000), range, "{header:?}");
        }
        assert_eq!(parse(None, 1000), Ok(None));
        assert_eq!(parse(Some("bytes=0-"), 0), Err(Unsatisfiable));
    }

    #[test]
    fn an_answer_says_which_bytes_it_has() {
        assert_eq!(
            content_range(Some(&(500..1000)), 1234),
            "bytes 500-999/1234"
        );
        assert_eq!(content_range(None, 1234), "bytes */1234");
    }
}
