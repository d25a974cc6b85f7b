use super::*;

#[test]
fn findings_say_what_came_what_was_expected_and_what_to_do() {
    let repair = |is_start, jump_ms, total| ClockRepair {
        jump_ms,
        is_start,
        total,
    };
    for (finding, id, text) in [
        (
            Finding::KeyframeInterval {
                interval: 8_333,
                is_open: false,
                frame_rate: Some(29_970),
            },
            "keyframe-interval",
            "keyframes are 8.3 s apart, expected at most 4 s: players wait for them when they join \
             or fall behind, and HLS viewers are three times as far behind. Set the encoder's \
             keyframe interval to 2 s (OBS: Keyframe Interval 2 s; ffmpeg: -g 60)",
        ),
        (
            Finding::KeyframeInterval {
                interval: 10_040,
                is_open: true,
                frame_rate: Some(5_000),
            },
            "keyframe-interval",
            "no keyframe for 10.0 s, expected at most 4 s: players wait for them when they join or \
             fall behind, and HLS viewers are three times as far behind. Set the encoder's \
             keyframe interval to 2 s (OBS: Keyframe Interval 2 s; ffmpeg: -g 10)",
        ),
        (
            Finding::MissingTrack(Medium::Audio),
            "missing-audio",
            "the metadata announces audio, but none came in the first 5 s: some players wait for \
             it. Check the encoder's microphone, or turn its audio off",
        ),
        (
            Finding::MissingTrack(Medium::Video),
            "missing-video",
            "the metadata announces video, but none came in the first 5 s: some players wait for \
             it. Check the encoder's camera, or turn its video off",
        ),
        (
            Finding::FrameRate {
                announced: 59_940,
                measured: 29_970,
            },
            "frame-rate",
            "the metadata says 59.94 pictures a second, 30.0 were measured: the encoder can't keep \
             up, its source is slower, or it announces a wrong rate. Set its frame rate to what \
             the source delivers",
        ),
        (
            Finding::FrameSize {
                announced: (1920, 1080),
                coded: (1280, 720),
            },
            "picture-size",
            "the metadata says 1920x1080, the pictures are 1280x720: some players show them \
             distorted. Set the encoder's output size, or restart it after a change of size",
        ),
        (
            Finding::Timestamps(repair(false, -80_000, 3)),
            "timestamps",
            "time stamps jumped by -80.0 s, continued without a jump (3 so far). Check the \
             encoder's clock and its source's",
        ),
        (
            Finding::Timestamps(repair(true, 5_040, 1)),
            "timestamps",
            "time stamps of audio and video are apart by 5.0 s, continued without a jump (1 so \
             far). Check the encoder's clock and its source's",
        ),
        (
            Finding::NetworkGaps {
                count: 3,
                longest: 1_949,
            },
            "network-gaps",
            "3 times nothing came for more than 1 s (at most 1.9 s), and then all of it at once: \
             the sender's network holds it up. Lower the bit rate, or improve the connection \
             (cable instead of Wi-Fi, a better signal)",
        ),
        (
            Finding::Pace(Pace::Still { is_zero: true }),
            "clock",
            "all timestamps are zero, those of arrival take their place. Check the encoder's clock",
        ),
        (
            Finding::Pace(Pace::Still { is_zero: false }),
            "clock",
            "timestamps stand still, those of arrival take their place. Check the encoder's clock",
        ),
        (
            Finding::Pace(Pace::Hovers),
            "clock",
            "timestamps go back and forth: players stutter. Check the encoder's clock",
        ),
        (
            Finding::Pace(Pace::Off {
                tenths: 100,
                is_lost: true,
            }),
            "clock",
            "timestamps run 10 times too fast, those of arrival take their place. Check the \
             encoder's clock",
        ),
        (
            Finding::Pace(Pace::Off {
                tenths: 100,
                is_lost: false,
            }),
            "clock",
            "timestamps run 10 times too fast: players run dry, or fall behind. Check the \
             encoder's clock and frame rate, and whether its network keeps up",
        ),
        (
            Finding::Pace(Pace::Off {
                tenths: 8,
                is_lost: false,
            }),
            "clock",
            "timestamps run at 0.8 of real time: players run dry, or fall behind. Check the \
             encoder's clock and frame rate, and whether its network keeps up",
        ),
        (
            Finding::LargeGop {
                may_hold: 4_194_304,
            },
            "memory",
            "from one keyframe to the next come more than the 4194 kB that the stream may keep: \
             players that join or fall behind wait for the next keyframe. Raise --memory, or lower \
             the encoder's keyframe interval or bit rate",
        ),
        (
            Finding::LargeMessage {
                len: 300_001,
                may_hold: 262_144,
            },
            "memory",
            "a message of 301 kB was dropped, the stream may keep 262 kB in all. Raise --memory, \
             or lower the encoder's bit rate",
        ),
        (
            Finding::NoMedia,
            "no-media",
            "no audio or video came in the first 5 s of the publish. Check that the encoder has a \
             source and is running",
        ),
        (
            Finding::Recording(RecordingTrouble::Behind(12_340)),
            "recording-behind",
            "the recording is 12.3 s behind the stream: the disk is too slow, and what doesn't fit \
             into memory until then will be missing. Use a faster card or disk, or lower the \
             encoder's bit rate",
        ),
        (
            Finding::Recording(RecordingTrouble::DiskGone),
            "recording-stopped",
            "not recorded: the folder of the recordings, or the disk it was on, is gone. Connect \
             and mount it again: recording then goes on by itself",
        ),
    ] {
        assert_eq!(finding.id(), id);
        assert_eq!(finding.to_string(), text);
    }
}
