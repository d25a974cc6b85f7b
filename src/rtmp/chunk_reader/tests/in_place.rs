//! Messages that lie entirely in the input, and messages that don't.

use super::*;
use proptest::prelude::*;

/// Opens chunk stream 6, because only known chunk streams are read in place.
const OPENED: &[u8] = b"\x06\0\0\x05\0\0\x01\x09\x01\0\0\0a";

/// Set Chunk Size to [`CHUNK_SIZE`].
const CHUNKED: &[u8] = b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x04\0";

const CHUNK_SIZE: usize = 1024;

/// A video message of 3,000 bytes, with type 3 headers that end with `repeated`.
fn video(header: &[u8], repeated: &[u8]) -> Vec<u8> {
    let payload: Vec<u8> = (0..3000_u32).map(|index| index as u8).collect();
    let mut bytes = header.to_vec();
    for (index, chunk) in payload.chunks(CHUNK_SIZE).enumerate() {
        if index > 0 {
            bytes.push(0xC6);
            bytes.extend_from_slice(repeated);
        }
        bytes.extend_from_slice(chunk);
    }
    bytes
}

/// Returns the lengths of the pieces of the last message; none if it was assembled.
fn pieces(bytes: &[&[u8]]) -> Vec<usize> {
    let mut reader = ChunkReader::new(Heap, LIMITS);
    reader.set_chunk_size(CHUNK_SIZE as u32).unwrap();
    let mut input = Bytes::new(bytes);
    let mut last = Vec::new();
    while let Some(message) = reader.read(&mut input).unwrap() {
        let in_place = message.in_place.into_iter().flatten();
        last = in_place.map(<[u8]>::len).collect();
    }
    last
}

#[test]
fn a_message_of_several_chunks_stays_where_it_lies() {
    let bytes = [
        OPENED,
        &video(b"\x46\0\0\x05\0\x0B\xB8\x09", b""),
        // The same again with a header of one byte.
        &video(b"\xC6", b""),
    ]
    .concat();
    assert_eq!(pieces(&[&bytes]), [1024, 1024, 952]);
    // In two buffers, cut in a chunk and in the header between two chunks.
    let (first, second) = bytes.split_at(bytes.len() - 1000);
    assert_eq!(pieces(&[first, second]), [1024, 977, 47, 952]);
    let (first, second) = bytes.split_at(bytes.len() - 953);
    assert_eq!(pieces(&[first, second]), [1024, 1024, 952]);
    assert_eq!(messages(&[CHUNKED, &bytes].concat()).len(), 4);
}

#[test]
fn a_repeated_extended_timestamp_lies_between_the_pieces_once_it_is_known() {
    let header = b"\x06\xFF\xFF\xFF\0\x0B\xB8\x09\x01\0\0\0\x01\0\0\0";
    for repeated in [b"\x01\0\0\0".as_slice(), b""] {
        let message = video(header, repeated);
        assert!(pieces(&[OPENED, &message]).is_empty());
        let bytes = [OPENED, &message, &message].concat();
        assert_eq!(pieces(&[&bytes]), [1024, 1024, 952]);
        let (first, second) = bytes.split_at(bytes.len() - 953);
        assert_eq!(pieces(&[first, second]), [1024, 1024, 952]);
        assert_eq!(messages(&[CHUNKED, &bytes].concat()).len(), 4);
    }
}

#[test]
fn messages_that_arent_whole_or_begin_with_a_short_piece_are_assembled() {
    let message = video(b"\x06\0\0\x05\0\x0B\xB8\x09\x01\0\0\0", b"");
    assert_eq!(pieces(&[OPENED, &message]), [1024, 1024, 952]);
    // A buffer that ends within the first bytes of the payload.
    let (first, second) = message.split_at(20);
    let opened = [OPENED, first].concat();
    assert!(pieces(&[&opened, second]).is_empty());
    // More slices than a read has buffers.
    let (first, second) = message.split_at(1500);
    let (second, third) = second.split_at(1000);
    assert!(pieces(&[OPENED, first, second, third]).is_empty());
    // A chunk of another chunk stream between the message's own chunks.
    let (first, second) = message.split_at(12 + CHUNK_SIZE);
    let other = b"\x04\0\0\x05\0\0\x01\x08\x01\0\0\0a";
    let bytes = [OPENED, first, other, second].concat();
    assert!(pieces(&[&bytes]).is_empty());
    let lens = messages(&[CHUNKED, &bytes].concat()).into_iter();
    assert_eq!(
        lens.map(|message| message.4.len()).collect::<Vec<_>>(),
        [4, 1, 1, 3000]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Holds for arbitrary input, in arbitrary pieces and slices.
    #[test]
    fn both_ways_give_the_same_messages(
        sent in prop::collection::vec(
            // A few messages are too long.
            (0..4_u8, 0..2_u8, 0..4150_usize, any::<bool>(), any::<bool>()),
            1..12,
        ),
        chunk_size in prop::sample::select(vec![1_u32, 128, 1024, 1500, 4096]),
        cuts in prop::collection::vec(0..20_000_usize, 0..6),
    ) {
        let mut bytes = [b"\x02\0\0\0\0\0\x04\x01\0\0\0\0", &chunk_size.to_be_bytes()[..]].concat();
        let mut opened = [None; 2];
        for (format, stream, len, is_late, is_interrupted) in sent {
            let opened = &mut opened[usize::from(stream)];
            let (format, len) = match *opened {
                None => (0, len),
                // Types 2 and 3 keep the length.
                Some(len) if format > 1 => (format, len),
                Some(_) => (format, len),
            };
            *opened = Some(len);
            let [_, high, middle, low] = (len as u32).to_be_bytes();
            let time = if is_late { [0xFF; 3] } else { [0, 0, 40] };
            let fields = [&time[..], &[high, middle, low, 8 + stream], &[1, 0, 0, 0]].concat();
            let extended: &[u8] = if is_late && format < 3 { b"\x01\0\0\0" } else { b"" };
            let mut header = vec![format << 6 | (4 + stream)];
            header.extend_from_slice(&fields[..[11, 7, 3, 0][usize::from(format)]]);
            header.extend_from_slice(extended);
            bytes.extend_from_slice(&header);
            let payload: Vec<u8> = (0..len).map(|index| index as u8 | 0x80).collect();
            for (index, chunk) in payload.chunks(chunk_size as usize).enumerate() {
                if index == 1 && is_interrupted {
                    bytes.extend_from_slice(b"\x06\0\0\x05\0\0\x01\x09\x01\0\0\0a");
                }
                if index > 0 {
                    bytes.push(0xC4 + stream);
                }
                bytes.extend_from_slice(chunk);
            }
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut at = 0;
        let pieces: Vec<&[u8]> = cuts.iter().map(|cut| &bytes[std::mem::replace(&mut at, *cut)..*cut]).collect();
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        let assembled = read(Heap, &bytewise);
        prop_assert_eq!(&read(Heap, &pieces), &assembled);
        prop_assert_eq!(&read_all(Heap, &[&pieces]), &assembled);
        prop_assert_eq!(&read(Heap, &[&bytes]), &assembled);
    }
}
