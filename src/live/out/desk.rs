//! A desk: the buffers that a pump works with.

use super::outgoing::Outgoing;
use super::stage::Stage;
use crate::live::Millis;

/// A skip that is worth a line in the log: the first of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The subscriber.
    pub subscriber: u64,
    /// How far behind it was, in ms.
    pub lag: Millis,
    /// The number of messages left out.
    pub messages: u64,
}

/// The buffers of one pump.
#[derive(Default)]
pub(in crate::live) struct Desk {
    /// The messages of the send under preparation.
    pub(super) pending: Vec<Outgoing>,
    pub(in crate::live) stage: Stage,
    /// Skips to be reported.
    pub(in crate::live) skips: Vec<Skip>,
}
