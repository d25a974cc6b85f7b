//! A reader of tag headers from front to back, and the parts of Enhanced headers.

use byteorder::{BigEndian, ByteOrder};

use super::frame_type;
use crate::media::codec::FourCc;
use crate::media::short_bytes::ShortBytes;
use crate::media::{Error, Medium};

/// The maximum number of ModEx prefixes in one header.
const MAX_MOD_EX: usize = 8;

/// Packet types of Enhanced headers. The one of multitrack messages differs between audio and video.
pub(super) mod packet_type {
    pub(in super::super) const SEQUENCE_START: u8 = 0;
    pub(in super::super) const CODED_FRAMES: u8 = 1;
    pub(in super::super) const SEQUENCE_END: u8 = 2;
    pub(in super::super) const CODED_FRAMES_X: u8 = 3;
    /// In video.
    pub(in super::super) const METADATA: u8 = 4;
    /// In audio.
    pub(in super::super) const MULTICHANNEL_CONFIG: u8 = 4;
    pub(in super::super) const AUDIO_MULTITRACK: u8 = 5;
    pub(in super::super) const VIDEO_MULTITRACK: u8 = 6;
    pub(in super::super) const MOD_EX: u8 = 7;
}

/// The layout of the tracks of an Enhanced message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One track, without an id.
    Plain,
    /// One track, with its id.
    One,
    /// Any number of tracks, each with its id and size; one codec for all.
    Many,
    /// Any number of tracks, each with its codec, id and size.
    ManyCodecs,
}

/// The part of an Enhanced header that precedes all tracks.
pub(super) struct TagPrefix {
    pub(super) first: u8,
    /// The packet type of the message, or the inner packet type of a multitrack message.
    pub(super) packet_type: u8,
    pub(super) layout: Layout,
    /// The codec of all tracks; `None` if each has its own.
    pub(super) four_cc: Option<FourCc>,
    /// The ModEx prefixes, which follow the first byte. The low half of their last byte is the next
    /// packet type. Empty if there are none, or if they are too long.
    pub(super) mod_ex: ShortBytes<MAX_MOD_EX_LEN>,
}

/// The longest ModEx in bytes that is kept. The only kind in use has 5.
pub(super) const MAX_MOD_EX_LEN: usize = 8;

/// One track of an Enhanced message, with the available part of its body.
pub(super) struct TagTrack<'a> {
    pub(super) id: u8,
    pub(super) four_cc: FourCc,
    /// The length of the body in bytes; `None` if it extends to the end of the message.
    pub(super) len: Option<usize>,
    pub(super) body: &'a [u8],
}

/// See the module's documentation.
pub(super) struct TagReader<'a> {
    payload: &'a [u8],
    /// The number of bytes read so far; at most the payload's length.
    pub(super) at: usize,
}

impl<'a> TagReader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> TagReader<'a> {
        TagReader { payload, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.payload.get(self.at..).unwrap_or_default()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((bytes, _)) = self.rest().split_first_chunk() else {
            return Err(Error::malformed(format!(
                "header needs {N} bytes at byte {}, but only {} are left",
                self.at,
                self.rest().len()
            )));
        };
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn composition_time(&mut self) -> Result<i32, Error> {
        self.array::<3>().map(|bytes| BigEndian::read_i24(&bytes))
    }

    /// Skips ModEx prefixes, and returns the packet type after them. The only kind in use adds
    /// nanoseconds to the presentation time, which the server doesn't need.
    pub(super) fn skip_mod_ex(&mut self, mut packet_type: u8) -> Result<u8, Error> {
        for _ in 0..MAX_MOD_EX {
            if packet_type != packet_type::MOD_EX {
                return Ok(packet_type);
            }
            let size = match self.byte()? {
                0xFF => usize::from(u16::from_be_bytes(self.array()?)) + 1,
                size => usize::from(size) + 1,
            };
            if size > self.rest().len() {
                return Err(Error::malformed(format!(
                    "ModEx of {size} bytes at byte {}, but only {} are left",
                    self.at,
                    self.rest().len()
                )));
            }
            self.at += size;
            packet_type = self.byte()? & 0x0F;
        }
        match packet_type {
            packet_type::MOD_EX => Err(Error::malformed(format!(
                "more than {MAX_MOD_EX} ModEx in a header"
            ))),
            packet_type => Ok(packet_type),
        }
    }

    /// Reads the part that precedes the tracks. Returns `None` for a video command, which has no tracks.
    pub(super) fn prefix(&mut self, medium: Medium) -> Result<Option<TagPrefix>, Error> {
        let first = self.byte()?;
        let start = self.at;
        let packet_type = self.skip_mod_ex(first & 0x0F)?;
        let mod_ex = self.payload.get(start..self.at).unwrap_or_default();
        let is_command = medium == Medium::Video
            && frame_type(first) == frame_type::COMMAND
            && packet_type != packet_type::METADATA;
        if is_command {
            return Ok(None);
        }
        let mut prefix = TagPrefix {
            mod_ex: ShortBytes::new(),
            first,
            packet_type,
            layout: Layout::Plain,
            four_cc: None,
        };
        prefix.mod_ex.push(mod_ex);
        if packet_type == medium.multitrack() {
            let byte = self.byte()?;
            prefix.packet_type = byte & 0x0F;
            if prefix.packet_type == medium.multitrack() {
                return Err(Error::malformed(
                    "multitrack message inside a multitrack message",
                ));
            }
            prefix.layout = match byte >> 4 {
                0 => Layout::One,
                1 => Layout::Many,
                2 => Layout::ManyCodecs,
                other => {
                    let text = format!("multitrack message of type {other}");
                    return Err(Error::unsupported(text));
                }
            };
        }
        if prefix.layout != Layout::ManyCodecs {
            prefix.four_cc = Some(self.array()?);
        }
        Ok(Some(prefix))
    }

    /// Reads the header of a track, up to the track's body.
    pub(super) fn track(&mut self, prefix: &TagPrefix) -> Result<TagTrack<'a>, Error> {
        let four_cc = match prefix.four_cc {
            Some(four_cc) => four_cc,
            None => self.array()?,
        };
        let id = match prefix.layout {
            Layout::Plain => 0,
            _ => self.byte()?,
        };
        let len = match prefix.layout {
            Layout::Plain | Layout::One => None,
            _ => Some(BigEndian::read_u24(&self.array::<3>()?) as usize),
        };
        let rest = self.rest();
        let body = len.and_then(|len| rest.get(..len)).unwrap_or(rest);
        Ok(TagTrack {
            id,
            four_cc,
            len,
            body,
        })
    }
}
