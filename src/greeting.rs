//! The first lines: what to enter where, and what the memory buys.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::config::{Access, Config, RTMP_PORT};

/// App and stream name of the examples.
const APP: &str = "live";
const NAME: &str = "cam";

/// Text to paste for OBS, ffmpeg and VLC, for each address on which the server can be reached.
pub fn text(config: &Config, listening: &[SocketAddr]) -> String {
    let mut text = format!("brooklet {}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "{}\n", memory_text(config));
    for address in listening {
        let _ = writeln!(text, "listening for RTMP on {address}");
    }
    let publish = access_text("publish", &config.publish);
    let play = access_text("play", &config.play);
    let _ = writeln!(text, "publishing: {publish}\nplaying: {play}");
    let hosts: Vec<String> = listening
        .iter()
        .flat_map(|address| hosts(*address))
        .collect();
    // What the keys are, only their owner knows.
    let proof = match (
        config.publish.users.is_empty(),
        config.publish.keys.is_empty(),
    ) {
        (false, _) => "   Use authentication",
        (true, false) => "?key=PUBLISH-KEY",
        (true, true) => "",
    };
    for host in &hosts {
        let _ = write!(
            text,
            "\n  publish with OBS      Server: rtmp://{host}/{APP}   Stream Key: {NAME}{proof}\
             \n  publish with ffmpeg   ffmpeg -re -i INPUT -c copy -f flv {}\
             \n  play with VLC         vlc {}\n",
            url(host, &config.publish, "PUBLISH-KEY"),
            url(host, &config.play, "PLAY-KEY"),
        );
    }
    text.push('\n');
    text
}

/// Says so when the process may not open as many files as there may be connections.
pub fn warn_of_low_limits(config: &Config) {
    /// Descriptors for everything but connections.
    const OTHERS: usize = 16;

    let needed = config.max_connections + config.rtmp.len() + OTHERS;
    // Only Linux has this file; elsewhere the limit is found out when it is reached.
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

/// The example for a command line, with what a client has to present. Where there are users, all
/// are asked to log in before the key behind a name has come.
fn url(host: &str, access: &Access, key: &str) -> String {
    if !access.users.is_empty() {
        format!("rtmp://USER:PASSWORD@{host}/{APP}/{NAME}")
    } else if !access.keys.is_empty() {
        // Some shells take a question mark for a pattern.
        format!("'rtmp://{host}/{APP}/{NAME}?key={key}'")
    } else {
        format!("rtmp://{host}/{APP}/{NAME}")
    }
}

/// "32 MiB: about 9 s of history for four 6 Mbit/s streams", as the shares are.
fn memory_text(config: &Config) -> String {
    const STREAMS: u64 = 4;
    const MBIT: u64 = 6;

    let share = config.memory as u64 / (STREAMS + 1);
    let seconds = (share * 8 + MBIT * 500_000) / (MBIT * 1_000_000);
    let seconds = seconds.min(config.history.as_secs());
    format!(
        "{} MiB of memory for media: about {seconds} s of history for {STREAMS} streams of {MBIT} \
         Mbit/s",
        config.memory >> 20
    )
}

/// Who may do it: "needs a key, from any address".
fn access_text(verb: &str, access: &Access) -> String {
    let networks = access.networks_in_words();
    match (access.keys.is_empty(), access.users.is_empty()) {
        (true, true) => format!("open to {networks}, no key (--{verb}-key sets one)"),
        (false, true) => format!("needs a key, from {networks}"),
        (true, false) => format!("needs user and password, from {networks}"),
        (false, false) => format!("needs a key, or user and password, from {networks}"),
    }
}

/// How clients reach a listening address: `HOST`, or `HOST:PORT` unless the port is the usual
/// one.
fn hosts(address: SocketAddr) -> Vec<String> {
    let with_port = |ip: IpAddr| match (ip, address.port()) {
        (IpAddr::V4(ip), RTMP_PORT) => ip.to_string(),
        (IpAddr::V6(ip), RTMP_PORT) => format!("[{ip}]"),
        (ip, port) => SocketAddr::new(ip, port).to_string(),
    };
    if !address.ip().is_unspecified() {
        return vec![with_port(address.ip())];
    }
    let mut ips: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .iter()
        .filter(|interface| !interface.is_loopback())
        .map(if_addrs::Interface::ip)
        .filter(|ip| address.is_ipv6() || ip.is_ipv4())
        .filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .collect();
    // IPv4 first: that is what people type.
    ips.sort_by_key(IpAddr::is_ipv6);
    if ips.is_empty() {
        ips.push(IpAddr::from([127, 0, 0, 1]));
    }
    ips.into_iter().map(with_port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Key, Network, User};

    #[test]
    fn the_usual_port_is_left_out_and_others_are_not() {
        assert_eq!(hosts("192.0.2.7:1935".parse().unwrap()), ["192.0.2.7"]);
        assert_eq!(hosts("192.0.2.7:1936".parse().unwrap()), ["192.0.2.7:1936"]);
        assert_eq!(
            hosts("[2001:db8::7]:1935".parse().unwrap()),
            ["[2001:db8::7]"]
        );
        assert_eq!(
            hosts("[2001:db8::7]:1936".parse().unwrap()),
            ["[2001:db8::7]:1936"]
        );
        assert!(!hosts("[::]:1935".parse().unwrap()).is_empty());
    }

    #[test]
    fn it_says_plainly_who_may_and_never_a_key() {
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
            let publish = Access {
                keys: key
                    .map(|text| Key::parse(text).unwrap())
                    .into_iter()
                    .collect(),
                users: user
                    .map(|text| User::parse(text).unwrap())
                    .into_iter()
                    .collect(),
                from: from
                    .map(|text| Network::parse(text).unwrap())
                    .into_iter()
                    .collect(),
            };
            let config = Config {
                publish,
                ..Config::default()
            };
            let text = text(&config, &["192.0.2.7:1935".parse().unwrap()]);
            let line = format!("\npublishing: {words}\n");
            assert!(text.contains(&line), "{text}");
            let open = "\nplaying: open to private and loopback addresses, no key (--play-key";
            assert!(text.contains(open), "{text}");
            let stream_key = match (key, user) {
                (_, Some(_)) => "Key: cam   Use authentication\n",
                (Some(_), None) => "Key: cam?key=PUBLISH-KEY\n",
                (None, None) => "Key: cam\n",
            };
            assert!(
                text.contains(stream_key) && text.contains("/live/cam\n"),
                "{text}"
            );
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn the_memory_is_explained_by_the_shares_that_are_in_force() {
        assert_eq!(
            memory_text(&Config::default()),
            "32 MiB of memory for media: about 9 s of history for 4 streams of 6 Mbit/s"
        );
    }
}
