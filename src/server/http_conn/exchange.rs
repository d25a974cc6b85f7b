//! One request, for as long as its head is in memory.

use std::sync::Arc;

use crate::allowance::Allowance;
use crate::http::{Head, Method, Response, Route, Status};
use crate::live::stream::Stream;
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;
use crate::server::access::{Credentials, Page};
use crate::server::client::Client;
use crate::server::connections::{Connections, Full};
use crate::server::socket::Socket;

/// See the module's documentation.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) socket: &'a Arc<Socket>,
    pub(super) client: &'a Client,
    pub(super) head: &'a Head<'a>,
    pub(super) credentials: Credentials<'a>,
    pub(super) page: Page<'a>,
    /// Pays for what the answer keeps in memory.
    pub(super) allowance: &'a Allowance,
    /// Pages of other sites may read the response.
    pub(super) is_shared: bool,
    /// It is a request for a playlist of HLS, or for a file that one lists.
    pub(super) is_hls: bool,
    /// Plays that were accepted: the handler has to be notified of their end.
    pub(super) plays: &'a mut Vec<StreamKey>,
}

/// The facts about a request that its response depends on.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    /// The response has no body.
    pub(super) is_head: bool,
    pub(super) is_1_1: bool,
    /// Another request may follow on the connection.
    pub(super) is_persistent: bool,
    /// Pages of other sites may read the response.
    pub(super) is_shared: bool,
}

impl Exchange<'_> {
    pub(super) fn facts(&self) -> Facts {
        Facts {
            is_head: self.head.method() == Method::Head,
            is_1_1: self.head.is_1_1(),
            is_persistent: self.head.is_persistent(),
            is_shared: self.is_shared,
        }
    }

    /// Decides whether pages of other sites may read the response.
    pub(super) fn decide_sharing(&mut self, route: &Route) {
        self.is_hls = matches!(
            route,
            Route::Playlist(_) | Route::MediaPlaylist(_) | Route::HlsFile(..)
        );
        self.is_shared = match route {
            Route::Home | Route::Player(_) | Route::Asset(_) | Route::Health => true,
            Route::Connections | Route::Connection(_) | Route::Metrics | Route::Stat => false,
            _ => {
                let guard = &self.shared.guard;
                guard.may_share(&self.credentials, &self.page)
            }
        };
    }

    /// Takes the cost of looking at this many streams from what the client may do in a second.
    pub(super) fn look_at(&self, streams: usize) -> Result<(), Response> {
        let (shared, address) = (self.shared, self.client.address().ip());
        let is_allowed = shared.looks.allow_many(address, streams, shared.now());
        is_allowed.then_some(()).ok_or_else(super::too_many)
    }

    /// Notes a play that was accepted. If the stream is live, it takes a viewer's place. Returns the
    /// stream, if there is one.
    pub(super) fn note_play(&mut self, key: &StreamKey) -> Result<Option<Arc<Stream>>, Full> {
        self.plays.push(key.clone());
        Connections::note_play(self.shared, self.client.id(), key)
    }
}

/// A parameter in the query of a request, as it was sent.
pub(super) fn parameter<'a>(exchange: &Exchange<'a>, name: &str) -> Option<&'a str> {
    let pairs = exchange.head.query()?.split('&');
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.next()
}

/// The response to a request for a stream that isn't live.
pub(super) fn not_live(key: &StreamKey) -> Response {
    let why = [key.as_str(), " isn't live"].concat();
    Response::text(Status::NotFound, &why)
}
