//! The samples of a track by the tables of its `stbl` (ISO/IEC 14496-12, 8.6 and 8.7), read entry by entry.
//!
//! ```text
//! stts  runs of samples with one duration        stsz  lengths
//! ctts  runs with one composition offset         stsc  runs of chunks with one number of samples
//! stss  numbers of the keyframes                 stco  offsets of the chunks
//! ```

use super::Sample;
use crate::media::mp4::boxes_read::find;
use crate::media::mp4::fields::Fields;

/// The most negative composition offset, in ticks.
const MAX_EARLY: i32 = 1 << 28;

/// See the module's documentation.
pub(super) struct Table {
    durations: Runs,
    compositions: Option<Runs>,
    lengths: Lengths,
    chunks: Chunks,
    /// The numbers of the keyframes; `None` if all samples are.
    keyframes: Option<List>,
    /// The number of the next sample, from 1 on.
    number: u32,
    decode_time: i64,
    /// How much earlier frames are decoded than the table says, in ticks: if offsets are negative, so that no
    /// frame is shown before it is decoded.
    early: u32,
    totals: Totals,
}

/// The frames of a track, or of a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) samples: u64,
    pub(super) bytes: u64,
    /// Their duration, in ticks.
    pub(super) ticks: u64,
}

impl Totals {
    /// Those of samples in a row, except for the last one, whose duration isn't known.
    pub(super) fn of(samples: impl Iterator<Item = Sample>) -> Totals {
        let mut totals = Totals::default();
        let mut last: Option<Sample> = None;
        for sample in samples {
            if let Some(last) = last {
                let step = sample.decode_time.saturating_sub(last.decode_time);
                totals.samples += 1;
                totals.bytes += u64::from(last.len);
                totals.ticks = totals.ticks.saturating_add(step.unsigned_abs());
            }
            last = Some(sample);
        }
        totals
    }
}

/// The entries of a box, and the position of the next one.
struct List {
    bytes: Box<[u8]>,
    at: usize,
}

/// Runs of samples with one value: pairs of count and value.
struct Runs {
    list: List,
    left: u32,
    value: u32,
}

struct Lengths {
    /// The length of all samples; 0 if each has its own.
    all: u32,
    list: List,
    left: u32,
}

struct Chunks {
    offsets: List,
    has_64_bits: bool,
    /// First chunk, samples in each, and a description.
    runs: List,
    /// The next run: its first chunk, and its samples in each.
    next_run: Option<(u32, u32)>,
    samples_each: u32,
    /// The number of the current chunk, from 1 on.
    number: u32,
    samples_left: u32,
    at: u64,
}

impl Table {
    /// Reads an `stbl`.
    pub(super) fn parse(stbl: &[u8], is_video: bool) -> Option<Table> {
        /// Version, flags, and the number of entries, which follows from the length.
        const HEAD_LEN: usize = 8;

        let list = |name: &[u8; 4]| {
            let (_, body) = find(stbl, name)?;
            let bytes = body.get(HEAD_LEN..)?.into();
            Some(List { bytes, at: 0 })
        };
        let durations = list(b"stts")?;
        let runs = list(b"stsc")?;
        // Its entries come after another number.
        let mut lengths = list(b"stsz")?;
        let (_, stsz) = find(stbl, b"stsz")?;
        let all = Fields(stsz.get(4..)?).u32()?;
        let count = lengths.pop()?;
        let (offsets, has_64_bits) = match list(b"stco") {
            Some(offsets) => (offsets, false),
            None => (list(b"co64")?, true),
        };
        let keyframes = list(b"stss");
        let compositions = list(b"ctts");
        let early = compositions
            .as_ref()
            .map_or(0, |list| early(list.numbers().skip(1).step_by(2)));
        let totals = Totals {
            samples: count.into(),
            bytes: match all {
                0 => lengths.numbers().map(u64::from).sum(),
                len => u64::from(count) * u64::from(len),
            },
            ticks: durations.ticks(),
        };
        let mut chunks = Chunks {
            offsets,
            has_64_bits,
            runs,
            next_run: None,
            samples_each: 0,
            number: 0,
            samples_left: 0,
            at: 0,
        };
        chunks.next_run = chunks.runs.pop_run();
        Some(Table {
            durations: Runs::new(durations),
            compositions: compositions.map(Runs::new),
            lengths: Lengths {
                all,
                list: lengths,
                left: count,
            },
            chunks,
            keyframes: keyframes.filter(|_| is_video),
            number: 1,
            decode_time: 0,
            early,
            totals,
        })
    }

