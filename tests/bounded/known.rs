//! Ways that the search found: each kept more than the allowances once.

use crate::steps::Act::*;
use crate::steps::Ask::*;
use crate::steps::{Act, Acts, Ask, Len, Name, Step, What, Who};

const A: Who = Who::Slot(0);

fn rtmp(who: Who, times: u16, acts: &[Act]) -> Step {
    streams(who, times, 1, acts)
}

/// On this message stream; 0 for another one each time.
fn streams(who: Who, times: u16, stream: u8, acts: &[Act]) -> Step {
    Step {
        who,
        acts: Acts::rtmp(acts.iter().map(|act| (stream, *act)).collect()),
        times,
        each: 1,
        reads: true,
    }
}

fn http(who: Who, times: u16, reads: bool, asks: &[Ask]) -> Step {
    Step {
        who,
        acts: Acts::Http(asks.to_vec()),
        times,
        each: 1,
        reads,
    }
}

/// The ways, with their descriptions.
pub(crate) fn ways() -> Vec<(&'static str, Vec<Step>)> {
    let few = Name::Few(0);
    let picture = Picture(Len::Tiny);
    let header = VideoHeader(None, Len::Small);
    let mut gop = [Picture(Len::Small); 30];
    gop[0] = Keyframe(Len::Small);
    let player = [
        Read,
        Publish(Name::Last),
        Keyframe(Len::Tiny),
        Play(Name::New),
        Read,
    ];
    let publisher = [
        Read,
        Publish(Name::New),
        header,
        AudioHeader(Len::Tiny),
        Metadata(Len::Small),
        Keyframe(Len::Tiny),
    ];
    // Tables of chunk streams take the rest of an allowance. A client that takes too much is
    // closed.
    let rests = [0, 6, 12, 18, 24, 30, 40, 50];
    let and_rest = |acts: &[Act], len| [acts, &vec![Unknown(Len::Medium); len]].concat();
    let crowds = |name: &'static str, acts: &[Act]| {
        let crowd = |rest| (name, vec![rtmp(Who::Fresh, 64, &and_rest(acts, rest))]);
        rests.map(crowd)
    };
    let ways = vec![
        (
            "versions of headers, unwatched",
            vec![
                rtmp(A, 1, &[Publish(few), header, Keyframe(Len::Tiny)]),
                rtmp(A, 2_000, &[header, picture]),
            ],
        ),
        (
            "streams that are over and were wanted",
            vec![
                rtmp(
                    A,
                    1,
                    &[Publish(Name::New), VideoHeader(Some(0), Len::Block)],
                ),
                http(
                    A,
                    1,
                    true,
                    &[Get(What::Segment(Name::Last), Len::Tiny, Len::Tiny)],
                ),
                rtmp(A, 1, &[CloseStream]),
                rtmp(
                    A,
                    1,
                    &[Publish(Name::New), VideoHeader(Some(0), Len::Block)],
                ),
                http(
                    A,
                    1,
                    true,
                    &[Get(What::Segment(Name::Last), Len::Tiny, Len::Tiny)],
                ),
                rtmp(A, 1, &[CloseStream]),
                rtmp(
                    A,
                    1,
                    &[Publish(Name::New), VideoHeader(Some(0), Len::Block)],
                ),
                http(
                    A,
                    1,
                    true,
                    &[Get(What::Segment(Name::Last), Len::Tiny, Len::Tiny)],
                ),
                rtmp(A, 1, &[CloseStream]),
                rtmp(
                    A,
                    1,
                    &[Publish(Name::New), VideoHeader(Some(0), Len::Block)],
                ),
            ],
        ),
        (
            "many streams with headers and metadata",
            vec![streams(
                Who::Fresh,
                12,
                0,
                &[
                    Publish(Name::New),
                    VideoHeader(Some(0), Len::Block),
                    VideoHeader(Some(1), Len::Block),
                    Metadata(Len::Large),
                ],
            )],
        ),
        (
            "one stream with headers and metadata",
            vec![
                rtmp(A, 1, &[Publish(Name::New), Metadata(Len::Large)]),
                rtmp(
                    A,
                    1,
                    &[
                        VideoHeader(Some(0), Len::Block),
                        VideoHeader(Some(1), Len::Block),
                    ],
                ),
            ],
        ),
        (
            "publishers with headers and metadata",
            vec![rtmp(
                Who::Fresh,
                60,
                &[
                    Publish(Name::New),
                    header,
                    Keyframe(Len::Block),
                    AudioHeader(Len::Small),
                    Metadata(Len::Block),
                ],
            )],
        ),
        ("unread statistics", unread(What::Stat)),
        ("unread metrics", unread(What::Metrics)),
        ("unread list of streams", unread(What::Streams)),
        (
            "unread playlists with long queries",
            vec![
                rtmp(A, 1, &[Publish(few), header]),
                http(
                    A,
                    1,
                    true,
                    &[Get(What::MediaPlaylist(few), Len::Tiny, Len::Tiny)],
                ),
                rtmp(A, 20, &gop),
                http(
                    A,
                    1,
                    true,
                    &[Get(What::MediaPlaylist(few), Len::Tiny, Len::Tiny)],
                ),
                rtmp(A, 60, &gop),
                http(
                    Who::Fresh,
                    20,
                    false,
                    &[Get(What::MediaPlaylist(few), Len::Medium, Len::Tiny); 40],
                ),
            ],
        ),
        (
            "an index of tiny messages",
            vec![
                rtmp(A, 1, &[Publish(few), header, Keyframe(Len::Tiny)]),
                rtmp(A, 10_000, &[picture, picture, Sound(Len::Tiny)]),
            ],
        ),
        (
            "players within the headers",
            std::iter::once(rtmp(A, 1, &[Publish(few)]))
                .chain((0..30).flat_map(|_| {
                    [
                        rtmp(
                            A,
                            1,
                            &[
                                VideoHeader(Some(0), Len::Block),
                                VideoHeader(Some(1), Len::Block),
                            ],
                        ),
                        Step {
                            reads: false,
                            ..rtmp(Who::Fresh, 1, &[Play(few)])
                        },
                    ]
                }))
                .collect(),
        ),
        (
            "long addresses in connect",
            vec![rtmp(
                Who::Fresh,
                20,
                &[Connect(Len::Large), CreateStream, Play(Name::New)],
            )],
        ),
        (
            "lists of chunk streams",
            vec![Step {
                reads: false,
                ..rtmp(Who::Fresh, 30, &[Unknown(Len::Tiny); 50])
            }],
        ),
        (
            "lists of chunk streams that had longer messages",
            vec![Step {
                reads: false,
                ..rtmp(Who::Fresh, 30, &[Unknown(Len::Medium); 30])
            }],
        ),
        (
            "request heads of viewers",
            vec![
                rtmp(A, 1, &[Publish(few), header, Keyframe(Len::Tiny)]),
                http(
                    Who::Fresh,
                    40,
                    false,
                    &[Get(What::Flv(few), Len::Small, Len::Medium)],
                ),
            ],
        ),
        (
            "request heads of sockets",
            vec![
                rtmp(A, 1, &[Publish(few), header, Keyframe(Len::Tiny)]),
                http(
                    Who::Fresh,
                    40,
                    false,
                    &[Upgrade(What::Mp4(few), Len::Medium)],
                ),
            ],
        ),
        (
            "viewers that wait for the next part",
            vec![
                rtmp(A, 1, &[Publish(few), header, Keyframe(Len::Tiny)]),
                http(
                    Who::Fresh,
                    40,
                    false,
                    &[Get(What::NextPlaylist(few), Len::Medium, Len::Small)],
                ),
            ],
        ),
    ];
    let players = crowds("a player for each stream, and what is left", &player);
    let publishers = crowds("a publisher for each stream, and what is left", &publisher);
    ways.into_iter().chain(players).chain(publishers).collect()
}

/// Ways of the search without sockets, as its bytes.
pub(crate) const WITHOUT_SOCKETS: [(&str, &[u8]); 1] = [
    // Publish, header and keyframe; then 800 times a header and a frame.
    (
        "versions of headers",
        &[2, 1, 0, 9, 1, 12, 0, 57, 9, 1, 13, 0],
    ),
];

/// Many streams, and clients that request their state and don't read.
fn unread(what: What) -> Vec<Step> {
    let publish = (1..=8).map(|stream| (stream, Publish(Name::NewLong)));
    let headers = (1..=8).map(|stream| (stream, VideoHeader(None, Len::Tiny)));
    vec![
        Step {
            who: Who::Fresh,
            acts: Acts::rtmp(publish.chain(headers).collect()),
            times: 32,
            each: 1,
            reads: true,
        },
        http(
            Who::Fresh,
            24,
            false,
            &[Get(what, Len::Tiny, Len::Tiny); 16],
        ),
    ]
}
