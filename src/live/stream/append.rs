//! The publisher's side of a stream: what becomes of a message on its way into the log.
//!
//! # When the publisher changes
//!
//! A stream outlives its publisher by a grace time. Who comes back within it, or takes over, goes
//! on under the same generation counter plus one, and players stay. Timestamps continue at the
//! seam (see `clock`). Playback goes on with the new publisher's first keyframe.

use std::sync::Arc;

use super::pictures::{Judged, Pictures};
use super::samples::Found;
use super::{Appended, ClockRepair, State};
use crate::live::capabilities::Capabilities;
use crate::live::classify::{Class, classify};
use crate::live::doctor::{Finding, Memory};
use crate::live::kept::Kept;
use crate::live::log::{Kind, Meta, Role, Sample};
use crate::live::preamble::{HEADER_COST, HEAP_LEN, MAX_HEADER_LEN, Preamble, Slot};
use crate::live::{Millis, When};
use crate::media::access_unit::MAX_SETS_LEN;
use crate::media::codec::Codec;
use crate::media::tag::tracks::{TrackMessage, TrackSplitter};
use crate::rtmp::amf::{Bytes, Properties};
use crate::rtmp::metadata;

/// How long after the first media message it is decided which tracks a publisher has.
const SETTLE: Millis = 2_000;

/// Headers of a publish that are remembered: as many as a preamble has.
const MAX_SLOTS: usize = 40;

/// Metadata that lie on the heap, in bytes; longer ones lie in a block.
const SHORT_METADATA: usize = 512;

/// What is known of the current publish.
#[derive(Default)]
pub(super) struct Publish {
    /// Of the first track, as has_video and has_keyframe: it is what most players see.
    has_audio: bool,
    has_video: bool,
    pub(super) has_keyframe: bool,
    slots: Vec<Slot>,
    /// Of the first tracks' messages: video, audio.
    codecs: [Option<Codec>; 2],
    /// What players may get of the metadata, encoded: a tenth of what the values take, and at most
    /// [`metadata::MAX_LEN`] bytes.
    metadata: Option<Kept>,
    began: When,
    pub(super) is_settled: bool,
    pub(super) found: Found,
    pub(super) pictures: Pictures,
}

impl State {
    pub(super) fn append_media<'a>(
        &mut self,
        kind: Kind,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Appended {
        let Some(medium) = kind.medium() else {
            return Appended::Ignored;
        };
        self.stats.note_message(medium, payload.clone(), now);
        let first = payload.clone().next().unwrap_or_default();
        let Some(mut many) = TrackSplitter::read(medium, first) else {
            return match TrackMessage::read(medium, first) {
                Some(message) => self.append_track(kind, timestamp, &message, payload, now),
                None => Appended::Ignored,
            };
        };
        let mut appended = Appended::Ignored;
        while many.has_more() {
            let Some(message) = many.next(&mut payload.clone()) else {
                continue;
            };
            match self.append_track(kind, timestamp, &message, payload.clone(), now) {
                Appended::Ignored => {}
                // One track that is lost is worth a word more than those that aren't.
                _ if appended == Appended::OutOfBlocks => {}
                other => appended = other,
            }
        }
        appended
    }

