//! AMF3, which clients of objectEncoding 3 put into AMF0 after the marker "avmplus" (AMF3
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
//! its lowest bit says whether the value follows (1) or is a reference to an earlier one (0).
//! There are three tables for that, all empty at the start of each value after "avmplus":
//! strings, objects, and traits (class name and member names).
//!
//! ```text
//! 0A 0B 01           object: inline traits, dynamic, no sealed members; class name ""
//!    03 61  04 01    "a": integer 1
//!    01              end: the empty name
//! ```
//!
//! References to strings and traits are followed. References to objects become null, as in AMF0:
//! expanding them is how small messages become large, and no RTMP client sends them.
//! Class names are dropped: nothing is ever created by name.

mod encoder;

pub use encoder::emit;
#[cfg(test)]
pub(super) use encoder::emit_u29;
