//! How modules may depend on each other: in one direction between layers, without circles inside
//! of a folder. Protocol code knows no socket, thread or clock.
//!
//! ```text
//! program -> server -> status -> { record, relay } -> live -> { rtmp, media, http }
//! program, server -> client -> net
//! ```

#[path = "layering/circles.rs"]
mod circles;
#[path = "layering/paths.rs"]
mod paths;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use circles::circles;
use paths::paths;

/// What every layer may use: what it pays from for what it keeps, dates, what a message is of, and the URLs
/// of streams.
const EVERYWHERE: &[&str] = &["allowance", "calendar", "medium", "url"];

/// Each layer with the layers that it may use besides.
const MAY_USE: &[(&str, &[&str])] = &[
    ("allowance", &[]),
    ("calendar", &[]),
    ("medium", &[]),
    ("url", &["rtmp"]),
    ("small_file", &[]),
    ("stream_message", &["media", "rtmp"]),
    ("media", &[]),
    ("rtmp", &[]),
    ("http", &["rtmp"]),
    ("live", &["rtmp", "media", "http"]),
    ("config", &["rtmp", "live", "small_file"]),
    ("record", &["rtmp", "media", "live"]),
    ("net", &["live", "small_file"]),
    (
        "client",
        &["rtmp", "media", "http", "live", "net", "stream_message"],
    ),
    ("relay", &["rtmp", "media", "live"]),
    (
        "status",
        &["rtmp", "media", "live", "config", "record", "relay"],
    ),
    (
        "server",
        &[
            "rtmp",
            "media",
            "http",
            "live",
            "config",
            "record",
            "relay",
            "status",
            "net",
            "client",
            "stream_message",
        ],
    ),
    (
        "program",
        &[
            "live",
            "config",
            "server",
            "client",
            "media",
            "rtmp",
            "small_file",
            "stream_message",
        ],
    ),
];

/// Of RTMP, HTTP shares the names of streams and what every handshake needs.
const RTMP_IN_HTTP: &[&str] = &["stream_key", "base64"];

/// What code without sockets, threads and clocks must not name, where it must not. `core` counts as
/// `std`.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &["rtmp", "media", "http"],
        &[
            "std::net",
            "std::os",
            "std::io",
            "std::thread",
            "std::time",
            "std::sync",
            "std::fs",
            "std::env",
            "std::process",
            "socket2",
            "getrandom",
            "libc",
            "log",
        ],
    ),
    (
        &["live"],
        &[
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::os",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::fs",
            "std::env",
            "std::process",
            "socket2",
            "getrandom",
            "libc",
        ],
    ),
    (
        &["record"],
        &[
            "std::net",
            "std::os",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::fs",
            "std::env",
            "std::process",
            "socket2",
            "getrandom",
            "libc",
            "rustix",
        ],
    ),
];

/// The only folder in which recordings know a file system, and what it may name for that.
const DISK: (&[&str], &[&str]) = (&["record", "disk"], &["std::fs", "std::os", "rustix"]);

/// What they may name all the same: values, and what is shared without synchronization.
const HARMLESS: &[(&str, &str)] = &[
    ("rtmp", "std::sync::Arc"),
    ("media", "std::sync::Arc"),
    ("http", "std::sync::Arc"),
    // Addresses in header fields.
    ("http", "std::net::IpAddr"),
    ("http", "std::net::Ipv6Addr"),
    ("http", "std::net::SocketAddr"),
    // Lets other threads take a stream's lock between two steps; starts none.
    ("live", "std::thread::yield_now"),
];

/// A source file, by its path from `src/` on.
pub(crate) struct Source {
    path: String,
    text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let (path, text) = (path.to_owned(), text.to_owned());
        Source { path, text }
    }

    /// The module that the file is: `["live", "stream"]` for `live/stream.rs` and `live/stream/mod.rs`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').map(str::to_owned).collect()
    }
}

/// A place where a module names something.
pub(crate) struct Use {
    /// File and line.
    pub(crate) place: String,
    /// The module that the file is.
    pub(crate) module: Vec<String>,
    /// Whether it stands in a module of tests.
    pub(crate) is_test: bool,
    /// What is named: a path from the crate's root on, or one that begins with another crate.
    pub(crate) target: Vec<String>,
    /// Whether the target is in this crate.
    is_own: bool,
    /// Whether `super` leads out of the folder in which the file lies.
    leaves_folder: bool,
}

