//! The results, as a table.

use super::play::Row;
use super::receiver::{Got, Receiver};

/// The number of characters printed of a player's message.
const WORDS: usize = 110;

pub(crate) fn print(rows: &[Row], receivers: &[Receiver]) {
    let names: Vec<_> = receivers.iter().map(|receiver| receiver.name).collect();
    println!("\n| kind | sent | {} | server |", names.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(receivers.len()));
    for row in rows {
        let cells = receivers.iter().zip(&row.got).map(|(receiver, got)| {
            let cell = |got| cell(row, receivers, *receiver, got);
            got.as_ref().map_or("-".to_owned(), cell)
        });
        let cells: Vec<_> = cells.collect();
        println!(
            "| {} | {} | {} | {} |",
            row.kind.name,
            row.kind.pictures.len(),
            cells.join(" | "),
            if row.faults().is_empty() { "" } else { "**!**" }
        );
    }
    println!(
        "\n**N**: fails; (N): the player can't play this, of whomever; N/M: M sound frames; -: not \
         tried; !: playlist or findings\n"
    );
    rows.iter().for_each(|row| print_row(row, receivers));
}

/// Prints what is behind a row's cells.
fn print_row(row: &Row, receivers: &[Receiver]) {
    let (list, alone) = (&row.playlist, &row.alone);
    println!("{}: {}", row.kind.name, row.kind.what);
    println!(
        "    playlist: {}, {} segments of {:.3} to {:.3} s, {} discontinuities",
        list.status,
        list.lengths.len(),
        list.shortest(),
        list.longest(),
        list.discontinuities
    );
    println!(
        "    ffmpeg 5 and 9 decode of the file itself: {}, {}",
        alone[0].pictures, alone[1].pictures
    );
    for finding in &row.findings {
        println!("    finding: {finding}");
    }
    for fault in row.faults() {
        println!("    server FAILS: {fault}");
    }
    for (receiver, got) in receivers.iter().zip(&row.got) {
        let Some(got) = got else { continue };
        let faults = faults_of(row, receivers, *receiver, got);
        if faults.is_empty() {
            continue;
        }
        println!("    {} FAILS: {}", receiver.name, faults.join("; "));
        for words in &got.words {
            println!("        {}", words.chars().take(WORDS).collect::<String>());
        }
    }
}

fn faults_of(row: &Row, receivers: &[Receiver], receiver: Receiver, got: &Got) -> Vec<String> {
    match got.cannot {
        true => Vec::new(),
        false => {
            let alone = row.alone(receivers, receiver);
            receiver.faults(row.kind, got, alone, &row.findings)
        }
    }
}

fn cell(row: &Row, receivers: &[Receiver], receiver: Receiver, got: &Got) -> String {
    let mut text = got.pictures.to_string();
    if let Some(sounds) = got.sounds.filter(|_| row.kind.sounds > 0) {
        text += &format!("/{sounds}");
    }
    let cannot = got.cannot || receiver.cannot(row.kind, row.alone(receivers, receiver));
    match faults_of(row, receivers, receiver, got).is_empty() {
        false => format!("**{text}**"),
        true if cannot => format!("({text})"),
        true => text,
    }
}

/// Returns a line for each cell that fails.
pub(crate) fn faults(rows: &[Row], receivers: &[Receiver]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows {
        let name = &row.kind.name;
        faults.extend(row.faults().iter().map(|fault| format!("{name}: {fault}")));
        for (receiver, got) in receivers.iter().zip(&row.got) {
            let Some(got) = got else { continue };
            let found = faults_of(row, receivers, *receiver, got);
            if !found.is_empty() {
                faults.push(format!("{name} {}: {}", receiver.name, found.join("; ")));
            }
        }
    }
    faults
}
