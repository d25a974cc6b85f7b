//! The bytes that clients send for each action.

use std::thread;
use std::time::Duration;

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};
use brooklet::rtmp::message::type_id;

use super::{Client, Crowd};
use crate::common::client::AAC_HEADER;
use crate::common::http::{UPGRADE, client_frame};
use crate::steps::{ANOTHER_TRACK, Act, Ask, Len, Name, What};
use crate::wire::{self, command, header, message, metadata, set_chunk_size};

/// In this time an idle server answers.
const MOMENT: Duration = Duration::from_millis(3);

impl Crowd {
    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn name(&mut self, name: Name) -> String {
        if matches!(name, Name::New | Name::NewLong) {
            self.last_name = self.number();
        }
        match name {
            Name::Few(number) => format!("few{number}"),
            Name::New | Name::Last => format!("new{}", self.last_name),
            Name::NewLong => format!("new{}-{}", self.last_name, "n".repeat(100)),
        }
    }

    fn send(&mut self, client: &mut Client, bytes: &[u8]) {
        self.sent += bytes.len();
        client.send(bytes);
    }

    /// Sends handshake and connect, without waiting for answers.
    pub(super) fn begin(&mut self, client: &mut Client) {
        let mut bytes = wire::c0_c1();
        bytes.resize(bytes.len() + 1536, 0);
        bytes.extend(set_chunk_size(65_536));
        self.send(client, &bytes);
        self.connect(client, Len::Tiny);
        self.command(client, 0, "createStream", &[5]);
    }

    fn connect(&mut self, client: &mut Client, len: Len) {
        let url = format!("rtmp://host/live?{}", "u".repeat(len.bytes()));
        let mut arguments = Vec::new();
        object([("app", text("live")), ("tcUrl", text(&url))]).emit(&mut arguments);
        self.command(client, 0, "connect", &arguments);
    }

    fn command(&mut self, client: &mut Client, stream: u32, name: &str, rest: &[u8]) {
        let bytes = message(type_id::COMMAND, stream, &command(name, 1.0, rest));
        self.send(client, &bytes);
    }

    pub(super) fn act(&mut self, client: &mut Client, stream: u32, act: Act) {
        let number = self.number();
        let with_name = |name: &str| {
            let mut rest = vec![5];
            text(name).emit(&mut rest);
            rest
        };
        let bytes = match act {
            Act::Connect(len) => {
                let address = self.server.rtmp_addresses()[0];
                *client = Client::connect(address);
                let mut bytes = wire::c0_c1();
                bytes.resize(bytes.len() + 1536, 0);
                bytes.extend(set_chunk_size(65_536));
                self.send(client, &bytes);
                return self.connect(client, len);
            }
            Act::CreateStream => return self.command(client, 0, "createStream", &[5]),
            Act::Publish(name) => {
                let name = self.name(name);
                return self.command(client, stream, "publish", &with_name(&name));
            }
            Act::Play(name) => {
                let name = self.name(name);
                return self.command(client, stream, "play", &with_name(&name));
            }
            Act::Pause => return self.command(client, stream, "pause", &[5, 1, 1]),
            Act::CloseStream => return self.command(client, stream, "closeStream", &[5]),
            Act::DeleteStream => {
                let mut rest = vec![5];
                Value::Number(stream.into()).emit(&mut rest);
                return self.command(client, 0, "deleteStream", &rest);
            }
            Act::Metadata(len) => {
                let value = format!("{number}{}", "m".repeat(200));
                let names = ["encoder", "width", "comment", "title"];
                let properties = (0..1 + len.bytes() / 220)
                    .map(|index| (names[index % names.len()], text(&value)));
                let mut rest = Vec::new();
                object(properties).emit(&mut rest);
                message(type_id::DATA, stream, &metadata(&rest))
            }
            Act::VideoHeader(None, len) => {
                let payload = wire::video_header(number, len.bytes());
                let mut bytes =
                    header(6, client.time, payload.len() as u32, type_id::VIDEO, stream);
                bytes.extend(payload);
                bytes
            }
            Act::VideoHeader(Some(track), len) => {
                let track = match track {
                    ANOTHER_TRACK => (number % 40) as u8,
                    track => track,
                };
                let mut payload = [b"\x96\0hvc1", &[track][..], &number.to_be_bytes()].concat();
                payload.resize(payload.len().max(len.bytes()), 1);
                message(type_id::VIDEO, stream, &payload)
            }
            Act::AudioHeader(len) => {
                let mut payload = AAC_HEADER.to_vec();
                payload.extend(number.to_be_bytes());
                payload.resize(payload.len().max(len.bytes()), 1);
                message(type_id::AUDIO, stream, &payload)
            }
            Act::Keyframe(len) => self.media(client, stream, &[0x17, 1, 0, 0, 0], len),
            Act::Picture(len) => self.media(client, stream, &[0x27, 1, 0, 0, 0], len),
            Act::Sound(len) => self.media(client, stream, &[0xAF, 1], len),
            Act::Unknown(len) => {
                let payload = command("unknown", 0.0, &vec![5; len.bytes()]);
                let chunk_stream_id = 3 + number % 56;
                let len = payload.len() as u32;
                let mut bytes = header(chunk_stream_id, 0, len, type_id::COMMAND, 0);
                bytes.extend(payload);
                bytes
            }
            Act::Begin(len) => {
                let len = len.bytes() as u32 * 2;
                let mut bytes = header(3 + number % 56, 0, len, type_id::VIDEO, stream);
                bytes.resize(bytes.len() + len as usize / 2, 0x17);
                // Unless it is cut into more chunks than would end the connection.
                client.is_over = true;
                bytes
            }
            Act::Ping => wire::user_control(wire::PING_REQUEST, &number.to_be_bytes()),
            Act::Read => {
                thread::sleep(MOMENT);
                return client.read();
            }
            Act::Leave => {
                client.is_over = true;
                return;
            }
        };
        if matches!(act, Act::Begin(_)) {
            client.is_over = false;
            self.send(client, &bytes);
            client.is_over = true;
            return;
        }
        self.send(client, &bytes);
    }

