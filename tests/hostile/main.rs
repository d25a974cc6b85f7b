//! Attacks on the running program over real sockets, next to a canary stream that must lose nothing.
//!
//! Every test is a case with its own server process (see [`case`]). At the end, the canary is judged,
//! the numbers of threads and descriptors must be what they were before, memory outside the arena must
//! have stayed within the bound that the README promises, and the server must have written every line of
//! the log. In release builds the bound is exactly the README's; see [`case`] for debug builds. `cargo
//! test --test hostile -- --nocapture` prints each case's figures.
//!
//! A case takes seconds because it waits for the server's own timeouts and for the canary's frames,
//! which are sent in real time.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod address_space;
mod address_space_left;
mod amf;
mod assembly;
mod canary;
mod case;
mod commands;
mod connections;
mod control_floods;
mod delays;
mod http;
mod kept;
mod kept_memory;
mod lists;
mod media_floods;
mod memory;
mod names;
mod outside;
mod peers;
mod places;
mod players;
mod protocols;
mod slow_loris;
mod soak;
mod streams;
mod timestamps;
mod viewers;
mod waiting;
mod websocket;
mod wire;
