//! Just enough of fragmented MP4 to read it as it comes (ISO/IEC 14496-12): an initialization
//! segment, then fragments of one video or audio frame each.
//!
//! ```text
//! ftyp | moov [ trak ... ] | moof [ mfhd traf [ tfhd tfdt trun ] ] | mdat | moof ... | mdat ...
//! ```
//!
//! The fragments are converted back to the RTMP messages that they were made of, so that the same
//! code can check them. The few bytes in front of a frame, for which MP4 has no place, are
//! reconstructed from the fragment.

use crate::http::Gathered;
use crate::wire::{self, MessageHeader, Piece};

const BOX_HEADER_LEN: usize = 8;
/// Boxes other than `mdat` are shorter.
const MAX_BOX_LEN: usize = 64 * 1024;
/// The length of a sample entry in front of its boxes (8.5.2.2, 12.1.3.2, 12.2.3.2).
const VISUAL_ENTRY_LEN: usize = 78;
const AUDIO_ENTRY_LEN: usize = 28;
/// The flags of a sample at which decoding can't start, 8.8.3.1.
const IS_NO_SYNC: u32 = 0x1_0000;

/// Cuts a file, fed in any portions, into pieces of messages.
pub(crate) struct Mp4Reader {
    state: State,
    gathered: Gathered,
    tracks: Vec<Track>,
    /// From the last `moof`, until its `mdat` has begun.
    sample: Option<Sample>,
    sequence: u32,
    header: MessageHeader,
}

enum State {
    BoxHeader,
    /// Any box but `mdat`, collected whole, header included.
    Box {
        len: usize,
    },
    Payload {
        received: usize,
    },
}

/// From the initialization segment.
struct Track {
    id: u32,
    timescale: u32,
    message_type: u8,
}

/// From a `moof`.
struct Sample {
    /// Index of its track.
    track: usize,
    /// Decode time and composition offset: frames may be decoded early, and none was published with
    /// a presentation time after its decode time.
    shown: u64,
    len: usize,
    is_sync: bool,
}

impl Mp4Reader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::BoxHeader,
            gathered: Gathered::default(),
            tracks: Vec::new(),
            sample: None,
            sequence: 0,
            header: MessageHeader::default(),
        }
    }

    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        mut take: impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        while !input.is_empty() {
            self.state = match self.state {
                State::BoxHeader => {
                    if !self.gathered.fill(&mut input, BOX_HEADER_LEN) {
                        break;
                    }
                    self.begin_box(&mut take)?
                }
                State::Box { len } => {
                    if !self.gathered.fill(&mut input, len) {
                        break;
                    }
                    self.end_box(&mut take)?;
                    self.gathered.clear();
                    State::BoxHeader
                }
                State::Payload { received } => {
                    let left = self.header.len - received;
                    let (bytes, rest) = input.split_at(left.min(input.len()));
                    input = rest;
                    take(Piece {
                        header: &self.header,
                        offset: received,
                        bytes,
                    })?;
                    match bytes.len() == left {
                        true => State::BoxHeader,
                        false => State::Payload {
                            received: received + bytes.len(),
                        },
                    }
                }
            };
        }
        Ok(())
    }

    fn begin_box(
        &mut self,
        take: &mut impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<State, String> {
        let (len, name) = self.gathered.bytes().split_at(4);
        let len = u32_at(len, 0)? as usize;
        if name != b"mdat" {
            if !(BOX_HEADER_LEN..=MAX_BOX_LEN).contains(&len) {
                let name = String::from_utf8_lossy(name);
                return Err(format!("box {name:?} of {len} bytes"));
            }
            return Ok(State::Box { len });
        }
        let sample = self.sample.take().ok_or("mdat without a moof")?;
        if sample.len == 0 || sample.len + BOX_HEADER_LEN != len {
            return Err(format!("mdat of {len} bytes for {} bytes", sample.len));
        }
        self.gathered.clear();
        let track = &self.tracks[sample.track];
        let tag: &[u8] = match (track.message_type, sample.is_sync) {
            (wire::VIDEO, true) => &[0x17, 1, 0, 0, 0],
            (wire::VIDEO, false) => &[0x27, 1, 0, 0, 0],
            _ => &[0xAF, 1],
        };
        self.header = MessageHeader {
            timestamp: (sample.shown * 1000 / u64::from(track.timescale)) as u32,
            len: tag.len() + sample.len,
            message_type: track.message_type,
            ..MessageHeader::default()
        };
        let received = tag.len();
        take(Piece {
            header: &self.header,
            offset: 0,
            bytes: tag,
        })?;
        Ok(State::Payload { received })
    }

    /// Handles a complete box.
    fn end_box(
        &mut self,
        take: &mut impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let (header, body) = self.gathered.bytes().split_at(BOX_HEADER_LEN);
        match &header[4..] {
            b"ftyp" => {}
            b"moov" => {
                self.tracks = Vec::new();
                let mut rest = body;
                while let Some((name, trak)) = next_box(&mut rest)? {
                    if &name != b"trak" {
                        continue;
                    }
                    let (track, sequence_header) = parse_track(trak)?;
                    let header = MessageHeader {
                        len: sequence_header.len(),
                        message_type: track.message_type,
                        ..MessageHeader::default()
                    };
                    self.tracks.push(track);
                    take(Piece {
                        header: &header,
                        offset: 0,
                        bytes: &sequence_header,
                    })?;
                }
            }
            b"moof" => {
                let (sequence, sample) = parse_fragment(body, &self.tracks)?;
                if sequence <= self.sequence {
                    return Err(format!("moof {sequence} after {}", self.sequence));
                }
                self.sequence = sequence;
                self.sample = Some(sample);
            }
            name => return Err(format!("box {:?}", String::from_utf8_lossy(name))),
        }
        Ok(())
    }
}

