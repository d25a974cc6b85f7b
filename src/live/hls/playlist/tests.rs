use super::*;
use crate::live::hls::segment::MediaSample;
use crate::live::hls::segments::Segments;
use crate::media::mp4::{AudioTrack, VideoTrack};

const LIFE: u32 = 0x00C0_FFEE;

/// 2026-11-21T08:00:00Z
const EPOCH: u64 = 1_795_248_000_000;

/// Video frames that are 40 ms apart, in GOPs of two seconds.
struct ListedStream {
    segments: Segments,
    number: u64,
    time: u64,
    version: u32,
}

impl ListedStream {
    fn new() -> ListedStream {
        ListedStream {
            segments: Segments::default(),
            number: 0,
            time: 10_000,
            version: 3,
        }
    }

    fn frames(&mut self, count: u64) {
        self.gops_of(50, count);
    }

    fn gops_of(&mut self, len: u64, count: u64) {
        for index in 0..count {
            let sample = MediaSample {
                number: self.number,
                time: self.time,
                end: self.time + 40,
                arrived: self.time - 9_000,
                len: 10_000,
                version: self.version,
                is_video: true,
                fits: true,
                is_main: true,
                is_join_point: index % len == 0,
            };
            self.segments.add(&sample, u64::MAX);
            self.number += 1;
            self.time += 40;
        }
    }

    fn listing(&mut self) -> Listing {
        self.segments.listing(false, &|_| true).unwrap()
    }
}

fn media(listing: &Listing, query: &str, is_filled: bool) -> String {
    let context = MediaContext {
        life: LIFE,
        epoch: EPOCH,
        query: Carried(query),
        is_filled,
    };
    let mut text = String::new();
    write_media(&mut text, listing, context).unwrap();
    text
}

#[test]
fn a_playlist_lists_segments_parts_and_the_next_part() {
    let mut stream = ListedStream::new();
    stream.frames(50 * 2 + 20);
    assert_eq!(
        media(&stream.listing(), "key=a", false),
        "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.560
#EXT-X-PART-INF:PART-TARGET=0.520
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-MAP:URI=\"00c0ffee-3.mp4?key=a\"
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:01.000Z
#EXT-X-PART:DURATION=0.520,URI=\"00c0ffee-1.0.m4s?key=a\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.520,URI=\"00c0ffee-1.1.m4s?key=a\"
#EXT-X-PART:DURATION=0.520,URI=\"00c0ffee-1.2.m4s?key=a\"
#EXT-X-PART:DURATION=0.440,URI=\"00c0ffee-1.3.m4s?key=a\"
#EXTINF:2.000,
00c0ffee-1.m4s?key=a
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:03.000Z
#EXT-X-PART:DURATION=0.520,URI=\"00c0ffee-2.0.m4s?key=a\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.520,URI=\"00c0ffee-2.1.m4s?key=a\"
#EXT-X-PART:DURATION=0.520,URI=\"00c0ffee-2.2.m4s?key=a\"
#EXT-X-PART:DURATION=0.440,URI=\"00c0ffee-2.3.m4s?key=a\"
#EXTINF:2.000,
00c0ffee-2.m4s?key=a
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:05.000Z
#EXT-X-PART:DURATION=0.520,URI=\"00c0ffee-3.0.m4s?key=a\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"00c0ffee-3.1.m4s?key=a\"
"
    );
}

#[test]
fn a_publisher_that_returned_with_another_configuration_and_left_is_in_the_playlist() {
    let mut stream = ListedStream::new();
    stream.frames(50 * 5 + 10);
    stream.listing();
    stream.segments.cut_off();
    stream.time += 3_000;
    stream.version = 4;
    stream.frames(50);
    stream.segments.cut_off();
    stream.segments.prune(200);
    let mut listing = stream.segments.listing(true, &|_| true).unwrap();
    // The parts are tested above.
    listing.part_target = None;
    for segment in &listing.segments {
        assert_eq!(
            listing.parts(segment).len(),
            [4, 1, 4][segment.number as usize - 5]
        );
    }
    let text = media(&listing, "", false);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("#EXT-X-PART:"));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            "#EXT-X-TARGETDURATION:2",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-MEDIA-SEQUENCE:5",
            "#EXT-X-MAP:URI=\"00c0ffee-3.mp4\"",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:09.000Z",
            "#EXTINF:2.000,",
            "00c0ffee-5.m4s",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:11.000Z",
            "#EXTINF:0.400,",
            "00c0ffee-6.m4s",
            "#EXT-X-DISCONTINUITY",
            "#EXT-X-MAP:URI=\"00c0ffee-4.mp4\"",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:14.400Z",
            "#EXTINF:2.000,",
            "00c0ffee-7.m4s",
            "#EXT-X-ENDLIST",
        ]
    );
}

#[test]
fn gaps_do_not_change_when_the_target_duration_grows() {
    let mut stream = ListedStream::new();
    stream.frames(50 * 8);
    stream.segments.prune(280);
    let [short, grown] = [0, 251].map(|more| {
        stream.gops_of(250, more);
        let listing = stream.listing();
        let text = media(&listing, "", true);
        let lines = text.lines().map(str::to_owned);
        (listing.target, lines.collect::<Vec<_>>())
    });
    assert_eq!((short.0, grown.0), (2, 10));
    for line in ["#EXT-X-GAP", "#EXTINF:2.000,", "00c0ffee-6.m4s"] {
        assert!(short.1.iter().any(|l| l == line), "{short:?}");
    }
    let sequence = |lines: &[String]| {
        let value = lines
            .iter()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        value.unwrap().parse::<u64>().unwrap()
    };
    assert!(sequence(&grown.1) >= sequence(&short.1), "{grown:?}");
    let gaps = grown.1.windows(2).filter(|lines| lines[0] == "#EXT-X-GAP");
    assert!(
        gaps.map(|lines| &lines[1])
            .all(|line| line == "#EXTINF:2.000,")
    );
}

