//! What was seen, for people.

use super::play::Row;
use super::receiver::{Got, Receiver};

/// What is printed of what a player said.
const WORDS: usize = 110;

pub(crate) fn print(rows: &[Row], receivers: &[Receiver]) {
    print!("\n| kind | sent |");
    receivers
        .iter()
        .for_each(|receiver| print!(" {} |", receiver.name));
    println!();
    println!("|---|---|{}", "---|".repeat(receivers.len()));
    for row in rows {
        print!("| {} | {} |", row.kind.name, row.kind.pictures.len());
        for (receiver, got) in receivers.iter().zip(&row.got) {
            print!(
                " {} |",
                got.as_ref()
                    .map_or("-".to_owned(), |got| cell(row, receivers, *receiver, got))
            );
        }
        println!();
    }
    println!(
        "\n**N**: fails; (N): the player can't play this, of whomever; N/M: M sound frames; -: not tried\n"
    );
    for row in rows {
        println!("{}: {}", row.kind.name, row.kind.what);
        println!("    playlist: {}", row.playlist);
        let alone = row.alone.iter().map(|got| got.pictures.to_string());
        let alone: Vec<_> = alone.collect();
        println!(
            "    ffmpeg 5 and 9 decode of the file itself: {}",
            alone.join(", ")
        );
        row.findings
            .iter()
            .for_each(|finding| println!("    finding: {finding}"));
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
    match faults_of(row, receivers, receiver, got).is_empty() {
        true if got.cannot || receiver.cannot(row.kind, row.alone(receivers, receiver)) => {
            format!("({text})")
        }
        true => text,
        false => format!("**{text}**"),
    }
}

/// A line for each cell that fails.
pub(crate) fn faults(rows: &[Row], receivers: &[Receiver]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows {
        for (receiver, got) in receivers.iter().zip(&row.got) {
            let Some(got) = got else { continue };
            let found = faults_of(row, receivers, *receiver, got);
            if !found.is_empty() {
                faults.push(format!(
                    "{} {}: {}",
                    row.kind.name,
                    receiver.name,
                    found.join("; ")
                ));
            }
        }
    }
    faults
}
