//! The playlists of HLS, as text (RFC 8216bis, section 4).
//!
//! ```text
//! /live/door.m3u8          the multivariant playlist, which names the other one and says what it is
//! /live/door/media.m3u8    the media playlist, which names what follows
//! /live/door/00c0ffee-1.mp4, -7.m4s, -7.2.m4s      init segment, segment, part
//! ```
//!
//! Every URI has the query with which the playlist was asked for, for the key is in it.

use std::fmt::Write;

use super::status::utc;
use crate::http::route::{SegmentKind, SegmentName};
use crate::live::Millis;
use crate::live::segments::{Listing, Part, Segment};
use crate::media::mp4::Presentation;

/// Content type of playlists.
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// The multivariant playlist of a stream. `media` is the URI of the media playlist; `query` comes
/// behind it, with its question mark.
pub fn multivariant(
    listing: &Listing,
    presentation: &Presentation,
    media: &str,
    query: &str,
) -> String {
    let mut peak = 0;
    let (mut bytes, mut duration, mut pictures) = (0, 0, 0);
    for segment in &listing.segments {
        let ms = u64::from(segment.duration);
        peak = peak.max(segment.bytes * 8_000 / ms.max(1));
        bytes += segment.bytes;
        duration += ms;
        pictures += u64::from(segment.pictures);
    }
    let duration = duration.max(1);
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=");
    // What comes may be a little more than what was.
    put(&mut text, peak + peak / 10);
    text.push_str(",AVERAGE-BANDWIDTH=");
    put(&mut text, bytes * 8_000 / duration);
    text.push_str(",CODECS=\"");
    text.push_str(&presentation.codecs());
    text.push('"');
    if let Some(video) = &presentation.video {
        text.push_str(",RESOLUTION=");
        put(&mut text, video.width().into());
        text.push('x');
        put(&mut text, video.height().into());
        text.push_str(",FRAME-RATE=");
        put_thousandths(&mut text, pictures * 1_000_000 / duration);
    }
    text.push('\n');
    for part in [media, query, "\n"] {
        text.push_str(part);
    }
    text
}

/// The media playlist of a stream. `life` stands in the names; `epoch` is the beginning of the
/// server's clock, in ms since 1970; `query` comes behind each name, with its question mark.
/// `is_filled`: gaps stand for the segments that the first playlists lack.
pub fn media(listing: &Listing, life: u32, epoch: u64, query: &str, is_filled: bool) -> String {
    let mut playlist = Playlist {
        gaps: if is_filled { listing.missing } else { 0 },
        text: String::with_capacity(2048),
        life,
        epoch,
        query,
        version: None,
        has_date: false,
    };
    playlist.head(listing);
    playlist.gaps(listing);
    for segment in &listing.segments {
        let parts = listing.parts(segment);
        playlist.begin_segment(segment);
        playlist.parts(segment, parts);
        playlist.segment(segment);
    }
    if let Some(open) = &listing.open {
        playlist.begin_segment(open);
        playlist.parts(open, listing.parts(open));
    }
    playlist.end(listing);
    playlist.text
}

struct Playlist<'a> {
    text: String,
    life: u32,
    epoch: u64,
    query: &'a str,
    /// Segments before the first one that never were.
    gaps: u64,
    /// Of the init segment that was named last.
    version: Option<u32>,
    has_date: bool,
}

