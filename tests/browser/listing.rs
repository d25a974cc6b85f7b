//! What the page shows besides video: how to publish, keys, hostile names.

use serde_json::json;

use super::{SAID, Watched, clock};

const INPUTS: &str = "[...document.querySelectorAll('#publish input')].map(i => i.value).join()";

#[test]
#[ignore = "needs Chromium"]
fn without_streams_the_page_shows_how_to_publish() {
    let mut watched = Watched::start(&[]);
    watched.open_path("/");
    let says = "document.querySelector('header p').textContent === 'Nothing is live.'";
    watched.wait_for("it says so", says);
    assert_eq!(
        watched.evaluate("document.querySelector('#publish').open"),
        true
    );
    let server = format!("rtmp://127.0.0.1:{}/live", watched.server.port());
    let expected =
        format!("{server}/cam,{server},cam,ffmpeg -re -i INPUT -c copy -f flv {server}/cam");
    assert_eq!(watched.text(INPUTS), expected);
    // The URLs that it shows are right.
    watched.click("#publish button");
    let copied = "document.querySelector('#publish button').textContent === 'Copied'";
    watched.wait_for("it is copied", copied);
    watched.screenshot("nothing");
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn the_page_asks_for_a_key_and_passes_it_on_everywhere() {
    // Without an API key, browsers on this machine would see the whole state.
    let mut watched = Watched::start(&["--play-key", "s3cret.~-", "--api-key", "0therk3y"]);
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/");
    watched.wait_for(
        "it asks for a key",
        "!document.querySelector('section').hidden",
    );
    assert_eq!(
        watched.number("document.querySelectorAll('article').length"),
        0.0
    );
    let state = watched.text("document.querySelector('header p').textContent");
    assert_eq!(state, "", "whether something is live it doesn't know");
    watched.screenshot("locked");
    watched.click("section input");
    watched.type_text("a-wrong-one");
    watched.click("section button");
    let word = "document.querySelector('section p').textContent.includes('another key')";
    watched.wait_for("it says that the key is wrong", word);
    watched.click("section input");
    watched.type_text("s3cret.~-");
    watched.click("section button");
    watched.click(".play");
    let address = watched.text("location.pathname + location.search");
    assert_eq!(address, "/", "the key isn't to be seen");
    watched.wait_until_it_plays();
    watched.wait_for_frames(30);
    let link = watched.text("(a => a.pathname + a.search)(document.querySelector('h2 a'))");
    assert_eq!(link, "/live/door?key=s3cret.~-");

    // Where nothing decodes percent signs, there are none.
    let url = watched.text("document.querySelector('article input').value");
    let expected = format!("{}?key=s3cret.~-", watched.server.url("door"));
    assert_eq!(url, expected);

    // The tab remembers the key.
    watched.open_path("/live/door");
    watched.wait_until_it_plays();

    // The page of a single stream asks by itself.
    watched.evaluate("sessionStorage.clear()");
    watched.open_path("/live/door");
    watched.wait_for(
        "it asks for a key",
        "document.querySelector('.message input')",
    );
    assert!(watched.said().contains("wants a key"), "{}", watched.said());
    watched.click(".message input");
    watched.type_text("s3cret.~-");
    watched.press("Enter", 13, "\r");
    watched.wait_for("it has the key", "sessionStorage.brooklet");
    watched.wait_until_it_plays();
    watched.check();
}

/// On the server's own machine the list shows all streams.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn on_the_servers_own_machine_a_player_asks_for_the_key() {
    let mut watched = Watched::start(&["--play-key", "s3cret"]);
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/");
    for (said, key) in [("wants a key", "wrong"), ("wants another key", "s3cret")] {
        watched.click(".play");
        let asks = format!("{SAID}.includes(\"{said}\")");
        watched.wait_for("it asks for a key", &asks);
        watched.click(".message input");
        watched.type_text(key);
        watched.press("Enter", 13, "\r");
        let is_kept = format!("sessionStorage.brooklet === '[[\"key\",\"{key}\"]]'");
        watched.wait_for("it is kept", &is_kept);
    }
    watched.click(".play");
    watched.wait_until_it_plays();
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn stream_names_are_shown_as_plain_text() {
    const NAME: &str = "<s>&amp;\"'";

    let mut watched = Watched::start(&[]);
    let _publisher = clock::publish(&watched.server.url(NAME));
    watched.open_path("/");
    watched.wait_for("the stream is there", "document.querySelector('h2 a')");
    let name = format!("live/{NAME}");
    assert_eq!(
        watched.text("document.querySelector('h2').textContent"),
        name
    );
    assert_eq!(watched.number("document.querySelectorAll('s').length"), 0.0);
    watched.click(".play");
    watched.wait_until_it_plays();
    let page = watched.text("document.querySelector('h2 a').pathname");
    watched.open_path(&page);
    watched.wait_until_it_plays();
    assert_eq!(watched.text("document.title"), name);
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_stream_that_cannot_be_shown_says_why() {
    let mut watched = Watched::start(&[]);
    watched.prepare(
        "MediaSource.isTypeSupported = () => false;
         HTMLMediaElement.prototype.canPlayType = () => '';",
    );
    let _publisher = clock::publish(&watched.server.url("door"));
    let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
    watched.call("Emulation.setDeviceMetricsOverride", phone);
    watched.open_path("/");
    watched.click(".play");
    watched.wait_for("it says why", &format!("{SAID}.includes('cannot play')"));
    let is_inside = "((text, box) => text.top >= box.top && text.bottom <= box.bottom)\
        (...['.message p', '.screen'].map(s => document.querySelector(s).getBoundingClientRect()))";
    watched.screenshot("cannot-play");
    assert_eq!(watched.evaluate(is_inside), true);
    watched.check();
}

/// What is copied is pasted into shells.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn copied_commands_are_quoted_for_a_shell() {
    const NAME: &str = "-x;$(id)`id`'\"&|*<>!(a){b}";

    let mut watched = Watched::start(&[]);
    let _publisher = clock::publish(&watched.server.url(NAME));
    // A link with a malicious name.
    watched.open_path("/?key=1;id&id&x=`id`");
    watched.wait_for("the stream is there", "document.querySelector('h2 a')");
    let fields = "[...document.querySelectorAll('article input')].map(i => i.value).join('\\n')";
    let copied = watched.text(fields);
    assert_eq!(copied.lines().count(), 5);
    for line in copied.lines() {
        // The shell itself shows how it would split it; nothing is run.
        let script = format!("printf '%s\\n' {line}");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{line}"
        );
        let word = String::from_utf8(output.stdout).unwrap();
        let expected = match line.strip_prefix('\'') {
            Some(_) => format!("{}?key=1%3Bid", watched.server.url(NAME)),
            None => line.to_owned(),
        };
        assert_eq!(word.trim_end(), expected);
    }
    assert!(copied.starts_with("'rtmp://"), "{copied}");
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn the_page_can_be_used_by_keyboard() {
    let mut watched = Watched::start(&[]);
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/");
    watched.wait_for("the stream is there", "document.querySelector('.play')");
    watched.press("Tab", 9, "");
    let focused = "document.activeElement.getAttribute('aria-label')";
    assert_eq!(watched.text(focused), "Play live/door");
    watched.press("Enter", 13, "\r");
    watched.wait_until_it_plays();
    let focused = "document.activeElement.textContent";
    assert_eq!(watched.text(focused), "Sound on");
    watched.press(" ", 32, " ");
    watched.wait_for(
        "there is audio",
        "!document.querySelector('.player video').muted",
    );
    watched.press("Tab", 9, "");
    watched.press("Tab", 9, "");
    assert_eq!(watched.text(focused), "Stop");
    watched.press("Enter", 13, "\r");
    watched.wait_for("it stops", "!document.querySelector('.player')");
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn the_page_fits_a_phone_in_dark_mode() {
    let mut watched = Watched::start(&[]);
    let _publisher = clock::publish(
        &watched
            .server
            .url("a-name-that-is-longer-than-a-phone-is-wide"),
    );
    let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
    watched.call("Emulation.setDeviceMetricsOverride", phone);
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    watched.call("Emulation.setEmulatedMedia", dark);
    watched.open_path("/");
    watched.click(".play");
    watched.wait_until_it_plays();
    watched.click("summary");
    let width = watched.number("document.scrollingElement.scrollWidth");
    watched.screenshot("phone");
    assert!(width <= 360.0, "{width} pixels wide");
    let back = watched.text("getComputedStyle(document.body).backgroundColor");
    assert_eq!(back, "rgb(18, 20, 22)");
    assert_eq!(watched.said(), "");
    watched.check();
}
