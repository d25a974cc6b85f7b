//! Reads playlists, strictly by RFC 8216bis ("bis" below), and reports their faults.

use std::collections::BTreeMap;

/// A Media Playlist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Playlist {
    pub(crate) version: u32,
    /// In s.
    pub(crate) target: u64,
    pub(crate) media_sequence: u64,
    pub(crate) is_independent: bool,
    pub(crate) has_ended: bool,
    pub(crate) part_target: Option<f64>,
    pub(crate) can_block: bool,
    pub(crate) part_hold_back: Option<f64>,
    pub(crate) hold_back: Option<f64>,
    pub(crate) segments: Vec<Segment>,
    /// What comes after the last segment: its tags, and its parts so far.
    pub(crate) open: Segment,
    /// The URI of the part that comes next.
    pub(crate) hint: Option<String>,
    pub(crate) has_start: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) uri: String,
    /// EXTINF, in s.
    pub(crate) duration: f64,
    /// In us since 1970.
    pub(crate) date: Option<i64>,
    pub(crate) is_discontinuous: bool,
    /// The discontinuities up to this segment, its own included, since the stream began.
    pub(crate) discontinuities: u64,
    pub(crate) map: Option<String>,
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) uri: String,
    pub(crate) duration: f64,
    pub(crate) is_independent: bool,
}

impl Playlist {
    /// The sum of the listed segments' durations, in s.
    pub(crate) fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// Keyframes are so far apart that parts would do more harm than good: players that begin with
    /// one that isn't independent show nothing until the next keyframe.
    pub(crate) fn has_far_keyframes(&self) -> bool {
        self.target > 4
    }

    /// The number of the segment that comes next.
    pub(crate) fn next_number(&self) -> u64 {
        self.media_sequence + self.segments.len() as u64
    }

    /// All parts, with the number of their segment.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&Segment, usize)> {
        let segments = self.segments.iter().chain([&self.open]);
        segments.flat_map(|segment| (0..segment.parts.len()).map(move |index| (segment, index)))
    }
}

/// `NAME=VALUE,NAME="VALUE"` (bis, 4.2).
pub(crate) fn attributes(text: &str) -> Result<BTreeMap<&str, &str>, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some((name, after)) = rest.split_once('=') else {
            return Err(format!("no = in {rest}"));
        };
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(format!("bad attribute name {name:?}"));
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let Some((value, after)) = quoted.split_once('"') else {
                    return Err(format!("no closing quote in {after}"));
                };
                (value, after)
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                after.split_at(end)
            }
        };
        if found.insert(name, value).is_some() {
            return Err(format!("{name} twice"));
        }
        rest = match after.strip_prefix(',') {
            Some("") => return Err("a comma at the end".into()),
            Some(rest) => rest,
            None if after.is_empty() => after,
            None => return Err(format!("no comma before {after}")),
        };
    }
    Ok(found)
}

fn yes(attributes: &BTreeMap<&str, &str>, name: &str) -> Result<bool, String> {
    match attributes.get(name) {
        None => Ok(false),
        Some(&"YES") => Ok(true),
        Some(&"NO") => Ok(false),
        Some(other) => Err(format!("{name}={other}")),
    }
}

fn decimal<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let is_digit = |c: char| c.is_ascii_digit() || c == '.';
    let value = text.parse().ok();
    value
        .filter(|_| text.chars().all(is_digit))
        .ok_or_else(|| format!("no decimal number: {text:?}"))
}

fn number(attributes: &BTreeMap<&str, &str>, name: &str) -> Result<Option<f64>, String> {
    attributes.get(name).map(|text| decimal(text)).transpose()
}

fn uri(attributes: &BTreeMap<&str, &str>) -> Result<String, String> {
    let uri = attributes.get("URI").ok_or("no URI")?;
    Ok((*uri).to_owned())
}

