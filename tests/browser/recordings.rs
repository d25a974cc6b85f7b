//! Recordings on the page: time lines, seeks, gaps, parts to save.

use std::time::{Duration, Instant};

use serde_json::json;

use super::common::{TempDir, wait_until};
use super::{SHOWN, Watched, clock};

/// The moment that the time line of an hour shows, in ms since 1970.
const POSITION: &str = "+document.querySelectorAll('.line input')[1].value";

/// The spans that the server lists, as pairs of ms since 1970. With a pause, since whoever asks too often is
/// refused for a while.
const SPANS: &str = "new Promise(done => setTimeout(done, 200))\
    .then(() => fetch('../api/v1/recordings')).then(a => a.json()).then(list => list.recordings\
    .flatMap(r => r.spans.map(s => [Date.parse(s.from), Date.parse(s.to)])))";

/// A server that records in files of 10 s, and forgets publishers after one.
fn start(folder: &TempDir) -> Watched {
    start_with(
        folder,
        "--record-segment 10s --record-free off --grace 1s --record",
    )
}

fn start_with(folder: &TempDir, arguments: &str) -> Watched {
    let folder = folder.path().display().to_string();
    let mut arguments: Vec<&str> = arguments.split(' ').collect();
    arguments.push(&folder);
    Watched::start(&arguments)
}

/// The spans, as soon as all of them together are that long.
fn spans(watched: &mut Watched, seconds: f64) -> Vec<[f64; 2]> {
    let mut spans = Vec::new();
    wait_until("enough is recorded", Duration::from_secs(90), || {
        let list = watched.evaluate(SPANS);
        spans = serde_json::from_value(list).unwrap_or_default();
        let sum: f64 = spans.iter().map(|span: &[f64; 2]| span[1] - span[0]).sum();
        sum > seconds * 1000.0
    });
    spans
}

/// Waits for pictures of a recording, and checks that they were made when the time line says.
fn check_picture(watched: &mut Watched, what: &str, wanted: f64, since: Instant) {
    let video = "document.querySelector('.player video')";
    let is_there = format!(
        "{video}.currentSrc.includes('/recordings/') && {SHOWN} > 0 && !{video}.seeking \
         && Math.abs({POSITION} - {wanted}) < 2500"
    );
    watched.wait_for("a picture", &is_there);
    println!("{what}: picture after {:?}", since.elapsed());
    watched.wait_until_it_plays();
    let age = clock::latency(&mut watched.browser).as_secs_f64() * 1000.0;
    let said = watched.number(&format!("Date.now() - {POSITION}"));
    println!("{what}: the picture is {age} ms old, the time line says {said:.0} ms");
    assert!((age - said).abs() < 2500.0, "{age} {said}");
}

