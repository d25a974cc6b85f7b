//! HLS from a stream: what a playlist says, what its names stand for, and the wait for what comes
//! next.
//!
//! A segment is a range of the log's messages, each framed as a fragment of MP4, so its bytes are
//! made anew whenever somebody fetches it. While somebody asks, the log keeps what playlists name,
//! and whoever completes a part tells those who wait for it. For whoever may ask first it keeps a
//! playlist's worth, as long as nobody else has any use for that memory.

mod reading;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Stream, StreamState};
use crate::http::route::{SegmentKind, SegmentName};
use crate::live::kind::Kind;
use crate::live::log::{Entry, Log};
use crate::live::out::format::mp4::Base;
use crate::live::report::{Delivered, ViewerReport};
use crate::live::segments::{Found, Listing, Segments, Share, Unit, Viewer, Wanted};
use crate::live::tracks::Tracks;
use crate::live::{Millis, When, lock};
pub use reading::{Evicted, Reading};
use reading::{framed_len, is_sample};

/// What is kept for those who asked is kept for this long after the last one did.
const ASKED: Millis = 30_000;

/// How long a request waits for the first segment, or for the next one if more are needed to begin
/// with, in ms: for any segment, and less than the time after which most players give up.
const FIRST_WAIT: Millis = 12_000;

/// How long it waits for the return of a publisher before it is to come again.
const RETURN_WAIT: Millis = 5_000;

/// How long a request waits for what comes next, in target durations (RFC 8216bis, 6.2.5.2).
const MAX_WAIT: Millis = 3;

/// How often a request that waits looks whether its connection is to end.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Of the requests that may wait, those of one client are a quarter at most, but not fewer than this:
/// a few players of pictures and sound.
const MIN_PER_CLIENT: usize = 8;

/// Who hasn't asked for this long has stopped watching.
const VIEWER: Millis = 15_000;

/// What the decoder configurations of all versions may take, in bytes, but for the newest two.
const MAX_CONFIGS_LEN: usize = 1024;

/// A GOP is cut if the memory doesn't hold so many of its length: two that are listed, and the next.
const SEGMENTS_IN_MEMORY: u64 = 3;

/// What a stream knows for HLS.
#[derive(Default)]
pub(in crate::live) struct Hls {
    pub(super) segments: Segments,
    /// Somebody may ask.
    is_served: bool,
    /// The tracks of the segments, oldest first, and their versions.
    versions: VecDeque<(u32, Arc<Tracks>)>,
    /// In the names of segments. Drawn when somebody asks first.
    life: Option<u32>,
    asked: When,
    /// Somebody has got a media playlist.
    is_given: bool,
    /// The tracks were all known when a message was noted last.
    were_known: bool,
    /// Requests that wait for a part.
    waiting: usize,
    /// A part is complete, and those who wait aren't told yet.
    has_news: bool,
}

/// The requests that wait, in all streams, by client. Each holds a thread that is there anyway, so
/// there are as many places as connections; but nobody has so many that others find none.
pub struct Waiters {
    max: usize,
    clients: Mutex<Vec<(IpAddr, usize)>>,
}

/// A place among those who wait, given back when dropped.
struct Place<'a> {
    waiters: &'a Waiters,
    client: IpAddr,
}

/// Who asks, and when.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Where from.
    pub address: IpAddr,
    /// What counts as one for limits.
    pub client: IpAddr,
    /// When.
    pub now: Millis,
    /// Draws a random number.
    pub nonce: fn() -> u32,
    /// Those who wait.
    pub waiters: &'a Waiters,
    /// Whether it is of no use to wait any longer. Asked every second.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
}

/// What makes a playlist.
#[derive(Clone, Debug)]
pub struct Playlist {
    /// What the media playlist says.
    pub listing: Listing,
    /// The life of the stream, which stands in the names of segments.
    pub life: u32,
    /// The tracks of the newest segment.
    pub tracks: Arc<Tracks>,
}

