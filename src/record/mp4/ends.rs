//! Ends: the first and the last fragment of each track, which tell when the tracks begin and end.

use std::io::{self, ErrorKind};

use super::reader::{Fragment, read_moof};
use crate::media::Medium;
use crate::media::mp4::movie::{Shift, Times};
use crate::record::disk::DiskFile;

/// See the module's documentation.
#[derive(Clone, Copy, Default)]
pub struct Ends {
    /// Of video, of audio.
    tracks: [Option<[Fragment; 2]>; 2],
}

impl Ends {
    /// Adds a fragment behind the others.
    pub fn add(&mut self, fragment: &Fragment) {
        let counts = [fragment.note.video, fragment.note.audio];
        for (ends, counts) in self.tracks.iter_mut().zip(counts) {
            if counts.samples > 0 {
                let [_, last] = ends.get_or_insert([*fragment; 2]);
                *last = *fragment;
            }
        }
    }

    /// Reads the times of each track.
    pub fn times(&self, file: &dyn DiskFile, shift: Shift) -> io::Result<Times> {
        let mut times = Times::default();
        let mut buffer = Vec::new();
        for (ends, medium) in self.tracks.iter().zip([Medium::Video, Medium::Audio]) {
            for fragment in ends.iter().flatten() {
                let moof = read_moof(file, fragment, &mut buffer)?;
                times.add_track(&moof.ok_or(ErrorKind::InvalidData)?, medium, shift);
            }
        }
        Ok(times)
    }
}
