//! Parsed commands of a server: replies to a client's commands, and statuses (7.2).
//!
//! Servers put what they say into the first or the second value after the transaction id, as objects with
//! the same names. So all of them are read as one.

use super::Error;
use super::amf::{Bytes, Named, Reader, Token};
use super::connect::{Codecs, codecs::Announced};

/// The number of bytes of a command's name and of a code that are kept.
const MAX_NAME_LEN: usize = 64;

/// The number of bytes of a server's words that are kept.
const MAX_DESCRIPTION_LEN: usize = 512;

/// The number of bytes of a URL to which a server refers that are kept.
const MAX_URL_LEN: usize = 2048;

/// The number of values after the transaction id that are read.
const MAX_VALUES: usize = 4;

/// A command of a server.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ServerCall {
    pub(super) name: String,
    pub(super) transaction_id: f64,
    /// The first number after the transaction id: the message stream of a createStream.
    pub(super) number: Option<f64>,
    pub(super) info: Info,
}

/// What the objects of a command say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Info {
    /// `status`, `warning` or `error`; empty if missing.
    pub(super) level: String,
    pub(super) code: String,
    pub(super) description: String,
    /// The URL to which a refused client should turn: `redirect` in the object `ex`.
    pub(super) redirect: Option<String>,
    /// The URL to which a client should reconnect.
    pub(super) tc_url: Option<String>,
    /// Whether commands are in AMF3 from now on (`objectEncoding` 3).
    pub(super) is_amf3: bool,
    /// The codecs that the server announces; all if it announces none.
    pub(super) codecs: Codecs,
    /// The server's `capsEx`; 0 if missing.
    pub(super) caps_ex: u32,
}

impl ServerCall {
    /// Parses a command in AMF0. Values that can't be decoded end it; a name that can't be decoded is an
    /// error.
    pub(super) fn parse(payload: Bytes<'_>) -> Result<ServerCall, Error> {
        let mut reader = Reader::new(payload);
        let first = reader.next_token().ok().flatten();
        let Some(Token::String(name)) = first.map(|named| named.token) else {
            return Err(Error::malformed(
                "command without a name, expected an AMF0 string first",
            ));
        };
        let mut call = ServerCall {
            name: name.to_string_of(MAX_NAME_LEN),
            ..ServerCall::default()
        };
        // Whatever follows a value that can't be decoded counts as missing.
        let _ = call.read_values(&mut reader);
        Ok(call)
    }

    fn read_values<'a>(&mut self, reader: &mut Reader<'a>) -> Result<(), Error> {
        if let Some(Named { token, .. }) = reader.next_token()? {
            self.transaction_id = token.as_f64().unwrap_or(0.0);
            reader.skip(token)?;
        }
        let mut announced = Announced::default();
        for _ in 0..MAX_VALUES {
            let Some(Named { token, .. }) = reader.next_token()? else {
                break;
            };
            match token {
                Token::Number(number) => {
                    self.number.get_or_insert(number);
                }
                token if token.is_object() => {
                    let result = self.info.read(reader, &mut announced);
                    self.info.codecs = announced.codecs();
                    result?;
                    continue;
                }
                _ => {}
            }
            reader.skip(token)?;
        }
        Ok(())
    }

    /// Whether a reply, or a status, says that something has failed.
    pub(super) fn is_error(&self) -> bool {
        self.name == "_error" || self.info.level == "error"
    }
}

