//! Sends media directly from the log, as the body of a response.

use std::io::Write;

use super::writer::{PIECE_LEN, Writer};
use crate::http::Response;
use crate::live::hls::reader::{Evicted, FragmentReader};
use crate::live::out::sink::try_send;
use crate::live::stream::Stream;
use crate::server::http_conn::HttpEnd;

/// The number of bytes that are copied out of the log when the client's socket is full: no thread may
/// wait while it holds the stream's lock.
const WAITING_LEN: usize = 512;

/// Sends the head of a response, and media of the announced length.
pub(super) fn send(
    writer: &mut Writer<'_>,
    stream: &Stream,
    reader: &mut FragmentReader,
    head: &[u8],
) -> Result<(), HttpEnd> {
    if !writer.wants_body() {
        return writer.write_all(head);
    }
    match writer.shared.scratches.take() {
        Some(mut block) => send_through(block.bytes_mut(), writer, stream, reader, head),
        // Without a block, a small buffer on the stack has to do.
        None => send_slowly(writer, stream, reader, head),
    }
}

#[inline(never)] // Keeps its buffer off the stack of other callers.
fn send_slowly(
    writer: &mut Writer<'_>,
    stream: &Stream,
    reader: &mut FragmentReader,
    head: &[u8],
) -> Result<(), HttpEnd> {
    send_through(&mut [0; PIECE_LEN], writer, stream, reader, head)
}

/// Sends directly from the log while the socket accepts bytes. When it is full, copies a few bytes and
/// sends these with a wait, so that the stream isn't locked while the thread waits.
#[inline(never)]
fn send_through(
    room: &mut [u8],
    writer: &mut Writer<'_>,
    stream: &Stream,
    reader: &mut FragmentReader,
    mut head: &[u8],
) -> Result<(), HttpEnd> {
    let mut is_begun = head.is_empty();
    loop {
        let now = writer.shared.now();
        let mut is_blocked = false;
        let sent = stream.send(reader, head, room, now, &mut |slices| {
            let sent = try_send(&**writer.socket, slices)?;
            is_blocked = sent < slices.iter().map(|slice| slice.len()).sum();
            Ok(sent)
        });
        let sent = match sent {
            Ok(sent) => writer.check(sent)?,
            Err(Evicted) if !is_begun => return writer.respond(Response::not_found()),
            // The response stays incomplete, so the connection ends.
            Err(Evicted) => {
                log::debug!("{}: too slow for a segment", writer.client);
                return Ok(());
            }
        };
        is_begun |= sent > 0;
        head = head.get(sent..).unwrap_or_default();
        writer.note_sent(sent, is_blocked)?;
        if !is_blocked {
            if sent == 0 || reader.len == 0 {
                return Ok(());
            }
            continue;
        }
        let (piece, room) = room.split_at_mut(WAITING_LEN);
        let copied = stream.send(reader, head, room, now, &mut |slices| {
            (&mut *piece).write_vectored(slices)
        });
        // If this fails because messages were evicted, the next round fails too, and reports it.
        if let Ok(Ok(copied)) = copied {
            head = head.get(copied..).unwrap_or_default();
            writer.write_all(piece.get(..copied).unwrap_or_default())?;
        }
    }
}
