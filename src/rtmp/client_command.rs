//! Parsed commands of a client (7.2).
//!
//! Every argument is optional, and its type is unknown until checked: real clients leave out the publish
//! type, send names where numbers belong, and numbers where booleans do.

use super::Error;
use super::amf::{Bytes, Named, Reader, Token};
use super::connect::Connect;
use super::stream_key::MAX_KEPT_NAME;
use crate::medium::Medium;

/// The number of bytes of a command's name that are kept. The longest known name has 15 bytes.
const MAX_NAME_LEN: usize = 40;

/// A command together with the values that a reply to it needs.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    /// The name of the procedure, or the beginning of a long name.
    pub(super) name: String,
    /// The transaction id; 0 if the client expects no reply.
    pub(super) transaction_id: f64,
    pub(super) command: ClientCommand,
}

/// The publish type: whether the publisher wants its stream recorded (7.2.2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishKind {
    /// Not recorded; also if the type is missing or unknown.
    #[default]
    Live,
    /// Recorded anew.
    Record,
    /// Recorded in continuation of what was recorded before.
    Append,
}

impl PublishKind {
    fn read(reader: &mut Reader<'_>) -> PublishKind {
        match next(reader) {
            Some(Token::String(name)) => match name.to_string_of(MAX_NAME_LEN).as_str() {
                "record" => PublishKind::Record,
                "append" => PublishKind::Append,
                _ => PublishKind::Live,
            },
            _ => PublishKind::Live,
        }
    }
}

/// A command, with only the arguments that matter to this server.
#[derive(Debug, PartialEq)]
pub(super) enum ClientCommand {
    Connect(Connect),
    CreateStream,
    ReleaseStream,
    FcPublish,
    FcUnpublish,
    FcSubscribe,
    GetStreamLength,
    CheckBandwidth,
    /// A publish, with the stream name and the publish type.
    Publish(String, PublishKind),
    /// A `play` or `play2`, with the stream name.
    Play(String),
    /// A deleteStream, with the message stream if it isn't the one on which the command came.
    DeleteStream(Option<u32>),
    CloseStream,
    /// A pause; true to pause, false to resume.
    Pause(bool),
    Seek,
    /// A receiveAudio or receiveVideo: the medium, and whether the client wants to receive it.
    Receive(Medium, bool),
    /// A reply to a request that this server never sent, or a call of an unknown procedure.
    Other,
}

impl ClientCommand {
    /// Parses a command in AMF0. Arguments that can't be decoded count as missing; a name that can't be
    /// decoded is an error.
    pub(super) fn parse(payload: Bytes<'_>) -> Result<Call, Error> {
        let mut reader = Reader::new(payload);
        let Some(Token::String(name)) = next(&mut reader) else {
            return Err(Error::malformed(
                "command without a name, expected an AMF0 string first",
            ));
        };
        let name = name.to_string_of(MAX_NAME_LEN);
        let transaction_id = next(&mut reader).and_then(|token| token.as_f64());
        let mut connect = None;
        // If this is an error, the reader is at its end, and all arguments count as missing.
        if let Ok(Some(Named { token, .. })) = reader.next_token() {
            if name == "connect" && token.is_object() {
                connect = Connect::read(&mut reader).ok();
            } else {
                let _ = reader.skip(token);
            }
        }
        let argument = argument(&name, &mut reader).unwrap_or(Token::Null);
        let is_on = argument.as_bool().unwrap_or(true);
        let command = match name.as_str() {
            "connect" => ClientCommand::Connect(connect.unwrap_or_default()),
            "createStream" => ClientCommand::CreateStream,
            "releaseStream" => ClientCommand::ReleaseStream,
            "FCPublish" => ClientCommand::FcPublish,
            "FCUnpublish" => ClientCommand::FcUnpublish,
            "FCSubscribe" => ClientCommand::FcSubscribe,
            "getStreamLength" => ClientCommand::GetStreamLength,
            "_checkbw" => ClientCommand::CheckBandwidth,
            "publish" => {
                let name = argument.to_string_of(MAX_KEPT_NAME);
                ClientCommand::Publish(name, PublishKind::read(&mut reader))
            }
            "play" | "play2" => ClientCommand::Play(argument.to_string_of(MAX_KEPT_NAME)),
            "deleteStream" => ClientCommand::DeleteStream(id_of(argument)),
            "closeStream" => ClientCommand::CloseStream,
            "pause" | "pauseRaw" => ClientCommand::Pause(is_on),
            "seek" => ClientCommand::Seek,
            "receiveAudio" => ClientCommand::Receive(Medium::Audio, is_on),
            "receiveVideo" => ClientCommand::Receive(Medium::Video, is_on),
            _ => ClientCommand::Other,
        };
        Ok(Call {
            name,
            transaction_id: transaction_id.unwrap_or(0.0),
            command,
        })
    }
}

