//! Keys, users, passwords and tokens are shown nowhere: not in the log at any level with its flight recorders,
//! the page, the API, metrics, lists of processes, recordings, and what commands print.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;

use brooklet::rtmp::base64;

use crate::common::client::{AAC_HEADER, AVC_320X240, Client};
use crate::common::http::HttpClient;
use crate::common::process::{Id, Program};
use crate::common::{Brooklet, PROGRAM, SOON, TempDir, wait_until, without_settings};
use crate::hostile::{FakeServer, read_on, refuse, shake_hands};
use crate::reconnect::leaving_to;

// Words that stand nowhere else. Letters and digits are the same in every encoding but base64.
const KEY: &str = "kq7Zx3vTn9Lw";
const QUERY: &str = "tW4mPz8sRb2Y";
const USER: &str = "uJ6dHf5cQe1X";
const PASSWORD: &str = "pN0gVa9KiXb3+@";
/// The password as it stands in a URL.
const ENCODED: &str = "pN0gVa9KiXb3%2B%40";
const REDIRECT: &str = "rA5wEh2jLq8C";
const WRONG: &str = "wF9bUn4yGs6M";
const OWN: &str = "oD3kTv7rIp1B";
const API: &str = "aS8xNe0cJf5Z";

/// What must not be found.
fn secrets() -> Vec<String> {
    let plain = [KEY, QUERY, USER, "pN0gVa9KiXb3", REDIRECT, WRONG, OWN, API];
    let logins = [[USER, ":", PASSWORD], [USER, ":", WRONG], ["", "", API]];
    let logins = logins.map(|login| base64::encode(login.concat().as_bytes()));
    // The last group depends on what follows.
    let logins = logins.map(|login| login[..login.len() - 4].to_owned());
    plain.map(str::to_owned).into_iter().chain(logins).collect()
}

/// The lines in which something was found, and where.
#[derive(Default)]
struct Leaks(Vec<String>);

impl Leaks {
    fn look(&mut self, place: &str, shown: &str) {
        let secrets = secrets();
        let is_leak = |line: &&str| secrets.iter().any(|secret| line.contains(secret));
        let leaks = shown.lines().filter(is_leak);
        self.0.extend(leaks.map(|line| format!("{place}: {line}")));
    }

    fn assert_none(&self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }
}

/// A server that refuses every publish, and says whatever it knows.
fn talkative(code: &'static str) -> FakeServer {
    FakeServer::start(move |mut stream, _| {
        shake_hands(&mut stream);
        let description = format!(
            "no {KEY} with {KEY}?a={QUERY}%2Bx or {QUERY}+x for {USER}:{PASSWORD} ({ENCODED}), \
             use rtmp://{USER}:{ENCODED}@127.0.0.1/live/{KEY}?token={REDIRECT} instead"
        );
        refuse(&mut stream, code, &description, None);
        read_on(stream);
    })
}

/// A server that sends its clients to another URL.
fn redirecting(to: String) -> FakeServer {
    FakeServer::start(move |mut stream, _| {
        shake_hands(&mut stream);
        let code = "NetConnection.Connect.Rejected";
        refuse(&mut stream, code, "[ code=302 ]", Some(&to));
        read_on(stream);
    })
}

/// A server that answers every request with this text.
fn answering(answer: String) -> FakeServer {
    FakeServer::start(move |mut stream, _| {
        let mut buffer = [0; 4096];
        if stream.read(&mut buffer).is_ok_and(|len| len > 0) {
            let _ = stream.write_all(answer.as_bytes());
        }
    })
}

/// An address at which nobody listens.
fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Everything that a process shows of itself to other users.
fn title(id: Id) -> String {
    let mut shown = String::new();
    for name in ["cmdline", "comm"] {
        let bytes = fs::read(format!("/proc/{id}/{name}")).unwrap();
        shown += &String::from_utf8_lossy(&bytes).replace('\0', " ");
        shown.push('\n');
    }
    for task in fs::read_dir(format!("/proc/{id}/task")).unwrap() {
        let name = task.unwrap().path().join("comm");
        shown += &fs::read_to_string(name).unwrap_or_default();
    }
    shown
}

