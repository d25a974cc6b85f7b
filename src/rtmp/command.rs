//! Commands as values (7.2), and this server's replies.
//!
//! ```text
//! command   name (string)  transaction id (number)  command object or null  arguments...
//! _result   "_result"      the request's id         properties or null      information
//! onStatus  "onStatus"     0                        null                    {level, code, ...}
//! ```

use super::Error;
use super::amf::Reader;
use super::amf0::{self, Value};
use super::printable::at_most;

/// A command with all of its values: a reply of this server, or a command of a trusted peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The name of the procedure.
    pub name: String,
    /// The transaction id; 0 if no reply is expected.
    pub transaction_id: f64,
    /// The command object: parameters of the connection, or null.
    pub object: Value,
    /// The values after the command object.
    pub arguments: Vec<Value>,
}

impl Command {
    /// Parses a command in AMF0. Values that can't be decoded count as missing, and a missing
    /// transaction id is 0; only a missing name is an error.
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

    /// Returns the command's payload in AMF0.
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

    /// Returns the command's payload in the AMF3 envelope: a format selector of 0, then AMF0 in which
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

/// Creates a `_result` reply.
pub fn result(transaction_id: f64, properties: Value, information: Value) -> Command {
    reply("_result", transaction_id, properties, information)
}

/// Creates an `_error` reply, with a status as its information object.
pub fn error(transaction_id: f64, code: &str, description: &str) -> Command {
    reply(
        "_error",
        transaction_id,
        Value::Null,
        info("error", code, description),
    )
}

/// Creates a call from this server that expects no reply: `onStatus`, `onFCPublish` and similar.
pub fn call(name: &str, information: Value) -> Command {
    reply(name, 0.0, Value::Null, information)
}

/// The longest description in bytes: ffmpeg's buffer has 256.
pub const MAX_DESCRIPTION_LEN: usize = 250;

/// Creates an information object: level ("status", "error"), code, and a description that is cut if
/// necessary.
pub fn info(level: &str, code: &str, description: &str) -> Value {
    let description = at_most(description, MAX_DESCRIPTION_LEN);
    object([
        ("level", text(level)),
        ("code", text(code)),
        ("description", text(description)),
    ])
}

/// Creates an object from its properties.
pub fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(
        properties
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// Creates a string value.
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

    #[test]
    fn missing_or_undecodable_arguments_end_a_command() {
        let command = Command::parse(b"\x02\0\x07publish").unwrap();
        assert_eq!((command.object, command.arguments), (Value::Null, vec![]));
        let play = b"\x02\0\x04play\0\0\0\0\0\0\0\0\0\x05\x02\0\x01a\x99\x02\0\x01b";
        assert_eq!(Command::parse(play).unwrap().arguments, [text("a")]);
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
