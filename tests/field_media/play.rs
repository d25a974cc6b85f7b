//! Publishes some kinds at a time, and has all receivers play each of them.

use std::collections::{BTreeSet, HashMap};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use socket2::SockRef;

use super::browsers::{Browser, Running};
use super::common::client::Client;
use super::common::http::HttpClient;
use super::common::process::Program;
use super::common::{Brooklet, wait_until};
use super::kind::Kind;
use super::receiver::{Ffmpeg, Got, How, Receiver, of_program, of_report};
use super::site::Site;

/// The deadline for browsers to start, on busy machines with two cores.
const PATIENCE: Duration = Duration::from_secs(90);

/// From the players' start to the beginning of the streams, in ms.
const BEFORE: u64 = 3000;

/// From the end of a stream until the players' results are read, in ms; for the first part of that
/// the server waits for the publisher's return.
const AFTER: u64 = 6000;
const GRACE: &str = "1500ms";

/// The results of one kind.
pub(crate) struct Row<'a> {
    pub(crate) kind: &'a Kind,
    /// What each receiver received; `None` if it doesn't take part.
    pub(crate) got: Vec<Option<Got>>,
    /// What each ffmpeg decodes of the file itself.
    pub(crate) alone: [Got; 2],
    /// The findings that the server lists for the stream.
    pub(crate) findings: Vec<String>,
    pub(crate) playlist: Playlist,
}

/// The segments of HLS that are listed in the end.
pub(crate) struct Playlist {
    pub(crate) status: u16,
    /// In seconds.
    pub(crate) lengths: Vec<f64>,
    pub(crate) discontinuities: usize,
}

impl Playlist {
    pub(crate) fn shortest(&self) -> f64 {
        self.lengths.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn longest(&self) -> f64 {
        self.lengths.iter().copied().fold(0.0, f64::max)
    }
}

impl Row<'_> {
    /// What a receiver of the unchanged messages makes of them without the server.
    pub(crate) fn alone(&self, receivers: &[Receiver], receiver: Receiver) -> Option<&Got> {
        // What one connection lacks was sent by an earlier one.
        if self.kind.sessions.len() > 1 {
            return None;
        }
        match receiver.how {
            How::Rtmp(Ffmpeg::Debian) => Some(&self.alone[0]),
            How::Rtmp(Ffmpeg::Newest) => Some(&self.alone[1]),
            How::Page(_, "mpegts.js") => {
                let alone = receivers.iter().position(|other| other.how == How::Alone);
                self.got[alone?].as_ref()
            }
            _ => None,
        }
    }
}

impl Row<'_> {
    /// The faults of the playlist and of the doctor's findings.
    pub(crate) fn faults(&self) -> Vec<String> {
        /// A segment shorter than any frame, in seconds.
        const NOTHING: f64 = 0.02;

        let mut faults = Vec::new();
        let (shortest, longest) = (self.playlist.shortest(), self.playlist.longest());
        if shortest < NOTHING {
            faults.push(format!("a segment of {shortest:.3} s"));
        }
        if longest > self.kind.longest {
            faults.push(format!("a segment of {longest:.3} s"));
        }
        let found = self.findings.join(" ").to_lowercase();
        let is_in = |word: &String| found.contains(&word.to_lowercase());
        if !self.kind.finding.is_empty() && !self.kind.finding.iter().any(is_in) {
            faults.push(format!(
                "no finding with {}",
                self.kind.finding.join(" or ")
            ));
        }
        faults
    }
}

/// Milliseconds since 1970, as pages count them.
fn wall_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// Sleeps until a time of the wall clock.
fn sleep_until(at: u64) {
    thread::sleep(Duration::from_millis(at.saturating_sub(wall_clock())));
}

/// The server, and the browsers that play from it.
struct Stage {
    server: Brooklet,
    /// Addresses on which it listens for HTTP: a browser has six connections to an address at most.
    addresses: Vec<String>,
    site: Site,
    browsers: Vec<(Browser, Running)>,
}

/// Plays all kinds, a few at a time.
pub(crate) fn all<'a>(
    kinds: impl IntoIterator<Item = &'a Kind>,
    receivers: &[Receiver],
    at_once: usize,
) -> Vec<Row<'a>> {
    let mut stage = Stage::set(receivers, at_once);
    let kinds: Vec<_> = kinds.into_iter().collect();
    let mut rows = Vec::new();
    for kinds in kinds.chunks(at_once) {
        rows.extend(stage.play(kinds, receivers));
    }
    if std::env::var("BROOKLET_FIELD_LOG").is_ok() {
        println!("{}", stage.server.log());
    }
    rows
}