impl Info {
    /// Reads the properties of an object to its end.
    fn read<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        announced: &mut Announced,
    ) -> Result<(), Error> {
        while let Some(Named { name, token }) = reader.next_token()? {
            if token == Token::End {
                break;
            }
            let name = name.to_str();
            match &*name {
                "level" => self.level = token.to_string_of(MAX_NAME_LEN),
                "code" => self.code = token.to_string_of(MAX_NAME_LEN),
                "description" => self.description = token.to_string_of(MAX_DESCRIPTION_LEN),
                "tcUrl" => self.tc_url = url_of(token),
                "objectEncoding" => self.is_amf3 = token.as_f64() == Some(3.0),
                "capsEx" => self.caps_ex = token.as_f64().map_or(0, |mask| mask as u32),
                "ex" if token.is_object() => {
                    self.read_redirect(reader)?;
                    continue;
                }
                name => {
                    if announced.read(name, token, reader)? {
                        continue;
                    }
                }
            }
            reader.skip(token)?;
        }
        Ok(())
    }

    /// Reads the object `ex` to its end: `{code: 302, redirect: "rtmp://..."}`.
    fn read_redirect<'a>(&mut self, reader: &mut Reader<'a>) -> Result<(), Error> {
        while let Some(Named { name, token }) = reader.next_token()? {
            match &*name.to_str() {
                _ if token == Token::End => break,
                "redirect" => self.redirect = url_of(token),
                _ => {}
            }
            reader.skip(token)?;
        }
        Ok(())
    }
}

fn url_of(token: Token<'_>) -> Option<String> {
    Some(token.to_string_of(MAX_URL_LEN)).filter(|url| !url.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf0::Value;
    use crate::rtmp::command::{self, Command, object, text};

    fn parse(command: &Command) -> ServerCall {
        ServerCall::parse(command.emit().as_slice().into()).unwrap()
    }

    #[test]
    fn a_reply_to_create_stream_has_a_number() {
        let call = parse(&command::result(4.0, Value::Null, Value::Number(1.0)));
        assert_eq!((&*call.name, call.transaction_id), ("_result", 4.0));
        assert_eq!(call.number, Some(1.0));
        assert!(!call.is_error());
    }

    #[test]
    fn both_objects_of_a_reply_to_connect_are_read() {
        let properties = object([
            ("fmsVer", text("FMS/3,0,1,123")),
            ("fourCcList", Value::StrictArray(vec![text("hvc1")])),
            ("capsEx", Value::Number(3.0)),
        ]);
        let info = command::info("status", "NetConnection.Connect.Success", "fine");
        let call = parse(&command::result(1.0, properties, info));
        assert_eq!(call.info.code, "NetConnection.Connect.Success");
        assert_eq!(call.info.caps_ex, 3);
        assert_eq!(call.info.codecs, Codecs::of(&["hvc1"]));
        let call = parse(&command::result(1.0, Value::Null, Value::Null));
        assert_eq!(call.info.codecs, Codecs::default());
    }

    #[test]
    fn a_redirect_is_found_in_ex() {
        let ex = object([
            ("code", Value::Number(302.0)),
            ("redirect", text("rtmp://other/live")),
        ]);
        let mut error = command::error(1.0, "NetConnection.Connect.Rejected", "moved");
        let Some(Value::Object(properties)) = error.arguments.first_mut() else {
            panic!()
        };
        properties.push(("ex".into(), ex));
        let call = parse(&error);
        assert!(call.is_error());
        assert_eq!(call.info.redirect.as_deref(), Some("rtmp://other/live"));
        assert_eq!(call.info.tc_url, None);
        // The code of `ex` isn't that of the status.
        assert_eq!(call.info.code, "NetConnection.Connect.Rejected");
    }

    #[test]
    fn long_words_are_cut_and_broken_ones_end_the_command() {
        let long = "n".repeat(60_000);
        let call = parse(&command::call(
            "onStatus",
            object([("description", text(&long))]),
        ));
        assert_eq!(call.info.description.len(), MAX_DESCRIPTION_LEN);
        let broken = b"\x02\0\x08onStatus\0\0\0\0\0\0\0\0\0\x05\x03\0\x04code\x02\0\x01x\x99";
        let call = ServerCall::parse(broken.as_slice().into()).unwrap();
        assert_eq!(call.info.code, "x");
        assert!(ServerCall::parse(b"\x05".as_slice().into()).is_err());
    }
}
