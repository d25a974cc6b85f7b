//! Programs that play: when each of their frames is shown, and what they complain of.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::common::process::{Program, run};
use super::common::{TempDir, media};
use super::figures::{Figures, Shown, Watch};
use super::source::{BITS, BOX, FRAME_MS, HEIGHT, WIDTH};
use super::wall_clock;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Vlc,
    Mpv,
    Ffmpeg,
    /// GStreamer's element for older pipelines. It shows each frame of fragmented MP4 as long after
    /// the first as its time in the stream, so a `playbin` would wait for the stream's age. So its
    /// frames are taken as they are decoded.
    Hlsdemux,
    /// The newer one, which `playbin3` uses.
    Hlsdemux2,
}

use Which::*;

/// Prints mpv's position every 20 ms: time, and whether it waits for its cache.
const MPV_SCRIPT: &str = "\
local pipe = io.open('PIPE', 'w')
mp.add_periodic_timer(0.02, function()
    local time = mp.get_property_number('time-pos')
    if time then
        pipe:write(string.format('%.3f %s\\n', time, mp.get_property('paused-for-cache')))
        pipe:flush()
    end
end)
";

/// The time of the first frame of a stream in MP4, in seconds.
const FIRST_TIME: f64 = 10.0;

/// A program that plays, which ends when dropped.
pub(crate) struct Playing {
    which: Which,
    program: Program,
    /// When it was started, in ms of the wall clock.
    opened: u64,
    screen: Arc<Mutex<Screen>>,
    pipe: PathBuf,
    is_over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    _dir: TempDir,
}

/// What was observed so far.
#[derive(Default)]
struct Screen {
    shown: Vec<Shown>,
    /// How often mpv waited for its cache.
    waits: usize,
}

impl Which {
    /// The length of a frame that it writes, in bytes.
    fn frame_len(self) -> usize {
        match self {
            Ffmpeg => (WIDTH * BOX) as usize,
            _ => (WIDTH * HEIGHT * 3 / 2) as usize,
        }
    }

    fn command(self, dir: &TempDir, pipe: &str, url: &str) -> Command {
        match self {
            Vlc => {
                let mut command = media::vlc(dir.path());
                command.args([
                    "-vv",
                    "--avcodec-hw=none",
                    "--yuv-yuv4mpeg2",
                    "--vout",
                    "yuv",
                    "--yuv-file",
                ]);
                command.args([pipe, "--aout", "adummy"]);
                // The title would be drawn into the frames.
                command.args(["--no-video-title-show", "--no-osd", url]);
                command
            }
            Mpv => {
                let script = dir.join("at.lua");
                fs::write(&script, MPV_SCRIPT.replace("PIPE", pipe))
                    .expect("a script can be written");
                let mut command = Command::new("mpv");
                command.args([
                    "--no-config",
                    "--vo=null",
                    "--ao=null",
                    "--msg-level=all=warn",
                ]);
                command.args(["--rebase-start-time=no", "--no-terminal"]);
                command
                    .arg(format!("--script={}", script.display()))
                    .arg(url);
                command
            }
            Ffmpeg => {
                let mut command = media::quiet("ffmpeg");
                command.args(["-i", url, "-map", "0:v", "-fps_mode", "passthrough"]);
                command.args([
                    "-vf",
                    &format!("crop={WIDTH}:{BOX}:0:0"),
                    "-pix_fmt",
                    "gray",
                ]);
                command.args(["-f", "rawvideo", "-flush_packets", "1", pipe]);
                command
            }
            Hlsdemux | Hlsdemux2 => {
                let mut command = Command::new("gst-launch-1.0");
                command.env("GST_DEBUG", "2").env("GST_DEBUG_NO_COLOR", "1");
                let sink = format!(
                    "videoconvert ! video/x-raw,format=I420 ! \
                     filesink location={pipe} buffer-mode=unbuffered"
                );
                if self == Hlsdemux {
                    let pipeline = format!(
                        "souphttpsrc location={url} ! hlsdemux ! qtdemux name=d \
                         d.video_0 ! queue ! h264parse ! avdec_h264 ! {sink} \
                         d.audio_0 ! queue ! fakesink"
                    );
                    command.args(pipeline.split_whitespace());
                } else {
                    command.args(["playbin3", &format!("uri={url}")]);
                    command.arg("audio-sink=fakesink sync=true");
                    command.arg(format!("video-sink={sink} sync=true"));
                }
                command
            }
        }
    }

