//! Pictures of the first video track: messages become pictures here.
//!
//! Receivers of RTMP and FLV get each message as it came. But a picture is the unit of everything
//! else: of join points, counts, bursts and samples. Where it came in one message that holds nothing
//! that containers forbid, that message is its sample. If not, it is put together behind its last
//! message, once more and for containers alone, as soon as the next picture begins:
//!
//! ```text
//! published   sets    slice 1  slice 2  slice 3         slice 1  slice 2  slice 3         slice 1
//! log         beside  media    rest     rest     whole  media    rest     rest     whole  media
//! RTMP, FLV   x       x        x        x               x        x        x               x
//! MP4, HLS                                       x                                 x
//! ```
//!
//! Parameter sets in front of a picture that differ from those of the sequence header become a
//! sequence header, as if the publisher had sent it: decoders of files look for them nowhere else.

use super::State;
use crate::http::conditions::hash;
use crate::live::capabilities::Capabilities;
use crate::live::classify::Class;
use crate::live::log::{Kind, Meta, Role, Sample};
use crate::live::preamble::Slot;
use crate::live::{Millis, When};
use crate::media::access_unit::{
    FramePart as Part, ParameterSets as Sets, RandomAccess as Access, UnitFormat as Format,
    UnitSummary as Look, summarize,
};
use crate::media::codec::{Codec, VideoCodec};
use crate::media::hevc::HevcConfig;
use crate::media::tag::Tag;
use crate::media::tag::tracks::TrackMessage;
use crate::media::{Medium, avc, hevc};

/// Without a keyframe for this long, players get what may do for one, in ms.
const PATIENCE: Millis = 10_000;

/// The same for pictures that do without others, before the first keyframe: it is on its way, unless
/// nothing else comes.
const FIRST_PATIENCE: Millis = 2_000;

/// Messages of one picture may have time stamps so far apart at most, in ms. Later ones are of another,
/// whose beginning got lost.
const PICTURE_SPAN: u32 = 20;

/// What is known of the pictures of the current publish.
#[derive(Default)]
pub(super) struct Pictures {
    /// Some came in more messages than one.
    pub(super) comes_in_parts: bool,
    /// A picture has come with which a decoder can start by what it says itself.
    has_access: bool,
    /// When the last keyframe came, or what did for one; or the first picture.
    since: When,
    /// The same of pictures at which browsers can start.
    access_since: When,
    /// What players got to start with is nothing better than the others.
    is_keyless: bool,
    /// The newest one, while more of it may come.
    open: Option<Open>,
    /// Parameter sets since the last one. There is room for them once some have come.
    pub(super) sets: Sets,
    /// Of the sequence header that came last, while another stands in its place that was made of
    /// parameter sets.
    outdated: Option<u32>,
}

/// A picture of which more may come.
struct Open {
    /// Number of its first message.
    number: u64,
    /// Of its first message, as it was sent.
    sent: u32,
    /// Of its first message, with the sample that it is in the end.
    meta: Meta,
    format: Format,
    /// It has to be put together.
    is_due: bool,
    /// Its first message has been taken for a sample, before more came.
    is_out: bool,
}

/// What a message of media turned out to be.
pub(super) struct Judged {
    pub(super) class: Class,
    /// Receivers may start with it.
    pub(super) is_start: bool,
    /// Files may, too.
    pub(super) is_sync: bool,
    /// By its units, if it has any.
    pub(super) look: Option<(Format, Look)>,
    /// Its timestamp, as it was sent.
    pub(super) sent: u32,
}

impl Judged {
    /// What isn't a picture of the first track is what its header says.
    pub(super) fn of(class: Class) -> Judged {
        Judged {
            class,
            is_start: class == Class::Keyframe,
            is_sync: true,
            look: None,
            sent: 0,
        }
    }

    pub(super) fn role(&self) -> Role {
        match (self.class, self.look) {
            (Class::Other, _) => Role::Other,
            (Class::Rest, Some((_, look))) if look.part == Part::More => Role::Rest,
            (Class::Rest, _) => Role::Beside,
            _ => Role::Media,
        }
    }
}

