//! Data messages other than metadata: cue points, captions, messages between applications. Players
//! receive them unchanged, in AMF0.
//!
//! ```text
//! 02 00 0A "onTextData"  03 ...                              as it is
//! 02 00 0D "@setDataFrame"  02 00 0A "onTextData"  03 ...    without the first name
//! 02 00 0A "onTextData"  11 0A ...                           AMF3: rewritten
//! ```

use super::amf::marker::amf0 as marker;
use super::amf::{Bytes, Named, Reader, Token};
use super::metadata::{ON_METADATA, is_text};
use super::relay_writer::RelayWriter;

/// The longest message in bytes that is relayed.
pub const MAX_LEN: usize = 16 * 1024;

/// The part of a message that players receive.
pub enum Relayed<'a> {
    /// The unchanged bytes of the message.
    AsItCame(Bytes<'a>),
    /// A message in AMF3, rewritten in AMF0, at most [`MAX_LEN`] bytes.
    Rewritten(Vec<u8>),
}

/// Whether a message can begin with a name. ffmpeg sends four-byte time codes without a name.
pub fn may_have_name(body: Bytes<'_>) -> bool {
    matches!(body.first(), Some(marker::STRING | marker::AVMPLUS))
}

/// Returns the part of a message that players receive; `None` if the message can't be decoded, has no
/// name, or is meant for the server.
#[inline(never)] // Keeps these locals off the stack of every publisher.
pub fn for_players(body: Bytes<'_>) -> Option<Relayed<'_>> {
    let mut reader = Reader::new(body);
    let mut begin = reader.clone();
    let mut name = reader.next_token().ok()??.token;
    if is_text(name, "@setDataFrame") {
        begin = reader.clone();
        name = reader.next_token().ok()??.token;
    }
    let Token::String(text) = name else {
        return None;
    };
    let is_for_server = text.to_str().starts_with(['@', '|']) || text == *ON_METADATA;
    if is_for_server {
        return None;
    }
    while reader.next_token().ok()?.is_some() {}
    if !reader.has_amf3 {
        return Some(Relayed::AsItCame(begin.bytes));
    }
    let mut counted = RelayWriter::counting(usize::MAX);
    write(begin.clone(), &mut counted);
    // References let a few bytes expand to many.
    if counted.len > MAX_LEN {
        return None;
    }
    let mut bytes = Vec::with_capacity(counted.len);
    write(begin, &mut RelayWriter::new(&mut bytes, MAX_LEN));
    Some(Relayed::Rewritten(bytes))
}

/// Writes all remaining values.
fn write(mut reader: Reader<'_>, out: &mut RelayWriter<'_>) {
    while let Ok(Some(Named { token, .. })) = reader.next_token() {
        out.value(token, reader.clone(), 1);
        if reader.skip(token).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf0::{self, Value};
    use crate::rtmp::command::{object, text};
    use proptest::prelude::*;

    fn emitted(values: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| value.emit(&mut bytes));
        bytes
    }

    fn relayed(body: &[u8]) -> Option<Vec<u8>> {
        match for_players(body.into())? {
            Relayed::AsItCame(bytes) => Some(bytes.parts().collect::<Vec<_>>().concat()),
            Relayed::Rewritten(bytes) => Some(bytes),
        }
    }

    #[test]
    fn data_goes_to_players_as_it_came() {
        let cue = [
            text("onCuePoint"),
            object([("name", text("a\n")), ("time", Value::Number(1.5))]),
            Value::Undefined,
        ];
        let body = emitted(&cue);
        assert_eq!(relayed(&body).as_deref(), Some(&body[..]));
        let set = [emitted(&[text("@setDataFrame")]), body.clone()].concat();
        assert_eq!(relayed(&set), Some(body));
        let alone = emitted(&[text("onBreak")]);
        assert_eq!(relayed(&alone).as_deref(), Some(&alone[..]));
    }

    #[test]
    fn what_is_in_amf3_is_written_in_amf0() {
        let caption = object([("text", text("hello")), ("track", Value::Number(1.0))]);
        let mut body = emitted(&[text("onTextData")]);
        amf0::emit_avmplus(&caption, &mut body);
        let expected = emitted(&[text("onTextData"), caption]);
        assert_eq!(relayed(&body), Some(expected));
    }

    #[test]
    fn data_that_isnt_for_players_is_dropped() {
        for (what, body) in [
            ("ffmpeg's time code", b"\0\0\x01\x02".to_vec()),
            ("no name", emitted(&[Value::Number(1.0)])),
            ("a broken value", b"\x02\0\x01a\x99".to_vec()),
            (
                "an object without its end",
                b"\x02\0\x01a\x03\0\x01b\x05".to_vec(),
            ),
            ("metadata that aren't", emitted(&[text("onMetaData")])),
            (
                "metadata without properties",
                emitted(&[text("onMetaData"), Value::Number(1.0)]),
            ),
            (
                "set, without a name",
                emitted(&[text("@setDataFrame"), Value::Null]),
            ),
            ("set, and nothing", emitted(&[text("@setDataFrame")])),
            (
                "cleared",
                emitted(&[text("@clearDataFrame"), text("onTextData")]),
            ),
            (
                "access",
                emitted(&[text("|RtmpSampleAccess"), Value::Boolean(true)]),
            ),
            ("nothing", vec![]),
        ] {
            assert_eq!(relayed(&body), None, "{what}");
        }
    }

    #[test]
    fn a_few_bytes_that_refer_to_many_are_dropped() {
        // An AMF3 array with one text and a hundred references to it.
        let mut body = emitted(&[text("a")]);
        body.extend(b"\x11\x09\x81\x4B\x01\x06\x83\x49");
        body.extend([b'x'; 228]);
        body.extend(b"\x06\0".repeat(100));
        assert!(body.len() < 500);
        let mut reader = Reader::new(body[..].into());
        while reader.next_token().unwrap().is_some() {}
        assert_eq!(relayed(&body), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, start in 0usize..3) {
            let starts = [&b""[..], b"\x02\0\x01a", b"\x02\0\x01a\x11"];
            let body = [starts[start], &bytes].concat();
            if let Some(relayed) = relayed(&body) {
                prop_assert!(relayed.len() <= MAX_LEN.max(body.len()));
            }
        }
    }
}
