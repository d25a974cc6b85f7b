//! What the fuzz targets do with their input, and the invariants that they check.
//! `tests/hostile_input.rs` runs the same functions over mutated captures and over every input that
//! ever crashed one.

mod amf;
mod client_session;
mod files;
mod http;
mod media;
mod mp4;
mod recorded;
mod repair;
mod session;
mod tree;

use std::cell::Cell;
use std::rc::Rc;

use brooklet::live::arena::{Arena, BLOCK_LEN};
use brooklet::live::payload::SMALL_LEN;
use brooklet::media::aac::AacConfig;
use brooklet::media::access_unit::{
    MAX_SETS_LEN, ParameterSets, UnitFormat, clean_range, is_keyframe, summarize,
};
use brooklet::media::avc::{self, AvcConfig};
use brooklet::media::codec::{Codec, VideoCodec};
use brooklet::media::hevc::{self, HevcConfig};
use brooklet::media::tag::tracks::{TrackMessage, TrackSplitter};
use brooklet::media::tag::{Tag, TagKind};
use brooklet::media::video_format::VideoFormat;
use brooklet::media::{Medium, TrackInfo};
use brooklet::rtmp::amf::{Parts, Properties, Reader};
use brooklet::rtmp::amf0::{self, MissingEnd, Value};
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::chunk::{self, chunk_stream_id};
use brooklet::rtmp::chunk_reader::{
    ChunkReader, Heap, Limits, Payload, PayloadSource, ReceivedMessage,
};
use brooklet::rtmp::chunk_writer::ChunkWriter;
use brooklet::rtmp::command::{Command, object, text};
use brooklet::rtmp::data::{self, Relayed};
use brooklet::rtmp::flight_recorder::FlightRecorder;
use brooklet::rtmp::message::{Control, UserControl, type_id};
use brooklet::rtmp::server_session::{Event, MAX_REPLIES, ServerSession};
use brooklet::rtmp::{Error, metadata as rtmp_metadata};

pub use amf::{amf0, amf3, metadata};
pub use client_session::client_session;
pub use files::{demux, flv_reader};
pub use http::{http_head, websocket};
pub use media::tag;
pub use mp4::mp4;
pub use recorded::{recorded, recorded_file};
pub use repair::repair;
pub use session::{HANDSHAKE_LEN, session, session_bytes};

/// The longest media message in these tests.
const MAX_MESSAGE: u32 = 1 << 20;

thread_local! {
    // Arenas stay claimed for the rest of the process: one per thread.
    static ARENA: Arena = Arena::new(16 * BLOCK_LEN);
}

/// A message as it was read, or the error that ended the reading.
type Read = Result<(ReceivedMessage<'static>, Vec<u8>), Error>;

/// The first byte says how the rest is cut. Whatever the cut, and however little memory there is at
/// a time, the same messages must come out.
pub fn chunk_reader(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = read_all(Heap, [bytes]);
    assert_eq!(read_all(Heap, bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(
        read_all(Heap, bytes.chunks(usize::from(cut) + 2)),
        whole,
        "in pieces"
    );
    let narrow = Narrow {
        room: Rc::new(Cell::new(0)),
    };
    assert_eq!(read_all(narrow, [bytes]), whole, "with little room");
}

/// Reads like a session: obeys Set Chunk Size and Abort.
fn read_all<'a, S: PayloadSource + Refill>(
    source: S,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Read> {
    let limits = Limits {
        media: MAX_MESSAGE,
        data: 1 << 16,
        command: 1 << 15,
        ..Limits::NONE
    };
    let refill = source.refill();
    let mut reader = ChunkReader::new(source, limits);
    let mut messages = Vec::new();
    for input in pieces {
        let mut input = Bytes::from(input);
        loop {
            let (header, body) = match reader.read(&mut input) {
                Ok(Some(message)) => {
                    let payload = reader.payload(message.in_place);
                    let body = payload.collect::<Vec<_>>().concat();
                    // Wherever it lies, it comes to the same.
                    let header = ReceivedMessage {
                        chunk_stream_id: message.chunk_stream_id,
                        timestamp: message.timestamp,
                        type_id: message.type_id,
                        message_stream_id: message.message_stream_id,
                        in_place: None,
                    };
                    (header, body)
                }
                Ok(None) => break,
                Err(Error::OutOfBlocks) => {
                    refill();
                    continue;
                }
                Err(error) => {
                    messages.push(Err(error));
                    return messages;
                }
            };
            let obeyed = match Control::parse(header.type_id, &body) {
                Ok(Control::SetChunkSize(size)) if header.type_id == 1 => {
                    reader.set_chunk_size(size)
                }
                Ok(Control::Abort(id)) if header.type_id == 2 => {
                    reader.abort(id);
                    Ok(())
                }
                _ => Ok(()),
            };
            messages.push(Ok((header, body)));
            if let Err(error) = obeyed {
                messages.push(Err(error));
                return messages;
            }
        }
        assert!(
            input.is_empty(),
            "input is left though the reader wants more"
        );
    }
    messages
}

trait Refill {
    fn refill(&self) -> Box<dyn Fn()>;
}

impl Refill for Heap {
    fn refill(&self) -> Box<dyn Fn()> {
        Box::new(|| panic!("the heap has no blocks to be out of"))
    }
}

/// Memory that is given three bytes at a time.
struct Narrow {
    room: Rc<Cell<usize>>,
}

struct NarrowPayload {
    room: Rc<Cell<usize>>,
    bytes: Vec<u8>,
}

impl Refill for Narrow {
    fn refill(&self) -> Box<dyn Fn()> {
        let room = Rc::clone(&self.room);
        Box::new(move || {
            assert_eq!(room.replace(3), 0, "out of blocks with room left");
        })
    }
}

impl PayloadSource for Narrow {
    type Payload = NarrowPayload;

    fn payload(&self) -> NarrowPayload {
        NarrowPayload {
            room: Rc::clone(&self.room),
            bytes: Vec::new(),
        }
    }
}

impl Payload for NarrowPayload {
    fn extend(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room.get());
        self.room.set(self.room.get() - taken);
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        std::iter::once(self.bytes.as_slice())
    }
}
