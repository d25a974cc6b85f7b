//! What the rules say to a request over HTTP.
//!
//! ```text
//! /live/door.mp4?key=KEY       in the query, percent-encoded as browsers do
//! Authorization: Basic ...     a key as password, under any name; or user and password
//! /api/v1/connections          --api-key, or without one: from this machine, by no other site's page
//! Host: pi.local               where no key is needed: an address, or a name that is known as ours
//! X-Forwarded-For: ADDRESS     the client, if a trusted proxy says so
//! ```
//!
//! The same handlers as over RTMP decide about each play, the configuration's own first.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::authorization::{Authorization, Login};
use super::failures::Attempt;
use super::origin::Page;
use super::presented::Presented;
use super::{Action, Guard, Proofs, accepts_user};
use crate::config::Network;
use crate::http::forwarded::{self, Sender};
use crate::http::head::Field;
use crate::http::{Head, percent};
use crate::rtmp::secret::constant_time_eq;
use crate::rtmp::server_session::Connect;
use crate::rtmp::stream_key::{StreamKey, query_value};
use crate::server::handler::{Client, Handler, Handlers, Refusal, StreamRequest, Way};
use crate::server::lines::About;

/// Longest query in which keys are looked for, as long as RTMP's names are.
const MAX_QUERY_LEN: usize = 1024;

/// What a request tells of its sender.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::server) struct Credentials<'a> {
    /// Of its target, as it came.
    pub(in crate::server) query: Option<&'a str>,
    /// The field of this name, as it came.
    pub(in crate::server) authorization: Field<'a>,
    pub(in crate::server) page: Page<'a>,
    /// It is a request for a playlist or a file of HLS.
    pub(in crate::server) is_hls: bool,
}

impl<'a> Credentials<'a> {
    fn login(&self) -> Option<Login> {
        match Authorization::parse(self.authorization.text()?)? {
            Authorization::Basic(login) => Some(login),
            Authorization::Bearer(_) => None,
        }
    }

    fn bearer(&self) -> Option<&'a str> {
        match Authorization::parse(self.authorization.text()?)? {
            Authorization::Bearer(token) => Some(token),
            Authorization::Basic(_) => None,
        }
    }

    /// A name that ends in the query, as RTMP has it: each value decoded once.
    fn named(&self, name: &str) -> String {
        let query = self.query.filter(|query| query.len() <= MAX_QUERY_LEN);
        let len = name.len() + 1 + query.map_or(0, str::len);
        let mut text = String::with_capacity(len);
        text.extend([name, "?"]);
        for (index, pair) in query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .enumerate()
        {
            if index > 0 {
                text.push('&');
            }
            // What would look like the next pair stays as it is.
            let decoded = percent::decode_leniently(pair).filter(|decoded| !decoded.contains('&'));
            text.push_str(decoded.as_deref().unwrap_or(pair));
        }
        text
    }
}

/// Why a request gets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Denied {
    /// 401, 403, 429 or 503.
    pub(in crate::server) status: u16,
    /// A sentence for the person who sees the answer.
    pub(in crate::server) text: String,
}

impl Denied {
    /// What the field WWW-Authenticate says: with 401 it has to be there. Browsers then ask for a
    /// password.
    pub(in crate::server) fn challenge(&self) -> Option<&'static str> {
        (self.status == 401).then_some("Basic realm=\"brooklet\", charset=\"UTF-8\"")
    }
}

/// Asks all handlers whether a stream may be played, and which one it is then. Once the play is
/// over [`Handler::stop`] has to follow.
pub(in crate::server) fn authorize_play(
    handlers: &Handlers,
    guard: &Guard,
    client: &mut Client,
    credentials: &Credentials<'_>,
    key: &StreamKey,
) -> Result<StreamKey, Denied> {
    guard.check_host(client, credentials)?;
    client.set_login(credentials.login());
    let name = credentials.named(key.as_str());
    let mut request = StreamRequest::new(client, &name, key.clone());
    request.set_hls(credentials.is_hls);
    match handlers.play(client, &mut request) {
        Ok(()) => Ok(request.key().clone()),
        Err(refusal) => {
            let is_question = refusal.http_status() == 401 && !guard.is_attempt(client, &name);
            guard.tell(client, request.key(), &refusal, is_question);
            Err(Denied {
                status: refusal.http_status(),
                text: refusal.description().to_owned(),
            })
        }
    }
}

/// A client that asks for a list of streams: its keys are checked once, then the streams one by one.
pub(in crate::server) struct Visitor<'a> {
    guard: &'a Guard,
    is_near_enough: bool,
    /// A name without the name, for the sake of its query.
    query: String,
    login: Option<Login>,
}