/// What a name in a playlist names.
#[derive(Clone, Debug)]
pub enum Named {
    /// An init segment.
    Init(Arc<Tracks>),
    /// A range of the log, to be read.
    Media(Reading),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is no such thing, or no longer.
    NotFound,
    /// It would come too far in the future.
    TooFar,
    /// It didn't come in time.
    TimedOut,
    /// Too many wait.
    TooMany,
    /// Nobody is there any more who could be answered.
    Over,
    /// Nothing of the stream fits into MP4.
    NoCodec,
    /// There is no memory for what playlists list.
    NoMemory,
}

/// An attempt to answer.
enum Attempt<T> {
    Done(T),
    /// Wait for at most this long, counted from the request's beginning.
    Wait(Millis),
}

impl Waiters {
    /// At most so many may wait.
    pub fn new(max: usize) -> Waiters {
        Waiters {
            max,
            clients: Mutex::default(),
        }
    }

    fn try_add(&self, client: IpAddr) -> Option<Place<'_>> {
        let mut clients = lock(&self.clients);
        if clients.iter().map(|(_, count)| count).sum::<usize>() >= self.max {
            return None;
        }
        match clients.iter_mut().find(|(other, _)| *other == client) {
            Some((_, count)) if *count >= (self.max / 4).max(MIN_PER_CLIENT) => return None,
            Some((_, count)) => *count += 1,
            None => clients.push((client, 1)),
        }
        Some(Place {
            waiters: self,
            client,
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut clients = lock(&self.waiters.clients);
        if let Some(at) = clients.iter().position(|(other, _)| *other == self.client) {
            clients[at].1 -= 1;
            if clients[at].1 == 0 {
                clients.swap_remove(at);
            }
        }
    }
}

impl Stream {
    /// What is to be listed, once that is `wanted`, or anything at all.
    pub fn playlist(
        &self,
        wanted: Option<Wanted>,
        asker: Asker<'_>,
    ) -> Result<Playlist, Unavailable> {
        self.answer(asker, None, |state, is_last| {
            let segments = &mut state.hls.segments;
            segments.note_viewer(asker.address, asker.now, VIEWER);
            state.playlist(wanted, is_last)
        })
    }

    /// The same, as soon as there is a segment: what makes the multivariant playlist.
    pub fn outline(&self, asker: Asker<'_>) -> Result<Playlist, Unavailable> {
        self.answer(asker, None, |state, _| state.outline())
    }

    /// Notes by which connection a viewer has got a playlist; true for its first.
    pub fn name_hls_viewer(&self, address: IpAddr, connection: u64) -> bool {
        let mut state = lock(&self.state);
        state.hls.segments.name_viewer(address, connection)
    }

    /// What a name in a playlist names. The part that comes next is waited for.
    pub fn named(&self, name: SegmentName, asker: Asker<'_>) -> Result<Named, Unavailable> {
        self.answer(asker, Some(name.life), |state, _| state.named(name.kind))
    }

    /// The tracks of an init segment, without asking for it.
    pub fn init(&self, name: SegmentKind) -> Option<Arc<Tracks>> {
        match name {
            SegmentKind::Init(version) => lock(&self.state).hls.tracks(version),
            _ => None,
        }
    }

    /// The newest keyframe as a file of its own: what it begins with, and the picture, due at 0.
    /// `None` while there is none.
    pub fn keyframe(&self) -> Option<(Arc<Tracks>, Reading)> {
        let state = lock(&self.state);
        let join_point = state.log.start_of(true)?;
        // One that came in parts is whole behind them.
        const PARTS: usize = 256;
        let is_keyframe = |(_, entry): &(u64, Entry)| {
            is_sample(entry) && entry.meta.kind == Kind::Video && entry.meta.is_sync()
        };
        let mut entries = (join_point..).zip(state.log.entries(join_point));
        let (number, entry) = entries.by_ref().take(PARTS).find(is_keyframe)?;
        let has_video = entry.meta.kind == Kind::Video;
        let base = Base {
            video: entry.meta.sample.decode_time,
            audio: 0,
        };
        let share = Share::new(number, number);
        let len = framed_len(&entry);
        let reading = Reading::new(number..number + 1, len, share, base, has_video);
        has_video.then(|| (Arc::clone(state.intake.tracks()), reading))
    }

