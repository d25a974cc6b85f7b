//! Reads initialization segments and fragments of MP4 (ISO/IEC 14496-12), strictly.

use std::ops::Range;

/// A track, as the initialization segment describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) id: u32,
    pub(crate) is_video: bool,
    /// The ticks per second.
    pub(crate) timescale: u32,
    /// The name of the sample entry, and its contents.
    pub(crate) entry: String,
    pub(crate) entry_body: Vec<u8>,
}

impl Track {
    /// Returns a box in the sample entry.
    pub(crate) fn config(&self, name: &str) -> Option<&[u8]> {
        let begin = if self.is_video { 78 } else { 28 };
        let inner = boxes(self.entry_body.get(begin..)?).ok()?;
        let found = inner.into_iter().find(|(found, _)| found == name);
        found.map(|(_, body)| body)
    }

    /// The width and height of the sample entry.
    pub(crate) fn size(&self) -> Option<(u16, u16)> {
        let at = |at| {
            Some(u16::from_be_bytes(
                *self.entry_body.get(at..)?.first_chunk()?,
            ))
        };
        Some((at(24)?, at(26)?))
    }
}

/// A sample in a fragment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) track: u32,
    /// In ticks.
    pub(crate) decode_time: u64,
    pub(crate) duration: u32,
    pub(crate) composition_offset: i64,
    pub(crate) is_sync: bool,
    /// Where it lies.
    pub(crate) bytes: Range<usize>,
    /// Of its fragment.
    pub(crate) sequence: u32,
}

type Named<'a> = (String, &'a [u8]);

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    Ok(u32::from_be_bytes(*four.ok_or("a box is cut")?))
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, String> {
    Ok(u64::from(u32_at(bytes, at)?) << 32 | u64::from(u32_at(bytes, at + 4)?))
}

/// Returns the boxes one after the other; each byte belongs to one.
fn boxes(mut bytes: &[u8]) -> Result<Vec<Named<'_>>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let len = u32_at(bytes, 0)? as usize;
        let name = bytes.get(4..8).ok_or("a box is cut")?;
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(body) = bytes.get(8..len) else {
            return Err(format!("box {name} of {len} with {} bytes", bytes.len()));
        };
        found.push((name, body));
        bytes = &bytes[len..];
    }
    Ok(found)
}

/// Returns the only box of this name.
fn only<'a>(boxes: &[Named<'a>], name: &str) -> Result<&'a [u8], String> {
    let mut found = boxes.iter().filter(|(found, _)| found == name);
    match (found.next(), found.next()) {
        (Some((_, body)), None) => Ok(body),
        (None, _) => Err(format!("no {name}")),
        _ => Err(format!("{name} twice")),
    }
}

fn inside<'a>(body: &'a [u8], name: &str) -> Result<&'a [u8], String> {
    only(&boxes(body)?, name)
}

/// Reads an initialization segment.
pub(crate) fn parse_init(bytes: &[u8]) -> Result<Vec<Track>, String> {
    let all = boxes(bytes)?;
    if all.first().is_none_or(|(name, _)| name != "ftyp") {
        return Err("ftyp isn't first".into());
    }
    let movie = boxes(only(&all, "moov")?)?;
    only(&movie, "mvhd")?;
    let extends = boxes(only(&movie, "mvex")?)?;
    let defaults: Vec<u32> = (extends.iter())
        .filter(|(name, _)| name == "trex")
        .map(|(_, body)| u32_at(body, 4))
        .collect::<Result<_, _>>()?;
    let mut tracks = Vec::new();
    for (_, body) in movie.iter().filter(|(name, _)| name == "trak") {
        let header = inside(body, "tkhd")?;
        let id = u32_at(header, if header.first() == Some(&1) { 20 } else { 12 })?;
        let media = inside(body, "mdia")?;
        let header = inside(media, "mdhd")?;
        let timescale = u32_at(header, if header.first() == Some(&1) { 20 } else { 12 })?;
        let is_video = match inside(media, "hdlr")?.get(8..12) {
            Some(b"vide") => true,
            Some(b"soun") => false,
            other => return Err(format!("handler {other:?}")),
        };
        let table = inside(inside(media, "minf")?, "stbl")?;
        let entries = boxes(inside(table, "stsd")?.get(8..).ok_or("stsd is cut")?)?;
        let [(entry, entry_body)] = &entries[..] else {
            return Err(format!("{} sample entries", entries.len()));
        };
        for name in ["stts", "stsc", "stsz", "stco"] {
            inside(table, name)?;
        }
        if !defaults.contains(&id) {
            return Err(format!("no trex of track {id}"));
        }
        tracks.push(Track {
            id,
            is_video,
            timescale,
            entry: entry.clone(),
            entry_body: entry_body.to_vec(),
        });
    }
    if tracks.is_empty() || tracks.len() != defaults.len() {
        return Err(format!("{} tracks, {} trex", tracks.len(), defaults.len()));
    }
    Ok(tracks)
}