/// `2026-01-02T03:04:05.678Z` or with `+01:00`, in us since 1970 (ISO 8601).
pub(crate) fn date(text: &str) -> Result<i64, String> {
    let bad = || format!("bad date {text:?}");
    let digits = |range: std::ops::Range<usize>| {
        let digits = text.get(range).ok_or_else(bad)?;
        digits.parse::<i64>().map_err(|_| bad())
    };
    let shape: String = text.chars().take(19).collect();
    let separators = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    if separators
        .iter()
        .any(|(at, c)| shape.chars().nth(*at) != Some(*c))
    {
        return Err(bad());
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let seconds = digits(11..13)? * 3600 + digits(14..16)? * 60 + digits(17..19)?;
    let rest = text.get(19..).ok_or_else(bad)?;
    let zone_at = rest.find(['Z', '+', '-']).ok_or_else(bad)?;
    let (fraction, zone) = rest.split_at(zone_at);
    let fraction: f64 = match fraction {
        "" => 0.0,
        _ => format!("0{fraction}").parse().map_err(|_| bad())?,
    };
    let zone_minutes = match zone {
        "Z" => 0,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':').ok_or_else(bad)?;
            let parsed = |text: &str| text.parse::<i64>().map_err(|_| bad());
            let minutes = parsed(hours)? * 60 + parsed(minutes)?;
            if zone.starts_with('-') {
                -minutes
            } else {
                minutes
            }
        }
    };
    // Days since 1970 in the civil calendar, with years that begin in March.
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + seconds - zone_minutes * 60;
    Ok(seconds * 1_000_000 + (fraction * 1e6).round() as i64)
}

