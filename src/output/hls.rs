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
pub fn media(listing: &Listing, life: u32, epoch: u64, query: &str) -> String {
    let mut playlist = Playlist {
        text: String::with_capacity(2048),
        life,
        epoch,
        query,
        version: None,
    };
    playlist.head(listing);
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
    /// Of the init segment that was named last.
    version: Option<u32>,
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
        self.tag("#EXT-X-MEDIA-SEQUENCE:", first.number);
        if first.discontinuities > 0 {
            self.tag(
                "#EXT-X-DISCONTINUITY-SEQUENCE:",
                first.discontinuities.into(),
            );
        }
    }

    /// What stands before the first part of a segment, and before the segment itself.
    fn begin_segment(&mut self, segment: &Segment) {
        let is_first = self.version.is_none();
        if segment.has_discontinuity {
            self.text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if self.version != Some(segment.version) {
            self.version = Some(segment.version);
            self.text.push_str("#EXT-X-MAP:URI=\"");
            self.name(SegmentKind::Init(segment.version.into()));
            self.text.push_str("\"\n");
        }
        if is_first || segment.has_discontinuity {
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
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Years that begin in March, in cycles of 400, since the March before the year 0.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (cycle * 400 + year, month + 3),
        _ => (cycle * 400 + year + 1, month - 9),
    };
    let (minutes, seconds) = (ms / 60_000, ms / 1_000 % 60);
    let (hour, minute, ms) = (minutes / 60, minutes % 60, ms % 1_000);
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{seconds:02}.{ms:03}Z"
    );
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
