use serde::Deserialize;

use super::*;

/// The elements that NOALBS and exporters read. All of them must be present.
#[derive(Debug, Deserialize)]
struct Rtmp {
    nginx_version: String,
    nginx_rtmp_version: String,
    compiler: String,
    built: String,
    pid: u32,
    uptime: u32,
    naccepted: u32,
    bw_in: u64,
    bytes_in: u64,
    bw_out: u64,
    bytes_out: u64,
    server: Server,
}

#[derive(Debug, Deserialize)]
struct Server {
    application: Vec<Application>,
}

#[derive(Debug, Deserialize)]
struct Application {
    name: String,
    live: Live,
}

#[derive(Debug, Deserialize)]
struct Live {
    #[serde(default)]
    stream: Vec<Stream>,
    nclients: u32,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
    time: u64,
    bw_in: u64,
    bytes_in: u64,
    bw_out: u64,
    bytes_out: u64,
    bw_audio: u64,
    bw_video: u32,
    bw_data: u64,
    #[serde(default)]
    client: Vec<Client>,
    meta: Meta,
    nclients: u32,
    publishing: Option<()>,
    active: Option<()>,
}

#[derive(Debug, Deserialize)]
struct Client {
    id: u32,
    address: String,
    port: u16,
    time: u64,
    flashver: String,
    bytes_in: u64,
    bytes_out: u64,
    dropped: u64,
    avsync: i64,
    timestamp: u64,
    publishing: Option<()>,
    active: Option<()>,
}

#[derive(Debug, Deserialize)]
struct Meta {
    video: VideoMeta,
    audio: AudioMeta,
}

#[derive(Debug, Deserialize)]
struct VideoMeta {
    width: u16,
    height: u16,
    frame_rate: f64,
    data_rate: u16,
    codec: String,
    profile: String,
    compat: u16,
    level: f64,
}

#[derive(Debug, Deserialize)]
struct AudioMeta {
    codec: Option<String>,
    profile: Option<String>,
    channels: Option<u32>,
    sample_rate: Option<u32>,
}

