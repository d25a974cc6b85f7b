//! Pushes and pulls over the API and in the metrics: what it takes, what it refuses, and who may ask.

use std::time::Duration;

use brooklet::config::{Secret, parse_pull, parse_push};
use brooklet::{Config, Server};
use serde_json::{Value, json};

use crate::common::client::{Client, server, wait_until};
use crate::common::http::{Answer, HttpClient};

/// What must not be seen anywhere.
const SECRET: &str = "tops3cret";

const KINDS: [&str; 2] = ["pushes", "pulls"];

/// Each request takes a connection of its own.
fn polled() -> Config {
    Config::default().max_connect_rate(1000)
}

/// Sends a request, with a body unless that is empty.
fn ask(server: &Server, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut client = HttpClient::connect(server.http_addresses()[0]);
    let mut headers = format!("Connection: close\r\n{headers}");
    if !body.is_empty() {
        headers += &format!("Content-Length: {}\r\n", body.len());
    }
    client.request(method, &format!("/api/v1/{path}"), &headers);
    client.send(body);
    match method {
        "HEAD" => client.bodiless_answer(),
        _ => client.answer(),
    }
}

fn post(server: &Server, kind: &str, body: &str) -> Answer {
    ask(server, "POST", kind, "", body.as_bytes())
}

fn begin(server: &Server, kind: &str, body: &str) -> u64 {
    let answer = post(server, kind, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = serde_json::from_str::<Value>(&answer.text()).unwrap()["id"].as_u64();
    id.unwrap()
}

/// The entries of a list, from the list itself and from that of the streams.
fn list(server: &Server, kind: &str) -> Vec<Value> {
    let lists = [kind, "streams"].map(|path| {
        let answer = ask(server, "GET", path, "", b"");
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
        let list: Value = serde_json::from_str(&answer.text()).unwrap();
        list[kind].as_array().unwrap().clone()
    });
    let names = |list: &[Value]| -> Vec<_> {
        let entries = list.iter();
        entries
            .map(|entry| (entry["id"].clone(), entry["stream"].clone()))
            .collect()
    };
    assert_eq!(names(&lists[0]), names(&lists[1]));
    let [list, _] = lists;
    list
}

/// A target or source where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    format!("rtmp://{}/far/{SECRET}", listener.local_addr().unwrap())
}

fn camera(server: &Server, name: &str) -> Client {
    let mut camera = Client::publishing(server.rtmp_addresses()[0], "live", name);
    camera.send_headers();
    camera.send_frame(1, 0, true, 500);
    camera
}

#[test]
fn wrong_bodies_are_refused_with_what_was_expected() {
    let server = server(polled());
    let long = format!("live/door=rtmp://h/a/{}", "x".repeat(2048));
    let too_long = "x".repeat(4097);
    for (kind, body, status, words) in [
        ("pushes", "", 400, "live/door=rtmp://HOST/APP/KEY"),
        ("pulls", "", 400, "live/door=rtmp://HOST/APP/NAME"),
        ("pushes", "live/door", 400, "live/door=rtmp://HOST/APP/KEY"),
        ("pulls", "live/door", 400, "live/door=rtmp://HOST/APP/NAME"),
        ("pushes", "=rtmp://h/a/tops3cret", 400, "live/door=rtmp://"),
        ("pushes", "live/door=", 400, "not a URL"),
        ("pulls", "live/door=tops3cret", 400, "not a URL"),
        (
            "pushes",
            "live/door=rtmp://h/tops3cret/",
            400,
            "no stream name",
        ),
        ("pushes", "live/door=rtmp://:tops3cret@/a/k", 400, "no host"),
        (
            "pulls",
            "live/door=rtmp://h:99999/a/tops3cret",
            400,
            "the port",
        ),
        (
            "pushes",
            "live/door=rtmp://h/a/tops3cret x",
            400,
            "write %20",
        ),
        (
            "pushes",
            "live/door=http://h/tops3cret",
            400,
            "for a push, not http://",
        ),
        (
            "pulls",
            "live/door=file:///tops3cret",
            400,
            "unknown scheme file://",
        ),
        (
            "pulls",
            "live/*=rtmp://h/a/tops3cret",
            400,
            "a stream and its source",
        ),
        ("pushes", "live/door=@/etc/passwd", 400, "a URL, not a file"),
        (
            "pulls",
            "live/door=@/etc/passwd,on-demand",
            400,
            "a URL, not a file",
        ),
        ("pushes", &*long, 400, "longer than 2048 bytes"),
        ("pulls", &*too_long, 413, "more than 4096 bytes"),
    ] {
        let answer = post(&server, kind, body);
        let text = answer.text();
        assert_eq!(answer.status, status, "{kind} {body}: {text}");
        assert!(text.contains(words), "{kind} {body}: {text}");
        assert!(!text.contains(SECRET), "{text}");
    }
    for kind in KINDS {
        let answer = ask(&server, "POST", kind, "", b"live/door=rtmp://h/a/\xFFx");
        assert_eq!(answer.status, 400, "not UTF-8");
        let chunked = "Transfer-Encoding: chunked\r\n";
        assert_eq!(ask(&server, "POST", kind, chunked, b"").status, 501);
        assert_eq!(list(&server, kind), Vec::<Value>::new());
    }
}

