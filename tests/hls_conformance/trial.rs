//! The judge on trial: deliberate faults must be found.

use brooklet::media::mp4::{
    AUDIO_TRACK_ID, AudioTrack, Fragment, Presentation, VIDEO_TRACK_ID, VideoTrack,
};

use crate::judge::Judge;
use crate::mp4;
use crate::playlist::{self, Part, Segment};
use crate::report::Report;
use crate::scenario::{ALL, Codec};
use crate::source::{Clock, Source};

const GOOD: &str = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"a-1.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:2.00000,
a-7.m4s
#EXTINF:1.99900,
a-8.m4s
#EXTINF:2.00000,
a-9.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"a-2.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T04:04:11.678+01:00
#EXT-X-PART:DURATION=0.5,URI=\"a-10.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.2,URI=\"a-10.1.m4s\"
#EXTINF:0.70000,
a-10.m4s
#EXT-X-PART:DURATION=0.43,URI=\"a-11.0.m4s\"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a-11.1.m4s\"
";

#[test]
fn a_valid_playlist_has_no_faults() {
    let mut wrong = Vec::new();
    let found = playlist::parse(GOOD, &mut wrong);
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!((found.next_number(), found.open.parts.len()), (11, 1));
    let numbers: Vec<_> = found
        .segments
        .iter()
        .map(|s| (s.number, s.discontinuities))
        .collect();
    assert_eq!(numbers, [(7, 1), (8, 1), (9, 1), (10, 2)]);
    let dates: Vec<_> = found.segments.iter().filter_map(|s| s.date).collect();
    assert_eq!(dates, [1_767_323_045_678_000, 1_767_323_051_678_000]);
    assert_eq!(found.segments[3].map.as_deref(), Some("a-2.mp4"));
    assert_eq!(found.hint.as_deref(), Some("a-11.1.m4s"));
}