impl Visitor<'_> {
    /// Whether it may know of a stream: whether the rules would let it play. Handlers of a program
    /// that embeds the server are not asked, since nobody plays.
    pub(in crate::server) fn may_list(&self, key: &StreamKey) -> bool {
        let access = &self.guard.play;
        // Somebody may have made a key the name of a stream.
        let is_name = self.guard.without_keys(key).is_none();
        let connect = Connect::default();
        let presented =
            Presented::find(Some(&self.query), &connect).with_login(self.login.as_ref());
        let is_open = access.is_open();
        self.is_near_enough
            && is_name
            && (is_open || Proofs::check(access, key, None, &presented).is_enough())
    }
}

impl Guard {
    /// Whether `peer`, accepted at the address `local`, is a trusted proxy.
    pub(in crate::server) fn is_trusted_proxy(&self, peer: IpAddr, local: IpAddr) -> bool {
        let mut proxies = self.trusted_proxies.iter();
        proxies.any(|network| network.contains(peer, local))
    }

    /// The client that sends a request, and how the request came from `peer` to the address `local` of
    /// this machine. Requests forwarded by other addresses than a trusted proxy's may be from anywhere.
    pub(in crate::server) fn sender(
        &self,
        head: &Head,
        peer: SocketAddr,
        local: IpAddr,
    ) -> (SocketAddr, Way) {
        // Players of this machine speak HTTP/1.1, and nginx doesn't unless it is told to.
        let is_of_nginx = !head.is_1_1() && peer.ip().to_canonical().is_loopback();
        if !is_of_nginx && !forwarded::is_forwarded(head) {
            return (peer, Way::Direct);
        }
        let is_ours = |ip| self.is_trusted_proxy(ip, local);
        match forwarded::sender(head, &is_ours) {
            Some(Sender::At(address)) if is_ours(peer.ip()) => (address, Way::Named),
            _ => (peer, Way::Unnamed),
        }
    }

