//! Players of FLV over HTTP, from small servers of these tests and from this server.

use std::io::{Read, Write};
use std::net::TcpStream;

use brooklet::client::{Client, ClientErrorKind};
use brooklet::config::parse_pull;
use brooklet::media::flv::{TagHeader, file_header};
use brooklet::{Config, Medium, RelayState, StreamMessage};

use crate::common::client::{AVC_HEADER, server};
use crate::common::{SOON, wait_until};
use crate::hostile::FakeServer;

/// The path of a camera's stream, in Reolink's form.
const REOLINK: &str =
    "/flv?port=1935&app=bcs&stream=channel0_main.bcs&user=admin&password=s3cret%20x";

fn messages() -> Vec<StreamMessage> {
    let mut messages = vec![StreamMessage::video(0, [0x17, 0, 0, 0, 0, 1, 0x42, 0xC0])];
    for number in 0..20 {
        let kind = if number % 10 == 0 { 0x17 } else { 0x27 };
        let mut payload = vec![kind, 1, 0, 0, 0];
        payload.resize(1_000 * (1 + number as usize % 40), number as u8);
        messages.push(StreamMessage::video(number * 40, payload));
        messages.push(StreamMessage::audio(number * 40 + 3, [0xAF, 1, 7]));
    }
    messages
}

fn tag(message: &StreamMessage) -> Vec<u8> {
    let header = TagHeader {
        tag_type: message.type_id(),
        len: message.payload().len() as u32,
        timestamp: message.timestamp(),
    };
    let (head, size) = (header.bytes(), header.size_bytes());
    [&head[..], message.payload(), &size[..]].concat()
}

fn flv() -> Vec<u8> {
    let tags = messages().iter().flat_map(tag).collect::<Vec<_>>();
    [&file_header(true, true)[..], &tags].concat()
}

fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len > 0) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A camera: after a redirect, sends FLV in pieces of `piece` bytes, in chunks if wanted.
fn camera(is_chunked: bool, piece: usize) -> FakeServer {
    FakeServer::start(move |mut stream, connection| {
        let head = request(&mut stream);
        if connection == 0 {
            assert!(head.starts_with("GET /first HTTP/1.1\r\n"), "{head}");
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {REOLINK}\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            return;
        }
        // Byte for byte.
        assert!(
            head.starts_with(&format!("GET {REOLINK} HTTP/1.1\r\n")),
            "{head}"
        );
        // bob:s3cret
        assert!(
            head.contains("\r\nAuthorization: Basic Ym9iOnMzY3JldA==\r\n"),
            "{head}"
        );
        let coding = if is_chunked {
            "Transfer-Encoding: chunked\r\n"
        } else {
            ""
        };
        let answer = format!("HTTP/1.1 200 OK\r\n{coding}Content-Type: video/x-flv\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        for piece in flv().chunks(piece) {
            if is_chunked {
                write!(stream, "{:x}\r\n", piece.len()).unwrap();
            }
            stream.write_all(piece).unwrap();
            if is_chunked {
                stream.write_all(b"\r\n").unwrap();
            }
        }
        if is_chunked {
            stream.write_all(b"0\r\n\r\n").unwrap();
        }
    })
}

#[test]
fn a_camera_is_played_after_a_redirect_with_and_without_chunks() {
    for (is_chunked, piece) in [(false, 100_000), (true, 100_000), (true, 777)] {
        let server = camera(is_chunked, piece);
        let url = format!("http://bob:s3cret@{}/first", server.address);
        let client = Client::new(&url).unwrap().timeout(SOON);
        let mut player = client.play().unwrap();
        for expected in messages() {
            let got = player.recv(SOON).unwrap().unwrap();
            assert_eq!(got, &expected);
        }
        assert_eq!(player.recv(SOON), Ok(None));
    }
}

/// What a camera sends of a codec: how a sequence header begins, a keyframe, and another frame.
struct Form {
    codec: &'static str,
    header: &'static [u8],
    key: &'static [u8],
    other: &'static [u8],
}

/// H.264, HEVC with the legacy id that some cameras use, and HEVC of Enhanced RTMP.
const FORMS: &[Form] = &[
    Form {
        codec: "H.264",
        header: AVC_HEADER,
        key: &[0x17, 1, 0, 0, 0],
        other: &[0x27, 1, 0, 0, 0],
    },
    Form {
        codec: "HEVC",
        header: b"\x1C\0\0\0\0\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x5D\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0",
        key: &[0x1C, 1, 0, 0, 0],
        other: &[0x2C, 1, 0, 0, 0],
    },
    Form {
        codec: "HEVC",
        header: b"\x90hvc1\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x5D\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0",
        key: b"\x93hvc1",
        other: b"\xA3hvc1",
    },
];

