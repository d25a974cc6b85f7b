//! Commands and their replies (7.2).
//!
//! ```text
//! command   name (string)  transaction id (number)  command object or null  arguments...
//! _result   "_result"      the request's id         properties or null      information
//! onStatus  "onStatus"     0                        null                    {level, code, ...}
//! ```
//!
//! Every argument is optional and of any type until checked: real clients leave out the publish
//! type, send names where numbers belong and numbers where booleans do.

use super::Error;
use super::amf::{Bytes, Named, Reader, Text, Token};
use super::amf0::{self, Value};
use super::stream_key::MAX_SENT_LEN;

/// Longest beginning of a command's name that is kept. The longest known one has 15 bytes.
const MAX_NAME_LEN: usize = 40;

/// Longest beginning of a name, or an app, that is kept: enough that what is too long for a name is
/// seen to be too long.
pub(super) const MAX_KEPT_NAME: usize = MAX_SENT_LEN + 4;

/// A client's command: of what came, the little that any command needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Name of the procedure, or the beginning of a long one.
    pub(super) name: String,
    /// 0 when no reply is wanted.
    pub(super) transaction_id: f64,
    pub(super) argument: Argument,
}

/// The first argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    /// Missing, undecodable or of no use.
    None,
    Number(f64),
    Boolean(bool),
    /// At most [`MAX_KEPT_NAME`] bytes of it. Of `play2` it is the property `streamName`.
    Text(String),
}

impl Call {
    /// Reads a command in AMF0 where it lies. `object` reads the rest of a command object that has
    /// begun with this token; what it read counts only if it says so. Undecodable arguments count
    /// as missing; an undecodable name is an error.
    pub(super) fn read<'a>(
        payload: Bytes<'a>,
        object: impl FnOnce(&str, Token<'a>, &mut Reader<'a>) -> Result<(), Error>,
    ) -> Result<Call, Error> {
        let mut reader = Reader::new(payload);
        let Some(Token::String(name)) = next(&mut reader) else {
            return Err(Error::malformed(
                "command without a name, expected an AMF0 string first",
            ));
        };
        let name = name.to_string_of(MAX_NAME_LEN);
        let id = next(&mut reader).and_then(|token| token.as_f64());
        // After an error nothing comes.
        if let Ok(Some(Named { token, .. })) = reader.next_token() {
            let _ = object(&name, token, &mut reader);
        }
        let argument = match reader.next_token() {
            Ok(Some(Named { token, .. })) => Argument::read(&name, token, &mut reader),
            _ => Argument::None,
        };
        Ok(Call {
            name,
            transaction_id: id.unwrap_or(0.0),
            argument,
        })
    }
}

/// The next value, if it is decodable to its end.
fn next<'a>(reader: &mut Reader<'a>) -> Option<Token<'a>> {
    let Named { token, .. } = reader.next_token().ok()??;
    reader.skip(token).ok()?;
    Some(token)
}

impl Argument {
    /// Reads the rest of the first argument of a command.
    fn read<'a>(command: &str, token: Token<'a>, reader: &mut Reader<'a>) -> Argument {
        let mut token = token;
        let is_object = matches!(token, Token::Object | Token::EcmaArray);
        let read = if is_object && command.starts_with("play") {
            reader
                .find("streamName")
                .map(|found| token = found.unwrap_or(Token::Null))
        } else {
            reader.skip(token)
        };
        read.map_or(Argument::None, |()| Argument::of(token))
    }

    fn of(token: Token<'_>) -> Argument {
        match token {
            Token::Number(number) => Argument::Number(number),
            Token::Boolean(boolean) => Argument::Boolean(boolean),
            Token::String(text) => Argument::Text(Text::to_string_of(text, MAX_KEPT_NAME)),
            _ => Argument::None,
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Argument::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A truth value, if it can be taken for one.
    pub(super) fn flag(&self) -> Option<bool> {
        match *self {
            Argument::Boolean(boolean) => Some(boolean),
            Argument::Number(number) => Some(number != 0.0 && !number.is_nan()),
            _ => None,
        }
    }

    /// An unsigned number, if it is one: an id, a time in ms.
    pub(super) fn unsigned(&self) -> Option<u32> {
        let number = match *self {
            Argument::Number(number) => number,
            Argument::Boolean(boolean) => f64::from(u8::from(boolean)),
            _ => return None,
        };
        (number >= 0.0 && number <= f64::from(u32::MAX)).then_some(number as u32)
    }
}

/// A command with all that belongs to it: a reply of this side's, or what a trusted peer says.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Name of the procedure.
    pub name: String,
    /// 0 when no reply is wanted.
    pub transaction_id: f64,
    /// Parameters of the connection, or null.
    pub object: Value,
    /// What follows.
    pub arguments: Vec<Value>,
}

impl Command {
    /// Reads a command in AMF0. Undecodable arguments count as missing; an undecodable name or
    /// transaction id is an error.
    pub fn parse(payload: &[u8]) -> Result<Command, Error> {
        let mut reader = Reader::new(payload.into());
        let mut next = || reader.next_value().ok().flatten();
        let Some(Value::String(name)) = next() else {
            return Err(Error::malformed(
                "command without a name, expected an AMF0 string first",
            ));
        };
        let transaction_id = next().and_then(|value| value.as_f64()).unwrap_or(0.0);
        let object = next().unwrap_or(Value::Null);
        let arguments = std::iter::from_fn(next).collect();
        Ok(Command {
            name,
            transaction_id,
            object,
            arguments,
        })
    }

