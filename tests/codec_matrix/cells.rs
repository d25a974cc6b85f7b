//! What a player received, compared with what was published.

use std::ops::RangeInclusive;

use super::common::framehash::{self, Track};
use super::common::process::Program;
use super::sources::Source;

/// The audio frames at either end that a player may lack: it starts at the first video frame, and a
/// recorder may leave the last ones out.
const AUDIO_SLACK: usize = 8;

/// The frames, of 60, that the late player receives, which joins when the second GOP of 15 has
/// begun.
const LATE_PICTURES: RangeInclusive<usize> = 10..=45;

/// The frames, of 60, that a player on a busy machine has to show.
const MIN_SHOWN: usize = 30;

/// Half of the audio, in 16 bits at 44.1 kHz, one channel.
const MIN_SOUND_LEN: u64 = 2 * 2 * 44_100;

/// A player's cell in the table.
pub(crate) enum Cell {
    /// It received what was published.
    Same(String),
    /// It received the video, and can't play the audio; with its own words.
    NoSound(String, String),
    /// It can't play the video; with its own words.
    Cannot(String),
    /// It should have worked.
    Wrong(String),
}

/// What a player received.
pub(crate) enum Received {
    /// Every packet.
    Packets(Vec<Track>),
    /// Packets from somewhere in the middle, decoded.
    Late(Vec<Track>),
    /// Decoded frames, maybe not all, and the length of the audio.
    Decoded { pictures: Track, sound_len: u64 },
}

impl Cell {
    /// The cell of a player that can show the video, and the audio if `has_audio`; `compared` is
    /// what [`compare`] returned.
    pub(crate) fn new(
        compared: Result<String, String>,
        has_audio: bool,
        program: &Program,
    ) -> Cell {
        match compared {
            Ok(words) if has_audio => Cell::Same(words),
            Ok(words) => Cell::NoSound(words, complaint(program)),
            Err(words) => Cell::Wrong(format!("{words}; it says: {}", complaint(program))),
        }
    }
}

/// Returns a summary if all is well, or else what is wrong.
pub(crate) fn compare(
    received: &Received,
    source: &Source,
    with_audio: bool,
) -> Result<String, String> {
    let (video, audio) = (source.hashes("video"), source.hashes("audio"));
    let got = |tracks: &[Track], media| -> (Vec<String>, Option<usize>) {
        let track = framehash::first(tracks, media);
        let hashes = track.packets.into_iter().map(|p| p.hash).collect();
        (hashes, track.decoded)
    };
    let both = |pictures: usize, sounds: usize| match with_audio {
        true => format!("{pictures} + {sounds}"),
        false => format!("{pictures} + -"),
    };
    match received {
        Received::Packets(tracks) => {
            let (pictures, _) = got(tracks, "video");
            if pictures != video {
                return Err(difference("pictures", &video, &pictures));
            }
            let (sounds, _) = got(tracks, "audio");
            let is_enough = sounds.len() + AUDIO_SLACK >= audio.len();
            if with_audio && !(is_enough && is_part(&audio, &sounds)) {
                return Err(difference("sounds", &audio, &sounds));
            }
            Ok(both(pictures.len(), sounds.len()))
        }
        Received::Late(tracks) => {
            let (pictures, decoded) = got(tracks, "video");
            if !LATE_PICTURES.contains(&pictures.len()) || !video.ends_with(&pictures) {
                return Err(difference("pictures", &video, &pictures));
            }
            if decoded != Some(pictures.len()) {
                let len = pictures.len();
                return Err(format!("of {len} pictures it decoded {decoded:?}"));
            }
            let (sounds, decoded) = got(tracks, "audio");
            if sounds.is_empty() || !audio.ends_with(&sounds) {
                return Err(difference("sounds", &audio, &sounds));
            }
            if decoded != Some(sounds.len()) {
                let len = sounds.len();
                return Err(format!("of {len} sounds it decoded {decoded:?}"));
            }
            Ok(both(pictures.len(), sounds.len()))
        }
        Received::Decoded {
            pictures,
            sound_len,
        } => {
            let mut shown = pictures.hashes();
            // A frame that is shown longer may be there twice.
            shown.dedup();
            let mut rest = source.pictures.iter();
            let is_in_order = |hash: &&str| rest.any(|expected| expected == hash);
            if shown.len() < MIN_SHOWN || !shown.iter().all(is_in_order) {
                return Err(difference("shown pictures", &source.pictures, &shown));
            }
            if with_audio && *sound_len < MIN_SOUND_LEN {
                return Err(format!("{sound_len} bytes of sound"));
            }
            Ok(format!("{} shown", shown.len()))
        }
    }
}

fn is_part(whole: &[String], part: &[String]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

fn difference<A, B>(what: &str, expected: &[A], got: &[B]) -> String
where
    A: AsRef<str> + PartialEq<B>,
    B: AsRef<str>,
{
    let start = got
        .first()
        .and_then(|first| expected.iter().position(|hash| hash == first));
    let same = start.map_or(0, |start| {
        let pairs = expected[start..].iter().zip(got);
        pairs
            .take_while(|(expected, got)| *expected == *got)
            .count()
    });
    format!(
        "{} {what} of {}; the first is number {start:?}, then {same} are the same",
        got.len(),
        expected.len()
    )
}

/// The most telling complaint of a program, in one line.
pub(crate) fn complaint(program: &Program) -> String {
    /// The most telling words come first.
    const WORDS: &[&str] = &[
        "not compatible",
        "could not link",
        "not implemented",
        "unsupported",
        "FFmpeg 8: ",
        "rror: from",
        "no suitable decoder",
        "rror",
    ];
    let text = program.stderr() + &program.stdout();
    // VLC complains that there is no desktop, which doesn't matter for playing.
    let lines = || text.lines().filter(|line| !line.contains("interface"));
    let line = WORDS
        .iter()
        .find_map(|words| lines().find(|line| line.contains(words)))
        .unwrap_or("nothing");
    // "[flv @ 0x55a1f2465240] Video codec ...", ". Update your FFmpeg ..."
    let line = match line.split_once("] ") {
        Some((begin, line)) if begin.starts_with('[') => line,
        _ => line,
    };
    let line = line.split(". Update your").next().unwrap_or(line);
    // "0:00:01.045 5920 0x55 WARN flvdemux gstflvdemux.c:1484:name:<flvdemux0> unsupported ..."
    let line = match line.split_once(":<") {
        Some((_, rest)) => rest.split_once("> ").map_or(rest, |(_, line)| line),
        None => line,
    };
    line.trim().to_owned()
}
