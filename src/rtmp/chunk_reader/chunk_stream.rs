//! The state of a chunk stream, which later headers refer to.

use super::header::ChunkHeader;

/// The fields of the last headers. All of them start at 0: librtmp opens a chunk stream with type 1,
/// DJI's drones with type 2.
#[derive(Default)]
pub(super) struct ChunkStream {
    pub(super) id: u32,
    pub(super) timestamp: u32,
    delta: u32,
    /// Length of the message in bytes.
    pub(super) len: u32,
    pub(super) type_id: u8,
    pub(super) message_stream_id: u32,
    /// The extended timestamp of the last header of type 0, 1 or 2, if it had one.
    pub(super) extended: Option<u32>,
    /// Whether type 3 chunks repeat it, once that was seen.
    pub(super) repeats: Option<bool>,
    /// A length is known, so a message may begin with type 2 or 3.
    pub(super) is_opened: bool,
    /// A message is under assembly.
    pub(super) is_partial: bool,
}

impl ChunkStream {
    pub(super) fn new(id: u32) -> ChunkStream {
        ChunkStream {
            id,
            ..ChunkStream::default()
        }
    }

    /// Length and type of the message that this header begins or continues.
    pub(super) fn message(&self, header: &ChunkHeader) -> (u32, u8) {
        header.message.unwrap_or((self.len, self.type_id))
    }

    /// Takes over the header of a new message. Type 3 has no fields: everything is as before, one
    /// delta later.
    pub(super) fn begin(&mut self, header: &ChunkHeader) {
        let time = header.time.unwrap_or(self.delta);
        match header.message_stream_id {
            Some(id) => {
                self.timestamp = time;
                self.message_stream_id = id;
            }
            None => self.timestamp = self.timestamp.wrapping_add(time),
        }
        // After type 0 too: a following type 3 adds the field of the type 0 header (5.3.1.2.4);
        // ffmpeg and GStreamer send by that rule.
        self.delta = time;
        if header.format < 3 {
            self.extended = header.extended;
        }
        (self.len, self.type_id) = self.message(header);
        self.is_opened = true;
    }

    /// Length of the extended timestamp in the type 3 chunks that follow; `None` if it isn't known yet.
    pub(super) fn repeated_len(&self, extended: Option<u32>) -> Option<usize> {
        match extended {
            None => Some(0),
            Some(_) => self.repeats.map(|repeats| if repeats { 4 } else { 0 }),
        }
    }
}
