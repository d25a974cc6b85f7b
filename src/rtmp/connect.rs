//! The command object of connect (7.2.1.1), in which a client describes itself.

pub(super) mod codecs;

use super::Error;
use super::amf::{Named, Reader, Token};
use super::stream_key::MAX_KEPT_NAME;
use codecs::{Announced, mask};

pub use codecs::{ALL_BITS, AUDIO_OTHERS, Codecs, FOUR_CCS, VIDEO_FOUR_CCS, VIDEO_OTHERS};

/// The properties of a client's connect command; missing ones are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect {
    /// The application, query included; cut to 1,024 bytes, which is longer than any valid name.
    pub app: String,
    /// The URL that the user entered, cut to [`MAX_URL_LEN`] bytes.
    pub tc_url: String,
    /// The name and version of the client, cut to [`MAX_FLASH_VER_LEN`] bytes.
    pub flash_ver: String,
    /// Whether the client announces that it will publish: encoders set `type` to "nonprivate", or name
    /// themselves FMLE. Players announce nothing.
    pub is_publisher: bool,
    /// Whether the client wants commands in AMF3 (`objectEncoding` 3).
    pub is_amf3: bool,
    /// The codecs that the client accepts.
    pub codecs: Codecs,
    /// The client's capabilities (`capsEx`): 1 reconnect, 2 multitrack, 4 ModEx, 8 nanosecond offsets.
    pub caps_ex: u32,
}

/// The number of bytes of a URL that are kept.
pub const MAX_URL_LEN: usize = 1024;

/// The number of bytes of a client's name that are kept.
pub const MAX_FLASH_VER_LEN: usize = 128;

impl Connect {
    /// Reads the rest of a command object, in one pass and without a second reader: stack that is used
    /// here stays allocated to the connection's thread.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Connect, Error> {
        let mut connect = Connect::default();
        let mut announced = Announced::default();
        let mut is_nonprivate = false;
        while let Some(Named { name, token }) = reader.next_token()? {
            // If a name comes twice, the last value counts.
            match WANTED.iter().find(|wanted| name == ***wanted).copied() {
                _ if token == Token::End => break,
                Some("app") => connect.app = token.to_string_of(MAX_KEPT_NAME),
                Some("tcUrl") => connect.tc_url = token.to_string_of(MAX_URL_LEN),
                Some("tcurl") if connect.tc_url.is_empty() => {
                    connect.tc_url = token.to_string_of(MAX_URL_LEN);
                }
                Some("flashVer") => connect.flash_ver = token.to_string_of(MAX_FLASH_VER_LEN),
                Some("type") => {
                    is_nonprivate = matches!(token, Token::String(kind) if kind == "nonprivate");
                }
                Some("objectEncoding") => connect.is_amf3 = token.as_f64() == Some(3.0),
                Some("capsEx") => connect.caps_ex = mask(token),
                Some(name) if announced.read(name, token, reader)? => continue,
                Some(_) => {}
                None => {}
            }
            reader.skip(token)?;
        }
        connect.is_publisher = is_nonprivate || connect.flash_ver.starts_with("FMLE/");
        connect.codecs = announced.codecs();
        Ok(connect)
    }

    /// Whether the client understands a request to reconnect (E2, "Reconnect Request").
    pub fn can_reconnect(&self) -> bool {
        self.caps_ex & 1 != 0
    }

    /// Returns the number of bytes that these properties occupy on the heap.
    pub fn heap_len(&self) -> usize {
        self.app.capacity() + self.tc_url.capacity() + self.flash_ver.capacity()
    }
}

/// The properties of the command object that this server uses.
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
