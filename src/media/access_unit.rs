//! What the units in the body of a video message say: of H.264 and HEVC NAL units behind their
//! lengths, of AV1 open bitstream units.
//!
//! A message isn't a picture. Phones, drones and cameras send:
//!
//! ```text
//! SPS PPS SEI IDR         a picture
//! IDR   IDR   IDR         one, in a message for each slice: the first begins it, the others go on
//! SPS PPS, SEI, AUD       none: what stands beside pictures
//! "", "" P                nothing, or an empty unit, which containers forbid
//! ```
//!
//! And the flag in the tag's header may lie in both directions. So what a message is, its units
//! say; the flag counts where they can't be read, or leave it open.
//!
//! Units are walked by their lengths, at most `MAX_UNITS` of a message. Pictures aren't decoded:
//! of each unit a few bytes are looked at.

use super::bits::BitReader;
use super::codec::VideoCodec;

/// Units of a message that are looked at: H.265 allows a picture 600 slices.
const MAX_UNITS: usize = 1024;

/// Bytes of a unit that are looked at.
const HEAD_LEN: usize = 24;

/// Length, and end, of a unit that doesn't tell it.
const TO_THE_END: usize = usize::MAX;

/// Parameter sets of a picture that are kept, in bytes.
pub const MAX_SETS_LEN: usize = 512;

/// How a track's units are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// What they are.
    pub codec: VideoCodec,
    /// Bytes of the length in front of each NAL unit, 1 to 4.
    pub length_size: u8,
}

/// What a message is of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It begins one.
    First,
    /// It goes on with one.
    More,
    /// It has nothing of one.
    Beside,
}

/// Whether a decoder can start with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It needs those before.
    No,
    /// It doesn't itself. Whether those behind it do, the flag says.
    Intra,
    /// Pictures are right some time behind it, and the flag says if it is a place to start.
    Recovery,
    /// IDR, CRA and BLA pictures; key frames.
    Yes,
}

/// What a message's units say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// What it is of a picture.
    pub part: Part,
    /// Of a picture that it begins.
    pub access: Access,
    /// Bytes at the beginning of the body that containers forbid.
    pub forbidden: usize,
    /// They forbid something behind these too.
    pub is_unclean: bool,
}

/// Parameter sets, each behind its length in two bytes.
#[derive(Debug, Default)]
pub struct Sets {
    bytes: Vec<u8>,
    /// There were more than there is room for.
    is_incomplete: bool,
}

impl Sets {
    /// Whether some came while there was no room at all.
    pub fn want_room(&self) -> bool {
        self.is_incomplete && self.room() == 0
    }

    /// Takes [`MAX_SETS_LEN`] bytes on the heap.
    pub fn make_room(&mut self) {
        self.clear();
        self.bytes.reserve_exact(MAX_SETS_LEN);
    }

    /// Bytes on the heap.
    pub fn room(&self) -> usize {
        self.bytes.capacity()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.is_incomplete = false;
    }

    /// Each of them; nothing if there were more.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest: &[u8] = if self.is_incomplete { &[] } else { &self.bytes };
        std::iter::from_fn(move || {
            let (len, sets) = rest.split_first_chunk()?;
            let (set, after) = sets.split_at_checked(u16::from_be_bytes(*len).into())?;
            rest = after;
            Some(set)
        })
    }

    fn add(&mut self, unit: &Unit, units: &mut Units<'_, '_>) {
        let start = self.bytes.len();
        if start.saturating_add(2).saturating_add(unit.len) > self.room() {
            self.is_incomplete = true;
            return;
        }
        self.bytes.extend((unit.len as u16).to_be_bytes());
        self.bytes.extend(unit.head());
        units.read_rest(&mut self.bytes);
        let (before, set) = self.bytes.split_at(start);
        // One that is cut, or is there already.
        if set.len() < 2 + unit.len || before.windows(set.len()).any(|other| other == set) {
            self.bytes.truncate(start);
        }
    }
}

