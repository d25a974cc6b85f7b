//! The playlists of HLS, as text (RFC 8216bis, section 4).
//!
//! ```text
//! /live/door.m3u8          the multivariant playlist, which names the other one and says what it is
//! /live/door/media.m3u8    the media playlist, which names what follows
//! /live/door/00c0ffee-1.mp4, -7.m4s, -7.2.m4s      init segment, segment, part
//! ```
//!
//! Every URI has the query with which the playlist was asked for, for the key is in it. A playlist
//! is written as it is made: the query that somebody sends once stands in it a hundred times.

use std::fmt::{self, Display, Write};

use super::status::utc;
use crate::http::route::{SegmentKind, SegmentName};
use crate::live::Millis;
use crate::live::segments::{Listing, Part, Segment};
use crate::media::mp4::Presentation;

/// Content type of playlists.
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// Longest query that is repeated, in bytes: in a longer one nobody looks for keys.
pub const MAX_QUERY_LEN: usize = 1024;

/// Writes the multivariant playlist of a stream. `media` is the URI of the media playlist; `query`
/// comes behind it.
pub fn multivariant(
    out: &mut dyn Write,
    listing: &Listing,
    presentation: &Presentation,
    media: &str,
    query: Carried<'_>,
) -> fmt::Result {
    let (mut bytes, mut duration, mut pictures) = (0, 0, 0);
    for segment in &listing.segments {
        bytes += segment.bytes;
        duration += u64::from(segment.duration);
        pictures += u64::from(segment.pictures);
    }
    let duration = duration.max(1);
    out.write_str("#EXTM3U\n#EXT-X-VERSION:6\n")?;
    out.write_str(independent(listing))?;
    out.write_str("#EXT-X-STREAM-INF:BANDWIDTH=")?;
    let average = bytes * 8_000 / duration;
    let peak = u64::from(listing.bandwidth).max(average);
    let codecs = presentation.codecs();
    write!(
        out,
        "{peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\""
    )?;
    if let Some(video) = &presentation.video {
        let (width, height) = (video.width(), video.height());
        let rate = Thousandths(pictures * 1_000_000 / duration);
        write!(out, ",RESOLUTION={width}x{height},FRAME-RATE={rate}")?;
    }
    // Captions inside of the pictures are none that anybody knows of; Shaka plays nothing without
    // this.
    write!(out, ",CLOSED-CAPTIONS=NONE\n{media}{query}\n")
}

/// Writes the media playlist of a stream. `life` stands in the names; `epoch` is the beginning of
/// the server's clock, in ms since 1970; `query` comes behind each name. `is_filled`: gaps stand for
/// the segments that the first playlists lack.
pub fn media(
    out: &mut dyn Write,
    listing: &Listing,
    life: u32,
    epoch: u64,
    query: Carried<'_>,
    is_filled: bool,
) -> fmt::Result {
    let mut playlist = Playlist {
        gaps: if is_filled { listing.missing } else { 0 },
        out,
        life,
        epoch,
        query,
        version: None,
    };
    playlist.head(listing)?;
    playlist.gaps(listing)?;
    for segment in &listing.segments {
        let parts = listing.parts(segment);
        playlist.begin_segment(segment)?;
        playlist.parts(segment, parts)?;
        playlist.segment(segment)?;
    }
    if let Some(open) = &listing.open {
        playlist.begin_segment(open)?;
        playlist.parts(open, listing.parts(open))?;
    }
    playlist.end(listing)
}

/// Says that a player can begin with any segment, if it can.
fn independent(listing: &Listing) -> &'static str {
    match listing.is_independent() {
        true => "#EXT-X-INDEPENDENT-SEGMENTS\n",
        false => "",
    }
}

struct Playlist<'a> {
    out: &'a mut dyn Write,
    life: u32,
    epoch: u64,
    query: Carried<'a>,
    /// Segments before the first one that never were.
    gaps: u64,
    /// Of the init segment that was named last.
    version: Option<u32>,
}

