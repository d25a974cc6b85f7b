//! The page behind a proxy that serves it under a path.

use super::common::nginx::Site;
use super::{Browser, SHOWN, clock};

#[test]
#[ignore = "needs Chromium, ffmpeg, nginx"]
fn the_page_plays_and_hands_out_urls_under_a_path() {
    let site = Site::start_under("/cams/", &[]);
    let at = format!("http://{}/cams/", site.address);
    let mut browser = Browser::start();
    let _publisher = clock::publish(&site.server.url("door"));
    browser.open(&at);
    browser.wait_for("the stream is there", "document.querySelector('.play')");
    let urls = "[...document.querySelectorAll('article .url input')].map(i => i.value).join()";
    let urls = browser.text(urls);
    for form in [".flv", ".mp4", ".m3u8", ""] {
        let url = format!(",{at}live/door{form}");
        assert!(urls.contains(&url), "{urls}");
    }
    let link = browser.text("document.querySelector('h2 a').href");
    assert_eq!(link, format!("{at}live/door"));
    browser.click(".play");
    browser.wait_for("the video moves", &format!("{SHOWN} > 30"));
    browser.open(&link);
    browser.wait_for("it is alone", "document.title === 'live/door'");
    browser.wait_for("the video moves", &format!("{SHOWN} > 30"));
    let requests = browser.requests();
    let outside = |url: &&String| !url.replacen("ws", "http", 1).starts_with(&at);
    let outside: Vec<_> = requests
        .iter()
        .filter(|url| !url.starts_with("data:") && !url.starts_with("blob:"))
        .filter(outside)
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert!(requests.iter().any(|url| url.starts_with("ws")));
    browser.check(&[site.address]);
}