/// Looks at the units of a body that lies in parts, and keeps its parameter sets. `None`: they can't
/// be read, or say nothing.
pub fn look(
    format: Format,
    body: &mut dyn Iterator<Item = &[u8]>,
    sets: &mut Sets,
) -> Option<Look> {
    let mut units = Units::new(format, body);
    let look = match format.codec {
        VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Av1 => units.look(Some(sets)),
        codec @ (VideoCodec::Vp8 | VideoCodec::Vp9) => match units.next()?.head() {
            [] => Look::NOTHING,
            frame => Look {
                part: Part::First,
                access: access_of_frame(codec, frame)?,
                ..Look::NOTHING
            },
        },
        _ => return None,
    };
    units.is_whole.then_some(look)
}

/// Whether the body of a frame message is a keyframe by its own account. The bytes may be the
/// beginning of a long one: what can't be seen in them is no keyframe. Never true for codecs that
/// only have the flag.
pub fn is_keyframe(codec: VideoCodec, body: &[u8]) -> bool {
    // Other sizes are legal and unheard of; a wrong walk ends soon.
    let length_size = 4;
    let access = access_of_frame(codec, body).unwrap_or_else(|| {
        let body = &mut std::iter::once(body);
        Units::new(Format { codec, length_size }, body)
            .look(None)
            .access
    });
    access == Access::Yes
}

/// Where the next bytes that a container may have stand in a body that lies in parts from `at` on.
/// Empty at its end.
pub fn clean_range(
    format: Format,
    at: usize,
    body: &mut dyn Iterator<Item = &[u8]>,
) -> std::ops::Range<usize> {
    let mut units = Units::new(format, body);
    let (mut start, mut end) = (0, 0);
    while let Some(unit) = units.next() {
        let is_forbidden = matches!(unit.kind(format.codec), Kind::Forbidden);
        if is_forbidden && end > start {
            break;
        }
        end = units.end;
        if is_forbidden {
            start = end;
        }
    }
    // Units that can't be read are none of ours.
    at + start.min(units.at)..at + end.min(units.at)
}

/// Of VP8, where the frame type is bit 0 and a key frame has a start code (RFC 6386, 9.1), and of VP9
/// (6.2): marker 10, profile, [reserved bit of profile 3], show_existing_frame, frame_type.
fn access_of_frame(codec: VideoCodec, frame: &[u8]) -> Option<Access> {
    let is_key = match (codec, frame) {
        (VideoCodec::Vp8, [head, _, _, rest @ ..]) => {
            head & 1 == 0 && rest.starts_with(b"\x9D\x01\x2A")
        }
        (VideoCodec::Vp9, [head @ 0xB0..=0xBF, ..]) => head & 0x06 == 0,
        (VideoCodec::Vp9, [head @ 0x80..=0xAF, ..]) => head & 0x0C == 0,
        _ => return None,
    };
    Some(if is_key { Access::Yes } else { Access::No })
}

/// A unit, without what stands in front of it.
struct Unit {
    len: usize,
    head: [u8; HEAD_LEN],
    head_len: usize,
    /// Of an open bitstream unit, whose header isn't in `head`.
    obu_type: u8,
}

/// What a unit is.
enum Kind {
    Slice {
        is_first: bool,
        access: Access,
    },
    /// A parameter set of NAL units.
    Set,
    /// AV1 has it in front of each key frame.
    SequenceHeader,
    RecoveryPoint,
    /// Containers forbid it.
    Forbidden,
    Other,
}

impl Unit {
    fn head(&self) -> &[u8] {
        self.head.get(..self.head_len).unwrap_or_default()
    }

    fn kind(&self, codec: VideoCodec) -> Kind {
        match (codec, self.head()) {
            (VideoCodec::Av1, head) => self.kind_of_obu(head),
            (_, []) => Kind::Forbidden,
            (VideoCodec::H264, [head, rest @ ..]) => kind_of_h264(*head, rest),
            (VideoCodec::Hevc, [head, layer, rest @ ..]) => kind_of_hevc(*head, *layer, rest),
            (VideoCodec::Vvc, [0..0x80, head, ..]) if (7..=10).contains(&(head >> 3)) => {
                // IDR, CRA and GDR pictures.
                let (is_first, access) = (true, Access::Yes);
                Kind::Slice { is_first, access }
            }
            _ => Kind::Other,
        }
    }

