//! The tracks of a file: which tracks exist, and how they change.

use super::carriers::messages;
use super::*;

#[test]
fn new_parameters_come_before_the_first_frame_that_needs_them() {
    let fixture = published();
    fixture.gop(0, 3);
    let viewer = view(&fixture, MP4, Join::Gop);
    let beside = view(&fixture, MP4_IN_WEBSOCKET, Join::Gop);
    fixture.append(Kind::Video, 120, LARGE);
    fixture.gop(120, 3);
    let fragments = viewer.fragments();
    let inits: Vec<_> = (0..fragments.len())
        .filter(|index| matches!(fragments[*index], Fragment::Init(_)))
        .collect();
    assert_eq!(inits, [0, 7]);
    let Fragment::Sample { is_sync, time, .. } = fragments[8] else {
        panic!();
    };
    assert_eq!((is_sync, time), (true, 280));
    let texts = messages(&beside.sink.bytes());
    let texts = texts.into_iter().filter(|(opcode, _)| *opcode == 1);
    let texts: Vec<_> = texts
        .map(|(_, text)| String::from_utf8(text).unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            r#"video/mp4; codecs="avc1.42C00D,mp4a.40.2""#,
            r#"video/mp4; codecs="avc1.42C01E,mp4a.40.2""#,
        ]
    );
}

#[test]
fn a_header_with_a_size_overrides_an_earlier_keyframe() {
    let fixture = published();
    let parameter_set = &SMALL[11..13 + 0x16];
    let keyframe = [b"\x17\x01\0\0\0\0\0", parameter_set, b"\0\0\0\x02\x65\x88"].concat();
    fixture.append(Kind::Video, 0, &keyframe);
    fixture.append(Kind::Video, 40, LARGE);
    fixture.append(Kind::Video, 40, b"\x17\x01\0\0\0\0\0\0\x02\x65\x88");
    let viewer = view(&fixture, MP4, Join::Gop);
    fixture.pump();
    let fragments = viewer.fragments();
    let Fragment::Init(init) = &fragments[0] else {
        panic!();
    };
    let size = *b"\x02\x80\0\0\x01\xE0\0\0";
    assert!(init.windows(8).any(|eight| eight == size), "640x480");
}

#[test]
fn other_tracks_end_a_file_so_that_another_can_begin() {
    let fixture = published();
    fixture.gop(0, 3);
    let viewer = view(&fixture, MP4, Join::Gop);
    let beside = view(&fixture, MP4_IN_WEBSOCKET, Join::Gop);
    let flv = view(&fixture, FLV, Join::Gop);
    let before = viewer.fragments().len();
    fixture.append(
        Kind::Audio,
        120,
        b"\x90OpusOpusHead\x01\x02\0\0\x80\xBB\0\0\0\0\0",
    );
    fixture.gop(120, 1);
    assert_eq!(viewer.fragments().len(), before);
    assert_eq!(viewer.end(&fixture), Some(PlayEnd::OtherTracks));
    assert!(viewer.sink.is_finished.load(Ordering::SeqCst));
    assert_eq!(beside.end(&fixture), Some(PlayEnd::OtherTracks));
    let last = messages(&beside.sink.bytes()).pop();
    assert_eq!(last, Some((8, vec![0x03, 0xE9])), "going away");
    assert_eq!(flv.end(&fixture), None, "FLV can go on");
}

#[test]
fn tracks_that_change_before_the_head_is_out_are_answered_with_404() {
    for framing in [MP4, MP4_IN_CHUNKS] {
        let fixture = published();
        fixture.gop(0, 3);
        let sink = Arc::<TestSink>::default();
        sink.set_room(0);
        let viewer = view_on(&fixture, framing, sink);
        // The head waits, with the first tracks.
        let mut has_begun = false;
        let now = fixture.now.get();
        let _ = fixture
            .stream
            .with_subscriber(viewer.id, now, |subscriber| {
                has_begun = subscriber.has_begun();
            });
        assert!(has_begun);
        fixture.append(
            Kind::Audio,
            120,
            b"\x90OpusOpusHead\x01\x02\0\0\x80\xBB\0\0\0\0\0",
        );
        // Then the viewer is too far behind for the frames of these tracks.
        fixture.gop(120, 60);
        fixture.gop(2_520, 3);
        viewer.sink.set_room(usize::MAX);
        fixture.pump();
        let answer = String::from_utf8(viewer.sink.bytes()).unwrap();
        assert_eq!(answer, "HTTP/1.1 404 Not Found\r\n\r\n");
        assert_eq!(viewer.end(&fixture), Some(PlayEnd::OtherTracks));
        assert!(viewer.sink.is_finished.load(Ordering::SeqCst));
    }
}

#[test]
fn a_slow_viewer_moves_to_a_newer_keyframe_and_its_file_stays_whole() {
    for framing in [FLV, MP4] {
        let fixture = published();
        fixture.gop(0, 3);
        let viewer = view(&fixture, framing, Join::Gop);
        viewer.sink.set_room(500);
        fixture.gop(120, 60);
        fixture.gop(2_520, 60);
        viewer.sink.set_room(usize::MAX);
        fixture.gop(4_920, 3);
        let times: Vec<u64> = match framing {
            FLV => {
                let (_, tags) = viewer.tags();
                let frames = tags[2..].iter().filter(|tag| tag.0 == 9);
                frames.map(|tag| tag.1.into()).collect()
            }
            // The times at which the samples are due.
            _ => times(&viewer.fragments(), 1)
                .iter()
                .map(|(time, duration)| time + u64::from(*duration))
                .collect(),
        };
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        assert_eq!(times.last(), Some(&(4_920 + 80 + 200)));
        assert!(times.len() < 70, "{}", times.len());
    }
}