impl State {
    /// What a frame of the first video track is by its units. If it begins a picture, the one before
    /// is complete.
    pub(super) fn judge<'a>(
        &mut self,
        message: &TrackMessage,
        flagged: Class,
        timestamp: u32,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        now: Millis,
    ) -> Judged {
        let mut look = self.look(message, payload);
        let class = match &mut look {
            Some((_, look)) => self.class_of_part(flagged, look, timestamp),
            None => flagged,
        };
        let mut judged = Judged::of(class);
        (judged.look, judged.sent) = (look, timestamp);
        if class == Class::Rest {
            return judged;
        }
        self.complete_picture();
        self.take_sets(message, class == Class::Keyframe, timestamp, now);
        let access = look.map_or(Access::No, |(_, look)| look.access);
        judged.is_start |= self.does_for_keyframe(class, access, now);
        judged.is_sync = self.starts_files(access, now);
        judged
    }

    fn look<'a>(
        &mut self,
        message: &TrackMessage,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<(Format, Look)> {
        let format = self.format(message)?;
        let mut look = self.look_at_units(format, message, payload.clone());
        // Where lengths lie, what looks like a parameter set is none.
        if look.is_some() && self.publish.pictures.sets.want_room() && self.pay_for_sets() {
            self.publish.pictures.sets.make_room();
            look = self.look_at_units(format, message, payload);
        }
        Some((format, look?))
    }

    fn look_at_units<'a>(
        &mut self,
        format: Format,
        message: &TrackMessage,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<Look> {
        let mut parts = message.payload(payload);
        // Headers are short: the tag's ends in the first part or in the second.
        let mut skip = usize::from(message.body_offset);
        let mut first: &[u8] = &[];
        while first.is_empty() {
            let Some(part) = parts.next() else { break };
            first = part.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(part.len());
        }
        let mut body = std::iter::once(first).chain(parts);
        summarize(format, &mut body, &mut self.publish.pictures.sets)
    }

    /// How the units of the first video track are written: by its sequence header, if that is of the
    /// codec of this message.
    fn format(&self, message: &TrackMessage) -> Option<Format> {
        let Some(Codec::Video(codec)) = message.codec else {
            return None;
        };
        let (header, config) = self.config().unzip();
        let config = config.unwrap_or_default();
        let size_at = |at: usize| config.get(at).map_or(4, |sizes| (sizes & 3) + 1);
        let (codec, length_size) = match (codec, header) {
            // What some cameras send as H.264 is HEVC, which their sequence header tells.
            (VideoCodec::H264, Some(VideoCodec::H264)) if HevcConfig::is_disguised(config) => {
                (VideoCodec::Hevc, size_at(hevc::MIN_LEN - 2))
            }
            (VideoCodec::H264, Some(VideoCodec::H264)) => (codec, size_at(4)),
            (VideoCodec::Hevc, Some(VideoCodec::Hevc)) => (codec, size_at(hevc::MIN_LEN - 2)),
            _ => (codec, 4),
        };
        Some(Format { codec, length_size })
    }

    /// Codec and body of the first video track's sequence header.
    fn config(&self) -> Option<(VideoCodec, &[u8])> {
        let header = self.preamble.header(Slot::Video(0))?;
        let tag = Tag::parse(Medium::Video, header).ok()?;
        let Some(Codec::Video(codec)) = tag.codec else {
            return None;
        };
        Some((codec, header.get(tag.body_offset..)?))
    }

    /// What a frame is by its units, and by the flag where they leave it open.
    fn class_of_part(&mut self, flagged: Class, look: &mut Look, timestamp: u32) -> Class {
        let pictures = &mut self.publish.pictures;
        let is_of = |open: &Open| timestamp.wrapping_sub(open.sent) as i32;
        let is_of_open = pictures.open.as_ref().map(is_of);
        let is_of_open = is_of_open.is_some_and(|step| step.unsigned_abs() < PICTURE_SPAN);
        // The first slice of it came before, or got lost, or isn't sent first.
        if look.part == Part::More && !is_of_open {
            look.part = Part::First;
        }
        match (look.part, look.access) {
            (Part::Beside | Part::More, _) => Class::Rest,
            (Part::First, Access::Yes) => {
                pictures.has_access = true;
                Class::Keyframe
            }
            // Of an encoder that refreshes its picture bit by bit, nothing else may come.
            (Part::First, Access::No) if pictures.has_access => Class::Frame,
            (Part::First, _) => flagged,
        }
    }

    /// Whether a picture that isn't a keyframe has to do for one, since there is nothing better. RTMP's
    /// players show something then, if need be with faults; browsers don't.
    fn does_for_keyframe(&mut self, class: Class, access: Access, now: Millis) -> bool {
        let pictures = &mut self.publish.pictures;
        if access == Access::Yes {
            pictures.access_since = When::at(now);
        }
        let access_since = pictures.access_since.get_or_set(now);
        if access == Access::Recovery && now.saturating_sub(access_since) >= PATIENCE {
            self.stats.doctor.note_no_start(true);
        }
        let since = pictures.since.get_or_set(now);
        if class == Class::Keyframe {
            pictures.since = When::at(now);
            pictures.is_keyless = false;
            return false;
        }
        let has_keyframe = self.publish.has_keyframe && !pictures.is_keyless;
        let patience = match access {
            Access::No if has_keyframe => return false,
            Access::Intra | Access::Recovery if !has_keyframe => FIRST_PATIENCE,
            _ => PATIENCE,
        };
        if now.saturating_sub(since) < patience {
            return false;
        }
        pictures.since = When::at(now);
        pictures.is_keyless = access == Access::No;
        if access != Access::Recovery {
            self.stats.doctor.note_no_start(false);
        }
        true
    }

    /// Whether all decoders can start with a picture with which some can. Browsers can't with one that
    /// isn't an IDR picture, so as long as those come files begin and are cut there.
    fn starts_files(&self, access: Access, now: Millis) -> bool {
        let pictures = &self.publish.pictures;
        let since = pictures.access_since.get().unwrap_or(now);
        let is_poor = matches!(access, Access::Intra | Access::Recovery);
        !is_poor || !pictures.has_access || now.saturating_sub(since) >= PATIENCE
    }

    /// What doesn't begin a picture is no sample.
    pub(super) fn sample_of_rest(&self, message: &TrackMessage) -> Sample {
        let open = self.publish.pictures.open.as_ref();
        Sample {
            body_offset: message.body_offset,
            decode_time: open.map_or(0, |open| open.meta.sample.decode_time),
            ..Sample::default()
        }
    }

    /// A message that is a picture, or a part of one, is about to be appended. One that isn't whole, or
    /// has in it what containers forbid, is no sample by itself. True if it is to be put together again
    /// at once.
    pub(super) fn note_part(
        &mut self,
        meta: &mut Meta,
        (format, look): (Format, Look),
        sent: u32,
    ) -> bool {
        let pictures = &mut self.publish.pictures;
        if look.part == Part::More {
            pictures.comes_in_parts = true;
            if let Some(open) = &mut pictures.open {
                open.is_due = true;
            }
        }
        if look.part != Part::First {
            return false;
        }
        let forbidden = u8::try_from(look.forbidden).ok();
        let body_offset = forbidden.and_then(|len| meta.sample.body_offset.checked_add(len));
        let is_unclean = look.is_unclean || body_offset.is_none();
        let is_due = is_unclean || pictures.comes_in_parts;
        pictures.open = Some(Open {
            number: self.log.end(),
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
        is_unclean && !pictures.comes_in_parts
    }

    /// No more of the open picture comes: if it has to be put together, it is.
    pub(super) fn complete_picture(&mut self) {
        let open = self.publish.pictures.open.take();
        let Some(open) = open.filter(|open| open.is_due) else {
            return;
        };
        let mut meta = open.meta;
        let sample = &mut meta.sample;
        if sample.duration == 0 {
            return;
        }
        if open.is_out {
            let timed = self.media_clock.picture(meta.timestamp, sample.is_sync);
            sample.decode_time = timed.time;
            sample.composition_time += i32::from(timed.delay) - i32::from(sample.duration);
            sample.duration = timed.duration;
        }
        sample.body_offset = 0;
        meta.mod_ex_len = 0;
        meta.is_join_point = false;
        meta.role = Role::Whole;
        let was_joinable = self.log.join_point().is_some();
        let number = self.log.append_whole(meta, open.number, open.format);
        self.note_eviction(was_joinable);
        if let Some(number) = number {
            self.note_sample(number);
        }
    }

    /// Nothing of the open picture is left.
    pub(super) fn forget_picture(&mut self) {
        self.publish.pictures.open = None;
    }

    /// A picture begins: if it brings other parameter sets than the sequence header has, they become one.
    fn take_sets(
        &mut self,
        message: &TrackMessage,
        is_keyframe: bool,
        timestamp: u32,
        now: Millis,
    ) {
        if is_keyframe {
            if let Some(header) = self.header_of_sets(message) {
                if let Some(before) = self.preamble.header(Slot::Video(0)) {
                    let outdated = hash(before) as u32;
                    self.publish.pictures.outdated.get_or_insert(outdated);
                }
                let needs = Capabilities::needed_by_header(Kind::Video, &header);
                self.append_header(Slot::Video(0), needs, timestamp, &header, now);
            }
        }
        self.publish.pictures.sets.clear();
    }

    /// The sequence header of the parameter sets that came, if they are complete and news.
    fn header_of_sets(&self, message: &TrackMessage) -> Option<Vec<u8>> {
        let sets = self.publish.pictures.sets.iter();
        sets.clone().next()?;
        let Format { codec, length_size } = self.format(message)?;
        let own = self
            .config()
            .filter(|(of, _)| Some(Codec::Video(*of)) == message.codec);
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
        let before = self
            .preamble
            .header(Slot::Video(0))
            .filter(|_| own.is_some());
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

    /// Whether a header that came is the one which parameter sets have overruled: some encoders repeat
    /// it for ever.
    pub(super) fn is_outdated(&mut self, slot: Slot, header: &[u8]) -> bool {
        if slot != Slot::Video(0) {
            return false;
        }
        let outdated = &mut self.publish.pictures.outdated;
        let is_outdated = *outdated == Some(hash(header) as u32);
        if !is_outdated {
            *outdated = None;
        }
        is_outdated
    }
}
