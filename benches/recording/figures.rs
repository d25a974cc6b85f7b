//! Figures of a server that records, from `/proc`, its API and its files.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::client;
use crate::disk::output;
use crate::media::Track;
use crate::process::Server;

/// How long a server may take for its last files.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// CPU time of the threads of this name.
pub(crate) fn thread_cpu(server: &Server, name: &str) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id()));
    let ran = tasks.into_iter().flatten().flatten().filter_map(|task| {
        let comm = fs::read_to_string(task.path().join("comm")).ok()?;
        let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let ns: u64 = schedstat.split_whitespace().next()?.parse().ok()?;
        (comm.trim() == name).then_some(ns)
    });
    Duration::from_nanos(ran.sum())
}

/// Anonymous resident bytes without those of the largest mapping, which holds the arena.
pub(crate) fn memory(server: &Server) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{}/smaps", server.id())).unwrap_or_default();
    let (mut all, mut largest, mut size) = (0, (0, 0), 0);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (name, number) = (words.next(), words.next());
        let bytes = number.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024;
        match name {
            Some("Size:") => size = bytes,
            Some("Anonymous:") => {
                all += bytes;
                largest = largest.max((size, bytes));
            }
            _ => {}
        }
    }
    all - largest.1
}

/// The bytes that the process has caused to be written.
pub(crate) fn written(server: &Server) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", server.id())).unwrap_or_default();
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// The length of all files below a folder.
pub(crate) fn len_of_files(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let lens = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => len_of_files(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    lens.sum()
}

/// The bytes of payload in so many messages of each stream.
pub(crate) fn payload(counts: &[[u32; 2]]) -> u64 {
    let of_track = |track: Track, count: u32| -> u64 {
        (0..count)
            .map(|number| track.payload_len(number) as u64)
            .sum()
    };
    let of_stream = |counts: &[u32; 2]| -> u64 {
        let tracks = Track::ALL.into_iter().zip(counts);
        tracks.map(|(track, count)| of_track(track, *count)).sum()
    };
    counts.iter().map(of_stream).sum()
}

/// Asks the server to end, and waits until its files are closed.
pub(crate) fn end(server: &Server) -> Result<(), String> {
    output("kill", &["-TERM", &server.id().to_string()])?;
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", server.id()));
        if !status.is_ok_and(|status| !status.contains("State:\tZ")) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("the server does not end".into());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The body of the answer to a request.
pub(crate) fn get(server: &Server, path: &str) -> Result<String, String> {
    let mut socket = client::connect(server.http_address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let done = socket.write_all(request.as_bytes());
    let done = done.and_then(|()| socket.read_to_end(&mut answer));
    done.map_err(|error| format!("{path}: {error}"))?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(format!(
            "{path}: {}",
            answer.lines().next().unwrap_or_default()
        )),
    }
}