    /// AV1, 6.2.2.
    fn kind_of_obu(&self, payload: &[u8]) -> Kind {
        match self.obu_type {
            1 => Kind::SequenceHeader,
            2 => Kind::Forbidden,
            // A frame, or its header: show_existing_frame (1 bit) and frame_type (2) are all 0 of a
            // key frame.
            3 | 6 => Kind::Slice {
                is_first: true,
                access: match payload {
                    [0..0x20, ..] => Access::Yes,
                    _ => Access::No,
                },
            },
            // Tiles, or the header once more.
            4 | 7 => Kind::Slice {
                is_first: false,
                access: Access::No,
            },
            _ => Kind::Other,
        }
    }
}

/// H.264, 7.3.1 and 7.3.3. What is cut off counts as the beginning of a picture.
fn kind_of_h264(head: u8, rest: &[u8]) -> Kind {
    let is_reference = head & 0x60 != 0;
    match head & 0x9F {
        5 if is_reference => Kind::Slice {
            is_first: rest.first().is_none_or(|byte| byte & 0x80 != 0),
            access: Access::Yes,
        },
        1 | 2 | 5 => {
            let r = &mut BitReader::of_nal_unit(rest);
            let (first_block, slice_type) = (r.ue(), r.ue());
            let is_intra = matches!(slice_type, Some(2 | 4 | 7 | 9));
            Kind::Slice {
                is_first: first_block.is_none_or(|number| number == 0),
                access: if is_intra { Access::Intra } else { Access::No },
            }
        }
        // Partitions of a slice.
        3 | 4 => Kind::Slice {
            is_first: false,
            access: Access::No,
        },
        6 if has_recovery_point(rest) => Kind::RecoveryPoint,
        7 | 8 => Kind::Set,
        _ => Kind::Other,
    }
}

/// H.265, 7.3.1.2 and 7.3.6.1. Other layers than the first are passed over.
fn kind_of_hevc(head: u8, layer: u8, rest: &[u8]) -> Kind {
    if head & 0x81 != 0 || layer & 0xF8 != 0 {
        return Kind::Other;
    }
    let is_first = rest.first().is_none_or(|byte| byte & 0x80 != 0);
    let slice = |access| Kind::Slice { is_first, access };
    match head >> 1 {
        0..=9 => slice(Access::No),
        16..=21 => slice(Access::Yes),
        32..=34 => Kind::Set,
        39 if has_recovery_point(rest) => Kind::RecoveryPoint,
        _ => Kind::Other,
    }
}

/// Whether supplemental information is or begins with that of a recovery point, type 6 in H.264 and
/// H.265 alike.
fn has_recovery_point(mut messages: &[u8]) -> bool {
    while let [kind, len, rest @ ..] = messages {
        if *kind == 6 {
            return true;
        }
        messages = rest.get(usize::from(*len)..).unwrap_or_default();
    }
    false
}

impl Look {
    const NOTHING: Look = Look {
        part: Part::Beside,
        access: Access::No,
        forbidden: 0,
        is_unclean: false,
    };
}

/// A walk over units.
struct Units<'p, 'a> {
    format: Format,
    parts: &'p mut dyn Iterator<Item = &'a [u8]>,
    part: &'a [u8],
    /// Bytes before `part`.
    at: usize,
    /// Where the unit begins, with what stands in front of it, and where it ends.
    start: usize,
    end: usize,
    left: usize,
    /// All lengths so far are true.
    is_whole: bool,
}

