//! Classes of media messages: headers, frames at which decoders can start, and other frames.

use crate::live::kind::Kind;
use crate::live::preamble::Slot;
use crate::media::tag::TagKind;
use crate::media::tag::tracks::TrackMessage;

/// The class of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A header, which is part of the preamble from now on.
    Header(Slot),
    /// A video frame at which a decoder can start.
    Keyframe,
    /// Any other frame of video or audio.
    Frame,
    /// A later part of a video frame, or data that belongs to no frame.
    Rest,
    /// Neither header nor media, such as the end of a sequence.
    Other,
}

/// Classifies a message by its header. `None` if it is useless to players. The units of a frame are
/// judged in `frames`.
pub(super) fn classify(kind: Kind, message: &TrackMessage) -> Option<Class> {
    let track = message.track_id;
    Some(match message.kind {
        TagKind::SequenceHeader if kind == Kind::Audio => Class::Header(Slot::Audio(track)),
        TagKind::SequenceHeader => Class::Header(Slot::Video(track)),
        TagKind::Metadata => Class::Header(Slot::VideoMetadata(track)),
        TagKind::MultichannelConfig => Class::Header(Slot::AudioChannels(track)),
        // Players start with track 0. The other tracks follow it.
        TagKind::Frames if message.is_keyframe && track == 0 => Class::Keyframe,
        TagKind::Frames => Class::Frame,
        TagKind::SequenceEnd => Class::Other,
        TagKind::InvalidSequenceHeader | TagKind::Command => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_and_enhanced_messages_fall_into_the_same_classes() {
        for (name, kind, payload, class) in [
            (
                "AVC header",
                Kind::Video,
                &b"\x17\0\0\0\0\x01\x42\xC0\x1E\xFF\xE1\0"[..],
                Some(Class::Header(Slot::Video(0))),
            ),
            ("empty AVC header", Kind::Video, b"\x17\0\0\0\0", None),
            (
                "AVC keyframe",
                Kind::Video,
                b"\x17\x01\0\0\0\0\0\0\x01\x65",
                Some(Class::Keyframe),
            ),
            (
                "AVC frame",
                Kind::Video,
                b"\x27\x01\0\0\0\0\0\0\x01\x41",
                Some(Class::Frame),
            ),
            (
                "AVC end",
                Kind::Video,
                b"\x17\x02\0\0\0",
                Some(Class::Other),
            ),
            (
                "Sorenson keyframe",
                Kind::Video,
                b"\x12\0\0\x84",
                Some(Class::Keyframe),
            ),
            (
                "HEVC keyframe",
                Kind::Video,
                b"\x91hvc1\0\0\0\0\0\0\x02\x26\x01",
                Some(Class::Keyframe),
            ),
            (
                "AV1 frame",
                Kind::Video,
                b"\xA1av01\x32\0",
                Some(Class::Frame),
            ),
            (
                "keyframe of track 1",
                Kind::Video,
                b"\x96\x01avc1\x01\0\0\0\0\0\0\x01\x65",
                Some(Class::Frame),
            ),
            (
                "colours",
                Kind::Video,
                b"\xD4hvc1\x02\0\x09colorInfo",
                Some(Class::Header(Slot::VideoMetadata(0))),
            ),
            (
                "keyframe of an unknown codec",
                Kind::Video,
                b"\x1F\0",
                Some(Class::Keyframe),
            ),
            (
                "header of an unknown codec",
                Kind::Video,
                b"\x90zzzz\x01",
                Some(Class::Header(Slot::Video(0))),
            ),
            ("no video at all", Kind::Video, b"", None),
            (
                "AAC header",
                Kind::Audio,
                b"\xAF\0\x12\x10",
                Some(Class::Header(Slot::Audio(0))),
            ),
            ("empty AAC header", Kind::Audio, b"\xAF\0", None),
            (
                "AAC frame",
                Kind::Audio,
                b"\xAF\x01\x21",
                Some(Class::Frame),
            ),
            (
                "MP3 frame",
                Kind::Audio,
                b"\x2F\xFF\xFB",
                Some(Class::Frame),
            ),
            (
                "Opus frame",
                Kind::Audio,
                b"\x91Opus\xFC",
                Some(Class::Frame),
            ),
            ("no audio at all", Kind::Audio, b"", None),
        ] {
            let message = TrackMessage::read(kind.medium().unwrap(), payload);
            let found = message.and_then(|message| classify(kind, &message));
            assert_eq!(found, class, "{name}");
        }
    }
}
