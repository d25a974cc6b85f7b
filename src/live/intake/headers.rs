//! Sequence headers and metadata: how they are stored, and who pays for them.

use std::sync::Arc;

use super::{Appended, Intake, Store};
use crate::live::capabilities::Capabilities;
use crate::live::finding::Finding;
use crate::live::kept::Kept;
use crate::live::kind::Kind;
use crate::live::log::{Meta, Role};
use crate::live::preamble::{HEADER_COST, HEAP_LEN, MAX_HEADER_LEN, Slot};
use crate::media::TrackInfo;
use crate::media::tag::tracks::TrackMessage;
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::metadata;

/// The number of a publish's headers that are remembered: as many as a preamble can hold.
const MAX_SLOTS: usize = 40;

/// The maximum length of metadata on the heap, in bytes. Longer metadata is stored in a block.
const SHORT_METADATA: usize = 512;

impl Intake {
    /// Processes a header as it was sent, unless it is too long or parameter sets have replaced it.
    pub(super) fn take_header<'a>(
        &mut self,
        slot: Slot,
        sent: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        store: &mut Store<'_>,
    ) -> Appended {
        let len: usize = payload.clone().map(<[u8]>::len).sum();
        if len > MAX_HEADER_LEN {
            return Appended::Ignored;
        }
        // Headers are rare, so one contiguous copy makes everything after this simpler.
        let bytes = payload.collect::<Vec<_>>().concat();
        if self.is_outdated(slot, &bytes) {
            return Appended::Ignored;
        }
        self.append_header(slot, sent, &bytes, store)
    }

    /// Appends a header only if it has changed: an encoder that repeats it, or a publisher that
    /// returns with the same one, changes nothing for players.
    pub(super) fn append_header(
        &mut self,
        slot: Slot,
        sent: u32,
        bytes: &[u8],
        store: &mut Store<'_>,
    ) -> Appended {
        if !self.publish.slots.contains(&slot) && self.publish.slots.len() < MAX_SLOTS {
            self.publish.slots.push(slot);
        }
        let is_first = matches!(slot, Slot::Video(0) | Slot::Audio(0));
        let paid = self.pay_for_headers(bytes.len());
        // The first tracks' headers are kept in any case, in a block if need be, because no player
        // could start without them.
        let Some(max_on_heap) = paid.or(is_first.then_some(0)) else {
            return Appended::Ignored;
        };
        let block = || store.log.take_block();
        let Some(preamble) = self.preamble.with(slot, bytes, max_on_heap, block) else {
            return Appended::Ignored;
        };
        self.preamble = Arc::new(preamble);
        // Receivers start with the first track, regardless of the other tracks.
        let is_of_start = match slot {
            Slot::Video(0) => true,
            Slot::Audio(0) => !self.publish.has_video,
            _ => false,
        };
        if is_of_start {
            store.log.clear_join_point();
        }
        if is_first {
            self.arrivals.doctor.note_header();
            self.update_tracks(store.hls);
        }
        let kind = slot.kind();
        let timestamp = self.clock.place_beside(kind, sent);
        let meta = Meta {
            needs: Capabilities::needed_by_header(kind, bytes),
            ..self.meta_beside(kind, Role::Header, timestamp, store)
        };
        self.append(meta, Bytes::from(bytes).parts(), store)
    }

    /// Pays for another header or metadata of `len` bytes. Returns how many bytes all headers may
    /// occupy on the heap; `None` if the publisher can't even pay for one in a block.
    fn pay_for_headers(&mut self, len: usize) -> Option<usize> {
        let least = self.config_cost + self.headers_cost() + HEADER_COST;
        let mut pay = |bytes| {
            let paid = self.paid.as_mut();
            paid.is_none_or(|paid| paid.resize(bytes).is_ok())
        };
        // The old header is freed only after the last receiver has it, so both are paid for.
        if len <= HEAP_LEN && pay(least + len) {
            return Some(HEAP_LEN);
        }
        pay(least).then_some(0)
    }

    /// The heap memory of headers, parameter sets and metadata, in bytes.
    pub(super) fn headers_cost(&self) -> usize {
        let metadata = self.publish.metadata.as_ref().map_or(0, Kept::heap_len);
        self.preamble.cost() + self.publish.frames.sets.room() + metadata
    }

    /// Marks the tracks as known, because enough has arrived. Drops headers that an earlier publisher
    /// left, and tracks that the metadata announced but that never arrived: players would wait for
    /// these.
    pub(super) fn settle(&mut self, store: &mut Store<'_>) {
        self.publish.is_settled = true;
        self.keep_headers();
        let slots = &self.publish.slots;
        let is_left = |slot| slot != Slot::Metadata && !slots.contains(&slot);
        if let Some(own) = self.preamble.without(is_left) {
            self.preamble = Arc::new(own);
        }
        self.update_metadata(store);
        self.update_tracks(store.hls);
    }

    /// The first tracks, as the headers of the current or last publish describe them: video, audio.
    pub(in crate::live) fn track_infos(&self) -> [Option<TrackInfo>; 2] {
        [Slot::Video(0), Slot::Audio(0)].map(|slot| {
            let is_own = self.publish.slots.contains(&slot);
            let header = self.preamble.header(slot).filter(|_| is_own)?;
            TrackInfo::read(slot.kind().medium()?, header)
        })
    }

    /// Keeps the previous publish's header for a track of the same codec that arrived without one.
    fn keep_headers(&mut self) {
        let (mut missing, mut is_known) = ([false; 2], true);
        for (index, codec) in self.publish.codecs.into_iter().enumerate() {
            let slots = &mut self.publish.slots;
            let slot = [Slot::Video(0), Slot::Audio(0)][index];
            let has_to_come = codec.filter(|codec| codec.needs_header());
            let Some(codec) = has_to_come.filter(|_| !slots.contains(&slot)) else {
                continue;
            };
            missing[index] = true;
            let header = self.preamble.header(slot);
            let header = header.and_then(|header| TrackMessage::read(codec.medium(), header));
            // A header of another codec would make decoders fail instead of wait.
            if header.is_some_and(|header| header.codec == Some(codec)) {
                slots.push(slot);
            } else {
                is_known = false;
            }
        }
        let [video, audio] = missing;
        if video || audio {
            self.arrivals.doctor.find(Finding::MissingHeader {
                audio,
                video,
                is_known,
            });
        }
    }

    /// Replaces the metadata, or removes it.
    pub(in crate::live) fn set_metadata(
        &mut self,
        properties: Option<&Properties<'_>>,
        store: &mut Store<'_>,
    ) {
        self.note_announced(properties);
        let encoded = properties.map(|all| metadata::for_players(all, None, None));
        // Frees the old metadata before the new is paid for.
        self.publish.metadata = None;
        self.publish.metadata = encoded.and_then(|encoded| match encoded.len() {
            len @ 0..=SHORT_METADATA if self.pay_for_headers(len) == Some(HEAP_LEN) => {
                Some(Kept::Heap(encoded.into()))
            }
            _ => Kept::in_block(&encoded, store.log.take_block()?),
        });
        self.update_metadata(store);
    }

    /// Brings the metadata of the preamble up to date.
    fn update_metadata(&mut self, store: &mut Store<'_>) {
        let publish = &self.publish;
        let Some(all) = &publish.metadata else {
            if publish.is_settled {
                if let Some(preamble) = self.preamble.without(|slot| slot == Slot::Metadata) {
                    self.preamble = Arc::new(preamble);
                }
            }
            return;
        };
        let bytes = match metadata::parse((&**all).into()) {
            Some(Some(values)) if publish.is_settled => {
                metadata::for_players(&values, Some(publish.has_audio), Some(publish.has_video))
            }
            _ => all.to_vec(),
        };
        let max_on_heap = self.pay_for_headers(bytes.len()).unwrap_or(0);
        let block = || store.log.take_block();
        let preamble = &self.preamble;
        if let Some(preamble) = preamble.with(Slot::Metadata, &bytes, max_on_heap, block) {
            self.preamble = Arc::new(preamble);
            let timestamp = self.clock.newest().unwrap_or(0);
            let meta = self.meta_beside(Kind::Data, Role::Header, timestamp, store);
            self.append(meta, Bytes::from(&*bytes).parts(), store);
        }
    }
}
