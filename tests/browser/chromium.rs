//! A headless Chromium, controlled by its DevTools protocol over a pair of pipes: JSON, with a zero
//! byte after each message.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::common::{SOON, TempDir, poll_until, wait_until};

/// The deadline for an answer of a browser that is busy decoding, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Chromium's options; without these it would contact other hosts, and use a GPU.
const OPTIONS: &str = "--headless=new --no-sandbox --remote-debugging-pipe --no-first-run \
    --disable-gpu --disable-dev-shm-usage --disable-background-networking --disable-sync \
    --disable-component-update --disable-default-apps --disable-extensions --mute-audio \
    --window-size=1280,800";

/// A browser with one tab. It ends when dropped.
pub(crate) struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    reader: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// The session of the tab.
    session: Option<String>,
    next_id: u64,
    profile: TempDir,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    replies: HashMap<u64, Value>,
    /// Errors in the page: exceptions, errors on the console, violations of its policy.
    errors: Vec<String>,
    /// Requests that failed. The page retries until it succeeds, so these are no errors as such.
    failed_requests: Vec<String>,
    /// The URLs of all requests.
    requests: Vec<String>,
    has_ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Browser {
    pub(crate) fn start() -> Browser {
        let profile = TempDir::new();
        let profile_path = profile.path().display();
        let log = profile.join("log").display().to_string();
        // Chromium reads descriptor 3 and writes to 4.
        let line = format!(
            "exec chromium {OPTIONS} --user-data-dir={profile_path} 3<&0 4>&1 0</dev/null >{log} 2>&1"
        );
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let shared = Arc::<Shared>::default();
        let reader = child.stdout.take().map(|pipe| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read(BufReader::new(pipe), &shared))
        });
        let mut browser = Browser {
            commands: child.stdin.take(),
            child,
            reader,
            shared,
            session: None,
            next_id: 1,
            profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Sends a command (`Domain.method`) and waits for its reply.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        let pipe = self.commands.as_mut().expect("the pipe is open");
        if pipe.write_all(&bytes).is_err() {
            panic!("chromium is gone before {method}:\n{}", self.log());
        }
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        let reply = loop {
            if let Some(reply) = state.replies.remove(&id) {
                break reply;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.has_ended {
                drop(state);
                panic!("chromium doesn't answer {method}:\n{}", self.log());
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(state);
        assert!(reply["error"].is_null(), "{method}: {}", reply["error"]);
        reply["result"].clone()
    }

    /// Opens a page and waits until it and its scripts are loaded.
    pub(crate) fn open(&mut self, url: &str) {
        let result = self.call("Page.navigate", json!({ "url": url }));
        assert!(result["errorText"].is_null(), "{url}: {result}");
        self.wait_for(
            "the page is loaded",
            "document.readyState === 'complete' && location.protocol !== 'about:'",
        );
    }

    /// Runs a script in every page before the page's own.
    pub(crate) fn prepare(&mut self, script: &str) {
        let script = json!({ "source": script });
        self.call("Page.addScriptToEvaluateOnNewDocument", script);
    }

    /// Returns the value of an expression, or the result of a promise.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
        });
        let result = self.call("Runtime.evaluate", params);
        let exception = &result["exceptionDetails"];
        assert!(exception.is_null(), "{expression}\n{exception}");
        result["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        match value.as_str() {
            Some(text) => text.to_owned(),
            None => panic!("{expression} is {value}, not a text"),
        }
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
        let expression = format!("Boolean({expression})");
        wait_until(what, SOON.max(PATIENCE), || {
            // The expression may name elements of a page that isn't loaded yet.
            let params = json!({ "expression": expression, "returnByValue": true });
            self.call("Runtime.evaluate", params)["result"]["value"] == json!(true)
        });
    }

    /// Clicks in the middle of an element, like a mouse.
    pub(crate) fn click(&mut self, selector: &str) {
        let selector = json!(selector).to_string();
        let found = format!("document.querySelector({selector})");
        self.wait_for(&format!("{selector} is there"), &found);
        let place = self.evaluate(&format!(
            "(() => {{
                const element = {found};
                element.scrollIntoView({{ block: 'nearest' }});
                const box = element.getBoundingClientRect();
                return {{ x: box.x + box.width / 2, y: box.y + box.height / 2 }};
            }})()"
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let mut event = json!({ "type": kind, "x": place["x"], "y": place["y"] });
            if kind != "mouseMoved" {
                event["button"] = json!("left");
                event["clickCount"] = json!(1);
            }
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key by its name, such as `Tab`; `text` is what it types.
    pub(crate) fn press(&mut self, key: &str, key_code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": key_code,
            });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types into the focused element.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Saves a screenshot as `target/tmp/browser-NAME.png`.
    pub(crate) fn screenshot(&mut self, name: &str) -> PathBuf {
        let result = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let png = base64(result["data"].as_str().unwrap_or_default());
        assert!(png.starts_with(b"\x89PNG"), "{name} is a PNG file");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("browser-{name}.png"));
        fs::write(&path, png).expect("a screenshot can be written");
        println!("screenshot: {}", path.display());
        path
    }

    /// The URLs of all requests since the start.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.lock().requests.clone()
    }

    /// Fails the test if a page had an error, or sent a request to a host other than these.
    pub(crate) fn check(&self, hosts: &[SocketAddr]) {
        let state = self.shared.lock();
        assert!(state.errors.is_empty(), "errors: {:#?}", state.errors);
        for url in &state.requests {
            let is_local = ["data:", "blob:", "about:", "chrome:"]
                .iter()
                .any(|scheme| url.starts_with(scheme));
            let (_, rest) = url.split_once("://").unwrap_or_default();
            let authority = rest.split('/').next().unwrap_or_default();
            let is_expected = hosts.iter().any(|host| authority == host.to_string());
            assert!(is_local || is_expected, "a request to {url}");
        }
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.profile.join("log")).unwrap_or_default();
        let errors = &self.shared.lock().errors;
        format!("{log}\nerrors: {errors:#?}\nIs chromium installed?")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends when its pipe is closed, and removes its files.
        self.commands = None;
        poll_until(SOON, || !matches!(self.child.try_wait(), Ok(None)));
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if thread::panicking() {
            let state = self.shared.lock();
            eprintln!("errors of the page: {:#?}", state.errors);
            let failed = state.failed_requests.iter().rev().take(5);
            eprintln!(
                "requests that failed last: {:#?}",
                failed.collect::<Vec<_>>()
            );
        }
    }
}

