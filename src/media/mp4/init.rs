//! The init segment, which a player needs before the first fragment (ISO/IEC 14496-12, 8).
//!
//! ```text
//! ftyp                       iso6
//! moov
//!   mvhd                     for the whole; durations are 0, because the fragments have them
//!   trak                     one for each track
//!     tkhd                   id, frame size
//!     mdia
//!       mdhd                 timescale
//!       hdlr                 video or audio
//!       minf
//!         vmhd / smhd
//!         dinf [ dref [ url ] ]
//!         stbl
//!           stsd [ avc1 [ avcC ] ]     the codec
//!           stts stsc stsz stco        empty
//!   mvex
//!     trex                   one for each track: fragments follow
//! ```

use super::boxes::Boxes;
use super::{
    AUDIO_TRACK_ID, AudioTrack, Presentation, VIDEO_TIMESCALE, VIDEO_TRACK_ID, VideoTrack,
};
use crate::media::codec::{AudioCodec, VideoCodec};

const INIT_FILE_TYPE: &[u8] = b"\0\0\0\x20ftypiso6\0\0\0\x01iso6iso5mp41mp42";

/// The first box of a recorded file. Its brands are right for fragments and for sample tables.
#[cfg(feature = "record")]
pub const FILE_TYPE: &[u8; FILE_TYPE_LEN] = b"\0\0\0\x24ftypisom\0\0\x02\0isomiso2iso5iso6mp41";

/// The length of [`FILE_TYPE`] in bytes. A recorded file has free space there for an [`mdat_header`].
#[cfg(feature = "record")]
pub const FILE_TYPE_LEN: usize = 36;

/// The length of an [`mdat_header`] in bytes.
#[cfg(feature = "record")]
pub const MDAT_HEADER_LEN: usize = 16;

/// The matrix of video that is neither rotated nor scaled.
pub(super) const MATRIX: &[u8; 36] =
    b"\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \x40\0\0\0";

/// A video media header: no composition with other video.
pub(super) const VIDEO_HEADER: &[u8] = b"\0\0\0\x14vmhd\0\0\0\x01\0\0\0\0\0\0\0\0";

/// A sound media header: balance 0.
pub(super) const AUDIO_HEADER: &[u8] = b"\0\0\0\x10smhd\0\0\0\0\0\0\0\0";

/// Data information: the media are in the same file.
pub(super) const DATA_INFORMATION: &[u8] = b"\0\0\0\x24dinf\0\0\0\x1Cdref\0\0\0\0\0\0\0\x01\
    \0\0\0\x0Curl \0\0\0\x01";

/// Empty sample tables, since the samples are in the fragments.
const EMPTY_TABLES: &[u8] = b"\0\0\0\x10stts\0\0\0\0\0\0\0\0\0\0\0\x10stsc\0\0\0\0\0\0\0\0\
    \0\0\0\x14stsz\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10stco\0\0\0\0\0\0\0\0";

/// The language of a track.
pub(super) const UNDETERMINED: u16 = 0x55C4;

/// The beginning of all sample entries: reserved, data reference 1.
const SAMPLE_ENTRY: &[u8; 8] = b"\0\0\0\0\0\0\0\x01";

/// The version and flags of a box: version 0 without flags.
const PLAIN: u32 = 0;

pub(super) fn init_segment(presentation: &Presentation) -> Vec<u8> {
    let mut boxes = Boxes(Vec::with_capacity(2048));
    boxes.bytes(INIT_FILE_TYPE);
    movie(&mut boxes, presentation);
    boxes.0
}

#[cfg(feature = "record")]
pub(super) fn file_head(presentation: &Presentation) -> Vec<u8> {
    let mut boxes = Boxes(Vec::with_capacity(2048));
    boxes.bytes(FILE_TYPE);
    boxes.bytes(b"\0\0\0\x10free\0\0\0\0\0\0\0\0");
    movie(&mut boxes, presentation);
    boxes.0
}

/// Returns the header of an `mdat` with a body of `len` bytes, whose size is given in 64 bits.
#[cfg(feature = "record")]
pub fn mdat_header(len: u64) -> [u8; MDAT_HEADER_LEN] {
    let mut header = *b"\0\0\0\x01mdat\0\0\0\0\0\0\0\0";
    let size = len.saturating_add(MDAT_HEADER_LEN as u64);
    header[8..].copy_from_slice(&size.to_be_bytes());
    header
}

