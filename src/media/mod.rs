//! What media payloads mean. Pure functions on bytes; knows nothing of chunks or connections.
//!
//! ```text
//! payload of an audio or video message
//!    |
//!   tag, codec  header: codec, kind, keyframe, track, where the body begins
//!    |-- access_unit frames: what is each of a picture, does a decoder start here?
//!    |-- avc  hevc  av1  vp9      sequence headers: picture size, sample rate;
//!    |   aac  mp3  opus  flac     frames: how many samples
//!    |     `-- bits, picture
//!    |-- mp4         the same for browsers: init segment, fragments
//!    `-- describe    a sequence header as text for the log: "H.264 1920x1080 30 fps"
//! ```
//!
//! The payload of an RTMP audio or video message is the body of an FLV tag, so the layouts are
//! those of Adobe's FLV specification 10.1, Annex E ("FLV"), and of Enhanced RTMP v2 ("E2").

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod aac;
pub mod access_unit;
pub mod av1;
pub mod avc;
pub mod bits;
pub mod codec;
pub mod decimal;
pub mod describe;
pub mod error;
pub mod flac;
pub mod hevc;
pub mod mp3;
pub mod mp4;
pub mod opus;
pub mod picture;
pub mod tag;
pub mod vp9;

pub use error::Error;
