//! Playlists for HLS, made from plain values. Opens no socket and starts no thread.

pub mod hls;