    fn append_track<'a>(
        &mut self,
        kind: Kind,
        timestamp: u32,
        message: &TrackMessage,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Appended {
        let Some(class) = classify(kind, message) else {
            return Appended::Ignored;
        };
        let is_first_track = message.track_id == 0;
        self.note_first_track(kind, class, message);
        let needs = Capabilities::needed_by(message);
        if let Class::Header(slot) = class {
            return self.append_sent_header(slot, needs, timestamp, message.payload(payload), now);
        }
        let seen = match (kind, class) {
            (Kind::Video, Class::Keyframe | Class::Frame) if is_first_track => {
                self.judge(message, class, timestamp, payload.clone(), now)
            }
            (Kind::Video, Class::Other) if is_first_track => {
                self.complete_picture();
                Judged::of(class)
            }
            _ => Judged::of(class),
        };
        self.publish.has_keyframe |= seen.is_start;
        if kind == Kind::Video && !self.publish.has_keyframe {
            return Appended::Ignored;
        }
        let timestamp = match seen.class {
            Class::Other | Class::Rest => self.clock.place_beside(kind, timestamp),
            _ => self.clock.place(kind, timestamp, now),
        };
        let sample = match seen.class {
            _ if !is_first_track => Sample::default(),
            Class::Rest => self.sample_of_rest(message),
            Class::Keyframe | Class::Frame => {
                let payload = message.payload(payload.clone());
                self.sample(message, seen.is_start && seen.is_sync, timestamp, payload)
            }
            _ => Sample::default(),
        };
        let is_alone = kind == Kind::Audio && is_first_track && !self.publish.has_video;
        let mut meta = Meta {
            kind,
            timestamp,
            arrived: now,
            is_join_point: seen.is_start || is_alone,
            role: seen.role(),
            preamble_version: self.preamble.version(),
            needs,
            mod_ex_len: message.mod_ex_len,
            sample,
        };
        let is_keyframe = seen.class == Class::Keyframe;
        if meta.role == Role::Media {
            self.note_frame(&meta, message, is_keyframe);
        }
        self.is_urgent |= is_keyframe;
        let look = seen.look;
        let is_again = look.is_some_and(|look| self.note_part(&mut meta, look, seen.sent));
        let appended = self.append(meta, message.payload(payload));
        if is_again {
            self.complete_picture();
        }
        if !self.publish.is_settled
            && now.saturating_sub(self.publish.began.get_or_set(now)) > SETTLE
        {
            self.settle(now);
        }
        appended
    }

    /// Notes which tracks there are, and what they ask of their receivers.
    fn note_first_track(&mut self, kind: Kind, class: Class, message: &TrackMessage) {
        if message.track_id != 0 {
            return;
        }
        match kind {
            Kind::Audio => self.publish.has_audio = true,
            _ => self.publish.has_video = true,
        }
        let needs = Capabilities::needed_by(message);
        match class {
            Class::Header(slot) if slot.is_description() => {}
            Class::Header(_) => self.note_track(kind, needs, true),
            _ => self.note_track(kind, needs, false),
        }
    }

    /// Counts a picture or sound.
    fn note_frame(&mut self, meta: &Meta, message: &TrackMessage, is_keyframe: bool) {
        let Meta {
            kind,
            timestamp,
            arrived,
            ..
        } = *meta;
        self.stats.note_frame(kind, timestamp, arrived);
        if message.track_id != 0 {
            return;
        }
        self.publish.codecs[usize::from(kind == Kind::Audio)] = message.codec;
        if kind == Kind::Video {
            self.stats.note_picture(is_keyframe, timestamp, arrived);
        }
    }

    /// Appends a header as it was sent, unless it is too long, or parameter sets have overruled it.
    fn append_sent_header<'a>(
        &mut self,
        slot: Slot,
        needs: Capabilities,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Appended {
        let len: usize = payload.clone().map(<[u8]>::len).sum();
        if len > MAX_HEADER_LEN {
            return Appended::Ignored;
        }
        let bytes = payload.collect::<Vec<_>>().concat();
        if self.is_outdated(slot, &bytes) {
            return Appended::Ignored;
        }
        self.append_header(slot, needs, timestamp, &bytes, now)
    }