impl<'p, 'a> Units<'p, 'a> {
    fn new(format: Format, parts: &'p mut dyn Iterator<Item = &'a [u8]>) -> Units<'p, 'a> {
        Units {
            format,
            parts,
            part: &[],
            at: 0,
            start: 0,
            end: 0,
            left: MAX_UNITS,
            is_whole: true,
        }
    }

    fn look(&mut self, mut sets: Option<&mut Sets>) -> Look {
        let is_av1 = self.format.codec == VideoCodec::Av1;
        let mut look = Look::NOTHING;
        let mut has_sequence_header = !is_av1;
        let mut is_recovery_point = false;
        while let Some(unit) = self.next() {
            match unit.kind(self.format.codec) {
                Kind::Slice { is_first, access } if look.part == Part::Beside => {
                    look.part = if is_first { Part::First } else { Part::More };
                    look.access = match access {
                        // A key frame alone may be one of a layer, or one shown late.
                        Access::Yes if !has_sequence_header => Access::No,
                        _ if access < Access::Yes && is_recovery_point => Access::Recovery,
                        _ => access,
                    };
                }
                Kind::Set => {
                    if let Some(sets) = &mut sets {
                        sets.add(&unit, self);
                    }
                }
                Kind::SequenceHeader => has_sequence_header = true,
                Kind::RecoveryPoint => is_recovery_point = true,
                Kind::Forbidden if look.forbidden == self.start => look.forbidden = self.end,
                Kind::Forbidden => look.is_unclean = true,
                _ => {}
            }
        }
        look.forbidden = look.forbidden.min(self.at);
        look
    }

    /// The next unit; `None` at the end, and behind a length that lies.
    fn next(&mut self) -> Option<Unit> {
        while self.at < self.end {
            if self.take(self.end - self.at).is_empty() {
                self.is_whole &= self.end == TO_THE_END;
                return None;
            }
        }
        self.start = self.at;
        let mut unit = Unit {
            obu_type: 0,
            len: 0,
            head: [0; HEAD_LEN],
            head_len: 0,
        };
        let is_there = match self.format.codec {
            VideoCodec::H264 | VideoCodec::Hevc | VideoCodec::Vvc => self.read_length(&mut unit),
            VideoCodec::Av1 => self.read_obu_header(&mut unit),
            _ => {
                unit.len = TO_THE_END;
                self.at == 0
            }
        };
        if !is_there || self.left == 0 {
            // At the end, and not in the middle of a length.
            self.is_whole &= self.at == self.start;
            return None;
        }
        self.left -= 1;
        self.end = self.at.saturating_add(unit.len);
        let len = unit.len.min(HEAD_LEN);
        unit.head_len = self.read(unit.head.get_mut(..len).unwrap_or_default());
        Some(unit)
    }

    fn read_length(&mut self, unit: &mut Unit) -> bool {
        let mut len = [0; 4];
        let size = usize::from(self.format.length_size.clamp(1, 4));
        let len_bytes = len.get_mut(4 - size..).unwrap_or_default();
        let is_there = self.read(len_bytes) == size;
        // No message is as long as that.
        unit.len = (u32::from_be_bytes(len) as usize).min(1 << 30);
        is_there
    }

    /// AV1, 5.3.1 to 5.3.3.
    fn read_obu_header(&mut self, unit: &mut Unit) -> bool {
        let mut byte = [0];
        if self.read(&mut byte) == 0 {
            return false;
        }
        let [head] = byte;
        let (is_forbidden, has_extension, has_size) = (head & 0x80, head & 0x04, head & 0x02);
        if is_forbidden != 0 || (has_extension != 0 && self.read(&mut byte) == 0) {
            return false;
        }
        unit.obu_type = head >> 3 & 0xF;
        if has_size == 0 {
            unit.len = TO_THE_END;
            return true;
        }
        // In groups of 7 bits, least significant first; 4 bytes hold any that fits into a message.
        for index in 0..4 {
            if self.read(&mut byte) == 0 {
                return false;
            }
            let [group] = byte;
            unit.len |= usize::from(group & 0x7F) << (7 * index);
            if group & 0x80 == 0 {
                return true;
            }
        }
        false
    }

