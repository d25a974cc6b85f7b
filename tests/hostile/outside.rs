//! The memory of a server outside its arena.
//!
//! The arena is one mapping of about `--memory` bytes, whose pages are touched as media needs them. The
//! kernel reports for each of its pages whether the page is present. All other resident memory is
//! outside.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::common::process;

const PAGE_LEN: u64 = 4096;

/// The size of an entry of `/proc/PID/pagemap` in bytes, and the bits of an entry that say whether the
/// page is in memory or in swap.
const ENTRY_LEN: u64 = 8;
const IS_THERE: u64 = 0b11 << 62;

/// Measures a server's memory outside its arena.
pub(crate) struct Outside {
    server: process::Id,
    arena: Range<u64>,
    /// The number of pages in `arena` that were present before any media. They belong to neighboring
    /// mappings, which the kernel merges with the arena's.
    not_of_arena: u64,
}

/// Resident memory in kB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resident {
    /// Stacks and heap: memory that belongs to this process alone.
    pub(crate) own: u64,
    /// The same memory, plus the program and its libraries.
    pub(crate) all: u64,
}

impl Outside {
    /// Measures a server that has no media yet, and was started with `memory` for media.
    pub(crate) fn of(server: process::Id, memory: u64) -> Outside {
        /// The most that a neighboring mapping adds: one stack of unoptimized code.
        const NEIGHBOR: u64 = 1 << 20;

        let maps = fs::read_to_string(format!("/proc/{server}/maps")).expect("it runs");
        // This memory includes the lists of its blocks, 1 % of it, and what is set aside for further
        // streams of connections, 3 %.
        let sizes = memory - memory / 20..memory + NEIGHBOR;
        let arena = maps
            .lines()
            .filter_map(mapping)
            .filter(|range| sizes.contains(&(range.end - range.start)))
            .min_by_key(|range| (range.end - range.start).abs_diff(memory))
            .expect("the arena is a mapping of its own");
        let mut outside = Outside {
            server,
            arena,
            not_of_arena: 0,
        };
        outside.not_of_arena = outside.pages().expect("it runs");
        outside
    }

    /// Returns the resident memory outside the arena; `None` once the server has ended.
    pub(crate) fn now(&self) -> Option<Resident> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.server)).ok()?;
        // Counted last, so that pages that are touched in between count for the server.
        let arena = self.pages()?.saturating_sub(self.not_of_arena) * PAGE_LEN / 1024;
        let number = |name: &str| -> Option<u64> {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Resident {
            own: number("Anonymous:")?.saturating_sub(arena),
            all: number("Rss:")?.saturating_sub(arena),
        })
    }

    /// Returns the number of pages of the arena that are present.
    fn pages(&self) -> Option<u64> {
        let pages = (self.arena.end - self.arena.start) / PAGE_LEN;
        let mut entries = vec![0; (pages * ENTRY_LEN) as usize];
        let pagemap = File::open(format!("/proc/{}/pagemap", self.server)).ok()?;
        pagemap
            .read_exact_at(&mut entries, self.arena.start / PAGE_LEN * ENTRY_LEN)
            .ok()?;
        let entries = entries.chunks_exact(ENTRY_LEN as usize);
        let is_there = |entry: &&[u8]| {
            let entry = u64::from_ne_bytes((*entry).try_into().expect("eight bytes"));
            entry & IS_THERE != 0
        };
        Some(entries.filter(is_there).count() as u64)
    }
}

/// Returns the addresses of a private, writable mapping; `None` for other mappings.
fn mapping(line: &str) -> Option<Range<u64>> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_own = words.next()? == "rw-p" && words.nth(2)? == "0" && words.next().is_none();
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?).filter(|_| is_own)
}
