//! What was measured, and the table made of it.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::Scenario;
use crate::players::Tally;

/// Busier than this, the players' threads rather than the server decide the latency.
const MAX_BUSY: f64 = 0.8;
/// Others that used more of the processors than this make the result doubtful.
const MAX_OTHERS: f64 = 0.1;
/// A publisher that ran this late hints at a machine that does something else as well.
const MAX_LATE: Duration = Duration::from_millis(30);

/// A server under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Server,
    BareLoop,
    Batched,
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Target::Server => "server",
            Target::BareLoop => "bare loop",
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
    /// Processors that other programs kept busy.
    pub(crate) others: f64,
    pub(crate) tally: Tally,
}

impl Outcome {
    /// In milliseconds.
    fn latency(&self, percent: usize) -> f64 {
        let latencies = &self.tally.latencies_us;
        let at = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        latencies
            .get(at)
            .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
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

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (mut rounds, mut idle) = (0, 0);
        let head = [
            "players",
            "CPU s/GB",
            "bare",
            "ratio",
            "(range)",
            "latency ms",
            "bare",
            "batched",
            "ratio",
            "memory",
        ];
        write_line(f, &head.map(str::to_owned))?;
        for (scenario, outcomes) in &self.rows {
            let of = |target| {
                outcomes
                    .iter()
                    .filter(move |(t, _)| *t == target)
                    .map(|(_, o)| o)
            };
            let median_of = |target, value: fn(&Outcome) -> f64| median(of(target).map(value));
            let cpu = |target| median_of(target, |o| o.cpu_per_gb);
            let latency = |target| {
                let median = median_of(target, |o| o.latency(50));
                format!(
                    "{} / {}",
                    figure(median),
                    figure(median_of(target, |o| o.latency(99)))
                )
            };
            // Round by round: what disturbs a round disturbs both sides of its ratio.
            let ratios = |target| {
                let pairs = of(target).zip(of(Target::BareLoop));
                let mut ratios: Vec<_> = pairs
                    .map(|(o, bare)| o.cpu_per_gb / bare.cpu_per_gb)
                    .collect();
                ratios.sort_unstable_by(f64::total_cmp);
                ratios
            };
            let own = ratios(Target::Server);
            let range = match (own.first(), own.last()) {
                (Some(least), Some(most)) => format!("({least:.2}-{most:.2})"),
                _ => String::new(),
            };
            let memory = median_of(Target::Server, |o| megabytes(o.resident));
            let line = [
                scenario.to_string(),
                figure(cpu(Target::Server)),
                figure(cpu(Target::BareLoop)),
                figure(median(own)),
                range,
                latency(Target::Server),
                latency(Target::BareLoop),
                figure(cpu(Target::Batched)),
                figure(median(ratios(Target::Batched))),
                if memory.is_nan() {
                    "-".into()
                } else {
                    format!("{memory:.1} MB")
                },
            ];
            write_line(f, &line)?;
            rounds = of(Target::Server).count();
            idle = of(Target::Server).map(|o| o.idle).max().unwrap_or(idle);
        }
        writeln!(
            f,
            "\nMedians of {rounds} interleaved rounds; latency: median / p99; ratio: to the bare loop of the \
             same round.\nGB: 10^9 payload bytes delivered. Idle, before any connection: {:.1} MB.",
            megabytes(idle)
        )?;
        let outcomes = self.rows.iter().flat_map(|(_, outcomes)| outcomes);
        let others = outcomes
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

fn write_line(f: &mut Formatter<'_>, cells: &[String; 10]) -> fmt::Result {
    let widths = [8, 9, 7, 6, 12, 14, 14, 8, 6, 9];
    for (cell, width) in cells.iter().zip(widths) {
        write!(f, "{cell:>width$} ")?;
    }
    writeln!(f)
}

fn figure(value: f64) -> String {
    if value.is_nan() {
        "-".into()
    } else {
        format!("{value:.2}")
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// NaN of nothing.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => (values[(count - 1) / 2] + values[count / 2]) / 2.0,
    }
}
