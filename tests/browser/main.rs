//! The page in a real browser: headless Chromium plays what ffmpeg publishes.
//!
//! Screenshots are in `target/tmp/browser-*.png` afterwards; figures are printed. Every test fails
//! if the page had an error of any kind, or sent a request to another host.

#[path = "../common/mod.rs"]
mod common;

mod chromium;
mod clock;
mod codecs;
mod elsewhere;
mod hls_js;
mod listing;
mod mpegts_js;
mod native_hls;
mod other;
mod other_browsers;
mod playing;
mod recordings;
mod relays;
mod timing;
mod under_a_path;

use std::ops::{Deref, DerefMut};

use chromium::Browser;
use common::Brooklet;
use elsewhere::Site;

/// The server, and a browser that looks at it.
pub(crate) struct Watched {
    // Dropped first, so that no request of the page finds the server gone.
    pub(crate) browser: Browser,
    pub(crate) server: Brooklet,
}

impl Watched {
    pub(crate) fn start(arguments: &[&str]) -> Watched {
        Watched {
            server: Brooklet::start(arguments),
            browser: Browser::start(),
        }
    }

    /// Opens a path of the server, such as "/live/door".
    pub(crate) fn open_path(&mut self, path: &str) {
        let url = format!("http://{}{path}", self.server.http_address());
        self.browser.open(&url);
    }

    /// Waits until a player shows moving frames, without a message over them.
    pub(crate) fn wait_until_it_plays(&mut self) {
        self.wait_for(
            "the video moves",
            "document.querySelector('.player video').currentTime > 0 && !said() && shown() > 5"
                .replace("said()", SAID)
                .replace("shown()", SHOWN)
                .as_str(),
        );
    }

    /// Waits for `count` more decoded frames; returns how many were dropped since the start.
    pub(crate) fn wait_for_frames(&mut self, count: u32) -> f64 {
        let first = self.number(SHOWN);
        let enough = format!("{SHOWN} > {first} + {count}");
        self.wait_for(&format!("{count} frames are decoded"), &enough);
        let error = self.evaluate("document.querySelector('.player video').error");
        assert!(error.is_null(), "{error}");
        self.number(
            "document.querySelector('.player video').getVideoPlaybackQuality().droppedVideoFrames",
        )
    }

    /// The message that the player shows over the video.
    pub(crate) fn said(&mut self) -> String {
        self.text(SAID)
    }

    /// Ends the test: fails if anything went wrong in the page.
    pub(crate) fn check(&self) {
        self.browser.check(&[self.server.http_address()]);
    }

    /// Ends a test in which another site's page played.
    pub(crate) fn check_at(&self, site: &Site) {
        self.browser
            .check(&[self.server.http_address(), site.address()]);
    }
}

/// The player's message.
pub(crate) const SAID: &str = "document.querySelector('.message p').textContent";

/// The number of frames that it has decoded since it connected.
pub(crate) const SHOWN: &str =
    "document.querySelector('.player video').getVideoPlaybackQuality().totalVideoFrames";

impl Deref for Watched {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        &self.browser
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Browser {
        &mut self.browser
    }
}
