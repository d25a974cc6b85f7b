//! Pushes and pulls on the page: what is shown, and that it can be changed by those who may.

use serde_json::json;

use super::common::Brooklet;
use super::other::Other;
use super::{Watched, clock};

/// What must not be seen.
const SECRET: &str = "tops3cret";

/// The texts of all rows, those in cards first.
const ROWS: &str = "[...document.querySelectorAll('article > div + * ~ div p, #relays > div p')]\
    .map(p => p.textContent)";
/// The row of a stream that has no card.
const ALONE: &str = "document.querySelector('#relays > div').textContent";
/// The row in the first card.
const IN_CARD: &str = "document.querySelector('article').children[5].textContent";
const ERROR: &str = "document.querySelector('#relays > [role]').textContent";

/// Answers yes to everything, and remembers the question.
const CONFIRM: &str = "window.confirm = text => { window.asked = text; return true; };";

fn target(far: &Brooklet, name: &str) -> String {
    format!("rtmp://127.0.0.1:{}/far/{name}", far.port())
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn pushes_and_pulls_are_shown_and_pushes_begin_and_end_by_keyboard() {
    let far = Brooklet::start(&[]);
    let pull = format!("live/away={},on-demand", target(&far, SECRET));
    let mut watched = Watched::start(&["--pull", &pull]);
    watched.prepare(CONFIRM);
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/");
    let masked = target(&far, "***");
    let waits = format!(
        "{ALONE}.startsWith('live/away: Pull from {masked} · waiting since ') && \
         {ALONE}.includes('nobody watches')"
    );
    watched.wait_for("the pull is there, without a card", &waits);
    watched.wait_for("the stream is there", "document.querySelector('.play')");

    // From the card's link on, the next fields are reached by keyboard.
    watched.evaluate("document.querySelector('#relays input').focus()");
    watched.type_text("live/door=ftp://127.0.0.1/a/b");
    watched.press("Tab", 9, "");
    assert_eq!(watched.text("document.activeElement.textContent"), "Begin");
    watched.press("Enter", 13, "\r");
    watched.wait_for(
        "it says why",
        &format!("{ERROR}.includes('unknown scheme ftp')"),
    );
    let kept = watched.text("document.querySelector('#relays input').value");
    assert_eq!(kept, "live/door=ftp://127.0.0.1/a/b");
    watched.evaluate("document.querySelector('#relays input').select()");
    watched.type_text(&format!("live/door={}", target(&far, SECRET)));
    watched.press("Enter", 13, "\r");
    let live = format!(
        "{IN_CARD}.startsWith('Push to {masked} · live since ') && {IN_CARD}.includes('bit/s')"
    );
    watched.wait_for("it is pushed, and in the card", &live);
    assert_eq!(watched.text(ERROR), "");
    assert_eq!(
        watched.text("document.querySelector('#relays input').value"),
        ""
    );
    far.wait_for_log(": publishing", 1);
    watched.screenshot("relays");

    // What is focused stays, while the figures change.
    let end = "document.querySelector('article > div button[type]')";
    watched.evaluate(&format!("{end}.focus()"));
    let before = watched.text(IN_CARD);
    watched.wait_for(
        "the figures change",
        &format!("{IN_CARD} !== {}", json!(before)),
    );
    let label = format!("End: live/door: Push to {masked}");
    assert_eq!(watched.text("document.activeElement.ariaLabel"), label);
    watched.press("Enter", 13, "\r");
    watched.wait_for("it is gone", &format!("{IN_CARD} === ''"));
    assert_eq!(watched.text("asked"), label);
    far.wait_for_log("stopped publishing", 1);

    // One that fails says why, and when it tries again.
    watched.evaluate("document.querySelector('#relays input').focus()");
    watched.type_text(&format!("live/door=rtmp://nowhere.invalid/far/{SECRET}"));
    watched.press("Enter", 13, "\r");
    let fails =
        format!("{IN_CARD}.includes('nowhere.invalid') && {IN_CARD}.includes('next attempt in ')");
    watched.wait_for("it says why it fails", &fails);
    watched.screenshot("relays-failing");
    let text = watched.text("document.documentElement.outerHTML");
    assert!(!text.contains(SECRET), "{text}");
    watched.check();
}

/// Everything that is shown is text, whoever has written it.
#[test]
#[ignore = "needs Chromium"]
fn what_other_servers_say_is_shown_as_plain_text() {
    let mut watched = Watched::start(&[]);
    watched.prepare(
        "const hostile = '<img src=x onerror=\"window.hurt=1\"><s>\\'\"&amp;</s><script>hurt=1</script>';
         const fetched = window.fetch;
         window.fetch = async (url, options) => {
           if (options && options.method) return new Response(hostile, { status: 409 });
           const answer = await fetched(url, options);
           if (!url.includes('api/v1/streams')) return answer;
           const list = await answer.json();
           const relay = { id: 1, stream: hostile, target: hostile, state: hostile, why: hostile, bytes: 5,
             since: hostile, uptime_s: 3, bits_per_second: 9, skips: 2, next_try_s: 2.5 };
           list.pushes = list.pulls = [relay];
           return new Response(JSON.stringify(list));
         };",
    );
    watched.prepare(CONFIRM);
    watched.open_path("/");
    watched.wait_for(
        "two rows are there",
        "document.querySelectorAll('#relays button[type]').length === 2",
    );
    watched.evaluate("document.querySelector('#relays button[type]').click()");
    watched.evaluate("document.querySelector('#relays input').value = 'x'");
    watched.click("#relays label button");
    watched.wait_for(
        "the answer is there",
        &format!("{ERROR}.startsWith('<img')"),
    );
    let rows = watched.evaluate(ROWS);
    let first = rows[0].as_str().unwrap();
    assert!(
        first.contains("<script>hurt=1</script>: Push to <img"),
        "{first}"
    );
    assert!(first.contains("2 skips"), "{first}");
    for made in [
        "#relays img, #relays s, #relays script",
        "main img, main script",
    ] {
        let count = format!("document.querySelectorAll('{made}').length");
        assert_eq!(watched.number(&count), 0.0, "{made}");
    }
    assert!(watched.evaluate("window.hurt").is_null());
    watched.check();
}

/// Who may not see them isn't even told that there are any, and asks for nothing that is refused.
#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn without_rights_there_is_neither_a_list_nor_a_form() {
    let far = Brooklet::start(&[]);
    let push = format!("live/door={}", target(&far, SECRET));
    let mut watched = Watched::start(&["--push", &push, "--api-key", "4dm1n-k3y"]);
    let _publisher = clock::publish(&watched.server.url("door"));
    far.wait_for_log(": publishing", 1);
    watched.open_path("/");
    watched.wait_for("the stream is there", "document.querySelector('.play')");
    assert_eq!(
        watched.evaluate("document.querySelector('#relays').hidden"),
        true
    );
    assert_eq!(watched.text(IN_CARD), "");
    let asked = watched.requests();
    assert!(asked.iter().all(|url| !url.contains("pu")), "{asked:?}");

    watched.open_path("/?api_key=4dm1n-k3y");
    watched.wait_for("it is there", &format!("{IN_CARD}.includes('live since')"));
    assert_eq!(
        watched.evaluate("document.querySelector('#relays').hidden"),
        false
    );
    watched.evaluate("window.confirm = () => true");
    watched.click("article > div button[type]");
    watched.wait_for("it is ended", &format!("{IN_CARD} === ''"));
    far.wait_for_log("stopped publishing", 1);
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn relays_fit_a_phone_in_dark_mode() {
    let long = "a-key-that-is-longer-than-a-phone-is-wide/".repeat(3);
    let push = format!("live/door=rtmp://nowhere.invalid/{long}{SECRET}");
    let pull = format!(
        "live/{}=rtmp://nowhere.invalid/far/{SECRET}",
        "far-away-".repeat(8)
    );
    let mut watched = Watched::start(&["--push", &push, "--pull", &pull]);
    let _publisher = clock::publish(&watched.server.url("door"));
    let phone = json!({ "width": 320, "height": 900, "deviceScaleFactor": 2, "mobile": true });
    watched.call("Emulation.setDeviceMetricsOverride", phone);
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    watched.call("Emulation.setEmulatedMedia", dark);
    watched.open_path("/");
    for place in [IN_CARD, ALONE] {
        let fails = format!("{place}.includes('next attempt in ')");
        watched.wait_for("it says why it fails", &fails);
    }
    watched.screenshot("relays-phone");
    let width = watched.number("document.scrollingElement.scrollWidth");
    assert!(width <= 320.0, "{width} pixels wide");
    watched.check();
}

#[test]
#[ignore = "needs Firefox, ffmpeg"]
fn firefox_shows_begins_and_ends_pushes() {
    let far = Brooklet::start(&[]);
    let near = Brooklet::start(&[]);
    let _publisher = clock::publish(&near.url("door"));
    let mut browser = Other::firefox();
    browser.open(&format!("http://{}/", near.http_address()));
    browser.wait_for("the stream is there", "document.querySelector('.play')");
    let text = json!(format!("live/door={}", target(&far, SECRET)));
    browser.evaluate(&format!(
        "(() => {{ window.confirm = () => true; document.querySelector('#relays input').value = {text};
           document.querySelector('#relays label button').click(); }})()"
    ));
    let live = format!(
        "{IN_CARD}.startsWith('Push to {} · live since ')",
        target(&far, "***")
    );
    browser.wait_for("it is pushed, and in the card", &live);
    far.wait_for_log(": publishing", 1);
    browser.evaluate("document.querySelector('article > div button[type]').click()");
    browser.wait_for("it is gone", &format!("{IN_CARD} === ''"));
    far.wait_for_log("stopped publishing", 1);
}
