//! What a session tells its caller.

use super::Dialect;
use crate::rtmp::Error;
use crate::rtmp::amf::{Name, Named, Reader, Text, Token};
use crate::rtmp::command::MAX_KEPT_NAME;
use crate::rtmp::message::type_id;

/// What the client wants or sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first command; wants `accept_connect` or `refuse_connect`.
    Connect(Connect),
    /// Wants `accept_publish` or `refuse_publish`.
    Publish {
        /// Message stream.
        message_stream_id: u32,
        /// Name as sent, query included.
        name: String,
    },
    /// Wants `accept_play` or `refuse_play`. A play on a message stream that plays already
    /// replaces it.
    Play {
        /// Message stream.
        message_stream_id: u32,
        /// Name as sent, query included.
        name: String,
    },
    /// Audio or video on a message stream that publishes; the bytes are in `payload()`.
    Media {
        /// Message stream.
        message_stream_id: u32,
        /// Audio or video.
        kind: MediaKind,
        /// ms, wrapping.
        timestamp: u32,
    },
    /// Metadata of a message stream that publishes, or that it is withdrawn; the properties are in
    /// `body()`, for [`metadata::parse`](crate::rtmp::metadata::parse).
    Metadata {
        /// Message stream.
        message_stream_id: u32,
    },
    /// Another data message on a message stream that publishes; it is in `body()`, for
    /// [`data::for_players`](crate::rtmp::data::for_players).
    Data {
        /// Message stream.
        message_stream_id: u32,
        /// ms, wrapping.
        timestamp: u32,
    },
    /// There is so much to be sent that it goes out before anything else is read.
    Replies,
    /// Publishing or playing ends on this message stream.
    Stop {
        /// Message stream.
        message_stream_id: u32,
    },
    /// A player pauses or goes on.
    Pause {
        /// Message stream.
        message_stream_id: u32,
        /// Whether it pauses.
        is_paused: bool,
    },
    /// A player doesn't want audio or video, or wants it again.
    Receive {
        /// Message stream.
        message_stream_id: u32,
        /// Audio or video.
        kind: MediaKind,
        /// Whether it is wanted.
        is_wanted: bool,
    },
}

impl Event {
    /// Whether it waits for a verdict.
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            Event::Connect(_) | Event::Publish { .. } | Event::Play { .. }
        )
    }
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Message type 8.
    Audio,
    /// Message type 9.
    Video,
}

impl MediaKind {
    pub(super) fn of(type_id: u8) -> MediaKind {
        if type_id == type_id::AUDIO {
            MediaKind::Audio
        } else {
            MediaKind::Video
        }
    }
}

/// An audio or video message in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// Message stream.
    pub message_stream_id: u32,
    /// Audio or video.
    pub kind: MediaKind,
    /// ms, wrapping.
    pub timestamp: u32,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What a client says of itself in connect (7.2.1.1); what it left out is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect {
    /// The application, query included. Of more than 1,024 bytes, which no name may have, the
    /// beginning.
    pub app: String,
    /// URL that the user gave; at most [`MAX_URL_LEN`] bytes of it.
    pub tc_url: String,
    /// Name and version of the client; at most [`MAX_FLASH_VER_LEN`] bytes of it.
    pub flash_ver: String,
    /// Whether it says that it is going to publish: encoders set `type` to "nonprivate", or call
    /// themselves FMLE. Players say nothing.
    pub is_publisher: bool,
    /// What it says of codecs.
    pub codecs: Codecs,
    /// 1 reconnect, 2 multitrack, 4 ModEx, 8 nanosecond offsets.
    pub caps_ex: u32,
}

/// Longest beginning of a URL that is kept, in bytes.
pub const MAX_URL_LEN: usize = 1024;

/// Longest beginning of a client's name that is kept, in bytes.
pub const MAX_FLASH_VER_LEN: usize = 128;

/// The FourCCs that clients may name in connect; a bit each in [`Codecs`].
pub const FOUR_CCS: [&[u8; 4]; 12] = [
    b"avc1", b"hvc1", b"vvc1", b"av01", b"vp08", b"vp09", // video
    b"Opus", b"fLaC", b"ac-3", b"ec-3", b".mp3", b"mp4a", // audio
];

/// How many of them are of video.
pub const VIDEO_FOUR_CCS: usize = 6;

/// The bit for all others of video in [`Codecs`].
pub const VIDEO_OTHERS: u16 = 1 << FOUR_CCS.len();
/// The bit for all others of audio.
pub const AUDIO_OTHERS: u16 = 2 << FOUR_CCS.len();

/// All bits in [`Codecs`].
pub const ALL_BITS: u16 = (4 << FOUR_CCS.len()) - 1;

const VIDEO_BITS: u16 = ((1 << VIDEO_FOUR_CCS) - 1) | VIDEO_OTHERS;

/// Bits of the masks in `videoFourCcInfoMap` and `audioFourCcInfoMap`: whoever can decode or
/// forward something wants to receive it.
const CAN_DECODE: u32 = 1;
const CAN_FORWARD: u32 = 4;

