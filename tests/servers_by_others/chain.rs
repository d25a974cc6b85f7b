//! Chains of three: a server at the camera, one in the middle, and an edge. By pushes and by pulls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use brooklet::client::{Client, ClientErrorKind};
use brooklet::{Medium, StreamMessage};

use crate::common::client::{AAC_HEADER, AVC_320X240};
use crate::common::servers::free_address;
use crate::common::{Brooklet, SOON, wait_until};
use crate::scenario::wait_for_connection;

/// The time between two frames, and the number of frames from one keyframe to the next.
const STEP_MS: u32 = 20;
const GOP: u32 = 25;

/// The number of frames whose way is timed.
const TIMED: u32 = 200;

/// What is sent as frame `number`: pictures, with sound of every fourth.
fn frame(number: u32) -> Vec<StreamMessage> {
    let is_key = number % GOP == 0;
    let len = if is_key {
        30_000
    } else {
        1_000 + number * 97 % 5_000
    };
    let mut video = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    // One NAL unit, of the kind that the tag says.
    video.extend((1 + 4 + len).to_be_bytes());
    video.push(if is_key { 0x65 } else { 0x41 });
    video.extend(number.to_be_bytes());
    video.extend((0..len).map(|at| (at * 31 + number) as u8));
    let mut messages = vec![StreamMessage::video(number * STEP_MS, video)];
    if number % 4 == 0 {
        let mut audio = vec![0xAF, 1];
        audio.extend(number.to_be_bytes());
        messages.push(StreamMessage::audio(number * STEP_MS + 5, audio));
    }
    messages
}

/// A message, and when it came.
type Received = (StreamMessage, Instant);

/// Plays until it is told to end, and keeps what comes.
struct Receiver {
    messages: Arc<Mutex<Vec<Received>>>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Receiver {
    fn start(url: &str) -> Receiver {
        let mut player = Client::new(url).unwrap().timeout(SOON).play().unwrap();
        let messages = Arc::<Mutex<Vec<Received>>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let (own, must_end) = (Arc::clone(&messages), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            while !must_end.load(Ordering::Relaxed) {
                match player.recv(Duration::from_millis(100)) {
                    Ok(Some(message)) if message.medium().is_some() => {
                        let received = (message.clone(), Instant::now());
                        if !message.is_sequence_header() {
                            own.lock().unwrap().push(received);
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the stream has ended"),
                    Err(error) => assert_eq!(error.kind(), ClientErrorKind::TimedOut, "{error}"),
                }
            }
        });
        Receiver {
            messages,
            is_over,
            thread,
        }
    }

    /// The number of the newest frame.
    fn newest(&self) -> Option<u32> {
        self.messages
            .lock()
            .unwrap()
            .last()
            .map(|(last, _)| number(last))
    }

    fn len(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    fn finish(self) -> Vec<Received> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("its player stays connected");
        Arc::into_inner(self.messages)
            .unwrap()
            .into_inner()
            .unwrap()
    }
}

/// The number of a frame.
fn number(message: &StreamMessage) -> u32 {
    let at = if message.medium() == Some(Medium::Video) {
        10
    } else {
        2
    };
    u32::from_be_bytes(message.payload()[at..at + 4].try_into().unwrap())
}

/// Publishes frames in real time, until it is told to end.
struct Camera {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Instant>>,
}

impl Camera {
    fn start(url: &str) -> Camera {
        let mut publisher = Client::new(url).unwrap().timeout(SOON).publish().unwrap();
        let is_over = Arc::<AtomicBool>::default();
        let must_end = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let start = Instant::now();
            publisher
                .send(&StreamMessage::video(0, AVC_320X240))
                .unwrap();
            publisher
                .send(&StreamMessage::audio(0, AAC_HEADER))
                .unwrap();
            let mut sent = Vec::new();
            for number in 0.. {
                let due = start + Duration::from_millis((number * STEP_MS).into());
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if must_end.load(Ordering::Relaxed) {
                    return sent;
                }
                sent.push(Instant::now());
                for message in frame(number) {
                    publisher.send(&message).unwrap();
                }
            }
            unreachable!("it is told to end first")
        });
        Camera { is_over, thread }
    }

