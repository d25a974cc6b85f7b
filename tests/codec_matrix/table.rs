//! The table, as it is printed.

use std::io::{self, Write};

use super::cells::Cell;
use super::players::Player;
use super::{Outcome, Row};

/// Widths of the columns: publisher, codecs, each player.
const PUBLISHER: usize = 10;
const CODECS: usize = 14;
const CELL: usize = 10;

/// Prints the table, whether or not the run succeeds.
pub(crate) fn print(rows: &[Row]) {
    let mut notes = Notes::default();
    let mut text = format!("\n{:PUBLISHER$}  {:CODECS$}", "publisher", "codecs");
    for player in Player::OVER_RTMP {
        text += &format!("  {:CELL$}", player.name());
    }
    for row in rows {
        text += &format!(
            "\n{:PUBLISHER$}  {:CODECS$}",
            row.publisher.name(),
            row.codecs
        );
        match &row.outcome {
            Outcome::Played(cells) => {
                for cell in cells {
                    text += &format!("  {:CELL$}", notes.cell(cell));
                }
            }
            Outcome::Refused(words) => text += &format!("  cannot: {words}"),
            Outcome::Failed(words) => text += &format!("  FAILED: {words}"),
        }
    }
    text += "\n\nPackets of video + audio, the same as published, or pictures shown. In brackets: \
             the player cannot, and says:";
    for (index, note) in notes.0.iter().enumerate() {
        text += &format!("\n[{}] {note}", index + 1);
    }
    // Not by `println!`, whose output a successful test would hide.
    let _ = writeln!(io::stdout().lock(), "{text}\n");
}

/// The failures, cell by cell.
pub(crate) fn failures(rows: &[Row]) -> Vec<String> {
    let mut failures = Vec::new();
    for row in rows {
        let name = format!("{}, {}", row.publisher.name(), row.codecs);
        match &row.outcome {
            Outcome::Failed(words) => failures.push(format!("{name}: {words}")),
            Outcome::Refused(_) => {}
            Outcome::Played(cells) => {
                for (player, cell) in Player::OVER_RTMP.iter().zip(cells) {
                    if let Cell::Wrong(words) = cell {
                        failures.push(format!("{name}, {}: {words}", player.name()));
                    }
                }
            }
        }
    }
    failures
}

/// The lines below the table, without duplicates.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn cell(&mut self, cell: &Cell) -> String {
        match cell {
            Cell::Same(words) => words.clone(),
            Cell::NoSound(words, note) => format!("{words} {}", self.number(note)),
            Cell::Cannot(note) => self.number(note),
            Cell::Wrong(_) => "WRONG".to_owned(),
        }
    }

    fn number(&mut self, note: &str) -> String {
        let known = self.0.iter().position(|known| known == note);
        let index = known.unwrap_or_else(|| {
            self.0.push(note.to_owned());
            self.0.len() - 1
        });
        format!("[{}]", index + 1)
    }
}