/// All that these files name by a path.
pub(crate) fn uses(sources: &[Source]) -> Vec<Use> {
    let mut uses = Vec::new();
    for source in sources {
        let module = source.module();
        for named in paths(&source.text) {
            let mut here = module.clone();
            here.extend(named.within.iter().cloned());
            let is_test = here.iter().any(|name| name == "tests");
            let mut path = named.path.as_slice();
            let mut is_own = true;
            match path[0].as_str() {
                "crate" | "brooklet" => here.clear(),
                "self" | "super" => {}
                _ => is_own = false,
            }
            if is_own {
                while let [first, rest @ ..] = path {
                    match first.as_str() {
                        "crate" | "brooklet" | "self" => {}
                        "super" => drop(here.pop()),
                        _ => break,
                    }
                    path = rest;
                }
            } else {
                here.clear();
            }
            let leaves_folder = named.path[0] == "super" && here.len() + 1 < module.len();
            here.extend(path.iter().filter(|name| *name != "self").cloned());
            uses.push(Use {
                place: format!("{}:{}", source.path, named.line),
                module: module.clone(),
                is_test,
                target: here,
                is_own,
                leaves_folder,
            });
        }
    }
    uses
}

pub(crate) fn join(module: &[String]) -> String {
    module.join("/")
}

/// Uses of a layer that isn't below, and of what HTTP doesn't share with RTMP.
fn forbidden_arrows(uses: &[Use]) -> Vec<String> {
    let mut found = Vec::new();
    for used in uses.iter().filter(|used| used.is_own) {
        let Some((layer, may_use)) = MAY_USE.iter().find(|(layer, _)| *layer == used.module[0])
        else {
            continue;
        };
        let Some(target) = used.target.first() else {
            continue;
        };
        let is_layer = MAY_USE.iter().any(|(other, _)| other == target);
        let target = target.as_str();
        let is_allowed = may_use.contains(&target) || EVERYWHERE.contains(&target);
        if is_layer && target != *layer && !is_allowed {
            found.push(format!("{}: {layer} uses {target}", used.place));
        }
        if let ("http", [rtmp, inner, ..]) = (*layer, used.target.as_slice()) {
            if rtmp == "rtmp" && !RTMP_IN_HTTP.contains(&inner.as_str()) {
                found.push(format!("{}: http uses rtmp::{inner}", used.place));
            }
        }
    }
    found
}

/// Uses of sockets, threads, clocks and the like where they have no place.
fn forbidden_names(uses: &[Use]) -> Vec<String> {
    let mut found = Vec::new();
    for used in uses.iter().filter(|used| !used.is_own && !used.is_test) {
        let mut path = used.target.clone();
        if path[0] == "core" {
            path[0] = "std".to_owned();
        }
        let path = path.join("::");
        let layer = used.module[0].as_str();
        let is_below = |name: &str, path: &str| {
            path.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let mut place = DISK.0.iter().zip(0..);
        let is_in_disk =
            place.all(|(name, index)| used.module.get(index).is_some_and(|part| part == name));
        let is_of_disk = is_in_disk && DISK.1.iter().any(|name| is_below(name, &path));
        let is_harmless = is_of_disk
            || HARMLESS
                .iter()
                .any(|(in_layer, name)| *in_layer == layer && is_below(name, &path));
        for (layers, names) in FORBIDDEN {
            let is_forbidden = names.iter().any(|name| {
                // A module that is named as a whole brings what is in it.
                is_below(name, &path) || is_below(&path, name) && path.contains("::")
            });
            if layers.contains(&layer) && is_forbidden && !is_harmless {
                found.push(format!("{}: {layer} uses {path}", used.place));
            }
        }
    }
    found
}

/// The places where `super::super` leaves the folder.
fn leaving(uses: &[Use]) -> Vec<String> {
    let leaving = uses.iter().filter(|used| used.leaves_folder);
    leaving
        .map(|used| format!("{}: say crate::{}", used.place, used.target.join("::")))
        .collect()
}

/// Layers without a file or folder, and files and folders that are no layer.
fn unmatched(sources: &[Source]) -> Vec<String> {
    let there: BTreeSet<String> = sources
        .iter()
        .map(|source| source.module()[0].clone())
        .collect();
    let missing = MAY_USE.iter().filter(|(layer, _)| !there.contains(*layer));
    let missing = missing.map(|(layer, _)| format!("{layer} is named here, but isn't in src/"));
    // The crate's roots, and the script that packs the page.
    let roots = ["lib", "main", "page"];
    let is_known =
        |name: &str| roots.contains(&name) || MAY_USE.iter().any(|(layer, _)| *layer == name);
    let unknown = there.iter().filter(|name| !is_known(name));
    missing
        .chain(unknown.map(|name| format!("{name} is in src/, but not named here")))
        .collect()
}

fn sources() -> Vec<Source> {
    fn collect(folder: &Path, prefix: &str, sources: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                collect(&path, &format!("{prefix}{name}/"), sources);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source::new(&format!("{prefix}{name}"), &text));
            }
        }
    }
    let mut sources = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        "",
        &mut sources,
    );
    sources
}

