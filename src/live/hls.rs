//! HLS: what a stream keeps for it, its playlists, and the files that these name.

pub mod playlist;
pub mod reading;
pub mod segments;
