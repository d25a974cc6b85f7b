//! Threads, started in one place: the standard library's call is generic, and takes nearly a kilobyte of
//! code for each type of closure.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with this name and a stack of this many bytes.
pub fn spawn(
    name: &str,
    stack_len: usize,
    run: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    let thread = Builder::new().name(name.to_owned());
    thread.stack_size(stack_len).spawn(run)
}
