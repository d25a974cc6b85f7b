//! Properties that hold for arbitrary payloads.

use proptest::prelude::*;

use super::*;

/// The beginnings of payloads, to which arbitrary configurations are appended.
const VIDEO_STARTS: &[&[u8]] = &[
    b"\x17\0\0\0\0\x01\x64\0\x28\xFF\xE1\0\x1B\x67\x64\0\x28",
    b"\x1C\0\0\0\0",
    b"\x90hvc1\x01\x01\x60",
    b"\x90av01\x81\0\x0C\0\x0A\x7F",
    b"\x90vp09",
    b"",
];
const AUDIO_STARTS: &[&[u8]] = &[
    b"\xAF\0\x11\x90",
    b"\x2F\xFF",
    b"\x91.mp3\xFF\xFB",
    b"\x90OpusOpusHead",
    b"\x91Opus",
    b"\x90fLaC\x10\0\x10\0",
    b"",
];

proptest! {
    #[test]
    fn arbitrary_headers_never_panic_and_sizes_add_up(
        video_start in 0..VIDEO_STARTS.len(),
        audio_start in 0..AUDIO_STARTS.len(),
        video: Vec<u8>,
        audio: Vec<u8>,
    ) {
        let video = joined(&[VIDEO_STARTS[video_start], &video]);
        let audio = joined(&[AUDIO_STARTS[audio_start], &audio]);
        let presentation = Presentation {
            video: VideoTrack::from_sequence_header(&video),
            audio: AudioTrack::from_sequence_header(&audio)
                .or_else(|| AudioTrack::from_frame(&audio)),
        };
        let nodes = nodes(&presentation.init_segment());
        let tracks = [presentation.video.is_some(), presentation.audio.is_some()];
        let count = tracks.into_iter().filter(|is_there| *is_there).count();
        prop_assert_eq!(bodies(&nodes, "moov/trak/mdia/minf/stbl/stsd").len(), count);
        prop_assert_eq!(bodies(&nodes, "moov/mvex/trex").len(), count);
        prop_assert!(presentation.content_type().is_ascii());
        if let Some(audio) = &presentation.audio {
            prop_assert!(audio.sample_rate > 0);
            prop_assert!((1..=65536).contains(&audio.samples(&video)));
        }
    }

    #[test]
    fn a_head_and_its_frame_are_whole_boxes(
        sequence: u32,
        track_id in 1u32..3,
        decode_time: u64,
        duration: u32,
        composition_offset: i32,
        is_sync: bool,
        frame: Vec<u8>,
    ) {
        let len = frame.len() as u32;
        let fragment = Fragment {
            sequence, track_id, decode_time, duration, composition_offset, is_sync, len,
        };
        let bytes = joined(&[&fragment.head(), &frame]);
        let nodes = nodes(&bytes);
        prop_assert_eq!(nodes.len(), 2);
        prop_assert_eq!(body(&nodes, "mdat"), &frame[..]);
        prop_assert_eq!(u32_at(body(&nodes, "moof/mfhd"), 4), sequence);
        prop_assert_eq!(u32_at(body(&nodes, "moof/traf/tfhd"), 4), track_id);
        let time = &body(&nodes, "moof/traf/tfdt")[4..];
        prop_assert_eq!(time, &decode_time.to_be_bytes()[..]);
        let run = body(&nodes, "moof/traf/trun");
        prop_assert_eq!(u32_at(run, 4), 1, "samples");
        // The offset of the frame from the first byte of the moof.
        let offset = u32_at(run, 8) as usize;
        prop_assert_eq!(&bytes[offset..], &frame[..]);
        prop_assert_eq!((u32_at(run, 12), u32_at(run, 16)), (duration, len));
        let flags = if is_sync { 0x0200_0000 } else { 0x0101_0000 };
        prop_assert_eq!(u32_at(run, 20), flags);
        prop_assert_eq!(u32_at(run, 24) as i32, composition_offset);
    }
}
