//! Playback: recordings as bytes that can be sent in pieces.
//!
//! ```text
//! Shelf       which files a stream has, one at a time, from the catalog
//!   |
//! FileBody    one file                       Body: a length, and bytes from any offset on
//! SpanBody    a span of several files        Body: ftyp, moov, and ranges of the files
//! playlist    a span as ranges of its files  text
//! ```
//!
//! Everything is read when it is sent, so memory doesn't depend on the length of what is played. No lock
//! is held while the disk is read.

pub mod file;
pub mod fragments;
pub mod last;
pub mod plan;
pub mod span;
pub mod time;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::WallMillis;
use super::disk::Disk;
use crate::rtmp::stream_key::StreamKey;

/// The recordings of a server: where they are listed, and the disk that they are on.
#[derive(Clone)]
pub struct Recordings {
    /// Where they are looked up.
    pub shelf: Arc<dyn Shelf>,
    /// The disk on which they are.
    pub disk: Arc<dyn Disk>,
}

/// A recorded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Its name in URLs, which is also the one in its folder once it is closed:
    /// `2026-11-28T11-30-00Z.mp4`.
    pub name: String,
    /// Where it is now, relative to the folder of the recordings.
    pub path: PathBuf,
    /// The time of its first frame.
    pub from: WallMillis,
    /// The end of its last frame; of the last whole fragment while it grows.
    pub to: WallMillis,
    /// Its length in bytes; up to the last whole fragment while it grows.
    pub len: u64,
    /// Whether it is still being written.
    pub is_open: bool,
}

impl Recording {
    /// Whether it is MP4, and not FLV.
    pub fn is_mp4(&self) -> bool {
        self.name.ends_with(".mp4")
    }
}

/// Looks up recordings, one at a time, so that nothing is locked while they are read or sent. Files that
/// come or go in the meantime may be found or not.
pub trait Shelf: Send + Sync {
    /// Returns the stream with the next name that has recordings.
    fn stream_after(&self, stream: Option<&StreamKey>) -> Option<StreamKey>;

    /// Returns the first file of a stream that has something between two times, in the order of names;
    /// after the one with this name, if there is one.
    fn file_after(
        &self,
        stream: &StreamKey,
        from: WallMillis,
        to: WallMillis,
        name: Option<&str>,
    ) -> Option<Recording>;

    /// Whether a file of this stream is being written.
    fn is_recording(&self, stream: &StreamKey) -> bool;

    /// Returns the file of a stream with this name.
    fn file(&self, stream: &StreamKey, name: &str) -> Option<Recording>;
}

/// The bytes of a response, which can be read from any offset on.
pub trait Body {
    /// The number of bytes, which doesn't change.
    fn len(&self) -> u64;

    /// Reads bytes from `offset` on, and returns their number, which may be less than the length of
    /// `buffer`, but is 0 only at the end. Bytes that can't be had are an error.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}
