//! A player's connection, up to where media flows, in each protocol.

use std::net::TcpStream;

use crate::client::{self, Client};
use crate::flv::FlvReader;
use crate::http::{self, ResponseReader};
use crate::mp4::Mp4Reader;
use crate::process::Server;
use crate::publishers::stream_name;
use crate::wire::{ChunkReader, Piece};

/// How a player gets its stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rtmp,
    /// FLV over HTTP.
    Flv,
    /// Fragmented MP4 over HTTP.
    Mp4,
}

/// A connection that has sent everything but the last request.
pub(crate) struct Session {
    pub(crate) socket: TcpStream,
    pub(crate) reader: Reader,
    /// Sending it starts the stream.
    pub(crate) request: Vec<u8>,
    pub(crate) acknowledgement_window: u32,
}

impl Session {
    pub(crate) fn open(server: &Server, protocol: Protocol, stream: u32) -> Result<Self, String> {
        let name = stream_name(stream);
        let (extension, body) = match protocol {
            Protocol::Rtmp => {
                let client = Client::connect(server.address)?;
                return Ok(Self {
                    request: client.play(&name),
                    acknowledgement_window: client.acknowledgement_window,
                    socket: client.socket,
                    reader: Reader::Rtmp(client.reader),
                });
            }
            Protocol::Flv => ("flv", Body::Flv(FlvReader::new())),
            Protocol::Mp4 => ("mp4", Body::Mp4(Mp4Reader::new())),
        };
        Ok(Self {
            socket: client::connect(server.http_address)?,
            reader: Reader::Http(ResponseReader::new(), body),
            request: http::request(&format!("/{}/{name}.{extension}", client::APP)),
            acknowledgement_window: 0,
        })
    }
}

/// Cuts incoming bytes into pieces of messages.
pub(crate) enum Reader {
    Rtmp(ChunkReader),
    Http(ResponseReader, Body),
}

/// Of a response.
pub(crate) enum Body {
    Flv(FlvReader),
    Mp4(Mp4Reader),
}

impl Reader {
    pub(crate) fn feed(
        &mut self,
        input: &[u8],
        mut take: impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        match self {
            Reader::Rtmp(reader) => reader.feed(input, take),
            Reader::Http(response, body) => response.feed(input, |bytes| match body {
                Body::Flv(reader) => reader.feed(bytes, &mut take),
                Body::Mp4(reader) => reader.feed(bytes, &mut take),
            }),
        }
    }
}
