//! The stage: the messages that most receivers get next, framed and joined once for all of them.
//!
//! After a read, the publisher's thread sends the same few messages to every player, and nearly all
//! players want the same bytes. One `send` of contiguous bytes costs 4 to 5 % less in the kernel than
//! one `sendmsg` of separate headers and payloads, and messages aren't framed again for each player.
//! This pays for a copy of at most [`MAX_LEN`] bytes as soon as there are [`MIN_RECEIVERS`] receivers.
//! Messages that these receivers don't accept are left out. A receiver that is behind, has just joined,
//! or wants other messages than the rest is served from the log.
//!
//! There is one shelf per format. Time begins at 0 for each receiver of a file, so the heads of the
//! messages are rewritten for each of these receivers. The payloads between the heads remain.

use std::ops::Range;

use super::framing::Framing;
use super::message::Message;
use super::outgoing::Outgoing;
use crate::live::capabilities::Capabilities;
use crate::live::log::{Log, Role};

/// The maximum number of bytes that are staged. Copying costs little compared with sending, but memory
/// counts: this much per pump in progress and format in use.
const MAX_LEN: usize = 32 * 1024;

/// The maximum number of messages that are staged.
const MAX_MESSAGES: u64 = 64;

/// The number of receivers at which staging begins to pay.
const MIN_RECEIVERS: usize = 4;

/// See the module's documentation.
#[derive(Default)]
pub(in crate::live) struct Stage {
    /// The numbers of the messages to be staged.
    messages: Range<u64>,
    /// The union of the capabilities that these messages need.
    needs: Capabilities,
    /// One shelf each for RTMP, FLV and MP4.
    shelves: [Shelf; 3],
}

/// The messages in one format.
#[derive(Default)]
pub(super) struct Shelf {
    /// The number of the first message.
    first: u64,
    /// The framing of the staged messages, and which of the messages' needs their receivers have:
    /// messages that they don't accept are left out. `None` until a receiver asks.
    receivers: Option<(Framing, Capabilities)>,
    /// The framed messages.
    pub(super) bytes: Vec<u8>,
    /// Where each of the messages ends in `bytes`.
    ends: Vec<usize>,
    /// The offsets in `bytes` of the heads of files' messages, with the messages.
    heads: Vec<(usize, Message)>,
}

impl Stage {
    /// Forgets the messages: nothing is staged.
    pub(in crate::live) fn clear(&mut self) {
        self.messages = 0..0;
    }

    /// Prepares to stage the messages from `first` on, if that pays for this number of receivers.
    pub(in crate::live) fn begin(&mut self, first: u64, log: &Log, receivers: usize) {
        for shelf in &mut self.shelves {
            shelf.receivers = None;
        }
        self.clear();
        let messages = first.max(log.start())..log.end();
        if receivers < MIN_RECEIVERS || messages.end - messages.start > MAX_MESSAGES {
            return;
        }
        let mut len = 0;
        let mut needs = Capabilities::NONE;
        for number in messages.clone() {
            // Not every receiver needs a header, so ranges that contain one aren't staged.
            let entry = log.entry(number);
            let Some(entry) = entry.filter(|entry| entry.meta.role != Role::Header) else {
                return;
            };
            needs.0 |= entry.meta.needs.0;
            len += entry.len as usize;
        }
        if len <= MAX_LEN {
            self.messages = messages;
            self.needs = needs;
        }
    }

    /// Returns the framed messages from `first` to the end of the log for a receiver with this framing
    /// and these capabilities, if they are staged or can be.
    pub(super) fn shelf(
        &mut self,
        framing: Framing,
        capabilities: Capabilities,
        first: u64,
        log: &Log,
    ) -> Option<&Shelf> {
        let messages = self.messages.clone();
        if messages.is_empty() || messages != (first..log.end()) {
            return None;
        }
        let capabilities = Capabilities(capabilities.0 & self.needs.0);
        let shelf = &mut self.shelves[framing.format.index()];
        if shelf.receivers.is_none() {
            shelf.fill(framing, capabilities, messages, log);
        }
        let (staged, of) = shelf.receivers?;
        if of != capabilities || !staged.is_like(&framing) || shelf.bytes.is_empty() {
            return None;
        }
        if staged != framing {
            shelf.write_heads(framing);
            shelf.receivers = Some((framing, capabilities));
        }
        Some(shelf)
    }
}

impl Shelf {
    /// The place in the log after `sent` of the bytes: the number of the message, and how many of its
    /// bytes have been sent.
    pub(super) fn place(&self, sent: usize) -> (u64, u64) {
        let complete = self.ends.partition_point(|end| *end <= sent);
        let start = complete.checked_sub(1).and_then(|last| self.ends.get(last));
        (
            self.first + complete as u64,
            (sent - start.copied().unwrap_or(0)) as u64,
        )
    }

    fn fill(
        &mut self,
        framing: Framing,
        capabilities: Capabilities,
        messages: Range<u64>,
        log: &Log,
    ) {
        self.first = messages.start;
        self.bytes.clear();
        self.ends.clear();
        self.heads.clear();
        for number in messages {
            let entry = log.entry(number);
            if let Some(entry) = entry.filter(|entry| framing.format.takes(capabilities, entry)) {
                let outgoing = Outgoing::new(framing, capabilities, number, &entry, None, log);
                if framing.format.is_file() {
                    self.heads.push((self.bytes.len(), outgoing.message));
                }
                outgoing.each_slice(0, log, &mut |bytes| self.bytes.extend_from_slice(bytes));
            }
            self.ends.push(self.bytes.len());
        }
        self.receivers = Some((framing, capabilities));
    }

