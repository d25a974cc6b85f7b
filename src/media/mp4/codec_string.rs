//! The names of codecs in HLS and `MediaSource` (RFC 6381 and the codecs' own specifications).
//!
//! ```text
//! avcC 01 42 C0 0A                                    avc1.42C00A
//! hvcC 01 01 60000000 900000000000 1E                 hvc1.1.6.L30.90
//! av1C 81 00 0C 00                                    av01.0.00M.08
//! vpcC 00 0A 82 ...                                   vp09.00.10.08
//! AudioSpecificConfig 11 90                           mp4a.40.2
//! ```
//!
//! For a few audio codecs, browsers expect a different name in a content type than the registered one.
//! Chromium 156 accepts `opus` and `Opus`, Firefox only `opus`. Chromium reported support for `fLaC` and
//! then failed. Browsers that support MP3 at all call it `mp3`; in HLS it is `mp4a.40.34`.

use std::fmt::Write;

use crate::media::aac::AacConfig;
use crate::media::codec::{AudioCodec, VideoCodec};
use crate::media::hevc::HevcConfig;

/// Returns the name of a video track with this configuration.
pub(super) fn of_video(codec: VideoCodec, config: &[u8]) -> String {
    let mut text = String::new();
    let written = match (codec, config) {
        (VideoCodec::H264, [_, profile, constraints, level, ..]) => {
            write!(text, "avc1.{profile:02X}{constraints:02X}{level:02X}")
        }
        (VideoCodec::Hevc, config) => write_hevc(&mut text, config),
        (VideoCodec::Av1, [_, profile_and_level, flags, ..]) => {
            let (profile, level) = (profile_and_level >> 5, profile_and_level & 0x1F);
            let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
            let depth = match (flags & 0x40, flags & 0x20) {
                (0, _) => 8,
                (_, 0) => 10,
                _ => 12,
            };
            write!(text, "av01.{profile}.{level:02}{tier}.{depth:02}")
        }
        (VideoCodec::Vp9, [profile, level, depth, ..]) => {
            // Level 0 means unknown, but players don't accept it.
            let level = if *level == 0 { 10 } else { *level };
            write!(text, "vp09.{profile:02}.{level:02}.{:02}", depth >> 4)
        }
        _ => Ok(()),
    };
    // Writing into a string can't fail.
    let _ = written;
    text
}

/// Writes the name of an H.265 configuration (ISO/IEC 14496-15, E.3).
fn write_hevc(text: &mut String, config: &[u8]) -> std::fmt::Result {
    let Ok(config) = HevcConfig::parse(config) else {
        return Ok(());
    };
    text.push_str("hvc1.");
    match config.profile_space {
        1 => text.push('A'),
        2 => text.push('B'),
        3 => text.push('C'),
        _ => {}
    }
    let compatibility = config.compatibility.reverse_bits();
    let tier = if config.is_high_tier { 'H' } else { 'L' };
    let (profile, level) = (config.profile, config.level);
    write!(text, "{profile}.{compatibility:X}.{tier}{level}")?;
    let is_set = |byte: &u8| *byte != 0;
    let count = config.constraints.iter().rposition(is_set);
    let count = count.map_or(0, |last| last + 1);
    for byte in config.constraints.iter().take(count) {
        write!(text, ".{byte:X}")?;
    }
    Ok(())
}

/// Returns the name of an audio track with this configuration: the registered name, or the name that
/// browsers expect in a content type.
pub(super) fn of_audio(codec: AudioCodec, config: &[u8], is_for_browsers: bool) -> String {
    let (registered, of_browsers) = match codec {
        AudioCodec::Aac => {
            let object_type = AacConfig::parse(config).map_or(2, |config| config.object_type);
            return format!("mp4a.40.{object_type}");
        }
        AudioCodec::Mp3 => ("mp4a.40.34", "mp3"),
        AudioCodec::Opus => ("Opus", "opus"),
        AudioCodec::Flac => ("fLaC", "flac"),
        _ => ("", ""),
    };
    String::from(if is_for_browsers {
        of_browsers
    } else {
        registered
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_codecs_are_named_with_profile_and_level() {
        use VideoCodec::*;
        let hevc = |start: &[u8]| {
            let end = &b"\xF0\0\xFC\xFD\xF8\xF8\0\0\x0F\0"[..];
            [start, end].concat()
        };
        let rows: &[(VideoCodec, &[u8], &str)] = &[
            (H264, b"\x01\x42\xC0\x0A\xFF\xE1\0", "avc1.42C00A"),
            (H264, b"\x01\x64\0\x1F\xFF\xE1\0", "avc1.64001F"),
            (
                Hevc,
                &hevc(b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x1E"),
                "hvc1.1.6.L30.90",
            ),
            (
                Hevc,
                &hevc(b"\x01\x01\x60\0\0\0\xB0\0\0\0\0\0\x5D"),
                "hvc1.1.6.L93.B0",
            ),
            (
                Hevc,
                &hevc(b"\x01\xA2\x20\0\0\x01\0\x9D\0\x08\0\0\x99"),
                "hvc1.B2.80000004.H153.0.9D.0.8",
            ),
            (
                Hevc,
                &hevc(b"\x01\x01\x60\0\0\0\0\0\0\0\0\0\x78"),
                "hvc1.1.6.L120",
            ),
            (Av1, b"\x81\0\x0C\0", "av01.0.00M.08"),
            (Av1, b"\x81\x28\xC0\0", "av01.1.08H.10"),
            (Av1, b"\x81\x5F\x60\0", "av01.2.31M.12"),
            (Vp9, b"\0\x0A\x82\x02\x02\x02\0\0", "vp09.00.10.08"),
            (Vp9, b"\x02\x33\xA3\x09\x10\x09\0\0", "vp09.02.51.10"),
            (Vp9, b"\0\0\x82\x02\x02\x02\0\0", "vp09.00.10.08"),
        ];
        for (codec, config, expected) in rows {
            assert_eq!(of_video(*codec, config), *expected);
        }
    }

    #[test]
    fn audio_codecs_are_named_with_the_object_type() {
        use AudioCodec::*;
        let rows: &[(AudioCodec, &[u8], &str)] = &[
            (Aac, b"\x11\x90", "mp4a.40.2"),
            (Aac, b"\x2B\x92\x08\0", "mp4a.40.5"),
            (Aac, b"\xEB\x09\x88\0", "mp4a.40.29"),
            (Aac, b"\xF9\x46\x40", "mp4a.40.42"),
            (Mp3, b"", "mp4a.40.34"),
            (Opus, b"\0\x02\0\0\0\0\xBB\x80\0\0\0", "Opus"),
            (Flac, b"\x10\0\x10\0", "fLaC"),
        ];
        for (codec, config, expected) in rows {
            assert_eq!(of_audio(*codec, config, false), *expected);
        }
    }
}
