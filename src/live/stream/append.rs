//! The publisher's side of a stream: what becomes of a message on its way into the log.
//!
//! # When the publisher changes
//!
//! A stream outlives its publisher by a grace time. Who comes back within it, or takes over, goes
//! on under the same generation counter plus one, and players stay. Timestamps continue at the
//! seam (see `clock`). Playback goes on with the new publisher's first keyframe.

use std::sync::Arc;

use super::{Appended, State};
use crate::live::Millis;
use crate::live::classify::{Class, classify};
use crate::live::log::{Kind, Meta, Role};
use crate::live::preamble::Slot;
use crate::rtmp::amf0::Value;
use crate::rtmp::metadata;

/// How long after the first media message it is decided which tracks a publisher has.
const SETTLE: Millis = 2_000;

/// What is known of the current publish.
#[derive(Default)]
pub(super) struct Publish {
    has_audio: bool,
    has_video: bool,
    has_keyframe: bool,
    slots: Vec<Slot>,
    pub(super) metadata: Option<Vec<(String, Value)>>,
    began: Option<Millis>,
    is_settled: bool,
}

impl State {
    pub(super) fn append_media<'a>(
        &mut self,
        kind: Kind,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Appended {
        let first = payload.clone().next().unwrap_or_default();
        let Some(class) = classify(kind, first) else {
            return Appended::Ignored;
        };
        match kind {
            Kind::Audio => self.publish.has_audio = true,
            Kind::Video => self.publish.has_video = true,
            Kind::Data => {}
        }
        if let Class::Header(slot) = class {
            return self.append_header(slot, timestamp, payload, now);
        }
        let is_keyframe = class == Class::Keyframe;
        self.publish.has_keyframe |= is_keyframe;
        if kind == Kind::Video && !self.publish.has_keyframe {
            return Appended::Ignored;
        }
        let meta = Meta {
            kind,
            timestamp: match class {
                Class::Other => self.clock.place_beside(kind, timestamp),
                _ => self.clock.place(kind, timestamp, now),
            },
            arrived: now,
            is_join_point: is_keyframe || (kind == Kind::Audio && !self.publish.has_video),
            role: if class == Class::Other {
                Role::Other
            } else {
                Role::Media
            },
            preamble_version: self.preamble.version(),
        };
        self.is_urgent |= is_keyframe;
        let appended = self.append(meta, payload);
        if !self.publish.is_settled
            && now.saturating_sub(*self.publish.began.get_or_insert(now)) > SETTLE
        {
            self.settle(now);
        }
        appended
    }

    /// A sequence header goes into the log only if it is news: an encoder that repeats it, or a
    /// publisher that returns with the same one, changes nothing for those who play.
    fn append_header<'a>(
        &mut self,
        slot: Slot,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Appended {
        if !self.publish.slots.contains(&slot) {
            self.publish.slots.push(slot);
        }
        let bytes = payload.collect::<Vec<_>>().concat();
        let Some(preamble) = self.preamble.with(slot, &bytes) else {
            return Appended::Ignored;
        };
        self.preamble = Arc::new(preamble);
        if slot.kind() == Kind::Video {
            self.log.clear_join_point();
        }
        let timestamp = self.clock.place_beside(slot.kind(), timestamp);
        self.append_preamble_change(slot.kind(), timestamp, &bytes, now)
    }

    fn append_preamble_change(
        &mut self,
        kind: Kind,
        timestamp: u32,
        bytes: &[u8],
        now: Millis,
    ) -> Appended {
        let meta = Meta {
            kind,
            timestamp,
            arrived: now,
            is_join_point: false,
            role: Role::Header,
            preamble_version: self.preamble.version(),
        };
        self.append(meta, std::iter::once(bytes))
    }

    fn append<'a>(
        &mut self,
        meta: Meta,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Appended {
        if self.log.append(meta, parts).is_err() {
            // What follows can't be decoded without what was lost.
            self.publish.has_keyframe &= meta.kind != Kind::Video;
            return Appended::OutOfBlocks;
        }
        self.batch_since.get_or_insert(meta.arrived);
        Appended::Stored
    }

    /// Enough has been seen to know which tracks there are: what an earlier publisher left, and
    /// what the metadata promised in vain, is dropped. Players would wait for it.
    fn settle(&mut self, now: Millis) {
        self.publish.is_settled = true;
        let slots = std::mem::take(&mut self.publish.slots);
        let is_gone = |slot| slot != Slot::Metadata && !slots.contains(&slot);
        if let Some(preamble) = self.preamble.without(is_gone) {
            self.preamble = Arc::new(preamble);
        }
        self.publish.slots = slots;
        self.update_metadata(now);
    }

    /// Brings the metadata of the preamble up to date.
    pub(super) fn update_metadata(&mut self, now: Millis) {
        let publish = &self.publish;
        let Some(values) = &publish.metadata else {
            if publish.is_settled {
                if let Some(preamble) = self.preamble.without(|slot| slot == Slot::Metadata) {
                    self.preamble = Arc::new(preamble);
                }
            }
            return;
        };
        let seen = |has_track| publish.is_settled.then_some(has_track);
        let bytes = metadata::for_players(values, seen(publish.has_audio), seen(publish.has_video));
        if let Some(preamble) = self.preamble.with(Slot::Metadata, &bytes) {
            self.preamble = Arc::new(preamble);
            let timestamp = self.clock.newest().unwrap_or(0);
            self.append_preamble_change(Kind::Data, timestamp, &bytes, now);
        }
    }
}
