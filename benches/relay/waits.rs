//! How long it takes until somebody sees something.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::media::Track;
use crate::process::{Server, free_addresses};
use crate::publishers::{Publisher, Publishing, stream_name};
use crate::watch::pause;
use crate::{BEGIN_TIMEOUT, Options, bare_loop, wire};

/// How often the publisher tries to connect.
const RETRY: Duration = Duration::from_millis(1);
/// A stream that has been published for a while.
const HEAD_START: Duration = Duration::from_millis(1_300);

/// Measures from the start of the program to the first picture at the far end of a push.
pub(crate) fn start(options: &Options) -> Result<(), String> {
    let mut rows = [
        ("the waiting publisher is accepted after", Vec::new()),
        ("the first picture is at the target after", Vec::new()),
    ];
    for _ in 0..options.rounds {
        let found = start_once(options)?;
        let found = found.map(|time| time.as_secs_f64() * 1e3);
        rows.iter_mut()
            .zip(found)
            .for_each(|(row, ms)| row.1.push(ms));
    }
    options.print("Start: from the start of the program", "ms", &rows);
    Ok(())
}

fn start_once(options: &Options) -> Result<[Duration; 2], String> {
    let far = bare_loop()?;
    let addresses = free_addresses().map_err(|error| format!("no free port: {error}"))?;
    let push = format!("bench/*=rtmp://{}/bench", far.address);
    let command = options.command(&["--push".to_owned(), push]);
    let is_seen = AtomicBool::new(false);
    thread::scope(|scope| {
        let player = ask(far.address, &stream_name(0))?;
        // Once it is answered, the player gets the first keyframe.
        let answered = player.socket.peek(&mut [0]);
        answered.map_err(|error| format!("playing: {error}"))?;
        let player = scope.spawn(|| {
            let seen = first_picture(player);
            is_seen.store(true, Ordering::Relaxed);
            seen
        });
        let publisher = scope.spawn(|| publish_when_possible(addresses[0], &is_seen));
        let begun = Instant::now();
        let server = Server::start_at(&command, addresses);
        let accepted = publisher.join().map_err(|_| "the publisher panicked")?;
        let seen = player.join().map_err(|_| "the player panicked")?;
        drop(server?);
        Ok([accepted?, seen?].map(|time| time.duration_since(begun)))
    })
}

/// Tries to publish until that is accepted, and sends frames until one is seen. Returns when it was accepted.
fn publish_when_possible(address: SocketAddr, is_seen: &AtomicBool) -> Result<Instant, String> {
    let deadline = Instant::now() + BEGIN_TIMEOUT;
    let mut publisher = loop {
        match Publisher::connect(address, 0, 1) {
            Err(_) if Instant::now() < deadline => thread::sleep(RETRY),
            connected => break connected?,
        }
    };
    let accepted = Instant::now();
    for number in 0.. {
        if is_seen.load(Ordering::Relaxed) || Instant::now() > deadline {
            break;
        }
        publisher.send(Track::Video)?;
        let due = accepted + Track::Video.due(number + 1);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(accepted)
}

/// Measures how long players wait, with and without a pull on demand.
pub(crate) fn on_demand(options: &Options) -> Result<(), String> {
    let mut rows = [
        ("from the source itself", Vec::new()),
        ("the first one, through a pull on demand", Vec::new()),
        ("the second one, through that pull", Vec::new()),
    ];
    let source = options.brooklet(&[])?;
    let publishing = Publishing::start(source.address, 1)?;
    pause(HEAD_START, &options.stop)?;
    let name = stream_name(0);
    for _ in 0..options.rounds {
        // A fresh one, whose pull hasn't begun.
        let url = format!("rtmp://{}/bench/{name}", source.address);
        let pull = format!("bench/pulled={url},on-demand");
        let edge = options.brooklet(&["--pull".to_owned(), pull])?;
        let of = |address, name: &str| -> Result<f64, String> {
            let begun = Instant::now();
            let seen = first_picture(ask(address, name)?)?;
            Ok(seen.duration_since(begun).as_secs_f64() * 1e3)
        };
        let found = [
            of(source.address, &name)?,
            of(edge.address, "pulled")?,
            of(edge.address, "pulled")?,
        ];
        rows.iter_mut()
            .zip(found)
            .for_each(|(row, ms)| row.1.push(ms));
    }
    publishing.end()?;
    options.print(
        "On demand: a player's wait for its first picture",
        "ms",
        &rows,
    );
    Ok(())
}

/// Asks to play a stream.
fn ask(address: SocketAddr, name: &str) -> Result<Client, String> {
    let mut client = Client::connect(address)?;
    let request = client.play(name);
    let asked = client.socket.write_all(&request);
    let asked = asked.and_then(|()| client.socket.set_read_timeout(Some(BEGIN_TIMEOUT)));
    asked.map_err(|error| format!("playing {name}: {error}"))?;
    Ok(client)
}

/// Returns when the first picture was complete.
fn first_picture(mut client: Client) -> Result<Instant, String> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut is_picture, mut is_complete) = (false, false);
    while !is_complete {
        let len = client.socket.read(&mut buffer);
        let len = len.map_err(|error| format!("playing: {error}"))?;
        if len == 0 {
            return Err("playing: the server closed the connection".into());
        }
        client.reader.feed(&buffer[..len], |piece| {
            if piece.header.message_type == wire::VIDEO {
                if piece.is_first() {
                    // Not a sequence header.
                    is_picture = piece.bytes.get(1) == Some(&1);
                }
                is_complete |= is_picture && piece.is_last();
            }
            Ok(())
        })?;
    }
    Ok(Instant::now())
}
