//! The guard's decisions about HTTP requests.
//!
//! ```text
//! /live/door.mp4                 with credentials, in the query or the field Authorization
//! /api/v1/connections            with the API key; without one, from this machine and no other
//!                                site's page
//! Host: pi.local                 where no key is needed: an address, or a name of this server
//! X-Forwarded-For: ADDRESS       the client's address, if a trusted proxy sends it
//! ```

use std::net::{IpAddr, SocketAddr};

use super::credentials::Credentials;
use super::origin::Page;
use super::rules::Visitor;
use super::throttle::Purpose;
use super::{Action, Guard};
use crate::http::Head;
use crate::http::forwarded::{self, Sender};
use crate::http::head::Field;
use crate::live::Millis;
use crate::server::client::{Arrival, Client};
use crate::server::handler::{Refusal, RefusalKind};

impl Guard {
    /// Whether `peer`, accepted at the address `local`, is a trusted proxy.
    pub(in crate::server) fn is_trusted_proxy(&self, peer: IpAddr, local: IpAddr) -> bool {
        let mut proxies = self.trusted_proxies.iter();
        proxies.any(|network| network.contains(peer, local))
    }

    /// Returns the address of the client that sent a request, and how the request arrived. The
    /// connection is from `peer` to the address `local` of this machine.
    pub(in crate::server) fn sender(
        &self,
        head: &Head,
        peer: SocketAddr,
        local: IpAddr,
    ) -> (SocketAddr, Arrival) {
        // Players on this machine speak HTTP/1.1; nginx doesn't unless it is configured to.
        let is_from_nginx = !head.is_1_1() && peer.ip().to_canonical().is_loopback();
        if !is_from_nginx && !forwarded::is_forwarded(head) {
            return (peer, Arrival::Direct);
        }
        let is_ours = |ip| self.is_trusted_proxy(ip, local);
        match forwarded::sender(head, &is_ours) {
            Some(Sender::At(address)) if is_ours(peer.ip()) => (address, Arrival::ByTrustedProxy),
            _ => (peer, Arrival::ByUnknownProxy),
        }
    }

