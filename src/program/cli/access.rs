//! The options for access: who may publish, play and administer, and which proxies and host names are
//! trusted. They may be repeated. Secrets can be read from a file, and no message repeats them.

use super::Settings;
use brooklet::config::{Access, Key, Network, User, parse_api_key, parse_host_name};

/// An option that may be repeated.
pub(super) struct List {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    pub(super) default: &'static str,
    pub(super) help: &'static str,
    kind: ListKind,
}

/// What the list holds, and which setting it changes.
#[derive(Clone, Copy)]
enum ListKind {
    Keys(AccessOf),
    Users(AccessOf),
    Networks(AccessOf),
    /// At most one.
    ApiKey,
    Proxies,
    HostNames,
}

type AccessOf = fn(&mut Settings) -> &mut Access;

fn publish(settings: &mut Settings) -> &mut Access {
    &mut settings.config.publish
}

fn play(settings: &mut Settings) -> &mut Access {
    &mut settings.config.play
}

/// All lists, in the order of the help text.
pub(super) const LISTS: &[List] = &[
    List {
        name: "publish-key",
        value: "[NAME=]KEY",
        default: "none",
        help: "a key that publishers have to show: rtmp://HOST/live/door?key=KEY; NAME is \
               live/door, live/* for all below live, or absent for all streams; may be repeated; \
               @FILE reads keys from a file, one a line",
        kind: ListKind::Keys(publish),
    },
    List {
        name: "publish-user",
        value: "NAME:PASSWORD",
        default: "none",
        help: "a user that publishers may log in as; may be repeated; or @FILE",
        kind: ListKind::Users(publish),
    },
    List {
        name: "publish-from",
        value: "NETWORKS",
        default: "private without keys and users, else any",
        help: "where publishers may come from: 192.168.1.0/24, fd00::/8, private, any",
        kind: ListKind::Networks(publish),
    },
    List {
        name: "play-key",
        value: "[NAME=]KEY",
        default: "none",
        help: "a key that players have to show, as --publish-key",
        kind: ListKind::Keys(play),
    },
    List {
        name: "play-user",
        value: "NAME:PASSWORD",
        default: "none",
        help: "a user that players may log in as, as --publish-user",
        kind: ListKind::Users(play),
    },
    List {
        name: "play-from",
        value: "NETWORKS",
        default: "private without keys and users, else any",
        help: "where players may come from, as --publish-from",
        kind: ListKind::Networks(play),
    },
    List {
        name: "api-key",
        value: "KEY",
        default: "only this machine may",
        help: "the key that is needed to see addresses of viewers and to end connections over \
               HTTP; or @FILE",
        kind: ListKind::ApiKey,
    },
    List {
        name: "trusted-proxy",
        value: "NETWORKS",
        default: "none",
        help: "your reverse proxies, whose X-Forwarded-For and Forwarded are believed; may be \
               repeated; not any",
        kind: ListKind::Proxies,
    },
    List {
        name: "host-name",
        value: "NAME",
        default: "none",
        help: "another host name that browsers may use when no key is required (addresses and \
               local names always work); may be repeated",
        kind: ListKind::HostNames,
    },
];

impl List {
    /// Takes values from an environment variable, which separates them by commas.
    pub(super) fn set_all(
        &self,
        variable: &str,
        settings: &mut Settings,
        text: &str,
    ) -> Result<(), String> {
        let values = text.split(',').map(str::trim);
        let values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
        if values.is_empty() && self.is_secret() {
            // Probably meant to be filled in from another variable. Taken as "no key", it would open
            // the server to everybody.
            return Err(format!("{variable} is empty: set it or remove it"));
        }
        values
            .into_iter()
            .try_for_each(|value| self.set(variable, settings, value))
    }

    /// Adds a value, or the values in a file. The error for a secret says what was expected, not what
    /// was given.
    pub(super) fn set(
        &self,
        origin: &str,
        settings: &mut Settings,
        text: &str,
    ) -> Result<(), String> {
        let Some(path) = text.strip_prefix('@').filter(|_| self.is_secret()) else {
            return self.add(origin, settings, text);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {path} for {origin}: {error}"))?;
        let mut is_empty = true;
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                is_empty = false;
                let origin = format!("{origin} in line {} of {path}", index + 1);
                self.add(&origin, settings, line)?;
            }
        }
        if is_empty {
            return Err(format!(
                "{path} is empty: {origin} expects {} on each line",
                self.value
            ));
        }
        Ok(())
    }

    /// Removes the values added so far.
    pub(super) fn clear(&self, settings: &mut Settings) {
        match self.kind {
            ListKind::Keys(access) => access(settings).keys.clear(),
            ListKind::Users(access) => access(settings).users.clear(),
            ListKind::Networks(access) => access(settings).from.clear(),
            ListKind::ApiKey => settings.config.api_key = None,
            ListKind::Proxies => settings.config.trusted_proxies.clear(),
            ListKind::HostNames => settings.config.host_names.clear(),
        }
    }

    fn is_secret(&self) -> bool {
        matches!(
            self.kind,
            ListKind::Keys(_) | ListKind::Users(_) | ListKind::ApiKey
        )
    }

    fn add(&self, origin: &str, settings: &mut Settings, text: &str) -> Result<(), String> {
        let secret =
            |expected: &str| format!("invalid value for {origin} (not shown): expected {expected}");
        match self.kind {
            ListKind::Keys(access) => {
                let key = Key::parse(text).map_err(secret)?;
                access(settings).keys.push(key);
            }
            ListKind::Users(access) => {
                let user = User::parse(text).map_err(secret)?;
                access(settings).users.push(user);
            }
            ListKind::ApiKey => {
                let key = parse_api_key(text).map_err(secret)?;
                // Otherwise one of the two would be ignored silently.
                if settings.config.api_key.replace(key).is_some() {
                    return Err(secret("one key only"));
                }
            }
            ListKind::Networks(_) | ListKind::Proxies | ListKind::HostNames => {
                for part in text.split(',').map(str::trim) {
                    self.add_shown(settings, part).map_err(|expected| {
                        format!("invalid value {part:?} for {origin}: expected {expected}")
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Adds a value that isn't secret.
    fn add_shown(&self, settings: &mut Settings, text: &str) -> Result<(), &'static str> {
        let config = &mut settings.config;
        match self.kind {
            ListKind::Networks(access) => access(settings).from.push(Network::parse(text)?),
            ListKind::Proxies => config
                .trusted_proxies
                .push(Network::parse_of_proxies(text)?),
            ListKind::HostNames => config.host_names.push(parse_host_name(text)?),
            ListKind::Keys(_) | ListKind::Users(_) | ListKind::ApiKey => {}
        }
        Ok(())
    }
}

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
            Request::Print(text) => panic!("{text}"),
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
