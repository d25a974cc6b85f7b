//! Desks: the buffers that a pump works with.

use std::sync::Mutex;

use super::outgoing::Outgoing;
use super::stage::Stage;
use crate::live::{Millis, lock};

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
    /// The messages of the send under preparation, with their numbers.
    pub(super) pending: Vec<(u64, Outgoing)>,
    pub(in crate::live) stage: Stage,
    /// Skips to be reported.
    pub(in crate::live) skips: Vec<Skip>,
}

/// Desks that are kept between pumps, so that these don't allocate. There are as many as pumps run at
/// the same time, instead of one for each stream.
#[derive(Default)]
pub(in crate::live) struct Desks(Mutex<Vec<Desk>>);

impl Desks {
    /// The most that are kept: as many as there are likely to be cores. Each takes up to 130 kB.
    const KEPT: usize = 4;

    pub(in crate::live) fn take(&self) -> Desk {
        let mut desk = lock(&self.0).pop().unwrap_or_default();
        desk.stage.clear();
        desk
    }

    pub(in crate::live) fn put(&self, desk: Desk) {
        let mut desks = lock(&self.0);
        if desks.len() < Desks::KEPT {
            desks.push(desk);
        }
    }
}