#[test]
fn what_is_there_already_is_refused_until_it_is_ended() {
    let server = server(polled());
    for kind in KINDS {
        let url = nowhere();
        let body = format!("live/door={url}");
        let first = begin(&server, kind, &body);
        for again in [body.clone(), format!(" {body}\n")] {
            let answer = post(&server, kind, &again);
            let name = kind.trim_end_matches("es").trim_end_matches('s');
            let expected = format!("{name} {first} does that already\n");
            assert_eq!((answer.status, answer.text()), (409, expected));
        }
        // Another stream, or another place, is another matter.
        let others = [format!("live/other={url}"), format!("live/door={url}2")];
        for other in &others {
            assert!(begin(&server, kind, other) > first);
        }
        assert_eq!(list(&server, kind).len(), 3);
        let path = format!("{kind}/{first}");
        for status in [204, 404] {
            let answer = ask(&server, "DELETE", &path, "", b"");
            assert_eq!(answer.status, status);
            let what = if kind == "pushes" { "push" } else { "pull" };
            let expected = format!("no {what} {first}\n");
            assert_eq!(
                answer.text(),
                if status == 404 {
                    expected
                } else {
                    String::new()
                }
            );
        }
        assert_eq!(list(&server, kind).len(), 2);
        assert!(begin(&server, kind, &body) > first);
    }
}

#[test]
fn the_settings_begin_nothing_twice() {
    let push = parse_push("live/door=rtmp://127.0.0.1/a/k").unwrap();
    let pull = parse_pull("live/other=rtmp://127.0.0.1/a/k,on-demand").unwrap();
    let config = polled().pushes(vec![push.clone(), push]);
    let server = server(config.pulls(vec![pull.clone(), pull]));
    assert_eq!((server.pushes().len(), server.pulls().len()), (1, 1));
}

#[test]
fn a_push_of_a_stream_that_nobody_publishes_waits_for_it() {
    let far = server(Config::default());
    let near = server(polled());
    let target = format!("rtmp://{}/far/{SECRET}", far.rtmp_addresses()[0]);
    wait_until("time passes", || near.uptime() > Duration::from_millis(1));
    let before = near.uptime();
    let id = begin(&near, "pushes", &format!("live/door={target}"));
    assert!(Duration::from_millis(near.pushes()[0].since + 1) > before);
    let listed = list(&near, "pushes").remove(0);
    let shown = target.replace(SECRET, "***");
    for (name, expected) in [
        ("id", json!(id)),
        ("stream", json!("live/door")),
        ("target", json!(shown)),
        ("state", json!("waiting")),
        ("bytes", json!(0)),
        ("connections", json!(0)),
        ("attempts", json!(0)),
        ("why", json!("nobody publishes it")),
        ("next_try_s", Value::Null),
        ("on_demand", json!(false)),
    ] {
        assert_eq!(listed[name], expected, "{name}");
    }
    let camera = camera(&near, "door");
    let is_live = |entry: &Value| entry["state"] == "live" && entry["bytes"].as_u64() > Some(500);
    wait_until("it is pushed", || is_live(&list(&near, "pushes")[0]));
    // Its end is that of the push of this stream, but not of what was asked for.
    drop(camera);
    assert_eq!(list(&near, "pushes")[0]["id"], id);
    assert_eq!(
        ask(&near, "DELETE", &format!("pushes/{id}"), "", b"").status,
        204
    );
    wait_until("the far stream ends", || {
        let streams = far.streams();
        streams.iter().all(|stream| !stream.report.is_live)
    });
}

