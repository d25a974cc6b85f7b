//! The first lines of output: the URLs to enter in OBS, ffmpeg and VLC, and the history that the memory
//! suffices for.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use brooklet::config::{Access, RTMP_PORT, Record, Scope};
use brooklet::live::arena::Arena;
use brooklet::server::hosts::{host, page, reachable};
use brooklet::{Config, DiskReport, DiskState};

/// The number of streams in the example for memory, and their rate in Mbit/s.
const STREAMS: usize = 4;
const MBIT: usize = 6;

/// The app and stream name in the examples, unless a key is for another stream.
const APP: &str = "live";
const NAME: &str = "cam";

/// Returns the page to open, and the text to paste into OBS, ffmpeg and VLC, for each address at which
/// the server can be reached. The server listens on `rtmp` and `http`, and inside of TLS on two more lists
/// of addresses; it records on `disk`.
pub(crate) fn text(
    config: &Config,
    rtmp: &[SocketAddr],
    http: &[SocketAddr],
    [rtmps, https]: [&[SocketAddr]; 2],
    disk: Option<&DiskReport>,
) -> String {
    let mut text = format!("brooklet {}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "{}\n", memory_text(config));
    for (protocol, listening) in [
        ("RTMP", rtmp),
        ("HTTP", http),
        ("RTMP inside of TLS", rtmps),
        ("HTTP inside of TLS", https),
    ] {
        for address in listening {
            let _ = writeln!(text, "listening for {protocol} on {address}");
        }
    }
    let publish = access_text("publish", &config.publish);
    let play = access_text("play", &config.play);
    let _ = writeln!(text, "publishing: {publish}\nplaying: {play}");
    let dir = config.record.dir.as_ref();
    if let Some(dir) = dir.filter(|_| cfg!(feature = "record")) {
        let what = recorded_text(&config.record);
        let space = space_text(disk);
        let _ = writeln!(text, "recording: {what}in {}, {space}", dir.display());
    }
    let mut pages = reachable_at(http);
    for (ip, port) in reachable_at(rtmp) {
        text.push('\n');
        pages.retain(|(page_ip, page_port)| {
            let is_here = *page_ip == ip;
            if is_here {
                push_page(&mut text, &config.play, ip, *page_port);
            }
            !is_here
        });
        push_examples(&mut text, config, &host(ip, port, RTMP_PORT));
    }
    if !pages.is_empty() {
        text.push('\n');
    }
    for (ip, port) in pages {
        push_page(&mut text, &config.play, ip, port);
    }
    push_tls(&mut text, config, rtmps, https);
    text.push('\n');
    text
}

/// Says how to use TLS. The URLs need a name that the certificate is for, which isn't known here.
fn push_tls(text: &mut String, config: &Config, rtmps: &[SocketAddr], https: &[SocketAddr]) {
    let (app, name) = example(config);
    if let Some(address) = https.first() {
        let port = address.port();
        let _ = write!(text, "\n  with TLS              https://NAME:{port}/");
    }
    if let Some(address) = rtmps.first() {
        let port = address.port();
        let _ = write!(
            text,
            "\n  with TLS              rtmps://NAME:{port}/{app}/{name}"
        );
    }
    if !rtmps.is_empty() || !https.is_empty() {
        text.push_str("   (NAME: one that the certificate is for)\n");
    }
}

fn reachable_at(listening: &[SocketAddr]) -> Vec<(IpAddr, u16)> {
    let at = |address: &SocketAddr| {
        let port = address.port();
        reachable(*address).into_iter().map(move |ip| (ip, port))
    };
    listening.iter().flat_map(at).collect()
}

fn push_page(text: &mut String, play: &Access, ip: IpAddr, port: u16) {
    // The URL has no user and password, since the page asks for them.
    let key = match (play.users.is_empty(), play.keys.is_empty()) {
        (true, false) => "?key=PLAY-KEY",
        _ => "",
    };
    let _ = writeln!(text, "  watch in a browser    {}{key}", page(ip, port));
}

fn push_examples(text: &mut String, config: &Config, host: &str) {
    // A placeholder, since the output must not show a key.
    let proof = match (
        config.publish.users.is_empty(),
        config.publish.keys.is_empty(),
    ) {
        (false, _) => "   Use authentication",
        (true, false) => "?key=PUBLISH-KEY",
        (true, true) => "",
    };
    let (app, name) = example(config);
    let stream = format!("{host}/{app}/{name}");
    let _ = write!(
        text,
        "  publish with OBS      Server: rtmp://{host}/{app}   Stream Key: {name}{proof}\
         \n  publish with ffmpeg   ffmpeg -re -i INPUT -c copy -f flv {}\
         \n  play with VLC         vlc {}\n",
        url(&stream, &config.publish, "PUBLISH-KEY"),
        url(&stream, &config.play, "PLAY-KEY"),
    );
}

/// Returns the app and the name of a stream that may be published: if there is any key, each stream
/// needs one.
fn example(config: &Config) -> (&str, &str) {
    let mut keys = config.publish.keys.iter().chain(&config.play.keys);
    match keys.next().map(|key| &key.scope) {
        Some(Scope::Stream(key)) if key.as_str().contains('/') => key.app_and_name(),
        Some(Scope::Under(app)) => (app.trim_end_matches('/'), NAME),
        _ => (APP, NAME),
    }
}

/// Logs a warning if the process may open fewer files than the connections need.
pub(crate) fn warn_of_low_limits(config: &Config) {
    /// The number of file descriptors for everything except connections and listeners.
    const OTHERS: usize = 16;

    let needed = config.max_connections + config.rtmp.len() + config.http.len() + OTHERS;
    // Only Linux has this file. On other systems there is no warning.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        log::warn!(
            "{limit} open files are allowed, {needed} are needed for {} connections: raise the \
             limit (ulimit -n, LimitNOFILE=) or lower --max-connections",
            config.max_connections
        );
    }
}

