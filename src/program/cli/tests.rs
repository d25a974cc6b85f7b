use super::*;

fn parsed_in(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Request, String> {
    let environment = environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    parse(arguments.iter().map(OsString::from), environment)
}

fn parsed(arguments: &[&str]) -> Result<Request, String> {
    parsed_in(arguments, &[])
}

fn config_in(arguments: &[&str], environment: &[(&str, &str)]) -> Config {
    match parsed_in(arguments, environment) {
        Ok(Request::Serve(settings)) => settings.config,
        other => panic!("{other:?}"),
    }
}

fn config(arguments: &[&str]) -> Config {
    config_in(arguments, &[])
}

#[test]
fn no_arguments_mean_the_defaults() {
    assert_eq!(config(&[]), Config::default());
}

#[test]
fn units_may_be_written_in_several_ways() {
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
#[cfg(feature = "http")]
fn the_http_side_can_be_moved_and_turned_off() {
    let environment = [("BROOKLET_HTTP", "80,127.0.0.1:81")];
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
        let environment = &environment[..usize::from(is_in_environment)];
        let config = config_in(arguments, environment);
        let found: Vec<_> = config.http.iter().map(ToString::to_string).collect();
        assert_eq!(found, http);
    }
}

#[test]
fn names_are_resolved_to_the_addresses_that_this_machine_has() {
    let resolved = |arguments: &[&str]| {
        let environment = [("BROOKLET_HTTP", "nowhere.invalid:80")];
        match parsed_in(arguments, &environment).unwrap() {
            Request::Serve(mut settings) => settings.resolve().map(|()| settings.config),
            other => panic!("{other:?}"),
        }
    };
    let arguments = [
        "--rtmp",
        "localhost:1936",
        "--rtmp=127.0.0.1:1936",
        "--http=off",
    ];
    let config = resolved(&arguments).unwrap();
    assert!(config.http.is_empty());
    let of_ipv4 = config.rtmp.iter().filter(|address| address.is_ipv4());
    assert_eq!(of_ipv4.count(), 1, "{:?}", config.rtmp);
    for address in &config.rtmp {
        assert!(
            address.ip().is_loopback() && address.port() == 1936,
            "{address}"
        );
    }
    let error = resolved(&["--rtmp", "1936"]).unwrap_err();
    assert!(error.contains("nowhere.invalid:80 for --http: "), "{error}");
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let environment = [
        ("BROOKLET_MAX_LAG", "1s"),
        ("BROOKLET_GRACE", "5s"),
        ("BROOKLET_RTMP", "3000, 3001"),
    ];
    let config = config_in(&["--grace", "7s"], &environment);
    assert_eq!(config.max_lag, Duration::from_secs(1));
    assert_eq!(config.grace, Duration::from_secs(7));
    assert_eq!(config.rtmp.len(), 2);
    let config = config_in(&["--rtmp", "4000"], &environment);
    assert_eq!(config.rtmp, ["[::]:4000".parse().unwrap()]);
}

#[test]
fn a_lag_over_half_the_history_is_refused_with_both_numbers() {
    let refused = |arguments: &[&str], environment| {
        let error = parsed_in(arguments, environment).unwrap_err();
        assert!(error.starts_with("--max-lag is "), "{error}");
        error
    };
    let error = refused(&["--max-lag", "10s"], &[]);
    assert!(error.contains("--max-lag is 10000 ms") && error.contains("which is 12000 ms"));
    refused(&["--history", "3s", "--max-lag", "2s"], &[]);
    refused(&["--history", "3s"], &[("BROOKLET_MAX_LAG", "2s")]);
    refused(&["--max-lag", "2s"], &[("BROOKLET_HISTORY", "3s")]);
    // The default depends on the history.
    for (history, lag) in [("3s", 1_500), ("4s", 2_000), ("1m", 2_000)] {
        let config = config(&["--history", history]);
        assert_eq!(config.max_lag, Duration::from_millis(lag));
    }
    let config = config(&["--max-lag", "6s"]);
    assert_eq!(config.max_lag, Duration::from_secs(6));
}

#[test]
fn a_variable_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    for (name, words) in [
        (
            "BROOKLET_PUBLISH_KEYS",
            "unknown environment variable BROOKLET_PUBLISH_KEYS. Did you mean \
             BROOKLET_PUBLISH_KEY?",
        ),
        ("BROOKLET_MAXLAG", "Did you mean BROOKLET_MAX_LAG?"),
        ("BROOKLET_max_lag", "Did you mean BROOKLET_MAX_LAG?"),
        ("BROOKLET_MAX-LAG", "Did you mean BROOKLET_MAX_LAG?"),
        (
            "BROOKLET_PORT",
            "unknown environment variable BROOKLET_PORT. Try --help",
        ),
        (
            "BROOKLET_",
            "unknown environment variable BROOKLET_. Try --help",
        ),
    ] {
        for value in ["s3cret", ""] {
            let error = parsed_in(&["--rtmp", "1936"], &[(name, value)]).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
            let help = parsed_in(&["--help"], &[(name, value)]);
            assert!(matches!(help, Ok(Request::Print(_))), "{help:?}");
        }
    }
}

