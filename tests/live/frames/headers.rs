//! Parameter sets, sequence headers, and frames at which a stream can start.

use super::*;

/// The parameter sets of [`SMALL`], and of its counterpart with twice the size.
fn sets(header: &[u8]) -> (&[u8], &[u8]) {
    let len = usize::from(header[12]);
    let (sequence, rest) = header[13..].split_at(len);
    (sequence, &rest[3..])
}

fn size(fixture: &Fixture) -> Option<(u16, u16)> {
    let report = fixture.stream.report(fixture.now.get());
    let video = report.tracks.presentation.video.as_ref()?;
    Some(video.format?.size())
}

#[test]
fn parameter_sets_in_front_of_a_keyframe_replace_those_of_the_header() {
    let fixture = published();
    let mut player = fixture.play(Join::Live);
    let viewer = Viewer::of(&fixture, Join::Live);
    fixture.append(Kind::Audio, 0, b"\xAF\x01\x21");
    let (sequence, frame) = sets(SMALL);
    // The same parameter sets change nothing.
    let same = message(true, &[sequence, frame, IDR]);
    send(&fixture, &[(0, same.clone()), (40, message(false, &[P]))]);
    let got = player.got();
    assert_eq!(
        got.iter()
            .filter(|got| got.is_video() && got.is_header())
            .count(),
        1
    );
    assert_eq!(size(&fixture), Some((320, 240)));

    // In separate messages, and with the outdated header repeated.
    let (sequence, frame) = sets(LARGE);
    let changed = [
        (80, message(true, &[sequence])),
        (80, message(true, &[frame])),
        (80, message(true, &[IDR])),
        (120, message(false, &[P])),
        (160, SMALL.to_vec()),
        (160, message(true, &[sequence, frame, IDR])),
    ];
    send(&fixture, &changed);
    assert_eq!(size(&fixture), Some((640, 480)));
    let header = video_header(&fixture);
    assert_eq!(header.as_deref(), Some(LARGE));
    let got: Vec<_> = player.got().into_iter().map(|got| got.payload).collect();
    let (sets_only, from_frame) = changed.split_at(2);
    let payloads = |messages: &[(u32, Vec<u8>)]| {
        let all = messages.iter().map(|(_, payload)| payload.clone());
        all.collect::<Vec<_>>()
    };
    let mut expected = payloads(sets_only);
    expected.push(LARGE.to_vec());
    expected.extend(
        payloads(from_frame)
            .into_iter()
            .filter(|payload| payload != SMALL),
    );
    assert_eq!(got, expected);
    // Another init segment precedes the frame that needs it.
    let bytes = viewer.0.bytes();
    let inits = bytes.windows(4).filter(|name| name == b"moov").count();
    assert_eq!(inits, 2);
    assert_eq!(viewer.frames_behind_inits(), 5);
    // The header counts again once the publisher sends a third one.
    let other = [SMALL, b"\xFD\xF8\xF8\0"].concat();
    send(&fixture, &[(200, other), (200, message(true, &[IDR]))]);
    assert_eq!(size(&fixture), Some((320, 240)));
}

impl Viewer {
    /// Returns the number of received frames, which may have init segments between them.
    fn frames_behind_inits(&self) -> usize {
        let bytes = self.0.bytes();
        bytes.windows(4).filter(|name| name == b"moof").count()
    }
}

/// Returns the first video message that a new player receives, which is the sequence header.
fn video_header(fixture: &Fixture) -> Option<Vec<u8>> {
    let got = fixture.play(Join::Live).got();
    let header = got.into_iter().find(|got| got.is_video());
    header.map(|got| got.payload)
}

#[test]
fn parameter_sets_make_a_header_where_there_is_none() {
    let fixture = Fixture::new();
    fixture.publish();
    let (sequence, frame) = sets(LARGE);
    send(&fixture, &[(0, message(true, &[sequence, frame, IDR]))]);
    let header = video_header(&fixture);
    assert_eq!(header.as_deref(), Some(LARGE));
    assert_eq!(size(&fixture), Some((640, 480)));
}

