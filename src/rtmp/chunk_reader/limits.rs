//! Limits on what a peer may send.

use crate::rtmp::Error;

/// The longest message in bytes, by type, and the limits on what is under assembly at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest audio, video or aggregate message, in bytes.
    pub media: u32,
    /// The longest data message or shared object message, in bytes.
    pub data: u32,
    /// The longest command, in bytes.
    pub command: u32,
    /// The number of messages under assembly at the same time, on different chunk streams.
    pub partial_messages: u32,
    /// The total length in bytes of the messages under assembly, as their headers announce it.
    pub partial_bytes: u32,
}

impl Limits {
    /// Limits for a side that trusts its peer.
    pub const NONE: Limits = Limits {
        media: u32::MAX,
        data: u32::MAX,
        command: u32::MAX,
        partial_messages: 8,
        partial_bytes: u32::MAX,
    };

    /// The longest protocol control or user control message, in bytes; the longest defined one has 10
    /// bytes.
    pub(in crate::rtmp) const CONTROL: u32 = 64;

    /// Checks the length and type of a message that begins, while `messages` other messages with a total
    /// of `bytes` bytes are under assembly.
    pub(super) fn check(
        &self,
        (len, type_id): (u32, u8),
        messages: usize,
        bytes: u64,
    ) -> Result<(), Error> {
        let raise_max = Some("--max-message");
        let (allowed, what, option) = match type_id {
            8 | 9 | 22 => (self.media, "length of a media message in bytes", raise_max),
            15 | 16 | 18 | 19 => (self.data, "length of a data message in bytes", None),
            17 | 20 => (self.command, "length of a command in bytes", None),
            1..=6 => (Self::CONTROL, "length of a control message in bytes", None),
            _ => {
                let what = "length of a message of unknown type in bytes";
                (self.data, what, None)
            }
        };
        limit(what, len.into(), allowed, option)?;
        limit(
            "messages under assembly at the same time",
            messages as u64 + 1,
            self.partial_messages,
            None,
        )?;
        limit(
            "bytes of messages under assembly",
            bytes + u64::from(len),
            self.partial_bytes,
            raise_max,
        )
    }
}

fn limit(
    what: &'static str,
    got: u64,
    allowed: u32,
    option: Option<&'static str>,
) -> Result<(), Error> {
    let allowed = allowed.into();
    if got <= allowed {
        return Ok(());
    }
    Err(Error::Limit {
        what,
        got,
        allowed,
        option,
    })
}
