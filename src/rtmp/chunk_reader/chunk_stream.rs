//! The state of a chunk stream, which later headers refer to.

use super::header::ChunkHeader;

/// The fields of the last headers. All of them start at 0, since librtmp opens a chunk stream with type
/// 1, and DJI's drones with type 2.
#[derive(Default)]
pub(super) struct ChunkStream {
    pub(super) id: u32,
    pub(super) timestamp: u32,
    delta: u32,
    /// The length of the message in bytes.
    pub(super) len: u32,
    pub(super) type_id: u8,
    pub(super) message_stream_id: u32,
    /// The extended timestamp of the last header of type 0, 1 or 2, if it had one.
    pub(super) extended: Option<u32>,
    /// Whether type 3 chunks repeat the extended timestamp; `None` until this has been observed.
    pub(super) repeats: Option<bool>,
    /// Whether a length is known, so that a message may begin with type 2 or 3.
    pub(super) is_opened: bool,
    /// Whether a message is under assembly.
    pub(super) is_partial: bool,
}

impl ChunkStream {
    pub(super) fn new(id: u32) -> ChunkStream {
        ChunkStream {
            id,
            ..ChunkStream::default()
        }
    }

    /// Returns the length and type of the message that this header begins or continues.
    pub(super) fn message(&self, header: &ChunkHeader) -> (u32, u8) {
        header.message.unwrap_or((self.len, self.type_id))
    }

    /// Applies the header of a new message. Type 3 has no fields: all fields stay the same, and the
    /// timestamp advances by the last delta.
    pub(super) fn begin(&mut self, header: &ChunkHeader) {
        let time = header.time.unwrap_or(self.delta);
        match header.message_stream_id {
            Some(id) => {
                self.timestamp = time;
                self.message_stream_id = id;
            }
            None => self.timestamp = self.timestamp.wrapping_add(time),
        }
        // Also after type 0: a following type 3 adds the timestamp field of the type 0 header
        // (5.3.1.2.4); ffmpeg and GStreamer send by that rule.
        self.delta = time;
        if header.format < 3 {
            self.extended = header.extended;
        }
        (self.len, self.type_id) = self.message(header);
        self.is_opened = true;
    }

    /// Returns the length in bytes of the extended timestamp in the following type 3 chunks; `None` if
    /// it isn't known yet.
    pub(super) fn repeated_len(&self, extended: Option<u32>) -> Option<usize> {
        match extended {
            None => Some(0),
            Some(_) => self.repeats.map(|repeats| if repeats { 4 } else { 0 }),
        }
    }
}
