//! HLS viewers: addresses that requested a playlist recently.

use std::net::IpAddr;

use super::{Lists, record_len};
use crate::live::Millis;

/// The number of viewers that fit in a block.
pub(super) const MAX_VIEWERS: usize = 32;

pub(super) const VIEWER_LEN: usize = record_len(5, 0);

/// A viewer that hasn't requested a playlist for this long, in ms, is gone.
const VIEWER_TIMEOUT: Millis = 15_000;

/// An address that requests playlists.
#[derive(Clone, Copy, Debug)]
pub struct HlsViewer {
    address: u128,
    /// The time of its last request.
    pub asked: Millis,
    /// The time of its first request.
    pub since: Millis,
    /// The number of the connection that last fetched a playlist for it; 0 if none has yet, or if the
    /// viewer has been reported as gone.
    pub connection: u64,
}

impl HlsViewer {
    fn is_gone(&self, now: Millis) -> bool {
        now.saturating_sub(self.asked) >= VIEWER_TIMEOUT
    }
}

impl Lists {
    /// Notes that an address requested a playlist. If the list is full, it replaces a viewer that is
    /// gone. Without a block, nothing is noted.
    pub(in crate::live::hls) fn note_viewer(&mut self, address: IpAddr, now: Millis) {
        if !self.has_block() {
            return;
        }
        let address = bits(address);
        let known = self.find_viewer(|viewer| viewer.address == address);
        let place = known.or(self.find_viewer(|viewer| viewer.is_gone(now)));
        let place = place.map_or(self.viewers, |(place, _)| place);
        let mut viewer = HlsViewer {
            address,
            asked: now,
            since: now,
            connection: 0,
        };
        if let Some((_, known)) = known.filter(|(_, known)| !known.is_gone(now)) {
            (viewer.since, viewer.connection) = (known.since, known.connection);
        }
        if place < MAX_VIEWERS {
            self.viewers = self.viewers.max(place + 1);
            self.put_viewer(place, &viewer);
        }
    }

    /// Notes the connection that fetched a playlist for a viewer. Returns whether it is the viewer's
    /// first one.
    pub(in crate::live::hls) fn note_connection(
        &mut self,
        address: IpAddr,
        connection: u64,
    ) -> bool {
        let address = bits(address);
        let Some((place, known)) = self.find_viewer(|viewer| viewer.address == address) else {
            return false;
        };
        let viewer = HlsViewer {
            connection,
            ..known
        };
        self.put_viewer(place, &viewer);
        known.connection == 0
    }

    /// Returns a viewer that is gone, each only once.
    pub(in crate::live::hls) fn take_gone(&mut self, now: Millis) -> Option<HlsViewer> {
        let (place, viewer) =
            self.find_viewer(|viewer| viewer.connection > 0 && viewer.is_gone(now))?;
        let reported = HlsViewer {
            connection: 0,
            ..viewer
        };
        self.put_viewer(place, &reported);
        Some(viewer)
    }

    /// Viewers that aren't gone, each with its place in the list.
    pub(in crate::live::hls) fn viewers(
        &self,
        now: Millis,
    ) -> impl Iterator<Item = (usize, HlsViewer)> + '_ {
        self.all_viewers()
            .filter(move |(_, viewer)| !viewer.is_gone(now))
    }

    fn all_viewers(&self) -> impl Iterator<Item = (usize, HlsViewer)> + '_ {
        (0..self.viewers).filter_map(|place| Some((place, self.viewer(place)?)))
    }

    fn find_viewer(&self, is_it: impl Fn(&HlsViewer) -> bool) -> Option<(usize, HlsViewer)> {
        self.all_viewers().find(|(_, viewer)| is_it(viewer))
    }

    fn viewer(&self, place: usize) -> Option<HlsViewer> {
        let ([high, low, asked, since, connection], []) = self.load(viewer_at(place))?;
        Some(HlsViewer {
            address: u128::from(high) << 64 | u128::from(low),
            asked,
            since,
            connection,
        })
    }

    fn put_viewer(&mut self, place: usize, viewer: &HlsViewer) {
        let (high, low) = ((viewer.address >> 64) as u64, viewer.address as u64);
        let long = [high, low, viewer.asked, viewer.since, viewer.connection];
        self.store(viewer_at(place), long, []);
    }
}

fn viewer_at(place: usize) -> usize {
    super::VIEWERS_AT + place * VIEWER_LEN
}

/// The bits of an IPv6 address, or of an IPv4 address mapped to one.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::arena::Arena;

    #[test]
    fn a_viewer_is_reported_once_when_it_arrives_and_once_when_it_is_gone() {
        const GONE: Millis = 90 + VIEWER_TIMEOUT;

        let mut lists = Lists::default();
        lists.move_to(Arena::new(0).take());
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert!(!lists.note_connection(one, 7), "it hasn't asked");
        lists.note_viewer(one, 10);
        assert!(lists.note_connection(one, 7));
        lists.note_viewer(one, 90);
        assert!(!lists.note_connection(one, 8), "another connection");
        // This viewer never got a playlist.
        lists.note_viewer(other, 90);
        assert!(lists.take_gone(GONE - 1).is_none());
        let gone = lists.take_gone(GONE).unwrap();
        assert_eq!((gone.connection, gone.since, gone.asked), (8, 10, 90));
        assert!(lists.take_gone(2 * GONE).is_none());
        lists.note_viewer(one, 2 * GONE);
        assert!(lists.note_connection(one, 9), "it is back");
    }

    #[test]
    fn a_full_list_has_room_for_a_new_viewer_once_another_is_gone() {
        let mut lists = Lists::default();
        let address = |number: usize| [192, 0, 2, number as u8].into();
        lists.note_viewer(address(0), 0);
        assert_eq!(lists.viewers(0).count(), 0, "there is no block");
        lists.move_to(Arena::new(0).take());
        for number in 0..=MAX_VIEWERS {
            lists.note_viewer(address(number), number as Millis);
        }
        let now = VIEWER_TIMEOUT;
        assert!(!lists.note_connection(address(MAX_VIEWERS), 7), "no room");
        lists.note_viewer(address(MAX_VIEWERS), now);
        assert!(lists.note_connection(address(MAX_VIEWERS), 7));
        assert!(!lists.note_connection(address(0), 7), "it was replaced");
        assert_eq!(lists.viewers(now).count(), MAX_VIEWERS);
    }
}
