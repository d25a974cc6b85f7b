//! The measurements, and the table made of them.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::Scenario;
use crate::players::Tally;
use crate::session::Protocol;
use crate::table::{figure, median, megabytes, write_line};

/// If players' threads are busier than this, they rather than the server determine the latency.
const MAX_BUSY: f64 = 0.8;
/// If other programs used more of the processors than this, the result is doubtful.
const MAX_OTHERS: f64 = 0.1;
/// A publisher that ran this late suggests that the machine is busy with something else.
const MAX_LATE: Duration = Duration::from_millis(30);

/// A server under test, and the protocol of its players.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Server,
    BareLoop,
    Flv,
    Mp4,
    Batched,
}

impl Target {
    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Target::Server | Target::BareLoop | Target::Batched => Protocol::Rtmp,
            Target::Flv => Protocol::Flv,
            Target::Mp4 => Protocol::Mp4,
        }
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Target::Server => "server",
            Target::BareLoop => "bare loop",
            Target::Flv => "server, FLV over HTTP",
            Target::Mp4 => "server, MP4 over HTTP",
            Target::Batched => "server, batched",
        })
    }
}

/// One run of one server.
pub(crate) struct Outcome {
    /// Seconds of CPU time per 10^9 bytes of payload delivered.
    pub(crate) cpu_per_gb: f64,
    /// Resident bytes before the first connection.
    pub(crate) idle: u64,
    /// Resident bytes at the end of the window.
    pub(crate) resident: u64,
    /// How late a publisher ran at worst.
    pub(crate) latest: Duration,
    /// The number of processors that other programs kept busy.
    pub(crate) others: f64,
    pub(crate) tally: Tally,
}

impl Outcome {
    /// In milliseconds.
    fn latency(&self, percent: usize) -> f64 {
        self.tally.latency(percent)
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (median, p99) = (self.latency(50), self.latency(99));
        write!(f, "{:.3} s/GB, {median:.2} / {p99:.2} ms", self.cpu_per_gb)?;
        write!(f, ", {:.1} MB", megabytes(self.resident))?;
        if self.tally.busy > MAX_BUSY {
            write!(f, " (player thread {:.0} % busy)", self.tally.busy * 100.0)?;
        }
        if self.latest > MAX_LATE {
            write!(f, " (publisher up to {} ms late)", self.latest.as_millis())?;
        }
        if self.others > MAX_OTHERS {
            write!(f, " (others used {:.1} processors)", self.others)?;
        }
        let faults = &self.tally.faults;
        faults
            .iter()
            .take(5)
            .try_for_each(|fault| write!(f, "\n    {fault}"))?;
        match faults.len().saturating_sub(5) {
            0 => Ok(()),
            more => write!(f, "\n    and {more} more"),
        }
    }
}

impl Display for Scenario {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.streams {
            1 => f.pad(&format!("{}", self.players)),
            streams => f.pad(&format!("{streams} x {}", self.players)),
        }
    }
}

/// All outcomes, by scenario.
pub(crate) struct Report {
    rows: Vec<(Scenario, Vec<(Target, Outcome)>)>,
}

impl Report {
    pub(crate) fn new(scenarios: &[Scenario]) -> Self {
        let rows = scenarios.iter().map(|scenario| (*scenario, Vec::new()));
        Self {
            rows: rows.collect(),
        }
    }

    pub(crate) fn add(&mut self, row: usize, target: Target, outcome: Outcome) {
        self.rows[row].1.push((target, outcome));
    }

    pub(crate) fn fault_count(&self) -> usize {
        let outcomes = self.rows.iter().flat_map(|(_, outcomes)| outcomes);
        outcomes
            .map(|(_, outcome)| outcome.tally.faults.len())
            .sum()
    }
}

/// All outcomes of a scenario.
struct Row<'a> {
    outcomes: &'a [(Target, Outcome)],
}

impl<'a> Row<'a> {
    fn of(&self, target: Target) -> impl Iterator<Item = &'a Outcome> + use<'a> {
        let is_it = move |(candidate, _): &&(Target, Outcome)| *candidate == target;
        self.outcomes.iter().filter(is_it).map(|(_, o)| o)
    }

    fn median_of(&self, target: Target, value: fn(&Outcome) -> f64) -> f64 {
        median(self.of(target).map(value))
    }

