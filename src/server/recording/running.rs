//! A recording that runs, as others see it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::live::lock;
use crate::live::signal::Signal;
use crate::live::stream::Stream;
use crate::record::recorder::{Now, Recorder, Step};
use crate::record::report::RecordingReport;
use crate::rtmp::stream_key::StreamKey;

/// How often a recorder looks for something to write.
const TICK: Duration = Duration::from_millis(500);

/// See the module's documentation.
pub(super) struct Running {
    stream: Arc<Stream>,
    asked: Mutex<Asked>,
    /// Notified when something is asked.
    woken: Signal,
    report: Mutex<RecordingReport>,
}

/// What others have asked a recorder for.
#[derive(Clone, Copy, Default)]
struct Asked {
    new_file: bool,
    /// The message before which it ends.
    stop: Option<u64>,
}

impl Running {
    pub(super) fn new(stream: Arc<Stream>, report: RecordingReport) -> Running {
        Running {
            stream,
            asked: Mutex::default(),
            woken: Signal::default(),
            report: Mutex::new(report),
        }
    }

    pub(super) fn key(&self) -> &StreamKey {
        self.stream.key()
    }

    /// Whether it records this very stream, and goes on.
    pub(super) fn is_of(&self, stream: &Arc<Stream>) -> bool {
        Arc::ptr_eq(&self.stream, stream) && lock(&self.asked).stop.is_none()
    }

    pub(super) fn report(&self) -> RecordingReport {
        lock(&self.report).clone()
    }

    pub(super) fn ask_for_a_new_file(&self) {
        self.ask(|asked| asked.new_file = true);
    }

    pub(super) fn ask_to_stop(&self) {
        let stream = &self.stream;
        self.ask(|asked| {
            asked.stop.get_or_insert_with(|| stream.end_of_recording());
        });
    }

    fn ask(&self, act: impl FnOnce(&mut Asked)) {
        act(&mut lock(&self.asked));
        self.woken.notify();
    }

    /// Records until the stream ends, or somebody asks to stop.
    pub(super) fn run(&self, mut recorder: Recorder, clock: &Now<'_>) {
        let mut is_over = false;
        while !is_over {
            let asked = {
                let mut asked = lock(&self.asked);
                Asked {
                    new_file: std::mem::take(&mut asked.new_file),
                    stop: asked.stop,
                }
            };
            if asked.new_file {
                recorder.begin_anew();
            }
            if let Some(until) = asked.stop {
                recorder.finish(until);
            }
            let step = recorder.step(clock);
            is_over = step == Step::Over;
            *lock(&self.report) = recorder.report().clone();
            if step == Step::Wait && !is_over {
                let now = lock(&self.asked);
                if now.stop == asked.stop && !now.new_file {
                    let asked = now;
                    drop(self.woken.wait(asked, TICK));
                }
            }
        }
    }
}