    /// Has what comes next sent by `take`, which must not wait, behind `lead`; how much of both it has
    /// taken. There are no slices at the end. What isn't in the log is made in `room`, which has place
    /// for a fragment's head at least.
    pub fn send(
        &self,
        reading: &mut Reading,
        lead: &[u8],
        room: &mut [u8],
        now: Millis,
        take: &mut dyn FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Result<io::Result<usize>, Evicted> {
        let mut state = lock(&self.state);
        let before = reading.len;
        // The lock is held across the send on purpose: the slices borrow the log.
        let result = reading.offer(&state.log, lead, room, take)?;
        state
            .audience
            .deliveries
            .note_fetched(before - reading.len, now);
        Ok(result)
    }

    /// Leaves out the first bytes, and all that comes after `len` more.
    pub fn cut(&self, reading: &mut Reading, skip: u64, len: u64) -> Result<(), Evicted> {
        let mut left = skip;
        in_steps(|| reading.skip(&lock(&self.state).log, &mut left))?;
        reading.len = reading.len.min(len);
        Ok(())
    }

    /// Whether somebody watches by HLS.
    pub fn is_wanted_by_hls(&self, now: Millis) -> bool {
        lock(&self.state).hls.is_wanted(now)
    }

    /// Tells those who wait, if there is something to tell.
    pub(super) fn notify_hls(&self, state: &mut StreamState) {
        if std::mem::take(&mut state.hls.has_news) && state.hls.waiting > 0 {
            self.grown.notify();
        }
    }

    /// What `attempt` answers in the end. It is told whether the time is over.
    fn answer<T>(
        &self,
        asker: Asker<'_>,
        life: Option<u32>,
        attempt: impl Fn(&mut StreamState, bool) -> Result<Attempt<T>, Unavailable>,
    ) -> Result<T, Unavailable> {
        let began = Instant::now();
        let mut state = lock(&self.state);
        // What isn't from a playlist of this stream doesn't show that anybody watches.
        if state.life.generation() == 0 || life.is_some() && life != state.hls.life {
            return Err(Unavailable::NotFound);
        }
        state.ask(asker)?;
        let limit = match attempt(&mut state, false)? {
            Attempt::Done(answer) => return Ok(answer),
            Attempt::Wait(limit) => Duration::from_millis(limit),
        };
        // A playlist without what was asked for would be no answer: what is wanted, or an error
        // (RFC 8216bis, 6.2.5.2). Players ask again after one.
        let place = asker.waiters.try_add(asker.client);
        let _place = place.ok_or(Unavailable::TooMany)?;
        state.hls.waiting += 1;
        let result = loop {
            let left = limit.saturating_sub(began.elapsed());
            state = self.grown.wait(state, left.min(LOOK_INTERVAL));
            let left = limit.saturating_sub(began.elapsed());
            match attempt(&mut state, left.is_zero()) {
                Ok(Attempt::Done(answer)) => break Ok(answer),
                Ok(Attempt::Wait(_)) if left.is_zero() => break Err(Unavailable::TimedOut),
                Ok(Attempt::Wait(_)) => {}
                Err(error) => break Err(error),
            }
            // Others' locks are not taken under a stream's.
            drop(state);
            let is_over = (asker.is_over)();
            state = lock(&self.state);
            if is_over {
                break Err(Unavailable::Over);
            }
        };
        state.hls.waiting -= 1;
        let now = asker.now + began.elapsed().as_millis() as Millis;
        state.hls.asked = state.hls.asked.max(When::at(now));
        result
    }
}

/// Does something to a stream until it is done, and leaves the stream to others in between.
fn in_steps(mut step: impl FnMut() -> Result<bool, Evicted>) -> Result<(), Evicted> {
    while step()? {
        // Whoever has been woken up for the lock wouldn't get it before this thread does again.
        std::thread::yield_now();
    }
    Ok(())
}

impl StreamState {
    fn ask(&mut self, asker: Asker<'_>) -> Result<(), Unavailable> {
        // Of what goes on more will be listed.
        if self.life.is_live() && !self.hls.segments.has_block() {
            let block = self.log.take_block().ok_or(Unavailable::NoMemory)?;
            self.hls.segments.set_block(block);
        }
        self.hls.life.get_or_insert_with(asker.nonce);
        if !self.hls.is_wanted(asker.now) {
            let kept_from = self.hls.segments.needed_from(true);
            self.log.set_kept_from(kept_from, None);
        }
        self.hls.asked = self.hls.asked.max(When::at(asker.now));
        self.hls.segments.prune(self.log.start());
        Ok(())
    }