    /// All samples.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the next sample; `None` at the end of the tables, or where they are damaged.
    pub(super) fn next(&mut self) -> Option<Sample> {
        let len = self.lengths.next()?;
        let at = self.chunks.next(len)?;
        let composition = match &mut self.compositions {
            // Version 0 has unsigned offsets, but encoders write negative ones there as well.
            Some(runs) => runs.next().unwrap_or(0) as i32,
            None => 0,
        };
        let sample = Sample {
            at,
            len,
            decode_time: self.decode_time.saturating_sub(self.early.into()),
            composition: composition.saturating_add_unsigned(self.early),
            is_keyframe: match &mut self.keyframes {
                Some(list) => {
                    let is_one = list.peek() == Some(self.number);
                    if is_one {
                        list.pop();
                    }
                    is_one
                }
                None => true,
            },
        };
        self.number = self.number.wrapping_add(1);
        let duration = self.durations.next().unwrap_or(0);
        self.decode_time = self.decode_time.saturating_add(duration.into());
        Some(sample)
    }
}

/// The most negative of composition offsets, without its sign.
pub(super) fn early(compositions: impl Iterator<Item = u32>) -> u32 {
    // Beyond these are offsets without a sign.
    let negative = compositions
        .map(|offset| offset as i32)
        .filter(|offset| *offset > -MAX_EARLY);
    negative
        .min()
        .map_or(0, |least| least.min(0).unsigned_abs())
}

impl List {
    fn peek(&self) -> Option<u32> {
        Fields(self.bytes.get(self.at..)?).u32()
    }

    fn pop(&mut self) -> Option<u32> {
        let number = self.peek()?;
        self.at += 4;
        Some(number)
    }

    /// The numbers that are left.
    fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        rest.chunks_exact(4).filter_map(|four| Fields(four).u32())
    }

    /// The sum of all durations.
    fn ticks(&self) -> u64 {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let ticks = rest.chunks_exact(8).filter_map(|run| {
            let mut f = Fields(run);
            Some(u64::from(f.u32()?) * u64::from(f.u32()?))
        });
        ticks.fold(0, u64::saturating_add)
    }

    fn pop_u64(&mut self) -> Option<u64> {
        let number = Fields(self.bytes.get(self.at..)?).u64()?;
        self.at += 8;
        Some(number)
    }

    /// Takes an entry of `stsc`.
    fn pop_run(&mut self) -> Option<(u32, u32)> {
        let (first, count) = (self.pop()?, self.pop()?);
        self.pop()?;
        Some((first, count))
    }
}

impl Runs {
    fn new(list: List) -> Runs {
        Runs {
            list,
            left: 0,
            value: 0,
        }
    }

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            self.left = self.list.pop()?;
            self.value = self.list.pop()?;
        }
        self.left -= 1;
        Some(self.value)
    }
}

impl Lengths {
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        match self.all {
            0 => self.list.pop(),
            len => Some(len),
        }
    }
}

impl Chunks {
    /// Returns the offset of the next sample, which has this length.
    fn next(&mut self, len: u32) -> Option<u64> {
        while self.samples_left == 0 {
            self.number = self.number.checked_add(1)?;
            self.at = match self.has_64_bits {
                true => self.offsets.pop_u64()?,
                false => self.offsets.pop()?.into(),
            };
            if let Some((first, samples_each)) = self.next_run {
                if self.number >= first {
                    self.samples_each = samples_each;
                    self.next_run = self.runs.pop_run();
                }
            }
            self.samples_left = self.samples_each;
        }
        self.samples_left -= 1;
        let at = self.at;
        self.at = self.at.saturating_add(len.into());
        Some(at)
    }
}
