//! Frames of the first video track, assembled from messages.
//!
//! Receivers of RTMP and FLV get each message as it was published. For everything else the unit is the
//! frame: for join points, counts, bursts and samples. A message that is a whole frame, without
//! anything that containers forbid, is a sample. Otherwise a copy of the frame, for containers only, is
//! assembled behind its last message as soon as the next frame begins:
//!
//! ```text
//! published   sets    slice 1  slice 2  slice 3         slice 1  slice 2  slice 3         slice 1
//! log         beside  media    rest     rest     whole  media    rest     rest     whole  media
//! RTMP, FLV   x       x        x        x               x        x        x               x
//! MP4, HLS                                       x                                 x
//! ```
//!
//! Parameter sets in front of a frame that differ from those of the sequence header become a sequence
//! header, as if the publisher had sent it: file decoders look for them nowhere else.

use super::classify::Class;
use super::{Intake, Store};
use crate::http::conditions::hash;
use crate::live::finding::Finding;
use crate::live::log::{Meta, Role};
use crate::live::preamble::Slot;
use crate::live::{Millis, When};
use crate::media::access_unit::{
    FramePart, MAX_SETS_LEN, ParameterSets, RandomAccess, UnitFormat, UnitSummary, summarize,
};
use crate::media::codec::{Codec, VideoCodec};
use crate::media::hevc::HevcConfig;
use crate::media::tag::Tag;
use crate::media::tag::tracks::TrackMessage;
use crate::media::{Medium, avc, hevc};

/// The time without a keyframe after which players start at the next best frame, in ms.
const PATIENCE: Millis = 10_000;

/// The same for frames that need no other frames, before the first keyframe, because that is probably
/// on its way.
const FIRST_PATIENCE: Millis = 2_000;

/// The largest difference of timestamps within a frame, in ms. Later messages belong to another frame,
/// whose beginning was lost.
const FRAME_SPAN: u32 = 20;

/// The state of the current publish's video frames.
#[derive(Default)]
pub(super) struct Frames {
    /// Whether some frames arrived in several messages.
    come_in_parts: bool,
    /// Whether a frame has arrived whose units say that a decoder can start there.
    has_access: bool,
    /// When the last keyframe, or a substitute for one, arrived; before that, when the first frame did.
    since: When,
    /// The same for frames at which browsers can start.
    access_since: When,
    /// Whether the last frame at which players were allowed to start is no better than the others.
    is_keyless: bool,
    /// The newest frame, while more of it may follow.
    pub(super) open: Option<OpenFrame>,
    /// Parameter sets since the last frame. There is room for them once some have arrived.
    pub(super) sets: ParameterSets,
    /// The hash of the last sequence header that the publisher sent, while one made of parameter sets
    /// is used instead.
    outdated: Option<u32>,
}

/// A frame of which more may follow.
pub(super) struct OpenFrame {
    /// The number of its first message.
    number: u64,
    /// The timestamp of its first message, as it was sent.
    sent: u32,
    /// The properties of its first message, with the sample that the whole frame will be.
    pub(super) meta: Meta,
    format: UnitFormat,
    /// Whether the frame has to be assembled.
    is_due: bool,
    /// Whether its first message was considered a sample, before more messages arrived.
    is_out: bool,
}

/// The judgment on a media message.
pub(super) struct Judged {
    pub(super) class: Class,
    /// Whether receivers may start here.
    pub(super) is_start: bool,
    /// Whether files may start here, too.
    pub(super) is_sync: bool,
    /// The summary of its units, if it has any.
    pub(super) look: Option<(UnitFormat, UnitSummary)>,
}

impl Judged {
    /// The judgment on a message that isn't judged by its units.
    pub(super) fn of(class: Class) -> Judged {
        Judged {
            class,
            is_start: class == Class::Keyframe,
            is_sync: true,
            look: None,
        }
    }

    pub(super) fn role(&self) -> Role {
        match (self.class, self.look) {
            (Class::Other, _) => Role::Other,
            (Class::Rest, Some((_, look))) if look.part == FramePart::More => Role::Rest,
            (Class::Rest, _) => Role::Beside,
            _ => Role::Media,
        }
    }
}

