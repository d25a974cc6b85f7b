//! What is made of streams for those who ask: texts from plain values. Opens no socket and starts
//! no thread.

pub mod status;
