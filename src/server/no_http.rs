//! Replaces `http_conn` in a build without HTTP, in which no listener accepts it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Shared;
use super::connections::Permit;
use super::handler::Handler;
use crate::live::arena::Arena;
use crate::net::socket::Socket;

pub(super) const REQUESTS_PER_SECOND: u32 = 1;

/// Streams per second that are locked for one client's lists, over RTMP too.
pub(super) const LOOKS_PER_SECOND: u32 = 5_000;

pub(super) struct Scratches;

impl Scratches {
    pub(super) fn new(_: Arena) -> Scratches {
        Scratches
    }
}

pub(super) struct Waiters;

impl Waiters {
    pub(super) fn new(_: usize) -> Waiters {
        Waiters
    }
}

pub(super) struct HlsSessions;

impl HlsSessions {
    pub(super) fn new(_: Arc<dyn Handler>, _: usize) -> Arc<HlsSessions> {
        Arc::new(HlsSessions)
    }

    pub(super) fn end_all(&self) {}
}

pub(super) fn run(_: Arc<Shared>, _: Arc<Socket>, _: SocketAddr, _: Permit) {}
