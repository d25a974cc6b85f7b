//! A program that plays.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{ClientError, ClientErrorKind};
use super::flv_link::FlvLink;
use super::link::Link;
use super::settings::Settings;
use super::target::Requests;
use crate::medium::Medium;
use crate::net::socket::Socket;
use crate::rtmp::bytes::Bytes;
use crate::rtmp::chunk_reader::Heap;
use crate::rtmp::client_session::ClientEvent;
use crate::rtmp::message::type_id;
use crate::stream_message::StreamMessage;
use crate::url::Url;

/// The length of the buffer for input.
const BUFFER_LEN: usize = 16 * 1024;

/// What is going on, in errors.
const PLAY: &str = "play";

/// How a message begins, in AMF0, by which servers tell players what they may record.
const SAMPLE_ACCESS: &[u8] = b"\x02\x00\x11|RtmpSampleAccess";

/// A stream of another server that a program plays; see [`Client::play`](super::Client::play).
///
/// If the server asks for it ("Reconnect Request"), the player connects anew before it gives up the old
/// connection. Metadata and sequence headers come again then.
///
/// ```no_run
/// use std::time::Duration;
///
/// use brooklet::client::Client;
///
/// let mut player = Client::new("http://192.0.2.7/live/door.flv")?.play()?;
/// while let Some(message) = player.recv(Duration::from_secs(10))? {
///     println!("{:?} at {} ms", message.medium(), message.timestamp());
/// }
/// println!("the stream has ended");
/// # Ok::<(), brooklet::client::ClientError>(())
/// ```
pub struct Player {
    settings: Settings,
    source: Source,
    requests: Requests,
    input: Vec<u8>,
    /// The number of bytes of the input that are handled.
    at: usize,
    message: StreamMessage,
}

// One of them per player, for its whole life.
#[allow(clippy::large_enum_variant)]
enum Source {
    Rtmp(Link<Heap>),
    Flv(FlvLink<Heap>),
}

/// What handling some input has brought.
enum Step {
    Message,
    End,
    Reconnect(Option<String>),
    /// All of it is handled.
    Empty,
}

impl Player {
    pub(super) fn open(settings: Settings) -> Result<Player, ClientError> {
        let mut player = Player {
            source: open(&settings, &settings.url)?,
            settings,
            requests: Requests::default(),
            input: Vec::new(),
            at: 0,
            message: StreamMessage::default(),
        };
        player.begin();
        Ok(player)
    }

    /// Begins with the input that has come with the acceptance.
    fn begin(&mut self) {
        self.at = 0;
        self.input = match &mut self.source {
            Source::Rtmp(link) => {
                link.early.reverse();
                std::mem::take(&mut link.input)
            }
            Source::Flv(link) => std::mem::take(&mut link.input),
        };
    }

    /// Waits for the next message. Returns `None` when the stream has ended. Data messages hold what
    /// their publisher sent, such as `onMetaData` and its values in AMF0.
    ///
    /// Fails with [`TimedOut`](super::ClientErrorKind::TimedOut) if no message comes within `timeout`; it
    /// may be called again then.
    pub fn recv(&mut self, timeout: Duration) -> Result<Option<&StreamMessage>, ClientError> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            match self.step()? {
                Step::Message => return Ok(Some(&self.message)),
                Step::End => return Ok(None),
                Step::Reconnect(url) => {
                    let present = self.url().clone();
                    self.requests.note(&present, Instant::now())?;
                    self.reconnect(url.as_deref().unwrap_or_default());
                }
                Step::Empty => {
                    let left = deadline.map_or(Duration::MAX, |deadline| {
                        deadline.saturating_duration_since(Instant::now())
                    });
                    if left.is_zero() && !self.socket().has_input() {
                        let place = self.url().place();
                        let text = format!("{place} has sent no message for {timeout:?}");
                        return Err(ClientError::new(ClientErrorKind::TimedOut, text));
                    }
                    if !self.read(left)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn socket(&self) -> &Arc<Socket> {
        match &self.source {
            Source::Rtmp(link) => &link.socket,
            Source::Flv(link) => &link.socket,
        }
    }

    fn url(&self) -> &Url {
        match &self.source {
            Source::Rtmp(link) => &link.url,
            Source::Flv(link) => &link.url,
        }
    }

    /// Reads more input, and waits for it. False if the body of an HTTP answer has ended.
    fn read(&mut self, patience: Duration) -> Result<bool, ClientError> {
        const LONGEST: Duration = Duration::from_secs(3600);

        let socket = Arc::clone(self.socket());
        let lost = |error| ClientError::io(self.url(), PLAY, &error);
        let patience = patience.min(LONGEST);
        socket.set_read_timeout(patience).map_err(lost)?;
        self.at = 0;
        self.input.resize(BUFFER_LEN, 0);
        let read = socket.read(&mut self.input);
        self.input.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => match &self.source {
                Source::Rtmp(link) => Err(ClientError::closed(&link.url, PLAY)),
                Source::Flv(_) => Ok(false),
            },
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(true),
                _ => Err(ClientError::io(self.url(), PLAY, &error)),
            },
        }
    }

