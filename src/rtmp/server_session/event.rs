//! What a session tells its caller.

use crate::rtmp::amf0::Value;
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
    /// Metadata of a message stream that publishes; `None` when it is withdrawn.
    Metadata {
        /// Message stream.
        message_stream_id: u32,
        /// The properties in order.
        properties: Option<Vec<(String, Value)>>,
    },
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
    /// The application, query included.
    pub app: String,
    /// URL that the user gave.
    pub tc_url: String,
    /// Name and version of the client.
    pub flash_ver: String,
    /// Whether it says that it is going to publish: encoders set `type` to "nonprivate", or call
    /// themselves FMLE. Players say nothing.
    pub is_publisher: bool,
    /// The codecs that it knows, by FourCC, or "*" (E2, "connect"). Empty if it doesn't say.
    pub four_cc_list: Vec<String>,
    /// What it can do with video codecs: FourCC or "*", and the mask 1 decode, 2 encode,
    /// 4 forward.
    pub video_four_ccs: Vec<(String, u32)>,
    /// The same of audio codecs.
    pub audio_four_ccs: Vec<(String, u32)>,
    /// 1 reconnect, 2 multitrack, 4 ModEx, 8 nanosecond offsets.
    pub caps_ex: u32,
}

/// Codecs that are listened to in each list; there are a dozen.
const MAX_FOUR_CCS: usize = 32;

impl Connect {
    /// Reads the command object.
    pub(super) fn parse(object: &Value) -> Connect {
        let text = |key| object.property(key).and_then(Value::as_str);
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let flash_ver = text("flashVer").unwrap_or_default();
        Connect {
            app: owned(text("app")),
            tc_url: owned(text("tcUrl").or(text("tcurl"))),
            is_publisher: text("type") == Some("nonprivate") || flash_ver.starts_with("FMLE/"),
            flash_ver: flash_ver.to_owned(),
            four_cc_list: four_cc_list(object.property("fourCcList")),
            video_four_ccs: four_cc_info(object.property("videoFourCcInfoMap")),
            audio_four_ccs: four_cc_info(object.property("audioFourCcInfoMap")),
            caps_ex: object.property("capsEx").map_or(0, mask),
        }
    }

    /// Whether it can be asked to connect anew (E2, "Reconnect Request").
    pub fn can_reconnect(&self) -> bool {
        self.caps_ex & 1 != 0
    }
}

fn four_cc_list(list: Option<&Value>) -> Vec<String> {
    let Some(Value::StrictArray(names)) = list else {
        return Vec::new();
    };
    let names = names.iter().filter_map(Value::as_str).map(str::to_owned);
    names.take(MAX_FOUR_CCS).collect()
}

fn four_cc_info(map: Option<&Value>) -> Vec<(String, u32)> {
    let Some(Value::Object(names) | Value::EcmaArray(names)) = map else {
        return Vec::new();
    };
    let names = names
        .iter()
        .map(|(name, value)| (name.clone(), mask(value)));
    names.take(MAX_FOUR_CCS).collect()
}

fn mask(value: &Value) -> u32 {
    value.as_f64().map_or(0, |number| number as u32)
}
