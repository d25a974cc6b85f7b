//! Requests for recordings: the list, files, and spans of them.
//!
//! The disk is read on the connection's own thread, piece by piece, without a lock.

mod file;
mod last;
mod list;
mod span;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::end::HttpEnd;
use super::exchange::Exchange;
use super::log_viewer;
use super::ranged::Ranged;
use super::writer::{PIECE_LEN, Writer};
use crate::allowance::Taken;
use crate::calendar;
use crate::http::response::Length;
use crate::http::{Method, Response, Route, Status, conditions, query};
use crate::record::WallMillis;
use crate::record::playback::time::Shown;
use crate::record::playback::{Body, Recordings};
use crate::record::report::DiskState;
use crate::rtmp::stream_key::StreamKey;
use crate::server::Shared;
use crate::server::lines::About;
pub(super) use last::reply as last;

/// The reply to a request for recordings, whose body is read while it is sent.
pub(super) enum RecordedReply<'s> {
    List(list::ListReply<'s>),
    Bytes(Bytes),
    Playlist(span::PlaylistReply),
}

/// A file, before it is known which part of it the client wants.
struct Offer {
    response: Response,
    /// What tells it from other files, for the tag.
    id: String,
    /// The time at which it begins.
    from: WallMillis,
    extension: &'static str,
    body: Box<dyn Body>,
    /// For what is kept to find the bytes.
    paid: Option<Taken>,
}

/// A range of bytes, and the head of the response with them.
pub(super) struct Bytes {
    response: Response,
    range: Range<u64>,
    body: Box<dyn Body>,
    /// For what is kept to find the bytes.
    _paid: Option<Taken>,
}

/// An answer, or the response that refuses it: boxed, because it is handed through many functions.
type Answer<T> = Result<T, Box<Response>>;

/// Answers a request for recordings.
#[inline(never)] // Keeps these locals off the stack while the answer is sent.
pub(super) fn reply<'s>(
    shared: &'s Arc<Shared>,
    exchange: &mut Exchange<'_>,
    route: &Route,
) -> Result<RecordedReply<'s>, Response> {
    answer(shared, exchange, route).map_err(|response| *response)
}

fn answer<'s>(
    shared: &'s Arc<Shared>,
    exchange: &mut Exchange<'_>,
    route: &Route,
) -> Answer<RecordedReply<'s>> {
    let recordings = shared.recordings.library();
    if *route == Route::Recordings {
        return list::reply(shared, recordings, exchange).map(RecordedReply::List);
    }
    let recordings = recordings.ok_or_else(|| not_found("nothing is recorded here"))?;
    match route {
        Route::RecordedFile(key, name) => {
            let key = exchange.authorize(key)?.key;
            file::reply(exchange, recordings, &key, name).map(RecordedReply::Bytes)
        }
        Route::RecordedSpan(key) => {
            let key = exchange.authorize(key)?.key;
            span::file(exchange, recordings, &key).map(RecordedReply::Bytes)
        }
        Route::RecordedPlaylist(asked) => {
            let key = exchange.authorize(asked)?.key;
            span::playlist(exchange, recordings, &key, asked).map(RecordedReply::Playlist)
        }
        _ => Err(Response::not_found().into()),
    }
}

impl RecordedReply<'_> {
    /// Sends the answer.
    #[inline(never)]
    pub(super) fn write(self, writer: &mut Writer<'_>) -> Result<(), HttpEnd> {
        match self {
            RecordedReply::List(list) => list.write(writer),
            RecordedReply::Bytes(mut bytes) => bytes.write(writer),
            RecordedReply::Playlist(playlist) => playlist.write(writer),
        }
    }
}

impl Offer {
    /// Selects the bytes that the request wants.
    #[inline(never)] // One copy for all kinds of files.
    fn open(self, exchange: &Exchange<'_>, key: &StreamKey) -> Answer<Bytes> {
        let Offer { body, paid, .. } = self;
        let mut response = self.response;
        // Files grow, and are deleted when space is needed.
        response.cache = "no-cache";
        if has_parameter(exchange, "download") {
            response = with_file_name(response, key, self.from, self.extension);
        }
        let tag = conditions::tag(&self.id);
        let (response, range) = Ranged::new(exchange.head, tag).open(response, body.len())?;
        Ok(Bytes {
            response,
            range,
            body,
            _paid: paid,
        })
    }
}

impl Bytes {
    fn write(&mut self, writer: &mut Writer<'_>) -> Result<(), HttpEnd> {
        let response = std::mem::replace(&mut self.response, Response::new("", &[][..]));
        let len = self.range.end - self.range.start;
        writer.begin(response, Length::Known(len))?;
        if !writer.wants_body() {
            return Ok(());
        }
        match writer.shared.scratches.take() {
            Some(mut block) => self.send_through(block.bytes_mut(), writer),
            // Without a block, a small buffer on the stack has to do.
            None => self.send_slowly(writer),
        }
    }