#[test]
fn a_stream_without_file_codecs_is_refused() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, VP8);
    fixture.wait(2_100);
    fixture.append(Kind::Video, 40, VP8);
    let viewer = view(&fixture, MP4, Join::Gop);
    let browser = view_as(&fixture, FLV, Join::Gop, Capabilities::browser());
    let other = view(&fixture, FLV, Join::Gop);
    for viewer in [&viewer, &browser] {
        let (head, body) = viewer.body();
        assert!(head.starts_with("HTTP/1.1 415 "), "{head}");
        assert!(body.is_empty());
        assert_eq!(viewer.end(&fixture), Some(PlayEnd::NothingToTake));
        assert!(viewer.sink.is_finished.load(Ordering::SeqCst));
    }
    assert_eq!(other.tags().0, 1);
}

#[test]
fn a_file_has_no_track_that_its_viewer_has_turned_off() {
    for (framing, has_audio) in [(FLV, true), (MP4, true), (FLV, false), (MP4, false)] {
        let fixture = published();
        fixture.gop(0, 3);
        let viewer = view_with(&fixture, framing, |request| {
            request.wanted.audio = has_audio;
            request.wanted.set_video(!has_audio);
        });
        // A track that is turned off may change.
        if has_audio {
            fixture.append(Kind::Video, 120, LARGE);
        } else {
            fixture.append(Kind::Audio, 120, b"\xAF\0\x13\x90");
        }
        fixture.gop(120, 3);
        assert_eq!(viewer.end(&fixture), None);
        if framing == FLV {
            let (flags, tags) = viewer.tags();
            assert_eq!(flags, if has_audio { 4 } else { 1 });
            // Not even a header: ffmpeg would wait for the announced track.
            let wanted = if has_audio { 8 } else { 9 };
            let kinds: Vec<u8> = tags.iter().map(|tag| tag.0).collect();
            assert!(kinds.iter().all(|kind| *kind == wanted), "{kinds:?}");
            continue;
        }
        let codec = if has_audio {
            "mp4a.40.2"
        } else {
            "avc1.42C00D"
        };
        assert!(
            viewer
                .content_type()
                .ends_with(&format!("codecs=\"{codec}\""))
        );
        let fragments = viewer.fragments();
        let inits = fragments.iter().filter(|f| matches!(f, Fragment::Init(_)));
        assert_eq!(inits.count(), 1);
        let lengths = [1, 2].map(|track| times(&fragments, track).len());
        assert_eq!(lengths, if has_audio { [0, 6] } else { [6, 0] });
    }
}

#[test]
fn a_browser_gets_the_tracks_that_it_can_take() {
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, VP8);
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    let viewer = view_as(&fixture, FLV, Join::Gop, Capabilities::browser());
    fixture.audio(10, 50);
    fixture.pump();
    let (flags, tags) = viewer.tags();
    assert_eq!(flags, 4);
    assert!(tags.iter().all(|tag| tag.0 == 8));
}

#[test]
fn unknown_codecs_are_relayed_in_flv_and_refused_in_mp4() {
    let fixture = Fixture::new();
    fixture.publish();
    let messages: [(Kind, &[u8]); 4] = [
        (Kind::Video, b"\x90zzzz\x01config"),
        (Kind::Audio, b"\x90qqqqconfig"),
        (Kind::Video, b"\x91zzzzkey"),
        (Kind::Audio, b"\x91qqqqsound"),
    ];
    for (kind, payload) in messages {
        fixture.append(kind, 0, payload);
    }
    let flv = view(&fixture, FLV, Join::Gop);
    let (flags, tags) = flv.tags();
    assert_eq!(flags, 5);
    let bodies: Vec<_> = tags.iter().map(|(_, _, body)| &body[..]).collect();
    assert_eq!(bodies, messages.map(|(_, payload)| payload));
    for refused in [
        view(&fixture, MP4, Join::Gop),
        view_as(&fixture, FLV, Join::Gop, Capabilities::browser()),
    ] {
        assert_eq!(refused.end(&fixture), Some(PlayEnd::NothingToTake));
        let answer = String::from_utf8(refused.sink.bytes()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    }
}

#[test]
fn data_messages_are_in_flv_and_not_in_mp4() {
    let fixture = published();
    fixture.gop(1_000, 2);
    let [flv, mp4] = [FLV, MP4].map(|framing| view(&fixture, framing, Join::Next));
    fixture.gop(1_080, 2);
    fixture.data(1_150, b"cue");
    fixture.gop(1_160, 2);
    let tags = flv.tags().1;
    let found: Vec<_> = tags.iter().filter(|(kind, ..)| *kind == 18).collect();
    // 1080 became 200.
    assert_eq!(found, [&(18, 270, b"cue".to_vec())]);
    let fragments = mp4.fragments();
    assert_eq!(fragments.len(), 1 + 8);
}
