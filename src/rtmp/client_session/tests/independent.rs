//! An independent implementation of RTMP as the server: `rml_rtmp`, in memory.

use super::*;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ServerSession, ServerSessionConfig, ServerSessionEvent, ServerSessionResult,
};
use rml_rtmp::time::RtmpTimestamp;

struct Peers {
    client: ClientSession<Heap>,
    handshake: Option<Handshake>,
    server: ServerSession,
    /// The message stream that is played.
    playing: Option<u32>,
    lines: Vec<String>,
}

impl Peers {
    /// A client that has connected.
    fn connected(options: ConnectOptions) -> Peers {
        let (server, results) = ServerSession::new(ServerSessionConfig::new()).unwrap();
        let mut peers = Peers {
            client: client(options),
            handshake: Some(Handshake::new(PeerType::Server)),
            server,
            playing: None,
            lines: Vec::new(),
        };
        let mut greeting = Vec::new();
        peers.act(results, &mut greeting);
        peers.talk(greeting);
        assert_eq!(peers.lines(), ["server: connect live", "client: Connected"]);
        peers
    }

    fn lines(&mut self) -> Vec<String> {
        mem::take(&mut self.lines)
    }

    /// Lets both sides talk until neither has anything to say. The greeting goes out after the handshake.
    fn talk(&mut self, mut greeting: Vec<u8>) {
        loop {
            let to_server = self.client.take_output();
            let mut to_client = Vec::new();
            let rest = self.shake_hands(&to_server, &mut to_client);
            if self.handshake.is_none() {
                to_client.append(&mut greeting);
                let results = self.server.handle_input(&rest).unwrap();
                self.act(results, &mut to_client);
            }
            self.read(&to_client);
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
        }
    }

    /// Returns the bytes after the handshake.
    fn shake_hands(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Vec<u8> {
        let Some(handshake) = &mut self.handshake else {
            return bytes.to_vec();
        };
        match handshake.process_bytes(bytes).unwrap() {
            HandshakeProcessResult::InProgress { response_bytes } => {
                out.extend_from_slice(&response_bytes);
                Vec::new()
            }
            HandshakeProcessResult::Completed {
                response_bytes,
                remaining_bytes,
            } => {
                out.extend_from_slice(&response_bytes);
                self.handshake = None;
                remaining_bytes
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        // Cut, so that not every message lies in one piece.
        for piece in bytes.chunks(1000) {
            let mut input = Bytes::from(piece);
            while let Some(event) = self.client.handle(&mut input, 0).unwrap() {
                let line = line(&self.client, &event);
                self.lines.push(format!("client: {line}"));
            }
        }
    }

    /// Accepts every request.
    fn act(&mut self, results: Vec<ServerSessionResult>, out: &mut Vec<u8>) {
        for result in results {
            let event = match result {
                ServerSessionResult::OutboundResponse(packet) => {
                    out.extend_from_slice(&packet.bytes);
                    continue;
                }
                ServerSessionResult::RaisedEvent(event) => event,
                ServerSessionResult::UnhandleableMessageReceived(_) => continue,
            };
            let (line, request) = match event {
                ServerSessionEvent::ConnectionRequested {
                    request_id,
                    app_name,
                } => (format!("connect {app_name}"), Some(request_id)),
                ServerSessionEvent::PublishStreamRequested {
                    request_id,
                    stream_key,
                    mode,
                    ..
                } => (format!("publish {stream_key} {mode:?}"), Some(request_id)),
                ServerSessionEvent::PlayStreamRequested {
                    request_id,
                    stream_key,
                    stream_id,
                    ..
                } => {
                    self.playing = Some(stream_id);
                    (format!("play {stream_key}"), Some(request_id))
                }
                ServerSessionEvent::VideoDataReceived {
                    data, timestamp, ..
                } => (format!("video {} {}", timestamp.value, data.len()), None),
                ServerSessionEvent::AudioDataReceived {
                    data, timestamp, ..
                } => (format!("audio {} {}", timestamp.value, data.len()), None),
                ServerSessionEvent::StreamMetadataChanged { metadata, .. } => {
                    (format!("metadata {:?}", metadata.video_width), None)
                }
                ServerSessionEvent::PublishStreamFinished { .. }
                | ServerSessionEvent::PlayStreamFinished { .. } => ("finished".to_owned(), None),
                _ => continue,
            };
            self.lines.push(format!("server: {line}"));
            if let Some(request) = request {
                let results = self.server.accept_request(request).unwrap();
                self.act(results, out);
            }
        }
    }
}

#[test]
fn an_independent_server_gets_what_is_published() {
    for has_digest in [false, true] {
        let mut peers = Peers::connected(ConnectOptions {
            has_digest,
            ..options()
        });
        peers.client.publish("door?key=1");
        peers.talk(Vec::new());
        let begun = ["server: publish door?key=1 Live", "client: Publishing"];
        assert_eq!(peers.lines(), begun);
        let width = object([("width", Value::Number(640.0))]);
        let mut body = Vec::new();
        for value in [text("@setDataFrame"), text("onMetaData"), width] {
            value.emit(&mut body);
        }
        let mut out = Vec::new();
        let session = &peers.client;
        session.write_data(0, &body, &mut out);
        session.write_media(Medium::Video, 40, &[0x17; 70_000], &mut out);
        session.write_media(Medium::Audio, 1 << 24, &[0xAF; 300], &mut out);
        let results = peers.server.handle_input(&out).unwrap();
        peers.act(results, &mut Vec::new());
        let media = [
            "server: metadata Some(640)",
            "server: video 40 70000",
            "server: audio 16777216 300",
        ];
        assert_eq!(peers.lines(), media);
        peers.client.close();
        peers.talk(Vec::new());
        assert_eq!(peers.lines(), ["server: finished"]);
    }
}

#[test]
fn what_an_independent_server_sends_is_played() {
    let mut peers = Peers::connected(ConnectOptions {
        is_publisher: false,
        ..options()
    });
    peers.client.play("door");
    peers.talk(Vec::new());
    let lines = peers.lines();
    let is_there = |line: &str| lines.iter().any(|found| found == line);
    assert!(is_there("server: play door"), "{lines:?}");
    assert!(is_there("client: Playing"), "{lines:?}");
    let id = peers.playing.unwrap();
    let mut to_client = Vec::new();
    for (timestamp, len) in [(0, 10), (40, 5000), (80, 1), (1 << 24, 3000)] {
        let time = RtmpTimestamp::new(timestamp);
        let payload = vec![b'v'; len];
        let packet = peers
            .server
            .send_video_data(id, payload.into(), time, false);
        to_client.extend_from_slice(&packet.unwrap().bytes);
        let packet = peers
            .server
            .send_audio_data(id, vec![b'a'].into(), time, false);
        to_client.extend_from_slice(&packet.unwrap().bytes);
    }
    let end = peers.server.finish_playing(id).unwrap();
    to_client.extend_from_slice(&end.bytes);
    peers.read(&to_client);
    let lines = peers.lines();
    let lens: Vec<_> = lines.iter().map(|line| line.len()).collect();
    assert!(lines[2].starts_with("client: Video 40 vvv"), "{}", lines[2]);
    assert_eq!(lens[2], "client: Video 40 ".len() + 5000);
    assert_eq!(lines[7], "client: Audio 16777216 a");
    assert_eq!(lines.len(), 9, "{:?}", lines.last());
}
