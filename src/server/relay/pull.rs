//! The thread of a pull.

use std::sync::Arc;

use super::Run;
use crate::config::Pull;
use crate::server::Shared;

/// Pulls a stream until the run is stopped.
pub(super) fn run(shared: &Arc<Shared>, _pull: &Pull, run: &Run) {
    while !run.is_stopped() {
        run.with_course(|course| course.wait(Some("not built yet"), shared.now()));
        run.sleep(1000);
    }
}