    fn playlist(
        &mut self,
        wanted: Option<Wanted>,
        is_last: bool,
    ) -> Result<Attempt<Playlist>, Unavailable> {
        let is_live = self.life.is_live();
        let has_ended = self.life.has_ended();
        let hls = &mut self.hls;
        hls.segments.prune(self.log.start());
        let may_wait = is_live && !is_last && !has_ended;
        if may_wait && !hls.is_given && !hls.segments.is_fit() {
            return match self.is_without_samples() {
                true => Err(Unavailable::NoCodec),
                false => Ok(Attempt::Wait(FIRST_WAIT)),
            };
        }
        if let (Some(target), Some(wanted), false) = (hls.segments.target(), wanted, has_ended) {
            match hls.segments.has(wanted) {
                Found::Yes(()) => {}
                Found::No => return Err(Unavailable::TooFar),
                // While the publisher is away, those who have waited get what they have already.
                Found::NotYet if is_last && !is_live => {}
                Found::NotYet => return Ok(Attempt::Wait(Millis::from(target) * 1_000 * MAX_WAIT)),
            }
        }
        let attempt = self.outline()?;
        self.hls.is_given |= matches!(attempt, Attempt::Done(_));
        Ok(attempt)
    }

    fn outline(&mut self) -> Result<Attempt<Playlist>, Unavailable> {
        let is_live = self.life.is_live();
        if is_live && self.is_without_samples() {
            return Err(Unavailable::NoCodec);
        }
        let are_tracks_known = self.intake.are_tracks_known();
        let hls = &mut self.hls;
        hls.segments.prune(self.log.start());
        let first_wait = if is_live { FIRST_WAIT } else { RETURN_WAIT };
        if hls.segments.target().is_none() && !are_tracks_known && !self.life.has_ended() {
            return Ok(Attempt::Wait(first_wait));
        }
        let log = &self.log;
        let listing = hls
            .segments
            .listing(self.life.has_ended(), &|number| log.is_safe(number));
        let tracks = hls.versions.back();
        match (listing, tracks) {
            (Some(mut listing), Some((_, tracks))) => {
                let announced = self.intake.announced_bandwidth();
                listing.bandwidth = listing.bandwidth.max(announced);
                Ok(Attempt::Done(Playlist {
                    listing,
                    life: hls.life.unwrap_or_default(),
                    tracks: Arc::clone(tracks),
                }))
            }
            _ if self.life.has_ended() => Err(Unavailable::NotFound),
            _ => Ok(Attempt::Wait(first_wait)),
        }
    }

    fn named(&mut self, name: SegmentKind) -> Result<Attempt<Named>, Unavailable> {
        let segments = &self.hls.segments;
        let (messages, len, segment) = match name {
            SegmentKind::Init(version) => {
                let tracks = self.hls.tracks(version).ok_or(Unavailable::NotFound)?;
                return Ok(Attempt::Done(Named::Init(tracks)));
            }
            SegmentKind::Segment(number) => {
                let segment = segments.segment(number).ok_or(Unavailable::NotFound)?;
                (segment.messages.clone(), segment.bytes, segment)
            }
            SegmentKind::Part(number, part) => match segments.part(number, part) {
                Found::Yes((part, segment)) => (part.messages, part.bytes.into(), segment),
                Found::No => return Err(Unavailable::NotFound),
                Found::NotYet if self.life.has_ended() => return Err(Unavailable::NotFound),
                Found::NotYet => {
                    let target = segments.target().unwrap_or_default();
                    return Ok(Attempt::Wait(Millis::from(target) * 1_000 * MAX_WAIT));
                }
            },
        };
        let (version, share) = (segment.version, segment.share);
        let tracks = self.hls.tracks(version.into());
        let has_video = tracks.is_some_and(|tracks| tracks.presentation.video.is_some());
        // With the time of the stream, which is the same for all who fetch it.
        let reading = Reading::new(messages, len, share, Base::default(), has_video);
        Ok(Attempt::Done(Named::Media(reading)))
    }