/// Returns the track, and its sequence header as in RTMP.
fn parse_track(trak: &[u8]) -> Result<(Track, Vec<u8>), String> {
    let stsd = inside(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
    // Version and flags, number of entries.
    let mut entries = stsd.get(8..).unwrap_or_default();
    let (name, entry) = next_box(&mut entries)?.ok_or("no sample entry")?;
    let boxes_from = |len| entry.get(len..).unwrap_or_default();
    let (message_type, sequence_header) = match &name {
        b"avc1" => {
            let config = inside(boxes_from(VISUAL_ENTRY_LEN), &[b"avcC"])?;
            (wire::VIDEO, [&[0x17, 0, 0, 0, 0], config].concat())
        }
        b"mp4a" => {
            let esds = inside(boxes_from(AUDIO_ENTRY_LEN), &[b"esds"])?;
            let config = decoder_specific_info(esds).ok_or("esds not understood")?;
            (wire::AUDIO, [&[0xAF, 0], config].concat())
        }
        name => return Err(format!("codec {:?}", String::from_utf8_lossy(name))),
    };
    let track = Track {
        // Version and flags, two times.
        id: u32_at(inside(trak, &[b"tkhd"])?, 12)?,
        timescale: u32_at(inside(trak, &[b"mdia", b"mdhd"])?, 12)?.max(1),
        message_type,
    };
    Ok((track, sequence_header))
}

/// Returns what is in an `esds` after version and flags: an ES_Descriptor (3) with a
/// DecoderConfigDescriptor (4) with a DecoderSpecificInfo (5), ISO/IEC 14496-1, 7.2.6.
fn decoder_specific_info(esds: &[u8]) -> Option<&[u8]> {
    let mut rest = esds.get(4..)?;
    for (tag, fields) in [(3, 3), (4, 13), (5, 0)] {
        let (first, mut body) = rest.split_first()?;
        let mut len = 0;
        // Seven bits per byte, 8.3.3.
        while let Some((byte, after)) = body.split_first() {
            body = after;
            len = len << 7 | usize::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                break;
            }
        }
        rest = body.get(..len)?.get(fields..)?;
        (*first == tag).then_some(())?;
    }
    Some(rest)
}

/// Returns the fragment's number and its only sample.
fn parse_fragment(moof: &[u8], tracks: &[Track]) -> Result<(u32, Sample), String> {
    let sequence = u32_at(inside(moof, &[b"mfhd"])?, 4)?;
    let [tfhd, tfdt, trun] =
        [b"tfhd", b"tfdt", b"trun"].map(|name: &[u8; 4]| inside(moof, &[b"traf", name]));
    let (tfhd, tfdt, trun) = (tfhd?, tfdt?, trun?);
    let id = u32_at(tfhd, 4)?;
    let track = tracks.iter().position(|track| track.id == id);
    let track = track.ok_or_else(|| format!("a sample of track {id}"))?;
    // Default base is the moof. Version 1, so 64 bits. Version 1 too; offset, and all fields of
    // each sample.
    let versions = (u32_at(tfhd, 0)?, u32_at(tfdt, 0)?, u32_at(trun, 0)?);
    if versions != (0x0002_0000, 0x0100_0000, 0x0100_0F01) || u32_at(trun, 4)? != 1 {
        return Err(format!("versions and flags {versions:08X?}"));
    }
    let offset = u32_at(trun, 8)? as usize;
    if offset != BOX_HEADER_LEN + moof.len() + BOX_HEADER_LEN {
        return Err(format!("data at {offset}, moof of {} bytes", moof.len()));
    }
    let decoded = u64::from(u32_at(tfdt, 4)?) << 32 | u64::from(u32_at(tfdt, 8)?);
    let composition_offset = u32_at(trun, 24)? as i32;
    Ok((
        sequence,
        Sample {
            track,
            shown: decoded.saturating_add_signed(composition_offset.into()),
            len: u32_at(trun, 16)? as usize,
            is_sync: u32_at(trun, 20)? & IS_NO_SYNC == 0,
        },
    ))
}

/// Returns the body of the first box of each name, one inside the other.
fn inside<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Result<&'a [u8], String> {
    let mut bytes = bytes;
    for wanted in path {
        bytes = loop {
            match next_box(&mut bytes)? {
                Some((name, body)) if name == **wanted => break body,
                Some(_) => {}
                None => return Err(format!("no {}", String::from_utf8_lossy(*wanted))),
            }
        };
    }
    Ok(bytes)
}

/// The name and content of a box.
type Boxed<'a> = ([u8; 4], &'a [u8]);

/// Takes a box from the front; returns its name and body.
fn next_box<'a>(bytes: &mut &'a [u8]) -> Result<Option<Boxed<'a>>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let len = u32_at(bytes, 0)? as usize;
    let name = u32_at(bytes, 4)?.to_be_bytes();
    let whole = bytes.split_at_checked(len);
    let cut = || format!("{} of {len} bytes", String::from_utf8_lossy(&name));
    let (whole, rest) = whole.ok_or_else(cut)?;
    *bytes = rest;
    let body = whole.get(BOX_HEADER_LEN..);
    Ok(Some((name, body.ok_or_else(cut)?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
    let number = number.ok_or("a box that ends too early")?;
    Ok(u32::from_be_bytes(*number))
}
