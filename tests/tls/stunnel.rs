//! stunnel in front of a build without TLS, with the settings of README.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::certificates::{Certificates, Secured};
use crate::common::process::Program;
use crate::common::servers::free_address;
use crate::common::{Brooklet, SOON, TempDir, media, wait_until};
use crate::{play, publish};

/// The settings in README.md for a service.
fn settings(service: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(path).unwrap();
    let mut blocks = readme.split("```ini\n").skip(1);
    let is_it = |text: &&str| text.contains(&format!("[{service}]\n"));
    let block = blocks.find(is_it).expect("README.md has it");
    block.split("```").next().unwrap().to_owned()
}

/// Starts stunnel with a service of README.md, in which these settings are other ones, and waits until it
/// listens.
fn stunnel(dir: &TempDir, service: &str, others: &[(&str, &str)]) -> Program {
    let mut text = settings(service);
    for (name, value) in others {
        let start = format!("{name} = ");
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("README.md has {name}:\n{text}"));
        text = text.replace(line, &[&start, *value].concat());
    }
    let path = dir.join("stunnel.conf");
    fs::write(&path, format!("foreground = yes\npid =\n{text}")).unwrap();
    let program = Program::start(Command::new("stunnel4").arg(&path));
    wait_until("stunnel listens", SOON, || {
        program.with_stderr(|text| text.contains("Configuration successful"))
            || program.with_stdout(|text| text.contains("Configuration successful"))
    });
    program
}

#[test]
#[ignore = "needs stunnel, ffmpeg, openssl"]
fn stunnel_adds_tls_in_front_of_a_build_without_it() {
    let made = Certificates::new();
    let dir = TempDir::new();
    let file = media::make(&dir, 30, &[media::H264, media::AAC]);
    let server = Brooklet::start(&[]);
    let accept = free_address();
    let _stunnel = stunnel(
        &dir,
        "rtmps",
        &[
            ("accept", &accept.to_string()),
            ("connect", &server.address().to_string()),
            ("cert", &made.path("server.pem")),
            ("key", &made.path("server.key")),
        ],
    );
    let url = format!("rtmps://localhost:{}/live/cam", accept.port());
    let root = made.path("root.pem");
    let _publisher = publish("ffmpeg", &file, &root, &url);
    server.wait_for_log("live/cam: H.264 640x360 30 fps, AAC", 1);
    play("ffmpeg", &root, &url).wait_for_success(SOON);
}

#[test]
#[ignore = "needs stunnel, ffmpeg, openssl"]
fn a_push_reaches_a_server_with_tls_through_stunnel_which_verifies_it() {
    let made = Certificates::new();
    made.issue_as(
        "other",
        "DNS:other.example",
        crate::common::certificates::VALID,
    );
    let dir = TempDir::new();
    let file = media::make(&dir, 30, &[media::H264, media::AAC]);
    // A folder as c_rehash makes it.
    let roots = dir.join("roots");
    fs::create_dir(&roots).unwrap();
    fs::copy(made.file("root.pem"), roots.join("root.pem")).unwrap();
    let status = Command::new("openssl").arg("rehash").arg(&roots).status();
    assert!(status.unwrap().success());
    for (certificate, is_trusted) in [("other", false), ("server", true)] {
        let secured = Secured::start_as(&made, certificate);
        let accept = free_address();
        let stunnel = stunnel(
            &dir,
            "out",
            &[
                ("accept", &accept.to_string()),
                ("connect", &format!("127.0.0.1:{}", secured.rtmps)),
                ("sni", "localhost"),
                ("checkHost", "localhost"),
                ("CApath", &roots.display().to_string()),
            ],
        );
        let push = format!("live/cam=rtmp://{accept}/live/far");
        let near = Brooklet::start(&["--push", &push]);
        let _publisher = media::publish(&file, &near.url("cam"));
        if is_trusted {
            let words = "live/far: H.264 640x360 30 fps, AAC";
            secured.server.wait_for_log(words, 1);
            near.wait_for_log(": live", 1);
        } else {
            wait_until("stunnel refuses", SOON, || {
                stunnel.with_stderr(|text| text.contains("certificate verify failed"))
            });
            near.wait_for_log("closed the connection", 1);
            assert!(!secured.server.log().contains("publishing"));
        }
    }
}
