//! What consumers of a stream are given other than its messages.

pub mod status;