/// Writes a `moov` without samples, which are in the fragments.
fn movie(b: &mut Boxes, presentation: &Presentation) {
    let movie = b.begin(b"moov");
    movie_header(b);
    if let Some(video) = &presentation.video {
        let size = video.format.map_or([0, 0], |format| format.size().into());
        let entry = |b: &mut Boxes| video_sample_entry(b, video, size);
        track(b, VIDEO_TRACK_ID, VIDEO_TIMESCALE, size, &entry);
    }
    if let Some(audio) = &presentation.audio {
        let entry = |b: &mut Boxes| audio_sample_entry(b, audio);
        track(b, AUDIO_TRACK_ID, audio.sample_rate, [0, 0], &entry);
    }
    let extends = b.begin(b"mvex");
    if presentation.video.is_some() {
        track_extends(b, VIDEO_TRACK_ID);
    }
    if presentation.audio.is_some() {
        track_extends(b, AUDIO_TRACK_ID);
    }
    b.end(extends);
    b.end(movie);
}

fn movie_header(b: &mut Boxes) {
    const MILLISECONDS: u32 = 1000;
    let header = b.begin_full(b"mvhd", PLAIN);
    b.zeros(4 + 4); // creation_time, modification_time
    b.u32(MILLISECONDS);
    b.zeros(4); // duration
    b.u32(0x0001_0000); // rate 1.0
    b.u16(0x0100); // volume 1.0
    b.zeros(10);
    b.bytes(MATRIX);
    b.zeros(24);
    b.u32(u32::MAX); // next_track_ID: unknown
    b.end(header);
}

fn track_extends(b: &mut Boxes, track_id: u32) {
    let extends = b.begin_full(b"trex", PLAIN);
    b.u32(track_id);
    b.u32(1); // default_sample_description_index
    b.zeros(12); // default duration, size, flags
    b.end(extends);
}

fn track(
    b: &mut Boxes,
    track_id: u32,
    timescale: u32,
    size: [u16; 2],
    sample_entry: &dyn Fn(&mut Boxes),
) {
    let is_video = track_id == VIDEO_TRACK_ID;
    let track = b.begin(b"trak");
    track_header(b, track_id, if is_video { 0 } else { 0x0100 }, size);
    let media = b.begin(b"mdia");
    media_header(b, timescale, if is_video { b"vide" } else { b"soun" });
    let information = b.begin(b"minf");
    b.bytes(if is_video { VIDEO_HEADER } else { AUDIO_HEADER });
    b.bytes(DATA_INFORMATION);
    let table = b.begin(b"stbl");
    let descriptions = b.begin_full(b"stsd", PLAIN);
    b.u32(1);
    sample_entry(b);
    b.end(descriptions);
    b.bytes(EMPTY_TABLES);
    b.end(table);
    b.end(information);
    b.end(media);
    b.end(track);
}

fn track_header(b: &mut Boxes, track_id: u32, volume: u16, size: [u16; 2]) {
    const ENABLED_IN_MOVIE: u32 = 3;
    let header = b.begin_full(b"tkhd", ENABLED_IN_MOVIE);
    b.zeros(4 + 4); // creation_time, modification_time
    b.u32(track_id);
    b.zeros(4 + 4 + 8 + 2 + 2); // duration, layer, alternate_group
    b.u16(volume);
    b.zeros(2);
    b.bytes(MATRIX);
    for pixels in size {
        b.u32(u32::from(pixels) << 16);
    }
    b.end(header);
}

fn media_header(b: &mut Boxes, timescale: u32, handler: &[u8; 4]) {
    let header = b.begin_full(b"mdhd", PLAIN);
    b.zeros(4 + 4); // creation_time, modification_time
    b.u32(timescale);
    b.zeros(4); // duration
    b.u16(UNDETERMINED);
    b.zeros(2);
    b.end(header);
    handler_reference(b, handler);
}

pub(super) fn handler_reference(b: &mut Boxes, handler: &[u8; 4]) {
    let handler_reference = b.begin_full(b"hdlr", PLAIN);
    b.zeros(4);
    b.bytes(handler);
    b.zeros(12 + 1); // reserved, an empty name
    b.end(handler_reference);
}

