//! Streams that are pushed to other servers and pulled from them: when to try again, what counts as
//! stalled, and what is shown. No sockets, threads or clocks.
