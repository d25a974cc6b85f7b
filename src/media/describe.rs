//! A track in a few words, for the log: "H.264 1920x1080 30 fps", "AAC 48 kHz stereo".

use super::aac::AacConfig;
use super::av1;
use super::avc::AvcConfig;
use super::codec::{AudioCodec, VideoCodec};
use super::decimal::Thousandths;
use super::hevc::HevcConfig;
use super::picture::Picture;
use super::tag::{AudioTag, Kind, VideoTag};

/// Describes a stream by the payloads of its sequence headers; empty when nothing is known.
pub fn describe(video: Option<&[u8]>, audio: Option<&[u8]>) -> String {
    let tracks = [
        video.and_then(describe_video),
        audio.and_then(describe_audio),
    ];
    tracks.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Describes a video track by the payload of its sequence header. Any other message, or a header
/// that makes no sense, tells the codec alone; `None` if not even that.
pub fn describe_video(payload: &[u8]) -> Option<String> {
    let (codec, _) = video_header(payload)?;
    Some(match picture_of(payload) {
        Some(picture) => format!("{codec} {picture}"),
        None => codec.to_string(),
    })
}

/// What the payload of a sequence header says of the pictures, if its codec's is known.
pub fn picture_of(payload: &[u8]) -> Option<Picture> {
    let (codec, body) = video_header(payload)?;
    match codec {
        VideoCodec::H264 => AvcConfig::parse(body).ok()?.picture,
        VideoCodec::Hevc => HevcConfig::parse(body).ok()?.picture,
        VideoCodec::Av1 => av1::picture_of_config(body),
        _ => None,
    }
}

/// The codec of a video message, and what configures the decoder; that is empty in all messages
/// but sequence headers.
pub fn video_header(payload: &[u8]) -> Option<(VideoCodec, &[u8])> {
    let tag = VideoTag::parse(payload).ok()?;
    let codec = tag.codec?;
    let body = match tag.kind {
        Kind::SequenceHeader => payload.get(tag.body_offset..).unwrap_or_default(),
        _ => &[],
    };
    if codec == VideoCodec::H264 && HevcConfig::is_disguised(body) {
        return Some((VideoCodec::Hevc, body));
    }
    Some((codec, body))
}

/// Describes an audio track by the payload of its sequence header or, for codecs without one, of
/// any message.
pub fn describe_audio(payload: &[u8]) -> Option<String> {
    let sound = sound_of(payload)?;
    let mut name = sound.name();
    if let Some(sample_rate) = sound.sample_rate {
        name += &format!(" {} kHz", Thousandths(sample_rate.into()));
    }
    match sound.channels {
        Some(1) => name += " mono",
        Some(2) => name += " stereo",
        Some(channels) => name += &format!(" {channels} channels"),
        None => {}
    }
    Some(name)
}

/// What is known of an audio track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Its codec.
    pub codec: AudioCodec,
    /// Of AAC the audio object type: 2 LC, 5 HE-AAC, 29 HE-AAC v2; 0 if unknown.
    pub object_type: u8,
    /// Samples per second as they are played.
    pub sample_rate: Option<u32>,
    /// Channels as they are played.
    pub channels: Option<u8>,
}

impl Sound {
    /// Its codec in a word: "AAC", "HE-AAC", "Opus".
    pub fn name(&self) -> String {
        match self.object_type {
            0 => self.codec.to_string(),
            object_type => aac_name(object_type).to_owned(),
        }
    }
}

/// What a sequence header says of an audio track or, for codecs without one, any message.
pub fn sound_of(payload: &[u8]) -> Option<Sound> {
    let tag = AudioTag::parse(payload).ok()?;
    let body = match tag.kind {
        Kind::SequenceHeader => payload.get(tag.body_offset..).unwrap_or_default(),
        _ => &[],
    };
    let mut sound = Sound {
        codec: tag.codec?,
        object_type: 0,
        sample_rate: None,
        channels: None,
    };
    match sound.codec {
        AudioCodec::Aac => {
            if let Ok(config) = AacConfig::parse(body) {
                sound.object_type = config.object_type;
                sound.sample_rate = Some(config.output_sample_rate);
                // The parametric stereo of HE-AAC v2 makes two channels of one.
                let is_widened = config.object_type == 29;
                sound.channels = config
                    .channels
                    .map(|n| if is_widened { n.max(2) } else { n });
            }
        }
        AudioCodec::Opus => {
            // RFC 7845, 5.1: magic, version, channels. The clock is always 48 kHz.
            if let [
                b'O',
                b'p',
                b'u',
                b's',
                b'H',
                b'e',
                b'a',
                b'd',
                _,
                channels,
                ..,
            ] = body
            {
                sound.sample_rate = Some(48000);
                sound.channels = Some(*channels);
            }
        }
        _ => {
            sound.sample_rate = tag.sample_rate;
            sound.channels = tag.channels;
        }
    }
    Some(sound)
}

