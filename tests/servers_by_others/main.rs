//! Servers that others wrote, as targets and as sources: what is published to them, played and probed from
//! them, pushed to them and pulled from them arrives with identical packets. And chains of this server.

#[path = "../common/mod.rs"]
mod common;

mod chain;
mod circles;
mod ffmpeg_listening;
mod nginx_rtmp;
mod node_media_server;
mod rml_rtmp;
mod scaling;
mod scenario;
mod source;
mod this_server;
