//! The media in RTMP messages. Pure functions on bytes, independent of chunks and connections.
//!
//! ```text
//! payload of an audio or video message
//!    |
//!   tag           its header: codec, kind, keyframe, track, where the body begins
//!    |-- access_unit   frames: which part of a frame, does a decoder start here?
//!    |-- track_info    sequence headers: "H.264 1920x1080 30 fps"
//!    |     |-- avc  hevc  av1  vp9     frame size and rate
//!    |     |   aac  mp3  opus  flac    sample rate and channels; how many samples a frame has
//!    |     `-- bits, video_format
//!    `-- mp4           the same for browsers: init segments, fragments
//! ```
//!
//! The payload of an RTMP audio or video message is the body of an FLV tag, so the layouts are
//! those of Adobe's FLV specification 10.1, Annex E ("FLV"), and of Enhanced RTMP v2 ("E2").
//!
//! ```
//! use brooklet::media::Medium;
//! use brooklet::media::tag::{Tag, TagKind};
//!
//! let payload = b"\x17\x01\0\0\x53\0\0\x02\xAE\x65\x05";
//! let tag = Tag::parse(Medium::Video, payload)?;
//! assert_eq!(tag.kind, TagKind::Frames);
//! assert!(tag.is_keyframe);
//! assert_eq!(tag.composition_time, 83); // ms
//! # Ok::<(), brooklet::media::Error>(())
//! ```

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::unwrap_used))]

pub mod aac;
pub mod access_unit;
pub mod av1;
pub mod avc;
pub mod bits;
pub mod codec;
pub mod decimal;
pub mod error;
pub mod flac;
pub mod flv;
pub mod flv_reader;
pub mod hevc;
pub mod mp3;
pub mod mp4;
pub mod opus;
pub(crate) mod short_bytes;
pub mod tag;
pub mod track_info;
pub mod video_format;
pub mod vp9;

pub use crate::medium::Medium;
pub use error::Error;
pub use track_info::TrackInfo;
