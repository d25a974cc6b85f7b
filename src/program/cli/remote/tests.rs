use super::*;
use crate::program::cli::parse;

fn parsed(line: &str) -> Result<Request, String> {
    parse(line.split(' ').map(OsString::from), [])
}

fn remote(url: &str, seconds: u64) -> Remote {
    Remote {
        url: url.to_owned(),
        timeout: Duration::from_secs(seconds),
        tls_ca: None,
    }
}

#[test]
fn commands_have_files_urls_and_options_in_any_order() {
    for (line, command) in [
        (
            "publish a.mp4 rtmp://h/a/b --loop",
            Command::Publish {
                remote: remote("rtmp://h/a/b", 10),
                file: "a.mp4".into(),
                is_paced: true,
                is_looped: true,
            },
        ),
        (
            "publish --no-pace - rtmp://h/a/b",
            Command::Publish {
                remote: remote("rtmp://h/a/b", 10),
                file: "-".into(),
                is_paced: false,
                is_looped: false,
            },
        ),
        (
            "play --timeout 3s rtmp://h/a/b -",
            Command::Play {
                remote: remote("rtmp://h/a/b", 3),
                file: Some("-".into()),
            },
        ),
        (
            "probe --user u@x --password p:w rtmp://h/a/b --json --time=2s",
            Command::Probe {
                remote: remote("rtmp://u%40x:p%3Aw@h/a/b", 10),
                time: Duration::from_secs(2),
                is_json: true,
            },
        ),
    ] {
        assert_eq!(parsed(line), Ok(Request::Run(command)), "{line}");
    }
}

#[test]
fn wrong_usage_says_what_is_expected() {
    for (line, error) in [
        (
            "publsh a.flv rtmp://h/a/b",
            "unknown command \"publsh\". Did you mean publish?",
        ),
        (
            "rtmp://h/a/secret",
            "unknown command \"...\", expected serve, publish, play or probe. Options start with --; \
             try --help",
        ),
        (
            "publish a.flv",
            "expected brooklet publish FILE.flv|FILE.mp4|- URL",
        ),
        ("probe rtmp://h/a/b x", "expected brooklet probe URL"),
        (
            "play rtmp://h/a/b --loop",
            "unknown option --loop of play. Try brooklet play --help",
        ),
        (
            "probe rtmp://h/a/b --time soon",
            "invalid value \"soon\" for --time: expected a time such as 5s",
        ),
        (
            "publish --loop - rtmp://h/a/b",
            "--loop needs a file: standard input can't be read again",
        ),
        (
            "play --user u --password p rtmp://u:p@h/a/b",
            "user and password are given twice: in the URL and as options",
        ),
    ] {
        assert_eq!(parsed(line), Err(error.to_owned()), "{line}");
    }
}

#[test]
fn each_command_has_help() {
    for line in ["help publish", "publish --help", "publish -h"] {
        let Ok(Request::Print(text)) = parsed(line) else {
            panic!("{line}");
        };
        assert!(text.starts_with("Usage: brooklet publish FILE"), "{text}");
        assert!(text.contains("--loop") && text.contains("--timeout"));
        assert!(text.lines().all(|line| line.len() <= 90), "{text}");
    }
    assert!(matches!(parsed("help"), Ok(Request::Print(_))));
}
