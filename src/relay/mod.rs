//! Streams that are pushed to other servers and pulled from them: when to try again, what counts as
//! stalled, and what is shown. No sockets, threads or clocks: time and randomness are arguments.

pub(crate) mod back_off;
pub(crate) mod course;
pub(crate) mod report;
pub(crate) mod stall;
pub(crate) mod warning;
