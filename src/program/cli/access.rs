//! The options for access: who may publish, play and administer, and which proxies and host names are
//! trusted. They may be repeated. Secrets can be read from a file, and no message repeats them.

use super::opt::{Kind, Opt};
use brooklet::config::{Key, Network, User, parse_api_key, parse_host_name};

/// All options for access, in the order of the help text.
pub(super) const LISTS: &[Opt] = &[
    Opt {
        name: "publish-key",
        value: "[NAME=]KEY",
        default: "none",
        help: "a key that publishers have to show: rtmp://HOST/live/door?key=KEY; NAME is \
               live/door, live/* for all below live, or absent for all streams; may be repeated; \
               @FILE reads keys from a file, one a line",
        kind: Kind::Secrets(|settings| settings.config.publish.keys.clear()),
        set: |settings, text| Key::parse(text).map(|key| settings.config.publish.keys.push(key)),
    },
    Opt {
        name: "publish-user",
        value: "NAME:PASSWORD",
        default: "none",
        help: "a user that publishers may log in as; may be repeated; or @FILE",
        kind: Kind::Secrets(|settings| settings.config.publish.users.clear()),
        set: |settings, text| {
            User::parse(text).map(|user| settings.config.publish.users.push(user))
        },
    },
    Opt {
        name: "publish-from",
        value: "NETWORKS",
        default: "private without keys and users, else any",
        help: "where publishers may come from: 192.168.1.0/24, fd00::/8, private, any",
        kind: Kind::List(|settings| settings.config.publish.from.clear()),
        set: |settings, text| {
            Network::parse(text).map(|from| settings.config.publish.from.push(from))
        },
    },
    Opt {
        name: "play-key",
        value: "[NAME=]KEY",
        default: "none",
        help: "a key that players have to show, as --publish-key",
        kind: Kind::Secrets(|settings| settings.config.play.keys.clear()),
        set: |settings, text| Key::parse(text).map(|key| settings.config.play.keys.push(key)),
    },
    Opt {
        name: "play-user",
        value: "NAME:PASSWORD",
        default: "none",
        help: "a user that players may log in as, as --publish-user",
        kind: Kind::Secrets(|settings| settings.config.play.users.clear()),
        set: |settings, text| User::parse(text).map(|user| settings.config.play.users.push(user)),
    },
    Opt {
        name: "play-from",
        value: "NETWORKS",
        default: "private without keys and users, else any",
        help: "where players may come from, as --publish-from",
        kind: Kind::List(|settings| settings.config.play.from.clear()),
        set: |settings, text| Network::parse(text).map(|from| settings.config.play.from.push(from)),
    },
    Opt {
        name: "api-key",
        value: "KEY",
        default: "only this machine may",
        help: "the key that is needed over HTTP to see addresses of viewers, to end connections, and \
               to begin and end recordings, pushes and pulls; or @FILE",
        kind: Kind::Secrets(|settings| settings.config.api_key = None),
        set: |settings, text| match settings.config.api_key.replace(parse_api_key(text)?) {
            None => Ok(()),
            // Otherwise one of the two would be ignored silently.
            Some(_) => Err("one key only"),
        },
    },
    Opt {
        name: "trusted-proxy",
        value: "NETWORKS",
        default: "none",
        help: "your reverse proxies, whose X-Forwarded-For and Forwarded are believed; may be \
               repeated; not any",
        kind: Kind::List(|settings| settings.config.trusted_proxies.clear()),
        set: |settings, text| {
            let proxies = &mut settings.config.trusted_proxies;
            Network::parse_of_proxies(text).map(|network| proxies.push(network))
        },
    },
    Opt {
        name: "host-name",
        value: "NAME",
        default: "none",
        help: "another host name that browsers may use when no key is required (addresses and \
               local names always work); may be repeated",
        kind: Kind::List(|settings| settings.config.host_names.clear()),
        set: |settings, text| {
            parse_host_name(text).map(|name| settings.config.host_names.push(name))
        },
    },
];

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::super::{Request, parse};
    use brooklet::Config;
    use brooklet::config::{Network, Secret};

    fn config(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        match parse(arguments.iter().map(OsString::from), environment)? {
            Request::Serve(settings) => Ok(settings.config),
            other => panic!("{other:?}"),
        }
    }

    fn secrets(secrets: impl Iterator<Item = Secret>) -> Vec<String> {
        secrets.map(|secret| secret.reveal().to_owned()).collect()
    }

    /// A file that is removed when dropped.
    struct File(PathBuf);

    impl File {
        fn new(name: &str, text: &str) -> File {
            let name = format!("brooklet-test-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            File(path)
        }

        fn argument(&self) -> String {
            format!("@{}", self.0.display())
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn repeated_values_add_up_for_each_action_separately() {
        let config = config(
            &[
                "--publish-key",
                "first",
                "--publish-key=live/door=second",
                "--play-key",
                "third",
                "--publish-user",
                "bob:p,w",
                "--play-from",
                "10.0.0.0/8,private",
                "--play-from",
                "::1",
            ],
            &[],
        );
        let config = config.unwrap();
        let keys = |access: &brooklet::config::Access| {
            secrets(access.keys.iter().map(|key| key.secret.clone()))
        };
        assert_eq!(keys(&config.publish), ["first", "second"]);
        assert_eq!(keys(&config.play), ["third"]);
        let users = config.publish.users.iter().map(|u| u.password.clone());
        assert_eq!(secrets(users), ["p,w"]);
        assert!(config.play.users.is_empty() && config.publish.from.is_empty());
        let shown: Vec<_> = config.play.from.iter().map(Network::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "private", "::1"]);
    }

    #[test]
    fn proxies_and_host_names_may_be_repeated_or_separated_by_commas() {
        let environment = [
            ("BROOKLET_TRUSTED_PROXY", "127.0.0.1, ::1"),
            ("BROOKLET_HOST_NAME", "cams.example.com,Pi"),
        ];
        let of_environment = config(&[], &environment).unwrap();
        let shown = |config: &Config| {
            let proxies = config.trusted_proxies.iter().map(Network::to_string);
            proxies
                .chain(config.host_names.iter().cloned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&of_environment),
            ["127.0.0.1", "::1", "cams.example.com", "pi"]
        );
        let arguments = [
            "--trusted-proxy=172.18.0.0/16,10.0.0.1",
            "--trusted-proxy",
            "private",
            "--host-name",
            "one.example",
            "--host-name=two.example",
        ];
        let of_both = config(&arguments, &environment).unwrap();
        let expected = [
            "172.18.0.0/16",
            "10.0.0.1",
            "private",
            "one.example",
            "two.example",
        ];
        assert_eq!(shown(&of_both), expected);
        for (arguments, words) in [
            (
                ["--trusted-proxy", "any"],
                "invalid value \"any\" for --trusted-proxy: expected an address, a network such as",
            ),
            (
                ["--host-name", "http://pi:8080"],
                "invalid value \"http://pi:8080\" for --host-name: expected a name such as",
            ),
            (["--host-name", "@/nowhere"], "expected a name"),
        ] {
            let error = config(&arguments, &[]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_command_line_replaces_lists_of_the_environment_one_by_one() {
        let environment = [
            ("BROOKLET_PUBLISH_KEY", "one1, two2"),
            ("BROOKLET_PLAY_KEY", "three"),
        ];
        let config = config(&["--play-key", "four"], &environment).unwrap();
        let keys = config.publish.keys.iter().chain(&config.play.keys);
        let keys = secrets(keys.map(|key| key.secret.clone()));
        assert_eq!(keys, ["one1", "two2", "four"]);
    }

    #[test]
    fn a_file_holds_one_value_per_line() {
        let file = File::new(
            "keys",
            "# cameras\r\nlive/door=first\r\n\r\n  second  \n#third\n",
        );
        let config = config(&["--publish-key", &file.argument()], &[]).unwrap();
        let keys = secrets(config.publish.keys.into_iter().map(|key| key.secret));
        assert_eq!(keys, ["first", "second"]);
    }

    #[test]
    fn there_is_only_one_key_for_the_api() {
        let file = File::new("api", "# for NOALBS\nfrom-file\n");
        let environment = [("BROOKLET_API_KEY", "from-environment")];
        for (arguments, environment, key) in [
            (vec![], &[][..], None),
            (vec![], &environment[..], Some("from-environment")),
            (vec!["--api-key", "given"], &environment, Some("given")),
            (vec!["--api-key", &file.argument()], &[], Some("from-file")),
        ] {
            let config = config(&arguments, environment).unwrap();
            let found = config.api_key.as_ref().map(Secret::reveal);
            assert_eq!(found, key, "{arguments:?}");
            assert!(!format!("{config:?}").contains("from-"));
        }
    }

    #[test]
    fn errors_name_the_option_and_never_show_the_secret() {
        let bad_line = File::new("bad", "good-key\nlive/door=s3 cret\n");
        let empty = File::new("empty", "# nothing yet\n");
        let (bad, nothing) = (bad_line.argument(), empty.argument());
        for (arguments, environment, words) in [
            (
                vec!["--publish-key", "s3 cret"],
                None,
                "for --publish-key (not shown): expected KEY or NAME=KEY, with a key of 4 to 128",
            ),
            (
                vec!["--play-key", "l*ve=s3cret"],
                None,
                "or live/* for all that",
            ),
            (
                vec!["--publish-user", "s3cret"],
                None,
                "expected NAME:PASSWORD",
            ),
            (
                vec!["--publish-key", &bad],
                None,
                "for --publish-key in line 2 of ",
            ),
            (
                vec!["--play-user", &nothing],
                None,
                "--play-user expects NAME:PASSWORD on each line",
            ),
            (
                vec!["--play-user", "@/nowhere/users"],
                None,
                "cannot read /nowhere/users for --play-user: ",
            ),
            (
                vec!["--play-from", "10.0.0.0/33"],
                None,
                "invalid value \"10.0.0.0/33\" for --play-from: expected an address",
            ),
            (vec!["--play-from", ""], None, "expected an address"),
            (
                vec!["--api-key", "s3 cret"],
                None,
                "for --api-key (not shown): expected a key of 4 to 128 letters",
            ),
            (
                vec!["--api-key", "s3cret", "--api-key", "s3cret-2"],
                None,
                "for --api-key (not shown): expected one key only",
            ),
            (
                vec![],
                Some(("BROOKLET_API_KEY", "")),
                "BROOKLET_API_KEY is empty",
            ),
            (vec!["--api-key"], None, "--api-key needs a value, KEY"),
            (
                vec!["--publish-key"],
                None,
                "--publish-key needs a value, [NAME=]KEY",
            ),
            (
                vec![],
                Some(("BROOKLET_PUBLISH_KEY", "s3")),
                "for BROOKLET_PUBLISH_KEY (not",
            ),
            (
                vec![],
                Some(("BROOKLET_PUBLISH_KEY", " ")),
                "BROOKLET_PUBLISH_KEY is empty",
            ),
        ] {
            let environment: Vec<_> = environment.into_iter().collect();
            let error = config(&arguments, &environment).unwrap_err();
            assert!(error.contains(words), "{arguments:?}: {error}");
            assert!(!error.contains("s3"), "{error}");
        }
    }
}
