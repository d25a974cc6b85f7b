//! Fragments on their way from the log to a file.

use std::{fmt, io};

use crate::live::cut::{CopyPlace, CutSample, Evicted};

/// A function that copies the next bytes of samples to the beginning of a buffer, like
/// [`Stream::copy`](crate::live::stream::Stream::copy).
pub type Source<'a> =
    dyn FnMut(&[CutSample], &mut CopyPlace, &mut [u8]) -> Result<usize, Evicted> + 'a;

/// Why a fragment wasn't appended. The file ends where it ended before.
#[derive(Debug)]
pub enum AppendError {
    /// Messages have left the log before they were copied.
    Evicted,
    /// The disk has failed.
    Disk(io::Error),
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> AppendError {
        AppendError::Disk(error)
    }
}

impl From<Evicted> for AppendError {
    fn from(Evicted: Evicted) -> AppendError {
        AppendError::Evicted
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::Evicted => {
                f.write_str("messages have left the memory before they were written")
            }
            AppendError::Disk(error) => error.fmt(f),
        }
    }
}
