use super::*;

fn parsed(arguments: &[&str]) -> Result<Request, String> {
    parse(arguments.iter().map(OsString::from), |_| None)
}

fn config(arguments: &[&str]) -> Config {
    match parsed(arguments) {
        Ok(Request::Serve(settings)) => settings.config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_arguments_mean_the_defaults() {
    assert_eq!(config(&[]), Config::default());
}

#[test]
fn units_are_taken_as_people_write_them() {
    for (text, bytes) in [
        ("32M", 32 << 20),
        ("32m", 32 << 20),
        ("32MiB", 32 << 20),
        ("2g", 2 << 30),
    ] {
        assert_eq!(config(&["--memory", text]).memory, bytes, "{text}");
    }
    for (text, ms) in [
        ("10s", 10_000),
        ("500ms", 500),
        ("2", 2000),
        ("1m", 60_000),
        ("1 h", 3_600_000),
    ] {
        assert_eq!(
            config(&["--grace", text]).grace,
            Duration::from_millis(ms),
            "{text}"
        );
    }
}

#[test]
fn listeners_are_repeated_and_replace_the_default() {
    let config = config(&["--rtmp", "127.0.0.1:2000", "--rtmp=1936"]);
    assert_eq!(
        config.rtmp,
        [
            "127.0.0.1:2000".parse().unwrap(),
            "[::]:1936".parse().unwrap()
        ]
    );
}

#[test]
fn the_http_side_can_be_moved_and_turned_off() {
    let environment = |name: &str| (name == "BROOKLET_HTTP").then(|| "80,127.0.0.1:81".into());
    for (arguments, is_in_environment, http) in [
        (&[][..], false, &["[::]:8080"][..]),
        (&["--http", "80"], false, &["[::]:80"]),
        (
            &["--http", "127.0.0.1:80", "--http", ":81"],
            false,
            &["127.0.0.1:80", "[::]:81"],
        ),
        (&["--http", "off"], false, &[]),
        (&["--rtmp", "80", "--http", "off"], true, &[]),
        (&[], true, &["[::]:80", "127.0.0.1:81"]),
        (&["--http", "82"], true, &["[::]:82"]),
    ] {
        let arguments = arguments.iter().map(OsString::from);
        let parsed = parse(arguments, |name| {
            environment(name).filter(|_| is_in_environment)
        });
        let Ok(Request::Serve(settings)) = parsed else {
            panic!("{parsed:?}")
        };
        let found: Vec<_> = settings
            .config
            .http
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, http);
    }
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let environment = |name: &str| match name {
        "BROOKLET_MAX_LAG" => Some("1s".to_owned()),
        "BROOKLET_GRACE" => Some("5s".to_owned()),
        "BROOKLET_RTMP" => Some("3000, 3001".to_owned()),
        _ => None,
    };
    let arguments = ["--grace", "7s"].map(OsString::from);
    let Ok(Request::Serve(settings)) = parse(arguments, environment) else {
        panic!()
    };
    assert_eq!(settings.config.max_lag, Duration::from_secs(1));
    assert_eq!(settings.config.grace, Duration::from_secs(7));
    assert_eq!(settings.config.rtmp.len(), 2);
    let arguments = ["--rtmp", "4000"].map(OsString::from);
    let Ok(Request::Serve(settings)) = parse(arguments, environment) else {
        panic!()
    };
    assert_eq!(settings.config.rtmp, ["[::]:4000".parse().unwrap()]);
}

#[test]
fn a_wrong_value_is_told_what_was_expected() {
    for (arguments, words) in [
        (
            &["--memory", "lots"][..],
            "invalid value \"lots\" for --memory: expected a size",
        ),
        (&["--memory", "1K"], "a size from 1M up"),
        (&["--grace", "soon"], "expected a time such as 2s"),
        (&["--grace", "-1s"], "expected a time"),
        (&["--grace", "0s"], "expected a time above 0"),
        (&["--grace", "25h"], "at most a day"),
        (&["--join", "now"], "expected live, gop or next"),
        (&["--batch", "2s"], "from 0ms to 1s"),
        (&["--max-connections", "0"], "at least 1"),
        (&["--rtmp", "localhost"], "such as 0.0.0.0:1935"),
        (
            &["--http", "on"],
            "such as 0.0.0.0:8080, [::1]:8080 or 8080, or off",
        ),
        (&["--max-message", "16M"], "from 1K to 16383K"),
        (&["--log", "loud"], "expected error, warn"),
        (&["--memory"], "--memory needs a value, SIZE"),
        (&["--frob"], "unknown option --frob. Try --help"),
        (&["-x"], "unknown option -x. Try --help"),
        (&["live"], "unexpected argument \"live\""),
    ] {
        let error = parsed(arguments).unwrap_err();
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

#[test]
fn the_help_names_every_option_and_fits_the_screen() {
    let Ok(Request::Print(help)) = parsed(&["--help"]) else {
        panic!()
    };
    let names = OPTIONS.iter().map(|option| option.name);
    for name in names.chain(LISTS.iter().map(|list| list.name)) {
        assert!(help.contains(&format!("--{name} ")), "{name}");
    }
    for line in help.lines() {
        assert!(line.len() <= 100, "{line}");
    }
}