fn read(mut pipe: impl BufRead, shared: &Shared) {
    let mut message = Vec::new();
    while let Ok(1..) = pipe.read_until(0, &mut message) {
        message.pop();
        let value: Value = serde_json::from_slice(&message).unwrap_or_default();
        message.clear();
        let mut state = shared.lock();
        match value["id"].as_u64() {
            Some(id) => {
                state.replies.insert(id, value);
            }
            None => note(&mut state, &value),
        }
        drop(state);
        shared.changed.notify_all();
    }
    shared.lock().has_ended = true;
    shared.changed.notify_all();
}

/// Records what an event reports about errors and requests.
fn note(state: &mut State, event: &Value) {
    let params = &event["params"];
    match event["method"].as_str().unwrap_or_default() {
        "Runtime.exceptionThrown" => {
            state.errors.push(params["exceptionDetails"].to_string());
        }
        "Runtime.consoleAPICalled" if params["type"] == "error" => {
            state.errors.push(params["args"].to_string());
        }
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            let text = format!("{}: {}", params["entry"]["url"], params["entry"]["text"]);
            match params["entry"]["source"] == "network" {
                true => state.failed_requests.push(text),
                false => state.errors.push(text),
            }
        }
        "Network.requestWillBeSent" => {
            state.requests.extend(text(&params["request"]["url"]));
        }
        "Network.webSocketCreated" => state.requests.extend(text(&params["url"])),
        _ => {}
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Decodes base64 (RFC 4648, 4).
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0_u32;
    let mut count = 0;
    for symbol in text.bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
