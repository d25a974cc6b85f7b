//! The way out: from the log of a stream to the sockets of those who receive it.

pub mod framing;
pub mod join;
mod outgoing;
pub mod sink;
mod stage;
pub mod subscriber;