    /// Returns when each frame was sent.
    fn finish(self) -> Vec<Instant> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Checks that messages are those that were sent, in their order, in runs that begin at keyframes, with
/// timestamps that never go back in a track and differ from those that were sent by one constant in each run. Returns
/// the first and the last frame of each run.
///
/// Of the GOP into which a player joins, and so a pull, it gets pictures that are closer together, and only the
/// newest sound.
fn runs(received: &[Received], who: &str) -> Vec<(u32, u32)> {
    let mut runs = Vec::<(u32, u32)>::new();
    let (mut offset, mut last) = (None, [0; 2]);
    let mut expected = VecDeque::new();
    for (message, _) in received {
        let number = number(message);
        let is_picture = message.medium() == Some(Medium::Video);
        if is_picture && offset.is_none() {
            expected.clear();
        }
        if expected.is_empty() {
            expected.extend(frame(number));
            match runs.last_mut() {
                Some((_, newest)) if *newest + 1 == number => *newest = number,
                _ => {
                    let is_start = message.is_keyframe();
                    assert!(is_start, "{who}: a run begins with frame {number}");
                    runs.push((number, number));
                    offset = None;
                }
            }
            let is_whole = runs.last().is_some_and(|run| run.0 + GOP == number);
            if number == 0 || is_whole {
                offset = Some(message.timestamp().wrapping_sub(number * STEP_MS));
            }
        }
        let sent = expected.pop_front().unwrap();
        assert!(message.payload() == sent.payload(), "{who}: frame {number}");
        let time = message.timestamp();
        if let Some(offset) = offset {
            let expected = sent.timestamp().wrapping_add(offset);
            assert_eq!(time, expected, "{who}: frame {number}");
        }
        let last = &mut last[usize::from(is_picture)];
        assert!(
            time >= *last,
            "{who}: {time} after {last} at frame {number}"
        );
        *last = time;
    }
    runs
}

/// Prints how long pictures take from the camera to a player. Returns the median in ms.
fn print_way(what: &str, sent: &[Instant], received: &[Received], before: f64) -> f64 {
    let pictures = received
        .iter()
        .filter(|(message, _)| message.medium() == Some(Medium::Video));
    let timed = pictures.filter_map(|(message, at)| {
        let sent = sent.get(number(message) as usize)?;
        Some(at.duration_since(*sent).as_secs_f64() * 1e3)
    });
    let mut ms: Vec<f64> = timed.take(TIMED as usize).collect();
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| ms[((ms.len() - 1) as f64 * part) as usize];
    let (median, p99) = (at(0.5), at(0.99));
    let added = median - before;
    println!("{what}: median {median:.2} ms (the hop added {added:.2}), p99 {p99:.2} ms");
    median
}

/// Lets a chain work, and restarts its middle.
fn check(
    what: &str,
    first: &Brooklet,
    middle: Brooklet,
    start_middle: impl Fn() -> Brooklet,
    edge: &Brooklet,
) {
    let urls = [first.url("door"), middle.url("door"), edge.url("door")];
    let players = urls.each_ref().map(|url| Receiver::start(url));
    let camera = Camera::start(&urls[0]);
    wait_until("the edge has got many frames", SOON, || {
        players[2].newest() >= Some(TIMED)
    });
    let [at_first, at_middle, at_edge] = players;
    // Its player ends with its server.
    let at_middle = at_middle.finish();
    drop(middle);
    let broken = at_edge.newest().unwrap();
    let before = at_edge.len();
    let middle = start_middle();
    wait_until("the chain has healed", SOON, || {
        at_edge.len() >= before + 3 * GOP as usize
    });
    let sent = camera.finish();
    let [at_first, at_edge] = [at_first, at_edge].map(Receiver::finish);
    drop(middle);

    let mut before = 0.0;
    for (place, received) in [
        ("first", &at_first),
        ("middle", &at_middle),
        ("edge", &at_edge),
    ] {
        before = print_way(&format!("{what}, at the {place}"), &sent, received, before);
    }
    let whole = runs(&at_first, "the first");
    assert!(matches!(whole[..], [(0, _)]), "{whole:?}");
    let whole = runs(&at_middle, "the middle");
    assert!(matches!(whole[..], [(0, TIMED..)]), "{whole:?}");
    let both = runs(&at_edge, "the edge");
    let [(0, end), (begin, _)] = both[..] else {
        panic!("expected one gap: {both:?}");
    };
    assert!((TIMED..=broken + GOP).contains(&end), "{both:?}");
    println!("{what}: the edge missed {} ms", (begin - end) * STEP_MS);
}

#[test]
fn a_chain_of_pulls_keeps_packets_and_heals() {
    let address = free_address();
    let first = Brooklet::start(&[]);
    let pull = format!("live/door={}", first.url("door"));
    let listen = address.to_string();
    let start_middle = || Brooklet::start(&["--pull", &pull, "--rtmp", &listen]);
    let middle = start_middle();
    let pull = format!("live/door=rtmp://{address}/live/door");
    let edge = Brooklet::start(&["--pull", &pull]);
    wait_for_connection(&middle);
    wait_for_connection(&edge);
    check("pulls", &first, middle, start_middle, &edge);
}

#[test]
fn a_chain_of_pushes_keeps_packets_and_heals() {
    let address = free_address();
    let edge = Brooklet::start(&[]);
    let push = format!("live/*=rtmp://127.0.0.1:{}/live/*", edge.port());
    let listen = address.to_string();
    let start_middle = || Brooklet::start(&["--push", &push, "--rtmp", &listen]);
    let middle = start_middle();
    let push = format!("live/*=rtmp://{address}/live/*");
    let first = Brooklet::start(&["--push", &push]);
    check("pushes", &first, middle, start_middle, &edge);
}
