//! A program that publishes.

use std::time::{Duration, Instant};

use super::error::{ClientError, ClientErrorKind};
use super::link::Link;
use super::settings::Settings;
use super::target::Requests;
use crate::media::flv::MAX_PAYLOAD_LEN;
use crate::medium::Medium;
use crate::rtmp::bytes::Bytes;
use crate::rtmp::chunk_reader::Heap;
use crate::rtmp::client_session::ClientEvent;
use crate::stream_message::StreamMessage;

/// How metadata begins, in AMF0, and what a server wants before it to keep it for players.
const METADATA: &[u8] = b"\x02\x00\x0aonMetaData";
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// The length of the buffer for what the server says.
const BUFFER_LEN: usize = 4096;

/// What is going on, in errors.
const PUBLISH: &str = "publish";

/// A stream that a program publishes on another server; see [`Client::publish`](super::Client::publish). Ends when dropped.
///
/// Whenever it sends, it also reads what the server says, answers pings and acknowledges. If the server asks
/// for it ("Reconnect Request"), the publisher connects anew, and goes on there at the next keyframe; the old
/// connection is kept until then, unless the name isn't free before it is closed.
///
/// ```no_run
/// use brooklet::StreamMessage;
/// use brooklet::client::Client;
///
/// let mut publisher = Client::new("rtmp://192.0.2.7/live/door")?.publish()?;
/// let header = [0x17, 0, 0, 0, 0, 1, 0x42, 0xC0, 0x1E];
/// publisher.send(&StreamMessage::video(0, header))?;
/// publisher.finish()?;
/// # Ok::<(), brooklet::client::ClientError>(())
/// ```
pub struct Publisher {
    settings: Settings,
    link: Link<Heap>,
    /// The connection that takes over at the next keyframe.
    next: Option<Link<Heap>>,
    /// The latest metadata and sequence headers, for the next connection: data, audio, video.
    headers: [Option<StreamMessage>; 3],
    requests: Requests,
    has_video: bool,
    out: Vec<u8>,
}

impl Publisher {
    pub(super) fn open(settings: Settings) -> Result<Publisher, ClientError> {
        let link = Link::publish(Heap, &settings.options(&settings.url))?;
        Ok(Publisher {
            settings,
            link,
            next: None,
            headers: [const { None }; 3],
            requests: Requests::default(),
            has_video: false,
            out: Vec::new(),
        })
    }

    /// Sends a message, and waits if the server is slow. Metadata may begin with `onMetaData` as in a file,
    /// or with `@setDataFrame`. Timestamps are those of the caller: nothing is paced here.
    ///
    /// Fails if the server has ended the publish, or the connection is lost.
    pub fn send(&mut self, message: &StreamMessage) -> Result<(), ClientError> {
        // The old connection may end once there is a new one: many servers let the newest publisher win.
        self.poll().or_else(|error| self.unless_replaced(error))?;
        let len = message.payload().len();
        if len > MAX_PAYLOAD_LEN as usize {
            let text = format!("a message of {len} bytes, expected at most {MAX_PAYLOAD_LEN}");
            return Err(ClientError::new(ClientErrorKind::BadMessage, text));
        }
        self.has_video |= message.medium() == Some(Medium::Video);
        let is_start = message.is_keyframe() || !self.has_video;
        if let Some(next) = self.next.take_if(|_| is_start) {
            let mut old = std::mem::replace(&mut self.link, next);
            old.close();
            for header in self.headers.iter().flatten() {
                write(&self.link, header, &mut self.out);
            }
        }
        self.keep(message);
        write(&self.link, message, &mut self.out);
        let sent = self.link.socket.write_all(&self.out);
        self.out.clear();
        sent.or_else(|error| self.unless_replaced(ClientError::io(&self.link.url, PUBLISH, &error)))
    }

    /// The error of a connection, unless another one is about to take over.
    fn unless_replaced(&self, error: ClientError) -> Result<(), ClientError> {
        self.next.as_ref().map(drop).ok_or(error)
    }

