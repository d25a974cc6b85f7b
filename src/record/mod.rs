//! Recordings: streams as files that survive power cuts, on disks that fill up, pause and vanish.
//!
//! ```text
//! live::log   [K][p][a][p][a][K][p][a]
//!                    ^ place of a recorder       a cursor that may lag as long as memory lasts
//!                    | cut                       the messages of one fragment
//!             recorder                           when a file begins and ends, gaps, syncs
//!                    | mp4, flv                  bytes of the file
//!             disk                               the only door to a file system
//!
//! keeper      scans and repairs at the start, keeps free space, notices that the disk is gone
//! catalog     the list of files, in memory
//! ```
//!
//! Nothing here starts a thread or reads a clock: time is an argument, `now` on the server's clock and
//! `wall` in ms since 1970. `server::recording` has the threads. No lock is held during disk I/O.

pub mod append;
pub mod catalog;
pub mod clock;
pub mod disk;
pub mod extent;
pub mod flv;
pub mod keeper;
pub mod mend;
pub mod mp4;
pub mod name;
pub mod part;
pub mod playback;
pub mod recorder;
pub mod report;
pub mod space;
pub mod staging;
pub mod store;

/// Milliseconds since 1970, UTC, by the wall clock.
pub type WallMillis = u64;