/// The content of all files in a folder, and their names.
fn files(dir: &Path) -> String {
    let mut shown = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        shown += &format!("{}\n", path.display());
        shown += &match path.is_dir() {
            true => files(&path),
            false => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
        };
    }
    shown
}

/// Answers to requests of all kinds, by a client with all rights.
fn pages(server: &Brooklet) -> String {
    let mut shown = String::new();
    let mut request = |method: &str, path: &str, headers: &str, body: &str| {
        let mut client = HttpClient::connect(server.http_address());
        let login = match headers {
            "" => format!("Authorization: Bearer {API}\r\n"),
            headers => headers.to_owned(),
        };
        let len = body.len();
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{login}Content-Length: {len}\r\n\
             Connection: close\r\n\r\n{body}"
        ));
        let answer = client.answer();
        shown += &format!("{}\n{}\n", answer.head, answer.text());
        answer.status
    };
    for path in [
        "/",
        "/live/door",
        "/api/v1/streams",
        "/api/v1/connections",
        "/api/v1/pushes",
        "/api/v1/pulls",
        "/api/v1/recordings",
        "/metrics",
        "/stat",
        "/healthz",
    ] {
        assert_eq!(request("GET", path, "", ""), 200, "{path}");
    }
    let basic = base64::encode(format!("{USER}:{WRONG}").as_bytes());
    let basic = format!("Authorization: Basic {basic}\r\n");
    for (method, path, headers, body) in [
        (
            "GET",
            format!("/api/v1/pushes?api_key={WRONG}"),
            "A: b\r\n",
            "",
        ),
        ("GET", "/api/v1/pushes".into(), &*basic, ""),
        ("GET", format!("/api/v1/{KEY}?key={WRONG}"), "", ""),
        (
            "GET",
            format!("/live/nobody/index.m3u8?key={WRONG}"),
            &basic,
            "",
        ),
        ("PATCH", format!("/api/v1/pushes?key={WRONG}"), "", ""),
        ("POST", "/api/v1/pushes".into(), "", KEY),
        (
            "POST",
            "/api/v1/pushes".into(),
            "",
            &format!("live/door={KEY}"),
        ),
        (
            "POST",
            "/api/v1/pushes".into(),
            "",
            &format!("live/door=ftp://h/{KEY}"),
        ),
        (
            "POST",
            "/api/v1/pulls".into(),
            "",
            &format!("live/x=rtmp://{KEY}"),
        ),
        (
            "POST",
            "/api/v1/pulls".into(),
            "",
            &format!("live/x=@{KEY}"),
        ),
        ("DELETE", format!("/api/v1/pulls/{KEY}"), "", ""),
    ] {
        let status = request(method, &path, headers, body);
        assert!(
            (400..500).contains(&status),
            "{method} {path} {body}: {status}"
        );
    }
    shown
}

