//! The start of threads, in one place: the standard library's function is generic, and compiles to
//! nearly a kilobyte of code for each type of closure.

use std::io;
use std::thread::{Builder, JoinHandle};

/// The stack size of a connection's thread, in bytes. The deepest path is an AMF0 value nested to its
/// limit. Not larger, because address space is scarce on 32-bit machines. Unoptimized code needs ten
/// times as much.
pub(super) const STACK_LEN: usize = if cfg!(debug_assertions) { 512 } else { 128 } * 1024;

/// The stack size of a connection inside of TLS, in bytes: a handshake computes with large numbers.
pub(super) const TLS_STACK_LEN: usize = 2 * STACK_LEN;

/// Starts a thread with this name and a stack of this many bytes.
pub fn spawn(
    name: &str,
    stack_len: usize,
    run: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    let thread = Builder::new().name(name.to_owned());
    thread.stack_size(stack_len).spawn(run)
}
