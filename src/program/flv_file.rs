//! A file of FLV that is written as messages come.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use brooklet::media::flv::{self, FILE_HEADER_LEN, TAG_HEADER_LEN, TagHeader, tag_type};
use brooklet::rtmp::bytes::Bytes;
use brooklet::rtmp::file_metadata::FileProperties;
use brooklet::rtmp::metadata;
use brooklet::url::without_urls;
use brooklet::{Medium, StreamMessage};

/// See the module's documentation. What is known only at the end (the duration, and whether there is audio
/// and video) is written then, unless this is a pipe.
pub(crate) struct FlvFile {
    name: String,
    out: Box<dyn Out>,
    is_pipe: bool,
    /// The timestamp that is 0 in the file.
    base: Option<u32>,
    last: u32,
    len: u64,
    has: [bool; 2],
    /// What the publisher said of the stream, in the metadata at the beginning.
    properties: Option<FileProperties>,
}

/// What a file and a pipe have in common.
trait Out: Write {
    /// Replaces bytes of a file.
    fn put_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
}

impl Out for BufWriter<File> {
    fn put_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(at))?;
        self.write_all(bytes)
    }
}

impl Out for io::Stdout {
    fn put_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl FlvFile {
    /// Creates a file, or writes to standard output for `-`.
    pub(crate) fn create(path: &Path) -> Result<FlvFile, String> {
        let is_pipe = path.as_os_str() == "-";
        let name = match is_pipe {
            true => "standard output".to_owned(),
            false => without_urls(&path.display().to_string()),
        };
        let out: Box<dyn Out> = match is_pipe {
            true => Box::new(io::stdout()),
            false => {
                let file = File::create(path);
                let file = file.map_err(|error| format!("cannot write {name}: {error}"))?;
                Box::new(BufWriter::new(file))
            }
        };
        let mut file = FlvFile {
            name,
            out,
            is_pipe,
            base: None,
            last: 0,
            len: 0,
            has: [false; 2],
            properties: None,
        };
        file.put(&flv::file_header(true, true))?;
        if is_pipe {
            // A program behind it may wait for this before it looks at anything else.
            file.done(|out| out.flush())?;
        }
        Ok(file)
    }

    /// Writes a message.
    pub(crate) fn write(&mut self, message: &StreamMessage) -> Result<(), String> {
        let payload = message.payload();
        if self.properties.is_none() {
            let found = metadata::parse(Bytes::from(payload)).flatten();
            let found = found.filter(|_| message.medium().is_none());
            let of_stream = found.map(|properties| FileProperties::of(&properties));
            let is_metadata = of_stream.is_some();
            // What servers say before the stream begins, such as |RtmpSampleAccess.
            if message.medium().is_none() && !is_metadata {
                return Ok(());
            }
            self.properties = Some(of_stream.unwrap_or_default());
            self.put_tag(tag_type::SCRIPT, 0, &self.metadata())?;
            if is_metadata {
                return Ok(());
            }
        }
        let time = match message.medium() {
            Some(medium) => {
                self.has[usize::from(medium == Medium::Video)] = true;
                let is_header = message.is_sequence_header();
                match self.base {
                    // A sequence header may have a timestamp of its own, before the first frame.
                    None if is_header => 0,
                    _ => {
                        let base = *self.base.get_or_insert(message.timestamp());
                        flv::since(base, message.timestamp())
                    }
                }
            }
            None => self.last,
        };
        self.last = self.last.max(time);
        self.put_tag(message.type_id(), time, payload)?;
        match self.is_pipe {
            true => self.done(|out| out.flush()),
            false => Ok(()),
        }
    }

    /// Writes what is known only now.
    pub(crate) fn finish(mut self) -> Result<(), String> {
        if !self.is_pipe {
            let header = flv::file_header(self.has[0], self.has[1]);
            self.done(|out| out.put_at(0, &header))?;
            if self.properties.is_some() {
                let metadata = self.metadata();
                let at = (FILE_HEADER_LEN + TAG_HEADER_LEN) as u64;
                self.done(|out| out.put_at(at, &metadata))?;
            }
        }
        self.done(|out| out.flush())
    }

    /// The metadata, whose length doesn't depend on the numbers.
    fn metadata(&self) -> Vec<u8> {
        let mut properties = self.properties.clone().unwrap_or_default();
        properties.add_number("duration", f64::from(self.last) / 1000.0);
        properties.add_number("filesize", self.len as f64);
        properties.message()
    }

    fn put_tag(&mut self, tag_type: u8, timestamp: u32, payload: &[u8]) -> Result<(), String> {
        let header = TagHeader {
            tag_type,
            len: payload.len() as u32,
            timestamp,
        };
        if header.len > flv::MAX_PAYLOAD_LEN {
            return Ok(());
        }
        self.put(&header.bytes())?;
        self.put(payload)?;
        self.put(&header.size_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.len += bytes.len() as u64;
        self.done(|out| out.write_all(bytes))
    }

    fn done(&mut self, act: impl FnOnce(&mut dyn Out) -> io::Result<()>) -> Result<(), String> {
        act(self.out.as_mut()).map_err(|error| format!("cannot write {}: {error}", self.name))
    }
}