#[test]
fn nothing_secret_is_shown_by_a_server_that_pushes_and_pulls() {
    let mut leaks = Leaks::default();
    let dir = TempDir::new();
    let recordings = dir.join("recordings");
    fs::create_dir(&recordings).unwrap();

    // Other servers: one that is right, and many that aren't.
    let keyed = Brooklet::start(&["--publish-key", QUERY, "--play-key", QUERY]);
    let login = format!("{USER}:{PASSWORD}");
    let asking = Brooklet::start(&["--publish-user", &login]);
    let nobody = closed();
    let [taken, denied, rejected] = [
        "NetStream.Publish.BadName",
        "NetStream.Publish.Denied",
        "NetConnection.Connect.Rejected",
    ]
    .map(talkative);
    let away = redirecting(format!("rtmp://{nobody}/live?token={REDIRECT}"));
    let nowhere = redirecting(format!(
        "ftp://{USER}:{ENCODED}@h/{REDIRECT}?token={REDIRECT}"
    ));
    let broken = redirecting(format!("/live/ %zz?token={REDIRECT}"));
    let leaving = leaving_to(format!("rtmp://{nobody}/live?token={REDIRECT}"), false);
    let web = answering(format!("HTTP/1.1 400 no {KEY}\r\n\r\nno {KEY}"));

    let cameras = [
        format!("HTTP/1.1 401 no {USER} with {PASSWORD} or {ENCODED}\r\n\r\n{QUERY}"),
        format!("HTTP/1.1 302 Found\r\nLocation: http://{nobody}/{REDIRECT}?t={REDIRECT}\r\n\r\n"),
        format!("HTTP/1.1 302 Found\r\nLocation: rtsp://{nobody}/{REDIRECT}\r\n\r\n"),
        format!("HTTP/1.1 302 Found\r\nLocation: /{REDIRECT} x\r\n\r\n"),
        format!("HTTP/1.1 200 {QUERY}\r\nContent-Type: text/html\r\n\r\n{QUERY}"),
        format!("HTTP/1.1 {QUERY} {KEY}\r\n\r\n"),
        format!("{USER} {QUERY}\r\n\r\n"),
    ]
    .map(answering);

    let end = format!("live/{KEY}?a={QUERY}%2Bx");
    let user = format!("{USER}:{ENCODED}@");
    let pushes = [
        (format!("{}?key={QUERY}", keyed.url(KEY)), ": live"),
        (
            keyed.url(KEY).replace("//", &format!("//{user}")),
            "refused",
        ),
        (format!("{}?key={WRONG}", keyed.url(KEY)), "refused"),
        (
            asking.url(KEY).replace("//", &format!("//{user}")),
            ": live",
        ),
        (
            asking.url(KEY).replace("//", &format!("//{USER}:{WRONG}@")),
            "refused user or password",
        ),
        (asking.url(KEY), "wants a login"),
        (
            format!("rtmp://{user}no-such-host.invalid/{end}"),
            "cannot resolve",
        ),
        (format!("rtmp://{user}{nobody}/{end}"), "cannot connect"),
        (
            format!("rtmp://{user}{nobody}/live?key={QUERY}/{KEY}"),
            "cannot connect",
        ),
        (
            format!("rtmp://{user}{}/{end}", taken.address),
            "refused connect",
        ),
        (
            format!("rtmp://{user}{}/{end}", denied.address),
            "refused connect",
        ),
        (
            format!("rtmp://{user}{}/{end}", rejected.address),
            "refused connect",
        ),
        (
            format!("rtmp://{user}{}/{end}", away.address),
            "cannot connect",
        ),
        (
            format!("rtmp://{user}{}/{end}", nowhere.address),
            "redirects to",
        ),
        (
            format!("rtmp://{user}{}/{end}", broken.address),
            "redirects to",
        ),
        (
            format!("rtmp://{user}{}/{end}", leaving.address),
            "asked to connect anew",
        ),
        (format!("rtmp://{user}{}/{end}", web.address), "expected"),
    ];
    let reolink = format!("flv?app=bcs&stream=main.bcs&user={USER}&password={ENCODED}&t={QUERY}");
    let mut pulls: Vec<_> = cameras
        .iter()
        .flat_map(|camera| {
            let place = camera.address;
            [
                format!("http://{place}/{reolink}"),
                format!("http://{user}{place}/live/{KEY}.flv"),
            ]
        })
        .collect();
    pulls.push(format!("rtmp://{user}{nobody}/{end}"));
    pulls.push(format!("{}?key={WRONG}", keyed.url(KEY)));
    pulls.push(format!("http://{user}no-such-host.invalid/{reolink}"));
    let pulls = pulls.iter().enumerate();
    let pulls: Vec<_> = pulls
        .map(|(n, url)| format!("live/pull{n}={url}"))
        .collect();

    let folder = recordings.display().to_string();
    let mut arguments = vec!["--publish-key", OWN, "--api-key", API];
    let options: Vec<_> = pushes
        .iter()
        .map(|(url, _)| format!("--push=live/door={url}"))
        .collect();
    arguments.extend(["--record", &folder, "--record-free", "0"]);
    arguments.extend(options.iter().map(String::as_str));
    let near = Brooklet::start_with(&arguments, |command| {
        command.env("BROOKLET_PULL", pulls.join(","));
        command.env("RUST_LOG", "trace");
    });

    // A publisher with the right key, and others.
    let mut camera = Client::publishing(near.address(), "live", &format!("door?key={OWN}"));
    camera.send_message(9, 1, 0, AVC_320X240);
    camera.send_message(8, 1, 0, AAC_HEADER);
    for number in 0..50 {
        camera.send_frame(number, number * 40, number % 10 == 0, 2_000);
    }
    for (app, name) in [
        ("live", format!("door?key={WRONG}")),
        (
            "live",
            format!("{KEY}?key={WRONG}&user={USER}&pass={WRONG}"),
        ),
        (&format!("live?key={WRONG}"), "door".to_owned()),
        (&format!("live?user={USER}&pass={WRONG}"), "door".to_owned()),
    ] {
        let mut client = Client::connected(near.address(), app);
        client.publish(&name);
        let said = format!("{:?}", client.until_closed());
        leaks.look("the answer to a publisher", &said);
    }

    // Each of them has failed, or is live, as it was meant to.
    for (number, (_, words)) in pushes.iter().enumerate() {
        let start = format!("push {} live/door to ", number + 1);
        wait_until(&format!("{start} says {words}"), SOON, || {
            near.with_log(|log| {
                let mut lines = log.lines().filter(|line| line.contains(&start));
                lines.any(|line| line.contains(words))
            })
        });
    }
    for number in 0..pulls.len() {
        let start = format!(" live/pull{number} from ");
        wait_until(&format!("pull {number} has failed"), SOON, || {
            near.with_log(|log| {
                let mut lines = log.lines().filter(|line| line.contains(&start));
                lines.any(|line| line.contains("Next attempt"))
            })
        });
    }

    // Pushes and pulls that begin and end at run time.
    for (list, body) in [
        (
            "pushes",
            format!("live/door=rtmp://{user}{nobody}/late/{end}"),
        ),
        (
            "pulls",
            format!("live/late=http://{user}{nobody}/{reolink}"),
        ),
    ] {
        let mut client = HttpClient::connect(near.http_address());
        let len = body.len();
        let login = format!("Authorization: Bearer {API}\r\n");
        let headers = format!("{login}Content-Length: {len}\r\n\r\n{body}");
        client.send(format!(
            "POST /api/v1/{list} HTTP/1.1\r\nHost: localhost\r\n{headers}"
        ));
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let id = answer.text();
        let id: String = id.chars().filter(char::is_ascii_digit).collect();
        wait_until("it has been tried", SOON, || {
            let mut client = HttpClient::connect(near.http_address());
            client.request("GET", &format!("/api/v1/{list}"), &login);
            client.answer().text().contains("cannot connect")
        });
        let mut client = HttpClient::connect(near.http_address());
        client.request("DELETE", &format!("/api/v1/{list}/{id}"), &login);
        assert_eq!(client.answer().status, 204);
    }

    leaks.look("an answer over HTTP", &pages(&near));
    leaks.look("the title", &title(near.id()));
    drop(camera);
    near.wait_for_log("stopped publishing", 1);
    let printed = near.printed();
    near.stop();
    assert!(printed.contains("flight recorder"), "{printed}");
    leaks.look("the log", &printed);
    let recorded = files(&recordings);
    assert!(recorded.contains(".mp4\n"), "{recorded}");
    leaks.look("the recordings", &recorded);
    // The name of a stream is no secret to the server that has it.
    for far in [&keyed, &asking] {
        // So is the name of a user, for which it counts wrong passwords.
        let log = far.printed().replace(KEY, "").replace(USER, "");
        leaks.look("the other server's log", &log);
        leaks.look("the other server's title", &title(far.id()));
    }
    leaks.assert_none();
}

