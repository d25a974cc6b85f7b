//! The arguments as others may see them in lists of processes: without keys and passwords.
//!
//! The program starts itself anew with arguments that may be shown, and gets the true ones in a variable of
//! the environment, which only its own user can read.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The variable with the true arguments. It doesn't have the prefix of the options.
pub(super) const VARIABLE: &str = "ARGUMENTS_OF_BROOKLET";

/// Separates the arguments in the variable.
const SEPARATOR: u8 = 0x1F;

/// How options end whose values are secrets.
const SECRETS: [&str; 7] = [
    "-key",
    "-user",
    "-auth",
    "-password",
    "--password",
    "--push",
    "--pull",
];

/// Returns the program's arguments, without its name.
pub(super) fn given() -> Vec<OsString> {
    match env::var_os(VARIABLE) {
        Some(joined) if !joined.is_empty() => split(&joined),
        _ => env::args_os().skip(1).collect(),
    }
}

/// Joins arguments for the variable; `None` if that isn't needed or isn't possible.
pub(super) fn joined(arguments: &[OsString]) -> Option<OsString> {
    let bytes = || arguments.iter().map(|argument| argument.as_bytes());
    let is_secret = shown(arguments) != arguments;
    let is_possible = !bytes().any(|bytes| bytes.contains(&SEPARATOR));
    let joined = is_secret && is_possible;
    joined.then(|| OsString::from_vec(bytes().collect::<Vec<_>>().join(&SEPARATOR)))
}

/// Returns the arguments as they may be shown.
pub(super) fn shown(arguments: &[OsString]) -> Vec<OsString> {
    let mut is_value = false;
    let shown = arguments.iter().map(|argument| {
        let text = argument.to_string_lossy();
        let was_value = std::mem::take(&mut is_value);
        if was_value {
            return masked(&text);
        }
        match text.split_once('=') {
            Some((option, value)) if is_secret(option) => {
                let mut out = OsString::from(option);
                out.push("=");
                out.push(masked(value));
                out
            }
            None if is_secret(&text) => {
                is_value = true;
                argument.clone()
            }
            _ if text.contains(":/") => "***".into(),
            _ => argument.clone(),
        }
    });
    shown.collect()
}

/// A secret; where it comes from a file, it is none.
fn masked(value: &str) -> OsString {
    if value.starts_with('@') { value } else { "***" }.into()
}

fn is_secret(option: &str) -> bool {
    let ends = SECRETS.iter().any(|end| option.ends_with(end));
    option.starts_with("--") && option != "--tls-key" && ends
}

fn split(joined: &OsStr) -> Vec<OsString> {
    let parts = joined.as_bytes().split(|byte| *byte == SEPARATOR);
    parts
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_urls_are_not_shown_but_given() {
        let given: Vec<OsString> = [
            "publish",
            "--loop",
            "a=b.mp4",
            "rtmp://host/live/secret",
            "--publish-key",
            "secret",
            "--push=live/door=rtmp://host/app/secret",
            "--play-key=@/etc/keys",
            "--tls-key",
            "k.pem",
            "",
        ]
        .map(OsString::from)
        .into();
        let expected = [
            "publish",
            "--loop",
            "a=b.mp4",
            "***",
            "--publish-key",
            "***",
            "--push=***",
            "--play-key=@/etc/keys",
            "--tls-key",
            "k.pem",
            "",
        ];
        assert_eq!(shown(&given), expected.map(OsString::from));
        assert_eq!(split(&joined(&given).unwrap()), given);
        assert_eq!(joined(&["--rtmp".into(), "1935".into()]), None);
    }
}