/// Returns the URL in the example for a command line, with placeholders for credentials. If there are
/// users, clients are asked to log in before they send the key in the stream name.
fn url(stream: &str, access: &Access, key: &str) -> String {
    if !access.users.is_empty() {
        format!("rtmp://USER:PASSWORD@{stream}")
    } else if !access.keys.is_empty() {
        // Quoted: some shells expand a question mark.
        format!("'rtmp://{stream}?key={key}'")
    } else {
        format!("rtmp://{stream}")
    }
}

/// Describes the history that the memory suffices for: "32 MiB: about 9 s of history for four 6 Mbit/s
/// streams".
fn memory_text(config: &Config) -> String {
    let share = Arena::shared_len(config.memory) / STREAMS;
    let seconds = (share / (MBIT * 1_000_000 / 8)) as u64;
    let seconds = seconds.min(config.history.as_secs());
    format!(
        "{} MiB of memory for media: about {seconds} s of history for {STREAMS} streams of {MBIT} \
         Mbit/s",
        config.memory >> 20
    )
}

/// Describes who may publish or play: "needs a key, from any address".
fn access_text(verb: &str, access: &Access) -> String {
    let networks = access.networks_in_words();
    match (access.keys.is_empty(), access.users.is_empty()) {
        (true, true) => format!("open to {networks}, no key (--{verb}-key sets one)"),
        (false, true) => format!("needs a key, from {networks}"),
        (true, false) => format!("needs user and password, from {networks}"),
        (false, false) => format!("needs a key, or user and password, from {networks}"),
    }
}

/// Describes which streams are recorded: "live/door, garage/*, ".
fn recorded_text(record: &Record) -> String {
    let mut text = String::new();
    if record.streams.contains(&Scope::All) {
        text.push_str("all streams, ");
    } else {
        for scope in &record.streams {
            let _ = write!(text, "{scope}, ");
        }
    }
    if record.on_request {
        text.push_str("what publishers ask for, ");
    } else if text.is_empty() {
        text.push_str("what is asked for over HTTP, ");
    }
    text
}

