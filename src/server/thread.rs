//! Threads, started in one place: of each closure that the standard library's own call is given it
//! makes a copy of nearly a kilobyte.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread of this name, whose stack has so many bytes.
pub fn spawn(
    name: &str,
    stack_len: usize,
    run: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    let thread = Builder::new().name(name.to_owned());
    thread.stack_size(stack_len).spawn(run)
}
