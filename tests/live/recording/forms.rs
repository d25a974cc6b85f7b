//! What each form has of a stream.

use super::*;

#[test]
fn flv_has_the_messages_as_they_were_sent_and_data() {
    let fixture = published();
    let mut flv = Recorder::of(&fixture, Form::Flv);
    let mut mp4 = Recorder::of(&fixture, Form::Mp4);
    let slice = |first: u8, unit: &[u8]| {
        let head = [first, 1, 0, 0, 0];
        [&head[..], &(unit.len() as u32).to_be_bytes(), unit].concat()
    };
    let sent: Vec<Message> = vec![
        (Kind::Video, slice(0x17, b"\x65\x88\x01")),
        (Kind::Video, slice(0x17, b"\x65\x42\x02")),
        (Kind::Script, b"\x02\0\x02hi".to_vec()),
        (Kind::Video, slice(0x27, b"\x41\x9A\x03")),
        (Kind::Audio, b"\xAF\x01audio".to_vec()),
        (Kind::Video, slice(0x27, b"\x41\x42\x04")),
        (Kind::Video, slice(0x27, b"\x41\x9A\x05")),
    ];
    let times = [0, 0, 10, 40, 45, 40, 80];
    for ((kind, payload), time) in sent.iter().zip(times) {
        match kind {
            Kind::Script => fixture.data(time, payload),
            kind => drop(fixture.append(*kind, time, payload)),
        }
    }
    fixture.wait(4_000);
    flv.poll(&fixture);
    mp4.poll(&fixture);
    assert_eq!(flv.messages, sent);
    // Frames are put together, without the bytes around them.
    let whole = |parts: [&[u8]; 2]| {
        let units = parts.map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat());
        (Kind::Video, units.concat())
    };
    let expected = [
        // That frames come in parts is known when the second part arrives.
        (Kind::Video, sent[0].1[5..].to_vec()),
        whole([b"\x65\x88\x01", b"\x65\x42\x02"]),
        (Kind::Audio, b"audio".to_vec()),
        whole([b"\x41\x9A\x03", b"\x41\x42\x04"]),
    ];
    assert_eq!(mp4.messages, expected);
    assert_eq!(mp4.starts(), [true, true]);
}

#[test]
fn mp4_has_the_first_track_and_flv_has_all() {
    let fixture = published();
    let mut flv = Recorder::of(&fixture, Form::Flv);
    let mut mp4 = Recorder::of(&fixture, Form::Mp4);
    let sized = |id: u8, body: &[u8]| [&[id, 0, 0, body.len() as u8], body].concat();
    let tracks = |first: &[u8], second: &[u8]| {
        let (first, second) = (sized(0, first), sized(1, second));
        [&b"\x96\x11avc1"[..], &first, &second].concat()
    };
    let (own, other) = (b"\0\0\x53\0\0\0\x02\x65\x01", b"\0\0\x53\0\0\0\x02\x65\x02");
    fixture.append(Kind::Video, 0, &tracks(own, other));
    fixture.append(Kind::Audio, 0, b"\xAF\x01\x21\x00");
    fixture.append(Kind::Audio, 0, b"\x95\x01Opus\x01\xFC\x01");
    fixture.wait(4_000);
    flv.poll(&fixture);
    mp4.poll(&fixture);
    let audio = (Kind::Audio, b"\x21\x00".to_vec());
    let expected = [(Kind::Video, b"\0\0\0\x02\x65\x01".to_vec()), audio];
    assert_eq!(mp4.messages, expected);
    // The time from decoding to presentation is that of the message, and a frame more.
    let times = mp4.cuts[0].samples[0].composition_time;
    assert!((0x53..0x53 + 100).contains(&times), "{times}");
    let expected: [Message; 4] = [
        (Kind::Video, [b"\x17\x01", &own[..]].concat()),
        (Kind::Video, [b"\x96\x01avc1\x01", &other[..]].concat()),
        (Kind::Audio, b"\xAF\x01\x21\x00".to_vec()),
        (Kind::Audio, b"\x95\x01Opus\x01\xFC\x01".to_vec()),
    ];
    assert_eq!(flv.messages, expected);
}

#[test]
fn the_form_is_that_which_holds_all_of_the_stream() {
    let fixture = Fixture::new();
    assert_eq!(fixture.stream.record_form(), None);
    fixture.publish();
    headers(&fixture);
    assert_eq!(fixture.stream.record_form(), Some(Form::Mp4));
    let fixture = Fixture::new();
    fixture.publish();
    // Sorenson and MP3.
    fixture.append(Kind::Video, 0, b"\x12\0\0\x84");
    fixture.append(Kind::Audio, 0, b"\x2F\xFF\xFB\x90\x64");
    assert_eq!(fixture.stream.record_form(), Some(Form::Flv));
}
