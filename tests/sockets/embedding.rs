//! The server as another program uses it: attached to streams, looking at its state, disconnecting
//! clients.

use std::sync::Arc;
use std::time::Duration;

use brooklet::{
    Arena, Attached, Client as Peer, Config, Detached, Handler, Join, Medium, Refusal, Server,
    StreamKey, StreamMessage, StreamRequest,
};

use crate::client::{
    AAC_HEADER, AVC_HEADER, Client, DEADLINE, on_free_ports, server, short_grace, wait_until,
};

fn door() -> StreamKey {
    StreamKey::new("live", "door").unwrap()
}

fn publishing(server: &Server) -> Client {
    Client::publishing(server.rtmp_addresses()[0], "live", "door")
}

fn received(stream: &mut Attached) -> &StreamMessage {
    let message = stream.recv(DEADLINE).expect("the stream goes on");
    message.expect("there is a message in time")
}

/// Returns the number of a frame; see `Client::send_frame`.
fn number(message: &StreamMessage) -> u32 {
    u32::from_be_bytes(message.payload()[5..9].try_into().unwrap())
}

#[test]
fn an_attached_program_gets_headers_first_and_everything_from_a_keyframe_on() {
    let server = server(short_grace());
    let mut camera = publishing(&server);
    camera.send_headers();
    camera.send_frame(1, 1_000, true, 200_000);
    camera.send_frame(2, 1_040, false, 500);
    wait_until("both pictures are there", || {
        let streams = server.streams();
        streams
            .first()
            .is_some_and(|stream| stream.report.video.messages >= 2)
    });
    let mut stream = server.attach(&door(), Join::Gop).unwrap();
    assert!(stream.is_live());
    let header = received(&mut stream);
    assert!(header.is_sequence_header() && !header.is_keyframe());
    assert_eq!(header.payload(), AVC_HEADER);
    let header = received(&mut stream);
    assert!(header.is_sequence_header());
    assert_eq!(
        (header.medium(), header.payload()),
        (Some(Medium::Audio), AAC_HEADER)
    );
    for (count, timestamp, is_key, len) in [(1, 1_000, true, 200_000), (2, 1_040, false, 500)] {
        let frame = received(&mut stream);
        assert_eq!(frame.medium(), Some(Medium::Video));
        assert_eq!((number(frame), frame.timestamp()), (count, timestamp));
        assert_eq!((frame.is_keyframe(), frame.payload().len()), (is_key, len));
    }
    assert_eq!(stream.recv(Duration::from_millis(10)), Ok(None));
    camera.send_frame(3, 1_080, false, 500);
    assert_eq!(number(received(&mut stream)), 3);
    drop(camera);
    assert_eq!(stream.recv(DEADLINE), Err(Detached::StreamEnded));
}

#[test]
fn an_attached_program_waits_for_its_stream() {
    let server = server(Config::default());
    let mut stream = server.attach(&door(), Join::Gop).unwrap();
    assert_eq!(stream.recv(Duration::from_millis(10)), Ok(None));
    assert!(!stream.is_live() && server.streams().is_empty());
    let mut camera = publishing(&server);
    camera.send_headers();
    camera.send_frame(1, 0, true, 500);
    assert!(received(&mut stream).is_sequence_header());
    assert!(received(&mut stream).is_sequence_header());
    assert_eq!(number(received(&mut stream)), 1);
}

#[test]
fn an_attached_program_that_is_too_slow_skips_to_a_newer_keyframe() {
    let server = server(Config::default().max_lag(Duration::from_millis(50)));
    let mut camera = publishing(&server);
    camera.send_headers();
    camera.send_frame(1, 0, true, 500);
    let mut stream = server.attach(&door(), Join::Gop).unwrap();
    while !received(&mut stream).is_keyframe() {}
    let mut sent = 1;
    wait_until("it skips", || {
        sent += 1;
        camera.send_frame(sent, sent * 5, sent % 10 == 0, 500);
        server.streams()[0].report.skips > 0
    });
    // One message was waiting in the inbox.
    let next = number(received(&mut stream));
    assert!(next <= 3, "{next}");
    let message = received(&mut stream);
    assert!(message.is_keyframe() && number(message) > next + 1);
}

#[test]
fn a_server_that_stops_ends_attached_streams() {
    let mut server = server(Config::default());
    let mut camera = publishing(&server);
    camera.send_headers();
    let mut stream = server.attach(&door(), Join::Gop).unwrap();
    let mut waiting = server
        .attach(&StreamKey::new("live", "gate").unwrap(), Join::Next)
        .unwrap();
    server.stop();
    assert_eq!(stream.recv(DEADLINE), Err(Detached::Stopping));
    assert_eq!(waiting.recv(DEADLINE), Err(Detached::Stopping));
    let late = server.attach(&door(), Join::Gop);
    assert_eq!(late.err(), Some(Detached::Stopping));
}

#[test]
fn a_program_sees_who_is_there_and_disconnects_a_client() {
    let server = server(Config::default());
    let mut camera = publishing(&server);
    camera.send_headers();
    let mut player = Client::playing(server.rtmp_addresses()[0], "live", "door");
    wait_until("both are listed", || server.connections().len() == 2);
    let [first, second] = &server.connections()[..] else {
        panic!("two connections");
    };
    assert_eq!(
        (&first.publishes[..], &first.plays[..]),
        (&[door()][..], &[][..])
    );
    assert_eq!(
        (&second.publishes[..], &second.plays[..]),
        (&[][..], &[door()][..])
    );
    let streams = server.streams();
    assert_eq!(streams[0].key, door());
    assert!(streams[0].report.is_live);
    assert_eq!(streams[0].report.viewer_count(), 1);
    assert!(server.kick(second.id));
    player.until_closed();
    wait_until("only the camera is left", || server.connection_count() == 1);
    assert!(!server.kick(second.id));
}

#[test]
fn a_handler_and_an_arena_go_together() {
    struct NobodyPublishes;

    impl Handler for NobodyPublishes {
        fn publish(&self, _: &Peer, _: &mut StreamRequest<'_>) -> Result<(), Refusal> {
            Err(Refusal::new("not today"))
        }
    }

    let arena = Arena::new(1 << 20);
    let server = Server::builder(on_free_ports(Config::default()))
        .handler(Arc::new(NobodyPublishes))
        .arena(arena.clone())
        .start()
        .unwrap();
    assert_eq!(server.blocks().1, arena.total_blocks());
    let mut camera = Client::handshaken(server.rtmp_addresses()[0]).connect("live");
    camera.publish("door");
    assert_eq!(camera.wait_for_status().1, "NetStream.Publish.Denied");
}
