//! Aggregate messages (7.1.6): several messages in one payload, laid out like FLV tags.
//!
//! ```text
//! type u8   size u24   timestamp u24, its high byte u8   stream id u24   bytes   back pointer u32
//! 09        00 00 05   00 00 28 00                       00 00 00        ...     00 00 00 10
//! ```
//!
//! The first inner message has the timestamp of the aggregate; the others keep their distance to it.
//! Message stream ids inside the aggregate are ignored.

use std::ops::Range;

use byteorder::{BigEndian, ByteOrder};

use super::bytes::slice;

/// The maximum number of messages in one aggregate.
const MAX_MESSAGES: u16 = 4096;

const HEADER_LEN: usize = 11;
const BACK_POINTER_LEN: usize = 4;

/// An iterator over an aggregate message.
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    /// The message stream of the aggregate, and of every message in it.
    pub(super) message_stream_id: u32,
    timestamp: u32,
    /// The timestamp of the first inner message, once it has been read.
    first: Option<u32>,
    at: usize,
    messages_left: u16,
}

/// A message in an aggregate message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InnerMessage {
    pub(super) type_id: u8,
    pub(super) timestamp: u32,
    /// The position of the message's bytes in the aggregate's payload.
    pub(super) range: Range<usize>,
}

impl Aggregate {
    pub(super) fn new(message_stream_id: u32, timestamp: u32) -> Aggregate {
        Aggregate {
            message_stream_id,
            timestamp,
            first: None,
            at: 0,
            messages_left: MAX_MESSAGES,
        }
    }

    /// Returns the next message, or `None` at the end. The rest of the aggregate is dropped if the next
    /// message is truncated or the limit is reached. The last back pointer may be missing.
    pub(super) fn next<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<InnerMessage> {
        self.messages_left = self.messages_left.checked_sub(1)?;
        let len: usize = parts.clone().map(<[u8]>::len).sum();
        let start = self.at.checked_add(HEADER_LEN).filter(|end| *end <= len)?;
        let mut header = [0; HEADER_LEN];
        let bytes = slice(parts, self.at..start).flatten();
        header
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);

        let [type_id, _, _, _, _, _, _, high, ..] = header;
        let size = header.get(1..4).map_or(0, BigEndian::read_u24) as usize;
        let low = header.get(4..7).map_or(0, BigEndian::read_u24);
        let inner = low | u32::from(high) << 24;
        let end = start.checked_add(size).filter(|end| *end <= len)?;
        self.at = end + BACK_POINTER_LEN;
        let first = *self.first.get_or_insert(inner);
        Some(InnerMessage {
            type_id,
            timestamp: self.timestamp.wrapping_add(inner.wrapping_sub(first)),
            range: start..end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGGREGATE: &[u8] = &[
        0x08, 0, 0, 2, 0, 0, 0x64, 0, 9, 9, 9, 0xAF, 0x01, 0, 0, 0, 13, // audio at 100
        0x09, 0, 0, 3, 0, 0, 0x8C, 0, 0, 0, 0, 0x27, 0x01, 0x00, 0, 0, 0, 14, // video at 140
        0x12, 0, 0, 1, 0, 0, 0x50, 0, 0, 0, 0, 0x05, // data at 80, no back pointer
    ];

    fn all(bytes: &[u8], cut: usize) -> Vec<(u8, u32, Vec<u8>)> {
        let (left, right) = bytes.split_at(cut.min(bytes.len()));
        let parts = [left, right].into_iter();
        let mut aggregate = Aggregate::new(1, 5000);
        let mut found = Vec::new();
        while let Some(inner) = aggregate.next(parts.clone()) {
            let bytes = slice(parts.clone(), inner.range).collect::<Vec<_>>();
            found.push((inner.type_id, inner.timestamp, bytes.concat()));
        }
        found
    }

    #[test]
    fn the_first_message_has_the_aggregates_time_and_the_others_follow() {
        let expected = [
            (8, 5000, vec![0xAF, 0x01]),
            (9, 5040, vec![0x27, 0x01, 0x00]),
            (18, 4980, vec![0x05]),
        ];
        for cut in 0..AGGREGATE.len() {
            assert_eq!(all(AGGREGATE, cut), expected, "cut at {cut}");
        }
    }

    #[test]
    fn the_timestamps_high_byte_counts_and_time_wraps() {
        let mut bytes = AGGREGATE.to_vec();
        bytes[7] = 0xFF;
        bytes[24] = 0xFF;
        let times: Vec<u32> = all(&bytes, 0).iter().map(|inner| inner.1).collect();
        assert_eq!(times, [5000, 5040, 5000 + 0x0100_0050 - 0x64]);
    }

    #[test]
    fn truncated_messages_are_dropped() {
        let whole = all(AGGREGATE, 0);
        for len in 0..AGGREGATE.len() {
            let found = all(&AGGREGATE[..len], 0);
            assert!(whole.starts_with(&found), "{len} bytes");
            assert!(found.len() < whole.len(), "{len} bytes");
        }
    }

    #[test]
    fn a_size_beyond_the_parent_ends_it() {
        let mut bytes = AGGREGATE.to_vec();
        bytes[18] = 0xFF;
        assert_eq!(all(&bytes, 0).len(), 1);
    }

    #[test]
    fn a_flood_of_empty_messages_has_an_end() {
        let empty = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
        assert_eq!(all(&empty.repeat(5000), 0).len(), 4096);
    }
}