    /// A sequence header goes into the log only if it is news: an encoder that repeats it, or a
    /// publisher that returns with the same one, changes nothing for those who play.
    pub(super) fn append_header(
        &mut self,
        slot: Slot,
        needs: Capabilities,
        timestamp: u32,
        bytes: &[u8],
        now: Millis,
    ) -> Appended {
        if !self.publish.slots.contains(&slot) && self.publish.slots.len() < MAX_SLOTS {
            self.publish.slots.push(slot);
        }
        let is_first = matches!(slot, Slot::Video(0) | Slot::Audio(0));
        let paid = self.pay_for_headers(bytes.len());
        let Some(max_on_heap) = paid.or(is_first.then_some(0)) else {
            return Appended::Ignored;
        };
        let log = &mut self.log;
        let block = || log.take_block();
        let Some(preamble) = self.preamble.with_in(slot, bytes, max_on_heap, block) else {
            return Appended::Ignored;
        };
        self.preamble = Arc::new(preamble);
        // Receivers start with the first track, whatever the others do.
        let is_of_start = match slot {
            Slot::Video(0) => true,
            Slot::Audio(0) => !self.publish.has_video,
            _ => false,
        };
        if is_of_start {
            self.log.clear_join_point();
        }
        if is_first {
            self.stats.doctor.note_header();
            self.update_tracks();
        }
        let timestamp = self.clock.place_beside(slot.kind(), timestamp);
        self.append_preamble_change(slot.kind(), needs, timestamp, bytes, now)
    }

    /// Pays for a header or metadata more, of so many bytes. Returns what all headers may take on the
    /// heap: nothing if the publisher has no more left, or not even enough for one in a block.
    fn pay_for_headers(&mut self, len: usize) -> Option<usize> {
        let least = self.config_cost + self.headers_cost() + HEADER_COST;
        let mut pay = |bytes| {
            let paid = self.paid.as_mut();
            paid.is_none_or(|paid| paid.resize(bytes).is_ok())
        };
        if len <= HEAP_LEN && pay(least + len) {
            return Some(HEAP_LEN);
        }
        pay(least).then_some(0)
    }

    /// Pays for parameter sets, which most publishers send in their sequence headers only.
    pub(super) fn pay_for_sets(&mut self) -> bool {
        self.pay(0, self.headers_cost() + MAX_SETS_LEN)
    }

    /// What headers, parameter sets and metadata take on the heap, in bytes.
    pub(super) fn headers_cost(&self) -> usize {
        let metadata = self.publish.metadata.as_ref().map_or(0, Kept::heap_len);
        self.preamble.cost() + self.publish.pictures.sets.room() + metadata
    }

