//! The samples of a track in fragments (ISO/IEC 14496-12, 8.8).

use std::collections::VecDeque;

use super::Sample;
use super::table::early;
use crate::media::mp4::boxes_read::{find, next_box};
use crate::media::mp4::fields::Fields;

/// The number of samples that wait, of one track. A fragment has a few seconds of them.
const MAX_SAMPLES: usize = 1 << 17;

/// Bits of `sample_flags` and of the flags of `tfhd` and `trun`.
const IS_NOT_SYNC: u32 = 1 << 16;
const TFHD_BASE: u32 = 1;
const TFHD_DESCRIPTION: u32 = 2;
const TFHD_DURATION: u32 = 8;
const TFHD_SIZE: u32 = 0x10;
const TFHD_FLAGS: u32 = 0x20;
const TRUN_OFFSET: u32 = 1;
const TRUN_FIRST_FLAGS: u32 = 4;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;

/// What samples have if their fragment doesn't say otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    duration: u32,
    len: u32,
    flags: u32,
}

impl Defaults {
    /// Reads the `trex` of a track.
    pub(super) fn of(mvex: &[u8], track_id: u32) -> Defaults {
        let mut f = Fields(mvex);
        while let Some((name, _, body)) = next_box(&mut f) {
            if name == *b"trex" {
                let found = Defaults::read(body, track_id);
                if let Some(defaults) = found {
                    return defaults;
                }
            }
        }
        Defaults::default()
    }

    fn read(trex: &[u8], track_id: u32) -> Option<Defaults> {
        let mut f = Fields(trex.get(4..)?);
        if f.u32()? != track_id {
            return None;
        }
        f.u32()?;
        Some(Defaults {
            duration: f.u32()?,
            len: f.u32()?,
            flags: f.u32()?,
        })
    }
}

/// The samples of fragments that have been read, and the time after them.
#[derive(Default)]
pub(super) struct Fragment {
    samples: VecDeque<Sample>,
    decode_time: i64,
    /// As in tables; known from the first fragment.
    early: u32,
    has_begun: bool,
}

impl Fragment {
    /// The number of samples that wait.
    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// The samples that wait.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }

    pub(super) fn next(&mut self) -> Option<Sample> {
        let mut sample = self.samples.pop_front()?;
        self.has_begun = true;
        sample.decode_time = sample.decode_time.saturating_sub(self.early.into());
        sample.composition = sample.composition.saturating_add_unsigned(self.early);
        Some(sample)
    }

    /// Adds the samples of a `traf` in the `moof` at this offset of the file, if they are of this track.
    /// `None` if it is damaged.
    pub(super) fn add(
        &mut self,
        traf: &[u8],
        track_id: u32,
        moof_at: u64,
        defaults: &Defaults,
    ) -> Option<()> {
        let (_, tfhd) = find(traf, b"tfhd")?;
        let mut f = Fields(tfhd);
        let flags = f.u32()? & 0xFF_FFFF;
        if f.u32()? != track_id {
            return Some(());
        }
        let mut defaults = *defaults;
        let mut base = moof_at;
        if flags & TFHD_BASE != 0 {
            base = f.u64()?;
        }
        if flags & TFHD_DESCRIPTION != 0 {
            f.u32()?;
        }
        for (flag, value) in [
            (TFHD_DURATION, &mut defaults.duration),
            (TFHD_SIZE, &mut defaults.len),
            (TFHD_FLAGS, &mut defaults.flags),
        ] {
            if flags & flag != 0 {
                *value = f.u32()?;
            }
        }
        if let Some((_, tfdt)) = find(traf, b"tfdt") {
            let mut f = Fields(tfdt);
            let [version, ..] = f.array::<4>()?;
            let time = if version == 1 {
                f.u64()?
            } else {
                f.u32()?.into()
            };
            self.decode_time = i64::try_from(time).ok()?;
        }
        let mut at = base;
        let mut f = Fields(traf);
        while !f.0.is_empty() {
            let (name, _, body) = next_box(&mut f)?;
            if name == *b"trun" {
                at = self.add_run(body, base, at, &defaults)?;
            }
        }
        if !self.has_begun {
            self.early = early(self.samples.iter().map(|sample| sample.composition as u32));
        }
        Some(())
    }

    /// Adds the samples of a `trun`, which lie after `at` unless it says otherwise. Returns the offset
    /// after them.
    fn add_run(&mut self, trun: &[u8], base: u64, at: u64, defaults: &Defaults) -> Option<u64> {
        let mut f = Fields(trun);
        let flags = f.u32()? & 0xFF_FFFF;
        let count = f.u32()? as usize;
        let mut at = at;
        if flags & TRUN_OFFSET != 0 {
            at = base.checked_add_signed((f.u32()? as i32).into())?;
        }
        let mut first_flags = None;
        if flags & TRUN_FIRST_FLAGS != 0 {
            first_flags = Some(f.u32()?);
        }
        if count > MAX_SAMPLES - self.samples.len().min(MAX_SAMPLES) {
            return None;
        }
        // Without any field of its own, a sample takes no bytes: the count alone could claim memory.
        for _ in 0..count {
            let mut field = |flag, default| match flags & flag != 0 {
                true => f.u32(),
                false => Some(default),
            };
            let duration = field(TRUN_DURATION, defaults.duration)?;
            let len = field(TRUN_SIZE, defaults.len)?;
            let sample_flags = field(TRUN_FLAGS, first_flags.take().unwrap_or(defaults.flags))?;
            let composition = field(TRUN_COMPOSITION, 0)? as i32;
            self.samples.push_back(Sample {
                at,
                len,
                decode_time: self.decode_time,
                composition,
                is_keyframe: sample_flags & IS_NOT_SYNC == 0,
            });
            at = at.checked_add(len.into())?;
            self.decode_time = self.decode_time.checked_add(duration.into())?;
        }
        Some(at)
    }
}