/// Reads a Media Playlist; adds to `wrong` what breaks a rule within it.
pub(crate) fn parse(text: &str, wrong: &mut Vec<String>) -> Playlist {
    let mut playlist = Playlist::default();
    let mut seen = BTreeMap::<&str, u32>::new();
    let mut segment = Segment::default();
    let mut map = None;
    let mut extinf = None;
    let mut discontinuities = 0;
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        wrong.push("the first line isn't #EXTM3U".into());
    }
    if !text.ends_with('\n') {
        wrong.push("the last line has no end".into());
    }
    for line in lines {
        let result = (|| -> Result<(), String> {
            if line.is_empty() || line.starts_with('#') && !line.starts_with("#EXT") {
                return Ok(());
            }
            if !line.starts_with('#') {
                let duration = extinf.take().ok_or("a URI without EXTINF")?;
                let mut whole = std::mem::take(&mut segment);
                whole.uri = line.to_owned();
                whole.duration = duration;
                whole.map.clone_from(&map);
                whole.discontinuities = discontinuities;
                playlist.segments.push(whole);
                return Ok(());
            }
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let times = seen.entry(tag).or_default();
            *times += 1;
            let is_single = matches!(
                tag,
                "#EXT-X-VERSION"
                    | "#EXT-X-TARGETDURATION"
                    | "#EXT-X-MEDIA-SEQUENCE"
                    | "#EXT-X-DISCONTINUITY-SEQUENCE"
                    | "#EXT-X-INDEPENDENT-SEGMENTS"
                    | "#EXT-X-ENDLIST"
                    | "#EXT-X-PART-INF"
                    | "#EXT-X-SERVER-CONTROL"
                    | "#EXT-X-START"
                    | "#EXT-X-PRELOAD-HINT"
            );
            if is_single && *times > 1 {
                return Err(format!("{tag} twice"));
            }
            let has_media = !playlist.segments.is_empty() || !segment.parts.is_empty();
            match tag {
                "#EXT-X-VERSION" => playlist.version = decimal(value)?,
                "#EXT-X-TARGETDURATION" => playlist.target = decimal(value)?,
                "#EXT-X-MEDIA-SEQUENCE" if has_media => Err("MEDIA-SEQUENCE behind media")?,
                "#EXT-X-MEDIA-SEQUENCE" => playlist.media_sequence = decimal(value)?,
                "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                    if has_media || discontinuities > 0 {
                        Err("DISCONTINUITY-SEQUENCE behind media or DISCONTINUITY")?;
                    }
                    discontinuities = decimal(value)?;
                }
                "#EXT-X-INDEPENDENT-SEGMENTS" => playlist.is_independent = true,
                "#EXT-X-ENDLIST" => playlist.has_ended = true,
                "#EXT-X-START" => {
                    let attributes = attributes(value)?;
                    let offset = attributes.get("TIME-OFFSET").ok_or("no TIME-OFFSET")?;
                    decimal::<f64>(offset.strip_prefix('-').unwrap_or(offset))?;
                    yes(&attributes, "PRECISE")?;
                    playlist.has_start = true;
                }
                "#EXT-X-PART-INF" => {
                    playlist.part_target = number(&attributes(value)?, "PART-TARGET")?;
                }
                "#EXT-X-SERVER-CONTROL" => {
                    let attributes = attributes(value)?;
                    playlist.can_block = yes(&attributes, "CAN-BLOCK-RELOAD")?;
                    playlist.part_hold_back = number(&attributes, "PART-HOLD-BACK")?;
                    playlist.hold_back = number(&attributes, "HOLD-BACK")?;
                    number(&attributes, "CAN-SKIP-UNTIL")?;
                }
                "#EXT-X-MAP" => {
                    if !segment.parts.is_empty() {
                        Err("MAP behind the first part of its segment")?;
                    }
                    map = Some(uri(&attributes(value)?)?);
                }
                "#EXT-X-DISCONTINUITY" => {
                    if !segment.parts.is_empty() {
                        Err("DISCONTINUITY behind the first part of its segment")?;
                    }
                    segment.is_discontinuous = true;
                    discontinuities += 1;
                }
                "#EXT-X-PROGRAM-DATE-TIME" => {
                    if !segment.parts.is_empty() {
                        Err("PROGRAM-DATE-TIME behind the first part of its segment")?;
                    }
                    if segment.date.replace(date(value)?).is_some() {
                        Err("PROGRAM-DATE-TIME twice for a segment")?;
                    }
                }
                "#EXT-X-PART" => {
                    let attributes = attributes(value)?;
                    if yes(&attributes, "GAP")? || attributes.contains_key("BYTERANGE") {
                        Err(format!("never written here: {line}"))?;
                    }
                    segment.parts.push(Part {
                        uri: uri(&attributes)?,
                        duration: number(&attributes, "DURATION")?.ok_or("no DURATION")?,
                        is_independent: yes(&attributes, "INDEPENDENT")?,
                    });
                }
                "#EXT-X-PRELOAD-HINT" => {
                    let attributes = attributes(value)?;
                    if attributes.get("TYPE") != Some(&"PART") {
                        Err(format!("not a part: {line}"))?;
                    }
                    playlist.hint = Some(uri(&attributes)?);
                }
                "#EXTINF" => {
                    let (duration, _title) = value.split_once(',').ok_or("EXTINF without comma")?;
                    if extinf.replace(decimal(duration)?).is_some() {
                        Err("EXTINF twice for a segment")?;
                    }
                }
                _ => Err(format!("unexpected {line}"))?,
            }
            Ok(())
        })();
        if let Err(error) = result {
            wrong.push(error);
        }
    }
    segment.map = map;
    segment.discontinuities = discontinuities;
    playlist.open = segment;
    let first = playlist.media_sequence;
    let numbered = playlist.segments.iter_mut().chain([&mut playlist.open]);
    for (number, segment) in (first..).zip(numbered) {
        segment.number = number;
    }
    alone(&playlist, &seen, extinf, wrong);
    playlist
}

