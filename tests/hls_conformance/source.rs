//! Publishes what was planned in real time, and records what was sent when.

use std::net::{Shutdown, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use brooklet::rtmp::amf0::Value;
use brooklet::rtmp::command::text;

use crate::codecs::Mark;
use crate::common::client::Client;
use crate::scenario::{Action, Codec, Frame, PAUSE, Plan, Scenario, Times};

/// The clock of this run, in us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    began: Instant,
    began_at: SystemTime,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            began: Instant::now(),
            began_at: SystemTime::now(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// Converts a date, in us since 1970, to the clock of this run.
    pub(crate) fn of_date(&self, unix_us: i64) -> i64 {
        let began = self.began_at.duration_since(UNIX_EPOCH);
        unix_us - began.map_or(0, |since| since.as_micros() as i64)
    }

    /// The reverse.
    pub(crate) fn to_date(self, us: u64) -> i64 {
        us as i64 - self.of_date(0)
    }

    pub(crate) fn sleep_until(&self, us: u64) {
        let now = self.now();
        if us > now {
            thread::sleep(Duration::from_micros(us - now));
        }
    }
}

/// A publish: when it began and ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) began: u64,
    pub(crate) ended: Option<u64>,
    pub(crate) said_goodbye: bool,
}

/// A stream, and what has been sent of it.
pub(crate) struct Source {
    pub(crate) scenario: Scenario,
    pub(crate) number: u16,
    pub(crate) plan: Plan,
    /// When each frame was sent, in us of the run; 0 if it wasn't.
    sent: [Vec<AtomicU64>; 2],
    lives: Mutex<Vec<Life>>,
}

impl Source {
    pub(crate) fn new(scenario: Scenario, number: u16, seconds: u64) -> Source {
        let plan = scenario.plan(number, seconds);
        let sent = [0, 1].map(|track| plan.frames[track].iter().map(|_| AtomicU64::new(0)));
        Source {
            scenario,
            number,
            sent: sent.map(Iterator::collect),
            plan,
            lives: Mutex::default(),
        }
    }

    /// As if everything had been sent on time, from the beginning of the run on.
    pub(crate) fn sent_on_time(self) -> Source {
        for (frames, sent) in self.plan.frames.iter().zip(&self.sent) {
            for (frame, sent) in frames.iter().zip(sent) {
                sent.store(frame.due_ms * 1000 + 1, Ordering::Release);
            }
        }
        let life = Life {
            began: 1,
            ended: None,
            said_goodbye: false,
        };
        self.lives.lock().expect("nothing fails with it").push(life);
        self
    }

    /// Its name within `live/`.
    pub(crate) fn name(&self) -> &'static str {
        self.scenario.name
    }

    pub(crate) fn lives(&self) -> Vec<Life> {
        self.lives.lock().expect("nothing fails with it").clone()
    }

    pub(crate) fn frame(&self, track: usize, index: u32) -> Option<&Frame> {
        self.plan.frames[track].get(index as usize)
    }

    /// When it was sent, in us.
    pub(crate) fn sent(&self, track: usize, index: u32) -> Option<u64> {
        let sent = self.sent[track].get(index as usize)?;
        Some(sent.load(Ordering::Acquire)).filter(|us| *us > 0)
    }

    /// When it should have been sent, in us.
    pub(crate) fn due(&self, frame: &Frame) -> Option<u64> {
        let life = *self.lives().get(frame.life)?;
        Some(life.began + frame.due_ms * 1000)
    }

    /// The smallest delay, in us, of the frames of the same publish that were due until `until_ms`.
    pub(crate) fn least_delay(&self, frame: &Frame, until_ms: u64) -> Option<u64> {
        let began = self.lives().get(frame.life)?.began;
        let all = self.plan.frames.iter().zip(&self.sent);
        let all = all.flat_map(|(frames, sent)| frames.iter().zip(sent));
        let delays = all.filter_map(|(other, sent)| {
            let sent = sent.load(Ordering::Acquire);
            let counts = other.life == frame.life && other.due_ms <= until_ms && sent > 0;
            counts.then(|| sent.saturating_sub(began + other.due_ms * 1000))
        });
        delays.min()
    }

    pub(crate) fn bytes(&self, track: usize, index: u32) -> Option<Vec<u8>> {
        let mark = Mark {
            stream: self.number,
            track: track as u8,
            index,
        };
        Some(self.frame(track, index)?.body(mark))
    }

    /// Whether it was published during all of this time.
    pub(crate) fn was_live(&self, from: u64, to: u64) -> bool {
        let lives = self.lives();
        let mut during = lives.iter();
        let has_pause = self.scenario.times == Times::Pause;
        during.any(|life| {
            let [begin, end] = [PAUSE.start, PAUSE.end].map(|ms| life.began + ms * 1000);
            let is_paused = has_pause && from < end && to > begin;
            life.began <= from && life.ended.is_none_or(|end| end >= to) && !is_paused
        })
    }
}

