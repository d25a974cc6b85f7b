//! Files by others that are published: FLV and MP4.

use brooklet::media::Error;
use brooklet::media::flv_reader::{FlvPart, FlvReader};
use brooklet::media::mp4::demux::{Demuxer, ReadAt};

/// The longest frame in these tests.
const MAX_LEN: u32 = 1 << 16;

/// The most bytes in front of a frame: those of Enhanced RTMP, and a composition time.
const MAX_HEAD_LEN: usize = 8;

/// The number of messages that are read: tables may say more often than they have bytes that a frame is at
/// the same place.
const MAX_MESSAGES: usize = 1 << 12;

/// A tag with its payload, or the error that ended the reading. The last one is that of the end.
type Read = Result<(u8, u32, Vec<u8>), Error>;

/// The first byte says how the rest is cut, which is a file of FLV.
///
/// Whatever the cut, the same tags come out, with as many bytes as their headers say.
pub fn flv_reader(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = tags([bytes]);
    assert_eq!(tags(bytes.chunks(1)), whole, "byte by byte");
    let pieces = tags(bytes.chunks(usize::from(cut) + 2));
    assert_eq!(pieces, whole, "in pieces");
    let payloads = whole.iter().flatten().map(|(_, _, payload)| payload.len());
    assert!(payloads.sum::<usize>() <= bytes.len());
}

fn tags<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Read> {
    let mut reader = FlvReader::new(MAX_LEN);
    let mut read = Vec::new();
    let mut open = None;
    for mut input in pieces {
        loop {
            match reader.read(&mut input) {
                Ok(None) => break,
                Ok(Some(FlvPart::Tag(header))) => {
                    assert!(open.is_none() && header.len <= MAX_LEN);
                    open = Some((header, Vec::new()));
                }
                Ok(Some(FlvPart::Payload(bytes))) => {
                    assert!(!bytes.is_empty());
                    let (_, payload) = open.as_mut().expect("a tag has begun");
                    payload.extend_from_slice(bytes);
                }
                Ok(Some(FlvPart::End)) => {
                    let (header, payload) = open.take().expect("a tag has begun");
                    assert_eq!(payload.len(), header.len as usize);
                    read.push(Ok((header.tag_type, header.timestamp, payload)));
                }
                Err(error) => {
                    read.push(Err(error));
                    return read;
                }
            }
        }
        assert!(
            input.is_empty(),
            "input is left though the reader wants more"
        );
    }
    match reader.finish() {
        Ok(()) => assert!(open.is_none(), "a cut tag is a whole file"),
        Err(error) => read.push(Err(error)),
    }
    read
}

/// Whether it is a header, its time and its payload; or the error that ended the reading.
type Message = Result<(bool, u32, Vec<u8>), Error>;

/// A file in memory that counts the bytes that were read.
struct Memory<'a> {
    bytes: &'a [u8],
    read: u64,
}

impl ReadAt for Memory<'_> {
    fn read_at(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.read += len as u64;
        Ok(len)
    }
}

/// A file of MP4.
///
/// To open it takes no longer than to read it a few times, and what is kept of it is bounded, as are the
/// frames. Headers come before all frames, and reading it again gives the same.
pub fn demux(data: &[u8]) {
    let first = messages(data);
    assert_eq!(messages(data), first);
}

fn messages(data: &[u8]) -> Vec<Message> {
    let mut file = Memory {
        bytes: data,
        read: 0,
    };
    let mut demuxer = match Demuxer::open(&mut file, MAX_LEN) {
        Ok(demuxer) => demuxer,
        Err(error) => return vec![Err(error)],
    };
    for track in demuxer.summaries() {
        let rates = track.frame_rate.into_iter().chain(track.bit_rate);
        assert!(rates.into_iter().all(|rate| rate > 0.0 && rate.is_finite()));
    }
    let left_out = demuxer.left_out();
    assert!(left_out.is_none_or(|names| names.is_ascii() && !names.is_empty()));
    // Each box is read once, and its header before it.
    assert!(file.read <= 4 * data.len() as u64 + 64, "{}", file.read);
    let mut messages = Vec::new();
    let mut payload = Vec::new();
    let mut has_frames = false;
    while messages.len() < MAX_MESSAGES {
        match demuxer.next(&mut file, &mut payload) {
            Ok(None) => break,
            Ok(Some(message)) => {
                assert!(message.is_header || payload.len() <= MAX_LEN as usize + MAX_HEAD_LEN);
                assert!(!(message.is_header && has_frames));
                has_frames |= !message.is_header;
                messages.push(Ok((message.is_header, message.timestamp, payload.clone())));
            }
            Err(error) => {
                messages.push(Err(error));
                break;
            }
        }
    }
    messages
}