impl Playlist<'_> {
    fn head(&mut self, listing: &Listing) -> fmt::Result {
        let version = if listing.part_target.is_some() { 9 } else { 7 };
        let target = listing.target;
        write!(
            self.out,
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES"
        )?;
        if let Some(target) = listing.part_target {
            let hold_back = Thousandths(u64::from(target) * 3);
            let target = Thousandths(target.into());
            write!(
                self.out,
                ",PART-HOLD-BACK={hold_back}\n#EXT-X-PART-INF:PART-TARGET={target}"
            )?;
        }
        self.put("\n")?;
        self.put(independent(listing))?;
        let Some(first) = listing.segments.first() else {
            return Ok(());
        };
        let sequence = first.number.saturating_sub(self.gaps);
        writeln!(self.out, "#EXT-X-MEDIA-SEQUENCE:{sequence}")?;
        if first.discontinuities > 0 {
            let count = first.discontinuities;
            writeln!(self.out, "#EXT-X-DISCONTINUITY-SEQUENCE:{count}")?;
        }
        Ok(())
    }

    /// Apple's players don't begin with a playlist of low latency that is too short.
    fn gaps(&mut self, listing: &Listing) -> fmt::Result {
        let Some(first) = listing.segments.first().filter(|_| self.gaps > 0) else {
            return Ok(());
        };
        self.map(first.version)?;
        for number in first.number.saturating_sub(self.gaps)..first.number {
            self.put("#EXT-X-GAP\n")?;
            self.entry(number, u64::from(listing.target) * 1_000)?;
        }
        Ok(())
    }

    fn map(&mut self, version: u32) -> fmt::Result {
        if self.version != Some(version) {
            self.version = Some(version);
            self.put("#EXT-X-MAP:URI=\"")?;
            self.name(SegmentKind::Init(version.into()), "\"\n")?;
        }
        Ok(())
    }

    /// What stands before the first part of a segment, and before the segment itself.
    fn begin_segment(&mut self, segment: &Segment) -> fmt::Result {
        if segment.has_discontinuity {
            self.put("#EXT-X-DISCONTINUITY\n")?;
        }
        self.map(segment.version)?;
        // Each has a date of its own: where only the first has one, those of others change when it
        // leaves the list.
        let ms = self.epoch + segment.date;
        let seconds = utc::text(ms / 1_000);
        let seconds = seconds.trim_end_matches('Z');
        let ms = ms % 1_000;
        writeln!(self.out, "#EXT-X-PROGRAM-DATE-TIME:{seconds}.{ms:03}Z")
    }

    fn parts(&mut self, segment: &Segment, parts: &[Part]) -> fmt::Result {
        for (place, part) in (0..).zip(parts) {
            let duration = Thousandths(part.duration.into());
            write!(self.out, "#EXT-X-PART:DURATION={duration},URI=\"")?;
            let end = match part.is_independent {
                true => "\",INDEPENDENT=YES\n",
                false => "\"\n",
            };
            self.name(SegmentKind::Part(segment.number, place), end)?;
        }
        Ok(())
    }

    fn segment(&mut self, segment: &Segment) -> fmt::Result {
        self.entry(segment.number, segment.duration.into())
    }

    fn entry(&mut self, number: u64, duration: Millis) -> fmt::Result {
        let duration = Thousandths(duration);
        writeln!(self.out, "#EXTINF:{duration},")?;
        self.name(SegmentKind::Segment(number), "\n")
    }

    fn end(&mut self, listing: &Listing) -> fmt::Result {
        if listing.is_ended {
            self.put("#EXT-X-ENDLIST\n")?;
        } else if listing.part_target.is_some() {
            let (number, place) = listing.next;
            self.put("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")?;
            self.name(SegmentKind::Part(number, place), "\"\n")?;
        }
        Ok(())
    }

    fn put(&mut self, text: &str) -> fmt::Result {
        self.out.write_str(text)
    }

    #[inline(never)]
    fn name(&mut self, kind: SegmentKind, end: &str) -> fmt::Result {
        let (name, query) = (
            SegmentName {
                life: self.life,
                kind,
            },
            self.query,
        );
        write!(self.out, "{name}{query}{end}")
    }
}

/// A number of thousandths, with all its zeros: "2.000".
struct Thousandths(u64);

impl Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

/// What of the query of a playlist's URL stands behind the URIs in it, with a question mark: all
/// but the playlist's own parameters (RFC 8216bis, 6.2.5), and nothing that a playlist can't hold.
/// Nothing of a query of more than [`MAX_QUERY_LEN`] bytes.
#[derive(Clone, Copy)]
pub struct Carried<'a>(pub &'a str);

impl Display for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > MAX_QUERY_LEN {
            return Ok(());
        }
        let mut before = '?';
        for parameter in self.0.split('&') {
            if parameter.is_empty() || parameter.starts_with("_HLS_") {
                continue;
            }
            f.write_char(before)?;
            before = '&';
            for byte in parameter.bytes() {
                match byte {
                    b'!' | b'$'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~' => {
                        f.write_char(byte.into())?;
                    }
                    _ => write!(f, "%{byte:02X}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
