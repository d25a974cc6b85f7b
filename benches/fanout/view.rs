//! What one player sees of its stream, and whether that is what was published.

use crate::media::{self, Arrival, Checker, Track};
use crate::wire::{self, Collector};

/// One fault causes others, so the first ones suffice.
const MAX_FAULTS: usize = 3;

/// What one player has seen, and what it expects next.
pub(crate) struct View {
    number: usize,
    pub(crate) stream: u32,
    checkers: [Checker; 2],
    has_sequence_header: [bool; 2],
    /// The next sequence number of each track; `None` before its first message.
    pub(crate) next: [Option<u32>; 2],
    timestamps: [u32; 2],
    collector: Collector,
    /// The payload of a Ping Request, to be returned.
    pub(crate) ping: Option<[u8; 4]>,
    pub(crate) faults: Vec<String>,
}

impl View {
    pub(crate) fn new(number: usize, stream: u32) -> Self {
        Self {
            number,
            stream,
            checkers: Track::ALL.map(Checker::new),
            has_sequence_header: [false; 2],
            next: [None; 2],
            timestamps: [0; 2],
            collector: Collector::default(),
            ping: None,
            faults: Vec::new(),
        }
    }

    pub(crate) fn fault(&mut self, what: &str) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(format!("player {}: {what}", self.number));
        }
    }

    /// Returns the send time when the piece completes a media message. An error ends the player.
    pub(crate) fn take(&mut self, piece: &wire::Piece<'_>) -> Result<Option<u64>, String> {
        let of_piece = |track: &Track| track.message_type() == piece.header.message_type;
        let Some(track) = Track::ALL.into_iter().find(of_piece) else {
            let message_type = piece.header.message_type;
            if let (wire::USER_CONTROL, Some([0, 6, token @ ..])) =
                (message_type, self.collector.add(piece)?)
            {
                self.ping = token.first_chunk().copied();
            }
            return Ok(None);
        };
        match self.checkers[track as usize].add(piece) {
            Ok(None) => {}
            Ok(Some(Arrival::SequenceHeader)) => self.has_sequence_header[track as usize] = true,
            Ok(Some(Arrival::Message(stamp))) => {
                self.check(track, piece.header.timestamp, stamp);
                return Ok(Some(stamp.sent_ns));
            }
            Err(what) => self.fault(&what),
        }
        Ok(None)
    }

    fn check(&mut self, track: Track, timestamp: u32, stamp: media::Stamp) {
        let (index, sequence) = (track as usize, stamp.sequence);
        if stamp.stream != self.stream {
            self.fault(&format!(
                "a message of stream {}, not {}",
                stamp.stream, self.stream
            ));
        }
        match self.next[index] {
            None if !self.has_sequence_header[index] => {
                self.fault(&format!("{track:?} begins without its sequence header"));
            }
            None if track == Track::Video && !media::is_keyframe(sequence) => {
                self.fault(&format!("the first frame, {sequence}, is no keyframe"));
            }
            Some(next) if next != sequence => {
                self.fault(&format!("{track:?}: {sequence} came in place of {next}"));
            }
            _ => {}
        }
        if timestamp < self.timestamps[index] {
            let before = self.timestamps[index];
            self.fault(&format!(
                "{track:?} {sequence}: {timestamp} ms after {before} ms"
            ));
        }
        self.next[index] = Some(sequence + 1);
        self.timestamps[index] = timestamp;
    }
}