impl Form {
    /// The payload of a message, of which every tenth is a keyframe.
    fn frame(&self, number: u32) -> Vec<u8> {
        let start = if number % 10 == 0 {
            self.key
        } else {
            self.other
        };
        let unit = match self.codec {
            // The header of a NAL unit, for an IDR and another slice.
            "HEVC" if number % 10 == 0 => [19 << 1, 1],
            "HEVC" => [1 << 1, 1],
            _ if number % 10 == 0 => [0x65, 0],
            _ => [0x41, 0],
        };
        let body = [&unit[..], &number.to_be_bytes(), &[7; 900]].concat();
        [start, &(body.len() as u32).to_be_bytes(), &body].concat()
    }
}

#[test]
fn a_camera_is_pulled_in_each_form() {
    for form in FORMS {
        let camera = FakeServer::start(|mut stream, _| {
            let head = request(&mut stream);
            assert!(head.starts_with(&format!("GET {REOLINK} ")), "{head}");
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n");
            let _ = stream.write_all(&file_header(true, true));
            let headers = std::iter::once((0, form.header.to_vec()));
            let frames = (0..25).map(|number| (number * 40, form.frame(number)));
            for (timestamp, payload) in headers.chain(frames) {
                let message = StreamMessage::video(timestamp, payload);
                let _ = stream.write_all(&tag(&message));
            }
            // Cameras go on for ever.
            std::thread::spawn(move || crate::hostile::read_on(stream));
        });
        let edge = server(Config::default());
        let url = format!("rtmp://{}/live/cam", edge.rtmp_addresses()[0]);
        let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
        let pull = format!("live/cam=http://{}{REOLINK}", camera.address);
        edge.pull(parse_pull(&pull).unwrap()).unwrap();
        let mut number = 0;
        while number < 25 {
            let message = player.recv(SOON).unwrap().unwrap();
            match message.medium() {
                Some(Medium::Video) if message.is_sequence_header() => {
                    assert_eq!(message.payload(), form.header);
                }
                Some(_) => {
                    assert_eq!(message.payload(), form.frame(number), "{number}");
                    number += 1;
                }
                None => {}
            }
        }
        let report = &edge.streams()[0].report;
        let codec = report.video.info.as_ref().map(|info| info.codec_name());
        assert_eq!(codec.as_deref(), Some(form.codec));
        wait_until("the pull is live", SOON, || {
            edge.pulls()[0].state == RelayState::Live
        });
        assert!(!format!("{:?}", edge.pulls()).contains("s3cret"));
    }
}

#[test]
fn answers_other_than_a_stream_say_what_came() {
    for (answer, kind, says) in [
        (
            "HTTP/1.1 401 Unauthorized\r\n\r\n",
            ClientErrorKind::Denied,
            "answered 401 Unauthorized, expected 200 and FLV",
        ),
        (
            "HTTP/1.1 404 no channel0_main.bcs\r\n\r\n",
            ClientErrorKind::NotFound,
            "answered 404 no channel0_main.bcs, expected 200 and FLV",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /flv?x\r\n\r\n",
            ClientErrorKind::BadRedirect,
            "redirected more than 3 times",
        ),
        (
            "RTSP/1.0 200 OK\r\n\r\n",
            ClientErrorKind::Protocol,
            "not an answer in HTTP/1.1",
        ),
        (
            "",
            ClientErrorKind::Lost,
            "closed the connection during the request",
        ),
    ] {
        let server = FakeServer::start(move |mut stream, _| {
            request(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let url = format!("http://{}/flv?user=admin&password=s3cret", server.address);
        let error = Client::new(&url).unwrap().play().err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn a_body_that_is_no_flv_is_an_error() {
    let server = FakeServer::start(|mut stream, _| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n<html>nothing to see here</html>");
    });
    let url = format!("http://{}/flv", server.address);
    let mut player = Client::new(&url).unwrap().play().unwrap();
    let error = player.recv(SOON).unwrap_err();
    assert_eq!(error.kind(), ClientErrorKind::Protocol);
}

#[test]
#[cfg(feature = "http")]
fn this_server_is_played_over_http() {
    let server = server(Config::default());
    let rtmp = format!("rtmp://{}/live/door", server.rtmp_addresses()[0]);
    let http = format!("http://{}/live/door.flv", server.http_addresses()[0]);
    let mut publisher = Client::new(&rtmp).unwrap().publish().unwrap();
    for message in messages() {
        publisher.send(&message).unwrap();
    }
    let mut player = Client::new(&http).unwrap().play().unwrap();
    let mut videos = 0;
    while videos < 10 {
        let message = player.recv(SOON).unwrap().unwrap();
        videos += u32::from(message.medium() == Some(Medium::Video));
    }
}
