//! What clients may do: a grammar of valid actions, and how often they are done.

use proptest::prelude::*;

/// Actions that are repeated.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) who: Who,
    pub(crate) acts: Acts,
    pub(crate) times: u16,
    /// How often each action is done at each of these times.
    pub(crate) each: u16,
    /// Whether the client reads what the server sends.
    pub(crate) reads: bool,
}

/// One of a few clients, or a new one each time, all of which stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Slot(u8),
    Fresh,
}

#[derive(Clone, Debug)]
pub(crate) enum Acts {
    /// On a message stream; number 0 is another one each time.
    Rtmp {
        /// Done only once, or once by each new client.
        first: Vec<(u8, Act)>,
        then: Vec<(u8, Act)>,
    },
    Http(Vec<Ask>),
}

impl Acts {
    pub(crate) fn rtmp(then: Vec<(u8, Act)>) -> Acts {
        Acts::Rtmp {
            first: Vec::new(),
            then,
        }
    }
}

/// Steps that are repeated in turn.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    pub(crate) steps: Vec<Step>,
    pub(crate) times: u16,
}

/// The name of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    /// One of a few.
    Few(u8),
    /// A name that was not used yet.
    New,
    /// A long name that was not used yet.
    NewLong,
    /// The last new one.
    Last,
}

/// How long a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Len {
    Tiny,
    Small,
    Medium,
    /// As long as what may be kept.
    Block,
    Large,
}

impl Len {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Len::Tiny => 30,
            Len::Small => 400,
            Len::Medium => 6_000,
            Len::Block => 15_000,
            Len::Large => 60_000,
        }
    }
}

/// See [`Act::VideoHeader`].
pub(crate) const ANOTHER_TRACK: u8 = 255;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Connects again, with a URL of this length.
    Connect(Len),
    CreateStream,
    Publish(Name),
    Play(Name),
    Pause,
    CloseStream,
    DeleteStream,
    Metadata(Len),
    /// A video sequence header, never the same twice: of one track of many, of [`ANOTHER_TRACK`]
    /// each time, or of the only one.
    VideoHeader(Option<u8>, Len),
    AudioHeader(Len),
    Keyframe(Len),
    Picture(Len),
    Sound(Len),
    /// An unknown command with many values, on another chunk stream each time.
    Unknown(Len),
    /// A message that doesn't end.
    Begin(Len),
    Ping,
    /// Reads what the server sends within a moment.
    Read,
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// A request with a query and further headers of these lengths.
    Get(What, Len, Len),
    /// The same as a WebSocket.
    Upgrade(What, Len),
    /// A request that doesn't end.
    Half(Len),
    /// A ping in a WebSocket.
    Ping,
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Home,
    Stat,
    Metrics,
    Streams,
    Connections,
    Player(Name),
    Playlist(Name),
    MediaPlaylist(Name),
    NextPlaylist(Name),
    Init(Name),
    Segment(Name),
    Flv(Name),
    Mp4(Name),
    Frame(Name),
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        3 => Just(Name::Few(0)),
        1 => (1..3_u8).prop_map(Name::Few),
        2 => Just(Name::New),
        1 => Just(Name::NewLong),
        2 => Just(Name::Last),
    ]
}

fn len() -> impl Strategy<Value = Len> {
    prop_oneof![
        2 => Just(Len::Tiny),
        1 => Just(Len::Small),
        1 => Just(Len::Medium),
        2 => Just(Len::Block),
        1 => Just(Len::Large),
    ]
}

fn media() -> impl Strategy<Value = Act> {
    let track = prop_oneof![
        2 => Just(None),
        1 => (0..40_u8).prop_map(Some),
        1 => Just(Some(ANOTHER_TRACK)),
    ];
    prop_oneof![
        2 => len().prop_map(Act::Metadata),
        5 => (track, len()).prop_map(|(track, len)| Act::VideoHeader(track, len)),
        2 => len().prop_map(Act::AudioHeader),
        3 => len().prop_map(Act::Keyframe),
        4 => len().prop_map(Act::Picture),
        3 => len().prop_map(Act::Sound),
    ]
}

