//! AMF3, which clients with objectEncoding 3 embed in AMF0 after the marker "avmplus" (AMF3
//! specification, section 3; AMF0, 3.1).
//!
//! ```text
//! 00 undefined   04 integer   U29, 29 bits signed      0A object      traits, members
//! 01 null        05 double    f64                      0C byte array  U29 length, bytes
//! 02 false       06 string    U29 length, bytes        0D vector of int, 0E of uint, 0F of double
//! 03 true        08 date      f64 ms since 1970        10 vector of objects
//! 07, 0B XML     09 array     pairs, then elements     11 dictionary
//! ```
//!
//! A U29 has 1 to 4 bytes of 7, 7, 7 and 8 bits, the most significant first. Where a U29 announces a
//! length, its lowest bit says whether the value follows (1) or is a reference to an earlier value (0).
//! There are three reference tables, all empty at the start of each value after "avmplus": strings,
//! objects, and traits (class name and member names).
//!
//! ```text
//! 0A 0B 01           object: inline traits, dynamic, no sealed members; class name ""
//!    03 61  04 01    "a": integer 1
//!    01              end: the empty name
//! ```
//!
//! References to strings and traits are followed. References to objects become null, as in AMF0:
//! expanding them would let a small message become large, and no RTMP client sends them. Class names are
//! dropped: no object is ever instantiated by its class name.

use crate::rtmp::amf::marker::amf3 as marker;
use crate::rtmp::amf::value::Value;

/// Integers have 29 bits, signed.
const MIN_INTEGER: i32 = -(1 << 28);
const MAX_INTEGER: i32 = (1 << 28) - 1;

/// Appends a value's bytes. Objects are written as dynamic objects without a class. Properties with an
/// empty name can't be written, since the empty name marks the end of an object.
pub fn emit(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Undefined => out.push(marker::UNDEFINED),
        Value::Null => out.push(marker::NULL),
        Value::Boolean(false) => out.push(marker::FALSE),
        Value::Boolean(true) => out.push(marker::TRUE),
        Value::Number(number) => emit_number(*number, out),
        Value::String(text) => {
            out.push(marker::STRING);
            emit_bytes(text.as_bytes(), out);
        }
        Value::XmlDocument(text) => {
            out.push(marker::XML_DOCUMENT);
            emit_bytes(text.as_bytes(), out);
        }
        Value::ByteArray(bytes) => {
            out.push(marker::BYTE_ARRAY);
            emit_bytes(bytes, out);
        }
        Value::Date(ms) => {
            out.extend_from_slice(&[marker::DATE, 1]);
            out.extend_from_slice(&ms.to_be_bytes());
        }
        Value::Object(properties) => {
            // Inline traits: dynamic, no sealed members, no class name.
            out.extend_from_slice(&[marker::OBJECT, 0x0B, 1]);
            emit_properties(properties, out);
        }
        Value::EcmaArray(properties) => {
            // The dense part has length 0: all elements have names.
            out.extend_from_slice(&[marker::ARRAY, 1]);
            emit_properties(properties, out);
        }
        Value::StrictArray(elements) => {
            out.push(marker::ARRAY);
            emit_u29(inline(elements.len()), out);
            emit_properties(&[], out);
            elements.iter().for_each(|element| emit(element, out));
        }
    }
}

fn emit_number(number: f64, out: &mut Vec<u8>) {
    let integer = number as i32;
    let is_integer = (MIN_INTEGER..=MAX_INTEGER).contains(&integer)
        // Compared bit by bit, since -0 can't be written as an integer.
        && f64::from(integer).to_bits() == number.to_bits();
    if is_integer {
        out.push(marker::INTEGER);
        emit_u29(integer as u32 & 0x1FFF_FFFF, out);
    } else {
        out.push(marker::DOUBLE);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn emit_properties(properties: &[(String, Value)], out: &mut Vec<u8>) {
    for (name, value) in properties.iter().filter(|(name, _)| !name.is_empty()) {
        emit_bytes(name.as_bytes(), out);
        emit(value, out);
    }
    emit_bytes(&[], out);
}

fn emit_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    emit_u29(inline(bytes.len()), out);
    out.extend_from_slice(bytes);
}

/// Returns the U29 for a length whose bytes follow, as opposed to a reference. Emitted values either
/// came in a message or were built by this server, so the length is far below 2^28.
fn inline(len: usize) -> u32 {
    (len as u32) << 1 | 1
}

pub(in crate::rtmp::amf) fn emit_u29(number: u32, out: &mut Vec<u8>) {
    let group = |shift: u32| (number >> shift) as u8 | 0x80;
    let last = number as u8 & 0x7F;
    match number {
        0..0x80 => out.push(last),
        0x80..0x4000 => out.extend_from_slice(&[group(7), last]),
        0x4000..0x20_0000 => out.extend_from_slice(&[group(14), group(7), last]),
        // The fourth byte has eight bits.
        _ => out.extend_from_slice(&[group(22), group(15), group(8), number as u8]),
    }
}
