//! The measurements, and the table made of them.

use std::fmt::{self, Display, Formatter};

use crate::CONNECTIONS;

/// What is requested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Playlist,
    Part,
    Segment,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Playlist, Kind::Part, Kind::Segment];

    /// Its name in nginx's folder.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Kind::Playlist => "playlist.m3u8",
            Kind::Part => "part.m4s",
            Kind::Segment => "segment.m4s",
        }
    }

    /// The requests of one connection: fewer than the number after which brooklet would slow it
    /// down.
    pub(crate) fn requests(self) -> usize {
        match self {
            Kind::Playlist => 320,
            Kind::Part => 160,
            Kind::Segment => 48,
        }
    }
}

/// The CPU time of requests by kind, connections and server, of which the first is nginx.
pub(crate) struct Report {
    names: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    kind: Kind,
    connections: usize,
    /// The length of a body.
    len: usize,
    /// Seconds, by server and round.
    times: Vec<Vec<f64>>,
}

impl Report {
    pub(crate) fn new(names: &[&'static str]) -> Self {
        let mut rows = Vec::new();
        for kind in Kind::ALL {
            for connections in CONNECTIONS {
                rows.push(Row {
                    kind,
                    connections,
                    len: 0,
                    times: vec![Vec::new(); names.len() + 1],
                });
            }
        }
        let names = names.to_vec();
        Self { names, rows }
    }

    pub(crate) fn add(
        &mut self,
        kind: Kind,
        connections: usize,
        server: usize,
        each: f64,
        len: usize,
    ) {
        let is_it = |row: &&mut Row| row.kind == kind && row.connections == connections;
        if let Some(row) = self.rows.iter_mut().find(is_it) {
            row.len = len;
            row.times[server].push(each);
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "CPU time per request in microseconds, the least of all rounds, and its ratio to nginx's; \
             then the ratios of the rounds: least, median, most"
        )?;
        write!(f, "what                bytes  connections   nginx")?;
        for name in &self.names {
            write!(f, "  {name:>9}  ratio  (rounds)          ")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            let (file, nginx) = (row.kind.file(), &row.times[0]);
            let (len, connections, best) = (row.len, row.connections, micros(nginx));
            write!(f, "{file:15}  {len:8}  {connections:11}  {best:6.1}")?;
            for times in &row.times[1..] {
                let mut ratios: Vec<_> = times.iter().zip(nginx).map(|(a, b)| a / b).collect();
                ratios.sort_by(f64::total_cmp);
                let at = |index: usize| ratios.get(index).copied().unwrap_or(f64::NAN);
                let most = ratios.len().saturating_sub(1);
                let (own, ratio) = (micros(times), micros(times) / best);
                write!(f, "  {own:9.1}  {ratio:5.2}  ")?;
                write!(f, "({:.2}, {:.2}, {:.2})", at(0), at(most / 2), at(most))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The least of these times: other activity only adds.
fn micros(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::NAN, f64::min) * 1e6
}