    /// Whether it is known that nothing of the stream fits into MP4.
    fn is_without_samples(&self) -> bool {
        let presentation = &self.intake.tracks().presentation;
        presentation.video.is_none()
            && presentation.audio.is_none()
            && self.intake.are_tracks_known()
    }
}

impl Hls {
    /// Takes note of a message that was appended. `is_audio_alone`: no video is expected.
    pub(in crate::live) fn note_sample(
        &mut self,
        number: u64,
        log: &mut Log,
        tracks: &Arc<Tracks>,
        are_tracks_known: bool,
        is_audio_alone: bool,
    ) {
        self.segments.prune(log.start());
        let Some(entry) = log.entry(number).filter(is_sample) else {
            return;
        };
        let version = self.version_of(tracks, are_tracks_known);
        let open = self.segments.newest_version();
        let open = open.filter(|open| *open != version);
        let open = open.and_then(|open| self.tracks(open.into()));
        let now = &tracks.presentation;
        let open = open.as_ref().map_or(now, |tracks| &tracks.presentation);
        let is_picture = entry.meta.kind == Kind::Video;
        let fits = match is_picture {
            true => open.video == now.video,
            false => open.audio == now.audio,
        };
        let has_video = now.video.is_some();
        let (time, end) = tracks.span(&entry);
        let unit = Unit {
            number,
            time,
            end,
            arrived: entry.meta.arrived,
            len: framed_len(&entry) as u32,
            version,
            is_picture,
            fits,
            is_boundary: open.video.is_some() == is_picture,
            is_join_point: match (is_picture, has_video) {
                (true, _) => entry.meta.is_sync(),
                (false, true) => false,
                (false, false) => are_tracks_known && is_audio_alone,
            },
        };
        let max_bytes = log.capacity() / SEGMENTS_IN_MEMORY;
        if self.segments.add(&unit, max_bytes) {
            self.note_news(unit.arrived, log);
        }
    }

    /// What comes next doesn't go on where the last message ended.
    pub(super) fn cut_off(&mut self) {
        self.segments.cut_off();
        self.has_news = true;
    }

    /// Forgets what was listed of messages before this one.
    pub(in crate::live) fn forget_before(&mut self, number: u64) {
        self.segments.prune(number);
    }

    fn note_news(&mut self, now: Millis, log: &mut Log) {
        self.has_news = true;
        self.forget_versions();
        let is_wanted = self.is_wanted(now);
        if !is_wanted {
            self.segments.shrink();
        }
        if self.is_served {
            let kept_from = self.segments.needed_from(is_wanted);
            // What is begun becomes a segment: without its beginning there would be none.
            let spare_to = (!is_wanted).then(|| self.segments.open_from());
            log.set_kept_from(kept_from, spare_to);
        }
    }

    /// `is_served`: somebody may ask.
    pub(super) fn new(is_served: bool) -> Hls {
        Hls {
            is_served,
            ..Hls::default()
        }
    }

    /// Whether somebody has asked lately.
    pub(super) fn is_wanted(&self, now: Millis) -> bool {
        self.wanted_for(now) > 0
    }

    /// How long it will be wanted if nobody asks again, in ms.
    pub(super) fn wanted_for(&self, now: Millis) -> Millis {
        match self.asked.get() {
            // They ask as long as they wait.
            Some(_) if self.waiting > 0 => ASKED,
            Some(asked) => (asked + ASKED).saturating_sub(now),
            None => 0,
        }
    }

