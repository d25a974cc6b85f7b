//! Capabilities: the kinds of messages that a receiver accepts, and those that a message needs of its
//! receiver. They cover the codecs of Enhanced RTMP, tracks besides the first, and ModEx (E2,
//! "Enhancing NetConnection connect Command").
//!
//! Legacy messages of the usual codecs need no capability. A receiver that announces nothing gets the
//! messages that a player of one track can play or skip: the first track, whatever its codec, without
//! ModEx. Players in browsers stop at the first message that they don't know, so they get a selection
//! of codecs.

use super::kind::Kind;
use crate::media::codec::{AudioCodec, Codec, FourCc, VideoCodec};
use crate::media::tag::TagKind;
use crate::media::tag::tracks::TrackMessage;
use crate::rtmp::server_session::{ALL_BITS, AUDIO_OTHERS, Codecs, FOUR_CCS, VIDEO_OTHERS};

/// A bit for each codec that has a FourCC, and for unknown codecs, as in [`Codecs`].
const ALL_CODECS: u32 = ALL_BITS as u32;
const MULTITRACK: u32 = 1 << 16;
const MOD_EX: u32 = 1 << 17;
/// Legacy messages of codecs other than H.264, HEVC, AAC, MP3 and PCM.
const OLD_CODECS: u32 = 1 << 18;
/// Enhanced messages that describe a track: color information, channel layout.
const DESCRIPTIONS: u32 = 1 << 19;

/// The codecs of Enhanced RTMP that mpegts.js accepts. It gets H.264 and AAC as legacy messages.
const BROWSER_CODECS: [&FourCc; 4] = [b"hvc1", b"av01", b"Opus", b"fLaC"];

/// Bits of `capsEx`.
const CAPS_EX_MULTITRACK: u32 = 2;
const CAPS_EX_MOD_EX: u32 = 4;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub(super) u32);

impl Capabilities {
    /// The needs of a message that every receiver accepts.
    pub const NONE: Capabilities = Capabilities(0);

    /// Returns the capabilities of a receiver that announced nothing.
    pub fn unknown() -> Capabilities {
        Capabilities(ALL_CODECS | OLD_CODECS | DESCRIPTIONS)
    }

    /// Returns the capabilities of a player in a browser: mpegts.js or another player of FLV.
    pub fn browser() -> Capabilities {
        let bits = BROWSER_CODECS.iter().filter_map(|codec| bit_of(codec));
        Capabilities(bits.fold(0, |all, bit| all | bit))
    }

    /// Returns the capabilities of a receiver that wants the stream as it was published, such as a
    /// recorder.
    pub fn everything() -> Capabilities {
        Capabilities(MULTITRACK | MOD_EX | Capabilities::unknown().0)
    }

    /// Returns the capabilities of a client that announced these codecs and this `capsEx` (0 if
    /// missing) in `connect`.
    pub fn announced(codecs: Codecs, caps_ex: u32) -> Capabilities {
        let of_caps_ex = bits_if(caps_ex & CAPS_EX_MULTITRACK != 0, MULTITRACK)
            | bits_if(caps_ex & CAPS_EX_MOD_EX != 0, MOD_EX);
        Capabilities(u32::from(codecs.bits()) | OLD_CODECS | DESCRIPTIONS | of_caps_ex)
    }

    /// Adds all tracks, for a player that understands them without announcing it.
    pub fn with_all_tracks(self) -> Capabilities {
        Capabilities(self.0 | MULTITRACK)
    }

    /// Returns the capabilities that a message needs.
    pub(super) fn needed_by(message: &TrackMessage) -> Capabilities {
        let of_codec = match &message.four_cc {
            Some(four_cc) => bit_of(four_cc).unwrap_or(match message.codec {
                Some(Codec::Audio(_)) => AUDIO_OTHERS.into(),
                _ => VIDEO_OTHERS.into(),
            }),
            None if is_usual(message.codec) => 0,
            None => OLD_CODECS,
        };
        let kind = message.kind;
        let is_description = kind == TagKind::Metadata || kind == TagKind::MultichannelConfig;
        Capabilities(
            of_codec
                | bits_if(is_description, DESCRIPTIONS)
                | bits_if(message.track_id != 0, MULTITRACK)
                | bits_if(message.mod_ex_len != 0, MOD_EX),
        )
    }

    /// Returns the capabilities that a header of the preamble needs.
    pub(super) fn needed_by_header(kind: Kind, payload: &[u8]) -> Capabilities {
        let message = kind.medium().and_then(|of| TrackMessage::read(of, payload));
        message.map_or(Capabilities::NONE, |m| Capabilities::needed_by(&m))
    }

