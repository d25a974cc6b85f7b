//! Browsers without a window, started with a page and left alone.

use std::fs;
use std::process::Command;

use super::common::process::Program;
use super::common::{SOON, TempDir, poll_until};

/// Without these Chromium would contact other hosts, and use a GPU.
const CHROMIUM: &str = "--headless=new --no-sandbox --no-first-run --disable-gpu \
    --disable-dev-shm-usage --disable-background-networking --disable-sync \
    --disable-component-update --disable-default-apps --disable-extensions --mute-audio \
    --disable-renderer-backgrounding --disable-backgrounding-occluded-windows \
    --autoplay-policy=no-user-gesture-required --window-size=1280,800";

/// The same for Firefox, as lines of its `user.js`: name and value.
const FIREFOX: &[(&str, &str)] = &[
    ("app.normandy.enabled", "false"),
    ("app.update.auto", "false"),
    ("browser.aboutwelcome.enabled", "false"),
    ("browser.safebrowsing.downloads.remote.enabled", "false"),
    ("browser.safebrowsing.malware.enabled", "false"),
    ("browser.safebrowsing.phishing.enabled", "false"),
    ("browser.shell.checkDefaultBrowser", "false"),
    ("browser.startup.homepage_override.mstone", "\"ignore\""),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("dom.push.connection.enabled", "false"),
    ("extensions.getAddons.cache.enabled", "false"),
    ("extensions.systemAddon.update.enabled", "false"),
    ("extensions.update.enabled", "false"),
    ("media.autoplay.blocking_policy", "0"),
    ("media.autoplay.default", "0"),
    ("media.gmp-manager.updateEnabled", "false"),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
    ("network.dns.disablePrefetch", "true"),
    (
        "services.settings.server",
        "\"data:,#remote-settings-dummy/v1\"",
    ),
    ("termsofuse.bypassNotification", "true"),
    ("toolkit.telemetry.enabled", "false"),
    ("toolkit.telemetry.unified", "false"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Browser {
    Chromium,
    Firefox,
}

/// A running browser, which ends when dropped.
pub(crate) struct Running {
    program: Program,
    // Removed last.
    _profile: TempDir,
}

impl Browser {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Browser::Chromium => "Chromium",
            Browser::Firefox => "Firefox",
        }
    }

    pub(crate) fn open(self, url: &str) -> Running {
        let profile = TempDir::new();
        let mut command = match self {
            Browser::Chromium => {
                let mut command = Command::new("chromium");
                command.args(CHROMIUM.split_whitespace());
                command.arg(format!("--user-data-dir={}", profile.path().display()));
                command
            }
            Browser::Firefox => {
                let lines = FIREFOX
                    .iter()
                    .map(|(name, value)| format!("user_pref(\"{name}\", {value});\n"));
                fs::write(profile.join("user.js"), lines.collect::<String>())
                    .expect("a profile can be written");
                let mut command = Command::new("firefox-esr");
                command.args(["--headless", "--no-remote", "--profile"]);
                command.arg(profile.path());
                command
            }
        };
        command.env("HOME", profile.path()).arg(url);
        Running {
            program: Program::start(&mut command),
            _profile: profile,
        }
    }
}

impl Running {
    pub(crate) fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    pub(crate) fn stderr(&self) -> String {
        self.program.stderr()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On SIGTERM its other processes end with it.
        if self.program.is_running() {
            self.program.signal("TERM");
        }
        poll_until(SOON, || !self.program.is_running());
    }
}