    fn media(&mut self, client: &mut Client, stream: u32, tag: &[u8], len: Len) -> Vec<u8> {
        // Many tiny ones fit into any history.
        client.time += if matches!(len, Len::Tiny) { 1 } else { 33 };
        let type_id = if tag[0] == 0xAF {
            type_id::AUDIO
        } else {
            type_id::VIDEO
        };
        let mut bytes = header(6, client.time, len.bytes() as u32, type_id, stream);
        bytes.extend(tag);
        bytes.resize(bytes.len() + len.bytes() - tag.len(), 0x41);
        bytes
    }

    pub(super) fn ask(&mut self, client: &mut Client, ask: Ask) {
        // A request's head has at most 8 KiB.
        let padding = |len: Len| -> String {
            let lines = 0..len.bytes().min(6_900) / 120;
            lines
                .map(|n| format!("X-{n}: {}\r\n", "h".repeat(110)))
                .collect()
        };
        let request = match ask {
            Ask::Get(what, query, head) => {
                let target = self.target(what, query.bytes().min(5_000));
                format!(
                    "GET {target} HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
                    padding(head)
                )
            }
            Ask::Upgrade(what, head) => {
                let target = self.target(what, 10);
                let headers = UPGRADE.to_owned() + &padding(head);
                format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
            }
            Ask::Half(head) => format!("GET / HTTP/1.1\r\n{}", padding(head)),
            Ask::Ping => return self.send(client, &client_frame(0x89, b"")),
            Ask::Leave => {
                client.is_over = true;
                return;
            }
        };
        self.send(client, request.as_bytes());
    }

    fn target(&mut self, what: What, query_len: usize) -> String {
        let query = format!("key={}", "q".repeat(query_len));
        let path = match what {
            What::Home => "/".into(),
            What::Stat => "/stat".into(),
            What::Metrics => "/metrics".into(),
            What::Streams => "/api/v1/streams".into(),
            What::Connections => "/api/v1/connections".into(),
            What::Player(name) => format!("/live/{}", self.name(name)),
            What::Playlist(name) => format!("/live/{}.m3u8", self.name(name)),
            What::MediaPlaylist(name) => format!("/live/{}/media.m3u8", self.name(name)),
            What::NextPlaylist(name) => {
                return format!("/live/{}/media.m3u8?_HLS_msn=1&{query}", self.name(name));
            }
            What::Init(name) => format!("/live/{}/00c0ffee-1.mp4", self.name(name)),
            What::Segment(name) => format!("/live/{}/00c0ffee-7.m4s", self.name(name)),
            What::Flv(name) => format!("/live/{}.flv", self.name(name)),
            What::Mp4(name) => format!("/live/{}.mp4", self.name(name)),
            What::Frame(name) => format!("/live/{}/frame.mp4", self.name(name)),
        };
        format!("{path}?{query}")
    }
}
