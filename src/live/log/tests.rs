use super::*;
use crate::live::capabilities::Capabilities;
use crate::media::codec::VideoCodec;

/// A log without history, whose messages no receiver needs.
fn log() -> Log {
    let mut log = Log::new(Arena::new(16 * BLOCK_LEN), 0);
    log.set_needs(Needs::NOTHING);
    log
}

/// Appends a small video message; files can start with it if `is_sync`.
fn append(log: &mut Log, arrived: Millis, is_join_point: bool, is_sync: bool) {
    let meta = meta(arrived, is_join_point, is_sync);
    log.append(meta, std::iter::once(&b"frame"[..])).unwrap();
}

fn meta(arrived: Millis, is_join_point: bool, is_sync: bool) -> Meta {
    Meta {
        kind: Kind::Video,
        timestamp: arrived as u32,
        arrived,
        is_join_point,
        role: Role::Media,
        preamble_version: 0,
        needs: Capabilities::NONE,
        mod_ex_len: 0,
        sample: Sample {
            is_sync,
            ..Sample::default()
        },
    }
}

#[test]
fn the_gop_at_which_files_start_is_kept_behind_a_newer_join_point() {
    let mut log = log();
    append(&mut log, 0, true, true);
    append(&mut log, 40, false, false);
    // RTMP players can start here, files can't.
    append(&mut log, 80, true, false);
    append(&mut log, 120, false, false);
    assert_eq!(
        (log.start_of(true), log.start_of(false)),
        (Some(0), Some(2))
    );
    assert_eq!(log.start(), 0);
    append(&mut log, 160, true, true);
    append(&mut log, 200, false, false);
    assert_eq!((log.start_of(true), log.start()), (Some(4), 4));
}

#[test]
fn where_nothing_is_left_of_a_gop_nothing_starts() {
    let mut log = log();
    append(&mut log, 0, true, true);
    append(&mut log, 40, true, false);
    assert!(log.evict_oldest());
    assert_eq!((log.start_of(true), log.start_of(false)), (None, Some(1)));
    assert!(log.evict_oldest());
    assert_eq!((log.start_of(true), log.start_of(false)), (None, None));
    assert!(!log.evict_oldest());
}

#[test]
fn slices_that_are_evicted_for_their_copy_are_not_copied() {
    let format = UnitFormat {
        codec: VideoCodec::H264,
        length_size: 4,
    };
    for (len, is_copied) in [(1_000, true), (10 * BLOCK_LEN, false)] {
        let mut log = log();
        let slice = [&(len as u32).to_be_bytes()[..], &vec![0x65; len]].concat();
        let slice = std::iter::once(&slice[..]);
        log.append(meta(0, true, true), slice).unwrap();
        let whole = log.append_whole(meta(0, true, true), 0, format);
        assert_eq!(whole, is_copied.then_some(1));
        assert_eq!(log.entry(1).is_some(), is_copied);
    }
}
