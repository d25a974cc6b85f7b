//! TLS with real clients: ffmpeg, curl, Chromium, brooklet itself, and stunnel in front of a build without it.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "relay")]
mod remote;
mod stunnel;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::certificates::{Certificates, Secured};
use common::process::{Program, run};
use common::{SOON, TempDir, media, wait_until};

/// Browsers take seconds to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Publishes from a file to a URL, trusting a root.
fn publish(ffmpeg: &str, file: &Path, root: &str, url: &str) -> Program {
    let options = ["-tls_verify", "1", "-ca_file", root];
    media::publish_with(ffmpeg, file, &options, url)
}

/// Plays a URL for two seconds; prints what is wrong with it.
fn play(ffmpeg: &str, root: &str, url: &str) -> Program {
    let mut command = media::quiet(ffmpeg);
    command.args(["-tls_verify", "1", "-ca_file", root, "-i", url]);
    command.args(["-t", "2", "-f", "null", "-"]);
    Program::start(&mut command)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name} to the path of that ffmpeg"))
}

#[test]
#[ignore = "needs ffmpeg 5, 7 and 9, openssl"]
fn ffmpeg_publishes_and_plays_inside_of_tls() {
    let made = Certificates::new();
    let dir = TempDir::new();
    let file = media::make(&dir, 30, &[media::H264, media::AAC]);
    let secured = Secured::start(&made);
    let root = made.path("root.pem");
    let ffmpegs = ["ffmpeg", &media::ffmpeg7(), &variable("BROOKLET_FFMPEG9")];
    for (number, ffmpeg) in ffmpegs.into_iter().enumerate() {
        let name = format!("cam{number}");
        let _publisher = publish(ffmpeg, &file, &root, &secured.url(&name));
        let words = format!("live/{name}: H.264 640x360 30 fps, AAC");
        secured.server.wait_for_log(&words, 1);
        play(ffmpeg, &root, &secured.url(&name)).wait_for_success(SOON);
        play(ffmpeg, &root, &secured.flv(&name)).wait_for_success(SOON);
    }
}

#[test]
#[ignore = "needs ffmpeg 7 and 9, openssl"]
fn ffmpeg_verifies_unless_told_otherwise_from_version_9_on() {
    let made = Certificates::new();
    let dir = TempDir::new();
    let file = media::make(&dir, 30, &[media::H264, media::AAC]);
    let secured = Secured::start(&made);
    let _publisher = media::publish(&file, &secured.server.url("cam"));
    secured.server.wait_for_log("live/cam: H.264", 1);
    let nine = variable("BROOKLET_FFMPEG9");
    for (ffmpeg, options, is_played) in [
        (&media::ffmpeg7(), &[][..], true),
        (&nine, &[], false),
        (&nine, &["-tls_verify", "0"], true),
    ] {
        for url in [secured.url("cam"), secured.flv("cam")] {
            let mut command = media::quiet(ffmpeg);
            command
                .args(options)
                .args(["-i", &url, "-t", "1", "-f", "null", "-"]);
            let mut player = Program::start(&mut command);
            let has_played = player.wait(SOON).success();
            assert_eq!(
                has_played,
                is_played,
                "{ffmpeg} {options:?}: {}",
                player.stderr()
            );
        }
    }
}

#[test]
#[ignore = "needs ffmpeg 9, curl, openssl"]
fn a_self_signed_certificate_works_with_clients_that_trust_it() {
    let made = Certificates::new();
    made.self_sign("self");
    let dir = TempDir::new();
    let file = media::make(&dir, 30, &[media::H264, media::AAC]);
    let secured = Secured::start_as(&made, "self");
    let _publisher = media::publish(&file, &secured.server.url("cam"));
    secured.server.wait_for_log("live/cam: H.264", 1);
    let own = made.path("self.pem");
    for ffmpeg in ["ffmpeg", &variable("BROOKLET_FFMPEG9")] {
        play(ffmpeg, &own, &secured.url("cam")).wait_for_success(SOON);
    }
    let url = format!("https://localhost:{}/api/v1/streams", secured.https);
    let mut command = Command::new("curl");
    let list = run(command.args(["-sS", "--fail", "--cacert", &own, &url]));
    assert!(list.contains("live/cam"), "{list}");
}