/// All uses in `src/`, collected once.
fn all_uses() -> &'static [Use] {
    static USES: LazyLock<Vec<Use>> = LazyLock::new(|| uses(&sources()));
    &USES
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn no_layer_uses_one_above_it() {
    assert_none("forbidden arrows", &forbidden_arrows(all_uses()));
}

#[test]
fn code_without_sockets_threads_and_clocks_names_none() {
    assert_none("forbidden names", &forbidden_names(all_uses()));
}

#[test]
fn no_super_super_leaves_a_folder() {
    assert_none("paths that leave a folder", &leaving(all_uses()));
}

#[test]
fn every_layer_is_there_and_every_module_is_in_one() {
    assert_none("layers", &unmatched(&sources()));
}

#[test]
fn modules_of_a_folder_form_no_circle() {
    let circles = circles(all_uses()).into_iter();
    let shown = circles.map(|circle| format!("{:?}\n  {}", circle.modules, circle.ring));
    assert_none("circles", &shown.collect::<Vec<_>>());
}

/// The checks find what they are for, in made-up files.
mod checks {
    use super::{Source, forbidden_arrows, forbidden_names, leaving, unmatched, uses};

    fn uses_of(path: &str, text: &str) -> Vec<super::Use> {
        uses(&[Source::new(path, text)])
    }

    #[test]
    fn an_arrow_upward_is_found_in_a_use_and_in_an_expression() {
        let text = "use crate::{live::log::Log, server::Server};\nfn f() { crate::server::g() }";
        let expected = [
            "live/a.rs:1: live uses server",
            "live/a.rs:2: live uses server",
        ];
        assert_eq!(forbidden_arrows(&uses_of("live/a.rs", text)), expected);
        assert_eq!(
            forbidden_arrows(&uses_of(
                "live/a/b.rs",
                "use super::super::super::status::X;"
            )),
            ["live/a/b.rs:1: live uses status"]
        );
        assert!(forbidden_arrows(&uses_of("status.rs", "use crate::live::X;")).is_empty());
    }

    #[test]
    fn http_shares_little_with_rtmp() {
        let text = "use crate::rtmp::{base64, command};";
        let expected = ["http/a.rs:1: http uses rtmp::command"];
        assert_eq!(forbidden_arrows(&uses_of("http/a.rs", text)), expected);
    }

    #[test]
    fn sockets_and_clocks_are_found_under_either_name() {
        let text = "use core::time::Duration;\nuse std::{net::TcpStream, sync::{Arc, Mutex}};\nuse std::fmt;";
        let expected = [
            "rtmp/a.rs:1: rtmp uses std::time::Duration",
            "rtmp/a.rs:2: rtmp uses std::net::TcpStream",
            "rtmp/a.rs:2: rtmp uses std::sync::Mutex",
        ];
        assert_eq!(forbidden_names(&uses_of("rtmp/a.rs", text)), expected);
        let text = "use core::net::{IpAddr, Ipv4Addr};";
        let expected = ["http/a.rs:1: http uses std::net::Ipv4Addr"];
        assert_eq!(forbidden_names(&uses_of("http/a.rs", text)), expected);
    }

    #[test]
    fn live_reads_no_clock_by_any_name_but_may_count_time() {
        let text = "use std::time::{Duration, Instant};\nuse std::time;\nuse std::net::IpAddr;\n\
                    mod tests { use std::time::Instant; }";
        let expected = [
            "live/a.rs:1: live uses std::time::Instant",
            "live/a.rs:2: live uses std::time",
        ];
        assert_eq!(forbidden_names(&uses_of("live/a.rs", text)), expected);
    }

    #[test]
    fn super_super_may_not_leave_the_folder_of_the_file() {
        let text =
            "use super::super::c::D;\nuse super::e::F;\nmod tests { use super::super::g::H; }";
        let expected = ["x/a/b.rs:1: say crate::x::c::D"];
        assert_eq!(leaving(&uses_of("x/a/b.rs", text)), expected);
        assert!(leaving(&uses_of("x/a/mod.rs", "use super::e::F;")).is_empty());
    }

    #[test]
    fn a_layer_that_is_gone_and_a_module_without_one_are_found() {
        let layers = super::MAY_USE.iter().filter(|(layer, _)| *layer != "rtmp");
        let mut sources: Vec<Source> = layers
            .map(|(layer, _)| Source::new(&format!("{layer}.rs"), ""))
            .collect();
        sources.push(Source::new("lib.rs", ""));
        sources.push(Source::new("new/mod.rs", ""));
        let expected = [
            "rtmp is named here, but isn't in src/",
            "new is in src/, but not named here",
        ];
        assert_eq!(unmatched(&sources), expected);
    }
}
