//! Writing AMF0.

use crate::rtmp::amf::marker::amf0 as marker;
use crate::rtmp::amf::value::Value;
use crate::rtmp::printable::at_most;

impl Value {
    /// Appends the value's bytes. A name is cut after 65,535 bytes, between characters.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Value::Number(number) => {
                out.push(marker::NUMBER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Boolean(boolean) => {
                out.extend_from_slice(&[marker::BOOLEAN, u8::from(*boolean)]);
            }
            Value::String(text) if text.len() <= MAX_SHORT_LEN => {
                out.push(marker::STRING);
                emit_short(text, out);
            }
            Value::String(text) => emit_long(marker::LONG_STRING, text, out),
            Value::Object(properties) => {
                out.push(marker::OBJECT);
                emit_properties(properties, out);
            }
            Value::EcmaArray(properties) => {
                begin(marker::ECMA_ARRAY, properties.len(), out);
                emit_properties(properties, out);
            }
            Value::StrictArray(values) => {
                begin(marker::STRICT_ARRAY, values.len(), out);
                values.iter().for_each(|value| value.emit(out));
            }
            Value::Null => out.push(marker::NULL),
            Value::Undefined => out.push(marker::UNDEFINED),
            Value::Date(ms) => {
                out.push(marker::DATE);
                out.extend_from_slice(&ms.to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
            Value::XmlDocument(text) => emit_long(marker::XML_DOCUMENT, text, out),
            Value::ByteArray(_) => super::emit_avmplus(self, out),
        }
    }
}

/// Longest text after a length of two bytes.
const MAX_SHORT_LEN: usize = u16::MAX as usize;

fn emit_short(text: &str, out: &mut Vec<u8>) {
    let text = at_most(text, MAX_SHORT_LEN);
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn emit_long(marker: u8, text: &str, out: &mut Vec<u8>) {
    begin(marker, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes a marker and a count. Values that are emitted came in a message or were made here, so it is
/// far below 2^32.
fn begin(marker: u8, count: usize, out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(&(count as u32).to_be_bytes());
}

fn emit_properties(properties: &[(String, Value)], out: &mut Vec<u8>) {
    for (name, value) in properties {
        emit_short(name, out);
        value.emit(out);
    }
    out.extend_from_slice(&[0, 0, marker::OBJECT_END]);
}
