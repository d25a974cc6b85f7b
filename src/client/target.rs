//! Where a client connects to, and how: the URL, which redirects and logins may change.

use std::time::{Duration, Instant};

use super::error::{ClientError, ClientErrorKind, words};
use crate::net::dial::dial;
use crate::net::socket::Socket;
use crate::net::tls::TlsClient;
use crate::rtmp::authmod::{RANDOM_LEN, Reply};
use crate::rtmp::client_session::{ConnectOptions, Refusal, RefusalKind};
use crate::url::Url;

/// The number of times that a server may send a client elsewhere.
const MAX_REDIRECTS: u32 = 3;

/// The number of connections that a login takes: one that names the user, and one that proves the password.
/// One more, since a challenge may be out of date.
const MAX_LOGINS: u32 = 3;

/// The number of times in [`REQUESTS_IN`] that a server may ask for another connection while a stream goes on.
const MAX_REQUESTS: u32 = 3;
const REQUESTS_IN: Duration = Duration::from_secs(60);

/// How often servers have asked for another connection. One that does it with each connection would be
/// connected to as fast as it can answer.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    count: u32,
    first: Option<Instant>,
}

impl Requests {
    /// Whether one more is obeyed. The error says why not.
    pub(crate) fn note(&mut self, url: &Url, now: Instant) -> Result<(), ClientError> {
        let is_old = |first| now.saturating_duration_since(first) >= REQUESTS_IN;
        if self.first.is_none_or(is_old) {
            (self.count, self.first) = (0, Some(now));
        }
        self.count += 1;
        if self.count <= MAX_REQUESTS {
            return Ok(());
        }
        let (place, seconds) = (url.place(), REQUESTS_IN.as_secs());
        let text = format!(
            "{place} asks to connect anew again and again, expected at most {MAX_REQUESTS} times in \
             {seconds} s"
        );
        Err(ClientError::new(ClientErrorKind::BadRedirect, text))
    }
}

/// How to connect.
pub(crate) struct LinkOptions<'a> {
    /// The stream.
    pub(crate) url: &'a Url,
    /// The client's name: [`Via::flash_ver`](crate::rtmp::via::Via::flash_ver).
    pub(crate) flash_ver: &'a str,
    /// The time for everything, from the first packet to the accepted publish or play.
    pub(crate) timeout: Duration,
    /// The longest audio or video message that is received, in bytes.
    pub(crate) max_message: u32,
    /// Whether all codecs of Enhanced RTMP are announced. If the server then refuses connect, the client
    /// tries again without.
    pub(crate) is_enhanced: bool,
    /// The servers that are trusted.
    pub(crate) tls: &'a TlsClient,
    /// Looked at before each step and once a second.
    pub(crate) is_cancelled: &'a dyn Fn() -> bool,
}

/// The state of a client that has no connection yet.
pub(super) struct Target<'a> {
    pub(super) options: &'a LinkOptions<'a>,
    /// The URL, which is another one after a redirect.
    pub(super) url: Url,
    pub(super) deadline: Instant,
    /// The query that a login has added to the app.
    login: String,
    is_enhanced: bool,
    has_digest: bool,
    redirects: u32,
    logins: u32,
}

/// Why an attempt has failed, as far as another one may do better.
pub(super) enum Failed {
    /// It won't.
    For(ClientError),
    /// The connection was closed, before or after the end of the handshake.
    Closed {
        is_handshaken: bool,
        why: ClientError,
    },
    /// The server has refused this.
    Refused(&'static str, Refusal),
    /// The server asks the client to connect anew.
    Reconnect(Option<String>),
}

impl<'a> Target<'a> {
    pub(super) fn new(options: &'a LinkOptions<'a>) -> Target<'a> {
        Target {
            options,
            url: options.url.clone(),
            deadline: Instant::now() + options.timeout,
            login: String::new(),
            is_enhanced: options.is_enhanced,
            has_digest: false,
            redirects: 0,
            logins: 0,
        }
    }

    /// Connects a socket, inside of TLS if the URL says so.
    pub(super) fn dial(&self) -> Result<Socket, ClientError> {
        let (host, port) = (self.url.host(), self.url.port());
        let socket = dial(host, port, self.deadline, self.options.is_cancelled)
            .map_err(|error| ClientError::dial(&self.url, &error))?;
        if !self.url.scheme().is_tls() {
            return Ok(socket);
        }
        let secured = socket.connect_tls(self.options.tls, host, self.url.pin());
        secured.map_err(|error| {
            // Errors may name what stands in a certificate.
            let said = words(&self.url, &error.to_string());
            let text = format!("{}: {said}", self.url.place());
            ClientError::new(ClientErrorKind::NoConnection, text)
        })
    }

