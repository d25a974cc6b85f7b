//! How a receiver asks for a stream.

use std::sync::Arc;

use super::framing::{Framing, Respond};
use super::join::Join;
use super::media_choice::MediaChoice;
use super::sink::Sink;
use crate::allowance::Taken;
use crate::live::capabilities::Capabilities;

/// A receiver's request: its kind, its capabilities, and where it wants to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The bytes around each message.
    pub framing: Framing,
    /// Where it starts.
    pub join: Join,
    /// The codecs and message forms that it can take.
    pub capabilities: Capabilities,
}

/// A receiver that is to be attached to a stream.
pub struct JoinRequest {
    /// Identifies the subscriber within the server.
    pub id: u64,
    /// The number of its connection, for reports; 0 if it has none.
    pub connection: u64,
    /// Where its bytes go.
    pub sink: Arc<dyn Sink>,
    /// What it is.
    pub receiver: Receiver,
    /// What it is sent before anything else.
    pub control: Vec<u8>,
    /// What the connection pays for control bytes.
    pub paid: Option<Taken>,
    /// Makes the file the answer to an HTTP request.
    pub respond: Option<Respond>,
    /// The media that it wants.
    pub wanted: MediaChoice,
}

impl JoinRequest {
    /// A request of subscriber `id`, which is sent `control` before anything else.
    pub fn new(id: u64, sink: Arc<dyn Sink>, receiver: Receiver, control: Vec<u8>) -> JoinRequest {
        JoinRequest {
            id,
            connection: 0,
            sink,
            receiver,
            control,
            paid: None,
            respond: None,
            wanted: MediaChoice::default(),
        }
    }
}
