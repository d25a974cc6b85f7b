//! Limits on lengths and numbers.

use super::*;

#[test]
fn each_kind_of_message_has_its_longest_length() {
    let header = |type_id: u8, len: u32| {
        let [_, a, b, c] = len.to_be_bytes();
        vec![3, 0, 0, 0, a, b, c, type_id, 0, 0, 0, 0]
    };
    for (type_ids, allowed, text) in [
        (
            [8, 9, 22].as_slice(),
            LIMITS.media,
            "length of a media message in bytes: 4097 exceeds the limit of 4096 (raise \
             --max-message)",
        ),
        (
            &[15, 16, 18, 19],
            LIMITS.data,
            "length of a data message in bytes: 3073 exceeds the limit of 3072",
        ),
        (
            &[17, 20],
            LIMITS.command,
            "length of a command in bytes: 2049 exceeds the limit of 2048",
        ),
        (
            &[1, 2, 3, 4, 5, 6],
            64,
            "length of a control message in bytes: 65 exceeds the limit of 64",
        ),
        (
            &[0, 7, 10, 21, 23, 255],
            LIMITS.data,
            "length of a message of unknown type in bytes: 3073 exceeds the limit of 3072",
        ),
    ] {
        for type_id in type_ids {
            assert_eq!(messages(&header(*type_id, allowed)), []);
            assert_eq!(error(&header(*type_id, allowed + 1)), text);
        }
    }
}

#[test]
fn the_65th_chunk_stream_is_refused() {
    let open = |id: u8| [vec![0, id], b"\0\0\0\0\0\0\x09\x01\0\0\0".to_vec()].concat();
    let bytes = (0..64).flat_map(open).collect::<Vec<u8>>();
    assert_eq!(messages(&bytes).len(), 64);
    let bytes = (0..65).flat_map(open).collect::<Vec<u8>>();
    assert_eq!(
        error(&bytes),
        "chunk streams on one connection: 65 exceeds the limit of 64"
    );
}

#[test]
fn the_9th_message_under_assembly_is_refused() {
    let begin = |id: u8| {
        let header = [vec![id], b"\0\0\0\0\0\x82\x09\x01\0\0\0".to_vec()];
        [header.concat(), vec![b'v'; 128]].concat()
    };
    let eight = (3..11).flat_map(begin).collect::<Vec<u8>>();
    assert_eq!(messages(&eight), []);
    // When one is complete there is room for another.
    let replaced = [eight.clone(), b"\xC3vv".to_vec(), begin(11)].concat();
    assert_eq!(messages(&replaced).len(), 1);
    let nine = [eight, begin(11)].concat();
    assert_eq!(
        error(&nine),
        "messages under assembly at the same time: 9 exceeds the limit of 8"
    );
}
