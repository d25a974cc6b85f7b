//! The codecs that a client accepts (E2, "connect").

use crate::rtmp::Error;
use crate::rtmp::amf::{Name, Named, Reader, Text, Token};

/// The FourCCs that clients may name in connect; each has a bit in [`Codecs`].
pub const FOUR_CCS: [&[u8; 4]; 12] = [
    b"avc1", b"hvc1", b"vvc1", b"av01", b"vp08", b"vp09", // video
    b"Opus", b"fLaC", b"ac-3", b"ec-3", b".mp3", b"mp4a", // audio
];

/// The number of video codecs in [`FOUR_CCS`]; they come first.
pub const VIDEO_FOUR_CCS: usize = 6;

/// The bit for all other video codecs in [`Codecs`].
pub const VIDEO_OTHERS: u16 = 1 << FOUR_CCS.len();
/// The bit for all other audio codecs in [`Codecs`].
pub const AUDIO_OTHERS: u16 = 2 << FOUR_CCS.len();

/// All bits in [`Codecs`].
pub const ALL_BITS: u16 = (4 << FOUR_CCS.len()) - 1;

const VIDEO_BITS: u16 = ((1 << VIDEO_FOUR_CCS) - 1) | VIDEO_OTHERS;

/// Bits of the masks in `videoFourCcInfoMap` and `audioFourCcInfoMap`. A client wants to receive a codec
/// that it can decode or forward.
const CAN_DECODE: u32 = 1;
const CAN_FORWARD: u32 = 4;

/// The codecs that a client accepts, from `fourCcList`, `videoFourCcInfoMap` and `audioFourCcInfoMap`.
///
/// An empty list or map counts as missing and forbids nothing. A map's `*` overrides its other names,
/// and a map overrides the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codecs(u16);

impl Default for Codecs {
    /// Returns all codecs, for a client that announced nothing about them.
    fn default() -> Codecs {
        Codecs(ALL_BITS)
    }
}

impl Codecs {
    /// Returns one bit for each of [`FOUR_CCS`], beginning with bit 0, then [`VIDEO_OTHERS`] and
    /// [`AUDIO_OTHERS`].
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Returns the codecs with these FourCCs; an unknown FourCC stands for all other codecs.
    pub fn of(names: &[&str]) -> Codecs {
        Codecs(
            names
                .iter()
                .fold(0, |bits, name| bits | bit_of((*name).into())),
        )
    }

    fn new(list: &CodecList, video: &CodecMap, audio: &CodecMap) -> Codecs {
        let taken = |map: &CodecMap, of_medium: u16| {
            let others = match (list.is_announced, map.is_announced) {
                (true, _) => list.bits,
                (false, false) => ALL_BITS,
                (false, true) => 0,
            };
            let bits = match map.others {
                Some(true) => ALL_BITS,
                Some(false) => 0,
                None => map.taken | others & !map.named,
            };
            bits & of_medium
        };
        Codecs(taken(video, VIDEO_BITS) | taken(audio, ALL_BITS & !VIDEO_BITS))
    }
}

/// The codecs in `fourCcList`.
#[derive(Default)]
struct CodecList {
    is_announced: bool,
    bits: u16,
}

/// A map of FourCCs and masks.
#[derive(Default)]
struct CodecMap {
    is_announced: bool,
    named: u16,
    taken: u16,
    /// Whether `*` is accepted, if the map has it.
    others: Option<bool>,
}

impl CodecList {
    /// Reads the value that begins with this token.
    fn read<'a>(token: Token<'a>, reader: &mut Reader<'a>) -> Result<CodecList, Error> {
        let mut read = CodecList::default();
        if !matches!(token, Token::StrictArray(_)) {
            reader.skip(token)?;
            return Ok(read);
        }
        while let Some(Named { token, .. }) = reader.next_token()? {
            match token {
                Token::End => break,
                Token::String(name) => {
                    read.is_announced = true;
                    read.bits |= if name == "*" { ALL_BITS } else { bit_of(name) };
                }
                _ => reader.skip(token)?,
            }
        }
        Ok(read)
    }
}

impl CodecMap {
    /// Reads the value that begins with this token.
    fn read<'a>(token: Token<'a>, reader: &mut Reader<'a>) -> Result<CodecMap, Error> {
        let mut read = CodecMap::default();
        if !token.is_object() {
            reader.skip(token)?;
            return Ok(read);
        }
        while let Some(Named { name, token }) = reader.next_token()? {
            if token == Token::End {
                break;
            }
            read.is_announced = true;
            let is_taken = mask(token) & (CAN_DECODE | CAN_FORWARD) != 0;
            if name == "*" {
                read.others = Some(is_taken);
            } else if let Name::Text(name) = name {
                let bit = bit_of(name);
                read.named |= bit;
                read.taken |= if is_taken { bit } else { 0 };
            }
            reader.skip(token)?;
        }
        Ok(read)
    }
}

/// What a peer announces about codecs, while its properties are read.
#[derive(Default)]
pub(in crate::rtmp) struct Announced {
    list: CodecList,
    video: CodecMap,
    audio: CodecMap,
}

impl Announced {
    /// Reads the value of a property that begins with this token, if it is about codecs; returns whether
    /// it was.
    pub(in crate::rtmp) fn read<'a>(
        &mut self,
        name: &str,
        token: Token<'a>,
        reader: &mut Reader<'a>,
    ) -> Result<bool, Error> {
        match name {
            "fourCcList" => self.list = CodecList::read(token, reader)?,
            "videoFourCcInfoMap" => self.video = CodecMap::read(token, reader)?,
            "audioFourCcInfoMap" => self.audio = CodecMap::read(token, reader)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The codecs that the peer accepts.
    pub(in crate::rtmp) fn codecs(&self) -> Codecs {
        Codecs::new(&self.list, &self.video, &self.audio)
    }
}

fn bit_of(name: Text<'_>) -> u16 {
    let four_cc = name.to_four_cc();
    let index = FOUR_CCS.iter().position(|known| four_cc == Some(**known));
    index.map_or(VIDEO_OTHERS | AUDIO_OTHERS, |index| 1 << index)
}

pub(super) fn mask(value: Token<'_>) -> u32 {
    value.as_f64().map_or(0, |number| number as u32)
}