    /// The properties of connect.
    pub(super) fn connect_options(&self, is_publisher: bool) -> ConnectOptions {
        let app = match self.login.as_str() {
            "" => self.url.app().to_owned(),
            // Servers split such queries at `?` and at `&`.
            login => [self.url.app(), "?", login].concat(),
        };
        ConnectOptions {
            tc_url: self.url.tc_url(&app),
            app,
            flash_ver: self.options.flash_ver.to_owned(),
            is_publisher,
            is_amf3: false,
            is_enhanced: self.is_enhanced,
            has_digest: self.has_digest,
        }
    }

    /// How long a read may wait; an error if the time is over, or the caller has given up.
    pub(super) fn patience(&self, what: &str) -> Result<Duration, ClientError> {
        const TICK: Duration = Duration::from_secs(1);

        if (self.options.is_cancelled)() {
            return Err(ClientError::cancelled());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let after = self.options.timeout;
            return Err(ClientError::timed_out(&self.url, what, after));
        }
        Ok(left.min(TICK))
    }

    /// Changes what the next attempt has to do otherwise. Fails if there should be none.
    pub(super) fn go_on(&mut self, failed: Failed) -> Result<(), ClientError> {
        match failed {
            Failed::For(error) => Err(error),
            Failed::Closed { is_handshaken, why } => {
                if !is_handshaken && !self.has_digest {
                    self.has_digest = true;
                } else if is_handshaken && self.is_enhanced {
                    self.is_enhanced = false;
                } else {
                    return Err(why);
                }
                Ok(())
            }
            Failed::Refused(what, refusal) => match &refusal.kind {
                RefusalKind::Redirect(to) => self.redirect(to),
                RefusalKind::Login => self.log_in(&refusal),
                // Some servers say "Rejected" to fields that they don't know.
                RefusalKind::Other | RefusalKind::Denied
                    if self.is_enhanced && what == "connect" =>
                {
                    self.is_enhanced = false;
                    Ok(())
                }
                _ => Err(ClientError::refused(&self.url, what, &refusal)),
            },
            Failed::Reconnect(to) => self.redirect(to.as_deref().unwrap_or_default()),
        }
    }

    fn log_in(&mut self, refusal: &Refusal) -> Result<(), ClientError> {
        let place = self.url.place();
        let denied = |text| Err(ClientError::new(ClientErrorKind::Denied, text));
        let Some(user) = self.url.user() else {
            let what = match self.url.has_left_login() {
                true => "but user and password are for the host and port that were given with them",
                false => "expected USER:PASSWORD@ before the host in the URL",
            };
            return denied(format!("{place} wants a login, {what}"));
        };
        let password = self.url.password().unwrap_or_default();
        let mut random = [0; RANDOM_LEN];
        nonce(&mut random);
        let reply = Reply::parse(&refusal.description).filter(|_| self.logins < MAX_LOGINS);
        match reply.and_then(|reply| reply.query(user, password, self.url.app(), &random)) {
            Some(query) => {
                self.logins += 1;
                self.login = query;
                Ok(())
            }
            None => denied(format!("{place} refused user or password")),
        }
    }

    /// Turns to another URL, which may be relative to the one before.
    pub(super) fn redirect(&mut self, to: &str) -> Result<(), ClientError> {
        let bad = |text| Err(ClientError::new(ClientErrorKind::BadRedirect, text));
        let place = self.url.place();
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            return bad(format!(
                "redirected more than {MAX_REDIRECTS} times, at last by {place}"
            ));
        }
        let url = match self.url.refer(to) {
            Ok(url) => url,
            Err(error) => {
                // Only of a whole URL is it known what may be a secret.
                let shown = match to.contains("://") {
                    true => words(&self.url, to),
                    false => "...".to_owned(),
                };
                return bad(format!("{place} redirects to \"{shown}\": {error}"));
            }
        };
        self.login.clear();
        self.url = url;
        Ok(())
    }
}

/// Fills `bytes` with random values.
pub(super) fn nonce(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        log::debug!("no random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_always_asks_for_another_connection_is_not_obeyed_for_ever() {
        let url = Url::parse("rtmp://a.example/live/door").unwrap();
        let (mut requests, start) = (Requests::default(), Instant::now());
        let mut note = |seconds| {
            let now = start + Duration::from_secs(seconds);
            requests.note(&url, now).is_ok()
        };
        let obeyed = [0, 10, 20, 59, 60, 61, 62, 63].map(&mut note);
        let expected = [true, true, true, false, true, true, true, false];
        assert_eq!(obeyed, expected);
    }
}