/// Writes a visual sample entry (ISO/IEC 14496-12, 12.1.3).
fn video_sample_entry(b: &mut Boxes, video: &VideoTrack, size: [u16; 2]) {
    let (entry, config) = match video.codec {
        VideoCodec::Hevc => (b"hvc1", b"hvcC"),
        VideoCodec::Av1 => (b"av01", b"av1C"),
        VideoCodec::Vp9 => (b"vp09", b"vpcC"),
        _ => (b"avc1", b"avcC"),
    };
    let entry = b.begin(entry);
    b.bytes(SAMPLE_ENTRY);
    b.zeros(16);
    for pixels in size {
        b.u16(pixels);
    }
    b.u32(0x0048_0000); // 72 dpi
    b.u32(0x0048_0000);
    b.zeros(4);
    b.u16(1); // frame_count
    b.zeros(32); // compressorname
    b.u16(0x0018); // depth
    b.u16(0xFFFF);
    let config = b.begin(config);
    if video.codec == VideoCodec::Vp9 {
        b.u32(0x0100_0000); // version 1
    }
    b.bytes(&video.config);
    b.end(config);
    b.end(entry);
}

/// Writes an audio sample entry (ISO/IEC 14496-12, 12.2.3).
fn audio_sample_entry(b: &mut Boxes, audio: &AudioTrack) {
    let entry = b.begin(match audio.codec {
        AudioCodec::Opus => b"Opus",
        AudioCodec::Flac => b"fLaC",
        _ => b"mp4a",
    });
    b.bytes(SAMPLE_ENTRY);
    b.zeros(8);
    b.u16(audio.channels.into());
    b.u16(16); // bits
    b.zeros(4);
    // A 16.16 number. A sample rate that doesn't fit is only in the configuration.
    let sample_rate = u16::try_from(audio.sample_rate).unwrap_or(0);
    b.u16(sample_rate);
    b.zeros(2);
    match audio.codec {
        AudioCodec::Opus => {
            let config = b.begin(b"dOps");
            b.bytes(&audio.config);
            b.end(config);
        }
        AudioCodec::Flac => {
            let config = b.begin_full(b"dfLa", PLAIN);
            b.bytes(b"\x80\0\0\x22"); // the only block, STREAMINFO
            b.bytes(&audio.config);
            b.end(config);
        }
        _ => elementary_stream_descriptor(b, audio),
    }
    b.end(entry);
}

/// Writes nested descriptors, each with the length of its body in groups of 7 bits (ISO/IEC 14496-1,
/// 7.2.6).
fn elementary_stream_descriptor(b: &mut Boxes, audio: &AudioTrack) {
    const ELEMENTARY_STREAM: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC_INFO: u8 = 5;
    const SYNC_LAYER_CONFIG: u8 = 6;

    let config = &audio.config[..];
    let object_type = match (audio.codec, audio.sample_rate) {
        (AudioCodec::Aac, _) => 0x40,
        // MP3 of MPEG-2 or MPEG-1.
        (_, 0..32000) => 0x69,
        _ => 0x6B,
    };
    let specific = match config {
        [] => Vec::new(),
        config => descriptor(DECODER_SPECIFIC_INFO, &[config]),
    };
    // An audio stream; buffer size, maximum and average bit rate are unknown.
    let decoder: [&[u8]; 3] = [&[object_type, 0x15], &[0; 3 + 4 + 4], &specific];
    let decoder = descriptor(DECODER_CONFIG, &decoder);
    // The predefined configuration for MP4 files.
    let sync_layer = descriptor(SYNC_LAYER_CONFIG, &[&[2]]);
    // No optional fields.
    let head = [0, AUDIO_TRACK_ID as u8, 0];
    let descriptors = b.begin_full(b"esds", PLAIN);
    b.bytes(&descriptor(
        ELEMENTARY_STREAM,
        &[&head, &decoder, &sync_layer],
    ));
    b.end(descriptors);
}

/// Makes a descriptor from a body in several parts. Its length, below 2^28, is written in four bytes.
fn descriptor(tag: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let group = |shift: u32| (body.len() >> shift) as u8;
    let head = [
        tag,
        group(21) | 0x80,
        group(14) | 0x80,
        group(7) | 0x80,
        group(0) & 0x7F,
    ];
    [&head[..], &body].concat()
}