fn read_xml(server: &Figures) -> Rtmp {
    let xml = text_of(stat::xml, server);
    quick_xml::de::from_str(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"))
}

#[test]
fn streams_are_in_the_format_of_nginx_rtmp() {
    let rtmp = read_xml(&server(true));
    assert!(rtmp.nginx_version.contains("brooklet") && !rtmp.nginx_rtmp_version.is_empty());
    assert!(!rtmp.compiler.is_empty() && !rtmp.built.is_empty() && rtmp.pid > 0);
    assert_eq!((rtmp.uptime, rtmp.naccepted), (72, 19));
    assert_eq!((rtmp.bw_in, rtmp.bytes_in), (2_528_999, 2_000_000));
    assert_eq!((rtmp.bw_out, rtmp.bytes_out), (5_000_000, 200_000));
    let [Application { name, live }] = &rtmp.server.application[..] else {
        panic!("{rtmp:?}")
    };
    assert_eq!((&name[..], live.nclients), ("live", 7));
    let [stream] = &live.stream[..] else {
        panic!("{live:?}")
    };
    assert_eq!((&stream.name[..], stream.time), ("door", 12_345));
    assert_eq!((stream.bw_in, stream.bytes_in), (2_528_999, 1_896_000));
    assert_eq!((stream.bw_out, stream.bytes_out), (5_000_000, 123_456));
    assert_eq!((stream.bw_audio, stream.bw_video), (128_000, 2_400_999));
    assert_eq!((stream.bw_data, stream.nclients), (0, 7));
    assert!(stream.publishing.is_some() && stream.active.is_some());

    let [publisher, player, slow] = &stream.client[..] else {
        panic!("{stream:?}")
    };
    assert_eq!((publisher.id, &publisher.address[..]), (17, "192.0.2.17"));
    assert_eq!((publisher.port, publisher.time), (5123, 12_345));
    assert_eq!(publisher.flashver, "FMLE/3.0");
    assert_eq!((publisher.bytes_in, publisher.bytes_out), (17_000, 170));
    assert_eq!((publisher.dropped, publisher.avsync), (3, 0));
    assert_eq!(publisher.timestamp, 12_345);
    assert!(publisher.publishing.is_some() && publisher.active.is_some());
    assert_eq!(
        (player.id, player.publishing, player.bytes_out),
        (18, None, 40_000)
    );
    assert_eq!((slow.id, slow.dropped, slow.time), (19, 100, 2_345));

    let VideoMeta {
        width,
        height,
        frame_rate,
        data_rate,
        codec,
        profile,
        compat,
        level,
    } = &stream.meta.video;
    assert_eq!((*width, *height, *data_rate), (640, 360, 2_400));
    assert_eq!((*frame_rate, *compat, *level), (29.97, 192, 3.0));
    assert_eq!((&codec[..], &profile[..]), ("H264", "Baseline"));
    let audio = &stream.meta.audio;
    assert_eq!(audio.codec.as_deref(), Some("AAC"));
    assert_eq!(audio.profile.as_deref(), Some("LC"));
    assert_eq!((audio.channels, audio.sample_rate), (Some(2), Some(48_000)));
}

#[test]
fn streams_without_video_or_without_any_media_are_listed() {
    let mut server = server(false);
    server.streams[0].1.video = TrackReport::default();
    let rtmp = read_xml(&server);
    let video = &rtmp.server.application[0].live.stream[0].meta.video;
    assert_eq!((video.width, &video.codec[..]), (0, ""));
    assert!(rtmp.server.application[0].live.stream[0].client.is_empty());

    server.streams[0].1.audio = TrackReport::default();
    let rtmp = read_xml(&server);
    let audio = &rtmp.server.application[0].live.stream[0].meta.audio;
    assert_eq!((&audio.codec, audio.sample_rate), (&None, None));
}

#[test]
fn streams_that_are_not_live_are_left_out_but_an_application_is_always_there() {
    let mut server = server(false);
    server.streams[0].1.is_live = false;
    for server in [server, Figures::default()] {
        let rtmp = read_xml(&server);
        let [application] = &rtmp.server.application[..] else {
            panic!("{rtmp:?}")
        };
        assert_eq!(application.name, "live");
        assert!(application.live.stream.is_empty());
        assert_eq!(application.live.nclients, 0);
    }
}

#[test]
fn an_application_is_all_but_the_last_part_of_a_name() {
    let mut server = server(false);
    server.streams = ["cam/a", "cam/b", "x"]
        .map(|name| (StreamKey::new("", name).unwrap(), door()))
        .into();
    let rtmp = read_xml(&server);
    let names: Vec<_> = rtmp
        .server
        .application
        .iter()
        .map(|application| {
            let streams = application.live.stream.iter();
            let streams: Vec<_> = streams.map(|stream| &stream.name[..]).collect();
            (&application.name[..], streams)
        })
        .collect();
    assert_eq!(
        names,
        [("live", vec![]), ("", vec!["x"]), ("cam", vec!["a", "b"])]
    );
}

#[test]
fn hostile_names_stay_within_their_elements() {
    let rtmp = read_xml(&hostile());
    // Two of the names contain slashes.
    let mut names = Vec::new();
    for application in &rtmp.server.application {
        for stream in &application.live.stream {
            names.push(format!("{}/{}", application.name, stream.name));
        }
    }
    let mut expected: Vec<_> = HOSTILE
        .iter()
        .map(|name| format!("live/{name}").replace(['\u{FFFE}', '\u{FFFF}'], " "))
        .collect();
    names.sort();
    expected.sort();
    assert_eq!(names.len(), expected.len());
    for (name, expected) in names.iter().zip(&expected) {
        assert_eq!(name.trim_end(), expected.trim_end());
    }
    let clients = rtmp.server.application.iter().flat_map(|application| {
        let streams = application.live.stream.iter();
        streams.flat_map(|stream| &stream.client)
    });
    let hostile: Vec<_> = clients.filter(|client| client.id == 40).collect();
    assert_eq!(hostile.len(), 1);
    assert!(hostile[0].flashver.starts_with("\"><script>"));
    assert!(!hostile[0].flashver.contains(char::is_control));
}
