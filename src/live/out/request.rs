//! A receiver's request for a stream.

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
    /// The receiver's framing: the bytes around each message.
    pub framing: Framing,
    /// Where the receiver starts.
    pub join: Join,
    /// The codecs and message forms that the receiver accepts.
    pub capabilities: Capabilities,
}

/// A request to attach a receiver to a stream.
pub struct JoinRequest {
    /// Identifies the subscriber within the server.
    pub id: u64,
    /// The number of its connection, for reports; 0 if it has none.
    pub connection: u64,
    /// The sink for its bytes.
    pub sink: Arc<dyn Sink>,
    /// The properties of the receiver.
    pub receiver: Receiver,
    /// The bytes that it is sent before anything else.
    pub control: Vec<u8>,
    /// The connection's payment for control bytes.
    pub paid: Option<Taken>,
    /// Makes the file the answer to an HTTP request.
    pub respond: Option<Respond>,
    /// The media that the receiver wants.
    pub wanted: MediaChoice,
}

impl JoinRequest {
    /// Creates a request of subscriber `id`, which is sent `control` before anything else.
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