#[test]
#[ignore = "needs ffmpeg, openssl"]
fn a_client_that_trusts_another_root_is_named_in_the_log() {
    let (made, other) = (Certificates::new(), Certificates::new());
    let dir = TempDir::new();
    let file = media::make(&dir, 5, &[media::H264, media::AAC]);
    let secured = Secured::start(&made);
    let mut publisher = publish(
        "ffmpeg",
        &file,
        &other.path("root.pem"),
        &secured.url("cam"),
    );
    assert!(!publisher.wait(SOON).success());
    secured.server.wait_for_log("disconnected: ", 1);
    assert!(!secured.server.log().contains("publishing"));
}

#[test]
#[ignore = "needs curl, openssl"]
fn a_renewed_certificate_is_used_without_a_restart() {
    let made = Certificates::new();
    let secured = Secured::start(&made);
    let url = format!("https://localhost:{}/api/v1/streams", secured.https);
    let get = || {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail", "--cacert", &made.path("root.pem"), &url]);
        run(&mut command)
    };
    assert!(get().contains("\"streams\":[]"));
    fs::write(made.file("server.pem"), "broken").unwrap();
    assert!(get().contains("\"streams\":[]"), "the old one stays");
    secured
        .server
        .wait_for_log("can't be used; the old one stays: ", 1);
    assert!(get().contains("\"streams\":[]"));
    // A certificate whose key is still to come.
    let key = fs::read(made.file("server.key")).unwrap();
    made.issue();
    let new_key = fs::read(made.file("server.key")).unwrap();
    fs::write(made.file("server.key"), key).unwrap();
    assert!(get().contains("\"streams\":[]"));
    let warning = "can't be used; the old one stays: ";
    secured.server.wait_for_log(warning, 2);
    assert!(!secured.server.log().contains("was loaded"));
    fs::write(made.file("server.key"), new_key).unwrap();
    assert!(get().contains("\"streams\":[]"));
    secured
        .server
        .wait_for_log("has changed, and was loaded", 1);
    let log = secured.server.log();
    assert_eq!(
        log.matches(warning).count(),
        2,
        "one for each change: {log}"
    );
}

#[test]
#[ignore = "needs chromium, ffmpeg, openssl"]
fn chromium_shows_the_page_over_https() {
    let made = Certificates::new();
    let dir = TempDir::new();
    let file = media::make(&dir, 60, &[media::H264, media::AAC]);
    let secured = Secured::start(&made);
    let root = made.path("root.pem");
    let _publisher = publish("ffmpeg", &file, &root, &secured.url("cam"));
    secured.server.wait_for_log("live/cam: H.264", 1);
    let mut hash = Command::new("sh");
    hash.current_dir(made.file("."));
    hash.arg("-c").arg(
        "openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der \
         | openssl dgst -sha256 -binary | openssl base64",
    );
    let pin = format!(
        "--ignore-certificate-errors-spki-list={}",
        run(&mut hash).trim()
    );
    let profile = format!("--user-data-dir={}", dir.path().display());
    let mut command = Command::new("chromium");
    command.env("HOME", dir.path());
    command.args("--headless=new --no-sandbox --disable-gpu --no-first-run".split(' '));
    command.args([&*pin, &profile, "--virtual-time-budget=5000", "--dump-dom"]);
    command.arg(format!("https://localhost:{}/live/cam", secured.https));
    let mut chromium = Program::start(&mut command);
    wait_until("Chromium plays", PATIENCE, || {
        let words = "live/cam: playing to";
        secured.server.with_log(|log| log.contains(words)) || !chromium.is_running()
    });
    let log = secured.server.log();
    assert!(log.contains("over WebSocket"), "{log}");
}
