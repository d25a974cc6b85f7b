//! A file that is published, as messages.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use brooklet::StreamMessage;
use brooklet::media::flv::tag_type;
use brooklet::media::flv_reader::{FlvPart, FlvReader};
use brooklet::media::mp4::demux::{Demuxer, ReadAt, TrackSummary, is_mp4};
use brooklet::media::{Error, Medium};
use brooklet::rtmp::file_metadata::FileProperties;
use brooklet::url::without_urls;

use super::logger;

/// The longest message, in bytes: what FLV and RTMP can carry.
const MAX_LEN: u32 = 0xFF_FFFF;

/// The length of the buffer for FLV.
const BUFFER_LEN: usize = 64 * 1024;

/// The number of bytes that tell what a file is.
const START_LEN: usize = 8;

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
    /// What comes before everything else.
    metadata: Option<StreamMessage>,
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
            return Source::from_pipe("standard input", Box::new(io::stdin()));
        }
        let name = without_urls(&path.display().to_string());
        let io = |error| format!("cannot read {name}: {error}");
        let file = File::open(path).map_err(io)?;
        if file
            .metadata()
            .is_ok_and(|found| !found.is_file() && !found.is_dir())
        {
            return Source::from_pipe(&name, Box::new(file));
        }
        let mut file = AtFile(file);
        let mut start = [0; START_LEN];
        let len = file
            .read_at(0, &mut start)
            .map_err(|why| format!("cannot read {name}: {why}"))?;
        let start = &start[..len];
        if !is_mp4(start) {
            check_start(&name, start)?;
            return Ok(Source::Flv(FlvFile::new(&name, Box::new(file.0))));
        }
        let demuxer = Demuxer::open(&mut file, MAX_LEN);
        let mut demuxer = demuxer.map_err(|why| format!("cannot publish {name}: {why}"))?;
        let metadata = metadata(&demuxer.summaries());
        Ok(Source::Mp4(Box::new(Mp4File {
            name,
            file,
            demuxer,
            metadata: Some(metadata),
        })))
    }

    /// Reads what can be read only once.
    fn from_pipe(name: &str, input: Box<dyn Read>) -> Result<Source, String> {
        let mut file = FlvFile::new(name, input);
        while file.end < START_LEN {
            let io = |error: io::Error| format!("cannot read {name}: {error}");
            match file.input.read(&mut file.buffer[file.end..]) {
                Ok(0) => break,
                Ok(len) => file.end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io(error)),
            }
        }
        let start = &file.buffer[..file.end];
        if is_mp4(start) {
            return Err(format!(
                "{name} is MP4, which is read at many places: give the name of a file, or FLV here"
            ));
        }
        check_start(name, start)?;
        Ok(Source::Flv(file))
    }

    /// Says which tracks of the file aren't published.
    pub(crate) fn warn_of_tracks(&self) {
        let Source::Mp4(file) = self else { return };
        if let Some(tracks) = file.demuxer.left_out() {
            let name = &file.name;
            let text = format!("{name}: published without {tracks}");
            logger::complain(&text);
        }
    }

    /// Reads the next message; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<StreamMessage>, String> {
        match self {
            Source::Flv(file) => {
                let next = file.next();
                next.map_err(|why| format!("{}: {why}", file.name))
            }
            Source::Mp4(file) => {
                if let Some(metadata) = file.metadata.take() {
                    return Ok(Some(metadata));
                }
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

/// Refuses what isn't FLV, given the first bytes.
fn check_start(name: &str, start: &[u8]) -> Result<(), String> {
    match start {
        [] => Err(format!("{name} is empty, expected FLV or MP4")),
        [b'F', b'L', b'V', ..] => Ok(()),
        _ => Err(format!(
            "{name} is neither FLV nor MP4: it begins with \"{}\"",
            start.escape_ascii()
        )),
    }
}

/// The metadata of an MP4 file, with the names and units of ffmpeg.
fn metadata(tracks: &[TrackSummary]) -> StreamMessage {
    let mut properties = FileProperties::default();
    // As of all streams that are live.
    properties.add_number("duration", 0.0);
    for track in tracks {
        let [codec_id, data_rate] = match track.medium {
            Medium::Video => ["videocodecid", "videodatarate"],
            Medium::Audio => ["audiocodecid", "audiodatarate"],
        };
        let is_video = track.medium == Medium::Video;
        for (name, number) in [
            ("width", track.size.map(|(width, _)| width.into())),
            ("height", track.size.map(|(_, height)| height.into())),
            (data_rate, track.bit_rate.map(|bits| bits / 1024.0)),
            ("framerate", track.frame_rate.filter(|_| is_video)),
            ("audiosamplerate", track.sample_rate.map(f64::from)),
            ("audiochannels", track.channels.map(f64::from)),
            (codec_id, Some(track.codec_id.into())),
        ] {
            if let Some(number) = number {
                properties.add_number(name, number);
            }
        }
    }
    StreamMessage::data(0, properties.message())
}

impl FlvFile {
    fn new(name: &str, input: Box<dyn Read>) -> FlvFile {
        FlvFile {
            name: name.to_owned(),
            input,
            reader: FlvReader::new(MAX_LEN),
            buffer: vec![0; BUFFER_LEN],
            at: 0,
            end: 0,
        }
    }

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