impl Stage {
    fn set(receivers: &[Receiver], at_once: usize) -> Stage {
        let players = receivers.iter().filter(|r| r.is_page()).count();
        let addresses = (2..).map(|last| format!("127.0.0.{last}:0"));
        let addresses: Vec<_> = addresses.take(at_once * players.max(1)).collect();
        let mut arguments = vec!["--memory", "128M", "--grace", GRACE];
        arguments.extend(addresses.iter().flat_map(|address| ["--http", address]));
        let server = Brooklet::start(&arguments);
        let printed = server.printed();
        let bound = addresses.iter().map(|address| {
            let address = address.trim_end_matches('0');
            let start = format!("listening for HTTP on {address}");
            let port = printed.lines().find_map(|line| line.strip_prefix(&start));
            format!("{address}{}", port.expect("it listens there"))
        });
        let addresses = bound.collect();
        let site = Site::start(server.http_address());
        let wanted: BTreeSet<_> = receivers
            .iter()
            .filter_map(|receiver| receiver.browser())
            .collect();
        let browsers = wanted
            .into_iter()
            .map(|browser| (browser, browser.open(&site.url(browser.name()))))
            .collect();
        Stage {
            server,
            addresses,
            site,
            browsers,
        }
    }

    fn play<'a>(&mut self, kinds: &[&'a Kind], receivers: &[Receiver]) -> Vec<Row<'a>> {
        let (site, browsers) = (&self.site, &mut self.browsers);
        let count = browsers.len();
        wait_until("the pages are there", PATIENCE, || {
            for (browser, running) in &mut *browsers {
                let name = browser.name();
                assert!(running.is_running(), "{name} ended:\n{}", running.stderr());
            }
            site.waiting() == count
        });
        let begin = wall_clock() + BEFORE;
        site.begin(self.jobs(kinds, receivers, begin));
        let stage = &*self;
        thread::scope(|scope| {
            let rows = kinds
                .iter()
                .map(|kind| scope.spawn(move || stage.row(kind, receivers, begin)));
            let rows: Vec<_> = rows.collect();
            let rows = rows
                .into_iter()
                .map(|row| row.join().expect("a kind is played"));
            rows.collect()
        })
    }

    /// The jobs of the pages, by their browsers' names.
    fn jobs(&self, kinds: &[&Kind], receivers: &[Receiver], begin: u64) -> HashMap<String, Value> {
        let mut jobs = HashMap::<String, Vec<Value>>::new();
        let mut addresses = self.addresses.iter();
        for kind in kinds {
            for receiver in receivers {
                let Some(browser) = receiver.browser() else {
                    continue;
                };
                let address = addresses.next().expect("there is an address for each");
                let (how, url) = match receiver.how {
                    How::Page(_, how) => {
                        let extension = if how == "hls.js" { "m3u8" } else { "flv" };
                        let url = format!("http://{address}/live/{}.{extension}", kind.name);
                        (how, url)
                    }
                    _ => ("mpegts.js", self.site.file(&kind.name)),
                };
                // A file that is sent from the beginning for each request.
                let joins = if receiver.how == How::Alone {
                    0
                } else {
                    receiver.joins()
                };
                jobs.entry(browser.name().to_owned())
                    .or_default()
                    .push(json!({
                        "name": report_name(kind, *receiver),
                        "how": how,
                        "codec": kind.codec,
                        "stream": kind.name,
                        "url": url,
                        "at": begin.saturating_add_signed(joins),
                        "until": begin + u64::from(kind.end()) + AFTER,
                    }));
            }
        }
        jobs.into_iter()
            .map(|(name, jobs)| (name, json!(jobs)))
            .collect()
    }

    fn row<'a>(&self, kind: &'a Kind, receivers: &[Receiver], begin: u64) -> Row<'a> {
        let end = begin + u64::from(kind.end());
        thread::scope(|scope| {
            let playing: Vec<_> = receivers
                .iter()
                .map(|receiver| scope.spawn(|| self.program(kind, *receiver, begin, end)))
                .collect();
            let publishing = scope.spawn(|| publish(&self.server, kind, begin));
            sleep_until(end.saturating_sub(500));
            let findings = self.findings(kind);
            let playlist = self.playlist(kind);
            let alone = [Ffmpeg::Debian, Ffmpeg::Newest].map(|ffmpeg| ffmpeg.of_files(kind));
            publishing.join().expect("the kind is published");
            let programs = playing
                .into_iter()
                .map(|got| got.join().expect("a program plays"));
            let programs: Vec<_> = programs.collect();
            sleep_until(end + AFTER + 300);
            let got =
                receivers
                    .iter()
                    .zip(programs)
                    .map(|(receiver, got)| match receiver.is_page() {
                        true => Some(of_report(&self.site.report(&report_name(kind, *receiver)))),
                        false => got,
                    });
            Row {
                kind,
                got: got.collect(),
                alone,
                findings,
                playlist,
            }
        })
    }

    /// Plays with a program. One that received nothing, or whose response ends, is started again,
    /// as viewers would do: a response is one request, and the server may begin another form of it.
    fn program(&self, kind: &Kind, receiver: Receiver, begin: u64, end: u64) -> Option<Got> {
        let http = format!("http://{}/live/{}", self.server.http_address(), kind.name);
        let rtmp = self.server.url(&kind.name);
        receiver
            .command(&rtmp, &http)
            .filter(|_| receiver.can_take(kind))?;
        sleep_until(begin.saturating_add_signed(receiver.joins()));
        let mut all = Got::default();
        loop {
            let mut program = Program::start(&mut receiver.command(&rtmp, &http)?);
            while program.is_running() && wall_clock() < end + AFTER {
                thread::sleep(Duration::from_millis(50));
            }
            program.stop();
            all.add(of_program(&program));
            let may_ask_again = all.pictures == 0 || matches!(receiver.how, How::Mp4(_));
            if !may_ask_again || wall_clock() > end {
                return Some(all);
            }
            all.words.push("starts again".to_owned());
            thread::sleep(Duration::from_millis(300));
        }
    }

    fn findings(&self, kind: &Kind) -> Vec<String> {
        let answer = HttpClient::connect(self.server.http_address()).get("/api/v1/streams");
        let list: Value = serde_json::from_str(&answer.text()).unwrap_or_default();
        let streams = list["streams"].as_array().map_or(&[][..], Vec::as_slice);
        let name = format!("live/{}", kind.name);
        let stream = streams.iter().find(|stream| stream["name"] == name);
        let findings = stream.and_then(|stream| stream["findings"].as_array());
        let findings = findings.map_or(&[][..], Vec::as_slice).iter();
        let texts = findings.filter_map(|finding| finding["text"].as_str());
        texts.map(str::to_owned).collect()
    }

    fn playlist(&self, kind: &Kind) -> Playlist {
        let target = format!("/live/{}/media.m3u8", kind.name);
        let answer = HttpClient::connect(self.server.http_address()).get(&target);
        let text = answer.text();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("#EXTINF:"));
        let lengths = lines.filter_map(|line| line.trim_end_matches(',').parse().ok());
        Playlist {
            status: answer.status,
            lengths: lengths.collect(),
            discontinuities: text.matches("#EXT-X-DISCONTINUITY\n").count(),
        }
    }
}

fn report_name(kind: &Kind, receiver: Receiver) -> String {
    format!("{} {}", kind.name, receiver.name)
}

/// Sends the messages of a kind unchanged, each at its time.
fn publish(server: &Brooklet, kind: &Kind, begin: u64) {
    sleep_until(begin);
    let began = Instant::now();
    let wait = |ms: u32| {
        let due = began + Duration::from_millis(ms.into());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    };
    for (index, session) in kind.sessions.iter().enumerate() {
        wait(session.first().map_or(0, |message| message.sent));
        let mut client = Client::publishing(server.address(), "live", &kind.name);
        for message in session {
            wait(message.sent);
            client.send_message(message.type_id, 1, message.timestamp, &message.payload);
        }
        if index + 1 < kind.sessions.len() {
            // Lost, not closed properly.
            let socket = SockRef::from(client.socket());
            let _ = socket.set_linger(Some(Duration::ZERO));
        } else {
            wait(kind.end());
        }
    }
}
