//! Browsers other than Chromium: WebKitGTK's, controlled by WebDriver (JSON over HTTP), and
//! Firefox, controlled by Marionette (JSON over TCP, prefixed with its length).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::common::http::HttpClient;
use super::common::process::Program;
use super::common::{TempDir, wait_until};

/// The deadline for a browser that renders in software, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const MINI_BROWSER: &str = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";

/// Without these, Firefox wouldn't play anything on its own, and would contact other hosts.
const FIREFOX: &str = "user_pref('marionette.port', 0);
    user_pref('media.autoplay.default', 0);
    user_pref('app.update.enabled', false);
    user_pref('network.captive-portal-service.enabled', false);
    user_pref('network.connectivity-service.enabled', false);
    user_pref('services.settings.server', 'data:,');
    user_pref('toolkit.telemetry.enabled', false);";

/// A browser with one tab, which ends when dropped.
pub(crate) struct Other {
    wire: Wire,
    // In the order in which they have to end.
    browser: Program,
    _screen: Option<Program>,
    _home: TempDir,
}

enum Wire {
    WebDriver {
        address: SocketAddr,
        session: String,
    },
    Marionette {
        socket: BufReader<TcpStream>,
        next_id: u64,
    },
}

impl Other {
    /// WebKitGTK's MiniBrowser, on a virtual display.
    pub(crate) fn webkit() -> Other {
        let home = TempDir::new();
        let (screen, display) = screen();
        let mut command = Command::new("WebKitWebDriver");
        let port = free_port();
        command.arg(format!("--port={port}"));
        command.env("DISPLAY", display);
        // WebKitGTK says that it plays HLS only with this setting.
        command.env("WEBKIT_GST_ENABLE_HLS_SUPPORT", "1");
        let browser = start(&mut command, &home);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_until("WebKitWebDriver listens", PATIENCE, || {
            TcpStream::connect(address).is_ok()
        });
        let options = json!({ "binary": MINI_BROWSER, "args": ["--automation"] });
        let capabilities = json!({ "alwaysMatch": { "webkitgtk:browserOptions": options } });
        let body = json!({ "capabilities": capabilities });
        let value = web_driver(address, "POST", "/session", &body);
        let session = value["sessionId"].as_str().expect("a session begins");
        let session = format!("/session/{session}");
        Other {
            wire: Wire::WebDriver { address, session },
            browser,
            _screen: Some(screen),
            _home: home,
        }
    }

    /// Firefox without a window.
    pub(crate) fn firefox() -> Other {
        let home = TempDir::new();
        fs::write(home.join("user.js"), FIREFOX).expect("a profile can be written");
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--marionette", "--no-remote", "--profile"]);
        command.arg(home.path());
        let browser = start(&mut command, &home);
        let mut port = 0;
        wait_until("Firefox listens", PATIENCE, || {
            let text = fs::read_to_string(home.join("MarionetteActivePort"));
            port = text.map_or(0, |text| text.trim().parse().unwrap_or_default());
            port > 0
        });
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut socket = BufReader::new(socket);
        // Its version.
        message(&mut socket);
        let mut other = Other {
            wire: Wire::Marionette { socket, next_id: 1 },
            browser,
            _screen: None,
            _home: home,
        };
        other.call("NewSession", "", &json!({}));
        other
    }

    /// Sends a command, by its name in Marionette and its path in WebDriver.
    fn call(&mut self, command: &str, path: &str, body: &Value) -> Value {
        match &mut self.wire {
            Wire::WebDriver { address, session } => {
                web_driver(*address, "POST", &format!("{session}{path}"), body)
            }
            Wire::Marionette { socket, next_id } => {
                let id = *next_id;
                *next_id += 1;
                let text = json!([0, id, format!("WebDriver:{command}"), body]).to_string();
                let text = format!("{}:{text}", text.len());
                socket.get_mut().write_all(text.as_bytes()).unwrap();
                let mut reply = message(socket);
                assert!(reply[2].is_null(), "{command}: {}", reply[2]);
                reply[3]["value"].take()
            }
        }
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Navigate", "/url", &json!({ "url": url }));
    }

    /// Returns the value of an expression.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let script = json!({ "script": format!("return {expression}"), "args": [] });
        self.call("ExecuteScript", "/execute/sync", &script)
    }

    pub(crate) fn number(&mut self, expression: &str) -> f64 {
        let value = self.evaluate(expression);
        match value.as_f64() {
            Some(number) => number,
            None => panic!("{expression} is {value}, not a number"),
        }
    }

    /// Waits until an expression is true.
    pub(crate) fn wait_for(&mut self, what: &str, expression: &str) {
        // The expression may name elements of a page that isn't loaded yet.
        let expression =
            format!("(() => {{ try {{ return Boolean({expression}) }} catch (_) {{}} }})()");
        wait_until(what, PATIENCE, || self.evaluate(&expression) == json!(true));
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // With all processes that it has started, some of which may hang.
        let group = format!("kill -KILL -{}", self.browser.id());
        let _ = Command::new("sh").args(["-c", &group]).status();
    }
}

/// Starts a browser in a process group of its own, with a home folder that it may write to.
fn start(command: &mut Command, home: &TempDir) -> Program {
    command
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path());
    Program::start(command.process_group(0))
}

/// A virtual display, and its name.
fn screen() -> (Program, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "1024x600x24"]);
    let program = Program::start(command.args(["-nolisten", "tcp"]));
    let mut name = String::new();
    wait_until("Xvfb has a display", PATIENCE, || {
        let text = program.stdout();
        name = format!(":{}", text.trim());
        text.ends_with('\n')
    });
    (program, name)
}

/// A free port: WebKitWebDriver doesn't print which one it would choose.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("a free port can be found").port()
}

fn web_driver(address: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let mut client = HttpClient::connect(address);
    client.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    let body = body.to_string();
    let headers = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    client.request(method, path, &headers);
    client.send(body);
    let answer = client.answer();
    let mut value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    assert_eq!(answer.status, 200, "{path}: {value}");
    value["value"].take()
}

fn message(socket: &mut BufReader<TcpStream>) -> Value {
    let mut len = Vec::new();
    socket.read_until(b':', &mut len).unwrap();
    len.pop();
    let len = String::from_utf8_lossy(&len).parse().unwrap_or_default();
    let mut text = vec![0; len];
    socket.read_exact(&mut text).unwrap();
    serde_json::from_slice(&text).unwrap_or_default()
}