#[test]
fn variables_of_other_programs_are_ignored() {
    let environment = [
        ("HOME", "/root"),
        ("BROOKLET", "/usr/bin/brooklet"),
        ("MY_BROOKLET_KEY", "x"),
        // Set by Kubernetes for a service named brooklet, and one named brooklet-http.
        ("BROOKLET_SERVICE_HOST", "10.0.0.1"),
        ("BROOKLET_SERVICE_PORT_RTMP", "1935"),
        ("BROOKLET_PORT", "tcp://10.0.0.1:1935"),
        ("BROOKLET_PORT_1935_TCP_ADDR", "10.0.0.1"),
        ("BROOKLET_HTTP_SERVICE_PORT", "8080"),
        ("BROOKLET_HTTP_PORT", "tcp://10.0.0.1:8080"),
        ("BROOKLET_HTTP_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
    ];
    assert_eq!(config_in(&[], &environment), Config::default());
}

#[test]
fn an_option_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    for (argument, words) in [
        (
            "--publish-keys=s3cret",
            "unknown option --publish-keys. Did you mean --publish-key?",
        ),
        (
            "--max_lag=1s",
            "unknown option --max_lag. Did you mean --max-lag?",
        ),
        ("--rmtp", "unknown option --rmtp. Did you mean --rtmp?"),
        ("-rtmp", "unknown option -rtmp. Did you mean --rtmp?"),
        (
            "-publish-key=s3cret",
            "unknown option -publish-key. Did you mean --publish-key?",
        ),
        ("-ks3cret", "unknown option -k. Try --help"),
        ("--frob", "unknown option --frob. Try --help"),
    ] {
        let error = parsed(&[argument]).unwrap_err();
        assert_eq!(error, words);
    }
}

#[test]
fn the_error_for_a_wrong_value_says_what_was_expected() {
    for (arguments, words) in [
        (
            &["--memory", "lots"][..],
            "invalid value \"lots\" for --memory: expected a size",
        ),
        (&["--memory", "1K"], "a size such as 32M, from 1M up"),
        (&["--grace", "soon"], "expected a time such as 2s"),
        (&["--grace", "-1s"], "expected a time"),
        (&["--grace", "0s"], "expected a time above 0"),
        (&["--grace", "25h"], "at most a day"),
        (&["--join", "now"], "expected live, gop or next"),
        (&["--batch", "2s"], "from 0ms to 1s"),
        (&["--max-connections", "0"], "at least 1"),
        (
            &["--rtmp", "localhost"],
            "a name such as 1935, 0.0.0.0:1935",
        ),
        (&["--rtmp", "local host:1935"], "a name such as 1935"),
        (&["--rtmp", "localhost:rtmp"], "a name such as 1935"),
        (&["--rtmp", "[::1:1935"], "a name such as 1935"),
        (&["--rtmp", ":70000"], "a name such as 1935"),
        (
            &["--http", "on"],
            "expected off, a port, an address or a name",
        ),
        (&["--max-message", "16M"], "from 1K to 16383K"),
        (&["--log", "loud"], "expected error, warn"),
        (&["--memory"], "--memory needs a value, SIZE"),
        (&["--frob"], "unknown option --frob. Try --help"),
        (&["-x"], "unknown option -x. Try --help"),
        (&["serve", "live"], "unexpected argument \"live\""),
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
    let words: Vec<_> = help.split_whitespace().collect();
    for option in options() {
        let (name, value) = (option.name, option.value);
        let (text, default) = (option.help, option.default);
        let all = format!("--{name} {value} {text} [default: {default}]");
        let all: Vec<_> = all.split_whitespace().collect();
        assert!(words.windows(all.len()).any(|part| part == all), "{name}");
    }
    for line in help.lines() {
        assert!(line.len() <= 80, "{} columns: {line}", line.len());
        assert!(!line.ends_with(' '), "{line}");
    }
}

#[test]
#[cfg(all(feature = "http", feature = "record"))]
fn the_readme_describes_each_option_as_the_help_does() {
    let readme = include_str!("../../../README.md");
    let (_, readme) = readme.split_once("\n## Options\n").unwrap();
    let (readme, _) = readme.split_once("\n## ").unwrap();
    // Without markup.
    let readme = readme.replace('`', "").replace("\\|", "|");
    for option in options() {
        let (name, value) = (option.name, option.value);
        let (help, default) = (option.help, option.default);
        let row = format!("\n| --{name} {value} | {default} | {help} |\n");
        assert!(readme.contains(&row), "not in README.md:{row}");
    }
    let rows = readme.matches("\n| --").count() - 1;
    assert_eq!(rows, options().count());
}

#[test]
#[cfg(feature = "record")] // Some are about recordings.
fn variables_in_the_documentation_exist() {
    for text in [
        include_str!("../../../README.md"),
        include_str!("../../../cross/README.md"),
        include_str!("../../../cross/brooklet.service"),
    ] {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with(PREFIX) && word != PREFIX {
                let mut variables = options().map(|option| variable_name(option.name));
                assert!(variables.any(|variable| variable == word), "{word}");
            }
        }
    }
}
