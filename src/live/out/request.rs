//! How a receiver asks for a stream.

use std::sync::Arc;

use super::framing::{Framing, Respond};
use super::join::Join;
use super::media_choice::MediaChoice;
use super::sink::Sink;
use crate::allowance::{Allowance, Taken};
use crate::live::capabilities::Capabilities;

/// What a receiver is, and where it wants to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The bytes around each message.
    pub framing: Framing,
    /// Where it starts.
    pub join: Join,
    /// What it can take.
    pub capabilities: Capabilities,
}

/// A receiver that is to be attached to a stream.
pub struct JoinRequest {
    pub(super) id: u64,
    pub(super) connection: u64,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) receiver: Receiver,
    pub(super) control: Vec<u8>,
    pub(super) paid: Option<Taken>,
    pub(super) respond: Option<Respond>,
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

    /// Reports the subscriber as that of a connection.
    pub fn of_connection(self, connection: u64) -> JoinRequest {
        JoinRequest { connection, ..self }
    }

    /// Lets the connection pay for control bytes.
    pub fn paid_from(self, allowance: &Allowance) -> JoinRequest {
        let paid = allowance.take(0).ok();
        JoinRequest { paid, ..self }
    }

    /// Makes the file the answer to an HTTP request.
    pub fn answered_by(self, respond: Respond) -> JoinRequest {
        let respond = Some(respond);
        JoinRequest { respond, ..self }
    }
}
