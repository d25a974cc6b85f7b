//! Malicious names of streams and clients, and how they appear in the log.

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::{object, text};

use crate::case::Case;
use crate::common::client::Client;
use crate::wire::is_served;

/// A log line that the server never wrote.
const FORGED: &str = "2001-01-01 00:00:00.000 error #1 forged";

/// Returns names, and whether each may be published.
fn names() -> Vec<(String, bool)> {
    let mut names: Vec<(String, bool)> = [
        ("..", false),
        ("../..", false),
        ("../../etc/passwd", false),
        ("a/../../b", false),
        ("a/..", false),
        (".hidden", false),
        ("a/./b", false),
        ("/", false),
        ("//", false),
        ("..\\..\\x", false),
        ("C:\\x", false),
        ("a\0b", false),
        ("\0", false),
        ("a\nb", false),
        ("a\r\nb", false),
        ("\x1b[2J\x1b]0;title\x07", false),
        ("a\x7fb", false),
        ("a\u{85}b", false),
        (".flv", false),
        ("mp4:", false),
        ("?key=secret", false),
        // These names are never decoded, so they are ordinary names.
        ("%2e%2e", true),
        ("%2e%2e%2fetc%2fpasswd", true),
        ("%00", true),
        ("%0a", true),
        ("a..b", true),
        ("-rf *", true),
        ("$(reboot)", true),
        ("';--", true),
        ("<script>alert(1)</script>", true),
        ("live\u{202e}4pm.exe", true),
        ("\u{feff}bom", true),
        ("e\u{301}\u{301}\u{301}", true),
        ("\u{fffd}", true),
        ("door?key=secret&x=\n", true),
    ]
    .map(|(name, is_allowed)| (name.to_owned(), is_allowed))
    .to_vec();
    names.push((format!("a\n{FORGED}"), false));
    names.push((format!("a\r{FORGED}"), false));
    names.push((format!("a\u{2028}{FORGED}"), true));
    names.push(("x".repeat(255), true));
    names.push(("\u{1F4F7}".repeat(63), true));
    names.push(("x".repeat(256), false));
    names.push(("\u{1F4F7}".repeat(1024), false));
    names.push(("x/".repeat(2000), false));
    names.push(("x".repeat(4096), false));
    names.push((format!("{}?key=secret", "x".repeat(4096)), false));
    names.push((format!("door?key=secret{}", "x".repeat(4096)), false));
    names
}

#[test]
fn malicious_stream_names_are_refused_or_harmless() {
    let case = Case::start("names", &["--log", "trace"]);
    for (name, is_allowed) in names() {
        let mut publisher = Client::connected(case.address(), "live");
        publisher.publish(&name);
        let (level, code, _) = publisher.wait_for_status();
        let is_published = code == "NetStream.Publish.Start";
        assert_eq!(is_published, is_allowed, "publish {name:?}: {level} {code}");
        let mut player = Client::connected(case.address(), "live");
        player.play(&name);
        if is_allowed {
            publisher.send_headers();
            publisher.send_frame(1, 0, true, 100);
            assert_eq!(player.wait_for_media().number(), 1, "{name:?}");
        } else {
            assert_eq!(code, "NetStream.Publish.BadName", "{name:?}");
            assert_eq!(player.wait_for_status().0, "error", "{name:?}");
            publisher.until_closed();
            player.until_closed();
        }
    }
    let shown = case.finish(2);
    check_log(&shown.log);
}

#[test]
fn malicious_client_names_are_harmless() {
    let case = Case::start("what clients say", &["--log", "trace"]);
    for (words, _) in names() {
        let mut client = Client::handshaken(case.address());
        // Keys are in queries. The name that a client gives itself may be shown.
        let open = words.replace("secret", "open");
        let parameters = object([
            ("app", text(&words)),
            ("flashVer", text(&open)),
            ("tcUrl", text(&format!("rtmp://host/{words}?key=secret"))),
            ("swfUrl", text(&words)),
            ("pageUrl", text(&words)),
            ("type", text(&open)),
            ("fourCcList", Value::StrictArray(vec![text(&open); 50])),
        ]);
        client.send_command(0, "connect", 1.0, parameters, vec![text(&words)]);
        client.send_command(0, &open, 2.0, Value::Null, vec![text(&words)]);
        let arguments = vec![text("door?key=secret"), text(&words)];
        client.send_command(1, "publish", 3.0, Value::Null, arguments);
        // Whether refused or not.
        let _ = is_served(&mut client);
    }
    let shown = case.finish(1);
    check_log(&shown.log);
}

fn check_log(log: &str) {
    for line in log.lines() {
        assert!(!line.starts_with("2001"), "forged: {line}");
        assert!(!line.contains("secret"), "a key in the log: {line}");
        assert!(line.len() < 3_000, "{} bytes in a line: {line}", line.len());
    }
}