impl Intake {
    /// Judges a message of the first video track by its units. If it begins a frame, the previous one
    /// is complete.
    pub(super) fn judge<'a>(
        &mut self,
        message: &TrackMessage,
        flagged: Class,
        sent: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        store: &mut Store<'_>,
    ) -> Judged {
        let mut look = self.look(message, payload, store);
        let class = match &mut look {
            Some((_, look)) => self.class_of_part(flagged, look, sent),
            None => flagged,
        };
        let mut judged = Judged {
            look,
            ..Judged::of(class)
        };
        // The rest is about new frames, and this message belongs to the previous frame.
        if class == Class::Rest {
            return judged;
        }
        self.complete_frame(store);
        self.take_sets(message, class == Class::Keyframe, sent, store);
        let access = look.map_or(RandomAccess::No, |(_, look)| look.access);
        judged.is_start |= self.stands_in_for_keyframe(class, access, store.now);
        judged.is_sync = self.starts_files(access, store.now);
        judged
    }

    fn look<'a>(
        &mut self,
        message: &TrackMessage,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        store: &mut Store<'_>,
    ) -> Option<(UnitFormat, UnitSummary)> {
        let format = self.format(message)?;
        let mut look = self.look_at_units(format, message, payload.clone());
        // If the units' lengths are wrong, data that looks like a parameter set isn't one. Most
        // publishers send parameter sets in their sequence headers only, so no room is reserved for
        // them before.
        if look.is_some()
            && self.publish.frames.sets.want_room()
            && self.pay(0, self.headers_cost() + MAX_SETS_LEN, store.hls)
        {
            self.publish.frames.sets.make_room();
            look = self.look_at_units(format, message, payload);
        }
        Some((format, look?))
    }

    fn look_at_units<'a>(
        &mut self,
        format: UnitFormat,
        message: &TrackMessage,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<UnitSummary> {
        let mut skip = usize::from(message.body_offset);
        let mut body = message.payload(payload).filter_map(|part| {
            let of_body = part.get(skip..).filter(|of_body| !of_body.is_empty());
            skip = skip.saturating_sub(part.len());
            of_body
        });
        summarize(format, &mut body, &mut self.publish.frames.sets)
    }

    /// The format of the first video track's units, by its sequence header if that has the message's
    /// codec.
    fn format(&self, message: &TrackMessage) -> Option<UnitFormat> {
        let Some(Codec::Video(codec)) = message.codec else {
            return None;
        };
        let (header, config) = self.config().unzip();
        let config = config.unwrap_or_default();
        // Almost all encoders write lengths of 4 bytes, so these are assumed without a configuration.
        let size_at = |at: usize| config.get(at).map_or(4, |sizes| (sizes & 3) + 1);
        let (codec, length_size) = match (codec, header) {
            // Some cameras send HEVC as H.264; their sequence header shows that.
            (VideoCodec::H264, Some(VideoCodec::H264)) if HevcConfig::is_disguised(config) => {
                (VideoCodec::Hevc, size_at(hevc::MIN_LEN - 2))
            }
            (VideoCodec::H264, Some(VideoCodec::H264)) => (codec, size_at(4)),
            (VideoCodec::Hevc, Some(VideoCodec::Hevc)) => (codec, size_at(hevc::MIN_LEN - 2)),
            _ => (codec, 4),
        };
        Some(UnitFormat { codec, length_size })
    }

    /// The codec and body of the first video track's sequence header.
    fn config(&self) -> Option<(VideoCodec, &[u8])> {
        let header = self.preamble.header(Slot::Video(0))?;
        let tag = Tag::parse(Medium::Video, header).ok()?;
        match tag.codec? {
            Codec::Video(codec) => Some((codec, header.get(tag.body_offset..)?)),
            Codec::Audio(_) => None,
        }
    }

    /// Returns the class of a message by its units, or by its flag if the units leave it open.
    fn class_of_part(&mut self, flagged: Class, look: &mut UnitSummary, timestamp: u32) -> Class {
        let frames = &mut self.publish.frames;
        let step = |open: &OpenFrame| timestamp.wrapping_sub(open.sent) as i32;
        let step = frames.open.as_ref().map(step);
        let is_of_open = step.is_some_and(|step| step.unsigned_abs() < FRAME_SPAN);
        // The frame's first slice arrived long before, was lost, or isn't sent first.
        if look.part == FramePart::More && !is_of_open {
            look.part = FramePart::First;
        }
        match (look.part, look.access) {
            (FramePart::Beside | FramePart::More, _) => Class::Rest,
            (FramePart::First, RandomAccess::Yes) => {
                frames.has_access = true;
                Class::Keyframe
            }
            // Before that the flag counts: with intra refresh, nothing better may arrive.
            (FramePart::First, RandomAccess::No) if frames.has_access => Class::Frame,
            (FramePart::First, _) => flagged,
        }
    }

    /// Whether a frame that isn't a keyframe is used as one, because nothing better arrives. RTMP
    /// players then show video, possibly with artifacts; browsers don't.
    fn stands_in_for_keyframe(&mut self, class: Class, access: RandomAccess, now: Millis) -> bool {
        let frames = &mut self.publish.frames;
        if access == RandomAccess::Yes {
            frames.access_since = When::at(now);
        }
        let access_since = frames.access_since.get_or_set(now);
        if access == RandomAccess::Recovery && now.saturating_sub(access_since) >= PATIENCE {
            self.arrivals.doctor.find(Finding::NoStart {
                has_recovery_points: true,
            });
        }
        let since = frames.since.get_or_set(now);
        if class == Class::Keyframe {
            frames.since = When::at(now);
            frames.is_keyless = false;
            return false;
        }
        let has_keyframe = self.publish.has_keyframe && !frames.is_keyless;
        let patience = match access {
            RandomAccess::No if has_keyframe => return false,
            RandomAccess::Intra | RandomAccess::Recovery if !has_keyframe => FIRST_PATIENCE,
            _ => PATIENCE,
        };
        if now.saturating_sub(since) < patience {
            return false;
        }
        frames.since = When::at(now);
        frames.is_keyless = access == RandomAccess::No;
        if access != RandomAccess::Recovery {
            self.arrivals.doctor.find(Finding::NoStart {
                has_recovery_points: false,
            });
        }
        true
    }

    /// Whether all decoders can start at a frame at which some can. Browsers can only start at IDR
    /// frames, so files begin and are cut there as long as IDR frames arrive.
    fn starts_files(&self, access: RandomAccess, now: Millis) -> bool {
        let frames = &self.publish.frames;
        let since = frames.access_since.get().unwrap_or(now);
        let is_poor = matches!(access, RandomAccess::Intra | RandomAccess::Recovery);
        !is_poor || !frames.has_access || now.saturating_sub(since) >= PATIENCE
    }

    /// Notes that a message which is a frame, or a part of one, is about to be appended under this
    /// number. If it isn't whole, or contains what containers forbid, it is no sample by itself.
    /// Returns whether the frame must be assembled at once.
    pub(super) fn note_part(
        &mut self,
        meta: &mut Meta,
        (format, look): (UnitFormat, UnitSummary),
        sent: u32,
        number: u64,
    ) -> bool {
        let frames = &mut self.publish.frames;
        if look.part == FramePart::More {
            frames.come_in_parts = true;
            if let Some(open) = &mut frames.open {
                open.is_due = true;
            }
        }
        if look.part != FramePart::First {
            return false;
        }
        let forbidden = u8::try_from(look.forbidden).ok();
        let body_offset = forbidden.and_then(|len| meta.sample.body_offset.checked_add(len));
        let is_unclean = look.is_unclean || body_offset.is_none();
        // Once frames have arrived in parts, any message may be only a part: that is known when the
        // next frame begins.
        let is_due = is_unclean || frames.come_in_parts;
        frames.open = Some(OpenFrame {
            number,
            sent,
            meta: *meta,
            format,
            is_due,
            is_out: !is_due,
        });
        match body_offset {
            Some(body_offset) if !is_due => meta.sample.body_offset = body_offset,
            _ => meta.sample.duration = 0,
        }
        is_unclean && !frames.come_in_parts
    }

    /// Closes the open frame, which is complete, and assembles it if it has to be.
    pub(in crate::live) fn complete_frame(&mut self, store: &mut Store<'_>) {
        let open = self.publish.frames.open.take();
        let Some(open) = open.filter(|open| open.is_due) else {
            return;
        };
        let mut meta = open.meta;
        let sample = &mut meta.sample;
        if sample.duration == 0 {
            return;
        }
        if open.is_out {
            let timed = self.media_clock.video(meta.timestamp, sample.is_sync);
            sample.decode_time = timed.time;
            sample.composition_time += i32::from(timed.delay) - i32::from(sample.duration);
            sample.duration = timed.duration;
        }
        sample.body_offset = 0;
        meta.mod_ex_len = 0;
        meta.is_join_point = false;
        meta.role = Role::Whole;
        self.note_era(store.log);
        let was_joinable = store.log.join_point().is_some();
        let number = store.log.append_whole(meta, open.number, open.format);
        self.note_eviction(was_joinable, store.log);
        if let Some(number) = number {
            self.note_sample(number, store);
        }
    }

    /// Makes a sequence header of the parameter sets in front of a new frame, if they differ from the
    /// known ones.
    fn take_sets(
        &mut self,
        message: &TrackMessage,
        is_keyframe: bool,
        sent: u32,
        store: &mut Store<'_>,
    ) {
        if is_keyframe {
            if let Some(header) = self.header_of_sets(message) {
                if let Some(before) = self.preamble.header(Slot::Video(0)) {
                    let outdated = hash(before) as u32;
                    self.publish.frames.outdated.get_or_insert(outdated);
                }
                self.append_header(Slot::Video(0), sent, &header, store);
            }
        }
        self.publish.frames.sets.clear();
    }

    /// The sequence header made of the parameter sets that arrived, if they are complete and not yet
    /// known.
    fn header_of_sets(&self, message: &TrackMessage) -> Option<Vec<u8>> {
        let sets = self.publish.frames.sets.iter();
        sets.clone().next()?;
        let UnitFormat { codec, length_size } = self.format(message)?;
        let is_its_own = |of: VideoCodec| message.codec == Some(Codec::Video(of));
        let own = self.config().filter(|(of, _)| is_its_own(*of));
        let config = own.map(|(_, config)| config);
        let is_known = |set: &[u8]| {
            config.is_some_and(|config| config.windows(set.len().max(1)).any(|held| held == set))
        };
        if sets.clone().all(is_known) {
            return None;
        }
        let config = match codec {
            VideoCodec::Hevc => hevc::config_of_sets(length_size, config, sets)?,
            _ => avc::config_of_sets(length_size, sets)?,
        };
        let before = self.preamble.header(Slot::Video(0));
        let before = before.filter(|_| own.is_some());
        let mut header = match (before, &message.four_cc) {
            (Some(before), _) => {
                let len = Tag::parse(Medium::Video, before).ok()?.body_offset;
                before.get(..len)?.to_vec()
            }
            (None, Some(four_cc)) => [b"\x90", &four_cc[..]].concat(),
            (None, None) if codec == VideoCodec::Hevc => b"\x1C\0\0\0\0".to_vec(),
            (None, None) => b"\x17\0\0\0\0".to_vec(),
        };
        header.extend(config);
        Some(header)
    }

    /// Whether a header that arrived is the one that parameter sets have replaced. Some encoders repeat
    /// it forever.
    pub(super) fn is_outdated(&mut self, slot: Slot, header: &[u8]) -> bool {
        if slot != Slot::Video(0) {
            return false;
        }
        let outdated = &mut self.publish.frames.outdated;
        outdated.take_if(|outdated| *outdated != hash(header) as u32);
        outdated.is_some()
    }
}
