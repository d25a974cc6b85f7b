//! Streams that would come back to a server that they have passed: by pushes, by pulls, and by both.

use crate::common::Brooklet;
use crate::common::http::HttpClient;
use crate::common::servers::free_address;
use crate::scenario::{finish, publish, wait_for_connection, wait_for_relay};
use crate::source::Source;

/// Seconds of a stream that doesn't end by itself.
const LONG: u32 = 60;

const CIRCLE: &str = "this stream comes from this server: it would go in a circle";

/// Waits until a push or pull has failed because of a circle, and its log and that of the other server say so.
fn wait_for_refusal(server: &Brooklet, kind: &str, other: &Brooklet) {
    wait_for_relay(server, kind, "the circle is refused", |report| {
        report["state"] == "backing off" && report["why"].to_string().contains(CIRCLE)
    });
    server.wait_for_log(CIRCLE, 1);
    other.wait_for_log(CIRCLE, 1);
}

/// Begins a push or a pull.
fn begin(server: &Brooklet, kind: &str, body: &str) {
    let mut client = HttpClient::connect(server.http_address());
    let length = body.len();
    client.send(format!(
        "POST /api/v1/{kind} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    let answer = client.answer();
    assert!(answer.status < 300, "{}", answer.text());
}

#[test]
fn a_server_neither_pulls_from_itself_nor_pushes_to_itself() {
    let address = free_address();
    let pull = format!("live/copy=rtmp://{address}/live/door");
    let server = Brooklet::start(&["--rtmp", &address.to_string(), "--pull", &pull]);
    wait_for_refusal(&server, "pulls", &server);

    let server = Brooklet::start(&[]);
    begin(
        &server,
        "pushes",
        &format!("live/door={}", server.url("copy")),
    );
    let source = Source::made_up(LONG);
    let _camera = publish(&source, &server.url("door"));
    wait_for_refusal(&server, "pushes", &server);
}

#[test]
fn two_servers_do_not_pull_a_stream_from_each_other() {
    let (first, second) = (Brooklet::start(&[]), Brooklet::start(&[]));
    begin(
        &first,
        "pulls",
        &format!("live/door={}", second.url("door")),
    );
    wait_for_connection(&first);
    begin(
        &second,
        "pulls",
        &format!("live/door={}", first.url("door")),
    );
    wait_for_refusal(&second, "pulls", &first);
}

#[test]
fn a_server_does_not_pull_what_it_pushes() {
    let far = Brooklet::start(&[]);
    let near = Brooklet::start(&["--grace", "1m"]);
    begin(&near, "pushes", &format!("live/door={}", far.url("door")));
    finish(publish(&Source::made_up(1), &near.url("door")));
    near.wait_for_log("live", 1);
    // Its publisher is away, so that the pull would fill its place.
    begin(&near, "pulls", &format!("live/door={}", far.url("door")));
    wait_for_refusal(&near, "pulls", &far);
}

#[test]
fn a_server_does_not_push_what_it_pulls() {
    let far = Brooklet::start(&[]);
    let near = Brooklet::start(&["--pull", &format!("live/copy={}", far.url("door"))]);
    let source = Source::made_up(LONG);
    let mut camera = publish(&source, &far.url("door"));
    wait_for_relay(&near, "pulls", "the pull is live", |it| {
        it["state"] == "live"
    });
    // From the same address, it would take the stream over.
    begin(&near, "pushes", &format!("live/copy={}", far.url("door")));
    wait_for_refusal(&near, "pushes", &far);
    assert!(camera.is_running());
}

#[test]
fn a_camera_is_pushed_to_where_its_stream_would_be_pulled_from_without_it() {
    let far = Brooklet::start(&[]);
    let both = [
        "--pull",
        &format!("live/door={}", far.url("door")),
        "--push",
        &format!("live/door={}", far.url("door")),
    ];
    let near = Brooklet::start(&both);
    wait_for_connection(&near);
    let source = Source::made_up(LONG);
    let _camera = publish(&source, &near.url("door"));
    // The pull still waits at the far server when the push comes there for the first time.
    wait_for_relay(&near, "pushes", "the push is live", |it| {
        it["state"] == "live"
    });
    wait_for_relay(&near, "pulls", "the pull has given way", |it| {
        it["why"] == "somebody publishes it here"
    });
}

#[test]
fn a_server_may_pull_what_it_pushes_under_another_name() {
    let far = Brooklet::start(&[]);
    let seen = format!("live/seen={}", far.url("door"));
    let near = Brooklet::start(&["--pull", &seen]);
    wait_for_connection(&near);
    begin(&near, "pushes", &format!("live/door={}", far.url("door")));
    let source = Source::made_up(LONG);
    let _camera = publish(&source, &near.url("door"));
    for kind in ["pushes", "pulls"] {
        wait_for_relay(&near, kind, "what arrives is seen", |it| {
            it["state"] == "live"
        });
    }
}