#[test]
fn a_playlist_that_is_still_too_short_can_be_filled_with_gaps() {
    let mut stream = ListedStream::new();
    stream.frames(50 * 8);
    stream.segments.prune(280);
    let [short, longer, full] = [0, 50, 100].map(|more| {
        stream.frames(more);
        let text = media(&stream.listing(), "", true);
        let lines = text.lines().filter(|line| !line.starts_with("#EXT-X-PART"));
        lines.skip(4).map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(
        short,
        [
            "#EXT-X-INDEPENDENT-SEGMENTS",
            "#EXT-X-MEDIA-SEQUENCE:4",
            "#EXT-X-MAP:URI=\"00c0ffee-3.mp4\"",
            "#EXT-X-GAP",
            "#EXTINF:2.000,",
            "00c0ffee-4.m4s",
            "#EXT-X-GAP",
            "#EXTINF:2.000,",
            "00c0ffee-5.m4s",
            "#EXT-X-GAP",
            "#EXTINF:2.000,",
            "00c0ffee-6.m4s",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:13.000Z",
            "#EXTINF:2.000,",
            "00c0ffee-7.m4s",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T08:00:15.000Z",
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"00c0ffee-8.3.m4s\"",
        ]
    );
    let gaps = |lines: &[String]| lines.iter().filter(|line| *line == "#EXT-X-GAP").count();
    assert_eq!(
        (longer[1].as_str(), gaps(&longer)),
        ("#EXT-X-MEDIA-SEQUENCE:5", 2)
    );
    assert_eq!(
        (full[1].as_str(), gaps(&full)),
        ("#EXT-X-MEDIA-SEQUENCE:7", 0)
    );
}

#[test]
fn segments_are_declared_independent_only_if_all_are() {
    let mut stream = ListedStream::new();
    stream.frames(50 * 2 + 1);
    let mut listing = stream.listing();
    const TAG: &str = "#EXT-X-INDEPENDENT-SEGMENTS\n";
    assert!(media(&listing, "", false).contains(TAG));
    listing.segments[1].is_independent = false;
    assert!(!media(&listing, "", false).contains(TAG));
    stream.frames(20);
    let mut listing = stream.listing();
    listing.open.as_mut().unwrap().is_independent = false;
    assert!(!media(&listing, "", false).contains(TAG));
}

#[test]
fn removed_discontinuities_are_counted() {
    let mut stream = ListedStream::new();
    for _ in 0..4 {
        stream.frames(150);
        stream.listing();
        stream.segments.cut_off();
        stream.time += 1_000;
    }
    stream.segments.prune(450);
    let text = media(&stream.listing(), "", false);
    assert!(text.contains("SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-DISCONTINUITY\n"));
    stream.segments.prune(500);
    let text = media(&stream.listing(), "", false);
    assert!(text.contains("SEQUENCE:11\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-MAP"));
}

#[test]
fn the_multivariant_playlist_describes_the_stream() {
    let mut stream = ListedStream::new();
    stream.frames(50 * 3 + 1);
    let video = VideoTrack::from_sequence_header(
        b"\x17\0\0\0\0\x01\x64\0\x1F\xFF\xE1\0\x1B\
        \x67\x64\0\x1F\xAC\xD9\x40\x50\x05\xBB\x01\x6A\x02\x02\x02\x80\0\0\x03\0\x80\0\0\x1E\x07\
        \x8C\x18\xCB\x01\0\x06\x68\xEB\xE3\xCB\x22\xC0",
    );
    let audio = AudioTrack::from_sequence_header(b"\xAF\0\x11\x90");
    let presentation = Presentation { video, audio };
    let listing = stream.listing();
    let playlist = |presentation: &Presentation| {
        let mut text = String::new();
        let uri = "door/media.m3u8";
        write_multivariant(&mut text, &listing, presentation, uri, Carried("key=a")).unwrap();
        text
    };
    assert_eq!(
        playlist(&presentation),
        "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=4000000,AVERAGE-BANDWIDTH=2000000,\
CODECS=\"avc1.64001F,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=25.000,\
CLOSED-CAPTIONS=NONE
door/media.m3u8?key=a
"
    );
    let audio = Presentation {
        video: None,
        ..presentation
    };
    let text = playlist(&audio);
    assert!(
        text.contains("CODECS=\"mp4a.40.2\",CLOSED-CAPTIONS=NONE\ndoor"),
        "{text}"
    );
}

#[test]
fn the_key_is_carried_and_what_would_break_a_playlist_is_escaped() {
    for (query, carried) in [
        ("", ""),
        ("key=a", "?key=a"),
        ("_HLS_msn=3&key=a%2Fb&_HLS_part=1&x=1", "?key=a%2Fb&x=1"),
        ("_HLS_msn=3", ""),
        ("&&key=a&", "?key=a"),
        ("key=\"a\"\n#EXT", "?key=%22a%22%0A%23EXT"),
        ("key=\u{e4}", "?key=%C3%A4"),
    ] {
        assert_eq!(Carried(query).to_string(), carried, "{query:?}");
    }
}

#[test]
fn a_query_too_long_for_a_key_is_not_carried() {
    let longest = "k".repeat(MAX_QUERY_LEN);
    assert_eq!(Carried(&longest).to_string(), format!("?{longest}"));
    assert_eq!(Carried(&(longest + "k")).to_string(), "");
}