fn seek(watched: &mut Watched, what: &str, to: f64) {
    let since = Instant::now();
    watched.evaluate(&format!("location.hash = new Date({to}).toISOString()"));
    check_picture(watched, what, to, since);
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_click_on_the_time_line_plays_what_was_there_and_gaps_are_skipped() {
    let folder = TempDir::new();
    let mut watched = start(&folder);
    let url = watched.server.url("door");
    let publisher = clock::publish(&url);
    watched.open_path("/");
    let runs = "document.querySelector('.runs').textContent.includes('Recording since')";
    watched.wait_for("the card says that it is recorded", runs);
    let link = "document.querySelector('.runs a:not([hidden])')";
    watched.wait_for("it links to the recordings", link);
    watched.open_path("/live/door");
    watched.wait_for("so does the player", link);
    watched.click(".runs a");
    watched.wait_for("they are shown", "document.querySelector('.line')");
    watched.wait_until_it_plays();
    // An hour that has just begun would show too little.
    spans(&mut watched, 26.0);
    wait_until(
        "there is enough of the hour",
        Duration::from_secs(60),
        || watched.number("Date.now() % 3600000") > 30_000.0,
    );
    watched.wait_for(
        "its bar is drawn",
        "document.querySelector('.line i').offsetWidth",
    );

    // A closed file.
    let place = watched.evaluate(
        "(box => ({ x: box.x + box.width * ((Date.now() - 22000) % 3600000) / 3600000, y: box.y + 9 }))\
         (document.querySelectorAll('.line')[1].getBoundingClientRect())",
    );
    let clicked = Instant::now();
    for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
        let mut event = json!({ "type": kind, "x": place["x"], "y": place["y"] });
        if kind != "mouseMoved" {
            event["button"] = json!("left");
            event["clickCount"] = json!(1);
        }
        watched.call("Input.dispatchMouseEvent", event);
    }
    let wanted = watched.number("Date.parse(location.hash.slice(1))");
    let back = watched.number("Date.now()") - wanted;
    assert!((15_000.0..30_000.0).contains(&back), "{back} ms back");
    check_picture(&mut watched, "click, closed file", wanted, clicked);
    watched.screenshot("recordings");

    // The file that is being written.
    let newest = spans(&mut watched, 26.0);
    let end = newest.last().unwrap()[1];
    seek(&mut watched, "growing file", end - 3000.0);
    let first = newest[0][0];
    seek(&mut watched, "oldest file", first + 1000.0);

    // Over a gap.
    drop(publisher);
    watched.server.wait_for_log(" MB in ", 1);
    let end = spans(&mut watched, 26.0).last().unwrap()[1];
    wait_until("the gap is long enough", Duration::from_secs(30), || {
        watched.number("Date.now()") > end + 3500.0
    });
    let _publisher = clock::publish(&url);
    let mut both = Vec::new();
    wait_until("there is a gap", Duration::from_secs(60), || {
        both = spans(&mut watched, 26.0);
        both.len() > 1 && both[1][1] - both[1][0] > 8000.0
    });
    // The page asks for them now and then.
    let bars = "document.querySelectorAll('.line')[1].firstElementChild.children.length > 1";
    watched.wait_for("the gap is drawn", bars);
    let [_, from] = both[0];
    let [to, _] = both[1];
    assert!(to - from > 3000.0, "{from} {to}");
    seek(&mut watched, "before a gap", from - 3000.0);
    watched.wait_for("the gap is skipped", &format!("{POSITION} >= {to} - 1000"));
    check_picture(&mut watched, "behind the gap", to, Instant::now());
    seek(&mut watched, "into the gap", to - 1500.0);
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_part_can_be_saved_and_the_page_fits_a_phone() {
    let folder = TempDir::new();
    let mut watched = start(&folder);
    let _publisher = clock::publish(&watched.server.url("door"));
    let phone = json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true });
    watched.call("Emulation.setDeviceMetricsOverride", phone);
    // The day on which summer time ends.
    let zone = json!({ "timezoneId": "Europe/Berlin" });
    watched.call("Emulation.setTimezoneOverride", zone);
    watched.open_path("/live/door#recordings");
    watched.wait_until_it_plays();
    let [from, _] = spans(&mut watched, 12.0)[0];
    // Lines that are drawn before the list comes get their bars with it, not with the next one.
    watched.prepare(
        "const send = fetch;
         fetch = async (...request) => {
             await new Promise(done => setTimeout(done, 1000));
             return send(...request);
         };",
    );
    watched.open_path("/live/door?late#recordings");
    watched.wait_for("it is played", "document.querySelector('.player')");
    let bars = "document.querySelectorAll('.line')[1].firstElementChild.children.length";
    // An hour that has just begun may have none yet.
    assert!(watched.number(bars) > 0.0 || watched.number("Date.now() % 3600000") < 30_000.0);
    let tomorrow = "document.querySelector('[aria-label=\"Next day\"]')";
    assert_eq!(watched.evaluate(&format!("{tomorrow}.hidden")), true);
    watched.wait_until_it_plays();
    watched.click(".row:nth-last-child(2) button:last-child");
    watched.wait_for(
        "there are ends",
        "!document.querySelector('.row:last-child').hidden",
    );
    // The newest part, since nothing of the future can be saved.
    let [begin, end] = ["Begin", "End"].map(|name| {
        let value = format!("+document.querySelector('[aria-label={name}]').value");
        watched.number(&value)
    });
    assert_eq!(end - begin, 60_000.0);
    assert!(
        end <= watched.number("Date.now()") && end > from,
        "{from} {end}"
    );
    let save = "document.querySelector('.row:last-child a').hidden";
    assert_eq!(watched.evaluate(save), false);
    // "Begin here" and "End here" at two moments.
    for (moment, button) in [(from + 2000.0, 2), (from + 8000.0, 3)] {
        seek(&mut watched, "part", moment);
        watched.click(&format!(".row:last-child :nth-child({button})"));
    }
    let link = "document.querySelector('.row:last-child a').href";
    let saved = format!(
        "fetch({link}).then(async a => [a.status, (await a.arrayBuffer()).byteLength, \
         a.headers.get('content-disposition')])"
    );
    let saved = watched.evaluate(&saved);
    println!("saved: {saved}");
    assert_eq!(saved[0], 200);
    assert!(saved[1].as_u64() > Some(100_000), "{saved}");
    assert!(saved[2].as_str().unwrap().contains("door_20"), "{saved}");
    watched.screenshot("recordings-phone");
    let width = watched.number("document.scrollingElement.scrollWidth");
    assert!(width <= 360.0, "{width} pixels wide");

    for (day, hours) in [
        ("2026-10-25", 25.0),
        ("2026-03-29", 23.0),
        ("2026-03-30", 24.0),
    ] {
        watched.evaluate(&format!("location.hash = '{day}'"));
        let ticks = "document.querySelector('.line').children[1].children.length";
        watched.wait_for("the day has its hours", &format!("{ticks} === {hours}"));
    }
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn what_was_recorded_as_flv_is_offered_as_a_file() {
    let folder = TempDir::new();
    let arguments = "--record-segment 5s --record-format flv --record-free off --record";
    let mut watched = start_with(&folder, arguments);
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door#recordings");
    watched.wait_until_it_plays();
    let [from, _] = spans(&mut watched, 8.0)[0];
    let says =
        "/Recording since .* [0-9.]+ MB today/.test(document.querySelector('.runs').textContent)";
    watched.wait_for("it says how much it is", says);
    watched.evaluate(&format!("location.hash = new Date({from}).toISOString()"));
    let link = "document.querySelector('.message a[download]')";
    watched.wait_for("there is a link", link);
    let pause = "document.querySelector('.row:nth-last-child(2) button').hidden";
    watched.wait_for("there is nothing to play", pause);
    let saved = watched.evaluate(&format!("fetch({link}.href).then(a => [a.status, a.url])"));
    assert_eq!(saved[0], 200);
    assert!(saved[1].as_str().unwrap().contains(".flv"), "{saved}");
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn a_publishers_absence_within_a_file_is_a_gap_on_the_time_line() {
    let folder = TempDir::new();
    let mut watched = start_with(&folder, "--record-free off --grace 30s --record");
    let publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door#recordings");
    watched.wait_until_it_plays();
    spans(&mut watched, 5.0);
    drop(publisher);
    watched.server.wait_for_log("stopped publishing", 1);
    // The gap itself, which the list shows from a second on.
    std::thread::sleep(Duration::from_secs(4));
    let _publisher = clock::publish(&watched.server.url("door"));
    let mut both = Vec::new();
    wait_until("there is a gap", Duration::from_secs(60), || {
        both = spans(&mut watched, 8.0);
        both.len() > 1 && both[1][1] - both[1][0] > 4000.0
    });
    let bars = "document.querySelector('.line').firstElementChild.children.length > 1";
    watched.wait_for("the gap is drawn", bars);
    let [_, from] = both[0];
    let [to, _] = both[1];
    assert!(to - from > 3000.0, "{from} {to}");
    seek(&mut watched, "before a gap", from - 2000.0);
    watched.wait_for("the gap is skipped", &format!("{POSITION} >= {to} - 1000"));
    check_picture(&mut watched, "behind the gap", to, Instant::now());
    watched.check();
}

#[test]
#[ignore = "needs Chromium, ffmpeg"]
fn the_time_line_keeps_up_with_a_time_lapse() {
    let folder = TempDir::new();
    let mut watched = start_with(
        &folder,
        "--record-timelapse 10 --record-free off --grace 1s --record",
    );
    let _publisher = clock::publish(&watched.server.url("door"));
    watched.open_path("/live/door#recordings");
    watched.wait_until_it_plays();
    let [from, _] = spans(&mut watched, 40.0)[0];
    watched.evaluate(&format!(
        "location.hash = new Date({from} + 500).toISOString()"
    ));
    // Two seconds of the video are 20 s, and so says the time line, which is set four times a second.
    let video = "document.querySelector('.player video')";
    watched.wait_for(
        "the recording is played",
        &format!("{video}.currentSrc.includes('/recordings/') && {video}.currentTime > 2"),
    );
    let said = watched.number(&format!(
        "{POSITION} - {from} - {video}.currentTime * 10000"
    ));
    assert!(said.abs() < 10_000.0, "{said} ms off");
    let src = watched.text(&format!("{video}.currentSrc"));
    let time = |src: &str, name: &str| -> Option<f64> {
        src.split(name).nth(1)?.split('&').next()?.parse().ok()
    };
    let end = time(&src, "&to=").expect("a recording has an end");
    // What follows begins where that ended, or is live.
    watched.wait_for("it ends", &format!("{video}.currentSrc !== {src:?}"));
    let next = watched.text(&format!("{video}.currentSrc"));
    let from = time(&next, "&from=").unwrap_or(end);
    assert!(from >= end, "{} ms back", end - from);
    watched.check();
}