#[test]
fn an_hvcc_without_arrays_gets_those_of_the_frames() {
    const HEAD: &[u8] =
        b"\x90hvc1\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F";
    const VIDEO: &[u8] =
        b"\x40\x01\x0C\x01\xFF\xFF\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\x95\
        \x98\x09";
    const SEQUENCE: &[u8] = b"\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x78\xA0\x03\xC0\
        \x80\x10\xE5\x96\x56\x69\x24\xCA\xF0\x16\x80\x80\0\0\x03\0\x80\0\0\x0F\x04";
    const FRAME: &[u8] = b"\x44\x01\xC1\x72\xB4\x62\x40";
    let fixture = Fixture::new();
    fixture.publish();
    fixture.append(Kind::Video, 0, &[HEAD, b"\0"].concat());
    fixture.append(Kind::Audio, 0, AAC_HEADER);
    let idr = units(&[VIDEO, SEQUENCE, FRAME, b"\x26\x01\xAF"]);
    send(&fixture, &[(0, [&b"\x91hvc1\0\0\0"[..], &idr].concat())]);
    let header = video_header(&fixture);
    let array = |kind: u8, set: &[u8]| [&[kind, 0, 1, 0, set.len() as u8], set].concat();
    let arrays = [array(32, VIDEO), array(33, SEQUENCE), array(34, FRAME)].concat();
    assert_eq!(header, Some([HEAD, b"\x03", &arrays].concat()));
    assert_eq!(size(&fixture), Some((1920, 1080)));
}

/// Returns the names of the doctor's findings.
fn findings(fixture: &Fixture) -> Vec<&'static str> {
    fixture.pump();
    let report = fixture.stream.report(fixture.now.get());
    report.findings.iter().map(|finding| finding.id()).collect()
}

/// Sends video and audio for 12 s in real time. Every 25th video frame is `key`.
fn run(fixture: &Fixture, from: u32, key: &[u8]) {
    for frame in 0..300 {
        let timestamp = from + frame * 40;
        let p = message(false, &[P]);
        let payload = if frame % 25 == 0 { key } else { &p };
        fixture.append(Kind::Video, timestamp, payload);
        fixture.append(Kind::Audio, timestamp, b"\xAF\x01\x21");
        fixture.pump();
        fixture.wait(40);
    }
}

#[test]
fn a_publish_without_headers_uses_those_of_the_one_before() {
    let fixture = published();
    run(&fixture, 0, &message(true, &[IDR]));
    let tracks = fixture.stream.track_infos();
    assert!(findings(&fixture).is_empty());
    fixture.unpublish();
    fixture.wait(1_000);
    fixture.publish();
    let viewer = Viewer::of(&fixture, Join::Live);
    run(&fixture, 0, &message(true, &[IDR]));
    assert_eq!(fixture.stream.track_infos(), tracks);
    assert_eq!(viewer.units().len(), 300);
    assert_eq!(findings(&fixture), ["missing-header"]);
    let text = fixture.stream.report(0).findings[0].to_string();
    assert!(
        text.starts_with("video and audio came without a sequence header: that of"),
        "{text}"
    );
    // Late is better than never.
    fixture.append(Kind::Video, 12_000, LARGE);
    assert!(findings(&fixture).is_empty());
}

#[test]
fn a_header_of_another_codec_is_not_used_for_a_publish_without() {
    let fixture = published();
    run(&fixture, 0, &message(true, &[IDR]));
    fixture.unpublish();
    fixture.wait(1_000);
    fixture.publish();
    for frame in 0..100 {
        fixture.append(Kind::Video, frame * 40, b"\x9Ahvc1\0\0\0\x03\x26\x01\xAF");
        fixture.append(Kind::Video, frame * 40, b"\x93hvc1\0\0\0\x03\x26\x01\xAF");
        fixture.wait(40);
    }
    assert_eq!(fixture.stream.track_infos(), [None, None]);
    assert_eq!(findings(&fixture), ["missing-header"]);
    let text = fixture.stream.report(0).findings[0].to_string();
    assert!(
        text.starts_with("video came without a sequence header: players"),
        "{text}"
    );
}