#[test]
fn each_broken_rule_of_a_playlist_is_found() {
    for (from, to, expected) in [
        ("#EXTM3U\n", "", "the first line"),
        ("VERSION:9", "VERSION:4", "version 4"),
        (
            "DURATION:2\n",
            "DURATION:1\n",
            "EXTINF 2 with TARGETDURATION 1",
        ),
        ("1.99900", "2.6", "EXTINF 2.6 with"),
        ("BACK=1.5", "BACK=1.4", "PART-HOLD-BACK 1.4"),
        ("CAN-BLOCK-RELOAD=YES,", "", "no CAN-BLOCK-RELOAD"),
        ("DURATION=0.43", "DURATION=0.51", "a part of 0.51"),
        (
            "=0.2,URI=\"a-10.1.m4s\"\n",
            "=0.4,URI=\"a-10.1.m4s\"\n#EXT-X-PART:DURATION=0.1,URI=\"b\"\n",
            "a part of 0.4 in the middle",
        ),
        ("0.70000", "0.80000", "isn't the sum of its parts"),
        ("a-8.m4s", "a-7.m4s", "a URI twice"),
        ("#EXTINF:1.99900,\n", "", "a URI without EXTINF"),
        ("INDEPENDENT=YES", "INDEPENDENT=JA", "INDEPENDENT=JA"),
        ("#EXT-X-MAP:URI=\"a-1.mp4\"\n", "", "a segment before MAP"),
        (
            "#EXT-X-VERSION:9\n",
            "#EXT-X-VERSION:9\n#EXT-X-VERSION:9\n",
            "#EXT-X-VERSION twice",
        ),
        ("03:04:05.678Z", "03:04:05.678", "bad date"),
        (
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-ALLOW-CACHE:NO",
            "unexpected",
        ),
        (
            "1.m4s\"\n#EXTINF",
            "1.m4s\"\n#EXT-X-DISCONTINUITY\n#EXTINF",
            "DISCONTINUITY behind",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let mut wrong = Vec::new();
        playlist::parse(&text, &mut wrong);
        assert!(
            wrong.iter().any(|what| what.contains(expected)),
            "{expected}: {wrong:?}"
        );
    }
}

#[test]
fn forbidden_changes_between_playlists_are_found() {
    let without = |lines: &str| GOOD.replacen(lines, "", 1);
    let slid = without("#EXTINF:2.00000,\na-7.m4s\n").replacen(":7\n", ":8\n", 1);
    for (next, expected) in [
        (GOOD.to_owned(), None),
        (
            GOOD.replacen("1.99900", "1.99800", 1),
            Some("EXTINF changes"),
        ),
        (
            GOOD.replacen("a-8.m4s", "b-8.m4s", 1),
            Some("a URI changes"),
        ),
        (
            GOOD.replacen("a-2.mp4", "a-3.mp4", 1),
            Some("EXT-X-MAP changes"),
        ),
        (GOOD.replacen("=0.43", "=0.44", 1), Some("parts change")),
        (
            GOOD.replacen("SEQUENCE:1", "SEQUENCE:2", 1),
            Some("discontinuities change"),
        ),
        (
            GOOD.replacen("SEQUENCE:7", "SEQUENCE:6", 1),
            Some("MEDIA-SEQUENCE"),
        ),
        (
            GOOD.replacen("DURATION:2\n", "DURATION:3\n", 1),
            Some("TARGETDURATION changes"),
        ),
        (
            GOOD.replacen("TARGET=0.5", "TARGET=0.49", 1),
            Some("PART-TARGET changes"),
        ),
        (slid, Some("less than three targets listed")),
        (
            without("#EXT-X-INDEPENDENT-SEGMENTS\n"),
            Some("no EXT-X-INDEPENDENT-SEGMENTS"),
        ),
    ] {
        let source = Source::new(ALL[1], 0, 1);
        let report = Report::new(std::iter::once("trial"));
        let clock = Clock::start();
        let mut judge = Judge::new(&source, &report, &clock, "low latency");
        judge.playlist(GOOD, 0);
        judge.playlist(&next, 1);
        let table = report.table();
        match expected {
            None => assert_eq!(report.total(), 0, "{table}"),
            Some(expected) => assert!(report.has(expected), "{expected}: {table}"),
        }
    }
}

/// A fragment with a sample of three bytes.
const FRAGMENT: &[u8] = b"\0\0\0\x60moof\0\0\0\x10mfhd\0\0\0\0\0\0\0\x05\
    \0\0\0\x48traf\0\0\0\x10tfhd\0\x02\0\0\0\0\0\x01\0\0\0\x10tfdt\0\0\0\0\0\0\0\x07\
    \0\0\0\x20trun\0\0\x07\x01\0\0\0\x01\0\0\0\x68\0\0\0\x28\0\0\0\x03\0\0\0\0\
    \0\0\0\x0Bmdatabc";

#[test]
fn malformed_fragments_are_found() {
    let samples = mp4::parse_media(FRAGMENT).expect("it is good");
    let [sample] = &samples[..] else {
        panic!("{samples:?}")
    };
    assert_eq!(&FRAGMENT[sample.bytes.clone()], b"abc");
    let times = (sample.decode_time, sample.duration, sample.sequence);
    assert_eq!((times, sample.is_sync), ((7, 40, 5), true));
    for (at, byte, expected) in [
        (3, 0x61, "box"),
        (4 + 37, 0, "tfhd with flags 000000"),
        (FRAGMENT.len() - 8, 0x0A, "box"),
        (83, 0x69, "a sample at"),
    ] {
        let mut bytes = FRAGMENT.to_vec();
        bytes[at] = byte;
        let error = mp4::parse_media(&bytes).expect_err("it is bad");
        assert!(error.contains(expected), "{at}: {error}");
    }
    assert!(mp4::parse_media(&FRAGMENT[..96]).is_err());
}

/// A sample as it is served; `time` is its decode time, in ms.
#[derive(Clone)]
struct Served {
    track: usize,
    index: u32,
    time: f64,
    is_sync: bool,
    body: Vec<u8>,
}

/// Two seconds of the source from this segment on, and how they are listed.
fn served(source: &Source, clock: &Clock, number: u64) -> (Segment, Vec<Served>) {
    let begin = number * 2_000;
    let mut samples = Vec::new();
    for track in [0, 1] {
        for (frame, index) in source.plan.frames[track].iter().zip(0..) {
            if (begin..begin + 2_000).contains(&frame.due_ms) {
                samples.push(Served {
                    track,
                    index,
                    // Like a server that counts samples.
                    time: match frame.codec {
                        Codec::Audio(audio) => f64::from(index) * audio.frame_ms(),
                        Codec::Video(_) => frame.due_ms as f64,
                    },
                    is_sync: frame.is_key,
                    body: source.bytes(track, index).expect("it is planned"),
                });
            }
        }
    }
    let segment = Segment {
        number,
        uri: format!("{number}"),
        duration: 2.0,
        date: Some(clock.to_date(begin * 1000)),
        map: Some("map".into()),
        parts: vec![Part {
            uri: format!("{number}.0"),
            duration: 2.0,
            is_independent: true,
        }],
        ..Segment::default()
    };
    (segment, samples)
}

fn bytes_of(samples: &[Served], rate: f64, first: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (sample, sequence) in samples.iter().zip(first..) {
        let (track_id, scale, duration) = match sample.track {
            0 => (VIDEO_TRACK_ID, 1.0, 33 + u32::from(sample.index % 3 == 1)),
            _ => (AUDIO_TRACK_ID, rate / 1000.0, 1024),
        };
        let fragment = Fragment {
            sequence,
            track_id,
            decode_time: (sample.time * scale).round() as u64,
            duration,
            composition_offset: 0,
            is_sync: sample.is_sync,
            len: sample.body.len() as u32,
        };
        bytes.extend_from_slice(&fragment.head());
        bytes.extend_from_slice(&sample.body);
    }
    bytes
}

type Spoil = fn(&mut Segment, &mut Vec<Served>);

#[test]
fn each_fault_of_a_segment_is_found() {
    let rows: &[(Option<&str>, Spoil)] = &[
        (None, |_, _| {}),
        (Some("pictures lost"), |_, samples| {
            samples.remove(7);
        }),
        (Some("sounds lost"), |_, samples| {
            let first = samples.iter().position(|sample| sample.track == 1);
            samples.remove(first.expect("there are sounds") + 5);
        }),
        (
            Some("pictures doubled or in another order"),
            |_, samples| {
                samples.insert(7, samples[7].clone());
            },
        ),
        (
            Some("pictures doubled or in another order"),
            |_, samples| {
                samples.swap(7, 8);
            },
        ),
        (Some("the bytes of a sample differ"), |_, samples| {
            samples[9].body[150] ^= 1;
        }),
        (Some("a sample that nobody sent"), |_, samples| {
            samples[9].body[6] ^= 1;
        }),
        (Some("sync flag"), |_, samples| samples[9].is_sync = true),
        (Some("begins without a keyframe"), |_, samples| {
            samples.remove(0);
        }),
        (Some("time of a picture"), |_, samples| {
            samples[9].time += 2.0
        }),
        (Some("picture and sound"), |_, samples| {
            let sounds = samples.iter_mut().filter(|sample| sample.track == 1);
            sounds.for_each(|sound| sound.time += 30.0);
        }),
        (Some("a gap between pictures"), |_, samples| {
            samples[9].time += 3.0
        }),
        (Some("PROGRAM-DATE-TIME"), |segment, _| {
            segment.date = segment.date.map(|date| date + 60_000);
        }),
        (Some("EXT-X-DISCONTINUITY without need"), |segment, _| {
            segment.is_discontinuous = true
        }),
        (Some("EXTINF"), |segment, _| segment.duration = 2.003),
        (Some("presentation of a segment"), |segment, _| {
            segment.duration = 1.9
        }),
    ];
    for (expected, spoil) in rows {
        let source = Source::new(ALL[1], 1, 8).sent_on_time();
        let report = Report::new(["other", "trial"].into_iter());
        let clock = Clock::start();
        let mut judge = Judge::new(&source, &report, &clock, "polling");
        let scenario = &source.scenario;
        let audio = scenario.audio.expect("it has both");
        let video = scenario.video.expect("it has both");
        let presentation = Presentation {
            video: VideoTrack::from_sequence_header(&video.header()),
            audio: AudioTrack::from_sequence_header(&audio.header()),
        };
        judge.init("map", &presentation.init_segment());
        for number in 0..3 {
            let (mut segment, mut samples) = served(&source, &clock, number);
            if number == 1 {
                spoil(&mut segment, &mut samples);
            }
            judge.segment(
                &segment,
                bytes_of(&samples, audio.rate().into(), number as u32 * 1_000),
            );
        }
        let table = report.table();
        match expected {
            None => assert_eq!(report.total(), 0, "{table}"),
            Some(expected) => assert!(report.has(expected), "{expected}: {table}"),
        }
    }
}