    fn append_preamble_change(
        &mut self,
        kind: Kind,
        needs: Capabilities,
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
            needs,
            mod_ex_len: 0,
            sample: Sample::default(),
        };
        self.append(meta, Bytes::from(bytes).parts())
    }

    /// Appends a data message that isn't metadata. Its timestamp is placed beside those of the media,
    /// and says nothing of the publisher's clock.
    pub(super) fn append_data(&mut self, timestamp: u32, body: Bytes<'_>, now: Millis) {
        let kind = Kind::Script;
        let meta = Meta {
            kind,
            timestamp: self.clock.place_beside(kind, timestamp),
            arrived: now,
            is_join_point: false,
            role: Role::Other,
            preamble_version: self.preamble.version(),
            needs: Capabilities::NONE,
            mod_ex_len: 0,
            sample: Sample::default(),
        };
        self.append(meta, body.parts());
    }

    fn append<'a>(
        &mut self,
        meta: Meta,
        parts: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Appended {
        let was_joinable = self.log.join_point().is_some();
        let Ok(number) = self.log.append(meta, parts.clone()) else {
            let len: usize = parts.map(<[u8]>::len).sum();
            self.stats.note_dropped(len, self.log.capacity());
            // What follows can't be decoded without what was lost.
            self.publish.has_keyframe &= meta.kind != Kind::Video || meta.needs.has_multitrack();
            self.forget_picture();
            return Appended::OutOfBlocks;
        };
        self.note_eviction(was_joinable);
        self.note_sample(number);
        self.batch_since.get_or_set(meta.arrived);
        Appended::Stored
    }

    /// Tells the doctor if something had to go for want of memory that joiners would have needed.
    pub(super) fn note_eviction(&mut self, was_joinable: bool) {
        if was_joinable && self.log.join_point().is_none() {
            let may_hold = self.log.capacity().try_into().unwrap_or(u32::MAX);
            self.stats.doctor.note_memory(Memory::Gop { may_hold });
        }
    }

    /// Lets the doctor look at what has been seen, and returns what is to be told.
    pub(super) fn examine(&mut self, repair: Option<ClockRepair>, now: Millis) -> Vec<Finding> {
        if self.publisher.is_some() {
            self.stats.note_time(now);
        }
        let doctor = &mut self.stats.doctor;
        if let Some(repair) = repair {
            doctor.note_repair(repair);
        }
        if let Some(pace) = self.clock.take_pace() {
            if matches!(pace, super::clock::Pace::Fast { is_lost: true, .. }) {
                // Players would play minutes with a picture now and then.
                self.hls.segments.prune(self.log.end());
            }
            doctor.note_pace(pace);
        }
        if doctor.is_examination_due(now) {
            self.compare_with_metadata();
        }
        self.stats.doctor.take_news()
    }

    #[inline(never)] // Its variables are not to be on the stack of every publisher all the time.
    fn compare_with_metadata(&mut self) {
        let metadata = self.publish.metadata.as_deref();
        let metadata = metadata.and_then(|bytes| metadata::parse(bytes.into()));
        let video = self.tracks.presentation.video.as_ref();
        let size = video.map(|video| (video.width(), video.height()));
        let doctor = &mut self.stats.doctor;
        doctor.examine(metadata.flatten().as_ref(), size);
    }

    /// Enough has been seen to know which tracks there are: what an earlier publisher left, and
    /// what the metadata promised in vain, is dropped. Players would wait for it.
    fn settle(&mut self, now: Millis) {
        self.publish.is_settled = true;
        self.keep_headers();
        self.preamble = self.own_preamble();
        self.update_metadata(now);
        self.update_tracks();
    }

    /// The preamble without the headers that an earlier publisher left.
    pub(super) fn own_preamble(&self) -> Arc<Preamble> {
        let slots = &self.publish.slots;
        let is_gone = |slot| slot != Slot::Metadata && !slots.contains(&slot);
        let own = self.preamble.without(is_gone);
        own.map_or_else(|| Arc::clone(&self.preamble), Arc::new)
    }

    /// The header of the publish before is that of a track which comes without one.
    fn keep_headers(&mut self) {
        for (slot, codec) in [Slot::Video(0), Slot::Audio(0)]
            .into_iter()
            .zip(self.publish.codecs)
        {
            let slots = &mut self.publish.slots;
            let Some(codec) = codec.filter(|codec| codec.needs_header()) else {
                continue;
            };
            if slots.contains(&slot) {
                continue;
            }
            let header = self.preamble.header(slot);
            let header = header.zip(slot.kind().medium());
            let header = header.and_then(|(header, medium)| TrackMessage::read(medium, header));
            let is_kept = header.is_some_and(|header| header.codec == Some(codec));
            if is_kept {
                slots.push(slot);
            }
            self.stats.doctor.note_missing_header(slot.kind(), is_kept);
        }
    }

    pub(super) fn set_metadata(&mut self, properties: Option<&Properties<'_>>, now: Millis) {
        self.note_announced(properties);
        if let Some(rate) = properties.and_then(|all| all.token("framerate")?.as_f64()) {
            self.media_clock.announce(rate);
        }
        let encoded = properties.map(|all| metadata::for_players(all, None, None));
        self.publish.metadata = None;
        self.publish.metadata = encoded.and_then(|encoded| match encoded.len() {
            len @ 0..=SHORT_METADATA if self.pay_for_headers(len) == Some(HEAP_LEN) => {
                Some(Kept::on_heap(&encoded))
            }
            _ => Kept::in_block(&encoded, self.log.take_block()?),
        });
        self.update_metadata(now);
    }

    /// Brings the metadata of the preamble up to date.
    fn update_metadata(&mut self, now: Millis) {
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
        let log = &mut self.log;
        let block = || log.take_block();
        let preamble = &self.preamble;
        if let Some(preamble) = preamble.with_in(Slot::Metadata, &bytes, max_on_heap, block) {
            self.preamble = Arc::new(preamble);
            let timestamp = self.clock.newest().unwrap_or(0);
            self.append_preamble_change(Kind::Data, Capabilities::NONE, timestamp, &bytes, now);
        }
    }
}
