//! One request, as long as its head is there.

use std::sync::Arc;

use super::super::Shared;
use super::super::access::{Credentials, Page};
use super::super::connections::{Connections, Full};
use super::super::handler::Client;
use super::super::socket::Socket;
use super::{hls, keyframe, status, watch};
use crate::allowance::Allowance;
use crate::http::{Head, Method, Response, Route};
use crate::rtmp::stream_key::StreamKey;

/// What becomes of a request once its head is forgotten.
pub(super) enum Reply<'a> {
    /// This is sent.
    Response(Response),
    /// The same, after its body, which is gzip, was unpacked.
    Packed(Response),
    /// To HEAD: the head of a response that would go on until somebody closes.
    Unending(Response),
    /// A list of the server's state.
    Status(status::StatusReply<'a>),
    /// A playlist, or what one names.
    Hls(hls::HlsTask),
    /// The newest keyframe of a stream.
    Keyframe(keyframe::Keyframe),
    /// The media of a stream, as long as either side lasts.
    Viewing(watch::Viewing),
}

impl From<Response> for Reply<'_> {
    fn from(response: Response) -> Self {
        Reply::Response(response)
    }
}

/// See the module's documentation.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) socket: &'a Arc<Socket>,
    pub(super) client: &'a mut Client,
    pub(super) head: &'a Head<'a>,
    /// From which is paid what the answer keeps.
    pub(super) allowance: &'a Allowance,
    is_shared: bool,
    /// Streams whose play was allowed, and has to be followed by its end.
    plays: &'a mut Vec<StreamKey>,
}

/// What a response needs to know of its request.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    /// The body isn't wanted.
    pub(super) is_head: bool,
    pub(super) is_1_1: bool,
    /// Another request may follow.
    pub(super) is_persistent: bool,
    /// Pages of other sites may read the response.
    pub(super) is_shared: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        socket: &'a Arc<Socket>,
        client: &'a mut Client,
        head: &'a Head<'a>,
        allowance: &'a Allowance,
        plays: &'a mut Vec<StreamKey>,
    ) -> Exchange<'a> {
        Exchange {
            shared,
            socket,
            client,
            head,
            allowance,
            is_shared: false,
            plays,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            is_head: self.head.method() == Method::Head,
            is_1_1: self.head.is_1_1(),
            is_persistent: self.head.is_persistent(),
            is_shared: self.is_shared,
        }
    }

    /// What the request says of who sends it.
    pub(super) fn credentials(&self) -> Credentials<'a> {
        let head = self.head;
        Credentials {
            query: head.query(),
            authorization: head.field("authorization"),
            page: Page {
                host: Some(head.host()).filter(|host| !host.is_empty()),
                origin: head.field("origin"),
                sec_fetch_site: head.field("sec-fetch-site"),
            },
        }
    }

    /// Decides whether pages of other sites may read the response.
    pub(super) fn decide_sharing(&mut self, route: &Route) {
        self.is_shared = match route {
            Route::Home | Route::Player(_) | Route::Asset(_) | Route::Health => true,
            Route::Connections | Route::Connection(_) | Route::Metrics | Route::Stat => false,
            _ => self.shared.guard.may_share(&self.credentials()),
        };
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The handlers have allowed to play this, which takes a viewer's place if it is live.
    pub(super) fn note_play(&mut self, key: &StreamKey) -> Result<(), Full> {
        self.plays.push(key.clone());
        Connections::note_play(self.shared, self.client.id(), key)
    }
}
