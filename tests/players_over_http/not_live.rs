//! What a player does and prints when nothing is published: it ends.

use std::io::Write;

use super::cells::complaint;
use super::common::process::Program;
use super::common::{Brooklet, TempDir};
use super::players::{Container, Player};
use super::{CELL, PATIENCE};

#[test]
#[ignore = "needs ffmpeg, gst-launch-1.0, vlc, mpv, BROOKLET_FFMPEG7, BROOKLET_PYAV"]
fn players_of_a_stream_that_is_not_live_say_so_and_end() {
    let server = Brooklet::start(&[]);
    let dir = TempDir::new();
    let mut text = String::from("\n");
    for container in Container::HTTP {
        let url = format!(
            "http://{}/live/cam{}",
            server.http_address(),
            container.ending()
        );
        let start = |player: &Player| Program::start(&mut player.command(&dir, &url, true));
        let players: Vec<_> = Player::OVER_HTTP.iter().map(start).collect();
        for (player, mut program) in Player::OVER_HTTP.iter().zip(players) {
            program.wait(PATIENCE);
            let words = complaint(&program);
            text += &format!("{:CELL$} {:6} {words}\n", player.name(), container.ending());
            let said = program.stderr() + &program.stdout();
            let is_told =
                said.contains("404") || said.contains("ot found") || said.contains("ot Found");
            assert!(is_told, "{player:?}, {container:?}: {said}");
        }
    }
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
