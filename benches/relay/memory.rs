//! Memory per push and per pull, beside the arena.

use crate::players::Players;
use crate::process::Server;
use crate::publishers::Publishing;
use crate::session::Protocol;
use crate::watch::pause;
use crate::{COUNT, Options, bare_loop, figures, wait_until_live};

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut rows = [
        ("a push", Vec::new()),
        ("a player", Vec::new()),
        ("a pull, with its stream", Vec::new()),
        ("a publisher, with its stream", Vec::new()),
    ];
    let each = |with: u64, without: u64| {
        let difference = with as f64 - without as f64;
        difference / f64::from(COUNT) / 1024.0
    };
    for _ in 0..options.rounds {
        let one = published(1, options)?;
        let none = published(0, options)?;
        let found = [
            each(pushed(options)?, one),
            each(played(options)?, one),
            each(pulled(options)?, none),
            each(published(COUNT, options)?, none),
        ];
        eprintln!("{found:.1?} KiB");
        rows.iter_mut()
            .zip(found)
            .for_each(|(row, kib)| row.1.push(kib));
    }
    let title = format!("Memory: anonymous and resident, without the arena, each of {COUNT}");
    options.print(&title, "KiB", &rows);
    Ok(())
}

/// The memory after a while.
fn settled(server: &Server, options: &Options) -> Result<u64, String> {
    pause(options.window, &options.stop)?;
    Ok(figures::memory(server))
}

fn pushed(options: &Options) -> Result<u64, String> {
    let far = bare_loop()?;
    let server = options.brooklet(&Options::pushes(far.address))?;
    let publishing = Publishing::start(server.address, 1)?;
    wait_until_live(&server, "pushes", COUNT, options)?;
    let memory = settled(&server, options)?;
    publishing.end()?;
    Ok(memory)
}

fn played(options: &Options) -> Result<u64, String> {
    let server = options.brooklet(&[])?;
    let publishing = Publishing::start(server.address, 1)?;
    let players = Players::start(&server, Protocol::Rtmp, 1, COUNT as usize)?;
    let memory = settled(&server, options)?;
    let sent = publishing.end()?;
    players.end(&sent.counts)?;
    Ok(memory)
}

fn pulled(options: &Options) -> Result<u64, String> {
    let far = bare_loop()?;
    let publishing = Publishing::start(far.address, 1)?;
    let pull = |number| format!("bench/{number}=rtmp://{}/bench/stream0", far.address);
    let pulls = (0..COUNT).flat_map(|number| ["--pull".to_owned(), pull(number)]);
    let server = options.brooklet(&pulls.collect::<Vec<_>>())?;
    wait_until_live(&server, "pulls", COUNT, options)?;
    let memory = settled(&server, options)?;
    publishing.end()?;
    Ok(memory)
}

fn published(streams: u32, options: &Options) -> Result<u64, String> {
    let server = options.brooklet(&[])?;
    let publishing = (streams > 0).then(|| Publishing::start(server.address, streams));
    let publishing = publishing.transpose()?;
    let memory = settled(&server, options)?;
    if let Some(publishing) = publishing {
        publishing.end()?;
    }
    Ok(memory)
}