fn aac_name(object_type: u8) -> &'static str {
    match object_type {
        5 => "HE-AAC",
        29 => "HE-AAC v2",
        42 => "xHE-AAC",
        _ => "AAC",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An H.265 record without parameter sets.
    const HEVC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0";

    #[test]
    fn video_tracks_are_described_by_their_sequence_headers() {
        let avc = b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0\x19\x67\x42\xC0\x1E\xD9\0\xA0\x2F\xF9\
            \x70\x11\0\0\x03\0\x01\0\0\x03\0\x32\x0F\x16\x2E\x48\x01\0\x05\x68\xCB\x83\xCB\x20";
        let enhanced = [b"\x90avc1", &avc[5..]].concat();
        let legacy_hevc = |first: &[u8]| [first, b"\0\0\0\0", HEVC].concat();
        let rows: &[(&[u8], Option<&str>)] = &[
            (avc, Some("H.264 640x360 25 fps")),
            (&enhanced, Some("H.264 640x360 25 fps")),
            (b"\x17\x01\0\0\0\0\0\0\x02\x65\x88", Some("H.264")),
            (b"\x17\0\0\0\0", Some("H.264")),
            (&legacy_hevc(b"\x1C"), Some("HEVC")),
            (&legacy_hevc(b"\x17"), Some("HEVC")),
            (b"\x90av01\x81\0\x0C\0", Some("AV1")),
            (
                b"\x90av01\x81\0\x0C\0\x0A\x0B\0\0\0\x04\x3D\x06\xCC\xDA\xF9\0\x40",
                Some("AV1 322x180"),
            ),
            (b"\x12\0\0\x84", Some("Sorenson H.263")),
            (b"\x90xxxx", Some("xxxx")),
            (b"\x91x\n\"1", Some(r#"x\n\"1"#)),
            (b"\x19", Some("codec 9")),
            (b"", None),
        ];
        for (payload, expected) in rows {
            assert_eq!(
                describe_video(payload).as_deref(),
                *expected,
                "{payload:02X?}"
            );
        }
    }

    #[test]
    fn audio_tracks_are_described_by_what_there_is() {
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"\xAF\0\x11\x90\x56\xE5\0", Some("AAC 48 kHz stereo")),
            (b"\xAF\0\x12\x08", Some("AAC 44.1 kHz mono")),
            (b"\xAF\0\x11\xB0", Some("AAC 48 kHz 6 channels")),
            (b"\xAF\0\x2B\x92\x08\0", Some("HE-AAC 44.1 kHz stereo")),
            (b"\xAF\0\xEB\x09\x88\0", Some("HE-AAC v2 48 kHz stereo")),
            (b"\xAF\0", Some("AAC")),
            (b"\xAF\x01\xDE\x02", Some("AAC")),
            (b"\x90mp4a\x11\x90", Some("AAC 48 kHz stereo")),
            (
                b"\x90OpusOpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0",
                Some("Opus 48 kHz stereo"),
            ),
            (b"\x90Opus", Some("Opus")),
            (b"\x2F\xFF\xFB", Some("MP3 44.1 kHz stereo")),
            (b"\x2A\xFF\xFB", Some("MP3 22.05 kHz mono")),
            (b"\x72\xD5", Some("G.711 A-law 8 kHz mono")),
            (b"\xB6\x1D", Some("Speex 16 kHz mono")),
            (b"\xC7", Some("codec 12")),
            (b"\x90qqqq", Some("qqqq")),
            (b"", None),
        ];
        for (payload, expected) in rows {
            assert_eq!(
                describe_audio(payload).as_deref(),
                *expected,
                "{payload:02X?}"
            );
        }
    }

    #[test]
    fn a_stream_is_described_by_the_tracks_that_are_known() {
        let (video, audio) = (&b"\x90av01\x81\0\x0C\0"[..], &b"\xAF\0\x11\x90"[..]);
        assert_eq!(describe(Some(video), Some(audio)), "AV1, AAC 48 kHz stereo");
        assert_eq!(describe(None, Some(audio)), "AAC 48 kHz stereo");
        assert_eq!(describe(Some(b"\x17"), None), "");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, start in 0usize..4) {
            let starts = [&b"\x17\0\0\0\0"[..], b"\x90hvc1", b"\xAF\0", b"\x90OpusOpusHead"];
            for bytes in [bytes.clone(), [starts[start], &bytes].concat()] {
                let _ = describe(Some(&bytes), Some(&bytes));
            }
        }
    }
}
