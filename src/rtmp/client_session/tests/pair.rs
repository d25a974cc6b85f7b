//! Client and server session together.

use super::*;

/// See the module's documentation.
struct Pair {
    client: ClientSession<Heap>,
    server: ServerSession<Heap>,
    recorder: FlightRecorder,
    /// What both sides have noticed.
    lines: Vec<String>,
    piece_len: usize,
    /// The verdicts of the server; `None` accepts.
    refusal: Option<(&'static str, &'static str)>,
}

impl Pair {
    fn new(options: ConnectOptions) -> Pair {
        Pair {
            client: client(options),
            server: ServerSession::new(Heap, MAX_MESSAGE, nonce),
            recorder: FlightRecorder::default(),
            lines: Vec::new(),
            piece_len: usize::MAX,
            refusal: None,
        }
    }

    /// Lets both sides talk until neither has anything to say. Returns what they noticed.
    fn talk(&mut self) -> Vec<String> {
        loop {
            let to_server = self.client.take_output();
            self.serve(&to_server);
            let to_client = self.server.take_output();
            self.read(&to_client);
            if to_server.is_empty() && to_client.is_empty() {
                return mem::take(&mut self.lines);
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece_len) {
            let mut input = Bytes::from(piece);
            while let Some(event) = self.client.handle(&mut input, 0).unwrap() {
                let line = line(&self.client, &event);
                self.lines.push(format!("client: {line}"));
            }
        }
    }

    fn serve(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece_len) {
            let mut input = Bytes::from(piece);
            loop {
                let mut tape = self.recorder.at(0);
                let Some(event) = self.server.handle(&mut input, &mut tape).unwrap() else {
                    break;
                };
                let mut line = String::new();
                match event {
                    Event::Connect(connect) => {
                        line = format!("connect {} {}", connect.app, connect.is_publisher);
                        match self.refusal {
                            Some((code @ "NetConnection.Connect.Rejected", words)) => {
                                self.server.refuse_connect(code, words);
                            }
                            _ => self.server.accept_connect(),
                        }
                    }
                    Event::Publish {
                        message_stream_id: id,
                        name,
                        ..
                    } => {
                        line = format!("publish {id} {name}");
                        match self.refusal {
                            Some((code, words)) => self.server.refuse_stream(id, code, words),
                            None => self.server.accept_publish(id, "live/door"),
                        }
                    }
                    Event::Play {
                        message_stream_id: id,
                        name,
                    } => {
                        line = format!("play {id} {name}");
                        match self.refusal {
                            Some((code, words)) => self.server.refuse_stream(id, code, words),
                            None => {
                                let control = self.server.accept_play(id, "live/door");
                                self.read(&control);
                            }
                        }
                    }
                    Event::Media(media) => {
                        let payload = self.server.payload(&media).map(<[u8]>::len).sum::<usize>();
                        line = format!("{:?} {} {payload}", media.medium, media.timestamp);
                    }
                    Event::Metadata { .. } => line = "metadata".to_owned(),
                    Event::Data { timestamp, .. } => line = format!("data {timestamp}"),
                    Event::Stop { .. } => line = "stop".to_owned(),
                    _ => {}
                }
                if !line.is_empty() {
                    self.lines.push(format!("server: {line}"));
                }
            }
        }
    }

    /// A pair whose client publishes `door`.
    fn publishing(options: ConnectOptions, piece_len: usize) -> Pair {
        let mut pair = Pair::new(options);
        pair.piece_len = piece_len;
        assert_eq!(
            pair.talk(),
            ["server: connect live true", "client: Connected"]
        );
        pair.client.publish("door?key=1");
        let lines = pair.talk();
        assert_eq!(
            lines,
            ["server: publish 1 door?key=1", "client: Publishing"]
        );
        pair
    }

    fn publish_media(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let metadata = [text("@setDataFrame"), text("onMetaData"), object([])];
        let mut body = Vec::new();
        metadata.iter().for_each(|value| value.emit(&mut body));
        self.client.write_data(0, &body, &mut out);
        let long = vec![0x17; 200_000];
        self.client
            .write_media(Medium::Video, 0xFF_FFFF, &long, &mut out);
        self.client
            .write_media(Medium::Audio, u32::MAX, b"\xAF\x01x", &mut out);
        self.serve(&out);
        mem::take(&mut self.lines)
    }
}

