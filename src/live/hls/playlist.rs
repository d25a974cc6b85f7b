//! Playlists as text (RFC 8216bis, section 4).
//!
//! ```text
//! /live/door.m3u8          multivariant playlist: describes the stream, names the media playlist
//! /live/door/media.m3u8    media playlist: lists the files (see `file_name`)
//! ```
//!
//! Every URI carries the query of the playlist's own request, because that holds the key. A playlist is
//! written piece by piece and never stored: a client's query appears in it a hundred times.

use std::fmt::{self, Display, Write};

use super::decimal::{decimal, thousandths};
use super::file_name::{FileKind, FileName};
use super::segment::Segment;
use super::segments::Listing;
use crate::calendar;
use crate::media::mp4::Presentation;

/// Content type of playlists.
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// Maximum length of a query that URIs carry, in bytes. The server doesn't look for keys in a longer
/// one.
pub const MAX_QUERY_LEN: usize = 1024;

/// Writes the multivariant playlist of a stream. `media` is the URI of the media playlist.
pub fn write_multivariant(
    out: &mut dyn Write,
    listing: &Listing,
    presentation: &Presentation,
    media: &str,
    query: Carried<'_>,
) -> fmt::Result {
    let (mut bytes, mut duration, mut frames) = (0, 0, 0);
    for segment in &listing.segments {
        bytes += segment.bytes;
        duration += u64::from(segment.duration);
        frames += u64::from(segment.frames);
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
    let format = presentation.video.as_ref().and_then(|video| video.format);
    if let Some((width, height)) = format.map(|format| format.size()) {
        write!(out, ",RESOLUTION={width}x{height},FRAME-RATE=")?;
        thousandths(out, frames * 1_000_000 / duration)?;
    }
    // Says that there are no captions besides those that may be inside the video. Shaka plays nothing
    // without this.
    write!(out, ",CLOSED-CAPTIONS=NONE\n{media}{query}\n")
}

/// The contents of a media playlist besides the listing.
#[derive(Clone, Copy)]
pub struct MediaContext<'a> {
    /// The life of the stream, for the names of files.
    pub life: u32,
    /// The beginning of the server's clock, in ms since 1970.
    pub epoch: u64,
    /// The query that follows every name.
    pub query: Carried<'a>,
    /// Whether gaps replace the segments that a first playlist lacks.
    pub is_filled: bool,
}

/// Writes the media playlist of a stream.
pub fn write_media(
    out: &mut dyn Write,
    listing: &Listing,
    context: MediaContext<'_>,
) -> fmt::Result {
    let mut writer = MediaWriter {
        gaps: listing.missing * u64::from(context.is_filled),
        out,
        context,
        version: None,
    };
    writer.head(listing)?;
    writer.gaps(listing)?;
    for segment in &listing.segments {
        writer.parts(segment, listing)?;
        writer.entry(segment.number, segment.duration.into())?;
    }
    if let Some(open) = &listing.open {
        writer.parts(open, listing)?;
    }
    writer.end(listing)
}

/// The tag that lets players start with any segment, if they can.
fn independent(listing: &Listing) -> &'static str {
    if listing.is_independent() {
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
    } else {
        ""
    }
}

struct MediaWriter<'a> {
    out: &'a mut dyn Write,
    context: MediaContext<'a>,
    /// The number of gaps before the first segment.
    gaps: u64,
    /// Version of the init segment that was named last.
    version: Option<u32>,
}

impl MediaWriter<'_> {
    fn head(&mut self, listing: &Listing) -> fmt::Result {
        let version = if listing.part_target.is_some() { 9 } else { 7 };
        self.line("#EXTM3U\n#EXT-X-VERSION:", version)?;
        self.line("#EXT-X-TARGETDURATION:", listing.target.into())?;
        if let Some(target) = listing.part_target {
            // Blocking reloads are offered only together with parts: waiting for a whole segment could
            // take longer than a response may.
            self.put("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=")?;
            thousandths(self.out, u64::from(target) * 3)?;
            self.put("\n#EXT-X-PART-INF:PART-TARGET=")?;
            thousandths(self.out, target.into())?;
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

    /// Writes the gaps. Apple's players don't start with a low-latency playlist that is too short.
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
            self.name(FileKind::Init(version.into()), "\"\n")?;
        }
        Ok(())
    }

    /// Writes the tags that precede the first part of a segment, or the segment itself.
    fn begin_segment(&mut self, segment: &Segment) -> fmt::Result {
        if segment.has_discontinuity {
            self.put("#EXT-X-DISCONTINUITY\n")?;
        }
        self.map(segment.version)?;
        // Each segment has its own date: with a date on the first one only, the dates that players
        // derive for the others would change whenever it leaves the playlist.
        let ms = self.context.epoch + segment.date;
        let fields = calendar::fields(ms / 1_000);
        let before = ["#EXT-X-PROGRAM-DATE-TIME:", "-", "-", "T", ":", ":"];
        for (before, field) in before.into_iter().zip(fields) {
            self.put(before)?;
            decimal(self.out, field, 2)?;
        }
        self.put(".")?;
        decimal(self.out, ms % 1_000, 3)?;
        self.put("Z\n")
    }

    /// Writes the beginning of a segment, and its parts.
    fn parts(&mut self, segment: &Segment, listing: &Listing) -> fmt::Result {
        self.begin_segment(segment)?;
        for (index, part) in (0..).zip(listing.parts(segment)) {
            self.put("#EXT-X-PART:DURATION=")?;
            thousandths(self.out, part.duration.into())?;
            self.put(",URI=\"")?;
            let end = if part.is_independent {
                "\",INDEPENDENT=YES\n"
            } else {
                "\"\n"
            };
            self.name(FileKind::Part(segment.number, index), end)?;
        }
        Ok(())
    }

    /// Writes the entry of a segment, or of a gap, of `duration` ms.
    fn entry(&mut self, number: u64, duration: u64) -> fmt::Result {
        self.put("#EXTINF:")?;
        thousandths(self.out, duration)?;
        self.put(",\n")?;
        self.name(FileKind::Segment(number), "\n")
    }

    fn end(&mut self, listing: &Listing) -> fmt::Result {
        if listing.is_ended {
            self.put("#EXT-X-ENDLIST\n")?;
        } else if listing.part_target.is_some() {
            let (number, part) = listing.next;
            self.put("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"")?;
            self.name(FileKind::Part(number, part), "\"\n")?;
        }
        Ok(())
    }

    /// Writes the name of a file with the query, and then `end`.
    fn name(&mut self, kind: FileKind, end: &str) -> fmt::Result {
        let life = self.context.life;
        FileName { life, kind }.write(self.out)?;
        if !self.context.query.0.is_empty() {
            write!(self.out, "{}", self.context.query)?;
        }
        self.put(end)
    }

    fn line(&mut self, name: &str, value: u64) -> fmt::Result {
        self.put(name)?;
        decimal(self.out, value, 1)?;
        self.put("\n")
    }

    fn put(&mut self, text: &str) -> fmt::Result {
        self.out.write_str(text)
    }
}

/// The query of a playlist's URL in the form that the playlist's URIs carry: with the question mark,
/// without the playlist's own parameters (RFC 8216bis, 6.2.5), and with all characters escaped that
/// would break a playlist. Empty if the query is longer than [`MAX_QUERY_LEN`] bytes.
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