    pub(crate) fn start(self, url: &str) -> Playing {
        let dir = TempDir::new();
        let pipe = dir.join("pictures");
        run(Command::new("mkfifo").args(["-m", "666"]).arg(&pipe));
        let screen = Arc::<Mutex<Screen>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let reader = {
            let (pipe, screen) = (pipe.clone(), Arc::clone(&screen));
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                // VLC closes and reopens it while it tries formats.
                while !is_over.load(Ordering::Relaxed) {
                    match (self, File::open(&pipe)) {
                        (_, Err(_)) => break,
                        (Mpv, Ok(pipe)) => read_places(BufReader::new(pipe), &screen),
                        (_, Ok(pipe)) => read_frames(pipe, self, &screen),
                    }
                }
            })
        };
        let opened = wall_clock();
        let path = pipe.display().to_string();
        let program = Program::start(&mut self.command(&dir, &path, url));
        Playing {
            which: self,
            program,
            opened,
            screen,
            pipe,
            is_over,
            reader: Some(reader),
            _dir: dir,
        }
    }
}

impl Playing {
    /// Whether it has shown frames for `seconds`, or ended.
    pub(crate) fn is_done(&mut self, seconds: u64) -> bool {
        let screen = lock(&self.screen);
        let is_enough = match (screen.shown.first(), screen.shown.last()) {
            (Some(first), Some(last)) => last.at.saturating_sub(first.at) > seconds * 1000,
            _ => false,
        };
        drop(screen);
        is_enough || !self.program.is_running()
    }

    /// Ends it; returns its figures. `begin` is when the stream began.
    pub(crate) fn figures(&mut self, begin: u64, seconds: u64) -> Figures {
        let has_ended = !self.program.is_running();
        self.program.stop();
        let screen = lock(&self.screen);
        let watch = Watch {
            begin,
            opened: self.opened,
            until: wall_clock(),
            seconds,
        };
        let mut figures = match self.which {
            Ffmpeg | Hlsdemux => Figures::of_arrivals(&screen.shown, watch),
            _ => Figures::of_screen(&screen.shown, watch),
        };
        let printed = self.program.stdout() + &self.program.stderr();
        let complains = |line: &&str| match self.which {
            // About the input's clock, and frames that came too late to be played.
            Vlc => ["PCR", "too late", "clock gap"]
                .iter()
                .any(|words| line.contains(words)),
            Mpv => !line.contains("duplicated MOOV"),
            // It reports for every segment that its init segment is known already.
            Ffmpeg => !line.contains("duplicated MOOV") && !line.contains("Last message repeated"),
            Hlsdemux | Hlsdemux2 => {
                line.contains("ERROR") || line.contains("WARN") && line.contains("demux")
            }
        };
        let lines = printed.lines().filter(|line| !line.is_empty());
        figures.complaints = lines.filter(complains).map(str::to_owned).collect();
        if screen.waits > 0 {
            let text = format!("it waited {} times for its cache", screen.waits);
            figures.complaints.push(text);
        }
        if has_ended {
            figures.fatal.push(format!("it ended:\n{printed}"));
        }
        figures
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.program.kill();
        // A reader may still wait until the pipe is opened for writing.
        let _ = OpenOptions::new().read(true).write(true).open(&self.pipe);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads raw frames, or YUV4MPEG2, where a line precedes each.
fn read_frames(pipe: File, which: Which, screen: &Mutex<Screen>) {
    let mut pipe = BufReader::new(pipe);
    let mut picture = vec![0; which.frame_len()];
    loop {
        let mut line = b"YUV4MPEG2".to_vec();
        while which == Vlc && line.starts_with(b"YUV4MPEG2") {
            line.clear();
            if !matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
                return;
            }
        }
        if pipe.read_exact(&mut picture).is_err() {
            return;
        }
        let at = wall_clock();
        let number = number_of(&picture);
        lock(screen).shown.push(Shown { at, number });
    }
}

/// Reads what [`MPV_SCRIPT`] writes.
fn read_places(pipe: BufReader<File>, screen: &Mutex<Screen>) {
    let mut was_waiting = true;
    for line in pipe.lines().map_while(Result::ok) {
        let at = wall_clock();
        let (time, waits) = line.split_once(' ').unwrap_or_default();
        let mut screen = lock(screen);
        let time = time.parse::<f64>().unwrap_or_default() - FIRST_TIME;
        let number = (time * 1000.0 / FRAME_MS as f64).round() as u32;
        if screen.shown.last().is_none_or(|last| last.number != number) {
            screen.shown.push(Shown { at, number });
        }
        let is_waiting = waits == "yes";
        screen.waits += usize::from(is_waiting && !was_waiting);
        was_waiting = is_waiting;
    }
}

/// Returns the number that is drawn into a frame, which begins with its luma.
fn number_of(picture: &[u8]) -> u32 {
    let row = (BOX / 2 * WIDTH) as usize;
    (0..BITS).fold(0, |number, bit| {
        let luma = picture[row + (bit * BOX + BOX / 2) as usize];
        number | u32::from(luma > 128) << bit
    })
}