    /// Reads what the server has said, and answers, without waiting. [`send`](Self::send) does it, too: a
    /// program that sends nothing for a while calls this every few seconds.
    pub fn poll(&mut self) -> Result<(), ClientError> {
        let mut buffer = [0; BUFFER_LEN];
        let mut reconnect = None;
        let link = &mut self.link;
        let early = std::mem::take(&mut link.input);
        let mut input = Bytes::from(early.as_slice());
        loop {
            let now = link.now();
            let event = link.session.handle(&mut input, now);
            match event.map_err(|error| ClientError::protocol(&link.url, &error))? {
                Some(ClientEvent::Refused(refusal)) => {
                    return Err(ClientError::refused(&link.url, PUBLISH, &refusal));
                }
                Some(ClientEvent::Reconnect { url, .. }) => reconnect = Some(url),
                Some(_) => {}
                None if !link.socket.has_input() => break,
                None => {
                    let lost = |error| ClientError::io(&link.url, PUBLISH, &error);
                    let wait = Duration::from_millis(1);
                    link.socket.set_read_timeout(wait).map_err(lost)?;
                    let len = match link.socket.read(&mut buffer) {
                        Ok(0) => return Err(ClientError::closed(&link.url, PUBLISH)),
                        Ok(len) => len,
                        // A part of a record of TLS.
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(lost(error)),
                    };
                    input = Bytes::from(buffer.get(..len).unwrap_or_default());
                }
            }
            link.send_output(PUBLISH)?;
        }
        link.send_output(PUBLISH)?;
        match reconnect {
            Some(url) => self.reconnect(url.as_deref().unwrap_or_default()),
            None => Ok(()),
        }
    }

    /// The number of bytes that the server has acknowledged, modulo 2^32; `None` before the first
    /// acknowledgement. Many servers send none.
    pub fn acknowledged(&self) -> Option<u32> {
        self.link.session.acknowledged()
    }

    /// Ends the publish, so that the server knows it, and closes the connection once the server has taken
    /// everything.
    pub fn finish(mut self) -> Result<(), ClientError> {
        self.poll()?;
        self.link.close();
        Ok(())
    }

    /// Makes the connection that takes over. While it can't be made, the old one goes on.
    fn reconnect(&mut self, to: &str) -> Result<(), ClientError> {
        self.requests.note(&self.link.url, Instant::now())?;
        let url = match self.link.url.refer(to) {
            Ok(url) => url,
            Err(error) => {
                log::warn!("cannot reconnect as the server asks: {error}");
                return Ok(());
            }
        };
        let options = self.settings.options(&url);
        match Link::publish(Heap, &options) {
            Ok(link) => self.next = Some(link),
            // A server that doesn't let a name be taken over.
            Err(error) if error.kind() == ClientErrorKind::NameTaken => {
                self.link.close();
                self.next = Some(Link::publish(Heap, &options)?);
            }
            Err(error) => log::warn!("cannot reconnect as the server asks: {error}"),
        }
        Ok(())
    }

    fn keep(&mut self, message: &StreamMessage) {
        let index = match message.medium() {
            Some(_) if !message.is_sequence_header() => return,
            Some(Medium::Audio) => 1,
            Some(Medium::Video) => 2,
            None if is_metadata(message.payload()) => 0,
            None => return,
        };
        if let Some(kept) = self.headers.get_mut(index) {
            *kept = Some(message.clone());
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.link.close();
    }
}

fn is_metadata(payload: &[u8]) -> bool {
    payload.starts_with(METADATA) || payload.starts_with(SET_DATA_FRAME)
}

/// Appends a message to `out`, in chunks.
fn write(link: &Link<Heap>, message: &StreamMessage, out: &mut Vec<u8>) {
    let (timestamp, payload) = (message.timestamp(), message.payload());
    match message.medium() {
        Some(medium) => link.session.write_media(medium, timestamp, payload, out),
        None if payload.starts_with(METADATA) => {
            let body = [SET_DATA_FRAME, payload].concat();
            link.session.write_data(timestamp, &body, out);
        }
        None => link.session.write_data(timestamp, payload, out),
    }
}
