//! A desk: the buffers that a pump works with.
//!
//! Desks are kept between pumps so that pumps don't allocate. All streams of a server share them: there
//! are as many as there are pumps at the same time.

use std::sync::{Arc, Mutex};

use super::outgoing::Outgoing;
use super::stage::Stage;
use crate::live::{Millis, lock};

/// The number of desks that are kept, which is a likely number of cores. Each occupies up to 130 kB.
const KEPT: usize = 4;

/// A skip that deserves a line in the log: the first of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The id of the subscriber.
    pub subscriber: u64,
    /// The lag of the subscriber, in ms.
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

/// The desks of a server. Clones share them.
#[derive(Clone, Default)]
pub struct Desks(Arc<Mutex<Vec<Desk>>>);

impl Desks {
    pub(in crate::live) fn take(&self) -> Desk {
        let mut desk = lock(&self.0).pop().unwrap_or_default();
        desk.stage.clear();
        desk
    }

    pub(in crate::live) fn put(&self, desk: Desk) {
        let mut desks = lock(&self.0);
        if desks.len() < KEPT {
            desks.push(desk);
        }
    }
}
