//! Attacks on the running program over real sockets, each while a canary stream runs through it
//! that must lose nothing.
//!
//! Every test is a case with a server process of its own (see [`case`]). At its end the canary
//! gives its verdict, threads and descriptors are back where they were, memory outside of the arena
//! has stayed within the bound that the README promises, and every line of the log is one that the
//! server wrote. In release builds the bound is the README's to the byte; see [`case`] for the others.
//! `cargo test --test hostile -- --nocapture` shows each case's figures.
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
