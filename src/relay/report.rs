//! What is shown of a push or a pull.

use crate::live::Millis;

/// The state of a push or a pull.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayState {
    /// Nothing is to be done: nobody publishes the stream that would be pushed, or watches the one that
    /// would be pulled on demand.
    #[default]
    Waiting,
    /// A connection is being made.
    Connecting,
    /// Media flows.
    Live,
    /// There is a connection, but nothing has moved for some seconds.
    Stalled,
    /// The last attempt has failed. The next one follows at [`RelayReport::next_try`].
    BackingOff,
}

impl RelayState {
    /// All states.
    pub const ALL: [RelayState; 5] = [
        RelayState::Waiting,
        RelayState::Connecting,
        RelayState::Live,
        RelayState::Stalled,
        RelayState::BackingOff,
    ];

    /// The name of the state: `waiting`, `connecting`, `live`, `stalled` or `backing off`.
    pub fn name(self) -> &'static str {
        match self {
            RelayState::Waiting => "waiting",
            RelayState::Connecting => "connecting",
            RelayState::Live => "live",
            RelayState::Stalled => "stalled",
            RelayState::BackingOff => "backing off",
        }
    }
}

/// The figures of a push or a pull at one moment. No text in it contains a key, a user's name or a
/// password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayReport {
    /// The number of the push or pull. A push of several streams has a report for each of them, with
    /// the same number.
    pub id: u64,
    /// The name of the stream, or `live/*` for a push of streams of which none is published.
    pub stream: String,
    /// The URL of the other server, masked: `rtmp://a.rtmp.example/live2/***`.
    pub target: String,
    /// The state.
    pub state: RelayState,
    /// When the state began, on the clock of [`Server::uptime`](crate::Server::uptime).
    pub since: Millis,
    /// Why the last connection or attempt has failed, until media flows again; or what is waited for.
    pub why: Option<String>,
    /// The number of attempts that have failed since media flowed last.
    pub attempts: u32,
    /// The time of the next attempt, on the same clock.
    pub next_try: Option<Millis>,
    /// The number of bytes sent or received, over all connections.
    pub bytes: u64,
    /// The number of bits per second in the last few seconds.
    pub bits_per_second: u64,
    /// The age of the oldest message that the other side hasn't got yet, in ms; 0 for pulls.
    pub lag: Millis,
    /// How often the other side was moved to a newer keyframe because it was too slow; 0 for pulls.
    pub skips: u64,
    /// The number of connections that were made.
    pub connections: u64,
    /// Whether it is a pull that begins with the first viewer.
    pub is_on_demand: bool,
}
