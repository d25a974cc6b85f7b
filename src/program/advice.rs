//! Advice for a server that can't start: the library says what is wrong, and this module adds the option
//! that helps.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use brooklet::config::{HTTP_PORT, RTMP_PORT};
use brooklet::{Protocol, StartError, StartErrorKind};

/// Returns an error as one line, with the option to change.
pub(crate) fn explain(error: &StartError) -> String {
    match error.kind() {
        StartErrorKind::Memory(_) => format!("{error}. Try a smaller --memory"),
        StartErrorKind::Listen { protocol, address } => {
            let source = error.source().and_then(<dyn Error>::downcast_ref);
            let kind = source.map_or(ErrorKind::Other, io::Error::kind);
            match advice(protocol, address, kind) {
                Some(advice) => format!("cannot listen on {address}: {advice}"),
                None => error.to_string(),
            }
        }
        StartErrorKind::Record if cfg!(not(feature = "record")) => {
            format!("{error}. Leave --record out")
        }
        _ => error.to_string(),
    }
}

fn advice(protocol: Protocol, address: SocketAddr, kind: ErrorKind) -> Option<String> {
    let (option, usual_port, or_off) = match protocol {
        Protocol::Http => ("--http", HTTP_PORT, ", or --http off"),
        _ => ("--rtmp", RTMP_PORT, ""),
    };
    Some(match kind {
        ErrorKind::AddrInUse => {
            let next = address.port().checked_add(1).unwrap_or(usual_port + 1);
            // A port alone listens on all addresses, which not everybody wants.
            let next = match address.ip().is_unspecified() {
                true => next.to_string(),
                false => SocketAddr::new(address.ip(), next).to_string(),
            };
            format!(
                "the address is in use, by another program or another option. Try {option} \
                 {next}{or_off}"
            )
        }
        ErrorKind::PermissionDenied => format!(
            "permission denied. Ports below 1024 need privileges; try {option} {usual_port}"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine doesn't have that address. Try {option} {usual_port} for all of its \
             addresses"
        ),
        ErrorKind::Unsupported => "this build is without HTTP. Try --http off".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    #[cfg(feature = "http")]
    use std::net::TcpListener;

    use brooklet::config::Record;
    use brooklet::{Config, Server};

    use super::*;

    #[test]
    #[cfg(feature = "http")]
    fn a_port_in_use_is_explained_with_the_option_to_change() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let next = address.port().checked_add(1);
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        for (config, advice) in [
            (
                Config::default().rtmp(vec![address]).http(Vec::new()),
                format!("Try --rtmp 127.0.0.1:{}", next.unwrap_or(1936)),
            ),
            (
                Config::default().rtmp(vec![free]).http(vec![address]),
                format!(
                    "Try --http 127.0.0.1:{}, or --http off",
                    next.unwrap_or(8081)
                ),
            ),
        ] {
            let text = explain(&Server::start(config).err().unwrap());
            let expected = format!(
                "cannot listen on {address}: the address is in use, by another program or another \
                 option. {advice}"
            );
            assert_eq!(text, expected);
        }
    }

    #[test]
    #[cfg(not(feature = "http"))]
    fn a_build_without_http_says_how_to_do_without_it() {
        let http = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 1))];
        let rtmp = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let config = Config::default().rtmp(rtmp).http(http);
        assert_eq!(
            explain(&Server::start(config).err().unwrap()),
            "cannot listen on 127.0.0.1:1: this build is without HTTP. Try --http off"
        );
    }

    #[test]
    #[cfg(not(feature = "record"))]
    fn a_build_without_recording_says_how_to_do_without_it() {
        let record = Record::default().dir(Some("/recordings".into()));
        assert_eq!(
            explain(
                &Server::start(Config::default().record(record))
                    .err()
                    .unwrap()
            ),
            "cannot record: this build is without recording. Leave --record out"
        );
    }

    #[test]
    #[cfg(feature = "record")]
    fn settings_of_recordings_that_make_no_sense_are_refused() {
        let record = Record::default()
            .dir(Some("/recordings".into()))
            .timelapse(Some(1));
        assert_eq!(
            explain(
                &Server::start(Config::default().record(record))
                    .err()
                    .unwrap()
            ),
            "cannot record: a time-lapse that isn't 2 to 10000 times as fast"
        );
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let config = Config::default()
            .rtmp(vec!["192.0.2.1:1".parse().unwrap()])
            .http(Vec::new());
        let text = explain(&Server::start(config).err().unwrap());
        assert_eq!(
            text,
            "cannot listen on 192.0.2.1:1: this machine doesn't have that address. Try --rtmp 1935 \
             for all of its addresses"
        );
    }
}
