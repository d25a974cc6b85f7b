//! The functions of a stream that take its lock for HLS.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use super::{Stream, StreamState};
use crate::live::hls::reader::{Evicted, FragmentReader};
use crate::live::hls::requests::{Asker, HlsRequest, Look, Unavailable};
use crate::live::hls::{Hls, StreamContext};
use crate::live::tracks::Tracks;
use crate::live::{Millis, lock};

impl Stream {
    /// Answers a request, or returns how long it has to wait.
    pub fn ask_hls(&self, request: HlsRequest, asker: &Asker) -> Result<Look, Unavailable> {
        let state = &mut *lock(&self.state);
        let look = state.with_hls(|hls, stream| hls.ask(request, asker, stream));
        if let HlsRequest::Media(_) = request {
            state.note_viewers(asker.now);
        }
        look
    }

    /// Looks again for the answer to a waiting request. `is_last`: whether the request won't wait any
    /// longer.
    pub fn look_again(
        &self,
        request: HlsRequest,
        asker: &Asker,
        is_last: bool,
    ) -> Result<Look, Unavailable> {
        self.with_hls(|hls, stream| hls.look_again(request, asker, is_last, stream))
    }

    /// Notes that a request begins to wait. Until it no longer waits, the stream counts as watched.
    pub fn begin_hls_wait(&self) {
        self.with_hls(|hls, _| hls.begin_wait());
    }

    /// Waits for a change after those counted as `seen`, or for the timeout. May also wake up
    /// spuriously.
    pub fn wait_for_hls(&self, seen: u32, timeout: Duration) {
        let state = lock(&self.state);
        if state.hls.changes == seen {
            drop(self.grown.wait(state, timeout));
        }
    }

    /// Notes that a request no longer waits.
    pub fn end_hls_wait(&self, now: Millis) {
        self.with_hls(|hls, _| hls.end_wait(now));
    }

    /// The tracks of an init segment. The call doesn't count as a request that shows that somebody
    /// watches.
    pub fn init(&self, version: u64) -> Option<Arc<Tracks>> {
        self.with_hls(|hls, _| hls.init(version))
    }

    /// The newest keyframe, due at 0, and the tracks to show it with; `None` if there is none.
    pub fn keyframe(&self) -> Option<(Arc<Tracks>, FragmentReader)> {
        self.with_hls(|_, stream| {
            let reader = FragmentReader::newest_keyframe(stream.log)?;
            Some((Arc::clone(stream.tracks), reader))
        })
    }

    /// Passes `lead` and the next bytes of `reader` to `take`, which must not block. Returns how many
    /// bytes of both it took. At the end there are no slices. `room` is where the heads of fragments
    /// are written, at least one.
    pub fn send(
        &self,
        reader: &mut FragmentReader,
        lead: &[u8],
        room: &mut [u8],
        now: Millis,
        take: &mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<io::Result<usize>, Evicted> {
        let state = &mut *lock(&self.state);
        let before = reader.len;
        // The lock is held across the send on purpose: the slices borrow the log.
        let result = reader.offer(&state.log, lead, room, take)?;
        let fetched = before - reader.len;
        state.audience.note_fetched(fetched, now);
        Ok(result)
    }

    /// Skips the first `skip` bytes, and drops all but the next `len`.
    pub fn cut(&self, reader: &mut FragmentReader, skip: u64, len: u64) -> Result<(), Evicted> {
        let mut left = skip;
        while reader.skip(&lock(&self.state).log, &mut left)? {
            // Without this, the thread would get the lock again before a thread that was woken up for
            // it.
            std::thread::yield_now();
        }
        reader.len = reader.len.min(len);
        Ok(())
    }

    /// Notifies requests that wait, if there is news.
    pub(super) fn notify_hls(&self, state: &mut StreamState) {
        if state.hls.take_news() {
            self.grown.notify();
        }
    }

    fn with_hls<T>(&self, act: impl FnOnce(&mut Hls, &mut StreamContext<'_>) -> T) -> T {
        lock(&self.state).with_hls(act)
    }
}

impl StreamState {
    fn with_hls<T>(&mut self, act: impl FnOnce(&mut Hls, &mut StreamContext<'_>) -> T) -> T {
        let (life, intake) = (&self.life, &self.intake);
        let mut context = StreamContext {
            log: &mut self.log,
            tracks: &intake.tracks,
            are_tracks_known: intake.are_tracks_known(),
            announced_bandwidth: intake.publish.announced_bandwidth,
            is_live: life.is_live(),
            was_published: life.generation > 0,
            has_ended: life.has_ended(),
        };
        act(&mut self.hls, &mut context)
    }
}