    /// How long a stream that has ended can still be found, in ms: until all viewers have asked, and
    /// so know that it has.
    pub(super) fn tail(&self, now: Millis) -> Option<Millis> {
        let target = self.segments.target().filter(|_| self.is_wanted(now))?;
        Some(Millis::from(target) * 1_000 * MAX_WAIT)
    }

    /// The version of these tracks.
    fn version_of(&mut self, tracks: &Arc<Tracks>, are_known: bool) -> u32 {
        let is_open = self.segments.target().is_none() && !self.were_known;
        self.were_known = are_known;
        let mut version = 0;
        if let Some((newest, known)) = self.versions.back_mut() {
            if Arc::ptr_eq(known, tracks) {
                return *newest;
            }
            // Nobody has seen them without the sound that came late.
            if known.presentation == tracks.presentation
                || is_open && has_only_gained_sound(known, tracks)
            {
                *known = Arc::clone(tracks);
                return *newest;
            }
            version = *newest + 1;
            if known.presentation.audio != tracks.presentation.audio {
                self.segments.forget_sounds();
            }
        }
        // No segment has the newest ones, if others follow at once; these may be the old ones again.
        let used = self.segments.newest_version();
        self.versions
            .retain(|(version, _)| used.is_some_and(|used| *version <= used));
        match self.versions.back() {
            Some((used, known)) if known.presentation == tracks.presentation => return *used,
            _ => self.versions.push_back((version, Arc::clone(tracks))),
        }
        self.forget_versions();
        version
    }

    /// The tracks of all versions.
    pub(in crate::live) fn held_tracks(&self) -> impl Iterator<Item = &Arc<Tracks>> + Clone {
        self.versions.iter().map(|(_, tracks)| tracks)
    }

    fn tracks(&self, version: u64) -> Option<Arc<Tracks>> {
        let found = |(known, _): &&(u32, _)| u64::from(*known) == version;
        let (_, tracks) = self.versions.iter().find(found)?;
        Some(Arc::clone(tracks))
    }

    /// Forgets the oldest version with its segments, unless it is the only one.
    pub(in crate::live) fn forget_version(&mut self) -> bool {
        let oldest = self.versions.front().filter(|_| self.versions.len() > 1);
        let Some(&(oldest, _)) = oldest else {
            return false;
        };
        self.versions.pop_front();
        self.segments.forget_version(oldest);
        true
    }

    fn forget_versions(&mut self) {
        let config_len = |tracks: &Tracks| tracks.presentation.config_len();
        // Of what is long, segments of fewer versions are listed.
        while self.versions.len() > 2
            && self
                .versions
                .iter()
                .map(|(_, t)| config_len(t))
                .sum::<usize>()
                > MAX_CONFIGS_LEN
        {
            self.forget_version();
        }
        let oldest = self.segments.oldest_version().unwrap_or(u32::MAX);
        while self.versions.len() > 1 && self.versions.front().is_some_and(|(v, _)| *v < oldest) {
            self.versions.pop_front();
        }
    }

    /// Addresses that asked for a playlist lately.
    pub(super) fn viewers(&self, now: Millis) -> usize {
        self.segments.viewers(now, VIEWER).count()
    }

    /// One that no longer does; to be logged.
    pub(super) fn take_gone(&mut self, now: Millis) -> Option<Viewer> {
        self.segments.take_gone(now, VIEWER)
    }

    /// The viewer with the next higher number, which is beyond those of subscribers.
    pub(super) fn viewer_after(&self, id: u64, now: Millis) -> Option<ViewerReport> {
        const FIRST: u64 = 1 << 63;

        let mut viewers = self.segments.viewers(now, VIEWER);
        let (place, viewer) =
            viewers.find(|(place, viewer)| viewer.connection > 0 && FIRST + *place as u64 > id)?;
        Some(ViewerReport {
            id: FIRST + place as u64,
            connection: viewer.connection,
            protocol: "hls",
            since: viewer.since,
            delivered: Delivered::default(),
            lag: 0,
        })
    }
}

fn has_only_gained_sound(before: &Tracks, now: &Tracks) -> bool {
    let (before, now) = (&before.presentation, &now.presentation);
    before.video == now.video && before.video.is_some() && before.audio.is_none()
}
