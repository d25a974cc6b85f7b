//! Attacks on the running program over real sockets, beside a canary stream that must lose nothing.
//!
//! Every test is a case with a server process of its own (see [`case`]). At its end the canary is
//! judged, threads and descriptors must be back where they were, memory outside the arena must have
//! stayed within the bound that the README promises, and every line of the log must be one that the
//! server wrote. In release builds the bound is exactly the README's; see [`case`] for debug
//! builds. `cargo test --test hostile -- --nocapture` prints each case's figures.
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
