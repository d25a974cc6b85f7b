//! The faults found, and the measurements, of each stream.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

/// The number of examples kept of each kind.
const EXAMPLES: usize = 4;

#[derive(Default)]
struct Row {
    /// By kind: how many, and the first of them.
    wrong: BTreeMap<&'static str, (u32, Vec<String>)>,
    /// The one furthest from 0.
    worst: BTreeMap<&'static str, f64>,
    counts: BTreeMap<&'static str, u32>,
}

pub(crate) struct Report {
    rows: Mutex<Vec<(String, Row)>>,
}

impl Report {
    pub(crate) fn new(names: impl Iterator<Item = &'static str>) -> Report {
        let rows = names.map(|name| (name.to_owned(), Row::default()));
        Report {
            rows: Mutex::new(rows.collect()),
        }
    }

    fn with(&self, stream: u16, note: impl FnOnce(&mut Row)) {
        let mut rows = self.rows.lock().expect("nothing fails with it");
        note(&mut rows[usize::from(stream)].1);
    }

    pub(crate) fn wrong(&self, stream: u16, kind: &'static str, detail: String) {
        self.with(stream, |row| {
            let (count, examples) = row.wrong.entry(kind).or_default();
            *count += 1;
            if examples.len() < EXAMPLES {
                examples.push(detail);
            }
        });
    }

    pub(crate) fn measured(&self, stream: u16, name: &'static str, value: f64) {
        self.with(stream, |row| {
            let worst = row.worst.entry(name).or_default();
            if value.abs() > worst.abs() {
                *worst = value;
            }
        });
    }

    pub(crate) fn count(&self, stream: u16, name: &'static str) {
        self.with(stream, |row| *row.counts.entry(name).or_default() += 1);
    }

    /// Whether a kind with these words was found.
    pub(crate) fn has(&self, words: &str) -> bool {
        let rows = self.rows.lock().expect("nothing fails with it");
        let mut kinds = rows.iter().flat_map(|(_, row)| row.wrong.keys());
        kinds.any(|kind| kind.contains(words))
    }

    /// The faults of all streams.
    pub(crate) fn total(&self) -> u32 {
        let rows = self.rows.lock().expect("nothing fails with it");
        let wrong = rows.iter().flat_map(|(_, row)| row.wrong.values());
        wrong.map(|(count, _)| count).sum()
    }

    pub(crate) fn table(&self) -> String {
        let rows = self.rows.lock().expect("nothing fails with it");
        let mut text = String::from(
            "stream           segments  keyed  first s  list s  date ms  EXTINF ms  shown ms  \
             A/V ms   peak  wrong\n",
        );
        let mut kinds = BTreeMap::<&str, (u32, u32)>::new();
        for (name, row) in rows.iter() {
            let count = |name| row.counts.get(name).copied().unwrap_or_default();
            let worst = |name| row.worst.get(name).copied().unwrap_or_default();
            let total: u32 = row.wrong.values().map(|(count, _)| count).sum();
            let _ = writeln!(
                text,
                "{name:16} {:8} {:6} {:8.1} {:7.1} {:8.1} {:10.2} {:9.1} {:7.1} {:6.2} {total:6}",
                count("segments"),
                count("begin with a keyframe"),
                worst("s to the first playlist"),
                worst("s in the first playlist"),
                worst("date"),
                worst("EXTINF"),
                worst("presentation"),
                worst("A/V"),
                worst("peak"),
            );
            for (kind, (count, _)) in &row.wrong {
                let (all, streams) = kinds.entry(kind).or_default();
                *all += count;
                *streams += 1;
            }
        }
        let _ = writeln!(
            text,
            "\nkeyed: begin with a keyframe. first: until the first playlist, and list: what is \
             in it. date, EXTINF,\nshown, A/V: the worst differences. peak: rate that comes, \
             divided by BANDWIDTH.\n"
        );
        let all = |name| {
            let counts = rows.iter().filter_map(|(_, row)| row.counts.get(name));
            counts.sum::<u32>()
        };
        let _ = writeln!(
            text,
            "Looked at: {} samples, {} parts, {} hints, {} segments and {} parts that had left.\n",
            all("samples"),
            all("parts"),
            all("hints"),
            all("kept segments"),
            all("kept parts")
        );
        for (kind, (count, streams)) in kinds {
            let _ = writeln!(text, "{count:6} in {streams:2} streams: {kind}");
        }
        for (name, row) in rows.iter().filter(|(_, row)| !row.wrong.is_empty()) {
            let _ = writeln!(text, "\n{name}:");
            for (kind, (count, examples)) in &row.wrong {
                let _ = writeln!(text, "  {count:5} x {kind}");
                for example in examples {
                    let _ = writeln!(text, "          {example}");
                }
            }
        }
        text
    }
}
