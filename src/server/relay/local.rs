//! The stream of this server that a pull publishes, as an RTMP publisher would.

use std::iter;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Pull;
use crate::live::Millis;
use crate::live::life::{PublishRefused, Publisher};
use crate::live::report::ViewerReport;
use crate::live::stream::{Closed, Stream, Superseded};
use crate::medium::Medium;
use crate::net::socket::Socket;
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::server_session::PublishKind;
use crate::rtmp::via::Via;
use crate::server::Shared;
use crate::server::client::{Client, Protocol};
use crate::server::connections::Permit;
use crate::server::lines::About;
use crate::server::publishing::{Publishing, advance};
use crate::server::recording::why;
use crate::server::rtmp_conn::publish_cost;

/// The only message stream of a pull.
const MESSAGE_STREAM_ID: u32 = 1;

/// See the module's documentation.
pub(super) struct Local<'a> {
    shared: &'a Arc<Shared>,
    pull: &'a Pull,
    /// The publish that goes on, and those whose stream is awaited.
    publishing: Vec<Publishing>,
    /// The place of the connection that feeds the publish.
    permit: Option<Permit>,
}

impl<'a> Local<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, pull: &'a Pull) -> Local<'a> {
        Local {
            shared,
            pull,
            publishing: Vec::new(),
            permit: None,
        }
    }

    fn stream(&self) -> Option<Arc<Stream>> {
        self.shared.table.find(&self.pull.stream)
    }

    /// Whether somebody watches the stream, or waits for it.
    pub(super) fn is_watched(&self) -> bool {
        let now = self.shared.now();
        let stream = self.stream();
        stream.is_some_and(|stream| stream.report(now).viewer_count() > 0)
    }

    /// Whether a client of this server publishes the stream.
    pub(super) fn is_published_by_another(&self) -> bool {
        !self.is_live() && self.stream().is_some_and(|stream| stream.is_live())
    }

    /// The `flashVer` with which the source is asked: it names the servers for which players ask, and this
    /// one.
    pub(super) fn flash_ver(&self) -> String {
        let (shared, now) = (self.shared, self.shared.now());
        let mut via = Via::default();
        if let Some(stream) = self.stream() {
            let after = |viewer: &ViewerReport| stream.viewer_after(viewer.id, now);
            for viewer in iter::successors(stream.viewer_after(0, now), after) {
                let viewer = shared.connections.report_of(viewer.connection);
                viewer
                    .iter()
                    .for_each(|viewer| via.merge(&Via::parse(&viewer.client)));
            }
        }
        let own = shared.relays.own.hop(&self.pull.stream);
        via.flash_ver(false, env!("CARGO_PKG_VERSION"), Some(own))
    }

    /// Publishes the stream with what comes from this socket. The error says why not.
    pub(super) fn publish(&mut self, socket: &Arc<Socket>) -> Result<(), String> {
        let (shared, key) = (self.shared, &self.pull.stream);
        let now = shared.now();
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let peer = socket.peer_address().unwrap_or(nowhere);
        let local = socket.local_address().unwrap_or(nowhere);
        let permit = Permit::take(shared, Protocol::Rtmp, peer, socket);
        let permit = permit.map_err(|full| format!("no place: {full}"))?;
        let client = Client::new(permit.id, peer, local);
        // A stream that this pull has published before is paid for already.
        let before = self.publishing.iter_mut().find_map(|p| p.taken.take());
        let taken = match before {
            Some(taken) => taken,
            None => permit
                .allowance
                .take(publish_cost(key))
                .map_err(|exceeded| exceeded.to_string())?,
        };
        let connections = &shared.connections;
        connections.note_client(permit.id, &self.pull.source.masked());
        let noted = connections.note_publish(permit.id, key);
        noted.map_err(|full| full.to_string())?;
        let publisher = || Publisher {
            connection: permit.id,
            address: self.address(peer.ip()),
            is_trusted: false,
            sink: socket.clone(),
            allowance: permit.allowance.clone(),
        };
        let published =
            shared
                .table
                .with(key, now, |stream| match stream.publish(publisher(), now) {
                    Err(PublishRefused::Closed) => Err(Closed),
                    verdict => Ok(verdict.map(|accepted| (Arc::clone(stream), accepted))),
                });
        let (stream, accepted) = published.map_err(|refused| refused.to_string())?;
        let (id, url) = (permit.id, &self.pull.source);
        let line = shared.info(About::Publishing, peer.ip());
        line.say(format_args!("#{id} {key}: publishing, pulled from {url}"));
        connections.note_live(key);
        let generation = accepted.generation;
        let of_stream = Arc::clone(&stream);
        self.publishing.push(Publishing::new(
            Arc::clone(shared),
            &client,
            MESSAGE_STREAM_ID,
            of_stream,
            generation,
            taken,
            now,
        ));
        self.permit = Some(permit);
        if let Some(why) = why(&shared.config.record, key, PublishKind::Live) {
            if let Err(refused) = shared.recordings.start(shared, key, why, None) {
                let line = shared.warn(About::Publishing, peer.ip());
                line.say(format_args!("#{id} {key}: not recorded: {refused}"));
            }
        }
        shared.relays.published(shared, &stream);
        Ok(())
    }

    /// Notes that the publish goes on with another connection.
    pub(super) fn moved(&self, socket: &Arc<Socket>) {
        if let Some(permit) = &self.permit {
            permit.change_socket(socket);
        }
    }

    /// The address by which the publisher is recognized. A camera at the same address as the source must not
    /// lose its stream to the pull.
    fn address(&self, peer: IpAddr) -> IpAddr {
        match self.stream() {
            Some(stream) if stream.is_live() => Ipv4Addr::UNSPECIFIED.into(),
            _ => peer,
        }
    }

    fn live(&self) -> Option<&Publishing> {
        self.publishing.iter().find(|p| p.is_live())
    }

    fn live_mut(&mut self) -> Result<&mut Publishing, Superseded> {
        let mut publishing = self.publishing.iter_mut();
        publishing.find(|p| p.is_live()).ok_or(Superseded)
    }

    /// Whether the pull publishes the stream.
    pub(super) fn is_live(&self) -> bool {
        self.live().is_some()
    }

    /// Whether another publisher has taken over.
    pub(super) fn is_superseded(&self) -> bool {
        self.live().is_some_and(Publishing::is_superseded)
    }

    pub(super) fn append<'m>(
        &mut self,
        medium: Medium,
        timestamp: u32,
        payload: impl Iterator<Item = &'m [u8]> + Clone,
    ) -> Result<(), Superseded> {
        let now = self.shared.now();
        self.live_mut()?.append(medium, timestamp, payload, now)
    }

    pub(super) fn set_metadata(
        &mut self,
        properties: Option<&Properties<'_>>,
    ) -> Result<(), Superseded> {
        let now = self.shared.now();
        self.live_mut()?.set_metadata(properties, now)
    }

    pub(super) fn append_data(
        &mut self,
        timestamp: u32,
        body: Bytes<'_>,
    ) -> Result<(), Superseded> {
        let now = self.shared.now();
        self.live_mut()?.append_data(timestamp, body, now)
    }

    /// Gives up the oldest message of the stream; false if there is none.
    pub(super) fn evict(&self) -> bool {
        self.live().is_some_and(Publishing::evict)
    }

    /// Notes that bytes have come.
    pub(super) fn heard(&self) {
        if let Some(publishing) = self.live() {
            publishing.stream.heard(self.shared.now());
        }
    }

    /// Sends players what they haven't got yet.
    pub(super) fn pump(&mut self) {
        let now = self.shared.now();
        advance(&mut self.publishing, now);
        self.publishing.iter_mut().for_each(|p| p.pump(now));
    }

    /// How long the thread may sleep.
    pub(super) fn tick_interval(&self, now: Millis) -> Duration {
        let intervals = self.publishing.iter().map(|p| p.tick_interval(now));
        intervals.min().unwrap_or(Duration::MAX)
    }

    /// Does what is due for a stream that waits for its publisher.
    pub(super) fn advance(&mut self) {
        if !self.publishing.is_empty() {
            self.pump();
        }
    }

    /// Ends the publish, if there is one; its stream waits for its return.
    pub(super) fn end(&mut self, why: &str) {
        let now = self.shared.now();
        for publishing in self.publishing.iter_mut().filter(|p| p.is_live()) {
            // HLS viewers wait longer for a publisher whose connection was lost.
            publishing.is_lost = true;
            publishing.unpublish(why, now);
        }
        if let Some(permit) = self.permit.take() {
            let connections = &self.shared.connections;
            connections.note_unpublish(permit.id, &self.pull.stream, true);
        }
    }

    /// Ends the stream at once: the pull is over.
    pub(super) fn give_up(mut self) {
        self.end("the pull is over");
        let now = self.shared.now();
        self.publishing.into_iter().for_each(|p| p.end_early(now));
    }
}