/// Describes the space for recordings: "12.3 GB free".
fn space_text(disk: Option<&DiskReport>) -> String {
    let free = match disk.and_then(|disk| disk.free) {
        Some(free) => {
            let (tenth, unit) = match free {
                0..1_000_000_000 => (100_000, "MB"),
                _ => (100_000_000, "GB"),
            };
            let tenths = free / tenth;
            format!("{}.{} {unit} free", tenths / 10, tenths % 10)
        }
        None => "free space not known".to_owned(),
    };
    match disk.map(|disk| disk.state) {
        None | Some(DiskState::Fine) => free,
        Some(state) => format!("{free} ({})", state.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TLS: [&[SocketAddr]; 2] = [&[], &[]];

    /// The text of a server that records nothing.
    fn text(config: &Config, rtmp: &[SocketAddr], http: &[SocketAddr]) -> String {
        super::text(config, rtmp, http, NO_TLS, None)
    }

    #[test]
    #[cfg(feature = "record")]
    fn recording_is_described_with_its_folder_and_the_space_in_it() {
        let recording = |record: Record, disk: Option<DiskReport>| {
            let record = record.dir(Some("/mnt/card".into()));
            let config = Config::default().record(record);
            let text = super::text(&config, &[], &[], NO_TLS, disk.as_ref());
            let line = text.lines().find(|line| line.starts_with("recording: "));
            line.unwrap().to_owned()
        };
        let with_free = |state, free| {
            let mut disk = DiskReport::default();
            disk.state = state;
            disk.free = Some(free);
            Some(disk)
        };
        let disk = |state| with_free(state, 12_399_999_999);
        let scopes = |names: &[&str]| {
            let parse = brooklet::config::parse_recorded;
            let scopes = names.iter().map(|name| parse(name).unwrap());
            Record::default().streams(scopes.collect())
        };
        for (record, disk, expected) in [
            (
                Record::default(),
                None,
                "recording: all streams, in /mnt/card, free space not known",
            ),
            (
                scopes(&["live/door", "garage/*"]),
                disk(DiskState::Fine),
                "recording: live/door, garage/*, in /mnt/card, 12.3 GB free",
            ),
            (
                Record::default(),
                with_free(DiskState::Fine, 64_000_000),
                "recording: all streams, in /mnt/card, 64.0 MB free",
            ),
            (
                scopes(&[]).on_request(true),
                disk(DiskState::Full),
                "recording: what publishers ask for, in /mnt/card, 12.3 GB free (disk full)",
            ),
            (
                scopes(&[]),
                None,
                "recording: what is asked for over HTTP, in /mnt/card, free space not known",
            ),
        ] {
            assert_eq!(recording(record, disk), expected);
        }
        let text = text(&Config::default(), &[], &[]);
        assert!(!text.contains("recording"), "{text}");
    }
    use brooklet::config::{Key, Network, User};
    use brooklet::live::arena::BLOCK_LEN;

    fn listening(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_page_is_listed_with_the_other_urls_of_its_address() {
        let rtmp = listening(&["192.0.2.7:1935", "192.0.2.8:1936"]);
        let http = listening(&["192.0.2.7:8080", "192.0.2.9:80"]);
        let text = text(&Config::default(), &rtmp, &http);
        let (start, examples) = text.split_once("\n\n  ").unwrap();
        let lines = "listening for RTMP on 192.0.2.8:1936\nlistening for HTTP on 192.0.2.7:8080\n";
        assert!(start.contains(lines), "{start}");
        assert_eq!(
            examples,
            "watch in a browser    http://192.0.2.7:8080/
  publish with OBS      Server: rtmp://192.0.2.7/live   Stream Key: cam
  publish with ffmpeg   ffmpeg -re -i INPUT -c copy -f flv rtmp://192.0.2.7/live/cam
  play with VLC         vlc rtmp://192.0.2.7/live/cam

  publish with OBS      Server: rtmp://192.0.2.8:1936/live   Stream Key: cam
  publish with ffmpeg   ffmpeg -re -i INPUT -c copy -f flv rtmp://192.0.2.8:1936/live/cam
  play with VLC         vlc rtmp://192.0.2.8:1936/live/cam

  watch in a browser    http://192.0.2.9/

"
        );
    }

    #[test]
    fn without_http_no_page_is_mentioned() {
        let text = text(&Config::default(), &listening(&["192.0.2.7:1935"]), &[]);
        assert!(
            !text.contains("browser") && !text.contains("HTTP"),
            "{text}"
        );
    }

    #[test]
    fn access_is_described_without_showing_a_key() {
        for (key, user, from, words) in [
            (
                None,
                None,
                None,
                "open to private and loopback addresses, no key (--publish-key sets one)",
            ),
            (
                None,
                None,
                Some("any"),
                "open to any address, no key (--publish-key sets one)",
            ),
            (Some("s3cret"), None, None, "needs a key, from any address"),
            (
                None,
                Some("bob:s3cret"),
                Some("10.0.0.0/8"),
                "needs user and password, from 10.0.0.0/8",
            ),
            (
                Some("live/door=s3cret"),
                Some("bob:s3cret"),
                None,
                "needs a key, or user and password, from any address",
            ),
        ] {
            let publish = Access::default()
                .keys(
                    key.map(|text| Key::parse(text).unwrap())
                        .into_iter()
                        .collect(),
                )
                .users(
                    user.map(|text| User::parse(text).unwrap())
                        .into_iter()
                        .collect(),
                )
                .from(
                    from.map(|text| Network::parse(text).unwrap())
                        .into_iter()
                        .collect(),
                );
            let config = Config::default().publish(publish);
            let rtmp = listening(&["192.0.2.7:1935"]);
            let text = text(&config, &rtmp, &listening(&["192.0.2.7:8080"]));
            assert!(
                text.contains("browser    http://192.0.2.7:8080/\n"),
                "{text}"
            );
            let line = format!("\npublishing: {words}\n");
            assert!(text.contains(&line), "{text}");
            let open = "\nplaying: open to private and loopback addresses, no key (--play-key";
            assert!(text.contains(open), "{text}");
            let stream_key = match (key, user) {
                (Some(_), Some(_)) => "Key: door   Use authentication\n",
                (None, Some(_)) => "Key: cam   Use authentication\n",
                (Some(_), None) => "Key: cam?key=PUBLISH-KEY\n",
                (None, None) => "Key: cam\n",
            };
            assert!(text.contains(stream_key), "{text}");
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn the_examples_use_a_stream_that_may_be_published() {
        for (publish, play, server, name) in [
            (&["live/door=s3cret"][..], &[][..], "live", "door"),
            (
                &["garage/*=s3cret", "live/door=s3cret"],
                &[],
                "garage",
                "cam",
            ),
            (&["s3cret"], &["live/door=watch-1"], "live", "cam"),
            (&[], &["a/b/door=watch-1"], "a/b", "door"),
            (&["door=s3cret"], &[], "live", "cam"),
        ] {
            let access = |keys: &[&str]| {
                Access::default().keys(keys.iter().map(|text| Key::parse(text).unwrap()).collect())
            };
            let config = Config::default()
                .publish(access(publish))
                .play(access(play));
            let text = text(&config, &listening(&["192.0.2.7:1935"]), &[]);
            let obs = format!("rtmp://192.0.2.7/{server}   Stream Key: {name}");
            let others = format!("rtmp://192.0.2.7/{server}/{name}");
            assert!(text.contains(&obs), "{text}");
            assert_eq!(text.matches(&others).count(), 2, "{text}");
        }
    }

    #[test]
    fn the_url_of_the_page_has_a_placeholder_for_a_key_but_not_for_a_password() {
        for (key, user, url) in [
            (Some("s3cret"), None, "http://192.0.2.7/?key=PLAY-KEY\n"),
            (None, Some("bob:s3cret"), "http://192.0.2.7/\n"),
            (Some("s3cret"), Some("bob:s3cret"), "http://192.0.2.7/\n"),
        ] {
            let play = Access::default()
                .keys(key.iter().map(|text| Key::parse(text).unwrap()).collect())
                .users(user.iter().map(|text| User::parse(text).unwrap()).collect());
            let config = Config::default().play(play);
            let text = text(&config, &[], &listening(&["192.0.2.7:80"]));
            assert!(text.contains(url) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn the_history_in_the_text_is_what_streams_get() {
        for (memory, seconds) in [(8 << 20, 2), (32 << 20, 9), (40 << 20, 12)] {
            let arena = Arena::within(memory);
            let mut accounts = [(); STREAMS].map(|()| (arena.account(), Vec::new()));
            let mut is_full = false;
            while !is_full {
                is_full = true;
                for (account, blocks) in &mut accounts {
                    let block = account.take();
                    is_full &= block.is_none();
                    blocks.extend(block);
                }
            }
            let least = accounts.iter().map(|(_, blocks)| blocks.len()).min();
            let bits = least.unwrap() * BLOCK_LEN * 8;
            assert_eq!(bits / (MBIT * 1_000_000), seconds, "{memory}");
            let config = Config::default().memory(memory);
            assert_eq!(
                memory_text(&config),
                format!(
                    "{} MiB of memory for media: about {seconds} s of history for 4 streams of 6 \
                     Mbit/s",
                    memory >> 20
                )
            );
        }
    }
}
