//! The measurements, as a table.

use std::fmt::{Display, Write as _};

use super::figures::Figures;
use super::{Case, Player};

/// The most that is printed of a player's messages: lines, and characters of each.
const LINES: usize = 3;
const LINE: usize = 160;

pub(crate) fn print(case: Case, players: &[Player], figures: &[Figures]) {
    println!("{}", table(case, players, figures));
}

fn table(case: Case, players: &[Player], figures: &[Figures]) -> String {
    let mut text = format!(
        "\na keyframe every {} s, {} s old, {} to ask, watched for {} s\n",
        case.gop,
        case.age / 1000,
        if case.is_second { "second" } else { "first" },
        case.seconds,
    );
    let _ = writeln!(
        text,
        "{:20} {:>13} {:>9} {:>17} {:>6} {:>6} {:>11}",
        "", "first picture", "delay", "stalls", "jumps", "fatal", "complaints"
    );
    for (Player(name, _), figures) in players.iter().zip(figures) {
        if figures.is_missing {
            let _ = writeln!(text, "{name:20} it has no HLS");
            continue;
        }
        let stalled: u64 = figures.stalls.iter().sum();
        let _ = writeln!(
            text,
            "{name:20} {:>13} {:>9} {:>17} {:>6} {:>6} {:>11}",
            ms(figures.first),
            ms(figures.delay),
            match figures.stalls.len() {
                0 => "0".to_owned(),
                count => format!("{count} ({stalled} ms)"),
            },
            figures.jumps,
            figures.fatal.len(),
            figures.complaints.len(),
        );
    }
    for (Player(name, _), figures) in players.iter().zip(figures) {
        for said in [&figures.fatal, &figures.complaints] {
            for line in said.iter().take(LINES) {
                let line: String = line.chars().take(LINE).collect();
                let _ = writeln!(text, "  {name}: {}", line.trim_end());
            }
        }
    }
    text
}

fn ms(time: Option<impl Display>) -> String {
    time.map_or("never".to_owned(), |time| format!("{time} ms"))
}