    fn cpu(&self, target: Target) -> String {
        figure(self.median_of(target, |o| o.cpu_per_gb))
    }

    fn latency(&self, target: Target) -> String {
        let median = self.median_of(target, |o| o.latency(50));
        let p99 = self.median_of(target, |o| o.latency(99));
        format!("{} / {}", figure(median), figure(p99))
    }

    fn memory(&self, target: Target) -> String {
        let memory = self.median_of(target, |o| megabytes(o.resident));
        if memory.is_nan() {
            return "-".into();
        }
        format!("{memory:.1} MB")
    }

    /// The median and range of what `target` costs relative to `base`, round by round: a
    /// disturbance of a round affects both.
    fn ratio(&self, target: Target, base: Target) -> [String; 2] {
        let pairs = self.of(target).zip(self.of(base));
        let mut ratios: Vec<_> = pairs.map(|(o, b)| o.cpu_per_gb / b.cpu_per_gb).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let range = match (ratios.first(), ratios.last()) {
            (Some(least), Some(most)) => format!("({least:.2}-{most:.2})"),
            _ => String::new(),
        };
        [figure(median(ratios)), range]
    }
}

impl Report {
    /// Writes the server's RTMP players beside the bare loop's.
    fn write_rtmp(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let widths = [8, 9, 7, 6, 12, 14, 14, 8, 6, 9];
        let head = "players,CPU s/GB,bare,ratio,(range),latency ms,bare,batched,ratio,memory";
        write_line(f, &widths, head.split(',').map(str::to_owned))?;
        for (scenario, outcomes) in &self.rows {
            let row = Row { outcomes };
            let [ratio, range] = row.ratio(Target::Server, Target::BareLoop);
            let [batched_ratio, _] = row.ratio(Target::Batched, Target::BareLoop);
            let cells = [
                scenario.to_string(),
                row.cpu(Target::Server),
                row.cpu(Target::BareLoop),
                ratio,
                range,
                row.latency(Target::Server),
                row.latency(Target::BareLoop),
                row.cpu(Target::Batched),
                batched_ratio,
                row.memory(Target::Server),
            ];
            write_line(f, &widths, cells)?;
        }
        Ok(())
    }

    /// Writes its HTTP viewers beside its RTMP players.
    fn write_http(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let widths = [8, 9, 6, 12, 14, 9, 9, 6, 12, 14, 9];
        let head = "players,FLV s/GB,ratio,(range),latency ms,memory,\
                    MP4 s/GB,ratio,(range),latency ms,memory";
        writeln!(f)?;
        write_line(f, &widths, head.split(',').map(str::to_owned))?;
        for (scenario, outcomes) in &self.rows {
            let row = Row { outcomes };
            let cells = [Target::Flv, Target::Mp4].map(|target| {
                let [ratio, range] = row.ratio(target, Target::Server);
                let (latency, memory) = (row.latency(target), row.memory(target));
                [row.cpu(target), ratio, range, latency, memory]
            });
            let cells = [scenario.to_string()]
                .into_iter()
                .chain(cells.into_iter().flatten());
            write_line(f, &widths, cells)?;
        }
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let outcomes = || self.rows.iter().flat_map(|(_, outcomes)| outcomes);
        self.write_rtmp(f)?;
        if outcomes().any(|(target, _)| *target == Target::Flv) {
            self.write_http(f)?;
        }
        let of_server =
            |row: &(Scenario, Vec<_>)| Row { outcomes: &row.1 }.of(Target::Server).count();
        let rounds = self.rows.first().map_or(0, of_server);
        let of_server = outcomes().filter(|(target, _)| *target == Target::Server);
        let idle = of_server.map(|(_, outcome)| outcome.idle).max();
        writeln!(
            f,
            "\nMedians of {rounds} interleaved rounds; latency: median / p99; ratio: to the bare loop, and of \
             viewers over HTTP\nto players of RTMP, of the same round. GB: 10^9 payload bytes delivered. \
             Idle, before any connection: {:.1} MB.",
            megabytes(idle.unwrap_or(0))
        )?;
        let others = outcomes()
            .map(|(_, outcome)| outcome.others)
            .fold(0.0, f64::max);
        if others > MAX_OTHERS {
            writeln!(
                f,
                "Not a quiet machine: other programs used up to {others:.1} processors."
            )?;
        }
        Ok(())
    }
}