#[test]
fn without_keyframes_recovery_points_are_join_points() {
    let refresh = message(false, &[b"\x06\x06\x01\xC4\x80", P]);
    let fixture = published();
    let mut player = fixture.play(Join::Live);
    run(&fixture, 0, &refresh);
    // The first message after two seconds, in which keyframes might have been sent.
    let media = player.media();
    assert_eq!(media[0].payload, refresh);
    let videos = media.iter().filter(|got| got.is_video()).count();
    assert_eq!(videos, 250);
    assert_eq!(findings(&fixture), ["keyframe-interval", "no-start"]);
    let mut late = fixture.play(Join::Gop);
    assert_eq!(late.media()[0].payload, refresh);

    // Not if keyframes are sent as well.
    let fixture = published();
    send(
        &fixture,
        &[(0, message(true, &[IDR])), (40, refresh.clone())],
    );
    assert_eq!(fixture.play(Join::Gop).media().len(), 2);
}

#[test]
fn a_stream_without_any_keyframe_is_played_after_10_s() {
    let fixture = published();
    let mut player = fixture.play(Join::Live);
    let viewer = Viewer::of(&fixture, Join::Live);
    run(&fixture, 0, &message(false, &[P]));
    let videos = |player: &mut crate::fixture::Player| {
        let media = player.media();
        media.iter().filter(|got| got.is_video()).count()
    };
    assert_eq!(videos(&mut player), 50);
    let syncs: Vec<_> = viewer.frames().iter().map(|p| p.is_sync).collect();
    assert_eq!(syncs, [&[true][..], &[false; 49]].concat());
    assert_eq!(findings(&fixture), ["keyframe-interval", "no-start"]);
    // There is another join point every ten seconds.
    run(&fixture, 12_000, &message(false, &[P]));
    assert_eq!(videos(&mut fixture.play(Join::Gop)), 100);
    // And a keyframe is better.
    send(&fixture, &[(24_000, message(true, &[IDR]))]);
    assert_eq!(videos(&mut fixture.play(Join::Gop)), 1);
}

/// The keyframe flags are set on recovery points: browsers can't start there, but RTMP players can.
#[test]
fn files_begin_with_frames_that_browsers_can_start_with() {
    let fixture = published();
    let refresh = message(true, &[b"\x06\x06\x01\xC4\x80", P]);
    let idr = units(&[IDR]);
    send(&fixture, &[(0, message(true, &[IDR]))]);
    fixture.append(Kind::Audio, 0, b"\xAF\x01\x21");
    let second = |from: u32| {
        for frame in 1..=25 {
            let p = message(false, &[P]);
            let payload = if frame == 25 { &refresh } else { &p };
            send(&fixture, &[(from + frame * 40, payload.clone())]);
            fixture.wait(30);
        }
    };
    (0..5).for_each(|at| second(at * 1_000));
    let mut player = fixture.play(Join::Gop);
    let media = player.media();
    let mut videos = media.iter().filter(|got| got.is_video());
    assert_eq!(videos.next().unwrap().payload, refresh);
    let viewer = Viewer::of(&fixture, Join::Gop);
    fixture.pump();
    let frames = viewer.frames();
    assert_eq!((frames.len(), &frames[0].units), (126, &idr));
    assert_eq!(frames.iter().filter(|p| p.is_sync).count(), 1);
    assert!(fixture.stream.keyframe().is_some());

    // When IDR frames stop, recovery points are better than nothing.
    (5..12).for_each(|at| second(at * 1_000));
    let viewer = Viewer::of(&fixture, Join::Gop);
    fixture.pump();
    let frames = viewer.frames();
    assert_eq!(frames[0].units, refresh[5..]);
    assert!(frames[0].is_sync);
}
