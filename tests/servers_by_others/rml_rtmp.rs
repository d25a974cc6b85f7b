//! The server of the library `rml_rtmp`, with sockets around it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ServerSession, ServerSessionConfig, ServerSessionError, ServerSessionEvent, ServerSessionResult,
};

use crate::scenario::Place;
use crate::source::Source;

/// A connection's session and socket. Its own thread and that of the publisher send through it.
struct Peer {
    session: ServerSession,
    socket: TcpStream,
}

/// The players of each stream, with the message stream of each.
type Players = Mutex<HashMap<String, Vec<(Arc<Mutex<Peer>>, u32)>>>;

/// Listens, and serves each client in a thread of its own. The threads end with the test's process.
fn start() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let players = Arc::<Players>::default();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let players = Arc::clone(&players);
            thread::spawn(move || serve(socket, &players));
        }
    });
    address
}

fn serve(mut socket: TcpStream, players: &Players) {
    let Some(mut input) = shake_hands(&mut socket) else {
        return;
    };
    let (session, results) = ServerSession::new(ServerSessionConfig::new()).unwrap();
    let mut reader = socket.try_clone().unwrap();
    let peer = Arc::new(Mutex::new(Peer { session, socket }));
    act(&peer, results, players);
    let mut buffer = [0; 65_536];
    loop {
        let results = peer.lock().unwrap().session.handle_input(&input).unwrap();
        act(&peer, results, players);
        match reader.read(&mut buffer) {
            Ok(len @ 1..) => input = buffer[..len].to_vec(),
            _ => break,
        }
    }
    let mut players = players.lock().unwrap();
    for of_stream in players.values_mut() {
        of_stream.retain(|(player, _)| !Arc::ptr_eq(player, &peer));
    }
}

/// Returns the bytes after the handshake.
fn shake_hands(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut handshake = Handshake::new(PeerType::Server);
    let mut buffer = [0; 4096];
    loop {
        let len = socket.read(&mut buffer).ok().filter(|len| *len > 0)?;
        let (answer, rest) = match handshake.process_bytes(&buffer[..len]).ok()? {
            HandshakeProcessResult::InProgress { response_bytes } => (response_bytes, None),
            HandshakeProcessResult::Completed {
                response_bytes,
                remaining_bytes,
            } => (response_bytes, Some(remaining_bytes)),
        };
        socket.write_all(&answer).ok()?;
        if rest.is_some() {
            return rest;
        }
    }
}

/// Accepts every request, and gives players what their stream's publisher sends.
fn act(peer: &Arc<Mutex<Peer>>, results: Vec<ServerSessionResult>, players: &Players) {
    for result in results {
        let event = match result {
            ServerSessionResult::OutboundResponse(packet) => {
                let _ = peer.lock().unwrap().socket.write_all(&packet.bytes);
                continue;
            }
            ServerSessionResult::RaisedEvent(event) => event,
            ServerSessionResult::UnhandleableMessageReceived(_) => continue,
        };
        let accept = |request| {
            let accepted = peer.lock().unwrap().session.accept_request(request);
            act(peer, accepted.unwrap(), players);
        };
        use ServerSessionEvent as Event;
        match event {
            Event::ConnectionRequested { request_id, .. }
            | Event::PublishStreamRequested { request_id, .. } => accept(request_id),
            Event::PlayStreamRequested {
                request_id,
                stream_key,
                stream_id,
                ..
            } => {
                accept(request_id);
                let mut players = players.lock().unwrap();
                let of_stream = players.entry(stream_key).or_default();
                of_stream.push((Arc::clone(peer), stream_id));
            }
            Event::StreamMetadataChanged {
                stream_key,
                metadata,
                ..
            } => send(players, &stream_key, |session, id| {
                session.send_metadata(id, &metadata)
            }),
            Event::VideoDataReceived {
                stream_key,
                data,
                timestamp,
                ..
            } => send(players, &stream_key, |session, id| {
                session.send_video_data(id, data.clone(), timestamp, false)
            }),
            Event::AudioDataReceived {
                stream_key,
                data,
                timestamp,
                ..
            } => send(players, &stream_key, |session, id| {
                session.send_audio_data(id, data.clone(), timestamp, false)
            }),
            Event::PublishStreamFinished { stream_key, .. } => {
                send(players, &stream_key, |session, id| {
                    session.finish_playing(id)
                });
            }
            _ => {}
        }
    }
}

fn send(
    players: &Players,
    stream: &str,
    write: impl Fn(&mut ServerSession, u32) -> Result<rml_rtmp::chunk_io::Packet, ServerSessionError>,
) {
    let players = players.lock().unwrap();
    for (player, id) in players.get(stream).into_iter().flatten() {
        let mut player = player.lock().unwrap();
        let packet = write(&mut player.session, *id).unwrap();
        let _ = player.socket.write_all(&packet.bytes);
    }
}

#[test]
fn the_server_of_rml_rtmp_takes_and_gives_identical_packets() {
    let address = start();
    let place = Place {
        url: &|name| format!("rtmp://{address}/live/{name}"),
        says_the_end: true,
    };
    place.take_and_give(&Source::made_up(3));
}
