//! The options of pushes and pulls.

use super::Settings;
use super::opt::{Kind, Opt};
use brooklet::config::{parse_pull, parse_push};

/// See the module's documentation. Their values have keys in them, so they are never repeated.
pub(super) const RELAY: &[Opt] = &[
    Opt {
        name: "push",
        value: "NAME=URL",
        default: "nothing is pushed",
        help: "push a stream to another server, such as live/door=rtmp://HOST/APP/KEY, or all \
               below live, which keep their names: live/*=rtmp://HOST/APP; may be repeated; \
               NAME=@FILE takes the URL from a file",
        kind: Kind::Secrets(|settings| settings.config.pushes.clear()),
        set: |settings, text| {
            settings.config.pushes.push(parse_push(text).map_err(kept)?);
            Ok(())
        },
    },
    Opt {
        name: "pull",
        value: "NAME=URL",
        default: "nothing is pulled",
        help: "pull a stream from rtmp://HOST/APP/NAME, or from http:// in FLV; with ,on-demand \
               at the end only while somebody watches; may be repeated; NAME=@FILE takes the \
               URL from a file",
        kind: Kind::Secrets(|settings| settings.config.pulls.clear()),
        set: set_pull,
    },
];

fn set_pull(settings: &mut Settings, text: &str) -> Result<(), &'static str> {
    let pulls = &mut settings.config.pulls;
    match pulls.pop() {
        // In a variable, commas separate values.
        Some(last) if text == "on-demand" => pulls.push(last.on_demand(true)),
        last => {
            pulls.extend(last);
            pulls.push(parse_pull(text).map_err(kept)?);
        }
    }
    Ok(())
}

/// Keeps a text to the end of the program, which an error is about to bring.
fn kept(error: String) -> &'static str {
    error.leak()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{Request, parse};
    use super::*;

    fn settings(arguments: &[&str], variable: Option<(&str, &str)>) -> Result<Settings, String> {
        let environment = variable.map(|(name, value)| (name.into(), value.into()));
        match parse(arguments.iter().map(OsString::from), environment)? {
            Request::Serve(settings) => Ok(settings),
            _ => panic!(),
        }
    }

    #[test]
    fn pushes_and_pulls_add_up() {
        let arguments = [
            "--push",
            "live/door=rtmp://h/a/key",
            "--push=live/*=rtmp://i/a",
            "--pull=live/gate=http://h/flv?password=key,on-demand",
        ];
        let config = settings(&arguments, None).unwrap().config;
        let texts: Vec<_> = config.pushes.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["live/door=rtmp://h/a/***", "live/*=rtmp://i/a/***"]);
        let expected = "live/gate=http://h/***,on-demand";
        assert_eq!(config.pulls[0].to_string(), expected);
        let variable = "live/a=rtmp://h/a/b,live/gate=http://h/flv,on-demand";
        let config = settings(&[], Some(("BROOKLET_PULL", variable)))
            .unwrap()
            .config;
        let texts: Vec<_> = config.pulls.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["live/a=rtmp://h/a/***", expected]);
    }

    #[test]
    fn commas_separate_values_in_a_variable_alone() {
        let texts = |settings: Settings| -> Vec<_> {
            settings
                .config
                .pushes
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        let variable = "live/door=rtmp://h/a/key, live/*=rtmp://i/a";
        let found = settings(&[], Some(("BROOKLET_PUSH", variable))).unwrap();
        assert_eq!(
            texts(found),
            ["live/door=rtmp://h/a/***", "live/*=rtmp://i/a/***"]
        );
        // The command line replaces them.
        let argument = "--push=live/door=rtmp://j/a/key,with,commas";
        let found = settings(&[argument], Some(("BROOKLET_PUSH", variable))).unwrap();
        assert_eq!(texts(found), ["live/door=rtmp://j/a/***"]);
        let error = settings(&[], Some(("BROOKLET_PUSH", "live/door=rtmp://h/a/k,9"))).unwrap_err();
        assert!(
            error.starts_with("invalid value for BROOKLET_PUSH (not shown): expected"),
            "{error}"
        );
        // So a URL with commas comes from a file.
        let file = std::env::temp_dir().join(format!("brooklet-push-{}", std::process::id()));
        let lines = "# two\nlive/door=rtmp://h/a/k,9\nlive/gate=rtmp://i/a/k\n";
        std::fs::write(&file, lines).unwrap();
        let variable = format!("@{}", file.display());
        let found = settings(&[], Some(("BROOKLET_PUSH", &variable))).unwrap();
        assert_eq!(found.config.pushes.len(), 2);
        let _ = std::fs::remove_file(file);
    }

    #[test]
    fn wrong_ones_are_refused_without_repeating_them() {
        for (argument, words) in [
            (
                "--push=live/door=secret",
                "--push (not shown): expected a URL that can be used: not a URL, expected",
            ),
            (
                "--push=rtmp://h/a/secret",
                "expected a stream and its target such as live/door=",
            ),
            (
                "--pull=live/*=rtmp://h/a/secret",
                "expected a stream and its source",
            ),
        ] {
            let error = settings(&[argument], None).unwrap_err();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