    /// The command's payload in AMF0.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Value::String(self.name.clone()).emit(&mut out);
        Value::Number(self.transaction_id).emit(&mut out);
        self.object.emit(&mut out);
        for argument in &self.arguments {
            argument.emit(&mut out);
        }
        out
    }

    /// The command's payload in the AMF3 envelope: a format selector of 0, then AMF0 in which
    /// objects and arrays are AMF3.
    pub fn emit_amf3(&self) -> Vec<u8> {
        let mut out = vec![0];
        Value::String(self.name.clone()).emit(&mut out);
        Value::Number(self.transaction_id).emit(&mut out);
        for value in std::iter::once(&self.object).chain(&self.arguments) {
            match value {
                Value::Object(_) | Value::EcmaArray(_) | Value::StrictArray(_) => {
                    amf0::emit_avmplus(value, &mut out);
                }
                simple => simple.emit(&mut out),
            }
        }
        out
    }
}

/// The reply `_result`.
pub fn result(transaction_id: f64, properties: Value, information: Value) -> Command {
    reply("_result", transaction_id, properties, information)
}

/// The reply `_error`, with a status as information.
pub fn error(transaction_id: f64, code: &str, description: &str) -> Command {
    reply(
        "_error",
        transaction_id,
        Value::Null,
        info("error", code, description),
    )
}

/// A call of the server's that wants no answer: `onStatus`, `onFCPublish` and the like.
pub fn call(name: &str, information: Value) -> Command {
    reply(name, 0.0, Value::Null, information)
}

/// Longest description, in bytes: ffmpeg's buffer has 256.
pub const MAX_DESCRIPTION_LEN: usize = 250;

/// An information object: level ("status", "error"), code and the beginning of a description.
pub fn info(level: &str, code: &str, description: &str) -> Value {
    let end = (0..=description.len().min(MAX_DESCRIPTION_LEN))
        .rev()
        .find(|end| description.is_char_boundary(*end));
    let description = description.get(..end.unwrap_or(0)).unwrap_or_default();
    object([
        ("level", text(level)),
        ("code", text(code)),
        ("description", text(description)),
    ])
}

/// An object from its properties.
pub fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(
        properties
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// A string value.
pub fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn reply(name: &str, transaction_id: f64, object: Value, information: Value) -> Command {
    Command {
        name: name.to_owned(),
        transaction_id,
        object,
        arguments: vec![information],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_stream_reply_has_the_bytes_that_clients_expect() {
        let bytes = result(4.0, Value::Null, Value::Number(1.0)).emit();
        assert_eq!(
            bytes,
            b"\x02\0\x07_result\0\x40\x10\0\0\0\0\0\0\x05\0\x3F\xF0\0\0\0\0\0\0"
        );
    }

    /// What is read of a command.
    fn call(payload: &[u8]) -> Call {
        Call::read(payload.into(), |_, token, reader| reader.skip(token)).unwrap()
    }

    #[test]
    fn missing_arguments_are_missing_not_errors() {
        let call = call(b"\x02\0\x07publish");
        assert_eq!(
            (&*call.name, call.transaction_id, call.argument),
            ("publish", 0.0, Argument::None)
        );
        let command = Command::parse(b"\x02\0\x07publish").unwrap();
        assert_eq!((command.object, command.arguments), (Value::Null, vec![]));
    }

    #[test]
    fn an_undecodable_argument_ends_the_arguments() {
        let play = b"\x02\0\x04play\0\0\0\0\0\0\0\0\0\x05\x02\0\x01a\x99\x02\0\x01b";
        assert_eq!(Command::parse(play).unwrap().arguments, [text("a")]);
        assert_eq!(call(play).argument.text(), Some("a"));
        // An object without an end is no object, and nothing comes behind it.
        let cut = b"\x02\0\x07connect\0\0\0\0\0\0\0\0\0\x03\0\x03app\x02\0\x01a";
        let mut read = None;
        let call = Call::read(cut[..].into(), |_, token, reader| {
            read = Some(reader.skip(token));
            Ok(())
        });
        assert_eq!(call.unwrap().argument, Argument::None);
        assert!(read.unwrap().is_err(), "it has no end");
    }

    #[test]
    fn the_name_to_play_may_stand_in_an_object() {
        let command = |name: &str, key: &str| Command {
            arguments: vec![object([(key, text("door"))])],
            ..call_of(name)
        };
        let read = |command: Command| call(&command.emit()).argument;
        assert_eq!(read(command("play2", "streamName")).text(), Some("door"));
        assert_eq!(read(command("play2", "oldStreamName")), Argument::None);
        assert_eq!(read(command("deleteStream", "streamName")), Argument::None);
    }

    fn call_of(name: &str) -> Command {
        Command {
            name: name.into(),
            transaction_id: 0.0,
            object: Value::Null,
            arguments: vec![],
        }
    }

    #[test]
    fn of_long_texts_the_beginning_is_kept() {
        let command = Command {
            arguments: vec![text(&"n".repeat(60_000))],
            ..call_of(&"c".repeat(60_000))
        };
        let call = call(&command.emit());
        assert_eq!(call.name.len(), MAX_NAME_LEN);
        assert_eq!(call.argument.text().map(str::len), Some(MAX_KEPT_NAME));
    }

    #[test]
    fn ids_that_are_no_numbers_are_none() {
        assert_eq!(Argument::Number(7.0).unsigned(), Some(7));
        for number in [f64::NAN, f64::INFINITY, -1.0, 4e10] {
            assert_eq!(Argument::Number(number).unsigned(), None);
        }
    }

    #[test]
    fn long_descriptions_are_cut_between_characters() {
        let long = "\u{f6}".repeat(200);
        let Value::Object(properties) = info("error", "code", &long) else {
            panic!()
        };
        assert_eq!(properties[2].1.as_str().unwrap().len(), 250);
    }
}
