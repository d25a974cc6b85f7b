//! Why a connection of a push or pull, or the attempt to make one, is over.

use std::fmt;

use crate::client::{ClientError, ClientErrorKind};
use crate::relay::back_off::Failure;
use crate::url::Url;

/// See the module's documentation.
pub(super) enum End {
    /// The push or pull was stopped, or the stream that is pushed has ended.
    Done,
    /// Nobody watches any more what is pulled on demand.
    Unwatched,
    /// Somebody else publishes the stream that is pulled.
    Superseded,
    Failed(Failure, String),
    /// The server wants its client elsewhere, or anew.
    Reconnect(Box<Url>),
}

pub(super) fn lost(error: &ClientError) -> End {
    End::Failed(Failure::Lost, error.to_string())
}

pub(super) fn failed(error: &ClientError) -> End {
    let failure = match error.kind() {
        ClientErrorKind::Cancelled => return End::Done,
        ClientErrorKind::NameTaken => Failure::NameTaken,
        ClientErrorKind::Denied => Failure::Rejected,
        _ => Failure::Lost,
    };
    End::Failed(failure, error.to_string())
}

/// The server at `url` sends its client to another URL, or to the same one.
pub(super) fn elsewhere(url: &Url, to: &str) -> End {
    match url.refer(to) {
        Ok(to) => End::Reconnect(Box::new(to)),
        Err(error) => {
            let why = format!("{} redirects: {error}", url.place());
            End::Failed(Failure::Lost, why)
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Done => "the pull is over",
            End::Unwatched => "nobody watches",
            End::Superseded => "somebody else publishes it",
            End::Failed(_, why) => why,
            End::Reconnect(_) => "its source wants another connection",
        })
    }
}
