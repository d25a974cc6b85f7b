//! Recordings as FLV, for what MP4 can't hold: every message as it came, whatever its codec.
//!
//! ```text
//! FLV header | onMetaData | sequence headers, tag, tag ...  mark | tag, tag ...  mark | ...
//!              |-- region  `---------- fragment ----------'
//!              `-- room for duration, length and keyframes, rewritten at the close
//! ```
//!
//! A file in the making is a valid FLV file that ends with its last whole fragment. Each fragment is
//! followed by a [mark](mark), which players ignore. Marks tell which fragments have survived a power cut,
//! and lead from the end of a file to its beginning, so that nothing that grows is kept in memory.
//!
//! # The close
//!
//! The file is cut behind its last mark, the region of the metadata and the flags in the header are
//! rewritten in place, and only when that is on the disk is the file renamed. All of that can be done
//! again, since it needs nothing but marks and the capacity of the room, which aren't rewritten.

mod close;
mod head;
mod index;
pub mod mark;
mod reader;
pub mod repair;
mod walk;
pub mod writer;

pub use reader::extent;

#[cfg(test)]
mod tests;