#[test]
fn a_publish_goes_through_however_the_bytes_are_split() {
    for piece_len in [1, 3, 128, 4096, usize::MAX] {
        let mut pair = Pair::publishing(options(), piece_len);
        let lines = pair.publish_media();
        let media = [
            "server: metadata",
            "server: Video 16777215 200000",
            "server: Audio 4294967295 3",
        ];
        assert_eq!(lines, media, "{piece_len}");
        pair.client.close();
        assert_eq!(pair.talk(), ["server: stop"]);
        assert!(!pair.server.is_in_use());
    }
}

#[test]
fn amf3_digests_and_enhanced_rtmp_change_nothing() {
    for choice in 0..8 {
        let options = ConnectOptions {
            is_amf3: choice & 1 != 0,
            is_enhanced: choice & 2 != 0,
            has_digest: choice & 4 != 0,
            ..options()
        };
        let mut pair = Pair::publishing(options, usize::MAX);
        assert_eq!(pair.publish_media().len(), 3);
        assert_eq!(pair.client.announced(), (Codecs::default(), 15));
    }
}

#[test]
fn a_player_gets_media_and_the_end() {
    let player = ConnectOptions {
        is_publisher: false,
        ..options()
    };
    for piece_len in [1, 100, usize::MAX] {
        let mut pair = Pair::new(player.clone());
        pair.piece_len = piece_len;
        pair.talk();
        pair.client.play("door");
        let lines = pair.talk();
        let expected = [
            "client: status NetStream.Play.Reset",
            "client: Playing",
            // |RtmpSampleAccess
            "client: data 0 24",
            "server: play 1 door",
        ];
        assert_eq!(lines, expected);
        let writer = ChunkWriter::with_announced_chunk_size();
        let mut out = Vec::new();
        for (type_id, timestamp, payload) in [
            (type_id::VIDEO, 40, &b"\x17\x01picture"[..]),
            (type_id::AUDIO, 50, b"\xAF\x01sound"),
            (type_id::DATA, 60, b"\x02\0\x07onCueXX"),
        ] {
            let header = MessageHeader {
                chunk_stream_id: 6,
                timestamp,
                len: 0,
                type_id,
                message_stream_id: 1,
            };
            writer.write(header, payload, &mut out);
        }
        out.extend_from_slice(&end_of_stream(
            1,
            Dialect::AMF0,
            crate::rtmp::server_session::Over::Unpublished,
        ));
        pair.read(&out);
        let lines = mem::take(&mut pair.lines);
        let expected = [
            "client: Video 40 \u{17}\u{1}picture",
            "client: Audio 50 \u{fffd}\u{1}sound",
            "client: data 60 10",
            "client: EndOfStream",
            "client: status NetStream.Play.UnpublishNotify",
            "client: status NetStream.Play.Stop",
        ];
        assert_eq!(lines, expected, "{piece_len}");
    }
}

#[test]
fn refusals_arrive_with_the_servers_words() {
    for (code, words, kind) in [
        ("NetConnection.Connect.Rejected", "not you", "Denied"),
        (
            "NetConnection.Connect.Rejected",
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
            "Login",
        ),
        ("NetStream.Publish.BadName", "in use", "BadName"),
        ("NetStream.Publish.Denied", "wrong key", "Denied"),
    ] {
        let mut pair = Pair::new(options());
        pair.refusal = Some((code, words));
        pair.talk();
        pair.client.publish("door");
        pair.talk();
        // Both the event of connect and that of publish end the session.
        assert_eq!(pair.client.conversation.phase, Phase::Over);
        let mut pair = Pair::new(options());
        pair.refusal = Some((code, words));
        let mut lines = pair.talk();
        pair.client.publish("door");
        lines.extend(pair.talk());
        let expected = format!("client: refused {kind}: {words} ({code})");
        assert_eq!(lines.last(), Some(&expected));
    }
}

#[test]
fn the_server_is_acknowledged_and_its_pings_are_answered() {
    let mut pair = Pair::publishing(options(), usize::MAX);
    pair.server.ping(1234);
    let ping = pair.server.take_output();
    pair.read(&ping);
    let mut expected = Vec::new();
    let pong = Control::User(UserControl::PingResponse(1234));
    ChunkWriter::with_announced_chunk_size().write_control(&pong, &mut expected);
    assert_eq!(pair.client.take_output(), expected);
}
