//! A build without TLS says so wherever it would be needed, and how to get it.

use brooklet::client::{Client, ClientErrorKind};
use brooklet::{Config, StartErrorKind};

use crate::common::client::on_free_ports;

const ADVICE: &str = "build it with --features tls, or let stunnel do TLS, as the README shows";

#[test]
fn the_library_refuses_urls_and_settings_that_need_tls() {
    for url in ["rtmps://h/live/key-47", "https://h/key-47.flv"] {
        let error = Client::new(url).err().unwrap();
        assert_eq!(error.kind(), ClientErrorKind::BadUrl);
        assert!(error.to_string().ends_with(ADVICE), "{error}");
    }
    let mut config = on_free_ports(Config::default());
    config.tls.ca = Some("root.pem".into());
    let error = brooklet::Server::start(config).err().unwrap();
    assert_eq!(error.kind(), StartErrorKind::Tls);
    assert!(error.to_string().ends_with(ADVICE), "{error}");
}

#[test]
#[cfg(feature = "cli")]
fn the_program_refuses_them_with_exit_code_2() {
    use crate::programs::run;

    let build = "a build with TLS (cargo build --release --features tls), or stunnel";
    for (arguments, advice) in [
        (&["--rtmps", "1936"][..], build),
        (&["--https", "8443"], build),
        (&["--tls-cert", "a.pem"], build),
        (&["--tls-key", "a.key"], build),
        (&["--tls-ca", "a.pem"], build),
        (&["play", "rtmp://h/a/key-47", "--tls-ca", "a.pem"], build),
        (&["--push", "live/door=rtmps://h/a/key-47"], ADVICE),
        (
            &["--pull", "live/door=https://h/key-47.flv,on-demand"],
            ADVICE,
        ),
        (&["publish", "a.flv", "rtmps://h/a/key-47"], ADVICE),
        (&["play", "https://h/key-47.flv"], ADVICE),
        (&["probe", "rtmps://h/a/key-47"], ADVICE),
    ] {
        let (code, printed, error) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(advice), "{arguments:?}: {error}");
        assert_eq!((error.lines().count(), &*printed), (1, ""), "{error}");
        assert!(!error.contains("key-47"), "{error}");
    }
}
