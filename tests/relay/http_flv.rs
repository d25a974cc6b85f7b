//! Players of FLV over HTTP, from small servers of these tests and from this server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use brooklet::client::{Client, ClientErrorKind};
use brooklet::media::flv::{TagHeader, file_header};
use brooklet::{Medium, StreamMessage};

use crate::common::SOON;
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

fn flv() -> Vec<u8> {
    let mut flv = file_header(true, true).to_vec();
    for message in messages() {
        let header = TagHeader {
            tag_type: message.type_id(),
            len: message.payload().len() as u32,
            timestamp: message.timestamp(),
        };
        flv.extend_from_slice(&header.bytes());
        flv.extend_from_slice(message.payload());
        flv.extend_from_slice(&header.size_bytes());
    }
    flv
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
    use brooklet::Config;

    use crate::common::client::server;

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
        let message = player.recv(Duration::from_secs(20)).unwrap().unwrap();
        videos += u32::from(message.medium() == Some(Medium::Video));
    }
}