    /// A stretch of what comes next, of at most so many bytes; empty at the end.
    fn take(&mut self, max: usize) -> &'a [u8] {
        while self.part.is_empty() && max > 0 {
            match self.parts.next() {
                Some(part) => self.part = part,
                None => return &[],
            }
        }
        let (taken, part) = self.part.split_at(self.part.len().min(max));
        self.part = part;
        self.at += taken.len();
        taken
    }

    fn read(&mut self, mut out: &mut [u8]) -> usize {
        let start = self.at;
        while !out.is_empty() {
            let taken = self.take(out.len());
            if taken.is_empty() {
                break;
            }
            let (now, later) = std::mem::take(&mut out).split_at_mut(taken.len());
            now.copy_from_slice(taken);
            out = later;
        }
        self.at - start
    }

    /// Appends what of the unit hasn't been read.
    fn read_rest(&mut self, out: &mut Vec<u8>) {
        while self.at < self.end {
            let taken = self.take(self.end - self.at);
            if taken.is_empty() {
                break;
            }
            out.extend_from_slice(taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AVC: Format = Format {
        codec: VideoCodec::H264,
        length_size: 4,
    };
    const HEVC: Format = Format {
        codec: VideoCodec::Hevc,
        length_size: 4,
    };
    const AV1: Format = Format {
        codec: VideoCodec::Av1,
        length_size: 4,
    };

    /// Cut into parts of so many bytes, as a message lies in blocks.
    fn look_in_parts(format: Format, body: &[u8], len: usize) -> (Option<Look>, Vec<Vec<u8>>) {
        let mut sets = Sets::default();
        sets.make_room();
        let look = look(format, &mut body.chunks(len), &mut sets);
        (look, sets.iter().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn messages_tell_what_they_are_of_a_picture() {
        use Access::*;
        use Part::*;
        type Expected = Option<(Part, Access)>;
        let two = Format {
            length_size: 2,
            ..AVC
        };
        const REFRESH: &[u8] = b"\0\0\0\x05\x06\x06\x01\xC4\x80\0\0\0\x02\x41\x9A";
        const TIMED: &[u8] = b"\0\0\0\x08\x06\x01\x02\0\0\x06\x01\xC4\0\0\0\x02\x41\x9A";
        const HEVC_REFRESH: &[u8] = b"\0\0\0\x05\x4E\x01\x06\x01\xC4\0\0\0\x03\x02\x01\xD0";
        const START_CODES: &[u8] = b"\0\0\0\x01\x67\x42\xC0\x1E\0\0\0\x01\x65\x88";
        const AV1_KEY: &[u8] = b"\x12\0\x0A\x01\0\x32\x02\x10\0";
        let rows: &[(&str, Format, &[u8], Expected)] = &[
            ("IDR", AVC, b"\0\0\0\x02\x65\x88", Some((First, Yes))),
            ("IDR 2", AVC, b"\0\0\0\x02\x65\x42", Some((More, Yes))),
            ("P", AVC, b"\0\0\0\x02\x41\x9A", Some((First, No))),
            ("P 2", AVC, b"\0\0\0\x03\x41\x02\x9A", Some((More, No))),
            ("I", AVC, b"\0\0\0\x03\x61\x88\x80", Some((First, Intra))),
            (
                "x264, recovery point",
                AVC,
                REFRESH,
                Some((First, Recovery)),
            ),
            ("it and timing", AVC, TIMED, Some((First, Recovery))),
            (
                "sets",
                AVC,
                b"\0\0\0\x01\x67\0\0\0\x01\x68",
                Some((Beside, No)),
            ),
            ("SEI", AVC, b"\0\0\0\x02\x06\x05", Some((Beside, No))),
            ("delimiter", AVC, b"\0\0\0\x02\x09\xF0", Some((Beside, No))),
            ("an empty unit", AVC, b"\0\0\0\0", Some((Beside, No))),
            ("nothing", AVC, b"", Some((Beside, No))),
            ("short lengths", two, b"\0\x02\x65\x88", Some((First, Yes))),
            ("a length that lies", AVC, b"\0\0\0\x03\x65\x88", None),
            ("the longest length", AVC, b"\xFF\xFF\xFF\xFF\x65\x88", None),
            ("a cut length", AVC, b"\0\0\0\x02\x65\x88\0\0", None),
            ("start codes", AVC, START_CODES, None),
            ("IDR", HEVC, b"\0\0\0\x03\x26\x01\xAF", Some((First, Yes))),
            ("CRA 2", HEVC, b"\0\0\0\x03\x2A\x01\x2F", Some((More, Yes))),
            (
                "TRAIL_R",
                HEVC,
                b"\0\0\0\x03\x02\x01\xD0",
                Some((First, No)),
            ),
            (
                "recovery point",
                HEVC,
                HEVC_REFRESH,
                Some((First, Recovery)),
            ),
            ("set", HEVC, b"\0\0\0\x03\x42\x01\x01", Some((Beside, No))),
            ("layer", HEVC, b"\0\0\0\x03\x26\x09\xAF", Some((Beside, No))),
            ("key frame", AV1, AV1_KEY, Some((First, Yes))),
            ("key frame alone", AV1, b"\x32\x02\x10\0", Some((First, No))),
            (
                "inter frame to the end",
                AV1,
                b"\x30\x30\0\0",
                Some((First, No)),
            ),
            ("tiles", AV1, b"\x22\x01\0", Some((More, No))),
            ("sequence header", AV1, b"\x0A\x01\0", Some((Beside, No))),
            ("size that lies", AV1, b"\x32\x05\x10\0", None),
        ];
        for (name, format, body, expected) in rows {
            for len in 1..=body.len().max(1) {
                let (look, _) = look_in_parts(*format, body, len);
                let found = look.map(|look| (look.part, look.access));
                assert_eq!(found, *expected, "{} {name}, {len}", format.codec);
            }
        }
        let look_at = |codec, body| look_in_parts(Format { codec, ..AVC }, body, 1).0;
        let vp9 = look_at(VideoCodec::Vp9, b"\x86\0\x40").unwrap();
        assert_eq!((vp9.part, vp9.access), (First, No));
        assert_eq!(look_at(VideoCodec::Vp9, b"").unwrap().part, Beside);
        assert_eq!(look_at(VideoCodec::Vp9, b"\0"), None);
        assert_eq!(look_at(VideoCodec::Screen, b"\x11"), None);
    }

    #[test]
    fn what_containers_forbid_is_passed_over() {
        const SLICE: &[u8] = b"\0\0\0\x02\x41\x9A";
        const FRAME: &[u8] = b"\x32\x02\x30\0";
        const OPEN: &[u8] = b"\x30\x30\0";
        const EMPTY: &[u8] = &[0; 4];
        const DELIMITER: &[u8] = b"\x12\0";
        type Row<'a> = (&'a str, Format, &'a [&'a [u8]], usize, bool, &'a [&'a [u8]]);
        let rows: &[Row] = &[
            ("nothing", AVC, &[SLICE, SLICE], 0, false, &[SLICE, SLICE]),
            ("in front", AVC, &[EMPTY, EMPTY, SLICE], 8, false, &[SLICE]),
            ("behind", HEVC, &[SLICE, EMPTY], 0, true, &[SLICE]),
            (
                "everywhere",
                AVC,
                &[EMPTY, SLICE, EMPTY, SLICE, EMPTY, EMPTY],
                4,
                true,
                &[SLICE, SLICE],
            ),
            ("nothing else", AVC, &[EMPTY, EMPTY], 8, false, &[]),
            ("in front", AV1, &[DELIMITER, FRAME], 2, false, &[FRAME]),
            ("long", AV1, &[b"\x16\x20\0", FRAME], 3, false, &[FRAME]),
            (
                "behind",
                AV1,
                &[FRAME, DELIMITER, FRAME],
                0,
                true,
                &[FRAME, FRAME],
            ),
            ("to the end", AV1, &[DELIMITER, OPEN], 2, false, &[OPEN]),
        ];
        for (name, format, parts, forbidden, is_unclean, clean) in rows {
            let body = parts.concat();
            for len in 1..=body.len() {
                let look = look_in_parts(*format, &body, len).0.unwrap();
                let found = (look.forbidden, look.is_unclean);
                assert_eq!(found, (*forbidden, *is_unclean), "{name}, {len}");
                assert_eq!(
                    cleaned(*format, &body, len),
                    clean.concat(),
                    "{name}, {len}"
                );
            }
        }
    }

    fn cleaned(format: Format, body: &[u8], len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        loop {
            let range = clean_range(format, at, &mut body[at..].chunks(len));
            if range.is_empty() {
                return out;
            }
            out.extend_from_slice(&body[range.clone()]);
            at = range.end;
        }
    }

    #[test]
    fn parameter_sets_are_kept_once_each_and_if_there_are_not_too_many() {
        let body = b"\0\0\0\x03\x67\x42\x01\0\0\0\x02\x68\xCE\0\0\0\x02\x68\xCE\
            \0\0\0\x02\x65\x88";
        for len in 1..body.len() {
            let (_, sets) = look_in_parts(AVC, body, len);
            assert_eq!(sets, [&b"\x67\x42\x01"[..], b"\x68\xCE"], "{len}");
        }
        // Longer than what is looked at of a unit.
        let long = [&b"\0\0\0\x64\x67"[..], &[7; 99]].concat();
        assert_eq!(look_in_parts(AVC, &long, 30).1, [long[4..].to_vec()]);
        let set = |n| [0, 0, 0, 7, 0x67, n, 0, 0, 0, 0, 0];
        let many: Vec<u8> = (0..100).flat_map(set).collect();
        assert_eq!(look_in_parts(AVC, &many, 1000).1, Vec::<Vec<u8>>::new());
        let mut sets = Sets::default();
        look(AVC, &mut std::iter::once(&body[..]), &mut sets);
        assert!(sets.want_room() && sets.iter().next().is_none());
        sets.make_room();
        look(AVC, &mut std::iter::once(&many[..]), &mut sets);
        assert!(!sets.want_room());
        sets.clear();
        look(AVC, &mut std::iter::once(&body[..]), &mut sets);
        assert_eq!(sets.iter().count(), 2);
    }

    #[test]
    fn a_flood_of_units_is_not_walked_to_its_end() {
        let many = b"\0\0\0\x01\x0C".repeat(MAX_UNITS);
        let at_most = look_in_parts(AVC, &many, 1 << 14).0.unwrap();
        assert_eq!(at_most.part, Part::Beside);
        let more = [&many[..], b"\0\0\0\x02\x65\x88"].concat();
        assert_eq!(look_in_parts(AVC, &more, 1 << 14).0, None);
    }

    #[test]
    fn frames_tell_whether_they_are_keyframes() {
        use VideoCodec::*;
        let rows: &[(&str, VideoCodec, &[u8], bool)] = &[
            (
                "x264: SEI, then IDR",
                H264,
                b"\0\0\0\x02\x06\x05\0\0\0\x02\x65\x88",
                true,
            ),
            (
                "x264: P slice",
                H264,
                b"\0\0\x04\xBF\x41\x9A\x24\x6C",
                false,
            ),
            (
                "DJI: empty unit, then IDR",
                H264,
                b"\0\0\0\0\0\0\0\x02\x65\x88",
                true,
            ),
            (
                "IDR that goes on in the next block",
                H264,
                b"\0\x01\0\0\x65\x88",
                true,
            ),
            (
                "slice with the number of an IDR, no reference",
                H264,
                b"\0\0\0\x02\x05\x88",
                false,
            ),
            (
                "start code instead of a length",
                H264,
                b"\0\0\0\x01\x67\x42\xC0\x1E\x65",
                false,
            ),
            ("nothing", H264, b"", false),
            ("x265: IDR_N_LP", Hevc, b"\0\0\0\x03\x28\x01\xAF", true),
            ("CRA", Hevc, b"\0\0\0\x03\x2A\x01\xAF", true),
            ("x265: TRAIL_R", Hevc, b"\0\0\0\x03\x02\x01\xD0", false),
            (
                "parameter sets alone",
                Hevc,
                b"\0\0\0\x02\x42\x01\0\0\0\x02\x44\x01",
                false,
            ),
            ("VVC IDR", Vvc, b"\0\0\0\x03\0\x41\0", true),
            ("VVC trailing picture", Vvc, b"\0\0\0\x03\0\x01\0", false),
            (
                "libaom: delimiter, sequence header, frame",
                Av1,
                b"\x12\0\x0A\x0D\x20\0\0\x04\x3C\xFF\xBC\xDA\xF9\x20\x21\xA0\x04\x32\x87\x0A\x14\0",
                true,
            ),
            (
                "libaom: inter frame",
                Av1,
                b"\x12\0\x32\x81\x02\x32\x01\xE0",
                false,
            ),
            (
                "key frame without a sequence header",
                Av1,
                b"\x32\x87\x0A\x14\0",
                false,
            ),
            ("sequence header cut off", Av1, b"\x0A\x0D\x20\0", false),
            ("endless size", Av1, b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF", false),
            (
                "libvpx VP8 key frame",
                Vp8,
                b"\xB0\x5A\0\x9D\x01\x2A\x40\x01\xF0\0",
                true,
            ),
            (
                "libvpx VP8 inter frame",
                Vp8,
                b"\xD1\x09\0\x07\x10\xAC\0\x18\x89\x1A",
                false,
            ),
            (
                "libvpx VP9 key frame",
                Vp9,
                b"\xA2\x49\x83\x42\xE0\x13\xF0\x0E\xF6\x0A",
                true,
            ),
            (
                "libvpx VP9 inter frame",
                Vp9,
                b"\xA6\0\x40\x92\x9C\x24\x50\0\0\x1D",
                false,
            ),
            ("VP9 shows an existing frame", Vp9, b"\x88", false),
            ("VP9 profile 3 key frame", Vp9, b"\xB1\x49\x83\x42", true),
            (
                "a codec with nothing but the flag",
                SorensonH263,
                b"\0\0\x84\0",
                false,
            ),
        ];
        for (name, codec, body, expected) in rows {
            assert_eq!(is_keyframe(*codec, body), *expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn parts_do_not_matter(bytes in units(), len in 1usize..40, length_size in 1u8..5) {
            for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1, VideoCodec::Vp9] {
                let format = Format { codec, length_size };
                let whole = look_in_parts(format, &bytes, bytes.len().max(1));
                prop_assert_eq!(&look_in_parts(format, &bytes, len), &whole);
                let clean = cleaned(format, &bytes, len);
                prop_assert!(clean.len() <= bytes.len());
                // There is nothing left to clean.
                if whole.0.is_some() && !clean.is_empty() {
                    let again = look_in_parts(format, &clean, len).0.unwrap();
                    prop_assert_eq!((again.forbidden, again.is_unclean), (0, false));
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            use VideoCodec::*;
            for codec in [H264, Hevc, Vvc, Av1, Vp8, Vp9, Screen] {
                let _ = is_keyframe(codec, &bytes);
            }
        }
    }

    /// Mostly units behind lengths of four bytes.
    fn units() -> impl Strategy<Value = Vec<u8>> {
        let unit = proptest::collection::vec(any::<u8>(), 0..9).prop_map(|unit| {
            let len = (unit.len() as u32).to_be_bytes();
            [&len[..], &unit].concat()
        });
        let units = proptest::collection::vec(unit, 0..9).prop_map(|units| units.concat());
        prop_oneof![units, any::<Vec<u8>>()]
    }
}
