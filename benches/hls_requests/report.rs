//! What was measured, and the table made of it.

use std::fmt::{self, Display, Formatter};

use crate::CONNECTIONS;

/// What is asked for.
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

    /// Requests of one connection: fewer than after which brooklet would slow it down.
    pub(crate) fn requests(self) -> usize {
        match self {
            Kind::Playlist => 320,
            Kind::Part => 160,
            Kind::Segment => 48,
        }
    }
}

/// CPU time of requests by kind, connections and server, of which the first is nginx.
pub(crate) struct Report {
    names: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    kind: Kind,
    connections: usize,
    /// Bytes of a body.
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
            "CPU time per request in microseconds, median of rounds; ratio to nginx: least, median, most"
        )?;
        write!(f, "what                bytes  connections   nginx")?;
        for name in &self.names {
            write!(f, "  {name:>9}  ratio            ")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            let file = row.kind.file();
            let nginx = &row.times[0];
            write!(
                f,
                "{file:15}  {:8}  {:11}  {:6.1}",
                row.len,
                row.connections,
                micros(nginx)
            )?;
            for times in &row.times[1..] {
                let mut ratios: Vec<_> = times.iter().zip(nginx).map(|(a, b)| a / b).collect();
                ratios.sort_by(f64::total_cmp);
                let (least, most) = (ratios.first(), ratios.last());
                let [least, most] = [least, most].map(|ratio| ratio.copied().unwrap_or(f64::NAN));
                let middle = median(&ratios);
                write!(
                    f,
                    "  {:9.1}  {least:4.2}  {middle:4.2}  {most:4.2} ",
                    micros(times)
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn micros(times: &[f64]) -> f64 {
    median(times) * 1e6
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