/// The codecs that a client takes by what it said in connect: `fourCcList`, `videoFourCcInfoMap`
/// and `audioFourCcInfoMap` (E2, "connect").
///
/// What is empty says nothing, as if it were missing, and forbids nothing. A map's `*` overrides its
/// other names, and a map overrides the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codecs(u16);

impl Default for Codecs {
    /// Of a client that said nothing.
    fn default() -> Codecs {
        Codecs(ALL_BITS)
    }
}

impl Codecs {
    /// A bit for each of [`FOUR_CCS`], from bit 0 on, then [`VIDEO_OTHERS`] and [`AUDIO_OTHERS`].
    pub fn bits(self) -> u16 {
        self.0
    }

    /// These, by their FourCCs; an unknown one stands for all others.
    pub fn of(names: &[&str]) -> Codecs {
        Codecs(
            names
                .iter()
                .fold(0, |bits, name| bits | bit_of((*name).into())),
        )
    }

    fn new(list: &List, video: &Map, audio: &Map) -> Codecs {
        let taken = |map: &Map, of_medium: u16| {
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

/// `fourCcList`.
#[derive(Default)]
struct List {
    is_announced: bool,
    bits: u16,
}

/// A map of FourCCs and masks.
#[derive(Default)]
struct Map {
    is_announced: bool,
    named: u16,
    taken: u16,
    /// What is said of `*`.
    others: Option<bool>,
}

impl List {
    /// Reads the value that begins with this token.
    fn read<'a>(token: Token<'a>, reader: &mut Reader<'a>) -> Result<List, Error> {
        let mut read = List::default();
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

impl Map {
    /// Reads the value that begins with this token.
    fn read<'a>(token: Token<'a>, reader: &mut Reader<'a>) -> Result<Map, Error> {
        let mut read = Map::default();
        if !matches!(token, Token::Object | Token::EcmaArray) {
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

fn bit_of(name: Text<'_>) -> u16 {
    let four_cc = name.to_four_cc();
    let index = FOUR_CCS.iter().position(|known| four_cc == Some(**known));
    index.map_or(VIDEO_OTHERS | AUDIO_OTHERS, |index| 1 << index)
}

impl Connect {
    /// Reads the rest of a command object, in one pass, and without a second reader: what lies on
    /// the stack meanwhile each connection keeps.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<(Connect, Dialect), Error> {
        let mut connect = Connect::default();
        let (mut list, mut video, mut audio) = (List::default(), Map::default(), Map::default());
        let (mut is_nonprivate, mut is_amf3) = (false, false);
        while let Some(Named { name, token }) = reader.next_token()? {
            // Of a name that comes twice the last value counts.
            match WANTED.iter().find(|wanted| name == ***wanted).copied() {
                _ if token == Token::End => break,
                Some("app") => connect.app = text_of(token, MAX_KEPT_NAME),
                Some("tcUrl") => connect.tc_url = text_of(token, MAX_URL_LEN),
                Some("tcurl") if connect.tc_url.is_empty() => {
                    connect.tc_url = text_of(token, MAX_URL_LEN);
                }
                Some("flashVer") => connect.flash_ver = text_of(token, MAX_FLASH_VER_LEN),
                Some("type") => {
                    is_nonprivate = matches!(token, Token::String(kind) if kind == "nonprivate");
                }
                Some("objectEncoding") => is_amf3 = token.as_f64() == Some(3.0),
                Some("capsEx") => connect.caps_ex = mask(token),
                Some("fourCcList") => {
                    list = List::read(token, reader)?;
                    continue;
                }
                Some("videoFourCcInfoMap") => {
                    video = Map::read(token, reader)?;
                    continue;
                }
                Some("audioFourCcInfoMap") => {
                    audio = Map::read(token, reader)?;
                    continue;
                }
                _ => {}
            }
            reader.skip(token)?;
        }
        connect.is_publisher = is_nonprivate || connect.flash_ver.starts_with("FMLE/");
        connect.codecs = Codecs::new(&list, &video, &audio);
        let dialect = Dialect {
            is_amf3,
            can_reconnect: connect.can_reconnect(),
        };
        Ok((connect, dialect))
    }

    /// Whether it can be asked to connect anew (E2, "Reconnect Request").
    pub fn can_reconnect(&self) -> bool {
        self.caps_ex & 1 != 0
    }

    /// Bytes that it takes on the heap.
    pub fn heap_len(&self) -> usize {
        self.app.capacity() + self.tc_url.capacity() + self.flash_ver.capacity()
    }
}

/// The properties of a command object that say anything to this server.
const WANTED: [&str; 10] = [
    "app",
    "tcUrl",
    "tcurl",
    "flashVer",
    "type",
    "objectEncoding",
    "fourCcList",
    "videoFourCcInfoMap",
    "audioFourCcInfoMap",
    "capsEx",
];

fn text_of(token: Token<'_>, most: usize) -> String {
    match token {
        Token::String(text) => text.to_string_of(most),
        _ => String::new(),
    }
}

fn mask(value: Token<'_>) -> u32 {
    value.as_f64().map_or(0, |number| number as u32)
}
