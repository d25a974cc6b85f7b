use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn app_and_name_are_split_at_the_last_slash_before_the_query() {
    for (text, app, name) in [
        ("rtmp://h/live/door", "live", "door"),
        ("rtmp://h/live/cam/main", "live/cam", "main"),
        ("rtmp://h/live/door?token=a/b", "live", "door?token=a/b"),
        ("rtmp://h/live?key=1/door", "live?key=1", "door"),
        (
            "rtmps://h/app/sk_us-west-2_x%2Fy",
            "app",
            "sk_us-west-2_x%2Fy",
        ),
    ] {
        let url = url(text);
        assert_eq!((url.app(), url.name()), (app, name), "{text}");
    }
}

#[test]
fn host_port_and_login_are_told_apart() {
    for (text, host, port, user, password) in [
        ("rtmp://h/a/b", "h", 1935, None, None),
        ("rtmps://h/a/b", "h", 443, None, None),
        ("RTMP://h:19350/a/b", "h", 19350, None, None),
        ("rtmp://[::1]:1936/a/b", "::1", 1936, None, None),
        ("rtmp://[fe80::1]/a/b", "fe80::1", 1935, None, None),
        (
            "rtmp://bob:p%40ss@h/a/b",
            "h",
            1935,
            Some("bob"),
            Some("p@ss"),
        ),
        (
            "rtmp://bob:p@ss:1@h/a/b",
            "h",
            1935,
            Some("bob"),
            Some("p@ss:1"),
        ),
        ("http://bob@h/flv?x=1", "h", 80, Some("bob"), None),
    ] {
        let url = url(text);
        assert_eq!((url.host(), url.port()), (host, port), "{text}");
        assert_eq!((url.user(), url.password()), (user, password), "{text}");
    }
    assert_eq!(url("http://h?x=1").path(), "/?x=1");
    assert_eq!(url("https://h").path(), "/");
}

#[test]
fn what_is_no_url_of_a_stream_is_refused_with_the_reason() {
    let unknown = UrlError::UnknownScheme("srt".into());
    for (text, error) in [
        ("live/door", UrlError::NoScheme),
        ("srt://h/a/b", unknown),
        ("rtmp:///a/b", UrlError::NoHost),
        ("rtmp://h:x/a/b", UrlError::BadPort),
        ("rtmp://h:0/a/b", UrlError::BadPort),
        ("rtmp://h:65536/a/b", UrlError::BadPort),
        ("rtmp://[::1/a/b", UrlError::NoHost),
        ("rtmp://[::1]x/a/b", UrlError::BadPort),
        ("rtmp://h", UrlError::NoName),
        ("rtmp://h/live", UrlError::NoName),
        ("rtmp://h/live/", UrlError::NoName),
        ("rtmp://h/live/?key=1", UrlError::NoName),
        ("rtmp://h/live/a b", UrlError::BadCharacter),
        ("rtmp://a%zz@h/live/b", UrlError::BadCharacter),
        ("rtmp://h/live/b#sha256=12", UrlError::BadPin),
        ("rtmp://h/live/b#other", UrlError::BadPin),
        ("rtmp://bob:pa#ss@h/live/b", UrlError::BadPin),
        ("rtmp://bob:pa/ss@h/live/b", UrlError::SlashInLogin),
        ("rtmp://bob:p?/s@h/live/b", UrlError::SlashInLogin),
        ("rtmp://bob@h:x/live/b@c", UrlError::BadPort),
        ("rtmp://h/live/\u{202e}b", UrlError::BadCharacter),
        ("rtmp://h\u{2028}i/live/b", UrlError::BadCharacter),
        ("rtmp://h/l\u{61c}ve/b", UrlError::BadCharacter),
    ] {
        assert_eq!(Url::parse(text), Err(error), "{text}");
    }
    let long = format!("rtmp://h/live/{}", "x".repeat(MAX_LEN));
    assert_eq!(Url::parse(&long), Err(UrlError::TooLong));
}

#[test]
fn a_pin_may_have_colons() {
    let pin = "ab".repeat(32);
    let with_colons = ["AB"; 32].join(":");
    for text in [pin, with_colons] {
        let url = url(&format!("rtmps://h/a/b#sha256={text}"));
        assert_eq!(url.pin(), Some(&[0xAB; 32]));
    }
}

#[test]
fn tc_url_has_neither_login_nor_name() {
    let url = url("rtmp://bob:pass@[::1]/live/door?key=1");
    assert_eq!(url.tc_url(url.app()), "rtmp://[::1]:1935/live");
    assert_eq!(url.with_name("gate").name(), "gate");
}

#[test]
fn the_reasons_say_what_to_write() {
    let expected = "expected rtmp://, rtmps://, http:// or https://";
    for (text, says) in [
        (
            "rtmp://bob:pa#ss@h/live/b",
            "write %23 for a # in a password or key",
        ),
        (
            "rtmp://bob:pa/ss@h/live/b",
            "write %2F for a / in a password",
        ),
        (
            "srt://h/live/b",
            &format!("unknown scheme srt://, {expected}"),
        ),
        (
            "RTSP://h/live/b",
            &format!("unknown scheme RTSP://: brooklet doesn't speak RTSP, {expected}"),
        ),
    ] {
        let error = Url::parse(text).unwrap_err().to_string();
        assert!(
            error.ends_with(says) || error.contains(&format!("{says}, ")),
            "{error}"
        );
    }
}
