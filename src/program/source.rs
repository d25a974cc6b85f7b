//! A file that is published, as messages.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

use brooklet::StreamMessage;
use brooklet::media::flv::tag_type;
use brooklet::media::flv_reader::{FlvPart, FlvReader};
use brooklet::media::mp4::demux::{Demuxer, ReadAt};
use brooklet::media::{Error, Medium};
use brooklet::url::without_urls;

/// The longest message, in bytes: what FLV and RTMP can carry.
const MAX_LEN: u32 = 0xFF_FFFF;

/// The length of the buffer for FLV.
const BUFFER_LEN: usize = 64 * 1024;

/// See the module's documentation.
pub(crate) enum Source {
    Flv(FlvFile),
    Mp4(Box<Mp4File>),
}

pub(crate) struct FlvFile {
    name: String,
    input: Box<dyn Read>,
    reader: FlvReader,
    buffer: Vec<u8>,
    /// The bytes of the buffer that haven't been handled.
    at: usize,
    end: usize,
}

pub(crate) struct Mp4File {
    name: String,
    file: AtFile,
    demuxer: Demuxer,
}

struct AtFile(File);

impl ReadAt for AtFile {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut len = 0;
        while len < buffer.len() {
            match self
                .0
                .read_at(&mut buffer[len..], at.saturating_add(len as u64))
            {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // An offset that no file has.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                Err(error) => return Err(Error::Malformed(error.to_string().into())),
            }
        }
        Ok(len)
    }
}

impl Source {
    /// Opens a file of FLV or MP4, or FLV from standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Source, String> {
        if path.as_os_str() == "-" {
            return Ok(Source::flv("standard input", Box::new(io::stdin())));
        }
        let name = without_urls(&path.display().to_string());
        let io = |error| format!("cannot read {name}: {error}");
        let mut file = File::open(path).map_err(io)?;
        let mut start = [0; 3];
        let len = file.read(&mut start).map_err(io)?;
        if start[..len] == *b"FLV" {
            file.rewind().map_err(io)?;
            return Ok(Source::flv(&name, Box::new(file)));
        }
        let mut file = AtFile(file);
        match Demuxer::open(&mut file, MAX_LEN) {
            Ok(demuxer) => Ok(Source::Mp4(Box::new(Mp4File {
                name,
                file,
                demuxer,
            }))),
            Err(Error::Malformed(why)) => Err(format!("{name} is neither FLV nor MP4: {why}")),
            Err(Error::Unsupported(why)) => Err(format!("cannot publish {name}: {why}")),
        }
    }

    fn flv(name: &str, input: Box<dyn Read>) -> Source {
        Source::Flv(FlvFile {
            name: name.to_owned(),
            input,
            reader: FlvReader::new(MAX_LEN),
            buffer: vec![0; BUFFER_LEN],
            at: 0,
            end: 0,
        })
    }

    /// Reads the next message; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<StreamMessage>, String> {
        match self {
            Source::Flv(file) => {
                let next = file.next();
                next.map_err(|why| format!("{}: {why}", file.name))
            }
            Source::Mp4(file) => {
                let mut payload = Vec::new();
                let next = file.demuxer.next(&mut file.file, &mut payload);
                let next = next.map_err(|why| format!("{}: {why}", file.name))?;
                Ok(next.map(|message| match message.medium {
                    Medium::Audio => StreamMessage::audio(message.timestamp, payload),
                    Medium::Video => StreamMessage::video(message.timestamp, payload),
                }))
            }
        }
    }
}

impl FlvFile {
    fn next(&mut self) -> Result<Option<StreamMessage>, String> {
        let mut tag = None;
        let mut payload = Vec::new();
        loop {
            let mut input = &self.buffer[self.at..self.end];
            let part = self
                .reader
                .read(&mut input)
                .map_err(|why| why.to_string())?;
            self.at = self.end - input.len();
            match part {
                Some(FlvPart::Tag(header)) => tag = Some(header),
                Some(FlvPart::Payload(bytes)) => payload.extend_from_slice(bytes),
                Some(FlvPart::End) => {
                    let Some(tag) = tag.take() else { continue };
                    let message = match tag.tag_type {
                        tag_type::AUDIO => StreamMessage::audio,
                        tag_type::VIDEO => StreamMessage::video,
                        _ => StreamMessage::data,
                    };
                    return Ok(Some(message(tag.timestamp, payload)));
                }
                None => {
                    let read = self.input.read(&mut self.buffer);
                    match read {
                        Ok(0) => {
                            self.reader.finish().map_err(|why| why.to_string())?;
                            return Ok(None);
                        }
                        Ok(len) => (self.at, self.end) = (0, len),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error.to_string()),
                    }
                }
            }
        }
    }
}
