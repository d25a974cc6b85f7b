//! Streams: the files of each, sorted by key. There are few, so a list will do.

use super::files::Files;
use crate::rtmp::stream_key::StreamKey;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<(StreamKey, Files)>);

impl Streams {
    pub(super) fn get(&self, stream: &StreamKey) -> Option<&Files> {
        let place = self.place(stream).ok()?;
        self.0.get(place).map(|(_, files)| files)
    }

    pub(super) fn get_mut(&mut self, stream: &StreamKey) -> Option<&mut Files> {
        let place = self.place(stream).ok()?;
        self.0.get_mut(place).map(|(_, files)| files)
    }

    /// Returns the files of a stream, which is added if it isn't there.
    pub(super) fn get_or_add(&mut self, stream: &StreamKey) -> &mut Files {
        let place = self.place(stream).unwrap_or_else(|place| {
            self.0.insert(place, (stream.clone(), Files::default()));
            place
        });
        &mut self.0[place].1
    }

    pub(super) fn remove(&mut self, stream: &StreamKey) {
        if let Ok(place) = self.place(stream) {
            self.0.remove(place);
        }
    }

    /// The streams from this one on, in their order; all for `None`.
    pub(super) fn from(&self, stream: Option<&StreamKey>) -> &[(StreamKey, Files)] {
        let place = stream.map_or(0, |stream| self.place(stream).unwrap_or_else(|place| place));
        self.0.get(place..).unwrap_or_default()
    }

    pub(super) fn all_mut(&mut self) -> &mut [(StreamKey, Files)] {
        &mut self.0
    }

    #[inline(never)]
    fn place(&self, stream: &StreamKey) -> Result<usize, usize> {
        self.0.binary_search_by(|(key, _)| key.cmp(stream))
    }
}