    #[inline(never)] // Keeps its buffer off the stack of other callers.
    fn send_slowly(&mut self, writer: &mut Writer<'_>) -> Result<(), HttpEnd> {
        self.send_through(&mut [0; PIECE_LEN], writer)
    }

    /// Sends the range. If the disk fails, the response stays incomplete, so the connection ends.
    #[inline(never)]
    fn send_through(&mut self, room: &mut [u8], writer: &mut Writer<'_>) -> Result<(), HttpEnd> {
        while !self.range.is_empty() {
            let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
            let len = left.min(room.len());
            let piece = room.get_mut(..len).unwrap_or_default();
            let read = match self.body.fill(self.range.start, piece) {
                Ok(read) => read,
                Err(error) => {
                    let client = writer.client;
                    let line = writer.shared.warn(About::Media, client.address().ip());
                    line.say(format_args!(
                        "{client} gets no more of a recording: {error}"
                    ));
                    return Ok(());
                }
            };
            if read == 0 {
                return Ok(());
            }
            writer.write(piece.get(..read).unwrap_or_default())?;
            self.range.start += read as u64;
        }
        Ok(())
    }
}

/// Logs that a client has begun to play a recording. Ranges that follow the first one aren't logged.
fn log_beginning(exchange: &Exchange<'_>, key: &StreamKey, bytes: &Bytes, kind: &str) {
    if bytes.range.start == 0 && exchange.head.method() == Method::Get {
        log_viewer(exchange.shared, exchange.client, key, kind);
    }
}

/// The value of a parameter of the query, decoded.
fn parameter<'a>(exchange: &Exchange<'a>, name: &str) -> Option<Cow<'a, str>> {
    query::value(exchange.head.query()?, name)
}

/// The time in a parameter, if it is there.
fn time_of(exchange: &Exchange<'_>, name: &str) -> Answer<Option<WallMillis>> {
    let Some(text) = parameter(exchange, name) else {
        return Ok(None);
    };
    let time = query::time(&text);
    time.map(Some).ok_or_else(|| {
        bad(&[
            name,
            " is a time in UTC such as 2026-11-28T11:30:00Z, or in ms since 1970",
        ]
        .concat())
    })
}

/// The name under which a browser saves what was recorded of a stream from a time on:
/// `door_2026-11-28_11-30-00.mp4`.
fn with_file_name(
    response: Response,
    key: &StreamKey,
    from: WallMillis,
    extension: &str,
) -> Response {
    let (_, name) = key.app_and_name();
    let time = calendar::date_and_time(from / 1_000, '_');
    let mut value = String::from("attachment; filename=\"");
    for c in [name, "_", &time].concat().chars() {
        value.push(match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => c,
            ':' => '-',
            _ => '_',
        });
    }
    value.push_str(extension);
    value.push('"');
    response.header("Content-Disposition", &value)
}

/// Takes memory for what is kept of an answer.
#[inline(never)]
fn pay(exchange: &Exchange<'_>, bytes: usize) -> Option<Taken> {
    let (own, common) = (exchange.allowance, &exchange.shared.common);
    own.take(bytes).or_else(|_| common.take(bytes)).ok()
}

/// Whether a parameter is in the query, with or without a value.
fn has_parameter(exchange: &Exchange<'_>, name: &str) -> bool {
    let mut parameters = exchange.head.query().unwrap_or_default().split('&');
    parameters.any(|text| text.split('=').next() == Some(name))
}

/// The response after an error of the disk.
#[inline(never)]
fn disk_failed(exchange: &Exchange<'_>, key: &StreamKey, error: &std::io::Error) -> Box<Response> {
    exchange.warn(
        About::Media,
        format_args!("gets no recording of {key}: {error}"),
    );
    let why = "the recordings can't be read at the moment";
    super::retry_later(Status::ServiceUnavailable, why).into()
}

/// The response if nothing was recorded of a stream at a time. It shows how that time was understood.
#[inline(never)]
fn not_recorded(recordings: &Recordings, key: &StreamKey, from: WallMillis) -> Box<Response> {
    let time = Shown(from).to_string();
    let key = key.as_str();
    let why = [
        "nothing was recorded of ",
        key,
        " at that time, from ",
        &time,
    ];
    missing(recordings, &why.concat())
}

/// The response if something isn't there, or can't be seen because the whole disk isn't.
#[inline(never)]
fn missing(recordings: &Recordings, why: &str) -> Box<Response> {
    let state = match recordings.disk.check() {
        Ok(()) => DiskState::Fine,
        Err(error) => DiskState::of(&error),
    };
    match state {
        DiskState::Gone | DiskState::Failing => {
            let why = ["the recordings can't be read: ", state.name()].concat();
            super::retry_later(Status::ServiceUnavailable, &why).into()
        }
        _ => not_found(why),
    }
}

#[inline(never)]
fn not_found(why: &str) -> Box<Response> {
    Response::text(Status::NotFound, why).into()
}

#[inline(never)]
fn bad(why: &str) -> Box<Response> {
    Response::text(Status::BadRequest, why).into()
}
