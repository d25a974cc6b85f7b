//! Desks on which pumps work, kept between pumps so that these don't allocate.
//!
//! All streams of a server share them: there are as many as pumps run at the same time.

use std::sync::{Arc, Mutex};

use crate::live::lock;
use crate::live::out::desk::Desk;

/// The number of desks that are kept, which is a likely number of cores. Each takes up to 130 kB.
const KEPT: usize = 4;

/// See the module's documentation. Clones share the same desks.
#[derive(Clone, Default)]
pub struct Desks(Arc<Mutex<Vec<Desk>>>);

impl Desks {
    pub(super) fn take(&self) -> Desk {
        let mut desk = lock(&self.0).pop().unwrap_or_default();
        desk.stage.clear();
        desk
    }

    pub(super) fn put(&self, desk: Desk) {
        let mut desks = lock(&self.0);
        if desks.len() < KEPT {
            desks.push(desk);
        }
    }
}
