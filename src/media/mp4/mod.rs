//! MP4 (ISO/IEC 14496-12): fragments for Media Source Extensions and HLS, and recorded files.
//!
//! ```text
//! init segment    ftyp  moov [ mvhd  trak (video)  trak (audio)  mvex ]
//! fragment        moof [ mfhd  traf [ tfhd  tfdt  trun ] ]  mdat          one for each frame
//! fragment        moof ...                                  mdat
//!                 `--------------- Fragment::head ----------'`-- the frame's bytes as they came
//! ```
//!
//! ```text
//! payloads of sequence headers
//!    |
//!   track          VideoTrack, AudioTrack: the parts of the payloads that go into boxes
//!    |-- codec_string   "avc1.64001f"
//!    `-- init           the init segment
//!         `-- boxes     bytes, and boxes whose size is known at their end
//!   fragment       the bytes in front of a frame; needs no track
//! ```
//!
//! Recorded files have fragments of many frames. When a file is closed, tables of all samples follow; the
//! fragments become the body of an `mdat`, whose header takes the place of the `free` box:
//!
//! ```text
//! growing file    ftyp  free  moov  note moof mdat  note moof mdat  ...
//! closed file     ftyp  mdat [                                    ]  moov
//!
//!   group          moof of many frames, and the header of its mdat
//!   note           what a fragment has, in a box in front of it
//!   read           parsers of all that, for files that may be damaged
//!   movie          moov with tables of samples, for any list of fragments
//! ```
//!
//! The bytes of a frame go into the `mdat` unchanged, because RTMP carries them in the form that MP4
//! uses. Only the tag header and [what MP4 forbids](super::access_unit::clean_range) are left out.

mod boxes;
#[cfg(any(feature = "record", feature = "relay"))]
// The reader of recordings, which is public, has it in its interface.
#[cfg_attr(not(feature = "record"), allow(unreachable_pub))]
mod boxes_read;
mod codec_string;
#[cfg(feature = "relay")]
pub mod demux;
#[cfg(any(feature = "record", feature = "relay"))]
mod fields;
mod fragment;
#[cfg(feature = "record")]
pub mod group;
mod init;
#[cfg(feature = "record")]
pub mod movie;
#[cfg(feature = "record")]
pub mod note;
#[cfg(feature = "record")]
pub mod read;
mod track;

pub use fragment::{FRAGMENT_HEAD_LEN, Fragment};
#[cfg(feature = "record")]
pub use init::{FILE_TYPE, FILE_TYPE_LEN, MDAT_HEADER_LEN, mdat_header};
pub use track::{AudioTrack, VideoTrack, format_of_keyframe};

use crate::media::Medium;

/// The id of the video track, if there is one.
pub const VIDEO_TRACK_ID: u32 = 1;

/// The id of the audio track, if there is one.
pub const AUDIO_TRACK_ID: u32 = 2;

/// The ticks per second of the video track: RTMP's milliseconds. Audio tracks use their sample rate.
pub const VIDEO_TIMESCALE: u32 = 1000;

/// The longest decoder configuration in bytes that is accepted. Parameter sets have a few hundred bytes.
pub const MAX_CONFIG_LEN: usize = 8 * 1024;

/// The tracks of a stream in MP4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// The video track, if its codec fits into MP4.
    pub video: Option<VideoTrack>,
    /// The audio track, if its codec fits into MP4.
    pub audio: Option<AudioTrack>,
}

impl Presentation {
    /// The number of bytes of both decoder configurations.
    pub fn config_len(&self) -> usize {
        let video = self.video.as_ref().map_or(0, |video| video.config.len());
        let audio = self.audio.as_ref().map_or(0, |audio| audio.config.len());
        video + audio
    }

    /// Returns the init segment, which precedes the fragments.
    pub fn init_segment(&self) -> Vec<u8> {
        init::init_segment(self)
    }

    /// Returns what precedes the fragments of a recorded file: [`FILE_TYPE`], 16 bytes of free space for
    /// an [`mdat_header`] at [`FILE_TYPE_LEN`], and the `moov` of the init segment.
    #[cfg(feature = "record")]
    pub fn file_head(&self) -> Vec<u8> {
        init::file_head(self)
    }

    /// Returns the codecs as in RFC 6381, for HLS playlists: `avc1.64001F,mp4a.40.2`. Empty if there are
    /// no tracks.
    pub fn codecs(&self) -> String {
        self.codec_strings(false)
    }

    /// Returns the content type for HTTP and for `MediaSource`: `video/mp4; codecs="avc1.64001F,opus"`.
    pub fn content_type(&self) -> String {
        let medium = match self.video {
            Some(_) => Medium::Video,
            None => Medium::Audio,
        };
        format!("{medium}/mp4; codecs=\"{}\"", self.codec_strings(true))
    }

    fn codec_strings(&self, is_for_browsers: bool) -> String {
        let video = self.video.as_ref().map(VideoTrack::codec_string);
        let mut strings = video.unwrap_or_default();
        if let Some(audio) = &self.audio {
            if self.video.is_some() {
                strings.push(',');
            }
            strings += &codec_string::of_audio(audio.codec, &audio.config, is_for_browsers);
        }
        strings
    }

    /// Whether the init segment of `other` may follow in the same file. The tracks and codecs must be
    /// the same; other parameters may differ.
    pub fn is_continued_by(&self, other: &Presentation) -> bool {
        let codecs = |tracks: &Presentation| {
            let (video, audio) = (tracks.video.as_ref(), tracks.audio.as_ref());
            (
                video.map(|video| video.codec),
                audio.map(|audio| audio.codec),
            )
        };
        codecs(self) == codecs(other)
    }
}

#[cfg(test)]
mod tests;