#[test]
fn a_place_that_does_not_exist_is_named_in_the_state() {
    let server = server(polled());
    let _camera = camera(&server, "door");
    let unknown = format!("rtmp://nowhere.invalid/far/{SECRET}");
    for (kind, stream, url, words) in [
        ("pushes", "live/door", nowhere(), "refused"),
        ("pushes", "live/door", unknown.clone(), "nowhere.invalid"),
        ("pulls", "live/one", nowhere(), "refused"),
        ("pulls", "live/two", unknown, "nowhere.invalid"),
    ] {
        let id = begin(&server, kind, &format!("{stream}={url}"));
        let mut entry = Value::Null;
        wait_until("the attempt has failed", || {
            let all = list(&server, kind);
            entry = all.into_iter().find(|entry| entry["id"] == id).unwrap();
            entry["state"] == "backing off"
        });
        let why = entry["why"].as_str().unwrap();
        assert!(why.contains(words), "{why}");
        assert!(entry["attempts"].as_u64() > Some(0), "{entry}");
        assert!(entry["next_try_s"].as_f64().is_some(), "{entry}");
    }
    let metrics = {
        let mut client = HttpClient::connect(server.http_addresses()[0]);
        client.get("/metrics").text()
    };
    assert!(!metrics.contains(SECRET), "{metrics}");
    for (kind, count) in [("push", 2), ("pull", 2)] {
        let name = format!("brooklet_{kind}_state{{");
        let states = metrics.lines().filter(|line| line.starts_with(&name));
        let backing_off = states.filter(|line| line.contains(r#"state="backing off"} 1"#));
        let name = format!("brooklet_{kind}_failed_attempts{{");
        let failed = metrics.lines().filter(|line| line.starts_with(&name));
        let failed = failed.filter(|line| !line.ends_with(" 0"));
        // One may try again right now.
        assert!(backing_off.count() <= count, "{metrics}");
        assert_eq!(failed.count(), count, "{metrics}");
    }
}

#[test]
fn a_pull_ends_with_its_stream_and_its_name() {
    let far = server(Config::default());
    let _camera = camera(&far, "door");
    let near = server(polled());
    let url = format!("rtmp://{}/live/door", far.rtmp_addresses()[0]);
    let id = begin(&near, "pulls", &format!("live/copy={url}"));
    wait_until("it is pulled", || {
        list(&near, "pulls")[0]["state"] == "live"
    });
    assert_eq!(
        ask(&near, "DELETE", &format!("pulls/{id}"), "", b"").status,
        204
    );
    wait_until("nobody watches there", || {
        far.streams()[0].report.viewer_count() == 0
    });
    assert_eq!(list(&near, "pulls"), Vec::<Value>::new());
    // Waits for a viewer, and isn't to be seen among the streams.
    begin(&near, "pulls", &format!("live/later={url},on-demand"));
    wait_until("it waits", || {
        list(&near, "pulls")[0]["why"] == "nobody watches"
    });
    let entry = &list(&near, "pulls")[0];
    assert_eq!(
        (&entry["state"], &entry["on_demand"]),
        (&json!("waiting"), &json!(true))
    );
}

#[test]
fn methods_that_mean_nothing_are_refused_with_those_that_do() {
    let server = server(polled());
    for kind in KINDS {
        let id = begin(&server, kind, &format!("live/door={}", nowhere()));
        for (method, path, status, allowed) in [
            ("HEAD", kind.to_owned(), 200, None),
            (
                "OPTIONS",
                kind.to_owned(),
                204,
                Some("GET, HEAD, POST, OPTIONS"),
            ),
            (
                "PUT",
                kind.to_owned(),
                405,
                Some("GET, HEAD, POST, OPTIONS"),
            ),
            (
                "DELETE",
                kind.to_owned(),
                405,
                Some("GET, HEAD, POST, OPTIONS"),
            ),
            ("GET", format!("{kind}/{id}"), 405, Some("DELETE, OPTIONS")),
            ("POST", format!("{kind}/{id}"), 405, Some("DELETE, OPTIONS")),
            (
                "OPTIONS",
                format!("{kind}/{id}"),
                204,
                Some("DELETE, OPTIONS"),
            ),
            ("DELETE", format!("{kind}/999"), 404, None),
            ("DELETE", format!("{kind}/x"), 404, None),
            ("DELETE", format!("{kind}/-1"), 404, None),
            ("DELETE", format!("{kind}/{id}/x"), 404, None),
        ] {
            let answer = ask(&server, method, &path, "", b"");
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(answer.header("allow"), allowed, "{method} {path}");
        }
        assert_eq!(list(&server, kind).len(), 1);
    }
    // What is pushed doesn't end what is pulled.
    let other = server.pulls()[0].id;
    let answer = ask(&server, "DELETE", &format!("pushes/{other}"), "", b"");
    assert_eq!((answer.status, server.pulls().len()), (404, 1));
}

#[test]
fn only_those_with_rights_see_begin_and_end_them() {
    let open = polled();
    let keyed = polled().api_key(Some(Secret::new("api-key")));
    let right = "Authorization: Bearer api-key\r\n";
    for (config, headers, status) in [
        (open.clone(), "", 0),
        (open.clone(), "Origin: http://localhost\r\n", 0),
        (open.clone(), "Origin: http://evil.example\r\n", 403),
        (open.clone(), "Sec-Fetch-Site: cross-site\r\n", 403),
        (open, "X-Forwarded-For: 203.0.113.5\r\n", 403),
        (keyed.clone(), right, 0),
        (keyed.clone(), "", 401),
        (keyed.clone(), "Authorization: Bearer wrong-key\r\n", 401),
        // What a browser sends by itself.
        (
            keyed,
            "Authorization: Basic dmlld2VyOmFwaS1rZXk=\r\nOrigin: http://evil.example\r\n",
            401,
        ),
    ] {
        let push = parse_push(&format!("live/door={}", nowhere())).unwrap();
        let pull = parse_pull(&format!("live/other={},on-demand", nowhere())).unwrap();
        let server = server(config.pushes(vec![push]).pulls(vec![pull]));
        let body = format!("live/third={}", nowhere());
        for (kind, id) in [("pushes", 1), ("pulls", 2)] {
            for (method, path, body, usual) in [
                ("GET", kind.to_owned(), "", 200),
                ("POST", kind.to_owned(), &*body, 200),
                ("DELETE", format!("{kind}/{id}"), "", 204),
                ("DELETE", format!("{kind}/77"), "", 404),
            ] {
                let answer = ask(&server, method, &path, headers, body.as_bytes());
                let expected = if status == 0 { usual } else { status };
                assert_eq!(answer.status, expected, "{method} {path} {headers}");
                let is_shown = status != 0 && answer.text().contains("rtmp://");
                assert!(!is_shown, "{}", answer.text());
            }
            // Anybody may ask for the streams, but isn't told where they go.
            let streams = ask(&server, "GET", "streams", headers, b"");
            let streams: Value = serde_json::from_str(&streams.text()).unwrap_or_default();
            assert_eq!(streams[kind].is_array(), status == 0, "{headers}");
            let mut client = HttpClient::connect(server.http_addresses()[0]);
            client.request("GET", "/metrics", headers);
            let metrics = client.answer().text();
            let has_any = metrics.contains("brooklet_push_") || metrics.contains("brooklet_pull_");
            assert_eq!(has_any, status == 0, "{headers}");
        }
        // Each was replaced by another one, or nothing has happened.
        let ids = [server.pushes()[0].id, server.pulls()[0].id];
        assert_eq!(ids == [1, 2], status != 0, "{headers}");
    }
}