impl Playlist<'_> {
    fn head(&mut self, listing: &Listing) {
        let version = if listing.part_target.is_some() { 9 } else { 7 };
        self.text.push_str("#EXTM3U\n");
        self.tag("#EXT-X-VERSION:", version);
        self.tag("#EXT-X-TARGETDURATION:", listing.target.into());
        self.text
            .push_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES");
        if let Some(target) = listing.part_target {
            self.text.push_str(",PART-HOLD-BACK=");
            put_thousandths(&mut self.text, u64::from(target) * 3);
            self.text.push_str("\n#EXT-X-PART-INF:PART-TARGET=");
            put_thousandths(&mut self.text, target.into());
        }
        self.text.push('\n');
        let Some(first) = listing.segments.first() else {
            return;
        };
        let sequence = first.number.saturating_sub(self.gaps);
        self.tag("#EXT-X-MEDIA-SEQUENCE:", sequence);
        if first.discontinuities > 0 {
            self.tag(
                "#EXT-X-DISCONTINUITY-SEQUENCE:",
                first.discontinuities.into(),
            );
        }
    }

    /// Apple's players don't begin with a playlist of low latency that is too short.
    fn gaps(&mut self, listing: &Listing) {
        let Some(first) = listing.segments.first().filter(|_| self.gaps > 0) else {
            return;
        };
        self.map(first.version);
        for number in first.number.saturating_sub(self.gaps)..first.number {
            self.text.push_str("#EXT-X-GAP\n#EXTINF:");
            put_thousandths(&mut self.text, u64::from(listing.target) * 1_000);
            self.text.push_str(",\n");
            self.name(SegmentKind::Segment(number));
            self.text.push('\n');
        }
    }

    fn map(&mut self, version: u32) {
        if self.version != Some(version) {
            self.version = Some(version);
            self.text.push_str("#EXT-X-MAP:URI=\"");
            self.name(SegmentKind::Init(version.into()));
            self.text.push_str("\"\n");
        }
    }

    /// What stands before the first part of a segment, and before the segment itself.
    fn begin_segment(&mut self, segment: &Segment) {
        if segment.has_discontinuity {
            self.text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        self.map(segment.version);
        if !std::mem::replace(&mut self.has_date, true) || segment.has_discontinuity {
            self.text.push_str("#EXT-X-PROGRAM-DATE-TIME:");
            put_date(&mut self.text, self.epoch + segment.date);
            self.text.push('\n');
        }
    }

    fn parts(&mut self, segment: &Segment, parts: &[Part]) {
        for (place, part) in (0..).zip(parts) {
            self.text.push_str("#EXT-X-PART:DURATION=");
            put_thousandths(&mut self.text, part.duration.into());
            self.text.push_str(",URI=\"");
            self.name(SegmentKind::Part(segment.number, place));
            self.text.push('"');
            if part.is_independent {
                self.text.push_str(",INDEPENDENT=YES");
            }
            self.text.push('\n');
        }
    }

    fn segment(&mut self, segment: &Segment) {
        self.text.push_str("#EXTINF:");
        put_thousandths(&mut self.text, segment.duration.into());
        self.text.push_str(",\n");
        self.name(SegmentKind::Segment(segment.number));
        self.text.push('\n');
    }

    fn end(&mut self, listing: &Listing) {
        if listing.is_ended {
            self.text.push_str("#EXT-X-ENDLIST\n");
        } else if listing.part_target.is_some() {
            let (number, place) = listing.next;
            self.text.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
            self.name(SegmentKind::Part(number, place));
            self.text.push_str("\"\n");
        }
    }

    fn tag(&mut self, tag: &str, value: u64) {
        self.text.push_str(tag);
        put(&mut self.text, value);
        self.text.push('\n');
    }

    fn name(&mut self, kind: SegmentKind) {
        let life = self.life;
        let _ = write!(self.text, "{}", SegmentName { life, kind });
        self.text.push_str(self.query);
    }
}

fn put(text: &mut String, number: u64) {
    let _ = write!(text, "{number}");
}

/// A number of thousandths: "2.000".
fn put_thousandths(text: &mut String, thousandths: u64) {
    let _ = write!(text, "{}.{:03}", thousandths / 1_000, thousandths % 1_000);
}

/// A date and time of day in UTC, from ms since 1970: "2026-11-21T08:00:00.250Z".
fn put_date(text: &mut String, ms: Millis) {
    let seconds = utc::text(ms / 1_000);
    text.push_str(seconds.trim_end_matches('Z'));
    let _ = write!(text, ".{:03}Z", ms % 1_000);
}

/// What of the query of a playlist's URL stands behind the URIs in it, with a question mark: all
/// but the playlist's own parameters (RFC 8216bis, 6.2.5), and nothing that a playlist can't hold.
pub fn carried_query(query: &str) -> String {
    let mut carried = String::new();
    for parameter in query.split('&') {
        if parameter.is_empty() || parameter.starts_with("_HLS_") {
            continue;
        }
        carried.push(if carried.is_empty() { '?' } else { '&' });
        for byte in parameter.bytes() {
            match byte {
                b'!' | b'$'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~' => {
                    carried.push(byte.into());
                }
                _ => {
                    let _ = write!(carried, "%{byte:02X}");
                }
            }
        }
    }
    carried
}

#[cfg(test)]
mod tests;
