//! The threads of recordings, and who has asked for them.
//!
//! | thread             | does                                              | waits in            |
//! |--------------------|---------------------------------------------------|---------------------|
//! | one per recording  | writes one stream into files                      | the disk, or a tick |
//! | the keeper         | repairs what a crash has left, keeps space free   | the disk, or a tick |

mod keeper;
mod request;
mod running;

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Shared, millis, thread, wall_clock};
use crate::config::{Record, RecordFormat};
use crate::live::cut::Form;
use crate::live::signal::Signal;
use crate::live::{Millis, lock};
use crate::record::disk::os::OsDisk;
use crate::record::playback;
use crate::record::recorder::{Recorder, Rules};
use crate::record::report::{DiskReport, RecordingReport};
use crate::record::staging::Staging;
use crate::record::store::Store;
use crate::rtmp::stream_key::StreamKey;

pub use request::StartRefused;
pub(super) use request::{Why, why};
use running::Running;

/// How long the server waits at its end for files to be closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The recordings of a server.
pub(super) struct Recordings {
    rules: Rules,
    /// The disk and what is on it; `None` without a folder.
    store: Option<Arc<Store>>,
    /// What can be played of them; `None` without a folder.
    library: Option<playback::Recordings>,
    running: Mutex<Vec<Arc<Running>>>,
    /// Notified when one of them has ended.
    ended: Signal,
}

impl Recordings {
    pub(super) fn new(record: &Record) -> Arc<Recordings> {
        let store = |dir| Arc::new(Store::new(Arc::new(OsDisk::new(dir, std::process::id()))));
        let store = record.dir.clone().map(store);
        let is_in_full = record.timelapse.is_none();
        Arc::new(Recordings {
            rules: Rules {
                form: match record.format {
                    RecordFormat::Auto => None,
                    RecordFormat::Mp4 => Some(Form::Mp4),
                    RecordFormat::Flv => Some(Form::Flv),
                },
                segment: millis(record.segment),
                sync: record.sync.map(millis),
                speed: record.timelapse,
                preroll: Some(millis(record.preroll)).filter(|ms| *ms > 0 && is_in_full),
            },
            library: store.as_ref().map(|store| playback::Recordings {
                catalog: Arc::clone(store.shared_catalog()),
                disk: Arc::clone(store.disk()),
            }),
            store,
            running: Mutex::default(),
            ended: Signal::default(),
        })
    }

    /// Fails if another process, or another server of this one, records in the same folder. Whatever else
    /// is wrong with the disk is left to the keeper, since it may end.
    pub(super) fn claim(&self) -> io::Result<()> {
        /// The time for a server that is just ending to leave the folder, in ticks: nothing tells when another
        /// process does.
        const PATIENCE: u32 = 100;
        const TICK: Duration = Duration::from_millis(10);

        let Some(store) = &self.store else {
            return Ok(());
        };
        let mut ticks = 0;
        loop {
            match store.disk().claim() {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                    if ticks == PATIENCE {
                        return Err(error);
                    }
                }
                _ => return Ok(()),
            }
            ticks += 1;
            std::thread::sleep(TICK);
        }
    }

    /// Starts the keeper, if there is a folder.
    pub(super) fn begin(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let (store, shared) = (Arc::clone(store), Arc::downgrade(shared));
        let run = move || keeper::run(&store, &shared);
        thread::spawn("keeper", thread::STACK_LEN, Box::new(run)).map(drop)
    }

    /// What can be played of them; `None` without a folder.
    pub(super) fn library(&self) -> Option<&playback::Recordings> {
        self.library.as_ref()
    }

    /// Begins to record a stream, with up to `preroll` ms of what came before. If it is recorded
    /// already, this changes nothing, except that [`Why::Record`] begins a new file. Returns whether it wasn't.
    pub(super) fn start(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        key: &StreamKey,
        why: Why,
        preroll: Option<Millis>,
    ) -> Result<bool, StartRefused> {
        let store = self.store.as_ref().ok_or(StartRefused::NoFolder)?;
        let stream = shared.table.find(key).filter(|stream| stream.is_live());
        let stream = stream.ok_or(StartRefused::NotLive)?;
        let mut running = lock(&self.running);
        // Looked at under the lock, so that the end of the server misses none.
        if shared.is_stopping() {
            return Err(StartRefused::Stopping);
        }
        if let Some(same) = running.iter().find(|running| running.is_of(&stream)) {
            if why == Why::Record {
                same.ask_for_a_new_file();
            }
            return Ok(false);
        }
        let state = store.catalog().condition.state;
        if why == Why::Asked && state.recording().is_some() {
            return Err(StartRefused::Disk(state));
        }
        let staging = Staging::new(&shared.arena).ok_or(StartRefused::NoRoom)?;
        let rules = Rules {
            preroll: preroll.or(self.rules.preroll),
            ..self.rules
        };
        let (store, own) = (Arc::clone(store), Arc::clone(&stream));
        let recorder = Recorder::new(own, store, staging, rules, shared.now());
        let new = Arc::new(Running::new(stream, recorder.report().clone()));
        running.push(Arc::clone(&new));
        drop(running);
        let (recordings, shared) = (Arc::clone(self), Arc::clone(shared));
        let run = move || {
            // Taken off the list even after a panic.
            let _listed = Listed(&recordings, &new);
            new.run(recorder, &|| (shared.now(), wall_clock::now()));
        };
        let spawned = thread::spawn("recording", thread::STACK_LEN, Box::new(run));
        spawned.map(|_| true).map_err(|_| StartRefused::NoRoom)
    }

    /// Ends the recording of a stream; false if there is none.
    pub(super) fn stop(&self, key: &StreamKey) -> bool {
        let running = lock(&self.running);
        let of_key = running.iter().filter(|running| running.key() == key);
        let is_one = of_key.clone().next().is_some();
        of_key.for_each(|running| running.ask_to_stop());
        is_one
    }

    /// The figures of a stream's recording, if there is one.
    pub(super) fn report(&self, key: &StreamKey) -> Option<RecordingReport> {
        let running = lock(&self.running);
        // A stream that has ended may still be written.
        let newest = running.iter().rfind(|running| running.key() == key)?;
        Some(newest.report())
    }

    /// The same as [`disk`](Self::disk), after the first look at it, or after the timeout.
    pub(super) fn await_disk(&self, timeout: Duration) -> Option<DiskReport> {
        self.store.as_ref()?.await_look(timeout);
        self.disk()
    }

    /// The figures of the disk; `None` if nothing can be recorded.
    pub(super) fn disk(&self) -> Option<DiskReport> {
        Some(self.store.as_ref()?.catalog().report())
    }

    /// Waits until the files of streams that have ended are closed, but not for a disk that hangs.
    pub(super) fn finish(&self) {
        if let Some(store) = &self.store {
            // Ends the keeper.
            store.call_keeper();
        }
        let deadline = Instant::now() + PATIENCE;
        let mut running = lock(&self.running);
        running.iter().for_each(|running| running.ask_to_stop());
        while !running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let count = running.len();
                drop(running);
                return log::warn!("{count} recordings couldn't be closed in time");
            }
            running = self.ended.wait(running, left);
        }
    }
}

/// An entry of the list of running recordings, taken off when dropped.
struct Listed<'a>(&'a Recordings, &'a Arc<Running>);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let Listed(recordings, own) = self;
        lock(&recordings.running).retain(|other| !Arc::ptr_eq(other, own));
        recordings.ended.notify();
    }
}