    pub(in crate::server) fn credentials<'a>(&self, head: &Head<'a>) -> Credentials<'a> {
        let authorization = head.field("authorization");
        Credentials::from_http(head.query(), authorization, self.rules.api_key())
    }

    /// Refuses a request to a host name that isn't known to be this server's, if clients may play
    /// because of their addresses: a page from the internet can make its own name point here (DNS
    /// rebinding).
    pub(in crate::server) fn check_host(&self, page: &Page<'_>) -> Result<(), Refusal> {
        let foreign = page.foreign_name(&self.names);
        let Some(name) = foreign.filter(|_| self.rules.is_play_by_network()) else {
            return Ok(());
        };
        // Other names aren't shown, since people copy the text into a shell.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_shown = name.len() <= 253 && name.bytes().all(is_plain);
        let shown = if is_shown { name } else { "NAME" };
        let reason =
            format!("asked for unknown host name {shown}; to allow it, add --host-name {shown}");
        Err(Refusal::new(reason).with_description(format!(
            "{shown} isn't known as a name of this server: ask by its address, or start it with \
             --host-name {shown}"
        )))
    }

    /// Returns what a client may see in lists. A wrong key counts as an attempt to play, or else keys
    /// could be guessed by asking for lists. So this call may wait; making the list doesn't.
    pub(in crate::server) fn visitor(
        &self,
        client: &Client,
        credentials: &Credentials<'_>,
        now: Millis,
    ) -> Visitor<'_> {
        if !self.rules.is_near_enough(Action::Play, client) {
            return self.rules.stranger();
        }
        let visitor = self.rules.visitor(credentials);
        let is_attempt = credentials.are_for_streams() && !self.may_all_play();
        let address = client.address().ip();
        let pass = || {
            self.throttle
                .pass(address, Purpose::Play, visitor.is_known(), now)
        };
        if is_attempt && pass().is_err() {
            return self.rules.stranger();
        }
        visitor
    }

    /// Whether the sender of a request may see addresses, end connections, and begin and end recordings. A
    /// wrong key counts as an attempt.
    pub(in crate::server) fn is_privileged(
        &self,
        client: &Client,
        credentials: &Credentials<'_>,
        page: &Page<'_>,
        now: Millis,
    ) -> bool {
        let address = client.address().ip();
        let Some(api_key) = self.rules.api_key() else {
            // Clients of a proxy on this machine have a loopback address, too.
            let is_here = address.to_canonical().is_loopback();
            let is_direct = client.arrival == Arrival::Direct;
            return is_here && is_direct && page.is_to_address() && page.is_own();
        };
        // Browsers attach a password on their own, even for pages of other sites. The password may also
        // be meant for playing.
        let basic = credentials.basic.as_ref();
        let is_guess = basic.is_some_and(|login| !self.rules.is_login_to_play(login));
        let has_login = page.is_own() && (credentials.is_api_login || is_guess);
        let (in_query, bearer) = (credentials.api_key.as_deref(), credentials.bearer);
        if in_query.is_none() && bearer.is_none() && !has_login {
            return false;
        }
        let is_it = |key: Option<&str>| key.is_some_and(|key| api_key.is(key));
        let is_right = is_it(in_query) | is_it(bearer) | (has_login && credentials.is_api_login);
        let passed = self
            .throttle
            .pass(address, Purpose::Administer, is_right, now);
        passed.is_ok() && is_right
    }

    /// Whether a request without privileges has sent a key or password that wasn't accepted. `visitor`
    /// says what the client may see, if it asked for a list of streams.
    pub(in crate::server) fn has_refused(
        &self,
        credentials: &Credentials<'_>,
        visitor: Option<&Visitor<'_>>,
    ) -> bool {
        let may_see = visitor.is_some_and(Visitor::is_known);
        if credentials.are_for_streams() && !may_see && !self.may_all_play() {
            return true;
        }
        let basic = credentials.basic.as_ref();
        let is_guess = basic.is_some_and(|login| !self.rules.is_login_to_play(login));
        let is_for_api = is_guess || credentials.bearer.is_some() || credentials.api_key.is_some();
        is_for_api && self.rules.api_key().is_some()
    }

    /// Returns the refusal of an unprivileged request for something that requires privileges.
    pub(in crate::server) fn api_refusal(&self) -> Refusal {
        if self.rules.api_key().is_some() {
            Refusal::new(
                "wrong or missing key: send Authorization: Bearer KEY, or log in with the key as \
                 password",
            )
            .with_kind(RefusalKind::Unauthorized)
        } else {
            Refusal::new(
                "only for programs on this machine, via 127.0.0.1 or localhost; --api-key allows \
                 others",
            )
        }
    }

    /// Whether pages of other sites may read a response that lists streams or contains one. Such a
    /// response has the field `Access-Control-Allow-Origin: *`, or opens a WebSocket. Not if access was
    /// granted because of the client's address, unless the page itself comes from a local origin; and
    /// not if it was granted by credentials that browsers attach on their own (HTTP Basic).
    pub(in crate::server) fn may_share(
        &self,
        credentials: &Credentials<'_>,
        page: &Page<'_>,
    ) -> bool {
        let is_by_network = self.rules.is_play_by_network();
        !credentials.is_attached && (!is_by_network || page.is_local(&self.names))
    }

    /// Whether a WebSocket may be opened. Browsers let every page open one, and leave it to the server
    /// to refuse. Programs that aren't browsers send no origin.
    pub(in crate::server) fn may_open_socket(
        &self,
        credentials: &Credentials<'_>,
        page: &Page<'_>,
    ) -> bool {
        page.origin == Field::Absent || page.is_same_origin() || self.may_share(credentials, page)
    }
}

#[cfg(test)]
mod tests;
