//! What the subscriber of a file keeps beside its messages.

use std::sync::Arc;

use crate::live::out::framing::Respond;
use crate::live::tracks::Tracks;

/// See the module's documentation.
pub(super) struct FileState {
    /// Makes the answer to an HTTP request, until that is out.
    pub(super) respond: Option<Respond>,
    /// The tracks that the file has announced, or is about to.
    pub(super) tracks: Option<Arc<Tracks>>,
    /// The beginning that announces them isn't out yet.
    pub(super) is_opening_due: bool,
}

impl FileState {
    pub(super) fn new(respond: Option<Respond>) -> FileState {
        FileState {
            respond,
            tracks: None,
            is_opening_due: true,
        }
    }
}