    /// Rewrites the heads for a receiver with another base time. Their lengths don't change.
    fn write_heads(&mut self, framing: Framing) {
        for (at, message) in &self.heads {
            let framed = framing.frame(message);
            let head = framed.head.as_slice();
            self.bytes[*at..*at + head.len()].copy_from_slice(head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::arena::Arena;
    use crate::live::kind::Kind;
    use crate::live::log::{Meta, Sample};
    use crate::live::out::carrier::Carrier;
    use crate::live::out::format::WireFormat;
    use crate::rtmp::server_session::Dialect;

    const FRAMING: Framing = Framing::rtmp(1, Dialect::AMF0);
    const PLAIN: Capabilities = Capabilities::NONE;

    fn log_of(lengths: &[usize]) -> Log {
        log_that_needs(PLAIN, lengths)
    }

    fn log_that_needs(needs: Capabilities, lengths: &[usize]) -> Log {
        let mut log = Log::new(Arena::new(1 << 20), 1_000);
        for len in lengths {
            let meta = Meta {
                kind: Kind::Video,
                timestamp: 0,
                arrived: 0,
                is_join_point: false,
                role: Role::Media,
                preamble_version: 0,
                needs,
                mod_ex_len: 0,
                sample: Sample::default(),
            };
            log.append(meta, std::iter::once(&vec![7; *len][..]))
                .unwrap();
        }
        log
    }

    #[test]
    fn each_place_in_the_staged_bytes_is_a_place_in_the_log() {
        let log = log_of(&[5, 100, 0, 10]);
        let mut stage = Stage::default();
        stage.begin(1, &log, 4);
        assert_eq!(
            stage.shelf(FRAMING, PLAIN, 1, &log).unwrap().bytes.len(),
            112 + 12 + 22
        );
        for (sent, place) in [
            (0, (1, 0)),
            (1, (1, 1)),
            (111, (1, 111)),
            (112, (2, 0)),
            (124, (3, 0)),
            (125, (3, 1)),
            (146, (4, 0)),
        ] {
            let shelf = stage.shelf(FRAMING, PLAIN, 1, &log).unwrap();
            assert_eq!(shelf.place(sent), place, "{sent}");
        }
    }

    #[test]
    fn only_those_who_want_exactly_this_are_served() {
        let log = log_of(&[5, 100]);
        let mut stage = Stage::default();
        stage.begin(1, &log, 4);
        assert!(stage.shelf(FRAMING, PLAIN, 0, &log).is_none(), "behind");
        assert!(stage.shelf(FRAMING, PLAIN, 1, &log).is_some());
        let other = Framing::rtmp(2, Dialect::AMF0);
        assert!(
            stage.shelf(other, PLAIN, 1, &log).is_none(),
            "another framing"
        );
        stage.begin(2, &log, 4);
        assert!(
            stage.shelf(FRAMING, PLAIN, 2, &log).is_none(),
            "nothing new"
        );
        stage.begin(0, &log, 3);
        assert!(
            stage.shelf(FRAMING, PLAIN, 0, &log).is_none(),
            "too few receivers"
        );
    }

    #[test]
    fn receivers_share_what_is_the_same_for_them() {
        let (some, all) = (Capabilities::unknown(), Capabilities::everything());
        let log = log_of(&[5, 100]);
        let mut stage = Stage::default();
        stage.begin(0, &log, 4);
        assert!(stage.shelf(FRAMING, some, 0, &log).is_some());
        assert!(stage.shelf(FRAMING, all, 0, &log).is_some());

        let log = log_that_needs(PLAIN.with_all_tracks(), &[5, 100]);
        stage.begin(0, &log, 4);
        assert!(stage.shelf(FRAMING, all, 0, &log).is_some());
        assert!(stage.shelf(FRAMING, some, 0, &log).is_none());
        stage.begin(0, &log, 4);
        assert!(
            stage.shelf(FRAMING, some, 0, &log).is_none(),
            "all left out"
        );
    }

    #[test]
    fn files_share_payloads_and_have_their_own_times() {
        let log = log_of(&[5, 100, 10]);
        let mut stage = Stage::default();
        stage.begin(0, &log, 4);
        for base in [0, 7, u32::MAX, 0] {
            let mut framing = Framing::flv(Carrier::WebSocket);
            framing.format = WireFormat::Flv { base };
            let expected: Vec<u8> = (0..3)
                .flat_map(|number| {
                    let entry = log.entry(number).unwrap();
                    let outgoing = Outgoing::new(framing, PLAIN, number, &entry, None, &log);
                    let mut bytes = Vec::new();
                    outgoing.each_slice(0, &log, &mut |part| bytes.extend_from_slice(part));
                    bytes
                })
                .collect();
            let shelf = stage.shelf(framing, PLAIN, 0, &log).unwrap();
            assert_eq!(shelf.bytes, expected, "{base}");
        }
        let other = Framing::flv(Carrier::Chunked);
        assert!(stage.shelf(other, PLAIN, 0, &log).is_none());
        assert!(
            stage.shelf(FRAMING, PLAIN, 0, &log).is_some(),
            "beside them"
        );
    }

    #[test]
    fn what_is_long_is_not_copied() {
        let log = log_of(&[MAX_LEN + 1]);
        let mut stage = Stage::default();
        stage.begin(0, &log, 200);
        assert!(stage.shelf(FRAMING, PLAIN, 0, &log).is_none());
    }
}
