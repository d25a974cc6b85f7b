//! Fragmented MP4 from arbitrary payloads.

use brooklet::media::Medium;
use brooklet::media::mp4::{
    AudioTrack, FRAGMENT_HEAD_LEN, Fragment, MAX_CONFIG_LEN, Presentation, VideoTrack,
    format_of_keyframe,
};
use brooklet::media::tag::Tag;

/// The bytes of a frame that are available when it is examined.
const BEGINNING: usize = 16;

/// A payload of video and one of audio, each after a byte with its length; the rest is a frame.
/// Whatever they are, the output must be whole boxes of a bounded size.
pub fn mp4(data: &[u8]) {
    let (video, rest) = piece(data);
    let (audio, frame) = piece(rest);
    let video = VideoTrack::from_sequence_header(video);
    let presentation = Presentation {
        video: video.map(|track| video_track(track, frame)),
        audio: AudioTrack::from_sequence_header(audio).or_else(|| AudioTrack::from_frame(audio)),
    };
    if let Some(track) = &presentation.audio {
        audio_track(track, audio, frame);
    }
    let init = presentation.init_segment();
    assert!(init.len() <= 2048 + 2 * MAX_CONFIG_LEN);
    whole_boxes(&init);
    let content_type = presentation.content_type();
    let is_plain = |c: char| c.is_ascii_graphic() || c == ' ';
    assert!(content_type.chars().all(is_plain), "{content_type}");
    assert!(presentation.is_continued_by(&presentation));
    fragment(frame);
}

fn piece(data: &[u8]) -> (&[u8], &[u8]) {
    let Some((&len, rest)) = data.split_first() else {
        return (&[], &[]);
    };
    rest.split_at(rest.len().min(len.into()))
}

fn video_track(track: VideoTrack, frame: &[u8]) -> VideoTrack {
    assert!(!track.codec_string().is_empty());
    match format_of_keyframe(track.codec, frame) {
        Some(format) => track.with_format(format),
        None => track,
    }
}

fn audio_track(track: &AudioTrack, payload: &[u8], frame: &[u8]) {
    assert!(track.sample_rate > 0 && track.channels > 0);
    let samples = track.samples(frame);
    assert!((1..=65536).contains(&samples), "{samples}");
    assert_eq!(track.samples(&frame[..frame.len().min(BEGINNING)]), samples);
    if let Some(of_frame) = AudioTrack::from_frame(payload) {
        let tag = Tag::parse(Medium::Audio, payload).expect("the header was read");
        let beginning = &payload[..payload.len().min(tag.body_offset + 4)];
        assert_eq!(AudioTrack::from_frame(beginning), Some(of_frame));
    }
}

fn fragment(frame: &[u8]) {
    let fragment = Fragment {
        sequence: 1,
        track_id: 2,
        decode_time: u64::MAX,
        duration: 0,
        composition_offset: -1,
        is_sync: true,
        len: frame.len() as u32,
    };
    let bytes = [&fragment.head(), frame].concat();
    assert_eq!(bytes.len(), FRAGMENT_HEAD_LEN + frame.len());
    whole_boxes(&bytes);
}

/// Checks that sizes add up, in nested boxes too.
fn whole_boxes(mut bytes: &[u8]) {
    const CONTAINERS: &[&[u8]] = &[
        b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"mvex", b"moof", b"traf",
    ];
    while let Some((size, rest)) = bytes.split_first_chunk() {
        let size = u32::from_be_bytes(*size) as usize;
        assert!(size >= 8 && size <= bytes.len(), "a box of {size} bytes");
        if CONTAINERS.contains(&&rest[..4]) {
            whole_boxes(&bytes[8..size]);
        }
        bytes = &bytes[size..];
    }
    assert!(bytes.is_empty());
}
