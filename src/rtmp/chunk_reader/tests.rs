//! Every case is read in one piece, byte by byte, and cut at every offset.

use std::fmt::Debug;

use super::*;
use crate::rtmp::message::Control;

mod assembly;
mod headers;
mod in_place;
mod limits;
mod memory;
mod timestamps;

/// Offsets at this distance are cut in the same run; otherwise captures of 10 kB would take minutes.
const APART: usize = 1024;

/// Passes `bytes` to `run` in one piece, byte by byte, and cut at every offset; all results must be
/// equal.
pub(crate) fn every_split<R: PartialEq + Debug>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> R) -> R {
    let whole = run(&[bytes]);
    let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(run(&bytewise), whole, "byte by byte");
    for cut in 1..bytes.len().min(1 + APART) {
        let (first, rest) = bytes.split_at(cut);
        let pieces: Vec<&[u8]> = [first].into_iter().chain(rest.chunks(APART)).collect();
        assert_eq!(run(&pieces), whole, "cut at {cut} and each {APART} bytes");
    }
    whole
}

const LIMITS: Limits = Limits {
    media: 4096,
    data: 3072,
    command: 2048,
    ..Limits::NONE
};

/// The chunk stream, timestamp, type, message stream and payload of a message.
type Message = (u32, u32, u8, u32, Vec<u8>);

/// All messages, followed by the error or the number of missing bytes.
type ReadResult = (Vec<Message>, Result<u64, Error>);

fn read<S: PayloadSource>(source: S, pieces: &[&[u8]]) -> ReadResult {
    let pieces: Vec<_> = pieces.iter().map(std::slice::from_ref).collect();
    read_all(source, &pieces)
}

/// Reads like a session, which obeys Set Chunk Size and Abort. Each piece of the input may lie in
/// several slices.
fn read_all<S: PayloadSource>(source: S, pieces: &[&[&[u8]]]) -> ReadResult {
    let mut reader = ChunkReader::new(source, LIMITS);
    let mut messages = Vec::new();
    let result = pieces.iter().try_for_each(|piece| {
        let mut input = Bytes::new(piece);
        while let Some(header) = reader.read(&mut input)? {
            let body = reader.payload(header.in_place).collect::<Vec<_>>();
            let body = body.concat();
            match (header.type_id, Control::parse(header.type_id, &body)) {
                (1, Ok(Control::SetChunkSize(size))) => reader.set_chunk_size(size)?,
                (2, Ok(Control::Abort(id))) => reader.abort(id),
                _ => {}
            }
            messages.push((
                header.chunk_stream_id,
                header.timestamp,
                header.type_id,
                header.message_stream_id,
                body,
            ));
        }
        assert!(input.is_empty(), "input is left");
        Ok(())
    });
    (messages, result.map(|()| reader.missing_bytes()))
}

/// Reads `bytes` in every split, both as consecutive pieces and as slices of one piece. Payloads read in
/// place must equal assembled ones.
fn read_every_split(bytes: &[u8]) -> ReadResult {
    let whole = every_split(bytes, |pieces| read(Heap, pieces));
    let in_places = every_split(bytes, |pieces| read_all(Heap, &[pieces]));
    assert_eq!(in_places, whole);
    whole
}

fn messages(bytes: &[u8]) -> Vec<Message> {
    let (messages, result) = read_every_split(bytes);
    assert!(result.is_ok(), "{result:?} after {messages:?}");
    messages
}

fn error(bytes: &[u8]) -> String {
    let (_, result) = read_every_split(bytes);
    result.unwrap_err().to_string()
}

/// Returns only timestamps and payloads, which most cases check.
fn timed(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let timed = |(_, timestamp, _, _, payload): Message| (timestamp, payload);
    messages(bytes).into_iter().map(timed).collect()
}

fn timestamps(bytes: &[u8]) -> Vec<u32> {
    timed(bytes)
        .into_iter()
        .map(|(timestamp, _)| timestamp)
        .collect()
}

fn media(timestamp: u32, payload: &[u8]) -> (u32, Vec<u8>) {
    (timestamp, payload.to_vec())
}
