//! A connection to an RTMP server that has accepted a publish or a play.
//!
//! ```text
//! dial -> handshake -> connect -> publish or play -> Link
//!   ^          |          |             |
//!   +----------+----------+-------------+  without what the server doesn't know, with a login, elsewhere
//! ```

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use super::error::ClientError;
use super::target::{Failed, LinkOptions, Target, nonce};
use crate::live::Millis;
use crate::medium::Medium;
use crate::net::socket::Socket;
use crate::rtmp::bytes::Bytes;
use crate::rtmp::chunk_reader::PayloadSource;
use crate::rtmp::client_session::{ClientEvent, ClientSession};
use crate::rtmp::message::type_id;
use crate::stream_message::StreamMessage;
use crate::url::Url;

/// The number of messages that a server may send before it has accepted a play.
const MAX_EARLY: usize = 16;

/// The length of the buffer into which replies are read.
const BUFFER_LEN: usize = 4096;

/// See the module's documentation.
pub(crate) struct Link<S: PayloadSource> {
    pub(crate) socket: Arc<Socket>,
    pub(crate) session: ClientSession<S>,
    /// Messages that the server sent before it accepted the play.
    pub(crate) early: Vec<StreamMessage>,
    /// Input that came together with the acceptance, and hasn't been handled.
    pub(crate) input: Vec<u8>,
    /// The stream's URL, after redirects.
    pub(crate) url: Url,
    started: Instant,
}

/// What a link is for.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Publish,
    Play,
}

impl<S: PayloadSource + Clone> Link<S> {
    /// Connects and publishes; returns when the server has accepted the publish.
    pub(crate) fn publish(source: S, options: &LinkOptions<'_>) -> Result<Link<S>, ClientError> {
        Link::open(source, options, Role::Publish)
    }

    /// Connects and plays; returns when the server has accepted the play, which may be long before the
    /// stream is live.
    pub(crate) fn play(source: S, options: &LinkOptions<'_>) -> Result<Link<S>, ClientError> {
        Link::open(source, options, Role::Play)
    }

    fn open(source: S, options: &LinkOptions<'_>, role: Role) -> Result<Link<S>, ClientError> {
        let mut target = Target::new(options);
        loop {
            let socket = target.dial()?;
            let connect = target.connect_options(role == Role::Publish);
            let mut link = Link {
                socket: Arc::new(socket),
                session: ClientSession::new(source.clone(), connect, options.max_message, nonce),
                early: Vec::new(),
                input: Vec::new(),
                url: target.url.clone(),
                started: Instant::now(),
            };
            match link.converse(role, &target) {
                Ok(()) => return Ok(link),
                Err(failed) => target.go_on(failed)?,
            }
        }
    }

    /// Exchanges commands until the publish or play is accepted.
    fn converse(&mut self, role: Role, target: &Target<'_>) -> Result<(), Failed> {
        let mut buffer = vec![0; BUFFER_LEN];
        let mut phase = "the handshake";
        loop {
            self.send_output(phase).map_err(Failed::For)?;
            let patience = target.patience(phase).map_err(Failed::For)?;
            let lost = |error| Failed::For(ClientError::io(&target.url, phase, &error));
            self.socket.set_read_timeout(patience).map_err(lost)?;
            self.socket.acknowledge_quickly();
            let len = match self.socket.read(&mut buffer) {
                Ok(0) => return Err(self.closed(ClientError::closed(&self.url, phase))),
                Ok(len) => len,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::Interrupted => continue,
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                        return Err(self.closed(ClientError::closed(&self.url, phase)));
                    }
                    _ => return Err(lost(error)),
                },
            };
            let mut input = Bytes::from(buffer.get(..len).unwrap_or_default());
            if self.handle_replies(role, &mut input, &mut phase)? {
                input
                    .parts()
                    .for_each(|part| self.input.extend_from_slice(part));
                return self.send_output(phase).map_err(Failed::For);
            }
        }
    }

    /// Handles replies; true once the publish or play is accepted.
    fn handle_replies(
        &mut self,
        role: Role,
        input: &mut Bytes<'_>,
        phase: &mut &'static str,
    ) -> Result<bool, Failed> {
        loop {
            let now = self.now();
            let event = self.session.handle(input, now);
            let event = event
                .map_err(|error| Failed::For(ClientError::protocol(&self.url, &error)))?
                .map(|event| match event {
                    ClientEvent::Media(media) => {
                        let type_id = match media.medium {
                            Medium::Audio => type_id::AUDIO,
                            Medium::Video => type_id::VIDEO,
                        };
                        let mut message = StreamMessage::default();
                        let payload = self.session.payload(&media);
                        message.replace(type_id, media.timestamp, payload);
                        Step::Early(message)
                    }
                    ClientEvent::Metadata { timestamp } | ClientEvent::Data { timestamp } => {
                        let mut message = StreamMessage::default();
                        let body = self.session.body();
                        message.replace(type_id::DATA, timestamp, body.bytes().parts());
                        Step::Early(message)
                    }
                    ClientEvent::Connected => Step::Connected,
                    ClientEvent::Publishing | ClientEvent::Playing => Step::Accepted,
                    ClientEvent::Refused(refusal) => Step::Failed(Failed::Refused(phase, refusal)),
                    ClientEvent::Reconnect { url, .. } => Step::Failed(Failed::Reconnect(url)),
                    ClientEvent::Output => Step::Output,
                    ClientEvent::Status { .. } | ClientEvent::EndOfStream => Step::Nothing,
                });
            if self.session.is_handshaken() && *phase == "the handshake" {
                *phase = "connect";
            }
            match event {
                None => return Ok(false),
                Some(Step::Nothing) => {}
                Some(Step::Early(message)) => {
                    // It has accepted the play, whatever it says later.
                    self.early.push(message);
                    if self.early.len() >= MAX_EARLY {
                        return Ok(true);
                    }
                }
                Some(Step::Connected) => match role {
                    Role::Publish => {
                        *phase = "publish";
                        self.session.publish(self.url.name());
                    }
                    Role::Play => {
                        *phase = "play";
                        self.session.play(self.url.name());
                    }
                },
                Some(Step::Accepted) => return Ok(true),
                Some(Step::Failed(failed)) => return Err(failed),
                Some(Step::Output) => self.send_output(phase).map_err(Failed::For)?,
            }
        }
    }

    fn closed(&self, why: ClientError) -> Failed {
        // Between connect and its answer. Later, the server doesn't like something else.
        let is_handshaken = self.session.is_handshaken();
        if self.session.is_connected() {
            return Failed::For(why);
        }
        Failed::Closed { is_handshaken, why }
    }
}

impl<S: PayloadSource> Link<S> {
    /// The time in ms since the link's connection began, for the session.
    pub(crate) fn now(&self) -> Millis {
        self.started.elapsed().as_millis() as Millis
    }

    /// Sends what the session has to say, and waits for that if necessary. For a link whose socket is no
    /// subscriber's.
    pub(crate) fn send_output(&mut self, phase: &str) -> Result<(), ClientError> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let sent = self.socket.write_all(&output);
        sent.map_err(|error| ClientError::io(&self.url, phase, &error))
    }

    /// Ends the publish or play, if the server can be told without waiting for long, and closes the
    /// connection.
    pub(crate) fn close(&mut self) {
        self.session.close();
        if self.send_output("the end").is_ok() {
            self.socket.drain();
        }
    }
}

/// An event, without what it borrows.
enum Step {
    Nothing,
    Early(StreamMessage),
    Connected,
    Accepted,
    Failed(Failed),
    Output,
}