    /// Whether a receiver with these capabilities accepts a message that needs `needs`. ModEx doesn't
    /// matter: it is cut out for receivers that can't read it.
    pub(super) fn take(self, needs: Capabilities) -> bool {
        needs.0 & !self.0 & !MOD_EX == 0
    }

    /// Returns the capabilities that all messages of a track need, given the needs of one of them.
    pub(super) fn of_codec(self) -> Capabilities {
        Capabilities(self.0 & !MOD_EX)
    }

    /// Whether the receiver reads ModEx.
    pub(super) fn has_mod_ex(self) -> bool {
        self.0 & MOD_EX != 0
    }

    /// Whether the receiver accepts tracks besides the first; for the needs of a message, whether the
    /// message belongs to such a track.
    pub(super) fn has_multitrack(self) -> bool {
        self.0 & MULTITRACK != 0
    }
}

fn bits_if(is_set: bool, bits: u32) -> u32 {
    if is_set { bits } else { 0 }
}

fn bit_of(four_cc: &FourCc) -> Option<u32> {
    let index = FOUR_CCS.iter().position(|codec| *codec == four_cc)?;
    Some(1 << index)
}

/// Whether every player accepts the legacy form of this codec.
fn is_usual(codec: Option<Codec>) -> bool {
    use AudioCodec::{Aac, Mp3, PcmLittleEndian};
    matches!(
        codec,
        None | Some(
            Codec::Video(VideoCodec::H264 | VideoCodec::Hevc)
                | Codec::Audio(Aac | Mp3 | PcmLittleEndian)
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Medium;

    #[test]
    fn a_receiver_that_announces_nothing_gets_all_codecs_of_the_first_track() {
        let nothing = Capabilities::announced(Codecs::default(), 0);
        assert_eq!(nothing, Capabilities::unknown());
        assert!(!nothing.has_multitrack() && !nothing.has_mod_ex());
        assert!(nothing.with_all_tracks().has_multitrack());
    }

    #[test]
    fn a_browser_gets_only_codecs_that_its_player_knows() {
        for (name, medium, payload, is_taken) in [
            (
                "H.264",
                Medium::Video,
                &b"\x17\x01\0\0\0\0\0\0\x01\x65"[..],
                true,
            ),
            (
                "Enhanced H.264",
                Medium::Video,
                b"\x93avc1\0\0\0\x01\x65",
                true,
            ),
            ("HEVC", Medium::Video, b"\x93hvc1\0\0\0\x02\x26\x01", true),
            (
                "legacy HEVC",
                Medium::Video,
                b"\x1C\x01\0\0\0\0\0\0\x02\x26\x01",
                true,
            ),
            ("AV1", Medium::Video, b"\x91av01\x32\0", true),
            ("VP9", Medium::Video, b"\x91vp09\x32\0", false),
            ("Sorenson", Medium::Video, b"\x12\0\0\x84", false),
            (
                "color information",
                Medium::Video,
                b"\xD4hvc1\x02\0\x09colorInfo",
                false,
            ),
            (
                "track 1",
                Medium::Video,
                b"\x96\x03hvc1\x01\0\0\0\x02\x26\x01",
                false,
            ),
            ("AAC", Medium::Audio, b"\xAF\x01\x21", true),
            ("MP3", Medium::Audio, b"\x2F\xFF\xFB", true),
            ("Speex", Medium::Audio, b"\xB6\x01", false),
            ("Opus", Medium::Audio, b"\x91Opus\xFC", true),
            ("AC-3", Medium::Audio, b"\x91ac-3\x0B\x77", false),
        ] {
            let message = TrackMessage::read(medium, payload).unwrap();
            let needs = Capabilities::needed_by(&message);
            assert_eq!(Capabilities::browser().take(needs), is_taken, "{name}");
            assert_eq!(
                Capabilities::unknown().take(needs),
                name != "track 1",
                "{name}"
            );
            assert!(Capabilities::everything().take(needs), "{name}");
        }
    }

    #[test]
    fn caps_ex_announces_tracks_and_mod_ex() {
        for (caps_ex, has_multitrack, has_mod_ex) in [
            (0, false, false),
            (1, false, false),
            (2, true, false),
            (4, false, true),
            (0xF, true, true),
        ] {
            let capabilities = Capabilities::announced(Codecs::default(), caps_ex);
            assert_eq!(capabilities.has_multitrack(), has_multitrack, "{caps_ex}");
            assert_eq!(capabilities.has_mod_ex(), has_mod_ex, "{caps_ex}");
        }
    }
}
