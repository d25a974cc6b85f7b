//! The page in browsers that differ from Chromium: WebKitGTK and Firefox.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::common::Brooklet;
use super::common::http::HttpClient;
use super::common::media::quiet;
use super::common::process::Program;
use super::other::Other;
use super::{SAID, SHOWN, clock};

const TIME: &str = "document.querySelector('.player video').currentTime";

/// Waits until a player shows moving frames, without a message over them.
fn watch(browser: &mut Other) {
    let plays = format!("{TIME} > 1 && {SHOWN} > 5 && !{SAID}");
    browser.wait_for("the video moves", &plays);
    let frames = browser.number(SHOWN);
    let enough = format!("{SHOWN} > {frames} + 10");
    browser.wait_for("more frames are decoded", &enough);
}

fn page(server: &Brooklet) -> String {
    format!("http://{}/live/door", server.http_address())
}

/// A seek before its decoders are ready hangs it in half of the cases.
#[test]
#[ignore = "needs WebKitGTK's MiniBrowser, Xvfb, ffmpeg"]
fn webkit_plays_video_with_audio_every_time() {
    const LOADS: usize = 6;

    let server = Brooklet::start(&[]);
    let _publisher = clock::publish(&server.url("door"));
    server.wait_for_log("live/door: H.264", 1);
    for _ in 0..LOADS {
        let mut browser = Other::webkit();
        browser.open(&page(&server));
        watch(&mut browser);
        // Another player in the same process.
        browser.open(&page(&server));
        watch(&mut browser);
    }
}

/// Like an iPhone of some years ago.
#[test]
#[ignore = "needs WebKitGTK's MiniBrowser, Xvfb, ffmpeg"]
fn webkit_without_media_source_begins_hls_by_itself() {
    let server = Brooklet::start(&[]);
    let _publisher = clock::publish(&server.url("door"));
    server.wait_for_log("live/door: H.264", 1);
    let site = without_media_source(server.http_address());
    let mut browser = Other::webkit();
    browser.open(&format!("http://{site}/live/door"));
    let plays = format!("{TIME} > 2 && !{SAID}");
    browser.wait_for("it plays", &plays);
    assert_eq!(browser.evaluate("typeof MediaSource"), "undefined");
    let source = "document.querySelector('.player video').currentSrc.includes('.m3u8')";
    assert_eq!(browser.evaluate(source), true);

    browser.open(&format!("http://{site}/"));
    browser.wait_for("the stream is there", "document.querySelector('.play')");
    browser.evaluate("document.querySelector('.play').click()");
    browser.wait_for("it plays in its card", &plays);
}

#[test]
#[ignore = "needs Firefox, ffmpeg"]
fn firefox_plays_video_with_and_without_audio_and_b_frames() {
    let server = Brooklet::start(&[]);
    let publisher = clock::publish(&server.url("door"));
    let mut browser = Other::firefox();
    browser.open(&page(&server));
    watch(&mut browser);
    drop(publisher);
    let mut command = quiet("ffmpeg");
    let arguments = "-re -f lavfi -i testsrc=size=320x180:rate=30 -c:v libx264 -preset ultrafast \
                     -bf 2 -pix_fmt yuv420p -g 60 -f flv";
    command.args(arguments.split_whitespace());
    let _publisher = Program::start(command.arg(server.url("other")));
    browser.open(&page(&server).replace("door", "other"));
    watch(&mut browser);
}

/// A proxy of the server whose pages lack MediaSource.
fn without_media_source(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port can be listened on");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || pass_on(socket, server));
        }
    });
    address
}

/// Handles one connection: answers with a page, or passes it on.
fn pass_on(mut socket: TcpStream, server: SocketAddr) {
    const SCRIPT: &str =
        "<script>delete self.MediaSource; delete self.ManagedMediaSource;</script>";

    let mut head = [0; 4096];
    let Ok(len) = socket.read(&mut head) else {
        return;
    };
    let head = &head[..len];
    let path = String::from_utf8_lossy(head);
    let path = path.split(' ').nth(1).unwrap_or_default();
    if path == "/" || path == "/live/door" {
        let page = HttpClient::connect(server).get(path).text();
        let page = page.replace("<script ", &format!("{SCRIPT}<script "));
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            page.len()
        );
        let _ = socket.write_all(format!("{head}{page}").as_bytes());
        let _ = socket.shutdown(Shutdown::Write);
        return;
    }
    let Ok(mut upstream) = TcpStream::connect(server) else {
        return;
    };
    let _ = upstream.write_all(head);
    if let (Ok(mut from), Ok(mut to)) = (upstream.try_clone(), socket.try_clone()) {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    let _ = std::io::copy(&mut socket, &mut upstream);
    let _ = upstream.shutdown(Shutdown::Both);
}