/// A source that is being published.
struct Publishing<'a> {
    source: &'a Source,
    client: Option<Client>,
    /// The publisher before, closed but not dropped: the kernel discards what was sent when a
    /// socket with unread input is dropped.
    closed: Option<Client>,
    next: usize,
    base: u64,
}

impl Publishing<'_> {
    fn due(&self) -> Option<u64> {
        let step = self.source.plan.steps.get(self.next)?;
        Some(self.base + step.at_ms * 1000)
    }

    fn step(&mut self, rtmp: SocketAddr, clock: &Clock) {
        let source = self.source;
        let step = source.plan.steps[self.next];
        self.next += 1;
        let lives = || source.lives.lock().expect("nothing fails with it");
        match step.action {
            Action::Connect => {
                self.client = Some(Client::publishing(rtmp, "live", source.name()));
                self.base = clock.now();
                let life = Life {
                    began: self.base,
                    ended: None,
                    said_goodbye: false,
                };
                lives().push(life);
                self.send(
                    18,
                    source.scenario.first_time,
                    &metadata(source.scenario.fps),
                );
            }
            Action::Header(codec) => {
                let (type_id, payload) = match codec {
                    Codec::Video(video) => (9, video.header()),
                    Codec::Audio(audio) => (8, audio.header()),
                };
                let timestamp = source.scenario.first_time.wrapping_add(step.at_ms as u32);
                self.send(type_id, timestamp, &payload);
            }
            Action::Frame(track, index) => {
                let Some(frame) = source.frame(track, index) else {
                    return;
                };
                let body = source.bytes(track, index).expect("it is planned");
                let (type_id, payload) = match frame.codec {
                    Codec::Video(video) => (
                        9,
                        video.message(frame.is_key, frame.composition_time, &body),
                    ),
                    Codec::Audio(audio) => (8, audio.message(&body)),
                };
                let now = clock.now().max(1);
                source.sent[track][index as usize].store(now, Ordering::Release);
                self.send(type_id, frame.timestamp, &payload);
            }
            Action::Vanish | Action::Goodbye => {
                let said_goodbye = matches!(step.action, Action::Goodbye);
                if let Some(mut client) = self.client.take() {
                    if said_goodbye {
                        let arguments = vec![text(source.name())];
                        client.send_command(0, "FCUnpublish", 8.0, Value::Null, arguments);
                        let arguments = vec![Value::Number(1.0)];
                        client.send_command(0, "deleteStream", 9.0, Value::Null, arguments);
                    }
                    if let Some(life) = lives().last_mut() {
                        life.ended = Some(clock.now());
                        life.said_goodbye = said_goodbye;
                    }
                    let _ = client.socket().shutdown(Shutdown::Write);
                    self.closed = Some(client);
                }
                self.base += step.at_ms * 1000;
            }
        }
    }

    fn send(&mut self, type_id: u8, timestamp: u32, payload: &[u8]) {
        if let Some(client) = &mut self.client {
            client.send_message(type_id, 1, timestamp, payload);
        }
    }
}

/// Publishes these until `end`, in us.
pub(crate) fn publish(sources: &[Source], rtmp: SocketAddr, clock: &Clock, end: u64) {
    let mut all: Vec<_> = sources
        .iter()
        .map(|source| Publishing {
            source,
            client: None,
            closed: None,
            next: 0,
            base: 0,
        })
        .collect();
    loop {
        let next = all
            .iter_mut()
            .filter_map(|publishing| Some((publishing.due()?, publishing)))
            .min_by_key(|(due, _)| *due);
        match next {
            Some((due, publishing)) if due < end => {
                clock.sleep_until(due);
                publishing.step(rtmp, clock);
            }
            _ => break,
        }
    }
    clock.sleep_until(end);
}

/// The frame rate, as encoders announce it, in AMF0; no codecs, since some tracks begin late.
fn metadata(fps: u32) -> Vec<u8> {
    let mut payload = b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\x01".to_vec();
    payload.extend_from_slice(b"\0\x09framerate\0");
    payload.extend_from_slice(&f64::from(fps).to_be_bytes());
    payload.extend_from_slice(b"\0\0\x09");
    payload
}