#[test]
fn nothing_secret_is_printed_by_commands_or_shown_of_them() {
    let mut leaks = Leaks::default();
    let dir = TempDir::new();
    let missing = dir.join("missing.flv").display().to_string();
    let file = dir.join("empty.flv");
    fs::write(&file, "").unwrap();
    let file = file.display().to_string();
    let nobody = closed();
    let end = format!("live/{KEY}?a={QUERY}");
    let url = format!("rtmp://{USER}:{ENCODED}@{nobody}/{end}");
    let unresolved = format!("rtmp://{USER}:{ENCODED}@no-such-host.invalid/{end}");
    let talkative = talkative("NetConnection.Connect.Rejected");
    let refused = format!("rtmp://{USER}:{ENCODED}@{}/{end}", talkative.address);
    let nowhere = redirecting(format!("ftp://h/{REDIRECT}?token={REDIRECT}"));
    let redirected = format!("rtmp://{}/{end}", nowhere.address);
    let slip = format!("rtmp:/{nobody}/{end}");
    let push = format!("live/door={url}");
    for arguments in [
        &["play", &url][..],
        &["play", &unresolved],
        &["play", &refused],
        &["play", &redirected],
        &["play", &slip],
        &["play", &url, &url],
        &["play", &url, &url, &url],
        &["play", &file, &url],
        &["play", &end],
        &["play", &url, "--user", USER],
        &["play", &url, "--user", USER, "--password", PASSWORD],
        &["play", &url, "--timeout", &url],
        &["play", &url, "--tls-ca", &url],
        &["play", &url, &format!("--keys={KEY}")],
        &["play", &url, &format!("-k{KEY}")],
        &["probe", &url],
        &["probe", &unresolved, "--json"],
        &["probe", &refused],
        &[
            "probe",
            &format!("http://{USER}:{ENCODED}@{nobody}/flv?password={QUERY}"),
        ],
        &["publish", &missing, &url],
        &["publish", &file, &url],
        &["publish", &url, &file],
        &["publish", &url, &url],
        &["publish", &file, &refused],
        &["publish", &url],
        &["publsh", &url],
        &[&url],
        &[&push],
        &["serve", &url],
        &["--push", &url],
        &["--push", "live/door", &url],
        &["--push", &format!("live/door={slip}")],
        &["--push", &push, &url],
        &["--psh", &push],
        &[&format!("--psh={push}")],
        &[&format!("-p{push}")],
        &["--pull", &format!("live/door=ftp://h/{KEY}")],
        &["--rtmp", &url],
        &["--record", &url, "--rtmp", "x"],
        &["--max-lag", &push],
        &["help", &url],
    ] {
        let mut command = Command::new(PROGRAM.unwrap());
        without_settings(&mut command).args(arguments);
        command.env("RUST_LOG", "trace");
        let mut program = Program::start(&mut command);
        assert!(!program.wait(SOON).success(), "{arguments:?}");
        let shown = program.stdout() + &program.stderr();
        leaks.look(&format!("the output of {arguments:?}"), &shown);
    }
    for (variable, value) in [
        ("BROOKLET_PUSH", &url),
        ("BROOKLET_PUSH", &format!("live/door={slip}")),
        ("BROOKLET_PULL", &format!("live/*={url}")),
        ("BROOKLET_PULLS", &push),
        ("BROOKLET_RTMP", &url),
    ] {
        let mut command = Command::new(PROGRAM.unwrap());
        without_settings(&mut command).env(variable, value);
        let mut program = Program::start(&mut command);
        assert!(!program.wait(SOON).success(), "{variable}={value}");
        let shown = program.stdout() + &program.stderr();
        leaks.look(&format!("the output for {variable}={value}"), &shown);
    }

    // What others see while they run.
    for command in ["probe", "play"] {
        let silent = FakeServer::start(|stream, _| drop(thread::spawn(|| read_on(stream))));
        let login = format!("{USER}:{ENCODED}@");
        let url = format!("rtmp://{login}{}/{end}", silent.address);
        let plain = url.replace(&login, "");
        let options = ["--user", USER, "--password", PASSWORD];
        let arguments = match command {
            "probe" => [&[command, &url][..]].concat(),
            _ => [&[command, &plain][..], &options].concat(),
        };
        let mut command = Command::new(PROGRAM.unwrap());
        without_settings(&mut command).args(arguments);
        let program = Program::start(&mut command);
        wait_until("it connects", SOON, || {
            silent.connections.load(Ordering::SeqCst) > 0
        });
        leaks.look("the title", &title(program.id()));
    }
    leaks.assert_none();
}
