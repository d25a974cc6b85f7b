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

use crate::calendar;
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
        life: hex(life),
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
    /// The stream's life, as names have it.
    life: [u8; 8],
    epoch: u64,
    query: Carried<'a>,
    /// Segments before the first one that never were.
    gaps: u64,
    /// Of the init segment that was named last.
    version: Option<u32>,
}

impl Playlist<'_> {
    fn head(&mut self, listing: &Listing) -> fmt::Result {
        self.put("#EXTM3U\n#EXT-X-VERSION:")?;
        self.put(if listing.part_target.is_some() {
            "9"
        } else {
            "7"
        })?;
        self.line("\n#EXT-X-TARGETDURATION:", listing.target.into())?;
        if let Some(target) = listing.part_target {
            // Who waits for a whole segment doesn't wait for longer than a response may take.
            self.put("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=")?;
            self.thousandths(u64::from(target) * 3)?;
            self.put("\n#EXT-X-PART-INF:PART-TARGET=")?;
            self.thousandths(target.into())?;
            self.put("\n")?;
        }
        self.put(independent(listing))?;
        let Some(first) = listing.segments.first() else {
            return Ok(());
        };
        let sequence = first.number.saturating_sub(self.gaps);
        self.line("#EXT-X-MEDIA-SEQUENCE:", sequence)?;
        match first.discontinuities {
            0 => Ok(()),
            count => self.line("#EXT-X-DISCONTINUITY-SEQUENCE:", count.into()),
        }
    }

    /// Apple's players don't begin with a playlist of low latency that is too short.
    fn gaps(&mut self, listing: &Listing) -> fmt::Result {
        let Some(first) = listing.segments.first().filter(|_| self.gaps > 0) else {
            return Ok(());
        };
        self.map(first.version)?;
        for number in first.number.saturating_sub(self.gaps)..first.number {
            self.put("#EXT-X-GAP\n")?;
            self.entry(number, u64::from(listing.missing_duration) * 1_000)?;
        }
        Ok(())
    }

    fn map(&mut self, version: u32) -> fmt::Result {
        if self.version != Some(version) {
            self.version = Some(version);
            self.put("#EXT-X-MAP:URI=\"")?;
            self.name(version.into(), None, ".mp4", "\"\n")?;
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
        let fields = calendar::fields(ms / 1_000);
        let before = ["#EXT-X-PROGRAM-DATE-TIME:", "-", "-", "T", ":", ":"];
        for (before, field) in before.into_iter().zip(fields) {
            self.put(before)?;
            self.decimal(field, 2)?;
        }
        self.put(".")?;
        self.decimal(ms % 1_000, 3)?;
        self.put("Z\n")
    }

    fn parts(&mut self, segment: &Segment, parts: &[Part]) -> fmt::Result {
        for (place, part) in (0..).zip(parts) {
            self.put("#EXT-X-PART:DURATION=")?;
            self.thousandths(part.duration.into())?;
            self.put(",URI=\"")?;
            let end = match part.is_independent {
                true => "\",INDEPENDENT=YES\n",
                false => "\"\n",
            };
            self.name(segment.number, Some(place), ".m4s", end)?;
        }
        Ok(())
    }

    fn segment(&mut self, segment: &Segment) -> fmt::Result {
        self.entry(segment.number, segment.duration.into())
    }

    fn entry(&mut self, number: u64, duration: Millis) -> fmt::Result {
        self.put("#EXTINF:")?;
        self.thousandths(duration)?;
        self.put(",\n")?;
        self.name(number, None, ".m4s", "\n")
    }

    fn end(&mut self, listing: &Listing) -> fmt::Result {
        if listing.is_ended {
            self.put("#EXT-X-ENDLIST\n")?;
        } else if listing.part_target.is_some() {
            let (number, place) = listing.next;
            self.put("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")?;
            self.name(number, Some(place), ".m4s", "\"\n")?;
        }
        Ok(())
    }

    /// The name of a file, which is that of a [`SegmentName`](crate::http::route::SegmentName).
    fn name(&mut self, number: u64, place: Option<u64>, ending: &str, end: &str) -> fmt::Result {
        let life = self.life;
        self.put(std::str::from_utf8(&life).unwrap_or_default())?;
        self.put("-")?;
        self.decimal(number, 1)?;
        if let Some(place) = place {
            self.put(".")?;
            self.decimal(place, 1)?;
        }
        self.put(ending)?;
        if !self.query.0.is_empty() {
            write!(self.out, "{}", self.query)?;
        }
        self.put(end)
    }

    fn line(&mut self, name: &str, value: u64) -> fmt::Result {
        self.put(name)?;
        self.decimal(value, 1)?;
        self.put("\n")
    }

    fn thousandths(&mut self, number: u64) -> fmt::Result {
        self.decimal(number / 1_000, 1)?;
        self.put(".")?;
        self.decimal(number % 1_000, 3)
    }

    /// A number of at least so many digits, of nine at most. A playlist has a hundred of them and is
    /// made for each request; what `write!` does for each takes several times as long.
    fn decimal(&mut self, number: u64, width: usize) -> fmt::Result {
        const ALL: u64 = 1_000_000_000;
        if number >= ALL {
            self.decimal(number / ALL, width.saturating_sub(9))?;
            return self.decimal(number % ALL, 9);
        }
        let (mut rest, mut digits, mut start) = (number as u32, [0; 9], 9);
        while rest > 0 || 9 - start < width {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.put(std::str::from_utf8(&digits[start..]).unwrap_or_default())
    }

    fn put(&mut self, text: &str) -> fmt::Result {
        self.out.write_str(text)
    }
}

/// As eight hexadecimal digits.
fn hex(number: u32) -> [u8; 8] {
    let mut place = 32;
    [0; 8].map(|_: u8| {
        place -= 4;
        b"0123456789abcdef"[(number >> place & 0xF) as usize]
    })
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
