//! An option: its name, its help, and the way its values are set.

use std::path::Path;

use brooklet::small_file::{self, MANY_VALUES};
use brooklet::url::without_urls;

use super::Settings;

/// An option with a value.
pub(super) struct Opt {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    pub(super) default: &'static str,
    /// One line, the same as in the table of README.md.
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    /// Sets or adds a value, or returns a description of the expected values.
    pub(super) set: fn(&mut Settings, &str) -> Result<(), &'static str>,
}

/// How several values of an option combine. Kinds whose values add up contain the function that removes
/// all of them.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// The last value counts.
    Single,
    /// Values add up.
    Several(fn(&mut Settings)),
    /// Values add up, and commas separate them on the command line, too.
    List(fn(&mut Settings)),
    /// Values add up, can be read from a file, and are never repeated in a message.
    Secrets(fn(&mut Settings)),
}

/// The prefix of every environment variable.
pub(super) const PREFIX: &str = "BROOKLET_";

pub(super) fn variable_name(option: &str) -> String {
    PREFIX.to_owned() + &option.to_ascii_uppercase().replace('-', "_")
}

impl Opt {
    /// Removes the values that were added so far, and the default.
    pub(super) fn clear(&self, settings: &mut Settings) {
        match self.kind {
            Kind::Single => {}
            Kind::Several(clear) | Kind::List(clear) | Kind::Secrets(clear) => clear(settings),
        }
    }

    /// Sets the values from the environment variable, in which commas separate them.
    pub(super) fn set_all(
        &self,
        variable: &str,
        settings: &mut Settings,
        text: &str,
    ) -> Result<(), String> {
        let values = text.split(',').map(str::trim);
        let values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
        match self.kind {
            // It was probably meant to be filled from another variable. If it meant "no key", the server
            // would be open to everybody.
            Kind::Secrets(_) if values.is_empty() => {
                return Err(format!("{variable} is empty: set it or remove it"));
            }
            _ if values.is_empty() => return Ok(()),
            _ => self.clear(settings),
        }
        let mut values = values.into_iter();
        values.try_for_each(|value| self.set(variable, settings, value))
    }

    /// Sets a value that `origin` has given, or the values in a file.
    pub(super) fn set(
        &self,
        origin: &str,
        settings: &mut Settings,
        text: &str,
    ) -> Result<(), String> {
        match (self.kind, text.strip_prefix('@')) {
            (Kind::Secrets(_), Some(path)) => self.read(path, origin, settings),
            (Kind::Secrets(_), None) => self.set_secret(origin, settings, text),
            (Kind::List(_), _) => {
                let mut parts = text.split(',').map(str::trim);
                parts.try_for_each(|part| self.set_shown(origin, settings, part))
            }
            _ => self.set_shown(origin, settings, text),
        }
    }

    fn read(&self, path: &str, origin: &str, settings: &mut Settings) -> Result<(), String> {
        let text = small_file::read_text(Path::new(path), MANY_VALUES)
            .map_err(|error| format!("cannot read {path} for {origin}: {error}"))?;
        let mut is_empty = true;
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                is_empty = false;
                let origin = format!("{origin} in line {} of {path}", index + 1);
                self.set_secret(&origin, settings, line)?;
            }
        }
        if is_empty {
            let expected = self.value;
            return Err(format!(
                "{path} is empty: {origin} expects {expected} on each line"
            ));
        }
        Ok(())
    }

    fn set_secret(&self, origin: &str, settings: &mut Settings, text: &str) -> Result<(), String> {
        (self.set)(settings, text).map_err(|expected| {
            format!("invalid value for {origin} (not shown): expected {expected}")
        })
    }

    fn set_shown(&self, origin: &str, settings: &mut Settings, text: &str) -> Result<(), String> {
        (self.set)(settings, text).map_err(|expected| {
            let shown = without_urls(text);
            format!("invalid value {shown:?} for {origin}: expected {expected}")
        })
    }
}