/// Reads a segment or part: the samples, in their order within the file.
pub(crate) fn parse_media(bytes: &[u8]) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    let mut at = 0;
    let mut expected: Option<(usize, usize)> = None;
    for (name, body) in boxes(bytes)? {
        let len = body.len() + 8;
        match (&name[..], expected.take()) {
            ("styp" | "prft" | "emsg", None) => {}
            ("moof", None) => {
                let begin = samples.len();
                fragment(body, at, &mut samples)?;
                expected = Some((begin, at + len));
            }
            ("mdat", Some((begin, data))) => {
                let mut ranges: Vec<_> = samples[begin..].iter().map(|s| s.bytes.clone()).collect();
                ranges.sort_by_key(|range| range.start);
                let mut next = data + 8;
                for range in ranges {
                    if range.start != next {
                        return Err(format!("a sample at {}, not {next}", range.start));
                    }
                    next = range.end;
                }
                if next != data + len {
                    return Err(format!(
                        "mdat ends at {}, its samples at {next}",
                        data + len
                    ));
                }
            }
            (_, expected) => return Err(format!("{name} where {expected:?}")),
        }
        at += len;
    }
    match expected {
        Some(_) => Err("moof without mdat".into()),
        None if samples.is_empty() => Err("no sample".into()),
        None => Ok(samples),
    }
}

/// Reads a moof that begins at `at`.
fn fragment(body: &[u8], at: usize, samples: &mut Vec<Sample>) -> Result<(), String> {
    let all = boxes(body)?;
    let sequence = u32_at(only(&all, "mfhd")?, 4)?;
    for (name, body) in &all {
        match &name[..] {
            "mfhd" => continue,
            "traf" => {}
            _ => return Err(format!("{name} in moof")),
        }
        let inner = boxes(body)?;
        let header = only(&inner, "tfhd")?;
        let flags = u32_at(header, 0)?;
        // ISO/IEC 14496-12, 8.8.7; bis, 3.1.2 requires movie-fragment relative addressing.
        if flags & 0x02_0000 == 0 || flags & 1 != 0 {
            return Err(format!("tfhd with flags {flags:06x}"));
        }
        let track = u32_at(header, 4)?;
        let mut next = 8;
        let mut default = |flag: u32| -> Result<Option<u32>, String> {
            if flags & flag == 0 {
                return Ok(None);
            }
            next += 4;
            u32_at(header, next - 4).map(Some)
        };
        default(2)?;
        let (duration, size, sample_flags) = (default(8)?, default(0x10)?, default(0x20)?);
        let time = only(&inner, "tfdt")?;
        let mut decode_time = match time.first() {
            Some(1) => u64_at(time, 4)?,
            _ => u32_at(time, 4)?.into(),
        };
        let mut offset = None;
        for (_, run) in inner.iter().filter(|(name, _)| name == "trun") {
            let flags = u32_at(run, 0)?;
            let (version, count) = (flags >> 24, u32_at(run, 4)?);
            let mut next = 8;
            let mut field = |flag: u32| -> Result<Option<u32>, String> {
                if flags & flag == 0 {
                    return Ok(None);
                }
                next += 4;
                u32_at(run, next - 4).map(Some)
            };
            if let Some(from) = field(1)? {
                offset = Some(at + from as usize);
            }
            let mut begin = offset.ok_or("trun without data offset")?;
            let first_flags = field(4)?;
            for number in 0..count {
                let duration = field(0x100)?.or(duration).ok_or("no duration")?;
                let len = field(0x200)?.or(size).ok_or("no size")? as usize;
                let own = field(0x400)?.or(first_flags.filter(|_| number == 0));
                let flags = own.or(sample_flags).ok_or("no sample flags")?;
                let composition = field(0x800)?.unwrap_or_default();
                samples.push(Sample {
                    track,
                    decode_time,
                    duration,
                    composition_offset: match version {
                        0 => composition.into(),
                        _ => (composition as i32).into(),
                    },
                    is_sync: flags & 0x1_0000 == 0,
                    bytes: begin..begin + len,
                    sequence,
                });
                decode_time += u64::from(duration);
                begin += len;
            }
            offset = Some(begin);
        }
    }
    Ok(())
}
