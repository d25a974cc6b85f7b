//! An independent implementation of RTMP, `rml_rtmp`, that publishes and plays.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use brooklet::Config;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;

use crate::client::{AAC_HEADER, AVC_HEADER, DEADLINE, server, short_grace};

struct Peer {
    socket: TcpStream,
    session: ClientSession,
    events: Vec<ClientSessionEvent>,
}

impl Peer {
    fn connect(server: SocketAddr) -> Peer {
        let mut socket = TcpStream::connect(server).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut handshake = Handshake::new(PeerType::Client);
        socket
            .write_all(&handshake.generate_outbound_p0_and_p1().unwrap())
            .unwrap();
        let mut buffer = [0; 4096];
        let rest = loop {
            let len = socket.read(&mut buffer).unwrap();
            match handshake.process_bytes(&buffer[..len]).unwrap() {
                HandshakeProcessResult::InProgress { response_bytes } => {
                    socket.write_all(&response_bytes).unwrap();
                }
                HandshakeProcessResult::Completed {
                    response_bytes,
                    remaining_bytes,
                } => {
                    socket.write_all(&response_bytes).unwrap();
                    break remaining_bytes;
                }
            }
        };
        let (session, results) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut peer = Peer {
            socket,
            session,
            events: Vec::new(),
        };
        peer.act(results);
        let results = peer.session.handle_input(&rest).unwrap();
        peer.act(results);
        let result = peer.session.request_connection("live".into()).unwrap();
        peer.act(vec![result]);
        peer.wait_for(|event| *event == ClientSessionEvent::ConnectionRequestAccepted);
        peer
    }

    fn act(&mut self, results: Vec<ClientSessionResult>) {
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    self.socket.write_all(&packet.bytes).unwrap();
                }
                ClientSessionResult::RaisedEvent(event) => self.events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
    }

    fn wait_for(&mut self, is_it: impl Fn(&ClientSessionEvent) -> bool) -> ClientSessionEvent {
        loop {
            if let Some(index) = self.events.iter().position(&is_it) {
                // Earlier events weren't waited for.
                return self.events.drain(..=index).last().unwrap();
            }
            let mut buffer = [0; 65_536];
            let len = self.socket.read(&mut buffer).unwrap();
            assert!(len > 0, "the server closed");
            let results = self.session.handle_input(&buffer[..len]).unwrap();
            self.act(results);
        }
    }

    fn publish(&mut self, name: &str) {
        let request = PublishRequestType::Live;
        let result = self
            .session
            .request_publishing(name.into(), request)
            .unwrap();
        self.act(vec![result]);
        self.wait_for(|event| *event == ClientSessionEvent::PublishRequestAccepted);
    }

    fn play(&mut self, name: &str) {
        let result = self.session.request_playback(name.into()).unwrap();
        self.act(vec![result]);
        self.wait_for(|event| *event == ClientSessionEvent::PlaybackRequestAccepted);
    }

    fn send_video(&mut self, timestamp: u32, payload: &[u8]) {
        let payload = payload.to_vec().into();
        let time = RtmpTimestamp::new(timestamp);
        let result = self
            .session
            .publish_video_data(payload, time, false)
            .unwrap();
        self.act(vec![result]);
    }

    fn send_audio(&mut self, timestamp: u32, payload: &[u8]) {
        let payload = payload.to_vec().into();
        let time = RtmpTimestamp::new(timestamp);
        let result = self
            .session
            .publish_audio_data(payload, time, false)
            .unwrap();
        self.act(vec![result]);
    }

    fn next_video(&mut self) -> (u32, Vec<u8>) {
        let is_video = |event: &_| matches!(event, ClientSessionEvent::VideoDataReceived { .. });
        match self.wait_for(is_video) {
            ClientSessionEvent::VideoDataReceived { timestamp, data } => {
                (timestamp.value, data.to_vec())
            }
            _ => unreachable!(),
        }
    }
}

fn frame(number: u8, is_keyframe: bool) -> Vec<u8> {
    let mut payload = vec![
        if is_keyframe { 0x17 } else { 0x27 },
        1,
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        0x41,
    ];
    payload.resize(20_000, number);
    payload
}

#[test]
fn rml_rtmp_publishes_plays_and_survives_a_change_of_publisher() {
    let server = server(Config::default());
    let address = server.rtmp_addresses()[0];
    let mut player = Peer::connect(address);
    player.play("door");
    let mut last = None;
    for round in 0..2 {
        let mut publisher = Peer::connect(address);
        publisher.publish("door");
        let mut metadata = StreamMetadata::new();
        metadata.video_width = Some(640);
        let result = publisher.session.publish_metadata(&metadata).unwrap();
        publisher.act(vec![result]);
        publisher.send_video(0, AVC_HEADER);
        publisher.send_audio(0, AAC_HEADER);
        for number in 0..10 {
            publisher.send_video(u32::from(number) * 40, &frame(number, number == 0));
            publisher.send_audio(u32::from(number) * 40, b"\xAF\x01\x21\x10");
        }
        if round == 0 {
            let (_, header) = player.next_video();
            assert_eq!(header, AVC_HEADER);
        }
        for number in 0..10 {
            let (timestamp, payload) = player.next_video();
            assert_eq!(payload, frame(number, number == 0));
            assert!(last.is_none_or(|last| timestamp > last));
            last = Some(timestamp);
        }
    }
}

#[test]
fn rml_rtmp_is_notified_of_the_end_of_the_stream() {
    let server = server(short_grace());
    let address = server.rtmp_addresses()[0];
    let mut publisher = Peer::connect(address);
    publisher.publish("door");
    let mut player = Peer::connect(address);
    player.play("door");
    let result = publisher.session.stop_publishing().unwrap();
    publisher.act(result);
    drop(publisher);
    player.wait_for(|event| {
        let code = "NetStream.Play.UnpublishNotify".to_owned();
        *event == ClientSessionEvent::UnhandleableOnStatusCode { code }
    });
    let mut rest = Vec::new();
    player.socket.read_to_end(&mut rest).unwrap();
}