    /// Refuses a host name that isn't known to be this server's, where no key is needed: a page from
    /// the internet can have pointed its own name here (DNS rebinding).
    pub(in crate::server) fn check_host(
        &self,
        client: &Client,
        credentials: &Credentials<'_>,
    ) -> Result<(), Denied> {
        let is_for_all = !self.play.is_open() || self.play.networks().contains(&Network::Any);
        let foreign = credentials.page.foreign_name(&self.names);
        let Some(name) = foreign.filter(|_| !is_for_all) else {
            return Ok(());
        };
        // What is shown is copied into a shell.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let shown = match name.len() <= 253 && name.bytes().all(is_plain) {
            true => name,
            false => "NAME",
        };
        self.say(
            About::Connection,
            client,
            format_args!(
                "asked for unknown host name {shown}; to allow it, add --host-name {shown}"
            ),
        );
        Err(Denied {
            status: 403,
            text: format!(
                "{shown} isn't known as a name of this server: ask by its address, or start it with \
                 --host-name {shown}"
            ),
        })
    }

    /// What a list may show to whom. A wrong key counts as one for playing: otherwise lists would
    /// be the place to guess at. So this may wait, and the list itself doesn't.
    pub(in crate::server) fn visitor(
        &self,
        client: &Client,
        credentials: &Credentials<'_>,
    ) -> Visitor<'_> {
        let mut visitor = Visitor {
            guard: self,
            is_near_enough: self.is_near_enough(Action::Play, client),
            query: credentials.named(""),
            login: credentials.login().filter(|login| !self.is_api_key(login)),
        };
        let connect = Connect::default();
        let presented = Presented::find(Some(&visitor.query), &connect);
        let presented = presented.with_login(visitor.login.as_ref());
        let is_attempt = presented.is_some() && !self.play.is_open();
        if visitor.is_near_enough && is_attempt && !self.is_known(client, &presented) {
            visitor.query.clear();
            visitor.login = None;
        }
        visitor
    }

    /// Whether what is shown is right for some stream at least; if not, that counts.
    fn is_known(&self, client: &Client, presented: &Presented<'_>) -> bool {
        let (address, now) = (client.address().ip(), self.now());
        if self.look(Attempt::Play, client, now).is_err() {
            return false;
        }
        let is_known = self.has_play_key(presented);
        if is_known {
            self.failures.was_right(address, Attempt::Play);
        } else {
            // Whether it has waited or not: it is shown nothing.
            let _ = self.was_wrong(Attempt::Play, client, now);
        }
        is_known
    }

    /// Whether a request may see addresses, and end connections. A wrong key counts, and slows
    /// down further ones.
    pub(in crate::server) fn is_privileged(
        &self,
        client: &Client,
        credentials: &Credentials<'_>,
    ) -> bool {
        let page = &credentials.page;
        let Some(api_key) = &self.api_key else {
            // Clients of a proxy on this machine come from loopback, too.
            let address = client.address().ip().to_canonical();
            let is_here = address.is_loopback() && client.way() == Way::Direct;
            return is_here && page.is_to_address() && page.is_own();
        };
        let query = credentials.named("");
        let in_query = query_value(&query, "api_key");
        // Browsers send a password by themselves, also for pages of other sites. And it may be there
        // for the sake of playing.
        let is_meant = |login: &Login| self.is_api_key(login) || !self.is_play_login(login);
        let login = credentials.login();
        let login = login.filter(|login| page.is_own() && is_meant(login));
        if in_query.is_none() && credentials.bearer().is_none() && login.is_none() {
            return false;
        }
        let (address, now) = (client.address().ip(), self.now());
        if self.look(Attempt::Administer, client, now).is_err() {
            return false;
        }
        let is_it = |key: Option<&str>| key.is_some_and(|key| api_key.is(key));
        let password = login.as_ref().map(|login| login.password.reveal());
        let is_right = is_it(in_query) | is_it(credentials.bearer()) | is_it(password);
        if is_right {
            self.failures.was_right(address, Attempt::Administer);
        } else {
            // Whether it has waited or not: it gets nothing.
            let _ = self.was_wrong(Attempt::Administer, client, now);
        }
        is_right
    }

    /// The answer to a client that isn't privileged and asks for what takes privileges.
    pub(in crate::server) fn api_denial(&self) -> Denied {
        let (status, text) = match &self.api_key {
            Some(_) => (
                401,
                "wrong or missing key: send Authorization: Bearer KEY, or log in with the key as \
                 password",
            ),
            None => (
                403,
                "only for programs on this machine, via 127.0.0.1 or localhost; --api-key allows \
                 others",
            ),
        };
        Denied {
            status,
            text: text.to_owned(),
        }
    }

    /// Whether pages of other sites may read an answer that shows streams or is one, that is:
    /// whether it gets the field `Access-Control-Allow-Origin: *`, or a WebSocket. Not when it is
    /// given for where it goes to, unless the page is from there too; and not when it is given for
    /// what browsers send by themselves.
    pub(in crate::server) fn may_share(&self, credentials: &Credentials<'_>) -> bool {
        let is_for_all = !self.play.is_open() || self.play.networks().contains(&Network::Any);
        let is_sent_by_itself =
            credentials.login().is_some() || credentials.authorization == Field::Unreadable;
        !is_sent_by_itself && (is_for_all || credentials.page.is_local(&self.names))
    }

    /// Whether a WebSocket may be opened: browsers open one for every page, and leave it to the
    /// server to refuse. Programs don't say where they come from.
    pub(in crate::server) fn may_open_socket(&self, credentials: &Credentials<'_>) -> bool {
        let page = &credentials.page;
        page.origin == Field::Absent || page.is_same_origin() || self.may_share(credentials)
    }

    /// Whether a client has shown anything that may be a key for playing.
    fn is_attempt(&self, client: &Client, name: &str) -> bool {
        let login = client.login().filter(|login| !self.is_api_key(login));
        let presented = Presented::find(Some(name), client.connect());
        presented.with_login(login).is_some()
    }

    /// A password that is the key for the API is none for playing, but no guess either.
    pub(super) fn is_api_key(&self, login: &Login) -> bool {
        let password = login.password.reveal();
        self.api_key.as_ref().is_some_and(|key| key.is(password))
    }

    fn is_play_login(&self, login: &Login) -> bool {
        self.has_play_key(&Presented::default().with_login(Some(login)))
    }

    /// Whether there is a right key for any stream, or a right user.
    fn has_play_key(&self, presented: &Presented<'_>) -> bool {
        let access = &self.play;
        let key = presented.key.map(|found| found.value);
        let password = presented.login.map(|login| login.password.reveal());
        let is_it = |text: Option<&str>, key: &str| {
            text.is_some_and(|text| constant_time_eq(text.as_bytes(), key.as_bytes()))
        };
        let has_key = access.keys.iter().fold(false, |found, other| {
            let other = other.secret.reveal();
            found | is_it(key, other) | is_it(password, other)
        });
        let is_user = |(user, password)| accepts_user(access, user, password);
        let login = presented
            .login
            .map(|login| (&*login.user, login.password.reveal()));
        let user = presented.user.map(|found| found.value);
        has_key | user.is_some_and(is_user) | login.is_some_and(is_user)
    }

    /// Has the log say that a play was refused, unless the client has shown nothing yet.
    fn tell(&self, client: &Client, key: &StreamKey, refusal: &Refusal, is_question: bool) {
        let reason = refusal.reason();
        if is_question || refusal.is_step() {
            log::debug!("{client} asked to play {key}: {reason}");
            return;
        }
        self.say(
            About::Media,
            client,
            format_args!("refused to play {key}: {reason}"),
        );
    }

    /// Over HTTP a refusal doesn't end the connection, which would have a line of its own.
    fn say(&self, about: About, client: &Client, what: fmt::Arguments<'_>) {
        let (address, now) = (client.address().ip(), self.now());
        self.lines.say(
            log::Level::Warn,
            about,
            address,
            now,
            format_args!("{client} {what}"),
        );
    }
}

#[cfg(test)]
mod tests;