    /// Handles input up to the next message.
    fn step(&mut self) -> Result<Step, ClientError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        match &mut self.source {
            Source::Flv(link) => {
                let mut input = rest;
                let next = link.next(&mut input);
                self.at = self.input.len() - input.len();
                let tag = next.map_err(|error| ClientError::protocol(&link.url, &error))?;
                Ok(match tag {
                    Some(tag) => {
                        let payload = link.payload();
                        self.message.replace(tag.tag_type, tag.timestamp, payload);
                        Step::Message
                    }
                    None if link.is_over() => Step::End,
                    None => Step::Empty,
                })
            }
            Source::Rtmp(link) => {
                if let Some(message) = link.early.pop() {
                    self.message = message;
                    return Ok(Step::Message);
                }
                let mut input = Bytes::from(rest);
                let step = rtmp_step(link, &mut input, &mut self.message);
                self.at = self.input.len() - input.len();
                // Answers to pings, and acknowledgements.
                link.send_output(PLAY)?;
                step
            }
        }
    }

    /// Goes on with another connection. If there is none, the old one goes on.
    fn reconnect(&mut self, to: &str) {
        let url = match self.url().refer(to) {
            Ok(url) => url,
            Err(error) => return log::warn!("cannot reconnect as the server asks: {error}"),
        };
        match open(&self.settings, &url) {
            Ok(source) => {
                let old = std::mem::replace(&mut self.source, source);
                self.begin();
                if let Source::Rtmp(mut link) = old {
                    link.close();
                }
            }
            Err(error) => log::warn!("cannot reconnect as the server asks: {error}"),
        }
    }
}

fn open(settings: &Settings, url: &Url) -> Result<Source, ClientError> {
    let options = settings.options(url);
    Ok(match url.scheme().is_rtmp() {
        true => Source::Rtmp(Link::play(Heap, &options)?),
        false => Source::Flv(FlvLink::open(&Heap, &options)?),
    })
}

/// Handles input of an RTMP server up to the next message, which becomes `message`.
fn rtmp_step(
    link: &mut Link<Heap>,
    input: &mut Bytes<'_>,
    message: &mut StreamMessage,
) -> Result<Step, ClientError> {
    loop {
        let now = link.now();
        let event = link.session.handle(input, now);
        match event.map_err(|error| ClientError::protocol(&link.url, &error))? {
            Some(ClientEvent::Media(media)) => {
                let type_id = match media.medium {
                    Medium::Audio => type_id::AUDIO,
                    Medium::Video => type_id::VIDEO,
                };
                message.replace(type_id, media.timestamp, link.session.payload(&media));
                return Ok(Step::Message);
            }
            Some(ClientEvent::Metadata { timestamp } | ClientEvent::Data { timestamp }) => {
                let body = link.session.body();
                message.replace(type_id::DATA, timestamp, body.bytes().parts());
                // What a server says about its permissions doesn't belong to the stream.
                if !message.payload().starts_with(SAMPLE_ACCESS) {
                    return Ok(Step::Message);
                }
            }
            Some(ClientEvent::Refused(refusal)) => {
                return Err(ClientError::refused(&link.url, PLAY, &refusal));
            }
            Some(ClientEvent::Reconnect { url, .. }) => return Ok(Step::Reconnect(url)),
            Some(ClientEvent::EndOfStream) => return Ok(Step::End),
            Some(ClientEvent::Output) => link.send_output(PLAY)?,
            Some(_) => {}
            None => return Ok(Step::Empty),
        }
    }
}
