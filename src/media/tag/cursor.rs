//! What audio and video headers have in common: reading from front to back, and the Enhanced
//! prefixes.

use byteorder::{BigEndian, ByteOrder};

use crate::media::Error;
use crate::media::codec::FourCc;

/// ModEx prefixes in one header.
const MAX_MOD_EX: usize = 8;

/// Packet types of Enhanced headers. Multitrack differs between audio and video.
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

/// The only track of an Enhanced message, or the first.
pub(super) struct Track<'a> {
    pub(super) packet_type: u8,
    pub(super) is_multitrack: bool,
    pub(super) id: u8,
    pub(super) four_cc: FourCc,
    /// As much of it as is there.
    pub(super) body: &'a [u8],
}

/// Reads a header from front to back.
pub(super) struct Cursor<'a> {
    payload: &'a [u8],
    /// At most the payload's length.
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Cursor<'a> {
        Cursor { payload, at: 0 }
    }

    /// How much was read.
    pub(super) fn at(&self) -> usize {
        self.at
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

    /// Passes over ModEx prefixes; returns the packet type behind them. The one kind in use
    /// refines the time of showing by nanoseconds, which nothing here needs.
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

    /// Reads FourCC, and track id and size where there are any; stops at the body.
    pub(super) fn track(
        &mut self,
        mut packet_type: u8,
        multitrack: u8,
    ) -> Result<Track<'a>, Error> {
        const ONE_TRACK: u8 = 0;
        const MANY_TRACKS: u8 = 1;
        const MANY_CODECS: u8 = 2;
        if packet_type != multitrack {
            let four_cc = self.array()?;
            return Ok(Track {
                packet_type,
                is_multitrack: false,
                id: 0,
                four_cc,
                body: self.rest(),
            });
        }
        let byte = self.byte()?;
        packet_type = byte & 0x0F;
        if packet_type == multitrack {
            return Err(Error::malformed(
                "multitrack message inside a multitrack message",
            ));
        }
        let how = byte >> 4;
        if !matches!(how, ONE_TRACK | MANY_TRACKS | MANY_CODECS) {
            return Err(Error::unsupported(format!(
                "multitrack message of type {how}"
            )));
        }
        let four_cc = self.array()?;
        let id = self.byte()?;
        let size = match how {
            ONE_TRACK => usize::MAX,
            _ => BigEndian::read_u24(&self.array::<3>()?) as usize,
        };
        let body = self.rest();
        let body = body.get(..size).unwrap_or(body);
        Ok(Track {
            packet_type,
            is_multitrack: true,
            id,
            four_cc,
            body,
        })
    }
}
