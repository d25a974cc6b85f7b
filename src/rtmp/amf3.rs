//! AMF3, which clients of objectEncoding 3 put into AMF0 behind the marker "avmplus" (AMF3
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
//! A U29 has 1 to 4 bytes of 7, 7, 7 and 8 bits, the highest first. Where one announces a length,
//! its lowest bit says whether the thing follows (1) or is a reference to an earlier one (0).
//! There are three tables for that, all empty at the start of each value behind "avmplus":
//! strings, objects, and traits (class name and member names).
//!
//! ```text
//! 0A 0B 01           object: inline traits, dynamic, no sealed members; class name ""
//!    03 61  04 01    "a": integer 1
//!    01              end: the empty name
//! ```
//!
//! References to strings and traits are followed. References to objects become null, as in AMF0:
//! expanding them is how small messages become large, and nobody who speaks RTMP sends them.
//! Class names are dropped: nothing is ever created by name.

mod encoder;
mod reader;

pub use encoder::emit;

pub(super) use reader::{Inside, Tables};

mod marker {
    pub(super) const UNDEFINED: u8 = 0x00;
    pub(super) const NULL: u8 = 0x01;
    pub(super) const FALSE: u8 = 0x02;
    pub(super) const TRUE: u8 = 0x03;
    pub(super) const INTEGER: u8 = 0x04;
    pub(super) const DOUBLE: u8 = 0x05;
    pub(super) const STRING: u8 = 0x06;
    pub(super) const XML_DOCUMENT: u8 = 0x07;
    pub(super) const DATE: u8 = 0x08;
    pub(super) const ARRAY: u8 = 0x09;
    pub(super) const OBJECT: u8 = 0x0A;
    pub(super) const XML: u8 = 0x0B;
    pub(super) const BYTE_ARRAY: u8 = 0x0C;
    pub(super) const VECTOR_INT: u8 = 0x0D;
    pub(super) const VECTOR_UINT: u8 = 0x0E;
    pub(super) const VECTOR_DOUBLE: u8 = 0x0F;
    pub(super) const VECTOR_OBJECT: u8 = 0x10;
    pub(super) const DICTIONARY: u8 = 0x11;
}

/// Integers have 29 bits, signed.
const MIN_INTEGER: i32 = -(1 << 28);
const MAX_INTEGER: i32 = (1 << 28) - 1;

#[cfg(test)]
mod tests;
