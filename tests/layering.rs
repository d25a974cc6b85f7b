//! Arrows between modules point one way: `server -> { output, status } -> live -> { rtmp, media, http }`.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer with the layers that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("media", &["media"]),
    ("rtmp", &["rtmp"]),
    ("http", &["http", "rtmp"]),
    ("live", &["live", "rtmp", "media", "http"]),
    (
        "output",
        &["output", "live", "rtmp", "media", "http", "config"],
    ),
    (
        "status",
        &["status", "live", "rtmp", "media", "http", "config"],
    ),
    (
        "server",
        &[
            "server", "status", "output", "live", "rtmp", "media", "http", "config",
        ],
    ),
];

/// What every layer may use: what it pays from for what it keeps, and dates.
const EVERYWHERE: &[&str] = &["allowance", "calendar"];

/// Of RTMP, HTTP shares the names of streams and what every handshake needs.
const RTMP_IN_HTTP: &[&str] = &["stream_key", "base64"];

/// What protocol code must not know of.
const FORBIDDEN_IN_PROTOCOL: &[&str] = &[
    "std::net",
    "std::thread",
    "std::time",
    "std::sync",
    "std::fs",
    "socket2",
    "getrandom",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Lines of code with their numbers, comments left out.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn violations(layer: &str, may_use: &[&str], folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in sources(folder) {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in code_lines(&text) {
            for (at, _) in line.match_indices("crate::") {
                let used: String = line[at + "crate::".len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !may_use.contains(&used.as_str()) && !EVERYWHERE.contains(&used.as_str()) {
                    found.push(format!("{}:{number}: {layer} uses {used}", file.display()));
                }
            }
            for (at, _) in line.match_indices("crate::rtmp::") {
                let used = &line[at + "crate::rtmp::".len()..];
                let is_shared = RTMP_IN_HTTP.iter().any(|name| used.starts_with(name));
                if layer == "http" && !is_shared {
                    found.push(format!(
                        "{}:{number}: http uses rtmp::{used}",
                        file.display()
                    ));
                }
            }
            // Sharing is no synchronization.
            let line = line.replace("std::sync::Arc", "");
            let is_protocol = matches!(layer, "rtmp" | "media" | "http");
            for name in FORBIDDEN_IN_PROTOCOL.iter().filter(|_| is_protocol) {
                if line.contains(name) {
                    found.push(format!("{}:{number}: {layer} uses {name}", file.display()));
                }
            }
        }
    }
    found
}

#[test]
fn no_layer_uses_one_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for (layer, may_use) in MAY_USE {
        found.extend(violations(layer, may_use, &src.join(layer)));
    }
    assert!(found.is_empty(), "forbidden arrows:\n{}", found.join("\n"));
    assert!(
        sources(&src.join("rtmp")).len() > 5,
        "the sources were not found"
    );
}