fn talk() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => len().prop_map(Act::Connect),
        1 => Just(Act::CreateStream),
        5 => name().prop_map(Act::Publish),
        4 => name().prop_map(Act::Play),
        1 => Just(Act::Pause),
        2 => Just(Act::CloseStream),
        1 => Just(Act::DeleteStream),
        2 => len().prop_map(Act::Unknown),
        1 => len().prop_map(Act::Begin),
        1 => Just(Act::Ping),
        1 => Just(Act::Read),
        1 => Just(Act::Leave),
    ]
}

/// Only media, only commands, or both.
fn some_acts() -> impl Strategy<Value = Vec<Act>> {
    use proptest::collection::vec;
    prop_oneof![
        3 => vec(media(), 0..4),
        2 => vec(talk(), 0..4),
        1 => vec(prop_oneof![media(), talk()], 0..6),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        1 => Just(What::Home),
        2 => Just(What::Stat),
        2 => Just(What::Metrics),
        2 => Just(What::Streams),
        1 => Just(What::Connections),
        1 => name().prop_map(What::Player),
        2 => name().prop_map(What::Playlist),
        3 => name().prop_map(What::MediaPlaylist),
        2 => name().prop_map(What::NextPlaylist),
        2 => name().prop_map(What::Init),
        3 => name().prop_map(What::Segment),
        3 => name().prop_map(What::Flv),
        3 => name().prop_map(What::Mp4),
        1 => name().prop_map(What::Frame),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        10 => (what(), len(), len()).prop_map(|(what, query, head)| Ask::Get(what, query, head)),
        3 => (what(), len()).prop_map(|(what, head)| Ask::Upgrade(what, head)),
        1 => len().prop_map(Ask::Half),
        1 => Just(Ask::Ping),
        1 => Just(Ask::Leave),
    ]
}

/// The first actions, so that those that follow have an effect.
fn begin() -> impl Strategy<Value = Vec<Act>> {
    let header = Act::VideoHeader(None, Len::Small);
    prop_oneof![
        2 => Just(Vec::new()),
        1 => name().prop_map(|name| vec![Act::Publish(name)]),
        2 => (name(), len())
            .prop_map(move |(name, len)| vec![Act::Publish(name), header, Act::Keyframe(len)]),
        1 => name().prop_map(|name| vec![Act::Play(name)]),
    ]
}

fn acts() -> impl Strategy<Value = Acts> {
    let acts = (begin(), some_acts());
    // Mostly all of a step on one message stream.
    let stream = prop_oneof![4 => Just(1_u8), 2 => Just(0), 1 => 1..9_u8];
    let rtmp = (stream, acts).prop_map(|(stream, (first, then))| Acts::Rtmp {
        first: first.into_iter().map(|act| (stream.max(1), act)).collect(),
        then: then.into_iter().map(|act| (stream, act)).collect(),
    });
    prop_oneof![
        3 => rtmp,
        1 => proptest::collection::vec(ask(), 1..3).prop_map(Acts::Http),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let slot = (
        0..3_u8,
        prop_oneof![2 => Just(1_u16), 1 => 2..20_u16, 2 => 20..300_u16],
    )
        .prop_map(|(slot, times)| (Who::Slot(slot), times, 1));
    let fresh = (
        prop_oneof![1 => Just(1_u16), 1 => 2..64_u16],
        prop_oneof![2 => Just(1_u16), 2 => 2..20_u16, 1 => 20..100_u16],
    )
        .prop_map(|(times, each)| (Who::Fresh, times, each));
    let who = prop_oneof![1 => slot, 1 => fresh];
    (who, acts(), any::<bool>()).prop_map(|((who, times, each), acts, reads)| Step {
        who,
        acts,
        times,
        each,
        reads,
    })
}

pub(crate) fn turns() -> impl Strategy<Value = Turns> {
    let one = step().prop_map(|step| (vec![step], 1));
    let several = (proptest::collection::vec(step(), 2..4), 2..30_u16);
    prop_oneof![5 => one, 1 => several].prop_map(|(steps, times)| Turns { steps, times })
}