/// Returns the next value if it can be decoded to its end.
fn next<'a>(reader: &mut Reader<'a>) -> Option<Token<'a>> {
    let Named { token, .. } = reader.next_token().ok()??;
    reader.skip(token).ok()?;
    Some(token)
}

/// Returns the first argument, or its property `streamName` for `play2`.
fn argument<'a>(command: &str, reader: &mut Reader<'a>) -> Option<Token<'a>> {
    let Named { token, .. } = reader.next_token().ok()??;
    if token.is_object() && command.starts_with("play") {
        return reader.find("streamName").ok()?;
    }
    reader.skip(token).ok()?;
    Some(token)
}

/// Returns the id of a message stream. GStreamer sends the stream's name where the id belongs; even a
/// name that consists of digits isn't an id.
fn id_of(argument: Token<'_>) -> Option<u32> {
    let number = match argument {
        Token::String(_) => None,
        _ => argument.as_f64(),
    };
    let in_range = number.filter(|number| (0.0..=f64::from(u32::MAX)).contains(number));
    in_range.map(|number| number as u32)
}

/// The name of a command for the flight recorder, if it is one that real clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandName(u8);

const NAMES: [&str; 21] = [
    "an unknown command",
    "a command without a name",
    "connect",
    "createStream",
    "releaseStream",
    "FCPublish",
    "publish",
    "FCUnpublish",
    "deleteStream",
    "closeStream",
    "getStreamLength",
    "FCSubscribe",
    "play",
    "play2",
    "pause",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "_checkbw",
    "_result",
    "onStatus",
];

impl CommandName {
    pub(super) const UNREADABLE: CommandName = CommandName(1);

    pub(super) fn new(name: &str) -> CommandName {
        let index = NAMES.iter().position(|known| *known == name);
        CommandName(index.unwrap_or(0) as u8)
    }

    /// Returns the name, or a text saying that it is unknown.
    pub fn as_str(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf0::Value;
    use crate::rtmp::command::{Command, object, text};

    fn call(payload: &[u8]) -> Call {
        ClientCommand::parse(payload.into()).unwrap()
    }

    fn command(name: &str, arguments: &[Value]) -> ClientCommand {
        let command = Command {
            name: name.into(),
            transaction_id: 0.0,
            object: Value::Null,
            arguments: arguments.to_vec(),
        };
        call(&command.emit()).command
    }

    fn play(name: &str) -> ClientCommand {
        ClientCommand::Play(name.into())
    }

    #[test]
    fn missing_arguments_are_missing_not_errors() {
        let call = call(b"\x02\0\x07publish");
        assert_eq!((&*call.name, call.transaction_id), ("publish", 0.0));
        let name = String::new();
        let live = PublishKind::Live;
        assert_eq!(call.command, ClientCommand::Publish(name, live));
    }

    #[test]
    fn an_undecodable_argument_ends_the_arguments() {
        let bytes = b"\x02\0\x04play\0\0\0\0\0\0\0\0\0\x05\x02\0\x01a\x99\x02\0\x01b";
        assert_eq!(call(bytes).command, play("a"));
        // An object without an end marker counts as missing, and nothing can follow it.
        let cut = b"\x02\0\x04play\0\0\0\0\0\0\0\0\0\x03\0\x03app\x02\0\x01a";
        assert_eq!(call(cut).command, play(""));
        let cut = b"\x02\0\x07connect\0\0\0\0\0\0\0\0\0\x03\0\x03app\x02\0\x01a";
        let connect = Connect::default();
        assert_eq!(call(cut).command, ClientCommand::Connect(connect));
    }

    #[test]
    fn the_name_to_play_may_stand_in_an_object() {
        let named = |key| [object([(key, text("door"))])];
        assert_eq!(command("play2", &named("streamName")), play("door"));
        assert_eq!(command("play2", &named("oldStreamName")), play(""));
        let delete = command("deleteStream", &named("streamName"));
        assert_eq!(delete, ClientCommand::DeleteStream(None));
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "n".repeat(60_000);
        let kept = "n".repeat(MAX_KEPT_NAME);
        assert_eq!(command("play", &[text(&long)]), play(&kept));
        let call = call(&[b"\x0C\0\0\xEA\x60", long.as_bytes()].concat());
        assert_eq!(call.name.len(), MAX_NAME_LEN);
    }

    #[test]
    fn only_numbers_in_range_are_ids() {
        let delete = |value| command("deleteStream", &[value]);
        let id_of = |id| ClientCommand::DeleteStream(id);
        assert_eq!(delete(Value::Number(7.0)), id_of(Some(7)));
        assert_eq!(delete(Value::Boolean(true)), id_of(Some(1)));
        assert_eq!(delete(text("7")), id_of(None));
        for number in [f64::NAN, f64::INFINITY, -1.0, 4e10] {
            assert_eq!(delete(Value::Number(number)), id_of(None));
        }
    }
}