/// Checks the rules that apply to a Media Playlist by itself.
fn alone(
    playlist: &Playlist,
    seen: &BTreeMap<&str, u32>,
    extinf: Option<f64>,
    wrong: &mut Vec<String>,
) {
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(what);
        }
    };
    check(extinf.is_none(), "EXTINF without a URI".into());
    for tag in ["#EXT-X-VERSION", "#EXT-X-TARGETDURATION"] {
        check(seen.contains_key(tag), format!("no {tag}"));
    }
    // bis, 8: MAP in a playlist of media that isn't I-frames only needs 6. The rest are tags that
    // older clients ignore.
    check(
        playlist.version >= 6,
        format!("version {} with EXT-X-MAP", playlist.version),
    );
    for segment in &playlist.segments {
        let (duration, target) = (segment.duration, playlist.target);
        check(
            duration.round() <= target as f64,
            format!("EXTINF {duration} with TARGETDURATION {target}"),
        );
        check(segment.map.is_some(), "a segment before MAP".into());
        check(
            segment.parts.is_empty() || {
                let parts: f64 = segment.parts.iter().map(|part| part.duration).sum();
                (parts - duration).abs() < 0.002
            },
            format!("EXTINF {duration} isn't the sum of its parts"),
        );
    }
    let all: Vec<&str> = (playlist.segments.iter().map(|segment| &segment.uri[..]))
        .chain(playlist.parts().map(|(of, index)| &of.parts[index].uri[..]))
        .collect();
    let mut unique = all.clone();
    unique.sort_unstable();
    unique.dedup();
    check(unique.len() == all.len(), "a URI twice".into());
    if playlist.part_target.is_some() {
        check(playlist.can_block, "no CAN-BLOCK-RELOAD".into());
    }
    let has_parts = playlist.parts().next().is_some() || playlist.hint.is_some();
    match (playlist.part_target, playlist.part_hold_back) {
        (Some(part_target), Some(hold_back)) => check(
            hold_back >= 3.0 * part_target - 1e-6,
            format!("PART-HOLD-BACK {hold_back} with PART-TARGET {part_target}"),
        ),
        _ => check(
            !has_parts,
            "parts without PART-TARGET or PART-HOLD-BACK".into(),
        ),
    }
    if let Some(hold_back) = playlist.hold_back {
        check(
            hold_back >= 3.0 * playlist.target as f64,
            format!("HOLD-BACK {hold_back}"),
        );
    }
    for (of, index) in playlist.parts() {
        let part = &of.parts[index];
        let part_target = playlist.part_target.unwrap_or_default();
        check(
            part.duration <= part_target + 0.0005,
            format!("a part of {} with PART-TARGET {part_target}", part.duration),
        );
        // The last part of a whole segment may be shorter; so may the last of all, which may turn
        // out to be just that.
        let is_last = index + 1 == of.parts.len();
        check(
            is_last || part.is_independent || part.duration >= 0.85 * part_target - 0.0005,
            format!(
                "a part of {} in the middle, less than 85 % of {part_target}",
                part.duration
            ),
        );
    }
    check(
        !playlist.has_ended || playlist.hint.is_none(),
        "PRELOAD-HINT with ENDLIST".into(),
    );
}

/// A Multivariant Playlist of one variant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Multivariant {
    pub(crate) uri: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

pub(crate) fn parse_multivariant(text: &str, wrong: &mut Vec<String>) -> Multivariant {
    let mut found = Multivariant::default();
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") {
        wrong.push("the first line isn't #EXTM3U".into());
    }
    let mut is_next = false;
    for line in lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-VERSION" | "#EXT-X-INDEPENDENT-SEGMENTS" | "" => {}
            "#EXT-X-STREAM-INF" => match attributes(value) {
                Ok(attributes) => {
                    let owned = attributes.into_iter();
                    found.attributes = owned.map(|(k, v)| (k.into(), v.into())).collect();
                    is_next = true;
                }
                Err(error) => wrong.push(error),
            },
            _ if !line.starts_with('#') && is_next => {
                line.clone_into(&mut found.uri);
                is_next = false;
            }
            _ => wrong.push(format!("unexpected {line}")),
        }
    }
    if found.uri.is_empty() {
        wrong.push("no variant".into());
    }
    found
}
