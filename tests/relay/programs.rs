//! The programs `brooklet publish`, `play` and `probe`, against this server.

mod bad_input;
mod pipes;
mod probe;
mod signals;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use brooklet::client::Client;
use brooklet::config::{Access, Key, User};
use brooklet::media::flv::{TagHeader, file_header};
use brooklet::media::flv_reader::{FlvPart, FlvReader};
use brooklet::{Config, Medium, Server};

use crate::common::client::{AAC_HEADER, AVC_HEADER, server};
use crate::common::process::Program;
use crate::common::{PROGRAM, SOON, wait_until, without_settings};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM.unwrap());
    without_settings(&mut command).args(arguments);
    command
}

pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> Running {
    let mut command = command(arguments);
    Running(command.stdin(Stdio::null()).spawn().unwrap())
}

fn url(server: &Server, name: &str) -> String {
    format!("rtmp://{}/live/{name}", server.rtmp_addresses()[0])
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("brooklet-{}-{name}", std::process::id()))
}

type Message = (u8, u32, Vec<u8>);

/// A second of video and audio.
fn messages() -> Vec<Message> {
    let mut messages = vec![(9, 0, AVC_HEADER.to_vec()), (8, 0, AAC_HEADER.to_vec())];
    for frame in 0..25 {
        let (first, nal) = if frame == 0 {
            (0x17, 0x65)
        } else {
            (0x27, 0x41)
        };
        let video = vec![first, 1, 0, 0, 0, 0, 0, 0, 2, nal, frame as u8];
        messages.push((9, frame * 40, video));
        messages.push((8, frame * 40, vec![0xAF, 1, frame as u8]));
    }
    messages
}

fn flv(messages: &[Message]) -> Vec<u8> {
    let mut file = file_header(true, true).to_vec();
    for (tag_type, timestamp, payload) in messages {
        let header = TagHeader {
            tag_type: *tag_type,
            len: payload.len() as u32,
            timestamp: *timestamp,
        };
        file.extend(header.bytes());
        file.extend(payload);
        file.extend(header.size_bytes());
    }
    file
}

/// The audio and video messages of a file.
fn read(file: &[u8]) -> Vec<Message> {
    let mut reader = FlvReader::new(1 << 20);
    let (mut input, mut messages) = (file, Vec::<Message>::new());
    while let Some(part) = reader.read(&mut input).unwrap() {
        match part {
            FlvPart::Tag(tag) => messages.push((tag.tag_type, tag.timestamp, Vec::new())),
            FlvPart::Payload(bytes) => messages.last_mut().unwrap().2.extend(bytes),
            FlvPart::End => {}
        }
    }
    reader.finish().unwrap();
    messages.retain(|message| message.0 != 18);
    messages
}

#[test]
fn what_is_published_from_a_file_is_played_into_an_equal_file() {
    let server = server(Config::default().grace(Duration::from_millis(500)));
    let url = url(&server, "file");
    let [source, target] = [path("source.flv"), path("target.flv")];
    fs::write(&source, flv(&messages())).unwrap();
    let mut player = start(&["play", &url, target.to_str().unwrap()]);
    wait_until("the player waits", SOON, || server.connection_count() == 1);
    // The player has to be there at the first frame.
    wait_until("the file is created", SOON, || target.exists());
    let (code, _, errors) = run(&["publish", source.to_str().unwrap(), &url]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(player.0.wait().unwrap().success());
    let played = read(&fs::read(&target).unwrap());
    assert_eq!(played, messages());
    let _ = (fs::remove_file(source), fs::remove_file(target));
}

#[test]
fn timestamps_go_on_when_a_file_is_repeated() {
    let server = server(Config::default());
    let url = url(&server, "loop");
    let source = path("loop.flv");
    fs::write(&source, flv(&messages())).unwrap();
    let mut player = Client::new(&url).unwrap().timeout(SOON).play().unwrap();
    let _publisher = start(&["publish", "--loop", source.to_str().unwrap(), &url]);
    let mut times = Vec::new();
    while times.len() < 30 {
        let message = player.recv(SOON).unwrap().unwrap();
        if message.medium() == Some(Medium::Video) && !message.is_sequence_header() {
            times.push(message.timestamp());
        }
    }
    let steps = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    assert!(steps.into_iter().all(|step| step == 40), "{times:?}");
    let _ = fs::remove_file(source);
}
